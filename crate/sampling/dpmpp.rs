//! DPM-Solver++ multistep: Lu et al. (arXiv 2211.01095), as in diffusers 0.42's `scheduling_dpmsolver_multistep.py` with
//! `algorithm_type` "dpmsolver++".

use super::level::{Level, blend};
use super::noise::Noise;
use super::samplers::{Solver, one_of, solver_order};
use super::schedule::Schedule;
use crate::config::{PredictionType, SchedulerConfig};
use crate::error::Result;

pub(super) struct DpmSolver {
    prediction_type: PredictionType,
    order: usize,
    heun: bool,
    lower_order_final: bool,
    euler_at_final: bool,
    /// Predicted pictures, newest first, at most `order`.
    pictures: Vec<Vec<f32>>,
}

impl DpmSolver {
    pub fn new(config: &SchedulerConfig) -> Result<Self> {
        // diffusers reads "deis" and the names of other classes' solvers as its own defaults.
        one_of(
            "algorithm_type",
            &config.algorithm_type,
            &["dpmsolver++", "deis"],
        )?;
        let known = ["midpoint", "heun", "logrho", "bh1", "bh2"];
        Ok(DpmSolver {
            prediction_type: config.prediction_type,
            order: solver_order(config)?,
            heun: one_of("solver_type", &config.solver_type, &known)? == Some("heun"),
            lower_order_final: config.lower_order_final.unwrap_or(true),
            euler_at_final: config.euler_at_final.unwrap_or(false),
            pictures: Vec::new(),
        })
    }

    /// The order of the step with this number: lower where there is no history yet, and at the end.
    fn order_at(&self, call: usize, schedule: &Schedule) -> usize {
        let steps = schedule.timesteps.len();
        let order = self.order.min(call + 1);
        let few = self.lower_order_final && steps < 15;
        // Where lambda becomes infinite, or stays where it is, differences over it are nothing.
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
    fn step(
        &mut self,
        schedule: &Schedule,
        call: usize,
        prediction: &[f32],
        latent: &mut Vec<f32>,
        _: &mut Noise,
    ) -> Vec<f32> {
        let level = |i: usize| Level::from_sigma(schedule.sigmas[i]);
        let (now, next) = (level(call), level(call + 1));
        let (of_latent, of_prediction) = now.picture(self.prediction_type);
        let picture = blend([(of_latent, latent), (of_prediction, prediction)]);
        self.pictures.insert(0, picture.clone());
        self.pictures.truncate(self.order);

        let h = next.lambda() - now.lambda();
        let decay = (-h).exp_m1();
        let m = &self.pictures;
        // Finite differences of the picture over lambda: D1 is the first, D2 the second.
        let (d1, d2) = match self.order_at(call, schedule) {
            1 => (None, None),
            order => {
                let r0 = (now.lambda() - level(call - 1).lambda()) / h;
                let d1 = blend([(1.0 / r0, &m[0]), (-1.0 / r0, &m[1])]);
                if order == 2 {
                    (Some(d1), None)
                } else {
                    let r1 = (level(call - 1).lambda() - level(call - 2).lambda()) / h;
                    let before = blend([(1.0 / r1, &m[1]), (-1.0 / r1, &m[2])]);
                    let share = r0 / (r0 + r1);
                    let d2 = blend([(1.0 / (r0 + r1), &d1), (-1.0 / (r0 + r1), &before)]);
                    (
                        Some(blend([(1.0 + share, &d1), (-share, &before)])),
                        Some(d2),
                    )
                }
            }
        };
        *latent = blend([
            (next.sigma / now.sigma, latent),
            (-next.alpha * decay, &m[0]),
        ]);
        if let Some(d1) = d1 {
            let weight = if self.heun || d2.is_some() {
                decay / h + 1.0
            } else {
                -0.5 * decay
            };
            *latent = blend([(1.0, latent), (next.alpha * weight, &d1)]);
        }
        if let Some(d2) = d2 {
            let weight = (decay + h) / (h * h) - 0.5;
            *latent = blend([(1.0, latent), (-next.alpha * weight, &d2)]);
        }
        picture
    }
}
