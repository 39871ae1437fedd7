//! The prompt language against reference values in `golden/prompts` (see its generate.py), made by
//! running A1111's web UI; and properties that hold for every text.

mod joined;
mod layout;
mod pictures;
mod properties;
mod reference;

use darkroom::text::tokenizer::{Tokenizer, TokenizerFiles};
use serde_json::Value;

use crate::read;

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
        added_tokens: None,
    })
    .unwrap()
}

fn sd1() -> Tokenizer {
    clip("<|endoftext|>")
}

fn sd2() -> Tokenizer {
    clip("!")
}
