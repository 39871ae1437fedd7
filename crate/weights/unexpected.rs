//! Tensors that a model's files hold and that nothing here asks for: those that all such files have, and others, of which
//! the user is told, since they may mean that the model is another than it seems.

use std::collections::HashSet;

use super::file::WeightFile;
use super::names::Ldm;

/// Names in what is said of a part's tensors; there may be hundreds.
const NAMED: usize = 6;

/// A sentence about the tensors in `files` that are neither `used` nor, by `expected`, known to be of no use; `None` where
/// there are none.
pub(super) fn unknown(
    shown: &str,
    files: &[WeightFile],
    used: &HashSet<String>,
    expected: &dyn Fn(&str) -> bool,
) -> Option<String> {
    let names: Vec<&str> = files
        .iter()
        .flat_map(|file| file.header.tensors.keys())
        .map(String::as_str)
        .filter(|name| !used.contains(*name) && !expected(name))
        .collect();
    if names.is_empty() {
        return None;
    }
    let mut list = names[..NAMED.min(names.len())].join(", ");
    if names.len() > NAMED {
        list += &format!(" and {} more", names.len() - NAMED);
    }
    let (count, plural) = match names.len() {
        1 => ("a tensor".to_string(), ""),
        n => (format!("{n} tensors"), "s"),
    };
    Some(format!(
        "{shown} has {count} that Stable Diffusion 1.x and 2.x have no place for; without the part{plural} they belong to \
         the model may not be what it was made to be: {list}"
    ))
}

/// What a model folder's files have besides what makes pictures from text.
pub(super) fn in_folder(part: &str, name: &str) -> bool {
    let starts = |list: &[&str]| list.iter().any(|start| name.starts_with(start));
    match part {
        // From pictures to latents.
        "vae" => starts(&["encoder.", "quant_conv."]),
        // Positions count from 0; the projection is for comparing texts with pictures.
        "text_encoder" => {
            name.ends_with("position_ids") || starts(&["text_projection.", "logit_scale"])
        }
        _ => false,
    }
}

/// Likewise a single file, whose text encoder has `layers` layers that are run.
pub(super) fn in_checkpoint(name: &str, layers: usize) -> bool {
    let rest = |prefix: &str| name.strip_prefix(prefix);
    if let Some(rest) = rest(Ldm::VAE) {
        return ["encoder.", "quant_conv.", "loss.", "model_ema."]
            .iter()
            .any(|start| rest.starts_with(start));
    }
    if let Some(rest) = rest(Ldm::OPEN_CLIP) {
        // The prompt is what goes into the last layer.
        return rest.starts_with(&format!("transformer.resblocks.{layers}."))
            || ["logit_scale", "text_projection", "attn_mask", "visual."]
                .iter()
                .any(|start| rest.starts_with(start));
    }
    if let Some(rest) = rest("cond_stage_model.") {
        return ["position_ids", "logit_scale"]
            .iter()
            .any(|end| rest.ends_with(end))
            || rest.contains("text_projection");
    }
    // What training leaves behind: averages, the optimizer's state, tables of the noise schedule. And what says of the
    // model what it predicts.
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
    use super::{in_checkpoint, in_folder};

    #[test]
    fn tells_the_usual_from_the_odd() {
        assert!(in_folder("vae", "encoder.conv_in.weight"));
        assert!(in_folder(
            "text_encoder",
            "text_model.embeddings.position_ids"
        ));
        assert!(!in_folder("unet", "encoder.conv_in.weight"));
        assert!(!in_folder("vae", "decoder.conv_in.weight"));
        for name in [
            "first_stage_model.quant_conv.bias",
            "cond_stage_model.model.transformer.resblocks.23.ln_1.bias",
            "cond_stage_model.transformer.text_model.embeddings.position_ids",
            "model_ema.diffusion_modelinput_blocks00weight",
            "sqrt_recipm1_alphas_cumprod",
        ] {
            assert!(in_checkpoint(name, 23), "{name}");
        }
        for name in [
            "model.diffusion_model.label_emb.0.0.weight",
            "cond_stage_model.model.transformer.resblocks.24.ln_1.bias",
            "first_stage_model.decoder.conv_in.lora",
            "control_model.input_hint_block.0.weight",
        ] {
            assert!(!in_checkpoint(name, 23), "{name}");
        }
    }
}
