//! The configuration of a checkpoint, inferred from the names and shapes of its tensors.

use serde_json::{Value, json};

use super::names::{Ldm, TextKind};
use super::safetensors::Header;
use crate::error::{Error, Result};

/// Channels of an attention head in both text encoders and in SD2's U-Net. They give the number of
/// heads.
const HEAD_CHANNELS: usize = 64;
/// Heads at every level of SD1's U-Net.
const SD1_HEADS: usize = 8;
/// Layers of SD2's text encoder that are run. The prompt's embedding is the input of the last of
/// its 24 layers.
const SD2_TEXT_LAYERS: usize = 23;

/// The tensors of a file that have names beginning with `prefix`.
pub(super) struct Tensors<'a> {
    pub header: &'a Header,
    /// The file's name in error messages.
    pub shown: &'a str,
    pub prefix: &'a str,
}

impl Tensors<'_> {
    pub fn has(&self, name: &str) -> bool {
        let name = format!("{}{name}", self.prefix);
        self.header.tensors.contains_key(&name)
    }

    /// Returns a dimension of a tensor, or `None` if there is no such tensor or dimension.
    fn dim(&self, name: &str, axis: usize) -> Option<usize> {
        let name = format!("{}{name}", self.prefix);
        self.header.tensors.get(&name)?.shape.get(axis).copied()
    }

    /// Returns a dimension of a tensor that every checkpoint has.
    pub fn require_dim(&self, name: &str, axis: usize) -> Result<usize> {
        self.dim(name, axis).ok_or_else(|| {
            let what = format!(
                "tensor {}{name} is missing or has the wrong shape; every checkpoint of Stable \
                 Diffusion 1.x and 2.x has it",
                self.prefix
            );
            Error::file(self.shown, what)
        })
    }

    /// True if a tensor's name begins with `name`.
    fn any(&self, name: &str) -> bool {
        let name = format!("{}{name}", self.prefix);
        let mut from = self.header.tensors.range(name.clone()..);
        from.next()
            .is_some_and(|(found, _)| found.starts_with(&name))
    }

    /// Counts the names `name(0)`, `name(1)`, … up to the first that does not exist.
    pub fn count(&self, name: impl Fn(usize) -> String) -> usize {
        (0..).take_while(|&i| self.has(&name(i))).count()
    }

    /// Number of transformer layers in `block` of the U-Net.
    fn transformer_layers(&self, block: &str) -> usize {
        self.count(|i| format!("{block}.1.transformer_blocks.{i}.norm1.weight"))
    }

    fn unlike_any(&self, what: impl std::fmt::Display) -> Error {
        Error::file(
            self.shown,
            format!("{what}, unlike every checkpoint of Stable Diffusion 1.x and 2.x"),
        )
    }
}

/// A level of the U-Net's down blocks.
#[derive(Default)]
struct Level {
    channels: usize,
    /// Residual blocks.
    layers: usize,
    /// Residual blocks that are followed by a transformer.
    transformers: usize,
    /// Layers of each transformer.
    transformer_layers: usize,
}

