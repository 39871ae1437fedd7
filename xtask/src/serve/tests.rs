//! Tests of the server over a real connection.

use std::cell::Cell;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::thread;

use super::connections::{Job, on_a_thread, serve};
use super::hosts::Hosts;
use super::http::{Incoming, Request, Response};
use super::{Options, TRIES, answer, listen, url};

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A folder with a page in it. Beside it lies a file that must not be served.
fn folder() -> PathBuf {
    let base = std::env::temp_dir().join(format!("xtask-serve-{}", std::process::id()));
    let root = base.join("www");
    fs::create_dir_all(root.join("pkg")).unwrap();
    fs::create_dir_all(root.join("models/my model")).unwrap();
    fs::write(base.join("secret.txt"), "secret").unwrap();
    fs::write(root.join("index.html"), "<!doctype html>").unwrap();
    fs::write(root.join("main.js"), "export {}").unwrap();
    fs::write(root.join("pkg/darkroom_bg.wasm"), b"\0asm").unwrap();
    fs::write(root.join("pkg/.stamp"), "hidden").unwrap();
    fs::write(root.join("models/digits.bin"), "0123456789").unwrap();
    fs::write(root.join("models/empty.bin"), "").unwrap();
    fs::write(root.join("models/my model/ü.json"), "{}").unwrap();
    root
}

fn server() -> SocketAddr {
    static ADDRESS: OnceLock<SocketAddr> = OnceLock::new();
    *ADDRESS.get_or_init(|| {
        let root = folder();
        let listener = TcpListener::bind((LOCAL, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let hosts = Hosts::new(LOCAL, &[]);
        let respond = move |request: &Request| answer(&root, &hosts, request);
        thread::spawn(move || serve(listener.incoming(), respond, on_a_thread, || {}));
        address
    })
}

/// Sends bytes on a connection of its own and reads it to the end: head and body.
fn exchange(request: &str) -> (String, String) {
    exchange_with(server(), request)
}

fn exchange_with(address: SocketAddr, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    (head.to_owned(), body.to_owned())
}

fn get(path: &str, headers: &str) -> (String, String) {
    exchange(&format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n"
    ))
}

fn status(head: &str) -> u16 {
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .skip(1)
        .find_map(|line| line.split_once(": ").filter(|(known, _)| *known == name))
        .map(|(_, value)| value)
}

#[test]
fn files_come_with_their_types() {
    for (path, media_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/index.html", "text/html; charset=utf-8"),
        ("/main.js?v=2", "text/javascript; charset=utf-8"),
        ("/pkg/darkroom_bg.wasm", "application/wasm"),
        ("/models/digits.bin", "application/octet-stream"),
        ("/models/my%20model/%C3%BC.json", "application/json"),
    ] {
        let (head, body) = get(path, "");
        assert_eq!(status(&head), 200, "{path}");
        assert_eq!(header(&head, "Content-Type"), Some(media_type), "{path}");
        assert_eq!(
            header(&head, "Content-Length"),
            Some(body.len().to_string().as_str()),
            "{path}"
        );
        assert_eq!(header(&head, "Cache-Control"), Some("no-cache"), "{path}");
    }
}

#[test]
fn ranges_give_exactly_those_bytes() {
    let (head, body) = get("/models/digits.bin", "Range: bytes=2-4\r\n");
    assert_eq!((status(&head), body.as_str()), (206, "234"));
    assert_eq!(header(&head, "Content-Range"), Some("bytes 2-4/10"));
    assert_eq!(header(&head, "Content-Length"), Some("3"));
    assert_eq!(get("/models/digits.bin", "Range: bytes=-2\r\n").1, "89");
    assert_eq!(get("/models/digits.bin", "range: bytes=8-\r\n").1, "89");

    let (head, _) = get("/models/digits.bin", "Range: bytes=10-\r\n");
    assert_eq!(status(&head), 416);
    assert_eq!(header(&head, "Content-Range"), Some("bytes */10"));
    assert_eq!(
        status(&get("/models/empty.bin", "Range: bytes=0-\r\n").0),
        416
    );
    assert_eq!(status(&get("/models/empty.bin", "").0), 200);
}

#[test]
fn a_cached_file_is_not_sent_again() {
    let (head, _) = get("/main.js", "");
    let tag = header(&head, "ETag").unwrap();
    let (head, body) = get("/main.js", &format!("If-None-Match: \"other\", {tag}\r\n"));
    assert_eq!((status(&head), body.as_str()), (304, ""));
    assert_eq!(header(&head, "ETag"), Some(tag));
    assert_eq!(
        status(&get("/main.js", "If-None-Match: \"other\"\r\n").0),
        200
    );
    // A range applies only to the version of the file that If-Range names.
    assert_eq!(
        status(
            &get(
                "/main.js",
                &format!("Range: bytes=0-1\r\nIf-Range: {tag}\r\n")
            )
            .0
        ),
        206
    );
    assert_eq!(
        status(&get("/main.js", "Range: bytes=0-1\r\nIf-Range: \"other\"\r\n").0),
        200
    );
}

#[test]
fn nothing_outside_the_folder_is_served() {
    for path in [
        "/../secret.txt",
        "/pkg/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/pkg/..%5c..%5csecret.txt",
        "//../secret.txt",
        "/pkg/.stamp",
        "/C:/secret.txt",
        "/index.html/",
        "/models/",
        "/nothing",
        "/main.js%00",
    ] {
        let (head, body) = get(path, "");
        assert_eq!(status(&head), 404, "{path}");
        assert!(!body.contains("hidden") && body != "secret", "{path}");
    }
}

#[test]
fn a_folder_redirects_to_its_address_with_a_slash() {
    let (head, _) = get("/models", "");
    assert_eq!(status(&head), 301);
    assert_eq!(header(&head, "Location"), Some("models/"));
    assert_eq!(
        header(&get("/models/my%20model", "").0, "Location"),
        Some("my%20model/")
    );
}

#[test]
fn other_methods_and_malformed_requests_are_refused() {
    let (head, _) = exchange("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody");
    assert_eq!(
        (status(&head), header(&head, "Allow")),
        (405, Some("GET, HEAD"))
    );
    assert_eq!(header(&head, "Connection"), Some("close"));
    for malformed in [
        "\r\n\r\n",
        "hello\r\n\r\n",
        "GET /%zz HTTP/1.1\r\n\r\n",
        "GET index.html HTTP/1.1\r\n\r\n",
    ] {
        assert_eq!(status(&exchange(malformed).0), 400, "{malformed:?}");
    }
    let endless = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(70_000));
    assert!(matches!(
        Request::read(&mut endless.as_bytes()),
        Ok(Incoming::Malformed)
    ));
    assert!(matches!(Request::read(&mut &b""[..]), Ok(Incoming::Closed)));
}

