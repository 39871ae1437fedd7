//! Fuzz tests of everything that reads files and requests, over seeded inputs: bytes, grown JSON,
//! and changes to real files. For each input: nothing panics, an error names the file, memory stays
//! below a factor of the input's size plus a constant, time stays below [`run::SLOW`], and an
//! accepted input is what the rest of the engine expects.

mod grow;
mod harness;
mod memory;
mod mutate;
mod regressions;
mod run;
#[path = "../support/mod.rs"]
mod support;
mod targets;

use run::{Table, campaign, check};
use support::random::Random;
use support::say;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

/// Runs every target on its share of at least `inputs` inputs.
fn run_all(inputs: u64, threads: usize) {
    let targets = targets::all();
    let shares: u64 = targets.iter().map(|(share, _)| share).sum();
    let mut tallies = Vec::new();
    for (share, target) in &targets {
        let tally = campaign(target.as_ref(), (inputs * share).div_ceil(shares), threads);
        tallies.push((tally, target.bound()));
    }
    say(Table(&tallies));
    let failures: Vec<&str> = tallies
        .iter()
        .flat_map(|(tally, _)| &tally.failures)
        .map(String::as_str)
        .collect();
    assert!(
        failures.is_empty(),
        "{} failures\n{}",
        failures.len(),
        failures.join("\n")
    );
    let counted: u64 = tallies.iter().map(|(tally, _)| tally.inputs).sum();
    assert!(counted >= inputs, "{counted} inputs instead of {inputs}");
    // A target that refuses all of its inputs tests little.
    for (tally, _) in &tallies {
        let share = tally.accepted as f64 / tally.inputs as f64;
        assert!(
            share > 0.01,
            "{}: {share} of the inputs accepted",
            tally.target
        );
    }
}

#[test]
fn parsers_take_anything() {
    match std::env::var("DARKROOM_FUZZ") {
        Ok(input) => run_again(&input),
        Err(_) => run_all(200_000, 1),
    }
}

#[test]
#[ignore = "minutes: twelve million inputs, of which parsers_take_anything runs 200,000"]
fn parsers_take_anything_twelve_million_times() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    run_all(12_000_000, threads);
}

/// Runs one input again: `input` is a target and a number, as in a failure's message.
fn run_again(input: &str) {
    let (name, number) = input.split_once(':').expect("target:number");
    let number = number.parse().expect("a number");
    let targets = targets::all();
    let (_, target) = targets
        .iter()
        .find(|(_, target)| target.name() == name)
        .expect("a target's name");
    let input = target.input(&mut Random::of(name, number));
    for (file, bytes) in &input.0 {
        say(format_args!(
            "{file}, {} bytes: {}",
            bytes.len(),
            bytes.escape_ascii()
        ));
    }
    match check(target.as_ref(), number, &input) {
        Ok(seen) => say(format_args!(
            "held {} bytes; refused: {:?}",
            seen.peak, seen.refused
        )),
        Err(what) => panic!("{what}"),
    }
}
