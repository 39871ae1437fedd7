//! A single-file checkpoint as a model source.

use std::ops::Range;

use super::folder::Folder;
use super::{Source, SourceFuture};
use crate::error::Error;

pub(crate) const VOCAB: &str = "tokenizer/vocab.json";
pub(crate) const MERGES: &str = "tokenizer/merges.txt";

/// A single-file checkpoint, and the CLIP vocabulary, which such files lack.
pub struct SingleFile {
    /// The folder the file is in.
    folder: Box<dyn Source>,
    name: String,
    /// Another vocabulary than the one that is built in.
    vocab: Option<Folder>,
}

impl SingleFile {
    /// Names the file `name` in `folder`. `vocab` is a folder with `vocab.json` and `merges.txt`;
    /// without it, CLIP's own vocabulary is used, which is built in.
    pub fn new(folder: Box<dyn Source>, name: impl Into<String>, vocab: Option<Folder>) -> Self {
        SingleFile {
            folder,
            name: name.into(),
            vocab,
        }
    }
}

/// The built-in file of CLIP's vocabulary at `path`.
pub(crate) fn built_in(path: &str) -> Option<&'static [u8]> {
    match path {
        VOCAB => Some(include_bytes!("../../../www/vocab/clip/vocab.json")),
        MERGES => Some(include_bytes!("../../../www/vocab/clip/merges.txt")),
        _ => None,
    }
}

/// The name that the file at `path` has in a folder with a vocabulary.
fn vocab_file(path: &str) -> Option<&str> {
    [VOCAB, MERGES]
        .contains(&path)
        .then(|| path.trim_start_matches("tokenizer/"))
}

impl Source for SingleFile {
    fn checkpoint(&self) -> Option<String> {
        Some(self.name.clone())
    }

    fn size<'a>(&'a self, path: &'a str) -> SourceFuture<'a, Option<u64>> {
        if path == self.name {
            return self.folder.size(path);
        }
        match (&self.vocab, vocab_file(path)) {
            (Some(folder), Some(name)) => Source::size(folder, name),
            _ => Box::pin(async move { Ok(built_in(path).map(|bytes| bytes.len() as u64)) }),
        }
    }

    fn read<'a>(&'a self, path: &'a str, range: Range<u64>) -> SourceFuture<'a, Vec<u8>> {
        if path == self.name {
            return self.folder.read(path, range);
        }
        match (&self.vocab, vocab_file(path)) {
            (Some(folder), Some(name)) => Source::read(folder, name, range),
            _ => Box::pin(async move {
                built_in(path)
                    .and_then(|bytes| bytes.get(range.start as usize..range.end as usize))
                    .map(<[u8]>::to_vec)
                    .ok_or_else(|| Error::file(path, "no such file"))
            }),
        }
    }

    fn announce<'a>(&'a self, ranges: &'a [(&'a str, Range<u64>)]) -> SourceFuture<'a, ()> {
        // Weights are in the checkpoint only.
        self.folder.announce(ranges)
    }

    fn describe(&self, path: &str) -> String {
        match (&self.vocab, vocab_file(path)) {
            _ if path == self.name => self.folder.describe(path),
            (Some(folder), Some(name)) => folder.describe(name),
            _ => path.to_string(),
        }
    }
}
