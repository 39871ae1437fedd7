//! LoRAs against diffusers' `load_lora_weights` and `fuse_lora`, and those that do not fit.

use std::path::Path;
use std::rc::Rc;

use burn::tensor::{DType, Tensor, TensorData};
use darkroom::device::read;
use darkroom::text::tokenizer::LongPrompt;
use darkroom::weights::Source;
use darkroom::weights::lora::{AppliedLora, Lora};
use darkroom::weights::source::locate;
use darkroom::{LoadOptions, Pipeline, Request};
use pollster::block_on;
use serde::Deserialize;

use crate::support::generate::{generate, sample};
use crate::support::models::Model;
use crate::support::safetensors::{self, Tensors};
use crate::support::{
    assert_contains, channels_first, channels_last, cpu, four, golden, read_json, relative_error,
    say,
};

/// The largest relative error of a stage, and of a final latent.
const LIMITS: [f64; 2] = [1e-4, 1e-3];

#[derive(Deserialize)]
struct Expected {
    prompt: String,
    negative_prompt: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    model: String,
    /// A file, and the weights of U-Net and text encoder.
    loras: Vec<(String, f32, f32)>,
    seed: u64,
    steps: usize,
    latent: String,
    prediction: String,
    embedding: String,
    #[serde(rename = "final")]
    last: String,
}

fn expected() -> (Expected, Tensors) {
    let folder = golden().join("additions");
    let tensors = Tensors::read(&folder.join("lora.safetensors"));
    (read_json(&folder.join("lora.json")), tensors)
}

fn open(path: &Path) -> darkroom::Result<Rc<Lora>> {
    let source: Rc<dyn Source> = Rc::from(locate::open(&path.display().to_string(), None)?);
    block_on(Lora::open("name", source)).map(Rc::new)
}

fn applied((file, unet, text_encoder): &(String, f32, f32)) -> AppliedLora {
    let path = golden().join("additions").join(file);
    AppliedLora {
        lora: open(&path).unwrap_or_else(|e| panic!("{file}: {e}")),
        unet: *unet,
        text_encoder: *text_encoder,
    }
}

/// Merges `loras` into the model.
fn set(pipeline: &mut Rc<Pipeline>, model: &Model, loras: &[AppliedLora]) -> darkroom::Result<()> {
    block_on(pipeline.set_loras(&model.folder(), loras, &mut |_| ()))
}

fn request(expected: &Expected, case: &Case) -> Request {
    Request {
        prompt: expected.prompt.clone(),
        negative_prompt: expected.negative_prompt.clone(),
        seed: case.seed,
        steps: case.steps,
        guidance_scale: 5.0,
        sampler: Some("euler".parse().expect("a sampler")),
        width: Some(64),
        height: Some(64),
        ..Request::default()
    }
}

/// Relative errors of text embedding, U-Net prediction and final latent.
fn errors(pipeline: &Rc<Pipeline>, all: &Expected, case: &Case, tensors: &Tensors) -> [f64; 3] {
    let runtime = pipeline.runtime();
    let tokenizer = pipeline.tokenizer();
    let chunk = |prompt: &str| {
        let tokens = tokenizer
            .encode(prompt, LongPrompt::Truncate)
            .expect("tokens");
        tokens.chunks[0].clone()
    };
    let prompts = [chunk(&all.negative_prompt), chunk(&all.prompt)];
    let encoder = pipeline.text_encoder();
    let prompts = encoder
        .forward(&prompts, &runtime.device, DType::F32)
        .expect("embeddings");
    let error = |got: &[f32], name: &str| relative_error(got, &tensors.f32(name).1);
    let embedding = error(
        &block_on(read(prompts.clone())).expect("values"),
        &case.embedding,
    );

    let (shape, latent) = tensors.f32(&case.latent);
    let [_, c, h, w] = four(shape);
    let latent = channels_last(&latent, [1, c, h, w]).repeat(2);
    let latent = TensorData::new(latent, [2, h, w, c]);
    let latent = Tensor::<4>::from_data(latent, (&runtime.device, DType::F32));
    let prediction = pipeline.unet().forward(latent, 601.0, &prompts);
    let shape = prediction.dims();
    let prediction = channels_first(&block_on(read(prediction)).expect("values"), shape);
    let prediction = error(&prediction, &case.prediction);

    let sampled = sample(pipeline, &request(all, case)).expect("a latent");
    let last = error(sampled.generation.latent(), &case.last);
    [embedding, prediction, last]
}

