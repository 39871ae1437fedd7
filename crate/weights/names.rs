//! The only map between our tensor names and the names in files.
//!
//! Our names are diffusers' current keys, so a model folder needs little mapping, only for older
//! files of the same models. Single-file checkpoints have the names of the program that trained
//! the models ([`Ldm`]).

/// Name of a tensor in a file, or of a third of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The tensor's name in the file.
    pub name: String,
    /// Third of its rows, if one tensor holds the weights for queries, keys and values one below
    /// the other.
    pub third: Option<usize>,
}

impl From<String> for Key {
    fn from(name: String) -> Self {
        Key { name, third: None }
    }
}

/// Possible names of our tensor `name` in a file of a model folder, in order of preference.
///
/// - transformers before 5 put `text_model.` before every key of the text encoder;
/// - diffusers before 0.18 named the VAE's attention layers query, key, value and proj_attn.
pub fn aliases(name: &str) -> Vec<Key> {
    let old_attention = [
        (".to_q.", ".query."),
        (".to_k.", ".key."),
        (".to_v.", ".value."),
        (".to_out.0.", ".proj_attn."),
    ];
    let mut names = vec![name.to_string(), format!("text_model.{name}")];
    for (new, old) in old_attention {
        if name.contains(new) {
            names.push(name.replace(new, old));
        }
    }
    names.into_iter().map(Key::from).collect()
}

/// Kind of text encoder in a checkpoint. It decides the settings that shapes cannot tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextKind {
    /// CLIP with transformers' names: Stable Diffusion 1.x.
    Clip,
    /// OpenCLIP: Stable Diffusion 2.x.
    OpenClip,
}

/// The names in a checkpoint of the original code: CompVis' and Stability's latent-diffusion,
/// `openaimodel.py` and `model.py`, and open_clip's `transformer.py`. Blocks of a network are
/// numbered consecutively there, across its levels.
#[derive(Debug, Clone, Copy)]
pub struct Ldm {
    /// Blocks that a level takes in the numbering of the U-Net: one more than it has residual
    /// blocks in a file of the original code. Files made from small distilled models keep the
    /// numbers of the large ones and leave some out.
    pub unet_level: usize,
    /// Prefix of the text encoder's names.
    pub text_prefix: &'static str,
    /// Levels of the VAE.
    pub vae_levels: usize,
    /// Kind of text encoder.
    pub text: TextKind,
}

impl Ldm {
    /// Prefix of the U-Net's names.
    pub const UNET: &str = "model.diffusion_model.";
    /// Prefix of the VAE's names.
    pub const VAE: &str = "first_stage_model.";
    /// Prefix of the names of SD1's text encoder.
    pub const CLIP: &str = "cond_stage_model.transformer.";
    /// Prefix of the names of SD2's text encoder.
    pub const OPEN_CLIP: &str = "cond_stage_model.model.";
    /// [`Ldm::CLIP`] in files of the later code (generative-models).
    pub const SGM_CLIP: &str = "conditioner.embedders.0.transformer.";
    /// [`Ldm::OPEN_CLIP`] in files of the later code, such as SD-Turbo's.
    pub const SGM_OPEN_CLIP: &str = "conditioner.embedders.0.model.";

    /// Possible names of our tensor `name` of the network `part` (a folder in diffusers' layout),
    /// in order of preference.
    pub fn keys(&self, part: &str, name: &str) -> Vec<Key> {
        let words: Vec<&str> = name.split('.').collect();
        let (prefix, keys) = match (part, self.text) {
            ("unet", _) => (Self::UNET, self.unet(&words)),
            ("vae", _) => (Self::VAE, vec![self.vae(&words).into()]),
            // Merging programs of 2022 dropped `text_model.`, and files made from their files lack
            // it too.
            (_, TextKind::Clip) => {
                let names = ["text_model.", ""].map(|between| format!("{between}{name}").into());
                (self.text_prefix, names.to_vec())
            }
            (_, TextKind::OpenClip) => (self.text_prefix, vec![open_clip(&words)]),
        };
        let full = |key: Key| Key {
            name: format!("{prefix}{}", key.name),
            ..key
        };
        keys.into_iter().map(full).collect()
    }

