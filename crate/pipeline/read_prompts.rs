//! The prompts of a request, read: texts, weights and schedules, and warnings about them.

use super::Pipeline;
use super::request::Request;
use crate::error::{Result, brief};
use crate::text::prompt::PromptSyntax;
use crate::text::prompt::describe::problems;
use crate::text::prompt::plan::{Plan, Reading};
use crate::text::prompt::problem::Problem;
use crate::text::prompt::tags::{self, Tagged};

/// The prompts of a run. All their texts have the same number of chunks.
pub struct ReadPrompts {
    /// The prompts joined by `AND`, or one.
    pub positive: Plan,
    /// The negative prompt.
    pub negative: Plan,
    /// The empty prompt.
    pub empty: Plan,
}

impl ReadPrompts {
    /// Weights of the prompts joined by `AND`.
    pub fn weights(&self) -> Vec<f64> {
        self.positive.parts.iter().map(|part| part.weight).collect()
    }
}

/// Reads the prompts of `request`.
///
/// # Errors
/// [`Error::File`](crate::Error::File) where the vocabulary cannot express a text.
pub fn read_prompts(
    pipeline: &Pipeline,
    request: &Request,
    warnings: &mut Vec<String>,
) -> Result<ReadPrompts> {
    let tokenizer = pipeline.tokenizer();
    let reading = Reading {
        tokenizer,
        syntax: request.prompt_syntax,
        steps: request.steps,
        long_prompt: request.long_prompt,
    };
    let tagged = match request.prompt_syntax {
        PromptSyntax::A1111 => tags::parse(&request.prompt),
        PromptSyntax::Plain => Tagged::plain(&request.prompt),
    };
    let positive = reading.prompt(tagged.text.text())?;
    let negative = reading.negative_prompt(&request.negative_prompt)?;
    for (name, plan) in [("prompt", &positive), ("negative prompt", &negative)] {
        let room = tokenizer.max_length() - 2;
        warnings.extend(plan.cut.as_ref().map(|cut| {
            format!(
                "the {name} has {} tokens, the model reads {room}; cut off: “{}”",
                cut.count,
                cut.text.trim()
            )
        }));
    }
    let embedded = pipeline.config().unet.time_cond_proj_dim.is_some();
    let mut read = ReadPrompts {
        empty: reading.negative_prompt("")?,
        positive,
        negative,
    };
    let weighted = read.weights() != [1.0];
    warnings.extend(without_effect(request, embedded, weighted).map(String::from));
    for (name, text) in [
        ("prompt", &request.prompt),
        ("negative prompt", &request.negative_prompt),
    ] {
        warnings.extend(problem_warnings(name, text, request.prompt_syntax));
    }
    warnings.extend(lora_warnings(pipeline, request, &tagged));
    // All prompts on equal footing: the same number of chunks.
    let chunks = read.positive.chunks().max(read.negative.chunks());
    for plan in [&mut read.positive, &mut read.negative, &mut read.empty] {
        plan.pad(chunks, tokenizer);
    }
    Ok(read)
}

/// A warning where one of the prompts has no effect. `embedded`: the U-Net reads the guidance scale
/// itself; `weighted`: prompts have weights, which guide at scale 1 too.
fn without_effect(request: &Request, embedded: bool, weighted: bool) -> Option<&'static str> {
    let negative = !request.negative_prompt.is_empty() && request.nag_scale <= 1.0;
    match request.guidance_scale {
        _ if embedded && negative => Some(
            "this model has its guidance built in (a latent consistency model): the negative \
             prompt has no effect without normalized attention guidance (NAG scale above 1)",
        ),
        _ if negative && request.negative_strength == 0.0 => {
            Some("at strength 0 the negative prompt has no effect")
        }
        1.0 if negative && !weighted => Some(
            "at guidance scale 1 the negative prompt has no effect without normalized attention \
             guidance (NAG scale above 1)",
        ),
        0.0 if !embedded && !request.prompt.is_empty() => {
            Some("at guidance scale 0 the prompt has no effect: the picture shows the negative one")
        }
        _ => None,
    }
}

/// Warnings about LoRAs that a prompt names in vain.
fn lora_warnings(pipeline: &Pipeline, request: &Request, tagged: &Tagged) -> Vec<String> {
    let has = |name: &str| {
        pipeline
            .loras()
            .iter()
            .any(|applied| applied.lora.name() == name)
    };
    let unknown = tagged.loras.iter().filter(|tag| !has(&tag.name));
    let mut warnings: Vec<String> = unknown
        .map(|tag| {
            let name = brief(&tag.name);
            format!("the prompt names the LoRA “{name}”, which is not there; it has no effect")
        })
        .collect();
    let negative = tags::parse(&request.negative_prompt);
    if request.prompt_syntax == PromptSyntax::A1111 && !negative.loras.is_empty() {
        warnings.push(
            "a LoRA in the negative prompt is read as text; it belongs into the prompt".into(),
        );
    }
    warnings
}

/// A warning for each part of the prompt `text` that does something other than what it looks like.
fn problem_warnings(name: &str, text: &str, syntax: PromptSyntax) -> Vec<String> {
    let warning = |problem: Problem| {
        let letter = 1 + text[..problem.span.start].chars().count();
        let sign = &text[problem.span];
        format!("the {name}, “{sign}” at letter {letter}: {}", problem.kind)
    };
    problems(text, syntax).into_iter().map(warning).collect()
}
