//! `cargo xtask test`: every check of the project, from a fresh clone.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::args::Args;
use crate::checkout::native_cargo;
use crate::command::{Stream, ask, cargo, line, program, run, watched};
use crate::stages::{Outcome, Run};
use crate::{Result, full, paths, setup, wasm};

/// The engine's size after the best Brotli: what a visitor waits for before anything happens.
const WASM_LIMIT: u64 = 3_000_000;

type Stage = (&'static str, fn(&Options) -> Outcome);

/// In this order: what fails fast first, and the browser last, for it needs all the rest.
const STAGES: [Stage; 6] = [
    ("format", format),
    ("clippy", clippy),
    ("native", native),
    ("wasm", engine),
    ("types", types),
    ("browser", browser),
];
const FULL: &str = "full";
/// How files of browser tests are named, and those of them that take long.
const BROWSER_TESTS: &str = ".test.mjs";
const FULL_TESTS: &str = ".full.mjs";
/// What Node's test runner says of a test that was not asked for by name.
const OTHER_NAME: &str = "# test name does not match pattern";

struct Options {
    /// Only tests whose name contains this.
    filter: Option<String>,
}

pub fn command(mut args: Args) -> Result<()> {
    let full = args.flag("--full");
    let only = args.option("--only")?;
    let options = Options {
        filter: args.word(),
    };
    args.end()?;
    let only: BTreeSet<String> = match (only, &options.filter) {
        (Some(only), _) => only.split(',').map(str::to_owned).collect(),
        // A name together with --full is one of the tests that take long.
        (None, Some(_)) if full => BTreeSet::new(),
        // The other stages know no names.
        (None, Some(_)) => ["native", "browser"].map(str::to_owned).into(),
        (None, None) => STAGES.iter().map(|(name, _)| (*name).to_owned()).collect(),
    };
    if let Some(unknown) = only
        .iter()
        .find(|wanted| STAGES.iter().all(|(name, _)| name != wanted))
    {
        let names: Vec<&str> = STAGES.iter().map(|(name, _)| *name).collect();
        return Err(format!(
            "there is no stage {unknown:?}; there are {}",
            names.join(", ")
        ));
    }
    let mut all = Run::default();
    for (name, stage) in STAGES {
        if only.contains(name) {
            all.stage(name, || stage(&options));
        } else {
            all.leave_out(name, "");
        }
    }
    if full {
        all.stage(FULL, || full_size(&options));
    } else {
        all.leave_out(FULL, "tests that take long: cargo xtask test --full");
    }
    all.finish()
}

fn format(_: &Options) -> Outcome {
    component("fmt", "rustfmt", || {
        run(cargo().args(["fmt", "--all", "--check"]))
    })
}

fn clippy(_: &Options) -> Outcome {
    // One package at a time: together they would share features, and burn would be built once more for each set.
    let packages = [
        &["--package", "darkroom"][..],
        &["--package", "xtask", "--all-features"],
    ];
    let check = |package: &[&str]| {
        run(native_cargo()?
            .args(["clippy", "--release", "--all-targets"])
            .args(package)
            .args(["--", "-D", "warnings"]))
    };
    component("clippy", "clippy", || {
        all(packages.iter().map(|package| check(package)))
    })
}

/// Errors of all checks, so that one run shows everything.
fn all(checks: impl Iterator<Item = Result<()>>) -> Result<()> {
    let failed: Vec<String> = checks.filter_map(Result::err).collect();
    if failed.is_empty() {
        Ok(())
    } else {
        Err(failed.join("; "))
    }
}

/// A check by a part of the Rust toolchain that may not be installed.
fn component(subcommand: &str, component: &str, check: impl FnOnce() -> Result<()>) -> Outcome {
    match ask(cargo().args([subcommand, "--version"])) {
        Some(_) => Outcome::of(check()),
        None => Outcome::NotRun(format!(
            "{component} is not installed: rustup component add {component}"
        )),
    }
}

fn native(options: &Options) -> Outcome {
    if let Err(error) = setup::vulkan() {
        return Outcome::NotRun(error);
    }
    let tests = || {
        let mut own = native_cargo()?;
        own.args(["test", "--package", "xtask"])
            .args(&options.filter);
        let mut engine = native_cargo()?;
        engine
            .args([
                "test",
                "--release",
                "--package",
                "darkroom",
                "--no-fail-fast",
            ])
            .args(&options.filter);
        // Both, even where the first fails.
        let (own, engine) = (rust_tests(&mut own), rust_tests(&mut engine));
        Ok(own?.and(engine?))
    };
    summary(tests(), options)
}

/// The tests marked `#[ignore]` and the browser's `*.full.mjs`: full-size models, which take minutes and gigabytes.
fn full_size(options: &Options) -> Outcome {
    let ready = || {
        setup::vulkan()?;
        Ok((setup::node_packages()?, setup::chromium()?))
    };
    let (node, chromium) = match ready() {
        Ok(ready) => ready,
        Err(error) => return Outcome::NotRun(error),
    };
    let tests = || {
        let models = full::models(options.filter.as_deref())?;
        let mut command = native_cargo()?;
        command
            .env("DARKROOM_FULL_MODELS", models)
            .args([
                "test",
                "--release",
                "--package",
                "darkroom",
                "--no-fail-fast",
            ])
            .args(&options.filter)
            .args(["--", "--ignored"]);
        // Both, even where the first fails.
        let (engine, page) = (
            rust_tests(&mut command),
            browser_tests(&node, &chromium, options, FULL_TESTS),
        );
        Ok(engine?.and(page?))
    };
    match tests() {
        Ok(counts) if counts.passed == 0 => Outcome::Failed(match &options.filter {
            Some(name) => format!("asked for, but no test of that kind is named {name:?}"),
            None => "asked for, but no test is marked #[ignore]".into(),
        }),
        tests => summary(tests, options),
    }
}

/// What test runners count.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counts {
    passed: usize,
    ignored: usize,
}

