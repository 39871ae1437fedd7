//! Schedules: the timesteps of a sampler's calls, and the sigma at each of them, for the schedulers
//! of diffusers 0.42 (`schedulers/scheduling_*.py`, `set_timesteps`). Nothing here has a latent.
//!
//! diffusers keeps its tables in f32 and computes between them in NumPy's f64. The same roundings
//! are made here: a table that is "better" by 1e-7 moves the noise level of the last trained
//! timesteps by more than 1e-6.

use super::kind::SamplerKind;
use super::spacing::{continuous_timesteps, multistep_timesteps};
use super::trained::{Trained, ZeroSnr, interpolate, karras, timesteps_of};
use crate::config::{BetaSchedule, SchedulerConfig, TimestepSpacing};
use crate::error::{Error, Result};

/// The timesteps and noise levels of one run of a sampler.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Timestep of each call of the U-Net, from the noisiest down. Only some samplers have
    /// fractions.
    pub timesteps: Vec<f64>,
    /// Sigma at each of the timesteps, then the sigma at the end of the run.
    pub sigmas: Vec<f64>,
    /// Standard deviation of the first latent.
    pub init_noise_sigma: f64,
}

impl Schedule {
    /// The schedule of a sampler that counts in sigma: euler, euler-a, dpm++2m, dpm++2m-karras,
    /// unipc.
    ///
    /// # Errors
    /// [`Error::Request`] where two of `steps` steps would have the same noise level,
    /// [`Error::Config`] for a training that has a timestep without noise, or without signal.
    pub(super) fn in_sigma(
        kind: SamplerKind,
        config: &SchedulerConfig,
        steps: usize,
    ) -> Result<Self> {
        let spacing = config.timestep_spacing.unwrap_or(TimestepSpacing::Linspace);
        let trained = Trained::new(config, ZeroSnr::Finite).sigmas();
        check_sigmas(config, &trained, f64::MAX)?;
        let euler = matches!(kind, SamplerKind::Euler | SamplerKind::EulerA);
        let mut timesteps = if euler {
            continuous_timesteps(config, spacing, steps)
        } else {
            multistep_timesteps(config, spacing, steps)
        };
        // diffusers accepts a timestep one beyond the training here: "leading" with `steps_offset`
        // 1 and as many steps as the training has.
        check_timesteps(config, steps, &timesteps, trained.len())?;
        let mut sigmas: Vec<f64> = timesteps
            .iter()
            .map(|&t| interpolate(&trained, t))
            .collect();
        let mut smallest = trained[0];
        if has_karras_sigmas(kind, config) {
            (timesteps, sigmas) = karras_schedule(kind, config, &trained, &sigmas);
            if kind == SamplerKind::UniPc {
                smallest = sigmas[sigmas.len() - 1];
            }
        }
        if !euler && sigmas.windows(2).any(|pair| pair[0] <= pair[1]) {
            return Err(too_many(steps, "two of them fall on the same timestep"));
        }
        sigmas.push(match kind {
            SamplerKind::EulerA => 0.0,
            _ => final_sigma(config, smallest)?,
        });
        for sigma in &mut sigmas {
            *sigma = f64::from(*sigma as f32);
        }

        let max = sigmas.iter().copied().fold(0.0, f64::max);
        let init_noise_sigma = match spacing {
            _ if !euler => 1.0,
            TimestepSpacing::Leading => max.hypot(1.0),
            _ => max,
        };
        Ok(Schedule {
            timesteps,
            sigmas,
            init_noise_sigma,
        })
    }

    /// The schedule of a sampler that counts in training timesteps: ddim, pndm. `timesteps` are
    /// those of its calls.
    ///
    /// # Errors
    /// [`Error::Request`] or [`Error::Config`] where one of them is outside the training.
    pub(super) fn in_timesteps(
        config: &SchedulerConfig,
        trained: &Trained,
        steps: usize,
        timesteps: Vec<f64>,
    ) -> Result<Self> {
        check_timesteps(config, steps, &timesteps, trained.len() - 1)?;
        let trained = trained.sigmas();
        let mut sigmas: Vec<f64> = timesteps.iter().map(|&t| trained[t as usize]).collect();
        check_sigmas(config, &sigmas, f64::INFINITY)?;
        sigmas.push(0.0);
        Ok(Schedule {
            timesteps,
            sigmas,
            init_noise_sigma: 1.0,
        })
    }
}

