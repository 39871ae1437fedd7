//! Locations of a model: addresses, redirected ones, servers without ranges. All give the same
//! latent as the folder or file on disk.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;

use serde_json::Value;

use crate::support::checkpoint::Kind;
use crate::support::command::{FAILURE, Scratch, command};
use crate::support::server::{Received, Server, not_found, ranges, redirect, response};
use crate::support::{assert_contains, golden};

/// Runs `darkroom generate` in `folder`. Returns its output and the bytes of the final latent.
fn run(folder: &Path, model: &str, more: &[&str]) -> (Output, Option<Vec<u8>>) {
    let latents = folder.join("latents.safetensors");
    let _ = std::fs::remove_file(&latents);
    let output = command("cpu", model, more)
        .current_dir(folder)
        .args(["--steps", "2", "--width", "64", "--height", "64", "--json"])
        .args(["--out", "picture.png", "--latents-out"])
        .arg(&latents)
        .output()
        .expect("the command");
    let latents = output
        .status
        .success()
        .then(|| std::fs::read(&latents).expect("a latent"));
    (output, latents)
}

#[track_caller]
fn latent(folder: &Path, model: &str, more: &[&str]) -> Vec<u8> {
    let (output, latent) = run(folder, model, more);
    latent.unwrap_or_else(|| panic!("{model}: {}", String::from_utf8_lossy(&output.stderr)))
}

#[track_caller]
fn fails(folder: &Path, model: &str, words: &[&str]) {
    let (output, _) = run(folder, model, &[]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(FAILURE), "{message}");
    assert_contains(&message, words);
}

fn model() -> PathBuf {
    golden().join("models/sd1-pndm/model")
}

/// The file of [`model`] that is requested below `prefix`.
fn file_below(prefix: &str, request: &Received) -> Option<Vec<u8>> {
    let path = request.path.split('?').next()?.strip_prefix(prefix)?;
    std::fs::read(model().join(path)).ok()
}

/// Asserts that requests have a range, and no header that a server of another origin might refuse.
fn check_headers(server: &Server) {
    let known = [
        "host",
        "range",
        "user-agent",
        "accept",
        "connection",
        "accept-encoding",
    ];
    for request in server.received() {
        assert!(request.header("range").is_some(), "{request:?}");
        for (name, _) in &request.headers {
            assert!(known.contains(&name.as_str()), "{request:?}");
        }
    }
}

#[test]
fn folders_at_addresses_equal_the_folder_on_disk() {
    let scratch = Scratch::new();
    let here = model();
    let expected = latent(&scratch.0, here.to_str().expect("UTF-8"), &[]);

    let plain = Server::start(|request| match file_below("/some/model/", request) {
        Some(bytes) => ranges(request, &bytes),
        None => not_found(),
    });
    for end in ["", "/"] {
        let address = format!("{}/some/model{end}", plain.address);
        assert_eq!(latent(&scratch.0, &address, &[]), expected);
    }
    check_headers(&plain);

    // Weights on another host: the range must arrive there.
    let store = Server::start(|request| match file_below("/store/", request) {
        Some(bytes) if request.path.ends_with("?signed=1") => ranges(request, &bytes),
        _ => not_found(),
    });
    let to = store.address.clone();
    let site = Server::start(move |request| match file_below("/model/", request) {
        Some(_) if request.path.ends_with(".safetensors") => {
            let path = request.path.trim_start_matches("/model/");
            redirect(&format!("{to}/store/{path}?signed=1"))
        }
        Some(bytes) => ranges(request, &bytes),
        None => not_found(),
    });
    let address = format!("{}/model", site.address);
    assert_eq!(latent(&scratch.0, &address, &[]), expected);
    check_headers(&site);
    check_headers(&store);
    assert!(store.received().len() > 300);

    fails(
        &scratch.0,
        "a/b/c",
        &["a/b/c: there is no such file or folder"],
    );
    let closed = Server::start(|_| response("401 Unauthorized", "", b"Repository not found"));
    let address = format!("{}/model", closed.address);
    let words = ["401", "does not exist or requires authentication"];
    fails(&scratch.0, &address, &[&address, words[0], words[1]]);
}

