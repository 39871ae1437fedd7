//! Recorded generations on a GPU adapter: launches, memory, and the same values as on the CPU.

use std::rc::Rc;

use burn::tensor::DType;
use darkroom::ops::gpu::TileMemory;
use darkroom::{Generation, Pipeline, Request};
use pollster::block_on;

use super::{LaunchCounter, runtime};
use crate::support::gpu::Gpu;
use crate::support::models::Model;
use crate::support::{cpu, relative_error, say};

const STEPS: usize = 5;

fn request(size: usize) -> Request {
    Request {
        prompt: "Portrait photo of a man".into(),
        negative_prompt: "mustache, blurry".into(),
        sampler: Some("euler-a".parse().expect("a sampler")),
        steps: STEPS,
        width: Some(size),
        height: Some(size),
        ..Request::default()
    }
}

/// A generation after its last step, with the launches of each step.
fn run(pipeline: &Rc<Pipeline>, size: usize, record: bool) -> (Generation, Vec<usize>) {
    block_on(async {
        let mut generation = pipeline.start(&request(size)).await?;
        if record {
            generation.record();
        }
        let mut launches = Vec::new();
        while !generation.is_done() {
            let counter = LaunchCounter::start();
            generation.step().await?;
            launches.push(counter.count());
        }
        Ok::<_, darkroom::Error>((generation, launches))
    })
    .expect("a generation")
}

#[test]
fn a_recording_costs_two_launches_a_step_and_changes_no_bit() {
    let Some(gpu) = Gpu::new("recorded generations on a GPU adapter") else {
        return;
    };
    let runtime = runtime(&gpu, TileMemory::Registers, DType::F32);
    let pipeline = Model::read("sd1-four-levels").load(&runtime);
    let (before, without) = run(&pipeline, 64, false);
    let (recorded, with) = run(&pipeline, 64, true);
    let (after, again) = run(&pipeline, 64, false);
    say(format_args!(
        "launches: {without:?}, recorded {with:?}, then {again:?}"
    ));
    // From the second step on, which is recorded for replay, one launch is in the recording.
    let extra: Vec<usize> = with
        .iter()
        .zip(&without)
        .map(|(with, without)| with - without)
        .collect();
    assert_eq!(extra, [2, 2, 1, 1, 1]);
    assert_eq!(
        without, again,
        "launches without a recording, before and after one"
    );
    assert!(before.latent() == recorded.latent(), "another latent");
    assert!(before.latent() == after.latent(), "another latent");
    let on_cpu = Model::read("sd1-four-levels").load(&cpu());
    let (expected, _) = run(&on_cpu, 64, true);
    for call in 0..STEPS {
        let [got, expected] = [&recorded, &expected]
            .map(|generation| block_on(generation.inspect(call)).expect("a recorded call"));
        let error = relative_error(&got.positive, &expected.positive);
        assert!(error < 1e-3, "p of call {call} is off by {error:.1e}");
        let negatives = [got.negative, expected.negative].map(|n| n.expect("guidance"));
        let error = relative_error(&negatives[0], &negatives[1]);
        assert!(error < 1e-3, "n of call {call} is off by {error:.1e}");
        let error = relative_error(&got.latent, &expected.latent);
        assert!(
            error < 1e-3,
            "the latent of call {call} is off by {error:.1e}"
        );
        let error = relative_error(&got.guided, &expected.guided);
        assert!(
            error < 1e-3,
            "the guided prediction of call {call} is off by {error:.1e}"
        );
    }
    let [got, expected] = [&recorded, &expected]
        .map(|generation| block_on(generation.token_maps(&[1, 3])).expect("token maps"));
    let tokens = |maps: &darkroom::pipeline::token_maps::TokenMaps| {
        let branches = maps.branches.iter();
        branches.flat_map(|b| b.tokens.clone()).collect::<Vec<_>>()
    };
    let (got, expected) = (tokens(&got), tokens(&expected));
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(&expected) {
        assert_eq!(got.text, expected.text);
        let error = relative_error(&got.values, &expected.values);
        assert!(
            error < 1e-3,
            "the map of “{}” is off by {error:.1e}",
            got.text
        );
    }
}

#[test]
fn a_recording_takes_the_planned_memory() {
    let Some(gpu) = Gpu::new("the memory of a recording on a GPU adapter") else {
        return;
    };
    let runtime = runtime(&gpu, TileMemory::Registers, DType::F32);
    let pipeline = Model::read("sd1-pndm").load(&runtime);
    let size = 256;
    // The run that compiles and fills the pools is not measured.
    drop(run(&pipeline, size, true));
    let in_use = |record| {
        let (generation, _) = run(&pipeline, size, record);
        let used = runtime.memory().expect("a device with pools").in_use;
        drop(generation);
        used
    };
    let taken = in_use(true) - in_use(false);
    // The buffer that each call writes to goes with the last step.
    let plan = pipeline.memory_plan(size, size).recording;
    let planned = plan.device(STEPS) - plan.device_call;
    say(format_args!(
        "a recording of {STEPS} calls: {taken} bytes, planned {planned}"
    ));
    let off = taken as f64 / planned as f64 - 1.0;
    assert!(off.abs() < 0.02, "{taken} bytes, planned {planned}");
    assert!(plan.device(1_000_000) <= plan.device_limit + plan.device_call);
}
