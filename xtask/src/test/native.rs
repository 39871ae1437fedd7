//! Native tests: those of xtask and those of the crate, with and without a GPU.

use std::process::Command;

use super::{Counts, Options, both, summary};
use crate::checkout::native_cargo;
use crate::command::{Stream, watched};
use crate::report::Outcome;
use crate::{Result, full, setup};

/// The crate's test targets that need no GPU adapter and no browser.
const HOST_TARGETS: [&str; 3] = ["--lib", "--test", "host"];

/// Tests that need only a CPU: xtask's own, and the crate's `HOST_TARGETS`.
pub fn host(options: &Options) -> Outcome {
    summary(own_and_engine(&HOST_TARGETS, options), options)
}

/// All native tests. Some of them use the GPU, or Vulkan's software driver.
pub fn native(options: &Options) -> Outcome {
    match setup::vulkan() {
        Ok(()) => summary(own_and_engine(&[], options), options),
        Err(error) => Outcome::NotRun(error),
    }
}

fn own_and_engine(targets: &[&str], options: &Options) -> Result<Counts> {
    let mut own = native_cargo()?;
    own.args(["test", "--package", "xtask"])
        .args(&options.filter);
    let mut engine = engine_tests()?;
    engine.args(targets).args(&options.filter);
    // Both run, even where the first fails.
    both(rust_tests(&mut own), rust_tests(&mut engine))
}

/// The crate's tests that are marked `#[ignore]`.
pub fn full_size(options: &Options) -> Result<Counts> {
    let models = full::models(options.filter.as_deref())?;
    let mut command = engine_tests()?;
    command
        .env("DARKROOM_FULL_MODELS", models)
        .args(&options.filter)
        .args(["--", "--ignored"]);
    rust_tests(&mut command)
}

fn engine_tests() -> Result<Command> {
    let mut command = native_cargo()?;
    command.args(["test", "--release", "--package", "darkroom"]);
    command.arg("--no-fail-fast");
    Ok(command)
}

fn rust_tests(command: &mut Command) -> Result<Counts> {
    let mut counts = Counts::default();
    watched(command, Stream::Stdout, |line| {
        counts = counts.clone().and(rust_counts(line).unwrap_or_default());
    })?;
    Ok(counts)
}

/// Reads "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; …".
fn rust_counts(line: &str) -> Option<Counts> {
    let rest = line.strip_prefix("test result: ")?.split_once(". ")?.1;
    let count = |word: &str| {
        rest.split("; ")
            .find_map(|part| part.strip_suffix(word)?.trim().parse::<usize>().ok())
            .unwrap_or_default()
    };
    Some(Counts {
        passed: count("passed"),
        failed: count("failed"),
        ignored: count("ignored"),
        ..Counts::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_cargos_closing_line() {
        let line = |result, passed, failed, ignored, filtered| {
            format!(
                "test result: {result}. {passed} passed; {failed} failed; {ignored} ignored; \
                 0 measured; {filtered} filtered out; finished in 0.01s"
            )
        };
        let counts = |passed, failed, ignored| {
            Some(Counts {
                passed,
                failed,
                ignored,
                ..Counts::default()
            })
        };
        assert_eq!(rust_counts(&line("ok", 13, 0, 2, 0)), counts(13, 0, 2));
        assert_eq!(rust_counts(&line("FAILED", 1, 3, 0, 5)), counts(1, 3, 0));
        assert_eq!(rust_counts("test tokens ... ok"), None);
    }
}
