//! `unet/config.json`: the levels of the U-Net.

use serde::Deserialize;
use serde_json::Value;

use super::{check_epsilon, check_groups, check_range, parse, require_one_of};
use crate::error::{Error, Result};

/// Maximum number of transformer layers in the down and up blocks together: SD1.5 and SD2.1 have
/// 15, SDXL has 60.
const MAX_TRANSFORMER_LAYERS: usize = 256;

/// A number, or one number per level.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum PerBlock {
    /// The same for every level.
    One(usize),
    /// One for each level, from the highest resolution down.
    Each(Vec<usize>),
}

impl PerBlock {
    /// The numbers of all `blocks` levels.
    fn expand(&self, file: &str, key: &str, blocks: usize) -> Result<Vec<usize>> {
        match self {
            PerBlock::One(n) => Ok(vec![*n; blocks]),
            PerBlock::Each(list) if list.len() == blocks => Ok(list.clone()),
            PerBlock::Each(list) => Err(Error::config(
                file,
                key,
                format!("a list of {}", list.len()),
                format!("a number or a list of {blocks}, one for each level"),
            )),
        }
    }
}

/// One level of the U-Net.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnetBlock {
    /// Channels at this level.
    pub channels: usize,
    /// Residual blocks in the down block. The up block has one more.
    pub layers: usize,
    /// Attention heads at this level.
    pub heads: usize,
    /// Transformer layers in each attention block.
    pub transformer_layers: usize,
    /// True if the down block attends to the prompt (`CrossAttnDownBlock2D`).
    pub down_attention: bool,
    /// True if the up block attends to the prompt (`CrossAttnUpBlock2D`).
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
    /// Kind of the middle block.
    pub mid_block: MidBlockKind,
    /// Width of the text encoder's output.
    pub cross_attention_dim: usize,
    /// Groups of every GroupNorm.
    pub norm_num_groups: usize,
    /// Epsilon of the residual blocks' GroupNorms.
    pub norm_eps: f64,
    /// Order of the timestep embedding: cos|sin if true, sin|cos if false.
    pub flip_sin_to_cos: bool,
    /// Shift of the timestep embedding's frequencies.
    pub freq_shift: f64,
    /// Projections around the transformers: linear if true (SD2), 1×1 convolutions if false (SD1).
    /// The arithmetic is the same, the shapes on disk differ.
    pub use_linear_projection: bool,
    /// Height and width of the latents the model was trained on.
    pub sample_size: [usize; 2],
    /// Width of the guidance scale's embedding, for a network that takes the guidance scale beside
    /// the timestep (latent consistency models); `None` for all others.
    pub time_cond_proj_dim: Option<usize>,
}

/// Kind of the U-Net's middle block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MidBlockKind {
    /// None: the lowest down block is followed by the lowest up block (distilled small models).
    Absent,
    /// One residual block (`UNetMidBlock2D`).
    Plain,
    /// Two residual blocks with attention to the prompt (`UNetMidBlock2DCrossAttn`).
    Attention,
}

/// `unet/config.json` as it is written, with diffusers' defaults.
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
    cross_attention_dim: PerBlock,
    norm_num_groups: usize,
    norm_eps: f64,
    flip_sin_to_cos: bool,
    freq_shift: f64,
    use_linear_projection: bool,
    sample_size: Option<PerBlock>,
    time_cond_proj_dim: Option<usize>,
}

impl Default for Raw {
    fn default() -> Self {
        let mut down_block_types = vec![CROSS_DOWN.to_string(); 3];
        down_block_types.push(PLAIN_DOWN.into());
        let mut up_block_types = vec![PLAIN_UP.to_string()];
        up_block_types.extend(vec![CROSS_UP.to_string(); 3]);
        Raw {
            in_channels: 4,
            out_channels: 4,
            block_out_channels: vec![320, 640, 1280, 1280],
            layers_per_block: PerBlock::One(2),
            down_block_types,
            up_block_types,
            mid_block_type: Some(CROSS_MID.into()),
            attention_head_dim: PerBlock::One(8),
            num_attention_heads: None,
            transformer_layers_per_block: PerBlock::One(1),
            cross_attention_dim: PerBlock::One(1280),
            norm_num_groups: 32,
            norm_eps: 1e-5,
            flip_sin_to_cos: true,
            freq_shift: 0.0,
            use_linear_projection: false,
            sample_size: None,
            time_cond_proj_dim: None,
        }
    }
}

