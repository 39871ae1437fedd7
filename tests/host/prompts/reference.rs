//! Parse trees, weights, schedules, chunks and emphasis, prompt by prompt.

use darkroom::text::prompt::chunks::{COMMA_BACKTRACK, Chunk, chunks};
use darkroom::text::prompt::emphasis::Emphasis;
use darkroom::text::prompt::plan::Reading;
use darkroom::text::prompt::problem::ProblemKind;
use darkroom::text::prompt::schedule::Schedule;
use darkroom::text::prompt::{PromptSyntax, attention, composition, describe};
use darkroom::text::tokenizer::{LongPrompt, Tokenizer};
use serde_json::Value;

use super::{golden, list, sd1, sd2};

/// Steps for which schedules are compared.
const STEPS: std::ops::RangeInclusive<usize> = 1..=50;

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn integer(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// Equal within 1e-9, relative where large.
fn is_close(actual: f64, expected: f64) -> bool {
    (actual - expected).abs() <= 1e-9 * expected.abs().max(1.0)
}

/// A list of texts with a weight each.
fn weighted(value: &Value) -> Vec<(&str, f64)> {
    let pairs = list(value).iter();
    pairs
        .map(|pair| (text(&pair[0]), number(&pair[1])))
        .collect()
}

fn assert_weighted(actual: &[(&str, f64)], expected: &[(&str, f64)], prompt: &str) {
    let texts = |pairs: &[(&str, f64)]| -> Vec<String> {
        pairs.iter().map(|(text, _)| text.to_string()).collect()
    };
    assert_eq!(texts(actual), texts(expected), "texts of {prompt:?}");
    for ((text, actual), (_, expected)) in actual.iter().zip(expected) {
        let close = is_close(*actual, *expected);
        assert!(
            close,
            "{text:?} of {prompt:?}: {actual}, expected {expected}"
        );
    }
}

#[test]
fn weights_equal_those_of_the_web_ui() {
    let golden = golden();
    let cases = list(&golden["cases"]);
    assert!(cases.len() >= 420);
    let mut refused = 0;
    for case in cases {
        let prompt = text(&case["prompt"]);
        let parsed = attention::parse(prompt);
        if case["weights"].is_null() {
            let kinds: Vec<_> = parsed.problems.iter().map(|problem| problem.kind).collect();
            assert!(kinds.contains(&ProblemKind::UnreadableWeight), "{prompt:?}");
            refused += 1;
            continue;
        }
        let runs = parsed.runs.iter().map(|run| (run.text.text(), run.weight));
        assert_weighted(
            &runs.collect::<Vec<_>>(),
            &weighted(&case["weights"]),
            prompt,
        );
    }
    assert!(
        (1..10).contains(&refused),
        "{refused} refused by the web UI"
    );
}

#[test]
fn compositions_equal_those_of_the_web_ui() {
    for case in list(&golden()["cases"]) {
        let prompt = text(&case["prompt"]);
        let parts = composition::split(prompt).into_iter();
        let parts: Vec<_> = parts
            .map(|part| (&prompt[part.span], part.weight))
            .collect();
        assert_weighted(&parts, &weighted(&case["composition"]), prompt);
    }
}

/// True if the schedule of `prompt` is `expected` for every number of steps.
fn is_scheduled_so(prompt: &str, expected: &Value) -> bool {
    let texts = list(&expected["texts"]);
    let constant = list(&expected["stages"]).is_empty();
    let schedule = Schedule::parse(prompt);
    STEPS.enumerate().all(|(row, steps)| {
        let actual = schedule.stages(steps);
        let actual = actual
            .iter()
            .map(|stage| (stage.last_step, stage.text.text()));
        if constant {
            return actual.eq([(steps, text(&texts[0]))]);
        }
        let [last, indices] = &list(&expected["stages"])[row].as_array().unwrap()[..] else {
            panic!("a pair is expected");
        };
        let last: Vec<usize> = match last.as_array() {
            Some(last) => last.iter().map(integer).collect(),
            None => (1..=steps).collect(),
        };
        let indices = list(indices).iter();
        let expected = indices.map(|index| text(&texts[integer(index)]));
        actual.eq(last.into_iter().zip(expected))
    })
}

#[test]
fn schedules_of_1_to_50_steps_equal_those_of_the_web_ui() {
    let (mut certain, mut changing) = (0, 0);
    for case in list(&golden()["cases"])
        .iter()
        .filter(|case| !case["schedule"].is_null())
    {
        let (prompt, expected) = (text(&case["prompt"]), &case["schedule"]);
        let stages = Schedule::parse(prompt).stages(10);
        let got: Vec<_> = stages
            .iter()
            .map(|s| (s.last_step, s.text.text()))
            .collect();
        assert!(
            is_scheduled_so(prompt, expected),
            "{prompt:?}: {got:?} at 10 steps"
        );
        certain += 1;
        changing += usize::from(!list(&expected["stages"]).is_empty());
    }
    assert!(
        certain >= 400 && changing >= 90,
        "{certain} schedules, {changing} with changes"
    );
}

#[test]
fn an_ambiguous_schedule_is_one_that_the_web_ui_gives_at_times() {
    let golden = golden();
    let ambiguous = list(&golden["cases"])
        .iter()
        .filter(|case| case["schedule"].is_null());
    for case in ambiguous {
        let prompt = text(&case["prompt"]);
        let outcomes = list(&case["ambiguous"]);
        assert!(outcomes.len() > 1);
        let found = outcomes
            .iter()
            .any(|outcome| is_scheduled_so(prompt, outcome));
        assert!(found, "{prompt:?}");
    }
}

/// Compares with a chunk's ids, of which the end lacks `padding`, and its weights in run lengths.
fn assert_chunk(actual: &Chunk, ids: &Value, padding: u32, weights: &Value, prompt: &str) {
    let ids = list(ids).iter().map(|id| integer(id) as u32);
    let mut expected: Vec<u32> = ids.collect();
    expected.resize(77, padding);
    assert_eq!(actual.ids, expected, "ids of {prompt:?}");
    let mut expected = Vec::new();
    for run in list(weights) {
        expected.extend(std::iter::repeat_n(number(&run[0]), integer(&run[1])));
    }
    assert_eq!(actual.weights.len(), expected.len());
    let mut pairs = actual.weights.iter().zip(&expected);
    let close = pairs.all(|(&actual, &expected)| is_close(actual, expected));
    assert!(
        close,
        "{prompt:?}: {:?}, expected {expected:?}",
        actual.weights
    );
}

fn assert_chunks(
    tokenizer: &Tokenizer,
    kind: &str,
    [prompt, expected]: [&Value; 2],
    syntax: PromptSyntax,
    comma_backtrack: usize,
) {
    let prompt = text(prompt);
    let runs = match syntax {
        PromptSyntax::A1111 => attention::parse(prompt).runs,
        PromptSyntax::Plain => vec![attention::Run::plain(prompt)],
    };
    let actual = chunks(&runs, tokenizer, comma_backtrack).unwrap();
    let padding = tokenizer.empty_chunk()[2];
    let ids = list(&expected[kind]);
    assert_eq!(actual.chunks.len(), ids.len(), "chunks of {prompt:?}");
    assert_eq!(
        actual.count,
        integer(&expected["count"]),
        "count of {prompt:?}"
    );
    for ((actual, ids), weights) in actual
        .chunks
        .iter()
        .zip(ids)
        .zip(list(&expected["weights"]))
    {
        assert_chunk(actual, ids, padding, weights, prompt);
    }
}

#[test]
fn chunks_equal_those_of_the_web_ui() {
    let golden = golden();
    for (tokenizer, kind) in [(sd1(), "sd1"), (sd2(), "sd2")] {
        let mut compared = 0;
        for case in list(&golden["cases"]) {
            for pair in list(&case["chunks"]) {
                let pair = [&pair[0], &pair[1]];
                assert_chunks(&tokenizer, kind, pair, PromptSyntax::A1111, COMMA_BACKTRACK);
                compared += 1;
            }
        }
        assert!(compared >= 400, "{compared} texts");
        for pair in list(&golden["plain"]) {
            let pair = [&pair[0], &pair[1]];
            assert_chunks(&tokenizer, kind, pair, PromptSyntax::Plain, COMMA_BACKTRACK);
        }
        for pair in list(&golden["no_backtrack"]) {
            let pair = [&pair[0], &pair[1]];
            assert_chunks(&tokenizer, kind, pair, PromptSyntax::A1111, 0);
        }
    }
}

#[test]
fn emphasis_equals_that_of_the_web_ui() {
    let golden = golden();
    let floats = |value: &Value| -> Vec<f32> {
        list(value)
            .iter()
            .map(|value| number(value) as f32)
            .collect()
    };
    for case in list(&golden["emphasis"]) {
        let rows = list(&case["weights"]).iter().flat_map(list);
        let weights: Vec<f64> = rows.map(number).collect();
        let before = floats(&case["before"]);
        let width = before.len() / weights.len();
        let modes = [
            (Emphasis::Original, "Original"),
            (Emphasis::NoNorm, "No norm"),
            (Emphasis::Ignore, "Ignore"),
        ];
        for (emphasis, name) in modes {
            let mut actual = before.clone();
            emphasis.apply(&mut actual, &weights, width);
            for (actual, expected) in actual.iter().zip(floats(&case[name])) {
                let error = (actual - expected).abs();
                let limit = 1e-5 * expected.abs().max(1.0);
                assert!(error <= limit, "{name}: {actual}, expected {expected}");
            }
            let unweighted = weights.iter().all(|&weight| weight == 1.0);
            assert!(
                !unweighted || actual == before,
                "{name} changes nothing at weight 1"
            );
        }
    }
}

/// A reading for 20 steps.
fn reading(tokenizer: &Tokenizer, syntax: PromptSyntax) -> Reading<'_> {
    Reading {
        tokenizer,
        syntax,
        steps: 20,
        long_prompt: LongPrompt::Chunk,
    }
}

