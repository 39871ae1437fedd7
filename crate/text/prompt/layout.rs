//! A prompt as it is typed, with the place of everything that the text encoder will read from it:
//! for a text field that shows it while somebody types.
//!
//! Positions are UTF-16 code units, which JavaScript counts. Weights and borders of chunks are
//! those of the texts that are in force at some step, not those of the prompt as a whole: the
//! brackets of `[from:to:0.5]` weaken nothing.

use std::collections::HashSet;
use std::ops::Range;

use serde::Serialize;

use super::attention::{self, Run};
use super::chunks::{COMMA_BACKTRACK, chunks, plain_chunks};
use super::composition::{self, Subprompt};
use super::describe::problems_of;
use super::emphasis::Emphasis;
use super::problem::Problem;
use super::schedule::{Schedule, Stage};
use super::{PromptSyntax, Spliced, tags};
use crate::error::Result;
use crate::text::tokenizer::Tokenizer;

/// Different texts of a prompt that are read. Alternations of several lengths have many.
const TEXTS_AT_MOST: usize = 32;

/// Settings for reading a prompt.
#[derive(Debug, Clone, Copy)]
pub struct LayoutOptions {
    /// Meaning of brackets and capitals.
    pub syntax: PromptSyntax,
    /// Application of weights.
    pub emphasis: Emphasis,
    /// Steps of the picture.
    pub steps: usize,
    /// True for a negative prompt, in which `AND` and tags are text.
    pub negative: bool,
}

/// A part of the prompt: its beginning and its end, in UTF-16 code units.
pub type Place = [usize; 2];

/// A prompt with the place of everything in it.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct PromptLayout {
    /// Tokens as A1111 counts them: content, and the padding of all chunks but the last. Of several
    /// texts, those of the longest.
    pub count: usize,
    /// Content tokens of a chunk.
    pub limit: usize,
    /// Chunks of the longest text.
    pub chunks: usize,
    /// Beginnings of the second and all further chunks of the first step.
    pub borders: Vec<usize>,
    /// Parts with a weight other than 1, in order.
    pub weights: Vec<WeightedPlace>,
    /// Brackets of the schedule, outer before inner.
    pub changes: Vec<ChangePlace>,
    /// Each `BREAK` that begins a chunk.
    #[cfg_attr(target_arch = "wasm32", tsify(type = "[number, number][]"))]
    pub breaks: Vec<Place>,
    /// Each `AND` between two prompts, with the weight before it.
    #[cfg_attr(target_arch = "wasm32", tsify(type = "[number, number][]"))]
    pub ands: Vec<Place>,
    /// Tags of LoRAs.
    pub loras: Vec<LoraPlace>,
    /// Learned words (textual inversion).
    #[cfg_attr(target_arch = "wasm32", tsify(type = "[number, number][]"))]
    pub words: Vec<Place>,
    /// Parts that do something other than what they look like, in order.
    pub problems: Vec<ProblemPlace>,
}

/// A part with a weight.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct WeightedPlace {
    /// Beginning.
    pub from: usize,
    /// End.
    pub to: usize,
    /// Weight, other than 1.
    pub weight: f64,
}

/// A bracket of the schedule.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct ChangePlace {
    /// Beginning of the bracket.
    pub from: usize,
    /// End of the bracket.
    pub to: usize,
    /// The texts before and after the change, or those that alternate.
    #[cfg_attr(target_arch = "wasm32", tsify(type = "[number, number][]"))]
    pub choices: Vec<Place>,
    /// Last step of the first text, 0 if there is none; null where the texts alternate.
    #[cfg_attr(target_arch = "wasm32", tsify(type = "number | null"))]
    pub last_step: Option<usize>,
}

/// The tag of a LoRA.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct LoraPlace {
    /// Beginning.
    pub from: usize,
    /// End.
    pub to: usize,
    /// Name of the LoRA.
    pub name: String,
    /// Weight in the text encoder.
    pub text_encoder: f32,
    /// Weight in the U-Net.
    pub unet: f32,
}

