//! Kind of a model: how many steps and how much guidance it was trained for.

use super::{Activation, ModelConfig, PredictionType, TimestepSpacing};

/// Kind of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelKind {
    /// Trained for many steps with guidance.
    Standard,
    /// A latent consistency model: few steps, with the guidance scale as an input of the U-Net. A
    /// negative prompt has no effect.
    Lcm,
    /// SD-Turbo: one to four steps without guidance.
    Turbo,
}

impl ModelKind {
    /// The kind of the model of `config`.
    ///
    /// Only latent consistency models embed the guidance scale. SD-Turbo has the shapes of SD2; its
    /// scheduler tells it apart: Euler with trailing timesteps for predictions of the noise.
    pub fn of(config: &ModelConfig) -> Self {
        let scheduler = &config.scheduler;
        if config.unet.time_cond_proj_dim.is_some() {
            return ModelKind::Lcm;
        }
        let turbo = scheduler.class_name.starts_with("Euler")
            && scheduler.timestep_spacing == Some(TimestepSpacing::Trailing)
            && scheduler.prediction_type == PredictionType::Epsilon
            && config.text.hidden_act == Activation::Gelu;
        match turbo {
            true => ModelKind::Turbo,
            false => ModelKind::Standard,
        }
    }

    /// "standard", "lcm" or "turbo".
    pub fn name(self) -> &'static str {
        match self {
            ModelKind::Standard => "standard",
            ModelKind::Lcm => "lcm",
            ModelKind::Turbo => "turbo",
        }
    }

    /// Sampling steps where the user asks for none: those of the authors' examples.
    pub fn default_steps(self) -> usize {
        match self {
            ModelKind::Standard => 20,
            ModelKind::Lcm => 4,
            ModelKind::Turbo => 1,
        }
    }

    /// Guidance scale where the user asks for none: that of the authors' examples.
    pub fn default_guidance_scale(self) -> f64 {
        match self {
            ModelKind::Standard => 7.5,
            ModelKind::Lcm => 8.0,
            ModelKind::Turbo => 1.0,
        }
    }
}
