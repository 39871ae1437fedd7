//! Changed copies of the tiny models against diffusers; see `tests/golden/variants/generate.py`.

use std::collections::BTreeMap;

use burn::tensor::{DType, Tensor as BurnTensor, TensorData};
use darkroom::Request;
use darkroom::device::read;
use darkroom::text::tokenizer::LongPrompt;
use darkroom::weights::source::{folder::Folder, locate};
use half::f16;
use pollster::block_on;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Tensor, change_tensors};
use crate::support::checkpoint::{Case as SingleFileCase, Entry};
use crate::support::command::Scratch;
use crate::support::generate::{generate, load};
use crate::support::models::Model;
use crate::support::safetensors::{self, Tensors};
use crate::support::{
    channels_first, channels_last, cpu, four, golden, read_json, relative_error, say,
};

/// A changed copy of a model, and what diffusers computes from it.
#[derive(Deserialize)]
struct Case {
    model: String,
    #[serde(default)]
    set: BTreeMap<String, Map<String, Value>>,
    #[serde(default)]
    write: BTreeMap<String, Value>,
    /// File and the beginning of names.
    #[serde(default)]
    drop: Vec<(String, String)>,
    /// File, name, shape and scale of the values.
    #[serde(default)]
    add: Vec<(String, String, Vec<usize>, f32)>,
    /// File, name, number of rows and scale of the values.
    #[serde(default)]
    rows: Vec<(String, String, usize, f32)>,
    runs: Vec<Run>,
    /// Timestep and guidance scale.
    #[serde(default)]
    predictions: Vec<(f64, f64)>,
    #[serde(default)]
    ids: Vec<(String, Vec<u32>)>,
}

#[derive(Deserialize)]
struct Run {
    prompt: String,
    negative_prompt: String,
    seed: u64,
    steps: usize,
    guidance_scale: f64,
    sampler: Option<String>,
    clip_skip: usize,
    latent: String,
}

impl Run {
    fn request(&self) -> Request {
        let sampler = self.sampler.as_ref();
        Request {
            prompt: self.prompt.clone(),
            negative_prompt: self.negative_prompt.clone(),
            seed: self.seed,
            steps: self.steps,
            guidance_scale: self.guidance_scale,
            sampler: sampler.map(|name| name.parse().expect("a sampler")),
            clip_skip: Some(self.clip_skip),
            ..Request::default()
        }
    }
}

fn folder_of_values() -> std::path::PathBuf {
    golden().join("variants")
}

fn case(name: &str) -> Case {
    let mut cases: BTreeMap<String, Case> = read_json(&folder_of_values().join("expected.json"));
    cases
        .remove(name)
        .unwrap_or_else(|| panic!("no case {name}"))
}

fn expected() -> Tensors {
    Tensors::read(&folder_of_values().join("expected.safetensors"))
}

/// The function `values` of generate.py, in f16.
fn values(count: usize, scale: f32) -> Vec<u8> {
    let value = |index: usize| f16::from_f32(((index * 37 % 101) as f32 - 50.0) * scale);
    (0..count).flat_map(|i| value(i).to_le_bytes()).collect()
}

impl Case {
    /// A changed copy of the model.
    fn copy(&self) -> Scratch {
        let scratch = Scratch::with_model(&self.model);
        for (path, keys) in &self.set {
            scratch.edit(path, |json| {
                let json = json.as_object_mut().expect("an object");
                json.extend(keys.clone());
            });
        }
        for (path, content) in &self.write {
            std::fs::write(scratch.file(path), content.to_string()).expect("a file");
        }
        for (path, start) in &self.drop {
            change_tensors(&scratch.file(path), |tensors| {
                tensors.retain(|name, _| !name.starts_with(start));
            });
        }
        for (path, name, shape, scale) in &self.add {
            change_tensors(&scratch.file(path), |tensors| {
                let tensor = Tensor {
                    dtype: "F16".into(),
                    shape: shape.clone(),
                    bytes: values(shape.iter().product(), *scale),
                };
                tensors.insert(name.clone(), tensor);
            });
        }
        for (path, name, rows, scale) in &self.rows {
            change_tensors(&scratch.file(path), |tensors| {
                let table = tensors.get_mut(name).expect("a table");
                assert_eq!(table.dtype, "F16");
                table.shape[0] += rows;
                table.bytes.extend(values(rows * table.shape[1], *scale));
            });
        }
        scratch
    }
}

