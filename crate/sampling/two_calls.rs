//! Samplers with two calls of the U-Net in a step: Heun's method, DPM-Solver-2 plain and ancestral,
//! DPM-Solver++ (2S) ancestral and DPM-Solver++ SDE. They are k-diffusion's `sample_heun`,
//! `sample_dpm_2`, `sample_dpm_2_ancestral`, `sample_dpmpp_2s_ancestral` and `sample_dpmpp_sde`.
//! diffusers 0.42 has all but the fourth: `scheduling_heun_discrete.py`,
//! `scheduling_k_dpm_2_discrete.py`, `scheduling_k_dpm_2_ancestral_discrete.py`,
//! `scheduling_dpmsolver_sde.py`.
//!
//! The noise of two calls is independent. torchsde's Brownian tree, which k-diffusion uses for the
//! SDE, gives related noise, so its pictures are others of the same kind.

use super::noise_level::NoiseLevel;
use super::schedule::Schedule;
use super::sigmas::midpoint;
use super::solver::{Solver, ancestral, denoised_at};
use super::update::Term::{Denoised, History, Latent, Noise};
use super::update::{Sum, Update};
use crate::config::PredictionType;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    /// The mean of the slopes at both ends.
    Heun,
    /// The slope in the middle.
    Midpoint,
    /// The same down to a lower sigma, then noise.
    MidpointAncestral,
    /// The denoised latent in the middle, down to a lower sigma, then noise.
    SinglestepAncestral,
    /// The denoised latent in the middle; both calls add noise.
    Sde,
}

/// A step's sigmas.
#[derive(Clone, Copy)]
struct Levels {
    from: f64,
    /// The sigma of the second call.
    middle: f64,
    to: f64,
}

pub(super) struct TwoCalls {
    method: Method,
    prediction_type: PredictionType,
    limit: Option<f64>,
    /// Amount of fresh noise in ancestral steps and in those of the SDE.
    eta: f64,
    steps: Vec<Levels>,
}

/// Entry for the latent at the beginning of the step.
const ORIGIN: usize = 0;
/// Entry for its slope.
const SLOPE: usize = 1;

impl TwoCalls {
    /// The sampler for a schedule with one call for each step, and the schedule with all calls. The
    /// step to sigma 0 has one.
    pub fn new(
        method: Method,
        prediction_type: PredictionType,
        limit: Option<f64>,
        eta: f64,
        trained: &[f64],
        schedule: &Schedule,
    ) -> (Self, Schedule) {
        let (mut timesteps, mut sigmas, mut steps) = (Vec::new(), Vec::new(), Vec::new());
        for (i, pair) in schedule.sigmas.windows(2).enumerate() {
            let (from, to) = (pair[0], pair[1]);
            timesteps.push(schedule.timesteps[i]);
            sigmas.push(from);
            let mut middle = to;
            if to > 0.0 {
                let timestep;
                (timestep, middle) = match method {
                    Method::Heun => (schedule.timesteps[i + 1], to),
                    Method::Midpoint | Method::Sde => midpoint(trained, from, to),
                    _ => midpoint(trained, from, ancestral(from, to, eta).0),
                };
                timesteps.push(timestep);
                sigmas.push(middle);
            }
            steps.push(Levels { from, middle, to });
        }
        sigmas.push(0.0);
        let schedule = Schedule {
            timesteps,
            sigmas,
            init_noise_sigma: schedule.init_noise_sigma,
        };
        let sampler = TwoCalls {
            method,
            prediction_type,
            limit,
            eta,
            steps,
        };
        (sampler, schedule)
    }

    /// The latent after a step's first call.
    fn first(&self, Levels { from, middle, to }: Levels) -> Sum {
        if to == 0.0 {
            return Denoised.into();
        }
        let (down, up) = match self.method {
            Method::Sde => ancestral(from, middle, self.eta),
            _ => (middle, 0.0),
        };
        let left = down / from;
        left * Latent + (1.0 - left) * Denoised + up * Noise
    }

    /// The latent after a step's second call.
    fn second(&self, Levels { from, middle, to }: Levels) -> Sum {
        let slope = 1.0 / middle * (Sum::from(Latent) - Sum::from(Denoised));
        let origin = Sum::from(History(ORIGIN));
        match self.method {
            Method::Heun => {
                let half = 0.5 * (to - from);
                origin + half * History(SLOPE) + half * slope
            }
            Method::Midpoint => origin + (to - from) * slope,
            Method::MidpointAncestral => {
                let (down, up) = ancestral(from, to, self.eta);
                origin + (down - from) * slope + up * Noise
            }
            Method::SinglestepAncestral | Method::Sde => {
                let (down, up) = ancestral(from, to, self.eta);
                let left = down / from;
                left * origin + (1.0 - left) * Denoised + up * Noise
            }
        }
    }
}

impl Solver for TwoCalls {
    fn step(&mut self, schedule: &Schedule, call: usize) -> Update {
        let levels = self.steps[self.step_of(call)];
        let mut update = Update {
            limit: self.limit,
            ..Update::new(
                denoised_at(schedule.sigmas[call], self.prediction_type),
                Sum::default(),
            )
        };
        if call.is_multiple_of(2) {
            update.latent = self.first(levels);
            update.history.push((ORIGIN, Latent.into()));
            if self.method == Method::Heun {
                let slope = Sum::from(Latent) - Sum::from(Denoised);
                update.history.push((SLOPE, 1.0 / levels.from * slope));
            }
        } else {
            update.latent = self.second(levels);
        }
        update
    }

    fn input_scale(&self, sigma: f64) -> f64 {
        NoiseLevel::from_sigma(sigma).alpha
    }

    fn step_of(&self, call: usize) -> usize {
        call / 2
    }
}
