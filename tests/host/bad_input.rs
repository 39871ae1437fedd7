//! The native command with bad input. The message must name the cause and the expected value, the
//! exit code must be right (2: the request is impossible, 1: something failed), and nothing panics.

use serde_json::json;

use crate::support::command::{FAILURE, Scratch, USAGE, generate};
use crate::support::golden;

const SCHEDULER: &str = "scheduler/scheduler_config.json";
const UNET: &str = "unet/config.json";
const UNET_WEIGHTS: &str = "unet/diffusion_pytorch_model.safetensors";

#[test]
fn good_input_makes_a_picture() {
    let scratch = Scratch::with_model("sd1-pndm");
    let outcome = scratch.generate(&["--steps", "2", "--json"]);
    outcome.succeeds();
    let json = outcome.json();
    assert_eq!((&json["width"], &json["height"]), (&json!(64), &json!(64)));
    assert_eq!(json["sampler"], "pndm");
}

#[test]
fn a_missing_folder_is_named() {
    let scratch = Scratch::new();
    scratch
        .generate(&[])
        .fails(FAILURE, &[scratch.model().to_str().unwrap_or("model")]);
}

#[test]
fn a_file_in_place_of_the_folder_is_refused() {
    let scratch = Scratch::new();
    std::fs::write(scratch.model(), "not a folder").expect("a file");
    scratch.generate(&[]).fails(FAILURE, &["model", "folder"]);
}

#[test]
fn missing_files_are_named() {
    for path in [
        SCHEDULER,
        UNET,
        "vae/config.json",
        "text_encoder/config.json",
    ] {
        let scratch = Scratch::with_model("sd1-pndm");
        std::fs::remove_file(scratch.file(path)).expect("a file to remove");
        scratch.generate(&[]).fails(FAILURE, &[path]);
    }
    for folder in ["unet", "vae", "text_encoder"] {
        let scratch = Scratch::with_model("sd1-pndm");
        for entry in std::fs::read_dir(scratch.file(folder)).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|end| end == "safetensors") {
                std::fs::remove_file(path).expect("a file to remove");
            }
        }
        scratch
            .generate(&[])
            .fails(FAILURE, &[folder, "safetensors"]);
    }
    let scratch = Scratch::with_model("sd1-pndm");
    std::fs::remove_dir_all(scratch.file("tokenizer")).expect("a folder to remove");
    scratch.generate(&[]).fails(FAILURE, &["tokenizer"]);
}

#[test]
fn a_missing_shard_is_named() {
    let scratch = Scratch::with_model("sd1-four-levels");
    let shard = "unet/diffusion_pytorch_model-00002-of-00003.safetensors";
    std::fs::remove_file(scratch.file(shard)).expect("a shard to remove");
    scratch.generate(&[]).fails(FAILURE, &[shard]);
}

#[test]
fn truncated_weights_are_refused() {
    // In the header's length, in the header, at the start of the data, and one byte before the end.
    let whole = golden().join("models/sd1-pndm/model").join(UNET_WEIGHTS);
    let size = std::fs::metadata(whole).expect("the U-Net's weights").len() as usize;
    for (length, word) in [
        (0, "bytes"),
        (5, "bytes"),
        (200, "truncated"),
        (size / 2, ""),
        (size - 1, ""),
    ] {
        let scratch = Scratch::with_model("sd1-pndm");
        scratch.change(UNET_WEIGHTS, |bytes| bytes.truncate(length));
        scratch.generate(&[]).fails(FAILURE, &[UNET_WEIGHTS, word]);
    }
}

#[test]
fn a_broken_header_is_refused() {
    let scratch = Scratch::with_model("sd1-pndm");
    scratch.change(UNET_WEIGHTS, |bytes| {
        bytes[8..16].copy_from_slice(b"<html>no")
    });
    scratch
        .generate(&[])
        .fails(FAILURE, &[UNET_WEIGHTS, "header"]);

    let scratch = Scratch::with_model("sd1-pndm");
    scratch.change(UNET_WEIGHTS, |bytes| bytes[..8].fill(0xff));
    scratch
        .generate(&[])
        .fails(FAILURE, &[UNET_WEIGHTS, "header"]);

    // Offsets beyond the file, in the wrong order, and of another size than the shape.
    for offsets in [
        json!([0, 1u64 << 60]),
        json!([8, 0]),
        json!([0, 2]),
        json!([0, u64::MAX]),
    ] {
        let scratch = Scratch::with_model("sd1-pndm");
        scratch.edit_header(UNET_WEIGHTS, |header| {
            header["conv_in.weight"]["data_offsets"] = offsets;
        });
        scratch
            .generate(&[])
            .fails(FAILURE, &[UNET_WEIGHTS, "conv_in.weight"]);
    }

    let scratch = Scratch::with_model("sd1-pndm");
    scratch.edit_header(UNET_WEIGHTS, |header| {
        header["conv_in.weight"]["dtype"] = json!("F8_E4M3")
    });
    scratch
        .generate(&[])
        .fails(FAILURE, &[UNET_WEIGHTS, "conv_in.weight"]);
}