// The block types of diffusers, without and with attention to the prompt.
const PLAIN_DOWN: &str = "DownBlock2D";
const CROSS_DOWN: &str = "CrossAttnDownBlock2D";
const PLAIN_MID: &str = "UNetMidBlock2D";
const CROSS_MID: &str = "UNetMidBlock2DCrossAttn";
const PLAIN_UP: &str = "UpBlock2D";
const CROSS_UP: &str = "CrossAttnUpBlock2D";

/// Keys of diffusers' U-Net that Darkroom supports for some values only, with those values besides
/// null.
fn supported_values() -> [(&'static str, Vec<Value>); 25] {
    let no = || vec![false.into()];
    [
        ("_class_name", vec!["UNet2DConditionModel".into()]),
        ("act_fn", vec!["silu".into(), "swish".into()]),
        ("addition_embed_type", vec![]),
        ("attention_type", vec!["default".into()]),
        ("center_input_sample", no()),
        ("class_embed_type", vec![]),
        ("num_class_embeds", vec![]),
        ("conv_in_kernel", vec![3.into()]),
        ("conv_out_kernel", vec![3.into()]),
        ("cross_attention_norm", vec![]),
        ("downsample_padding", vec![1.into()]),
        ("dual_cross_attention", no()),
        ("encoder_hid_dim", vec![]),
        ("encoder_hid_dim_type", vec![]),
        ("mid_block_only_cross_attention", no()),
        ("mid_block_scale_factor", vec![1.into(), 1.0.into()]),
        ("only_cross_attention", no()),
        ("resnet_out_scale_factor", vec![1.into(), 1.0.into()]),
        ("resnet_skip_time_act", no()),
        ("resnet_time_scale_shift", vec!["default".into()]),
        ("reverse_transformer_layers_per_block", vec![]),
        ("time_embedding_act_fn", vec![]),
        ("time_embedding_dim", vec![]),
        ("time_embedding_type", vec!["positional".into()]),
        ("timestep_post_act", vec![]),
    ]
}

/// Tells whether the block type `name` of `key` attends to the prompt.
fn attends(file: &str, key: &str, name: &str, [plain, cross]: [&str; 2]) -> Result<bool> {
    match name {
        name if name == plain => Ok(false),
        name if name == cross => Ok(true),
        name => {
            let expected = format!("\"{plain}\" or \"{cross}\"");
            Err(Error::config(file, key, format!("\"{name}\""), expected))
        }
    }
}

impl Raw {
    fn check_sizes(&self, file: &str) -> Result<()> {
        let levels = self.block_out_channels.len();
        for (key, value, max) in [
            ("block_out_channels (its length)", levels, 8),
            (
                "time_cond_proj_dim",
                self.time_cond_proj_dim.unwrap_or(1),
                65536,
            ),
            ("in_channels", self.in_channels, 64),
            ("norm_num_groups", self.norm_num_groups, 4096),
        ] {
            check_range(file, key, value, max)?;
        }
        for (key, list) in [
            ("down_block_types", &self.down_block_types),
            ("up_block_types", &self.up_block_types),
        ] {
            if list.len() != levels {
                let actual = format!("a list of {}", list.len());
                let expected = format!("{levels} entries, as `block_out_channels` has");
                return Err(Error::config(file, key, actual, expected));
            }
        }
        Ok(())
    }

    fn mid_block(&self, file: &str) -> Result<MidBlockKind> {
        match self.mid_block_type.as_deref() {
            Some(CROSS_MID) => Ok(MidBlockKind::Attention),
            Some(PLAIN_MID) => Ok(MidBlockKind::Plain),
            None => Ok(MidBlockKind::Absent),
            Some(other) => Err(Error::config(
                file,
                "mid_block_type",
                format!("\"{other}\""),
                format!("\"{CROSS_MID}\", \"{PLAIN_MID}\" or null"),
            )),
        }
    }

    /// Width of the prompts: the same at every level.
    fn prompt_width(&self, file: &str) -> Result<usize> {
        let key = "cross_attention_dim";
        let levels = self.block_out_channels.len();
        let widths = self.cross_attention_dim.expand(file, key, levels)?;
        let first = widths[0];
        check_range(file, key, first, 65536)?;
        match widths.iter().find(|&&width| width != first) {
            Some(other) => {
                let expected = format!("{first} at every level");
                Err(Error::config(file, key, other, expected))
            }
            None => Ok(first),
        }
    }

    /// Height and width of the latents the model was trained on.
    fn sample_size(&self, file: &str) -> Result<[usize; 2]> {
        let size = match &self.sample_size {
            None => [64; 2],
            Some(PerBlock::One(side)) => [*side; 2],
            Some(PerBlock::Each(sides)) => match sides[..] {
                [side] => [side; 2],
                [height, width] => [height, width],
                _ => {
                    let actual = format!("a list of {}", sides.len());
                    let expected = "a number, or height and width";
                    return Err(Error::config(file, "sample_size", actual, expected));
                }
            },
        };
        Ok(size.map(|side| side.clamp(1, 1024)))
    }

    fn per_level(&self, file: &str) -> Result<PerLevel> {
        let levels = self.block_out_channels.len();
        let layers = &self.layers_per_block;
        let layers = layers.expand(file, "layers_per_block", levels)?;
        // For historical reasons, diffusers' `attention_head_dim` is the number of heads.
        let (heads_key, heads) = match &self.num_attention_heads {
            Some(heads) => ("num_attention_heads", heads),
            None => ("attention_head_dim", &self.attention_head_dim),
        };
        let heads = heads.expand(file, heads_key, levels)?;
        let transformer_layers = &self.transformer_layers_per_block;
        Ok(PerLevel {
            layers,
            heads_key,
            heads,
            transformer_layers: transformer_layers.expand(
                file,
                "transformer_layers_per_block",
                levels,
            )?,
        })
    }

    /// The block of `level`, counted from the highest resolution down.
    fn block(&self, file: &str, level: usize, per_level: &PerLevel) -> Result<UnetBlock> {
        let channels = self.block_out_channels[level];
        let layers = per_level.layers[level];
        let heads = per_level.heads[level];
        let transformer_layers = per_level.transformer_layers[level];
        for (key, value, max) in [
            ("block_out_channels", channels, 65536),
            ("layers_per_block", layers, 64),
            (per_level.heads_key, heads, 4096),
            ("transformer_layers_per_block", transformer_layers, 64),
        ] {
            check_range(file, key, value, max)?;
        }
        check_groups(file, channels, self.norm_num_groups)?;
        let down = &self.down_block_types[level];
        // Up blocks are listed from the lowest resolution up.
        let up = &self.up_block_types[self.up_block_types.len() - 1 - level];
        Ok(UnetBlock {
            channels,
            layers,
            heads,
            transformer_layers,
            down_attention: attends(file, "down_block_types", down, [PLAIN_DOWN, CROSS_DOWN])?,
            up_attention: attends(file, "up_block_types", up, [PLAIN_UP, CROSS_UP])?,
        })
    }
}

/// The values of [`Raw`] that may differ between levels, one for each level.
struct PerLevel {
    layers: Vec<usize>,
    /// The key that the number of heads comes from.
    heads_key: &'static str,
    heads: Vec<usize>,
    transformer_layers: Vec<usize>,
}

impl UnetConfig {
    /// Reads the JSON text of `file`.
    ///
    /// # Errors
    /// [`Error::File`] if the text is not a JSON object, [`Error::Config`] for a value that is not
    /// supported.
    pub fn from_json(file: &str, text: &[u8]) -> Result<Self> {
        let (json, mut raw): (_, Raw) = parse(file, text)?;
        for (key, values) in supported_values() {
            require_one_of(file, &json, key, &values)?;
        }
        // Null means no norms here, and no middle block; for all other keys, diffusers' default.
        if json.get("norm_num_groups").is_some_and(Value::is_null) {
            return Err(Error::config(file, "norm_num_groups", "null", "a number"));
        }
        if json.get("mid_block_type").is_some_and(Value::is_null) {
            raw.mid_block_type = None;
        }
        raw.check_sizes(file)?;
        let mid_block = raw.mid_block(file)?;
        let per_level = raw.per_level(file)?;
        let blocks = (0..raw.block_out_channels.len())
            .map(|level| raw.block(file, level, &per_level))
            .collect::<Result<Vec<_>>>()?;
        let config = UnetConfig {
            in_channels: raw.in_channels,
            out_channels: raw.out_channels,
            blocks,
            mid_block,
            cross_attention_dim: raw.prompt_width(file)?,
            norm_num_groups: raw.norm_num_groups,
            norm_eps: raw.norm_eps,
            flip_sin_to_cos: raw.flip_sin_to_cos,
            freq_shift: raw.freq_shift,
            use_linear_projection: raw.use_linear_projection,
            sample_size: raw.sample_size(file)?,
            time_cond_proj_dim: raw.time_cond_proj_dim,
        };
        config.check_heads(file, per_level.heads_key)?;
        config.check_transformer_layers(file)?;
        check_epsilon(file, "norm_eps", config.norm_eps)?;
        config.check_freq_shift(file)?;
        Ok(config)
    }

    /// Checks that the channels of every block with attention divide into its heads.
    fn check_heads(&self, file: &str, heads_key: &str) -> Result<()> {
        for (level, block) in self.blocks.iter().enumerate() {
            let lowest = level + 1 == self.blocks.len();
            let mid_attention = lowest && self.mid_block == MidBlockKind::Attention;
            let attention = block.down_attention || block.up_attention || mid_attention;
            if attention && !block.channels.is_multiple_of(block.heads) {
                let expected = format!("a divisor of the block's {} channels", block.channels);
                return Err(Error::config(file, heads_key, block.heads, expected));
            }
        }
        Ok(())
    }

    /// Checks the total of transformer layers. Each factor of it may be large, but not all: a few
    /// bytes of JSON would ask for millions of tensors.
    fn check_transformer_layers(&self, file: &str) -> Result<()> {
        let layers = |block: &UnetBlock| {
            let down = usize::from(block.down_attention) * block.layers;
            let up = usize::from(block.up_attention) * (block.layers + 1);
            (down + up) * block.transformer_layers
        };
        let total: usize = self.blocks.iter().map(layers).sum();
        if total > MAX_TRANSFORMER_LAYERS {
            return Err(Error::config(
                file,
                "transformer_layers_per_block",
                format!("a total of {total} layers"),
                format!("at most {MAX_TRANSFORMER_LAYERS}"),
            ));
        }
        Ok(())
    }

    /// Checks the shift of the timestep embedding's frequencies: they are divided by half the first
    /// block's channels minus the shift.
    fn check_freq_shift(&self, file: &str) -> Result<()> {
        let half = (self.blocks[0].channels / 2).max(1) as f64;
        if !(0.0..half).contains(&self.freq_shift) {
            let expected = format!("at least 0 and less than {half}");
            return Err(Error::config(file, "freq_shift", self.freq_shift, expected));
        }
        Ok(())
    }

    /// Width of the timestep embedding after its first linear layer.
    pub fn time_embed_dim(&self) -> usize {
        self.blocks[0].channels * 4
    }
}
