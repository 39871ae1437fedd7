//! Running the native command on models that were tampered with.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use super::{golden, read_json};

/// Exit code where something failed.
pub const FAILURE: i32 = 1;
/// Exit code where the request is impossible.
pub const USAGE: i32 = 2;

/// A folder of its own, gone when dropped.
pub struct Scratch(pub PathBuf);

impl Scratch {
    /// An empty one.
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("darkroom-bad-input-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Scratch(path)
    }

    /// With a copy of the golden model `name` in it.
    pub fn with_model(name: &str) -> Self {
        let scratch = Scratch::new();
        let source = golden().join("models").join(name).join("model");
        copy(&source, &scratch.model());
        scratch
    }

    /// Where the model is, or would be.
    pub fn model(&self) -> PathBuf {
        self.0.join("model")
    }

    /// A file of the model.
    pub fn file(&self, path: &str) -> PathBuf {
        self.model().join(path)
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

    /// Changes the JSON header of a safetensors file, the tensors' bytes stay.
    pub fn edit_header(&self, path: &str, change: impl FnOnce(&mut Value)) {
        self.change(path, |bytes| {
            let length = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
            let mut header: Value =
                serde_json::from_slice(&bytes[8..8 + length]).expect("a header");
            change(&mut header);
            let header = header.to_string().into_bytes();
            let data = bytes.split_off(8 + length);
            *bytes = (header.len() as u64).to_le_bytes().to_vec();
            bytes.extend(header);
            bytes.extend(data);
        });
    }

    /// Runs `darkroom generate` on the model.
    pub fn generate(&self, more: &[&str]) -> Outcome {
        let model = self.model();
        let out = self.0.join("picture.png");
        generate(model.to_str().expect("a path in UTF-8"), &out, more)
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
            // Written anew, not copied: the checkout's files may be read-only.
            let bytes = std::fs::read(entry.path()).expect("a file");
            std::fs::write(target, bytes).expect("a file");
        }
    }
}

/// What the command did.
pub struct Outcome {
    /// Exit code and what it wrote.
    pub output: Output,
    /// Whether there is a picture now.
    pub picture: bool,
}

/// Runs `darkroom generate` on the CPU; `more` are further arguments.
pub fn generate(model: &str, out: &Path, more: &[&str]) -> Outcome {
    let output = Command::new(env!("CARGO_BIN_EXE_darkroom"))
        .args(["generate", "--device", "cpu", "--model", model])
        .args(["--prompt", "a man", "--negative-prompt", "mustache"])
        .arg("--out")
        .arg(out)
        // Later flags of the same name would be an error: each test gives its own.
        .args(more)
        // A proxy would answer in the place of addresses that cannot be reached.
        .envs(["NO_PROXY", "no_proxy"].map(|name| (name, "*")))
        .output()
        .expect("the command");
    let picture = out.exists();
    Outcome { output, picture }
}

impl Outcome {
    /// Asserts that the command ended with `code` and that its message holds every one of `words`.
    #[track_caller]
    pub fn fails(&self, code: i32, words: &[&str]) {
        let message = String::from_utf8_lossy(&self.output.stderr);
        let out = String::from_utf8_lossy(&self.output.stdout);
        assert!(
            !message.contains("panicked at") && !message.contains("RUST_BACKTRACE"),
            "the command panicked:\n{message}"
        );
        assert_eq!(self.output.status.code(), Some(code), "{message}{out}");
        for word in words {
            assert!(
                message.contains(word),
                "no {word:?} in the message:\n{message}"
            );
        }
        assert!(!self.picture, "the command failed and left a picture");
    }
}
