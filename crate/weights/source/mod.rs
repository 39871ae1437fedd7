//! Sources of a model's bytes: a folder, a web server, a hub, or JavaScript.

#[cfg(not(target_arch = "wasm32"))]
pub mod folder;
#[cfg(not(target_arch = "wasm32"))]
pub mod http;
#[cfg(not(target_arch = "wasm32"))]
pub mod hub;
#[cfg(not(target_arch = "wasm32"))]
pub mod locate;
#[cfg(not(target_arch = "wasm32"))]
pub mod single_file;

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;

use crate::error::{Error, Result};

/// A future of a [`Source`]; not `Send`, since in a browser it waits for JavaScript.
pub type SourceFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + 'a>>;

/// A model that can be read by byte ranges: a folder in diffusers' layout, or a single file and the
/// CLIP vocabulary.
pub trait Source {
    /// The path of the checkpoint, where the model is a single file; `None` for a folder. Beside
    /// that path, such a source has only `tokenizer/vocab.json` and `tokenizer/merges.txt`, which
    /// checkpoints do not hold.
    fn checkpoint(&self) -> Option<String> {
        None
    }

    /// Size in bytes of the file at `path` (relative, with `/`); `None` if there is no such file.
    /// Costs a request at most, never the file.
    fn size<'a>(&'a self, path: &'a str) -> SourceFuture<'a, Option<u64>>;
    /// Names of the files in `folder`, of which "" is the model itself; `None` where the source
    /// cannot list.
    fn list<'a>(&'a self, folder: &'a str) -> SourceFuture<'a, Option<Vec<String>>> {
        let _ = folder;
        Box::pin(async { Ok(None) })
    }
    /// Reads the bytes of `range`, all of them.
    fn read<'a>(&'a self, path: &'a str, range: Range<u64>) -> SourceFuture<'a, Vec<u8>>;
    /// Announces the ranges that will be read, in this order, before the first of them is read. A
    /// source may fetch them ahead, and nothing else.
    fn announce<'a>(&'a self, ranges: &'a [(&'a str, Range<u64>)]) -> SourceFuture<'a, ()> {
        let _ = ranges;
        Box::pin(async { Ok(()) })
    }
    /// The path or address to show a person for `path`.
    fn describe(&self, path: &str) -> String;
}

/// Most bytes of a JSON or text file of a model; tokenizer.json of SD2 has 3.6 MB.
const TEXT_AT_MOST: u64 = 64 << 20;

/// Reads a whole small file; `None` if there is none.
pub async fn read_text(source: &dyn Source, path: &str) -> Result<Option<Vec<u8>>> {
    match source.size(path).await? {
        None => Ok(None),
        Some(size) if size > TEXT_AT_MOST => Err(Error::file(
            source.describe(path),
            format!("has {size} bytes, expected a text file of at most {TEXT_AT_MOST}"),
        )),
        Some(size) => Ok(Some(source.read(path, 0..size).await?)),
    }
}

/// Reads a whole small file that must be there.
pub async fn require_text(source: &dyn Source, path: &str) -> Result<Vec<u8>> {
    read_text(source, path).await?.ok_or_else(|| {
        Error::file(
            source.describe(path),
            "no such file; a model folder in diffusers' layout has it",
        )
    })
}

/// The path and size of the only file of a single-file source, or of the first of the `usual` files
/// in a folder with `what`.
///
/// # Errors
/// [`Error::File`] that names the usual files where there is none.
pub(crate) async fn locate_file(
    source: &dyn Source,
    usual: &[&str],
    what: &str,
) -> Result<(String, u64)> {
    let single = source.checkpoint();
    let paths = match &single {
        Some(path) => vec![path.as_str()],
        None => usual.to_vec(),
    };
    for path in &paths {
        if let Some(size) = source.size(path).await? {
            return Ok((path.to_string(), size));
        }
    }
    let missing = match single {
        Some(_) => "no such file".to_string(),
        None => format!(
            "no such file, nor {}, as a folder with {what} has",
            usual[1..].join(" nor ")
        ),
    };
    Err(Error::file(source.describe(paths[0]), missing))
}
