//! `scheduler/scheduler_config.json`: the noise schedule of the training, and the model's own
//! sampler.

use std::str::FromStr;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{check_positive, check_range, object, require_one_of, typed};
use crate::error::{Error, Result};

/// Maximum number of training timesteps: a table of so many takes 0.5 MB. Every Stable Diffusion
/// model has 1000.
const MAX_TIMESTEPS: usize = 10_000;

/// Growth of beta over the training timesteps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BetaSchedule {
    /// Linear.
    Linear,
    /// Linear in the square root of beta: every Stable Diffusion model.
    ScaledLinear,
    /// Cosine schedule of improved DDPM.
    #[serde(rename = "squaredcos_cap_v2")]
    SquaredcosCapV2,
}

/// The quantity that the U-Net predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PredictionType {
    /// The noise.
    Epsilon,
    /// `v = α·noise − σ·x0` (SD2.x at 768).
    VPrediction,
}

/// Choice of the sampling timesteps among the training timesteps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimestepSpacing {
    /// Multiples of the step width, from below.
    Leading,
    /// Evenly from 0 to the last.
    Linspace,
    /// Multiples of the step width, from the end.
    Trailing,
}

impl FromStr for TimestepSpacing {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "leading" => Ok(TimestepSpacing::Leading),
            "linspace" => Ok(TimestepSpacing::Linspace),
            "trailing" => Ok(TimestepSpacing::Trailing),
            other => {
                let expected = "leading, linspace or trailing";
                Err(Error::request("timestep spacing", other, expected))
            }
        }
    }
}

/// The sigma after the last step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinalSigma {
    /// No noise is left.
    Zero,
    /// The lowest sigma of the training.
    SigmaMin,
}

impl FinalSigma {
    /// The value of `final_sigmas_type`.
    pub fn name(self) -> &'static str {
        match self {
            FinalSigma::Zero => "zero",
            FinalSigma::SigmaMin => "sigma_min",
        }
    }
}

impl FromStr for FinalSigma {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "zero" => Ok(FinalSigma::Zero),
            "sigma_min" => Ok(FinalSigma::SigmaMin),
            other => Err(Error::request("final sigma", other, "zero or sigma_min")),
        }
    }
}

/// `scheduler/scheduler_config.json` of a diffusers scheduler.
///
/// An optional key is `None` if the file leaves it out: diffusers' scheduler classes differ in
/// their defaults, so each sampler has its own.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct SchedulerConfig {
    /// diffusers' scheduler class: the model's own sampler.
    #[serde(rename = "_class_name")]
    pub class_name: String,
    /// Number of training timesteps (1000).
    pub num_train_timesteps: usize,
    /// First beta.
    pub beta_start: f64,
    /// Last beta.
    pub beta_end: f64,
    /// Growth of beta between them.
    pub beta_schedule: BetaSchedule,
    /// All betas, if the file lists them.
    pub trained_betas: Option<Vec<f64>>,
    /// The quantity that the U-Net predicts.
    pub prediction_type: PredictionType,
    /// Spacing of the sampling timesteps.
    pub timestep_spacing: Option<TimestepSpacing>,
    /// Added to every timestep of "leading" spacing.
    pub steps_offset: i64,
    /// True if the last step of ddim and pndm assumes ᾱ = 1 (default: true for ddim, false for
    /// pndm).
    pub set_alpha_to_one: Option<bool>,
    /// True if pndm leaves out its Runge–Kutta steps (Stable Diffusion: true).
    pub skip_prk_steps: bool,
    /// True if ddim, ddpm, lcm and heun clip the denoised latent (Stable Diffusion: false).
    pub clip_sample: Option<bool>,
    /// Bound of that clipping: −range to range.
    pub clip_sample_range: f64,
    /// True if the denoised latent is limited, by samplers that predict it.
    pub thresholding: bool,
    /// Bound of that limit; above 1 it is dynamic, which Darkroom does not have.
    pub sample_max_value: f64,
    /// True if sigmas are spaced as Karras et al. space them.
    pub use_karras_sigmas: Option<bool>,
    /// True if sigmas are even in their logarithm.
    pub use_exponential_sigmas: Option<bool>,
    /// True if sigmas are spaced by a beta distribution.
    pub use_beta_sigmas: Option<bool>,
    /// True if dpm++2m's sigmas are even in the logarithm.
    pub use_lu_lambdas: Option<bool>,
    /// Lowest sigma of these spacings.
    pub sigma_min: Option<f64>,
    /// Highest sigma of these spacings.
    pub sigma_max: Option<f64>,
    /// Lowest lambda of dpm++2m's and dpm++2s' timesteps.
    pub lambda_min_clipped: Option<f64>,
    /// True if betas are rescaled so that the last timestep has no signal at all.
    pub rescale_betas_zero_snr: bool,
    /// "zero" or "sigma_min": the sigma after the last step of euler, dpm++2m, dpm++2s and unipc.
    pub final_sigmas_type: Option<String>,
    /// True if dpm++2m's last step is of first order when there are few steps.
    pub lower_order_final: Option<bool>,
    /// True if dpm++2m's last step is always of first order.
    pub euler_at_final: Option<bool>,
    /// Order of the multistep solvers (2).
    pub solver_order: Option<usize>,
    /// Equation and method of `DPMSolverMultistepScheduler`.
    pub algorithm_type: Option<String>,
    /// "midpoint" or "heun" for dpm++2m, "bh1" or "bh2" for unipc.
    pub solver_type: Option<String>,
    /// Variance of ddpm's noise.
    pub variance_type: Option<String>,
    /// Steps of the schedule that lcm and tcd models were distilled with (50).
    pub original_inference_steps: usize,
    /// Factor on the timestep in lcm's boundary condition (10).
    pub timestep_scaling: f64,
    /// Keys with a value that Darkroom does not have, and that value.
    #[serde(skip)]
    pub unsupported: Vec<(&'static str, String)>,
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        SchedulerConfig {
            class_name: String::new(),
            num_train_timesteps: 1000,
            beta_start: 0.0001,
            beta_end: 0.02,
            beta_schedule: BetaSchedule::Linear,
            trained_betas: None,
            prediction_type: PredictionType::Epsilon,
            timestep_spacing: None,
            steps_offset: 0,
            set_alpha_to_one: None,
            skip_prk_steps: false,
            clip_sample: None,
            clip_sample_range: 1.0,
            thresholding: false,
            sample_max_value: 1.0,
            use_karras_sigmas: None,
            use_exponential_sigmas: None,
            use_beta_sigmas: None,
            use_lu_lambdas: None,
            sigma_min: None,
            sigma_max: None,
            lambda_min_clipped: None,
            rescale_betas_zero_snr: false,
            final_sigmas_type: None,
            lower_order_final: None,
            euler_at_final: None,
            solver_order: None,
            algorithm_type: None,
            solver_type: None,
            variance_type: None,
            original_inference_steps: 50,
            timestep_scaling: 10.0,
            unsupported: Vec::new(),
        }
    }
}

