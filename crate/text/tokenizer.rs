//! CLIP's tokenizer: text to token ids, built from a model folder's own `tokenizer/` files.
//!
//! Byte-level BPE by the `tokenizers` crate, configured as `CLIPTokenizer` of transformers 5.23
//! (`models/clip/tokenization_clip.py`), and with exactly its ids: text is normalized to NFC, runs
//! of whitespace become one space, letters become lower case. Words, single digits and runs of
//! other characters are then merged by BPE.

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::{Map, Value};
use tokenizers::SplitDelimiterBehavior;
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::{Lowercase, NFC, Replace, Sequence, replace::ReplacePattern};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizers;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};

use super::embedding::{Embedding, Part, Words, split};
pub use super::special_tokens::lists_added_tokens;
use super::special_tokens::{ADDED_TOKENS, SPECIAL_TOKENS_MAP, SpecialTokens, TOKENIZER_CONFIG};
use super::vocabulary::{MERGES, TOKENIZER_JSON, VOCAB, merges_of_text, model_of_json, vocabulary};
use crate::error::{Error, Result};

/// Pieces of a text that BPE is applied to one by one: special tokens, English clitics, words,
/// digits, runs of anything else.
const WORDS: &str =
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";
/// Tokens per chunk if the files do not say.
const DEFAULT_LENGTH: usize = 77;

/// The contents of a model folder's `tokenizer/` files; `None` for a file that does not exist.
/// Either `vocab` and `merges` or `tokenizer_json` is required.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokenizerFiles<'a> {
    /// `vocab.json`: every token and its id.
    pub vocab: Option<&'a [u8]>,
    /// `merges.txt`: pairs of tokens to merge, the first one first.
    pub merges: Option<&'a [u8]>,
    /// `tokenizer.json`: both in one file.
    pub tokenizer_json: Option<&'a [u8]>,
    /// `tokenizer_config.json`: names of the special tokens, `model_max_length`.
    pub tokenizer_config: Option<&'a [u8]>,
    /// `special_tokens_map.json`: names of the special tokens. SD2.x names its padding only here.
    pub special_tokens_map: Option<&'a [u8]>,
    /// `added_tokens.json`: learned words behind the vocabulary, in files of 2022 and 2023.
    pub added_tokens: Option<&'a [u8]>,
}

/// Treatment of a prompt of more than 75 tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LongPrompt {
    /// Keep the first 75 tokens and report the rest, as diffusers does.
    #[default]
    Truncate,
    /// Continue in further chunks of 75 tokens, as A1111 does.
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
    /// The end of the text that was cut off, as typed.
    pub cut: Option<String>,
}

/// A model's tokenizer. Clones share the vocabulary.
#[derive(Clone)]
pub struct Tokenizer {
    inner: Arc<tokenizers::Tokenizer>,
    start: u32,
    end: u32,
    padding: u32,
    max_length: usize,
    vocab_size: usize,
    words: Words,
}

