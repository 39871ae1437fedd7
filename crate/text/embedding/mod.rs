//! Learned words (textual inversion): a name in a prompt stands for vectors of their own.
//!
//! | module | purpose |
//! |---|---|
//! | [`file`] | the files that such words are kept in |
//! | `words` | finding their names in a prompt |
//!
//! A vector takes the place of a token's embedding. Vectors have token ids of their own, from
//! [`FIRST_ID`] on, above those of every vocabulary.

mod file;
mod words;

pub use file::Embedding;
pub(super) use words::{Part, Words, split};

use std::rc::Rc;

use super::vocabulary::IDS;
use crate::error::{Error, Result};

/// Id of the first vector. Ids of vocabularies are below.
pub const FIRST_ID: u32 = IDS;
/// Maximum number of vectors of all words together.
const MAX_VECTORS: usize = 1 << 16;

/// The vectors of all learned words, one below the other. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct LearnedVectors {
    values: Rc<Vec<f32>>,
    width: usize,
}

impl LearnedVectors {
    /// Collects the vectors of `embeddings` for a text encoder of this width, of which a chunk has
    /// so many tokens of content.
    ///
    /// # Errors
    /// [`Error::File`] that names an embedding of another width, or one that fits in no chunk.
    pub fn new(embeddings: &[Rc<Embedding>], width: usize, room: usize) -> Result<Self> {
        let mut values = Vec::new();
        for embedding in embeddings {
            embedding.check(width, room)?;
            values.extend_from_slice(embedding.values());
        }
        if values.len() > MAX_VECTORS * width {
            let count = values.len() / width;
            let expected = format!("at most {MAX_VECTORS} vectors");
            return Err(Error::request("embeddings", count, expected));
        }
        Ok(LearnedVectors {
            values: Rc::new(values),
            width,
        })
    }

    /// The vector with the token id `id`.
    pub fn get(&self, id: u32) -> Option<&[f32]> {
        let index = id.checked_sub(FIRST_ID)? as usize;
        self.values.chunks_exact(self.width.max(1)).nth(index)
    }
}
