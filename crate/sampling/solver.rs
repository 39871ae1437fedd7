//! The interface of a sampler's method.

use super::schedule::Schedule;
use super::update::Update;
use crate::config::SchedulerConfig;
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