/// A part that does something other than what it looks like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct ProblemPlace {
    /// Beginning.
    pub from: usize,
    /// End.
    pub to: usize,
    /// Name of the kind, such as "unmatched-open".
    pub kind: &'static str,
}

/// Finds the place of everything in `prompt`.
///
/// # Errors
/// [`Error::File`](crate::Error::File) when the vocabulary cannot express the text.
pub fn layout(prompt: &str, options: LayoutOptions, tokenizer: &Tokenizer) -> Result<PromptLayout> {
    let is_language = options.syntax == PromptSyntax::A1111;
    let tagged = match is_language && !options.negative {
        true => tags::parse(prompt),
        false => tags::Tagged::plain(prompt),
    };
    let text = tagged.text.text();
    let parts = match is_language && !options.negative {
        true => composition::split(text),
        false => vec![Subprompt {
            span: 0..text.len(),
            weight: 1.0,
        }],
    };
    let mut reader = Reader {
        tokenizer,
        tags: &tagged.text,
        units: Units::of(prompt),
        options,
        painted: vec![None; prompt.len()],
        seen: HashSet::new(),
        layout: PromptLayout {
            limit: tokenizer.max_length() - 2,
            ..PromptLayout::default()
        },
    };
    for part in &parts {
        reader.part(text, part)?;
    }
    let joints = parts.iter().zip(parts.iter().skip(1));
    let joints = joints.map(|(left, right)| left.span.end..right.span.start);
    reader.layout.ands = joints.filter_map(|joint| reader.place(joint)).collect();
    if is_language {
        reader.problems(&problems_of(&tagged));
    }
    Ok(reader.finish(&tagged.loras))
}

struct Reader<'a> {
    tokenizer: &'a Tokenizer,
    /// The prompt without tags.
    tags: &'a Spliced,
    units: Units,
    options: LayoutOptions,
    /// The weight of each byte of the prompt that is read: of the first text that has it.
    painted: Vec<Option<f64>>,
    /// Texts that are read already.
    seen: HashSet<String>,
    layout: PromptLayout,
}

