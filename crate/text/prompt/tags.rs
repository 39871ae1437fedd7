//! LoRAs that a prompt names: `<lora:name:0.8>`.
//!
//! Equal to `extra_networks.parse_prompt` of the web UI and its LoRA extension: every `<word:…>` is
//! taken out of the prompt before anything else is read, and `<lora:name:text encoder:U-Net>` may
//! have two weights. In a negative prompt such tags are text, there and here.

use std::ops::Range;

use super::Spliced;
use super::characters::is_word;
use super::problem::{Problem, ProblemKind};

/// A LoRA named in a prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct LoraTag {
    /// Name of the LoRA.
    pub name: String,
    /// Weight in the text encoder.
    pub text_encoder: f32,
    /// Weight in the U-Net.
    pub unet: f32,
    /// Bytes of the prompt.
    pub span: Range<usize>,
}

/// A prompt divided into its text and its tags.
#[derive(Debug, Clone, PartialEq)]
pub struct Tagged {
    /// The prompt without tags.
    pub text: Spliced,
    /// The LoRAs, in the order of the prompt.
    pub loras: Vec<LoraTag>,
    /// Tags without effect.
    pub problems: Vec<Problem>,
}

impl Tagged {
    /// The whole of `prompt`, in which tags are text.
    pub fn plain(prompt: &str) -> Self {
        Tagged {
            text: Spliced::whole(prompt),
            loras: Vec::new(),
            problems: Vec::new(),
        }
    }
}

/// Takes the tags out of `prompt`.
pub fn parse(prompt: &str) -> Tagged {
    let mut tagged = Tagged {
        text: Spliced::default(),
        loras: Vec::new(),
        problems: Vec::new(),
    };
    let mut done = 0;
    let mut from = 0;
    while let Some(at) = prompt[from..].find('<').map(|at| from + at) {
        let Some((kind, arguments)) = tag_at(&prompt[at..]) else {
            from = at + 1;
            continue;
        };
        let end = at + kind.len() + arguments.len() + "<:>".len();
        tagged.text.push(prompt, done..at);
        (done, from) = (end, end);
        let problem = match kind {
            "lora" | "lyco" => match lora(arguments, at..end) {
                Some(lora) => {
                    tagged.loras.push(lora);
                    continue;
                }
                None => ProblemKind::UnreadableTag,
            },
            _ => ProblemKind::UnknownTag,
        };
        let span = at..end;
        tagged.problems.push(Problem {
            span,
            kind: problem,
        });
    }
    tagged.text.push(prompt, done..prompt.len());
    tagged
}

/// The kind and the arguments of the tag that `text` begins with.
fn tag_at(text: &str) -> Option<(&str, &str)> {
    let inside = text.strip_prefix('<')?;
    let kind = &inside[..inside.find(|c| !is_word(c))?];
    let arguments = inside[kind.len()..].strip_prefix(':')?;
    let arguments = &arguments[..arguments.find('>')?];
    (!kind.is_empty() && !arguments.is_empty()).then_some((kind, arguments))
}

/// Reads the arguments of a LoRA: its name, then weights by position or by name.
fn lora(arguments: &str, span: Range<usize>) -> Option<LoraTag> {
    let mut words = arguments.split(':');
    let name = words.next()?.to_string();
    let (mut positional, mut named) = (Vec::new(), [None; 2]);
    for word in words {
        let weight = |text: &str| {
            let weight = text.trim().parse::<f32>().ok();
            weight.filter(|weight| weight.is_finite())
        };
        match word.split_once('=') {
            Some(("te", text)) => named[0] = Some(weight(text)?),
            Some(("unet", text)) => named[1] = Some(weight(text)?),
            // `dyn` limits the rank; other names are unknown to the web UI, too.
            Some(_) => (),
            None => positional.push(weight(word)?),
        }
    }
    let first = positional.first().copied().unwrap_or(1.0);
    let text_encoder = named[0].unwrap_or(first);
    let second = positional.get(1).copied();
    Some(LoraTag {
        unet: named[1].or(second).unwrap_or(text_encoder),
        name,
        text_encoder,
        span,
    })
}

#[cfg(test)]
mod tests {
    use super::{LoraTag, parse};
    use crate::text::prompt::problem::ProblemKind;

    fn loras(prompt: &str) -> Vec<(String, f32, f32)> {
        let weights = |tag: LoraTag| (tag.name, tag.text_encoder, tag.unet);
        parse(prompt).loras.into_iter().map(weights).collect()
    }

    #[test]
    fn tags_are_taken_out_and_the_rest_knows_its_place() {
        let prompt = "a <lora:pencil sketch:0.8>house, <lora:b>";
        let tagged = parse(prompt);
        assert_eq!(tagged.text.text(), "a house, ");
        assert_eq!(
            tagged.text.source_of(2),
            prompt.find("house").expect("there")
        );
        assert_eq!(tagged.loras[0].span, 2..26);
        assert!(tagged.problems.is_empty());
        let expected = [("pencil sketch".into(), 0.8, 0.8), ("b".into(), 1.0, 1.0)];
        assert_eq!(loras(prompt), expected);
    }

    #[test]
    fn weights_of_text_encoder_and_unet_are_read_apart() {
        let of = |tag: &str| loras(tag).pop().map(|(_, text, unet)| (text, unet));
        assert_eq!(of("<lora:a:0.5:-1>"), Some((0.5, -1.0)));
        assert_eq!(of("<lyco:a:te=0.2>"), Some((0.2, 0.2)));
        assert_eq!(of("<lora:a:0.4:unet=2>"), Some((0.4, 2.0)));
        assert_eq!(of("<lora:a: .5 :dyn=4>"), Some((0.5, 0.5)));
    }

    #[test]
    fn tags_without_effect_are_named() {
        let kinds = |prompt: &str| -> Vec<ProblemKind> {
            parse(prompt)
                .problems
                .iter()
                .map(|problem| problem.kind)
                .collect()
        };
        assert_eq!(kinds("<hypernet:x:1>"), [ProblemKind::UnknownTag]);
        assert_eq!(kinds("<lora:x:heavy>"), [ProblemKind::UnreadableTag]);
        assert_eq!(kinds("<lora:x:inf>"), [ProblemKind::UnreadableTag]);
        for text in [
            "a < b",
            "<3",
            "<b>bold</b>",
            "<lora>",
            "<lora:>",
            "<:x>",
            "<lora:x",
        ] {
            assert_eq!(parse(text).text.text(), text);
        }
    }
}
