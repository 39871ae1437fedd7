//! A model folder's JSON files, as types. Every size in the engine comes from here; a value the engine cannot honour is
//! an error that names the key, never a guess.
//!
//! Defaults are those of diffusers 0.42 (`UNet2DConditionModel`, `AutoencoderKL`, the schedulers) and transformers 5
//! (`CLIPTextConfig`), for files that leave keys out.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::{Error, Result};

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
        1 << (self.vae.block_out_channels.len() - 1)
    }

    /// The picture size the model was trained at, in pixels.
    pub fn default_size(&self) -> usize {
        self.unet.sample_size * self.pixels_per_latent()
    }
}

/// Parses `text` as a JSON object and hands it on both raw, for checks by key, and typed.
fn parse<T: DeserializeOwned>(file: &str, text: &[u8]) -> Result<(Map<String, Value>, T)> {
    // Python writes numbers that JSON has no words for (`"lambda_min_clipped": -Infinity` in every DPM-Solver file).
    let text = String::from_utf8_lossy(text)
        .replace(": -Infinity", ": null")
        .replace(": Infinity", ": null")
        .replace(": NaN", ": null");
    let raw: Map<String, Value> = serde_json::from_str(&text)
        .map_err(|e| Error::file(file, format!("not a JSON object: {e}")))?;
    let typed = T::deserialize(Value::Object(raw.clone())).map_err(|e| {
        // serde does not say which key it was. Every key may stand alone, so the one that fails alone is the one.
        let alone = |(key, value): &(&String, &Value)| {
            let single = Map::from_iter([((*key).clone(), (*value).clone())]);
            T::deserialize(Value::Object(single)).is_err()
        };
        match raw.iter().find(alone) {
            Some((key, value)) => {
                let reason = e.to_string();
                let expected = reason.rsplit_once("expected ").map_or(&*reason, |(_, e)| e);
                Error::config(file, key, value, expected)
            }
            None => Error::file(file, format!("unexpected content: {e}")),
        }
    })?;
    Ok((raw, typed))
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

/// Refuses zero, and sizes no real model comes near: they would only be found out by running out of memory.
fn sane(file: &str, key: &str, value: usize, most: usize) -> Result<()> {
    if value == 0 || value > most {
        return Err(Error::config(file, key, value, format!("1 to {most}")));
    }
    Ok(())
}

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
    /// Latents are divided by this before decoding.
    pub scaling_factor: f64,
    /// Whether a 1×1 convolution comes before the decoder.
    pub use_post_quant_conv: bool,
    /// Whether the deepest point has self-attention.
    pub mid_block_add_attention: bool,
}

impl Default for VaeConfig {
    fn default() -> Self {
        VaeConfig {
            latent_channels: 4,
            out_channels: 3,
            block_out_channels: vec![64],
            layers_per_block: 1,
            norm_num_groups: 32,
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

/// How beta grows over the training timesteps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BetaSchedule {
    /// Evenly.
    Linear,
    /// Evenly in its square root: every Stable Diffusion model.
    ScaledLinear,
    /// Cosine schedule of improved DDPM.
    #[serde(rename = "squaredcos_cap_v2")]
    SquaredcosCapV2,
}

/// What the U-Net's output means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PredictionType {
    /// The noise.
    Epsilon,
    /// `v = α·noise − σ·x0` (SD2.x at 768).
    VPrediction,
}

/// Which of the training timesteps the sampling steps use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimestepSpacing {
    /// Multiples of the step width, from below.
    Leading,
    /// Evenly from 0 to the last.
    Linspace,
    /// Multiples of the step width, from the end.
    Trailing,
}

