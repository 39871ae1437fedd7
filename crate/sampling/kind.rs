//! The samplers by name.

use std::fmt;
use std::str::FromStr;

use super::names::{SamplerName, plain};
use crate::error::{Error, Result};

/// The samplers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SamplerKind {
    /// Euler's method.
    Euler,
    /// Euler's method with fresh noise in each step.
    EulerA,
    /// Heun's method.
    Heun,
    /// DPM-Solver-2, the midpoint method.
    Dpm2,
    /// DPM-Solver-2 with fresh noise in each step.
    Dpm2A,
    /// Linear multistep method of order 4.
    Lms,
    /// DDIM, by itself without added noise.
    Ddim,
    /// DDPM: the reverse of the training's Markov chain.
    Ddpm,
    /// PNDM, called PLMS without its Runge–Kutta start.
    Pndm,
    /// DPM-Solver++ multistep.
    Dpmpp2m,
    /// DPM-Solver++ multistep for the stochastic equation.
    Dpmpp2mSde,
    /// The same of third order.
    Dpmpp3mSde,
    /// DPM-Solver++ with two calls a step for the stochastic equation.
    DpmppSde,
    /// DPM-Solver++ singlestep: one step of second order for every two calls.
    Dpmpp2s,
    /// DPM-Solver++ with two calls a step, and fresh noise in each step.
    Dpmpp2sA,
    /// DEIS in log-rho.
    Deis,
    /// UniPC.
    UniPc,
    /// Multistep sampling of latent consistency models.
    Lcm,
    /// Sampling of trajectory consistency models.
    Tcd,
}

/// A sampler's noise levels: their kind, and the keys of a scheduler file that decide them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    /// Training timesteps; schedule types have no effect.
    Timesteps,
    /// Sigmas from the first to the last sampled timestep, then 0.
    Sampled,
    /// Sigmas of the training's whole range.
    Trained,
}

/// Facts about a sampler.
struct Facts {
    name: &'static str,
    label: &'static str,
    class: Option<&'static str>,
    table: Table,
    calls: usize,
    noisy: bool,
}

impl SamplerKind {
    /// Every sampler.
    pub const ALL: [SamplerKind; 19] = [
        SamplerKind::Euler,
        SamplerKind::EulerA,
        SamplerKind::Heun,
        SamplerKind::Dpm2,
        SamplerKind::Dpm2A,
        SamplerKind::Lms,
        SamplerKind::Ddim,
        SamplerKind::Ddpm,
        SamplerKind::Pndm,
        SamplerKind::Dpmpp2m,
        SamplerKind::Dpmpp2mSde,
        SamplerKind::Dpmpp3mSde,
        SamplerKind::DpmppSde,
        SamplerKind::Dpmpp2s,
        SamplerKind::Dpmpp2sA,
        SamplerKind::Deis,
        SamplerKind::UniPc,
        SamplerKind::Lcm,
        SamplerKind::Tcd,
    ];

