//! Guidance in whole runs on the CPU: against diffusers' guiders, against what its controls mean,
//! and its errors.

mod controls;
mod errors;
mod reference;
mod work;

use std::rc::Rc;

use darkroom::sampling::SamplerKind;
use darkroom::{Pipeline, Request};

use crate::support::cpu;
use crate::support::generate::sample;
use crate::support::models::Model;

fn pipeline() -> Rc<Pipeline> {
    Model::named("sd1-pndm").load(&cpu())
}

/// A small picture with plain guidance.
fn request() -> Request {
    Request {
        prompt: "Portrait photo of a man".into(),
        negative_prompt: "mustache".into(),
        seed: 7,
        steps: 6,
        guidance_scale: 4.0,
        sampler: Some(SamplerKind::Euler.into()),
        width: Some(64),
        height: Some(48),
        ..Request::default()
    }
}

#[track_caller]
fn latent(pipeline: &Rc<Pipeline>, request: &Request) -> Vec<f32> {
    let sampled = sample(pipeline, request).unwrap_or_else(|e| panic!("{e}"));
    sampled.generation.latent().to_vec()
}
