//! Tests in browsers, and the type check of the page's JavaScript.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::lint::all;
use super::{Counts, Options, summary};
use crate::checkout::native_cargo;
use crate::command::{Stream, line, program, run, watched};
use crate::report::Outcome;
use crate::{Result, dist, paths, setup, wasm};

/// File names of the browser tests.
pub const TESTS: &str = ".test.mjs";
/// File names of the browser tests that take long.
pub const FULL_TESTS: &str = ".full.mjs";
/// Note of Node's test runner beside a test that the name pattern leaves out.
const OTHER_NAME: &str = "# test name does not match pattern";
/// Largest number of files with failures that are run a second time.
const FILES_AGAIN: usize = 3;
/// TypeScript projects below `tests/browser`.
const TYPE_CHECKS: [&str; 3] = [
    "tsconfig.page.json",
    "tsconfig.worker.json",
    "tsconfig.tests.json",
];

/// Programs that the browser tests need.
pub struct Programs {
    node: PathBuf,
    chromium: PathBuf,
    firefox: PathBuf,
}

pub fn ready() -> Result<Programs> {
    Ok(Programs {
        node: setup::node_packages()?,
        chromium: setup::chromium()?,
        firefox: setup::firefox()?,
    })
}

pub fn types(_: &Options) -> Outcome {
    let node = match setup::node_packages() {
        Ok(node) => node,
        Err(error) => return Outcome::NotRun(error),
    };
    // The page imports the engine's declarations. Those of an older build will do.
    let engine = paths::root().join("www/pkg/darkroom.d.ts");
    if !engine.is_file()
        && let Err(error) = wasm::build()
    {
        return Outcome::Failed(error);
    }
    let folder = paths::root().join("tests/browser");
    let check = |config: &Path| {
        let mut tsc = program(&node);
        tsc.arg(folder.join("node_modules/typescript/bin/tsc"))
            .arg("--project")
            .arg(config);
        run(&mut tsc)
    };
    let checks = TYPE_CHECKS.iter().map(|name| check(&folder.join(name)));
    Outcome::of(all(checks))
}

pub fn browser(options: &Options) -> Outcome {
    match ready() {
        Ok(programs) => summary(tests(&programs, options, TESTS), options),
        Err(error) => Outcome::NotRun(error),
    }
}

/// Runs the test files in `tests/browser` with names that end in `suffix`. A few files that fail
/// are run once more: a browser on a busy machine may be late by any time. The counts name them.
pub fn tests(programs: &Programs, options: &Options, suffix: &str) -> Result<Counts> {
    let folder = paths::root().join("tests/browser");
    let tests = test_files(&folder, suffix)?;
    if tests.is_empty() {
        return Err(format!("{} has no *{suffix}", folder.display()));
    }
    // The tests drive the page as it is published, too.
    dist::make(&dist::Options::default())?;
    // The tests compare the browser's pictures with the native command's.
    run(native_cargo()?.args(["build", "--release", "--package", "darkroom", "--bins"]))?;
    let own = std::env::current_exe().map_err(|error| format!("xtask's own program: {error}"))?;
    let command = paths::native_target()?.join("release/darkroom");
    let models = paths::cache()?.join("full");
    let failures = paths::native_target()?.join("failed-browser-tests");
    let run = |files: &[PathBuf]| {
        let mut node = program(&programs.node);
        node.current_dir(&folder)
            .env("CHROMIUM", &programs.chromium)
            .env("FIREFOX", &programs.firefox)
            .env("DARKROOM_XTASK", &own)
            .env("DARKROOM_COMMAND", &command)
            .env("DARKROOM_FULL_MODELS", &models)
            // One file at a time: two browsers on two cores disturb each other's timings.
            .args(["--test", "--test-concurrency=1", "--test-timeout=1800000"])
            .args(["--test-reporter=spec", "--test-reporter-destination=stdout"])
            .arg("--test-reporter=./failed-files.mjs")
            .arg(format!(
                "--test-reporter-destination={}",
                failures.display()
            ));
        if let Some(filter) = &options.filter {
            node.arg(format!("--test-name-pattern={}", escape(filter)));
        }
        counted(node.args(files))
    };
    let (mut counts, result) = run(&tests);
    if let Err(error) = result {
        let again = failed_files(&failures, &tests)?;
        if again.is_empty() || again.len() > FILES_AGAIN {
            return Err(error);
        }
        let names = names(&again);
        println!("A second run, of {names}:");
        run(&again)
            .1
            .map_err(|error| format!("{error}, twice: {names}"))?;
        counts.passed += counts.failed;
        counts.note = format!("{names} failed once and passed on a second run");
    }
    if counts.ignored > 0 {
        return Err(format!("{} tests skipped themselves", counts.ignored));
    }
    Ok(counts)
}

