//! A model folder on a web server.

use std::collections::HashMap;
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

impl Address {
    /// Names the folder at `base`, an http or https address.
    pub fn new(base: &str) -> Self {
        Address {
            base: base.trim_end_matches('/').to_string(),
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
        format!("{}/{path}", self.base)
    }
}
