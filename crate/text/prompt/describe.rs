//! A prompt as the host reads it, in JSON: for people who wonder what theirs means.

use std::ops::Range;

use serde_json::{Value, json};

use super::chunks::{COMMA_BACKTRACK, chunks, plain_chunks};
use super::problem::Problem;
use super::schedule::Schedule;
use super::{PromptSyntax, attention, composition, tags};
use crate::error::Result;
use crate::text::tokenizer::Tokenizer;

/// `prompt` as it is read for `steps` steps:
///
/// ```text
/// {"weights": [[text, weight], …],       the whole text by weight; ["BREAK", -1] for a new chunk
///  "schedule": [[last_step, text], …],   the whole text over the steps
///  "chunks": [[id, …], …],               token ids of the first step's text
///  "token_weights": [[weight, …], …],    a weight for each of them
///  "loras": [[name, text encoder, U-Net], …], the LoRAs that are named, with their weights
///  "parts": [[text, weight], …],         the prompts joined by AND
///  "problems": [{"span": [from, to], "problem": text}, …]}   bytes of the text
/// ```
///
/// # Errors
/// [`Error::File`](crate::Error::File) when the vocabulary cannot express the text.
pub fn describe(
    prompt: &str,
    syntax: PromptSyntax,
    steps: usize,
    tokenizer: &Tokenizer,
) -> Result<Value> {
    let whole = prompt;
    let tagged = match syntax {
        PromptSyntax::A1111 => tags::parse(prompt),
        PromptSyntax::Plain => tags::Tagged::plain(prompt),
    };
    let prompt = tagged.text.text();
    let (runs, stages, parts) = match syntax {
        PromptSyntax::A1111 => {
            let stages = Schedule::parse(prompt).stages(steps);
            let stages = stages
                .into_iter()
                .map(|s| (s.last_step, s.text.text().to_string()));
            let parts = composition::split(prompt).into_iter();
            let parts = parts
                .map(|part| (&prompt[part.span], part.weight))
                .collect();
            (attention::parse(prompt).runs, stages.collect(), parts)
        }
        PromptSyntax::Plain => (
            vec![attention::Run::plain(prompt)],
            vec![(steps, prompt.to_string())],
            vec![(prompt, 1.0)],
        ),
    };
    let first = stages.first().map_or(prompt, |(_, text)| text.as_str());
    let chunks = match syntax {
        PromptSyntax::A1111 => chunks(&attention::parse(first).runs, tokenizer, COMMA_BACKTRACK)?,
        PromptSyntax::Plain => plain_chunks(first, tokenizer)?,
    };
    let chunks = chunks.chunks;
    let loras: Vec<_> = tagged
        .loras
        .iter()
        .map(|tag| (&tag.name, tag.text_encoder, tag.unet))
        .collect();
    let weights: Vec<_> = runs
        .iter()
        .map(|run| (run.text.text(), run.weight))
        .collect();
    let problems: Vec<_> = problems(whole, syntax).iter().map(problem_json).collect();
    Ok(json!({
        "weights": weights,
        "schedule": stages,
        "chunks": chunks.iter().map(|chunk| &chunk.ids).collect::<Vec<_>>(),
        "token_weights": chunks.iter().map(|chunk| &chunk.weights).collect::<Vec<_>>(),
        "loras": loras,
        "parts": parts,
        "problems": problems,
    }))
}

/// Parts of `prompt` that do something other than what they look like, by position.
pub fn problems(prompt: &str, syntax: PromptSyntax) -> Vec<Problem> {
    match syntax {
        PromptSyntax::A1111 => problems_of(&tags::parse(prompt)),
        PromptSyntax::Plain => Vec::new(),
    }
}

/// [`problems`] of a prompt after its tags were taken out.
pub(super) fn problems_of(tagged: &tags::Tagged) -> Vec<Problem> {
    let text = tagged.text.text();
    let mut problems = attention::parse(text).problems;
    problems.extend(Schedule::parse(text).problem().cloned());
    for problem in &mut problems {
        let Range { start, end } = problem.span;
        let end = tagged.text.source_of(end.saturating_sub(1)) + 1;
        problem.span = tagged.text.source_of(start)..end;
    }
    problems.extend(tagged.problems.iter().cloned());
    problems.sort_by_key(|problem| problem.span.start);
    problems
}

fn problem_json(problem: &Problem) -> Value {
    let span = [problem.span.start, problem.span.end];
    json!({"span": span, "problem": problem.kind.to_string()})
}
