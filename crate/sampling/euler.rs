//! Euler's method in sigma, plain and ancestral: k-diffusion's `sample_euler` and
//! `sample_euler_ancestral`, as in diffusers 0.42's `scheduling_euler_discrete.py` and
//! `scheduling_euler_ancestral_discrete.py`.
//!
//! The latent is `denoised + sigma · noise` here. The U-Net was trained on latents of variance 1,
//! so its input is scaled.

use super::noise_level::NoiseLevel;
use super::schedule::Schedule;
use super::solver::Solver;
use super::update::Term::{Denoised, Latent, Noise, Prediction};
use super::update::Update;
use crate::config::PredictionType;

pub(super) struct Euler {
    pub prediction_type: PredictionType,
    /// True if each step goes to a lower sigma than its target, and adds fresh noise.
    pub ancestral: bool,
}

impl Solver for Euler {
    fn step(&mut self, schedule: &Schedule, call: usize) -> Update {
        let (sigma, next) = (schedule.sigmas[call], schedule.sigmas[call + 1]);
        let level = NoiseLevel::from_sigma(sigma);
        let of_input = level.denoised(self.prediction_type);
        let denoised = of_input.weight(Latent) * level.alpha * Latent
            + of_input.weight(Prediction) * Prediction;
        // Down to `down` on the straight line to the denoised latent, then up to `next` with noise.
        let up = if self.ancestral {
            next * (1.0 - (next / sigma).powi(2)).max(0.0).sqrt()
        } else {
            0.0
        };
        let down = (next * next - up * up).sqrt();
        let left = down / sigma;
        Update::new(
            denoised,
            left * Latent + (1.0 - left) * Denoised + up * Noise,
        )
    }

    fn input_scale(&self, sigma: f64) -> f64 {
        NoiseLevel::from_sigma(sigma).alpha
    }
}
