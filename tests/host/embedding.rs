//! Learned words against diffusers' `load_textual_inversion`, in prompts and in the command.

use std::path::PathBuf;
use std::rc::Rc;

use burn::tensor::DType;
use darkroom::device::read;
use darkroom::text::embedding::Embedding;
use darkroom::text::encoder::EncodeOptions;
use darkroom::text::prompt::PromptSyntax;
use darkroom::text::prompt::emphasis::Emphasis;
use darkroom::text::prompt::layout::{LayoutOptions, layout};
use darkroom::text::tokenizer::LongPrompt;
use darkroom::weights::source::locate;
use darkroom::{Pipeline, Request, Result};
use pollster::block_on;
use serde::Deserialize;

use crate::support::command::Scratch;
use crate::support::generate::{generate, sample};
use crate::support::models::{Case, Model};
use crate::support::safetensors::{self, Tensors};
use crate::support::{assert_contains, cpu, golden, read_json, relative_error, say};

#[derive(Deserialize)]
struct Expected {
    model: String,
    /// Name and file of each word.
    words: Vec<(String, String)>,
    embeddings: Vec<Encoded>,
    request: Run,
}

#[derive(Deserialize)]
struct Encoded {
    prompt: String,
    tensor: String,
    tokens: usize,
}

/// The settings of a picture.
#[derive(Deserialize)]
struct Run {
    sampler: String,
    prompt: String,
    negative_prompt: String,
    seed: u64,
    steps: usize,
    guidance_scale: f64,
    width: usize,
    height: usize,
}

fn expected() -> Expected {
    read_json(&golden().join("additions/embeddings.json"))
}

fn path(file: &str) -> PathBuf {
    golden().join("additions").join(file)
}

fn open(name: Option<&str>, path: &std::path::Path) -> Result<Rc<Embedding>> {
    let source = locate::open(path.to_str().expect("UTF-8"), None)?;
    block_on(Embedding::open(name, &*source)).map(Rc::new)
}

