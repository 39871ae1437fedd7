//! The rates that `training/evaluate.py` counted in diffusers' pictures, against those in our own.

use std::collections::BTreeMap;

use darkroom::Runtime;
use serde::Deserialize;

use crate::detector::Reading;
use crate::support::{read_json, repository, say};
use crate::{load, look};

/// `training/report/results.json`.
#[derive(Deserialize)]
struct Counted {
    guidance: f64,
    requests: BTreeMap<String, Counts>,
}

#[derive(Deserialize)]
struct Counts {
    prompt: String,
    negative_prompt: String,
    rates: BTreeMap<String, Rate>,
    men: Rate,
}

#[derive(Deserialize)]
struct Rate {
    percent: f64,
    of: u64,
}

const REQUESTS: [&str; 5] = [
    "man",
    "man_without_mustache",
    "man_negative_mustache",
    "man_negative_glasses",
    "man_negative_hat",
];
const WHAT: [&str; 4] = ["mustache", "glasses", "hat", "men"];
/// Seeds on a software adapter, where a picture takes seconds.
const SOFTWARE_SEEDS: u64 = 32;

impl Counts {
    fn rate(&self, what: &str) -> &Rate {
        match what {
            "men" => &self.men,
            head => &self.rates[head],
        }
    }
}

/// Percent of the pictures with a positive reading.
fn share(found: &[Reading], what: &str) -> f64 {
    let yes = |reading: &&Reading| match what {
        "men" => reading.man(),
        head => reading.has(head),
    };
    100.0 * found.iter().filter(yes).count() as f64 / found.len() as f64
}

impl Rate {
    /// The standard error of the difference to `percent` of `count` pictures: that of the share of
    /// both together, in which at least one picture differs by chance.
    fn error_to(&self, percent: f64, count: usize) -> f64 {
        let (n, of) = (count as f64, self.of as f64);
        let p = (percent * n + self.percent * of) / (n + of) / 100.0;
        let p = p.clamp(1.0 / (n + of), 1.0 - 1.0 / (n + of));
        100.0 * (p * (1.0 - p) * (1.0 / n + 1.0 / of)).sqrt()
    }
}

/// Asserts that our own pictures' rates are within three standard errors of evaluate.py's.
pub fn compare(runtime: &Runtime) {
    let counted: Counted = read_json(&repository("training/report/results.json"));
    let pipeline = load(runtime);
    let mut failures = Vec::new();
    say(format_args!(
        "{}, guidance {}; in brackets evaluate.py's",
        runtime.name, counted.guidance
    ));
    for name in REQUESTS {
        let counts = &counted.requests[name];
        let seeds = match runtime.software {
            true => SOFTWARE_SEEDS,
            false => counts.men.of,
        };
        let (prompt, negative_prompt) = (&counts.prompt, &counts.negative_prompt);
        let found = look(
            &pipeline,
            prompt,
            negative_prompt,
            counted.guidance,
            0..seeds,
        );
        let mut line = format!("{name:24} of {seeds}:");
        for what in WHAT {
            let (ours, theirs) = (share(&found, what), counts.rate(what));
            line += &format!("  {what} {ours:.1} % ({:.1})", theirs.percent);
            let error = theirs.error_to(ours, found.len());
            if (ours - theirs.percent).abs() > 3.0 * error {
                failures.push(format!(
                    "{name}: {what} {ours:.1} %, evaluate.py {:.1} %, standard error {error:.1}",
                    theirs.percent
                ));
            }
        }
        say(format_args!("{line}"));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
