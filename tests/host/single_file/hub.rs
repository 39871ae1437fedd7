//! Models by name on a hub: downloaded once, into Hugging Face's cache folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};

use serde_json::{Value, json};

use crate::support::command::Scratch;
use crate::support::golden;
use crate::support::server::{Received, Server, not_found, ranges, redirect, response};

const MODEL: &str = "owner/name-2.1";
/// A hub that is not there.
const OFF: &str = "http://127.0.0.1:9";
const UNET: &str = "unet/diffusion_pytorch_model.safetensors";

/// Files of a model by path.
type Files = BTreeMap<String, Vec<u8>>;

/// The files of the golden model `name`.
fn files(name: &str) -> Files {
    let root = golden().join("models").join(name).join("model");
    let mut files = Files::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(&root).expect("a file of the model");
            let name = name.to_str().expect("UTF-8").to_string();
            files.insert(name, std::fs::read(path).expect("a file"));
        }
    }
    files
}

/// A checksum as the hub would give: 64 digits of `bytes`' FNV-1a hash.
fn checksum(bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:064x}")
}

/// The commit of `revision`.
fn commit(revision: &str) -> String {
    checksum(revision.as_bytes())[24..].to_string()
}

/// The hub's list of `files` at `revision`.
fn list(revision: &str, files: &Files) -> Vec<u8> {
    let siblings: Vec<Value> = files
        .iter()
        .map(|(path, bytes)| {
            let (size, hash) = (bytes.len(), checksum(bytes));
            match path.ends_with(".safetensors") {
                true => json!({
                    "rfilename": path, "size": size, "blobId": &hash[24..],
                    "lfs": {"sha256": hash, "size": size, "pointerSize": 135},
                }),
                false => json!({"rfilename": path, "size": size, "blobId": &hash[24..]}),
            }
        })
        .collect();
    let list = json!({"id": MODEL, "sha": commit(revision), "siblings": siblings});
    response("200 OK", "", list.to_string().as_bytes())
}

/// A hub with a separate host for weights, as Hugging Face has it.
struct Hub {
    hub: Server,
    store: Server,
}

impl Hub {
    /// A hub of `revisions`; `store` answers requests for weights, given the file.
    fn start(
        revisions: Vec<(&'static str, Files)>,
        store: impl Fn(&Received, &[u8]) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let revisions = Arc::new(revisions);
        let stored = revisions.clone();
        let store = Server::start(move |request| {
            let hash = request.path.trim_start_matches("/store/");
            let mut all = stored.iter().flat_map(|(_, files)| files.values());
            match all.find(|bytes| checksum(bytes) == hash) {
                Some(bytes) => store(request, bytes),
                None => not_found(),
            }
        });
        // Another name of the same machine, so that it is another host.
        let to = store.address.replace("127.0.0.1", "localhost");
        let hub = Server::start(move |request| {
            for (revision, files) in revisions.iter() {
                let name = revision.replace('/', "%2F");
                if request.path == format!("/api/models/{MODEL}/revision/{name}?blobs=true") {
                    return list(revision, files);
                }
                let prefix = format!("/{MODEL}/resolve/{}/", commit(revision));
                let Some(path) = request.path.strip_prefix(&prefix) else {
                    continue;
                };
                return match files.get(path) {
                    Some(bytes) if path.ends_with(".safetensors") => {
                        redirect(&format!("{to}/store/{}", checksum(bytes)))
                    }
                    Some(bytes) => ranges(request, bytes),
                    None => not_found(),
                };
            }
            not_found()
        });
        Hub { hub, store }
    }

    /// Numbers of requests so far: to the hub, and for weights.
    fn requests(&self) -> (usize, usize) {
        (self.hub.received().len(), self.store.received().len())
    }
}

/// A cache folder, and the command that uses it.
struct User(Scratch);

impl User {
    fn new() -> Self {
        User(Scratch::new())
    }