/// Compares all runs, predictions and token ids of the case `name` with diffusers.
fn compare(name: &str) {
    let case = case(name);
    let expected = expected();
    let scratch = case.copy();
    let folder = Folder::open(scratch.model()).expect("a folder");
    let pipeline = load(&folder, &cpu());
    assert_eq!(pipeline.warnings(), [""; 0], "{name}");
    for (text, ids) in &case.ids {
        let tokens = pipeline.tokenizer().encode(text, LongPrompt::Truncate);
        let tokens = tokens.unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(tokens.chunks[0][..ids.len()], ids[..], "{name}: {text}");
    }
    for run in &case.runs {
        let generated = generate(&pipeline, &run.request());
        let (shape, latent) = expected.f32(&run.latent);
        let picture = [generated.picture.height, generated.picture.width];
        let unit = pipeline.config().pixels_per_latent();
        assert_eq!(picture, [shape[2] * unit, shape[3] * unit], "{name}");
        let error = relative_error(&generated.latent, &latent);
        say(format_args!(
            "{}: against diffusers {error:.1e}",
            run.latent
        ));
        assert!(error < 1e-3, "{}: {error:.1e}", run.latent);
    }
    for (number, &(timestep, guidance)) in case.predictions.iter().enumerate() {
        let (shape, latent) = expected.f32(&format!("{name}.prediction.{number}.latent"));
        let [_, channels, height, width] = four(shape);
        let data = TensorData::new(
            channels_last(&latent, four(shape)),
            [1, height, width, channels],
        );
        let runtime = pipeline.runtime();
        let latent = BurnTensor::<4>::from_data(data, (&runtime.device, DType::F32));
        let chunks = pipeline
            .tokenizer()
            .encode(&case.runs[0].prompt, LongPrompt::Truncate);
        let chunks = chunks.expect("tokens").chunks;
        let prompts = pipeline.text_encoder();
        let prompts = prompts.forward(&chunks, &runtime.device, DType::F32);
        let prompts = prompts.expect("embeddings");
        let unet = pipeline.unet();
        let time = unet.times(&[timestep], guidance, &prompts);
        let got = unet.predict(latent, &time, &unet.cross_attn_kv(&prompts));
        let got = block_on(read(got)).expect("a prediction");
        let got = channels_first(&got, [1, height, width, channels]);
        let (_, prediction) = expected.f32(&format!("{name}.prediction.{number}"));
        let error = relative_error(&got, &prediction);
        say(format_args!(
            "{name}: prediction at guidance {guidance}: {error:.1e}"
        ));
        assert!(error < 1e-4, "{name} at guidance {guidance}: {error:.1e}");
    }
}

#[test]
fn every_golden_case_is_compared() {
    let cases: BTreeMap<String, Value> = read_json(&folder_of_values().join("expected.json"));
    let known = [
        &NO_MIDDLE[..],
        &ADDED_TOKENS,
        &CLIP_SKIP,
        &["guidance-embedding", "sample-size"],
    ];
    let mut known = known.concat();
    known.sort();
    assert_eq!(cases.keys().collect::<Vec<_>>(), known);
}

const NO_MIDDLE: [&str; 3] = ["no-middle", "no-middle-linear", "no-middle-all-cross"];

#[test]
fn models_without_a_middle_block_match_diffusers() {
    NO_MIDDLE.into_iter().for_each(compare);
}

const ADDED_TOKENS: [&str; 3] = ["added-token", "added-tokens-two", "added-token-sd2"];

#[test]
fn words_of_added_tokens_json_match_diffusers() {
    ADDED_TOKENS.into_iter().for_each(compare);
}

