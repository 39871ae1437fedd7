//! Every kind of guidance against `golden/guidance`, which diffusers' guiders made, and where
//! diffusers has none a program written after the paper.

use std::collections::BTreeSet;

use darkroom::Request;
use darkroom::sampling::guidance::GuidanceKind;
use serde_json::Value;

use crate::support::generate::sample;
use crate::support::models::Model;
use crate::support::safetensors::Tensors;
use crate::support::{cpu, golden, read_json, relative_error, say};

const LIMIT: f64 = 1e-4;

/// The request of a case of `golden/guidance`.
fn request(settings: &Value, case: &Value) -> Request {
    let mut request = settings.clone();
    for key in ["sampler", "seed"] {
        request[key] = case[key].clone();
    }
    for (key, value) in case["request"].as_object().expect("an object") {
        request[key] = value.clone();
    }
    Request::from_json(&request.to_string()).expect("a request")
}

#[test]
fn guidance_matches_the_reference() {
    let folder = golden().join("guidance");
    let expected: Value = read_json(&folder.join("expected.json"));
    let tensors = Tensors::read(&folder.join("expected.safetensors"));
    let runtime = cpu();
    let pipelines = ["sd1-pndm", "sd2-v"].map(|name| (name, Model::read(name).load(&runtime)));
    let (mut kinds, mut worst) = (BTreeSet::new(), 0f64);
    for case in expected["cases"].as_array().expect("a list") {
        let (name, model) = (case["name"].as_str(), case["model"].as_str());
        let (name, model) = (name.expect("a name"), model.expect("a name"));
        let request = request(&expected["settings"], case);
        kinds.insert(request.guidance_kind.name());
        let pipeline = pipelines.iter().find(|(known, _)| *known == model);
        let (_, pipeline) = pipeline.expect("a model of the list");
        let sampled = sample(pipeline, &request).unwrap_or_else(|e| panic!("{name}: {e}"));
        let error = relative_error(sampled.generation.latent(), &tensors.f32(name).1);
        worst = worst.max(error);
        assert!(error < LIMIT, "{name}: off by {error:.1e}");
    }
    say(format_args!("guidance: off by {worst:.1e} at most"));
    // Those that change the network have a test of their own.
    let all = GuidanceKind::ALL.map(GuidanceKind::name).into_iter();
    let all: BTreeSet<_> = all.filter(|kind| !["pag", "slg"].contains(kind)).collect();
    assert_eq!(kinds, all, "kinds that were compared");
}
