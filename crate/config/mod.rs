//! A model folder's JSON files, as types. Every size in the engine comes from here; a value the engine cannot honour is
//! an error that names the key, never a guess.
//!
//! Defaults are those of diffusers 0.42 (`UNet2DConditionModel`, `AutoencoderKL`, the schedulers) and transformers 5
//! (`CLIPTextConfig`), for files that leave keys out.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde::de::value::MapDeserializer;
use serde_json::{Map, Value};

use crate::error::{Error, Result};

mod scheduler;
mod unet;

pub use scheduler::{BetaSchedule, PredictionType, SchedulerConfig, TimestepSpacing};
pub use unet::{PerBlock, UnetBlock, UnetConfig};

/// All of a model folder's configuration.
#[derive(Debug, Clone)]
pub struct ModelConfig {
    /// `unet/config.json`
    pub unet: UnetConfig,
    /// `vae/config.json`
    pub vae: VaeConfig,
    /// `text_encoder/config.json`
    pub text: TextConfig,
    /// `scheduler/scheduler_config.json`
    pub scheduler: SchedulerConfig,
}

impl ModelConfig {
    /// Checks what no single file can know: that the parts fit each other.
    pub fn check(&self) -> Result<()> {
        let expect = |file, key, actual: usize, other: &str, expected: usize| {
            (actual == expected)
                .then_some(())
                .ok_or_else(|| Error::config(file, key, actual, format!("{expected}, as {other}")))
        };
        let unet = "unet/config.json";
        expect(
            unet,
            "cross_attention_dim",
            self.unet.cross_attention_dim,
            "`hidden_size` of text_encoder/config.json",
            self.text.hidden_size,
        )?;
        expect(
            unet,
            "in_channels",
            self.unet.in_channels,
            "`latent_channels` of vae/config.json",
            self.vae.latent_channels,
        )?;
        expect(
            unet,
            "out_channels",
            self.unet.out_channels,
            "`in_channels` of the same file",
            self.unet.in_channels,
        )
    }

    /// Pixels a latent cell covers in each direction (8 for every Stable Diffusion model).
    pub fn pixels_per_latent(&self) -> usize {
        self.vae.pixels_per_latent()
    }

    /// The picture size the model was trained at, in pixels.
    pub fn default_size(&self) -> usize {
        self.unet.sample_size * self.pixels_per_latent()
    }
}

/// The most bytes a configuration may have; 10,000 listed betas have 0.2 MB.
const TEXT_AT_MOST: usize = 1 << 20;

/// Parses `text` as a JSON object and hands it on both raw, for checks by key, and typed.
fn parse<T: DeserializeOwned>(file: &str, text: &[u8]) -> Result<(Map<String, Value>, T)> {
    let raw = object(file, text)?;
    let typed = typed(file, &raw)?;
    Ok((raw, typed))
}

/// The JSON object that `text` is.
fn object(file: &str, text: &[u8]) -> Result<Map<String, Value>> {
    if text.len() > TEXT_AT_MOST {
        let what = format!("has {} bytes, expected at most {TEXT_AT_MOST}", text.len());
        return Err(Error::file(file, what));
    }
    let text = std::str::from_utf8(text)
        .map_err(|e| Error::file(file, format!("not a JSON object: not UTF-8: {e}")))?;
    // Python writes numbers that JSON has no words for (`"lambda_min_clipped": -Infinity` in every DPM-Solver file).
    let words = [": -Infinity", ": Infinity", ": NaN"];
    let text = words.iter().fold(Cow::Borrowed(text), |text, word| {
        match text.contains(word) {
            true => Cow::Owned(text.replace(word, ": null")),
            false => text,
        }
    });
    serde_json::from_str(&text).map_err(|e| Error::file(file, format!("not a JSON object: {e}")))
}

/// The values of `raw` as what they should be; other keys may be there.
fn typed<T: DeserializeOwned>(file: &str, raw: &Map<String, Value>) -> Result<T> {
    T::deserialize(raw).map_err(|e| {
        // serde does not say which key it was. Every key may stand alone, so the one that fails alone is the one.
        let alone = |&(key, value): &(&String, &Value)| {
            let single = std::iter::once((key.as_str(), value));
            T::deserialize(MapDeserializer::<_, serde_json::Error>::new(single)).is_err()
        };
        match raw.iter().find(alone) {
            Some((key, value)) => {
                let reason = e.to_string();
                let expected = reason.rsplit_once("expected ").map_or(&*reason, |(_, e)| e);
                Error::config(file, key, value, expected)
            }
            None => Error::file(file, format!("unexpected content: {e}")),
        }
    })
}