impl Counts {
    fn and(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            ignored: self.ignored + other.ignored,
        }
    }
}

fn summary(counts: Result<Counts>, options: &Options) -> Outcome {
    match counts {
        Err(error) => Outcome::Failed(error),
        // A filter that fits tests of another stage only is no failure of this one.
        Ok(Counts { passed: 0, .. }) if options.filter.is_some() => {
            Outcome::NotAsked("no test of that name here".into())
        }
        Ok(Counts { passed: 0, .. }) => Outcome::Failed("there was no test to run".into()),
        Ok(Counts { passed, ignored: 0 }) => Outcome::Passed(format!("{passed} tests")),
        Ok(Counts { passed, ignored }) => {
            Outcome::Passed(format!("{passed} tests; {ignored} not run: see {FULL}"))
        }
    }
}

fn rust_tests(command: &mut std::process::Command) -> Result<Counts> {
    let mut counts = Counts::default();
    watched(command, Stream::Stdout, |line| {
        counts = counts.and(rust_counts(line).unwrap_or_default())
    })?;
    Ok(counts)
}

/// Reads "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s".
fn rust_counts(line: &str) -> Option<Counts> {
    let rest = line.strip_prefix("test result: ")?.split_once(". ")?.1;
    let count = |word: &str| {
        rest.split("; ")
            .find_map(|part| part.strip_suffix(word)?.trim().parse::<usize>().ok())
            .unwrap_or_default()
    };
    Some(Counts {
        passed: count("passed"),
        ignored: count("ignored"),
    })
}

fn engine(_: &Options) -> Outcome {
    let check = || {
        let built = wasm::build()?;
        let sizes = wasm::sizes(&built.module, &setup::node()?)?;
        println!("{}: {sizes}", built.module.display());
        if built.warnings > 0 {
            return Err(format!(
                "{} warnings (clippy sees only what is built natively)",
                built.warnings
            ));
        }
        if sizes.brotli > WASM_LIMIT {
            return Err(format!(
                "{sizes}; the limit is {:.2} MB",
                WASM_LIMIT as f64 / 1e6
            ));
        }
        Ok(sizes.to_string())
    };
    check().map_or_else(Outcome::Failed, Outcome::Passed)
}

