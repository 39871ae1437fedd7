//! Schedules: the timesteps of a sampler's calls, and the sigma at each of them, for the schedulers
//! of diffusers 0.42 (`schedulers/scheduling_*.py`, `set_timesteps`). Nothing here has a latent.
//!
//! diffusers keeps its tables in f32 and computes between them in NumPy's f64. The same roundings
//! are made here: a table that is "better" by 1e-7 moves the noise level of the last trained
//! timesteps by more than 1e-6.

use super::kind::{SamplerKind, Table};
use super::names::ScheduleKind;
use super::sigmas::{self, Range};
use super::spacing::{continuous_timesteps, multistep_timesteps};
use super::trained::{Trained, ZeroSnr, interpolate, timesteps_of};
use crate::config::{BetaSchedule, PredictionType, SchedulerConfig, TimestepSpacing};
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

/// Noise levels between those of the training: the trained sigmas, and the spacing of a run.
struct Levels {
    timesteps: Vec<f64>,
    sigmas: Vec<f64>,
}

impl Schedule {
    /// The schedule of a sampler that counts in sigma, one call for each step.
    ///
    /// # Errors
    /// [`Error::Request`] where two of `steps` steps would have the same noise level,
    /// [`Error::Config`] for a training that has a timestep without noise, or without signal.
    pub(super) fn in_sigma(
        kind: SamplerKind,
        schedule: ScheduleKind,
        config: &SchedulerConfig,
        steps: usize,
    ) -> Result<Self> {
        let trained = trained_sigmas(kind, config);
        check_sigmas(config, &trained, f64::MAX)?;
        let sampled = kind.table() == Table::Sampled;
        let plain = Levels::plain(kind, config, &trained, steps)?;
        let Levels {
            timesteps,
            mut sigmas,
        } = plain.spaced(kind, schedule, config, &trained);
        let may_repeat = matches!(kind, SamplerKind::Euler | SamplerKind::EulerA)
            && resolve(kind, schedule, config) == ScheduleKind::Normal;
        if !may_repeat && sigmas.windows(2).any(|pair| pair[0] <= pair[1]) {
            return Err(too_many(steps, "two of them fall on the same timestep"));
        }
        sigmas.push(final_sigma(kind, schedule, config, &trained, &sigmas)?);
        for sigma in &mut sigmas {
            *sigma = f64::from(*sigma as f32);
        }

        let max = sigmas.iter().copied().fold(0.0, f64::max);
        let init_noise_sigma = match spacing(kind, config) {
            _ if !sampled => 1.0,
            TimestepSpacing::Leading => max.hypot(1.0),
            _ => max,
        };
        Ok(Schedule {
            timesteps,
            sigmas,
            init_noise_sigma,
        })
    }

    /// The schedule of a sampler that counts in training timesteps. `timesteps` are those of its
    /// calls.
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

impl Levels {
    /// Even in training timesteps, in the configuration's spacing.
    fn plain(
        kind: SamplerKind,
        config: &SchedulerConfig,
        trained: &[f64],
        steps: usize,
    ) -> Result<Self> {
        let spacing = spacing(kind, config);
        let timesteps = match kind.table() {
            Table::Sampled => continuous_timesteps(config, spacing, steps),
            _ => multistep_timesteps(config, spacing, steps, last_timestep(kind, config, trained)),
        };
        // diffusers accepts a timestep one beyond the training here: "leading" with `steps_offset`
        // 1 and as many steps as the training has.
        check_timesteps(config, steps, &timesteps, trained.len())?;
        let sigmas = timesteps.iter().map(|&t| interpolate(trained, t));
        let sigmas = sigmas.collect();
        Ok(Levels { timesteps, sigmas })
    }

