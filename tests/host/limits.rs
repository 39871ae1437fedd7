//! Limits and defaults of a loaded model: memory, size, guidance scale, kind.

use darkroom::sampling::SamplerKind;
use darkroom::{Request, Runtime};
use pollster::block_on;

use crate::support::command::Scratch;
use crate::support::generate::generate;
use crate::support::models::{MODELS, Model};
use crate::support::{assert_contains, cpu, relative_error};

/// A request for a square picture.
fn square(side: usize) -> Request {
    Request {
        steps: 1,
        width: Some(side),
        height: Some(side),
        ..Request::default()
    }
}

#[test]
fn a_picture_that_the_memory_cannot_hold_is_refused_before_the_run() {
    let model = Model::named("sd1-pndm");
    let free = model.load(&cpu());
    let info = free.info().expect("a summary");
    assert_eq!(
        (info.memory_limit, info.max_square, info.max_side),
        (None, 4096, 4096)
    );
    // The limit is what pictures of 256×256 take.
    let plan = free.memory_plan(256, 256);
    let limit = plan.total + plan.host;
    let limited = model.load(&Runtime {
        memory_limit: Some(limit),
        ..cpu()
    });
    let info = limited.info().expect("a summary");
    assert_eq!((info.memory_limit, info.max_square), (Some(limit), 256));
    assert!(block_on(limited.start(&square(256))).is_ok());
    let error = block_on(limited.start(&square(264)))
        .err()
        .expect("an error");
    assert!(error.is_usage());
    let expected = format!("{:.0} MB on this device", limit as f64 / 1e6);
    assert_contains(
        &error.to_string(),
        &["width and height", "264×264", &expected],
    );
    // The size is the limit, not a side of it.
    let wide = Request {
        height: Some(48),
        ..square(1024)
    };
    assert!(block_on(limited.start(&wide)).is_ok());
    // Nothing is lost: the pipeline goes on.
    let _ = generate(&limited, &square(64));
}

#[test]
fn plans_of_huge_pictures_do_not_overflow() {
    let pipeline = Model::named("sd1-pndm").load(&cpu());
    let [small, large] = [4096, 16384].map(|side| pipeline.memory_plan(side, side));
    let growth = large.activations as f64 / small.activations as f64;
    assert!((15.0..17.0).contains(&growth), "{growth}");
    assert!(large.total > u64::from(u32::MAX), "{}", large.total);
}

#[test]
fn the_plan_that_is_printed_is_for_the_requested_size() {
    let scratch = Scratch::with_model("sd1-pndm");
    let outcome = scratch.generate(&["--steps", "1", "--width", "128", "--height", "72"]);
    outcome.succeeds();
    assert_contains(&outcome.message(), &["MB of memory for 128×72:"]);
    let outcome = scratch.generate(&["--steps", "1"]);
    assert_contains(&outcome.message(), &["MB of memory for 64×64:"]);
}

/// One step of Euler is linear in the guidance scale, below 1 too.
#[test]
fn guidance_below_1_moves_toward_the_negative_prompt() {
    let pipeline = Model::named("sd1-pndm").load(&cpu());
    let run = |guidance_scale: f64| {
        let request = Request {
            prompt: "Portrait photo of a man".into(),
            negative_prompt: "mustache".into(),
            steps: 1,
            guidance_scale,
            sampler: Some(SamplerKind::Euler.into()),
            ..Request::default()
        };
        let generated = generate(&pipeline, &request);
        (generated.latent, generated.warnings)
    };
    let (one, warnings) = run(1.0);
    assert_contains(
        &warnings[0],
        &["guidance scale 1", "no effect without", "NAG scale"],
    );
    let (zero, warnings) = run(0.0);
    assert_contains(
        &warnings[0],
        &["guidance scale 0", "the prompt has no effect"],
    );
    assert!(relative_error(&zero, &one) > 0.01);
    for scale in [0.5, 0.25, 2.0, 100.0] {
        let (latent, warnings) = run(scale);
        assert_eq!(warnings, [""; 0], "{scale}");
        let blend = |(z, o): (&f32, &f32)| z + (o - z) * scale as f32;
        let expected: Vec<f32> = zero.iter().zip(&one).map(blend).collect();
        let error = relative_error(&latent, &expected);
        assert!(error < 1e-4, "{scale}: {error:.1e}");
    }
    for scale in [-0.1, 100.5, f64::NAN] {
        let request = Request {
            guidance_scale: scale,
            ..Request::default()
        };
        let error = block_on(pipeline.start(&request)).err().expect("an error");
        assert_contains(&error.to_string(), &["guidance scale", "0 to 100"]);
    }
}

/// Euler with timesteps from the end and SD2's text encoder: SD-Turbo's folder.
#[test]
fn the_kind_of_a_model_decides_its_defaults() {
    for name in MODELS {
        let info = Model::read(name).load(&cpu()).info().expect("a summary");
        let expected = match name {
            "sd2-five-heads" => ("turbo", 1, 1.0),
            _ => ("standard", 20, 7.5),
        };
        let defaults = (info.kind, info.default_steps, info.default_guidance_scale);
        assert_eq!(defaults, expected, "{name}");
        assert!(!info.guidance_embedded, "{name}");
        assert_eq!(info.default_clip_skip, 1, "{name}");
    }
    // The command takes them where it is not told otherwise.
    let scratch = Scratch::with_model("sd2-five-heads");
    let outcome = scratch.generate(&["--json"]);
    outcome.warns(&["guidance scale 1"]);
    let json = outcome.json();
    assert_eq!(
        (&json["steps"], &json["guidance_scale"]),
        (&1.into(), &1.0.into())
    );
    let outcome = scratch.generate(&["--json", "--steps", "2", "--guidance-scale", "3"]);
    outcome.warns(&[]);
    let json = outcome.json();
    assert_eq!(
        (&json["steps"], &json["guidance_scale"]),
        (&2.into(), &3.0.into())
    );
}

#[test]
fn the_command_records_the_clip_skip() {
    let scratch = Scratch::with_model("sd1-four-levels");
    let picture = |more: &[&str]| {
        let outcome = scratch.generate(&[&["--steps", "1", "--json"], more].concat());
        outcome.warns(&[]);
        let bytes = std::fs::read(scratch.picture()).expect("a picture");
        (outcome.json()["clip_skip"].clone(), bytes)
    };
    let (own, plain) = picture(&[]);
    let (one, same) = picture(&["--clip-skip", "1"]);
    assert_eq!((&own, &one), (&1.into(), &1.into()));
    assert_eq!(plain, same);
    let (two, other) = picture(&["--clip-skip", "2"]);
    assert_eq!(two, 2);
    assert_ne!(plain, other);
    let refused = scratch.generate(&["--clip-skip", "4"]);
    assert_contains(&refused.message(), &["clip skip: got 4, expected 1 to 3"]);
}
