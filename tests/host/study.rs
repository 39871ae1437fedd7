//! `--inspect`, `--token-maps`, `--ablate` and `--grid` of the command, on a tiny model.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::command::{Outcome, Scratch, USAGE, generate};
use crate::support::read_json;
use crate::support::safetensors::Tensors;

fn png(path: &Path) -> (png::OutputInfo, Vec<u8>, String) {
    let file = std::fs::File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut reader = png::Decoder::new(std::io::BufReader::new(file))
        .read_info()
        .expect("a PNG");
    let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
    let info = reader.next_frame(&mut pixels).expect("a picture");
    let texts = reader.info().utf8_text.iter();
    let texts = texts.map(|chunk| format!("{}={}", chunk.keyword, chunk.get_text().expect("text")));
    (info, pixels, texts.collect())
}

#[test]
fn a_generation_is_inspected_into_folders() {
    let scratch = Scratch::with_model("sd1-pndm");
    let [calls, maps] = ["calls", "maps"].map(|name| scratch.0.join(name));
    let path = |path: &Path| path.to_str().expect("a path in UTF-8").to_string();
    let outcome = scratch.generate(&[
        "--steps=3",
        "--sampler=euler",
        "--negative-prompt",
        "mustache, blurry",
        "--inspect",
        &path(&calls),
        "--inspect-empty",
        "--token-maps",
        &path(&maps),
        "--json",
    ]);
    outcome.warns(&[]);
    let report: Value = read_json(&calls.join("inspect.json"));
    let numbers = report["calls"].as_array().expect("a list");
    assert_eq!(numbers.len(), 3);
    let tensors = Tensors::read(&calls.join("inspect.safetensors"));
    let (picture, ..) = png(&scratch.picture());
    for (call, numbers) in numbers.iter().enumerate() {
        let array = |name: &str| tensors.f32(&format!("{call:03}.{name}")).1;
        let (p, n, e) = (array("positive"), array("negative"), array("empty"));
        let distance = |a: &[f32], b: &[f32]| {
            let squares = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2));
            squares.sum::<f64>().sqrt()
        };
        for (name, expected) in [
            ("distance", distance(&p, &n)),
            ("prompt_effect", distance(&p, &e)),
            ("negative_effect", distance(&n, &e)),
        ] {
            let got = numbers[name].as_f64().expect("a number");
            assert!(
                (got / expected - 1.0).abs() < 1e-5,
                "{name}: {got}, {expected}"
            );
        }
        for name in ["positive", "negative", "difference", "guided", "push"] {
            let (info, ..) = png(&calls.join(format!("{call:03}-{name}.png")));
            assert_eq!((info.width, info.height), (picture.width, picture.height));
        }
    }
    let report: Value = read_json(&maps.join("token-maps.json"));
    let tokens = report["tokens"].as_array().expect("a list");
    let negative = "mustache, blurry";
    let typed: String = tokens
        .iter()
        .filter(|token| token["prompt"] == "negative")
        .map(|token| {
            let at = |i: usize| token["span"][i].as_u64().expect("a byte") as usize;
            assert_eq!(token["token"], negative[at(0)..at(1)]);
            assert!(maps.join(token["file"].as_str().expect("a file")).is_file());
            negative[at(0)..at(1)].to_string()
        })
        .collect();
    assert_eq!(typed, "mustache,blurry");
}

/// Runs the command with its output at a place of the scratch folder.
fn run(scratch: &Scratch, out: &Path, more: &[&str]) -> Outcome {
    generate(
        scratch.model().to_str().expect("a path in UTF-8"),
        out,
        more,
    )
}

