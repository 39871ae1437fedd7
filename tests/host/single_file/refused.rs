//! Files that are not a checkpoint, and damaged checkpoints. The message says what the file seems
//! to be.

use darkroom::LoadOptions;
use serde_json::Value;

use super::HeaderOnly;
use crate::support::assert_contains;
use crate::support::checkpoint::Kind;
use crate::support::command::{FAILURE, Scratch, USAGE, generate};
use crate::support::safetensors::header;

/// The error of loading a file with these tensors.
fn message(tensors: &[(&str, &[usize])]) -> String {
    let tensors = tensors.iter().map(|(name, shape)| (*name, "F16", *shape));
    let (bytes, size) = header(tensors, &Value::Null);
    HeaderOnly { bytes, size }.load_error(LoadOptions::default())
}

#[test]
fn files_of_other_models_are_named_for_what_they_are() {
    let first = "model.diffusion_model.input_blocks.0.0.weight";
    let four: &[usize] = &[32, 4, 3, 3];
    let clip = "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight";
    let open_clip = "cond_stage_model.model.token_embedding.weight";
    let vae = "first_stage_model.decoder.conv_in.weight";
    let one: &[usize] = &[1];
    type Tensors<'a> = &'a [(&'a str, &'a [usize])];
    let cases: &[(&[&str], Tensors)] = &[
        (
            &["Stable Diffusion XL"],
            &[
                (first, four),
                ("model.diffusion_model.label_emb.0.0.weight", one),
                (
                    concat!(
                        "conditioner.embedders.0.transformer.",
                        "text_model.embeddings.token_embedding.weight"
                    ),
                    one,
                ),
                ("conditioner.embedders.1.model.token_embedding.weight", one),
                (vae, one),
            ],
        ),
        (
            &["refiner"],
            &[
                (first, four),
                ("model.diffusion_model.label_emb.0.0.weight", one),
                ("conditioner.embedders.0.model.token_embedding.weight", one),
                (vae, one),
            ],
        ),
        (
            &["unCLIP"],
            &[
                (first, four),
                ("model.diffusion_model.label_emb.0.0.weight", one),
                (open_clip, one),
                (vae, one),
            ],
        ),
        (&["Flux"], &[("double_blocks.0.img_attn.proj.weight", one)]),
        (
            &["Flux"],
            &[(
                "model.diffusion_model.double_blocks.0.img_mod.lin.bias",
                one,
            )],
        ),
        (
            &["Stable Diffusion 3"],
            &[(
                "model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight",
                one,
            )],
        ),
        (
            &["LoRA"],
            &[(
                "lora_unet_mid_block_attentions_0_proj_in.lora_down.weight",
                one,
            )],
        ),
        (
            &["LoRA"],
            &[("unet.mid_block.attentions.0.to_k.lora_A.weight", one)],
        ),
        (
            &["LoRA"],
            &[(
                "lora_unet_down_blocks_1_attentions_0_proj_in.hada_w1_a",
                one,
            )],
        ),
        (
            &["ControlNet"],
            &[("control_model.input_blocks.0.0.weight", four)],
        ),
        (
            &["ControlNet"],
            &[("controlnet_cond_embedding.conv_in.weight", one)],
        ),
        (
            &["AnimateDiff"],
            &[(
                "down_blocks.0.motion_modules.0.temporal_transformer.norm.bias",
                one,
            )],
        ),
        (&["textual inversion"], &[("emb_params", one)]),
        (
            &["a VAE alone"],
            &[("decoder.up.0.block.0.conv1.weight", one)],
        ),
        (
            &["a VAE alone"],
            &[("first_stage_model.decoder.up.0.block.0.conv1.weight", one)],
        ),
        (
            &["one file of a model folder", "the whole folder"],
            &[("down_blocks.0.resnets.0.conv1.weight", one)],
        ),
        (
            &["a text encoder alone"],
            &[("text_model.encoder.layers.0.self_attn.k_proj.bias", one)],
        ),
        (&["a U-Net alone"], &[(first, four)]),
        (&["a U-Net alone"], &[("input_blocks.0.0.weight", four)]),
        (&["without its text encoder"], &[(first, four), (vae, one)]),
        (&["an empty file"], &[]),
        (
            &["something else", "2 tensors", "bias, weight"],
            &[("weight", one), ("bias", one)],
        ),
        (
            &["depth map"],
            &[(first, &[320, 5, 3, 3]), (open_clip, one), (vae, one)],
        ),
        (
            &["upscaler"],
            &[(first, &[320, 7, 3, 3]), (open_clip, one), (vae, one)],
        ),
        (
            &["InstructPix2Pix"],
            &[(first, &[320, 8, 3, 3]), (clip, one), (vae, one)],
        ),
        (
            &["inpainting"],
            &[(first, &[320, 9, 3, 3]), (clip, one), (vae, one)],
        ),
        (
            &["6 input channels"],
            &[(first, &[320, 6, 3, 3]), (clip, one), (vae, one)],
        ),
    ];
    for (words, tensors) in cases {
        let message = message(tensors);
        assert_contains(&message, words);
        assert_contains(
            &message,
            &[
                "model.safetensors",
                "seems to be",
                "expected a Stable Diffusion 1.x or 2.x checkpoint",
            ],
        );
    }
}

