//! Files in memory, of which only the beginning is there.

use std::ops::Range;

use darkroom::weights::source::{Source, SourceFuture};
use darkroom::{Error, Result};

use crate::run::Input;

/// What a read says that is for weights: all that comes before them went well.
const WEIGHTS: &str = "there are no weights";

pub struct Served<'a> {
    pub files: &'a Input,
    /// Every safetensors file has this size.
    pub size: u64,
    pub checkpoint: Option<&'static str>,
}

impl Source for Served<'_> {
    fn checkpoint(&self) -> Option<String> {
        self.checkpoint.map(Into::into)
    }

    fn size<'a>(&'a self, path: &'a str) -> SourceFuture<'a, Option<u64>> {
        let size = match path.ends_with(".safetensors") {
            true => self.size,
            false => self.files.get(path).map_or(0, <[u8]>::len) as u64,
        };
        let size = self.files.get(path).map(|_| size);
        Box::pin(async move { Ok(size) })
    }

    fn read<'a>(&'a self, path: &'a str, range: Range<u64>) -> SourceFuture<'a, Vec<u8>> {
        Box::pin(async move {
            assert!(range.start <= range.end && range.end <= self.size, "{path}: {range:?} of {}", self.size);
            let bytes = self.files.get(path).and_then(|file| file.get(range.start as usize..range.end as usize));
            bytes.map(<[u8]>::to_vec).ok_or_else(|| Error::fetch(path, WEIGHTS))
        })
    }

    fn describe(&self, path: &str) -> String {
        path.into()
    }
}

/// Takes the absence of weights for success.
pub fn up_to_the_weights<T>(result: Result<T>) -> Result<()> {
    match result {
        Err(Error::Fetch { what, .. }) if what == WEIGHTS => Ok(()),
        other => other.map(drop),
    }
}
