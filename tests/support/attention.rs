//! Guidance within the attention against diffusers: the values of
//! `tests/golden/attention/generate.py`.

use darkroom::{Request, Runtime};
use serde_json::Value;

use super::generate::sample;
use super::models::Model;
use super::safetensors::Tensors;
use super::{golden, read_json, relative_error, say};

/// Compares the final latents of all cases for which `included` is true with diffusers'. Names are
/// those of `expected.json`, such as nag-0.
pub fn compare(runtime: &Runtime, limit: f64, included: impl Fn(&str) -> bool) {
    let folder = golden().join("attention");
    let golden: Value = read_json(&folder.join("expected.json"));
    let expected = Tensors::read(&folder.join("expected.safetensors"));
    let mut pipelines = Vec::new();
    let mut compared = 0;
    for case in golden["cases"].as_array().expect("a list") {
        let text = |key: &str| case[key].as_str().expect("a text");
        let (model, name) = (text("model"), text("name"));
        if !included(name) {
            continue;
        }
        let mut settings = case["request"].clone();
        for key in ["steps", "width", "height"] {
            settings[key] = golden[key].clone();
        }
        let request = Request::from_json(&settings.to_string()).expect("a request");
        if !pipelines.iter().any(|(known, _)| known == model) {
            pipelines.push((model.to_string(), Model::named(model).load(runtime)));
        }
        let pipeline = pipelines.iter().find(|(known, _)| known == model);
        let (_, pipeline) = pipeline.expect("a model of the list");
        let what = format!("{model}.{name}");
        let sampled = sample(pipeline, &request).unwrap_or_else(|e| panic!("{what}: {e}"));
        let error = relative_error(sampled.generation.latent(), &expected.f32(&what).1);
        say(format_args!(
            "{what} on {}: final latent {error:.1e}",
            runtime.name
        ));
        assert!(error < limit, "{what}: off by {error:.1e}");
        compared += 1;
    }
    assert!(compared > 0, "no case has such a name");
}
