//! Prompts of any text.

use darkroom::Error;
use darkroom::text::tokenizer::{LongPrompt, Tokenizer, TokenizerFiles};

use super::file;
use crate::grow;
use crate::run::{Bound, Input, Target};
use crate::support::random::Random;

const PROMPT: &str = "prompt";

pub struct Texts {
    /// The published vocabulary, and a small one with few letters.
    tokenizers: Vec<Tokenizer>,
}

impl Texts {
    pub fn new() -> Self {
        let tokenizer = |folder: &str| {
            let file = |name| file(&format!("{folder}/{name}"));
            let (vocab, merges) = (file("vocab.json"), file("merges.txt"));
            Tokenizer::from_files(&TokenizerFiles {
                vocab: vocab.as_deref(),
                merges: merges.as_deref(),
                ..Default::default()
            })
        };
        let folders = ["www/vocab/clip", "www/models/portraits/tokenizer"];
        let tokenizers: Vec<Tokenizer> = folders
            .iter()
            .map(|f| tokenizer(f).expect("a tokenizer"))
            .collect();
        for tokenizer in &tokenizers {
            check(tokenizer, "Photo of a man,\t İ 12 '\u{301}", false).expect("tokens");
        }
        Texts { tokenizers }
    }
}

/// Tokenizes `text` in chunks and truncated. With `whole`, the text that is cut off must be the end
/// of `text`.
pub fn check(tokenizer: &Tokenizer, text: &str, whole: bool) -> Result<(), Error> {
    let long = tokenizer.encode(text, LongPrompt::Chunk)?;
    let cut = tokenizer.encode(text, LongPrompt::Truncate)?;
    let (length, size) = (tokenizer.max_length(), tokenizer.vocab_size());
    let empty = tokenizer.empty_chunk();
    let room = length - 2;
    assert_eq!((cut.chunks.len(), cut.count), (1, long.count));
    assert_eq!(cut.chunks[0], long.chunks[0]);
    assert_eq!(long.chunks.len(), long.count.div_ceil(room).max(1));
    assert_eq!(cut.cut.is_some(), long.count > room);
    assert!(!whole || text.ends_with(cut.cut.as_deref().unwrap_or_default()));
    for (i, chunk) in long.chunks.iter().enumerate() {
        let content = (long.count - room * i).min(room);
        assert_eq!(
            (chunk.len(), chunk[0], chunk[content + 1]),
            (length, empty[0], empty[1])
        );
        assert!(
            chunk.iter().all(|&id| (id as usize) < size),
            "{chunk:?} of {size}"
        );
    }
    Ok(())
}

impl Target for Texts {
    fn name(&self) -> &'static str {
        "text"
    }

    fn bound(&self) -> Bound {
        // Each letter may be a token with its text and its offsets. The regular expressions keep up
        // to 2 MB each.
        Bound {
            factor: 150,
            constant: 8_000_000,
        }
    }

    fn names(&self) -> &'static [&'static str] {
        &["tokenizer/"]
    }

    fn input(&self, random: &mut Random) -> Input {
        let mut text = grow::text(random, 120);
        if random.once_in(200) {
            text = text.repeat(random.length(60));
        }
        Input(vec![(PROMPT, text.into_bytes())])
    }

    fn run(&self, input: &Input) -> Result<(), Error> {
        let text = String::from_utf8_lossy(input.get(PROMPT).unwrap_or_default());
        self.tokenizers
            .iter()
            .try_for_each(|tokenizer| check(tokenizer, &text, true))
    }
}
