//! From a prompt to embeddings: [`tokenizer`] makes ids, [`encoder`] makes vectors of them.

pub mod encoder;
pub mod prompt;
pub mod tokenizer;
mod vocabulary;
