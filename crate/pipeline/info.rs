//! A summary of a loaded model for user interfaces.

use serde::Serialize;

use super::Pipeline;
use super::generation::MAX_SIDE;
use crate::config::{ModelKind, PredictionType};
use crate::error::Result;
use crate::sampling::guidance::GuidanceKind;
use crate::sampling::{OwnSampler, SamplerKind, SamplerName, ScheduleKind};

/// Defaults and limits of a loaded model.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct ModelInfo {
    /// "standard", "lcm" (a latent consistency model) or "turbo" (SD-Turbo).
    pub kind: &'static str,
    /// Sampling steps to start with.
    pub default_steps: usize,
    /// Guidance scale to start with. At 1 the negative prompt has no effect without normalized
    /// attention guidance (NAG).
    pub default_guidance_scale: f64,
    /// True if the U-Net reads the guidance scale itself: a negative prompt has an effect by
    /// normalized attention guidance (NAG) alone.
    pub guidance_embedded: bool,
    /// Clip skip of the model's training, as the web UI of A1111 counts: 1 for SD1, 2 for SD2.
    pub default_clip_skip: usize,
    /// Number of the text encoder's layers: the largest clip skip leaves one of them.
    pub text_layers: usize,
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
    /// All kinds of guidance; the first is the default.
    pub guidance_kinds: Vec<GuidanceKindInfo>,
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
    /// Amount of fresh noise that a request may change; `null` where it may not.
    #[cfg_attr(target_arch = "wasm32", tsify(type = "number | null"))]
    pub eta: Option<f64>,
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
            eta: kind.own_eta(),
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

/// A kind of guidance, for people and programs.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct GuidanceKindInfo {
    /// Name in requests.
    pub id: &'static str,
    /// Name for people, as the papers write it.
    pub label: &'static str,
    /// Predictions of a call with one prompt and a negative prompt.
    pub branches: usize,
    /// The kind's options: numbers.
    pub options: Vec<GuidanceOptionInfo>,
}

/// An option of a kind of guidance.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct GuidanceOptionInfo {
    /// Name in requests.
    pub id: &'static str,
    /// Value where the request has none.
    pub default: f64,
    /// Lowest value.
    pub lowest: f64,
    /// Highest value.
    pub highest: f64,
    /// True if only whole numbers are allowed.
    pub whole: bool,
}

impl GuidanceKindInfo {
    /// Every kind.
    fn all() -> Vec<Self> {
        let info = |kind: GuidanceKind| GuidanceKindInfo {
            id: kind.name(),
            label: kind.label(),
            branches: kind.branches(),
            options: kind
                .options()
                .iter()
                .map(|option| GuidanceOptionInfo {
                    id: option.name,
                    default: option.default,
                    lowest: option.lowest,
                    highest: option.highest,
                    whole: option.whole,
                })
                .collect(),
        };
        GuidanceKind::ALL.map(info).to_vec()
    }
}

impl ModelInfo {
    /// Summarises `pipeline`.
    ///
    /// # Errors
    /// None in practice: every scheduler file has a sampler.
    pub(super) fn of(pipeline: &Pipeline) -> Result<Self> {
        let config = pipeline.config();
        let [default_width, default_height] = config.default_size();
        let kind = ModelKind::of(config);
        let text = &config.text;
        let own = OwnSampler::of(&config.scheduler).kind;
        let schedule = ScheduleKind::Model.resolve(own, &config.scheduler);
        Ok(ModelInfo {
            kind: kind.name(),
            default_steps: kind.default_steps(),
            default_guidance_scale: kind.default_guidance_scale(),
            guidance_embedded: config.unet.time_cond_proj_dim.is_some(),
            default_clip_skip: text.own_clip_skip(),
            text_layers: text.num_hidden_layers,
            default_sampler: SamplerName::joined(own, schedule),
            default_schedule: schedule.name(),
            samplers: SamplerName::all(),
            sampler_list: SamplerInfo::all(),
            schedules: ScheduleInfo::all(),
            guidance_kinds: GuidanceKindInfo::all(),
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
