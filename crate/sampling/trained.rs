//! The noise levels of a model's training, and the conversion between timesteps and sigmas.

use crate::config::{BetaSchedule, SchedulerConfig};

/// The noise levels of a model's training.
#[derive(Debug, Clone)]
pub(super) struct Trained {
    /// ᾱ, the signal's share of the latent's variance, for each training timestep.
    pub alphas_cumprod: Vec<f32>,
}

/// The effect of `rescale_betas_zero_snr`, in which diffusers' scheduler classes differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ZeroSnr {
    /// None: the class does not have the key.
    Ignored,
    /// The last timestep is pure noise, ᾱ = 0 (samplers that count in timesteps).
    Exact,
    /// The last ᾱ is 2⁻²⁴, so that its sigma stays finite (samplers that count in sigma).
    Finite,
}

impl Trained {
    /// The noise levels of the training that `config` describes.
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

    /// ᾱ at timestep `t`; `None` below the first.
    pub fn at(&self, t: i64) -> Option<f64> {
        let t = usize::try_from(t).ok()?;
        self.alphas_cumprod.get(t).map(|&a| f64::from(a))
    }

    /// Sigma, the noise's standard deviation in units of the signal's, of each training timestep:
    /// `√((1 − ᾱ) / ᾱ)`.
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

/// `torch.linspace(start, end, n, dtype=torch.float32)`, which counts from both ends to the middle.
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

/// Algorithm 1 of Lin et al. (arXiv 2305.08891): shifts and scales √ᾱ so that the last timestep has
/// no signal.
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

/// The trained sigma at any timestep, by linear interpolation (`np.interp`; constant beyond the
/// ends).
pub(super) fn interpolate(trained: &[f64], timestep: f64) -> f64 {
    let last = trained.len() - 1;
    let below = (timestep.max(0.0) as usize).min(last);
    let above = (below + 1).min(last);
    let slope = trained[above] - trained[below];
    slope * (timestep - below as f64).clamp(0.0, 1.0) + trained[below]
}

/// The timesteps at which the trained schedule has these sigmas, by linear interpolation of log
/// sigma (`_sigma_to_t`).
pub(super) fn timesteps_of(trained: &[f64], sigmas: &[f64]) -> Vec<f64> {
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
