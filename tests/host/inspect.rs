//! Recorded generations against diffusers, and a recording that changes nothing.

use darkroom::pipeline::Inspection;
use darkroom::{Generation, Request};
use pollster::block_on;
use serde_json::{Value, json};

use crate::support::models::Model;
use crate::support::safetensors::Tensors;
use crate::support::{cpu, golden, read_json, relative_error, say};

/// The cases of `tests/golden/inspect` with their requests.
pub fn cases() -> (Vec<(Value, Request)>, Tensors) {
    let folder = golden().join("inspect");
    let golden: Value = read_json(&folder.join("inspect.json"));
    let request = |case: &Value| {
        let mut settings = golden["settings"].clone();
        for key in ["sampler", "schedule", "seed", "width", "height"] {
            settings[key] = case[key].clone();
        }
        Request::from_json(&settings.to_string()).expect("a request")
    };
    let cases = golden["cases"].as_array().expect("a list");
    let cases = cases.iter().map(|case| (case.clone(), request(case)));
    let tensors = Tensors::read(&folder.join("inspect.safetensors"));
    (cases.collect(), tensors)
}

/// Makes all steps of a recorded generation.
pub fn recorded(model: &str, request: &Request) -> Generation {
    let pipeline = Model::named(model).load(&cpu());
    block_on(async {
        let mut generation = pipeline.start(request).await?;
        generation.record();
        while !generation.is_done() {
            generation.step().await?;
        }
        Ok::<_, darkroom::Error>(generation)
    })
    .unwrap_or_else(|e| panic!("{model}: {e}"))
}

/// The largest relative error of the recorded arrays of any call.
fn worst_error(generation: &Generation, name: &str, expected: &Tensors) -> f64 {
    type Part = fn(&Inspection) -> Option<&Vec<f32>>;
    let parts: [(&str, Part); 4] = [
        ("positive", |call| Some(&call.positive)),
        ("negative", |call| call.negative.as_ref()),
        ("guided", |call| Some(&call.guided)),
        ("latent", |call| Some(&call.latent)),
    ];
    let mut worst = 0.0f64;
    for (part, of) in parts {
        let (shape, values) = expected.f32(&format!("{name}.{part}"));
        assert_eq!(generation.recorded_calls(), Vec::from_iter(0..shape[0]));
        for (call, values) in values.chunks(values.len() / shape[0]).enumerate() {
            let inspection = block_on(generation.inspect(call)).expect("a recorded call");
            let got = of(&inspection).unwrap_or_else(|| panic!("{name}: no {part}"));
            let error = relative_error(got, values);
            assert!(
                error < 1e-3,
                "{name} call {call}: {part} off by {error:.1e}"
            );
            worst = worst.max(error);
        }
    }
    worst
}

#[test]
fn recorded_calls_match_diffusers() {
    let (cases, expected) = cases();
    for (case, request) in &cases {
        let name = case["name"].as_str().expect("a name");
        let generation = recorded(case["model"].as_str().expect("a model"), request);
        let worst = worst_error(&generation, name, &expected);
        say(format_args!(
            "{name}: p, n, guided and latent within {worst:.1e}"
        ));
    }
}

#[test]
fn predictions_for_the_empty_prompt_match_diffusers() {
    let (cases, expected) = cases();
    for (case, request) in cases.iter().filter(|(case, _)| case["tokens"].is_array()) {
        let name = case["name"].as_str().expect("a name");
        let mut generation = recorded(case["model"].as_str().expect("a model"), request);
        let (shape, values) = expected.f32(&format!("{name}.empty"));
        for (call, values) in values.chunks(values.len() / shape[0]).enumerate() {
            let before = block_on(generation.inspect(call)).expect("a recorded call");
            assert_eq!(before.scalars().negative_effect, None);
            block_on(generation.record_empty(call)).expect("a prediction");
            let after = block_on(generation.inspect(call)).expect("a recorded call");
            let error = relative_error(after.empty.as_ref().expect("a prediction"), values);
            assert!(error < 1e-3, "{name} call {call}: off by {error:.1e}");
            assert!(after.scalars().negative_effect > Some(0.0));
        }
    }
}

#[test]
fn an_empty_negative_prompt_has_no_effect_against_the_empty_one() {
    let (cases, _) = cases();
    let request = Request {
        negative_prompt: String::new(),
        ..cases[0].1.clone()
    };
    let mut generation = recorded("sd1-pndm", &request);
    block_on(generation.record_empty(1)).expect("a prediction");
    let scalars = block_on(generation.inspect(1)).expect("a call").scalars();
    assert_eq!(scalars.negative_effect, Some(0.0));
    assert_eq!(scalars.prompt_effect, scalars.distance);
}

#[test]
fn scalars_and_the_push_map_follow_their_definitions() {
    let (cases, _) = cases();
    let request = &cases[0].1;
    let generation = recorded("sd1-pndm", request);
    let call = block_on(generation.inspect(2)).expect("a recorded call");
    let scalars = call.scalars();
    let distance = scalars.distance.expect("two branches");
    let push = (request.guidance_scale - 1.0) * distance;
    assert!((scalars.push / push - 1.0).abs() < 1e-4, "{scalars:?}");
    let cosine = scalars.cosine.expect("two branches");
    assert!((0.5..1.0).contains(&cosine), "{cosine}");
    // A model that predicts the noise: the denoised latent is x − sigma·prediction.
    let map = call.push_map();
    let norm = map
        .iter()
        .map(|&v| f64::from(v).powi(2))
        .sum::<f64>()
        .sqrt();
    assert!((norm / (call.sigma * push) - 1.0).abs() < 1e-3, "{norm}");
}

