//! Report on a sequence of named stages.
//!
//! Each stage is announced and timed, and none stops the next. A table at the end lists every
//! stage with its result, also those that did not run.

use std::env;
use std::time::{Duration, Instant};

use crate::Result;

/// Result of a stage.
pub enum Outcome {
    /// With a figure to print: a count of tests, a size.
    Passed(String),
    Failed(String),
    /// A program that the stage needs is missing on this machine and could not be installed.
    NotRun(String),
    /// The caller asked for other stages, or did not ask for this one.
    NotAsked(String),
}

impl Outcome {
    /// Outcome of a check that has no figure to print.
    pub fn of(result: Result<()>) -> Self {
        result.map_or_else(Self::Failed, |()| Self::Passed(String::new()))
    }

    /// The word for the table, and a note beside it.
    fn describe(&self) -> (&'static str, &str) {
        match self {
            Self::Passed(note) => ("passed", note),
            Self::Failed(reason) => ("FAILED", reason),
            Self::NotRun(reason) => ("NOT RUN", reason),
            Self::NotAsked(reason) => ("not asked for", reason),
        }
    }
}

/// The stages so far, in order.
#[derive(Default)]
pub struct Report {
    rows: Vec<(&'static str, Outcome, Duration)>,
}

impl Report {
    /// Runs a stage now.
    pub fn stage(&mut self, name: &'static str, stage: impl FnOnce() -> Outcome) {
        println!("\n──── {name} ────");
        let begun = Instant::now();
        let outcome = stage();
        let (word, note) = outcome.describe();
        println!(
            "──── {name}: {word} after {} {}",
            seconds(begun.elapsed()),
            brackets(note)
        );
        self.rows.push((name, outcome, begun.elapsed()));
    }

    /// Lists a stage that the caller did not ask for.
    pub fn leave_out(&mut self, name: &'static str, reason: impl Into<String>) {
        self.rows
            .push((name, Outcome::NotAsked(reason.into()), Duration::ZERO));
    }

    /// Prints the table.
    ///
    /// # Errors
    /// When a stage failed, when no stage ran, or when on CI a stage could not run.
    pub fn finish(self) -> Result<()> {
        println!("\n{}", self.table());
        let verdict =
            self.verdict(env::var_os("CI").is_some_and(|ci| !ci.is_empty() && ci != "false"));
        println!("{}", self.counts());
        verdict
    }

    fn table(&self) -> String {
        let row = |(name, outcome, time): &(&str, Outcome, Duration)| {
            let (word, note) = outcome.describe();
            let first = note.lines().next().unwrap_or_default();
            format!("{name:<12} {word:<13} {:>8}  {first}\n", seconds(*time))
        };
        self.rows.iter().map(row).collect()
    }

    /// The closing line, which other programs read.
    fn counts(&self) -> String {
        let count = |wanted: fn(&Outcome) -> bool| {
            self.rows
                .iter()
                .filter(|(_, outcome, _)| wanted(outcome))
                .count()
        };
        let passed = count(|outcome| matches!(outcome, Outcome::Passed(_)));
        let failed = count(|outcome| matches!(outcome, Outcome::Failed(_)));
        match count(|outcome| matches!(outcome, Outcome::NotRun(_) | Outcome::NotAsked(_))) {
            0 => format!("{passed} passed, {failed} failed"),
            skipped => format!("{passed} passed, {failed} failed, {skipped} skipped"),
        }
    }

    fn verdict(&self, ci: bool) -> Result<()> {
        let names = |wanted: fn(&Outcome) -> bool| {
            let names: Vec<&str> = self
                .rows
                .iter()
                .filter(|(_, outcome, _)| wanted(outcome))
                .map(|(name, ..)| *name)
                .collect();
            names.join(", ")
        };
        let failed = names(|outcome| matches!(outcome, Outcome::Failed(_)));
        let not_run = names(|outcome| matches!(outcome, Outcome::NotRun(_)));
        if !failed.is_empty() {
            Err(format!("failed: {failed}"))
        } else if !not_run.is_empty() && ci {
            Err(format!(
                "on CI every stage must run; did not run: {not_run}"
            ))
        } else if names(|outcome| matches!(outcome, Outcome::Passed(_))).is_empty() {
            Err("no stage ran".into())
        } else {
            Ok(())
        }
    }
}

fn seconds(time: Duration) -> String {
    match time.as_secs() {
        0 if time.is_zero() => String::new(),
        whole @ 60.. => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

fn brackets(note: &str) -> String {
    if note.is_empty() {
        String::new()
    } else {
        format!("({note})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(outcomes: Vec<Outcome>) -> Report {
        Report {
            rows: outcomes
                .into_iter()
                .map(|outcome| ("name", outcome, Duration::from_secs(61)))
                .collect(),
        }
    }

    #[test]
    fn the_closing_line_counts_stages() {
        let passed = || Outcome::Passed("12 tests".into());
        assert_eq!(
            report(vec![passed(), passed()]).counts(),
            "2 passed, 0 failed"
        );
        let mixed = report(vec![
            passed(),
            Outcome::Failed("why".into()),
            Outcome::NotRun("no browser\nlong".into()),
        ]);
        assert_eq!(mixed.counts(), "1 passed, 1 failed, 1 skipped");
        assert!(
            mixed
                .table()
                .contains("NOT RUN       1 min 01 s  no browser\n"),
            "{}",
            mixed.table()
        );
    }

    #[test]
    fn a_stage_that_cannot_run_fails_on_ci_only() {
        let passed = || Outcome::Passed(String::new());
        assert!(report(vec![passed()]).verdict(true).is_ok());
        let not_run = report(vec![passed(), Outcome::NotRun("no browser".into())]);
        assert!(not_run.verdict(true).is_err());
        assert!(not_run.verdict(false).is_ok());
        assert!(
            report(vec![passed(), Outcome::NotAsked(String::new())])
                .verdict(true)
                .is_ok()
        );
        assert!(
            report(vec![Outcome::NotAsked(String::new())])
                .verdict(false)
                .is_err()
        );
        assert!(
            report(vec![passed(), Outcome::Failed("why".into())])
                .verdict(false)
                .is_err()
        );
    }
}
