//! A model folder's JSON files, as types. Every size in the engine comes from here; a value the engine cannot honour is
//! an error that names the key, never a guess.
//!
//! Defaults are those of diffusers 0.42 (`UNet2DConditionModel`, `AutoencoderKL`, the schedulers) and transformers 5
//! (`CLIPTextConfig`), for files that leave keys out.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde::de::value::MapDeserializer;
use serde_json::{Map, Value};

use crate::error::{Error, Result};

mod scheduler;
mod text;
mod unet;
mod vae;

pub use scheduler::{BetaSchedule, PredictionType, SchedulerConfig, TimestepSpacing};
pub use text::{Activation, TextConfig};
pub use unet::{PerBlock, UnetBlock, UnetConfig};
pub use vae::VaeConfig;

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