#[test]
fn merged_loras_of_all_namings_equal_diffusers() {
    let (all, tensors) = expected();
    let runtime = cpu();
    for name in ["sd1-pndm", "sd2-v"] {
        let model = Model::named(name);
        let mut pipeline = model.load(&runtime);
        for case in all.cases.iter().filter(|case| case.model == name) {
            let loras: Vec<_> = case.loras.iter().map(applied).collect();
            set(&mut pipeline, &model, &loras).unwrap_or_else(|e| panic!("{}: {e}", case.name));
            let errors = errors(&pipeline, &all, case, &tensors);
            let [embedding, prediction, last] = errors.map(|error| format!("{error:.1e}"));
            say(format_args!(
                "{:24} {embedding} {prediction} {last}",
                case.name
            ));
            assert!(
                errors[0] < LIMITS[0] && errors[1] < LIMITS[0],
                "{}",
                case.name
            );
            assert!(errors[2] < LIMITS[1], "{}", case.name);
        }
    }
}

#[test]
fn loras_merged_while_loading_equal_those_merged_later() {
    let (all, _) = expected();
    let case = all
        .cases
        .iter()
        .find(|case| case.loras.len() == 2)
        .expect("two at once");
    let model = Model::named(&case.model);
    let loras: Vec<_> = case.loras.iter().map(applied).collect();
    let options = LoadOptions {
        loras: loras.clone(),
        ..LoadOptions::default()
    };
    let at_once = block_on(Pipeline::load(&model.folder(), &cpu(), options)).expect("a pipeline");
    let mut later = model.load(&cpu());
    block_on(later.set_loras(&model.folder(), &loras, &mut |_| ())).expect("merged");
    let request = request(&all, case);
    let [a, b] = [&at_once, &later].map(|pipeline| generate(pipeline, &request).latent);
    assert!(a == b, "merging while loading differs from merging later");
    // What was merged while loading is taken out again, too.
    let mut at_once = at_once;
    block_on(at_once.set_loras(&model.folder(), &[], &mut |_| ())).expect("taken out");
    let without = generate(&model.load(&cpu()), &request).latent;
    assert!(
        generate(&at_once, &request).latent == without,
        "a trace is left"
    );
}

#[test]
fn taking_loras_out_restores_the_model_bit_for_bit() {
    let (all, _) = expected();
    let model = Model::named("sd1-pndm");
    let folder = model.folder();
    let mut pipeline = model.load(&cpu());
    let request = request(&all, &all.cases[0]);
    let before = generate(&pipeline, &request);
    let locon = applied(&("lora-locon.safetensors".into(), 1.5, 0.5));
    let kohya = applied(&("lora-kohya.safetensors".into(), -1.0, 1.0));
    for loras in [vec![locon.clone()], vec![locon, kohya.clone()], vec![kohya]] {
        block_on(pipeline.set_loras(&folder, &loras, &mut |_| ())).expect("merged");
        let effect = relative_error(&generate(&pipeline, &request).latent, &before.latent);
        assert!(
            effect > 0.02,
            "the LoRAs change the latent by {effect:.0e} only"
        );
    }
    block_on(pipeline.set_loras(&folder, &[], &mut |_| ())).expect("taken out");
    let after = generate(&pipeline, &request);
    assert!(after.latent == before.latent, "the latent is another one");
    assert!(
        after.picture.rgba == before.picture.rgba,
        "the picture is another one"
    );
}