#[test]
fn a_connection_serves_one_request_after_another() {
    let request = |line: &str, headers: &str| format!("{line}\r\nHost: localhost\r\n{headers}\r\n");
    let (head, rest) = exchange(&format!(
        "{}{}{}",
        request("HEAD /models/digits.bin HTTP/1.1", ""),
        request("GET /main.js HTTP/1.1", ""),
        request("GET /nothing HTTP/1.1", "Connection: close\r\n"),
    ));
    assert_eq!(
        (status(&head), header(&head, "Content-Length")),
        (200, Some("10"))
    );
    assert!(
        rest.starts_with("HTTP/1.1 200 OK"),
        "HEAD has no body: {rest}"
    );
    assert!(rest.contains("export {}HTTP/1.1 404 Not Found"), "{rest}");
}

#[test]
fn a_taken_port_is_replaced_by_the_next_free_one() {
    let (first, address) = listen(LOCAL, 0).unwrap();
    let (_second, next) = listen(LOCAL, address.port()).unwrap();
    assert!(next.port() > address.port() && next.port() <= address.port() + TRIES);
    drop(first);
    assert_eq!(
        url(address),
        format!("http://localhost:{}/", address.port())
    );
}

#[test]
fn requests_under_a_foreign_name_are_refused() {
    let under = |host: &str| {
        exchange(&format!(
            "GET /main.js HTTP/1.1\r\n{host}Connection: close\r\n\r\n"
        ))
    };
    for host in ["localhost:8000", "127.0.0.1:8000", "[::1]:8000"] {
        assert_eq!(
            status(&under(&format!("Host: {host}\r\n")).0),
            200,
            "{host}"
        );
    }
    let (head, body) = under("Host: rebound.example:8000\r\n");
    assert_eq!(status(&head), 403);
    assert!(!body.contains("export"), "{body}");
    assert_eq!(status(&under("").0), 400);
    let twice = "Host: localhost\r\nHost: rebound.example\r\n";
    assert_eq!(status(&under(twice).0), 400);
}