/// True if the sigmas are spaced as Karras et al. space them.
fn has_karras_sigmas(kind: SamplerKind, config: &SchedulerConfig) -> bool {
    match kind {
        SamplerKind::EulerA | SamplerKind::Dpmpp2m => false,
        SamplerKind::Dpmpp2mKarras => true,
        _ => config.use_karras_sigmas.unwrap_or(false),
    }
}

/// Timesteps and sigmas as Karras et al. space them, in place of `sigmas`.
fn karras_schedule(
    kind: SamplerKind,
    config: &SchedulerConfig,
    trained: &[f64],
    sigmas: &[f64],
) -> (Vec<f64>, Vec<f64>) {
    let (max, min) = if matches!(kind, SamplerKind::Euler | SamplerKind::EulerA) {
        (sigmas[0], sigmas[sigmas.len() - 1])
    } else {
        (trained[trained.len() - 1], trained[0])
    };
    let sigmas = karras(max, min, sigmas.len());
    let cosine = config.beta_schedule == BetaSchedule::SquaredcosCapV2;
    let whole = |t: f64| match kind {
        SamplerKind::Euler => f64::from(t as f32),
        SamplerKind::Dpmpp2mKarras if cosine => t.trunc(),
        _ => t.round_ties_even(),
    };
    let timesteps = timesteps_of(trained, &sigmas).into_iter().map(whole);
    (timesteps.collect(), sigmas)
}

/// Checks that timesteps are within 0 to `last`. Others come from `steps_offset`, or from so many
/// steps that even an offset of 1 is too large.
fn check_timesteps(
    config: &SchedulerConfig,
    steps: usize,
    timesteps: &[f64],
    last: usize,
) -> Result<()> {
    let range = 0.0..=last as f64;
    let Some(outside) = timesteps.iter().find(|t| !range.contains(t)) else {
        return Ok(());
    };
    if config.steps_offset == 1 {
        return Err(too_many(
            steps,
            "with `steps_offset` 1 the first lies beyond the training",
        ));
    }
    Err(Error::config(
        SchedulerConfig::FILE,
        "steps_offset",
        config.steps_offset,
        format!("a value that keeps timestep {outside} within 0 to {last}"),
    ))
}

/// Checks that sigmas are above 0 and at most `most`. Others come from betas that are too small or
/// too large for f32, or from too many of them.
pub(super) fn check_sigmas(config: &SchedulerConfig, sigmas: &[f64], most: f64) -> Result<()> {
    if sigmas.iter().all(|&sigma| sigma > 0.0 && sigma <= most) {
        return Ok(());
    }
    let (key, actual) = match &config.trained_betas {
        Some(betas) => ("trained_betas", format!("a list of {}", betas.len())),
        None => ("beta_end", config.beta_end.to_string()),
    };
    let n = config.num_train_timesteps;
    let expected = format!(
        "betas with which each of the {n} timesteps has some noise and leaves a trace of signal"
    );
    Err(Error::config(SchedulerConfig::FILE, key, actual, expected))
}

fn too_many(steps: usize, why: &str) -> Error {
    Error::request("steps", steps, format!("fewer, because {why}"))
}

/// The sigma after the last step, by the configuration's `final_sigmas_type`. The default of all of
/// diffusers' classes is zero.
fn final_sigma(config: &SchedulerConfig, smallest: f64) -> Result<f64> {
    match config.final_sigmas_type.as_deref() {
        None | Some("zero") => Ok(0.0),
        Some("sigma_min") => Ok(smallest),
        Some(other) => Err(Error::config(
            SchedulerConfig::FILE,
            "final_sigmas_type",
            format!("\"{other}\""),
            "\"zero\" or \"sigma_min\"",
        )),
    }
}
