//! A tokenizer's vocabulary, and the merges that build its tokens from letters.

use serde::Deserializer;
use serde::de::{self, MapAccess, Visitor};
use serde_json::{Map, Number, Value};
use tokenizers::models::bpe::{Merges, Vocab};

use crate::error::{Error, Result};

pub(super) const VOCAB: &str = "tokenizer/vocab.json";
pub(super) const MERGES: &str = "tokenizer/merges.txt";
pub(super) const TOKENIZER_JSON: &str = "tokenizer/tokenizer.json";

/// Upper limit of token ids, the same as for the rows of a text encoder's token table.
pub(super) const IDS: u32 = 1 << 24;

/// Reads the tokens of `vocab.json` one by one. A tree of JSON values would take twenty times the
/// memory.
pub(super) fn vocabulary(json: &[u8]) -> Result<Vocab> {
    struct VocabularyVisitor {
        vocab: Vocab,
        /// The fault of a token. serde's errors cannot carry it.
        error: Option<Error>,
    }
    impl<'de> Visitor<'de> for &mut VocabularyVisitor {
        type Value = ();

        fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
            f.write_str("an object of tokens and ids")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<(), A::Error> {
            while let Some(token) = map.next_key::<String>()? {
                let id = match map.next_value::<Number>() {
                    Ok(id) => checked_id(VOCAB, &token, &id, id.as_u64()),
                    Err(e) => Err(Error::file(
                        VOCAB,
                        format!("token \"{token}\" has no id: {e}"),
                    )),
                };
                match id {
                    Ok(id) => self.vocab.insert(token, id),
                    Err(error) => {
                        self.error = Some(error);
                        return Err(de::Error::custom("see `error`"));
                    }
                };
            }
            Ok(())
        }
    }
    let mut visitor = VocabularyVisitor {
        vocab: Vocab::new(),
        error: None,
    };
    let mut json = serde_json::Deserializer::from_slice(json);
    let read = json.deserialize_map(&mut visitor).and_then(|()| json.end());
    match (visitor.error, read) {
        (Some(error), _) => Err(error),
        (None, Err(e)) => Err(Error::file(VOCAB, format!("not a JSON object: {e}"))),
        (None, Ok(())) => Ok(visitor.vocab),
    }
}

/// Checks the id of `token`. `shown` is the id as written in `path`.
fn checked_id(
    path: &str,
    token: &str,
    shown: impl std::fmt::Display,
    id: Option<u64>,
) -> Result<u32> {
    let id = id.and_then(|id| u32::try_from(id).ok());
    id.filter(|&id| id < IDS).ok_or_else(|| {
        Error::file(
            path,
            format!("token \"{token}\" has the id {shown}, expected a whole number below {IDS}"),
        )
    })
}

/// Reads the lines of `merges.txt`, two tokens each. The first line names the format's version.
pub(super) fn merges_of_text(text: &[u8]) -> Result<Merges> {
    let text =
        std::str::from_utf8(text).map_err(|e| Error::file(MERGES, format!("not UTF-8: {e}")))?;
    let lines = text.lines().enumerate();
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with("#version"))
        .map(|(i, line)| {
            pair(line).ok_or_else(|| {
                Error::file(
                    MERGES,
                    format!(
                        "line {} is \"{line}\", expected two tokens separated by a space",
                        i + 1
                    ),
                )
            })
        })
        .collect()
}

/// Splits `text` at its only space.
fn pair(text: &str) -> Option<(String, String)> {
    let (first, second) = text.split_once(' ')?;
    let valid = !first.is_empty() && !second.is_empty() && !second.contains(' ');
    valid.then(|| (first.into(), second.into()))
}

/// Takes vocabulary and merges out of `tokenizer.json`. Like transformers, it ignores the rest,
/// which is the same for every CLIP tokenizer.
pub(super) fn model_of_json(json: &mut Map<String, Value>) -> Result<(Vocab, Merges)> {
    let malformed = |what: &str| Error::file(TOKENIZER_JSON, what);
    let mut model = json
        .remove("model")
        .ok_or_else(|| malformed("has no `model`"))?;
    for (key, expected) in [("type", "BPE"), ("end_of_word_suffix", "</w>")] {
        if model.get(key).and_then(Value::as_str) != Some(expected) {
            let actual = model.get(key).unwrap_or(&Value::Null);
            return Err(Error::config(
                TOKENIZER_JSON,
                format!("model.{key}"),
                actual,
                format!("\"{expected}\", as CLIP has it"),
            ));
        }
    }
    let Some(Value::Object(tokens)) = model.get_mut("vocab").map(Value::take) else {
        return Err(malformed("`model.vocab` is not an object"));
    };
    let vocab = tokens.into_iter().map(|(token, id)| {
        let id = checked_id(TOKENIZER_JSON, &token, &id, id.as_u64())?;
        Ok((token, id))
    });
    let vocab = vocab.collect::<Result<_>>()?;
    let Some(Value::Array(merges)) = model.get_mut("merges").map(Value::take) else {
        return Err(malformed("`model.merges` is not a list"));
    };
    // Older files write "a b", newer ones ["a", "b"].
    let merge = |value: &Value| match value {
        Value::String(text) => pair(text),
        Value::Array(two) => match &two[..] {
            [Value::String(first), Value::String(second)] => Some((first.clone(), second.clone())),
            _ => None,
        },
        _ => None,
    };
    let merges = merges.into_iter().map(|value| {
        merge(&value)
            .ok_or_else(|| malformed(&format!("the merge {value} is not a pair of tokens")))
    });
    Ok((vocab, merges.collect::<Result<_>>()?))
}