/// Refuses a key whose value is something else than null or one of `supported`.
fn only(file: &str, raw: &Map<String, Value>, key: &str, supported: &[Value]) -> Result<()> {
    match raw.get(key) {
        None | Some(Value::Null) => Ok(()),
        Some(value) if supported.contains(value) => Ok(()),
        Some(value) => {
            let known: Vec<_> = supported.iter().map(Value::to_string).collect();
            let known = if known.is_empty() {
                "null".to_string()
            } else {
                known.join(" or ")
            };
            Err(Error::config(file, key, value, known))
        }
    }
}

/// Refuses an epsilon that takes the root of a negative number, or drowns what it is added to.
fn sane_epsilon(file: &str, key: &str, value: f64) -> Result<()> {
    if !(0.0..=1.0).contains(&value) {
        return Err(Error::config(file, key, value, "0 to 1"));
    }
    Ok(())
}

/// Refuses zero, and sizes no real model comes near: they would only be found out by running out of memory.
fn sane(file: &str, key: &str, value: usize, most: usize) -> Result<()> {
    if value == 0 || value > most {
        return Err(Error::config(file, key, value, format!("1 to {most}")));
    }
    Ok(())
}

/// `vae/config.json` of diffusers' `AutoencoderKL`; only the decoder is used.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct VaeConfig {
    /// Latent channels (4).
    pub latent_channels: usize,
    /// Picture channels (3).
    pub out_channels: usize,
    /// Channels of each level, from full resolution down.
    pub block_out_channels: Vec<usize>,
    /// Residual blocks of the encoder's levels (the decoder's have one more).
    pub layers_per_block: usize,
    /// Groups of every GroupNorm.
    pub norm_num_groups: usize,
    /// Side of the pictures it was trained on, in pixels: the side of a tile where it decodes in tiles.
    #[serde(deserialize_with = "side")]
    pub sample_size: usize,
    /// Latents are divided by this before decoding.
    pub scaling_factor: f64,
    /// Whether a 1×1 convolution comes before the decoder.
    pub use_post_quant_conv: bool,
    /// Whether the deepest point has self-attention.
    pub mid_block_add_attention: bool,
}

/// A number, the first of a list, or diffusers' default for null.
fn side<'de, D: serde::Deserializer<'de>>(input: D) -> std::result::Result<usize, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Side {
        One(usize),
        Each(Vec<usize>),
    }
    Ok(match Option::<Side>::deserialize(input)? {
        Some(Side::One(side)) => side,
        Some(Side::Each(sides)) => sides.first().copied().unwrap_or(0),
        None => VaeConfig::default().sample_size,
    })
}

impl Default for VaeConfig {
    fn default() -> Self {
        VaeConfig {
            latent_channels: 4,
            out_channels: 3,
            block_out_channels: vec![64],
            layers_per_block: 1,
            norm_num_groups: 32,
            sample_size: 32,
            scaling_factor: 0.18215,
            use_post_quant_conv: true,
            mid_block_add_attention: true,
        }
    }
}

impl VaeConfig {
    /// Reads the JSON text of `file`.
    pub fn from_json(file: &str, text: &[u8]) -> Result<Self> {
        let (json, config): (_, VaeConfig) = parse(file, text)?;
        let levels = config.block_out_channels.len();
        only(file, &json, "_class_name", &["AutoencoderKL".into()])?;
        only(file, &json, "act_fn", &["silu".into(), "swish".into()])?;
        only(file, &json, "out_channels", &[3.into()])?;
        for key in ["latents_mean", "latents_std", "shift_factor"] {
            only(file, &json, key, &[])?;
        }
        if let Some(types) = json.get("up_block_types") {
            let expected = Value::from(vec!["UpDecoderBlock2D"; levels]);
            if *types != expected {
                return Err(Error::config(file, "up_block_types", types, expected));
            }
        }
        sane(file, "block_out_channels (its length)", levels, 8)?;
        sane(file, "latent_channels", config.latent_channels, 64)?;
        sane(file, "layers_per_block", config.layers_per_block, 64)?;
        sane(file, "norm_num_groups", config.norm_num_groups, 4096)?;
        sane(file, "sample_size", config.sample_size, 65536)?;
        for &channels in &config.block_out_channels {
            sane(file, "block_out_channels", channels, 65536)?;
            if !channels.is_multiple_of(config.norm_num_groups) {
                return Err(Error::config(
                    file,
                    "block_out_channels",
                    channels,
                    format!(
                        "a multiple of `norm_num_groups` = {}",
                        config.norm_num_groups
                    ),
                ));
            }
        }
        if !(config.scaling_factor.is_finite() && config.scaling_factor > 0.0) {
            return Err(Error::config(
                file,
                "scaling_factor",
                config.scaling_factor,
                "a number above 0",
            ));
        }
        Ok(config)
    }