    /// The same number of levels in another spacing.
    fn spaced(
        self,
        kind: SamplerKind,
        schedule: ScheduleKind,
        config: &SchedulerConfig,
        trained: &[f64],
    ) -> Self {
        let count = self.sigmas.len();
        let schedule = match schedule {
            ScheduleKind::Model if has_lu_sigmas(kind, config) => {
                let sigmas = sigmas::lu(trained_range(trained), count);
                return Levels::at(kind, ScheduleKind::Karras, config, trained, sigmas);
            }
            schedule => resolve(kind, schedule, config),
        };
        let range = match kind.table() {
            Table::Sampled => Range {
                max: self.sigmas[0],
                min: self.sigmas[count - 1],
            },
            _ => trained_range(trained),
        };
        let range = match reads_range(kind, schedule) {
            true => Range {
                max: config.sigma_max.unwrap_or(range.max),
                min: config.sigma_min.unwrap_or(range.min),
            },
            false => range,
        };
        let sigmas = match schedule {
            ScheduleKind::Model | ScheduleKind::Normal => return self,
            ScheduleKind::Karras => sigmas::karras(range, count),
            ScheduleKind::Exponential => sigmas::exponential(range, count),
            ScheduleKind::Beta => sigmas::beta(range, count),
            ScheduleKind::SgmUniform => sigmas::sgm_uniform(trained, count),
            ScheduleKind::Simple => sigmas::simple(trained, count),
            ScheduleKind::Ays => sigmas::align_your_steps(count),
        };
        Levels::at(kind, schedule, config, trained, sigmas)
    }

