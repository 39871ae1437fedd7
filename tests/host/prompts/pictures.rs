//! The prompt language in whole runs, on the CPU: which embeddings the U-Net gets at which call.

use std::rc::Rc;

use burn::tensor::{DType, Tensor, TensorData};
use darkroom::device::read;
use darkroom::sampling::update::Arrays;
use darkroom::sampling::{Noise, Sampler, SamplerKind, ScheduleKind, guide};
use darkroom::text::prompt::PromptSyntax;
use darkroom::text::prompt::emphasis::Emphasis;
use darkroom::text::tokenizer::LongPrompt;
use darkroom::{Pipeline, Request};
use pollster::block_on;

use crate::support::generate::sample;
use crate::support::models::Model;
use crate::support::sampling::advance;
use crate::support::{channels_first, channels_last, cpu, relative_error};

/// Largest difference to a reference that embeds its timesteps one by one.
const LIMIT: f64 = 1e-5;

pub(super) fn pipeline() -> Rc<Pipeline> {
    Model::named("sd1-pndm").load(&cpu())
}

/// A small picture of `prompt` in A1111's language.
pub(super) fn request(prompt: &str) -> Request {
    Request {
        prompt: prompt.into(),
        negative_prompt: "mustache".into(),
        seed: 7,
        steps: 5,
        width: Some(64),
        height: Some(48),
        prompt_syntax: PromptSyntax::A1111,
        ..Request::default()
    }
}

fn plain(prompt: &str) -> Request {
    Request {
        prompt_syntax: PromptSyntax::Plain,
        ..request(prompt)
    }
}

/// The final latent and the warnings of a request.
#[track_caller]
pub(super) fn run(pipeline: &Rc<Pipeline>, request: &Request) -> (Vec<f32>, Vec<String>) {
    let sampled = sample(pipeline, request).unwrap_or_else(|e| panic!("{}: {e}", request.prompt));
    let generation = sampled.generation;
    (generation.latent().to_vec(), generation.warnings().to_vec())
}

#[track_caller]
pub(super) fn latent(pipeline: &Rc<Pipeline>, request: &Request) -> Vec<f32> {
    run(pipeline, request).0
}

/// The text encoder's output for a text in which every sign stands for itself.
pub(super) fn embed(pipeline: &Pipeline, text: &str) -> Vec<f32> {
    let runtime = pipeline.runtime();
    let chunks = pipeline.tokenizer().encode(text, LongPrompt::Chunk);
    let chunks = chunks.unwrap().chunks;
    let encoder = pipeline.text_encoder();
    let embeddings = encoder.forward(&chunks, &runtime.device, DType::F32);
    block_on(read(embeddings.unwrap())).unwrap()
}

/// The final latent of a loop on the host; `prompts` has the embeddings of each step, negative,
/// then positive.
fn reference(
    pipeline: &Pipeline,
    request: &Request,
    kind: SamplerKind,
    prompts: impl Fn(usize) -> [Vec<f32>; 2],
) -> Vec<f32> {
    let combine = |branches: &[&[f32]]| guide(branches[1], branches[0], request.guidance_scale);
    let prompts = |step| prompts(step).to_vec();
    reference_of(pipeline, request, kind, prompts, combine)
}

/// [`reference`] of any number of prompts; `combine` gets their predictions.
pub(super) fn reference_of(
    pipeline: &Pipeline,
    request: &Request,
    kind: SamplerKind,
    prompts: impl Fn(usize) -> Vec<Vec<f32>>,
    combine: impl Fn(&[&[f32]]) -> Vec<f32>,
) -> Vec<f32> {
    let (config, device) = (pipeline.config(), &pipeline.runtime().device);
    let unit = config.pixels_per_latent();
    let [h, w] = [request.height, request.width].map(|pixels| pixels.unwrap() / unit);
    let c = config.unet.in_channels;
    let mut sampler =
        Sampler::new(kind, ScheduleKind::Model, &config.scheduler, request.steps).unwrap();
    let mut noise = Noise::new(request.rng, request.seed);
    let sigma = sampler.init_noise_sigma();
    let start = noise.normal(c * h * w).into_iter();
    let mut arrays = Arrays::new(start.map(|x| (x as f64 * sigma) as f32).collect());
    while !sampler.is_done() {
        let prompts = prompts(sampler.step());
        let n = prompts.len();
        let prompts = prompts.concat();
        let width = config.text.hidden_size;
        let shape = [n, prompts.len() / n / width, width];
        let prompts = Tensor::<3>::from_data(TensorData::new(prompts, shape), device);
        let predict = |input: &[f32], timestep| {
            let input = channels_last(input, [1, c, h, w]).repeat(n);
            let input = Tensor::<4>::from_data(TensorData::new(input, [n, h, w, c]), device);
            let all = block_on(read(pipeline.unet().forward(input, timestep, &prompts))).unwrap();
            let all = channels_first(&all, [n, h, w, c]);
            combine(&all.chunks(c * h * w).collect::<Vec<_>>())
        };
        advance(&mut sampler, &mut arrays, &mut noise, predict);
    }
    arrays.latent
}

