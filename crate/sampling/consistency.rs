//! Samplers of distilled models, for few steps: LCM (Luo et al., arXiv 2310.04378) and TCD (Zheng
//! et al., arXiv 2402.19159, with its gamma as eta), as in diffusers 0.42's `scheduling_lcm.py` and
//! `scheduling_tcd.py`.

use super::noise_level::NoiseLevel;
use super::schedule::{Schedule, check_signal};
use super::solver::{Solver, clip, limit};
use super::trained::{Trained, ZeroSnr};
use super::update::Term::{Denoised, Latent, Noise};
use super::update::{Sum, Update};
use crate::config::{PredictionType, SchedulerConfig};
use crate::error::{Error, Result};

pub(super) struct Consistency {
    prediction_type: PredictionType,
    trained: Trained,
    clip: Option<f64>,
    timestep_scaling: f64,
    /// TCD's share of noise in each step; `None` for LCM.
    eta: Option<f64>,
}

impl Consistency {
    pub fn new(
        eta: Option<f64>,
        config: &SchedulerConfig,
        steps: usize,
    ) -> Result<(Self, Schedule)> {
        let trained = Trained::new(config, ZeroSnr::Exact);
        let most = config.original_inference_steps;
        if most == 0 || most > trained.len() {
            return Err(Error::config(
                SchedulerConfig::FILE,
                "original_inference_steps",
                most,
                format!("1 to {}", trained.len()),
            ));
        }
        if steps > most {
            let expected = format!("1 to {most}, the `original_inference_steps` of this model");
            return Err(Error::request("steps", steps, expected));
        }
        // The timesteps of the distillation, then some of them.
        let stride = trained.len() / most;
        let spread = most as f64 / steps as f64;
        let timesteps = (0..steps)
            .map(|i| most - (i as f64 * spread) as usize)
            .map(|k| (k * stride - 1) as f64);
        let schedule = Schedule::in_timesteps(config, &trained, steps, timesteps.collect())?;
        let name = if eta.is_some() { "tcd" } else { "lcm" };
        check_signal(name, config, &schedule)?;
        let sampler = Consistency {
            prediction_type: config.prediction_type,
            trained,
            clip: match eta {
                Some(_) => None,
                None => limit(config).or(clip(config, false)),
            },
            timestep_scaling: config.timestep_scaling,
            eta,
        };
        Ok((sampler, schedule))
    }

    fn level(&self, t: f64) -> NoiseLevel {
        NoiseLevel::from_alpha_cumprod(self.trained.at(t as i64).unwrap_or(1.0))
    }

    /// The denoised latent, bent so that the model is the identity at timestep 0, then noise.
    fn consistency(&self, t: f64, next: Option<f64>) -> Sum {
        const SIGMA_DATA: f64 = 0.5;
        let scaled = t * self.timestep_scaling;
        let norm = scaled.hypot(SIGMA_DATA);
        let denoised =
            scaled / norm * Denoised + (SIGMA_DATA / norm) * (SIGMA_DATA / norm) * Latent;
        match next.map(|t| self.level(t)) {
            Some(next) => next.alpha * denoised + next.sigma * Noise,
            None => denoised,
        }
    }

    /// To a timestep below the next one, then up to that with noise.
    fn trajectory(&self, now: NoiseLevel, next: Option<f64>, eta: f64) -> Sum {
        let t = next.unwrap_or(0.0);
        // diffusers computes it in f32.
        let below = ((1.0 - eta) as f32 * t as f32).floor();
        let below = self.level(below.into());
        let noise = now.noise(self.prediction_type);
        let latent = below.alpha * Denoised + below.sigma * noise;
        match next.map(|t| self.level(t)) {
            Some(next) => {
                let left = next.alpha / below.alpha;
                left * latent + (1.0 - left * left).max(0.0).sqrt() * Noise
            }
            None => latent,
        }
    }
}

impl Solver for Consistency {
    fn step(&mut self, schedule: &Schedule, call: usize) -> Update {
        let t = schedule.timesteps[call];
        let next = schedule.timesteps.get(call + 1).copied();
        let now = self.level(t);
        let latent = match self.eta {
            Some(eta) => self.trajectory(now, next, eta),
            None => self.consistency(t, next),
        };
        Update {
            limit: self.clip,
            ..Update::new(now.denoised(self.prediction_type), latent)
        }
    }
}
