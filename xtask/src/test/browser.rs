//! Tests in browsers, and the type check of the page's JavaScript.

use std::fs;
use std::path::{Path, PathBuf};

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

/// Runs the test files in `tests/browser` with names that end in `suffix`.
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
    let mut node = program(&programs.node);
    node.current_dir(&folder)
        .env("CHROMIUM", &programs.chromium)
        .env("FIREFOX", &programs.firefox)
        .env("DARKROOM_XTASK", own)
        .env("DARKROOM_COMMAND", command)
        .env("DARKROOM_FULL_MODELS", paths::cache()?.join("full"))
        // One file at a time: two browsers on two cores disturb each other's timings.
        .args(["--test", "--test-concurrency=1"])
        .args(["--test-reporter=spec", "--test-timeout=1800000"]);
    if let Some(filter) = &options.filter {
        node.arg(format!("--test-name-pattern={}", escape(filter)));
    }
    node.args(tests);
    let mut counts = Counts::default();
    let mut others = 0;
    let watch = |line: &str| {
        counts = counts.and(node_counts(line).unwrap_or_default());
        others += usize::from(line.trim_end().ends_with(OTHER_NAME));
    };
    watched(&mut node, Stream::Stdout, watch)
        .map_err(|error| error.replace(&line(&node), "node --test"))?;
    // Some versions of Node count tests of other names as skipped.
    counts.ignored = counts.ignored.saturating_sub(others);
    if counts.ignored > 0 {
        return Err(format!("{} tests skipped themselves", counts.ignored));
    }
    Ok(counts)
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

/// Reads the closing lines "ℹ pass 3" and "ℹ skipped 1" of Node's test runner.
fn node_counts(line: &str) -> Option<Counts> {
    let (word, count) = line.trim().strip_prefix("ℹ ")?.split_once(' ')?;
    let count = count.parse().ok()?;
    let (passed, ignored) = match word {
        "pass" => (count, 0),
        "skipped" | "todo" => (0, count),
        _ => return None,
    };
    Some(Counts { passed, ignored })
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
        let counts = |passed, ignored| Some(Counts { passed, ignored });
        assert_eq!(node_counts("ℹ pass 7"), counts(7, 0));
        assert_eq!(node_counts("ℹ skipped 1"), counts(0, 1));
        assert_eq!(node_counts("ℹ duration_ms 31.2"), None);
    }

    #[test]
    fn names_are_taken_literally() {
        assert_eq!(escape("a (b)"), "a \\(b\\)");
    }
}
