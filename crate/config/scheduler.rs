//! `scheduler/scheduler_config.json`: the noise schedule of the training, and the model's own
//! sampler.

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
    /// True if ddim clips the denoised latent (Stable Diffusion: false; diffusers' default: true).
    pub clip_sample: Option<bool>,
    /// Bound of that clipping: −range to range.
    pub clip_sample_range: f64,
    /// True if dpm++2m uses Karras' sigmas.
    pub use_karras_sigmas: Option<bool>,
    /// True if betas are rescaled so that the last timestep has no signal at all.
    pub rescale_betas_zero_snr: bool,
    /// "zero" or "sigma_min": the sigma after the last step of dpm++2m and unipc.
    pub final_sigmas_type: Option<String>,
    /// True if dpm++2m's last step is of first order when there are few steps.
    pub lower_order_final: Option<bool>,
    /// True if dpm++2m's last step is always of first order.
    pub euler_at_final: Option<bool>,
    /// Order of the multistep solvers (2).
    pub solver_order: Option<usize>,
    /// "dpmsolver++" for every model here.
    pub algorithm_type: Option<String>,
    /// "midpoint" or "heun" for dpm++2m, "bh1" or "bh2" for unipc.
    pub solver_type: Option<String>,
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
            use_karras_sigmas: None,
            rescale_betas_zero_snr: false,
            final_sigmas_type: None,
            lower_order_final: None,
            euler_at_final: None,
            solver_order: None,
            algorithm_type: None,
            solver_type: None,
        }
    }
}

impl SchedulerConfig {
    /// Path within a model folder, for error messages.
    pub const FILE: &str = "scheduler/scheduler_config.json";

    /// Reads the JSON text of `file`.
    ///
    /// # Errors
    /// [`Error::File`] if the text is not a JSON object, [`Error::Config`] for a value that is not
    /// supported.
    pub fn from_json(file: &str, text: &[u8]) -> Result<Self> {
        let json = object(file, text)?;
        // Before the conversion, because serde's message would not list the supported names.
        require_supported(file, &json, &supported_names())?;
        let mut config: SchedulerConfig = typed(file, &json)?;
        require_supported(file, &json, &supported_values())?;
        let timesteps = config.num_train_timesteps;
        check_range(file, "num_train_timesteps", timesteps, MAX_TIMESTEPS)?;
        if let Some(betas) = &config.trained_betas {
            config.num_train_timesteps = betas.len();
            let key = "trained_betas (its length)";
            check_range(file, key, betas.len(), MAX_TIMESTEPS)?;
        }
        check_positive(file, "clip_sample_range", config.clip_sample_range)?;
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
fn supported_values() -> [Supported; 15] {
    [
        ("disable_corrector", vec![Value::Array(Vec::new())]),
        ("interpolation_type", vec!["linear".into()]),
        ("lambda_min_clipped", vec![]),
        ("predict_x0", vec![true.into()]),
        ("sigma_max", vec![]),
        ("sigma_min", vec![]),
        ("solver_p", vec![]),
        ("thresholding", vec![false.into()]),
        ("timestep_type", vec!["discrete".into()]),
        ("use_beta_sigmas", vec![false.into()]),
        ("use_dynamic_shifting", vec![false.into()]),
        ("use_exponential_sigmas", vec![false.into()]),
        ("use_flow_sigmas", vec![false.into()]),
        ("use_lu_lambdas", vec![false.into()]),
        ("variance_type", vec!["fixed_small".into()]),
    ]
}

fn require_supported(file: &str, json: &Map<String, Value>, table: &[Supported]) -> Result<()> {
    let mut keys = table.iter();
    keys.try_for_each(|(key, values)| require_one_of(file, json, key, values))
}
