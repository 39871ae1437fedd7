//! PNDM: Liu et al. (arXiv 2202.09778), as in diffusers 0.42's `scheduling_pndm.py`. Stable Diffusion's configurations leave
//! out the Runge–Kutta start (`skip_prk_steps`), which makes it PLMS, the sampler SD1 was published with.

use super::level::{Level, blend};
use super::noise::Noise;
use super::samplers::Solver;
use super::schedule::{Schedule, Trained, ZeroSnr, check_levels, timesteps};
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
    /// Predictions at whole steps, newest first, at most four.
    history: Vec<Vec<f32>>,
    /// The predictions within the current Runge–Kutta step, oldest first.
    stages: Vec<Vec<f32>>,
    /// The latent where the current step began, if the step takes more than one call.
    origin: Vec<f32>,
}

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
            history: Vec::new(),
            stages: Vec::new(),
            origin: Vec::new(),
        };
        Ok((pndm, schedule))
    }

    /// One of the four calls of a Runge–Kutta step.
    fn runge_kutta(
        &mut self,
        schedule: &Schedule,
        call: usize,
        prediction: &[f32],
        latent: &[f32],
    ) -> Vec<f32> {
        let t = schedule.timesteps[call] as i64;
        let stage = call % 4;
        if stage == 0 {
            self.remember(prediction);
            self.origin = latent.to_vec();
            self.stages.clear();
        }
        self.stages.push(prediction.to_vec());
        let direction = match &self.stages[..] {
            [k1, k2, k3, k4] => blend([
                (1.0 / 6.0, k1),
                (1.0 / 3.0, k2),
                (1.0 / 3.0, k3),
                (1.0 / 6.0, k4),
            ]),
            _ => prediction.to_vec(),
        };
        let start = schedule.timesteps[call - stage] as i64;
        let end = if stage.is_multiple_of(2) {
            t - self.stride / 2
        } else {
            t
        };
        self.transfer(&self.origin, start, end, &direction)
    }

    /// One call of the linear multistep method.
    fn multistep(
        &mut self,
        schedule: &Schedule,
        call: usize,
        prediction: &[f32],
        latent: &[f32],
    ) -> Vec<f32> {
        let t = schedule.timesteps[call] as i64;
        if call == 1 && self.runge_kutta_calls == 0 {
            let mean = blend([(0.5, prediction), (0.5, &self.history[0])]);
            return self.transfer(&self.origin, t + self.stride, t, &mean);
        }
        if call == 0 {
            self.origin = latent.to_vec();
        }
        self.remember(prediction);
        let direction = match &self.history[..] {
            [e0] => e0.clone(),
            [e0, e1] => blend([(3.0 / 2.0, e0), (-1.0 / 2.0, e1)]),
            [e0, e1, e2] => blend([(23.0 / 12.0, e0), (-16.0 / 12.0, e1), (5.0 / 12.0, e2)]),
            [e0, e1, e2, e3, ..] => blend([
                (55.0 / 24.0, e0),
                (-59.0 / 24.0, e1),
                (37.0 / 24.0, e2),
                (-9.0 / 24.0, e3),
            ]),
            [] => Vec::new(),
        };
        self.transfer(latent, t, t - self.stride, &direction)
    }

    fn remember(&mut self, prediction: &[f32]) {
        self.history.insert(0, prediction.to_vec());
        self.history.truncate(4);
    }

    /// Formula 9 of the paper: takes `latent` from timestep `from` to timestep `to`.
    fn transfer(&self, latent: &[f32], from: i64, to: i64, prediction: &[f32]) -> Vec<f32> {
        let level =
            |t| Level::from_alpha_cumprod(self.trained.at(t).unwrap_or(self.last_alpha_cumprod));
        let (now, next) = (level(from), level(to));
        let difference = next.alpha.powi(2) - now.alpha.powi(2);
        let denominator = now.alpha.powi(2) * next.sigma + now.alpha * now.sigma * next.alpha;
        let of_noise = -difference / denominator;
        let (of_latent, of_prediction) = now.noise(self.prediction_type);
        blend([
            (next.alpha / now.alpha + of_noise * of_latent, latent),
            (of_noise * of_prediction, prediction),
        ])
    }
}

impl Solver for Pndm {
    fn step(
        &mut self,
        schedule: &Schedule,
        call: usize,
        prediction: &[f32],
        latent: &mut Vec<f32>,
        _: &mut Noise,
    ) -> Vec<f32> {
        let t = schedule.timesteps[call] as i64;
        let level =
            Level::from_alpha_cumprod(self.trained.at(t).unwrap_or(self.last_alpha_cumprod));
        let (of_latent, of_prediction) = level.picture(self.prediction_type);
        let picture = blend([(of_latent, latent), (of_prediction, prediction)]);
        *latent = if call < self.runge_kutta_calls {
            self.runge_kutta(schedule, call, prediction, latent)
        } else {
            self.multistep(schedule, call, prediction, latent)
        };
        picture
    }
}