#[test]
fn files_at_addresses_equal_the_file_on_disk() {
    let scratch = Scratch::new();
    let kind = Kind::reduced("sd1", 862);
    let bytes = Arc::new(kind.file());
    std::fs::write(scratch.0.join("model.safetensors"), &*bytes).expect("a file");
    let vocab = golden().join("models/tokenizer");
    let vocab = ["--vocab", vocab.to_str().expect("UTF-8")];
    let expected = latent(&scratch.0, "model.safetensors", &vocab);
    let absolute = scratch.0.join("model.safetensors");
    let absolute = absolute.to_str().expect("UTF-8");
    assert_eq!(latent(&scratch.0, absolute, &vocab), expected);

    let file = bytes.clone();
    let store = Server::start(move |request| match request.path.as_str() {
        "/files/some%20model.SafeTensors?key=a/b" => ranges(request, &file),
        _ => not_found(),
    });
    let address = format!("{}/files/some%20model.SafeTensors?key=a/b", store.address);
    assert_eq!(latent(&scratch.0, &address, &vocab), expected);
    check_headers(&store);
    // Every required byte once, in the order of the file: the header (its length, then the rest)
    // and the tensors, without the VAE's encoder and everything that is not part of a network.
    let starts: Vec<u64> = store
        .received()
        .iter()
        .filter_map(|request| {
            request
                .header("range")?
                .strip_prefix("bytes=")?
                .split('-')
                .next()?
                .parse()
                .ok()
        })
        .collect();
    assert!(starts[1..].is_sorted(), "{starts:?}");
    let unneeded = kind.tensors.iter().filter(|entry| {
        let name = &entry.0;
        [
            "first_stage_model.encoder.",
            "first_stage_model.quant_conv.",
            "alphas",
            "model_ema",
            "position_ids",
        ]
        .iter()
        .any(|part| name.contains(part))
    });
    // Size, length of the header, and header come before the tensors.
    assert_eq!(starts.len(), 3 + kind.tensors.len() - unneeded.count());

    let to = address.clone();
    let elsewhere = Server::start(move |_| redirect(&to));
    let redirected = format!("{}/model.safetensors", elsewhere.address);
    assert_eq!(latent(&scratch.0, &redirected, &vocab), expected);
    check_headers(&elsewhere);

    // A server without ranges gets one request, for the whole file.
    let file = bytes.clone();
    let whole = Server::start(move |_| response("200 OK", "", &file));
    let address = format!("{}/model.safetensors", whole.address);
    assert_eq!(latent(&scratch.0, &address, &vocab), expected);
    assert_eq!(whole.received().len(), 1);

    fails(
        &scratch.0,
        &format!("{}/other.safetensors", store.address),
        &["/other.safetensors", "no such file"],
    );
    let page = Server::start(|_| response("200 OK", "", b"<!doctype html><p>not here</p>"));
    fails(
        &scratch.0,
        &format!("{}/model.safetensors", page.address),
        &["web page"],
    );
    let file = bytes.clone();
    let short = Server::start(move |request| ranges(request, &file[..file.len() / 2]));
    fails(
        &scratch.0,
        &format!("{}/model.safetensors", short.address),
        &["truncated"],
    );
}