#[test]
fn previews_and_decoded_calls_end_as_the_picture_does() {
    let (cases, _) = cases();
    let mut generation = recorded("sd1-pndm", &cases[0].1);
    let last = generation.calls() - 1;
    let call = block_on(generation.inspect(last)).expect("a recorded call");
    let previews = generation.previews(&call);
    assert_eq!(previews.guided.rgba, generation.preview().rgba);
    // The difference is around a medium grey: as bright as the two are apart.
    let mut compared = 0;
    for number in generation.recorded_calls() {
        let call = block_on(generation.inspect(number)).expect("a recorded call");
        let previews = generation.previews(&call);
        let positive = previews.positive.rgba;
        let negative = previews.negative.expect("two branches").rgba;
        let difference = previews.difference.expect("two branches").rgba;
        let inside = |value: u8| (1..255).contains(&value);
        for ((&p, &n), &d) in positive.iter().zip(&negative).zip(&difference) {
            if inside(p) && inside(n) && p != n {
                let expected = (f64::from(p) - f64::from(n) + 127.5).clamp(0.0, 255.0);
                assert!((f64::from(d) - expected).abs() <= 2.0, "{p} − {n}: {d}");
                compared += 1;
            }
        }
    }
    assert!(compared > 10, "{compared} values that differ");
    // Euler's last step goes to the denoised latent.
    let picture = block_on(generation.finish()).expect("a picture");
    let decoded = block_on(generation.decode_call(last)).expect("a picture");
    let far = picture.rgba.iter().zip(&decoded.rgba);
    let far = far.map(|(a, b)| a.abs_diff(*b)).max();
    assert!(far <= Some(1), "{far:?}");
    let first = block_on(generation.decode_call(0)).expect("a picture");
    assert_ne!(first.rgba, decoded.rgba);
}

#[test]
fn a_recording_changes_no_bit() {
    let (cases, _) = cases();
    for (case, request) in &cases {
        let model = case["model"].as_str().expect("a model");
        let pipeline = Model::named(model).load(&cpu());
        let plain = crate::support::generate::sample(&pipeline, request).expect("a latent");
        let recorded = recorded(model, request);
        assert_eq!(plain.generation.latent(), recorded.latent(), "{case}");
    }
}

#[test]
fn calls_that_are_not_recorded_are_refused_by_number() {
    let (cases, _) = cases();
    let pipeline = Model::named("sd1-pndm").load(&cpu());
    let mut generation = block_on(pipeline.start(&cases[0].1)).expect("a generation");
    block_on(generation.step()).expect("a step");
    let refused = block_on(generation.inspect(0)).expect_err("not recorded");
    assert!(refused.to_string().contains("a recorded call"), "{refused}");
    generation.record();
    block_on(generation.step()).expect("a step");
    assert_eq!(generation.recorded_calls(), [1]);
    let refused = block_on(generation.inspect(0)).expect_err("not recorded");
    assert!(refused.to_string().contains('0'), "{refused}");
}

/// Without guidance there is one branch.
#[test]
fn a_call_without_guidance_has_no_negative_prediction() {
    let (cases, _) = cases();
    let request = Request {
        guidance_scale: 1.0,
        ..cases[0].1.clone()
    };
    let generation = recorded("sd1-pndm", &request);
    let call = block_on(generation.inspect(0)).expect("a recorded call");
    assert_eq!(call.positive, call.guided);
    let scalars = call.scalars();
    assert_eq!((scalars.distance, scalars.push), (None, 0.0));
    assert!(generation.previews(&call).negative.is_none());
    assert!(call.push_map().iter().all(|&push| push == 0.0));
}

/// Branches differ from call to call: a negative prompt for the first half, the empty one after it,
/// and two prompts joined by `AND`.
#[test]
fn calls_are_recorded_with_the_branches_they_have() {
    let (cases, _) = cases();
    let settings = json!({
        "prompt": "a man AND a hat :0.5",
        "negative_prompt": "mustache",
        "prompt_syntax": "a1111",
        "negative_window": [0, 0.5],
        "negative_outside": "empty",
        "guidance_scale": 5,
        "sampler": "euler",
        "steps": 4,
        "width": 64,
        "height": 48,
    });
    let request = Request::from_json(&settings.to_string()).expect("a request");
    assert_eq!(request.seed, cases[0].1.seed);
    let generation = recorded("sd1-pndm", &request);
    let call = |number| block_on(generation.inspect(number)).expect("a recorded call");
    let (first, last) = (call(0), call(3));
    assert!(first.negative.is_some() && first.empty.is_none());
    assert!(last.negative.is_none() && last.empty.is_some());
    for (call, base) in [(&first, &first.negative), (&last, &last.empty)] {
        let base = base.as_ref().expect("a prediction");
        let pairs = call.positive.iter().zip(base);
        let guided: Vec<f32> = pairs.map(|(p, b)| b + 5.0 * (p - b)).collect();
        let error = relative_error(&guided, &call.guided);
        assert!(error < 1e-5, "call {}: {error:.1e}", call.call);
    }
    let maps = block_on(generation.token_maps(&[0, 3])).expect("token maps");
    let texts = maps.branches.iter().map(|branch| {
        let tokens = branch.tokens.iter();
        tokens.map(|token| token.text.as_str()).collect::<String>()
    });
    assert_eq!(Vec::from_iter(texts), ["mustache", "amanahat"]);
}
