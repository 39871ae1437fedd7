//! DPM-Solver++ singlestep: Lu et al. (arXiv 2211.01095), as in diffusers 0.42's
//! `scheduling_dpmsolver_singlestep.py` with `algorithm_type` "dpmsolver++". Calls come in groups.
//! A group's last call goes from the group's first latent over the whole group.

use super::noise_level::NoiseLevel;
use super::schedule::Schedule;
use super::solver::{Solver, limit, one_of, solver_order};
use super::update::Term::{Denoised, History, Latent};
use super::update::{Sum, Term, Update};
use crate::config::{PredictionType, SchedulerConfig};
use crate::error::Result;

pub(super) struct Singlestep {
    prediction_type: PredictionType,
    heun: bool,
    limit: Option<f64>,
    /// The order of each call: its position in its group, from 1.
    orders: Vec<usize>,
}

/// Number of stored denoised latents, in the first entries of the history.
const STORED: usize = 3;
/// Entry for the latent at the beginning of the group.
const ORIGIN: usize = STORED;

impl Singlestep {
    pub fn new(config: &SchedulerConfig, schedule: &Schedule) -> Result<Self> {
        // diffusers reads the names of other classes' solvers as "midpoint".
        let known = ["midpoint", "heun", "logrho", "bh1", "bh2"];
        let heun = one_of("solver_type", &config.solver_type, &known)? == Some("heun");
        let order = solver_order(config)?;
        let steps = schedule.timesteps.len();
        let to_zero = schedule.sigmas[steps] == 0.0;
        let uneven = !steps.is_multiple_of(order);
        let lower_order_final = config.lower_order_final.unwrap_or(false) || uneven || to_zero;
        Ok(Singlestep {
            prediction_type: config.prediction_type,
            heun,
            limit: limit(config),
            orders: orders(order, steps, lower_order_final, to_zero),
        })
    }
}

/// The order of each call.
fn orders(order: usize, steps: usize, lower_order_final: bool, to_zero: bool) -> Vec<usize> {
    let mut orders: Vec<usize> = (0..steps).map(|call| call % order + 1).collect();
    if lower_order_final && order > 1 && steps.is_multiple_of(order) {
        // The last whole group loses one order.
        orders[steps - 1] = 1;
    }
    if to_zero {
        orders[steps - 1] = 1;
    }
    orders
}

impl Solver for Singlestep {
    fn step(&mut self, schedule: &Schedule, call: usize) -> Update {
        let level = |i: usize| NoiseLevel::from_sigma(schedule.sigmas[i]);
        let order = self.orders[call];
        let first = call + 1 - order;
        let (start, next) = (level(first), level(call + 1));
        let h = next.lambda() - start.lambda();
        let decay = (-h).exp_m1();
        let entry = |call: usize| call % STORED;
        let m = |of: usize| match of {
            of if of == call => Sum::from(Denoised),
            of => History(entry(of)).into(),
        };
        let origin = match order {
            1 => Latent,
            _ => Term::History(ORIGIN),
        };
        let base = next.sigma / start.sigma * origin - next.alpha * decay * m(first);
        let by_slope = next.alpha * (decay / h + 1.0);
        // Slope of the denoised latent over lambda, from the group's beginning.
        let position = |i: usize| (level(i).lambda() - start.lambda()) / h;
        let slope = |i: usize| 1.0 / position(i) * (m(i) - m(first));
        let latent = match (order, self.heun) {
            (1, _) => base,
            (2, false) => base - 0.5 * next.alpha * decay * slope(call),
            (2, true) | (3, false) => base + by_slope * slope(call),
            _ => {
                let (r0, r1) = (position(call), position(call - 1));
                let (d0, d1) = (slope(call), slope(call - 1));
                let first_difference = 1.0 / (r0 - r1) * (r0 * d1 - r1 * d0);
                let second_difference = 2.0 / (r0 - r1) * (d0 - d1);
                let weight = next.alpha * ((decay + h) / (h * h) - 0.5);
                base + by_slope * first_difference - weight * second_difference
            }
        };
        let mut history = vec![(entry(call), Denoised.into())];
        if order == 1 {
            history.push((ORIGIN, Latent.into()));
        }
        Update {
            limit: self.limit,
            history,
            ..Update::new(level(call).denoised(self.prediction_type), latent)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::orders;

    #[test]
    fn groups_end_with_lower_orders() {
        assert_eq!(orders(2, 5, true, true), [1, 2, 1, 2, 1]);
        assert_eq!(orders(2, 6, true, false), [1, 2, 1, 2, 1, 1]);
        assert_eq!(orders(2, 4, false, false), [1, 2, 1, 2]);
        assert_eq!(orders(3, 6, true, false), [1, 2, 3, 1, 2, 1]);
        assert_eq!(orders(3, 7, true, true), [1, 2, 3, 1, 2, 3, 1]);
        assert_eq!(orders(3, 5, true, true), [1, 2, 3, 1, 1]);
        assert_eq!(orders(3, 5, true, false), [1, 2, 3, 1, 2]);
    }
}
