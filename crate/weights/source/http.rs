//! A model folder on a web server.

use std::collections::HashMap;
use std::io::Read;
use std::ops::Range;
use std::sync::Mutex;
use std::time::Duration;

use ureq::RequestBuilder;
use ureq::config::RedirectAuthHeaders;

use super::{Source, SourceFuture};
use crate::error::{Error, Result};

/// A model folder on a web server, read by byte ranges. Files of a server that ignores ranges are
/// downloaded whole, once, into memory.
pub struct Address {
    base: String,
    /// The address's query with its question mark, sent with every file; or nothing.
    query: String,
    agent: ureq::Agent,
    token: Option<String>,
    /// Files of servers that ignore ranges.
    whole: Mutex<HashMap<String, Vec<u8>>>,
}

/// The HTTP client of this crate. After a redirect, a token goes to the same host only.
pub(super) fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .redirect_auth_headers(RedirectAuthHeaders::SameHost)
        .timeout_connect(Some(Duration::from_secs(20)))
        .timeout_recv_response(Some(Duration::from_secs(60)))
        .build();
    config.into()
}

/// Adds the access token, where there is one.
pub(super) fn bearer<B>(request: RequestBuilder<B>, token: Option<&str>) -> RequestBuilder<B> {
    match token {
        Some(token) => request.header("Authorization", format!("Bearer {token}")),
        None => request,
    }
}

/// Message for a response that brings no file.
pub(super) fn refusal(status: u16) -> String {
    let what = match status {
        // Hugging Face answers 401 for names that do not exist, too.
        401 | 403 | 404 => "the model does not exist or requires authentication",
        _ => "expected 200 or 206",
    };
    format!("the server answered {status}: {what}")
}

/// True if the address itself is a file that holds weights, by its first bytes: many hosts give
/// files addresses without a name (`…/download/models/8821`), and redirect them.
///
/// # Errors
/// [`Error::Fetch`] where the server wants to know who asks.
pub(super) fn is_weight_file(address: &str) -> Result<bool> {
    let request = agent().get(address).header("Range", "bytes=0-15");
    // The folder's first file gives the error of a server that cannot be reached.
    let Ok(mut response) = request.call() else {
        return Ok(false);
    };
    match response.status().as_u16() {
        200 | 206 => (),
        401 => {
            let what = refusal(401);
            let advice = "download the file with a browser and give its path";
            return Err(Error::fetch(address, format!("{what}; {advice}")));
        }
        _ => return Ok(false),
    }
    let mut first = Vec::new();
    // A server that ignores the range sends everything; the rest is not read.
    let body = response.body_mut().as_reader().take(16);
    if std::io::BufReader::new(body)
        .read_to_end(&mut first)
        .is_err()
    {
        return Ok(false);
    }
    let safetensors = first.first_chunk().is_some_and(|&length| {
        (2..1 << 32).contains(&u64::from_le_bytes(length)) && first.get(8) == Some(&b'{')
    });
    // Formats that are refused by name once the file is read.
    let others = [&b"PK\x03\x04"[..], b"\x80\x02", b"GGUF"];
    Ok(safetensors || others.into_iter().any(|magic| first.starts_with(magic)))
}

impl Address {
    /// Names the folder at `base`, an http or https address. Some hosts put keys in its query.
    pub fn new(base: &str) -> Self {
        let base = base.split('#').next().unwrap_or(base);
        let (base, query) = base.split_at(base.find('?').unwrap_or(base.len()));
        Address {
            base: base.trim_end_matches('/').to_string(),
            query: query.to_string(),
            agent: agent(),
            token: None,
            whole: Mutex::default(),
        }
    }

    /// Sends `token` with every request.
    pub(super) fn with_token(mut self, token: Option<String>) -> Self {
        self.token = token;
        self
    }

    /// The folder's address, without a slash at the end.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// Requests `range`; returns the status, the size of the whole file, and the body.
    fn get(&self, path: &str, range: Range<u64>) -> Result<(u16, Option<u64>, Vec<u8>)> {
        let address = self.describe(path);
        let fail = |e: ureq::Error| Error::fetch(&address, e);
        let last = range.end.saturating_sub(1).max(range.start);
        let mut response = bearer(self.agent.get(&address), self.token.as_deref())
            .header("Range", format!("bytes={}-{last}", range.start))
            .call()
            .map_err(fail)?;
        let status = response.status().as_u16();
        let header = |name: &str| response.headers().get(name)?.to_str().ok();
        let size = match status {
            206 => header("content-range").and_then(|v| v.rsplit('/').next()?.parse().ok()),
            _ => header("content-length").and_then(|v| v.parse().ok()),
        };
        let body = match status {
            200 | 206 => response
                .body_mut()
                .with_config()
                .limit(u64::MAX)
                .read_to_vec()
                .map_err(fail)?,
            _ => Vec::new(),
        };
        Ok((status, size, body))
    }

    fn size(&self, path: &str) -> Result<Option<u64>> {
        if let Some(bytes) = self.lock().get(path) {
            return Ok(Some(bytes.len() as u64));
        }
        match self.get(path, 0..1)? {
            (404 | 410, ..) => Ok(None),
            (206, Some(size), _) => Ok(Some(size)),
            (200, _, body) => {
                let size = body.len() as u64;
                self.lock().insert(path.to_string(), body);
                Ok(Some(size))
            }
            // An empty file has no byte 0.
            (416, ..) => Ok(Some(0)),
            (status, ..) => Err(self.refused(path, status)),
        }
    }

    pub(super) fn read(&self, path: &str, range: Range<u64>) -> Result<Vec<u8>> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let cut = |bytes: &[u8]| {
            bytes
                .get(range.start as usize..range.end as usize)
                .map(<[u8]>::to_vec)
        };
        let kept = self.lock().get(path).map(|bytes| cut(bytes));
        let got = match kept {
            Some(bytes) => bytes,
            None => match self.get(path, range.clone())? {
                (206, _, body) => Some(body),
                (200, _, body) => {
                    let bytes = cut(&body);
                    self.lock().insert(path.to_string(), body);
                    bytes
                }
                (status, ..) => return Err(self.refused(path, status)),
            },
        };
        let expected = range.end - range.start;
        match got {
            Some(bytes) if bytes.len() as u64 == expected => Ok(bytes),
            other => Err(Error::fetch(
                self.describe(path),
                format!(
                    "got {} bytes from byte {}, expected {expected}",
                    other.map_or(0, |bytes| bytes.len()),
                    range.start
                ),
            )),
        }
    }

    fn refused(&self, path: &str, status: u16) -> Error {
        Error::fetch(self.describe(path), refusal(status))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Vec<u8>>> {
        self.whole.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl Source for Address {
    fn size<'a>(&'a self, path: &'a str) -> SourceFuture<'a, Option<u64>> {
        Box::pin(async move { self.size(path) })
    }

    fn read<'a>(&'a self, path: &'a str, range: Range<u64>) -> SourceFuture<'a, Vec<u8>> {
        Box::pin(async move { self.read(path, range) })
    }

    fn describe(&self, path: &str) -> String {
        format!("{}/{path}{}", self.base, self.query)
    }
}