#[track_caller]
pub(super) fn assert_near(actual: &[f32], expected: &[f32], what: &str) {
    let error = relative_error(actual, expected);
    assert!(error < LIMIT, "{what}: {error:.1e}");
}

/// Asserts that two pictures differ visibly.
#[track_caller]
pub(super) fn assert_apart(a: &[f32], b: &[f32], what: &str) {
    let effect = relative_error(a, b);
    assert!(effect > 1e-3, "{what} has an effect of {effect:.1e} only");
}

#[test]
fn a_prompt_without_language_gives_the_same_bytes_in_both_syntaxes() {
    let pipeline = pipeline();
    let long = "a man, ".repeat(50);
    for prompt in ["", "Portrait photo of a man", &long] {
        // Where a chunk ends at a comma, the syntaxes differ; a prompt cut off has no other chunk.
        let cut = |request: Request| Request {
            long_prompt: LongPrompt::Truncate,
            ..request
        };
        let (a1111, warnings) = run(&pipeline, &cut(request(prompt)));
        assert!(
            (a1111, warnings) == run(&pipeline, &cut(plain(prompt))),
            "{prompt:?}"
        );
    }
}

#[test]
fn plain_prompts_are_read_sign_by_sign_and_fill_their_chunks() {
    let pipeline = pipeline();
    let prompt = "a (man:1.3), [a|b] AND red hair BREAK ".repeat(5);
    let request = plain(&prompt);
    let mut texts = [embed(&pipeline, "mustache"), embed(&pipeline, &prompt)];
    let empty = embed(&pipeline, "");
    while texts[0].len() < texts[1].len() {
        texts[0].extend(&empty);
    }
    assert!(texts[1].len() > empty.len(), "more than one chunk");
    let expected = reference(&pipeline, &request, SamplerKind::Pndm, |_| texts.clone());
    let (actual, warnings) = run(&pipeline, &request);
    assert_near(&actual, &expected, "the plain prompt");
    assert_eq!(warnings, [""; 0]);
}

#[test]
fn a_weight_of_1_is_no_weight_and_ignored_weights_have_no_effect() {
    let pipeline = pipeline();
    let unweighted = latent(&pipeline, &plain("a man with red hair"));
    let weight_1 = request("a (man:1.0) with red hair");
    assert!(latent(&pipeline, &weight_1) == unweighted);
    let ignored = Request {
        emphasis: Emphasis::Ignore,
        ..request("a (man:1.3) with [red] hair")
    };
    assert!(latent(&pipeline, &ignored) == unweighted);
}

#[test]
fn weights_are_applied_to_what_the_text_encoder_gives() {
    let pipeline = pipeline();
    let tokenizer = pipeline.tokenizer();
    let before = tokenizer.content("Portrait photo of a").unwrap().len();
    let text = "Portrait photo of a man";
    assert_eq!(tokenizer.content(text).unwrap().len(), before + 1);
    let mut weights = vec![1.0; tokenizer.max_length()];
    weights[1 + before] = 1.3;
    let unweighted = latent(&pipeline, &plain(text));
    for emphasis in [Emphasis::Original, Emphasis::NoNorm] {
        let width = pipeline.config().text.hidden_size;
        let mut positive = embed(&pipeline, text);
        emphasis.apply(&mut positive, &weights, width);
        let texts = [embed(&pipeline, "mustache"), positive];
        let request = Request {
            emphasis,
            ..request("Portrait photo of a (man:1.3)")
        };
        let expected = reference(&pipeline, &request, SamplerKind::Pndm, |_| texts.clone());
        let actual = latent(&pipeline, &request);
        assert_near(&actual, &expected, &format!("emphasis {emphasis}"));
        assert_apart(&actual, &unweighted, "the weight");
    }
}

#[test]
fn weights_of_a_negative_prompt_are_applied_to_it_alone() {
    let pipeline = pipeline();
    let mut weights = vec![1.0; pipeline.tokenizer().max_length()];
    weights[1] = 1.5;
    let mut negative = embed(&pipeline, "red hair");
    Emphasis::Original.apply(&mut negative, &weights, pipeline.config().text.hidden_size);
    let texts = [negative, embed(&pipeline, "a man")];
    let request = Request {
        negative_prompt: "(red:1.5) hair".into(),
        ..request("a man")
    };
    let expected = reference(&pipeline, &request, SamplerKind::Pndm, |_| texts.clone());
    assert_near(
        &latent(&pipeline, &request),
        &expected,
        "the negative prompt",
    );
}

