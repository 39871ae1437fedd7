//! Predictions that are made, and those that windows, the lowest sigma and the stop save.

use darkroom::device::memory::UnetCall;
use darkroom::sampling::guidance::{GuidanceKind, NegativeOutside, Window};
use darkroom::sampling::{Sampler, SamplerKind, ScheduleKind};
use darkroom::text::prompt::PromptSyntax;
use darkroom::{Request, Runtime};
use pollster::block_on;

use super::{pipeline, request};
use crate::support::models::Model;
use crate::support::{assert_contains, cpu};

/// Predictions of each call, and the number of those that were saved.
#[track_caller]
fn branches(request: &Request) -> (Vec<usize>, usize) {
    let mut generation = block_on(pipeline().start(request)).unwrap_or_else(|e| panic!("{e}"));
    let (mut branches, mut saved) = (Vec::new(), 0);
    while !generation.is_done() {
        let progress = block_on(generation.step()).expect("a step");
        branches.push(progress.branches);
        saved = progress.branches_saved;
    }
    assert_eq!(generation.branches(), branches.iter().sum::<usize>());
    assert_eq!(generation.branches_saved(), saved);
    (branches, saved)
}

#[test]
fn windows_save_the_other_prediction() {
    let window = Request {
        steps: 10,
        guidance_window: Window::from([0.2, 0.7]),
        ..request()
    };
    assert_eq!(branches(&window), (vec![1, 1, 2, 2, 2, 2, 2, 1, 1, 1], 5));
    let none = Request {
        steps: 5,
        negative_window: Window::from([0.0, 0.4]),
        negative_outside: NegativeOutside::None,
        ..request()
    };
    assert_eq!(branches(&none), (vec![2, 2, 1, 1, 1], 3));
    let empty = Request {
        negative_outside: NegativeOutside::Empty,
        ..none
    };
    assert_eq!(branches(&empty), (vec![2; 5], 0));
    // Both calls of a step are in the window, or none is.
    let heun = Request {
        steps: 4,
        sampler: Some(SamplerKind::Heun.into()),
        guidance_window: Window::from([0.0, 0.5]),
        ..request()
    };
    assert_eq!(branches(&heun), (vec![2, 2, 2, 2, 1, 1, 1], 3));
    assert_eq!(branches(&request()), (vec![2; 6], 0));
    let unguided = Request {
        guidance_scale: 1.0,
        ..window
    };
    assert_eq!(branches(&unguided), (vec![1; 10], 0));
}

#[test]
fn calls_below_the_lowest_sigma_have_no_guidance() {
    let request = Request {
        steps: 8,
        guidance_min_sigma: 1.5,
        ..request()
    };
    let scheduler = &pipeline().config().scheduler.clone();
    let sampler = Sampler::new(SamplerKind::Euler, ScheduleKind::Model, scheduler, 8);
    let sampler = sampler.expect("a sampler");
    let sigmas = &sampler.schedule().sigmas[..8];
    let expected: Vec<_> = sigmas
        .iter()
        .map(|&s| if s < 1.5 { 1 } else { 2 })
        .collect();
    let saved = sigmas.iter().filter(|&&sigma| sigma < 1.5).count();
    assert!((1..8).contains(&saved));
    assert_eq!(branches(&request), (expected, saved));
}

#[test]
fn guidance_stops_after_the_cosine_has_passed() {
    let stop = |stop| Request {
        guidance_stop: Some(stop),
        ..request()
    };
    assert_eq!(branches(&stop(-1.0)), (vec![2, 1, 1, 1, 1, 1], 5));
    assert_eq!(branches(&stop(1.0)), (vec![2; 6], 0));
}

#[test]
fn perp_neg_and_joined_prompts_take_more_predictions() {
    let perp_neg = Request {
        steps: 4,
        guidance_kind: GuidanceKind::PerpNeg,
        negative_window: Window::from([0.0, 0.5]),
        guidance_window: Window::from([0.0, 0.75]),
        ..request()
    };
    assert_eq!(branches(&perp_neg), (vec![3, 3, 2, 1], 3));
    let joined = Request {
        steps: 2,
        prompt: "a man AND a woman AND red hair :0.5".into(),
        prompt_syntax: PromptSyntax::A1111,
        guidance_window: Window::from([0.5, 1.0]),
        ..request()
    };
    assert_eq!(branches(&joined), (vec![3, 4], 1));
}

#[test]
fn the_memory_of_further_predictions_is_planned() {
    let model = Model::named("sd1-pndm");
    let free = model.load(&cpu());
    let plan = |branches, perturbed| {
        let call = UnetCall {
            branches,
            perturbed,
            ..UnetCall::GUIDED
        };
        free.memory_plan_of(call, 256, 256)
    };
    let plans = [2, 3, 4].map(|branches| plan(branches, false));
    assert_eq!(plans[0], free.memory_plan(256, 256));
    assert!(plan(3, true).activations > plans[0].activations);
    for pair in plans.windows(2) {
        assert!(pair[0].activations < pair[1].activations, "{plans:?}");
        assert_eq!(pair[0].weights, pair[1].weights);
    }
    let limit = plans[0].total + plans[0].host;
    let limited = model.load(&Runtime {
        memory_limit: Some(limit),
        ..cpu()
    });
    let plain = Request {
        width: Some(256),
        height: Some(256),
        ..request()
    };
    assert!(block_on(limited.start(&plain)).is_ok());
    let perp_neg = Request {
        guidance_kind: GuidanceKind::PerpNeg,
        ..plain
    };
    let error = block_on(limited.start(&perp_neg)).err().expect("an error");
    assert_contains(&error.to_string(), &["width and height", "256×256"]);
}
