//! Properties that hold for every text: no panic, spans within it, time that grows with it.

use std::time::{Duration, Instant};

use darkroom::text::prompt::attention::{self, Attention};
use darkroom::text::prompt::chunks::{COMMA_BACKTRACK, chunks};
use darkroom::text::prompt::schedule::Schedule;
use darkroom::text::prompt::{PromptSyntax, composition, describe};

use super::sd1;

/// A generator of numbers that are random enough for tests.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }

    /// A text of signs of the language, words and letters of several bytes.
    fn text(&mut self, pieces: usize) -> String {
        const PIECES: [&str; 36] = [
            "(", ")", "[", "]", ":", "|", "\\", "(", ")", "[", "]", ":", "a", "b ", "é", "😀",
            "中", "e\u{301}", " ", "\n", "\u{1c}", "\u{2003}", ":1.3)", ":.)", ":1.2.3)", ":0.5]",
            ":3]", ": -1 ]", "BREAK", " BREAK ", "AND", " AND ", ", ", "[a|b]", "[a:b:2]", "٣",
        ];
        (0..pieces)
            .map(|_| PIECES[self.below(PIECES.len())])
            .collect()
    }
}

/// Checks what holds for every prompt.
fn check(prompt: &str, steps: usize) {
    let Attention { runs, problems } = attention::parse(prompt);
    assert!(!runs.is_empty());
    assert!(
        runs.windows(2).all(|pair| pair[0].weight != pair[1].weight),
        "{prompt:?}"
    );
    let mut end = 0;
    for run in &runs {
        assert!(run.span.start >= end, "runs of {prompt:?} overlap");
        end = run.span.end;
        assert!(
            prompt.get(run.span.clone()).is_some(),
            "{:?} of {prompt:?}",
            run.span
        );
        for (offset, letter) in run.text.text().char_indices() {
            let source = run.text.source_of(offset);
            assert!(
                prompt[source..].starts_with(letter),
                "{letter:?} of {prompt:?}"
            );
        }
    }
    let schedule = Schedule::parse(prompt);
    for problem in problems.iter().chain(schedule.problem()) {
        let slice = prompt.get(problem.span.clone());
        assert!(
            slice.is_some_and(|slice| !slice.is_empty()),
            "{problem:?} of {prompt:?}"
        );
    }
    for span in schedule.spans() {
        assert!(prompt[span.clone()].starts_with('[') && prompt[span].ends_with(']'));
    }
    let stages = schedule.stages(steps);
    assert_eq!(stages.last().unwrap().last_step, steps);
    assert!(
        stages
            .windows(2)
            .all(|pair| pair[0].last_step < pair[1].last_step)
    );
    for stage in &stages {
        for (offset, letter) in stage.text.text().char_indices() {
            let source = stage.text.source_of(offset);
            assert!(
                prompt[source..].starts_with(letter),
                "{letter:?} of {prompt:?}"
            );
        }
    }
    let mut end = 0;
    for part in composition::split(prompt) {
        assert!(part.span.start >= end && prompt.get(part.span.clone()).is_some());
        end = part.span.end;
    }
}

#[test]
fn random_texts_are_read_without_panic_and_with_right_positions() {
    let mut random = Random(22);
    for round in 0..20_000 {
        let pieces = random.below(4 + round % 30);
        check(&random.text(pieces), 1 + round % 12);
    }
}

#[test]
fn random_letters_are_read_without_panic() {
    let mut random = Random(7);
    for _ in 0..5_000 {
        let length = random.below(40);
        let letter = |_| char::from_u32(random.below(0x3100) as u32).unwrap_or('[');
        let text: String = (0..length).map(letter).collect();
        check(&text, 3);
    }
}

#[test]
fn random_texts_fill_chunks_of_77() {
    let tokenizer = sd1();
    let mut random = Random(3);
    for round in 0..300 {
        let text = random.text(round);
        let runs = attention::parse(&text).runs;
        let mut last = 0;
        for chunk in chunks(&runs, &tokenizer, COMMA_BACKTRACK).unwrap().chunks {
            assert_eq!((chunk.ids.len(), chunk.weights.len()), (77, 77));
            assert_eq!((chunk.ids[0], chunk.ids[76]), (49406, 49407));
            let start = chunk.start.unwrap_or(last);
            assert!(
                start >= last && text.is_char_boundary(start),
                "{start} in {text:?}"
            );
            last = start;
        }
        describe::describe(&text, PromptSyntax::A1111, 20, &tokenizer).unwrap();
    }
}

#[test]
fn many_brackets_take_no_stack_and_little_time() {
    let n = 300_000;
    let hostile = [
        "(".repeat(n),
        "[".repeat(n),
        ")".repeat(n),
        "(a".repeat(n),
        "([".repeat(n) + &"])".repeat(n),
        "[a|".repeat(n) + &"]".repeat(n),
        "(a".repeat(n) + &":1.1)".repeat(n),
        "[a:".repeat(n) + &":3]".repeat(n),
        ": ".repeat(n),
        ":".repeat(n) + &" ".repeat(n),
        "(".to_string() + &":1".repeat(n),
        "BREAK ".repeat(n),
        " ".repeat(n) + "BREAK",
        "AND ".repeat(n),
        "\\".repeat(n),
        "[a|b]".repeat(n),
        "[[".repeat(n) + &"a:3]".repeat(n),
    ];
    for prompt in hostile {
        let begun = Instant::now();
        let parsed = attention::parse(&prompt);
        assert!(!parsed.runs.is_empty());
        let stages = Schedule::parse(&prompt).stages(3);
        assert_eq!(stages.last().unwrap().last_step, 3);
        assert!(!composition::split(&prompt).is_empty());
        let taken = begun.elapsed();
        // All of them together take 4 s on an idle machine.
        let start: String = prompt.chars().take(12).collect();
        assert!(taken < Duration::from_secs(20), "{start}… took {taken:?}");
    }
}

#[test]
fn weights_inside_many_brackets_are_those_of_fewer_but_for_rounding() {
    // 200 brackets are multiplied in the web UI's order, 600 are not.
    for depth in [200, 600] {
        let prompt = format!("{}a{}", "(".repeat(depth), ":1.001)".repeat(depth));
        let weight = attention::parse(&prompt).runs[0].weight;
        let expected = 1.001_f64.powi(depth as i32);
        assert!(
            (weight / expected - 1.0).abs() < 1e-12,
            "{weight}, expected {expected}"
        );
    }
}
