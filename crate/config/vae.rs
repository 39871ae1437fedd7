//! `vae/config.json`: the autoencoder.

use serde::Deserialize;
use serde_json::Value;

use super::{only, parse, sane};
use crate::error::{Error, Result};

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
