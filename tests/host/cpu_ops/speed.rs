//! The speed of the products, compared with plain loops.

use std::hint::black_box;

use burn::tensor::{Device, Tensor};
use darkroom::ops::{Conv3x3, Cpu, Linear, Ops};

use super::{Cases, compare, f32s};
use crate::support::clock::seconds_each;

/// The smallest accepted ratio of [`plain`]'s time to an operation's, both on one thread. It is 50
/// and more. An operation with a function call for every product, which a compiler once made of a
/// fused multiply-add, is slower than the loops.
const FASTER: f64 = 4.0;

/// Loops that add one product after the other to one sum.
mod plain {
    /// `[rows, inputs]·[inputs, outputs]`
    pub fn linear(x: &[f32], weight: &[f32], [inputs, outputs]: [usize; 2]) -> Vec<f32> {
        let mut out = Vec::new();
        for row in x.chunks_exact(inputs) {
            for output in 0..outputs {
                let mut sum = 0.0;
                for (i, x) in row.iter().enumerate() {
                    sum += x * weight[i * outputs + output];
                }
                out.push(sum);
            }
        }
        out
    }

    /// `[side, side, inputs]` and `[9·inputs, outputs]` → `[side, side, outputs]`
    pub fn conv3x3(
        x: &[f32],
        weight: &[f32],
        side: usize,
        [inputs, outputs]: [usize; 2],
    ) -> Vec<f32> {
        let mut out = Vec::new();
        for at in 0..side * side {
            for output in 0..outputs {
                let mut sum = 0.0;
                for tap in 0..9 {
                    let (row, column) = (at / side + tap / 3, at % side + tap % 3);
                    if !(1..=side).contains(&row) || !(1..=side).contains(&column) {
                        continue;
                    }
                    let x = &x[((row - 1) * side + column - 1) * inputs..][..inputs];
                    for (i, x) in x.iter().enumerate() {
                        sum += x * weight[(tap * inputs + i) * outputs + output];
                    }
                }
                out.push(sum);
            }
        }
        out
    }
}

/// Asserts that `ours` gives the values of `plain` and is [`FASTER`].
///
/// Both run in a pool of one thread, and that thread's processor time counts. So neither other
/// programs nor other tests, which share rayon's own pool, change the ratio.
fn assert_faster(
    what: &str,
    ours: impl Fn() -> Vec<f32> + Sync,
    plain: impl Fn() -> Vec<f32> + Sync,
) {
    let (actual, expected) = (ours(), plain());
    let wide = |values: &[f32]| values.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
    compare(&wide(&actual), &wide(&expected), what);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let [best, best_plain] = pool.expect("a thread").install(|| {
        // In turns, and the best of each: a cache that another program emptied costs time too.
        let mut best = [f64::MAX; 2];
        for round in 0..20 {
            best[0] = best[0].min(seconds_each(|| drop(black_box(ours()))));
            best[1] = best[1].min(seconds_each(|| drop(black_box(plain()))));
            if round >= 2 && best[1] > FASTER * best[0] {
                break;
            }
        }
        best
    });
    let times = best_plain / best;
    println!("{what}: {times:.0} times as fast as plain loops");
    assert!(
        times > FASTER,
        "{what}: {times:.1} times as fast as plain loops, {:.1} against {:.1} ms; \
         expected more than {FASTER}",
        best * 1e3,
        best_plain * 1e3
    );
}

#[test]
fn cpu_linear_is_four_times_as_fast_as_plain_loops() {
    let mut random = Cases::new(1);
    let (rows, [inputs, outputs]) = (128, [320, 320]);
    let x = random.tensor([1, rows, inputs]);
    let weight = random.tensor([inputs, outputs]);
    let flat = [f32s(x.clone()), f32s(weight.clone())];
    assert_faster(
        "linear",
        || {
            f32s(Cpu.linear(Linear {
                x: x.clone(),
                skip: None,
                weight: &weight,
                bias: None,
                residual: None,
            }))
        },
        || plain::linear(&flat[0], &flat[1], [inputs, outputs]),
    );
}

#[test]
fn cpu_conv3x3_is_four_times_as_fast_as_plain_loops() {
    let mut random = Cases::new(2);
    // Channels for Winograd's method, and channels that it cannot take.
    for channels in [[64, 64], [30, 50]] {
        let side = 24;
        let [inputs, outputs] = channels;
        let x = random.tensor([1, side, side, inputs]);
        let weight = random.tensor([9 * inputs, outputs]);
        let zero = Tensor::zeros([outputs], &Device::flex());
        let flat = [f32s(x.clone()), f32s(weight.clone())];
        assert_faster(
            &format!("conv3x3 {inputs} to {outputs}"),
            || f32s(Cpu.conv3x3(Conv3x3::new(x.clone(), &weight, &zero))),
            || plain::conv3x3(&flat[0], &flat[1], side, channels),
        );
    }
}