#[test]
fn tensors_that_do_not_fit_the_configuration_are_named() {
    // A configuration with other sizes than the file: the message has both.
    let scratch = Scratch::with_model("sd1-pndm");
    scratch.edit(UNET, |json| json["block_out_channels"] = json!([16, 32]));
    scratch.generate(&[]).fails(FAILURE, &["unet", "32", "24"]);

    let scratch = Scratch::with_model("sd1-pndm");
    scratch.edit_header(UNET_WEIGHTS, |header| {
        let header = header.as_object_mut().expect("an object");
        let tensor = header.remove("conv_in.weight").expect("a tensor");
        header.insert("conv_in.wight".into(), tensor);
    });
    scratch
        .generate(&[])
        .fails(FAILURE, &[UNET_WEIGHTS, "conv_in.weight"]);

    // One layer more than in the file.
    let scratch = Scratch::with_model("sd1-pndm");
    scratch.edit("text_encoder/config.json", |json| {
        json["num_hidden_layers"] = json!(3)
    });
    scratch
        .generate(&[])
        .fails(FAILURE, &["text_encoder", "encoder.layers.2"]);

    // Parts of different models.
    let scratch = Scratch::with_model("sd1-pndm");
    scratch.edit(UNET, |json| json["cross_attention_dim"] = json!(768));
    scratch
        .generate(&[])
        .fails(FAILURE, &["cross_attention_dim", "768", "32"]);
}

#[test]
fn malformed_json_is_refused() {
    for path in [
        SCHEDULER,
        UNET,
        "vae/config.json",
        "text_encoder/config.json",
        "tokenizer/vocab.json",
    ] {
        for garbage in [
            "",
            "{",
            "[]",
            "null",
            "<!doctype html><title>Not found</title>",
            "{\"a\": 1} trailing",
            "\u{0}\u{1}",
        ] {
            let scratch = Scratch::with_model("sd1-pndm");
            std::fs::write(scratch.file(path), garbage).expect("a JSON file");
            scratch.generate(&[]).fails(FAILURE, &[path]);
        }
    }
    let scratch = Scratch::with_model("sd1-four-levels");
    let index = "unet/diffusion_pytorch_model.safetensors.index.json";
    std::fs::write(scratch.file(index), "{\"weight_map\": 3}").expect("a JSON file");
    scratch.generate(&[]).fails(FAILURE, &[index]);
    // A shard outside the folder is not opened.
    std::fs::write(
        scratch.file(index),
        "{\"weight_map\": {\"a\": \"../../../secret.safetensors\"}}",
    )
    .expect("a JSON file");
    scratch.generate(&[]).fails(FAILURE, &[index]);
}

#[test]
fn unknown_keys_are_ignored() {
    let scratch = Scratch::with_model("sd1-pndm");
    for path in [
        SCHEDULER,
        UNET,
        "vae/config.json",
        "text_encoder/config.json",
        "model_index.json",
    ] {
        scratch.edit(path, |json| {
            json["_made_by"] = json!({"tool": ["x", 1, null]})
        });
    }
    scratch.generate(&["--steps", "1"]).succeeds();
}

