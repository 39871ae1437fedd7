//! The interface of a sampler's method.

use super::noise_level::NoiseLevel;
use super::schedule::Schedule;
use super::update::Term::{Latent, Prediction};
use super::update::{Sum, Update};
use crate::config::{PredictionType, SchedulerConfig};
use crate::error::{Error, Result};

/// A method that takes a latent down its schedule.
pub(super) trait Solver {
    /// The update of the latent in the call numbered `call` of the schedule. Calls come in order,
    /// each once.
    fn step(&mut self, schedule: &Schedule, call: usize) -> Update;

    /// Factor on the latent for the U-Net's input at this sigma.
    fn input_scale(&self, _sigma: f64) -> f64 {
        1.0
    }

    /// The step, counted from 0, that a call belongs to.
    fn step_of(&self, call: usize) -> usize {
        call
    }
}

/// Largest magnitude of the denoised latent, if `thresholding` limits it.
///
/// Dynamic thresholding divides by a quantile of 1 to `sample_max_value`. With the default of 1 it
/// is a plain limit.
pub(super) fn limit(config: &SchedulerConfig) -> Option<f64> {
    (config.thresholding && config.sample_max_value == 1.0).then_some(1.0)
}

/// Largest magnitude of the denoised latent, if `clip_sample` limits it. `default` is the class's.
pub(super) fn clip(config: &SchedulerConfig, default: bool) -> Option<f64> {
    let clips = config.clip_sample.unwrap_or(default);
    clips.then_some(config.clip_sample_range)
}

/// The denoised latent at `sigma` where latents are `denoised + sigma · noise`, as k-diffusion has
/// them. The U-Net was trained on latents of variance 1, so its input is scaled.
pub(super) fn denoised_at(sigma: f64, prediction_type: PredictionType) -> Sum {
    let level = NoiseLevel::from_sigma(sigma);
    let of_input = level.denoised(prediction_type);
    of_input.weight(Latent) * level.alpha * Latent + of_input.weight(Prediction) * Prediction
}

/// The sigma that an ancestral step from `sigma` goes down to, and the noise that takes it up to
/// `next` again: `eta` times the noise that the training's process would add.
pub(super) fn ancestral(sigma: f64, next: f64, eta: f64) -> (f64, f64) {
    let up = eta * (next * (1.0 - (next / sigma).powi(2)).max(0.0).sqrt());
    ((next * next - up * up).sqrt(), up)
}

/// The configuration's `solver_order`, 2 by default.
pub(super) fn solver_order(config: &SchedulerConfig) -> Result<usize> {
    match config.solver_order.unwrap_or(2) {
        order @ 1..=3 => Ok(order),
        other => Err(Error::config(
            SchedulerConfig::FILE,
            "solver_order",
            other,
            "1, 2 or 3",
        )),
    }
}

/// The value of `key`, which must be one of `known` if the configuration has it.
pub(super) fn one_of<'a>(
    key: &str,
    value: &'a Option<String>,
    known: &[&str],
) -> Result<Option<&'a str>> {
    match value.as_deref() {
        Some(other) if !known.contains(&other) => Err(Error::config(
            SchedulerConfig::FILE,
            key,
            format!("\"{other}\""),
            known.join(" or "),
        )),
        value => Ok(value),
    }
}