impl Reader<'_> {
    /// Reads one of the prompts joined by `AND`.
    fn part(&mut self, text: &str, part: &Subprompt) -> Result<()> {
        let at = part.span.start;
        let text = &text[part.span.clone()];
        let steps = self.options.steps;
        if self.options.syntax == PromptSyntax::Plain {
            let stage = Stage {
                last_step: steps,
                text: Spliced::whole(text),
            };
            return self.stage(&stage, at, true);
        }
        let schedule = Schedule::parse(text);
        for (nth, stage) in schedule.stages(steps).iter().enumerate() {
            let is_new =
                self.seen.len() < TEXTS_AT_MOST && self.seen.insert(stage.text.text().to_string());
            if is_new {
                self.stage(stage, at, nth == 0)?;
            }
        }
        for change in schedule.changes(steps) {
            let Some([from, to]) = self.place(shifted(&change.span, at)) else {
                continue;
            };
            let choices = change.choices.iter();
            let choices = choices.map(|choice| self.ends(shifted(choice, at)));
            let change = ChangePlace {
                from,
                to,
                choices: choices.collect(),
                last_step: change.last_step,
            };
            self.layout.changes.push(change);
        }
        Ok(())
    }

    /// Reads a text that is in force at some step. `at`: the byte at which its prompt begins.
    fn stage(&mut self, stage: &Stage, at: usize, is_first: bool) -> Result<()> {
        let text = stage.text.text();
        let (runs, chunks) = match self.options.syntax {
            PromptSyntax::A1111 => {
                let runs = attention::parse(text).runs;
                let chunks = chunks(&runs, self.tokenizer, COMMA_BACKTRACK)?;
                (runs, chunks)
            }
            PromptSyntax::Plain => (vec![Run::plain(text)], plain_chunks(text, self.tokenizer)?),
        };
        self.layout.count = self.layout.count.max(chunks.count);
        self.layout.chunks = self.layout.chunks.max(chunks.chunks.len());
        if is_first {
            let starts = chunks.chunks.iter().skip(1).filter_map(|chunk| chunk.start);
            let source = |start| self.tags.source_of(at + stage.text.source_of(start));
            let borders = starts.map(|start| self.units.at(source(start)));
            self.layout.borders.extend(borders);
        }
        for run in &runs {
            let sources = |range: Range<usize>| -> Vec<Range<usize>> {
                let typed = run.text.sources_of(range);
                let staged = typed.flat_map(|range| stage.text.sources_of(range));
                let tagged = staged.flat_map(|range| self.tags.sources_of(shifted(&range, at)));
                tagged.collect()
            };
            let whole = sources(0..run.text.text().len());
            if run.is_break() {
                let places = whole.iter().map(|range| self.units.place(range));
                self.layout.breaks.extend(places);
                continue;
            }
            for word in self.tokenizer.learned_words(run.text.text()) {
                let places = sources(word).into_iter();
                let places = places.map(|range| self.units.place(&range));
                self.layout.words.extend(places);
            }
            for byte in whole.into_iter().flatten() {
                self.painted[byte].get_or_insert(run.weight);
            }
        }
        Ok(())
    }

    fn problems(&mut self, problems: &[Problem]) {
        let places = problems.iter().map(|Problem { span, kind }| {
            let [from, to] = self.units.place(span);
            let kind = kind.name();
            ProblemPlace { from, to, kind }
        });
        self.layout.problems = places.collect();
    }

    /// The place of a part of the prompt without tags; `None` if it is empty.
    fn place(&self, range: Range<usize>) -> Option<Place> {
        (!range.is_empty()).then(|| self.ends(range))
    }

    /// The place of a part of the prompt without tags, which may be empty.
    fn ends(&self, range: Range<usize>) -> Place {
        let start = self.tags.source_of(range.start);
        let end = match range.is_empty() {
            true => start,
            false => self.tags.source_of(range.end - 1) + 1,
        };
        self.units.place(&(start..end))
    }

    fn finish(mut self, loras: &[tags::LoraTag]) -> PromptLayout {
        if self.options.emphasis != Emphasis::Ignore {
            self.weights();
        }
        let loras = loras.iter().map(|tag| {
            let [from, to] = self.units.place(&tag.span);
            LoraPlace {
                from,
                to,
                name: tag.name.clone(),
                text_encoder: tag.text_encoder,
                unet: tag.unet,
            }
        });
        let mut layout = self.layout;
        layout.loras = loras.collect();
        layout.borders.sort_unstable();
        for places in [&mut layout.breaks, &mut layout.words] {
            places.sort_unstable();
            places.dedup();
        }
        layout
    }

    /// Joins neighbours of equal weight.
    fn weights(&mut self) {
        let mut from = 0;
        for same in self.painted.chunk_by(|a, b| a == b) {
            let to = from + same.len();
            if let Some(weight) = same[0].filter(|&weight| weight != 1.0) {
                let [from, to] = self.units.place(&(from..to));
                self.layout.weights.push(WeightedPlace { from, to, weight });
            }
            from = to;
        }
    }
}

fn shifted(range: &Range<usize>, by: usize) -> Range<usize> {
    range.start + by..range.end + by
}

/// UTF-16 code units before each byte of a text.
struct Units(Vec<usize>);

impl Units {
    fn of(text: &str) -> Self {
        let mut units = Vec::with_capacity(text.len() + 1);
        let mut before = 0;
        for letter in text.chars() {
            units.extend(std::iter::repeat_n(before, letter.len_utf8()));
            before += letter.len_utf16();
        }
        units.push(before);
        Units(units)
    }

    fn at(&self, byte: usize) -> usize {
        self.0[byte]
    }

    /// The place of bytes. An end within a letter is the end of this letter.
    fn place(&self, bytes: &Range<usize>) -> Place {
        let within = |byte: &usize| self.0[*byte] == self.0[byte - 1];
        let end = (bytes.end..self.0.len()).find(|byte| *byte == 0 || !within(byte));
        [self.0[bytes.start], self.0[end.unwrap_or(bytes.end)]]
    }
}