    fn unet(&self, words: &[&str]) -> Vec<Key> {
        // Besides its residual blocks, a level has a downsampler in the input blocks, and one more
        // residual block in the output blocks.
        let level = self.unet_level;
        let at = |block: &str, layer: &str| number(block) * level + number(layer);
        let key = match words {
            ["down_blocks", b, "resnets", i, leaf @ ..] => {
                format!("input_blocks.{}.0.{}", 1 + at(b, i), resnet(leaf))
            }
            ["down_blocks", b, "attentions", i, leaf @ ..] => {
                format!("input_blocks.{}.1.{}", 1 + at(b, i), leaf.join("."))
            }
            ["down_blocks", b, "downsamplers", "0", "conv", leaf] => {
                format!("input_blocks.{}.0.op.{leaf}", at(b, "0") + level)
            }
            ["mid_block", "resnets", i, leaf @ ..] => {
                format!("middle_block.{}.{}", 2 * number(i), resnet(leaf))
            }
            ["mid_block", "attentions", "0", leaf @ ..] => {
                format!("middle_block.1.{}", leaf.join("."))
            }
            ["up_blocks", b, "resnets", i, leaf @ ..] => {
                format!("output_blocks.{}.0.{}", at(b, i), resnet(leaf))
            }
            ["up_blocks", b, "attentions", i, leaf @ ..] => {
                format!("output_blocks.{}.1.{}", at(b, i), leaf.join("."))
            }
            // After the residual block and, on some levels, a transformer.
            ["up_blocks", b, "upsamplers", "0", "conv", leaf] => {
                let block = at(b, "0") + level - 1;
                return [1, 2]
                    .map(|index| format!("output_blocks.{block}.{index}.conv.{leaf}").into())
                    .to_vec();
            }
            ["time_embedding", "linear_1", leaf] => format!("time_embed.0.{leaf}"),
            ["time_embedding", "linear_2", leaf] => format!("time_embed.2.{leaf}"),
            ["time_embedding", "cond_proj", leaf] => format!("time_embed.cond_proj.{leaf}"),
            ["conv_in", leaf] => format!("input_blocks.0.0.{leaf}"),
            ["conv_norm_out", leaf] => format!("out.0.{leaf}"),
            ["conv_out", leaf] => format!("out.2.{leaf}"),
            other => other.join("."),
        };
        vec![key.into()]
    }

    fn vae(&self, words: &[&str]) -> String {
        let shortcut = |leaf: &[&str]| leaf.join(".").replace("conv_shortcut", "nin_shortcut");
        // Counted from the highest resolution down; diffusers counts from the lowest up.
        let level = |block: &str| self.vae_levels.saturating_sub(1 + number(block));
        match words {
            ["decoder", "mid_block", "resnets", i, leaf @ ..] => {
                format!("decoder.mid.block_{}.{}", 1 + number(i), shortcut(leaf))
            }
            ["decoder", "mid_block", "attentions", "0", layer @ .., leaf] => {
                let layer = match layer.join(".").as_str() {
                    "group_norm" => "norm",
                    "to_q" => "q",
                    "to_k" => "k",
                    "to_v" => "v",
                    _ => "proj_out",
                };
                format!("decoder.mid.attn_1.{layer}.{leaf}")
            }
            ["decoder", "up_blocks", b, "resnets", i, leaf @ ..] => {
                format!("decoder.up.{}.block.{i}.{}", level(b), shortcut(leaf))
            }
            ["decoder", "up_blocks", b, "upsamplers", "0", leaf @ ..] => {
                format!("decoder.up.{}.upsample.{}", level(b), leaf.join("."))
            }
            ["decoder", "conv_norm_out", leaf] => format!("decoder.norm_out.{leaf}"),
            other => other.join("."),
        }
    }
}

fn open_clip(words: &[&str]) -> Key {
    let name = match words {
        ["embeddings", "token_embedding", leaf] => format!("token_embedding.{leaf}"),
        ["embeddings", "position_embedding", _] => "positional_embedding".into(),
        ["final_layer_norm", leaf] => format!("ln_final.{leaf}"),
        ["encoder", "layers", i, layer @ .., leaf] => {
            let block = format!("transformer.resblocks.{i}");
            let (layer, third) = match layer.join(".").as_str() {
                "self_attn.q_proj" => ("attn.in_proj_", Some(0)),
                "self_attn.k_proj" => ("attn.in_proj_", Some(1)),
                "self_attn.v_proj" => ("attn.in_proj_", Some(2)),
                "self_attn.out_proj" => ("attn.out_proj.", None),
                "layer_norm1" => ("ln_1.", None),
                "layer_norm2" => ("ln_2.", None),
                "mlp.fc1" => ("mlp.c_fc.", None),
                _ => ("mlp.c_proj.", None),
            };
            return Key {
                name: format!("{block}.{layer}{leaf}"),
                third,
            };
        }
        other => other.join("."),
    };
    name.into()
}

/// The name of a residual block's layer. The original code numbers them in two sequences.
fn resnet(leaf: &[&str]) -> String {
    let [layer, leaf @ ..] = leaf else {
        return String::new();
    };
    let layer = match *layer {
        "norm1" => "in_layers.0",
        "conv1" => "in_layers.2",
        "time_emb_proj" => "emb_layers.1",
        "norm2" => "out_layers.0",
        "conv2" => "out_layers.3",
        "conv_shortcut" => "skip_connection",
        other => other,
    };
    format!("{layer}.{}", leaf.join("."))
}

/// Parses a number in one of our own names.
fn number(word: &str) -> usize {
    word.parse().unwrap_or(0)
}