#[test]
fn a_sample_size_of_height_and_width_is_the_default_size() {
    compare("sample-size");
}

#[test]
fn a_guidance_embedding_matches_diffusers() {
    compare("guidance-embedding");
}

/// A latent consistency model is recognised, has its own defaults, and reads no negative prompt.
#[test]
fn a_guidance_embedding_takes_the_place_of_the_negative_prompt() {
    let scratch = case("guidance-embedding").copy();
    let pipeline = load(&Folder::open(scratch.model()).expect("a folder"), &cpu());
    let info = pipeline.info().expect("a summary");
    let defaults = (info.default_steps, info.default_guidance_scale);
    assert_eq!((info.kind, defaults), ("lcm", (4, 8.0)));
    assert!(info.guidance_embedded);
    let run = |negative: &str, guidance_scale: f64| {
        let request = Request {
            prompt: "a man".into(),
            negative_prompt: negative.into(),
            steps: 2,
            guidance_scale,
            ..Request::default()
        };
        let generated = generate(&pipeline, &request);
        (generated.latent, generated.warnings)
    };
    let (with, warnings) = run("mustache", 8.0);
    assert!(warnings[0].contains("guidance built in"), "{warnings:?}");
    let (without, none) = run("", 8.0);
    assert_eq!((&with, none), (&without, vec![]));
    // The scale still has an effect.
    assert!(relative_error(&run("", 2.0).0, &with) > 0.01);

    let outcome = scratch.generate(&["--json", "--sampler", "ddim"]);
    outcome.warns(&["guidance built in"]);
    let json = outcome.json();
    assert_eq!(
        (&json["steps"], &json["guidance_scale"]),
        (&4.into(), &8.0.into())
    );
}

const CLIP_SKIP: [&str; 3] = ["clip-skip-sd1", "clip-skip-sd2", "clip-skip-narrow"];

#[test]
fn clip_skip_matches_diffusers() {
    CLIP_SKIP.into_iter().for_each(compare);
    let pipeline = Model::named("sd1-four-levels").load(&cpu());
    for clip_skip in [0, 4, usize::MAX] {
        let request = Request {
            clip_skip: Some(clip_skip),
            ..Request::default()
        };
        let error = block_on(pipeline.start(&request)).err().expect("an error");
        assert_eq!(error.kind(), "request");
        let expected = format!("clip skip: got {clip_skip}, expected 1 to 3");
        assert_eq!(error.to_string(), expected);
    }
}

#[derive(Deserialize)]
struct Tiny {
    case: SingleFileCase,
    tensors: Vec<Entry>,
    gaps: BTreeMap<String, String>,
}

/// Single files of distilled models, which programs number in two ways.
#[test]
fn single_files_without_a_middle_block_match_diffusers() {
    let tiny: Tiny = read_json(&folder_of_values().join("tiny.json"));
    let vocab = golden().join("models/tokenizer");
    let scratch = Scratch::new();
    let latent = |name: &str, renamed: &BTreeMap<String, String>| {
        let tensors = tiny.tensors.iter().map(|entry| {
            let (name, dtype, shape) = entry.info();
            let name = renamed.get(name).map_or(name, |other| other);
            ((name, dtype, shape), entry.bytes())
        });
        let file = scratch.0.join(name);
        std::fs::write(&file, safetensors::file(tensors)).expect("a file");
        let source = locate::open(file.to_str().expect("UTF-8"), Some(&vocab)).expect("a file");
        let pipeline = load(&*source, &cpu());
        assert_eq!(pipeline.warnings(), [""; 0], "{name}");
        generate(&pipeline, &tiny.case.request()).latent
    };
    let compact = latent("compact.safetensors", &BTreeMap::new());
    let error = relative_error(&compact, &expected().f32("tiny").1);
    say(format_args!("tiny: against diffusers {error:.1e}"));
    assert!(error < 1e-3, "{error:.1e}");
    assert!(tiny.gaps.len() > 100, "{}", tiny.gaps.len());
    assert_eq!(latent("gaps.safetensors", &tiny.gaps), compact);
}
