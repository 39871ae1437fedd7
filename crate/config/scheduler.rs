//! `scheduler/scheduler_config.json`: how the model was trained, and its own sampler.

use serde::Deserialize;
use serde_json::Value;

use super::{object, only, sane, typed};
use crate::error::{Error, Result};

/// Every Stable Diffusion model has 1000. A table of this many takes 0.5 MB.
const TIMESTEPS_AT_MOST: usize = 10_000;

/// How beta grows over the training timesteps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BetaSchedule {
    /// Evenly.
    Linear,
    /// Evenly in its square root: every Stable Diffusion model.
    ScaledLinear,
    /// Cosine schedule of improved DDPM.
    #[serde(rename = "squaredcos_cap_v2")]
    SquaredcosCapV2,
}

/// What the U-Net's output means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PredictionType {
    /// The noise.
    Epsilon,
    /// `v = α·noise − σ·x0` (SD2.x at 768).
    VPrediction,
}

/// Which of the training timesteps the sampling steps use.
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

/// `scheduler/scheduler_config.json`. `None` where the file is silent: diffusers' scheduler classes differ in their
/// defaults, so each sampler fills in its own.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct SchedulerConfig {
    /// diffusers' class, the model's own sampler.
    #[serde(rename = "_class_name")]
    pub class_name: String,
    /// Timesteps of the training (1000).
    pub num_train_timesteps: usize,
    /// First beta.
    pub beta_start: f64,
    /// Last beta.
    pub beta_end: f64,
    /// How beta grows between them.
    pub beta_schedule: BetaSchedule,
    /// All betas, where a file lists them.
    pub trained_betas: Option<Vec<f64>>,
    /// What the U-Net predicts.
    pub prediction_type: PredictionType,
    /// Spacing of the sampling timesteps.
    pub timestep_spacing: Option<TimestepSpacing>,
    /// Added to every timestep of "leading" spacing.
    pub steps_offset: i64,
    /// Whether the last step of ddim and pndm assumes ᾱ = 1 (default true for ddim, false for pndm).
    pub set_alpha_to_one: Option<bool>,
    /// Whether pndm leaves out its Runge–Kutta steps (Stable Diffusion: true).
    pub skip_prk_steps: bool,
    /// Whether ddim clips the predicted picture (Stable Diffusion: false; diffusers' default: true).
    pub clip_sample: Option<bool>,
    /// To which range.
    pub clip_sample_range: f64,
    /// Whether dpm++2m uses Karras' sigmas.
    pub use_karras_sigmas: Option<bool>,
    /// Whether betas are rescaled so that the last timestep has no signal at all.
    pub rescale_betas_zero_snr: bool,
    /// "zero" or "sigma_min": where the last step of dpm++2m and unipc ends.
    pub final_sigmas_type: Option<String>,
    /// Whether dpm++2m's last step is of first order for few steps.
    pub lower_order_final: Option<bool>,
    /// Whether dpm++2m's last step is always of first order.
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
    pub fn from_json(file: &str, text: &[u8]) -> Result<Self> {
        let json = object(file, text)?;
        let names = |list: &[&str]| list.iter().map(|&s| s.into()).collect::<Vec<Value>>();
        // First, so that the error names them in full: serde's message does not carry the key.
        for (key, list) in [
            (
                "beta_schedule",
                &["linear", "scaled_linear", "squaredcos_cap_v2"][..],
            ),
            ("prediction_type", &["epsilon", "v_prediction"]),
            ("timestep_spacing", &["leading", "linspace", "trailing"]),
        ] {
            only(file, &json, key, &names(list))?;
        }
        let mut config: SchedulerConfig = typed(file, &json)?;
        let supported: &[(&str, &[Value])] = &[
            ("disable_corrector", &[Value::Array(Vec::new())]),
            ("interpolation_type", &["linear".into()]),
            ("lambda_min_clipped", &[]),
            ("predict_x0", &[true.into()]),
            ("sigma_max", &[]),
            ("sigma_min", &[]),
            ("solver_p", &[]),
            ("thresholding", &[false.into()]),
            ("timestep_type", &["discrete".into()]),
            ("use_beta_sigmas", &[false.into()]),
            ("use_dynamic_shifting", &[false.into()]),
            ("use_exponential_sigmas", &[false.into()]),
            ("use_flow_sigmas", &[false.into()]),
            ("use_lu_lambdas", &[false.into()]),
            ("variance_type", &["fixed_small".into()]),
        ];
        for (key, values) in supported {
            only(file, &json, key, values)?;
        }
        sane(
            file,
            "num_train_timesteps",
            config.num_train_timesteps,
            TIMESTEPS_AT_MOST,
        )?;
        if let Some(betas) = &config.trained_betas {
            config.num_train_timesteps = betas.len();
            sane(
                file,
                "trained_betas (its length)",
                betas.len(),
                TIMESTEPS_AT_MOST,
            )?;
        }
        let range = config.clip_sample_range;
        if !(range > 0.0 && range.is_finite()) {
            return Err(Error::config(
                file,
                "clip_sample_range",
                range,
                "a number above 0",
            ));
        }
        let listed = config.trained_betas.as_deref().unwrap_or(&[]);
        let betas = [
            ("beta_start", &[config.beta_start][..]),
            ("beta_end", &[config.beta_end]),
            ("trained_betas", listed),
        ];
        for (key, values) in betas {
            if let Some(beta) = values.iter().find(|&&beta| !(beta > 0.0 && beta < 1.0)) {
                return Err(Error::config(file, key, beta, "between 0 and 1"));
            }
        }
        Ok(config)
    }
}
