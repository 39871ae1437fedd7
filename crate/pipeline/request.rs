//! The request: two prompts and the settings of a picture, as the page and the command give them.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

use crate::config::{FinalSigma, SchedulerConfig, TimestepSpacing};
use crate::device::memory::tiling::VaeTiling;
use crate::error::{Error, Result};
use crate::sampling::guidance::{
    GuidanceKind, GuidanceSchedule, GuidanceSettings, NegativeOutside, Window,
};
use crate::sampling::{Nag, Rng, SamplerName, ScheduleKind, Seeds};
use crate::text::prompt::PromptSyntax;
use crate::text::prompt::emphasis::Emphasis;
use crate::text::tokenizer::LongPrompt;

/// Prompts and settings of a picture.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct Request {
    /// Describes what the picture should show. May be empty.
    pub prompt: String,
    /// Describes what it should not show. Empty: plain classifier-free guidance.
    pub negative_prompt: String,
    /// Seed of the noise. In JSON a number, or a string of digits, because JavaScript's numbers are
    /// exact only to 2⁵³.
    #[serde(deserialize_with = "seed")]
    #[cfg_attr(target_arch = "wasm32", tsify(type = "string | number"))]
    pub seed: u64,
    /// Sampling steps, 1 to the model's training timesteps (1000).
    pub steps: usize,
    /// Guidance scale, 0 to 100. At 1 the negative prompt has no effect but by NAG, and half the
    /// work is saved; below 1 the picture moves toward it. Latent consistency models read the scale
    /// themselves, and a negative prompt only by NAG.
    pub guidance_scale: f64,
    /// Scale of normalized attention guidance (NAG), 0 to 100; at most 1: off. The negative prompt
    /// then acts within the attention to the prompt, at guidance scale 1 and in latent consistency
    /// models too.
    pub nag_scale: f64,
    /// Largest growth of an attention's norm by NAG, 0 to 100.
    pub nag_tau: f64,
    /// Share of the guided attention in NAG's result, 0 to 1.
    pub nag_alpha: f64,
    /// Strength of the negative prompt, 0 to 2: its embedding on the line from the empty prompt's
    /// (0) through its own (1).
    pub negative_strength: f64,
    /// Shares of the steps from and up to which the negative prompt is in force.
    #[cfg_attr(target_arch = "wasm32", tsify(type = "[number, number]"))]
    pub negative_window: Window,
    /// Stand-in for the negative prompt in the other steps.
    #[serde(deserialize_with = "negative_outside")]
    #[cfg_attr(target_arch = "wasm32", tsify(type = "\"empty\" | \"none\""))]
    pub negative_outside: NegativeOutside,
    /// Shares of the steps from and up to which there is guidance. The other steps take half the
    /// work.
    #[cfg_attr(target_arch = "wasm32", tsify(type = "[number, number]"))]
    pub guidance_window: Window,
    /// Guidance scale over the steps.
    #[serde(deserialize_with = "guidance_schedule")]
    #[cfg_attr(
        target_arch = "wasm32",
        tsify(type = "\"constant\" | \"linear\" | \"cosine\"")
    )]
    pub guidance_schedule: GuidanceSchedule,
    /// Sigma below which there is no guidance.
    pub guidance_min_sigma: f64,
    /// Cosine of the predictions for prompt and negative prompt from which on there is no guidance;
    /// `None`: guidance to the end.
    pub guidance_stop: Option<f64>,
    /// The kind of guidance: a name of `ModelInfo.guidance_kinds`.
    #[serde(deserialize_with = "guidance_kind")]
    #[cfg_attr(target_arch = "wasm32", tsify(type = "string"))]
    pub guidance_kind: GuidanceKind,
    /// Values of the kind's options, by name.
    #[cfg_attr(target_arch = "wasm32", tsify(type = "Record<string, number>"))]
    pub guidance_options: BTreeMap<String, f64>,
    /// The sampler, by its name or its label; `None`: the model's own.
    #[serde(deserialize_with = "sampler")]
    #[cfg_attr(target_arch = "wasm32", tsify(type = "string"))]
    pub sampler: Option<SamplerName>,
    /// The schedule type, by its name or its label; `None`: the one in the sampler's name, or the
    /// model's own.
    #[serde(deserialize_with = "schedule")]
    #[cfg_attr(target_arch = "wasm32", tsify(type = "string"))]
    pub schedule: Option<ScheduleKind>,
    /// Spacing of the timesteps; `None`: the model's own.
    #[serde(deserialize_with = "timestep_spacing")]
    #[cfg_attr(
        target_arch = "wasm32",
        tsify(type = "\"leading\" | \"linspace\" | \"trailing\"")
    )]
    pub timestep_spacing: Option<TimestepSpacing>,
    /// True to begin at a timestep without any signal, for models that were trained so; `None`: as
    /// the model's files say.
    pub zero_snr: Option<bool>,
    /// The sigma after the last step; `None`: the model's own.
    #[serde(deserialize_with = "final_sigma")]
    #[cfg_attr(target_arch = "wasm32", tsify(type = "\"zero\" | \"sigma_min\""))]
    pub final_sigma: Option<FinalSigma>,
    /// Width in pixels, a multiple of 8; `None`: the size the model was trained at.
    pub width: Option<usize>,
    /// Height in pixels, a multiple of 8; `None`: the size the model was trained at.
    pub height: Option<usize>,
    /// Random generator of the noise.
    #[serde(deserialize_with = "rng")]
    #[cfg_attr(target_arch = "wasm32", tsify(type = "\"torch\" | \"philox\""))]
    pub rng: Rng,
    /// Seed of a second noise that is mixed into the first one, as `seed`.
    #[serde(deserialize_with = "seed")]
    #[cfg_attr(target_arch = "wasm32", tsify(type = "string | number"))]
    pub variation_seed: u64,
    /// Share of the second noise, 0 (none) to 1 (nothing else).
    pub variation_strength: f64,
    /// "Eta noise seed delta" of A1111's web UI: the sampler draws the noise of its steps from
    /// `seed` + `ensd`. With 0 it continues the stream of the first noise.
    pub ensd: i64,
    /// Amount of fresh noise in the sampler's steps, 0 to 1; `None`: the sampler's own.
    pub eta: Option<f64>,
    /// Treatment of prompts of more than 75 tokens.
    #[serde(deserialize_with = "long_prompt")]
    #[cfg_attr(target_arch = "wasm32", tsify(type = "\"chunk\" | \"truncate\""))]
    pub long_prompt: LongPrompt,
    /// Meaning of brackets and capitals in both prompts: the language of A1111's web UI, or none.
    #[serde(deserialize_with = "prompt_syntax")]
    #[cfg_attr(target_arch = "wasm32", tsify(type = "\"a1111\" | \"plain\""))]
    pub prompt_syntax: PromptSyntax,
    /// Application of weights such as `(x:1.3)`.
    #[serde(deserialize_with = "emphasis")]
    #[cfg_attr(
        target_arch = "wasm32",
        tsify(type = "\"original\" | \"no-norm\" | \"ignore\"")
    )]
    pub emphasis: Emphasis,
    /// Last layer of the text encoder that is run, as the web UI of A1111 counts: 1 is the last,
    /// 2 the last but one; `None`: the model's own.
    pub clip_skip: Option<usize>,
    /// Decoding whole or in tiles.
    #[serde(deserialize_with = "vae_tiling")]
    #[cfg_attr(
        target_arch = "wasm32",
        tsify(type = "\"auto\" | \"always\" | \"never\"")
    )]
    pub vae_tiling: VaeTiling,
}

