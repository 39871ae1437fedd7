//! `unet/config.json`: the levels of the U-Net.

use serde::Deserialize;
use serde_json::Value;

use super::{only, parse, sane, sane_epsilon};
use crate::error::{Error, Result};

/// Transformer layers of a whole U-Net on its way down and up: SD1.5 and SD2.1 have 15, SDXL has 60.
const TRANSFORMERS_AT_MOST: usize = 256;

/// A number, or one number for each block.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum PerBlock {
    /// The same for every block.
    One(usize),
    /// One for each block, from the highest resolution down.
    Each(Vec<usize>),
}

impl PerBlock {
    fn expand(&self, file: &str, key: &str, blocks: usize) -> Result<Vec<usize>> {
        match self {
            PerBlock::One(n) => Ok(vec![*n; blocks]),
            PerBlock::Each(list) if list.len() == blocks => Ok(list.clone()),
            PerBlock::Each(list) => Err(Error::config(
                file,
                key,
                format!("a list of {}", list.len()),
                format!("a number or a list of {blocks}, one for each block"),
            )),
        }
    }
}

/// One level of the U-Net.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnetBlock {
    /// Channels at this level.
    pub channels: usize,
    /// Residual blocks on the way down (one more on the way up).
    pub layers: usize,
    /// Attention heads at this level.
    pub heads: usize,
    /// Transformer layers in each attention block.
    pub transformer_layers: usize,
    /// Whether the way down attends to the prompt at this level (`CrossAttnDownBlock2D`).
    pub down_attention: bool,
    /// Whether the way up does (`CrossAttnUpBlock2D`).
    pub up_attention: bool,
}

/// `unet/config.json` of diffusers' `UNet2DConditionModel`.
#[derive(Debug, Clone)]
pub struct UnetConfig {
    /// Latent channels in (4).
    pub in_channels: usize,
    /// Prediction channels out (4).
    pub out_channels: usize,
    /// Levels from the highest resolution down.
    pub blocks: Vec<UnetBlock>,
    /// Whether the deepest point has attention (`UNetMidBlock2DCrossAttn`) or not.
    pub mid_attention: bool,
    /// Width of the text encoder's output.
    pub cross_attention_dim: usize,
    /// Groups of every GroupNorm.
    pub norm_num_groups: usize,
    /// Epsilon of the residual blocks' GroupNorm.
    pub norm_eps: f64,
    /// Whether the timestep embedding is cos|sin (true) or sin|cos.
    pub flip_sin_to_cos: bool,
    /// Shift in the timestep embedding's frequencies.
    pub freq_shift: f64,
    /// Linear (SD2) or 1×1 convolutional (SD1) projections around the transformers; the same arithmetic, other shapes on disk.
    pub use_linear_projection: bool,
    /// Side of the latent the model was trained at.
    pub sample_size: usize,
}

