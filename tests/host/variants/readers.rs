//! Files as other programs write them: element types, variants, lists and nulls in JSON, names of
//! later code, a whole CLIP in place of its text encoder.

use half::f16;
use serde_json::{Value, json};

use super::{TEXT, Tensor, UNET, VAE, change_tensors};
use crate::support::checkpoint::Kind;
use crate::support::command::{FAILURE, Scratch};
use crate::support::safetensors::{split, with_length};

/// The latent that the command makes of the scratch model, which must give no warning.
#[track_caller]
fn latent(scratch: &Scratch, more: &[&str]) -> Vec<u8> {
    let out = scratch.0.join("latents.safetensors");
    let _ = std::fs::remove_file(&out);
    let options = ["--steps", "2", "--json", "--latents-out"];
    let out_path = out.to_str().expect("UTF-8");
    let outcome = scratch.generate(&[&options[..], &[out_path], more].concat());
    outcome.warns(&[]);
    std::fs::read(out).expect("a latent")
}

/// Values of the 256 bit patterns of F8_E4M3, from their definition.
fn e4m3(bits: u8) -> f32 {
    let sign = if bits < 128 { 1.0 } else { -1.0 };
    let (exponent, mantissa) = (i32::from(bits >> 3 & 15), f32::from(bits & 7));
    sign * match exponent {
        0 => mantissa * 2f32.powi(-9),
        _ => (8.0 + mantissa) * 2f32.powi(exponent - 10),
    }
}

/// Changes f16 tensors to fp8 in one copy, and to the same values in f16 in another.
fn quantized(files: &[&str], dtype: &str) -> [Scratch; 2] {
    let values: Vec<(u8, f16)> = (0..=255)
        .filter(|bits| bits & 127 != 127)
        .map(|bits| (bits, f16::from_f32(e4m3(bits))))
        .collect();
    let nearest = |value: f16| {
        let distance = |&(_, other): &(u8, f16)| (other.to_f32() - value.to_f32()).abs();
        let near = values
            .iter()
            .min_by(|a, b| distance(a).total_cmp(&distance(b)));
        *near.expect("a value")
    };
    let [fp8, same] = [(), ()].map(|()| Scratch::with_model("sd1-pndm"));
    for file in files {
        for (scratch, narrow) in [(&fp8, true), (&same, false)] {
            change_tensors(&scratch.file(file), |tensors| {
                let matrices = tensors
                    .values_mut()
                    .filter(|t| t.dtype == "F16" && t.shape.len() > 1);
                for tensor in matrices {
                    let (pairs, _) = tensor.bytes.as_chunks::<2>();
                    let pairs = pairs.iter().map(|&pair| match dtype {
                        "F8_E4M3" => nearest(f16::from_le_bytes(pair)),
                        // The upper byte of an f16.
                        _ => (pair[1], f16::from_le_bytes([0, pair[1]])),
                    });
                    if narrow {
                        tensor.bytes = pairs.map(|(bits, _)| bits).collect();
                        tensor.dtype = dtype.into();
                    } else {
                        tensor.bytes = pairs.flat_map(|(_, value)| value.to_le_bytes()).collect();
                    }
                }
            });
        }
    }
    [fp8, same]
}

#[test]
fn fp8_weights_give_the_picture_of_the_same_values_in_f16() {
    for (files, dtype) in [
        (&[UNET][..], "F8_E4M3"),
        (&[UNET], "F8_E5M2"),
        (&[UNET, TEXT, VAE], "F8_E4M3"),
    ] {
        let [fp8, same] = quantized(files, dtype);
        assert_eq!(latent(&fp8, &[]), latent(&same, &[]), "{dtype} {files:?}");
    }
}

#[test]
fn f64_weights_give_the_picture_of_the_same_values_in_f32() {
    let [f64, f32] = [true, false].map(|double| {
        let scratch = Scratch::with_model("sd1-pndm");
        for file in [UNET, TEXT, VAE] {
            change_tensors(&scratch.file(file), |tensors| {
                for tensor in tensors.values_mut().filter(|t| t.dtype == "F16") {
                    let (pairs, _) = tensor.bytes.as_chunks::<2>();
                    let values = pairs.iter().map(|&pair| f16::from_le_bytes(pair));
                    tensor.bytes = match double {
                        true => values.flat_map(|v| v.to_f64().to_le_bytes()).collect(),
                        false => values.flat_map(|v| v.to_f32().to_le_bytes()).collect(),
                    };
                    tensor.dtype = if double { "F64" } else { "F32" }.into();
                }
            });
        }
        scratch
    });
    assert_eq!(latent(&f64, &[]), latent(&f32, &[]));
}

