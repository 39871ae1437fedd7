//! A summary of a loaded model for user interfaces.

use serde::Serialize;

use super::Pipeline;
use crate::config::PredictionType;
use crate::error::Result;
use crate::sampling::SamplerKind;

/// Defaults and limits of a loaded model.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct ModelInfo {
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
        Ok(ModelInfo {
            default_sampler: SamplerKind::from_config(&config.scheduler)?.name(),
            samplers: SamplerKind::ALL.iter().map(|kind| kind.name()).collect(),
            default_width,
            default_height,
            size_multiple: config.pixels_per_latent(),
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
