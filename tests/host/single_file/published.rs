//! The published models' tensors by name and shape: every required one is found, and the
//! configuration that is derived from them is the published one.

use darkroom::LoadOptions;
use darkroom::config::{Activation, MidBlockKind, ModelKind, PredictionType};
use darkroom::weights::checkpoint::Checkpoint;
use pollster::block_on;
use serde_json::{Value, json};

use super::HeaderOnly;
use crate::support::checkpoint::Kind;
use crate::support::safetensors::header;

fn published(kind: &str, more: &[&str], metadata: Value) -> HeaderOnly {
    let kind = Kind::read(kind);
    let tensors = kind.full.iter().map(|(n, s)| (n.as_str(), "F16", &s[..]));
    let more = more.iter().map(|name| (*name, "F32", &[][..]));
    let (bytes, size) = header(tensors.chain(more), &metadata);
    HeaderOnly { bytes, size }
}

fn checkpoint(source: &HeaderOnly) -> Checkpoint {
    block_on(Checkpoint::open(source, "model.safetensors")).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn configurations_are_the_published_ones() {
    for kind in ["sd1", "sd2"] {
        let sd1 = kind == "sd1";
        let checkpoint = checkpoint(&published(kind, &[], Value::Null));
        let config = checkpoint.config(PredictionType::Epsilon).expect("a model");

        let unet = &config.unet;
        let column = |f: fn(&darkroom::config::UnetBlock) -> usize| -> Vec<usize> {
            unet.blocks.iter().map(f).collect()
        };
        assert_eq!(column(|block| block.channels), [320, 640, 1280, 1280]);
        assert_eq!(column(|block| block.layers), [2; 4]);
        assert_eq!(column(|block| block.transformer_layers), [1; 4]);
        assert_eq!(column(|block| block.down_attention.into()), [1, 1, 1, 0]);
        assert_eq!(column(|block| block.up_attention.into()), [1, 1, 1, 0]);
        let heads = if sd1 { [8; 4] } else { [5, 10, 20, 20] };
        assert_eq!(column(|block| block.heads), heads);
        assert!(unet.mid_block == MidBlockKind::Attention && unet.flip_sin_to_cos);
        assert_eq!((unet.in_channels, unet.out_channels), (4, 4));
        assert_eq!((unet.norm_num_groups, unet.norm_eps), (32, 1e-5));
        assert_eq!(unet.use_linear_projection, !sd1);

        let text = &config.text;
        let (width, layers, heads) = if sd1 { (768, 12, 12) } else { (1024, 23, 16) };
        assert_eq!(unet.cross_attention_dim, width);
        assert_eq!(
            (text.hidden_size, text.intermediate_size),
            (width, 4 * width)
        );
        assert_eq!(
            (text.num_hidden_layers, text.num_attention_heads),
            (layers, heads)
        );
        assert_eq!((text.vocab_size, text.max_position_embeddings), (49408, 77));
        let gelu = if sd1 {
            Activation::QuickGelu
        } else {
            Activation::Gelu
        };
        assert_eq!(text.hidden_act, gelu);

        let vae = &config.vae;
        assert_eq!(vae.block_out_channels, [128, 256, 512, 512]);
        assert_eq!((vae.layers_per_block, vae.latent_channels), (2, 4));
        assert_eq!((vae.scaling_factor, vae.norm_num_groups), (0.18215, 32));
        assert!(vae.use_post_quant_conv && vae.mid_block_add_attention);

        assert_eq!(config.default_size(), [512; 2]);
        assert_eq!(config.scheduler.class_name, "PNDMScheduler");
        let config = checkpoint
            .config(PredictionType::VPrediction)
            .expect("a model");
        assert_eq!(config.default_size(), [if sd1 { 512 } else { 768 }; 2]);
        assert_eq!(config.scheduler.class_name, "DDIMScheduler");
        assert_eq!(
            config.scheduler.prediction_type,
            PredictionType::VPrediction
        );
        assert_eq!(config.scheduler.beta_end, 0.012);
        assert!(!config.scheduler.rescale_betas_zero_snr);
    }
}

/// Loading reaches the first byte of weights. The number of all bytes is known by then: twice the
/// published numbers of parameters of the U-Net, the text encoder (SD2's without its last layer and
/// its projection) and the VAE's decoder.
#[test]
fn every_tensor_is_found() {
    let decoder = 49_490_199;
    for (kind, parameters) in [
        ("sd1", 859_520_964 + 123_060_480 + decoder),
        ("sd2", 865_910_724 + 340_387_840 + decoder),
    ] {
        let source = published(kind, &[], Value::Null);
        let mut total = 0;
        let options = LoadOptions {
            on_progress: Box::new(|p| total = p.total),
            ..LoadOptions::default()
        };
        let error = source.load_error(options);
        assert!(error.contains("beyond the header"), "{error}");
        assert_eq!(total, 2 * parameters, "{kind}");
    }
}

#[test]
fn the_prediction_type_is_read_from_metadata_and_names() {
    let (noise, v) = (
        Some(PredictionType::Epsilon),
        Some(PredictionType::VPrediction),
    );
    let said =
        |kind, more: &[&str], metadata| checkpoint(&published(kind, more, metadata)).prediction();
    let key = |key: &str, value: &str| json!({ format!("modelspec.{key}"): value });
    for (metadata, sd1, sd2) in [
        (Value::Null, noise, None),
        (json!({ "format": "pt" }), noise, None),
        (key("predict_key", "v"), v, v),
        (key("predict_key", "epsilon"), noise, noise),
        (key("prediction_type", "v"), v, v),
        (key("prediction_type", "epsilon"), noise, noise),
        (key("architecture", "stable-diffusion-v2-768-v"), v, v),
        (key("architecture", "stable-diffusion-v2-512"), noise, noise),
        (key("architecture", "stable-diffusion-v1"), noise, None),
        (json!(["odd"]), noise, None),
    ] {
        assert_eq!(said("sd1", &[], metadata.clone()), sd1, "{metadata}");
        assert_eq!(said("sd2", &[], metadata.clone()), sd2, "{metadata}");
    }
    assert_eq!(said("sd1", &["v_pred"], Value::Null), v);
    assert_eq!(said("sd2", &["v_pred"], key("predict_key", "epsilon")), v);
    let source = published("sd1", &["v_pred", "ztsnr"], Value::Null);
    let config = checkpoint(&source).config(PredictionType::VPrediction);
    assert!(config.expect("a model").scheduler.rescale_betas_zero_snr);
}

/// A latent consistency model has one tensor more; SD-Turbo's text encoder has another name.
#[test]
fn few_step_models_are_recognised() {
    let of = |kind: &str, more: Option<&str>, [old, new]: [&str; 2]| {
        let kind = Kind::read(kind);
        let full = kind
            .full
            .iter()
            .map(|(name, shape)| (name.replace(old, new), &shape[..]));
        let full: Vec<_> = full.collect();
        let more = more.map(|name| (name, "F16", &[320, 256][..]));
        let tensors = full
            .iter()
            .map(|(name, shape)| (name.as_str(), "F16", *shape));
        let (bytes, size) = header(tensors.chain(more), &Value::Null);
        let checkpoint = checkpoint(&HeaderOnly { bytes, size });
        let prediction = checkpoint.prediction();
        let config = checkpoint.config(prediction.unwrap_or(PredictionType::VPrediction));
        let config = config.unwrap_or_else(|e| panic!("{e}"));
        (ModelKind::of(&config), prediction, config)
    };
    let same = ["", ""];
    let cond_proj = "model.diffusion_model.time_embed.cond_proj.weight";
    let epsilon = Some(PredictionType::Epsilon);
    let (kind, prediction, config) = of("sd1", Some(cond_proj), same);
    assert_eq!((kind, prediction), (ModelKind::Lcm, epsilon));
    assert_eq!(config.unet.time_cond_proj_dim, Some(256));
    assert_eq!(config.scheduler.class_name, "LCMScheduler");

    let turbo = ["cond_stage_model.model.", "conditioner.embedders.0.model."];
    let (kind, prediction, config) = of("sd2", None, turbo);
    assert_eq!((kind, prediction), (ModelKind::Turbo, epsilon));
    assert_eq!(config.scheduler.class_name, "EulerDiscreteScheduler");
    assert_eq!(config.default_size(), [512; 2]);

    assert_eq!(of("sd1", None, same).0, ModelKind::Standard);
    assert_eq!(of("sd2", None, same).0, ModelKind::Standard);
}
