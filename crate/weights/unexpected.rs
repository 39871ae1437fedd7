//! Unexpected tensors: those that a model's files contain and no network requires.
//!
//! Some are usual in such files and not reported. The others are, because the model may need a
//! component that Darkroom does not support.

use std::collections::HashSet;

use super::file::WeightFile;
use super::names::Ldm;
use crate::error::brief;

/// Maximum number of tensors that a warning names; there may be hundreds.
const MAX_NAMES: usize = 6;

/// Returns a warning about the tensors in `files` that are neither `used` nor `usual`, or `None` if
/// there are none. `shown` is the name of the files in the warning.
pub(super) fn warning(
    shown: &str,
    files: &[WeightFile],
    used: &HashSet<String>,
    usual: &dyn Fn(&str) -> bool,
) -> Option<String> {
    let unexpected: Vec<&str> = files
        .iter()
        .flat_map(|file| file.header.tensors.keys())
        .map(String::as_str)
        .filter(|name| !used.contains(*name) && !usual(name))
        .collect();
    let count = match unexpected.len() {
        0 => return None,
        1 => "1 unexpected tensor".to_string(),
        count => format!("{count} unexpected tensors"),
    };
    let names = unexpected.iter().take(MAX_NAMES).map(brief);
    let mut list = names.collect::<Vec<_>>().join(", ");
    if unexpected.len() > MAX_NAMES {
        list += &format!(" and {} more", unexpected.len() - MAX_NAMES);
    }
    Some(format!(
        "{}: ignored {count}; the model may need a component that Darkroom does not support: \
         {list}",
        brief(shown)
    ))
}

/// True for a tensor that is usual in a model folder's files but not required for text to image.
pub(super) fn usual_in_folder(part: &str, name: &str) -> bool {
    let starts = |list: &[&str]| list.iter().any(|start| name.starts_with(start));
    match part {
        // The encoder, from pictures to latents.
        "vae" => starts(&["encoder.", "quant_conv."]),
        // Position ids are 0, 1, 2, …; the rest of CLIP compares texts with pictures.
        "text_encoder" => {
            name.ends_with("position_ids")
                || starts(&[
                    "text_projection.",
                    "logit_scale",
                    "vision_model.",
                    "visual_projection.",
                ])
        }
        _ => false,
    }
}

/// True for a tensor that is usual in a checkpoint but not required for text to image. `layers` is
/// the number of text encoder layers that are run.
pub(super) fn usual_in_checkpoint(name: &str, layers: usize) -> bool {
    let rest = |prefix: &str| name.strip_prefix(prefix);
    if let Some(rest) = rest(Ldm::VAE) {
        return ["encoder.", "quant_conv.", "loss.", "model_ema."]
            .iter()
            .any(|start| rest.starts_with(start));
    }
    if let Some(rest) = rest(Ldm::OPEN_CLIP).or(rest(Ldm::SGM_OPEN_CLIP)) {
        // The last layer is not run: its input is the prompt's embedding.
        return rest.starts_with(&format!("transformer.resblocks.{layers}."))
            || ["logit_scale", "text_projection", "attn_mask", "visual."]
                .iter()
                .any(|start| rest.starts_with(start));
    }
    if let Some(rest) = rest("cond_stage_model.").or(rest("conditioner.embedders.0.")) {
        return ["position_ids", "logit_scale"]
            .iter()
            .any(|end| rest.ends_with(end))
            || ["text_projection", "vision_model.", "visual_projection."]
                .iter()
                .any(|part| rest.contains(part));
    }
    // Left over from training: averages, the optimizer's state, tables of the noise schedule. The
    // last two keys tell what the model predicts.
    !name.starts_with(Ldm::UNET)
        && [
            "model_ema.",
            "optimizer",
            "lr_schedulers",
            "callbacks",
            "loops",
            "global_step",
            "epoch",
            "state_dict",
            "embedding_manager.",
            "betas",
            "alphas_cumprod",
            "sqrt_",
            "log_one_minus_",
            "posterior_",
            "lvlb_weights",
            "logvar",
            "denoiser.",
            "scale_factor",
            "v_pred",
            "ztsnr",
        ]
        .iter()
        .any(|start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{usual_in_checkpoint, usual_in_folder, warning};
    use crate::weights::file::WeightFile;
    use crate::weights::safetensors::{ElementType, Header, TensorInfo};

    #[test]
    fn usual_tensors_are_told_from_unexpected_ones() {
        assert!(usual_in_folder("vae", "encoder.conv_in.weight"));
        assert!(usual_in_folder(
            "text_encoder",
            "text_model.embeddings.position_ids"
        ));
        for rest_of_clip in [
            "vision_model.post_layernorm.bias",
            "visual_projection.weight",
        ] {
            assert!(usual_in_folder("text_encoder", rest_of_clip));
            assert!(!usual_in_folder("unet", rest_of_clip));
        }
        assert!(!usual_in_folder("unet", "encoder.conv_in.weight"));
        assert!(!usual_in_folder("vae", "decoder.conv_in.weight"));
        for name in [
            "first_stage_model.quant_conv.bias",
            "cond_stage_model.model.transformer.resblocks.23.ln_1.bias",
            "cond_stage_model.transformer.text_model.embeddings.position_ids",
            "cond_stage_model.transformer.vision_model.embeddings.class_embedding",
            "conditioner.embedders.0.model.transformer.resblocks.23.ln_1.bias",
            "denoiser.sigmas",
            "model_ema.diffusion_modelinput_blocks00weight",
            "sqrt_recipm1_alphas_cumprod",
        ] {
            assert!(usual_in_checkpoint(name, 23), "{name}");
        }
        for name in [
            "model.diffusion_model.label_emb.0.0.weight",
            "cond_stage_model.model.transformer.resblocks.24.ln_1.bias",
            "first_stage_model.decoder.conv_in.lora",
            "control_model.input_hint_block.0.weight",
        ] {
            assert!(!usual_in_checkpoint(name, 23), "{name}");
        }
    }

    #[test]
    fn warnings_name_unexpected_tensors_with_control_characters_escaped() {
        let info = TensorInfo {
            dtype: ElementType::Other("I64".into()),
            shape: Vec::new(),
            range: 0..0,
        };
        let names = ["used", "usual", "a\u{1b}[2Jb", "c", "d", "e", "f", "g", "h"];
        let file = |names: &[&str]| WeightFile {
            path: "unet/a.safetensors".into(),
            header: Header {
                tensors: names.iter().map(|&n| (n.into(), info.clone())).collect(),
                ..Header::default()
            },
        };
        let used = HashSet::from(["used".to_string()]);
        let of = |names| warning("model/unet", &[file(names)], &used, &|name| name == "usual");
        assert_eq!(of(&names[..2]), None);
        assert_eq!(
            of(&names[..3]).as_deref(),
            Some(
                "model/unet: ignored 1 unexpected tensor; the model may need a component that \
                 Darkroom does not support: a\\u{1b}[2Jb"
            )
        );
        let many = of(&names).expect("a warning");
        assert!(many.contains("ignored 7 unexpected tensors"), "{many}");
        assert!(many.ends_with("c, d, e, f, g and 1 more"), "{many}");
    }
}
