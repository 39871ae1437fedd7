//! Identification of model folders that are not Stable Diffusion 1.x or 2.x for text to image.
//!
//! Nothing is read here until a folder turned out not to be usable: then `model_index.json`, the
//! configurations and the names of files say what it is, and the error says it too.

use serde_json::Value;

use super::source::{Source, read_text};
use crate::error::{Error, Result};

/// Pipeline classes of diffusers by a part of their names, and what such a folder is. The first
/// match counts.
const CLASSES: [(&str, &str); 26] = [
    ("Flax", FLAX),
    ("Onnx", ONNX),
    ("ORT", ONNX),
    ("OV", OPENVINO),
    ("StableDiffusionXL", SDXL),
    ("StableDiffusion3", "Stable Diffusion 3"),
    ("StableDiffusionUpscale", UPSCALER),
    ("LatentUpscale", UPSCALER),
    ("Depth2Img", DEPTH),
    ("InstructPix2Pix", EDITING),
    ("Inpaint", INPAINTING),
    ("PaintByExample", INPAINTING),
    ("UnCLIP", UNCLIP),
    ("UnCLIPImageVariation", UNCLIP),
    (
        "ImageVariation",
        "an image variation model: it reads a picture in place of a prompt",
    ),
    ("AltDiffusion", ALT),
    ("GLIGEN", "GLIGEN: it needs boxes beside the prompt"),
    ("Flux", "a Flux model"),
    ("Kandinsky", "a Kandinsky model"),
    ("PixArt", "a PixArt model"),
    ("Wuerstchen", "a Wuerstchen model"),
    ("StableCascade", "Stable Cascade"),
    ("StableVideoDiffusion", VIDEO),
    ("TextToVideo", VIDEO),
    (
        "LDMTextToImage",
        "latent diffusion of before Stable Diffusion",
    ),
    ("IFPipeline", "DeepFloyd IF"),
];
const FLAX: &str = "a model for Flax";
const ONNX: &str = "an ONNX export of a model";
const OPENVINO: &str = "an OpenVINO export of a model";
const SDXL: &str = "Stable Diffusion XL";
const UPSCALER: &str = "an upscaler";
const DEPTH: &str = "a depth-to-image model: it needs a depth map too";
const EDITING: &str = "a picture editing model such as InstructPix2Pix";
const INPAINTING: &str = "an inpainting model";
const UNCLIP: &str = "Stable unCLIP: its U-Net needs a picture's embedding beside the prompt";
const ALT: &str = "AltDiffusion: its text encoder is XLM-R, not CLIP";
const VIDEO: &str = "a video model";

/// Files at the root of a folder that is not a model, and what it is.
const ROOT_FILES: [(&str, &str); 4] = [
    (
        "transformer/config.json",
        "a diffusion transformer, such as Stable Diffusion 3 or Flux",
    ),
    ("pytorch_lora_weights.safetensors", LORA),
    ("adapter_config.json", LORA),
    (
        "learned_embeds.safetensors",
        "a textual inversion: it adds a word for prompts",
    ),
];
const LORA: &str = "a LoRA: it changes a model and is not one itself";

/// Adds to `error`, which the folder `source` gave, what the folder is, if that can be told.
pub async fn explain(source: &dyn Source, error: Error) -> Error {
    // Only errors about the folder's contents say that it is something else.
    if !matches!(error, Error::Config { .. } | Error::File { .. }) {
        return error;
    }
    match identify(source).await {
        Ok(Some(what)) => {
            let path = source.describe("model_index.json");
            let root = path.strip_suffix("/model_index.json").unwrap_or(&path);
            let expected = "expected a folder of Stable Diffusion 1.x or 2.x for text to image";
            Error::file(
                root,
                format!("this seems to be {what}; {expected} ({error})"),
            )
        }
        Ok(None) | Err(_) => error,
    }
}

/// The kind of the folder, if it is a known other one.
async fn identify(source: &dyn Source) -> Result<Option<String>> {
    let index = json(source, "model_index.json").await?;
    let class = index["_class_name"].as_str().unwrap_or_default();
    if let Some((_, what)) = CLASSES.iter().find(|(part, _)| class.contains(part)) {
        return Ok(Some(format!("{what} (its model_index.json says {class})")));
    }
    let unet = json(source, "unet/config.json").await?;
    let text = json(source, "text_encoder/config.json").await?;
    if let Some(what) = of_configs(&unet, &text) {
        return Ok(Some(what));
    }
    if !unet.is_null() {
        return Ok(None);
    }
    for (path, what) in [
        ("unet/model.onnx", ONNX),
        ("unet/openvino_model.xml", OPENVINO),
    ] {
        if source.size(path).await?.is_some() {
            return Ok(Some(what.into()));
        }
    }
    for (path, what) in ROOT_FILES {
        if source.size(path).await?.is_some() {
            return Ok(Some(what.into()));
        }
    }
    let root = json(source, "config.json").await?;
    if let Some(class) = root["_class_name"].as_str() {
        return Ok(Some(format!(
            "one network alone ({class}): open the model folder that it belongs to"
        )));
    }
    let files = source.list("").await?.unwrap_or_default();
    let mut checkpoints = files.iter().filter(|name| name.ends_with(".safetensors"));
    Ok(checkpoints.next().map(|first| {
        format!("a folder around single files: give the address of one of them, such as {first}")
    }))
}

/// The kind that the configurations of U-Net and text encoder tell.
fn of_configs(unet: &Value, text: &Value) -> Option<String> {
    let channels = unet["in_channels"].as_u64();
    let what = match (channels, unet["addition_embed_type"].as_str()) {
        (_, Some("text_time")) => SDXL,
        (Some(5), _) => DEPTH,
        (Some(7), _) => UPSCALER,
        (Some(8), _) => EDITING,
        (Some(9), _) => INPAINTING,
        _ if unet["class_embed_type"].is_string() => UNCLIP,
        _ if text["model_type"] == "xlm-roberta" => ALT,
        _ => return None,
    };
    Some(match channels {
        Some(channels @ 5..=9) => format!("{what} ({channels} input channels)"),
        _ => what.into(),
    })
}

/// The JSON file at `path`; null where there is none, or no JSON.
async fn json(source: &dyn Source, path: &str) -> Result<Value> {
    let text = read_text(source, path).await?;
    Ok(text
        .and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_default())
}