impl SchedulerConfig {
    /// Path within a model folder, for error messages.
    pub const FILE: &str = "scheduler/scheduler_config.json";

    /// Reads the JSON text of `file`. Samplers read different keys, so a value that Darkroom does
    /// not have is only recorded, in [`SchedulerConfig::unsupported`]. A null counts as absent.
    ///
    /// # Errors
    /// [`Error::File`] if the text is not a JSON object, [`Error::Config`] for a value that no
    /// sampler could use.
    pub fn from_json(file: &str, text: &[u8]) -> Result<Self> {
        let mut json = object(file, text)?;
        json.retain(|_, value| !value.is_null());
        // Before the conversion, because serde's message would not list the supported names.
        require_supported(file, &json, &supported_names())?;
        let mut config: SchedulerConfig = typed(file, &json)?;
        config.unsupported = unsupported(&json);
        let timesteps = config.num_train_timesteps;
        check_range(file, "num_train_timesteps", timesteps, MAX_TIMESTEPS)?;
        if let Some(betas) = &config.trained_betas {
            config.num_train_timesteps = betas.len();
            let key = "trained_betas (its length)";
            check_range(file, key, betas.len(), MAX_TIMESTEPS)?;
        }
        check_positive(file, "clip_sample_range", config.clip_sample_range)?;
        check_positive(file, "timestep_scaling", config.timestep_scaling)?;
        for (key, sigma) in [
            ("sigma_min", config.sigma_min),
            ("sigma_max", config.sigma_max),
        ] {
            sigma.map_or(Ok(()), |sigma| check_positive(file, key, sigma))?;
        }
        config.check_betas(file)?;
        Ok(config)
    }

    /// Checks that every beta is between 0 and 1.
    fn check_betas(&self, file: &str) -> Result<()> {
        let listed = self.trained_betas.as_deref().unwrap_or(&[]);
        for (key, values) in [
            ("beta_start", &[self.beta_start][..]),
            ("beta_end", &[self.beta_end]),
            ("trained_betas", listed),
        ] {
            if let Some(beta) = values.iter().find(|&&beta| !(beta > 0.0 && beta < 1.0)) {
                return Err(Error::config(file, key, beta, "between 0 and 1"));
            }
        }
        Ok(())
    }
}

/// A key and the values of it that are supported besides null.
type Supported = (&'static str, Vec<Value>);

/// Keys with a name as value, and the names supported.
fn supported_names() -> [Supported; 3] {
    let names = |list: &[&str]| list.iter().map(|&name| name.into()).collect();
    [
        (
            "beta_schedule",
            names(&["linear", "scaled_linear", "squaredcos_cap_v2"]),
        ),
        ("prediction_type", names(&["epsilon", "v_prediction"])),
        (
            "timestep_spacing",
            names(&["leading", "linspace", "trailing"]),
        ),
    ]
}

/// Keys of diffusers' schedulers that Darkroom supports for some values only.
fn supported_values() -> [Supported; 9] {
    [
        ("disable_corrector", vec![Value::Array(Vec::new())]),
        ("interpolation_type", vec!["linear".into()]),
        ("predict_x0", vec![true.into()]),
        ("solver_p", vec![]),
        ("timestep_type", vec!["discrete".into()]),
        ("use_dynamic_shifting", vec![false.into()]),
        ("use_flow_sigmas", vec![false.into()]),
        (
            "variance_type",
            [
                "fixed_small",
                "fixed_small_log",
                "fixed_large",
                "fixed_large_log",
            ]
            .map(Value::from)
            .to_vec(),
        ),
        ("sample_max_value", vec![1.0.into(), 1.into()]),
    ]
}

/// The keys with a value that Darkroom does not have.
fn unsupported(json: &Map<String, Value>) -> Vec<(&'static str, String)> {
    let table = supported_values().into_iter();
    table
        .filter_map(|(key, values)| {
            let value = json.get(key)?;
            (!values.contains(value)).then(|| (key, value.to_string()))
        })
        .collect()
}

fn require_supported(file: &str, json: &Map<String, Value>, table: &[Supported]) -> Result<()> {
    let mut keys = table.iter();
    keys.try_for_each(|(key, values)| require_one_of(file, json, key, values))
}
