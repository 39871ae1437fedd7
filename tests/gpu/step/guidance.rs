//! Launches of a step with each control of the guidance.

use burn::tensor::DType;
use darkroom::Request;
use darkroom::ops::gpu::TileMemory;
use darkroom::sampling::SamplerKind;
use darkroom::sampling::guidance::{GuidanceKind, Window};
use darkroom::text::prompt::PromptSyntax;
use pollster::block_on;

use super::random_model::RandomModel;
use super::{LaunchCounter, runtime};
use crate::support::gpu::Gpu;
use crate::support::say;

/// The layers are narrow, so that a software adapter can run them; launches are those of SD1.5.
#[test]
fn controls_of_the_guidance_cost_one_launch_at_most() {
    let Some(gpu) = Gpu::new("launches of a step with guidance") else {
        return;
    };
    let pipeline =
        RandomModel::thin_sd15(8).load(&runtime(&gpu, TileMemory::Registers, DType::F32));
    let launches = |request: &Request| {
        let mut generation = block_on(pipeline.start(request)).expect("a generation");
        let counter = LaunchCounter::start();
        let progress = block_on(generation.step()).expect("a step");
        (counter.count(), progress.branches)
    };
    let plain = Request {
        prompt: "a man".into(),
        negative_prompt: "mustache".into(),
        steps: 2,
        sampler: Some(SamplerKind::Euler.into()),
        width: Some(64),
        height: Some(64),
        ..Request::default()
    };
    let kind = |guidance_kind| Request {
        guidance_kind,
        ..plain.clone()
    };
    let (launched, branches) = launches(&plain);
    assert_eq!(branches, 2);
    for (what, request, more, branches) in [
        ("rescale", kind(GuidanceKind::Rescale), 1, 2),
        ("cfg-zero", kind(GuidanceKind::CfgZero), 1, 2),
        ("apg", kind(GuidanceKind::Apg), 1, 2),
        ("perp-neg", kind(GuidanceKind::PerpNeg), 1, 3),
        ("tangential", kind(GuidanceKind::Tangential), 1, 2),
        (
            "dynamic-thresholding",
            kind(GuidanceKind::DynamicThresholding),
            -2,
            2,
        ),
        (
            "a strength",
            Request {
                negative_strength: 0.5,
                ..plain.clone()
            },
            0,
            2,
        ),
        (
            "a stop",
            Request {
                guidance_stop: Some(1.0),
                ..plain.clone()
            },
            1,
            2,
        ),
        (
            "two prompts",
            Request {
                prompt: "a man AND red hair".into(),
                prompt_syntax: PromptSyntax::A1111,
                ..plain.clone()
            },
            0,
            3,
        ),
        (
            "outside a window",
            Request {
                guidance_window: Window::from([0.5, 1.0]),
                ..plain.clone()
            },
            0,
            1,
        ),
    ] {
        let (got, predictions) = launches(&request);
        say(format_args!(
            "{what}: {got} launches, {predictions} predictions"
        ));
        assert_eq!(
            got as isize,
            launched as isize + more,
            "launches with {what}"
        );
        assert_eq!(predictions, branches, "predictions with {what}");
    }
}