impl Tokenizer {
    /// Builds the tokenizer that a model folder's files describe.
    ///
    /// # Errors
    /// [`Error::File`] for missing or malformed files, [`Error::Config`] for special tokens that
    /// the vocabulary lacks and for an impossible `model_max_length`.
    pub fn from_files(files: &TokenizerFiles) -> Result<Self> {
        let parse = |path, text: Option<&[u8]>| text.map(|text| object(path, text)).transpose();
        let mut special = SpecialTokens::new(
            parse(TOKENIZER_JSON, files.tokenizer_json)?,
            parse(TOKENIZER_CONFIG, files.tokenizer_config)?,
            parse(SPECIAL_TOKENS_MAP, files.special_tokens_map)?,
            parse(ADDED_TOKENS, files.added_tokens)?,
        )?;
        let (vocab, merges, merges_file) = match (files.vocab, files.merges, &mut special.json) {
            (Some(vocab), Some(merges), _) => (vocabulary(vocab)?, merges_of_text(merges)?, MERGES),
            (_, _, Some(json)) => {
                let (vocab, merges) = model_of_json(json)?;
                (vocab, merges, TOKENIZER_JSON)
            }
            (Some(_), None, None) => return Err(Error::file(MERGES, "no such file")),
            (None, _, None) => {
                return Err(Error::file(VOCAB, "no such file, nor a tokenizer.json"));
            }
        };
        let unknown = special.unknown()?;
        let largest = vocab.values().copied().max().max(special.largest_id());
        let model = BPE::builder()
            .vocab_and_merges(vocab, merges)
            // Prompts have few words, and a cache of 10,000 words would take 0.8 MB.
            .cache_capacity(0)
            .unk_token(unknown)
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
            inner: Arc::new(inner),
            words: Words::default(),
        })
    }

    /// Sets the learned words, in place of those set before. Their vectors have ids from
    /// [`FIRST_ID`](super::embedding::FIRST_ID) on, in this order.
    pub fn set_embeddings(&mut self, embeddings: &[Rc<Embedding>]) {
        self.words = Words::new(embeddings);
    }

    /// Number of vectors of the learned word that begins with the token id `id`.
    pub(super) fn learned_length(&self, id: u32) -> Option<usize> {
        self.words.length_at(id)
    }

    /// Bytes of the learned words in `text`, in order.
    pub(super) fn learned_words(&self, text: &str) -> Vec<Range<usize>> {
        if self.words.is_empty() {
            return Vec::new();
        }
        let parts = split(text, &self.words).into_iter();
        let spans = parts.filter_map(|part| match part {
            Part::Word(span, _) => Some(span),
            Part::Text(_) => None,
        });
        spans.collect()
    }

    /// Ids in a chunk: 77, of which 75 are content.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// One more than the largest id: the minimum number of rows of the text encoder's token table.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// The chunk of an empty prompt: start token, end token, padding.
    pub fn empty_chunk(&self) -> Vec<u32> {
        self.chunk(&[])
    }

    /// Tokenizes a prompt. An empty text gives one chunk without content.
    ///
    /// # Errors
    /// [`Error::File`] if the vocabulary cannot express the text. A complete CLIP vocabulary can
    /// express any text.
    pub fn encode(&self, text: &str, long_prompt: LongPrompt) -> Result<Tokens> {
        let (ids, starts): (Vec<u32>, Vec<usize>) = self.content(text)?.into_iter().unzip();
        let room = self.max_length - 2;
        if ids.len() <= room || long_prompt == LongPrompt::Truncate {
            let cut = starts.get(room).map(|&start| text[start..].to_string());
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
        let spans = self.spans(text)?.into_iter();
        Ok(spans.map(|(id, span)| (id, span.start)).collect())
    }

    /// Ids of a text without start, end and padding, each with its bytes. Tokens that share a
    /// letter have the bytes of the whole letter.
    ///
    /// # Errors
    /// [`Error::File`] when the vocabulary cannot express the text.
    pub fn spans(&self, text: &str) -> Result<Vec<(u32, Range<usize>)>> {
        if self.words.is_empty() {
            return self.plain_spans(text);
        }
        let mut spans = Vec::new();
        for part in split(text, &self.words) {
            match part {
                Part::Text(range) => {
                    let first = range.start;
                    let plain = self.plain_spans(&text[range])?.into_iter();
                    spans
                        .extend(plain.map(|(id, span)| (id, first + span.start..first + span.end)));
                }
                Part::Word(span, ids) => spans.extend(ids.map(|id| (id, span.clone()))),
            }
        }
        Ok(spans)
    }

    /// [`Tokenizer::spans`] of a text without learned words.
    fn plain_spans(&self, text: &str) -> Result<Vec<(u32, Range<usize>)>> {
        let encoding = self
            .inner
            .encode(text, false)
            .map_err(|e| Error::file(VOCAB, e))?;
        let ids = encoding.get_ids().iter().copied();
        let spans = encoding.get_offsets().iter().map(|&(start, end)| {
            // A token can begin and end within a letter.
            text.floor_char_boundary(start)..text.ceil_char_boundary(end)
        });
        Ok(ids.zip(spans).collect())
    }

    /// A chunk: start token, `content`, end token, padding.
    fn chunk(&self, content: &[u32]) -> Vec<u32> {
        let mut ids = Vec::with_capacity(self.max_length);
        ids.push(self.start);
        ids.extend_from_slice(content);
        ids.push(self.end);
        ids.resize(self.max_length, self.padding);
        ids
    }
}

/// Adds CLIP's normalization and splitting to a BPE model.
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

/// Reads `model_max_length`. Files that do not know it give a huge number.
fn max_length(config: Option<&Map<String, Value>>) -> Result<usize> {
    match config.and_then(|config| config.get("model_max_length")) {
        None | Some(Value::Null) => Ok(DEFAULT_LENGTH),
        Some(value) => match value.as_f64() {
            Some(length) if length > 65536.0 => Ok(DEFAULT_LENGTH),
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