fn words(expected: &Expected) -> Vec<Rc<Embedding>> {
    let word = |(name, file): &(String, String)| {
        open(Some(name), &path(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
    };
    expected.words.iter().map(word).collect()
}

fn with_words(expected: &Expected) -> Rc<Pipeline> {
    let mut pipeline = Model::named(&expected.model).load(&cpu());
    pipeline
        .set_embeddings(&words(expected))
        .expect("words of this width");
    pipeline
}

#[test]
fn a_layout_has_the_places_of_learned_words() {
    let expected = expected();
    let pipeline = with_words(&expected);
    let name = &expected.words[0].0;
    let prompt = format!("é (in the style of {name}:1.2), {name}");
    let options = LayoutOptions {
        syntax: PromptSyntax::A1111,
        emphasis: Emphasis::Original,
        steps: 20,
        negative: true,
    };
    let found = layout(&prompt, options, pipeline.tokenizer()).expect("a layout");
    let starts = prompt
        .match_indices(&name[..])
        .map(|(at, _)| at - "é".len() + 1);
    let places = starts.map(|at| [at, at + name.len()]);
    assert_eq!(found.words, places.collect::<Vec<_>>());
}

#[test]
fn learned_words_of_all_files_equal_diffusers() {
    let expected = expected();
    let tensors = Tensors::read(&golden().join("additions/embeddings.safetensors"));
    let pipeline = with_words(&expected);
    for case in &expected.embeddings {
        let request = Request {
            prompt: case.prompt.clone(),
            steps: 1,
            ..Request::default()
        };
        let tokens = pipeline
            .tokenizer()
            .encode(&case.prompt, LongPrompt::Truncate);
        let tokens = tokens.expect("tokens");
        assert_eq!(tokens.count, case.tokens, "{}: tokens", case.prompt);
        block_on(pipeline.start(&request)).expect("a run");
        let error = {
            let runtime = pipeline.runtime();
            let learned = darkroom::text::embedding::LearnedVectors::new(
                pipeline.embeddings(),
                pipeline.config().text.hidden_size,
                75,
            );
            let options = EncodeOptions {
                left_out: 0,
                learned: &learned.expect("vectors"),
            };
            let embedding = pipeline.text_encoder().forward_with(
                &tokens.chunks,
                options,
                &runtime.device,
                DType::F32,
            );
            let values = block_on(read(embedding.expect("an embedding"))).expect("values");
            relative_error(&values, &tensors.f32(&case.tensor).1)
        };
        say(format_args!("{:48} {error:.1e}", case.prompt));
        assert!(error < 1e-4, "{}: relative error {error:.1e}", case.prompt);
    }
    let run = &expected.request;
    for syntax in [PromptSyntax::Plain, PromptSyntax::A1111] {
        let request = Request {
            prompt: run.prompt.clone(),
            negative_prompt: run.negative_prompt.clone(),
            seed: run.seed,
            steps: run.steps,
            guidance_scale: run.guidance_scale,
            sampler: Some(run.sampler.parse().expect("a sampler")),
            width: Some(run.width),
            height: Some(run.height),
            prompt_syntax: syntax,
            ..Request::default()
        };
        let sampled = sample(&pipeline, &request).expect("a latent");
        let error = relative_error(sampled.generation.latent(), &tensors.f32("final").1);
        say(format_args!("final latent, {syntax}: {error:.1e}"));
        assert!(error < 1e-3, "{syntax}: relative error {error:.1e}");
    }
}

#[test]
fn removed_words_are_text_again() {
    let expected = expected();
    let model = Model::named(&expected.model);
    let request = Case::request(&model.expected.cases[0]);
    let request = Request {
        negative_prompt: "easynegative, bad-hands".into(),
        ..request
    };
    let mut pipeline = model.load(&cpu());
    let before = generate(&pipeline, &request).latent;
    pipeline.set_embeddings(&words(&expected)).expect("words");
    let learned = generate(&pipeline, &request).latent;
    assert!(
        relative_error(&learned, &before) > 0.01,
        "the words have no effect"
    );
    pipeline.set_embeddings(&[]).expect("no words");
    assert!(
        generate(&pipeline, &request).latent == before,
        "a trace is left"
    );
}

/// A word of four vectors, 30 times, is 120 tokens: chunks end before a word that does not fit.
#[test]
fn words_are_not_divided_between_chunks() {
    let model = Model::named("sd1-pndm");
    let width = model.config().text.hidden_size;
    let scratch = Scratch::new();
    let file = scratch.0.join("quad.safetensors");
    let info: safetensors::Info = ("emb_params", "F32", &[4, width]);
    let bytes = safetensors::file([(info, vec![0; 16 * width])]);
    std::fs::write(&file, bytes).expect("a file");
    let mut pipeline = model.load(&cpu());
    pipeline
        .set_embeddings(&[open(None, &file).expect("a word")])
        .expect("a word");
    let reading = darkroom::text::prompt::plan::Reading {
        tokenizer: pipeline.tokenizer(),
        syntax: PromptSyntax::A1111,
        steps: 1,
        long_prompt: LongPrompt::Chunk,
    };
    let plan = reading.prompt(&"(QUAD:1.2) ".repeat(30)).expect("chunks");
    let learned = |chunk: &darkroom::text::prompt::chunks::Chunk| {
        let ids = chunk
            .ids
            .iter()
            .filter(|&&id| id >= darkroom::text::embedding::FIRST_ID);
        let weighted = chunk.weights.iter().filter(|&&weight| weight == 1.2);
        (ids.count(), weighted.count())
    };
    let counts: Vec<_> = plan.texts[0].iter().map(learned).collect();
    assert_eq!(counts, [(72, 72), (48, 48)]);
}

#[test]
fn words_of_another_width_and_other_files_are_refused_by_name() {
    let mut pipeline = Model::named("sd1-pndm").load(&cpu());
    let wide = open(None, &path("word-wide.safetensors")).expect("a word");
    assert_eq!(wide.names(), ["word-wide"]);
    let message = pipeline
        .set_embeddings(&[wide])
        .expect_err("another width")
        .to_string();
    let width = pipeline.config().text.hidden_size.to_string();
    assert_contains(&message, &["word-wide.safetensors", "width 24", &width]);
    assert!(pipeline.embeddings().is_empty());

    let scratch = Scratch::new();
    let file = scratch.0.join("word.safetensors");
    let write = |tensors: &[(&str, &[usize])]| {
        let tensors = tensors.iter().map(|&(name, shape)| {
            let info: safetensors::Info = (name, "F32", shape);
            (info, vec![0; 4 * shape.iter().product::<usize>()])
        });
        std::fs::write(&file, safetensors::file(tensors)).expect("a file");
        open(None, &file).expect_err("no word").to_string()
    };
    let two: &[usize] = &[2, 2];
    for (tensors, words) in [
        (
            &[("clip_g", two), ("clip_l", two)][..],
            &["Stable Diffusion XL"][..],
        ),
        (&[("a", two), ("b", two)], &["2 tensors", "a, b"]),
        (
            &[("emb_params", &[1, 2, 2])],
            &["[1, 2, 2]", "[vectors, width]"],
        ),
        (&[], &["no tensors"]),
    ] {
        let message = write(tensors);
        assert_contains(&message, &["word.safetensors"]);
        assert_contains(&message, words);
    }
}

#[test]
fn the_command_takes_words_loras_and_a_vae() {
    let scratch = Scratch::with_model("sd1-pndm");
    let place = |file: &str| path(file).to_str().expect("UTF-8").to_string();
    let (word, lora) = (place("word-webui.pt"), place("lora-kohya.safetensors"));
    let vae = Model::named("sd1-all-cross").path();
    let more = [
        "--steps",
        "1",
        "--json",
        "--prompt-syntax",
        "a1111",
        "--prompt",
        "an oak <lora:lora-kohya:0.5:2><lora:nobody:1>",
        "--negative-prompt",
        "bad <lora:lora-kohya:1>",
        "--embedding",
        &format!("bad={word}"),
        "--lora",
        &format!("{lora}:-1"),
        "--vae",
        vae.to_str().expect("UTF-8"),
    ];
    let outcome = scratch.generate(&more);
    outcome.warns(&["nobody", "negative prompt"]);
    let report: serde_json::Value =
        serde_json::from_slice(&outcome.output.stdout).expect("a report");
    assert_eq!(report["loras"][0]["name"], "lora-kohya");
    assert_eq!(report["loras"][0]["unet"], 2.0);
    assert_eq!(report["loras"][0]["text_encoder"], 0.5);
    assert_eq!(report["embeddings"][0]["names"], serde_json::json!(["bad"]));
    assert_eq!(report["embeddings"][0]["vectors"], 2);
}
