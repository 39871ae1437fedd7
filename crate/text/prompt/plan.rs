//! Everything the host computes of a prompt before the text encoder runs.

use std::collections::HashMap;

use super::chunks::{COMMA_BACKTRACK, Chunk, chunks, plain_chunks};
use super::schedule::{Schedule, Stage};
use super::{PromptSyntax, Spliced, attention, composition};
use crate::error::Result;
use crate::text::tokenizer::{LongPrompt, Tokenizer};

/// Settings for reading prompts, the same for both prompts of a picture.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    /// The model's tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// Meaning of brackets and capitals.
    pub syntax: PromptSyntax,
    /// Steps of the picture.
    pub steps: usize,
    /// Treatment of texts of more than one chunk.
    pub long_prompt: LongPrompt,
}

/// A prompt's texts, and the steps at which each is in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The texts, each once, all of the same number of chunks.
    pub texts: Vec<Vec<Chunk>>,
    /// Prompts joined by `AND`; one if there is no such word.
    pub parts: Vec<Part>,
    /// The first text that is cut off.
    pub cut: Option<Cut>,
}

/// One of the prompts joined by `AND`.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The weight of its guidance.
    pub weight: f64,
    /// A last step, counted from 1, and an index into [`Plan::texts`], in order.
    pub stages: Vec<(usize, usize)>,
}

/// The end of a text that the text encoder does not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Tokens of the whole text.
    pub count: usize,
    /// The end, as it was typed.
    pub text: String,
}

impl Reading<'_> {
    /// Reads a prompt.
    ///
    /// # Errors
    /// [`Error::File`](crate::Error::File) when the vocabulary cannot express the text.
    pub fn prompt(&self, prompt: &str) -> Result<Plan> {
        match self.syntax {
            PromptSyntax::A1111 => {
                let parts = composition::split(prompt).into_iter();
                self.plan(parts.map(|part| (&prompt[part.span], part.weight)))
            }
            PromptSyntax::Plain => self.negative_prompt(prompt),
        }
    }

    /// Reads a negative prompt, in which `AND` is a word.
    ///
    /// # Errors
    /// [`Error::File`](crate::Error::File) when the vocabulary cannot express the text.
    pub fn negative_prompt(&self, prompt: &str) -> Result<Plan> {
        self.plan([(prompt, 1.0)])
    }

    fn plan<'a>(&self, parts: impl IntoIterator<Item = (&'a str, f64)>) -> Result<Plan> {
        let mut plan = Plan {
            texts: Vec::new(),
            parts: Vec::new(),
            cut: None,
        };
        let mut known: HashMap<String, usize> = HashMap::new();
        for (text, weight) in parts {
            let mut stages = Vec::new();
            for Stage { last_step, text } in self.stages(text) {
                let index = match known.get(text.text()) {
                    Some(&index) => index,
                    None => {
                        let (chunks, cut) = self.chunks(text.text())?;
                        plan.texts.push(chunks);
                        plan.cut = plan.cut.or(cut);
                        known.insert(text.text().into(), plan.texts.len() - 1);
                        plan.texts.len() - 1
                    }
                };
                stages.push((last_step, index));
            }
            plan.parts.push(Part { weight, stages });
        }
        plan.pad(plan.chunks(), self.tokenizer);
        Ok(plan)
    }

    /// The texts of a prompt without `AND` over the steps.
    pub(super) fn stages(&self, text: &str) -> Vec<Stage> {
        match self.syntax {
            PromptSyntax::A1111 => Schedule::parse(text).stages(self.steps),
            PromptSyntax::Plain => vec![Stage {
                last_step: self.steps,
                text: Spliced::whole(text),
            }],
        }
    }

    /// The chunks of a text without schedule, and what is cut off.
    pub(super) fn chunks(&self, text: &str) -> Result<(Vec<Chunk>, Option<Cut>)> {
        // Where the first 75 tokens are kept, no comma shortens them.
        let comma_backtrack = match self.long_prompt {
            LongPrompt::Chunk => COMMA_BACKTRACK,
            LongPrompt::Truncate => 0,
        };
        let mut read = match self.syntax {
            PromptSyntax::A1111 => {
                let runs = attention::parse(text).runs;
                chunks(&runs, self.tokenizer, comma_backtrack)?
            }
            PromptSyntax::Plain => plain_chunks(text, self.tokenizer)?,
        };
        if self.long_prompt == LongPrompt::Chunk {
            return Ok((read.chunks, None));
        }
        let cut = read.chunks.split_off(1);
        let cut = cut.iter().find_map(|chunk| chunk.start).map(|start| Cut {
            count: read.count,
            text: text[start..].to_string(),
        });
        Ok((read.chunks, cut))
    }
}

impl Plan {
    /// Chunks of each text.
    pub fn chunks(&self) -> usize {
        self.texts.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// True if the text of a part is another one at a later step.
    pub fn changes(&self) -> bool {
        let changes = |part: &Part| part.stages.windows(2).any(|pair| pair[0].1 != pair[1].1);
        self.parts.iter().any(changes)
    }

    /// Gives each text at least `chunks` chunks: prompt and negative prompt need as many.
    pub fn pad(&mut self, chunks: usize, tokenizer: &Tokenizer) {
        for text in &mut self.texts {
            let chunks = chunks.max(text.len());
            text.resize_with(chunks, || Chunk::empty(tokenizer));
        }
    }

    /// The text of each part at a U-Net call, counted from 0, as an index into [`Plan::texts`].
    pub fn at(&self, call: usize) -> impl Iterator<Item = usize> + '_ {
        self.parts
            .iter()
            .map(move |part| stage_at(&part.stages, call))
    }
}

/// The index in force at a U-Net call, counted from 0. The web UI counts calls from 0 and steps
/// from 1, and compares the two: each change comes one call later than the schedule says.
fn stage_at(stages: &[(usize, usize)], call: usize) -> usize {
    let last_steps = stages.iter().map(|&(last_step, _)| last_step);
    let stage = stages.get(number_at(last_steps, call));
    stage.map_or(0, |&(_, index)| index)
}

/// The number of the stage in force at a U-Net call, of stages that end at these steps.
pub(super) fn number_at(mut last_steps: impl Iterator<Item = usize>, call: usize) -> usize {
    last_steps
        .position(|last_step| call <= last_step)
        .unwrap_or(0)
}
