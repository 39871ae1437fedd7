//! Files in memory that end before their weights.

use std::ops::Range;

use darkroom::weights::source::{Source, SourceFuture};
use darkroom::{Error, Result};

use crate::run::Input;

/// The error of a read of weights. Everything before them succeeded.
const WEIGHTS: &str = "there are no weights";

pub struct Served<'a> {
    pub files: &'a Input,
    /// Size of every safetensors file.
    pub size: u64,
    pub checkpoint: Option<&'static str>,
}

impl Source for Served<'_> {
    fn checkpoint(&self) -> Option<String> {
        self.checkpoint.map(Into::into)
    }

    fn size<'a>(&'a self, path: &'a str) -> SourceFuture<'a, Option<u64>> {
        let size = self.size_of(path);
        Box::pin(async move { Ok(size) })
    }

    fn read<'a>(&'a self, path: &'a str, range: Range<u64>) -> SourceFuture<'a, Vec<u8>> {
        Box::pin(async move {
            let size = self.size_of(path);
            assert!(
                range.start <= range.end && Some(range.end) <= size,
                "{path}: {range:?} of {size:?}"
            );
            let bytes = self
                .files
                .get(path)
                .and_then(|file| file.get(range.start as usize..range.end as usize));
            bytes
                .map(<[u8]>::to_vec)
                .ok_or_else(|| Error::fetch(path, WEIGHTS))
        })
    }

    fn announce<'a>(&'a self, ranges: &'a [(&'a str, Range<u64>)]) -> SourceFuture<'a, ()> {
        Box::pin(async move {
            for (path, range) in ranges {
                let size = self.size_of(path);
                assert!(
                    range.start <= range.end && Some(range.end) <= size,
                    "{path}: {range:?} of {size:?}"
                );
            }
            Err(Error::fetch("weights", WEIGHTS))
        })
    }

    fn describe(&self, path: &str) -> String {
        path.into()
    }
}

impl Served<'_> {
    fn size_of(&self, path: &str) -> Option<u64> {
        let bytes = self.files.get(path)?;
        Some(match path.ends_with(".safetensors") {
            true => self.size,
            false => bytes.len() as u64,
        })
    }
}

/// Turns the error of missing weights into success.
pub fn up_to_the_weights<T>(result: Result<T>) -> Result<()> {
    match result {
        Err(Error::Fetch { what, .. }) if what == WEIGHTS => Ok(()),
        other => other.map(drop),
    }
}
