//! Special tokens: the start, end, unknown and padding tokens, and tokens listed beside the
//! vocabulary. The files are read in the order of transformers 5.23.

use serde_json::{Map, Value, json};
use tokenizers::AddedToken;

use super::vocabulary::{IDS, TOKENIZER_JSON, VOCAB};
use crate::error::{Error, Result};

pub(super) const TOKENIZER_CONFIG: &str = "tokenizer/tokenizer_config.json";
pub(super) const SPECIAL_TOKENS_MAP: &str = "tokenizer/special_tokens_map.json";
pub(super) const ADDED_TOKENS: &str = "tokenizer/added_tokens.json";

const START: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";

/// Maximum length in bytes of a special or listed token. The search for them takes up to 1 kB of
/// memory per byte.
const MAX_TOKEN_BYTES: usize = 128;

/// Key of `tokenizer_config.json` that lists the added tokens by their ids.
const DECODER: &str = "added_tokens_decoder";

/// True if the file `tokenizer_config.json` lists the added tokens itself: `added_tokens.json` then
/// has no effect and need not be read. A malformed file lists none.
pub fn lists_added_tokens(tokenizer_config: Option<&[u8]>) -> bool {
    let config = tokenizer_config.and_then(|json| serde_json::from_slice::<Value>(json).ok());
    config.is_some_and(|config| config.get(DECODER).is_some())
}

/// The special tokens of a model folder's files.
pub(super) struct SpecialTokens {
    /// Tokens listed with their ids, lowest id first.
    listed: Vec<ListedToken>,
    pub json: Option<Map<String, Value>>,
    pub config: Option<Map<String, Value>>,
    map: Option<Map<String, Value>>,
}

/// A token that a file lists with its id.
struct ListedToken {
    id: u32,
    token: AddedToken,
    file: &'static str,
}

impl SpecialTokens {
    /// Takes the contents of `tokenizer.json`, `tokenizer_config.json`, `special_tokens_map.json`
    /// and `added_tokens.json`.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::Config`] for a listed token that is malformed.
    pub fn new(
        json: Option<Map<String, Value>>,
        config: Option<Map<String, Value>>,
        map: Option<Map<String, Value>>,
        added: Option<Map<String, Value>>,
    ) -> Result<Self> {
        let mut tokens = SpecialTokens {
            listed: Vec::new(),
            json,
            config,
            map,
        };
        tokens.listed = tokens.list(added.as_ref())?;
        Ok(tokens)
    }

    /// Collects the tokens that the files list with their ids, lowest id first. Two files with the
    /// same id: the later one of `added_tokens.json`, `tokenizer.json` and `tokenizer_config.json`.
    fn list(&self, added: Option<&Map<String, Value>>) -> Result<Vec<ListedToken>> {
        let mut tokens = std::collections::BTreeMap::new();
        let mut insert = |file, id: Option<u64>, token| {
            let id = listed_id(file, id)?;
            tokens.insert(id, ListedToken { id, token, file });
            Ok::<_, Error>(())
        };
        // Programs of 2022 and 2023 wrote learned words there. transformers reads it unless
        // tokenizer_config.json lists the tokens itself.
        let added = added.filter(|_| !self.is_complete());
        for (name, id) in added.into_iter().flatten() {
            let special = self.is_special(name);
            let flags = json!({ "content": name, "special": special, "normalized": !special });
            let token = added_token(ADDED_TOKENS, name, &flags)?;
            insert(ADDED_TOKENS, id.as_u64(), token)?;
        }
        let of_json = self.json.as_ref();
        let of_json = of_json.and_then(|json| json.get("added_tokens")?.as_array());
        for value in of_json.into_iter().flatten() {
            let token = added_token(TOKENIZER_JSON, "added_tokens", value)?;
            insert(
                TOKENIZER_JSON,
                value.get("id").and_then(Value::as_u64),
                token,
            )?;
        }
        let key = DECODER;
        let of_config = self.config.as_ref();
        let of_config = of_config.and_then(|config| config.get(key)?.as_object());
        for (id, value) in of_config.into_iter().flatten() {
            let token = added_token(TOKENIZER_CONFIG, key, value)?;
            insert(TOKENIZER_CONFIG, id.parse().ok(), token)?;
        }
        Ok(tokens.into_values().collect())
    }

    /// True if `tokenizer_config.json` lists all added tokens. transformers then reads neither
    /// `special_tokens_map.json` nor `added_tokens.json`.
    fn is_complete(&self) -> bool {
        let config = self.config.as_ref();
        config.is_some_and(|config| config.contains_key(DECODER))
    }

    /// True if a file gives `name` a role, or lists it among further special tokens.
    fn is_special(&self, name: &str) -> bool {
        let is_name =
            |value: &Value| value == name || value.get("content").is_some_and(|c| c == name);
        let roles = [
            "bos_token",
            "eos_token",
            "unk_token",
            "sep_token",
            "pad_token",
            "cls_token",
            "mask_token",
        ];
        let lists = ["additional_special_tokens", "extra_special_tokens"];
        let lists = lists
            .into_iter()
            .filter_map(|key| self.find(key)?.1.as_array());
        roles
            .into_iter()
            .any(|key| self.find(key).is_some_and(|(_, value)| is_name(value)))
            || lists.flatten().any(is_name)
    }

    /// The largest id among the listed tokens.
    pub fn largest_id(&self) -> Option<u32> {
        self.listed.iter().map(|listed| listed.id).max()
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
            .find(|listed| listed.token.content == token.content);
        let token = listed.map_or(token, |listed| listed.token.clone());
        Ok((file, token.special(true)))
    }

    /// The value of the role `key` in the first file that has one.
    fn find(&self, key: &str) -> Option<(&'static str, &Value)> {
        let config = self.config.as_ref();
        let map = self.map.as_ref().filter(|_| !self.is_complete());
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
        let tokens: Vec<_> = self.listed.iter().map(|l| l.token.clone()).collect();
        tokenizer.add_tokens(&tokens);
        for ListedToken { id, token, file } in &self.listed {
            let actual = tokenizer.token_to_id(&token.content);
            if actual != Some(*id) {
                let actual = actual.map_or("none".into(), |id| id.to_string());
                let key = format!("added token \"{}\"", token.content);
                return Err(Error::config(
                    file,
                    key,
                    format!("id {id}"),
                    format!("id {actual}, as in the vocabulary"),
                ));
            }
        }
        Ok(())
    }
}

/// Checks the id that `file` gives an added token.
fn listed_id(file: &str, id: Option<u64>) -> Result<u32> {
    let id = id.and_then(|id| u32::try_from(id).ok());
    id.filter(|&id| id < IDS)
        .ok_or_else(|| Error::file(file, "an added token has no valid id"))
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
