//! The memory plan against the device's memory pools: weights, and everything after a picture.

use darkroom::device::memory::MemoryPlan;
use darkroom::{LoadOptions, Pipeline, Precision, Request, Runtime};
use pollster::block_on;

use crate::support::gpu::Gpu;
use crate::support::models::Model;
use crate::support::say;

/// Relative deviation of the weights. They are allocated with exactly their size, so a larger one
/// means a forgotten tensor.
const WEIGHTS: f64 = 0.02;
/// Relative deviation of all pages, in both directions.
const ALL: f64 = 0.05;
/// Further deviation in bytes for small models. Their pages of at least 16 KiB hold a few bytes
/// each.
const PAGES: f64 = 1e6;

/// Loads `model`, makes a picture, and compares the memory in use with the plan.
fn measure(model: &Model, runtime: &Runtime, size: Option<usize>) {
    let before = runtime.memory().expect("a device with pools");
    let folder = model.folder();
    let mut plans: Vec<MemoryPlan> = Vec::new();
    let options = LoadOptions {
        on_plan: Box::new(|plan| plans.push(*plan)),
        ..LoadOptions::default()
    };
    let loading = Pipeline::load(&folder, runtime, options);
    let pipeline = block_on(loading).unwrap_or_else(|e| panic!("{}: {e}", model.name));
    let [plan] = plans[..] else {
        panic!("on_plan was called {} times", plans.len());
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

    let [default, _] = pipeline.config().default_size();
    let size = size.unwrap_or(default);
    let plan = pipeline.memory_plan(size, size);
    let request = Request {
        prompt: "a man".into(),
        steps: 2,
        width: Some(size),
        height: Some(size),
        ..Request::default()
    };
    let taken = || runtime.memory().expect("a device with pools").reserved - before.reserved;
    let steps = block_on(async {
        let mut generation = pipeline.start(&request).await?;
        while !generation.is_done() {
            generation.step().await?;
        }
        let steps = taken();
        generation.finish().await.map(|_| steps)
    })
    .unwrap_or_else(|e| panic!("{}: {e}", model.name));
    let planned_steps = plan.weights + plan.activations + plan.scratch;
    let taken = taken();
    say(format_args!(
        "{} {:?} {size}: weights {weights} of {} planned; steps {steps} of {planned_steps}; \
         total {taken} of {}",
        model.name, runtime.dtype, plan.weights, plan.total
    ));
    for (phase, taken, planned) in [
        ("the steps", steps, planned_steps),
        ("the picture", taken, plan.total),
    ] {
        let off = (taken as f64 - planned as f64).abs();
        assert!(
            off <= ALL * planned as f64 + PAGES,
            "{}: {taken} bytes were taken by {phase}, planned {planned}",
            model.name
        );
    }
}

/// Each model has a device of its own: the next one would reuse pages.
#[test]
fn gpu_memory_is_as_planned() {
    // The second case is large enough for activations to matter.
    for (name, precision, size) in [
        ("sd2-five-heads", Precision::F32, None),
        ("sd1-four-levels", Precision::F16, Some(256)),
    ] {
        let Some(gpu) = Gpu::new("the memory plan on a GPU adapter") else {
            return;
        };
        measure(&Model::read(name), &gpu.runtime(precision), size);
    }
}
