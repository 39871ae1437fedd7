//! Warnings of the native command, and `darkroom prompt`.

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::command::{Scratch, USAGE};
use crate::support::models::Model;

/// `tests/gpu/precision.rs` has the warnings that come with the steps and the decoding.
#[test]
fn the_command_shows_each_warning_once() {
    let scratch = Scratch::with_model("sd1-pndm");
    let steps = ["--steps", "1", "--json"];
    scratch.generate(&steps).warns(&[]);

    scratch.edit_header("unet/diffusion_pytorch_model.safetensors", |header| {
        header["lora_up.weight"] = json!({ "dtype": "F16", "shape": [0], "data_offsets": [0, 0] });
    });
    let prompt = "a portrait of a man, ".repeat(30);
    let more = [
        ["--guidance-scale", "1"],
        ["--prompt", &prompt],
        ["--long-prompt", "truncate"],
    ];
    let outcome = scratch.generate(&[&steps[..], more.as_flattened()].concat());
    outcome.warns(&["lora_up.weight", "cut off", "guidance scale 1"]);
}

#[test]
fn the_command_reads_samplers_as_other_programs_write_them() {
    let scratch = Scratch::with_model("sd1-pndm");
    let steps = ["--steps", "3", "--json"];
    let cases: [(&[&str], &str, &str, u64); 6] = [
        (&[], "pndm", "model", 4),
        (&["--sampler", "dpm++2m-karras"], "dpm++2m", "karras", 3),
        (
            &["--sampler", "DPM++ 2M SDE Karras"],
            "dpm++2m-sde",
            "karras",
            3,
        ),
        (
            &["--sampler", "Heun", "--schedule", "Align Your Steps"],
            "heun",
            "ays",
            5,
        ),
        (
            &["--sampler", "dpm2-a", "--schedule", "sgm-uniform"],
            "dpm2-a",
            "sgm-uniform",
            5,
        ),
        (&["--sampler", "lcm"], "lcm", "model", 3),
    ];
    for (arguments, sampler, schedule, calls) in cases {
        let outcome = scratch.generate(&[&steps[..], arguments].concat());
        outcome.warns(&[]);
        let json = outcome.json();
        assert_eq!(json["sampler"], sampler);
        assert_eq!(
            (&json["schedule"], &json["calls"]),
            (&json!(schedule), &json!(calls))
        );
    }
    let ignored = ["--sampler", "ddim", "--schedule", "karras"];
    let outcome = scratch.generate(&[&steps[..], &ignored].concat());
    outcome.warns(&["schedule type karras has no effect: ddim"]);
    for (arguments, word) in [
        (["--sampler", "rk45"], "dpm++2m-sde"),
        (["--schedule", "polyexponential"], "sgm-uniform"),
        (["--timestep-spacing", "even"], "trailing"),
        (["--final-sigma", "one"], "sigma_min"),
    ] {
        scratch
            .generate(&arguments)
            .fails(USAGE, &[arguments[1], word]);
    }
}

#[test]
fn options_take_the_place_of_the_scheduler_files_values() {
    let scratch = Scratch::with_model("sd1-pndm");
    let picture = |more: &[&str]| {
        let sampler = ["--steps", "3", "--sampler", "dpm++2m"];
        scratch.generate(&[&sampler[..], more].concat()).succeeds();
        std::fs::read(scratch.picture()).expect("a picture")
    };
    let plain = picture(&[]);
    for option in [
        ["--timestep-spacing", "trailing"],
        ["--zero-snr", "true"],
        ["--final-sigma", "sigma_min"],
        ["--schedule", "beta"],
    ] {
        assert!(picture(&option) != plain, "{option:?} changed nothing");
    }
    for option in [
        ["--zero-snr", "false"],
        ["--final-sigma", "zero"],
        ["--schedule", "model"],
    ] {
        assert!(picture(&option) == plain, "{option:?} changed the picture");
    }
}