fn types(_: &Options) -> Outcome {
    let node = match setup::node_packages() {
        Ok(node) => node,
        Err(error) => return Outcome::NotRun(error),
    };
    let folder = paths::root().join("tests/browser");
    let check = |config: &Path| {
        let mut tsc = program(&node);
        tsc.arg(folder.join("node_modules/typescript/bin/tsc"))
            .arg("--project")
            .arg(config);
        run(&mut tsc)
    };
    let configs = [
        "tsconfig.page.json",
        "tsconfig.worker.json",
        "tsconfig.tests.json",
    ];
    Outcome::of(all(configs.iter().map(|name| check(&folder.join(name)))))
}

fn browser(options: &Options) -> Outcome {
    let ready = || Ok((setup::node_packages()?, setup::chromium()?));
    let (node, chromium) = match ready() {
        Ok(ready) => ready,
        Err(error) => return Outcome::NotRun(error),
    };
    summary(
        browser_tests(&node, &chromium, options, BROWSER_TESTS),
        options,
    )
}

/// Runs the test files in `tests/browser` whose names end in `suffix`.
fn browser_tests(node: &Path, chromium: &Path, options: &Options, suffix: &str) -> Result<Counts> {
    let folder = paths::root().join("tests/browser");
    let tests = test_files(&folder, suffix)?;
    if tests.is_empty() {
        return Err(format!("{} holds no *{suffix}", folder.display()));
    }
    wasm::build()?;
    // The tests lay the browser's pictures beside the native command's.
    run(native_cargo()?.args(["build", "--release", "--package", "darkroom", "--bins"]))?;
    let own = std::env::current_exe().map_err(|error| format!("xtask's own program: {error}"))?;
    let mut command = program(node);
    command
        .current_dir(&folder)
        .env("CHROMIUM", chromium)
        .env("DARKROOM_XTASK", own)
        .env(
            "DARKROOM_COMMAND",
            paths::native_target()?.join("release/darkroom"),
        )
        .env("DARKROOM_FULL_MODELS", paths::cache()?.join("full"))
        // One at a time: two browsers on two cores disturb each other's timings.
        .args([
            "--test",
            "--test-concurrency=1",
            "--test-reporter=spec",
            "--test-timeout=1800000",
        ]);
    if let Some(filter) = &options.filter {
        command.arg(format!("--test-name-pattern={}", escape(filter)));
    }
    command.args(tests);
    let mut counts = Counts::default();
    let mut others = 0;
    let watch = |line: &str| {
        counts = counts.and(node_counts(line).unwrap_or_default());
        others += usize::from(line.trim_end().ends_with(OTHER_NAME));
    };
    watched(&mut command, Stream::Stdout, watch)
        .map_err(|error| error.replace(&line(&command), "node --test"))?;
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
    match word {
        "pass" => Some(Counts {
            passed: count,
            ignored: 0,
        }),
        "skipped" | "todo" => Some(Counts {
            passed: 0,
            ignored: count,
        }),
        _ => None,
    }
}

/// A name for `--test-name-pattern`, which takes a regular expression.
fn escape(name: &str) -> String {
    name.chars()
        .flat_map(|c| {
            c.is_ascii_punctuation()
                .then_some('\\')
                .into_iter()
                .chain([c])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_of_cargo_and_node() {
        let line = "test result: ok. 13 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        assert_eq!(
            rust_counts(line),
            Some(Counts {
                passed: 13,
                ignored: 2
            })
        );
        let line = "test result: FAILED. 1 passed; 3 failed; 0 ignored; 0 measured; 5 filtered out; finished in 0.01s";
        assert_eq!(
            rust_counts(line),
            Some(Counts {
                passed: 1,
                ignored: 0
            })
        );
        assert_eq!(rust_counts("test tokens ... ok"), None);
        assert_eq!(
            node_counts("ℹ pass 7"),
            Some(Counts {
                passed: 7,
                ignored: 0
            })
        );
        assert_eq!(
            node_counts("ℹ skipped 1"),
            Some(Counts {
                passed: 0,
                ignored: 1
            })
        );
        assert_eq!(node_counts("ℹ duration_ms 31.2"), None);
    }

    #[test]
    fn names_are_taken_literally() {
        assert_eq!(escape("a (b)"), "a \\(b\\)");
    }
}
