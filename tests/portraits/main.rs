//! What the demo model was made to show, counted by its detector: "without mustache" takes none away, the negative prompt does.
//!
//! `training/evaluate.py` counts over 192 seeds in diffusers' pictures; this is the short version, over pictures of our own
//! engine. The long one (`portraits/rates.rs`), which takes half an hour or more: `cargo xtask test --full rates`.

#[path = "portraits/detector.rs"]
mod detector;
#[path = "portraits/rates.rs"]
mod rates;
mod support;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use darkroom::weights::source::folder::Folder;
use darkroom::{LoadOptions, Pipeline, Precision, Request, Runtime};
use detector::{Detector, Reading};
use pollster::block_on;
use support::adapter::{AdapterRequest, gpu};
use support::say;

/// Of seeds 0 to 15 only 2 show a mustache to take away.
const SEEDS: Range<u64> = 16..32;
/// As the page asks for it with this model.
const GUIDANCE_SCALE: f64 = 3.0;
const MAN: &str = "Portrait photo of a man";

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn load(runtime: &Runtime) -> Rc<Pipeline> {
    let folder = Folder::open(path("www/models/portraits")).expect("the demo model");
    block_on(Pipeline::load(&folder, runtime, LoadOptions::default())).expect("a model")
}

/// What the detector sees in the pictures of these seeds.
fn look(
    pipeline: &Rc<Pipeline>,
    prompt: &str,
    negative_prompt: &str,
    guidance_scale: f64,
    seeds: Range<u64>,
) -> Vec<Reading> {
    let detector = Detector::read(&path("training/detector.safetensors"));
    let picture = |seed| {
        let request = Request {
            prompt: prompt.into(),
            negative_prompt: negative_prompt.into(),
            seed,
            guidance_scale,
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
    seeds.map(|seed| detector.look(&picture(seed))).collect()
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
    let pairs = negative.iter().zip(&plain);
    let same = pairs.filter(|(now, before)| now.same_person(before));
    let same = same.count();
    say(format_args!(
        "mustaches of the men of seeds {SEEDS:?}: {} plain, {} \"without\", {} with the negative prompt; \
         {men} of these are men, {same} with the hair, skin, clothes and background they had",
        mustaches[0], mustaches[1], mustaches[2]
    ));
    // 36 % of the men it has seen have one; in diffusers' pictures 5 of these do, and 30.2 % of 192.
    assert!(mustaches[0] >= 3, "hardly a mustache to take away");
    assert!(mustaches[1] >= mustaches[0], "\"without\" took some away");
    assert!(mustaches[2] <= 1, "the negative prompt left mustaches");
    assert!(men >= 15, "the negative prompt took more than mustaches");
    // Nine of ten do over 192 seeds; here 13, and one that is close to another may fall to it by rounding.
    assert!(
        same >= 12,
        "the negative prompt changed more than mustaches"
    );
}

#[test]
#[ignore = "960 pictures, a quarter of an hour or more: cargo xtask test --full rates"]
fn rates_on_the_cpu() {
    rates::compare(&Runtime::cpu(Precision::F32, false).expect("the CPU"));
}

#[test]
#[ignore = "960 pictures, on a software adapter 160 in half an hour or so: cargo xtask test --full rates"]
fn rates_on_the_gpu() {
    let wanted = AdapterRequest {
        precision: Precision::F32,
        buffer_limit: None,
    };
    rates::compare(
        &gpu("rates", wanted).expect("asked for, so DARKROOM_NO_GPU_TESTS must not be set"),
    );
}