#[test]
fn the_text_in_force_at_a_call_is_the_web_uis() {
    let tokenizer = sd1();
    let reading = reading(&tokenizer, PromptSyntax::A1111);
    for case in list(&golden()["in_force"]) {
        let whole = reading.prompt(text(&case[0])).unwrap();
        for (call, expected) in list(&case[1]).iter().enumerate() {
            let [index] = whole.at(call).collect::<Vec<_>>()[..] else {
                panic!("one part is expected");
            };
            let expected = reading.prompt(text(expected)).unwrap();
            assert_eq!(
                whole.texts[index], expected.texts[0],
                "{} at call {call}",
                case[0]
            );
        }
    }
}

#[test]
fn and_is_a_word_in_a_negative_prompt() {
    let tokenizer = sd1();
    let reading = reading(&tokenizer, PromptSyntax::A1111);
    let prompt = "a AND b :0.5";
    let weights: Vec<f64> = reading
        .prompt(prompt)
        .unwrap()
        .parts
        .iter()
        .map(|p| p.weight)
        .collect();
    assert_eq!(weights, [1.0, 0.5]);
    let negative = reading.negative_prompt(prompt).unwrap();
    assert_eq!(negative.parts.len(), 1);
    let whole = chunks(&attention::parse(prompt).runs, &tokenizer, COMMA_BACKTRACK);
    assert_eq!(negative.texts, [whole.unwrap().chunks]);
}

