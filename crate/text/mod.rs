//! Prompts to embeddings: [`tokenizer`] splits a prompt into token ids, [`encoder`] turns ids into
//! vectors.

pub mod encoder;
pub mod prompt;
mod special_tokens;
pub mod tokenizer;
mod vocabulary;
