//! Tiny models against diffusers, on a GPU adapter.

use std::rc::Rc;

use burn::tensor::DType;
use darkroom::ops::Gpu;
use darkroom::ops::gpu::TileMemory;
use darkroom::sampling::SamplerKind;
use darkroom::{Precision, Runtime};
use pollster::block_on;

use crate::support::gpu::{NO_ADAPTER, Turn, turn};
use crate::support::parity::{Extent, F16, GPU, compare, compare_seeds};

/// The adapter as the engine itself sets it up. That can be done once in a process, so only one
/// test of those that run together may call this.
fn gpu(what: &str) -> Option<(Turn, Runtime)> {
    let turn = turn(what)?;
    let runtime = block_on(Runtime::gpu(Precision::F32, false));
    let runtime = runtime.unwrap_or_else(|e| panic!("{e}\n{NO_ADAPTER}"));
    block_on(runtime.self_test()).expect("the self-test");
    Some((turn, runtime))
}

#[test]
fn gpu_matches_diffusers() {
    let Some((_turn, runtime)) = gpu("parity with diffusers on a GPU adapter") else {
        return;
    };
    compare(&runtime, &GPU, Extent::Half);
    for (memory, dtype, limits) in [
        (TileMemory::Registers, DType::F16, &F16),
        (TileMemory::Workgroup, DType::F32, &GPU),
        (TileMemory::Workgroup, DType::F16, &F16),
    ] {
        let other = Runtime {
            ops: Rc::new(Gpu::new(memory == TileMemory::Registers)),
            dtype,
            name: format!("{} with {memory:?} in {dtype:?}", runtime.name),
            ..runtime.clone()
        };
        compare(&other, limits, Extent::Stages);
    }
    compare_seeds(&runtime, &[SamplerKind::EulerA, SamplerKind::UniPc]);
}

#[test]
#[ignore = "minutes on a software adapter: all 140 generations; gpu_matches_diffusers runs 56"]
fn gpu_matches_diffusers_everywhere() {
    let Some((_turn, runtime)) = gpu("all of the parity with diffusers on a GPU adapter") else {
        return;
    };
    compare(&runtime, &GPU, Extent::All);
    compare_seeds(&runtime, &SamplerKind::ALL);
}
