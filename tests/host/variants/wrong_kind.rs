//! Folders of other kinds of models are named for what they are.

use serde_json::{Value, json};

use crate::support::command::{FAILURE, Scratch};

const INDEX: &str = "model_index.json";
const UNET: &str = "unet/config.json";
const TEXT: &str = "text_encoder/config.json";
const EXPECTED: &str = "expected a folder of Stable Diffusion 1.x or 2.x for text to image";

/// Sets keys of JSON files in a copy of a model.
fn edited(edits: &[(&str, &str, Value)]) -> Scratch {
    let scratch = Scratch::with_model("sd1-pndm");
    for (path, key, value) in edits {
        scratch.edit(path, |json| json[*key] = value.clone());
    }
    scratch
}

fn class(name: &str) -> (&'static str, &'static str, Value) {
    (INDEX, "_class_name", json!(name))
}

#[test]
fn folders_of_other_models_are_named_for_what_they_are() {
    let flax = json!("FlaxUNet2DConditionModel");
    let inputs = |channels: u64| (UNET, "in_channels", json!(channels));
    let text_time = (UNET, "addition_embed_type", json!("text_time"));
    type Edits<'a> = &'a [(&'a str, &'a str, Value)];
    let cases: &[(&[&str], Edits)] = &[
        (
            &["inpainting"],
            &[inputs(9), class("StableDiffusionInpaintPipeline")],
        ),
        (&["inpainting", "9 input channels"], &[inputs(9)]),
        (
            &["inpainting"],
            &[inputs(9), class("PaintByExamplePipeline")],
        ),
        (
            &["Stable Diffusion XL"],
            &[text_time.clone(), class("StableDiffusionXLPipeline")],
        ),
        (&["Stable Diffusion XL"], std::slice::from_ref(&text_time)),
        (
            &["Stable Diffusion XL"],
            &[
                text_time.clone(),
                class("StableDiffusionXLInpaintPipeline"),
                inputs(9),
            ],
        ),
        (
            &["Flax"],
            &[
                (UNET, "_class_name", flax),
                class("FlaxStableDiffusionPipeline"),
            ],
        ),
        (
            &["AltDiffusion", "XLM-R"],
            &[(TEXT, "model_type", json!("xlm-roberta"))],
        ),
        (
            &["AltDiffusion"],
            &[
                (TEXT, "model_type", json!("xlm-roberta")),
                class("AltDiffusionPipeline"),
            ],
        ),
        (
            &["depth map"],
            &[inputs(5), class("StableDiffusionDepth2ImgPipeline")],
        ),
        (
            &["upscaler"],
            &[inputs(7), class("StableDiffusionUpscalePipeline")],
        ),
        (&["InstructPix2Pix", "8 input channels"], &[inputs(8)]),
        (
            &["unCLIP"],
            &[(UNET, "class_embed_type", json!("projection"))],
        ),
        (
            &["GLIGEN"],
            &[
                (UNET, "attention_type", json!("gated")),
                class("StableDiffusionGLIGENPipeline"),
            ],
        ),
    ];
    for (words, edits) in cases {
        let outcome = edited(edits).generate(&[]);
        outcome.fails(FAILURE, words);
        outcome.fails(FAILURE, &["seems to be", EXPECTED]);
    }
}

#[test]
fn folders_without_a_unet_are_named_for_what_they_are() {
    type Files<'a> = &'a [(&'a str, &'a str)];
    let cases: &[(&str, Files)] = &[
        (
            "ONNX",
            &[
                ("unet/model.onnx", "\u{8}"),
                (INDEX, r#"{"_class_name": "OnnxStableDiffusionPipeline"}"#),
            ],
        ),
        ("ONNX", &[("unet/model.onnx", "\u{8}")]),
        ("OpenVINO", &[("unet/openvino_model.xml", "<net>")]),
        (
            "Stable Diffusion 3",
            &[(INDEX, r#"{"_class_name": "StableDiffusion3Pipeline"}"#)],
        ),
        (
            "diffusion transformer",
            &[("transformer/config.json", "{}")],
        ),
        (
            "ControlNetModel",
            &[("config.json", r#"{"_class_name": "ControlNetModel"}"#)],
        ),
        (
            "AutoencoderKL",
            &[("config.json", r#"{"_class_name": "AutoencoderKL"}"#)],
        ),
        ("LoRA", &[("pytorch_lora_weights.safetensors", "")]),
        ("LoRA", &[("adapter_config.json", "{}")]),
        (
            "v1-5-pruned.safetensors",
            &[("v1-5-pruned.safetensors", "")],
        ),
    ];
    for (word, files) in cases {
        let scratch = Scratch::new();
        for (path, text) in *files {
            let path = scratch.file(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        }
        let outcome = scratch.generate(&[]);
        outcome.fails(
            FAILURE,
            &[word, "seems to be", EXPECTED, "unet/config.json"],
        );
    }
}

/// Files besides the model, and the index of a model that can be read, do not matter.
#[test]
fn folders_that_can_be_read_are_read() {
    let scratch = edited(&[class("SomebodysOwnPipeline")]);
    let unet = std::fs::read(scratch.file(UNET)).expect("a file");
    std::fs::write(scratch.file("config.json"), unet).expect("a file");
    scratch.generate(&["--steps", "1", "--json"]).warns(&[]);
    let scratch = edited(&[class("StableDiffusionInpaintPipelineLegacy")]);
    scratch.generate(&["--steps", "1", "--json"]).warns(&[]);
    std::fs::write(scratch.file(INDEX), "not JSON").expect("a file");
    scratch.generate(&["--steps", "1", "--json"]).warns(&[]);
}
