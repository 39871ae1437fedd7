//! Single-file checkpoints: the configuration that the names and shapes of their tensors give away.
//!
//! What shapes cannot tell is the same for all models of a kind and taken from their published configuration:
//! `v1-inference.yaml` of Stable Diffusion 1, `v2-inference.yaml` and `v2-inference-v.yaml` of Stable Diffusion 2.

use serde_json::{Value, json};

use super::file::{WeightFile, read_header};
use super::identify::refuse_others;
use super::names::{Ldm, TextKind};
use super::safetensors::Header;
use super::source::Source;
use crate::config::{
    ModelConfig, PredictionType, SchedulerConfig, TextConfig, UnetConfig, VaeConfig,
};
use crate::error::{Error, Result};

/// Channels of an attention head, where their number follows from it: both text encoders, and the U-Net of SD2.
const HEAD: usize = 64;
/// Heads at every level of SD1's U-Net.
const SD1_HEADS: usize = 8;
/// Layers that SD2 runs of the text encoder's 24: its prompt is what goes into the last one.
const SD2_TEXT_LAYERS: usize = 23;

/// A checkpoint whose header was read.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    file: WeightFile,
    shown: String,
    names: Ldm,
    unet: Value,
    vae: Value,
    text: Value,
}

impl Checkpoint {
    /// Reads the header of the checkpoint at `path` and works out its configuration.
    ///
    /// # Errors
    /// [`Error::File`] where there is no such file, where it is no safetensors file, and, saying what it seems to be,
    /// where it is no checkpoint of Stable Diffusion 1.x or 2.x.
    pub async fn open(source: &dyn Source, path: &str) -> Result<Self> {
        let shown = source.describe(path);
        let size = source.size(path).await?;
        let size = size.ok_or_else(|| Error::file(&shown, "no such file"))?;
        let file =
            read_header(source, path.to_string(), size)
                .await
                .map_err(|error| match error {
                    Error::File { path, what } => Error::file(
                        path,
                        format!("{what}; expected a .safetensors checkpoint or a model folder"),
                    ),
                    other => other,
                })?;
        refuse_others(&shown, &file.header)?;
        let header = &file.header;
        let (text_kind, text) = text(header, &shown)?;
        let (unet_layers, unet) = unet(header, &shown, text_kind)?;
        let (vae_levels, vae) = vae(header, &shown)?;
        let names = Ldm {
            unet_layers,
            vae_levels,
            text: text_kind,
        };
        let (reads, writes) = (&unet["cross_attention_dim"], &text["hidden_size"]);
        if reads != writes {
            let what = format!(
                "its U-Net reads prompts of width {reads}, its text encoder writes width {writes}: they do not belong together"
            );
            return Err(Error::file(shown, what));
        }
        Ok(Checkpoint {
            file,
            shown,
            names,
            unet,
            vae,
            text,
        })
    }

    /// Where and what the file is.
    pub fn file(&self) -> &WeightFile {
        &self.file
    }

    /// What its tensors are called.
    pub fn names(&self) -> &Ldm {
        &self.names
    }

    /// Layers of its text encoder that are run.
    pub fn text_layers(&self) -> usize {
        self.text["num_hidden_layers"].as_u64().unwrap_or(0) as usize
    }

    /// What the U-Net predicts, if the file says so: in a key made for it, in its metadata, or by being of the SD1 kind.
    /// Nothing in most files of the SD2 kind does.
    pub fn prediction(&self) -> Option<PredictionType> {
        let Header { tensors, metadata } = &self.file.header;
        let value = |key: &str| metadata.get(key).map(String::as_str);
        // ComfyUI writes `predict_key`, sd-scripts `prediction_type`.
        let said = value("modelspec.predict_key").or_else(|| value("modelspec.prediction_type"));
        match (said, value("modelspec.architecture")) {
            _ if tensors.contains_key("v_pred") => Some(PredictionType::VPrediction),
            (Some("v" | "v_prediction"), _) => Some(PredictionType::VPrediction),
            (Some("epsilon"), _) => Some(PredictionType::Epsilon),
            (_, Some("stable-diffusion-v2-768-v")) => Some(PredictionType::VPrediction),
            (_, Some("stable-diffusion-v2-512")) => Some(PredictionType::Epsilon),
            _ if self.names.text == TextKind::Clip => Some(PredictionType::Epsilon),
            _ => None,
        }
    }

