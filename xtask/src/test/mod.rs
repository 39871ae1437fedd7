//! `cargo xtask test`: every check of the project, from a fresh clone.

mod browser;
mod lint;
mod native;

use std::collections::BTreeSet;
use std::fmt;

use lexopt::prelude::*;

use crate::Result;
use crate::report::{Outcome, Report};
use crate::{setup, wasm};

/// Limit of the engine's size at the best Brotli level: visitors wait for this download.
const WASM_LIMIT: u64 = 3_000_000;

struct Stage {
    name: &'static str,
    run: fn(&Options) -> Outcome,
    part_of: Part,
    /// The stage has tests that a FILTER can choose from.
    has_tests: bool,
}

/// The kind of run that a stage belongs to.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Whole,
    Quick,
    Both,
}

/// All stages, in the order of a run: fast failures first, and last the browser, which needs the
/// results of the others.
const STAGES: [Stage; 9] = [
    stage("format", Part::Both, lint::format),
    stage("lint", Part::Both, lint::lint),
    stage("clippy", Part::Whole, lint::clippy),
    stage("doc", Part::Whole, lint::doc),
    tests("host", Part::Quick, native::host),
    tests("native", Part::Whole, native::native),
    stage("wasm", Part::Whole, engine),
    stage("types", Part::Both, browser::types),
    tests("browser", Part::Whole, browser::browser),
];
/// The stage that `--full` adds.
const FULL: &str = "full";

const fn stage(name: &'static str, part_of: Part, run: fn(&Options) -> Outcome) -> Stage {
    Stage {
        name,
        run,
        part_of,
        has_tests: false,
    }
}

const fn tests(name: &'static str, part_of: Part, run: fn(&Options) -> Outcome) -> Stage {
    Stage {
        has_tests: true,
        ..stage(name, part_of, run)
    }
}

#[derive(Default)]
struct Options {
    quick: bool,
    full: bool,
    /// Stages that `--only` names.
    only: Option<String>,
    /// Only tests with this in their names.
    filter: Option<String>,
}

impl Options {
    fn parse(mut parser: lexopt::Parser) -> std::result::Result<Self, lexopt::Error> {
        let mut options = Self::default();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("quick") => options.quick = true,
                Long("full") => options.full = true,
                Long("only") => options.only = Some(parser.value()?.string()?),
                Value(filter) if options.filter.is_none() => {
                    options.filter = Some(filter.string()?);
                }
                other => return Err(other.unexpected()),
            }
        }
        if options.quick && (options.full || options.only.is_some()) {
            return Err("--quick goes with neither --full nor --only".into());
        }
        Ok(options)
    }

    /// The names of the stages to run, without the one that `--full` adds.
    fn selected(&self) -> Result<BTreeSet<&'static str>> {
        let names = |wanted: &dyn Fn(&Stage) -> bool| -> BTreeSet<&'static str> {
            let wanted = STAGES.iter().filter(|stage| wanted(stage));
            wanted.map(|stage| stage.name).collect()
        };
        if let Some(only) = &self.only {
            return only.split(',').map(named).collect();
        }
        let part = if self.quick { Part::Quick } else { Part::Whole };
        let in_part = |stage: &Stage| [part, Part::Both].contains(&stage.part_of);
        Ok(match &self.filter {
            // A name together with --full is one of the tests that take long.
            Some(_) if self.full => BTreeSet::new(),
            Some(_) => names(&|stage| in_part(stage) && stage.has_tests),
            None => names(&in_part),
        })
    }
}

fn named(wanted: &str) -> Result<&'static str> {
    let names = STAGES.iter().map(|stage| stage.name);
    names.clone().find(|name| *name == wanted).ok_or_else(|| {
        let names: Vec<&str> = names.collect();
        format!("no stage {wanted:?}; the stages are {}", names.join(", "))
    })
}

pub fn command(parser: lexopt::Parser) -> Result<()> {
    let options = Options::parse(parser).map_err(|error| error.to_string())?;
    let selected = options.selected()?;
    let mut report = Report::default();
    for stage in &STAGES {
        if selected.contains(stage.name) {
            report.stage(stage.name, || (stage.run)(&options));
        } else if stage.part_of != Part::Quick {
            // The stages of --quick repeat a part of the others.
            report.leave_out(stage.name, "");
        }
    }
    if options.full {
        report.stage(FULL, || full_size(&options));
    } else {
        report.leave_out(FULL, "tests that take long: cargo xtask test --full");
    }
    report.finish()
}

/// Number of tests that a test runner reports.
#[derive(Clone, Debug, Default, PartialEq)]
struct Counts {
    passed: usize,
    failed: usize,
    ignored: usize,
    /// A sentence for the report.
    note: String,
}