    /// Pixels a latent cell becomes in each direction.
    pub fn pixels_per_latent(&self) -> usize {
        1 << (self.block_out_channels.len() - 1)
    }
}

/// The text encoder's activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x · sigmoid(1.702 x)`, CLIP ViT-L (SD1).
    QuickGelu,
    /// The exact GELU, OpenCLIP ViT-H (SD2).
    Gelu,
}

/// `text_encoder/config.json` of transformers' `CLIPTextModel`.
#[derive(Debug, Clone)]
pub struct TextConfig {
    /// Width of the embeddings.
    pub hidden_size: usize,
    /// Width inside the feed-forward layers.
    pub intermediate_size: usize,
    /// Transformer layers. (SD2's file says 23: its last layer is left out on purpose.)
    pub num_hidden_layers: usize,
    /// Attention heads.
    pub num_attention_heads: usize,
    /// Tokens a chunk (77).
    pub max_position_embeddings: usize,
    /// Rows of the token table.
    pub vocab_size: usize,
    /// Activation of the feed-forward layers.
    pub hidden_act: Activation,
    /// Epsilon of every LayerNorm.
    pub layer_norm_eps: f64,
}

impl TextConfig {
    /// Reads the JSON text of `file`.
    pub fn from_json(file: &str, text: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        #[serde(default)]
        struct Raw {
            hidden_size: usize,
            intermediate_size: usize,
            num_hidden_layers: usize,
            num_attention_heads: usize,
            max_position_embeddings: usize,
            vocab_size: usize,
            hidden_act: String,
            layer_norm_eps: f64,
        }
        impl Default for Raw {
            fn default() -> Self {
                Raw {
                    hidden_size: 512,
                    intermediate_size: 2048,
                    num_hidden_layers: 12,
                    num_attention_heads: 8,
                    max_position_embeddings: 77,
                    vocab_size: 49408,
                    hidden_act: "quick_gelu".into(),
                    layer_norm_eps: 1e-5,
                }
            }
        }
        let (json, raw): (_, Raw) = parse(file, text)?;
        only(
            file,
            &json,
            "model_type",
            &["clip_text_model".into(), "clip".into()],
        )?;
        let hidden_act = match raw.hidden_act.as_str() {
            "quick_gelu" => Activation::QuickGelu,
            "gelu" => Activation::Gelu,
            other => {
                return Err(Error::config(
                    file,
                    "hidden_act",
                    format!("\"{other}\""),
                    "\"quick_gelu\" or \"gelu\"",
                ));
            }
        };
        for (key, value, most) in [
            ("hidden_size", raw.hidden_size, 65536),
            ("intermediate_size", raw.intermediate_size, 1 << 20),
            ("num_hidden_layers", raw.num_hidden_layers, 256),
            ("num_attention_heads", raw.num_attention_heads, 4096),
            (
                "max_position_embeddings",
                raw.max_position_embeddings,
                65536,
            ),
            ("vocab_size", raw.vocab_size, 1 << 24),
        ] {
            sane(file, key, value, most)?;
        }
        sane_epsilon(file, "layer_norm_eps", raw.layer_norm_eps)?;
        if !raw.hidden_size.is_multiple_of(raw.num_attention_heads) {
            return Err(Error::config(
                file,
                "num_attention_heads",
                raw.num_attention_heads,
                format!("a divisor of `hidden_size` = {}", raw.hidden_size),
            ));
        }
        Ok(TextConfig {
            hidden_size: raw.hidden_size,
            intermediate_size: raw.intermediate_size,
            num_hidden_layers: raw.num_hidden_layers,
            num_attention_heads: raw.num_attention_heads,
            max_position_embeddings: raw.max_position_embeddings,
            vocab_size: raw.vocab_size,
            hidden_act,
            layer_norm_eps: raw.layer_norm_eps,
        })
    }
}