#[test]
fn a_schedule_changes_the_text_after_its_step_in_every_sampler() {
    let pipeline = pipeline();
    let [negative, man, woman] = ["mustache", "a man", "a woman"].map(|t| embed(&pipeline, t));
    for kind in SamplerKind::ALL {
        let request = Request {
            sampler: Some(kind.into()),
            ..request("a [man:woman:2]")
        };
        // As in the web UI, a change comes one call later than the schedule says.
        let texts = |call| match call {
            0..=2 => [negative.clone(), man.clone()],
            _ => [negative.clone(), woman.clone()],
        };
        let expected = reference(&pipeline, &request, kind, texts);
        let actual = latent(&pipeline, &request);
        assert_near(&actual, &expected, kind.name());
        assert_apart(&actual, &latent(&pipeline, &plain("a man")), "the schedule");
    }
}

#[test]
fn an_alternation_takes_its_texts_in_turn() {
    let pipeline = pipeline();
    let texts = ["mustache", "blurry", "a man", "a woman"].map(|t| embed(&pipeline, t));
    let [mustache, blurry, man, woman] = texts;
    let request = Request {
        negative_prompt: "[mustache:blurry:3]".into(),
        ..request("a [man|woman]")
    };
    let texts = |call: usize| {
        let positive = match call {
            0 | 1 | 3 | 5 => &man,
            _ => &woman,
        };
        let negative = if call <= 3 { &mustache } else { &blurry };
        [negative.clone(), positive.clone()]
    };
    let expected = reference(&pipeline, &request, SamplerKind::Pndm, texts);
    assert_near(&latent(&pipeline, &request), &expected, "the alternation");
}

#[test]
fn a_change_outside_the_steps_is_none() {
    let pipeline = pipeline();
    let [man, woman] = ["a man", "a woman"].map(|text| latent(&pipeline, &plain(text)));
    for (prompt, expected) in [
        ("a [man:woman:0]", &woman),
        ("a [man:woman:0.0]", &woman),
        ("a [man:woman:5]", &man),
        ("a [man:woman:99]", &man),
    ] {
        let actual = latent(&pipeline, &request(prompt));
        assert_near(&actual, expected, prompt);
    }
}

#[test]
fn break_begins_a_chunk_and_the_negative_prompt_gets_as_many() {
    let pipeline = pipeline();
    let texts = ["mustache", "", "a man", "red hair"].map(|t| embed(&pipeline, t));
    let [negative, empty, man, hair] = texts;
    let texts = [[negative, empty].concat(), [man, hair].concat()];
    let request = request("a man BREAK red hair");
    let expected = reference(&pipeline, &request, SamplerKind::Pndm, |_| texts.clone());
    assert_near(&latent(&pipeline, &request), &expected, "BREAK");
}

#[test]
fn without_guidance_a_schedule_changes_the_one_prompt() {
    let pipeline = pipeline();
    let unguided = |request: Request| Request {
        guidance_scale: 1.0,
        negative_prompt: String::new(),
        ..request
    };
    let scheduled = latent(&pipeline, &unguided(request("a [man:woman:2]")));
    let never = latent(&pipeline, &unguided(plain("a man")));
    assert_apart(&scheduled, &never, "the schedule");
    let late = latent(&pipeline, &unguided(request("a [man:woman:9]")));
    assert_near(&late, &never, "no change");
}

#[test]
fn and_is_a_word_in_the_negative_prompt_and_in_plain_prompts() {
    let pipeline = pipeline();
    let negative = Request {
        negative_prompt: "red AND hair".into(),
        ..request("a man")
    };
    let and = latent(&pipeline, &negative);
    let plain = Request {
        prompt_syntax: PromptSyntax::Plain,
        ..negative
    };
    assert!(and == latent(&pipeline, &plain));
    latent(&pipeline, &self::plain("a man AND a woman"));
}

#[test]
fn problems_of_a_prompt_are_warnings() {
    let pipeline = pipeline();
    let problematic = Request {
        negative_prompt: "hair]".into(),
        steps: 1,
        ..request("é (man")
    };
    let (_, warnings) = run(&pipeline, &problematic);
    let expected = [
        "the prompt, “(” at letter 3: this bracket is not closed; it weights all that follows",
        "the negative prompt, “]” at letter 5: this bracket was not opened; it is read as a sign",
    ];
    assert_eq!(warnings, expected);
    let (_, warnings) = run(
        &pipeline,
        &Request {
            steps: 1,
            ..plain("a (man")
        },
    );
    assert_eq!(warnings, [""; 0]);
}

#[test]
fn requests_in_json_name_syntax_and_emphasis() {
    let json = r#"{"prompt_syntax": "a1111", "emphasis": "no-norm"}"#;
    let request = Request::from_json(json).unwrap();
    let names = (request.prompt_syntax, request.emphasis);
    assert_eq!(names, (PromptSyntax::A1111, Emphasis::NoNorm));
    let request = Request::from_json("{}").unwrap();
    let names = (request.prompt_syntax, request.emphasis);
    assert_eq!(names, (PromptSyntax::Plain, Emphasis::Original));
    for json in [r#"{"prompt_syntax": "comfy"}"#, r#"{"emphasis": "none"}"#] {
        assert!(
            Request::from_json(json).is_err_and(|e| e.is_usage()),
            "{json}"
        );
    }
}
