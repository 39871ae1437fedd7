//! Linear multistep method of order 4 in sigma: k-diffusion's `sample_lms`, as in diffusers 0.42's
//! `scheduling_lms_discrete.py`.

use super::noise_level::NoiseLevel;
use super::schedule::Schedule;
use super::solver::{Solver, denoised_at};
use super::update::Term::{Denoised, History, Latent};
use super::update::{Sum, Update};
use crate::config::PredictionType;

pub(super) struct Lms {
    pub prediction_type: PredictionType,
}

/// Number of slopes in a step, the present one included.
const ORDER: usize = 4;

impl Solver for Lms {
    fn step(&mut self, schedule: &Schedule, call: usize) -> Update {
        let sigmas = &schedule.sigmas;
        let difference = Sum::from(Latent) - Sum::from(Denoised);
        let slope = 1.0 / sigmas[call] * difference;
        let entry = |call: usize| call % ORDER;
        let order = ORDER.min(call + 1);
        // The polynomial through the last slopes, integrated over the step.
        let known: Vec<f64> = (0..order).map(|age| sigmas[call - age]).collect();
        let mut latent = Sum::from(Latent);
        for age in 0..order {
            let weight = integrate(&known, age, sigmas[call], sigmas[call + 1]);
            let slope = match age {
                0 => slope,
                _ => History(entry(call - age)).into(),
            };
            latent = latent + weight * slope;
        }
        Update {
            history: vec![(entry(call), slope)],
            ..Update::new(denoised_at(sigmas[call], self.prediction_type), latent)
        }
    }

    fn input_scale(&self, sigma: f64) -> f64 {
        NoiseLevel::from_sigma(sigma).alpha
    }
}

/// The integral of Lagrange's polynomial that is 1 at `nodes[chosen]` and 0 at the others. Two
/// points of Gauss and Legendre are exact to degree 3.
fn integrate(nodes: &[f64], chosen: usize, from: f64, to: f64) -> f64 {
    let (middle, half) = (0.5 * (from + to), 0.5 * (to - from));
    let value = |x: f64| {
        let others = nodes.iter().enumerate().filter(|(k, _)| *k != chosen);
        let factors = others.map(|(_, node)| (x - node) / (nodes[chosen] - node));
        factors.product::<f64>()
    };
    let offset = half / 3f64.sqrt();
    half * (value(middle - offset) + value(middle + offset))
}
