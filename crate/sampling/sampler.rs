//! The one interface to all samplers.

use super::consistency::Consistency;
use super::ddim::Ddim;
use super::ddpm::Ddpm;
use super::deis::Deis;
use super::dpmpp::DpmSolver;
use super::euler::Euler;
use super::kind::{SamplerKind, Table};
use super::lms::Lms;
use super::names::ScheduleKind;
use super::pndm::Pndm;
use super::schedule::{Schedule, trained_sigmas};
use super::singlestep::Singlestep;
use super::solver::{Solver, clip};
use super::two_calls::{Method, TwoCalls};
use super::unipc::UniPc;
use super::update::Update;
use crate::config::SchedulerConfig;
use crate::error::{Error, Result};

/// The state of a sampler between two calls of the U-Net.
///
/// ```text
/// latent = noise · init_noise_sigma()
/// until is_done():
///     prediction = U-Net(latent · input_scale(), timestep())
///     latent = advance().apply(latent, prediction)
/// ```
pub struct Sampler {
    schedule: Schedule,
    solver: Box<dyn Solver>,
    call: usize,
}

impl Sampler {
    /// Creates a sampler of `kind` for `steps` steps, with a model's scheduler configuration.
    /// Missing keys have the defaults of the kind's own class, as in diffusers' `from_config`.
    ///
    /// # Errors
    /// [`Error::Request`] for a number of steps that is zero, more than the model was trained with,
    /// or impossible with its schedule; [`Error::Config`] for values of the configuration that the
    /// sampler reads and does not have.
    pub fn new(
        kind: SamplerKind,
        schedule: ScheduleKind,
        config: &SchedulerConfig,
        steps: usize,
    ) -> Result<Self> {
        Sampler::with_eta(kind, schedule, config, steps, None)
    }

    /// Creates a sampler as [`Sampler::new`], with `eta` times its fresh noise; `None`: the
    /// sampler's own. Samplers without an [`own_eta`](SamplerKind::own_eta) do not read it.
    ///
    /// # Errors
    /// Same as [`Sampler::new`]; [`Error::Request`] for an eta outside 0 to 1.
    pub fn with_eta(
        kind: SamplerKind,
        schedule: ScheduleKind,
        config: &SchedulerConfig,
        steps: usize,
        eta: Option<f64>,
    ) -> Result<Self> {
        if let Some(eta) = eta.filter(|eta| !(0.0..=1.0).contains(eta)) {
            return Err(Error::request("eta", eta, "0 to 1"));
        }
        let eta = kind.own_eta().map(|own| eta.unwrap_or(own));
        let most = config.num_train_timesteps;
        if steps == 0 || steps > most {
            return Err(Error::request("steps", steps, format!("1 to {most}")));
        }
        let (solver, schedule) = match kind.table() {
            Table::Timesteps => in_timesteps(kind, config, steps, eta)?,
            _ => in_sigma(
                kind,
                Schedule::in_sigma(kind, schedule, config, steps)?,
                config,
                eta.unwrap_or(0.0),
            )?,
        };
        Ok(Sampler {
            schedule,
            solver,
            call: 0,
        })
    }

    /// The sampler's schedule.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Standard deviation of the first latent, the factor on the noise.
    pub fn init_noise_sigma(&self) -> f64 {
        self.schedule.init_noise_sigma
    }

    /// Calls of the U-Net in all. Their number is that of the steps, but pndm has steps + 1 (steps
    /// + 9 with its Runge–Kutta start), and samplers with two calls a step have 2 · steps − 1.
    pub fn calls(&self) -> usize {
        self.schedule.timesteps.len()
    }

    /// Calls done so far.
    pub fn call(&self) -> usize {
        self.call
    }

    /// The step, counted from 0, that the coming call belongs to.
    pub fn step(&self) -> usize {
        self.solver.step_of(self.call)
    }

    /// True when all calls are done.
    pub fn is_done(&self) -> bool {
        self.call == self.calls()
    }

