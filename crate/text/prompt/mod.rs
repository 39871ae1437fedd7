//! The prompt language of A1111's web UI, in which most public prompts are written.
//!
//! | text | effect |
//! |---|---|
//! | `(x)`, `[x]`, `(x:1.3)` | weight of `x` times 1.1, 1/1.1, 1.3; brackets nest |
//! | `\(`, `\)`, `\[`, `\]`, `\\` | the sign itself |
//! | `(x:-1)` | takes `x` away: see [`negative_weights`] |
//! | `BREAK` | the rest goes on in a new chunk |
//! | `[from:to:when]`, `[to:when]`, `[from::when]` | `from` up to step `when`, then `to` |
//! | `[a\|b]` | `a` and `b` in turn, one a step |
//! | `<lora:name:0.8>` | merges the LoRA of that name; the tag itself is no text |
//! | `a AND b :0.5` | two prompts with a weight each; only in the prompt, not the negative one |
//!
//! A prompt goes through [`tags`] (LoRAs), [`composition`] (`AND`), then [`schedule`] (which text
//! at which step), then [`attention`] (weights and `BREAK`), then [`chunks`] (token ids with a
//! weight each). The text encoder follows, and [`emphasis`] applies the weights to its output.
//! [`plan`] does all of the host's part after the tags at once; [`describe`] shows it to people,
//! and [`layout`] says where in the prompt each part was typed.
//!
//! The rules are those of version 1.10.1 of the web UI, its odd ones included: a prompt should give
//! the same picture in both. Each module names the few cases in which it differs.
//! No function here recurses, so a prompt of brackets alone cannot overflow the stack.

pub mod attention;
mod bracket_weights;
mod characters;
pub mod chunks;
pub mod composition;
pub mod describe;
pub mod emphasis;
pub mod layout;
pub mod locate;
pub mod negative_weights;
pub mod plan;
pub mod problem;
pub mod schedule;
mod spliced;
pub mod tags;

pub(super) use characters::is_word;
pub use spliced::Spliced;

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// Meaning of brackets and capitals in a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PromptSyntax {
    /// The language of A1111's web UI.
    #[default]
    A1111,
    /// Every sign stands for itself.
    Plain,
}

impl fmt::Display for PromptSyntax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PromptSyntax::A1111 => "a1111",
            PromptSyntax::Plain => "plain",
        })
    }
}

impl FromStr for PromptSyntax {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "a1111" => Ok(PromptSyntax::A1111),
            "plain" => Ok(PromptSyntax::Plain),
            other => Err(Error::request("prompt_syntax", other, "a1111 or plain")),
        }
    }
}
