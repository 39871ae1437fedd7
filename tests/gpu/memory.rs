//! The memory plan against what a device's pools say: weights, and everything after a picture.

mod support;

use darkroom::device::memory::MemoryPlan;
use darkroom::weights::source::folder::Folder;
use darkroom::{LoadOptions, Pipeline, Precision, Request, Runtime};
use pollster::block_on;
use support::adapter::{AdapterRequest, gpu};
use support::models::Model;
use support::say;

/// Weights are allocated with exactly their size, so what is beyond is a tensor that was forgotten.
const WEIGHTS: f64 = 0.02;
/// How far the pages taken may lie from the plan, both ways.
const ALL: f64 = 0.05;
/// What may come on top for small models, whose pages of at least 16 KiB hold a few bytes each.
const PAGES: f64 = 1e6;

fn device(precision: Precision) -> Option<Runtime> {
    let wanted = AdapterRequest {
        precision,
        buffer_limit: None,
    };
    gpu("the memory plan on a GPU adapter", wanted)
}

/// Loads `model`, makes a picture, and compares.
fn measure(model: &Model, runtime: &Runtime, size: Option<usize>) {
    let before = runtime.memory().expect("a device with pools");
    let folder = Folder::open(model.path()).expect("a model folder");
    let mut plans: Vec<MemoryPlan> = Vec::new();
    let options = LoadOptions {
        on_plan: Box::new(|plan| plans.push(*plan)),
        ..LoadOptions::default()
    };
    let loading = Pipeline::load(&folder, runtime, options);
    let pipeline = block_on(loading).unwrap_or_else(|e| panic!("{}: {e}", model.name));
    let [plan] = plans[..] else {
        panic!("the plan was handed over {} times", plans.len());
    };
    let loaded = runtime.memory().expect("a device with pools");
    let weights = loaded.in_use - before.in_use;
    let off = weights as f64 / plan.weights as f64 - 1.0;
    assert!(
        off.abs() < WEIGHTS,
        "{}: {weights} bytes of weights, planned {}",
        model.name,
        plan.weights
    );

    let default = pipeline.config().default_size();
    let size = size.unwrap_or(default);
    let plan = pipeline.memory_plan(size, size);
    let request = Request {
        prompt: "a man".into(),
        steps: 2,
        width: Some(size),
        height: Some(size),
        ..Request::default()
    };
    block_on(async {
        let mut generation = pipeline.start(&request).await?;
        generation.step().await?;
        generation.step().await?;
        generation.finish().await
    })
    .unwrap_or_else(|e| panic!("{}: {e}", model.name));
    let after = runtime.memory().expect("a device with pools");
    let taken = after.reserved - before.reserved;
    say(format_args!(
        "{} {:?} {size}: weights {weights} of {} planned; in all {taken} of {}, activations {}, decoding {}",
        model.name, runtime.dtype, plan.weights, plan.total, plan.activations, plan.decode
    ));
    let off = (taken as f64 - plan.total as f64).abs();
    assert!(
        off <= ALL * plan.total as f64 + PAGES,
        "{}: {taken} bytes were taken, planned {}",
        model.name,
        plan.total
    );
}

/// Each model on a device of its own: pages of one would serve the next.
#[test]
fn gpu_memory_is_as_planned() {
    // The second large enough for activations to matter.
    for (name, precision, size) in [
        ("sd2-five-heads", Precision::F32, None),
        ("sd1-four-levels", Precision::F16, Some(256)),
    ] {
        let Some(runtime) = device(precision) else {
            return;
        };
        measure(&Model::read(name), &runtime, size);
    }
}

/// On the CPU there are no pools, and a plan all the same.
#[test]
fn cpu_has_a_plan_without_a_limit() {
    let runtime = Runtime::cpu(Precision::F32, false).expect("the CPU");
    assert_eq!(runtime.memory(), None);
    let pipeline = Model::read("sd1-pndm").load(&runtime);
    let plan = pipeline.memory_plan(64, 64);
    assert!(plan.buffer_limit.is_none() && !plan.tiled);
    assert!(plan.weights > 0 && plan.host > 0 && plan.activations > 0 && plan.decode > 0);
    assert_eq!(
        plan.total,
        plan.weights + plan.activations + plan.scratch + plan.decode
    );
    let larger = pipeline.memory_plan(256, 128);
    assert_eq!(larger.weights, plan.weights);
    // Eight times the positions.
    let growth = larger.activations as f64 / plan.activations as f64;
    assert!((4.0..8.5).contains(&growth), "{growth}");
}