    /// Timestep of the coming call (0 to `num_train_timesteps` − 1, with fractions for euler); 0
    /// when done.
    pub fn timestep(&self) -> f64 {
        self.schedule
            .timesteps
            .get(self.call)
            .copied()
            .unwrap_or(0.0)
    }

    /// Sigma of the coming call, the noise's standard deviation in units of the signal's; when
    /// done, the sigma at the end of the run.
    pub fn sigma(&self) -> f64 {
        self.schedule.sigmas[self.call]
    }

    /// Factor on the latent for the U-Net's input in the coming call (`scale_model_input`).
    pub fn input_scale(&self) -> f64 {
        self.solver.input_scale(self.sigma())
    }

    /// Moves on to the next call. Returns this call's update of the latent, which the owner of the
    /// latent applies.
    ///
    /// # Panics
    /// Panics when the sampler is done.
    pub fn advance(&mut self) -> Update {
        assert!(!self.is_done(), "all {} calls are done", self.calls());
        self.call += 1;
        self.solver.step(&self.schedule, self.call - 1)
    }
}

/// The method of a sampler that counts in training timesteps, and its schedule.
fn in_timesteps(
    kind: SamplerKind,
    config: &SchedulerConfig,
    steps: usize,
    eta: Option<f64>,
) -> Result<(Box<dyn Solver>, Schedule)> {
    Ok(match kind {
        SamplerKind::Pndm => boxed(Pndm::new(config, steps)?),
        SamplerKind::Ddpm => boxed(Ddpm::new(config, steps)?),
        SamplerKind::Lcm => boxed(Consistency::new(None, config, steps)?),
        SamplerKind::Tcd => boxed(Consistency::new(eta, config, steps)?),
        _ => boxed(Ddim::new(config, steps, eta.unwrap_or(0.0))?),
    })
}

/// The method of a sampler that counts in sigma, and the schedule of its calls.
fn in_sigma(
    kind: SamplerKind,
    schedule: Schedule,
    config: &SchedulerConfig,
    eta: f64,
) -> Result<(Box<dyn Solver>, Schedule)> {
    let prediction_type = config.prediction_type;
    let two_calls = |method| {
        let limit = match method {
            Method::Heun => clip(config, false),
            _ => None,
        };
        let trained = trained_sigmas(kind, config);
        boxed(TwoCalls::new(
            method,
            prediction_type,
            limit,
            eta,
            &trained,
            &schedule,
        ))
    };
    let solver: Box<dyn Solver> = match kind {
        SamplerKind::Heun => return Ok(two_calls(Method::Heun)),
        SamplerKind::Dpm2 => return Ok(two_calls(Method::Midpoint)),
        SamplerKind::Dpm2A => return Ok(two_calls(Method::MidpointAncestral)),
        SamplerKind::Dpmpp2sA => return Ok(two_calls(Method::SinglestepAncestral)),
        SamplerKind::DpmppSde => return Ok(two_calls(Method::Sde)),
        SamplerKind::Lms => Box::new(Lms { prediction_type }),
        SamplerKind::Dpmpp2m => Box::new(DpmSolver::new(config)?),
        SamplerKind::Dpmpp2mSde => Box::new(DpmSolver::sde(config, eta)?),
        SamplerKind::Dpmpp3mSde => Box::new(DpmSolver::sde_of_third_order(config, eta)),
        SamplerKind::Dpmpp2s => Box::new(Singlestep::new(config, &schedule)?),
        SamplerKind::Deis => Box::new(Deis::new(config)?),
        SamplerKind::UniPc => Box::new(UniPc::new(config)?),
        _ => Box::new(Euler {
            prediction_type,
            eta,
        }),
    };
    Ok((solver, schedule))
}

fn boxed<S: Solver + 'static>((solver, schedule): (S, Schedule)) -> (Box<dyn Solver>, Schedule) {
    (Box::new(solver), schedule)
}
