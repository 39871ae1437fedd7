//! Weights of the parts of a prompt: `(x)`, `[x]`, `(x:1.3)`, and `BREAK`.
//!
//! Equal to `parse_prompt_attention` of the web UI, with one difference: at a weight that is not a
//! number, such as `(x:1.2.3)`, the web UI fails; here it is a [`ProblemKind::UnreadableWeight`].

use std::ops::Range;

use super::bracket_weights::{Brackets, Place, Shape};
use super::characters::{digit, is_space, number, trim_end, trim_start, whole_words};
use super::problem::{Problem, ProblemKind};
use super::spliced::Spliced;

/// The word that begins a new chunk.
const BREAK: &str = "BREAK";
/// Weight that marks a run as this word, and not as text that is spelt like it.
const BREAK_WEIGHT: f64 = -1.0;

/// A part of a prompt that has one weight throughout.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The text without brackets, weights and backslashes.
    pub text: Spliced,
    /// Its weight; −1 for `BREAK`.
    pub weight: f64,
    /// Bytes of the prompt from the first letter to the last. Brackets between two parts of equal
    /// weight are within.
    pub span: Range<usize>,
}

impl Run {
    /// The whole of `text`, with weight 1.
    pub fn plain(text: &str) -> Self {
        Run {
            text: Spliced::whole(text),
            weight: 1.0,
            span: 0..text.len(),
        }
    }

    /// True if the text goes on in a new chunk here.
    pub fn is_break(&self) -> bool {
        self.weight == BREAK_WEIGHT && self.text.text() == BREAK
    }
}

/// A prompt divided by weights.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Attention {
    /// Parts in the order of the prompt, one at least. Neighbours differ in weight.
    pub runs: Vec<Run>,
    /// Brackets and weights that are not what they look like, by position.
    pub problems: Vec<Problem>,
}

/// Divides `prompt` by weights.
pub fn parse(prompt: &str) -> Attention {
    let mut scanner = Scanner {
        prompt,
        pieces: Vec::new(),
        brackets: Brackets::default(),
        problems: Vec::new(),
    };
    scanner.scan();
    scanner.finish()
}

/// A slice of the prompt between two signs of the language.
struct Piece {
    slice: Range<usize>,
    weight: f64,
    place: Place,
}

struct Scanner<'a> {
    prompt: &'a str,
    pieces: Vec<Piece>,
    brackets: Brackets,
    problems: Vec<Problem>,
}

impl Scanner<'_> {
    fn scan(&mut self) {
        let bytes = self.prompt.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            at = match bytes[at] {
                b'\\' => self.escape(at),
                b'(' => self.open(Shape::Round, at),
                b'[' => self.open(Shape::Square, at),
                b')' => self.close(Shape::Round, at),
                b']' => self.close(Shape::Square, at),
                b':' => self.colon(at),
                _ => self.words(at),
            };
        }
    }

    fn push(&mut self, slice: Range<usize>, weight: f64) {
        self.pieces.push(Piece {
            slice,
            weight,
            place: self.brackets.place(),
        });
    }

    fn problem(&mut self, span: Range<usize>, kind: ProblemKind) {
        self.problems.push(Problem { span, kind });
    }

    /// A backslash and the sign it protects. Before any other sign the backslash is dropped.
    fn escape(&mut self, at: usize) -> usize {
        let next = self.prompt.as_bytes().get(at + 1);
        let protects = next.is_some_and(|next| b"()[]\\".contains(next));
        let end = at + 1 + usize::from(protects);
        self.push(at + 1..end, 1.0);
        end
    }

    fn open(&mut self, shape: Shape, at: usize) -> usize {
        self.brackets.open(shape, at);
        at + 1
    }

    fn close(&mut self, shape: Shape, at: usize) -> usize {
        if !self.brackets.close(shape, None) {
            self.push(at..at + 1, 1.0);
            self.problem(at..at + 1, ProblemKind::UnmatchedClose);
        }
        at + 1
    }

    /// A colon: it begins a weight, or is text.
    fn colon(&mut self, at: usize) -> usize {
        let Some((end, weight)) = weight_at(self.prompt, at) else {
            self.push(at..at + 1, 1.0);
            return at + 1;
        };
        let in_round = self.brackets.place().is_in(Shape::Round);
        match (weight, in_round) {
            (Some(_), true) => {
                self.brackets.close(Shape::Round, weight);
                end
            }
            (None, true) => {
                self.problem(at..end - 1, ProblemKind::UnreadableWeight);
                self.push(at..at + 1, 1.0);
                at + 1
            }
            (_, false) => {
                self.problem(at..end, ProblemKind::WeightOutsideBrackets);
                self.push(at..end, 1.0);
                end
            }
        }
    }

    /// Text up to the next sign of the language, divided at `BREAK`.
    fn words(&mut self, at: usize) -> usize {
        let rest = &self.prompt[at..];
        let signs = ['\\', '(', ')', '[', ']', ':'];
        let text = &rest[..rest.find(signs).unwrap_or(rest.len())];
        let mut done = 0;
        for found in whole_words(text, BREAK) {
            let after = found + BREAK.len();
            let before = done + trim_end(&text[done..found]).len();
            self.push(at + done..at + before, 1.0);
            self.push(at + found..at + after, BREAK_WEIGHT);
            done = text.len() - trim_start(&text[after..]).len();
        }
        self.push(at + done..at + text.len(), 1.0);
        at + text.len()
    }

    /// Computes the weights and merges neighbours of equal weight.
    fn finish(mut self) -> Attention {
        for at in self.brackets.unclosed() {
            let (span, kind) = (at..at + 1, ProblemKind::UnmatchedOpen);
            self.problems.push(Problem { span, kind });
        }
        self.brackets.finish();
        let mut runs: Vec<Run> = Vec::new();
        for piece in &self.pieces {
            let weight = self.brackets.weight(piece.weight, piece.place);
            if piece.weight == BREAK_WEIGHT && weight != BREAK_WEIGHT {
                let (span, kind) = (piece.slice.clone(), ProblemKind::BreakInBrackets);
                self.problems.push(Problem { span, kind });
            }
            match runs.last_mut().filter(|last| last.weight == weight) {
                Some(last) => {
                    last.text.push(self.prompt, piece.slice.clone());
                    last.span.end = piece.slice.end;
                }
                None => {
                    let mut text = Spliced::default();
                    text.push(self.prompt, piece.slice.clone());
                    let span = piece.slice.clone();
                    runs.push(Run { text, weight, span });
                }
            }
        }
        if runs.is_empty() {
            runs.push(Run::plain(""));
        }
        self.problems.sort_by_key(|problem| problem.span.start);
        Attention {
            runs,
            problems: self.problems,
        }
    }
}

/// The weight `:1.3)` at byte `at` of `text`: the byte after it, and the number if it is one.
fn weight_at(text: &str, at: usize) -> Option<(usize, Option<f64>)> {
    let rest = trim_start(text.get(at..)?.strip_prefix(':')?);
    let unsigned = rest.strip_prefix(['+', '-']).unwrap_or(rest);
    let digits = |c: char| c == '.' || digit(c).is_some();
    let tail = unsigned.trim_start_matches(digits);
    if tail.len() == unsigned.len() {
        return None;
    }
    let after = tail.trim_start_matches(is_space).strip_prefix(')')?;
    let weight = number(&rest[..rest.len() - tail.len()]);
    Some((text.len() - after.len(), weight))
}
