//! A model on a hub such as Hugging Face, downloaded into the cache folder that all programs of
//! Hugging Face share.
//!
//! The hub's list of files says which files there are, at which commit, and under which checksum
//! the cache keeps each; one request gives it all. Headers of weight files are read by byte range,
//! so that a model that does not fit is refused before its gigabytes are fetched.
//! [`Source::announce`] names the weight files that are needed; they are downloaded whole, once,
//! then read from disk.

mod address;
mod cached;
mod download;
mod environment;
mod listing;

use std::ops::Range;
use std::path::{Path, PathBuf};

use hf_hub::{Repo, RepoType};

use super::folder::Folder;
use super::http::{self, Address, agent};
use super::{Source, SourceFuture};
use crate::error::{Error, Result};
use address::encode;
pub(in crate::weights::source) use address::{HubName, raw_file};
pub use cached::{CachedModel, cached_models};
use download::Download;
use environment::Environment;
use listing::{Entry, Listing, Unlisted};

/// News from a hub, for the person who waits.
#[derive(Debug, Clone, Copy)]
pub enum HubEvent<'a> {
    /// A file is being downloaded.
    Download {
        /// Its path within the model.
        path: &'a str,
        /// Bytes on disk.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// The hub did not answer, or must not be asked (`HF_HUB_OFFLINE`): the model is read from the
    /// cache as it was when it was last downloaded.
    Offline {
        /// The model's name.
        model: &'a str,
        /// Why there was no answer.
        reason: &'a str,
    },
}

