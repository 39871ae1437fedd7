//! Names of learned words in a prompt.
//!
//! A name is found where it stands alone, not within a longer word, in capitals or small letters;
//! of two names that begin at one place, the longer one holds. The web UI compares token ids, which
//! comes to the same for names of letters; names with other signs at their ends, such as
//! `<cat-toy>`, are found before any sign here, as diffusers finds them.

use std::ops::Range;
use std::rc::Rc;

use super::{Embedding, FIRST_ID};
use crate::text::prompt::is_word;

/// A name and the token ids of its vectors.
#[derive(Debug, Clone)]
struct Word {
    /// In small letters.
    name: Vec<char>,
    ids: Range<u32>,
}

/// The names of all learned words, longest first.
#[derive(Debug, Clone, Default)]
pub struct Words(Vec<Word>);

impl Words {
    /// Numbers the vectors of `embeddings` in order.
    pub fn new(embeddings: &[Rc<Embedding>]) -> Self {
        let mut words = Vec::new();
        let mut first = FIRST_ID;
        for embedding in embeddings {
            let ids = first..first + embedding.vectors() as u32;
            first = ids.end;
            for name in embedding.names() {
                let name: Vec<char> = small(name).collect();
                words.retain(|word: &Word| word.name != name);
                let ids = ids.clone();
                words.push(Word { name, ids });
            }
        }
        words.sort_by_key(|word| std::cmp::Reverse(word.name.len()));
        Words(words)
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Number of vectors of the word that begins with the token id `id`.
    pub fn length_at(&self, id: u32) -> Option<usize> {
        let word = self.0.iter().find(|word| word.ids.start == id)?;
        Some(word.ids.len())
    }

    /// The word that begins at byte `at` of `text`, and the byte behind it.
    fn find(&self, text: &str, at: usize) -> Option<(&Word, usize)> {
        let before = text[..at].chars().next_back();
        self.0.iter().find_map(|word| {
            let end = end_of(&word.name, &text[at..]).map(|length| at + length)?;
            let after = text[end..].chars().next();
            let apart = |a: Option<char>, b: Option<&char>| {
                !(a.is_some_and(is_word) && b.is_some_and(|&b| is_word(b)))
            };
            let alone = apart(before, word.name.first()) && apart(after, word.name.last());
            alone.then_some((word, end))
        })
    }
}

fn small(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars().flat_map(char::to_lowercase)
}

/// Length of the beginning of `text` that is `name` in capitals or small letters.
fn end_of(name: &[char], text: &str) -> Option<usize> {
    let mut rest = name;
    for (at, letter) in text.char_indices() {
        if rest.is_empty() {
            return Some(at);
        }
        for letter in letter.to_lowercase() {
            let (first, others) = rest.split_first()?;
            if *first != letter {
                return None;
            }
            rest = others;
        }
    }
    rest.is_empty().then_some(text.len())
}

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Bytes without learned words.
    Text(Range<usize>),
    /// Bytes of a learned word, and its token ids.
    Word(Range<usize>, Range<u32>),
}

/// Divides `text` at learned words.
pub fn split(text: &str, words: &Words) -> Vec<Part> {
    let mut parts = Vec::new();
    let (mut done, mut at) = (0, 0);
    while at < text.len() {
        match words.find(text, at) {
            Some((word, end)) => {
                if done < at {
                    parts.push(Part::Text(done..at));
                }
                parts.push(Part::Word(at..end, word.ids.clone()));
                (done, at) = (end, end);
            }
            None => at += text[at..].chars().next().map_or(1, char::len_utf8),
        }
    }
    if done < text.len() {
        parts.push(Part::Text(done..text.len()));
    }
    parts
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::{Part, Words, split};
    use crate::text::embedding::{Embedding, FIRST_ID};

    fn words(names: &[(&str, usize)]) -> Words {
        let embedding = |&(name, vectors): &(&str, usize)| {
            Rc::new(Embedding::of_values(name, vec![0.0; 2 * vectors], 2))
        };
        Words::new(&names.iter().map(embedding).collect::<Vec<_>>())
    }

    /// The texts and the first ids of words, in order.
    fn parts(text: &str, words: &Words) -> Vec<Result<String, u32>> {
        let part = |part: Part| match part {
            Part::Text(range) => Ok(text[range].to_string()),
            Part::Word(_, ids) => Err(ids.start - FIRST_ID),
        };
        split(text, words).into_iter().map(part).collect()
    }

    #[test]
    fn names_are_found_alone_and_in_any_case() {
        let words = words(&[("EasyNegative", 2), ("<cat-toy>", 1)]);
        let text = |text: &str| Ok(text.to_string());
        assert_eq!(
            parts("easynegative, dark", &words),
            [Err(0), text(", dark")]
        );
        assert_eq!(
            parts("a <cat-toy>,b", &words),
            [text("a "), Err(2), text(",b")]
        );
        for other in [
            "easynegatives",
            "uneasynegative",
            "easy negative",
            "cat-toy",
        ] {
            assert_eq!(parts(other, &words), [text(other)]);
        }
    }

    #[test]
    fn the_longer_of_two_names_holds() {
        let words = words(&[("bad", 1), ("bad-hands", 3)]);
        assert_eq!(parts("bad-hands", &words), [Err(1)]);
        assert_eq!(parts("bad-feet", &words), [Err(0), Ok("-feet".to_string())]);
        assert_eq!(words.length_at(FIRST_ID + 1), Some(3));
        assert_eq!(words.length_at(FIRST_ID + 2), None);
    }
}
