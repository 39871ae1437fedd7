//! Downloads of whole files into Hugging Face's cache folder.
//!
//! The layout is that of huggingface_hub's `file_download.py`: content under its checksum in
//! `blobs/`, a part of it as `blobs/….incomplete`, and for each commit a folder of links in
//! `snapshots/`. A link appears after the last byte, so a download that breaks off leaves no file
//! that looks whole, and the next one goes on at its end.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use super::super::http::bearer;
use super::refusal;
use crate::error::{Error, Result};

/// Failures in a row, none with a byte of progress, before a download gives up.
const ATTEMPTS: u32 = 3;
/// Bytes read at once.
const CHUNK: usize = 1 << 20;
/// Number of reports for one file: a log file gets a line for each.
const REPORTS: u64 = 100;

/// One file to download.
pub(super) struct Download<'a> {
    pub agent: &'a ureq::Agent,
    pub token: Option<&'a str>,
    /// Address of the file.
    pub address: String,
    /// Bytes of the file.
    pub size: u64,
    /// Its checksum, the name of its content in the cache.
    pub blob: &'a str,
    /// The model's folder in the cache.
    pub repo: PathBuf,
    /// Path of the lock that keeps two programs from writing the same blob.
    pub lock: PathBuf,
    /// Receives the number of bytes on disk.
    pub report: &'a dyn Fn(u64),
}

/// A failed attempt.
enum Failure {
    /// Worth another attempt.
    Passing(Error),
    /// The same every time.
    Lasting(Error),
}

impl Download<'_> {
    /// Downloads the file, unless another commit has the same content, and links it as `link`.
    ///
    /// # Errors
    /// [`Error::Fetch`] where the server refuses or keeps breaking off, [`Error::File`] where the
    /// cache cannot be written.
    pub fn into_snapshot(self, link: &Path) -> Result<()> {
        let blob = self.repo.join("blobs").join(self.blob);
        for path in [&blob, link, &self.lock] {
            let folder = path.parent().unwrap_or(path);
            fs::create_dir_all(folder).map_err(|e| Error::file(folder.display(), e))?;
        }
        let lock = File::create(&self.lock).map_err(|e| Error::file(self.lock.display(), e))?;
        // Some network file systems have no locks. Without one, two programs that download the
        // same file at the same time may spoil it for each other, and the size check fails.
        let _ = lock.lock();
        if !blob.exists() {
            let part = blob.with_extension("incomplete");
            self.fetch(&part)?;
            fs::rename(&part, &blob).map_err(|e| Error::file(part.display(), e))?;
        }
        link_to(&blob, link).map_err(|e| Error::file(link.display(), e))
    }

    /// Makes `part` the whole file; what is there of it is kept.
    fn fetch(&self, part: &Path) -> Result<()> {
        let mut failures = 0;
        loop {
            let before = length(part);
            let error = match self.fetch_rest(part) {
                Ok(()) => return Ok(()),
                Err(Failure::Lasting(error)) => return Err(error),
                Err(Failure::Passing(error)) => error,
            };
            failures = if length(part) > before {
                1
            } else {
                failures + 1
            };
            if failures >= ATTEMPTS {
                return Err(error);
            }
            sleep(Duration::from_millis(500) * failures);
        }
    }

    /// Requests what `part` lacks, and appends it.
    fn fetch_rest(&self, part: &Path) -> std::result::Result<(), Failure> {
        let on_disk = |e: io::Error| Failure::Lasting(Error::file(part.display(), e));
        let open = OpenOptions::new().create(true).append(true).open(part);
        let mut file = open.map_err(on_disk)?;
        let mut done = length(part);
        if done > self.size {
            file.set_len(0).map_err(on_disk)?;
            done = 0;
        }
        (self.report)(done);
        if done == self.size {
            return Ok(());
        }
        let mut response = self.request(done)?;
        if response.status() == 200 && done > 0 {
            // The server ignores ranges.
            file.set_len(0).map_err(on_disk)?;
            done = 0;
        }
        let body = response.body_mut().with_config().limit(u64::MAX);
        let mut body = body.reader();
        let mut buffer = vec![0; CHUNK];
        let mut reported = done;
        loop {
            let read = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(e) => return Err(self.passing(e)),
            };
            done += read as u64;
            if done > self.size {
                break;
            }
            file.write_all(&buffer[..read]).map_err(on_disk)?;
            if done == self.size || done - reported >= self.size / REPORTS {
                (self.report)(done);
                reported = done;
            }
        }
        if done == self.size {
            return Ok(());
        }
        let what = format!("got {done} bytes, expected {}", self.size);
        if done > self.size {
            // Not the file of the list: none of it is of use.
            file.set_len(0).map_err(on_disk)?;
            return Err(Failure::Lasting(Error::fetch(&self.address, what)));
        }
        Err(self.passing(what))
    }

    /// The response with the file's bytes from `start` on.
    fn request(
        &self,
        start: u64,
    ) -> std::result::Result<ureq::http::Response<ureq::Body>, Failure> {
        let range = format!("bytes={start}-");
        let request = bearer(self.agent.get(&self.address), self.token).header("Range", range);
        let response = request.call().map_err(|e| self.passing(e))?;
        match response.status().as_u16() {
            200 | 206 => Ok(response),
            status @ (408 | 429 | 500..) => Err(self.passing(refusal(status))),
            status => {
                let error = Error::fetch(&self.address, refusal(status));
                Err(Failure::Lasting(error))
            }
        }
    }

    fn passing(&self, what: impl std::fmt::Display) -> Failure {
        Failure::Passing(Error::fetch(&self.address, what))
    }
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |meta| meta.len())
}

/// Makes `link` lead to `blob`, by a relative path: the cache may be moved.
fn link_to(blob: &Path, link: &Path) -> io::Result<()> {
    if link.exists() {
        return Ok(());
    }
    // A broken link may be in the way, to a blob that was deleted.
    let _ = fs::remove_file(link);
    #[cfg(unix)]
    return std::os::unix::fs::symlink(relative(blob, link), link);
    // Windows allows links to administrators and developers only.
    #[cfg(not(unix))]
    return fs::rename(blob, link);
}

/// The path from the folder of `link` to `blob`.
#[cfg(unix)]
fn relative(blob: &Path, link: &Path) -> PathBuf {
    let folder = link.parent().unwrap_or(link);
    let shared = |(a, b): &(_, _)| a == b;
    let common = blob
        .components()
        .zip(folder.components())
        .take_while(shared)
        .count();
    let up = folder.components().skip(common).map(|_| "..");
    up.collect::<PathBuf>()
        .join(blob.components().skip(common).collect::<PathBuf>())
}

#[cfg(all(test, unix))]
mod tests {
    use std::path::Path;

    use super::relative;

    #[test]
    fn links_are_relative() {
        let blob = Path::new("/cache/model/blobs/abc");
        let to = |link: &str| relative(blob, Path::new(link)).display().to_string();
        assert_eq!(to("/cache/model/snapshots/1/a.json"), "../../blobs/abc");
        assert_eq!(to("/cache/model/snapshots/1/unet/a"), "../../../blobs/abc");
    }
}
