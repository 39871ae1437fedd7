//! The places of a prompt's parts, for text fields.

use std::time::Instant;

use darkroom::text::prompt::PromptSyntax;
use darkroom::text::prompt::describe::describe;
use darkroom::text::prompt::emphasis::Emphasis;
use darkroom::text::prompt::layout::{LayoutOptions, Place, PromptLayout, layout};
use darkroom::text::tokenizer::Tokenizer;

use super::{golden, list, sd1};
use crate::support::say;

const A1111: LayoutOptions = LayoutOptions {
    syntax: PromptSyntax::A1111,
    emphasis: Emphasis::Original,
    steps: 20,
    negative: false,
};

fn read_with(prompt: &str, options: LayoutOptions, tokenizer: &Tokenizer) -> PromptLayout {
    layout(prompt, options, tokenizer).unwrap()
}

fn read(prompt: &str) -> PromptLayout {
    read_with(prompt, A1111, &sd1())
}

/// The text at a place that is counted as JavaScript counts.
fn text_at(prompt: &str, [from, to]: Place) -> String {
    let units: Vec<u16> = prompt.encode_utf16().collect();
    String::from_utf16(&units[from..to]).unwrap()
}

fn weights(prompt: &str, layout: &PromptLayout) -> Vec<(String, f64)> {
    let weights = layout.weights.iter();
    weights
        .map(|part| (text_at(prompt, [part.from, part.to]), part.weight))
        .collect()
}

#[test]
fn weights_are_at_the_words_that_have_them() {
    let prompt = "a 🐈 with (green 🐸 eyes:1.3), [soft] light, (blur:-1)";
    let found = weights(prompt, &read(prompt));
    let expected = [("green 🐸 eyes", 1.3), ("soft", 1.0 / 1.1), ("blur", -1.0)];
    assert_eq!(found, expected.map(|(text, weight)| (text.into(), weight)));
}

#[test]
fn brackets_of_a_schedule_weaken_nothing_and_each_choice_has_its_weights() {
    let prompt = "[a (cat:1.2):a dog:0.25], ([red|blue]:1.5)";
    let layout = read(prompt);
    let expected = [("cat", 1.2), ("red", 1.5), ("blue", 1.5)];
    let expected = expected.map(|(text, weight)| (String::from(text), weight));
    assert_eq!(weights(prompt, &layout), expected);
    let changes: Vec<_> = layout
        .changes
        .iter()
        .map(|change| {
            let choices = change.choices.iter().map(|&place| text_at(prompt, place));
            let whole = text_at(prompt, [change.from, change.to]);
            (whole, choices.collect::<Vec<_>>(), change.last_step)
        })
        .collect();
    let expected = [
        (
            "[a (cat:1.2):a dog:0.25]".to_string(),
            vec!["a (cat:1.2)".to_string(), "a dog".to_string()],
            Some(5),
        ),
        (
            "[red|blue]".to_string(),
            vec!["red".to_string(), "blue".to_string()],
            None,
        ),
    ];
    assert_eq!(changes, expected);
    let one_sided = read("[late:0.5] [early::5]");
    let choices = |nth: usize| -> Vec<String> {
        let places = one_sided.changes[nth].choices.iter();
        places
            .map(|&place| text_at("[late:0.5] [early::5]", place))
            .collect()
    };
    assert_eq!(choices(0), ["", "late"]);
    assert_eq!(choices(1), ["early", ""]);
}

#[test]
fn borders_are_where_the_chunks_of_the_encoder_begin() {
    let long = "one cat, ".repeat(30);
    let prompt = format!("é<lora:x:0.5> {long} BREAK last");
    let layout = read(&prompt);
    // A comma after a full chunk begins the next; BREAK fills up the second.
    assert_eq!((layout.chunks, layout.limit), (3, 75));
    assert_eq!(layout.count, 151);
    let end = prompt.encode_utf16().count();
    let rest = |at: usize| text_at(&prompt, [at, end]);
    assert!(rest(layout.borders[0]).starts_with(", one cat, "));
    assert_eq!(rest(layout.borders[1]), "last");
    assert_eq!(read(&text_at(&prompt, [0, layout.borders[0]])).count, 75);
    let breaks: Vec<_> = layout
        .breaks
        .iter()
        .map(|&at| text_at(&prompt, at))
        .collect();
    assert_eq!(breaks, ["BREAK"]);
    let lora = &layout.loras[0];
    assert_eq!(text_at(&prompt, [lora.from, lora.to]), "<lora:x:0.5>");
    assert_eq!((&lora.name[..], lora.unet), ("x", 0.5));
}

