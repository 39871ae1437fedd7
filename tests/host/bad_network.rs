//! The native command with addresses that cannot be reached and with servers that misbehave.

use crate::support::command::{FAILURE, Scratch, generate};
use crate::support::golden;
use crate::support::server::{Server, response};

#[test]
fn unreachable_addresses_are_named() {
    let scratch = Scratch::new();
    let out = scratch.picture();
    // Nobody listens on port 9 of this machine.
    for address in [
        "http://127.0.0.1:9/model",
        "http://no-such-host.invalid/model",
        "http://",
    ] {
        generate(address, &out, &[]).fails(FAILURE, &[address]);
    }
}

#[test]
fn bad_responses_are_reported_with_the_address() {
    let scratch = Scratch::new();
    let out = scratch.picture();
    let fails = |answer: &[u8], words: &[&str]| {
        let answer = answer.to_vec();
        let server = Server::start(move |_| answer.clone());
        let outcome = generate(&format!("{}/model", server.address), &out, &[]);
        outcome.fails(FAILURE, &[&server.address]);
        outcome.fails(FAILURE, words);
    };
    fails(
        &response("404 Not Found", "", b"no"),
        &["/model/", "no such file"],
    );
    fails(&response("500 Internal Server Error", "", b"no"), &["500"]);
    // Single-page hosts send a page in place of every file.
    fails(&response("200 OK", "", b"<!doctype html>"), &["JSON"]);
    // Fewer bytes than announced.
    fails(
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nConnection: close\r\n\r\n{",
        &[],
    );
    // Not HTTP.
    fails(b"SSH-2.0-OpenSSH_9.2\r\n", &[]);
}

/// One server has no ranges, the other no weights of the VAE.
#[test]
fn a_model_loads_from_a_server_without_ranges() {
    let scratch = Scratch::new();
    let file = |path: &str| {
        let path = path.trim_start_matches("/model/");
        std::fs::read(golden().join("models/sd1-pndm/model").join(path))
    };
    let whole = move |path: &str| match file(path) {
        Ok(bytes) => response("200 OK", "", &bytes),
        Err(_) => response("404 Not Found", "", b""),
    };
    let server = Server::start(move |request| whole(&request.path));
    let address = format!("{}/model/", server.address);
    generate(&address, &scratch.picture(), &["--steps", "1"]).succeeds();

    let server = Server::start(move |request| match &*request.path {
        path if path.contains("vae/diffusion") => response("404 Not Found", "", b""),
        path => whole(path),
    });
    let address = format!("{}/model", server.address);
    let out = scratch.0.join("another.png");
    generate(&address, &out, &[]).fails(FAILURE, &[&server.address, "vae", "safetensors"]);
}