impl Counts {
    fn and(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            ignored: self.ignored + other.ignored,
            note: self.note + &other.note,
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} tests", self.passed)?;
        if self.ignored > 0 {
            write!(f, "; {} not run: see {FULL}", self.ignored)?;
        }
        match self.note.as_str() {
            "" => Ok(()),
            note => write!(f, "; {note}"),
        }
    }
}

/// Counts of two runners, or the errors of both.
fn both(first: Result<Counts>, second: Result<Counts>) -> Result<Counts> {
    match (first, second) {
        (Ok(first), Ok(second)) => Ok(first.and(second)),
        (Err(first), Err(second)) => Err(format!("{first}; {second}")),
        (Err(error), Ok(_)) | (Ok(_), Err(error)) => Err(error),
    }
}

fn summary(counts: Result<Counts>, options: &Options) -> Outcome {
    match counts {
        Err(error) => Outcome::Failed(error),
        // The filter may fit the tests of another stage only, which is no failure of this one.
        Ok(Counts { passed: 0, .. }) if options.filter.is_some() => {
            Outcome::NotAsked("no test of that name here".into())
        }
        Ok(Counts { passed: 0, .. }) => Outcome::Failed("no test ran".into()),
        Ok(counts) => Outcome::Passed(counts.to_string()),
    }
}

/// Builds the engine, and checks its warnings and its size.
fn engine(_: &Options) -> Outcome {
    let check = || {
        let built = wasm::build()?;
        let sizes = wasm::sizes(&built.module, &setup::node()?)?;
        println!("{}: {sizes}", built.module.display());
        if built.warnings > 0 {
            return Err(format!(
                "{} warnings (clippy sees only native code)",
                built.warnings
            ));
        }
        if sizes.brotli > WASM_LIMIT {
            let limit = WASM_LIMIT as f64 / 1e6;
            return Err(format!("{sizes}; the limit is {limit:.2} MB"));
        }
        Ok(sizes.to_string())
    };
    check().map_or_else(Outcome::Failed, Outcome::Passed)
}

/// The tests marked `#[ignore]` and the browser's `*.full.mjs`. They use models of full size, and
/// take minutes and gigabytes.
fn full_size(options: &Options) -> Outcome {
    let ready = setup::vulkan().and_then(|()| browser::ready());
    let browser = match ready {
        Ok(browser) => browser,
        Err(error) => return Outcome::NotRun(error),
    };
    let engine = native::full_size(options);
    // Both run, even where the first fails.
    let page = browser::tests(&browser, options, browser::FULL_TESTS);
    match both(engine, page) {
        Ok(counts) if counts.passed == 0 => Outcome::Failed(match &options.filter {
            Some(name) => format!("no test of that kind is named {name:?}"),
            None => "no test is marked #[ignore]".into(),
        }),
        tests => summary(tests, options),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(line: &str) -> Result<Vec<&'static str>> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let options =
            Options::parse(lexopt::Parser::from_args(words)).map_err(|error| error.to_string())?;
        let selected = options.selected()?;
        let stages = STAGES.iter().map(|stage| stage.name);
        Ok(stages.filter(|name| selected.contains(name)).collect())
    }

    #[test]
    fn a_run_without_options_has_every_stage_but_those_that_repeat_another() {
        let whole = [
            "format", "lint", "clippy", "doc", "native", "wasm", "types", "browser",
        ];
        assert_eq!(selected("").unwrap(), whole);
        assert_eq!(selected("--full").unwrap(), whole);
    }

    #[test]
    fn a_quick_run_needs_neither_gpu_nor_browser() {
        assert_eq!(
            selected("--quick").unwrap(),
            ["format", "lint", "host", "types"]
        );
        assert_eq!(selected("--quick noise").unwrap(), ["host"]);
        assert!(selected("--quick --full").is_err());
        assert!(selected("--quick --only wasm").is_err());
    }

    #[test]
    fn a_filter_selects_the_stages_with_tests() {
        assert_eq!(selected("noise").unwrap(), ["native", "browser"]);
        assert_eq!(selected("noise --full").unwrap(), [""; 0]);
        assert!(selected("noise tokens").is_err());
    }

    #[test]
    fn the_errors_of_both_runners_are_reported() {
        let passed = |passed| {
            Ok(Counts {
                passed,
                ..Counts::default()
            })
        };
        let failed = |error: &str| Err(error.to_owned());
        assert_eq!(both(passed(2), passed(3)), passed(5));
        assert_eq!(both(failed("a"), failed("b")), failed("a; b"));
        assert_eq!(both(passed(2), failed("b")), failed("b"));
    }

    #[test]
    fn only_runs_in_the_order_of_the_table_and_names_an_unknown_stage() {
        assert_eq!(selected("--only wasm,format").unwrap(), ["format", "wasm"]);
        assert_eq!(selected("--only host noise").unwrap(), ["host"]);
        assert!(selected("--only wasm,was").unwrap_err().contains("\"was\""));
    }
}
