//! Which timesteps a sampler visits and how much noise it takes a latent to have there, for the schedulers of diffusers
//! 0.42 (`schedulers/scheduling_*.py`, `set_timesteps`). Nothing here knows a latent.
//!
//! diffusers keeps its tables in f32 and computes between them in NumPy's f64. The same roundings stand here, because a
//! table that is "better" by 1e-7 moves the noise level of the last trained timesteps by more than 1e-6.

use super::kind::SamplerKind;
use crate::config::{BetaSchedule, SchedulerConfig, TimestepSpacing};
use crate::error::{Error, Result};

/// The way one run of a sampler takes down the noise levels.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// The timestep of each call of the U-Net, from the noisiest down; fractions only where the sampler has them.
    pub timesteps: Vec<f64>,
    /// Sigma at each of the timesteps, and behind the last one the sigma where the run ends.
    pub sigmas: Vec<f64>,
    /// Standard deviation that the first latent must have.
    pub init_noise_sigma: f64,
}

impl Schedule {
    /// The schedule of a sampler that counts in sigma: euler, euler-a, dpm++2m, dpm++2m-karras, unipc.
    ///
    /// # Errors
    /// [`Error::Request`] when two of so many `steps` would fall on the same noise level, [`Error::Config`] for a training
    /// without noise, or without anything else, at some timestep.
    pub fn in_sigma(kind: SamplerKind, config: &SchedulerConfig, steps: usize) -> Result<Self> {
        let spacing = config.timestep_spacing.unwrap_or(TimestepSpacing::Linspace);
        let trained = Trained::new(config, ZeroSnr::Finite).sigmas();
        check_levels(config, &trained, f64::MAX)?;
        let euler = matches!(kind, SamplerKind::Euler | SamplerKind::EulerA);
        let mut timesteps = if euler {
            timesteps_continuous(config, spacing, steps)
        } else {
            timesteps_multistep(config, spacing, steps)
        };
        // diffusers lets a timestep one beyond the training pass here: "leading" with `steps_offset` 1 and every step.
        check_timesteps(config, steps, &timesteps, trained.len())?;
        let mut sigmas: Vec<f64> = timesteps
            .iter()
            .map(|&t| interpolate(&trained, t))
            .collect();
        let mut smallest = trained[0];

        let karras_sigmas = match kind {
            SamplerKind::EulerA | SamplerKind::Dpmpp2m => false,
            SamplerKind::Dpmpp2mKarras => true,
            _ => config.use_karras_sigmas.unwrap_or(false),
        };
        if karras_sigmas {
            let (max, min) = if euler {
                (sigmas[0], sigmas[sigmas.len() - 1])
            } else {
                (trained[trained.len() - 1], trained[0])
            };
            sigmas = karras(max, min, sigmas.len());
            let cosine = config.beta_schedule == BetaSchedule::SquaredcosCapV2;
            let whole = |t: f64| match kind {
                SamplerKind::Euler => f64::from(t as f32),
                SamplerKind::Dpmpp2mKarras if cosine => t.trunc(),
                _ => t.round_ties_even(),
            };
            timesteps = timesteps_of(&trained, &sigmas)
                .into_iter()
                .map(whole)
                .collect();
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

    /// The schedule of a sampler that counts in training timesteps: ddim, pndm. `timesteps` are those of its calls.
    ///
    /// # Errors
    /// [`Error::Request`] or [`Error::Config`] when one of them lies outside the training.
    pub fn in_timesteps(
        config: &SchedulerConfig,
        trained: &Trained,
        steps: usize,
        timesteps: Vec<f64>,
    ) -> Result<Self> {
        check_timesteps(config, steps, &timesteps, trained.len() - 1)?;
        let trained = trained.sigmas();
        let mut sigmas: Vec<f64> = timesteps.iter().map(|&t| trained[t as usize]).collect();
        check_levels(config, &sigmas, f64::INFINITY)?;
        sigmas.push(0.0);
        Ok(Schedule {
            timesteps,
            sigmas,
            init_noise_sigma: 1.0,
        })
    }
}

/// Refuses timesteps outside 0 to `last`: the fault of `steps_offset`, or of so many steps that even an offset of 1 is
/// too much.
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

/// Refuses sigmas that are not above 0 or not at most `most`: betas too small or too large for f32, or too many of them.
pub(super) fn check_levels(config: &SchedulerConfig, sigmas: &[f64], most: f64) -> Result<()> {
    if sigmas.iter().all(|&sigma| sigma > 0.0 && sigma <= most) {
        return Ok(());
    }
    let (key, actual) = match &config.trained_betas {
        Some(betas) => ("trained_betas", format!("a list of {}", betas.len())),
        None => ("beta_end", config.beta_end.to_string()),
    };
    let n = config.num_train_timesteps;
    let expected = format!(
        "betas with which each of the {n} timesteps has some noise and leaves a trace of the picture"
    );
    Err(Error::config(SchedulerConfig::FILE, key, actual, expected))
}

fn too_many(steps: usize, why: &str) -> Error {
    Error::request("steps", steps, format!("fewer, because {why}"))
}

/// The noise levels a model was trained on.
#[derive(Debug, Clone)]
pub struct Trained {
    /// ᾱ, the share of the picture in the latent's variance, for each training timestep.
    pub alphas_cumprod: Vec<f32>,
}

/// What becomes of `rescale_betas_zero_snr`: diffusers' scheduler classes differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ZeroSnr {
    /// The class does not know the key (pndm).
    Ignored,
    /// The last timestep is all noise, ᾱ = 0 (ddim).
    Exact,
    /// The last ᾱ is 2⁻²⁴ instead, so that its sigma stays finite (all samplers that count in sigma).
    Finite,
}

impl Trained {
    /// The schedule of a model's `config`.
    pub fn new(config: &SchedulerConfig, zero_snr: ZeroSnr) -> Self {
        let rescale = config.rescale_betas_zero_snr && zero_snr != ZeroSnr::Ignored;
        let mut betas = betas(config);
        if rescale {
            betas = rescale_zero_terminal_snr(&betas);
        }
        let mut alphas_cumprod = cumprod(&betas);
        if rescale && zero_snr == ZeroSnr::Finite {
            // diffusers' own choice: float16's smallest subnormal.
            alphas_cumprod[betas.len() - 1] = 2f32.powi(-24);
        }
        Trained { alphas_cumprod }
    }

