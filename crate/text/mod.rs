//! Prompts to embeddings: [`tokenizer`] splits a prompt into token ids, [`encoder`] turns ids into
//! vectors; [`embedding`] adds learned words.

pub mod embedding;
pub mod encoder;
pub mod prompt;
mod special_tokens;
pub mod tokenizer;
mod vocabulary;