/// A term beyond the 75th token is cut off, so that it changes nothing.
#[test]
fn a_term_without_effect_ranks_last() {
    let scratch = Scratch::with_model("sd1-pndm");
    let folder = scratch.0.join("ablation");
    let negative = format!("mustache, blurry, ({}), nothing", "a man, ".repeat(30));
    let outcome = run(
        &scratch,
        &folder,
        &[
            "--steps=3",
            "--guidance-scale=5",
            "--long-prompt=truncate",
            "--negative-prompt",
            &negative,
            "--seed=7",
            "--ablate=2",
            "--json",
        ],
    );
    outcome.succeeds();
    let report = outcome.json();
    let terms = report["terms"].as_array().expect("a list");
    assert_eq!(terms.len(), 4);
    let last = &terms[3];
    assert_eq!(
        (&last["term"], &last["rank"]),
        (&json!("nothing"), &json!(4))
    );
    assert_eq!(
        (&last["mean_rms"], &last["visible"]),
        (&json!(0.0), &json!(0))
    );
    let interval = last["interval"].as_array().expect("two shares");
    assert_eq!(interval[0], 0.0);
    assert!((interval[1].as_f64().expect("a share") - 0.6576).abs() < 1e-3);
    assert!(terms[0]["mean_rms"].as_f64() > Some(0.0));
    assert_eq!(read_json::<Value>(&folder.join("ablation.json")), report);
    // What it says of a term is what the pictures show.
    let rms = report["changes"][0]["by_seed"][1]["rms"]
        .as_f64()
        .expect("a number");
    let [all, without] =
        ["8-all.png", "8-1-mustache-without.png"].map(|name| png(&folder.join(name)).1);
    let squares = all
        .iter()
        .zip(&without)
        .map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
    let expected = (squares.sum::<f64>() / (0.75 * all.len() as f64)).sqrt();
    assert!((rms - expected).abs() < 1e-9, "{rms}, {expected}");
    let message = outcome.message();
    assert!(message.contains("10 pictures"), "{message}");
    // Each warning is shown once. The prompts differ, so there are several about their lengths.
    let cut: Vec<_> = message.lines().filter(|l| l.contains("cut off")).collect();
    let different: BTreeSet<_> = cut.iter().collect();
    assert!(!cut.is_empty() && different.len() == cut.len(), "{message}");
}

#[test]
fn an_ablation_prints_a_table_and_needs_terms() {
    let scratch = Scratch::with_model("sd1-pndm");
    let folder = scratch.0.join("ablation");
    let outcome = run(&scratch, &folder, &["--steps=2", "--ablate"]);
    outcome.succeeds();
    let table = String::from_utf8(outcome.output.stdout).expect("text");
    assert!(
        table
            .lines()
            .nth(1)
            .is_some_and(|row| row.contains("mustache")),
        "{table}"
    );
    let none = scratch.0.join("none");
    let outcome = run(&scratch, &none, &["--negative-prompt", " ,", "--ablate"]);
    outcome.fails(USAGE, &["terms with commas"]);
    let outcome = run(&scratch, &none, &["--ablate", "--token-maps", "maps"]);
    outcome.fails(USAGE, &["--token-maps"]);
}

#[test]
fn a_grid_is_one_picture_with_its_settings() {
    let scratch = Scratch::with_model("sd1-pndm");
    let grid = "X=replace:man|woman,Y=steps:1-3/2";
    let arguments = ["--sampler=euler", "--width=64", "--height=48"];
    let outcome = scratch.generate(&[&arguments[..], &["--json", "--grid", grid]].concat());
    outcome.succeeds();
    let report = outcome.json();
    assert_eq!(
        (&report["pictures"], &report["made"]),
        (&json!(4), &json!(4))
    );
    let (info, pixels, text) = png(&scratch.picture());
    assert_eq!(report["width"], info.width);
    for part in [
        "parameters=a man\nNegative prompt: mustache\n",
        "Steps: 20",
        "X Type: replace, X Values: \"man, woman\"",
        "Y Type: steps, Y Values: \"1, 3\"",
    ] {
        assert!(text.contains(part), "{text}");
    }
    // The last picture of the grid is the one that its settings make alone.
    let alone = ["--steps=3", "--prompt", "a woman"];
    scratch
        .generate(&[&arguments[..], &alone].concat())
        .succeeds();
    let (one, expected, _) = png(&scratch.picture());
    let [left, top] = [info.width - one.width - 4, info.height - one.height - 4];
    for (y, expected) in expected.chunks(4 * one.width as usize).enumerate() {
        let start = 4 * ((top as usize + y) * info.width as usize + left as usize);
        assert!(
            pixels[start..start + expected.len()] == *expected,
            "row {y} differs"
        );
    }
}

#[test]
fn grids_that_cannot_be_are_refused_before_the_model_is_read() {
    let scratch = Scratch::with_model("sd1-pndm");
    for (grid, words) in [
        (
            "X=replace:woman|cat",
            &["woman", "a text that is in a prompt"][..],
        ),
        ("X=colour:red", &["negative-prompt"]),
        ("X=steps:0-9999", &["10000"]),
        ("steps:1", &["X=SETTING"]),
    ] {
        scratch.generate(&["--grid", grid]).fails(USAGE, words);
    }
    let outcome = scratch.generate(&["--grid", "X=guidance:1|200", "--steps=1"]);
    outcome.fails(USAGE, &["0 to 100"]);
}
