//! PNDM: Liu et al. (arXiv 2202.09778), as in diffusers 0.42's `scheduling_pndm.py`. Stable
//! Diffusion's configurations leave out the Runge–Kutta start (`skip_prk_steps`), which makes it
//! PLMS, the sampler that SD1 was published with.

use super::noise_level::NoiseLevel;
use super::schedule::{Schedule, check_sigmas};
use super::solver::Solver;
use super::spacing::timesteps;
use super::trained::{Trained, ZeroSnr};
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
    /// Calls of the Runge–Kutta start: none, or three steps of four calls.
    runge_kutta_calls: usize,
    /// Number of predictions at whole steps so far. The last four of them are stored.
    stored: usize,
}

/// Number of stored predictions at whole steps, in the first entries of the history.
const HISTORY: usize = 4;
/// Entry for the latent at the beginning of the current step, if the step takes more than one call.
const ORIGIN: usize = HISTORY;
/// First entry for the predictions within the current Runge–Kutta step, oldest first.
const STAGES: usize = ORIGIN + 1;

impl Pndm {
    pub fn new(config: &SchedulerConfig, steps: usize) -> Result<(Self, Schedule)> {
        let trained = Trained::new(config, ZeroSnr::Ignored);
        let spacing = config.timestep_spacing.unwrap_or(TimestepSpacing::Leading);
        let stride = config.num_train_timesteps / steps;
        let whole = timesteps(config, spacing, steps);
        let (calls, runge_kutta_calls) = if config.skip_prk_steps {
            // The first step takes two calls: to its end and, with the mean of both predictions, to
            // its end again.
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
                "at least 4 for pndm with this model: its scheduler begins with Runge–Kutta steps",
            ));
        } else {
            // Three steps of four calls each: at the start, twice in the middle, at the end.
            let half = (stride / 2) as f64;
            let stages = (0..3).flat_map(|i| {
                let middle = whole[i + 1] + half;
                [whole[i], middle, middle, whole[i + 1]]
            });
            (stages.chain(whole[3..].iter().copied()).collect(), 12)
        };
        let schedule = Schedule::in_timesteps(config, &trained, steps, calls)?;
        let sigmas = &schedule.sigmas[..schedule.timesteps.len()];
        check_sigmas(config, sigmas, f64::MAX)?;
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
            stored: 0,
        };
        Ok((pndm, schedule))
    }

    /// One of the four calls of a Runge–Kutta step.
    fn runge_kutta(&mut self, schedule: &Schedule, call: usize) -> (Sum, Vec<(usize, Sum)>) {
        let t = schedule.timesteps[call] as i64;
        let stage = call % 4;
        let mut history = Vec::new();
        if stage == 0 {
            history.push(self.store());
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
        let direction = match self.stored {
            0 => e[0].into(),
            1 => 3.0 / 2.0 * e[0] - 1.0 / 2.0 * e[1],
            2 => 23.0 / 12.0 * e[0] - 16.0 / 12.0 * e[1] + 5.0 / 12.0 * e[2],
            _ => 55.0 / 24.0 * e[0] - 59.0 / 24.0 * e[1] + 37.0 / 24.0 * e[2] - 9.0 / 24.0 * e[3],
        };
        history.push(self.store());
        (
            self.transfer(Latent, t, t - self.stride, direction),
            history,
        )
    }

    /// A stored prediction. The newest one has age 0.
    fn history(&self, age: usize) -> Term {
        History((self.stored + HISTORY - 1 - age) % HISTORY)
    }

    /// Stores the prediction as the newest one.
    fn store(&mut self) -> (usize, Sum) {
        self.stored += 1;
        ((self.stored - 1) % HISTORY, Prediction.into())
    }

    /// The latent at timestep `to` for the `latent` at timestep `from`: formula 9 of the paper.
    fn transfer(&self, latent: Term, from: i64, to: i64, prediction: Sum) -> Sum {
        let (now, next) = (self.level(from), self.level(to));
        let difference = next.alpha.powi(2) - now.alpha.powi(2);
        let denominator = now.alpha.powi(2) * next.sigma + now.alpha * now.sigma * next.alpha;
        let of_noise = -difference / denominator;
        // The noise that follows from this latent and this prediction.
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