    /// The configuration, as a model folder's JSON files would have it, for a U-Net that predicts `prediction`.
    ///
    /// # Errors
    /// [`Error::Config`] and [`Error::File`] for sizes that no model of these kinds has.
    pub fn config(&self, prediction: PredictionType) -> Result<ModelConfig> {
        let file = |name: &str| format!("{}: {name}", self.shown);
        let text = |json: &Value| json.to_string().into_bytes();
        let v = prediction == PredictionType::VPrediction;
        let mut unet = self.unet.clone();
        // SD2 for 768×768 pixels predicts v; SD1 and SD2 for 512×512 predict the noise.
        let large = v && self.names.text == TextKind::OpenClip;
        unet["sample_size"] = if large { 96 } else { 64 }.into();
        let mut vae = self.vae.clone();
        let sd1 = self.names.text == TextKind::Clip;
        vae["sample_size"] = if sd1 { 512 } else { 768 }.into();
        let scheduler = json!({
            "_class_name": if v { "DDIMScheduler" } else { "PNDMScheduler" },
            "num_train_timesteps": 1000,
            "beta_start": 0.00085,
            "beta_end": 0.012,
            "beta_schedule": "scaled_linear",
            "prediction_type": if v { "v_prediction" } else { "epsilon" },
            "timestep_spacing": "leading",
            "steps_offset": 1,
            "set_alpha_to_one": false,
            "skip_prk_steps": true,
            "clip_sample": false,
            // A key that some v-predicting models of the SD1 kind bring along.
            "rescale_betas_zero_snr": v && self.file.header.tensors.contains_key("ztsnr"),
        });
        let config = ModelConfig {
            unet: UnetConfig::from_json(&file("unet"), &text(&unet))?,
            vae: VaeConfig::from_json(&file("vae"), &text(&vae))?,
            text: TextConfig::from_json(&file("text encoder"), &text(&self.text))?,
            scheduler: SchedulerConfig::from_json(&file("scheduler"), &text(&scheduler))?,
        };
        config.check().map_err(|error| match error {
            // It speaks of a model folder's files.
            Error::Config {
                key,
                actual,
                expected,
                ..
            } => Error::config(file("unet"), key, actual, expected),
            other => other,
        })?;
        Ok(config)
    }

    /// `tokenizer/special_tokens_map.json`, where the kind has one that matters: SD2 pads with "!", id 0.
    pub fn special_tokens_map(&self) -> Option<Vec<u8>> {
        let sd2 = self.names.text == TextKind::OpenClip;
        sd2.then(|| json!({ "pad_token": "!" }).to_string().into_bytes())
    }
}

/// The tensors whose names begin with `prefix`.
struct Tensors<'a> {
    header: &'a Header,
    shown: &'a str,
    prefix: &'a str,
}

