//! A summary of a loaded model for user interfaces.

use serde::Serialize;

use super::Pipeline;
use super::generation::MAX_SIDE;
use crate::config::{ModelKind, PredictionType};
use crate::error::Result;
use crate::sampling::SamplerKind;

/// Defaults and limits of a loaded model.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct ModelInfo {
    /// "standard", "lcm" (a latent consistency model) or "turbo" (SD-Turbo).
    pub kind: &'static str,
    /// Sampling steps to start with.
    pub default_steps: usize,
    /// Guidance scale to start with. At 1 the negative prompt has no effect.
    pub default_guidance_scale: f64,
    /// True if the U-Net reads the guidance scale itself: a negative prompt never has an effect.
    pub guidance_embedded: bool,
    /// Clip skip of the model's training, as the web UI of A1111 counts: 1 for SD1, 2 for SD2.
    pub default_clip_skip: usize,
    /// Number of the text encoder's layers: the largest clip skip leaves one of them.
    pub text_layers: usize,
    /// Name of the model's own sampler.
    pub default_sampler: &'static str,
    /// Names of all samplers.
    pub samplers: Vec<&'static str>,
    /// Width of the pictures the model was trained on, in pixels.
    pub default_width: usize,
    /// Height of the pictures the model was trained on, in pixels.
    pub default_height: usize,
    /// Width and height must be multiples of this, in pixels.
    pub size_multiple: usize,
    /// Largest width and height, in pixels.
    pub max_side: usize,
    /// Side of the largest square picture that the device's memory holds, in pixels.
    pub max_square: usize,
    /// Bytes that the model and a picture may take together; `null` where only the system knows.
    #[cfg_attr(target_arch = "wasm32", tsify(type = "number | null"))]
    pub memory_limit: Option<u64>,
    /// "epsilon" or "v_prediction".
    pub prediction_type: &'static str,
    /// Content tokens the model reads in one chunk (75).
    pub max_tokens: usize,
    /// Bytes of weights in the model's files.
    pub weight_bytes: u64,
    /// Warnings about the model's files.
    pub warnings: Vec<String>,
}

impl ModelInfo {
    /// Summarises `pipeline`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a scheduler class that Darkroom does not have.
    pub(super) fn of(pipeline: &Pipeline) -> Result<Self> {
        let config = pipeline.config();
        let [default_width, default_height] = config.default_size();
        let kind = ModelKind::of(config);
        let text = &config.text;
        Ok(ModelInfo {
            kind: kind.name(),
            default_steps: kind.default_steps(),
            default_guidance_scale: kind.default_guidance_scale(),
            guidance_embedded: config.unet.time_cond_proj_dim.is_some(),
            default_clip_skip: text.own_clip_skip(),
            text_layers: text.num_hidden_layers,
            default_sampler: SamplerKind::from_config(&config.scheduler)?.name(),
            samplers: SamplerKind::ALL.iter().map(|kind| kind.name()).collect(),
            default_width,
            default_height,
            size_multiple: config.pixels_per_latent(),
            max_side: MAX_SIDE,
            max_square: max_square(pipeline),
            memory_limit: pipeline.runtime().memory_limit,
            prediction_type: match config.scheduler.prediction_type {
                PredictionType::Epsilon => "epsilon",
                PredictionType::VPrediction => "v_prediction",
            },
            max_tokens: pipeline.tokenizer().max_length() - 2,
            weight_bytes: pipeline.weight_bytes(),
            warnings: pipeline.warnings().to_vec(),
        })
    }
}

/// Side of the largest square picture that the device's memory holds, in pixels: a multiple of 64.
fn max_square(pipeline: &Pipeline) -> usize {
    /// Sides are multiples of this here, as people choose them.
    const UNIT: usize = 64;
    let limit = pipeline.runtime().memory_limit;
    let fits = |units: usize| {
        let side = units * UNIT;
        limit.is_none() || pipeline.memory_plan(side, side).fits(limit)
    };
    let (mut fitting, mut too_large) = (1, MAX_SIDE / UNIT + 1);
    while too_large - fitting > 1 {
        let middle = (fitting + too_large) / 2;
        match fits(middle) {
            true => fitting = middle,
            false => too_large = middle,
        }
    }
    fitting * UNIT
}