#[test]
fn plain_prompts_have_borders_and_no_weights() {
    let prompt = format!("(a:1.2) [b|c] BREAK {}", "cat ".repeat(80));
    let plain = LayoutOptions {
        syntax: PromptSyntax::Plain,
        ..A1111
    };
    let layout = read_with(&prompt, plain, &sd1());
    assert_eq!((layout.chunks, layout.borders.len()), (2, 1));
    let tokens = sd1().content(&prompt).unwrap();
    assert_eq!(
        (layout.count, layout.borders[0]),
        (tokens.len(), tokens[75].1)
    );
    let expected = PromptLayout {
        count: layout.count,
        limit: 75,
        chunks: 2,
        borders: layout.borders.clone(),
        ..PromptLayout::default()
    };
    assert_eq!(layout, expected);
}

#[test]
fn problems_and_joints_are_named_with_their_places() {
    let prompt = "ü (open, close] AND b :0.5 AND c";
    let layout = read(prompt);
    let problems: Vec<_> = layout
        .problems
        .iter()
        .map(|problem| (text_at(prompt, [problem.from, problem.to]), problem.kind))
        .collect();
    let expected = [("(", "unmatched-open"), ("]", "unmatched-close")];
    assert_eq!(problems, expected.map(|(sign, kind)| (sign.into(), kind)));
    let joints: Vec<_> = layout.ands.iter().map(|&at| text_at(prompt, at)).collect();
    assert_eq!(joints, [" AND", " :0.5 AND"]);
    let negative = LayoutOptions {
        negative: true,
        ..A1111
    };
    let negative = read_with("a AND b <lora:x:1>", negative, &sd1());
    assert!(negative.ands.is_empty() && negative.loras.is_empty());
}

#[test]
fn ignored_emphasis_gives_no_weights() {
    let options = LayoutOptions {
        emphasis: Emphasis::Ignore,
        ..A1111
    };
    assert!(read_with("(a:1.5)", options, &sd1()).weights.is_empty());
}

/// Letters with a weight other than 1.
fn weighted_letters<'a>(parts: impl IntoIterator<Item = (&'a str, f64)>) -> Vec<(char, String)> {
    let parts = parts.into_iter().filter(|&(_, weight)| weight != 1.0);
    let letters = parts.flat_map(|(text, weight)| text.chars().map(move |letter| (letter, weight)));
    letters
        .map(|(letter, weight)| (letter, format!("{weight:.6}")))
        .collect()
}

#[test]
fn weights_of_the_reference_prompts_are_those_of_the_web_ui() {
    let golden = golden();
    let tokenizer = sd1();
    let mut compared = 0;
    for case in list(&golden["cases"]) {
        let prompt = case["prompt"].as_str().unwrap();
        let layout = read_with(prompt, A1111, &tokenizer);
        let mut end = 0;
        for part in &layout.weights {
            assert!(end <= part.from && part.from < part.to, "{prompt:?}");
            end = part.to;
        }
        let constant = layout.changes.is_empty() && layout.ands.is_empty();
        if !constant || case["weights"].is_null() || prompt.contains('<') {
            continue;
        }
        let found = weights(prompt, &layout);
        let found = weighted_letters(found.iter().map(|(text, weight)| (&text[..], *weight)));
        let expected = list(&case["weights"]).iter();
        let expected = expected.map(|pair| (pair[0].as_str().unwrap(), pair[1].as_f64().unwrap()));
        let is_text = |&(text, weight): &(&str, f64)| (text, weight) != ("BREAK", -1.0);
        // The trailing weight of the only part belongs to AND, and is no text.
        let composed = prompt.trim_end().rsplit_once(':');
        if composed.is_some_and(|(_, tail)| tail.trim().parse::<f64>().is_ok()) {
            continue;
        }
        assert_eq!(
            found,
            weighted_letters(expected.filter(is_text)),
            "{prompt:?}"
        );
        let meaning = describe(prompt, PromptSyntax::A1111, 20, &tokenizer).unwrap();
        assert_eq!(layout.chunks, list(&meaning["chunks"]).len(), "{prompt:?}");
        compared += 1;
    }
    assert!(compared >= 200, "{compared} prompts compared");
}

/// A page asks after each change of a text.
#[test]
fn a_prompt_of_300_tokens_is_read_within_milliseconds() {
    let prompt = "a (red:1.2) [cat|dog] with [green:blue:0.5] eyes, ".repeat(45);
    let tokenizer = sd1();
    assert!(read_with(&prompt, A1111, &tokenizer).count >= 200);
    let times = (0..20).map(|_| {
        let begun = Instant::now();
        read_with(&prompt, A1111, &tokenizer);
        begun.elapsed()
    });
    let fastest = times.min().unwrap();
    say(format_args!("{fastest:?}"));
    // Other work on the machine may slow it down.
    assert!(fastest.as_millis() < 50, "{fastest:?}");
}
