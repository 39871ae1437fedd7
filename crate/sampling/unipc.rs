//! UniPC: Zhao et al. (arXiv 2302.04867), the variants B(h) that predict the denoised latent, as in
//! diffusers 0.42's `scheduling_unipc_multistep.py` with `predict_x0`.

use super::noise_level::NoiseLevel;
use super::schedule::Schedule;
use super::solver::{Solver, limit, one_of, solver_order};
use super::update::Term::{Denoised, History, Latent};
use super::update::{Sum, Term, Update};
use crate::config::{PredictionType, SchedulerConfig};
use crate::error::Result;

pub(super) struct UniPc {
    prediction_type: PredictionType,
    order: usize,
    /// B(h) = h instead of e^h − 1.
    bh1: bool,
    lower_order_final: bool,
    limit: Option<f64>,
    /// The order of the last prediction.
    last_order: usize,
}

impl UniPc {
    pub fn new(config: &SchedulerConfig) -> Result<Self> {
        // diffusers reads the names of other classes' solvers as "bh2".
        let known = ["bh1", "bh2", "midpoint", "heun", "logrho"];
        Ok(UniPc {
            prediction_type: config.prediction_type,
            order: solver_order(config)?,
            bh1: one_of("solver_type", &config.solver_type, &known)? == Some("bh1"),
            lower_order_final: config.lower_order_final.unwrap_or(true),
            limit: limit(config),
            last_order: 0,
        })
    }

    /// The order of the step in this call: lower at the start, without a history, and at the end.
    fn order_at(&self, call: usize, schedule: &Schedule) -> usize {
        let left = schedule.timesteps.len() - call;
        // Differences over lambda are undefined where it becomes infinite, or does not change:
        // diffusers gives NaN there without `lower_order_final`.
        let undefined =
            schedule.sigmas[call + 1] == 0.0 || schedule.sigmas[call + 1] == schedule.sigmas[call];
        let limit = if self.lower_order_final {
            left
        } else {
            self.order
        };
        self.order
            .min(limit)
            .min(call + 1)
            .min(if undefined { 1 } else { self.order })
    }

    /// Takes `latent` from the call `from` to the next one. `m` gives the denoised latents at
    /// `from` and before, newest first. With `new`, the denoised latent of the next call, this is
    /// the corrector, else the predictor.
    fn update(
        &self,
        schedule: &Schedule,
        from: usize,
        order: usize,
        latent: Sum,
        m: impl Fn(usize) -> Term,
        new: Option<Term>,
    ) -> Sum {
        let level = |i: usize| NoiseLevel::from_sigma(schedule.sigmas[i]);
        let (now, next) = (level(from), level(from + 1));
        let h = next.lambda() - now.lambda();
        let decay = (-h).exp_m1();
        let m0 = m(0);
        let mut result = next.sigma / now.sigma * latent - next.alpha * decay * m0;

        // The other denoised latents, and their positions in lambda between `now` (0) and `next`
        // (1).
        let before = (1..order).map(|k| ((level(from - k).lambda() - now.lambda()) / h, m(k)));
        let points: Vec<(f64, Term)> = before.chain(new.map(|denoised| (1.0, denoised))).collect();
        let positions: Vec<f64> = points.iter().map(|point| point.0).collect();
        let b = if self.bh1 { -h } else { decay };
        for (rho, (position, denoised)) in weights(&positions, -h, b).into_iter().zip(points) {
            let weight = -next.alpha * b * rho / position;
            result = result + weight * denoised - weight * m0;
        }
        result
    }
}

/// The weights ρ of formula 9 in the paper. They make the update exact for denoised latents that
/// are polynomials in lambda.
fn weights(positions: &[f64], hh: f64, b: f64) -> Vec<f64> {
    if let [_] = positions {
        return vec![0.5];
    }
    let mut phi = hh.exp_m1() / hh - 1.0;
    let mut factorial = 1.0;
    let mut right = Vec::new();
    for i in 0..positions.len() {
        right.push(phi * factorial / b);
        factorial *= (i + 2) as f64;
        phi = phi / hh - 1.0 / factorial;
    }
    solve_vandermonde(positions, right)
}

/// Solves `Σ_k positions[k]^i · x[k] = right[i]` for distinct positions (Björck and Pereyra).
fn solve_vandermonde(positions: &[f64], mut right: Vec<f64>) -> Vec<f64> {
    let n = positions.len();
    for (k, position) in positions.iter().enumerate() {
        for i in (k + 1..n).rev() {
            right[i] -= position * right[i - 1];
        }
    }
    for k in (0..n.saturating_sub(1)).rev() {
        for i in k + 1..n {
            right[i] /= positions[i] - positions[i - k - 1];
        }
        for i in k..n - 1 {
            right[i] -= right[i + 1];
        }
    }
    right
}

impl Solver for UniPc {
    fn step(&mut self, schedule: &Schedule, call: usize) -> Update {
        // The history has `order` denoised latents, then the latent before the last prediction.
        let entry = |call: usize| call % self.order;
        let before = self.order;
        let corrected = if call == 0 {
            Latent.into()
        } else {
            let m = |age: usize| History(entry(call - 1 - age));
            let latent = History(before).into();
            self.update(
                schedule,
                call - 1,
                self.last_order,
                latent,
                m,
                Some(Denoised),
            )
        };
        let order = self.order_at(call, schedule);
        let m = |age: usize| match age {
            0 => Denoised,
            _ => History(entry(call - age)),
        };
        let latent = self.update(schedule, call, order, corrected, m, None);
        self.last_order = order;
        Update {
            limit: self.limit,
            history: vec![(entry(call), Denoised.into()), (before, corrected)],
            ..Update::new(
                NoiseLevel::from_sigma(schedule.sigmas[call]).denoised(self.prediction_type),
                latent,
            )
        }
    }
}
