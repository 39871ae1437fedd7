//! Single-file checkpoints, and all the places a model can be at.

mod support;

#[path = "single_file/places.rs"]
mod places;
#[path = "single_file/published.rs"]
mod published;
#[path = "single_file/refused.rs"]
mod refused;
#[path = "single_file/same.rs"]
mod same;

use std::ops::Range;

use darkroom::weights::source::{Source, SourceFuture};
use darkroom::{Error, Result};

/// A checkpoint of which only the beginning is there: enough for all that comes before the weights.
struct HeaderOnly {
    bytes: Vec<u8>,
    size: u64,
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
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("www/vocab/clip");
    let known = ["vocab.json", "merges.txt"].contains(&name);
    Ok(known.then(|| std::fs::read(folder.join(name)).expect("the vocabulary")))
}
