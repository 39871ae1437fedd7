//! What the demo model was made to show, counted by its detector: "without mustache" takes none away, the negative prompt does.
//!
//! `training/evaluate.py` counts over 192 seeds; this is the short version, over pictures of our own engine.

#[path = "portraits/detector.rs"]
mod detector;
mod support;

use std::path::{Path, PathBuf};
use std::rc::Rc;

use darkroom::sampling::SamplerKind;
use darkroom::weights::native::Folder;
use darkroom::{Pipeline, Precision, Request, Runtime};
use detector::{Detector, Reading};
use pollster::block_on;
use support::say;

const SEEDS: u64 = 16;
const MAN: &str = "Portrait photo of a man";

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// What the detector sees in the pictures of the seeds from 0.
fn look(pipeline: &Rc<Pipeline>, prompt: &str, negative_prompt: &str) -> Vec<Reading> {
    let detector = Detector::read(&path("training/detector.safetensors"));
    let picture = |seed| {
        let request = Request {
            prompt: prompt.into(),
            negative_prompt: negative_prompt.into(),
            seed,
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
    (0..SEEDS)
        .map(|seed| detector.look(&picture(seed)))
        .collect()
}

#[test]
fn the_negative_prompt_takes_away_what_without_does_not() {
    let folder = Folder::open(path("www/models/portraits")).expect("the demo model");
    let runtime = Runtime::cpu(Precision::F32, false).expect("the CPU");
    let pipeline = block_on(Pipeline::load(&folder, &runtime, &mut |_| ())).expect("a model");
    let plain = look(&pipeline, MAN, "");
    let without = look(&pipeline, &format!("{MAN} without mustache"), "");
    let negative = look(&pipeline, MAN, "mustache");

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
