//! Options of the command about noise, and several pictures of one run.

use serde_json::json;

use crate::support::command::{Scratch, USAGE};

/// The bytes of a file beside the model.
fn bytes(scratch: &Scratch, name: &str) -> Option<Vec<u8>> {
    std::fs::read(scratch.0.join(name)).ok()
}

#[test]
fn noise_options_change_the_picture_and_neutral_ones_do_not() {
    let scratch = Scratch::with_model("sd1-pndm");
    let picture = |more: &[&str]| {
        scratch
            .generate(&[&["--steps", "3"][..], more].concat())
            .succeeds();
        bytes(&scratch, "picture.png").expect("a picture")
    };
    let noisy = |more: &[&str]| picture(&[&["--sampler", "euler-a"][..], more].concat());
    let plain = noisy(&[]);
    let neutral = ["--variation", "9:0", "--ensd", "0", "--eta", "1"];
    assert!(noisy(&neutral) == plain, "neutral values changed it");
    let varied = noisy(&["--variation", "9:0.2"]);
    let delta = noisy(&["--ensd", "-31337"]);
    let quiet = noisy(&["--eta", "0"]);
    let all = [&plain, &varied, &delta, &quiet];
    let differ = (0..4).all(|i| all[..i].iter().all(|other| *other != all[i]));
    assert!(differ, "two pictures are the same");
    // All of the other noise is the noise of the other seed.
    let other = picture(&["--sampler", "euler", "--seed", "9"]);
    assert!(picture(&["--sampler", "euler", "--variation", "9:1"]) == other);
}

#[test]
fn the_json_says_the_noise_and_what_has_no_effect() {
    let scratch = Scratch::with_model("sd1-pndm");
    let options = ["--steps", "2", "--json", "--sampler", "ddim"];
    let noise = ["--variation", "9:0.25", "--ensd", "31337", "--eta", "0.5"];
    let outcome = scratch.generate(&[&options[..], &noise].concat());
    outcome.warns(&[]);
    let json = outcome.json();
    let expected = [
        ("rng", json!("torch")),
        ("variation_seed", json!(9)),
        ("variation_strength", json!(0.25)),
        ("ensd", json!(31337)),
        ("eta", json!(0.5)),
    ];
    for (key, value) in expected {
        assert_eq!(json[key], value, "{key}");
    }
    let scratch = Scratch::with_model("sd1-pndm");
    let vain = ["--sampler", "euler", "--eta", "0.5", "--ensd", "7"];
    let outcome = scratch.generate(&[&["--steps", "1", "--json"][..], &vain].concat());
    outcome.warns(&[
        "eta 0.5 has no effect: euler adds no noise",
        "ensd 7 has no effect: euler adds no noise",
    ]);
    assert_eq!(outcome.json()["eta"], json!(null));
}

#[test]
fn impossible_noise_is_named() {
    for (option, value, words) in [
        ("--variation", "9", "SEED:STRENGTH"),
        ("--variation", "9:1.5", "from 0 to 1"),
        ("--variation", "-9:0.5", "whole number"),
        ("--eta", "-0.1", "0 to 1"),
        ("--eta", "2", "0 to 1"),
        ("--ensd", "0.5", "--ensd"),
        ("--batch", "0", "1 to 10000"),
        ("--batch", "10001", "1 to 10000"),
    ] {
        let scratch = Scratch::with_model("sd1-pndm");
        scratch
            .generate(&[option, value])
            .fails(USAGE, &[value, words]);
    }
}

#[test]
fn a_batch_writes_numbered_files_with_seeds_that_count_up() {
    let scratch = Scratch::with_model("sd1-pndm");
    let latents = scratch.0.join("latent.safetensors");
    let latents = ["--latents-out", latents.to_str().expect("UTF-8")];
    let options = ["--steps", "2", "--json", "--seed", "7", "--batch", "3"];
    let outcome = scratch.generate(&[&options[..], &latents].concat());
    assert!(!outcome.picture, "a file without a number");
    let message = outcome.message();
    assert_eq!(outcome.output.status.code(), Some(0), "{message}");
    let json = outcome.json();
    let pictures = json["pictures"].as_array().expect("a list");
    let seeds: Vec<_> = pictures.iter().map(|picture| &picture["seed"]).collect();
    assert_eq!(seeds, [7, 8, 9]);
    assert_eq!(
        (&json["seed"], &json["out"]),
        (&json!(7), &pictures[0]["out"])
    );
    assert!(message.contains("picture 3 of 3") || message.contains("picture-3.png"));
    for number in 1..=3 {
        let seed = (6 + number).to_string();
        scratch
            .generate(&["--steps", "2", "--seed", &seed])
            .succeeds();
        let picture = bytes(&scratch, &format!("picture-{number}.png"));
        assert!(
            picture == bytes(&scratch, "picture.png"),
            "picture {number}"
        );
        assert!(bytes(&scratch, &format!("latent-{number}.safetensors")).is_some());
    }
}

#[test]
fn a_batch_of_variations_keeps_the_seed() {
    let scratch = Scratch::with_model("sd1-pndm");
    let options = [
        "--steps",
        "1",
        "--json",
        "--variation",
        "5:0.1",
        "--batch",
        "2",
    ];
    let json = scratch.generate(&options).json();
    let seeds = [0, 1].map(|i| &json["pictures"][i]);
    let seeds = seeds.map(|picture| (&picture["seed"], &picture["variation_seed"]));
    assert_eq!(seeds, [(&json!(0), &json!(5)), (&json!(0), &json!(6))]);
    let [first, second] = [1, 2].map(|i| bytes(&scratch, &format!("picture-{i}.png")));
    assert!(first.is_some() && first != second);
}

#[test]
fn a_batch_needs_files() {
    let scratch = Scratch::with_model("sd1-pndm");
    let model = scratch.model();
    let model = model.to_str().expect("UTF-8");
    let options = ["--batch", "2", "--out", "-"];
    let output = crate::support::command::command("cpu", model, &options).output();
    let output = output.expect("the command");
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(USAGE), "{message}");
    assert!(message.contains("a file with --batch"), "{message}");
}
