//! A model folder on a web server, for programs outside a browser.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Mutex;
use std::time::Duration;

use super::{Source, SourceFuture};
use crate::error::{Error, Result};

/// A model folder on a web server. Ranges are asked for; a server that ignores them is read whole, once for each file.
pub struct Address {
    base: String,
    agent: ureq::Agent,
    /// Files of servers that ignore ranges.
    whole: Mutex<HashMap<String, Vec<u8>>>,
}

impl Address {
    /// The folder at `base`, an http or https address.
    pub fn new(base: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(20)))
            .timeout_recv_response(Some(Duration::from_secs(60)))
            .build();
        Address {
            base: base.trim_end_matches('/').to_string(),
            agent: config.into(),
            whole: Mutex::default(),
        }
    }

    /// Status, size of the whole file, and body of a request for `range`.
    fn get(&self, path: &str, range: Range<u64>) -> Result<(u16, Option<u64>, Vec<u8>)> {
        let address = self.describe(path);
        let fail = |e: ureq::Error| Error::fetch(&address, e);
        let last = range.end.saturating_sub(1).max(range.start);
        let mut response = self
            .agent
            .get(&address)
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

    fn read(&self, path: &str, range: Range<u64>) -> Result<Vec<u8>> {
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
        let what = match status {
            // Hugging Face answers this for names that do not exist, too.
            401 | 403 => "there is no such model, or it wants a login",
            _ => "expected 200 or 206",
        };
        Error::fetch(
            self.describe(path),
            format!("the server answered {status}: {what}"),
        )
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
