//! Meaning of the controls: their neutral values, and their ends.

use std::collections::BTreeMap;

use darkroom::Request;
use darkroom::sampling::SamplerKind;
use darkroom::sampling::guidance::{GuidanceKind, GuidanceSchedule, NegativeOutside, Window};

use super::{latent, pipeline, request};
use crate::support::generate::sample;
use crate::support::relative_error;

/// A kind with options.
fn kind(kind: GuidanceKind, options: &[(&str, f64)]) -> Request {
    Request {
        guidance_kind: kind,
        guidance_options: options
            .iter()
            .map(|&(name, value)| (name.to_string(), value))
            .collect(),
        ..request()
    }
}

#[test]
fn neutral_controls_give_the_same_bits() {
    let pipeline = pipeline();
    let plain = latent(&pipeline, &request());
    let neutral = Request {
        negative_strength: 1.0,
        negative_window: Window::ALL,
        negative_outside: NegativeOutside::None,
        guidance_window: Window::ALL,
        guidance_schedule: GuidanceSchedule::Constant,
        guidance_min_sigma: 0.0,
        guidance_stop: None,
        guidance_kind: GuidanceKind::Plain,
        guidance_options: BTreeMap::from([("rescale".into(), 0.0)]),
        ..request()
    };
    assert!(latent(&pipeline, &neutral) == plain);
    let neutral = kind(GuidanceKind::Rescale, &[("phi", 0.0)]);
    assert!(latent(&pipeline, &neutral) == plain);
    let json = r#"{"negative_strength": 1, "negative_window": [0, 1], "guidance_stop": null,
        "negative_outside": "empty", "guidance_window": [0, 1], "guidance_schedule": "constant",
        "guidance_min_sigma": 0, "guidance_kind": "plain", "guidance_options": {}}"#;
    let [named, silent] = [json, "{}"].map(|json| Request::from_json(json).expect("a request"));
    assert_eq!(format!("{named:?}"), format!("{silent:?}"));
}

/// Options at which a kind is plain guidance by its formula.
#[test]
fn kinds_without_an_effect_are_plain_guidance() {
    let pipeline = pipeline();
    let plain = latent(&pipeline, &request());
    let apg = [("eta", 1.0), ("momentum", 0.0), ("norm_threshold", 0.0)];
    for request in [
        kind(GuidanceKind::Apg, &apg),
        kind(GuidanceKind::DynamicThresholding, &[("mimic_scale", 4.0)]),
    ] {
        let error = relative_error(&latent(&pipeline, &request), &plain);
        assert!(error < 1e-5, "{}: {error:.1e}", request.guidance_kind);
    }
    // Without a negative prompt Perp-Neg has nothing to take away.
    let without = |request: Request| Request {
        negative_prompt: String::new(),
        ..request
    };
    let perp_neg = without(kind(GuidanceKind::PerpNeg, &[]));
    assert!(latent(&pipeline, &perp_neg) == latent(&pipeline, &without(request())));
}

#[test]
fn strength_0_is_the_empty_prompt() {
    let pipeline = pipeline();
    let empty = Request {
        negative_prompt: String::new(),
        ..request()
    };
    let weak = Request {
        negative_strength: 0.0,
        ..request()
    };
    assert!(latent(&pipeline, &weak) == latent(&pipeline, &empty));
    let strong = Request {
        negative_strength: 2.0,
        ..request()
    };
    assert!(relative_error(&latent(&pipeline, &strong), &latent(&pipeline, &request())) > 0.01);
}

#[test]
fn an_empty_window_is_the_empty_prompt_or_no_guidance() {
    let pipeline = pipeline();
    let never = Window::from([0.0, 0.0]);
    let empty = Request {
        negative_prompt: String::new(),
        ..request()
    };
    let outside = |negative_outside| Request {
        negative_window: never,
        negative_outside,
        ..request()
    };
    let outside = |place| latent(&pipeline, &outside(place));
    assert!(outside(NegativeOutside::Empty) == latent(&pipeline, &empty));
    let unguided = Request {
        guidance_scale: 1.0,
        ..request()
    };
    let unguided = latent(&pipeline, &unguided);
    assert!(outside(NegativeOutside::None) == unguided);
    let window = Request {
        guidance_window: never,
        ..request()
    };
    assert!(latent(&pipeline, &window) == unguided);
}

#[test]
fn controls_that_leave_nothing_are_warned_about() {
    let pipeline = pipeline();
    let short = Window::from([0.0, 0.1]);
    for (request, expected) in [
        (
            Request {
                guidance_window: short,
                ..request()
            },
            "the guidance window 0:0.1 has none of the 6 steps: there is no guidance",
        ),
        (
            Request {
                negative_window: short,
                ..request()
            },
            "the negative window 0:0.1 has none of the 6 steps: the negative prompt has no effect",
        ),
        (
            Request {
                negative_strength: 0.0,
                ..request()
            },
            "at strength 0 the negative prompt has no effect",
        ),
    ] {
        let sampled = sample(&pipeline, &request).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(sampled.generation.warnings(), [expected]);
    }
}

#[test]
fn schedules_keep_the_mean_of_the_scale() {
    for schedule in [
        GuidanceSchedule::Constant,
        GuidanceSchedule::Linear,
        GuidanceSchedule::Cosine,
    ] {
        for steps in [1, 2, 7, 50] {
            let scales: Vec<f64> = (0..steps).map(|i| schedule.scale(7.5, i, steps)).collect();
            let mean = scales.iter().sum::<f64>() / steps as f64;
            assert!(
                (mean - 7.5).abs() < 1e-9,
                "{schedule}, {steps} steps: {mean}"
            );
            assert!(scales.is_sorted(), "{schedule}, {steps} steps: {scales:?}");
            assert!(scales[0] >= 1.0);
        }
    }
}

#[test]
fn windows_are_shares_of_the_steps() {
    let inside = |[start, end]: [f64; 2], steps| {
        let window = Window::from([start, end]);
        (0..steps)
            .filter(|&step| window.contains(step, steps))
            .collect::<Vec<_>>()
    };
    assert_eq!(inside([0.0, 1.0], 3), [0, 1, 2]);
    assert_eq!(inside([0.2, 0.8], 5), [1, 2, 3]);
    assert_eq!(inside([0.5, 1.0], 5), [2, 3, 4]);
    assert_eq!(inside([0.29, 0.3], 100), [29]);
    assert_eq!(inside([0.0, 0.1], 5), [0; 0]);
}

#[test]
fn every_sampler_takes_a_window() {
    let pipeline = pipeline();
    for kind in SamplerKind::ALL {
        let window = Request {
            sampler: Some(kind.into()),
            guidance_window: Window::from([0.0, 0.5]),
            ..request()
        };
        let all = Request {
            guidance_window: Window::ALL,
            ..window.clone()
        };
        let [window, all] = [window, all].map(|request| latent(&pipeline, &request));
        assert!(window.iter().all(|x| x.is_finite()), "{kind}");
        let effect = relative_error(&window, &all);
        assert!(effect > 1e-3, "{kind}: {effect:.1e}");
    }
}
