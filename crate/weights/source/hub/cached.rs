//! Models in Hugging Face's cache folder.

use std::fs;
use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::listing::is_hash;
use crate::error::Result;

/// A revision of a model in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedModel {
    /// `owner/name`, with `@revision` unless that is `main`.
    pub name: String,
    /// The folder of its files.
    pub folder: PathBuf,
    /// Bytes of its files.
    pub bytes: u64,
    /// True if it has the files of a model in diffusers' layout.
    pub is_diffusers: bool,
}

/// All models in the cache, by name.
///
/// # Errors
/// [`Error::File`](crate::Error::File) where there is no home folder and no variable names a cache.
pub fn cached_models() -> Result<Vec<CachedModel>> {
    let root = Environment::read()?.cache.path().clone();
    let mut models = Vec::new();
    for folder in entries(&root) {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let Some(id) = name.strip_prefix("models--") else {
            continue;
        };
        let id = id.replacen("--", "/", 1);
        let mut revisions = Vec::new();
        find_revisions(&folder.join("refs"), "", &mut revisions);
        for (revision, commit) in revisions {
            let snapshot = folder.join("snapshots").join(commit);
            if snapshot.is_dir() {
                models.push(CachedModel {
                    name: match revision.as_str() {
                        "main" => id.clone(),
                        other => format!("{id}@{other}"),
                    },
                    bytes: bytes_below(&snapshot),
                    is_diffusers: ["model_index.json", "unet/config.json"]
                        .iter()
                        .any(|path| snapshot.join(path).is_file()),
                    folder: snapshot,
                });
            }
        }
    }
    models.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(models)
}

/// Paths in `folder`; none where it cannot be read.
fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path())
}

/// Collects the revisions, such as `main` or `refs/pr/1`, and their commits.
fn find_revisions(folder: &Path, prefix: &str, found: &mut Vec<(String, String)>) {
    for path in entries(folder) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = format!("{prefix}{name}");
        if path.is_dir() {
            find_revisions(&path, &format!("{name}/"), found);
        } else if let Ok(commit) = fs::read_to_string(&path) {
            let commit = commit.trim();
            // The file becomes a part of a path.
            if is_hash(commit) {
                found.push((name, commit.to_string()));
            }
        }
    }
}

/// Bytes of the files in `folder` and below. Links lead to the files' contents.
fn bytes_below(folder: &Path) -> u64 {
    let size = |path: PathBuf| match path.is_dir() {
        true => bytes_below(&path),
        false => fs::metadata(&path).map_or(0, |meta| meta.len()),
    };
    entries(folder).map(size).sum()
}