impl Tensors<'_> {
    fn has(&self, name: &str) -> bool {
        let name = format!("{}{name}", self.prefix);
        self.header.tensors.contains_key(&name)
    }

    /// A dimension, `None` where there is no such tensor or it has fewer.
    fn dim(&self, name: &str, axis: usize) -> Option<usize> {
        let name = format!("{}{name}", self.prefix);
        self.header.tensors.get(&name)?.shape.get(axis).copied()
    }

    fn need(&self, name: &str, axis: usize) -> Result<usize> {
        let what = || {
            format!(
                "tensor {}{name} is missing or misshapen; checkpoints of Stable Diffusion 1.x and 2.x have it",
                self.prefix
            )
        };
        let dim = self.dim(name, axis);
        dim.ok_or_else(|| Error::file(self.shown, what()))
    }

    /// How many names there are in the sequence of `name(0)`, `name(1)`, …
    fn count(&self, name: impl Fn(usize) -> String) -> usize {
        (0..).take_while(|&i| self.has(&name(i))).count()
    }

    fn odd(&self, what: impl std::fmt::Display) -> Error {
        Error::file(
            self.shown,
            format!("{what}, unlike every checkpoint of Stable Diffusion 1.x and 2.x"),
        )
    }
}

/// Levels as they are found on the way down.
#[derive(Default)]
struct Level {
    channels: usize,
    layers: usize,
    with_attention: usize,
    transformer_layers: usize,
}

/// Residual blocks a level, and `unet/config.json`.
fn unet(header: &Header, shown: &str, kind: TextKind) -> Result<(usize, Value)> {
    let tensors = Tensors {
        header,
        shown,
        prefix: Ldm::UNET,
    };
    let transformers =
        |block: String| tensors.count(|i| format!("{block}.1.transformer_blocks.{i}.norm1.weight"));
    let in_channels = tensors.need("input_blocks.0.0.weight", 1)?;
    let mut levels = vec![Level::default()];
    for block in 1.. {
        let block = format!("input_blocks.{block}");
        if tensors.has(&format!("{block}.0.op.weight")) {
            levels.push(Level::default());
            continue;
        }
        let Some(channels) = tensors.dim(&format!("{block}.0.out_layers.3.weight"), 0) else {
            break;
        };
        let transformer_layers = transformers(block);
        if let Some(level) = levels.last_mut() {
            level.channels = channels;
            level.layers += 1;
            level.with_attention += usize::from(transformer_layers > 0);
            level.transformer_layers = level.transformer_layers.max(transformer_layers);
        }
    }
    let count = levels.len();
    let layers = levels[0].layers;
    if let Some((i, level)) = levels
        .iter()
        .enumerate()
        .find(|(_, level)| level.layers != layers || level.layers == 0)
    {
        return Err(tensors.odd(format!(
            "the U-Net's level {} of {count} has {} residual blocks, its first has {layers}",
            i + 1,
            level.layers
        )));
    }
    if let Some(level) = levels
        .iter()
        .find(|level| level.with_attention != 0 && level.with_attention != layers)
    {
        return Err(tensors.odd(format!(
            "a level of the U-Net has {layers} residual blocks and {} transformers",
            level.with_attention
        )));
    }
    let up_attention = |level: usize| {
        let first = (count - 1 - level) * (layers + 1);
        transformers(format!("output_blocks.{first}")) > 0
    };
    let in_the_middle = transformers("middle_block".into());
    let attends = |attends: bool, cross: &'static str, plain: &'static str| {
        if attends { cross } else { plain }
    };
    let config = json!({
        "in_channels": in_channels,
        "out_channels": tensors.need("out.2.weight", 0)?,
        "block_out_channels": levels.iter().map(|level| level.channels).collect::<Vec<_>>(),
        "layers_per_block": layers,
        "down_block_types": levels
            .iter()
            .map(|level| attends(level.with_attention > 0, "CrossAttnDownBlock2D", "DownBlock2D"))
            .collect::<Vec<_>>(),
        "up_block_types": (0..count)
            .rev()
            .map(|level| attends(up_attention(level), "CrossAttnUpBlock2D", "UpBlock2D"))
            .collect::<Vec<_>>(),
        "attention_head_dim": levels
            .iter()
            .map(|level| match kind {
                TextKind::Clip => SD1_HEADS,
                TextKind::OpenClip => (level.channels / HEAD).max(1),
            })
            .collect::<Vec<_>>(),
        // The deepest level, which has no transformer of its own, lends its place to the one in the middle.
        "transformer_layers_per_block": levels
            .iter()
            .map(|level| match level.transformer_layers {
                0 => in_the_middle.max(1),
                n => n,
            })
            .collect::<Vec<_>>(),
        "cross_attention_dim":
            tensors.need("middle_block.1.transformer_blocks.0.attn2.to_k.weight", 1)?,
        "use_linear_projection": tensors.dim("middle_block.1.proj_in.weight", 2).is_none(),
    });
    Ok((layers, config))
}

