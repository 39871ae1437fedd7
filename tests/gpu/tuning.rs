//! The choice of the kernel tiling on a GPU adapter.

use burn::tensor::DType;
use darkroom::device::tuning::measure::{BenchShape, measure};
use darkroom::device::tuning::{ChosenBy, ChosenTiling, TilingChoice, choose};
use darkroom::ops::gpu::KernelTiling;
use darkroom::{Precision, Runtime};
use pollster::block_on;

use crate::support::gpu::Gpu;
use crate::support::say;

fn chosen(runtime: &mut Runtime, choice: TilingChoice, cached: Option<&str>) -> ChosenTiling {
    block_on(choose(runtime, &choice, cached))
        .expect("a choice")
        .expect("kernels of ours")
}

#[test]
fn tiling_comes_from_the_request_the_table_the_cache_or_a_measurement() {
    let Some(gpu) = Gpu::new("the choice of the kernel tiling") else {
        return;
    };
    let mut runtime = gpu.runtime(Precision::F32);
    // The table has software adapters only, so `software` decides between table and cache.
    for (software, choice, cached, expected) in [
        (
            true,
            TilingChoice::Auto,
            Some("128x128"),
            ("registers", ChosenBy::Table),
        ),
        (
            false,
            TilingChoice::Auto,
            Some("128x128"),
            ("128x128", ChosenBy::Cache),
        ),
        (
            false,
            TilingChoice::Tiling(KernelTiling::WORKGROUP),
            Some("128x128"),
            ("64x64", ChosenBy::Request),
        ),
    ] {
        runtime.software = software;
        let choice = chosen(&mut runtime, choice, cached);
        assert_eq!((choice.tiling, choice.chosen_by), expected);
        assert!(choice.timings.is_empty());
        block_on(runtime.self_test()).expect("the self-test");
    }
    runtime.software = true;
    let choice = chosen(&mut runtime, TilingChoice::Measure, Some("128x128"));
    assert_eq!(choice.chosen_by, ChosenBy::Measured);
    assert_eq!(choice.timings.len(), KernelTiling::ALL.len());
    assert_eq!(choice.tiling, choice.timings[0].tiling);
    assert!(choice.timings.is_sorted_by(|a, b| a.seconds <= b.seconds));
    for timing in &choice.timings {
        say(format_args!(
            "{}: {:.1} ms, best of {}",
            timing.tiling,
            1e3 * timing.seconds,
            timing.rounds
        ));
        assert!(timing.seconds > 0.0 && timing.seconds.is_finite());
    }
    block_on(runtime.self_test()).expect("the self-test");
}

/// The table's entry for software adapters is what a measurement gives.
#[test]
fn registers_are_fastest_on_a_software_adapter() {
    let Some(gpu) = Gpu::new("the measurement of kernel tilings") else {
        return;
    };
    let runtime = gpu.runtime(Precision::F32);
    if !runtime.software {
        say(format_args!("NOT RUN: {} is a real GPU", runtime.name));
        return;
    }
    let sizes = BenchShape {
        batch: 2,
        side: 16,
        channels: 64,
    };
    let measuring = measure(&runtime.device, DType::F32, sizes, &KernelTiling::ALL);
    let timings = block_on(measuring).expect("timings");
    assert_eq!(timings[0].tiling, "registers", "{timings:?}");
}
