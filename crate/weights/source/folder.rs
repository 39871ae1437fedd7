//! A model folder on disk.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;

use super::{Source, SourceFuture};
use crate::error::{Error, Result};

/// A model folder on disk.
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Opens the folder at `root`.
    ///
    /// # Errors
    /// [`Error::File`] where there is no such folder.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        match std::fs::metadata(&root) {
            Ok(meta) if meta.is_dir() => Ok(Folder { root }),
            Ok(_) => Err(Error::file(
                root.display(),
                "is a file, expected a model folder in diffusers' layout",
            )),
            Err(e) => Err(Error::file(root.display(), e)),
        }
    }

    /// Names the folder at `root`, which may not exist yet.
    pub(super) fn at(root: PathBuf) -> Self {
        Folder { root }
    }

    /// The file at `path` within the folder.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// True where there is a file at `path`.
    pub(super) fn has(&self, path: &str) -> bool {
        self.path(path).is_file()
    }

    pub(super) fn size(&self, path: &str) -> Result<Option<u64>> {
        match std::fs::metadata(self.path(path)) {
            Ok(meta) if meta.is_file() => Ok(Some(meta.len())),
            Ok(_) => Ok(None),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::file(self.describe(path), e)),
        }
    }

    /// Names of the files in `folder`; none where there is no such folder.
    pub(super) fn list(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(folder));
        let files = entries.into_iter().flatten().flatten();
        let files = files.filter(|entry| entry.path().is_file());
        let mut names: Vec<String> = files
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }

    pub(super) fn read(&self, path: &str, range: Range<u64>) -> Result<Vec<u8>> {
        let read = || {
            let mut file = File::open(self.path(path))?;
            file.seek(SeekFrom::Start(range.start))?;
            let mut bytes = vec![0; (range.end - range.start) as usize];
            file.read_exact(&mut bytes)?;
            Ok::<_, std::io::Error>(bytes)
        };
        read().map_err(|e| {
            let what = match e.kind() {
                ErrorKind::UnexpectedEof => format!("truncated: it ends before byte {}", range.end),
                _ => e.to_string(),
            };
            Error::file(self.describe(path), what)
        })
    }
}

impl Source for Folder {
    fn size<'a>(&'a self, path: &'a str) -> SourceFuture<'a, Option<u64>> {
        Box::pin(async move { self.size(path) })
    }

    fn list<'a>(&'a self, folder: &'a str) -> SourceFuture<'a, Option<Vec<String>>> {
        Box::pin(async move { Ok(Some(self.list(folder))) })
    }

    fn read<'a>(&'a self, path: &'a str, range: Range<u64>) -> SourceFuture<'a, Vec<u8>> {
        Box::pin(async move { self.read(path, range) })
    }

    fn describe(&self, path: &str) -> String {
        self.path(path).display().to_string()
    }
}
