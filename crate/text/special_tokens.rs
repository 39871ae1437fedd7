//! Special tokens: the start, end, unknown and padding tokens, and tokens listed beside the
//! vocabulary. The files are read in the order of transformers 5.23.

use serde_json::{Map, Value};
use tokenizers::AddedToken;

use super::vocabulary::{IDS, TOKENIZER_JSON, VOCAB};
use crate::error::{Error, Result};

pub(super) const TOKENIZER_CONFIG: &str = "tokenizer/tokenizer_config.json";
pub(super) const SPECIAL_TOKENS_MAP: &str = "tokenizer/special_tokens_map.json";

const START: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";

/// Maximum length in bytes of a special or listed token. The search for them takes up to 1 kB of
/// memory per byte.
const MAX_TOKEN_BYTES: usize = 128;

/// The special tokens of a model folder's files.
pub(super) struct SpecialTokens {
    /// Tokens listed with their ids, lowest id first.
    listed: Vec<(u32, AddedToken)>,
    pub json: Option<Map<String, Value>>,
    pub config: Option<Map<String, Value>>,
    map: Option<Map<String, Value>>,
}

impl SpecialTokens {
    /// Takes the contents of `tokenizer.json`, `tokenizer_config.json` and
    /// `special_tokens_map.json`.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::Config`] for a listed token that is malformed.
    pub fn new(
        json: Option<Map<String, Value>>,
        config: Option<Map<String, Value>>,
        map: Option<Map<String, Value>>,
    ) -> Result<Self> {
        Ok(SpecialTokens {
            listed: listed_tokens(json.as_ref(), config.as_ref())?,
            json,
            config,
            map,
        })
    }

    /// The largest id among the listed tokens.
    pub fn largest_id(&self) -> Option<u32> {
        self.listed.iter().map(|&(id, _)| id).max()
    }

    /// The token for text that the vocabulary lacks.
    pub fn unknown(&self) -> Result<String> {
        Ok(self.named("unk_token")?.1.content)
    }

    /// The token of the role `key`, and the file that names it.
    fn named(&self, key: &str) -> Result<(&'static str, AddedToken)> {
        let (file, token) = match self.find(key) {
            Some((file, value)) => (file, added_token(file, key, value)?),
            None => {
                let default = if key == "bos_token" { START } else { END };
                (VOCAB, AddedToken::from(default, true))
            }
        };
        let listed = self
            .listed
            .iter()
            .find(|(_, listed)| listed.content == token.content);
        let token = listed.map_or(token, |(_, listed)| listed.clone());
        Ok((file, token.special(true)))
    }

    /// The value of the role `key` in the first file that has one.
    fn find(&self, key: &str) -> Option<(&'static str, &Value)> {
        let config = self.config.as_ref();
        // transformers no longer reads special_tokens_map.json if tokenizer_config.json lists the
        // tokens itself.
        let complete = config.is_some_and(|config| config.contains_key("added_tokens_decoder"));
        let map = self.map.as_ref().filter(|_| !complete);
        let padding = || self.json.as_ref()?.get("padding")?.as_object()?.get(key);
        let sources = [
            (SPECIAL_TOKENS_MAP, map.and_then(|map| map.get(key))),
            (TOKENIZER_CONFIG, config.and_then(|config| config.get(key))),
            (TOKENIZER_JSON, (key == "pad_token").then(padding).flatten()),
        ];
        sources
            .into_iter()
            .find_map(|(file, value)| Some((file, value.filter(|value| !value.is_null())?)))
    }