    fn facts(self) -> Facts {
        use Table::{Sampled, Timesteps, Trained};
        let (name, label, class, table, calls, noisy) = match self {
            SamplerKind::Euler => ("euler", "Euler", "EulerDiscrete", Sampled, 1, false),
            SamplerKind::EulerA => (
                "euler-a",
                "Euler a",
                "EulerAncestralDiscrete",
                Sampled,
                1,
                true,
            ),
            SamplerKind::Heun => ("heun", "Heun", "HeunDiscrete", Sampled, 2, false),
            SamplerKind::Dpm2 => ("dpm2", "DPM2", "KDPM2Discrete", Sampled, 2, false),
            SamplerKind::Dpm2A => (
                "dpm2-a",
                "DPM2 a",
                "KDPM2AncestralDiscrete",
                Sampled,
                2,
                true,
            ),
            SamplerKind::Lms => ("lms", "LMS", "LMSDiscrete", Sampled, 1, false),
            SamplerKind::Ddim => ("ddim", "DDIM", "DDIM", Timesteps, 1, false),
            SamplerKind::Ddpm => ("ddpm", "DDPM", "DDPM", Timesteps, 1, true),
            SamplerKind::Pndm => ("pndm", "PLMS", "PNDM", Timesteps, 1, false),
            SamplerKind::Dpmpp2m => (
                "dpm++2m",
                "DPM++ 2M",
                "DPMSolverMultistep",
                Trained,
                1,
                false,
            ),
            SamplerKind::Dpmpp2mSde => {
                let class = "DPMSolverMultistep";
                ("dpm++2m-sde", "DPM++ 2M SDE", class, Trained, 1, true)
            }
            SamplerKind::Dpmpp3mSde => ("dpm++3m-sde", "DPM++ 3M SDE", "", Trained, 1, true),
            SamplerKind::DpmppSde => ("dpm++sde", "DPM++ SDE", "DPMSolverSDE", Sampled, 2, true),
            SamplerKind::Dpmpp2s => (
                "dpm++2s",
                "DPM++ 2S",
                "DPMSolverSinglestep",
                Trained,
                1,
                false,
            ),
            SamplerKind::Dpmpp2sA => ("dpm++2s-a", "DPM++ 2S a", "", Sampled, 2, true),
            SamplerKind::Deis => ("deis", "DEIS", "DEISMultistep", Trained, 1, false),
            SamplerKind::UniPc => ("unipc", "UniPC", "UniPCMultistep", Trained, 1, false),
            SamplerKind::Lcm => ("lcm", "LCM", "LCM", Timesteps, 1, true),
            SamplerKind::Tcd => ("tcd", "TCD", "TCD", Timesteps, 1, true),
        };
        let class = (!class.is_empty()).then_some(class);
        Facts {
            name,
            label,
            class,
            table,
            calls,
            noisy,
        }
    }

    /// The name in requests and on the command line.
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// The name for people, as A1111's web UI writes it where it has the sampler.
    pub fn label(self) -> &'static str {
        self.facts().label
    }

    /// diffusers' scheduler class without the word "Scheduler"; `None` where k-diffusion alone has
    /// the sampler.
    pub fn class(self) -> Option<&'static str> {
        self.facts().class
    }

    /// U-Net calls in a step. The last step of samplers with two calls takes one.
    pub fn calls_per_step(self) -> usize {
        self.facts().calls
    }

    /// True if steps add fresh noise: another number of steps gives another picture.
    pub fn is_noisy(self) -> bool {
        self.facts().noisy
    }

    /// The amount of fresh noise in its steps, from 0 to 1, where a request can change it: "eta" of
    /// A1111's web UI and of diffusers. `None`: the sampler does not read it.
    pub fn own_eta(self) -> Option<f64> {
        use SamplerKind::{Ddim, Dpm2A, Dpmpp2mSde, Dpmpp2sA, Dpmpp3mSde, DpmppSde, EulerA, Tcd};
        match self {
            Ddim => Some(0.0),
            Tcd => Some(0.3),
            EulerA | Dpm2A | Dpmpp2sA | DpmppSde | Dpmpp2mSde | Dpmpp3mSde => Some(1.0),
            _ => None,
        }
    }

    /// True if schedule types have an effect. Samplers that count in training timesteps have their
    /// own, as in A1111's web UI.
    pub fn has_schedules(self) -> bool {
        self.table() != Table::Timesteps
    }

    pub(super) fn table(self) -> Table {
        self.facts().table
    }
}

impl fmt::Display for SamplerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SamplerKind {
    type Err = Error;

    /// Reads a sampler's name or label without a schedule type.
    fn from_str(text: &str) -> Result<Self> {
        let SamplerName { kind, schedule } = text.parse()?;
        match schedule {
            None => Ok(kind),
            Some(_) => Err(Error::request(
                "sampler",
                plain(text),
                "a name without a schedule type",
            )),
        }
    }
}
