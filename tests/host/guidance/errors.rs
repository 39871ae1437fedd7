//! Errors of requests about guidance: each names the field, the value and what was expected.

use darkroom::Request;
use pollster::block_on;

use super::pipeline;
use crate::support::assert_contains;
use crate::support::command::{Scratch, USAGE};

#[test]
fn values_out_of_range_are_refused_by_name() {
    let pipeline = pipeline();
    for (json, words) in [
        (
            r#"{"negative_strength": 2.5}"#,
            ["negative strength", "2.5", "0 to 2"],
        ),
        (
            r#"{"negative_window": [0.8, 0.2]}"#,
            ["negative window", "0.8:0.2", "A ≤ B"],
        ),
        (
            r#"{"guidance_window": [0, 1.5]}"#,
            ["guidance window", "0:1.5", "A ≤ B"],
        ),
        (
            r#"{"guidance_min_sigma": -1}"#,
            ["guidance min sigma", "-1", "0 or more"],
        ),
        (
            r#"{"guidance_stop": 1.5}"#,
            ["guidance stop", "1.5", "cosine"],
        ),
        (
            r#"{"guidance_kind": "apg", "guidance_options": {"phi": 1}}"#,
            [
                "guidance kind apg",
                "phi",
                "eta, momentum, norm_threshold, rescale",
            ],
        ),
        (
            r#"{"guidance_kind": "rescale", "guidance_options": {"phi": 1.1}}"#,
            ["option phi of guidance kind rescale", "1.1", "0 to 1"],
        ),
        (
            r#"{"guidance_kind": "cfg-zero", "guidance_options": {"zero_steps": 0.5}}"#,
            ["option zero_steps", "0.5", "a whole number"],
        ),
    ] {
        let request = Request::from_json(json).expect("a request");
        let error = block_on(pipeline.start(&request)).err().expect("an error");
        assert!(error.is_usage(), "{error}");
        assert_contains(&error.to_string(), &words);
    }
    for (json, word) in [
        (r#"{"guidance_kind": "magic"}"#, "dynamic-thresholding"),
        (r#"{"guidance_schedule": "sine"}"#, "cosine"),
        (r#"{"negative_outside": "all"}"#, "empty or none"),
        (r#"{"guidance_window": [0]}"#, "length 1"),
    ] {
        let error = Request::from_json(json).expect_err("an error");
        assert_contains(&error.to_string(), &[word]);
    }
}

#[test]
fn the_model_lists_kinds_with_their_options() {
    let info = pipeline().info().expect("a summary");
    let first = &info.guidance_kinds[0];
    assert_eq!((first.id, first.label, first.branches), ("plain", "CFG", 2));
    let apg = info.guidance_kinds.iter().find(|kind| kind.id == "apg");
    let options = &apg.expect("a kind").options;
    let names: Vec<_> = options.iter().map(|option| option.id).collect();
    assert_eq!(names, ["eta", "momentum", "norm_threshold", "rescale"]);
    for option in info.guidance_kinds.iter().flat_map(|kind| &kind.options) {
        let range = option.lowest..=option.highest;
        assert!(range.contains(&option.default), "{}", option.id);
    }
}

#[test]
fn the_command_applies_and_reports_guidance() {
    let scratch = Scratch::with_model("sd1-pndm");
    let run = |scratch: &Scratch, more: &[&str]| {
        let given = ["--steps", "4", "--sampler", "euler"];
        let negative = ["--negative-prompt", "mustache", "--json"];
        scratch.generate(&[&given[..], &negative, more].concat())
    };
    let plain = run(&scratch, &[]).json();
    let guidance = &plain["guidance"];
    assert_eq!(guidance["kind"], "plain");
    assert_eq!(
        (&guidance["branches"], &guidance["branches_saved"]),
        (&8.into(), &0.into())
    );
    let picture = std::fs::read(scratch.picture()).expect("a picture");
    let more = [
        "--guidance-kind",
        "apg",
        "--guidance-option",
        "eta=0.5",
        "--guidance-option",
        "momentum=-0.25",
        "--guidance-window",
        "0:0.5",
        "--negative-strength",
        "1.5",
        "--guidance-schedule",
        "linear",
    ];
    let json = run(&scratch, &more).json();
    let guidance = &json["guidance"];
    assert_eq!(guidance["kind"], "apg");
    assert_eq!(guidance["options"]["eta"], 0.5);
    assert_eq!(guidance["options"]["momentum"], -0.25);
    assert_eq!(guidance["options"]["norm_threshold"], 7.5);
    assert_eq!(guidance["window"], serde_json::json!([0.0, 0.5]));
    assert_eq!(guidance["negative_strength"], 1.5);
    assert_eq!(guidance["schedule"], "linear");
    assert_eq!(
        (&guidance["branches"], &guidance["branches_saved"]),
        (&6.into(), &2.into())
    );
    assert!(std::fs::read(scratch.picture()).expect("a picture") != picture);
    let scratch = Scratch::with_model("sd1-pndm");
    for (arguments, words) in [
        (["--guidance-option", "eta"], ["KEY=VALUE", "eta=0.5"]),
        (
            ["--guidance-option", "eta=1"],
            ["guidance kind plain", "rescale"],
        ),
        (["--guidance-kind", "best"], ["best", "perp-neg"]),
        (["--guidance-window", "0.5"], ["0.5", "0.2:0.8"]),
        (
            ["--negative-window", "0.9:0.1"],
            ["negative window", "0.9:0.1"],
        ),
        (
            ["--negative-strength", "-1"],
            ["negative strength", "0 to 2"],
        ),
    ] {
        run(&scratch, &arguments).fails(USAGE, &words);
    }
}