#[test]
fn texts_of_a_plan_have_the_same_number_of_chunks() {
    let tokenizer = sd2();
    let prompt = format!("[{}:b:0.5] AND c BREAK d BREAK e", "a ".repeat(160));
    let mut plan = reading(&tokenizer, PromptSyntax::A1111)
        .prompt(&prompt)
        .unwrap();
    assert_eq!(plan.texts.len(), 3);
    assert!(plan.texts.iter().all(|text| text.len() == 3));
    assert_eq!(plan.texts[1][2], Chunk::empty(&tokenizer));
    plan.pad(5, &tokenizer);
    assert!(plan.texts.iter().all(|text| text.len() == 5));
}

#[test]
fn equal_texts_of_an_alternation_are_encoded_once() {
    let tokenizer = sd1();
    let plan = reading(&tokenizer, PromptSyntax::A1111)
        .prompt("[a|b] AND a")
        .unwrap();
    assert_eq!(plan.texts.len(), 3, "a, b and, with a space before it, a");
    assert_eq!(plan.parts[0].stages.len(), 20);
}

#[test]
fn plain_syntax_takes_every_sign_as_typed() {
    let tokenizer = sd1();
    let prompt = "a (red:1.4) [b:c:3] BREAK d AND \\(e\\)";
    let plan = reading(&tokenizer, PromptSyntax::Plain)
        .prompt(prompt)
        .unwrap();
    let whole = chunks(
        &[attention::Run::plain(prompt)],
        &tokenizer,
        COMMA_BACKTRACK,
    )
    .unwrap();
    assert_eq!(plan.texts, [whole.chunks]);
    assert!(!plan.texts[0][0].is_weighted());
    assert!(describe::problems(prompt, PromptSyntax::Plain).is_empty());
}