/// Hosts of models give files addresses without a name, and redirect them to a store.
#[test]
fn addresses_without_an_ending_are_recognised_by_their_content() {
    let scratch = Scratch::new();
    let bytes = Arc::new(Kind::reduced("sd1", 862).file());
    std::fs::write(scratch.0.join("model.safetensors"), &*bytes).expect("a file");
    let vocab = golden().join("models/tokenizer");
    let vocab = ["--vocab", vocab.to_str().expect("UTF-8")];
    let expected = latent(&scratch.0, "model.safetensors", &vocab);

    let file = bytes.clone();
    let store = Server::start(move |request| match request.path.as_str() {
        "/bucket/0a1b?signed=1" => ranges(request, &file),
        _ => not_found(),
    });
    let to = format!("{}/bucket/0a1b?signed=1", store.address);
    let (file, pickle) = (bytes.clone(), b"PK\x03\x04\0\0\x08\x08archive/data.pkl");
    let site = Server::start(move |request| match request.path.as_str() {
        "/api/download/models/8821" | "/api/download/models/8821?type=Model&format=SafeTensor" => {
            response(
                "307 Temporary Redirect",
                &format!("Location: {to}\r\n"),
                b"",
            )
        }
        "/direct" | "/file.ckpt?download=true" => ranges(request, &file),
        "/whole" => response("200 OK", "", &file),
        "/pickle" => ranges(request, pickle),
        "/private/1" => response("401 Unauthorized", "", b"{\"error\":\"Unauthorized\"}"),
        "/page" => response("200 OK", "", b"<!doctype html><p>a model</p>"),
        _ => not_found(),
    });
    for path in [
        "/api/download/models/8821",
        "/api/download/models/8821?type=Model&format=SafeTensor",
        "/direct",
        "/file.ckpt?download=true",
        "/whole",
    ] {
        let address = format!("{}{path}", site.address);
        assert_eq!(latent(&scratch.0, &address, &vocab), expected, "{path}");
    }
    check_headers(&site);
    check_headers(&store);
    let fails = |path: &str, words: &[&str]| {
        fails(&scratch.0, &format!("{}{path}", site.address), words);
    };
    fails("/pickle", &["/pickle", "PyTorch pickle"]);
    fails("/private/1", &["/private/1", "401", "with a browser"]);
    // A page is taken for a folder, as a server may show one for it.
    fails("/page", &["/page/unet/config.json", "no such file"]);
    fails("/nowhere", &["/nowhere/unet/config.json", "no such file"]);
}

/// Some hosts want a key with every file.
#[test]
fn the_query_of_a_folders_address_goes_with_every_file() {
    let scratch = Scratch::new();
    let here = model();
    let expected = latent(&scratch.0, here.to_str().expect("UTF-8"), &[]);
    let server = Server::start(|request| match file_below("/model/", request) {
        Some(bytes) if request.path.ends_with("?key=a/b") => ranges(request, &bytes),
        _ => not_found(),
    });
    for end in ["", "/"] {
        let address = format!("{}/model{end}?key=a/b", server.address);
        assert_eq!(latent(&scratch.0, &address, &[]), expected);
    }
}

/// SD2 files rarely name their prediction type. The engine then detects it and shows a warning.
#[test]
fn a_missing_prediction_type_is_detected_with_a_warning() {
    let scratch = Scratch::new();
    let vocab = golden().join("models/tokenizer");
    let run = |file: &str, more: &[&str]| {
        let more = [&["--vocab", vocab.to_str().expect("UTF-8")], more].concat();
        let (output, latent) = run(&scratch.0, file, &more);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        let json: Value = serde_json::from_slice(&output.stdout).expect(&message);
        (json, message, latent.expect("a latent"))
    };
    let kind = Kind::reduced("sd2", 862);
    std::fs::write(scratch.0.join("sd2.safetensors"), kind.file()).expect("a file");
    let (json, message, auto) = run("sd2.safetensors", &[]);
    let warning = "does not name its prediction type";
    assert!(message.contains(warning) && message.contains("set prediction to epsilon"));
    assert!(
        json["warnings"][0]
            .as_str()
            .is_some_and(|text| text.contains(warning))
    );
    // The weights are random, so the prediction for noise does not resemble the noise.
    assert_eq!(json["prediction_type"], "v_prediction");
    let (json, message, v) = run("sd2.safetensors", &["--prediction", "v"]);
    assert!(!message.contains(warning));
    assert_eq!(json["prediction_type"], "v_prediction");
    assert_eq!(auto, v);
    let (json, message, epsilon) = run("sd2.safetensors", &["--prediction", "epsilon"]);
    assert!(!message.contains(warning));
    assert_eq!(json["prediction_type"], "epsilon");
    assert_ne!(epsilon, v);

    let kind = Kind::reduced("sd1", 862);
    std::fs::write(scratch.0.join("sd1.safetensors"), kind.file()).expect("a file");
    let (json, message, _) = run("sd1.safetensors", &[]);
    assert!(!message.contains(warning));
    assert_eq!(json["prediction_type"], "epsilon");
}
