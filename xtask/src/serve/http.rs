//! The part of HTTP/1.1 that a server of static files needs: GET and HEAD, one request after
//! another on a connection.

use std::fs::File;
use std::io::{self, BufRead, Read, Seek, SeekFrom, Write};

/// Limit of a request line and its headers together; browsers stay far below it.
const LONGEST_HEAD: u64 = 64 * 1024;

pub struct Request {
    pub method: String,
    /// Percent-decoded, without the query.
    pub path: String,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    http_1_0: bool,
}

pub enum Incoming {
    Request(Request),
    Malformed,
    /// The client ended the connection between two requests.
    Closed,
}

impl Request {
    pub fn read(reader: &mut impl BufRead) -> io::Result<Incoming> {
        let mut lines = reader.by_ref().take(LONGEST_HEAD).lines();
        let Some(first) = lines.next() else {
            return Ok(Incoming::Closed);
        };
        let first = first?;
        let words: Vec<&str> = first.split(' ').collect();
        let [method, target, version] = words[..] else {
            return Ok(Incoming::Malformed);
        };
        let Some(path) = decode(target.split(['?', '#']).next().unwrap_or_default()) else {
            return Ok(Incoming::Malformed);
        };
        if !path.starts_with('/') || !version.starts_with("HTTP/1.") {
            return Ok(Incoming::Malformed);
        }
        let mut headers = Vec::new();
        for line in lines {
            let line = line?;
            if line.is_empty() {
                let http_1_0 = version == "HTTP/1.0";
                return Ok(Incoming::Request(Self {
                    method: method.to_owned(),
                    path,
                    headers,
                    http_1_0,
                }));
            }
            let Some((name, value)) = line.split_once(':') else {
                return Ok(Incoming::Malformed);
            };
            headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
        // Either the head is too long or the connection ended inside it.
        Ok(Incoming::Malformed)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The only `Host` header. `None` when it is missing or given twice, both of which HTTP/1.1
    /// forbids.
    pub fn host(&self) -> Option<&str> {
        let mut hosts = self.headers.iter().filter(|(known, _)| known == "host");
        let (_, host) = hosts.next()?;
        hosts.next().is_none().then_some(host.as_str())
    }

    /// Tells if another request may follow. A request with a body ends the connection, because
    /// the body is not read.
    pub fn keeps_connection(&self) -> bool {
        let asked = self
            .header("connection")
            .unwrap_or_default()
            .to_ascii_lowercase();
        let body = self.header("transfer-encoding").is_some()
            || self
                .header("content-length")
                .is_some_and(|length| length != "0");
        !self.http_1_0 && asked != "close" && !body
    }
}

/// Percent-decoding; `None` where the result is not UTF-8.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

pub struct Response {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Body,
}

pub enum Body {
    Bytes(Vec<u8>),
    /// Bytes `start .. start + length` of a file.
    File {
        file: File,
        start: u64,
        length: u64,
    },
}

impl Response {
    pub fn text(status: u16, text: &str) -> Self {
        let headers = vec![("Content-Type", "text/plain; charset=utf-8".to_owned())];
        Self {
            status,
            headers,
            body: Body::Bytes(text.as_bytes().to_vec()),
        }
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn write(self, out: &mut impl Write, head_only: bool, keep: bool) -> io::Result<()> {
        let length = match &self.body {
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::File { length, .. } => *length,
        };
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        // A 304 response does not state the length of the body that it omits.
        if self.status != 304 {
            head += &format!("Content-Length: {length}\r\n");
        }
        head += if keep {
            "Connection: keep-alive\r\n\r\n"
        } else {
            "Connection: close\r\n\r\n"
        };
        out.write_all(head.as_bytes())?;
        if head_only {
            return out.flush();
        }
        match self.body {
            Body::Bytes(bytes) => out.write_all(&bytes)?,
            Body::File {
                mut file,
                start,
                length,
            } => {
                file.seek(SeekFrom::Start(start))?;
                let sent = io::copy(&mut file.take(length), out)?;
                if sent != length {
                    // The file shrank meanwhile. Only a broken connection tells the browser that
                    // bytes are missing.
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the file became shorter",
                    ));
                }
            }
        }
        out.flush()
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        301 => "Moved Permanently",
        304 => "Not Modified",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        416 => "Range Not Satisfiable",
        _ => "Internal Server Error",
    }
}
