//! The spacing of timesteps: `timestep_spacing` of a scheduler's configuration.

use crate::config::{SchedulerConfig, TimestepSpacing};

/// The timesteps of k-diffusion's samplers (fractions kept, in f32 as diffusers keeps them), from
/// the noisiest down.
pub(super) fn continuous_timesteps(
    config: &SchedulerConfig,
    spacing: TimestepSpacing,
    steps: usize,
) -> Vec<f64> {
    match spacing {
        TimestepSpacing::Linspace => linspace(config.num_train_timesteps - 1, steps)
            .into_iter()
            .map(|t| f64::from(t as f32))
            .rev()
            .collect(),
        spacing => timesteps(config, spacing, steps),
    }
}

/// The timesteps of ddim, ddpm and pndm, from the noisiest down.
pub(super) fn timesteps(
    config: &SchedulerConfig,
    spacing: TimestepSpacing,
    steps: usize,
) -> Vec<f64> {
    let n = config.num_train_timesteps;
    match spacing {
        TimestepSpacing::Linspace => linspace(n - 1, steps)
            .into_iter()
            .map(f64::round_ties_even)
            .rev()
            .collect(),
        TimestepSpacing::Leading => (0..steps)
            .map(|i| (i * (n / steps)) as f64 + config.steps_offset as f64)
            .rev()
            .collect(),
        TimestepSpacing::Trailing => trailing(n, steps),
    }
}

/// The timesteps of multistep solvers, from the noisiest down, among the first `n` of the training.
/// They leave out timestep 0: sigma 0 comes after the last one.
pub(super) fn multistep_timesteps(
    config: &SchedulerConfig,
    spacing: TimestepSpacing,
    steps: usize,
    n: usize,
) -> Vec<f64> {
    match spacing {
        TimestepSpacing::Linspace => linspace(n - 1, steps + 1)
            .into_iter()
            .skip(1)
            .map(f64::round_ties_even)
            .rev()
            .collect(),
        TimestepSpacing::Leading => (1..=steps)
            .map(|i| (i * (n / (steps + 1))) as f64 + config.steps_offset as f64)
            .rev()
            .collect(),
        TimestepSpacing::Trailing => trailing(n, steps),
    }
}

/// `np.linspace(0, last, count)`.
fn linspace(last: usize, count: usize) -> Vec<f64> {
    let step = last as f64 / (count - 1).max(1) as f64;
    let mut values: Vec<f64> = (0..count).map(|i| i as f64 * step).collect();
    if count > 1 {
        values[count - 1] = last as f64;
    }
    values
}

/// `np.arange(n, 0, -n / steps).round() - 1`, without the element -1 that rounding errors append
/// for some counts (61 of 1000, for instance). diffusers then takes one step too many, at a
/// timestep that does not exist.
fn trailing(n: usize, steps: usize) -> Vec<f64> {
    let n = n as f64;
    // NumPy's step is the difference of the first two elements.
    let step = (n - n / steps as f64) - n;
    (0..steps)
        .map(|i| (n + i as f64 * step).round_ties_even() - 1.0)
        .collect()
}
