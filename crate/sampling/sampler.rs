//! The samplers by name, and the one interface to them: host arithmetic between two calls of the U-Net.

use super::ddim::Ddim;
use super::dpmpp::DpmSolver;
use super::euler::Euler;
use super::kind::SamplerKind;
use super::noise::Noise;
use super::pndm::Pndm;
use super::schedule::Schedule;
use super::solver::Solver;
use super::unipc::UniPc;
use super::update::{Arrays, Update};
use crate::config::SchedulerConfig;
use crate::error::{Error, Result};

/// A sampler on its way from noise to picture.
///
/// ```text
/// latent = noise · init_noise_sigma()
/// until is_done():  prediction = U-Net(model_input(latent), timestep());  step(prediction, latent, noise)
/// ```
pub struct Sampler {
    schedule: Schedule,
    solver: Box<dyn Solver>,
    call: usize,
    /// What [`Sampler::step`] keeps.
    arrays: Arrays,
}

impl Sampler {
    /// A sampler of this kind with a model's scheduler configuration, for `steps` steps. Keys the configuration lacks have
    /// the defaults of the kind's own class, as with diffusers' `from_config`.
    ///
    /// # Errors
    /// [`Error::Request`] for a number of steps that is zero, more than the model was trained with, or one the schedule
    /// cannot be cut into; [`Error::Config`] for values of the configuration that are not supported.
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
            arrays: Arrays::default(),
        })
    }

    /// The schedule this sampler follows.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Standard deviation of the first latent: multiply the noise by it.
    pub fn init_noise_sigma(&self) -> f64 {
        self.schedule.init_noise_sigma
    }

    /// Calls of the U-Net in all. As many as steps, but for pndm: steps + 1 (steps + 9 with its Runge–Kutta start).
    pub fn calls(&self) -> usize {
        self.schedule.timesteps.len()
    }

    /// Calls done so far.
    pub fn call(&self) -> usize {
        self.call
    }

    /// True when the latent is the finished picture's.
    pub fn is_done(&self) -> bool {
        self.call == self.calls()
    }

    /// Timestep of the coming call (0 to `num_train_timesteps` − 1, with fractions for euler); 0 when done.
    pub fn timestep(&self) -> f64 {
        self.schedule
            .timesteps
            .get(self.call)
            .copied()
            .unwrap_or(0.0)
    }

    /// Sigma of the coming call: the noise's standard deviation in units of the picture's; when done, where the run ended.
    pub fn sigma(&self) -> f64 {
        self.schedule.sigmas[self.call]
    }

    /// What the latent is multiplied by before the U-Net sees it at the coming call (`scale_model_input`).
    pub fn input_scale(&self) -> f64 {
        self.solver.input_scale(self.sigma())
    }

    /// What the U-Net must see in place of `latent` at the coming call.
    pub fn model_input(&self, latent: &[f32]) -> Vec<f32> {
        let scale = self.input_scale();
        latent
            .iter()
            .map(|&x| (scale * f64::from(x)) as f32)
            .collect()
    }

    /// Goes on to the next call, and returns what becomes of the latent in this one, to be carried out by whoever has it.
    /// Either this or [`Sampler::step`] is used for all calls of a run.
    ///
    /// # Panics
    /// When the sampler is done.
    pub fn advance(&mut self) -> Update {
        assert!(!self.is_done(), "all {} calls are done", self.calls());
        self.call += 1;
        self.solver.step(&self.schedule, self.call - 1)
    }

    /// Takes `latent` over the coming call, given the U-Net's guided `prediction` for it. Only euler-a draws from `noise`:
    /// one latent a call, from the stream that the first latent came from.
    ///
    /// # Panics
    /// When `prediction` and `latent` differ in length, or the sampler is done.
    pub fn step(&mut self, prediction: &[f32], latent: &mut Vec<f32>, noise: &mut Noise) {
        let update = self.advance();
        let fresh = if update.is_noisy() {
            noise.normal(latent.len())
        } else {
            Vec::new()
        };
        std::mem::swap(latent, &mut self.arrays.latent);
        update.apply(&mut self.arrays, prediction, &fresh);
        std::mem::swap(latent, &mut self.arrays.latent);
    }

    /// The picture (as a latent) that the last [`Sampler::step`] predicted: what previews show.
    pub fn denoised(&self) -> Option<&[f32]> {
        let denoised = &self.arrays.denoised;
        (!denoised.is_empty()).then_some(denoised)
    }
}
