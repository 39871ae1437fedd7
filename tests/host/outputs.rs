//! Files that the command writes, and text that it prints: problems are found before the run, a
//! failure leaves no part of a file, and names from files cannot control the terminal.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::json;

use crate::support::assert_contains;
use crate::support::command::{FAILURE, Scratch, USAGE, command, generate};

const UNET_WEIGHTS: &str = "unet/diffusion_pytorch_model.safetensors";

/// `darkroom generate` with one step and this output.
fn with_out(scratch: &Scratch, out: &str, more: &[&str]) -> Command {
    let model = scratch.model();
    let steps = ["--steps", "1", "--out", out];
    let more = [&steps[..], more].concat();
    let mut command = command("cpu", model.to_str().expect("UTF-8"), &more);
    command.current_dir(&scratch.0);
    command
}

/// Asserts that the run ended with `code` before the model was read.
#[track_caller]
fn fails_before_loading(output: &Output, code: i32, words: &[&str]) {
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{message}");
    assert_contains(&message, words);
    assert!(!message.contains("loading"), "{message}");
    assert!(output.stdout.is_empty());
}

/// Hidden files that a run left in `folder`.
fn left_over(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .filter(|path| path.to_string_lossy().ends_with(".part"))
        .collect()
}

#[test]
fn impossible_outputs_are_named_before_the_run() {
    let scratch = Scratch::with_model("sd1-pndm");
    std::fs::create_dir(scratch.0.join("folder")).expect("a folder");
    std::fs::write(scratch.0.join("file"), "kept").expect("a file");
    let cases: &[(&str, &[&str], i32, &[&str])] = &[
        (
            "folder",
            &[],
            FAILURE,
            &["folder: is a folder, expected a file"],
        ),
        (".", &[], FAILURE, &["is a folder"]),
        (
            "nowhere/a.png",
            &[],
            FAILURE,
            &["nowhere/a.png", "its folder nowhere"],
        ),
        ("file/a.png", &[], FAILURE, &["file/a.png"]),
        (
            "a.png",
            &["--latents-out", "folder"],
            FAILURE,
            &["folder: is a folder"],
        ),
        (
            "a.png",
            &["--latents-out", "no/b"],
            FAILURE,
            &["no/b", "its folder no"],
        ),
        (
            "a.png",
            &["--latents-out", "a.png"],
            USAGE,
            &["latents-out", "another file"],
        ),
        (
            "a.png",
            &["--latents-out", "./folder/../a.png"],
            USAGE,
            &["another file"],
        ),
        (
            "-",
            &["--latents-out", "-"],
            USAGE,
            &["latents-out", "another file"],
        ),
        ("-", &["--json"], USAGE, &["out: got -", "--json"]),
    ];
    for (out, more, code, words) in cases {
        let output = with_out(&scratch, out, more).output().expect("the command");
        fails_before_loading(&output, *code, words);
    }
    assert_eq!(
        std::fs::read(scratch.0.join("file")).expect("a file"),
        b"kept"
    );
    assert!(left_over(&scratch.0).is_empty());
}

#[test]
fn a_dash_writes_the_picture_to_standard_output() {
    let scratch = Scratch::with_model("sd1-pndm");
    let run = |out: &str| with_out(&scratch, out, &[]).output().expect("the command");
    assert!(run("picture.png").status.success());
    let picture = std::fs::read(scratch.picture()).expect("a picture");
    assert!(picture.starts_with(b"\x89PNG"));
    let output = run("-");
    assert!(output.status.success());
    assert_eq!(output.stdout, picture);
    assert!(!scratch.0.join("-").exists());
    assert_contains(
        &String::from_utf8_lossy(&output.stderr),
        &["standard output: 64×64"],
    );
    // A file of that name has a path.
    assert!(run("./-").status.success());
    assert_eq!(
        std::fs::read(scratch.0.join("-")).expect("a picture"),
        picture
    );
}

