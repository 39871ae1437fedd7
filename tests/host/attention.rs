//! Guidance within the attention, on the CPU: normalized attention guidance and negative weights.

use darkroom::text::prompt::PromptSyntax;
use darkroom::text::prompt::emphasis::Emphasis;
use darkroom::{Precision, Request, Runtime};
use pollster::block_on;

use crate::support::attention::compare;
use crate::support::generate::generate;
use crate::support::models::Model;
use crate::support::{assert_contains, cpu, relative_error};

#[test]
fn normalized_attention_guidance_matches_the_authors_formula_in_diffusers() {
    compare(&cpu(), 1e-4, |name| name.starts_with("nag"));
    let mut stock = Runtime::cpu(Precision::F32, true).expect("the CPU");
    stock.name += " with Burn's operations";
    compare(&stock, 1e-4, |name| ["nag-1", "nag-4"].contains(&name));
}

#[test]
fn negative_weights_negate_values_and_not_keys() {
    compare(&cpu(), 1e-4, |name| name.starts_with("weights"));
}

#[test]
fn perturbed_attention_and_skip_layer_guidance_match_diffusers() {
    compare(&cpu(), 1e-4, |name| {
        name.starts_with("pag") || name.starts_with("slg")
    });
}

/// The perturbed branch has no weight at scale 0, and a prompt with AND has no single twin.
#[test]
fn perturbed_guidance_is_off_at_scale_0_and_refuses_and() {
    let pipeline = Model::named("sd1-pndm").load(&cpu());
    let request = |settings: &str| {
        let settings = format!(
            r#"{{"prompt": "a man", "negative_prompt": "mustache", "steps": 2, {settings}}}"#
        );
        Request::from_json(&settings).expect("a request")
    };
    let plain = generate(&pipeline, &request(r#""guidance_kind": "plain""#));
    for kind in ["pag", "slg"] {
        let off = format!(r#""guidance_kind": "{kind}", "guidance_options": {{"scale": 0}}"#);
        assert!(generate(&pipeline, &request(&off)).latent == plain.latent);
        let composed = Request {
            prompt: "a man AND a hat".into(),
            prompt_syntax: PromptSyntax::A1111,
            ..request(&format!(r#""guidance_kind": "{kind}""#))
        };
        let error = block_on(pipeline.start(&composed)).err().expect("an error");
        assert_contains(&error.to_string(), &["guidance kind", kind, "AND"]);
    }
}

/// Outside its window the negative prompt acts nowhere.
#[test]
fn nag_ends_with_the_negative_prompts_window() {
    let pipeline = Model::named("sd1-pndm").load(&cpu());
    let run = |nag: &str| {
        let settings = format!(
            r#"{{"prompt": "a man", "negative_prompt": "mustache", "guidance_scale": 1,
                "steps": 4, {nag}}}"#
        );
        let request = Request::from_json(&settings).expect("a request");
        generate(&pipeline, &request).latent
    };
    let plain = run(r#""nag_scale": 0"#);
    let never = run(r#""nag_scale": 5, "negative_window": [0.5, 0.5]"#);
    assert!(relative_error(&never, &plain) < 1e-6);
    let half = run(r#""nag_scale": 5, "negative_window": [0, 0.5]"#);
    let whole = run(r#""nag_scale": 5"#);
    assert!(relative_error(&half, &plain) > 1e-3);
    assert!(relative_error(&half, &whole) > 1e-3);
}

/// At strength 0 the negative prompt is the empty one, its negative weights included.
#[test]
fn strength_0_takes_away_negative_weights_too() {
    let pipeline = Model::named("sd1-pndm").load(&cpu());
    let run = |negative_prompt: &str, negative_strength: f64| {
        let request = Request {
            prompt: "a man".into(),
            negative_prompt: negative_prompt.into(),
            negative_strength,
            steps: 2,
            prompt_syntax: PromptSyntax::A1111,
            ..Request::default()
        };
        generate(&pipeline, &request).latent
    };
    let error = relative_error(&run("(hat:-1)", 0.0), &run("", 1.0));
    assert!(error < 1e-6, "{error:.1e}");
    assert!(relative_error(&run("(hat:-1)", 1.0), &run("", 1.0)) > 1e-3);
}

/// The negative prompt acts without a prediction of its own.
#[test]
fn at_guidance_scale_1_the_negative_prompt_acts_by_nag_alone() {
    let pipeline = Model::named("sd1-pndm").load(&cpu());
    let run = |negative_prompt: &str, nag_scale: f64| {
        let request = Request {
            prompt: "a man".into(),
            negative_prompt: negative_prompt.into(),
            guidance_scale: 1.0,
            nag_scale,
            steps: 2,
            ..Request::default()
        };
        let generated = generate(&pipeline, &request);
        (generated.latent, generated.warnings)
    };
    let (plain, warnings) = run("mustache", 0.0);
    assert_contains(&warnings[0], &["no effect without", "NAG scale above 1"]);
    assert!(run("mustache", 1.0).0 == plain, "a scale of 1 is off");
    let (guided, warnings) = run("mustache", 5.0);
    assert_eq!(warnings, [""; 0]);
    assert!(relative_error(&guided, &plain) > 0.01);
    assert!(relative_error(&run("hat", 5.0).0, &guided) > 0.01);
}

#[test]
fn settings_of_nag_out_of_range_are_refused() {
    let pipeline = Model::named("sd1-pndm").load(&cpu());
    for (field, settings) in [
        ("NAG scale", r#"{"nag_scale": 100.5}"#),
        ("NAG scale", r#"{"nag_scale": -1}"#),
        ("NAG tau", r#"{"nag_scale": 5, "nag_tau": -0.5}"#),
        ("NAG alpha", r#"{"nag_alpha": 1.5}"#),
    ] {
        let request = Request::from_json(settings).expect("a request");
        let error = block_on(pipeline.start(&request)).err().expect("an error");
        assert!(error.is_usage(), "{error}");
        assert_contains(&error.to_string(), &[field, "0 to"]);
    }
}

/// A weight of −1 takes a word away, and −0.5 less of it; the web UI's own rule would negate its
/// key too.
#[test]
fn a_negative_weight_is_no_weight_and_not_its_magnitude() {
    let pipeline = Model::named("sd1-pndm").load(&cpu());
    let run = |prompt: &str, emphasis: Emphasis| {
        let request = Request {
            prompt: prompt.into(),
            steps: 2,
            prompt_syntax: PromptSyntax::A1111,
            emphasis,
            ..Request::default()
        };
        generate(&pipeline, &request).latent
    };
    let negative = run("a man (mustache:-1)", Emphasis::Original);
    for other in [
        "a man mustache",
        "a man (mustache:0)",
        "a man (mustache:-0.5)",
    ] {
        let effect = relative_error(&run(other, Emphasis::Original), &negative);
        assert!(effect > 1e-3, "{other}: {effect:.1e}");
    }
    let ignored = run("a man (mustache:-1)", Emphasis::Ignore);
    assert!(ignored == run("a man mustache", Emphasis::Ignore));
}
