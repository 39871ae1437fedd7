//! Runs of the native command.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::safetensors::{split, with_length};
use super::{assert_contains, golden, read_json};

/// Exit code of a failure.
pub const FAILURE: i32 = 1;
/// Exit code of an impossible request.
pub const USAGE: i32 = 2;

/// A temporary folder, removed when dropped.
pub struct Scratch(pub PathBuf);

impl Scratch {
    /// An empty folder.
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("darkroom-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Scratch(path)
    }

    /// A folder with a copy of the golden model `name`.
    pub fn with_model(name: &str) -> Self {
        let scratch = Scratch::new();
        let source = golden().join("models").join(name).join("model");
        copy(&source, &scratch.model());
        scratch
    }

    /// The model's path.
    pub fn model(&self) -> PathBuf {
        self.0.join("model")
    }

    /// The path of a file of the model.
    pub fn file(&self, path: &str) -> PathBuf {
        self.model().join(path)
    }

    /// The picture's path.
    pub fn picture(&self) -> PathBuf {
        self.0.join("picture.png")
    }

    /// Changes a JSON file of the model.
    pub fn edit(&self, path: &str, change: impl FnOnce(&mut Value)) {
        let mut json: Value = read_json(&self.file(path));
        change(&mut json);
        std::fs::write(self.file(path), json.to_string()).expect("writing JSON");
    }

    /// Changes the bytes of a file of the model.
    pub fn change(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = std::fs::read(self.file(path)).expect("a file of the model");
        change(&mut bytes);
        std::fs::write(self.file(path), bytes).expect("writing bytes");
    }

    /// Changes the JSON header of a safetensors file. The tensors' bytes stay.
    pub fn edit_header(&self, path: &str, change: impl FnOnce(&mut Value)) {
        self.change(path, |bytes| {
            let (json, data) = split(bytes);
            let mut header: Value = serde_json::from_slice(json).expect("a header");
            change(&mut header);
            *bytes = [&with_length(header.to_string().as_bytes()), data].concat();
        });
    }

    /// Runs `darkroom generate` with the model on the CPU.
    pub fn generate(&self, more: &[&str]) -> Outcome {
        self.generate_on("cpu", more)
    }

    /// Runs `darkroom generate` with the model on a device.
    pub fn generate_on(&self, device: &str, more: &[&str]) -> Outcome {
        let model = self.model();
        let model = model.to_str().expect("a path in UTF-8");
        generate_on(device, model, &self.picture(), more)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            // Not `fs::copy`, which copies permissions: the checkout's files may be read-only.
            let bytes = std::fs::read(entry.path()).expect("a file");
            std::fs::write(target, bytes).expect("a file");
        }
    }
}

/// A finished run of the command.
pub struct Outcome {
    /// Exit code and output.
    pub output: Output,
    /// True if the picture's file exists.
    pub picture: bool,
}

/// `darkroom generate` with the options `more`, and with prompts unless `more` has others. No proxy
/// answers for addresses that cannot be reached.
pub fn command(device: &str, model: &str, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_darkroom"));
    command
        .args(["generate", "--device", device, "--model", model])
        .args(more)
        .envs(["NO_PROXY", "no_proxy"].map(|name| (name, "*")));
    for (option, value) in [("--prompt", "a man"), ("--negative-prompt", "mustache")] {
        if !more.contains(&option) {
            command.args([option, value]);
        }
    }
    command
}

/// Runs `darkroom generate` on the CPU with the further arguments `more`.
pub fn generate(model: &str, out: &Path, more: &[&str]) -> Outcome {
    generate_on("cpu", model, out, more)
}

fn generate_on(device: &str, model: &str, out: &Path, more: &[&str]) -> Outcome {
    let output = command(device, model, more).arg("--out").arg(out).output();
    Outcome {
        output: output.expect("the command"),
        picture: out.exists(),
    }
}

impl Outcome {
    /// The text on standard error.
    pub fn message(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// The JSON on standard output.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.output.stdout)
            .unwrap_or_else(|e| panic!("standard output: {e}\n{}", self.message()))
    }

    /// Asserts that the command made a picture.
    #[track_caller]
    pub fn succeeds(&self) {
        let message = self.message();
        assert_eq!(self.output.status.code(), Some(0), "{message}");
        assert!(self.picture, "no picture:\n{message}");
    }

    /// Asserts that the command made a picture and showed these warnings, each once on standard
    /// error and once in the JSON, and no others.
    #[track_caller]
    pub fn warns(&self, expected: &[&str]) {
        self.succeeds();
        let message = self.message();
        let lines = message.lines();
        let shown: Vec<&str> = lines
            .filter_map(|line| line.strip_prefix("warning: "))
            .collect();
        assert_eq!(self.json()["warnings"], json!(shown), "{message}");
        assert_eq!(shown.len(), expected.len(), "{message}");
        for words in expected {
            let count = shown.iter().filter(|line| line.contains(words)).count();
            assert_eq!(count, 1, "warnings with {words:?}:\n{message}");
        }
    }

    /// Asserts that the command ended with `code`, without a picture, and that its message contains
    /// every one of `words`.
    #[track_caller]
    pub fn fails(&self, code: i32, words: &[&str]) {
        let message = self.message();
        let out = String::from_utf8_lossy(&self.output.stdout);
        assert!(
            !message.contains("panicked at") && !message.contains("RUST_BACKTRACE"),
            "the command panicked:\n{message}"
        );
        assert_eq!(self.output.status.code(), Some(code), "{message}{out}");
        assert_contains(&message, words);
        assert!(!self.picture, "the command failed and left a picture");
    }
}
