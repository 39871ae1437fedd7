//! DPM-Solver++ multistep: Lu et al. (arXiv 2211.01095), as in diffusers 0.42's
//! `scheduling_dpmsolver_multistep.py` with `algorithm_type` "dpmsolver++" or "sde-dpmsolver++".
//! The third order of the stochastic equation is k-diffusion's `sample_dpmpp_3m_sde`: diffusers'
//! has another sign in one coefficient.

use super::noise_level::NoiseLevel;
use super::schedule::Schedule;
use super::solver::{Solver, limit, one_of, solver_order};
use super::update::Term::{Denoised, History, Latent, Noise};
use super::update::{Sum, Update};
use crate::config::{PredictionType, SchedulerConfig};
use crate::error::Result;

pub(super) struct DpmSolver {
    prediction_type: PredictionType,
    order: usize,
    heun: bool,
    lower_order_final: bool,
    euler_at_final: bool,
    limit: Option<f64>,
    /// Amount of fresh noise: 0 for the ordinary equation, above it for the stochastic one.
    eta: f64,
}

impl DpmSolver {
    /// The solver "2M", of the configuration's order.
    pub fn new(config: &SchedulerConfig) -> Result<Self> {
        // diffusers reads the names of other classes' solvers as its own default.
        let known = ["midpoint", "heun", "logrho", "bh1", "bh2"];
        Ok(DpmSolver {
            prediction_type: config.prediction_type,
            order: solver_order(config)?,
            heun: one_of("solver_type", &config.solver_type, &known)? == Some("heun"),
            lower_order_final: config.lower_order_final.unwrap_or(true),
            euler_at_final: config.euler_at_final.unwrap_or(false),
            limit: limit(config),
            eta: 0.0,
        })
    }

    /// The solver "2M SDE".
    pub fn sde(config: &SchedulerConfig, eta: f64) -> Result<Self> {
        let solver = DpmSolver::new(config)?;
        Ok(DpmSolver {
            order: solver.order.min(2),
            eta,
            ..solver
        })
    }

    /// The solver "3M SDE", which has no settings.
    pub fn sde_of_third_order(config: &SchedulerConfig, eta: f64) -> Self {
        DpmSolver {
            prediction_type: config.prediction_type,
            order: 3,
            heun: true,
            lower_order_final: false,
            euler_at_final: false,
            limit: None,
            eta,
        }
    }

    /// The order of the step in this call: lower at the start, without a history, and at the end.
    fn order_at(&self, call: usize, schedule: &Schedule) -> usize {
        let steps = schedule.timesteps.len();
        let order = self.order.min(call + 1);
        let few = self.lower_order_final && steps < 15;
        // Differences over lambda are undefined where it becomes infinite, or does not change.
        let undefined =
            schedule.sigmas[call + 1] == 0.0 || schedule.sigmas[call + 1] == schedule.sigmas[call];
        if call + 1 == steps && (self.euler_at_final || few || undefined) {
            1
        } else if call + 2 == steps && few {
            order.min(2)
        } else {
            order
        }
    }
}

impl Solver for DpmSolver {
    fn step(&mut self, schedule: &Schedule, call: usize) -> Update {
        let level = |i: usize| NoiseLevel::from_sigma(schedule.sigmas[i]);
        let (now, next) = (level(call), level(call + 1));
        let step = next.lambda() - now.lambda();
        // The stochastic equation goes down farther, and noise takes it up again.
        let h = (1.0 + self.eta) * step;
        let decay = (-h).exp_m1();
        // Denoised latents, newest first. Each keeps its entry of the history until `order` newer
        // ones are there.
        let entry = |call: usize| call % self.order;
        let m = |age: usize| match age {
            0 => Sum::from(Denoised),
            _ => History(entry(call - age)).into(),
        };
        // Finite differences of the denoised latent over lambda: D1 is the first, D2 the second.
        let (d1, d2) = match self.order_at(call, schedule) {
            1 => (None, None),
            order => {
                let r0 = (now.lambda() - level(call - 1).lambda()) / step;
                let d1 = 1.0 / r0 * (m(0) - m(1));
                if order == 2 {
                    (Some(d1), None)
                } else {
                    let r1 = (level(call - 1).lambda() - level(call - 2).lambda()) / step;
                    let before = 1.0 / r1 * (m(1) - m(2));
                    let d2 = 1.0 / (r0 + r1) * (d1 - before);
                    (Some(d1 + r0 * d2), Some(d2))
                }
            }
        };
        // The last step may be infinite.
        let (left, noise) = match self.eta > 0.0 {
            true => {
                let fresh = -(-2.0 * self.eta * step).exp_m1();
                ((-self.eta * step).exp(), next.sigma * fresh.max(0.0).sqrt())
            }
            false => (1.0, 0.0),
        };
        let mut latent =
            left * next.sigma / now.sigma * Latent - next.alpha * decay * m(0) + noise * Noise;
        if let Some(d1) = d1 {
            let weight = if self.heun || d2.is_some() {
                decay / h + 1.0
            } else {
                -0.5 * decay
            };
            latent = latent + next.alpha * weight * d1;
        }
        if let Some(d2) = d2 {
            let weight = (decay + h) / (h * h) - 0.5;
            latent = latent - next.alpha * weight * d2;
        }
        Update {
            limit: self.limit,
            history: vec![(entry(call), Denoised.into())],
            ..Update::new(now.denoised(self.prediction_type), latent)
        }
    }
}