/// Runs a server that meets the failures `before` first, and then accepts three connections. Its
/// thread returns the number of pauses.
fn fragile(
    mut before: impl Iterator<Item = io::Error> + Send + 'static,
    start: impl Fn(usize, Job) -> io::Result<()> + Send + 'static,
) -> (SocketAddr, thread::JoinHandle<usize>) {
    let listener = TcpListener::bind((LOCAL, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let failures = std::iter::from_fn(|| before.next().map(Err));
        let incoming = failures.chain(listener.incoming().take(3));
        let (started, paused) = (Cell::new(0), Cell::new(0));
        let counted = |job| {
            started.set(started.get() + 1);
            start(started.get(), job)
        };
        let respond = |_: &Request| Response::text(200, "served");
        serve(incoming, respond, counted, || paused.set(paused.get() + 1));
        paused.get()
    });
    (address, server)
}

const SIMPLE: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

#[test]
fn a_failed_accept_pauses_the_server_and_does_not_end_it() {
    // EMFILE on Unix. An aborted connection says nothing about the next one: no pause for it.
    let full = || io::Error::from_raw_os_error(24);
    let aborted = io::Error::from(io::ErrorKind::ConnectionAborted);
    let failures = [full(), aborted, full()].into_iter();
    let (address, server) = fragile(failures, |_, job| on_a_thread(job));
    for _ in 0..3 {
        assert_eq!(exchange_with(address, SIMPLE).1, "served");
    }
    assert_eq!(server.join().unwrap(), 2);
}

#[test]
fn a_thread_that_cannot_start_costs_one_connection_only() {
    let second_fails = |count, job| match count {
        2 => Err(io::Error::from(io::ErrorKind::WouldBlock)),
        _ => on_a_thread(job),
    };
    let (address, server) = fragile(std::iter::empty(), second_fails);
    assert_eq!(exchange_with(address, SIMPLE).1, "served");
    let mut refused = TcpStream::connect(address).unwrap();
    let mut answer = Vec::new();
    // The connection is closed without an answer.
    assert_eq!(refused.read_to_end(&mut answer).unwrap_or(0), 0);
    assert_eq!(exchange_with(address, SIMPLE).1, "served");
    assert_eq!(server.join().unwrap(), 1);
}

fn parse(words: &[&str]) -> Result<Options, String> {
    let words: Vec<OsString> = words.iter().map(OsString::from).collect();
    Options::parse(lexopt::Parser::from_args(words)).map_err(|error| error.to_string())
}

#[test]
fn options_are_read_in_both_spellings() {
    let words = [
        "--port=81",
        "--host",
        "::1",
        "--no-build",
        "--allow-host",
        "a",
        "--allow-host=b",
    ];
    let options = parse(&words).unwrap();
    assert_eq!((options.port, options.host), (81, "::1".parse().unwrap()));
    assert!(!options.build && options.root.is_none());
    assert_eq!(options.names, ["a", "b"]);
}

#[test]
fn wrong_options_are_named() {
    for (words, named) in [
        (&["--prot", "81"][..], "--prot"),
        (&["--port"], "--port"),
        (&["--port", "many"], "many"),
        (&["--host", "nowhere"], "nowhere"),
        (&["www"], "www"),
        (&["--no-build=1"], "--no-build"),
    ] {
        let error = parse(words).err().expect("an error");
        assert!(error.contains(named), "{words:?}: {error}");
    }
}