    /// Number of training timesteps.
    pub fn len(&self) -> usize {
        self.alphas_cumprod.len()
    }

    /// True for a model without timesteps, which no valid configuration has.
    pub fn is_empty(&self) -> bool {
        self.alphas_cumprod.is_empty()
    }

    /// ᾱ at timestep `t`; `None` below the first.
    pub fn at(&self, t: i64) -> Option<f64> {
        let t = usize::try_from(t).ok()?;
        self.alphas_cumprod.get(t).map(|&a| f64::from(a))
    }

    /// Sigma, the noise's standard deviation in units of the picture's, of each training timestep: `√((1 − ᾱ) / ᾱ)`.
    pub fn sigmas(&self) -> Vec<f64> {
        self.alphas_cumprod
            .iter()
            .map(|&a| f64::from(((1.0 - a) / a).sqrt()))
            .collect()
    }
}

/// The variance of the noise added at each training timestep.
fn betas(config: &SchedulerConfig) -> Vec<f32> {
    let n = config.num_train_timesteps;
    let (start, end) = (config.beta_start, config.beta_end);
    match (&config.trained_betas, config.beta_schedule) {
        (Some(listed), _) => listed.iter().map(|&beta| beta as f32).collect(),
        (None, BetaSchedule::Linear) => linspace_f32(start, end, n),
        (None, BetaSchedule::ScaledLinear) => linspace_f32(start.sqrt(), end.sqrt(), n)
            .into_iter()
            .map(|root| root * root)
            .collect(),
        (None, BetaSchedule::SquaredcosCapV2) => {
            let alpha_bar = |t: f64| {
                ((t + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2)
                    .cos()
                    .powi(2)
            };
            (0..n)
                .map(|i| [i, i + 1].map(|i| alpha_bar(i as f64 / n as f64)))
                .map(|[now, next]| (1.0 - next / now).min(0.999) as f32)
                .collect()
        }
    }
}

/// `torch.linspace(start, end, n, dtype=torch.float32)`: it counts from both ends towards the middle.
fn linspace_f32(start: f64, end: f64, n: usize) -> Vec<f32> {
    let (start, end) = (start as f32, end as f32);
    let step = (end - start) / (n - 1).max(1) as f32;
    (0..n)
        .map(|i| {
            if i < n / 2 || n == 1 {
                start + step * i as f32
            } else {
                end - step * (n - 1 - i) as f32
            }
        })
        .collect()
}

/// `torch.cumprod(1 − betas)`, which multiplies in f64 and keeps f32.
fn cumprod(betas: &[f32]) -> Vec<f32> {
    let mut product = 1.0;
    betas
        .iter()
        .map(|&beta| {
            product *= f64::from(1.0 - beta);
            product as f32
        })
        .collect()
}

/// Algorithm 1 of Lin et al. (arXiv 2305.08891): shifts and scales √ᾱ so that the last timestep has no signal left.
fn rescale_zero_terminal_snr(betas: &[f32]) -> Vec<f32> {
    let roots: Vec<f32> = cumprod(betas).into_iter().map(f32::sqrt).collect();
    let (first, last) = (roots[0], roots[roots.len() - 1]);
    let scale = first / (first - last);
    let cumulative: Vec<f32> = roots
        .iter()
        .map(|root| (root - last) * scale)
        .map(|root| root * root)
        .collect();
    std::iter::once(1.0 - cumulative[0])
        .chain(cumulative.windows(2).map(|pair| 1.0 - pair[1] / pair[0]))
        .collect()
}

/// The timesteps of euler and euler-a (fractions kept, in f32 as diffusers keeps them), from the noisiest down.
pub fn timesteps_continuous(
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

/// The timesteps of ddim and pndm, from the noisiest down.
pub fn timesteps(config: &SchedulerConfig, spacing: TimestepSpacing, steps: usize) -> Vec<f64> {
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

/// The timesteps of dpm++2m and unipc, which leave out timestep 0 (sigma 0 comes after the last), from the noisiest down.
pub fn timesteps_multistep(
    config: &SchedulerConfig,
    spacing: TimestepSpacing,
    steps: usize,
) -> Vec<f64> {
    let n = config.num_train_timesteps;
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

/// `np.arange(n, 0, -n / steps).round() - 1`, without the element -1 that rounding errors append to it for some counts
/// (61 of 1000, for instance): there diffusers takes one step too many, at a timestep that does not exist.
fn trailing(n: usize, steps: usize) -> Vec<f64> {
    let n = n as f64;
    // NumPy's step is the difference of the first two elements.
    let step = (n - n / steps as f64) - n;
    (0..steps)
        .map(|i| (n + i as f64 * step).round_ties_even() - 1.0)
        .collect()
}

/// The trained sigmas at any timestep, by linear interpolation (`np.interp`; constant beyond the ends).
pub fn interpolate(trained: &[f64], timestep: f64) -> f64 {
    let last = trained.len() - 1;
    let below = (timestep.max(0.0) as usize).min(last);
    let above = (below + 1).min(last);
    let slope = trained[above] - trained[below];
    slope * (timestep - below as f64).clamp(0.0, 1.0) + trained[below]
}

/// `count` sigmas from `max` to `min`, evenly spaced in their seventh root: Karras et al. (arXiv 2206.00364), equation 5.
pub fn karras(max: f64, min: f64, count: usize) -> Vec<f64> {
    const RHO: f64 = 7.0;
    let (max, min) = (max.powf(1.0 / RHO), min.powf(1.0 / RHO));
    linspace_unit(count)
        .map(|ramp| (max + ramp * (min - max)).powf(RHO))
        .collect()
}

/// `np.linspace(0, 1, count)`.
fn linspace_unit(count: usize) -> impl Iterator<Item = f64> {
    let step = 1.0 / (count - 1).max(1) as f64;
    (0..count).map(move |i| {
        if i > 0 && i == count - 1 {
            1.0
        } else {
            i as f64 * step
        }
    })
}

/// The timesteps at which the trained schedule has these sigmas, by linear interpolation of log sigma (`_sigma_to_t`).
pub fn timesteps_of(trained: &[f64], sigmas: &[f64]) -> Vec<f64> {
    // diffusers' logarithms of the trained sigmas are f32.
    let logs: Vec<f64> = trained
        .iter()
        .map(|sigma| f64::from(sigma.ln() as f32))
        .collect();
    let last = logs.len() - 1;
    let timestep_of = |sigma: &f64| {
        let required = sigma.max(1e-10).ln();
        let at_most = logs.partition_point(|&log| log <= required);
        let below = at_most.saturating_sub(1).min(last.saturating_sub(1));
        let (low, high) = (logs[below], logs[(below + 1).min(last)]);
        let w = ((low - required) / (low - high)).clamp(0.0, 1.0);
        (1.0 - w) * below as f64 + w * (below + 1) as f64
    };
    sigmas.iter().map(timestep_of).collect()
}

/// The sigma after the last step, by the config's `final_sigmas_type`; diffusers' classes all default to zero.
pub fn final_sigma(config: &SchedulerConfig, smallest: f64) -> Result<f64> {
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