/// Each checkpoint has one change.
#[test]
fn damaged_checkpoints_are_refused_with_the_tensor() {
    let broken = |kind: &str, change: &dyn Fn(&mut Kind)| {
        let mut kind = Kind::read(kind);
        change(&mut kind);
        let (bytes, size) = kind.header();
        HeaderOnly { bytes, size }.load_error(LoadOptions::default())
    };
    let without = |name: &'static str| {
        move |kind: &mut Kind| kind.tensors.retain(|entry| !entry.0.contains(name))
    };
    let shaped = |name: &'static str, shape: &'static [usize]| {
        move |kind: &mut Kind| kind.entry(name).2 = shape.to_vec()
    };
    // Without a change, only the weights are missing.
    assert_contains(&broken("sd1", &|_| ()), &["beyond the header"]);

    let name = "model.diffusion_model.output_blocks.5.2.conv.weight";
    assert_contains(
        &broken("sd1", &without(name)),
        &[
            "1 of 686 tensors",
            "model.diffusion_model.output_blocks.5.1.conv.weight is missing",
        ],
    );
    let name = "model.diffusion_model.middle_block.1.proj_in.weight";
    assert_contains(
        &broken("sd1", &shaped(name, &[128, 64])),
        &[name, "[128, 64]", "[128, 128]"],
    );
    let name = "cond_stage_model.model.transformer.resblocks.7.attn.in_proj_weight";
    assert_contains(
        &broken("sd2", &shaped(name, &[256, 128])),
        &[name, "[256, 128]", "[384, 128]"],
    );
    // A number of rows that three does not divide.
    assert_contains(
        &broken("sd2", &shaped(name, &[385, 128])),
        &[name, "[385, 128]", "[384, 128]"],
    );
    assert_contains(&broken("sd2", &shaped(name, &[])), &[name, "[]"]);
    let integers = |kind: &mut Kind| kind.entry(name).1 = "I64".into();
    assert_contains(&broken("sd2", &integers), &[name, "element type"]);

    assert_contains(
        &broken("sd1", &without("middle_block.1.")),
        &["middle_block.1.", "missing"],
    );
    assert_contains(
        &broken("sd1", &without(".input_blocks.5.")),
        &["level 2 of 4", "1 residual"],
    );
    assert_contains(
        &broken("sd1", &without("input_blocks.4.1.")),
        &["2 residual blocks and 1 transformers"],
    );
    assert_contains(
        &broken("sd1", &without("first_stage_model.decoder.up")),
        &["VAE", "0 residual blocks"],
    );
    assert_contains(
        &broken("sd1", &without("text_model.encoder")),
        &["text_model.encoder.layers.0", "missing"],
    );
    let name = "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight";
    assert_contains(
        &broken("sd1", &shaped(name, &[49408, 192])),
        &["width 128", "width 192"],
    );
    assert_contains(
        &broken("sd1", &shaped(name, &[49408])),
        &[name, "wrong shape"],
    );
    let name = "cond_stage_model.transformer.text_model.embeddings.position_embedding.weight";
    assert_contains(
        &broken("sd1", &shaped(name, &[248, 128])),
        &["248 tokens", "77"],
    );
    // A width that 32 groups do not divide.
    let narrow = |kind: &mut Kind| {
        for block in ["input_blocks.1", "input_blocks.2"] {
            let name = format!("model.diffusion_model.{block}.0.out_layers.3.weight");
            kind.entry(&name).2 = vec![40, 40, 3, 3];
        }
    };
    assert_contains(&broken("sd1", &narrow), &["block_out_channels", "40", "32"]);
}

#[test]
fn the_command_refuses_files_that_are_not_checkpoints() {
    let scratch = Scratch::new();
    let out = scratch.picture();
    let file = |name: &str, bytes: &[u8]| {
        let path = scratch.0.join(name);
        std::fs::write(&path, bytes).expect("a file");
        path.to_str().expect("UTF-8").to_string()
    };
    let kind = Kind::reduced("sd1", 862);
    let whole = kind.file();
    let mut long = whole.clone();
    long[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    let name = "model.safetensors";
    let cases: &[(&[u8], &[&str])] = &[
        (b"", &["not a safetensors file", "0 bytes"]),
        (
            b"\x05\0\0\0\0\0\0\0nojsn",
            &["malformed safetensors header"],
        ),
        (&[0xff; 300], &["not a safetensors file"]),
        (&long, &["not a safetensors file"]),
        (
            b"PK\x03\x04\x00\x00\x08\x08archive/data.pkl",
            &["PyTorch pickle", "convert"],
        ),
        (
            b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.",
            &["PyTorch pickle"],
        ),
        (b"GGUF\x03\x00\x00\x00", &["GGUF"]),
        (b"<!DOCTYPE html><html></html>", &["web page"]),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
            &["Git LFS pointer"],
        ),
        (&whole[..whole.len() - 1], &["truncated"]),
        (&whole[..5000], &["truncated"]),
    ];
    for (bytes, words) in cases {
        let path = file(name, bytes);
        let outcome = generate(&path, &out, &[]);
        outcome.fails(FAILURE, words);
        outcome.fails(FAILURE, &[name]);
    }
    let missing = scratch.0.join("missing.safetensors");
    let missing = missing.to_str().expect("UTF-8");
    generate(missing, &out, &[]).fails(FAILURE, &["missing.safetensors", "no such file or folder"]);

    let path = file(name, &whole);
    generate(&path, &out, &["--prediction", "x0"]).fails(USAGE, &["x0", "auto, epsilon or v"]);
    let vocab = scratch.0.join("no vocabulary");
    let vocab = vocab.to_str().expect("UTF-8");
    generate(&path, &out, &["--vocab", vocab]).fails(FAILURE, &["no vocabulary"]);
    std::fs::create_dir(vocab).expect("a folder");
    generate(&path, &out, &["--vocab", vocab]).fails(FAILURE, &["vocab.json", "no such file"]);
    let folder = Scratch::with_model("sd1-pndm");
    folder
        .generate(&["--vocab", vocab])
        .fails(USAGE, &["vocab", "a tokenizer of its own"]);
    // A token table that is too small for the vocabulary.
    generate(&path, &out, &[]).fails(FAILURE, &["token"]);
}
