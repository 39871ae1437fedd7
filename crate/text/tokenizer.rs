//! CLIP's tokenizer: text → token ids, from a model folder's own `tokenizer/` files.
//!
//! Byte-level BPE by the `tokenizers` crate, put together as `CLIPTokenizer` of transformers 5.23 does it
//! (`models/clip/tokenization_clip.py`), whose ids are matched exactly: text is brought to NFC, runs of whitespace become
//! one space, letters become small; words, single digits and runs of other signs are then merged piece by piece.

use serde_json::{Map, Value};
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::{Lowercase, NFC, Replace, Sequence, replace::ReplacePattern};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizers;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior};

use super::vocabulary::{
    IDS, MERGES, TOKENIZER_JSON, VOCAB, merges_of_text, model_of_json, vocabulary,
};
use crate::error::{Error, Result};

const TOKENIZER_CONFIG: &str = "tokenizer/tokenizer_config.json";
const SPECIAL_TOKENS_MAP: &str = "tokenizer/special_tokens_map.json";

const START: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";
/// What stays together before BPE: special tokens, English clitics, words, digits, runs of anything else.
const WORDS: &str =
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";
/// Tokens a chunk, where the files do not say.
const MAX_LENGTH: usize = 77;
/// Bytes of a special token, or of one listed beside the vocabulary. The search for them takes up to 1 kB for each.
const TOKEN_AT_MOST: usize = 128;

/// The contents of a model folder's `tokenizer/` files; `None` where a file does not exist. Either `vocab` and `merges` or
/// `tokenizer_json` must be there.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokenizerFiles<'a> {
    /// `vocab.json`: every token and its id.
    pub vocab: Option<&'a [u8]>,
    /// `merges.txt`: pairs of tokens to merge, most urgent first.
    pub merges: Option<&'a [u8]>,
    /// `tokenizer.json`: both in one file.
    pub tokenizer_json: Option<&'a [u8]>,
    /// `tokenizer_config.json`: names of the special tokens, `model_max_length`.
    pub tokenizer_config: Option<&'a [u8]>,
    /// `special_tokens_map.json`: names of the special tokens; SD2.x names its padding only here.
    pub special_tokens_map: Option<&'a [u8]>,
}

/// What to do with a prompt of more than 75 tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LongPrompt {
    /// Keep the first 75 tokens and report the rest, as diffusers does.
    #[default]
    Truncate,
    /// Go on in further chunks of 75 tokens, as A1111 does.
    Chunk,
}

impl std::fmt::Display for LongPrompt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            LongPrompt::Truncate => "truncate",
            LongPrompt::Chunk => "chunk",
        })
    }
}

impl std::str::FromStr for LongPrompt {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "truncate" => Ok(LongPrompt::Truncate),
            "chunk" => Ok(LongPrompt::Chunk),
            other => Err(Error::request("long_prompt", other, "truncate or chunk")),
        }
    }
}

/// A tokenized prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// One or more chunks of [`Tokenizer::max_length`] ids each: start, content, end, padding.
    pub chunks: Vec<Vec<u32>>,
    /// Content tokens in the whole text, before anything was cut off.
    pub count: usize,
    /// The end of the text that found no place, as it was typed.
    pub cut: Option<String>,
}

/// A model's tokenizer.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    start: u32,
    end: u32,
    padding: u32,
    max_length: usize,
    vocab_size: usize,
}