/// Levels, and `vae/config.json`.
fn vae(header: &Header, shown: &str) -> Result<(usize, Value)> {
    let tensors = Tensors {
        header,
        shown,
        prefix: Ldm::VAE,
    };
    let levels = tensors.count(|i| format!("decoder.up.{i}.block.0.conv1.weight"));
    let channels = (0..levels)
        .map(|i| tensors.need(&format!("decoder.up.{i}.block.0.conv1.weight"), 0))
        .collect::<Result<Vec<_>>>()?;
    let blocks = tensors.count(|i| format!("decoder.up.0.block.{i}.conv1.weight"));
    if blocks < 2 {
        return Err(tensors.odd(format!(
            "the VAE's first level has {blocks} residual blocks"
        )));
    }
    let config = json!({
        "latent_channels": tensors.need("decoder.conv_in.weight", 1)?,
        "out_channels": tensors.need("decoder.conv_out.weight", 0)?,
        "block_out_channels": channels,
        "layers_per_block": blocks - 1,
        "scaling_factor": 0.18215,
        "use_post_quant_conv": tensors.has("post_quant_conv.weight"),
        "mid_block_add_attention": tensors.has("decoder.mid.attn_1.q.weight"),
    });
    Ok((levels, config))
}

/// Which text encoder there is, and its `config.json`.
fn text(header: &Header, shown: &str) -> Result<(TextKind, Value)> {
    let tensors = |prefix| Tensors {
        header,
        shown,
        prefix,
    };
    let open_clip = tensors(Ldm::OPEN_CLIP);
    if open_clip.has("token_embedding.weight") {
        let blocks = open_clip.count(|i| format!("transformer.resblocks.{i}.attn.in_proj_weight"));
        let layers = match blocks {
            // Files made of diffusers' folders lack the layer that is not run anyway.
            SD2_TEXT_LAYERS => SD2_TEXT_LAYERS,
            all => all.saturating_sub(1),
        };
        let width = open_clip.need("token_embedding.weight", 1)?;
        let config = json!({
            "hidden_size": width,
            "intermediate_size": open_clip.need("transformer.resblocks.0.mlp.c_fc.weight", 0)?,
            "num_hidden_layers": layers,
            "num_attention_heads": (width / HEAD).max(1),
            "max_position_embeddings": open_clip.need("positional_embedding", 0)?,
            "vocab_size": open_clip.need("token_embedding.weight", 0)?,
            "hidden_act": "gelu",
        });
        return Ok((TextKind::OpenClip, config));
    }
    let wrapped = format!("{}text_model.", Ldm::CLIP);
    let clip = match tensors(Ldm::CLIP) {
        bare if bare.has("embeddings.token_embedding.weight") => bare,
        _ => tensors(&wrapped),
    };
    let width = clip.need("embeddings.token_embedding.weight", 1)?;
    let config = json!({
        "hidden_size": width,
        "intermediate_size": clip.need("encoder.layers.0.mlp.fc1.weight", 0)?,
        "num_hidden_layers": clip.count(|i| format!("encoder.layers.{i}.layer_norm1.weight")),
        "num_attention_heads": (width / HEAD).max(1),
        "max_position_embeddings": clip.need("embeddings.position_embedding.weight", 0)?,
        "vocab_size": clip.need("embeddings.token_embedding.weight", 0)?,
        "hidden_act": "quick_gelu",
    });
    Ok((TextKind::Clip, config))
}