#[test]
fn a_model_with_an_unknown_scheduler_takes_the_nearest_sampler() {
    let scratch = Scratch::with_model("sd1-pndm");
    for (class, sampler) in [
        ("SASolverScheduler", "dpm++2m-sde"),
        ("EDMEulerScheduler", "euler"),
    ] {
        scratch.edit("scheduler/scheduler_config.json", |json| {
            json["_class_name"] = class.into()
        });
        let outcome = scratch.generate(&["--steps", "1", "--json"]);
        outcome.warns(&[&format!(
            "\"{class}\", which Darkroom does not have: the model's own sampler is {sampler}"
        )]);
        assert_eq!(outcome.json()["sampler"], sampler);
    }
}

/// Runs `darkroom prompt`.
fn prompt(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_darkroom"));
    let output = command.arg("prompt").args(arguments).output();
    output.expect("the command")
}

/// The output of `darkroom prompt --json`.
#[track_caller]
fn meaning(arguments: &[&str]) -> Value {
    let output = prompt(&[arguments, &["--json"]].concat());
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{message}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn the_prompt_command_prints_weights_schedule_and_chunks() {
    let text = "a (red:1.5) BREAK [cat:dog:0.5]";
    let value = meaning(&[text, "--steps", "10"]);
    let weights = value["weights"].as_array().expect("a list");
    let (square, others) = weights.split_last().expect("a part");
    let expected = [
        json!(["a ", 1.0]),
        json!(["red", 1.5]),
        json!(["", 1.0]),
        json!(["BREAK", -1.0]),
        json!(["", 1.0]),
    ];
    assert_eq!(others, expected);
    assert_eq!(square[0], "cat:dog:0.5");
    let weight = square[1].as_f64().expect("a number");
    assert!((weight - 1.0 / 1.1).abs() < 1e-12, "{weight}");
    let schedule = json!([[5, "a (red:1.5) BREAK cat"], [10, "a (red:1.5) BREAK dog"]]);
    assert_eq!(value["schedule"], schedule);
    let chunk = |ids: &[u32]| {
        let mut chunk = [&[49406], ids].concat();
        chunk.resize(77, 49407);
        chunk
    };
    let chunks = json!([chunk(&[320, 736]), chunk(&[2368])]);
    assert_eq!(value["chunks"], chunks);
    assert_eq!(value["problems"], json!([]));
    // 20 steps by default.
    assert_eq!(meaning(&[text])["schedule"][0][0], 10);

    let plain = meaning(&[text, "--prompt-syntax", "plain"]);
    assert_eq!(plain["weights"], json!([[text, 1.0]]));
    assert_eq!(plain["schedule"], json!([[20, text]]));
}

#[test]
fn the_prompt_command_shows_problems_in_words() {
    let value = meaning(&["a (man"]);
    let problems = json!([{
        "span": [2, 3],
        "problem": "this bracket is not closed; it weights all that follows",
    }]);
    assert_eq!(value["problems"], problems);

    let output = prompt(&["a (man"]);
    assert_eq!(output.status.code(), Some(0));
    let expected = r#"weights
  1.0000         "a "
  1.1000         "man"
schedule
  to step 20     "a (man"
tokens of the first step
  chunk 1        2 of 75: 320 786
problems
  "("            this bracket is not closed; it weights all that follows
"#;
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}

#[test]
fn the_prompt_command_takes_the_tokenizer_of_a_model() {
    let sd2 = Model::named("sd2-v").path();
    let value = meaning(&["a man", "--model", sd2.to_str().expect("UTF-8")]);
    let chunk = value["chunks"][0].as_array().expect("a chunk");
    let own = meaning(&["a man"]);
    assert_ne!(chunk[76], own["chunks"][0][76], "SD2 has its own padding");
}

#[test]
fn usage_errors_of_the_prompt_command_have_exit_code_2() {
    let cases: [&[&str]; 4] = [
        &[],
        &["a", "--steps", "0"],
        &["a", "--steps", "1001"],
        &["a", "--prompt-syntax", "comfy"],
    ];
    for arguments in cases {
        assert_eq!(
            prompt(arguments).status.code(),
            Some(USAGE),
            "{arguments:?}"
        );
    }
}
