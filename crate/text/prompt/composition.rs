//! Prompts joined by `AND`, each with a weight of its own: `a AND b :0.5`.
//!
//! Equal to `get_multicond_prompt_list` of the web UI. The word divides the text before brackets
//! are read. In a negative prompt it has no meaning.

use std::ops::Range;

use super::characters::{number, trim_end, trim_start, whole_words};

const AND: &str = "AND";

/// One of the prompts joined by `AND`.
#[derive(Debug, Clone, PartialEq)]
pub struct Subprompt {
    /// Bytes of the whole prompt: the text without its weight and the white space behind it.
    pub span: Range<usize>,
    /// The weight of its guidance, 1 where none is named.
    pub weight: f64,
}

/// The prompts that `prompt` is made of; one if it has no `AND`.
pub fn split(prompt: &str) -> Vec<Subprompt> {
    let mut parts = Vec::new();
    let mut begun = 0;
    for at in whole_words(prompt, AND) {
        parts.push(subprompt(prompt, begun..at));
        begun = at + AND.len();
    }
    parts.push(subprompt(prompt, begun..prompt.len()));
    parts
}

fn subprompt(prompt: &str, part: Range<usize>) -> Subprompt {
    let text = trim_end(&prompt[part.clone()]);
    let weighted = text.rsplit_once(':').and_then(|(text, weight)| {
        let weight = trim_start(weight);
        Some((trim_end(text), number(weight)?))
    });
    let (text, weight) = weighted.unwrap_or((text, 1.0));
    Subprompt {
        span: part.start..part.start + text.len(),
        weight,
    }
}