/// Infers the number of blocks that a level takes in the numbering, and `unet/config.json`.
pub(super) fn infer_unet(header: &Header, shown: &str, kind: TextKind) -> Result<(usize, Value)> {
    let tensors = Tensors {
        header,
        shown,
        prefix: Ldm::UNET,
    };
    let in_channels = tensors.require_dim("input_blocks.0.0.weight", 1)?;
    let (levels, level_blocks) = find_levels(&tensors);
    check_levels(&tensors, &levels)?;
    let layers = levels[0].layers;
    let up_attention = |level: usize| {
        let first = (levels.len() - 1 - level) * level_blocks;
        tensors.transformer_layers(&format!("output_blocks.{first}")) > 0
    };
    let mid_block = tensors.any("middle_block.");
    let mid_layers = tensors.transformer_layers("middle_block");
    let transformer = match mid_block {
        true => "middle_block.1".into(),
        false => first_transformer(&tensors, levels.len() * level_blocks),
    };
    let of_levels = |value: &dyn Fn(&Level) -> usize| levels.iter().map(value).collect::<Vec<_>>();
    let mut config = json!({
        "in_channels": in_channels,
        "out_channels": tensors.require_dim("out.2.weight", 0)?,
        "block_out_channels": of_levels(&|level| level.channels),
        "layers_per_block": layers,
        "down_block_types": levels
            .iter()
            .map(|level| match level.transformers {
                0 => "DownBlock2D",
                _ => "CrossAttnDownBlock2D",
            })
            .collect::<Vec<_>>(),
        "up_block_types": (0..levels.len())
            .rev()
            .map(|level| match up_attention(level) {
                false => "UpBlock2D",
                true => "CrossAttnUpBlock2D",
            })
            .collect::<Vec<_>>(),
        "attention_head_dim": of_levels(&|level| match kind {
            TextKind::Clip => SD1_HEADS,
            TextKind::OpenClip => (level.channels / HEAD_CHANNELS).max(1),
        }),
        // The middle block takes the number of the lowest level, which has no transformer itself.
        "transformer_layers_per_block": of_levels(&|level| match level.transformer_layers {
            0 => mid_layers.max(1),
            layers => layers,
        }),
        "cross_attention_dim": tensors
            .require_dim(&format!("{transformer}.transformer_blocks.0.attn2.to_k.weight"), 1)?,
        "use_linear_projection":
            tensors.dim(&format!("{transformer}.proj_in.weight"), 2).is_none(),
        "time_cond_proj_dim": tensors.dim("time_embed.cond_proj.weight", 1),
    });
    if !mid_block {
        config["mid_block_type"] = Value::Null;
    }
    Ok((level_blocks, config))
}

/// The first input block with a transformer, of `blocks`.
fn first_transformer(tensors: &Tensors, blocks: usize) -> String {
    let mut names = (1..=blocks).map(|block| format!("input_blocks.{block}.1"));
    let first = names.find(|name| tensors.has(&format!("{name}.proj_in.weight")));
    first.unwrap_or_else(|| "input_blocks.1.1".into())
}

/// Collects the levels of the U-Net from the highest resolution down; at least one. Returns beside
/// them the number of blocks that a level takes in the numbering.
fn find_levels(tensors: &Tensors) -> (Vec<Level>, usize) {
    let mut levels = vec![];
    let mut level = Level::default();
    let mut level_blocks = None;
    for number in 1.. {
        let block = format!("input_blocks.{number}");
        if tensors.has(&format!("{block}.0.op.weight")) {
            level_blocks.get_or_insert(number);
            levels.push(std::mem::take(&mut level));
            continue;
        }
        let Some(channels) = tensors.dim(&format!("{block}.0.out_layers.3.weight"), 0) else {
            // A number that a distilled model leaves out before a downsampler.
            if level.layers > 0 && tensors.has(&format!("input_blocks.{}.0.op.weight", number + 1))
            {
                continue;
            }
            break;
        };
        let transformer_layers = tensors.transformer_layers(&block);
        level.channels = channels;
        level.layers += 1;
        level.transformers += usize::from(transformer_layers > 0);
        level.transformer_layers = level.transformer_layers.max(transformer_layers);
    }
    let layers = level.layers;
    levels.push(level);
    (levels, level_blocks.unwrap_or(layers + 1))
}

/// Checks that all levels have the same number of residual blocks, and transformers after all or
/// none of them.
fn check_levels(tensors: &Tensors, levels: &[Level]) -> Result<()> {
    let (count, layers) = (levels.len(), levels[0].layers);
    for (level, number) in levels.iter().zip(1..) {
        if level.layers != layers || level.layers == 0 {
            return Err(tensors.unlike_any(format!(
                "level {number} of {count} of the U-Net has {} residual blocks, the first level \
                 has {layers}",
                level.layers
            )));
        }
    }
    for level in levels {
        if level.transformers != 0 && level.transformers != layers {
            return Err(tensors.unlike_any(format!(
                "a level of the U-Net has {layers} residual blocks and {} transformers",
                level.transformers
            )));
        }
    }
    Ok(())
}

