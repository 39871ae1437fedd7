//! DDPM: Ho et al. (arXiv 2006.11239), formulas 6 and 7 over the timesteps of a run, as in
//! diffusers 0.42's `scheduling_ddpm.py`.

use super::noise_level::NoiseLevel;
use super::schedule::{Schedule, check_signal};
use super::solver::{Solver, clip, limit};
use super::spacing::timesteps;
use super::trained::{Trained, ZeroSnr};
use super::update::Term::{Denoised, Latent, Noise};
use super::update::Update;
use crate::config::{PredictionType, SchedulerConfig, TimestepSpacing};
use crate::error::Result;

pub(super) struct Ddpm {
    prediction_type: PredictionType,
    trained: Trained,
    clip: Option<f64>,
    /// True if the noise has the variance of the training's step, not that of its reverse.
    large_variance: bool,
}

impl Ddpm {
    pub fn new(config: &SchedulerConfig, steps: usize) -> Result<(Self, Schedule)> {
        let trained = Trained::new(config, ZeroSnr::Exact);
        let spacing = config.timestep_spacing.unwrap_or(TimestepSpacing::Leading);
        let timesteps = timesteps(config, spacing, steps);
        let schedule = Schedule::in_timesteps(config, &trained, steps, timesteps)?;
        check_signal("ddpm", config, &schedule)?;
        let variance = config.variance_type.as_deref().unwrap_or_default();
        let ddpm = Ddpm {
            prediction_type: config.prediction_type,
            trained,
            clip: limit(config).or(clip(config, true)),
            large_variance: variance.starts_with("fixed_large"),
        };
        Ok((ddpm, schedule))
    }

    fn alpha_cumprod(&self, schedule: &Schedule, call: usize) -> f64 {
        let t = schedule.timesteps.get(call).map(|&t| t as i64);
        t.and_then(|t| self.trained.at(t)).unwrap_or(1.0)
    }
}

impl Solver for Ddpm {
    fn step(&mut self, schedule: &Schedule, call: usize) -> Update {
        let now = self.alpha_cumprod(schedule, call);
        let next = self.alpha_cumprod(schedule, call + 1);
        // Signal that the noise of this step leaves, and that noise's variance.
        let alpha = now / next;
        let beta = 1.0 - alpha;
        let of_denoised = next.sqrt() * beta / (1.0 - now);
        let of_latent = alpha.sqrt() * (1.0 - next) / (1.0 - now);
        let variance = match self.large_variance {
            true => beta,
            false => ((1.0 - next) / (1.0 - now) * beta).max(1e-20),
        };
        // Not at timestep 0, where nothing is left to add.
        let noise = match schedule.timesteps[call] > 0.0 {
            true => variance.sqrt(),
            false => 0.0,
        };
        Update {
            limit: self.clip,
            ..Update::new(
                NoiseLevel::from_alpha_cumprod(now).denoised(self.prediction_type),
                of_denoised * Denoised + of_latent * Latent + noise * Noise,
            )
        }
    }
}
