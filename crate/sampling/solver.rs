//! The interface that every sampler implements.

use super::schedule::Schedule;
use super::update::Update;
use crate::config::SchedulerConfig;
use crate::error::{Error, Result};

/// One method of taking a latent down its schedule.
pub(super) trait Solver {
    /// What becomes of the latent in the call numbered `call` of the schedule. Calls come in order, each once.
    fn step(&mut self, schedule: &Schedule, call: usize) -> Update;

    /// What the latent is multiplied by before the U-Net sees it at this sigma.
    fn input_scale(&self, _sigma: f64) -> f64 {
        1.0
    }
}

/// The config's `solver_order`, 2 where it has none.
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

/// A value that must be one of `known` where the config has it.
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
