//! Single-file checkpoints, and all locations of models.

mod equal_to_folder;
mod hub;
mod latents;
mod locations;
mod published;
mod refused;

use std::ops::Range;

use darkroom::weights::source::{Source, SourceFuture};
use darkroom::{Error, LoadOptions, Pipeline, Result};
use pollster::block_on;

use crate::support::{cpu, repository};

/// A checkpoint without its weights. Everything that comes before them can be read.
pub struct HeaderOnly {
    pub bytes: Vec<u8>,
    pub size: u64,
}

impl HeaderOnly {
    /// The error of loading this file.
    #[track_caller]
    fn load_error(&self, options: LoadOptions<'_>) -> String {
        let result = block_on(Pipeline::load(self, &cpu(), options));
        result.err().expect("an error").to_string()
    }
}

impl Source for HeaderOnly {
    fn checkpoint(&self) -> Option<String> {
        Some("model.safetensors".into())
    }

    fn size<'a>(&'a self, path: &'a str) -> SourceFuture<'a, Option<u64>> {
        Box::pin(async move {
            Ok(match vocabulary(path)? {
                Some(bytes) => Some(bytes.len() as u64),
                None => (path == "model.safetensors").then_some(self.size),
            })
        })
    }

    fn read<'a>(&'a self, path: &'a str, range: Range<u64>) -> SourceFuture<'a, Vec<u8>> {
        Box::pin(async move {
            let vocabulary = vocabulary(path)?;
            let bytes = vocabulary.as_ref().unwrap_or(&self.bytes);
            let part = bytes.get(range.start as usize..range.end as usize);
            part.map(<[u8]>::to_vec)
                .ok_or_else(|| Error::file(path, "beyond the header"))
        })
    }

    fn describe(&self, path: &str) -> String {
        path.into()
    }
}

fn vocabulary(path: &str) -> Result<Option<Vec<u8>>> {
    let Some(name) = path.strip_prefix("tokenizer/") else {
        return Ok(None);
    };
    let folder = repository("www/vocab/clip");
    let known = ["vocab.json", "merges.txt"].contains(&name);
    Ok(known.then(|| std::fs::read(folder.join(name)).expect("the vocabulary")))
}