#[test]
fn only_the_tensors_that_change_are_read() {
    let model = Model::named("sd1-pndm");
    let mut pipeline = model.load(&cpu());
    let whole = pipeline.weight_bytes();
    let mut totals = Vec::new();
    let kohya = applied(&("lora-kohya.safetensors".into(), 1.0, 0.0));
    for loras in [vec![kohya], vec![], vec![]] {
        let mut total = 0;
        let mut progress = |p: darkroom::weights::load::LoadProgress<'_>| total = p.total;
        block_on(pipeline.set_loras(&model.folder(), &loras, &mut progress)).expect("merged");
        totals.push(total);
    }
    assert!(
        totals[0] > 0 && totals[0] < whole / 4,
        "{totals:?} of {whole}"
    );
    assert_eq!(totals[1], totals[0], "taking out reads what merging read");
    assert_eq!(totals[2], 0, "nothing changes, nothing is read");
}

#[test]
fn a_picture_in_the_making_keeps_the_weights_it_began_with() {
    let (all, _) = expected();
    let model = Model::named("sd1-pndm");
    let mut pipeline = model.load(&cpu());
    let request = request(&all, &all.cases[0]);
    let before = generate(&pipeline, &request).latent;
    let latent = block_on(async {
        let mut generation = pipeline.start(&request).await?;
        generation.step().await?;
        let kohya = applied(&("lora-kohya.safetensors".into(), 2.0, 2.0));
        let folder = model.folder();
        pipeline.set_loras(&folder, &[kohya], &mut |_| ()).await?;
        while !generation.is_done() {
            generation.step().await?;
        }
        Ok::<_, darkroom::Error>(generation.latent().to_vec())
    });
    assert!(
        latent.expect("a latent") == before,
        "the weights changed under way"
    );
    assert!(
        generate(&pipeline, &request).latent != before,
        "the LoRA has no effect"
    );
}

/// The message for a LoRA that cannot be merged.
fn refused(model: &str, file: &str) -> String {
    let model = Model::named(model);
    let mut pipeline = model.load(&cpu());
    let lora = applied(&(file.into(), 1.0, 1.0));
    let error = set(&mut pipeline, &model, &[lora]).expect_err("a LoRA that does not fit");
    assert!(pipeline.loras().is_empty());
    // Nothing was changed.
    generate(
        &pipeline,
        &Request {
            steps: 1,
            ..Request::default()
        },
    );
    error.to_string()
}

#[test]
fn loras_of_other_models_are_refused_by_name_with_both_shapes() {
    let message = refused("sd1-pndm", "lora-sd2.safetensors");
    assert_contains(
        &message,
        &[
            "lora-sd2.safetensors",
            "does not fit the model",
            "modules",
            "expected [",
        ],
    );
    let message = refused("sd2-v", "lora-kohya.safetensors");
    assert_contains(
        &message,
        &["lora-kohya.safetensors", "does not fit", "expected ["],
    );
}

#[test]
fn files_that_are_no_lora_for_stable_diffusion_say_what_they_are() {
    let folder = std::env::temp_dir().join(format!("darkroom-lora-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join("file.safetensors");
    let down = "lora_unet_conv_in.lora_down.weight";
    for (name, words) in [
        (
            "lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_down.weight",
            &["Stable Diffusion XL"][..],
        ),
        (
            "lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight",
            &["Flux"],
        ),
        ("lora_unet_conv_in.dora_scale", &["DoRA", "not support"]),
        ("lora_unet_conv_in.diff_b", &["biases"]),
        (
            "model.diffusion_model.out.2.weight",
            &["not a LoRA", "out.2.weight"],
        ),
        (down, &["malformed", "conv_in", "do not match"]),
    ] {
        let info: safetensors::Info = (name, "F32", &[1, 2]);
        std::fs::write(&path, safetensors::file([(info, vec![0; 8])])).expect("a file");
        let result = open(&path).and_then(|lora| {
            let applied = AppliedLora {
                lora,
                unet: 1.0,
                text_encoder: 1.0,
            };
            let options = LoadOptions {
                loras: vec![applied],
                ..LoadOptions::default()
            };
            let folder = Model::named("sd1-pndm").folder();
            block_on(Pipeline::load(&folder, &cpu(), options)).map(drop)
        });
        let message = result.expect_err(name).to_string();
        assert_contains(&message, &["file.safetensors"]);
        assert_contains(&message, words);
    }
    std::fs::remove_dir_all(&folder).expect("removed");
}