    /// Adds the start, end, unknown and padding tokens, so that they are found whole in a text.
    /// Returns their ids.
    pub fn add_roles(&self, tokenizer: &mut tokenizers::Tokenizer) -> Result<[u32; 4]> {
        let mut ids = [0; 4];
        let mut tokens: Vec<AddedToken> = Vec::new();
        for (id, key) in ids
            .iter_mut()
            .zip(["bos_token", "eos_token", "unk_token", "pad_token"])
        {
            let (file, token) = self.named(key)?;
            *id = tokenizer.token_to_id(&token.content).ok_or_else(|| {
                let actual = format!("\"{}\"", token.content);
                Error::config(file, key, actual, "a token of the vocabulary")
            })?;
            // SD1.x names the end token again as padding. The last entry decides how the token is
            // searched for.
            tokens.retain(|other| other.content != token.content);
            tokens.push(token);
        }
        tokenizer.add_tokens(&tokens);
        Ok(ids)
    }

    /// Adds the tokens listed with their ids, such as learned concepts behind the vocabulary.
    pub fn add_listed(&self, tokenizer: &mut tokenizers::Tokenizer) -> Result<()> {
        // All at once, because every call rebuilds the search for them.
        let tokens: Vec<_> = self.listed.iter().map(|(_, token)| token.clone()).collect();
        tokenizer.add_tokens(&tokens);
        for (id, token) in &self.listed {
            let actual = tokenizer.token_to_id(&token.content);
            if actual != Some(*id) {
                let actual = actual.map_or("none".into(), |id| id.to_string());
                let key = format!("added token \"{}\"", token.content);
                return Err(Error::config(
                    TOKENIZER_JSON,
                    key,
                    format!("id {id}"),
                    format!("id {actual}, as in the vocabulary"),
                ));
            }
        }
        Ok(())
    }
}

/// Tokens that `tokenizer.json` and `tokenizer_config.json` list with their ids, lowest id first.
fn listed_tokens(
    json: Option<&Map<String, Value>>,
    config: Option<&Map<String, Value>>,
) -> Result<Vec<(u32, AddedToken)>> {
    let id = |file: &str, value: Option<u64>| {
        let id = value.and_then(|id| u32::try_from(id).ok());
        id.filter(|&id| id < IDS)
            .ok_or_else(|| Error::file(file, "an added token has no valid id"))
    };
    let mut tokens = std::collections::BTreeMap::new();
    let of_json = json.and_then(|json| json.get("added_tokens")?.as_array());
    for value in of_json.into_iter().flatten() {
        let id = id(TOKENIZER_JSON, value.get("id").and_then(Value::as_u64))?;
        tokens.insert(id, added_token(TOKENIZER_JSON, "added_tokens", value)?);
    }
    let of_config = config.and_then(|config| config.get("added_tokens_decoder")?.as_object());
    for (key, value) in of_config.into_iter().flatten() {
        let id = id(TOKENIZER_CONFIG, key.parse().ok())?;
        tokens.insert(
            id,
            added_token(TOKENIZER_CONFIG, "added_tokens_decoder", value)?,
        );
    }
    Ok(tokens.into_iter().collect())
}

/// Reads a token from its name, or from an object with `content` and flags for the search.
fn added_token(file: &str, key: &str, value: &Value) -> Result<AddedToken> {
    let flag =
        |name: &str, default: bool| value.get(name).and_then(Value::as_bool).unwrap_or(default);
    // Two tokens must not claim the same white space: the crate's search panics if a token that
    // begins with white space also strips to the left.
    let content = value.get("content").and_then(Value::as_str);
    let lstrip =
        flag("lstrip", false) && !content.is_some_and(|c| c.starts_with(char::is_whitespace));
    match (value, value.get("content")) {
        (Value::String(name), _) if name.len() <= MAX_TOKEN_BYTES => {
            Ok(AddedToken::from(name, true))
        }
        (_, Some(Value::String(content))) if content.len() <= MAX_TOKEN_BYTES => {
            Ok(AddedToken::from(content, flag("special", true))
                .normalized(flag("normalized", false))
                .lstrip(lstrip)
                .rstrip(flag("rstrip", false))
                .single_word(flag("single_word", false)))
        }
        _ => {
            let expected = format!("a token of at most {MAX_TOKEN_BYTES} bytes");
            Err(Error::config(file, key, value, expected))
        }
    }
}