impl Default for Request {
    fn default() -> Self {
        Request {
            prompt: String::new(),
            negative_prompt: String::new(),
            seed: 0,
            steps: 20,
            guidance_scale: 7.5,
            nag_scale: 0.0,
            nag_tau: Nag::TAU,
            nag_alpha: Nag::ALPHA,
            negative_strength: 1.0,
            negative_window: Window::ALL,
            negative_outside: NegativeOutside::Empty,
            guidance_window: Window::ALL,
            guidance_schedule: GuidanceSchedule::Constant,
            guidance_min_sigma: 0.0,
            guidance_stop: None,
            guidance_kind: GuidanceKind::Plain,
            guidance_options: BTreeMap::new(),
            sampler: None,
            schedule: None,
            timestep_spacing: None,
            zero_snr: None,
            final_sigma: None,
            width: None,
            height: None,
            rng: Rng::Torch,
            variation_seed: 0,
            variation_strength: 0.0,
            ensd: 0,
            eta: None,
            long_prompt: LongPrompt::Chunk,
            prompt_syntax: PromptSyntax::Plain,
            emphasis: Emphasis::Original,
            clip_skip: None,
            vae_tiling: VaeTiling::Auto,
        }
    }
}

fn seed<'de, D: Deserializer<'de>>(input: D) -> std::result::Result<u64, D::Error> {
    struct Seed;
    impl Visitor<'_> for Seed {
        type Value = u64;

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            write!(f, "as seed a whole number from 0 to {}", u64::MAX)
        }

        fn visit_u64<E>(self, seed: u64) -> std::result::Result<u64, E> {
            Ok(seed)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> std::result::Result<u64, E> {
            let seed = text.trim().parse();
            seed.map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
        }
    }
    input.deserialize_any(Seed)
}

