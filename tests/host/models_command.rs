//! `darkroom models`: the cache of a hub, and single models.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::command::{FAILURE, Scratch};
use crate::support::{assert_contains, golden};

/// A cache as Hugging Face's programs leave it.
struct Cache(Scratch);

impl Cache {
    fn add(&self, id: &str, revision: &str, commit: char, from: &Path) -> PathBuf {
        let commit = commit.to_string().repeat(40);
        let folder = format!("models--{}", id.replace('/', "--"));
        let folder = self.0.0.join("hub").join(folder);
        let reference = folder.join("refs").join(revision);
        std::fs::create_dir_all(reference.parent().expect("a folder")).expect("a folder");
        std::fs::write(reference, &commit).expect("a reference");
        let snapshot = folder.join("snapshots").join(&commit);
        copy(from, &snapshot);
        snapshot
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_darkroom"));
        command.args(["models", "--device", "cpu"]).args(arguments);
        command.env("HF_HOME", &self.0.0).env("HF_HUB_OFFLINE", "1");
        command.env_remove("HF_HUB_CACHE");
        command.output().expect("the command")
    }

    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--json"]].concat());
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{message}");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        match path.is_dir() {
            true => copy(&path, &target),
            false => std::fs::write(target, std::fs::read(path).expect("a file")).expect("a file"),
        }
    }
}

fn model(name: &str) -> PathBuf {
    golden().join("models").join(name).join("model")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_cache_is_listed_with_what_each_model_takes() {
    let cache = Cache(Scratch::new());
    assert_eq!(text(&cache.run(&[])), "no models in the cache\n");
    cache.add("someone/tiny", "main", 'a', &model("sd1-pndm"));
    cache.add("someone/tiny", "refs/pr/1", 'b', &model("sd2-v"));
    let broken = cache.add("else/broken--one", "main", 'c', &model("sd1-pndm"));
    std::fs::remove_dir_all(broken.join("vae")).expect("a folder to remove");
    let other = cache.0.0.join("words");
    std::fs::create_dir(&other).expect("a folder");
    std::fs::write(other.join("config.json"), "{}").expect("a file");
    cache.add("a/language-model", "main", 'd', &other);

    let listed = cache.json(&["--width", "128", "--height", "64"]);
    assert_eq!(listed["others"], 1);
    let models = listed["models"].as_array().expect("a list");
    let names: Vec<&Value> = models.iter().map(|model| &model["model"]).collect();
    assert_eq!(
        names,
        ["else/broken--one", "someone/tiny", "someone/tiny@refs/pr/1"]
    );
    let problem = models[0]["problem"].as_str().expect("a problem");
    assert_contains(problem, &["vae/config.json", "no such file"]);
    assert!(models[0]["survey"].is_null());

    let survey = &models[1]["survey"];
    assert_eq!(survey["kind"], "standard");
    assert_eq!(survey["prediction_type"], "epsilon");
    assert_eq!(survey["default_size"], json!([64, 64]));
    let memory = &survey["memory"];
    assert_eq!(
        (&memory["width"], &memory["height"]),
        (&json!(128), &json!(64))
    );
    // Files on disk, and the parts of them that are read: not the VAE's encoder.
    let weights = [
        "unet/diffusion_pytorch_model",
        "vae/diffusion_pytorch_model",
        "text_encoder/model",
    ];
    let size = |name: &str| {
        let path = model("sd1-pndm").join(format!("{name}.safetensors"));
        std::fs::metadata(path).expect("a file").len()
    };
    let files: u64 = weights.into_iter().map(size).sum();
    assert_eq!(survey["file_bytes"], files);
    let read = survey["weight_bytes"].as_u64().expect("bytes");
    assert!(files / 2 < read && read < files, "{read} of {files}");
    assert!(models[1]["bytes"].as_u64() > Some(files));
    assert_eq!(models[2]["survey"]["prediction_type"], "v_prediction");

    let printed = text(&cache.run(&[]));
    let words = [
        "someone/tiny, ",
        "standard, 64×64, prediction: epsilon",
        "start     20 steps, guidance scale 7.5",
        "MB of memory for 64×64",
        "problem   ",
        "1 of other kinds",
    ];
    assert_contains(&printed, &words);
}

#[test]
fn one_model_is_surveyed_without_its_weights() {
    let cache = Cache(Scratch::new());
    let scratch = Scratch::with_model("sd1-pndm");
    // The weights are cut off behind the header, so reading them would fail.
    let unet = "unet/diffusion_pytorch_model.safetensors";
    let path = scratch.file(unet);
    let whole = std::fs::read(&path).expect("a file");
    let length = u64::from_le_bytes(*whole.first_chunk().expect("a length")) + 8;
    std::fs::write(&path, &whole[..length as usize]).expect("a file");
    std::fs::File::options()
        .write(true)
        .open(&path)
        .and_then(|file| file.set_len(whole.len() as u64))
        .expect("a file with a hole");
    let place = scratch.model();
    let place = place.to_str().expect("UTF-8");
    let json = cache.json(&[place]);
    assert_eq!(json["model"], place);
    assert_eq!(json["survey"]["default_size"], json!([64, 64]));
    let printed = text(&cache.run(&[place, "--width", "256", "--height", "256"]));
    assert_contains(&printed, &[place, "memory for 256×256"]);

    let output = cache.run(&["/no/such/model"]);
    assert_eq!(output.status.code(), Some(FAILURE));
    let message = String::from_utf8_lossy(&output.stderr);
    assert_contains(&message, &["/no/such/model", "no such file or folder"]);
}
