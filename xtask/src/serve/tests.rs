//! The server over a real connection.

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::thread;

use super::http::{Incoming, Request};
use super::{TRIES, files, listen, serve, url};

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A folder with a page in it, and beside it a file that nobody may read.
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
        thread::spawn(move || serve(&listener, move |request| files::respond(&root, request)));
        address
    })
}

/// Sends bytes on a connection of its own and reads to its end: head and body.
fn exchange(request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(server()).unwrap();
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
fn what_the_browser_has_is_not_sent_again() {
    let (head, _) = get("/main.js", "");
    let tag = header(&head, "ETag").unwrap();
    let (head, body) = get("/main.js", &format!("If-None-Match: \"other\", {tag}\r\n"));
    assert_eq!((status(&head), body.as_str()), (304, ""));
    assert_eq!(header(&head, "ETag"), Some(tag));
    assert_eq!(
        status(&get("/main.js", "If-None-Match: \"other\"\r\n").0),
        200
    );
    // A range counts only while the file is the one that the range was meant for.
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
fn folders_lead_to_their_page() {
    let (head, _) = get("/models", "");
    assert_eq!(status(&head), 301);
    assert_eq!(header(&head, "Location"), Some("models/"));
    assert_eq!(
        header(&get("/models/my%20model", "").0, "Location"),
        Some("my%20model/")
    );
}

#[test]
fn other_methods_and_rubbish_are_refused() {
    let (head, _) = exchange("POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody");
    assert_eq!(
        (status(&head), header(&head, "Allow")),
        (405, Some("GET, HEAD"))
    );
    assert_eq!(header(&head, "Connection"), Some("close"));
    for rubbish in [
        "\r\n\r\n",
        "hello\r\n\r\n",
        "GET /%zz HTTP/1.1\r\n\r\n",
        "GET index.html HTTP/1.1\r\n\r\n",
    ] {
        assert_eq!(status(&exchange(rubbish).0), 400, "{rubbish:?}");
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
    let (head, rest) = exchange(
        "HEAD /models/digits.bin HTTP/1.1\r\n\r\nGET /main.js HTTP/1.1\r\n\r\nGET /nothing HTTP/1.1\r\nConnection: close\r\n\r\n",
    );
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
fn a_taken_port_leads_to_the_next() {
    let (first, address) = listen(LOCAL, 0).unwrap();
    let (_second, next) = listen(LOCAL, address.port()).unwrap();
    assert!(next.port() > address.port() && next.port() <= address.port() + TRIES);
    drop(first);
    assert_eq!(
        url(address),
        format!("http://localhost:{}/", address.port())
    );
}