fn parsed<'de, D: Deserializer<'de>, T>(input: D, field: &str) -> std::result::Result<T, D::Error>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    let text = String::deserialize(input)?;
    text.parse()
        .map_err(|e| serde::de::Error::custom(format!("{field}: {e}")))
}

fn sampler<'de, D: Deserializer<'de>>(
    input: D,
) -> std::result::Result<Option<SamplerName>, D::Error> {
    optional(input)
}

fn schedule<'de, D: Deserializer<'de>>(
    input: D,
) -> std::result::Result<Option<ScheduleKind>, D::Error> {
    optional(input)
}

fn timestep_spacing<'de, D: Deserializer<'de>>(
    input: D,
) -> std::result::Result<Option<TimestepSpacing>, D::Error> {
    optional(input)
}

fn final_sigma<'de, D: Deserializer<'de>>(
    input: D,
) -> std::result::Result<Option<FinalSigma>, D::Error> {
    optional(input)
}

fn optional<'de, D, T>(input: D) -> std::result::Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: std::str::FromStr<Err = Error>,
{
    match Option::<String>::deserialize(input)? {
        Some(text) => text.parse().map(Some).map_err(serde::de::Error::custom),
        None => Ok(None),
    }
}

fn rng<'de, D: Deserializer<'de>>(input: D) -> std::result::Result<Rng, D::Error> {
    parsed(input, "rng")
}

fn long_prompt<'de, D: Deserializer<'de>>(input: D) -> std::result::Result<LongPrompt, D::Error> {
    parsed(input, "long_prompt")
}

fn prompt_syntax<'de, D: Deserializer<'de>>(
    input: D,
) -> std::result::Result<PromptSyntax, D::Error> {
    parsed(input, "prompt_syntax")
}

fn emphasis<'de, D: Deserializer<'de>>(input: D) -> std::result::Result<Emphasis, D::Error> {
    parsed(input, "emphasis")
}

fn vae_tiling<'de, D: Deserializer<'de>>(input: D) -> std::result::Result<VaeTiling, D::Error> {
    parsed(input, "vae_tiling")
}

fn negative_outside<'de, D: Deserializer<'de>>(
    input: D,
) -> std::result::Result<NegativeOutside, D::Error> {
    parsed(input, "negative_outside")
}

fn guidance_schedule<'de, D: Deserializer<'de>>(
    input: D,
) -> std::result::Result<GuidanceSchedule, D::Error> {
    parsed(input, "guidance_schedule")
}

fn guidance_kind<'de, D: Deserializer<'de>>(
    input: D,
) -> std::result::Result<GuidanceKind, D::Error> {
    parsed(input, "guidance_kind")
}

impl Request {
    /// The seeds of the picture.
    pub fn seeds(&self) -> Seeds {
        Seeds {
            rng: self.rng,
            seed: self.seed,
            variation_seed: self.variation_seed,
            variation_strength: self.variation_strength,
            ensd: self.ensd,
        }
    }

    /// The request for the picture numbered `index`, from 0, of a batch: see [`Seeds::numbered`].
    pub fn numbered(&self, index: u64) -> Self {
        let Seeds {
            seed,
            variation_seed,
            ..
        } = self.seeds().numbered(index);
        Request {
            seed,
            variation_seed,
            ..self.clone()
        }
    }

    /// The request's settings of the guidance.
    pub(super) fn guidance(&self) -> GuidanceSettings {
        GuidanceSettings {
            scale: self.guidance_scale,
            schedule: self.guidance_schedule,
            window: self.guidance_window,
            negative_window: self.negative_window,
            negative_outside: self.negative_outside,
            min_sigma: self.guidance_min_sigma,
            stop: self.guidance_stop,
            kind: self.guidance_kind,
            options: self.guidance_options.clone(),
            nag: Nag {
                scale: self.nag_scale,
                tau: self.nag_tau,
                alpha: self.nag_alpha,
            },
        }
    }

    /// A model's scheduler configuration with the request's values in place of the model's.
    pub(super) fn scheduler(&self, model: &SchedulerConfig) -> SchedulerConfig {
        let mut config = model.clone();
        if self.timestep_spacing.is_some() {
            config.timestep_spacing = self.timestep_spacing;
        }
        if let Some(final_sigma) = self.final_sigma {
            config.final_sigmas_type = Some(final_sigma.name().into());
        }
        config.rescale_betas_zero_snr = self.zero_snr.unwrap_or(model.rescale_betas_zero_snr);
        config
    }

    /// Reads a request from JSON, with defaults for what is absent.
    ///
    /// # Errors
    /// [`Error::Request`] saying what is malformed.
    pub fn from_json(text: &str) -> Result<Self> {
        serde_json::from_str(text)
            .map_err(|e| Error::request("request", e, "JSON with the request's fields"))
    }
}