    /// These sigmas, with timesteps rounded as the kind's class rounds them.
    fn at(
        kind: SamplerKind,
        schedule: ScheduleKind,
        config: &SchedulerConfig,
        trained: &[f64],
        sigmas: Vec<f64>,
    ) -> Self {
        let cosine = config.beta_schedule == BetaSchedule::SquaredcosCapV2;
        let karras = schedule == ScheduleKind::Karras;
        let truncated = matches!(schedule, ScheduleKind::Exponential | ScheduleKind::Beta)
            || (karras && cosine && is_dpm_multistep(kind));
        let midpoint = matches!(kind, SamplerKind::Dpm2 | SamplerKind::Dpm2A);
        // k-diffusion's schedules are not rounded, in any sampler.
        let whole = |t: f64| match (kind.table(), schedule) {
            (Table::Sampled, ScheduleKind::Karras) if midpoint => t.round_ties_even(),
            (Table::Sampled, _) => f64::from(t as f32),
            _ if truncated => t.trunc(),
            (_, ScheduleKind::Karras) => t.round_ties_even(),
            _ => f64::from(t as f32),
        };
        let timesteps = timesteps_of(trained, &sigmas).into_iter().map(whole);
        let timesteps = timesteps.collect();
        Levels { timesteps, sigmas }
    }
}

impl ScheduleKind {
    /// The schedule type that [`ScheduleKind::Model`] stands for with the sampler `kind`, by the
    /// first of the file's keys that its class reads. It stays `Model` where it has no other name.
    pub fn resolve(self, kind: SamplerKind, config: &SchedulerConfig) -> ScheduleKind {
        resolve(kind, self, config)
    }
}

fn resolve(kind: SamplerKind, schedule: ScheduleKind, config: &SchedulerConfig) -> ScheduleKind {
    let reads_keys = !matches!(kind, SamplerKind::EulerA) && kind.has_schedules();
    let keys = [
        (config.use_karras_sigmas, ScheduleKind::Karras),
        (config.use_exponential_sigmas, ScheduleKind::Exponential),
        (config.use_beta_sigmas, ScheduleKind::Beta),
    ];
    let mut set = keys.into_iter().filter(|(key, _)| *key == Some(true));
    match schedule {
        ScheduleKind::Model if !kind.has_schedules() => ScheduleKind::Model,
        ScheduleKind::Model if has_lu_sigmas(kind, config) => ScheduleKind::Model,
        ScheduleKind::Model if reads_keys => {
            set.next().map_or(ScheduleKind::Normal, |(_, kind)| kind)
        }
        ScheduleKind::Model => ScheduleKind::Normal,
        other => other,
    }
}

/// True for the samplers of diffusers' `DPMSolverMultistepScheduler`.
fn is_dpm_multistep(kind: SamplerKind) -> bool {
    use SamplerKind::{Dpmpp2m, Dpmpp2mSde, Dpmpp3mSde};
    matches!(kind, Dpmpp2m | Dpmpp2mSde | Dpmpp3mSde)
}

/// True if the model asks for sigmas that only `DPMSolverMultistepScheduler` has.
fn has_lu_sigmas(kind: SamplerKind, config: &SchedulerConfig) -> bool {
    is_dpm_multistep(kind)
        && config.use_lu_lambdas == Some(true)
        && config.use_karras_sigmas != Some(true)
}

/// True if the spacing begins and ends at the configuration's `sigma_max` and `sigma_min`, where it
/// has them. Karras' sigmas of some of diffusers' classes do not read the keys.
fn reads_range(kind: SamplerKind, schedule: ScheduleKind) -> bool {
    use SamplerKind::{Dpmpp2sA, DpmppSde, Lms};
    schedule != ScheduleKind::Karras || !matches!(kind, Lms | DpmppSde | Dpmpp2sA)
}

/// The sigma of each training timestep.
pub(super) fn trained_sigmas(kind: SamplerKind, config: &SchedulerConfig) -> Vec<f64> {
    use SamplerKind::{Euler, EulerA, UniPc};
    let reads = is_dpm_multistep(kind) || matches!(kind, Euler | EulerA | UniPc);
    let zero_snr = match reads {
        true => ZeroSnr::Finite,
        false => ZeroSnr::Ignored,
    };
    Trained::new(config, zero_snr).sigmas()
}

fn trained_range(trained: &[f64]) -> Range {
    Range {
        max: trained[trained.len() - 1],
        min: trained[0],
    }
}

/// The spacing of timesteps. `DPMSolverSinglestepScheduler` does not have the key.
fn spacing(kind: SamplerKind, config: &SchedulerConfig) -> TimestepSpacing {
    match kind {
        SamplerKind::Dpmpp2s => TimestepSpacing::Linspace,
        _ => config.timestep_spacing.unwrap_or(TimestepSpacing::Linspace),
    }
}

/// Number of training timesteps that a run uses: `lambda_min_clipped` leaves out those with less
/// signal.
fn last_timestep(kind: SamplerKind, config: &SchedulerConfig, trained: &[f64]) -> usize {
    let reads = is_dpm_multistep(kind) || kind == SamplerKind::Dpmpp2s;
    match config.lambda_min_clipped {
        // Lambda is the negative logarithm of sigma.
        Some(least) if reads => {
            let used = trained.iter().take_while(|sigma| -sigma.ln() >= least);
            used.count().max(1)
        }
        _ => trained.len(),
    }
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

/// Checks that a schedule from pure noise is used with a prediction of v. A prediction of noise
/// says nothing about a picture that has no trace in the latent.
pub(super) fn check_signal(
    sampler: &str,
    config: &SchedulerConfig,
    schedule: &Schedule,
) -> Result<()> {
    let pure_noise = schedule.sigmas[0].is_infinite();
    if config.prediction_type != PredictionType::Epsilon || !pure_noise {
        return Ok(());
    }
    if !config.rescale_betas_zero_snr {
        check_sigmas(config, &schedule.sigmas[..1], f64::MAX)?;
    }
    Err(Error::config(
        SchedulerConfig::FILE,
        "rescale_betas_zero_snr",
        true,
        format!("false for {sampler} with prediction_type \"epsilon\""),
    ))
}

fn too_many(steps: usize, why: &str) -> Error {
    Error::request("steps", steps, format!("fewer, because {why}"))
}

/// The sigma after the last step, by the configuration's `final_sigmas_type`. The default of all of
/// diffusers' classes is zero; only some have the key.
fn final_sigma(
    kind: SamplerKind,
    schedule: ScheduleKind,
    config: &SchedulerConfig,
    trained: &[f64],
    sigmas: &[f64],
) -> Result<f64> {
    let last = sigmas[sigmas.len() - 1];
    if kind == SamplerKind::Deis {
        // In its variable a step to zero has no end. Its class stops at the training's first sigma.
        return Ok(trained[0].min(last));
    }
    let reads = kind.table() == Table::Trained || kind == SamplerKind::Euler;
    match config.final_sigmas_type.as_deref() {
        _ if !reads => Ok(0.0),
        None | Some("zero") => Ok(0.0),
        Some("sigma_min") => {
            let plain = matches!(
                resolve(kind, schedule, config),
                ScheduleKind::Model | ScheduleKind::Normal
            );
            Ok(match kind {
                SamplerKind::UniPc if !plain => last,
                _ => trained[0].min(last),
            })
        }
        Some(other) => Err(Error::config(
            SchedulerConfig::FILE,
            "final_sigmas_type",
            format!("\"{other}\""),
            "\"zero\" or \"sigma_min\"",
        )),
    }
}