/// Infers the number of levels of the VAE, and `vae/config.json`. Its names begin with `prefix`.
pub(super) fn infer_vae(header: &Header, shown: &str, prefix: &str) -> Result<(usize, Value)> {
    let tensors = Tensors {
        header,
        shown,
        prefix,
    };
    let first_conv = |level: usize| format!("decoder.up.{level}.block.0.conv1.weight");
    let levels = tensors.count(first_conv);
    let channels = (0..levels)
        .map(|level| tensors.require_dim(&first_conv(level), 0))
        .collect::<Result<Vec<_>>>()?;
    let blocks = tensors.count(|i| format!("decoder.up.0.block.{i}.conv1.weight"));
    if blocks < 2 {
        return Err(tensors.unlike_any(format!(
            "the first level of the VAE has {blocks} residual blocks"
        )));
    }
    let config = json!({
        "latent_channels": tensors.require_dim("decoder.conv_in.weight", 1)?,
        "out_channels": tensors.require_dim("decoder.conv_out.weight", 0)?,
        "block_out_channels": channels,
        "layers_per_block": blocks - 1,
        "scaling_factor": 0.18215,
        "use_post_quant_conv": tensors.has("post_quant_conv.weight"),
        "mid_block_add_attention": tensors.has("decoder.mid.attn_1.q.weight"),
    });
    Ok((levels, config))
}

/// Kind of a checkpoint's text encoder, the prefix of its names, and `text_encoder/config.json`.
pub(super) type Text = (TextKind, &'static str, Value);

/// Infers the text encoder.
pub(super) fn infer_text(header: &Header, shown: &str) -> Result<Text> {
    let tensors = |prefix| Tensors {
        header,
        shown,
        prefix,
    };
    for prefix in [Ldm::OPEN_CLIP, Ldm::SGM_OPEN_CLIP] {
        let open_clip = tensors(prefix);
        if open_clip.has("token_embedding.weight") {
            return Ok((TextKind::OpenClip, prefix, open_clip_config(&open_clip)?));
        }
    }
    let prefix = match tensors(Ldm::SGM_CLIP).any("") {
        true => Ldm::SGM_CLIP,
        false => Ldm::CLIP,
    };
    let with_text_model = format!("{prefix}text_model.");
    let clip = match tensors(prefix) {
        bare if bare.has("embeddings.token_embedding.weight") => bare,
        _ => tensors(&with_text_model),
    };
    Ok((TextKind::Clip, prefix, clip_config(&clip)?))
}

fn clip_config(clip: &Tensors) -> Result<Value> {
    let width = clip.require_dim("embeddings.token_embedding.weight", 1)?;
    Ok(json!({
        "hidden_size": width,
        "intermediate_size": clip.require_dim("encoder.layers.0.mlp.fc1.weight", 0)?,
        "num_hidden_layers": clip.count(|i| format!("encoder.layers.{i}.layer_norm1.weight")),
        "num_attention_heads": (width / HEAD_CHANNELS).max(1),
        "max_position_embeddings": clip.require_dim("embeddings.position_embedding.weight", 0)?,
        "vocab_size": clip.require_dim("embeddings.token_embedding.weight", 0)?,
        "hidden_act": "quick_gelu",
    }))
}

fn open_clip_config(clip: &Tensors) -> Result<Value> {
    let blocks = clip.count(|i| format!("transformer.resblocks.{i}.attn.in_proj_weight"));
    let layers = match blocks {
        // Files made from diffusers' folders lack the last layer, which is not run anyway.
        SD2_TEXT_LAYERS => SD2_TEXT_LAYERS,
        all => all.saturating_sub(1),
    };
    let width = clip.require_dim("token_embedding.weight", 1)?;
    Ok(json!({
        "hidden_size": width,
        "intermediate_size": clip.require_dim("transformer.resblocks.0.mlp.c_fc.weight", 0)?,
        "num_hidden_layers": layers,
        "num_attention_heads": (width / HEAD_CHANNELS).max(1),
        "max_position_embeddings": clip.require_dim("positional_embedding", 0)?,
        "vocab_size": clip.require_dim("token_embedding.weight", 0)?,
        "hidden_act": "gelu",
    }))
}
