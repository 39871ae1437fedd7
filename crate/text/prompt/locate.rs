//! Tokens of a prompt with their places: where the text encoder reads each of them, and where it
//! was typed.

use std::ops::Range;

use super::plan::{Reading, number_at};
use super::{PromptSyntax, composition, tags};
use crate::error::Result;

/// A token of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenPlace {
    /// Bytes of the prompt that the token was typed as. A letter of several tokens and a learned
    /// word of several vectors have the same bytes several times.
    pub span: Range<usize>,
    /// Position among the ids of all chunks, start tokens included.
    pub position: usize,
}

/// The tokens of `prompt` that are in force at a U-Net call, counted from 0: a list for each of the
/// prompts joined by `AND`. In a negative prompt `AND` is a word, and tags of LoRAs are text.
///
/// # Errors
/// [`Error::File`](crate::Error::File) when the vocabulary cannot express the text.
pub fn locate(
    reading: &Reading,
    prompt: &str,
    negative: bool,
    call: usize,
) -> Result<Vec<Vec<TokenPlace>>> {
    let joined = reading.syntax == PromptSyntax::A1111 && !negative;
    let tagged = match joined {
        true => tags::parse(prompt),
        false => tags::Tagged::plain(prompt),
    };
    let text = tagged.text.text();
    let parts: Vec<_> = match joined {
        true => composition::split(text)
            .into_iter()
            .map(|part| part.span)
            .collect(),
        false => std::iter::once(0..text.len()).collect(),
    };
    let part = |part: Range<usize>| {
        let mut stages = reading.stages(&text[part.clone()]);
        let last_steps = stages.iter().map(|stage| stage.last_step);
        let stage = stages.swap_remove(number_at(last_steps, call)).text;
        let (chunks, _) = reading.chunks(stage.text())?;
        let mut places = Vec::new();
        for (index, chunk) in chunks.iter().enumerate() {
            for (number, span) in chunk.spans.iter().enumerate() {
                let Range { start, end } = stage.source_of_range(span);
                let span = part.start + start..part.start + end;
                places.push(TokenPlace {
                    span: tagged.text.source_of_range(&span),
                    position: index * chunk.ids.len() + 1 + number,
                });
            }
        }
        Ok(places)
    };
    parts.into_iter().map(part).collect()
}
