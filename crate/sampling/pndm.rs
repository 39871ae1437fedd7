//! PNDM: Liu et al. (arXiv 2202.09778), as in diffusers 0.42's `scheduling_pndm.py`. Stable Diffusion's configurations leave
//! out the Runge–Kutta start (`skip_prk_steps`), which makes it PLMS, the sampler SD1 was published with.

use super::noise_level::NoiseLevel;
use super::schedule::{Schedule, Trained, ZeroSnr, check_levels, timesteps};
use super::solver::Solver;
use super::update::Term::{History, Latent, Prediction};
use super::update::{Sum, Term, Update};
use crate::config::{PredictionType, SchedulerConfig, TimestepSpacing};
use crate::error::{Error, Result};

pub(super) struct Pndm {
    prediction_type: PredictionType,
    trained: Trained,
    /// ᾱ after the last step.
    last_alpha_cumprod: f64,
    /// Training timesteps from one step to the next.
    stride: i64,
    /// Calls of the Runge–Kutta start: none, or three steps of four.
    runge_kutta_calls: usize,
    /// Predictions at whole steps so far. The last four of them are kept.
    remembered: usize,
}

/// Predictions at whole steps, in turn.
const HISTORY: usize = 4;
/// The latent where the current step began, if the step takes more than one call.
const ORIGIN: usize = HISTORY;
/// The predictions within the current Runge–Kutta step, oldest first.
const STAGES: usize = ORIGIN + 1;

impl Pndm {
    pub fn new(config: &SchedulerConfig, steps: usize) -> Result<(Self, Schedule)> {
        let trained = Trained::new(config, ZeroSnr::Ignored);
        let spacing = config.timestep_spacing.unwrap_or(TimestepSpacing::Leading);
        let stride = config.num_train_timesteps / steps;
        let whole = timesteps(config, spacing, steps);
        let (calls, runge_kutta_calls) = if config.skip_prk_steps {
            // The first step takes two calls: there and, from the mean of both, there again.
            let again = whole.get(1).copied();
            let calls = whole[..1]
                .iter()
                .copied()
                .chain(again)
                .chain(whole[1..].iter().copied());
            (calls.collect(), 0)
        } else if steps < 4 {
            return Err(Error::request(
                "steps",
                steps,
                "at least 4 for pndm with this model, whose scheduler begins with Runge–Kutta steps",
            ));
        } else {
            // Three steps of four calls each: at the start, twice half-way, at the end.
            let half = (stride / 2) as f64;
            let stages = (0..3).flat_map(|i| {
                let middle = whole[i + 1] + half;
                [whole[i], middle, middle, whole[i + 1]]
            });
            (stages.chain(whole[3..].iter().copied()).collect(), 12)
        };
        let schedule = Schedule::in_timesteps(config, &trained, steps, calls)?;
        let sigmas = &schedule.sigmas[..schedule.timesteps.len()];
        check_levels(config, sigmas, f64::MAX)?;
        let set_alpha_to_one = config.set_alpha_to_one.unwrap_or(false);
        let last = if set_alpha_to_one {
            1.0
        } else {
            trained.alphas_cumprod[0]
        };
        let pndm = Pndm {
            prediction_type: config.prediction_type,
            trained,
            last_alpha_cumprod: last.into(),
            stride: stride as i64,
            runge_kutta_calls,
            remembered: 0,
        };
        Ok((pndm, schedule))
    }

    /// One of the four calls of a Runge–Kutta step.
    fn runge_kutta(&mut self, schedule: &Schedule, call: usize) -> (Sum, Vec<(usize, Sum)>) {
        let t = schedule.timesteps[call] as i64;
        let stage = call % 4;
        let mut history = Vec::new();
        if stage == 0 {
            history.push(self.remember());
            history.push((ORIGIN, Latent.into()));
        }
        let direction = if stage == 3 {
            let [k1, k2, k3] = [0, 1, 2].map(|stage| Sum::from(History(STAGES + stage)));
            1.0 / 6.0 * k1 + 1.0 / 3.0 * k2 + 1.0 / 3.0 * k3 + 1.0 / 6.0 * Prediction
        } else {
            history.push((STAGES + stage, Prediction.into()));
            Prediction.into()
        };
        let origin = if stage == 0 { Latent } else { History(ORIGIN) };
        let start = schedule.timesteps[call - stage] as i64;
        let end = if stage.is_multiple_of(2) {
            t - self.stride / 2
        } else {
            t
        };
        (self.transfer(origin, start, end, direction), history)
    }

    /// One call of the linear multistep method.
    fn multistep(&mut self, schedule: &Schedule, call: usize) -> (Sum, Vec<(usize, Sum)>) {
        let t = schedule.timesteps[call] as i64;
        if call == 1 && self.runge_kutta_calls == 0 {
            let mean = 0.5 * Prediction + 0.5 * self.history(0);
            let latent = self.transfer(History(ORIGIN), t + self.stride, t, mean);
            return (latent, Vec::new());
        }
        let mut history = Vec::new();
        if call == 0 {
            history.push((ORIGIN, Latent.into()));
        }
        // Predictions, newest first.
        let e = [
            Prediction,
            self.history(0),
            self.history(1),
            self.history(2),
        ];
        let direction = match self.remembered {
            0 => e[0].into(),
            1 => 3.0 / 2.0 * e[0] - 1.0 / 2.0 * e[1],
            2 => 23.0 / 12.0 * e[0] - 16.0 / 12.0 * e[1] + 5.0 / 12.0 * e[2],
            _ => 55.0 / 24.0 * e[0] - 59.0 / 24.0 * e[1] + 37.0 / 24.0 * e[2] - 9.0 / 24.0 * e[3],
        };
        history.push(self.remember());
        (
            self.transfer(Latent, t, t - self.stride, direction),
            history,
        )
    }

    /// A prediction remembered before, the newest one of age 0.
    fn history(&self, age: usize) -> Term {
        History((self.remembered + HISTORY - 1 - age) % HISTORY)
    }

    /// Has the prediction kept as the newest one.
    fn remember(&mut self) -> (usize, Sum) {
        self.remembered += 1;
        ((self.remembered - 1) % HISTORY, Prediction.into())
    }

    /// Formula 9 of the paper: takes `latent` from timestep `from` to timestep `to`.
    fn transfer(&self, latent: Term, from: i64, to: i64, prediction: Sum) -> Sum {
        let (now, next) = (self.level(from), self.level(to));
        let difference = next.alpha.powi(2) - now.alpha.powi(2);
        let denominator = now.alpha.powi(2) * next.sigma + now.alpha * now.sigma * next.alpha;
        let of_noise = -difference / denominator;
        // The noise that this latent and this prediction imply.
        let implied = now.noise(self.prediction_type);
        let noise = implied.weight(Latent) * latent + implied.weight(Prediction) * prediction;
        next.alpha / now.alpha * latent + of_noise * noise
    }

    fn level(&self, t: i64) -> NoiseLevel {
        NoiseLevel::from_alpha_cumprod(self.trained.at(t).unwrap_or(self.last_alpha_cumprod))
    }
}

impl Solver for Pndm {
    fn step(&mut self, schedule: &Schedule, call: usize) -> Update {
        let denoised = self
            .level(schedule.timesteps[call] as i64)
            .denoised(self.prediction_type);
        let (latent, history) = if call < self.runge_kutta_calls {
            self.runge_kutta(schedule, call)
        } else {
            self.multistep(schedule, call)
        };
        Update {
            history,
            ..Update::new(denoised, latent)
        }
    }
}
