//! DDIM without added noise: Song et al. (arXiv 2010.02502), formula 12, as in diffusers 0.42's
//! `scheduling_ddim.py`.

use super::noise_level::NoiseLevel;
use super::schedule::{Schedule, check_signal};
use super::solver::{Solver, clip, limit};
use super::spacing::timesteps;
use super::trained::{Trained, ZeroSnr};
use super::update::Term::Denoised;
use super::update::Update;
use crate::config::{PredictionType, SchedulerConfig, TimestepSpacing};
use crate::error::Result;

pub(super) struct Ddim {
    prediction_type: PredictionType,
    trained: Trained,
    /// ᾱ after the last step.
    last_alpha_cumprod: f64,
    /// Training timesteps from one step to the next.
    stride: i64,
    /// Largest magnitude of the denoised latent, if it is limited.
    clip: Option<f64>,
}

impl Ddim {
    pub fn new(config: &SchedulerConfig, steps: usize) -> Result<(Self, Schedule)> {
        let trained = Trained::new(config, ZeroSnr::Exact);
        let spacing = config.timestep_spacing.unwrap_or(TimestepSpacing::Leading);
        let timesteps = timesteps(config, spacing, steps);
        let schedule = Schedule::in_timesteps(config, &trained, steps, timesteps)?;
        check_signal("ddim", config, &schedule)?;
        let set_alpha_to_one = config.set_alpha_to_one.unwrap_or(true);
        let last = if set_alpha_to_one {
            1.0
        } else {
            trained.alphas_cumprod[0]
        };
        let ddim = Ddim {
            prediction_type: config.prediction_type,
            last_alpha_cumprod: last.into(),
            stride: (config.num_train_timesteps / steps) as i64,
            clip: limit(config).or(clip(config, true)),
            trained,
        };
        Ok((ddim, schedule))
    }
}

impl Solver for Ddim {
    fn step(&mut self, schedule: &Schedule, call: usize) -> Update {
        let t = schedule.timesteps[call] as i64;
        let level = |t| {
            let alpha_cumprod = self.trained.at(t).unwrap_or(self.last_alpha_cumprod);
            NoiseLevel::from_alpha_cumprod(alpha_cumprod)
        };
        let (now, next) = (level(t), level(t - self.stride));
        let noise = now.noise(self.prediction_type);
        Update {
            limit: self.clip,
            ..Update::new(
                now.denoised(self.prediction_type),
                next.alpha * Denoised + next.sigma * noise,
            )
        }
    }
}
