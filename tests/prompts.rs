//! The prompt language against reference values in `golden/prompts` (see its generate.py), made by
//! running A1111's web UI; and properties that hold for every text.

#[path = "prompts/properties.rs"]
mod properties;
#[path = "prompts/reference.rs"]
mod reference;

use std::path::PathBuf;

use darkroom::text::tokenizer::{Tokenizer, TokenizerFiles};
use serde_json::Value;

/// A file of this repository.
fn read(path: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn golden() -> Value {
    serde_json::from_slice(&read("tests/golden/prompts/prompts.json")).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

/// CLIP's vocabulary with `padding` as the padding token: the end token in SD1.x, `!` in SD2.x.
fn clip(padding: &str) -> Tokenizer {
    let config = format!(r#"{{"pad_token": "{padding}"}}"#);
    Tokenizer::from_files(&TokenizerFiles {
        vocab: Some(&read("www/vocab/clip/vocab.json")),
        merges: Some(&read("www/vocab/clip/merges.txt")),
        tokenizer_config: Some(config.as_bytes()),
        special_tokens_map: None,
        tokenizer_json: None,
    })
    .unwrap()
}

fn sd1() -> Tokenizer {
    clip("<|endoftext|>")
}

fn sd2() -> Tokenizer {
    clip("!")
}
