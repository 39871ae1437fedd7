//! The native command with addresses that cannot be reached and servers that answer otherwise than hoped.

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use support::command::{FAILURE, Outcome, Scratch, generate};

#[test]
fn unreachable_addresses() {
    let out = Scratch::new();
    let out = out.0.join("picture.png");
    // Port 9 of this machine: nobody listens there.
    generate("http://127.0.0.1:9/model", &out, &[]).fails(FAILURE, &["http://127.0.0.1:9/model"]);
    generate("http://no-such-host.invalid/model", &out, &[])
        .fails(FAILURE, &["http://no-such-host.invalid/model"]);
    generate("http://", &out, &[]).fails(FAILURE, &["http://"]);
}

/// Answers every request on a free port with `answer(path)` until the test's process ends; gives the address.
fn serve(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = respond(stream, &answer);
        }
    });
    address
}

fn respond(mut stream: TcpStream, answer: &impl Fn(&str) -> Vec<u8>) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            n => request.extend(&buffer[..n]),
        }
    }
    let request = String::from_utf8_lossy(&request);
    let path = request.split(' ').nth(1).unwrap_or("/");
    stream.write_all(&answer(path))
}

fn response(status: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

#[test]
fn servers_that_answer_otherwise() {
    let scratch = Scratch::new();
    let out = scratch.0.join("picture.png");
    let address = serve(|_| response("404 Not Found", b"no"));
    generate(&format!("{address}/model"), &out, &[])
        .fails(FAILURE, &[&address, "/model/", "no such file"]);

    let address = serve(|_| response("500 Internal Server Error", b"no"));
    generate(&format!("{address}/model"), &out, &[]).fails(FAILURE, &[&address, "500"]);

    // A page in the place of every file, as single-page hosts send it.
    let address = serve(|_| response("200 OK", b"<!doctype html>"));
    generate(&format!("{address}/model"), &out, &[]).fails(FAILURE, &[&address, "JSON"]);

    // Fewer bytes than announced.
    let address = serve(|_| {
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nConnection: close\r\n\r\n{".to_vec()
    });
    generate(&format!("{address}/model"), &out, &[]).fails(FAILURE, &[&address]);

    // No HTTP at all.
    let address = serve(|_| b"SSH-2.0-OpenSSH_9.2\r\n".to_vec());
    generate(&format!("{address}/model"), &out, &[]).fails(FAILURE, &[&address]);
}

/// A server without ranges and one whose weights are missing.
#[test]
fn a_model_from_a_server() {
    let scratch = Scratch::new();
    let file = |path: &str| {
        let path = path.trim_start_matches("/model/");
        std::fs::read(support::golden().join("models/sd1-pndm/model").join(path))
    };
    let whole = move |path: &str| match file(path) {
        Ok(bytes) => response("200 OK", &bytes),
        Err(_) => response("404 Not Found", b""),
    };
    let address = serve(whole);
    let out = scratch.0.join("picture.png");
    let Outcome { output, picture } =
        generate(&format!("{address}/model/"), &out, &["--steps", "1"]);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(picture);

    let address = serve(move |path| match path {
        path if path.contains("vae/diffusion") => response("404 Not Found", b""),
        path => whole(path),
    });
    let out = scratch.0.join("another.png");
    generate(&format!("{address}/model"), &out, &[])
        .fails(FAILURE, &[&address, "vae", "safetensors"]);
}