/// Runs Node's test runner, and counts its tests.
fn counted(node: &mut Command) -> (Counts, Result<()>) {
    let mut counts = Counts::default();
    let mut others = 0;
    let watch = |line: &str| {
        counts = counts.clone().and(node_counts(line).unwrap_or_default());
        others += usize::from(line.trim_end().ends_with(OTHER_NAME));
    };
    let result = watched(node, Stream::Stdout, watch);
    let result = result.map_err(|error| error.replace(&line(node), "node --test"));
    // Some versions of Node count tests of other names as skipped.
    counts.ignored = counts.ignored.saturating_sub(others);
    (counts, result)
}

/// Those of `tests` that are listed in the file `failures`.
fn failed_files(failures: &Path, tests: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let listed = fs::read_to_string(failures);
    let listed = listed.map_err(|error| format!("{}: {error}", failures.display()))?;
    let failed = |test: &&PathBuf| listed.lines().any(|path| Path::new(path) == **test);
    Ok(tests.iter().filter(failed).cloned().collect())
}

/// The names of files, with commas between them.
fn names(files: &[PathBuf]) -> String {
    let names = files.iter().filter_map(|file| file.file_name());
    let names: Vec<_> = names.map(|name| name.to_string_lossy()).collect();
    names.join(", ")
}

fn test_files(folder: &Path, suffix: &str) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.to_string_lossy().ends_with(suffix))
        .collect();
    files.sort();
    Ok(files)
}

/// Reads the closing lines "ℹ pass 3", "ℹ fail 0" and "ℹ skipped 1" of Node's test runner.
fn node_counts(line: &str) -> Option<Counts> {
    let (word, count) = line.trim().strip_prefix("ℹ ")?.split_once(' ')?;
    let count = count.parse().ok()?;
    let mut counts = Counts::default();
    match word {
        "pass" => counts.passed = count,
        "fail" => counts.failed = count,
        "skipped" | "todo" => counts.ignored = count,
        _ => return None,
    }
    Some(counts)
}

/// Escapes a name for `--test-name-pattern`, which takes a regular expression.
fn escape(name: &str) -> String {
    let escaped = |c: char| {
        let backslash = c.is_ascii_punctuation().then_some('\\');
        backslash.into_iter().chain([c])
    };
    name.chars().flat_map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_nodes_closing_lines() {
        let counts = |passed, failed, ignored| {
            Some(Counts {
                passed,
                failed,
                ignored,
                ..Counts::default()
            })
        };
        assert_eq!(node_counts("ℹ pass 7"), counts(7, 0, 0));
        assert_eq!(node_counts("ℹ fail 2"), counts(0, 2, 0));
        assert_eq!(node_counts("ℹ skipped 1"), counts(0, 0, 1));
        assert_eq!(node_counts("ℹ duration_ms 31.2"), None);
    }

    #[test]
    fn only_listed_files_are_run_again() {
        let list = std::env::temp_dir().join(format!("failed-files-{}", std::process::id()));
        fs::write(&list, "/tests/b.test.mjs\n/tests/elsewhere.mjs\n").unwrap();
        let tests = ["/tests/a.test.mjs", "/tests/b.test.mjs"].map(PathBuf::from);
        let again = failed_files(&list, &tests).unwrap();
        fs::remove_file(list).unwrap();
        assert_eq!(names(&again), "b.test.mjs");
    }

    #[test]
    fn names_are_taken_literally() {
        assert_eq!(escape("a (b)"), "a \\(b\\)");
    }
}