/// `scheduler/scheduler_config.json`. `None` where the file is silent: diffusers' scheduler classes differ in their
/// defaults, so each sampler fills in its own.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct SchedulerConfig {
    /// diffusers' class, the model's own sampler.
    #[serde(rename = "_class_name")]
    pub class_name: String,
    /// Timesteps of the training (1000).
    pub num_train_timesteps: usize,
    /// First beta.
    pub beta_start: f64,
    /// Last beta.
    pub beta_end: f64,
    /// How beta grows between them.
    pub beta_schedule: BetaSchedule,
    /// All betas, where a file lists them.
    pub trained_betas: Option<Vec<f64>>,
    /// What the U-Net predicts.
    pub prediction_type: PredictionType,
    /// Spacing of the sampling timesteps.
    pub timestep_spacing: Option<TimestepSpacing>,
    /// Added to every timestep of "leading" spacing.
    pub steps_offset: i64,
    /// Whether the last step of ddim and pndm assumes ᾱ = 1 (default true for ddim, false for pndm).
    pub set_alpha_to_one: Option<bool>,
    /// Whether pndm leaves out its Runge–Kutta steps (Stable Diffusion: true).
    pub skip_prk_steps: bool,
    /// Whether ddim clips the predicted picture (Stable Diffusion: false; diffusers' default: true).
    pub clip_sample: Option<bool>,
    /// To which range.
    pub clip_sample_range: f64,
    /// Whether dpm++2m uses Karras' sigmas.
    pub use_karras_sigmas: Option<bool>,
    /// Whether betas are rescaled so that the last timestep has no signal at all.
    pub rescale_betas_zero_snr: bool,
    /// "zero" or "sigma_min": where the last step of dpm++2m and unipc ends.
    pub final_sigmas_type: Option<String>,
    /// Whether dpm++2m's last step is of first order for few steps.
    pub lower_order_final: Option<bool>,
    /// Whether dpm++2m's last step is always of first order.
    pub euler_at_final: Option<bool>,
    /// Order of the multistep solvers (2).
    pub solver_order: Option<usize>,
    /// "dpmsolver++" for every model here.
    pub algorithm_type: Option<String>,
    /// "midpoint" or "heun" for dpm++2m, "bh1" or "bh2" for unipc.
    pub solver_type: Option<String>,
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        SchedulerConfig {
            class_name: String::new(),
            num_train_timesteps: 1000,
            beta_start: 0.0001,
            beta_end: 0.02,
            beta_schedule: BetaSchedule::Linear,
            trained_betas: None,
            prediction_type: PredictionType::Epsilon,
            timestep_spacing: None,
            steps_offset: 0,
            set_alpha_to_one: None,
            skip_prk_steps: false,
            clip_sample: None,
            clip_sample_range: 1.0,
            use_karras_sigmas: None,
            rescale_betas_zero_snr: false,
            final_sigmas_type: None,
            lower_order_final: None,
            euler_at_final: None,
            solver_order: None,
            algorithm_type: None,
            solver_type: None,
        }
    }
}

impl SchedulerConfig {
    /// Reads the JSON text of `file`.
    pub fn from_json(file: &str, text: &[u8]) -> Result<Self> {
        let (json, mut config): (_, SchedulerConfig) = parse_scheduler(file, text)?;
        let supported: &[(&str, &[Value])] = &[
            ("disable_corrector", &[Value::Array(Vec::new())]),
            ("interpolation_type", &["linear".into()]),
            ("lambda_min_clipped", &[]),
            ("predict_x0", &[true.into()]),
            ("sigma_max", &[]),
            ("sigma_min", &[]),
            ("solver_p", &[]),
            ("thresholding", &[false.into()]),
            ("timestep_type", &["discrete".into()]),
            ("use_beta_sigmas", &[false.into()]),
            ("use_dynamic_shifting", &[false.into()]),
            ("use_exponential_sigmas", &[false.into()]),
            ("use_flow_sigmas", &[false.into()]),
            ("use_lu_lambdas", &[false.into()]),
            ("variance_type", &["fixed_small".into()]),
        ];
        for (key, values) in supported {
            only(file, &json, key, values)?;
        }
        sane(
            file,
            "num_train_timesteps",
            config.num_train_timesteps,
            100_000,
        )?;
        if let Some(betas) = &config.trained_betas {
            config.num_train_timesteps = betas.len();
            sane(file, "trained_betas (its length)", betas.len(), 100_000)?;
        }
        let listed = config.trained_betas.as_deref().unwrap_or(&[]);
        let betas = [
            ("beta_start", &[config.beta_start][..]),
            ("beta_end", &[config.beta_end]),
            ("trained_betas", listed),
        ];
        for (key, values) in betas {
            if let Some(beta) = values.iter().find(|&&beta| !(beta > 0.0 && beta < 1.0)) {
                return Err(Error::config(file, key, beta, "between 0 and 1"));
            }
        }
        Ok(config)
    }
}

/// As [`parse`], with errors of the enumerated keys named in full (serde's message does not carry the key).
fn parse_scheduler(file: &str, text: &[u8]) -> Result<(Map<String, Value>, SchedulerConfig)> {
    let (json, _): (_, Value) = parse(file, text)?;
    let names = |list: &[&str]| list.iter().map(|&s| s.into()).collect::<Vec<Value>>();
    only(
        file,
        &json,
        "beta_schedule",
        &names(&["linear", "scaled_linear", "squaredcos_cap_v2"]),
    )?;
    only(
        file,
        &json,
        "prediction_type",
        &names(&["epsilon", "v_prediction"]),
    )?;
    only(
        file,
        &json,
        "timestep_spacing",
        &names(&["leading", "linspace", "trailing"]),
    )?;
    parse(file, text)
}
