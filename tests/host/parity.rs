//! Tiny models against diffusers, on the CPU.

use darkroom::sampling::SamplerKind;
use darkroom::{Precision, Request, Runtime};
use serde_json::Value;

use crate::support::generate::sample;
use crate::support::models::{MODELS, Model};
use crate::support::parity::{CPU, Extent, compare, compare_seeds};
use crate::support::safetensors::Tensors;
use crate::support::{cpu, golden, read_json, relative_error, say};

/// A model that is not listed would never be compared.
#[test]
fn every_model_is_compared() {
    let mut found: Vec<String> = std::fs::read_dir(golden().join("models"))
        .expect("the models' folder")
        .map(|entry| entry.expect("a folder entry"))
        .filter(|entry| entry.path().join("model").is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    found.sort();
    let mut listed = MODELS.to_vec();
    listed.sort();
    assert_eq!(found, listed);
}

#[test]
fn cpu_matches_diffusers() {
    compare(&cpu(), &CPU, Extent::All);
    let mut stock = Runtime::cpu(Precision::F32, true).expect("the CPU");
    stock.name += " with Burn's operations";
    compare(&stock, &CPU, Extent::Stages);
}

#[test]
fn cpu_same_seed_same_picture() {
    compare_seeds(&cpu(), &SamplerKind::ALL);
}

/// The samplers that `expected.json` does not have, and schedule types.
#[test]
fn further_samplers_match_diffusers() {
    let folder = golden().join("models");
    let golden: Value = read_json(&folder.join("samplers.json"));
    let expected = Tensors::read(&folder.join("samplers.safetensors"));
    let runtime = cpu();
    let pipelines = ["sd1-pndm", "sd2-v"].map(|name| (name, Model::read(name).load(&runtime)));
    for case in golden["cases"].as_array().expect("a list") {
        let mut settings = golden["settings"].clone();
        for key in ["sampler", "schedule", "seed"] {
            settings[key] = case[key].clone();
        }
        let request = Request::from_json(&settings.to_string()).expect("a request");
        let model = case["model"].as_str().expect("a name");
        let pipeline = pipelines.iter().find(|(name, _)| *name == model);
        let (_, pipeline) = pipeline.expect("a model of the list");
        let what = format!("{model}.{}", case["sampler"].as_str().expect("a name"));
        let sampled = sample(pipeline, &request).unwrap_or_else(|e| panic!("{what}: {e}"));
        let error = relative_error(sampled.generation.latent(), &expected.f32(&what).1);
        say(format_args!("{what}: final latent {error:.1e}"));
        assert!(error < 1e-3, "{what}: off by {error:.1e}");
    }
}
