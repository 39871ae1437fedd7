//! DDIM: Song et al. (arXiv 2010.02502), formulas 12 and 16, as in diffusers 0.42's
//! `scheduling_ddim.py`.

use super::noise_level::NoiseLevel;
use super::schedule::{Schedule, check_signal};
use super::solver::{Solver, clip, limit};
use super::spacing::timesteps;
use super::trained::{Trained, ZeroSnr};
use super::update::Term::{Denoised, Noise};
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
    /// Amount of fresh noise: with 1 as much as DDPM adds.
    eta: f64,
}

impl Ddim {
    pub fn new(config: &SchedulerConfig, steps: usize, eta: f64) -> Result<(Self, Schedule)> {
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
            eta,
            trained,
        };
        Ok((ddim, schedule))
    }
}

impl Solver for Ddim {
    fn step(&mut self, schedule: &Schedule, call: usize) -> Update {
        let t = schedule.timesteps[call] as i64;
        let alpha_cumprod = |t| self.trained.at(t).unwrap_or(self.last_alpha_cumprod);
        let [before, after] = [t, t - self.stride].map(alpha_cumprod);
        let [now, next] = [before, after].map(NoiseLevel::from_alpha_cumprod);
        let variance = (1.0 - after) / (1.0 - before) * (1.0 - before / after);
        let fresh = self.eta * variance.max(0.0).sqrt();
        // The predicted noise gives way to the fresh noise.
        let left = (1.0 - after - fresh * fresh).max(0.0).sqrt();
        let noise = now.noise(self.prediction_type);
        Update {
            limit: self.clip,
            ..Update::new(
                now.denoised(self.prediction_type),
                next.alpha * Denoised + left * noise + fresh * Noise,
            )
        }
    }
}