impl UnetConfig {
    /// Reads the JSON text of `file`.
    pub fn from_json(file: &str, text: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        #[serde(default)]
        struct Raw {
            in_channels: usize,
            out_channels: usize,
            block_out_channels: Vec<usize>,
            layers_per_block: PerBlock,
            down_block_types: Vec<String>,
            up_block_types: Vec<String>,
            mid_block_type: Option<String>,
            attention_head_dim: PerBlock,
            num_attention_heads: Option<PerBlock>,
            transformer_layers_per_block: PerBlock,
            cross_attention_dim: usize,
            norm_num_groups: usize,
            norm_eps: f64,
            flip_sin_to_cos: bool,
            freq_shift: f64,
            use_linear_projection: bool,
            sample_size: Option<usize>,
        }
        impl Default for Raw {
            fn default() -> Self {
                let names = |list: [&str; 4]| list.map(str::to_string).to_vec();
                Raw {
                    in_channels: 4,
                    out_channels: 4,
                    block_out_channels: vec![320, 640, 1280, 1280],
                    layers_per_block: PerBlock::One(2),
                    down_block_types: names([
                        "CrossAttnDownBlock2D",
                        "CrossAttnDownBlock2D",
                        "CrossAttnDownBlock2D",
                        "DownBlock2D",
                    ]),
                    up_block_types: names([
                        "UpBlock2D",
                        "CrossAttnUpBlock2D",
                        "CrossAttnUpBlock2D",
                        "CrossAttnUpBlock2D",
                    ]),
                    mid_block_type: Some("UNetMidBlock2DCrossAttn".into()),
                    attention_head_dim: PerBlock::One(8),
                    num_attention_heads: None,
                    transformer_layers_per_block: PerBlock::One(1),
                    cross_attention_dim: 1280,
                    norm_num_groups: 32,
                    norm_eps: 1e-5,
                    flip_sin_to_cos: true,
                    freq_shift: 0.0,
                    use_linear_projection: false,
                    sample_size: None,
                }
            }
        }
        let (json, raw): (_, Raw) = parse(file, text)?;
        let no = Value::Bool(false);
        let supported: &[(&str, &[Value])] = &[
            ("_class_name", &["UNet2DConditionModel".into()]),
            ("act_fn", &["silu".into(), "swish".into()]),
            ("addition_embed_type", &[]),
            ("attention_type", &["default".into()]),
            ("center_input_sample", std::slice::from_ref(&no)),
            ("class_embed_type", &[]),
            ("num_class_embeds", &[]),
            ("conv_in_kernel", &[3.into()]),
            ("conv_out_kernel", &[3.into()]),
            ("cross_attention_norm", &[]),
            ("downsample_padding", &[1.into()]),
            ("dual_cross_attention", std::slice::from_ref(&no)),
            ("encoder_hid_dim", &[]),
            ("encoder_hid_dim_type", &[]),
            ("mid_block_only_cross_attention", std::slice::from_ref(&no)),
            ("mid_block_scale_factor", &[1.into(), 1.0.into()]),
            ("only_cross_attention", std::slice::from_ref(&no)),
            ("resnet_out_scale_factor", &[1.into(), 1.0.into()]),
            ("resnet_skip_time_act", std::slice::from_ref(&no)),
            ("resnet_time_scale_shift", &["default".into()]),
            ("reverse_transformer_layers_per_block", &[]),
            ("time_cond_proj_dim", &[]),
            ("time_embedding_act_fn", &[]),
            ("time_embedding_dim", &[]),
            ("time_embedding_type", &["positional".into()]),
            ("timestep_post_act", &[]),
        ];
        for (key, values) in supported {
            only(file, &json, key, values)?;
        }

        let levels = raw.block_out_channels.len();
        sane(file, "block_out_channels (its length)", levels, 8)?;
        sane(file, "cross_attention_dim", raw.cross_attention_dim, 65536)?;
        sane(file, "in_channels", raw.in_channels, 64)?;
        sane(file, "norm_num_groups", raw.norm_num_groups, 4096)?;
        for (key, list) in [
            ("down_block_types", &raw.down_block_types),
            ("up_block_types", &raw.up_block_types),
        ] {
            if list.len() != levels {
                return Err(Error::config(
                    file,
                    key,
                    format!("a list of {}", list.len()),
                    format!("{levels} entries, as `block_out_channels` has"),
                ));
            }
        }
        let attends = |key: &str, name: &str, plain: &str, cross: &str| match name {
            n if n == plain => Ok(false),
            n if n == cross => Ok(true),
            n => Err(Error::config(
                file,
                key,
                format!("\"{n}\""),
                format!("\"{plain}\" or \"{cross}\""),
            )),
        };
        let mid_attention = match raw.mid_block_type.as_deref() {
            Some("UNetMidBlock2DCrossAttn") => true,
            Some("UNetMidBlock2D") => false,
            other => {
                return Err(Error::config(
                    file,
                    "mid_block_type",
                    other.unwrap_or("null"),
                    "\"UNetMidBlock2DCrossAttn\" or \"UNetMidBlock2D\"",
                ));
            }
        };
        let layers = raw
            .layers_per_block
            .expand(file, "layers_per_block", levels)?;
        // diffusers' `attention_head_dim` is, for historical reasons, the number of heads.
        let (heads_key, heads) = match &raw.num_attention_heads {
            Some(heads) => ("num_attention_heads", heads),
            None => ("attention_head_dim", &raw.attention_head_dim),
        };
        let heads = heads.expand(file, heads_key, levels)?;
        let transformer_layers = raw.transformer_layers_per_block.expand(
            file,
            "transformer_layers_per_block",
            levels,
        )?;
        let blocks = (0..levels)
            .map(|i| {
                let channels = raw.block_out_channels[i];
                sane(file, "block_out_channels", channels, 65536)?;
                sane(file, "layers_per_block", layers[i], 64)?;
                sane(file, heads_key, heads[i], 4096)?;
                sane(
                    file,
                    "transformer_layers_per_block",
                    transformer_layers[i],
                    64,
                )?;
                if !channels.is_multiple_of(raw.norm_num_groups) {
                    return Err(Error::config(
                        file,
                        "block_out_channels",
                        channels,
                        format!("a multiple of `norm_num_groups` = {}", raw.norm_num_groups),
                    ));
                }
                let block = UnetBlock {
                    channels,
                    layers: layers[i],
                    heads: heads[i],
                    transformer_layers: transformer_layers[i],
                    down_attention: attends(
                        "down_block_types",
                        &raw.down_block_types[i],
                        "DownBlock2D",
                        "CrossAttnDownBlock2D",
                    )?,
                    // Listed from the deepest level up.
                    up_attention: attends(
                        "up_block_types",
                        &raw.up_block_types[levels - 1 - i],
                        "UpBlock2D",
                        "CrossAttnUpBlock2D",
                    )?,
                };
                let attention = block.down_attention
                    || block.up_attention
                    || (mid_attention && i + 1 == levels);
                if attention && !channels.is_multiple_of(heads[i]) {
                    return Err(Error::config(
                        file,
                        heads_key,
                        heads[i],
                        format!("a divisor of the block's {channels} channels"),
                    ));
                }
                Ok(block)
            })
            .collect::<Result<Vec<_>>>()?;
        // Each of these numbers may be large, but not all: a few bytes would ask for millions of tensors.
        let transformers = |block: &UnetBlock| {
            let down = usize::from(block.down_attention) * block.layers;
            let up = usize::from(block.up_attention) * (block.layers + 1);
            (down + up) * block.transformer_layers
        };
        let transformers: usize = blocks.iter().map(transformers).sum();
        if transformers > TRANSFORMERS_AT_MOST {
            return Err(Error::config(
                file,
                "transformer_layers_per_block",
                format!("such that there are {transformers} of them in all"),
                format!("at most {TRANSFORMERS_AT_MOST}"),
            ));
        }
        sane_epsilon(file, "norm_eps", raw.norm_eps)?;
        // The timestep's frequencies are divided by what this leaves of half the first block's channels.
        let half = (blocks[0].channels / 2).max(1) as f64;
        if !(0.0..half).contains(&raw.freq_shift) {
            return Err(Error::config(
                file,
                "freq_shift",
                raw.freq_shift,
                format!("from 0 to less than {half}"),
            ));
        }
        Ok(UnetConfig {
            in_channels: raw.in_channels,
            out_channels: raw.out_channels,
            blocks,
            mid_attention,
            cross_attention_dim: raw.cross_attention_dim,
            norm_num_groups: raw.norm_num_groups,
            norm_eps: raw.norm_eps,
            flip_sin_to_cos: raw.flip_sin_to_cos,
            freq_shift: raw.freq_shift,
            use_linear_projection: raw.use_linear_projection,
            sample_size: raw.sample_size.unwrap_or(64).clamp(1, 1024),
        })
    }

    /// Width of the timestep embedding after its first linear layer.
    pub fn time_embed_dim(&self) -> usize {
        self.blocks[0].channels * 4
    }
}