#[test]
fn element_types_that_no_weight_has_are_named() {
    let with = |change: &dyn Fn(&mut super::Tensors)| {
        let scratch = Scratch::with_model("sd1-pndm");
        change_tensors(&scratch.file(UNET), |tensors| change(tensors));
        scratch.generate(&[])
    };
    let typed = |dtype: &'static str| {
        move |tensors: &mut super::Tensors| {
            let tensor = tensors.get_mut("conv_in.weight").expect("a tensor");
            tensor.dtype = dtype.into();
        }
    };
    for dtype in ["I8", "F8_E8M0", "U8"] {
        let words = ["conv_in.weight", dtype, "expected F16", "F8_E4M3"];
        with(&typed(dtype)).fails(FAILURE, &words);
    }
    // 8-bit weights with a scale beside them would load and give noise.
    for scale in ["scale_weight", "weight_scale"] {
        let name = format!("mid_block.attentions.0.proj_in.{scale}");
        let scaled = with(&|tensors| {
            let tensor = Tensor {
                dtype: "F32".into(),
                shape: vec![],
                bytes: 2f32.to_le_bytes().to_vec(),
            };
            tensors.insert(name.clone(), tensor);
        });
        scaled.fails(FAILURE, &[&name, "separate scale"]);
    }
}

/// Renames the weights of all three networks.
fn rename(scratch: &Scratch, name: impl Fn(&str) -> String) {
    for file in [UNET, VAE, TEXT] {
        let stem = file.strip_suffix(".safetensors").expect("an ending");
        let to = scratch.file(&name(stem));
        std::fs::rename(scratch.file(file), to).expect("a file");
    }
}

#[test]
fn folders_with_other_variants_load() {
    let plain = latent(&Scratch::with_model("sd1-pndm"), &[]);
    for variant in ["bf16", "non_ema", "my-own"] {
        let scratch = Scratch::with_model("sd1-pndm");
        rename(&scratch, |stem| format!("{stem}.{variant}.safetensors"));
        assert_eq!(latent(&scratch, &[]), plain, "{variant}");
    }
    // In bf16, as such files are.
    let [bf16, same] = [true, false].map(|narrow| {
        let scratch = Scratch::with_model("sd1-pndm");
        for file in [UNET, VAE, TEXT] {
            change_tensors(&scratch.file(file), |tensors| {
                for tensor in tensors.values_mut().filter(|t| t.dtype == "F16") {
                    let (pairs, _) = tensor.bytes.as_chunks::<2>();
                    let values = pairs.iter().map(|&pair| f16::from_le_bytes(pair).to_f32());
                    let upper = values.map(|v| v.to_bits() >> 16);
                    (tensor.dtype, tensor.bytes) = match narrow {
                        true => {
                            let bytes = upper.flat_map(|b| (b as u16).to_le_bytes());
                            ("BF16".into(), bytes.collect())
                        }
                        false => {
                            let bytes = upper.flat_map(|b| (b << 16).to_le_bytes());
                            ("F32".into(), bytes.collect())
                        }
                    };
                }
            });
        }
        scratch
    });
    rename(&bf16, |stem| format!("{stem}.bf16.safetensors"));
    assert_eq!(latent(&bf16, &[]), latent(&same, &[]));
}

#[test]
fn sharded_variants_load() {
    let shards = "unet/diffusion_pytorch_model";
    let plain = latent(&Scratch::with_model("sd1-four-levels"), &[]);
    for index in ["safetensors.index.bf16", "bf16.safetensors.index"] {
        let scratch = Scratch::with_model("sd1-four-levels");
        let from = scratch.file(&format!("{shards}.safetensors.index.json"));
        let to = scratch.file(&format!("{shards}.{index}.json"));
        std::fs::rename(from, to).expect("an index");
        assert_eq!(latent(&scratch, &[]), plain, "{index}");
    }
}

/// The fp16 file comes first, then the file without a variant.
#[test]
fn other_variants_come_after_the_usual_files() {
    let scratch = Scratch::with_model("sd1-pndm");
    let plain = latent(&scratch, &[]);
    std::fs::write(
        scratch.file("unet/diffusion_pytorch_model.bf16.safetensors"),
        b"no",
    )
    .expect("a file");
    assert_eq!(latent(&scratch, &[]), plain);
}

