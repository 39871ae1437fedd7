//! Parts of a prompt that do something other than what they look like.

use std::fmt;
use std::ops::Range;

/// A part of a prompt that does something other than what it looks like. It is no error: a picture
/// can be made of any prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Bytes of the prompt.
    pub span: Range<usize>,
    /// The kind of problem.
    pub kind: ProblemKind,
}

/// A kind of [`Problem`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// `(` or `[` that is never closed: it weights all that follows.
    UnmatchedOpen,
    /// `)` or `]` that was never opened: it is read as a sign.
    UnmatchedClose,
    /// `:1.3)` without its `(`: it is read as text.
    WeightOutsideBrackets,
    /// `:1.2.3)`: the weight is not a number. The brackets have the weight of plain brackets, and
    /// the rest is read as text.
    UnreadableWeight,
    /// `BREAK` within brackets: it is read as a word.
    BreakInBrackets,
    /// `<lora:name:x>` with weights that are not numbers: it is left out.
    UnreadableTag,
    /// `<word:…>` of another kind: it is left out.
    UnknownTag,
    /// `|` outside `[a|b]`, or a backslash before nothing: no schedule of this prompt has effect.
    ScheduleOff,
}

impl ProblemKind {
    /// The name in a [`PromptLayout`](super::layout::PromptLayout), for programs with their own
    /// texts.
    pub fn name(self) -> &'static str {
        match self {
            ProblemKind::UnmatchedOpen => "unmatched-open",
            ProblemKind::UnmatchedClose => "unmatched-close",
            ProblemKind::WeightOutsideBrackets => "weight-outside-brackets",
            ProblemKind::UnreadableWeight => "unreadable-weight",
            ProblemKind::BreakInBrackets => "break-in-brackets",
            ProblemKind::UnreadableTag => "unreadable-tag",
            ProblemKind::UnknownTag => "unknown-tag",
            ProblemKind::ScheduleOff => "schedule-off",
        }
    }
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ProblemKind::UnmatchedOpen => "this bracket is not closed; it weights all that follows",
            ProblemKind::UnmatchedClose => "this bracket was not opened; it is read as a sign",
            ProblemKind::WeightOutsideBrackets => {
                "this weight belongs to no bracket; it is read as text"
            }
            ProblemKind::UnreadableWeight => "this weight is not a number; it is read as text",
            ProblemKind::BreakInBrackets => {
                "BREAK within brackets is read as a word and begins no chunk"
            }
            ProblemKind::UnreadableTag => "the weight of this LoRA is not a number; it is left out",
            ProblemKind::UnknownTag => "this tag is not supported; it is left out",
            ProblemKind::ScheduleOff => {
                "because of this sign, [from:to:when] and [a|b] are read as text in this prompt"
            }
        })
    }
}
