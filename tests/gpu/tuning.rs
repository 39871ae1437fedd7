//! How the way to divide work is chosen, on a GPU adapter. In a process of its own: other tests beside it would be measured.

mod support;

use burn::tensor::{DType, Tensor, TensorData};
use darkroom::device::read;
use darkroom::device::tuning::measure::{BenchShape, measure};
use darkroom::device::tuning::{ChosenBy, ChosenTiling, TilingChoice, choose};
use darkroom::ops::Linear;
use darkroom::ops::gpu::KernelTiling;
use darkroom::{Precision, Runtime};
use pollster::block_on;
use support::adapter::{AdapterRequest, gpu};
use support::say;

const WANTED: AdapterRequest = AdapterRequest {
    precision: Precision::F32,
    buffer_limit: None,
};

fn chosen(runtime: &mut Runtime, wish: TilingChoice, remembered: Option<&str>) -> ChosenTiling {
    block_on(choose(runtime, &wish, remembered))
        .expect("a choice")
        .expect("kernels of ours")
}

#[test]
fn table_then_memory_then_measurement() {
    let Some(mut runtime) = gpu("the choice of tiles", WANTED) else {
        return;
    };
    // As if it were a real GPU, which the table does not know; it stays as slow as it is, so the sizes are small.
    for (software, wish, remembered, expected) in [
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
        let choice = chosen(&mut runtime, wish, remembered);
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

/// What the table says of adapters that run on a CPU is what a measurement says of them.
#[test]
fn registers_win_where_a_cpu_imitates_the_adapter() {
    let Some(runtime) = gpu("the measurement of tiles", WANTED) else {
        return;
    };
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

/// On the CPU, and with Burn's own operations, there is nothing to choose.
#[test]
fn no_choice_without_kernels() {
    let mut cpu = Runtime::cpu(Precision::F32, false).expect("the CPU");
    let choice = block_on(choose(&mut cpu, &TilingChoice::Auto, None)).expect("no failure");
    assert!(choice.is_none());
    let one = Tensor::<3>::from_data(TensorData::new(vec![2f32], [1, 1, 1]), &cpu.device);
    let three = Tensor::<2>::from_data(TensorData::new(vec![3f32], [1, 1]), &cpu.device);
    let product = cpu.ops.linear(Linear {
        x: one,
        skip: None,
        weight: &three,
        bias: None,
        residual: None,
    });
    assert_eq!(block_on(read(product)).expect("a product"), [6.0]);
}
