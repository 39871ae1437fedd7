//! Small web servers on free ports. Each runs until the test's process ends.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A received request.
#[derive(Clone, Debug)]
pub struct Received {
    /// Path and query.
    pub path: String,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(key, _)| key == name)?;
        Some(value)
    }

    /// First and last byte of the requested range.
    fn range(&self) -> Option<(usize, usize)> {
        let (start, end) = self
            .header("range")?
            .strip_prefix("bytes=")?
            .split_once('-')?;
        Some((start.parse().ok()?, end.parse().ok()?))
    }
}

/// A server and the requests that it received.
#[derive(Clone)]
pub struct Server {
    /// `http://127.0.0.1:port`
    pub address: String,
    log: Arc<Mutex<Vec<Received>>>,
}

impl Server {
    /// Answers every request with `answer`.
    pub fn start(answer: impl Fn(&Received) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let log = Arc::new(Mutex::new(Vec::new()));
        let server = Server {
            address,
            log: log.clone(),
        };
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, log) = (answer.clone(), log.clone());
                std::thread::spawn(move || respond(stream, &*answer, &log));
            }
        });
        server
    }

    /// The requests so far.
    pub fn received(&self) -> Vec<Received> {
        self.log.lock().expect("the log").clone()
    }
}

fn respond(
    mut stream: TcpStream,
    answer: &(impl Fn(&Received) -> Vec<u8> + ?Sized),
    log: &Mutex<Vec<Received>>,
) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            n => request.extend(&buffer[..n]),
        }
    }
    let request = String::from_utf8_lossy(&request);
    let mut lines = request.lines();
    let path = lines.next().and_then(|line| line.split(' ').nth(1));
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_lowercase(), value.trim().to_string()))
    };
    let received = Received {
        path: path.unwrap_or("/").to_string(),
        headers: lines.map_while(header).collect(),
    };
    let bytes = answer(&received);
    log.lock().expect("the log").push(received);
    stream.write_all(&bytes)
}

/// A response with its length.
pub fn response(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}Connection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// `bytes`, or the requested range of them.
pub fn ranges(received: &Received, bytes: &[u8]) -> Vec<u8> {
    match received.range() {
        Some((start, last)) if start < bytes.len() => {
            let last = last.min(bytes.len() - 1);
            let range = format!("Content-Range: bytes {start}-{last}/{}\r\n", bytes.len());
            response("206 Partial Content", &range, &bytes[start..=last])
        }
        Some(_) => response("416 Range Not Satisfiable", "", b""),
        None => response("200 OK", "", bytes),
    }
}

pub fn not_found() -> Vec<u8> {
    response("404 Not Found", "", b"not found")
}

pub fn redirect(to: &str) -> Vec<u8> {
    response("302 Found", &format!("Location: {to}\r\n"), b"moved")
}