    fn home(&self) -> PathBuf {
        self.0.0.join("huggingface")
    }

    /// A file of the model's folder in the cache.
    fn cached(&self, path: &str) -> PathBuf {
        self.home().join("hub/models--owner--name-2.1").join(path)
    }

    /// Runs the command with `model`; gives its output and the final latent.
    fn run(&self, model: &str, environment: &[(&str, &str)]) -> (Output, Option<Vec<u8>>) {
        let latents = self.0.0.join("latents.safetensors");
        let _ = std::fs::remove_file(&latents);
        let mut command = Command::new(env!("CARGO_BIN_EXE_darkroom"));
        for name in [
            "DARKROOM_HUB",
            "HF_ENDPOINT",
            "HF_TOKEN",
            "HF_TOKEN_PATH",
            "HF_HUB_CACHE",
            "HF_HUB_OFFLINE",
        ] {
            command.env_remove(name);
        }
        let output = command
            .current_dir(&self.0.0)
            .env("HF_HOME", self.home())
            .envs(["NO_PROXY", "no_proxy"].map(|name| (name, "*")))
            .envs(environment.iter().copied())
            .args(["generate", "--device", "cpu", "--model", model])
            .args(["--prompt", "a man", "--negative-prompt", "mustache"])
            .args(["--steps", "2", "--width", "64", "--height", "64", "--json"])
            .args(["--out", "picture.png"])
            .args(["--latents-out", "latents.safetensors"])
            .output()
            .expect("the command");
        let latents = output
            .status
            .success()
            .then(|| std::fs::read(&latents).expect("a latent"));
        (output, latents)
    }

    /// Runs the command, which must succeed; gives the latent, the message and the report.
    #[track_caller]
    fn succeeds(&self, model: &str, environment: &[(&str, &str)]) -> (Vec<u8>, String, Value) {
        let (output, latent) = self.run(model, environment);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        let latent = latent.unwrap_or_else(|| panic!("{model}: {message}"));
        let report = serde_json::from_slice(&output.stdout).expect("a report");
        (latent, message, report)
    }