impl Tokenizer {
    /// Builds the tokenizer that a model folder's files describe.
    ///
    /// # Errors
    /// [`Error::File`] for missing or malformed files, [`Error::Config`] for special tokens that the vocabulary lacks and
    /// for an impossible `model_max_length`.
    pub fn from_files(files: &TokenizerFiles) -> Result<Self> {
        let parse = |path, text: Option<&[u8]>| text.map(|text| object(path, text)).transpose();
        let json = parse(TOKENIZER_JSON, files.tokenizer_json)?;
        let config = parse(TOKENIZER_CONFIG, files.tokenizer_config)?;
        let map = parse(SPECIAL_TOKENS_MAP, files.special_tokens_map)?;
        let mut special = SpecialTokens {
            listed: listed_tokens(json.as_ref(), config.as_ref())?,
            json,
            config,
            map,
        };
        let (vocab, merges, merges_file) = match (files.vocab, files.merges, &mut special.json) {
            (Some(vocab), Some(merges), _) => (vocabulary(vocab)?, merges_of_text(merges)?, MERGES),
            (_, _, Some(json)) => {
                let (vocab, merges) = model_of_json(json)?;
                (vocab, merges, TOKENIZER_JSON)
            }
            (Some(_), None, None) => return Err(Error::file(MERGES, "there is no such file")),
            (None, _, None) => {
                let what = "there is no such file, nor a tokenizer.json";
                return Err(Error::file(VOCAB, what));
            }
        };
        let (_, unknown) = special.named("unk_token")?;
        let ids = vocab.values().copied();
        let largest = ids.chain(special.listed.iter().map(|&(id, _)| id)).max();
        let model = BPE::builder()
            .vocab_and_merges(vocab, merges)
            // Words are few in a prompt; remembering 10,000 would take 0.8 MB.
            .cache_capacity(0)
            .unk_token(unknown.content)
            .continuing_subword_prefix(String::new())
            .end_of_word_suffix("</w>".into())
            .build()
            .map_err(|e| Error::file(merges_file, e))?;
        let mut inner = clip(model).map_err(|e| Error::file(VOCAB, e))?;
        special.add_listed(&mut inner)?;
        let [start, end, _, padding] = special.add_roles(&mut inner)?;
        Ok(Tokenizer {
            start,
            end,
            padding,
            max_length: max_length(special.config.as_ref())?,
            vocab_size: largest.map_or(0, |id| id as usize + 1),
            inner,
        })
    }

    /// Ids in a chunk: 77, of which 75 are content.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// One more than the largest id: the text encoder's token table needs at least so many rows.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// The chunk of an empty prompt: start, end, padding.
    pub fn empty_chunk(&self) -> Vec<u32> {
        self.chunk(&[])
    }

    /// Tokenizes a prompt. An empty text gives one chunk without content.
    ///
    /// # Errors
    /// [`Error::File`] when the vocabulary cannot express the text, which no complete CLIP vocabulary does.
    pub fn encode(&self, text: &str, long_prompt: LongPrompt) -> Result<Tokens> {
        let encoding = self
            .inner
            .encode(text, false)
            .map_err(|e| Error::file(VOCAB, e))?;
        let ids = encoding.get_ids();
        let room = self.max_length - 2;
        if ids.len() <= room || long_prompt == LongPrompt::Truncate {
            let cut = encoding
                .get_offsets()
                .get(room)
                .map(|&(start, _)| rest(text, start));
            return Ok(Tokens {
                chunks: vec![self.chunk(&ids[..ids.len().min(room)])],
                count: ids.len(),
                cut,
            });
        }
        Ok(Tokens {
            chunks: ids
                .chunks(room)
                .map(|content| self.chunk(content))
                .collect(),
            count: ids.len(),
            cut: None,
        })
    }

    /// Ids of a text without start, end and padding, each with the byte at which it begins.
    ///
    /// # Errors
    /// [`Error::File`] when the vocabulary cannot express the text.
    pub fn content(&self, text: &str) -> Result<Vec<(u32, usize)>> {
        let encoding = self
            .inner
            .encode(text, false)
            .map_err(|e| Error::file(VOCAB, e))?;
        let ids = encoding.get_ids().iter().copied();
        let starts = encoding.get_offsets().iter().map(|&(start, _)| {
            // A token can begin within a letter.
            let starts = (0..=start).rev().find(|&i| text.is_char_boundary(i));
            starts.unwrap_or(0)
        });
        Ok(ids.zip(starts).collect())
    }

    /// Start, `content`, end, padding.
    fn chunk(&self, content: &[u32]) -> Vec<u32> {
        let mut ids = Vec::with_capacity(self.max_length);
        ids.push(self.start);
        ids.extend_from_slice(content);
        ids.push(self.end);
        ids.resize(self.max_length, self.padding);
        ids
    }
}

/// The text from byte `start` on, or from the letter that byte is part of: a token can begin within a letter.
fn rest(text: &str, start: usize) -> String {
    let start = (0..=start.min(text.len()))
        .rev()
        .find(|&i| text.is_char_boundary(i));
    text[start.unwrap_or(0)..].to_string()
}

/// CLIP's normalisation and splitting around a BPE model.
fn clip(model: BPE) -> std::result::Result<tokenizers::Tokenizer, tokenizers::Error> {
    let whitespace = Replace::new(ReplacePattern::Regex(r"\s+".into()), " ")?;
    let words = Split::new(
        SplitPattern::Regex(WORDS.into()),
        SplitDelimiterBehavior::Removed,
        true,
    )?;
    let bytes = ByteLevel::new(false, true, true);
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    tokenizer
        .with_normalizer(Some(Sequence::new(vec![
            NFC.into(),
            whitespace.into(),
            Lowercase.into(),
        ])))
        .with_pre_tokenizer(Some(PreTokenizers::new(vec![words.into(), bytes.into()])));
    Ok(tokenizer)
}