/// No comma ends a chunk, and an end token in the text is like any other.
#[test]
fn plain_prompts_have_the_tokens_of_the_tokenizer() {
    let prompts = [
        "",
        "a <|endoftext|> man",
        &"red hair, ".repeat(40),
        &"a man é".repeat(60),
    ];
    for tokenizer in [sd1(), sd2()] {
        for (prompt, long_prompt) in prompts
            .iter()
            .flat_map(|prompt| [LongPrompt::Chunk, LongPrompt::Truncate].map(|long| (prompt, long)))
        {
            let reading = Reading {
                long_prompt,
                ..reading(&tokenizer, PromptSyntax::Plain)
            };
            let plan = reading.prompt(prompt).unwrap();
            let expected = tokenizer.encode(prompt, long_prompt).unwrap();
            let ids: Vec<_> = plan.texts[0].iter().map(|chunk| &chunk.ids).collect();
            assert_eq!(
                ids,
                expected.chunks.iter().collect::<Vec<_>>(),
                "{prompt:?}"
            );
            let cut = plan.cut.map(|cut| (cut.count, cut.text));
            assert_eq!(cut, expected.cut.map(|text| (expected.count, text)));
        }
    }
}

#[test]
fn a_truncated_prompt_keeps_75_tokens_and_says_what_is_cut() {
    let tokenizer = sd1();
    let reading = Reading {
        long_prompt: LongPrompt::Truncate,
        ..reading(&tokenizer, PromptSyntax::A1111)
    };
    let prompt = format!("{}, (é \\(b\\):1.2) and more", "a ".repeat(74));
    let plan = reading.prompt(&prompt).unwrap();
    assert_eq!(plan.chunks(), 1);
    assert_eq!(
        plan.texts[0][0].ids[75], 267,
        "the comma is the last that is kept"
    );
    let cut = plan.cut.unwrap();
    assert_eq!(
        (cut.count, cut.text.as_str()),
        (81, "é \\(b\\):1.2) and more")
    );
    assert_eq!(reading.prompt("a, b").unwrap().cut, None);
}

#[test]
fn a_chunk_knows_where_its_text_was_typed() {
    let tokenizer = sd1();
    let prompt = format!(
        "{}, (very \\(old\\):1.1) chair BREAK é",
        "(a:1.2) ".repeat(70)
    );
    let runs = attention::parse(&prompt).runs;
    let chunks = chunks(&runs, &tokenizer, COMMA_BACKTRACK).unwrap().chunks;
    let starts = chunks.iter().map(|chunk| &prompt[chunk.start.unwrap()..]);
    let starts: Vec<String> = starts.map(|text| text.chars().take(6).collect()).collect();
    assert_eq!(starts, ["a:1.2)", "very \\", "é"]);
}

#[test]
fn problems_name_the_sign_that_does_not_do_what_it_looks_like() {
    let cases: [(&str, &[(&str, ProblemKind)]); 8] = [
        ("a (b) [c:d:3] \\(", &[]),
        ("é (b", &[("(", ProblemKind::UnmatchedOpen)]),
        (
            "a] (b",
            &[
                ("]", ProblemKind::UnmatchedClose),
                ("(", ProblemKind::UnmatchedOpen),
            ],
        ),
        ("a:1.3)", &[(":1.3)", ProblemKind::WeightOutsideBrackets)]),
        ("(é:1.2.3)", &[(":1.2.3", ProblemKind::UnreadableWeight)]),
        ("(a BREAK b)", &[("BREAK", ProblemKind::BreakInBrackets)]),
        ("[a:b:3] | c", &[("|", ProblemKind::ScheduleOff)]),
        ("[a|b] \\", &[("\\", ProblemKind::ScheduleOff)]),
    ];
    for (prompt, expected) in cases {
        let problems = describe::problems(prompt, PromptSyntax::A1111);
        let found: Vec<_> = problems
            .iter()
            .map(|p| (&prompt[p.span.clone()], p.kind))
            .collect();
        assert_eq!(found, expected, "{prompt:?}");
    }
}

#[test]
fn description_has_weights_schedule_and_chunks() {
    let tokenizer = sd1();
    let prompt = "a (red:1.4) BREAK [b:c:0.5]";
    let value = describe::describe(prompt, PromptSyntax::A1111, 10, &tokenizer).unwrap();
    assert_eq!(value["weights"][1], serde_json::json!(["red", 1.4]));
    assert_eq!(value["weights"][3], serde_json::json!(["BREAK", -1.0]));
    let schedule = serde_json::json!([[5, "a (red:1.4) BREAK b"], [10, "a (red:1.4) BREAK c"]]);
    assert_eq!(value["schedule"], schedule);
    let chunks = list(&value["chunks"]);
    assert_eq!((chunks.len(), list(&chunks[1]).len()), (2, 77));
}
