//! A model folder's JSON files as types. All sizes in the engine come from here. A value that the
//! engine cannot honour is an error that names the key, never a guess.
//!
//! Keys that a file leaves out have the defaults of diffusers 0.42 (`UNet2DConditionModel`,
//! `AutoencoderKL`, the schedulers) and transformers 5 (`CLIPTextConfig`).

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde::de::value::MapDeserializer;
use serde_json::{Map, Value};

use crate::error::{Error, Result};

mod kind;
mod scheduler;
mod text;
mod unet;
mod vae;

pub use kind::ModelKind;
pub use scheduler::{BetaSchedule, FinalSigma, PredictionType, SchedulerConfig, TimestepSpacing};
pub use text::{Activation, TextConfig};
pub use unet::{MidBlockKind, PerBlock, UnetBlock, UnetConfig};
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
    /// Checks that the parts fit each other, which no file can tell alone.
    ///
    /// # Errors
    /// [`Error::Config`] if a width or a number of channels differs between two parts.
    pub fn check(&self) -> Result<()> {
        let (unet, vae, text) = (&self.unet, &self.vae, &self.text);
        for (key, actual, source, expected) in [
            (
                "cross_attention_dim",
                unet.cross_attention_dim,
                "`hidden_size` of text_encoder/config.json",
                text.hidden_size,
            ),
            (
                "in_channels",
                unet.in_channels,
                "`latent_channels` of vae/config.json",
                vae.latent_channels,
            ),
            (
                "out_channels",
                unet.out_channels,
                "`in_channels` of the same file",
                unet.in_channels,
            ),
        ] {
            if actual != expected {
                let expected = format!("{expected}, as {source}");
                return Err(Error::config("unet/config.json", key, actual, expected));
            }
        }
        Ok(())
    }

    /// Pixels per latent position in each direction (8 for every Stable Diffusion model).
    pub fn pixels_per_latent(&self) -> usize {
        self.vae.pixels_per_latent()
    }

    /// Width and height in pixels of the pictures the model was trained on.
    pub fn default_size(&self) -> [usize; 2] {
        let [height, width] = self.unet.sample_size;
        [width, height].map(|side| side * self.pixels_per_latent())
    }
}

/// Maximum size of a configuration in bytes. A list of 10,000 betas takes 0.2 MB.
const MAX_JSON_BYTES: usize = 1 << 20;

/// Parses `text` as a JSON object. Returns the raw object, for checks by key, and the typed one.
fn parse<T: DeserializeOwned>(file: &str, text: &[u8]) -> Result<(Map<String, Value>, T)> {
    let raw = object(file, text)?;
    let typed = typed(file, &raw)?;
    Ok((raw, typed))
}

/// Parses `text` as a JSON object.
fn object(file: &str, text: &[u8]) -> Result<Map<String, Value>> {
    if text.len() > MAX_JSON_BYTES {
        let what = format!(
            "has {} bytes, expected at most {MAX_JSON_BYTES}",
            text.len()
        );
        return Err(Error::file(file, what));
    }
    let text = std::str::from_utf8(text)
        .map_err(|e| Error::file(file, format!("not a JSON object: not UTF-8: {e}")))?;
    // Python writes numbers that JSON does not have: every DPM-Solver file contains
    // `"lambda_min_clipped": -Infinity`.
    let words = [": -Infinity", ": Infinity", ": NaN"];
    let text = words.iter().fold(Cow::Borrowed(text), |text, word| {
        match text.contains(word) {
            true => Cow::Owned(text.replace(word, ": null")),
            false => text,
        }
    });
    serde_json::from_str(&text).map_err(|e| Error::file(file, format!("not a JSON object: {e}")))
}

/// Converts `raw` to its type. Keys that the type does not have are ignored, and a null is the
/// same as no key.
fn typed<T: DeserializeOwned>(file: &str, raw: &Map<String, Value>) -> Result<T> {
    let convert = |members: &mut dyn Iterator<Item = (&String, &Value)>| {
        let members = members.filter(|(_, value)| !value.is_null());
        let members = members.map(|(key, value)| (key.as_str(), value));
        T::deserialize(MapDeserializer::<_, serde_json::Error>::new(members))
    };
    convert(&mut raw.iter()).map_err(|e| {
        // serde does not name the key. Every key is optional, so the faulty one also fails alone.
        let fails_alone = |&(key, value): &(&String, &Value)| {
            convert(&mut std::iter::once((key, value))).is_err()
        };
        match raw.iter().find(fails_alone) {
            Some((key, value)) => {
                let reason = e.to_string();
                let expected = reason.rsplit_once("expected ").map_or(&*reason, |(_, e)| e);
                Error::config(file, key, value, expected)
            }
            None => Error::file(file, format!("unexpected content: {e}")),
        }
    })
}

/// Checks that `key` is absent, null or one of `supported`, or a list of such values: diffusers
/// writes some keys once for all levels of a network or once for each.
fn require_one_of(
    file: &str,
    raw: &Map<String, Value>,
    key: &str,
    supported: &[Value],
) -> Result<()> {
    match raw.get(key) {
        None | Some(Value::Null) => Ok(()),
        Some(value) if supported.contains(value) => Ok(()),
        Some(Value::Array(list))
            if !list.is_empty() && list.iter().all(|value| supported.contains(value)) =>
        {
            Ok(())
        }
        Some(value) => {
            let supported: Vec<_> = supported.iter().map(Value::to_string).collect();
            let expected = match supported.is_empty() {
                true => "null".to_string(),
                false => supported.join(" or "),
            };
            Err(Error::config(file, key, value, expected))
        }
    }
}

/// Checks that an epsilon is 0 to 1: the square root of a negative number is NaN, and a large
/// epsilon drowns the variance that it is added to.
fn check_epsilon(file: &str, key: &str, value: f64) -> Result<()> {
    if !(0.0..=1.0).contains(&value) {
        return Err(Error::config(file, key, value, "0 to 1"));
    }
    Ok(())
}

/// Checks that a size is 1 to `max`. No real model comes near the maximum; without it, a larger
/// size would only show as running out of memory.
fn check_range(file: &str, key: &str, value: usize, max: usize) -> Result<()> {
    if value == 0 || value > max {
        return Err(Error::config(file, key, value, format!("1 to {max}")));
    }
    Ok(())
}

/// Checks that the channels of a level divide into the groups of its GroupNorms.
fn check_groups(file: &str, channels: usize, groups: usize) -> Result<()> {
    if !channels.is_multiple_of(groups) {
        let expected = format!("a multiple of `norm_num_groups` = {groups}");
        return Err(Error::config(
            file,
            "block_out_channels",
            channels,
            expected,
        ));
    }
    Ok(())
}

/// Checks that a number is finite and above 0.
fn check_positive(file: &str, key: &str, value: f64) -> Result<()> {
    if !(value.is_finite() && value > 0.0) {
        return Err(Error::config(file, key, value, "a number above 0"));
    }
    Ok(())
}
