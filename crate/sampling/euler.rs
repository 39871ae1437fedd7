//! Euler's method in sigma, plain and ancestral: k-diffusion's `sample_euler` and
//! `sample_euler_ancestral`, as in diffusers 0.42's `scheduling_euler_discrete.py` and
//! `scheduling_euler_ancestral_discrete.py`.

use super::noise_level::NoiseLevel;
use super::schedule::Schedule;
use super::solver::{Solver, ancestral, denoised_at};
use super::update::Term::{Denoised, Latent, Noise};
use super::update::Update;
use crate::config::PredictionType;

pub(super) struct Euler {
    pub prediction_type: PredictionType,
    /// Amount of fresh noise: above 0 each step goes to a lower sigma than its target.
    pub eta: f64,
}

impl Solver for Euler {
    fn step(&mut self, schedule: &Schedule, call: usize) -> Update {
        let (sigma, next) = (schedule.sigmas[call], schedule.sigmas[call + 1]);
        // Down to `down` on the straight line to the denoised latent, then up to `next` with noise.
        let (down, up) = match self.eta > 0.0 {
            true => ancestral(sigma, next, self.eta),
            false => (next, 0.0),
        };
        let left = down / sigma;
        Update::new(
            denoised_at(sigma, self.prediction_type),
            left * Latent + (1.0 - left) * Denoised + up * Noise,
        )
    }

    fn input_scale(&self, sigma: f64) -> f64 {
        NoiseLevel::from_sigma(sigma).alpha
    }
}
