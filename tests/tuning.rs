//! How the way to divide work is chosen, on a GPU adapter. In a process of its own: other tests beside it would be measured.

mod support;

use burn::tensor::{DType, Tensor, TensorData};
use darkroom::device::read;
use darkroom::ops::Linear;
use darkroom::ops::gpu::Preset;
use darkroom::tuning::measure::{Sizes, measure};
use darkroom::tuning::{Choice, How, Wish, choose};
use darkroom::{Precision, Runtime};
use pollster::block_on;
use support::adapter::{Wanted, gpu};
use support::say;

const WANTED: Wanted = Wanted {
    precision: Precision::F32,
    buffer_limit: None,
};

fn chosen(runtime: &mut Runtime, wish: Wish, remembered: Option<&str>) -> Choice {
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
        (true, Wish::Auto, Some("128x128"), ("registers", How::Table)),
        (
            false,
            Wish::Auto,
            Some("128x128"),
            ("128x128", How::Remembered),
        ),
        (
            false,
            Wish::Preset(Preset::WORKGROUP),
            Some("128x128"),
            ("64x64", How::Asked),
        ),
    ] {
        runtime.software = software;
        let choice = chosen(&mut runtime, wish, remembered);
        assert_eq!((choice.preset, choice.how), expected);
        assert!(choice.timings.is_empty());
        block_on(runtime.self_test()).expect("the self-test");
    }
    runtime.software = true;
    let choice = chosen(&mut runtime, Wish::Measure, Some("128x128"));
    assert_eq!(choice.how, How::Measured);
    assert_eq!(choice.timings.len(), Preset::ALL.len());
    assert_eq!(choice.preset, choice.timings[0].preset);
    assert!(choice.timings.is_sorted_by(|a, b| a.seconds <= b.seconds));
    for timing in &choice.timings {
        say(format_args!(
            "{}: {:.1} ms, best of {}",
            timing.preset,
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
    let sizes = Sizes {
        batch: 2,
        side: 16,
        channels: 64,
    };
    let measuring = measure(&runtime.device, DType::F32, sizes, &Preset::ALL);
    let timings = block_on(measuring).expect("timings");
    assert_eq!(timings[0].preset, "registers", "{timings:?}");
}

/// On the CPU, and with Burn's own operations, there is nothing to choose.
#[test]
fn no_choice_without_kernels() {
    let mut cpu = Runtime::cpu(Precision::F32, false).expect("the CPU");
    let choice = block_on(choose(&mut cpu, &Wish::Auto, None)).expect("no failure");
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
