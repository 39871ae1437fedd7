//! Token ids in chunks of 75, with a weight for each.
//!
//! Equal to `tokenize_line` of the web UI. A learned word is never divided between chunks. Ids are
//! those of the model's own tokenizer: it reads `!` in a text as padding where that is the padding
//! token, as diffusers does with SD2.x; the web UI does not.

use std::ops::Range;

use super::attention::Run;
use crate::error::Result;
use crate::text::tokenizer::{LongPrompt, Tokenizer};

/// The farthest comma, in tokens before the end of a full chunk, at which the chunk is cut. The web
/// UI's default.
pub const COMMA_BACKTRACK: usize = 20;

/// The text encoder's input for a part of a prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Chunk {
    /// [`Tokenizer::max_length`] token ids: start, content, end, padding.
    pub ids: Vec<u32>,
    /// A weight for each id; 1 for those that are not content.
    pub weights: Vec<f64>,
    /// Byte of the text at which the content begins; `None` without content.
    pub start: Option<usize>,
    /// Bytes of the text that each token of the content was typed as.
    pub spans: Vec<Range<usize>>,
}

impl Chunk {
    /// The chunk of an empty prompt.
    pub fn empty(tokenizer: &Tokenizer) -> Self {
        Special::of(tokenizer).chunk(&[])
    }

    /// True if a weight has an effect.
    pub fn is_weighted(&self) -> bool {
        self.weights.iter().any(|&weight| weight != 1.0)
    }
}

/// A prompt as the text encoder reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct Chunks {
    /// One chunk at least.
    pub chunks: Vec<Chunk>,
    /// Tokens that count toward the limit of the last chunk: content, and the padding of all
    /// chunks but the last.
    pub count: usize,
}

/// Puts the tokens of `runs` in chunks. A chunk that is full ends at the last comma, if that is at
/// most `comma_backtrack` tokens before its end (0: never), so that phrases stay together.
///
/// # Errors
/// [`Error::File`](crate::Error::File) when the vocabulary cannot express the text.
pub fn chunks(runs: &[Run], tokenizer: &Tokenizer, comma_backtrack: usize) -> Result<Chunks> {
    let mut packer = Packer {
        special: Special::of(tokenizer),
        comma: comma_id(tokenizer)?,
        comma_backtrack,
        content: Vec::new(),
        last_comma: None,
        chunks: Vec::new(),
    };
    for run in runs {
        if run.is_break() {
            packer.end_chunk(packer.content.len());
            continue;
        }
        for (id, span) in tokenizer.spans(run.text.text())? {
            if let Some(vectors) = tokenizer.learned_length(id) {
                packer.make_room(vectors);
            }
            packer.push(Token {
                id,
                weight: run.weight,
                span: run.text.source_of_range(&span),
            });
        }
    }
    let rest = packer.content.len();
    let mut count = packer.chunks.len() * packer.special.room;
    if rest > 0 || packer.chunks.is_empty() {
        count += rest;
        packer.end_chunk(rest);
    }
    let chunks = packer.chunks;
    Ok(Chunks { chunks, count })
}

/// The chunks of a text in which every sign stands for itself: those of [`Tokenizer::encode`], with
/// weight 1 throughout. No comma ends a chunk.
///
/// # Errors
/// [`Error::File`](crate::Error::File) when the vocabulary cannot express the text.
pub fn plain_chunks(text: &str, tokenizer: &Tokenizer) -> Result<Chunks> {
    let tokens = tokenizer.encode(text, LongPrompt::Chunk)?;
    let spans = tokenizer.spans(text)?.into_iter().map(|(_, span)| span);
    let mut spans = spans.collect::<Vec<_>>().into_iter();
    let room = tokenizer.max_length() - 2;
    let chunks = tokens.chunks.into_iter().map(|ids| {
        let spans: Vec<_> = spans.by_ref().take(room).collect();
        Chunk {
            weights: vec![1.0; ids.len()],
            ids,
            start: spans.first().map(|span| span.start),
            spans,
        }
    });
    Ok(Chunks {
        chunks: chunks.collect(),
        count: tokens.count,
    })
}

/// A token of the content.
struct Token {
    id: u32,
    weight: f64,
    /// Bytes of the text.
    span: Range<usize>,
}

struct Packer {
    special: Special,
    comma: Option<u32>,
    comma_backtrack: usize,
    /// Tokens of the chunk in the making.
    content: Vec<Token>,
    /// The last comma of the chunk, of those that were not carried over from the one before.
    last_comma: Option<usize>,
    chunks: Vec<Chunk>,
}

impl Packer {
    fn push(&mut self, token: Token) {
        let full = self.content.len() == self.special.room;
        if Some(token.id) == self.comma {
            if full {
                self.end_chunk(self.content.len());
            } else {
                self.last_comma = Some(self.content.len());
            }
        } else if full {
            let full = self.content.len();
            let comma = self
                .last_comma
                .filter(|&comma| full - comma <= self.comma_backtrack);
            self.end_chunk(comma.map_or(full, |comma| comma + 1));
        }
        self.content.push(token);
    }

    /// Ends the chunk where a learned word of so many vectors does not fit.
    fn make_room(&mut self, vectors: usize) {
        if self.content.len() + vectors > self.special.room {
            self.end_chunk(self.content.len());
        }
    }

    /// Ends the chunk after `length` tokens; the others are carried over.
    fn end_chunk(&mut self, length: usize) {
        let rest = self.content.split_off(length);
        self.chunks.push(self.special.chunk(&self.content));
        self.content = rest;
        self.last_comma = None;
    }
}

/// Ids that are not content.
struct Special {
    start: u32,
    end: u32,
    padding: u32,
    /// Content tokens a chunk.
    room: usize,
}

impl Special {
    fn of(tokenizer: &Tokenizer) -> Self {
        let empty = tokenizer.empty_chunk();
        Special {
            start: empty[0],
            end: empty[1],
            padding: empty[2],
            room: tokenizer.max_length() - 2,
        }
    }

    /// Start, `content`, end, padding. Where padding is a token of its own, as in SD2.x, all that
    /// follows the first end is padding, even if the prompt itself names the end token.
    fn chunk(&self, content: &[Token]) -> Chunk {
        let length = self.room + 2;
        let mut ids = vec![self.start];
        ids.extend(content.iter().map(|token| token.id));
        ids.push(self.end);
        if self.padding != self.end {
            let end = ids.iter().position(|&id| id == self.end);
            ids.truncate(end.map_or(ids.len(), |end| end + 1));
        }
        ids.resize(length, self.padding);
        let mut weights = vec![1.0];
        weights.extend(content.iter().map(|token| token.weight));
        weights.resize(length, 1.0);
        let spans: Vec<_> = content.iter().map(|token| token.span.clone()).collect();
        Chunk {
            ids,
            weights,
            start: spans.first().map(|span| span.start),
            spans,
        }
    }
}

/// The id of a comma that stands for itself.
fn comma_id(tokenizer: &Tokenizer) -> Result<Option<u32>> {
    let end = tokenizer.empty_chunk()[1];
    Ok(match tokenizer.content(",")?[..] {
        [(id, _)] if id != end => Some(id),
        _ => None,
    })
}