/// Receives the news of a [`Hub`].
pub type OnHubEvent = Box<dyn Fn(HubEvent<'_>)>;

/// One revision of a model on a hub.
pub struct Hub {
    name: HubName,
    environment: Environment,
    /// The revision's commit when the model was opened. All files are of this commit.
    commit: String,
    /// The hub's files; `None` where the hub could not be asked.
    listing: Option<Listing>,
    /// The commit's folder in the cache.
    snapshot: Folder,
    /// The commit's files on the hub.
    remote: Address,
    agent: ureq::Agent,
    on_event: OnHubEvent,
}

impl Hub {
    /// Looks `name` up on the hub, or in the cache where the hub does not answer.
    ///
    /// # Errors
    /// [`Error::Fetch`] where the hub has no such model or wants a token, or where it does not
    /// answer and the cache has no copy.
    pub(super) fn open(name: HubName, on_event: OnHubEvent) -> Result<Self> {
        let environment = Environment::read()?;
        let agent = agent();
        let address = name.listing_address(&environment.endpoint);
        let asked = match environment.offline {
            true => Err(Unlisted::NoAnswer(Error::fetch(
                &address,
                "not asked, since HF_HUB_OFFLINE is set",
            ))),
            false => Listing::get(&agent, &address, environment.token.as_deref()),
        };
        let cache = environment.cache.repo(name.repo());
        let (commit, listing) = match asked {
            Ok(listing) => (listing.commit.clone(), Some(listing)),
            Err(Unlisted::Refused(error)) => return Err(with_mirror(error, &name)),
            Err(Unlisted::NoAnswer(error)) => {
                let Some(commit) = cached_commit(&environment, &name) else {
                    return Err(error);
                };
                on_event(HubEvent::Offline {
                    model: &name.id,
                    reason: &error.to_string(),
                });
                (commit, None)
            }
        };
        let base = name.file_address(&environment.endpoint, &commit);
        let snapshot = Folder::at(cache.pointer_path(&commit));
        let remote = Address::new(&base).with_token(environment.token.clone());
        Ok(Hub {
            name,
            environment,
            commit,
            listing,
            snapshot,
            remote,
            agent,
            on_event,
        })
    }

    fn size(&self, path: &str) -> Result<Option<u64>> {
        match &self.listing {
            Some(listing) => Ok(listing.files.get(path).map(|entry| entry.size)),
            None => self.snapshot.size(path),
        }
    }

    fn list(&self, folder: &str) -> Vec<String> {
        let Some(listing) = &self.listing else {
            return self.snapshot.list(folder);
        };
        let in_folder = |path: &String| {
            let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
            (parent == folder).then(|| name.to_string())
        };
        listing.files.keys().filter_map(in_folder).collect()
    }

    fn read(&self, path: &str, range: Range<u64>) -> Result<Vec<u8>> {
        if self.listing.is_some() && !self.snapshot.has(path) {
            // Text files are needed whole. Of weights, only the headers are read before `plan`.
            if path.ends_with(".safetensors") {
                return self.remote.read(&encode(path), range);
            }
            self.download(path)?;
        }
        self.snapshot.read(path, range)
    }

    /// Downloads every file of `paths` that the cache lacks, then records the revision's commit in
    /// the cache: from then on the model opens without the hub, too.
    fn download_all(&self, paths: &[&str]) -> Result<()> {
        if self.listing.is_none() {
            return Ok(());
        }
        for path in paths {
            self.download(path)?;
        }
        if self.name.revision == self.commit {
            return Ok(());
        }
        let cache = self.environment.cache.repo(self.name.repo());
        let folder = self.environment.cache.path().join(self.name.folder());
        cache
            .create_ref(&self.commit)
            .map_err(|e| Error::file(folder.join("refs").display(), e))
    }

    fn download(&self, path: &str) -> Result<()> {
        if self.snapshot.has(path) {
            return Ok(());
        }
        let entry = self.entry(path)?;
        Download {
            agent: &self.agent,
            token: self.environment.token.as_deref(),
            address: format!("{}/{}", self.remote.base(), encode(path)),
            size: entry.size,
            blob: &entry.blob,
            repo: self.environment.cache.path().join(self.name.folder()),
            lock: self.lock(&entry.blob),
            report: &|done| {
                (self.on_event)(HubEvent::Download {
                    path,
                    done,
                    total: entry.size,
                })
            },
        }
        .into_snapshot(&self.snapshot.path(path))
    }

    fn entry(&self, path: &str) -> Result<&Entry> {
        let files = self.listing.as_ref().map(|listing| &listing.files);
        files
            .and_then(|files| files.get(path))
            .ok_or_else(|| Error::fetch(self.describe(path), "no such file"))
    }

    /// Path of the lock that guards a blob, where huggingface_hub has it.
    fn lock(&self, blob: &str) -> PathBuf {
        let cache = self.environment.cache.path();
        let folder = cache.join(".locks").join(self.name.folder());
        folder.join(format!("{blob}.lock"))
    }
}

/// Message for a response of the hub that brings no file.
fn refusal(status: u16) -> String {
    let hint = match status {
        401 | 403 | 404 => "; HF_TOKEN may hold an access token",
        _ => "",
    };
    format!("{}{hint}", http::refusal(status))
}

/// Adds to `error`, with which the hub refused the model `name`, the name of its mirror.
fn with_mirror(error: Error, name: &HubName) -> Error {
    match (error, name.mirror()) {
        (Error::Fetch { address, what }, Some(mirror)) => {
            Error::fetch(address, format!("{what}; the model lives on as {mirror}"))
        }
        (error, _) => error,
    }
}

/// The commit that the cache last recorded for the revision of `name`.
fn cached_commit(environment: &Environment, name: &HubName) -> Option<String> {
    let folder = environment.cache.path().join(name.folder());
    let has =
        |commit: &str| listing::is_hash(commit) && folder.join("snapshots").join(commit).is_dir();
    let recorded = std::fs::read_to_string(folder.join("refs").join(&name.revision)).ok();
    let recorded = recorded.map(|text| text.trim().to_string());
    recorded
        .or_else(|| Some(name.revision.clone()))
        .filter(|commit| has(commit))
}

impl HubName {
    fn repo(&self) -> Repo {
        Repo::with_revision(self.id.clone(), RepoType::Model, self.revision.clone())
    }

    /// The model's folder within the cache.
    fn folder(&self) -> PathBuf {
        Path::new(&self.repo().folder_name()).to_path_buf()
    }
}

impl Source for Hub {
    fn size<'a>(&'a self, path: &'a str) -> SourceFuture<'a, Option<u64>> {
        Box::pin(async move { self.size(path) })
    }

    fn list<'a>(&'a self, folder: &'a str) -> SourceFuture<'a, Option<Vec<String>>> {
        Box::pin(async move { Ok(Some(self.list(folder))) })
    }

    fn read<'a>(&'a self, path: &'a str, range: Range<u64>) -> SourceFuture<'a, Vec<u8>> {
        Box::pin(async move { self.read(path, range) })
    }

    fn announce<'a>(&'a self, ranges: &'a [(&'a str, Range<u64>)]) -> SourceFuture<'a, ()> {
        let mut paths: Vec<&str> = ranges.iter().map(|(path, _)| *path).collect();
        paths.dedup();
        Box::pin(async move { self.download_all(&paths) })
    }

    fn describe(&self, path: &str) -> String {
        match &self.listing {
            Some(_) => {
                let endpoint = &self.environment.endpoint;
                let base = self.name.file_address(endpoint, &self.name.revision);
                format!("{base}/{path}")
            }
            None => self.snapshot.describe(path),
        }
    }
}