/// The limit on file sizes stands for a full disk: it needs no rights of an administrator.
#[cfg(unix)]
#[test]
fn a_disk_without_room_is_noticed_before_the_first_step() {
    let scratch = Scratch::with_model("sd1-pndm");
    std::fs::write(scratch.picture(), "an older picture").expect("a file");
    let run = |options: &str| {
        let script = format!(
            "trap '' XFSZ; ulimit -f 8; exec \"$0\" generate --device cpu --model \"$1\" \
             --prompt a {options}"
        );
        let mut shell = Command::new("sh");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_darkroom")]);
        shell.arg(scratch.model()).current_dir(&scratch.0);
        shell.output().expect("the command")
    };
    for options in [
        "--out picture.png",
        "--out new.png",
        "--out picture.png --latents-out b --width 512",
    ] {
        let output = run(options);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(FAILURE), "{message}");
        assert_contains(&message, &[".png", "File too large"]);
        assert!(!message.contains("step 1"), "{message}");
    }
    let kept = std::fs::read(scratch.picture()).expect("a file");
    assert_eq!(kept, b"an older picture");
    assert!(!scratch.0.join("new.png").exists() && !scratch.0.join("b").exists());
    assert!(left_over(&scratch.0).is_empty());
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_device_is_an_error() {
    let scratch = Scratch::with_model("sd1-pndm");
    let output = with_out(&scratch, "/dev/full", &[]).output();
    let output = output.expect("the command");
    assert_eq!(output.status.code(), Some(FAILURE));
    let message = String::from_utf8_lossy(&output.stderr);
    assert_contains(&message, &["/dev/full", "No space left"]);
}

#[cfg(unix)]
#[test]
fn a_link_keeps_leading_to_the_picture() {
    let scratch = Scratch::with_model("sd1-pndm");
    std::fs::write(scratch.0.join("real.png"), "old").expect("a file");
    std::os::unix::fs::symlink("real.png", scratch.0.join("link.png")).expect("a link");
    let output = with_out(&scratch, "link.png", &[]).output();
    assert!(output.expect("the command").status.success());
    let link = std::fs::symlink_metadata(scratch.0.join("link.png")).expect("a link");
    assert!(link.file_type().is_symlink());
    let real = std::fs::read(scratch.0.join("real.png")).expect("a picture");
    assert!(real.starts_with(b"\x89PNG"));
}

/// Asserts that what the run printed is short and has no control character but line ends.
#[track_caller]
fn is_harmless(message: &str) {
    let control = |c: char| c.is_control() && c != '\n';
    assert!(!message.contains(control), "{message:?}");
    assert!(!message.contains('\u{202e}'), "{message:?}");
    assert!(message.len() < 8000, "{} bytes", message.len());
}

#[test]
fn names_from_files_cannot_control_the_terminal() {
    let escape = "\u{1b}]0;title\u{7}\u{202e}\r\u{9b}2J";
    // JSON files may have 1 MiB.
    let long = "x".repeat(1_000_000);
    // A line of merges.txt, a token of the vocabulary, a key of JSON, the name of a tensor.
    for text in [escape, &long] {
        let scratch = Scratch::with_model("sd1-pndm");
        let merges = format!("#version: 0.2\n{text} b c\n");
        std::fs::write(scratch.file("tokenizer/merges.txt"), merges).expect("a file");
        let outcome = scratch.generate(&[]);
        outcome.fails(FAILURE, &["merges.txt", "line 2"]);
        is_harmless(&outcome.message());

        let scratch = Scratch::with_model("sd1-pndm");
        let added = json!({ text: 9_000_000 }).to_string();
        std::fs::write(scratch.file("tokenizer/added_tokens.json"), added).expect("a file");
        let outcome = scratch.generate(&[]);
        outcome.fails(FAILURE, &["added_tokens.json"]);
        is_harmless(&outcome.message());

        let scratch = Scratch::with_model("sd1-pndm");
        scratch.edit("unet/config.json", |json| json["act_fn"] = json!(text));
        let outcome = scratch.generate(&[]);
        outcome.fails(FAILURE, &["act_fn"]);
        is_harmless(&outcome.message());

        let scratch = Scratch::with_model("sd1-pndm");
        scratch.edit_header(UNET_WEIGHTS, |header| {
            header[text] = json!({"dtype": "F16", "shape": [0], "data_offsets": [0, 0]});
        });
        let outcome = scratch.generate(&["--steps", "1"]);
        outcome.succeeds();
        assert_contains(&outcome.message(), &["1 unexpected tensor"]);
        is_harmless(&outcome.message());
    }
    // A prompt that is cut off is quoted in a warning.
    let scratch = Scratch::with_model("sd1-pndm");
    let prompt = format!("{} {escape}", "word ".repeat(80));
    let model = scratch.model();
    let more = [
        "--steps",
        "1",
        "--long-prompt",
        "truncate",
        "--prompt",
        &prompt,
    ];
    let outcome = generate(model.to_str().expect("UTF-8"), &scratch.picture(), &more);
    outcome.succeeds();
    assert_contains(&outcome.message(), &["cut off"]);
    is_harmless(&outcome.message());
}
