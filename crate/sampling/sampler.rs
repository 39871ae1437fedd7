//! The one interface to all samplers.

use super::ddim::Ddim;
use super::dpmpp::DpmSolver;
use super::euler::Euler;
use super::kind::SamplerKind;
use super::pndm::Pndm;
use super::schedule::Schedule;
use super::solver::Solver;
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
    /// or impossible with its schedule; [`Error::Config`] for values of the configuration that are
    /// not supported.
    pub fn new(kind: SamplerKind, config: &SchedulerConfig, steps: usize) -> Result<Self> {
        let most = config.num_train_timesteps;
        if steps == 0 || steps > most {
            return Err(Error::request("steps", steps, format!("1 to {most}")));
        }
        let prediction_type = config.prediction_type;
        let (solver, schedule): (Box<dyn Solver>, Schedule) = match kind {
            SamplerKind::Euler | SamplerKind::EulerA => {
                let euler = Euler {
                    prediction_type,
                    ancestral: kind == SamplerKind::EulerA,
                };
                (Box::new(euler), Schedule::in_sigma(kind, config, steps)?)
            }
            SamplerKind::Ddim => {
                let (ddim, schedule) = Ddim::new(config, steps)?;
                (Box::new(ddim), schedule)
            }
            SamplerKind::Pndm => {
                let (pndm, schedule) = Pndm::new(config, steps)?;
                (Box::new(pndm), schedule)
            }
            SamplerKind::Dpmpp2m | SamplerKind::Dpmpp2mKarras => (
                Box::new(DpmSolver::new(config)?),
                Schedule::in_sigma(kind, config, steps)?,
            ),
            SamplerKind::UniPc => (
                Box::new(UniPc::new(config)?),
                Schedule::in_sigma(kind, config, steps)?,
            ),
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
    /// + 9 with its Runge–Kutta start).
    pub fn calls(&self) -> usize {
        self.schedule.timesteps.len()
    }

    /// Calls done so far.
    pub fn call(&self) -> usize {
        self.call
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
