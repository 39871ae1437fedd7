//! A summary of a loaded model for user interfaces.

use serde::Serialize;

use super::Pipeline;
use crate::config::PredictionType;
use crate::error::Result;
use crate::sampling::{OwnSampler, SamplerKind, SamplerName, ScheduleKind};

/// Defaults and limits of a loaded model.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct ModelInfo {
    /// Name of the model's own sampler, with its schedule type if `samplers` has both in one name.
    pub default_sampler: &'static str,
    /// The schedule type that the model's own sampler has; "model" where it has no other name.
    pub default_schedule: &'static str,
    /// Names of all samplers, and `dpm++2m-karras`, which is a sampler with a schedule type.
    pub samplers: Vec<&'static str>,
    /// All samplers.
    pub sampler_list: Vec<SamplerInfo>,
    /// All schedule types; the first leaves the choice to the model.
    pub schedules: Vec<ScheduleInfo>,
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

/// A sampler, for people and programs.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct SamplerInfo {
    /// Name in requests.
    pub id: &'static str,
    /// Name for people, as A1111's web UI writes it.
    pub label: &'static str,
    /// U-Net calls in a step; the last step takes one.
    pub calls_per_step: usize,
    /// True if each step adds fresh noise.
    pub noisy: bool,
    /// True if schedule types have an effect.
    pub schedules: bool,
}

impl SamplerInfo {
    /// Every sampler.
    fn all() -> Vec<Self> {
        let info = |kind: SamplerKind| SamplerInfo {
            id: kind.name(),
            label: kind.label(),
            calls_per_step: kind.calls_per_step(),
            noisy: kind.is_noisy(),
            schedules: kind.has_schedules(),
        };
        SamplerKind::ALL.map(info).to_vec()
    }
}

/// A schedule type, for people and programs.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct ScheduleInfo {
    /// Name in requests.
    pub id: &'static str,
    /// Name for people, as A1111's web UI writes it.
    pub label: &'static str,
}

impl ScheduleInfo {
    /// Every schedule type.
    fn all() -> Vec<Self> {
        let info = |kind: ScheduleKind| ScheduleInfo {
            id: kind.name(),
            label: kind.label(),
        };
        ScheduleKind::ALL.map(info).to_vec()
    }
}

impl ModelInfo {
    /// Summarises `pipeline`.
    ///
    /// # Errors
    /// None in practice: every scheduler file has a sampler.
    pub(super) fn of(pipeline: &Pipeline) -> Result<Self> {
        let config = pipeline.config();
        let size = config.default_size();
        let own = OwnSampler::of(&config.scheduler).kind;
        let schedule = ScheduleKind::Model.resolve(own, &config.scheduler);
        Ok(ModelInfo {
            default_sampler: SamplerName::joined(own, schedule),
            default_schedule: schedule.name(),
            samplers: SamplerName::all(),
            sampler_list: SamplerInfo::all(),
            schedules: ScheduleInfo::all(),
            default_width: size,
            default_height: size,
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
