//! What the demo model was made to show, counted by its detector: "without mustache" takes none away, the negative prompt does.
//!
//! `training/evaluate.py` counts over 192 seeds in diffusers' pictures; this is the short version, over pictures of our own
//! engine. The long one, which takes half an hour or more: `cargo xtask test --full rates`.

#[path = "portraits/detector.rs"]
mod detector;
mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use darkroom::sampling::SamplerKind;
use darkroom::weights::native::Folder;
use darkroom::{Pipeline, Precision, Request, Runtime};
use detector::{Detector, Reading};
use pollster::block_on;
use serde::Deserialize;
use support::adapter::{Wanted, gpu};
use support::{read_json, say};

const SEEDS: u64 = 16;
/// As the page asks for it with this model.
const GUIDANCE_SCALE: f64 = 4.0;
const MAN: &str = "Portrait photo of a man";

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn load(runtime: &Runtime) -> Rc<Pipeline> {
    let folder = Folder::open(path("www/models/portraits")).expect("the demo model");
    block_on(Pipeline::load(&folder, runtime, &mut |_| ())).expect("a model")
}

/// What the detector sees in the pictures of the seeds from 0.
fn look(
    pipeline: &Rc<Pipeline>,
    prompt: &str,
    negative_prompt: &str,
    guidance_scale: f64,
    seeds: u64,
) -> Vec<Reading> {
    let detector = Detector::read(&path("training/detector.safetensors"));
    let picture = |seed| {
        let request = Request {
            prompt: prompt.into(),
            negative_prompt: negative_prompt.into(),
            seed,
            guidance_scale,
            sampler: Some(SamplerKind::Dpmpp2mKarras),
            ..Request::default()
        };
        block_on(async {
            let mut generation = pipeline.start(&request).await?;
            while !generation.is_done() {
                generation.step().await?;
            }
            Ok::<_, darkroom::Error>(generation.finish().await?.rgba)
        })
        .expect("a picture")
    };
    (0..seeds)
        .map(|seed| detector.look(&picture(seed)))
        .collect()
}

#[test]
fn the_negative_prompt_takes_away_what_without_does_not() {
    let pipeline = load(&Runtime::cpu(Precision::F32, false).expect("the CPU"));
    let look = |prompt: &str, negative_prompt: &str| {
        look(&pipeline, prompt, negative_prompt, GUIDANCE_SCALE, SEEDS)
    };
    let plain = look(MAN, "");
    let without = look(&format!("{MAN} without mustache"), "");
    let negative = look(MAN, "mustache");

    let count = |found: &[Reading], what: fn(&Reading) -> bool| {
        found.iter().filter(|reading| what(reading)).count()
    };
    let mustaches =
        [&plain, &without, &negative].map(|found| count(found, |reading| reading.has("mustache")));
    let men = count(&negative, Reading::man);
    say(format_args!(
        "mustaches of {SEEDS} men: {} plain, {} \"without\", {} with the negative prompt; {men} of these are men",
        mustaches[0], mustaches[1], mustaches[2]
    ));
    assert!(mustaches[0] >= 7, "hardly a mustache to take away");
    assert!(mustaches[1] >= mustaches[0], "\"without\" took some away");
    assert!(mustaches[2] <= 1, "the negative prompt left mustaches");
    assert!(men >= 15, "the negative prompt took more than mustaches");
}

/// What `training/evaluate.py` counted, in diffusers' pictures of the same model.
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

/// Seeds on a software adapter, where a picture takes seconds.
const SOFTWARE_SEEDS: u64 = 32;

/// Counts the same things in our own pictures, and holds them to evaluate.py's within three standard errors of the difference.
fn compare_rates(runtime: &Runtime) {
    let counted: Counted = read_json(&path("training/report/results.json"));
    let pipeline = load(runtime);
    let mut failures = Vec::new();
    say(format_args!(
        "{}, guidance {}; in brackets evaluate.py's",
        runtime.name, counted.guidance
    ));
    for name in [
        "man",
        "man_without_mustache",
        "man_negative_mustache",
        "man_negative_glasses",
        "man_negative_hat",
    ] {
        let counts = &counted.requests[name];
        let seeds = match runtime.software {
            true => SOFTWARE_SEEDS,
            false => counts.men.of,
        };
        let found = look(
            &pipeline,
            &counts.prompt,
            &counts.negative_prompt,
            counted.guidance,
            seeds,
        );
        let mut line = format!("{name:24} of {seeds}:");
        let rates = ["mustache", "glasses", "hat", "men"].map(|what| match what {
            "men" => (what, &counts.men),
            head => (what, &counts.rates[head]),
        });
        for (what, rate) in rates {
            let yes = |reading: &&Reading| match what {
                "men" => reading.man(),
                head => reading.has(head),
            };
            let ours = 100.0 * found.iter().filter(yes).count() as f64 / seeds as f64;
            line += &format!("  {what} {ours:.1} % ({:.1})", rate.percent);
            // The share of both together; at least one picture differs by chance.
            let (n, of) = (seeds as f64, rate.of as f64);
            let p = (ours * n + rate.percent * of) / (n + of) / 100.0;
            let p = p.clamp(1.0 / (n + of), 1.0 - 1.0 / (n + of));
            let error = 100.0 * (p * (1.0 - p) * (1.0 / n + 1.0 / of)).sqrt();
            if (ours - rate.percent).abs() > 3.0 * error {
                failures.push(format!(
                    "{name}: {what} {ours:.1} %, evaluate.py {:.1} %, standard error {error:.1}",
                    rate.percent
                ));
            }
        }
        say(format_args!("{line}"));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
#[ignore = "960 pictures, a quarter of an hour or more: cargo xtask test --full rates"]
fn rates_on_the_cpu() {
    compare_rates(&Runtime::cpu(Precision::F32, false).expect("the CPU"));
}

#[test]
#[ignore = "960 pictures, on a software adapter 160 in half an hour or so: cargo xtask test --full rates"]
fn rates_on_the_gpu() {
    let wanted = Wanted {
        precision: Precision::F32,
        buffer_limit: None,
    };
    compare_rates(
        &gpu("rates", wanted).expect("asked for, so DARKROOM_NO_GPU_TESTS must not be set"),
    );
}
