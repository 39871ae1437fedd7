//! `vae/config.json`: the autoencoder.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{check_groups, check_positive, check_range, parse, require_one_of};
use crate::error::{Error, Result};

/// `vae/config.json` of diffusers' `AutoencoderKL`. Only the decoder is used.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct VaeConfig {
    /// Latent channels (4).
    pub latent_channels: usize,
    /// Picture channels (3).
    pub out_channels: usize,
    /// Channels of each level, from full resolution down.
    pub block_out_channels: Vec<usize>,
    /// Residual blocks per level of the encoder. The decoder has one more per level.
    pub layers_per_block: usize,
    /// Groups of every GroupNorm.
    pub norm_num_groups: usize,
    /// Side in pixels of the pictures the VAE was trained on; also the side of a tile when it
    /// decodes in tiles.
    #[serde(deserialize_with = "side")]
    pub sample_size: usize,
    /// Divisor of latents before decoding.
    pub scaling_factor: f64,
    /// True if a 1×1 convolution comes before the decoder.
    pub use_post_quant_conv: bool,
    /// True if the middle block has self-attention.
    pub mid_block_add_attention: bool,
}

/// Reads a number, the first number of a list, or diffusers' default for null.
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
    ///
    /// # Errors
    /// [`Error::File`] if the text is not a JSON object, [`Error::Config`] for a value that is not
    /// supported.
    pub fn from_json(file: &str, text: &[u8]) -> Result<Self> {
        let (json, config): (_, VaeConfig) = parse(file, text)?;
        config.check_keys(file, &json)?;
        config.check_sizes(file)?;
        check_positive(file, "scaling_factor", config.scaling_factor)?;
        Ok(config)
    }

    /// Checks the keys that Darkroom supports for some values only.
    fn check_keys(&self, file: &str, json: &Map<String, Value>) -> Result<()> {
        for (key, supported) in [
            ("_class_name", vec!["AutoencoderKL".into()]),
            ("act_fn", vec!["silu".into(), "swish".into()]),
            ("out_channels", vec![3.into()]),
            ("latents_mean", vec![]),
            ("latents_std", vec![]),
            ("shift_factor", vec![]),
        ] {
            require_one_of(file, json, key, &supported)?;
        }
        if let Some(types) = json.get("up_block_types") {
            let levels = self.block_out_channels.len();
            let expected = Value::from(vec!["UpDecoderBlock2D"; levels]);
            if *types != expected {
                return Err(Error::config(file, "up_block_types", types, expected));
            }
        }
        Ok(())
    }

    fn check_sizes(&self, file: &str) -> Result<()> {
        let levels = self.block_out_channels.len();
        for (key, value, max) in [
            ("block_out_channels (its length)", levels, 8),
            ("latent_channels", self.latent_channels, 64),
            ("layers_per_block", self.layers_per_block, 64),
            ("norm_num_groups", self.norm_num_groups, 4096),
            ("sample_size", self.sample_size, 65536),
        ] {
            check_range(file, key, value, max)?;
        }
        for &channels in &self.block_out_channels {
            check_range(file, "block_out_channels", channels, 65536)?;
            check_groups(file, channels, self.norm_num_groups)?;
        }
        Ok(())
    }

    /// Pixels per latent position in each direction.
    pub fn pixels_per_latent(&self) -> usize {
        1 << (self.block_out_channels.len() - 1)
    }
}
