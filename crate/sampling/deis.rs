//! DEIS: Zhang and Chen (arXiv 2204.13902) in the variable log-rho, as in diffusers 0.42's
//! `scheduling_deis_multistep.py`.

use super::noise_level::NoiseLevel;
use super::schedule::Schedule;
use super::solver::{Solver, limit, one_of, solver_order};
use super::update::Term::{Denoised, History, Latent};
use super::update::Update;
use crate::config::{PredictionType, SchedulerConfig};
use crate::error::Result;

pub(super) struct Deis {
    prediction_type: PredictionType,
    order: usize,
    lower_order_final: bool,
    limit: Option<f64>,
}

impl Deis {
    pub fn new(config: &SchedulerConfig) -> Result<Self> {
        // diffusers reads the names of other classes' solvers as "logrho".
        let known = ["logrho", "midpoint", "heun", "bh1", "bh2"];
        one_of("solver_type", &config.solver_type, &known)?;
        Ok(Deis {
            prediction_type: config.prediction_type,
            order: solver_order(config)?,
            lower_order_final: config.lower_order_final.unwrap_or(true),
            limit: limit(config),
        })
    }

    fn order_at(&self, call: usize, schedule: &Schedule) -> usize {
        let steps = schedule.timesteps.len();
        let order = self.order.min(call + 1);
        match self.lower_order_final && steps < 15 {
            true => order.min(steps - call),
            false => order,
        }
    }
}

impl Solver for Deis {
    fn step(&mut self, schedule: &Schedule, call: usize) -> Update {
        let sigmas = &schedule.sigmas;
        let now = NoiseLevel::from_sigma(sigmas[call]);
        let next = NoiseLevel::from_sigma(sigmas[call + 1]);
        let noise = 1.0 / now.sigma * Latent - now.alpha / now.sigma * Denoised;
        let entry = |call: usize| call % self.order;
        let order = self.order_at(call, schedule);
        // The polynomial in log sigma through the last noises, integrated over sigma.
        let nodes: Vec<f64> = (0..order).map(|age| sigmas[call - age].ln()).collect();
        let mut latent = 1.0 / now.alpha * Latent;
        for age in 0..order {
            let [from, to] = [sigmas[call], sigmas[call + 1]];
            let weight = integral(&nodes, age, to) - integral(&nodes, age, from);
            let noise = match age {
                0 => noise,
                _ => History(entry(call - age)).into(),
            };
            latent = latent + weight * noise;
        }
        Update {
            limit: self.limit,
            history: vec![(entry(call), noise)],
            ..Update::new(now.denoised(self.prediction_type), next.alpha * latent)
        }
    }
}

/// The antiderivative at `t` of Lagrange's polynomial in `ln t` that is 1 at `nodes[chosen]` and 0
/// at the other one or two.
fn integral(nodes: &[f64], chosen: usize, t: f64) -> f64 {
    let log = t.ln();
    let others: Vec<f64> = (0..nodes.len())
        .filter(|&k| k != chosen)
        .map(|k| nodes[k])
        .collect();
    let denominator: f64 = others.iter().map(|other| nodes[chosen] - other).product();
    let numerator = match others[..] {
        [] => t,
        // ∫ (ln t − c) dt
        [c] => t * (log - 1.0 - c),
        // ∫ (ln t − c)(ln t − d) dt
        [c, d, ..] => t * (log * log - (2.0 + c + d) * (log - 1.0) + c * d),
    };
    numerator / denominator
}

#[cfg(test)]
mod tests {
    use super::integral;

    #[test]
    fn the_antiderivative_has_the_polynomial_as_its_slope() {
        let nodes = [2f64, 0.7, 0.1].map(f64::ln);
        for order in 1..=3 {
            for chosen in 0..order {
                let nodes = &nodes[..order];
                for t in [0.05, 0.3, 1.5] {
                    let step = 1e-5;
                    let rise =
                        integral(nodes, chosen, t + step) - integral(nodes, chosen, t - step);
                    let others = (0..order).filter(|&k| k != chosen);
                    let polynomial: f64 = others
                        .map(|k| (f64::ln(t) - nodes[k]) / (nodes[chosen] - nodes[k]))
                        .product();
                    assert!((rise / (2.0 * step) - polynomial).abs() < 1e-7);
                }
            }
        }
    }
}