#[test]
fn lists_scalars_and_nulls_of_real_folders_are_read() {
    let unet = "unet/config.json";
    let plain = latent(&Scratch::with_model("sd1-pndm"), &[]);
    let edits: &[(&str, &[(&str, Value)])] = &[
        (
            unet,
            &[
                ("sample_size", json!([8, 8])),
                ("only_cross_attention", json!([false, false])),
                ("cross_attention_dim", json!([32, 32])),
                ("layers_per_block", json!([2, 2])),
                ("transformer_layers_per_block", json!([1, 1])),
            ],
        ),
        (
            unet,
            &[
                ("sample_size", json!([8])),
                ("act_fn", Value::Null),
                ("norm_eps", Value::Null),
                ("in_channels", Value::Null),
                ("freq_shift", Value::Null),
                ("transformer_layers_per_block", Value::Null),
                ("mid_block_only_cross_attention", Value::Null),
            ],
        ),
        (
            "vae/config.json",
            &[
                ("sample_size", json!([64, 64])),
                ("scaling_factor", Value::Null),
                ("latent_channels", Value::Null),
            ],
        ),
        (
            "text_encoder/config.json",
            &[
                ("layer_norm_eps", Value::Null),
                ("max_position_embeddings", Value::Null),
            ],
        ),
        (
            "scheduler/scheduler_config.json",
            &[
                ("prediction_type", Value::Null),
                ("num_train_timesteps", Value::Null),
                ("clip_sample_range", Value::Null),
            ],
        ),
    ];
    for (path, keys) in edits {
        let scratch = Scratch::with_model("sd1-pndm");
        scratch.edit(path, |json| {
            for (key, value) in *keys {
                json[*key] = value.clone();
            }
        });
        assert_eq!(latent(&scratch, &[]), plain, "{path}");
    }
    // What cannot be meant is still an error.
    for (key, value, words) in [
        (
            "sample_size",
            json!([8, 8, 8]),
            ["sample_size", "list of 3"],
        ),
        (
            "cross_attention_dim",
            json!([32, 64]),
            ["cross_attention_dim", "64"],
        ),
        (
            "only_cross_attention",
            json!([false, true]),
            ["only_cross_attention", "true"],
        ),
        ("norm_num_groups", Value::Null, ["norm_num_groups", "null"]),
    ] {
        let scratch = Scratch::with_model("sd1-pndm");
        scratch.edit(unet, |json| json[key] = value);
        scratch.generate(&[]).fails(FAILURE, &words);
    }
}

/// A height and a width: the picture is as large as `--width 80 --height 48` makes it.
#[test]
fn a_sample_size_of_two_numbers_is_height_and_width() {
    for (size, width, height) in [([6, 10], 80, 48), ([10, 6], 48, 80), ([8, 7], 56, 64)] {
        let scratch = Scratch::with_model("sd1-pndm");
        scratch.edit("unet/config.json", |json| json["sample_size"] = json!(size));
        let outcome = scratch.generate(&["--steps", "1", "--json"]);
        outcome.warns(&[]);
        let json = outcome.json();
        assert_eq!(
            (&json["width"], &json["height"]),
            (&json!(width), &json!(height))
        );
    }
}

#[test]
fn a_whole_clip_in_the_text_encoders_folder_gives_no_alarm() {
    let plain = latent(&Scratch::with_model("sd1-pndm"), &[]);
    let more = |scratch: &Scratch, names: &[&str]| {
        change_tensors(&scratch.file(TEXT), |tensors| {
            for name in names {
                let tensor = Tensor {
                    dtype: "F16".into(),
                    shape: vec![2],
                    bytes: vec![0; 4],
                };
                tensors.insert(name.to_string(), tensor);
            }
        });
    };
    let vision = [
        "vision_model.embeddings.class_embedding",
        "visual_projection.weight",
        "text_projection.weight",
        "logit_scale",
    ];
    // The weights alone; with the configuration of a whole CLIP; with that of 2022.
    let scratch = Scratch::with_model("sd1-pndm");
    more(&scratch, &vision);
    assert_eq!(latent(&scratch, &[]), plain);
    for old in [false, true] {
        let scratch = Scratch::with_model("sd1-pndm");
        more(&scratch, &vision);
        scratch.edit("text_encoder/config.json", |json| {
            let mut text = json.take();
            if old {
                text.as_object_mut()
                    .expect("an object")
                    .remove("model_type");
            }
            *json = json!({
                "model_type": "clip",
                "architectures": ["CLIPModel"],
                "text_config": text,
                "vision_config": {"hidden_size": 16},
            });
        });
        assert_eq!(latent(&scratch, &[]), plain);
    }
    // Something else is still reported.
    let scratch = Scratch::with_model("sd1-pndm");
    more(&scratch, &["audio_model.weight"]);
    scratch
        .generate(&["--steps", "1", "--json"])
        .warns(&["audio_model.weight"]);
}

/// Files of the later code: only the prefix of the text encoder's names differs.
#[test]
fn checkpoints_in_the_naming_of_later_code_load() {
    let scratch = Scratch::new();
    let file = scratch.model();
    let vocab = crate::support::golden().join("models/tokenizer");
    let vocab = vocab.to_str().expect("UTF-8");
    // SD-Turbo's scheduler spaces timesteps from the end, so v is compared for SD2.
    for (kind, prefix, prediction) in [("sd2", "model.", "v"), ("sd1", "transformer.", "epsilon")] {
        let bytes = Kind::reduced(kind, 862).file();
        let (header, data) = split(&bytes);
        let header = std::str::from_utf8(header).expect("JSON");
        let [old, new] = ["cond_stage_model.", "conditioner.embedders.0."];
        let renamed = header.replace(&format!("{old}{prefix}"), &format!("{new}{prefix}"));
        assert_ne!(renamed, header);
        let size = ["--width", "64", "--height", "64"];
        let more = [&["--vocab", vocab, "--prediction", prediction], &size[..]].concat();
        std::fs::write(&file, &bytes).expect("a file");
        let expected = latent(&scratch, &more);
        std::fs::write(&file, [&with_length(renamed.as_bytes()), data].concat()).expect("a file");
        assert_eq!(latent(&scratch, &more), expected, "{kind}");
    }
}
