//! Identification of safetensors files that are not checkpoints. People have many files with that
//! ending.

use super::names::Ldm;
use super::safetensors::Header;
use crate::error::{Error, Result};

const EXPECTED: &str = "expected a Stable Diffusion 1.x or 2.x checkpoint, with the U-Net \
    (model.diffusion_model.…), the text encoder (cond_stage_model.…) and the VAE \
    (first_stage_model.…) in one file";

/// Parts of tensor names, and the kind of any file that has such a tensor.
const OTHERS: [(&str, &str); 14] = [
    (".lora_down.", LORA),
    (".lora.down.", LORA),
    (".lora_A.", LORA),
    (".hada_w1_a", LORA),
    (".lokr_w1", LORA),
    ("control_model.", CONTROL_NET),
    ("controlnet_cond_embedding.", CONTROL_NET),
    (".motion_modules.", "an AnimateDiff motion module"),
    ("double_blocks.0.", "a Flux model or a related one"),
    ("joint_blocks.0.", "Stable Diffusion 3"),
    ("conditioner.embedders.1.", "Stable Diffusion XL"),
    (
        "model.diffusion_model.label_emb.",
        "Stable Diffusion XL or its refiner, unCLIP or an upscaler: its U-Net needs more inputs \
         than a prompt",
    ),
    ("emb_params", TEXTUAL_INVERSION),
    ("string_to_param", TEXTUAL_INVERSION),
];
const LORA: &str = "a LoRA: it changes a checkpoint and is not a model itself";
const CONTROL_NET: &str = "a ControlNet: it guides a model and is not one itself";
const TEXTUAL_INVERSION: &str =
    "a textual inversion: it adds a word for prompts and is not a model";

/// Parts of tensor names, and the kind of a file that has such a tensor but no U-Net under a
/// checkpoint's name.
const PARTS: [(&str, &str); 6] = [
    (
        "down_blocks.0.resnets.0.",
        "one file of a model folder in diffusers' layout: open the whole folder instead",
    ),
    ("transformer_blocks.0.", "a diffusion transformer"),
    (
        "encoder.layers.0.self_attn.",
        "a text encoder alone: open the model folder it belongs to, or a checkpoint",
    ),
    ("transformer.resblocks.0.", "a text encoder alone"),
    ("decoder.up.0.block.0.", "a VAE alone"),
    ("input_blocks.0.0.weight", "a U-Net alone"),
];

/// Accepts a header that may belong to a text-to-image checkpoint of Stable Diffusion 1.x or 2.x.
///
/// # Errors
/// [`Error::File`] that says what the file at `shown` seems to be.
pub fn refuse_others(shown: &str, header: &Header) -> Result<()> {
    let has = |part: &str| header.tensors.keys().any(|name| name.contains(part));
    let first_match = |list: &[(&str, &'static str)]| {
        let (_, what) = list.iter().find(|(part, _)| has(part))?;
        Some(what.to_string())
    };
    let first = format!("{}input_blocks.0.0.weight", Ldm::UNET);
    let first = header.tensors.get(&first);
    let inputs = first.and_then(|info| info.shape.get(1));
    let text = [Ldm::CLIP, Ldm::OPEN_CLIP, Ldm::SGM_CLIP, Ldm::SGM_OPEN_CLIP];
    let text = text.into_iter().any(has);
    let seems = match (first_match(&OTHERS), inputs) {
        (Some(what), _) => what,
        (None, None) => first_match(&PARTS).unwrap_or_else(|| describe_unknown(header)),
        (None, Some(4)) => match (text, has(Ldm::VAE)) {
            // A file without a VAE takes another one.
            (true, _) => return Ok(()),
            (false, true) => "a checkpoint without its text encoder".into(),
            (false, false) => "a U-Net alone".into(),
        },
        (None, Some(5)) => {
            "a depth-to-image model: it needs a depth map too (5 input channels)".into()
        }
        (None, Some(7)) => "an upscaler (7 input channels)".into(),
        (None, Some(8)) => {
            "a picture editing model such as InstructPix2Pix (8 input channels)".into()
        }
        (None, Some(9)) => "an inpainting model (9 input channels)".into(),
        (None, Some(n)) => format!("a model with {n} input channels instead of 4"),
    };
    let what = format!("this seems to be {seems}; {EXPECTED}");
    Err(Error::file(shown, what))
}

/// Describes a file of no known kind by some of its tensors.
fn describe_unknown(header: &Header) -> String {
    let names: Vec<&str> = header.tensors.keys().map(String::as_str).take(3).collect();
    match names[..] {
        [] => "an empty file".into(),
        _ => format!(
            "something else: it has {} tensors, such as {}",
            header.tensors.len(),
            names.join(", ")
        ),
    }
}