fn object(path: &str, text: &[u8]) -> Result<Map<String, Value>> {
    serde_json::from_slice(text).map_err(|e| Error::file(path, format!("not a JSON object: {e}")))
}

/// `model_max_length`; a number beyond any text encoder's reach is how files say that they do not know.
fn max_length(config: Option<&Map<String, Value>>) -> Result<usize> {
    match config.and_then(|config| config.get("model_max_length")) {
        None | Some(Value::Null) => Ok(MAX_LENGTH),
        Some(value) => match value.as_f64() {
            Some(length) if length > 65536.0 => Ok(MAX_LENGTH),
            Some(length) if length >= 3.0 && length.fract() == 0.0 => Ok(length as usize),
            _ => Err(Error::config(
                TOKENIZER_CONFIG,
                "model_max_length",
                value,
                "a whole number from 3",
            )),
        },
    }
}

/// What a folder's files say about tokens that stand for more than text.
struct SpecialTokens {
    /// Tokens listed with their ids, lowest first.
    listed: Vec<(u32, AddedToken)>,
    json: Option<Map<String, Value>>,
    config: Option<Map<String, Value>>,
    map: Option<Map<String, Value>>,
}

impl SpecialTokens {
    /// The token that plays the role `key`, and the file that says so.
    fn named(&self, key: &str) -> Result<(&'static str, AddedToken)> {
        // transformers stopped reading special_tokens_map.json where tokenizer_config.json lists the tokens itself.
        let complete = self
            .config
            .as_ref()
            .is_some_and(|config| config.contains_key("added_tokens_decoder"));
        let map = self.map.as_ref().filter(|_| !complete);
        let padding = self
            .json
            .as_ref()
            .and_then(|json| json.get("padding")?.as_object());
        let sources = [
            (SPECIAL_TOKENS_MAP, map.and_then(|map| map.get(key))),
            (
                TOKENIZER_CONFIG,
                self.config.as_ref().and_then(|config| config.get(key)),
            ),
            (
                TOKENIZER_JSON,
                padding
                    .filter(|_| key == "pad_token")
                    .and_then(|padding| padding.get(key)),
            ),
        ];
        let found = sources
            .into_iter()
            .find_map(|(file, value)| Some((file, value.filter(|value| !value.is_null())?)));
        let (file, token) = match found {
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
        Ok((
            file,
            listed
                .map_or(token, |(_, listed)| listed.clone())
                .special(true),
        ))
    }

    /// Makes the tokens that begin, end, replace the unknown and pad be found whole in a text, and returns their ids.
    fn add_roles(&self, tokenizer: &mut tokenizers::Tokenizer) -> Result<[u32; 4]> {
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
            // SD1.x names the end token again as padding: how it is looked for in a text is what the last naming says.
            tokens.retain(|other| other.content != token.content);
            tokens.push(token);
        }
        tokenizer.add_tokens(&tokens);
        Ok(ids)
    }

    /// Adds the tokens listed with their ids, such as those of learned concepts behind the vocabulary.
    fn add_listed(&self, tokenizer: &mut tokenizers::Tokenizer) -> Result<()> {
        // All at once: the search for them is prepared anew with every call.
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

/// The tokens that `tokenizer.json` and `tokenizer_config.json` list with their ids.
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

/// A token as a plain name or as an object with `content` and how to look for it.
fn added_token(file: &str, key: &str, value: &Value) -> Result<AddedToken> {
    let flag =
        |name: &str, default: bool| value.get(name).and_then(Value::as_bool).unwrap_or(default);
    // Two tokens must not both take the same white space: the crate's search panics where one that begins with white space
    // also reaches to the left.
    let content = value.get("content").and_then(Value::as_str);
    let lstrip =
        flag("lstrip", false) && !content.is_some_and(|c| c.starts_with(char::is_whitespace));
    match (value, value.get("content")) {
        (Value::String(name), _) if name.len() <= TOKEN_AT_MOST => Ok(AddedToken::from(name, true)),
        (_, Some(Value::String(content))) if content.len() <= TOKEN_AT_MOST => {
            Ok(AddedToken::from(content, flag("special", true))
                .normalized(flag("normalized", false))
                .lstrip(lstrip)
                .rstrip(flag("rstrip", false))
                .single_word(flag("single_word", false)))
        }
        _ => {
            let expected = format!("a token of at most {TOKEN_AT_MOST} bytes");
            Err(Error::config(file, key, value, expected))
        }
    }
}