#[test]
fn unsupported_configurations_are_named() {
    let cases = [
        (
            UNET,
            "down_block_types",
            json!(["CrossAttnDownBlock2D", "KDownBlock2D"]),
            "KDownBlock2D",
        ),
        (
            UNET,
            "up_block_types",
            json!(["AttnUpBlock2D", "CrossAttnUpBlock2D"]),
            "AttnUpBlock2D",
        ),
        (
            UNET,
            "mid_block_type",
            json!("UNetMidBlock2DSimpleCrossAttn"),
            "UNetMidBlock2DSimpleCrossAttn",
        ),
        (UNET, "act_fn", json!("mish"), "mish"),
        (
            UNET,
            "_class_name",
            json!("UNet3DConditionModel"),
            "UNet3DConditionModel",
        ),
        (UNET, "class_embed_type", json!("timestep"), "timestep"),
        (UNET, "addition_embed_type", json!("text_time"), "text_time"),
        (UNET, "attention_head_dim", json!(5), "5"),
        (UNET, "attention_head_dim", json!([4, 4, 4]), "3"),
        (UNET, "attention_head_dim", json!(0), "0"),
        (UNET, "norm_num_groups", json!(7), "7"),
        (UNET, "block_out_channels", json!([]), "block_out_channels"),
        (UNET, "block_out_channels", json!([16, -24]), "-24"),
        (UNET, "block_out_channels", json!("wide"), "wide"),
        (UNET, "layers_per_block", json!(1_000_000), "1000000"),
        (UNET, "in_channels", json!(9), "9"),
        ("vae/config.json", "act_fn", json!("relu"), "relu"),
        ("vae/config.json", "scaling_factor", json!(0.0), "0"),
        (
            "vae/config.json",
            "up_block_types",
            json!(vec!["AttnUpDecoderBlock2D"; 4]),
            "AttnUpDecoderBlock2D",
        ),
        ("vae/config.json", "latent_channels", json!(16), "16"),
        (
            "vae/config.json",
            "_class_name",
            json!("AutoencoderTiny"),
            "AutoencoderTiny",
        ),
        (
            "text_encoder/config.json",
            "hidden_act",
            json!("relu6"),
            "relu6",
        ),
        (
            "text_encoder/config.json",
            "num_attention_heads",
            json!(5),
            "5",
        ),
        ("text_encoder/config.json", "model_type", json!("t5"), "t5"),
        (SCHEDULER, "beta_schedule", json!("sigmoid"), "sigmoid"),
        (SCHEDULER, "prediction_type", json!("sample"), "sample"),
        (SCHEDULER, "timestep_spacing", json!("random"), "random"),
        (SCHEDULER, "num_train_timesteps", json!(0), "0"),
        (SCHEDULER, "beta_start", json!(2.0), "2"),
    ];
    let scratch = Scratch::with_model("sd1-pndm");
    for (path, key, value, word) in cases {
        let before = std::fs::read(scratch.file(path)).expect("a JSON file");
        scratch.edit(path, |json| json[key] = value);
        scratch.generate(&[]).fails(FAILURE, &[path, key, word]);
        std::fs::write(scratch.file(path), before).expect("a JSON file");
    }
}

#[test]
fn impossible_requests_are_refused() {
    let scratch = Scratch::with_model("sd1-pndm");
    for (arguments, words) in [
        (["--width", "65"], ["width", "65", "multiple of 8"]),
        (["--height", "0"], ["height", "0", "multiple of 8"]),
        (["--width", "4"], ["width", "4", "multiple of 8"]),
        (["--width", "1000000"], ["width", "1000000", "expected"]),
        (["--steps", "0"], ["steps", "0", "expected"]),
        (["--steps", "1000000"], ["steps", "1000000", "expected"]),
        (["--guidance-scale", "NaN"], ["guidance", "NaN", "expected"]),
        (["--guidance-scale", "inf"], ["guidance", "inf", "expected"]),
        (["--guidance-scale", "-1"], ["guidance", "-1", "expected"]),
    ] {
        scratch.generate(&arguments).fails(USAGE, &words);
    }
    // Values that the command line itself refuses.
    for (arguments, words) in [
        (["--width", "-8"], ["width", "-8"]),
        (["--steps", "many"], ["steps", "many"]),
        (
            ["--seed", "18446744073709551616"],
            ["seed", "18446744073709551616"],
        ),
        (["--sampler", "lms"], ["lms", "dpm++2m-karras"]),
        (["--rng", "dice"], ["dice", "philox"]),
        (["--long-prompt", "fold"], ["fold", "truncate"]),
        (["--dtype", "f64"], ["f64", "f16"]),
        (["--colour", "red"], ["--colour", "unexpected"]),
    ] {
        scratch.generate(&arguments).fails(USAGE, &words);
    }
}

#[test]
fn an_output_that_cannot_be_written_is_named() {
    let scratch = Scratch::with_model("sd1-pndm");
    let out = scratch.0.join("no such folder").join("picture.png");
    let model = scratch.model();
    generate(model.to_str().expect("UTF-8"), &out, &["--steps", "1"])
        .fails(FAILURE, &["no such folder"]);
}