    /// Runs the command, which must fail with every one of `words`.
    #[track_caller]
    fn fails(&self, model: &str, environment: &[(&str, &str)], words: &[&str]) {
        let (output, _) = self.run(model, environment);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{message}");
        for word in words {
            assert!(message.contains(word), "no {word:?} in: {message}");
        }
    }
}

/// The latent from the golden model `name` on disk.
fn expected(name: &str) -> Vec<u8> {
    let model = golden().join("models").join(name).join("model");
    User::new().succeeds(model.to_str().expect("UTF-8"), &[]).0
}

/// Requests for a whole file, or the rest of one.
fn whole(server: &Server) -> Vec<Received> {
    let mut requests = server.received();
    requests.retain(|request| {
        request
            .header("range")
            .is_some_and(|range| range.ends_with('-'))
    });
    requests
}

#[test]
fn a_model_is_downloaded_once() {
    let hub = Hub::start(vec![("main", files("sd1-pndm"))], ranges);
    let user = User::new();
    let environment = [("DARKROOM_HUB", &*hub.hub.address)];
    let expected = expected("sd1-pndm");
    let (latent, message, _) = user.succeeds(MODEL, &environment);
    assert_eq!(latent, expected);
    for word in [&format!("downloading {UNET} "), "of 0 MB"] {
        assert!(message.contains(word), "no {word:?} in: {message}");
    }
    // Each of the three files once whole; before that, the two parts of its header.
    assert_eq!(whole(&hub.store).len(), 3);
    assert_eq!(hub.store.received().len(), 9);
    let recorded = std::fs::read_to_string(user.cached("refs/main")).expect("a revision");
    assert_eq!(recorded, commit("main"));
    let unet = user.cached(&format!("snapshots/{recorded}/{UNET}"));
    assert_eq!(std::fs::read(&unet).ok(), files("sd1-pndm").remove(UNET));
    let link = std::fs::read_link(&unet).expect("a link");
    assert!(link.starts_with("../../../blobs"), "{link:?}");

    // Now only the list is asked for.
    let (before_hub, before_store) = hub.requests();
    let (latent, message, _) = user.succeeds(MODEL, &[("HF_ENDPOINT", &*hub.hub.address)]);
    assert_eq!(latent, expected);
    assert!(!message.contains("downloading"), "{message}");
    assert_eq!(hub.requests(), (before_hub + 1, before_store));

    // Without the hub, the cache is enough.
    for environment in [
        &[("DARKROOM_HUB", OFF)][..],
        &[("DARKROOM_HUB", &*hub.hub.address), ("HF_HUB_OFFLINE", "1")],
    ] {
        let (latent, _, report) = user.succeeds(MODEL, environment);
        assert_eq!(latent, expected);
        let warning = report["warnings"][0].as_str().expect("a warning");
        assert!(warning.contains("is read from the cache"), "{warning}");
    }
    assert_eq!(hub.requests(), (before_hub + 1, before_store));
    User::new().fails(MODEL, &[("DARKROOM_HUB", OFF)], &[OFF, MODEL]);
}

#[test]
fn only_the_needed_files_are_downloaded() {
    let mut all = files("sd1-plain-first");
    let needed: Vec<String> = all.keys().cloned().collect();
    // A file of each kind that such folders have beside the needed ones.
    for path in [
        UNET,
        "unet/diffusion_pytorch_model.bin",
        "safety_checker/model.safetensors",
        "v1-5.ckpt",
    ] {
        all.insert(path.into(), path.as_bytes().to_vec());
    }
    let hub = Hub::start(vec![("main", all)], ranges);
    let user = User::new();
    let (latent, ..) = user.succeeds(MODEL, &[("DARKROOM_HUB", &*hub.hub.address)]);
    assert_eq!(latent, expected("sd1-plain-first"));
    let base = format!("/{MODEL}/resolve/{}/", commit("main"));
    for request in hub.hub.received().iter().skip(1) {
        let path = request.path.strip_prefix(&base).expect("a file");
        assert!(needed.iter().any(|needed| needed == path), "{path}");
    }
}

#[test]
fn a_revision_is_the_one_that_was_named() {
    let revisions = vec![
        ("main", files("sd1-pndm")),
        ("fp16", files("sd1-all-cross")),
        ("refs/pr/3", files("sd1-pndm")),
    ];
    let hub = Hub::start(revisions, ranges);
    let user = User::new();
    let environment = [("DARKROOM_HUB", &*hub.hub.address)];
    let main = user.succeeds(MODEL, &environment).0;
    assert_eq!(main, expected("sd1-pndm"));
    let fp16 = user.succeeds(&format!("{MODEL}@fp16"), &environment).0;
    assert_eq!(fp16, expected("sd1-all-cross"));
    // Another commit with the same content: the blobs are there.
    let before = whole(&hub.store).len();
    let model = format!("{MODEL}@refs/pr/3");
    assert_eq!(user.succeeds(&model, &environment).0, main);
    assert_eq!(whole(&hub.store).len(), before);
    // A commit is a revision, too, and is in the cache.
    let model = format!("{MODEL}@{}", commit("fp16"));
    assert_eq!(user.succeeds(&model, &[("DARKROOM_HUB", OFF)]).0, fp16);

    let words = [&*hub.hub.address, "v9", "does not exist"];
    user.fails(&format!("{MODEL}@v9"), &environment, &words);
    user.fails("owner/other", &environment, &["owner/other", "404"]);
    let words = [
        "404",
        "lives on as stable-diffusion-v1-5/stable-diffusion-v1-5",
    ];
    user.fails("runwayml/stable-diffusion-v1-5", &environment, &words);
    // What is on disk comes first.
    let before = hub.hub.received().len();
    std::fs::create_dir_all(user.0.0.join(MODEL)).expect("a folder");
    user.fails(MODEL, &environment, &[MODEL, "no such file"]);
    assert_eq!(hub.hub.received().len(), before);
}

/// `darkroom models` asks for configurations and headers, and for no weights.
#[test]
fn a_model_is_surveyed_without_a_download() {
    let hub = Hub::start(vec![("main", files("sd1-pndm"))], ranges);
    let user = User::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_darkroom"));
    let output = command
        .args(["models", MODEL, "--device", "cpu", "--json"])
        .env("HF_HOME", user.home())
        .env("DARKROOM_HUB", &hub.hub.address)
        .envs(["NO_PROXY", "no_proxy"].map(|name| (name, "*")))
        .output()
        .expect("the command");
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{message}");
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let sizes = files("sd1-pndm");
    let weights = sizes
        .iter()
        .filter(|(path, _)| path.ends_with(".safetensors"));
    let bytes: usize = weights.map(|(_, bytes)| bytes.len()).sum();
    assert_eq!(json["survey"]["file_bytes"], bytes);
    assert!(whole(&hub.store).is_empty());
    // The length and the JSON of three headers.
    assert_eq!(hub.store.received().len(), 6);
    assert!(
        !user
            .cached(&format!("snapshots/{}/{UNET}", commit("main")))
            .exists()
    );
}

#[test]
fn a_token_goes_to_the_hub_only() {
    let gated = Hub::start(vec![("main", files("sd1-pndm"))], ranges);
    let address = gated.hub.address.clone();
    // Lets only who has the token through to the hub above.
    let door = Server::start(move |request| match request.header("authorization") {
        Some("Bearer hf_secret") => redirect(&format!("{address}{}", request.path)),
        _ => response("401 Unauthorized", "", b"Invalid username or password."),
    });
    let hub = ("DARKROOM_HUB", &*door.address);
    let words = [
        &*door.address,
        "401",
        "does not exist or requires authentication",
    ];
    User::new().fails(MODEL, &[hub], &words);
    User::new().fails(MODEL, &[hub, ("HF_TOKEN", "hf_wrong")], &words);

    let expected = expected("sd1-pndm");
    let user = User::new();
    let token = ("HF_TOKEN", "hf_secret");
    assert_eq!(user.succeeds(MODEL, &[hub, token]).0, expected);
    let user = User::new();
    std::fs::create_dir_all(user.home()).expect("a folder");
    std::fs::write(user.home().join("token"), "hf_secret\n").expect("a token");
    assert_eq!(user.succeeds(MODEL, &[hub]).0, expected);
    for request in gated.store.received() {
        assert_eq!(request.header("authorization"), None);
    }

    let open = Hub::start(vec![("main", files("sd1-pndm"))], ranges);
    User::new().succeeds(MODEL, &[("DARKROOM_HUB", &open.hub.address)]);
    for request in open.hub.received().iter().chain(&open.store.received()) {
        assert_eq!(request.header("authorization"), None);
    }
}

/// The first half of a whole answer.
fn half(bytes: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", bytes.len());
    [head.as_bytes(), &bytes[..bytes.len() / 2]].concat()
}

/// A store that breaks off in the middle of the U-Net, then fails, then, where `state` is 2,
/// works; it ignores the ranges of the rest unless `has_ranges`.
fn breaking(state: Arc<AtomicU8>, has_ranges: bool) -> Hub {
    let all = files("sd1-pndm");
    let unet = all[UNET].clone();
    Hub::start(vec![("main", all)], move |request, bytes| {
        let rest = request
            .header("range")
            .is_some_and(|range| range.ends_with('-'));
        if bytes != unet || !rest {
            return ranges(request, bytes);
        }
        match state.load(SeqCst) {
            0 => {
                state.store(1, SeqCst);
                half(bytes)
            }
            1 => response("503 Service Unavailable", "", b"later"),
            _ if has_ranges => ranges_from(request, bytes),
            _ => response("200 OK", "", bytes),
        }
    })
}

/// The bytes from the start of the requested range to the end.
fn ranges_from(request: &Received, bytes: &[u8]) -> Vec<u8> {
    let range = request.header("range").expect("a range");
    let start = range.trim_start_matches("bytes=").trim_end_matches('-');
    let start: usize = start.parse().expect("a number");
    let headers = format!("Content-Range: bytes {start}-{0}/{0}\r\n", bytes.len());
    response("206 Partial Content", &headers, &bytes[start..])
}

#[test]
fn an_interrupted_download_is_resumed_and_leaves_no_broken_file() {
    let expected = expected("sd1-pndm");
    let unet = files("sd1-pndm").remove(UNET).expect("a U-Net");
    for has_ranges in [true, false] {
        let state = Arc::new(AtomicU8::new(0));
        let hub = breaking(state.clone(), has_ranges);
        let user = User::new();
        let environment = [("DARKROOM_HUB", &*hub.hub.address)];
        user.fails(MODEL, &environment, &[&hub.hub.address, UNET, "503"]);
        let blob = user.cached(&format!("blobs/{}", checksum(&unet)));
        let link = user.cached(&format!("snapshots/{}/{UNET}", commit("main")));
        assert!(!blob.exists() && !link.exists());
        assert!(!user.cached("refs/main").exists());
        let part = blob.with_extension("incomplete");
        assert_eq!(length(&part), unet.len() / 2);
        user.fails(MODEL, &[("DARKROOM_HUB", OFF)], &[OFF]);

        state.store(2, SeqCst);
        assert_eq!(user.succeeds(MODEL, &environment).0, expected);
        let last = whole(&hub.store);
        let resumed = format!("bytes={}-", unet.len() / 2);
        let ranges: Vec<_> = last
            .iter()
            .filter_map(|request| request.header("range"))
            .collect();
        assert!(ranges.contains(&&*resumed), "{ranges:?}");
        assert!(std::fs::read(&blob).ok() == Some(unet.clone()) && !part.exists());
    }
}

#[test]
fn a_part_that_is_complete_needs_no_request() {
    let hub = Hub::start(vec![("main", files("sd1-pndm"))], ranges);
    let unet = files("sd1-pndm").remove(UNET).expect("a U-Net");
    let user = User::new();
    std::fs::create_dir_all(user.cached("blobs")).expect("a folder");
    let part = user.cached(&format!("blobs/{}.incomplete", checksum(&unet)));
    std::fs::write(part, &unet).expect("a part");
    let (latent, ..) = user.succeeds(MODEL, &[("DARKROOM_HUB", &*hub.hub.address)]);
    assert_eq!(latent, expected("sd1-pndm"));
    assert_eq!(whole(&hub.store).len(), 2);
}

#[test]
fn a_file_of_another_size_than_listed_is_refused() {
    for change in [-1, 1] {
        let hub = Hub::start(vec![("main", files("sd1-pndm"))], move |request, bytes| {
            let rest = request
                .header("range")
                .is_some_and(|range| range.ends_with('-'));
            let mut bytes = bytes.to_vec();
            match rest {
                true => bytes.resize(bytes.len().saturating_add_signed(change), 0),
                false => return ranges(request, &bytes),
            }
            response("200 OK", "", &bytes)
        });
        let user = User::new();
        let environment = [("DARKROOM_HUB", &*hub.hub.address)];
        user.fails(MODEL, &environment, &[&hub.hub.address, "bytes, expected"]);
        let snapshot = user.cached(&format!("snapshots/{}", commit("main")));
        assert!(!snapshot.join("text_encoder/model.safetensors").exists());
    }
}

fn length(path: &Path) -> usize {
    std::fs::metadata(path).map_or(0, |meta| meta.len() as usize)
}
