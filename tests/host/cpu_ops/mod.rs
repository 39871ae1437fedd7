//! Every operation of [`Cpu`] against [`Stock`] on the Flex device, over many random shapes and all
//! options; a few against their definitions in f64; and the speed of the products.

mod definitions;
mod speed;

use burn::tensor::{DType, Device, Tensor, TensorData};
use darkroom::config::Activation;
use darkroom::ops::{Attention, Conv3x3, Cpu, GroupNorm, Linear, Ops, Stock};

use crate::support::norms;
use crate::support::random::Random;

/// Random shapes for each operation.
const CASES: u64 = 250;
/// The largest relative error that rounding may cause.
const TOLERANCE: f64 = 1e-5;

/// Random sizes and tensors of a case.
struct Cases(Random);

impl Cases {
    fn new(seed: u64) -> Self {
        Cases(Random::new(seed))
    }

    fn one_of<T: Copy>(&mut self, list: &[T]) -> T {
        self.0.one_of(list)
    }

    fn coin(&mut self) -> bool {
        self.0.coin()
    }

    /// Ones, primes, tile sizes and their neighbours.
    fn size(&mut self, most: usize) -> usize {
        let sizes = [
            1, 2, 3, 4, 5, 7, 8, 11, 12, 13, 16, 17, 31, 32, 33, 48, 64, 67, 96, 128, 131, 257, 320,
        ];
        let fitting: Vec<usize> = sizes.into_iter().filter(|size| *size <= most).collect();
        self.one_of(&fitting)
    }

    /// Values between −1 and 1 around `center`.
    fn around<const D: usize>(&mut self, center: f32, shape: [usize; D]) -> Tensor<D> {
        let count = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|_| center + self.0.uniform()).collect();
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }

    fn tensor<const D: usize>(&mut self, shape: [usize; D]) -> Tensor<D> {
        self.around(0.0, shape)
    }

    fn maybe<const D: usize>(&mut self, shape: [usize; D]) -> Option<Tensor<D>> {
        self.coin().then(|| self.tensor(shape))
    }
}

fn f32s<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    f32s(tensor).into_iter().map(f64::from).collect()
}

/// Asserts that the values agree, and returns the relative error.
#[track_caller]
fn compare(actual: &[f64], expected: &[f64], case: &str) -> f64 {
    assert_eq!(actual.len(), expected.len(), "{case}");
    let [difference, size] = norms(actual, expected);
    let error = difference / size.max(1e-30);
    assert!(error <= TOLERANCE, "{case}: relative error {error:.2e}");
    error
}

#[track_caller]
fn compare_tensors<const D: usize>(actual: Tensor<D>, expected: Tensor<D>, case: &str) -> f64 {
    assert_eq!(actual.dims(), expected.dims(), "{case}");
    compare(&values(actual), &values(expected), case)
}

/// Runs `case` with each of the seeds, and prints the largest error.
fn sweep(what: &str, case: impl Fn(&mut Cases) -> f64) {
    let worst = (0..CASES)
        .map(|seed| case(&mut Cases::new(seed)))
        .fold(0.0, f64::max);
    println!("{what}: {CASES} shapes, largest relative error {worst:.1e}");
}

fn conv3x3(random: &mut Cases, channels: [usize; 2]) -> f64 {
    let n = random.one_of(&[1, 1, 2, 3]);
    let [h, w] = [random.size(33), random.size(33)];
    let [c, out] = channels;
    let x = random.tensor([n, h, w, c]);
    let weight = random.tensor([9 * c, out]);
    let bias = random.tensor([out]);
    let upsample_to = random.coin().then(|| [random.size(33), random.size(33)]);
    let mut args = Conv3x3 {
        stride: random.one_of(&[1, 1, 2]),
        upsample_to,
        add: random.maybe([n, out]),
        ..Conv3x3::new(x, &weight, &bias)
    };
    let [height, width] = args.output_size();
    args.residual = random.maybe([n, height, width, out]);
    let case = format!(
        "x {n}×{h}×{w}×{c}, to {:?}, stride {}, {out} outputs",
        args.upsample_to, args.stride,
    );
    let again = Conv3x3 {
        x: args.x.clone(),
        add: args.add.clone(),
        residual: args.residual.clone(),
        ..args
    };
    compare_tensors(Cpu.conv3x3(args), Stock.conv3x3(again), &case)
}

#[test]
fn cpu_conv3x3_equals_burn() {
    sweep("conv3x3", |random| {
        let channels = [random.size(131), random.size(131)];
        conv3x3(random, channels)
    });
}

/// Channels in multiples of 16 are convolved by Winograd's method.
#[test]
fn cpu_winograd_conv3x3_equals_burn() {
    sweep("conv3x3 by Winograd's method", |random| {
        let sizes = [16, 32, 48, 64, 96, 128];
        let channels = [random.one_of(&sizes), random.one_of(&sizes)];
        conv3x3(random, channels)
    });
}

#[test]
fn cpu_linear_equals_burn() {
    sweep("linear", |random| {
        let [n, t] = [random.one_of(&[1, 2, 3]), random.size(320)];
        let [c, out] = [random.size(320), random.size(320)];
        let skip = random.coin().then(|| random.size(131));
        let weight = random.tensor([c + skip.unwrap_or(0), out]);
        let bias = random.maybe([out]);
        let x = random.tensor([n, t, c]);
        let skip = skip.map(|c| random.tensor([n, t, c]));
        let residual = random.maybe([n, t, out]);
        let args = || Linear {
            x: x.clone(),
            skip: skip.clone(),
            weight: &weight,
            bias: bias.as_ref(),
            residual: residual.clone(),
        };
        let case = format!("{n}×{t}×{c} → {out}");
        compare_tensors(Cpu.linear(args()), Stock.linear(args()), &case)
    });
}

#[test]
fn cpu_linear_of_long_inner_dimensions_equals_burn() {
    let mut random = Cases::new(1);
    for (t, c, out) in [(9, 5000, 67), (2, 1031, 640), (13, 129, 1280)] {
        let weight = random.tensor([c, out]);
        let x = random.tensor([1, t, c]);
        let args = || Linear {
            x: x.clone(),
            skip: None,
            weight: &weight,
            bias: None,
            residual: None,
        };
        let case = format!("{t}×{c} → {out}");
        compare_tensors(Cpu.linear(args()), Stock.linear(args()), &case);
    }
}

#[test]
fn cpu_geglu_equals_burn() {
    sweep("geglu", |random| {
        let [n, t] = [random.one_of(&[1, 2, 3]), random.size(131)];
        let [c, out] = [random.size(131), random.size(320)];
        let x = random.tensor([n, t, c]);
        let (weight, bias) = (random.tensor([c, 2 * out]), random.tensor([2 * out]));
        let case = format!("{n}×{t}×{c} → {out}");
        let actual = Cpu.geglu(x.clone(), &weight, &bias);
        compare_tensors(actual, Stock.geglu(x, &weight, &bias), &case)
    });
}

#[test]
fn cpu_attention_equals_burn() {
    sweep("attention", |random| {
        let causal = random.coin();
        let n = random.one_of(&[1, 2, 3]);
        let t = random.size(320);
        let s = if causal { t } else { random.size(320) };
        let (heads, d) = (random.one_of(&[1, 2, 3, 4, 8]), random.size(67));
        // Scores of a trained network reach tens, so that softmax selects a few keys.
        let sharpness = random.one_of(&[1.0, 8.0]);
        let q = random.tensor([n, t, heads * d]) * sharpness;
        let [k, v] = [(); 2].map(|()| random.tensor([n, s, heads * d]));
        let args = || Attention {
            q: q.clone(),
            k: k.clone(),
            v: v.clone(),
            heads,
            causal,
        };
        let case = format!("{n}×{t}×{heads}·{d}, {s} keys, causal {causal}");
        compare_tensors(Cpu.attention(args()), Stock.attention(args()), &case)
    });
}

#[test]
fn cpu_attention_over_several_tiles_of_keys_equals_burn() {
    let mut random = Cases::new(2);
    for (t, s, heads, d, causal) in [
        (300, 1031, 2, 40, false),
        (1031, 1031, 1, 16, true),
        (33, 2048, 1, 512, false),
    ] {
        let q = random.tensor([1, t, heads * d]) * 4.0;
        let [k, v] = [(); 2].map(|()| random.tensor([1, s, heads * d]));
        let args = || Attention {
            q: q.clone(),
            k: k.clone(),
            v: v.clone(),
            heads,
            causal,
        };
        let case = format!("{t}×{heads}·{d}, {s} keys, causal {causal}");
        compare_tensors(Cpu.attention(args()), Stock.attention(args()), &case);
    }
}

#[test]
fn cpu_group_norm_equals_burn() {
    sweep("group_norm", |random| {
        let n = random.one_of(&[1, 2, 3]);
        let [h, w] = [random.size(33), random.size(33)];
        let groups = random.one_of(&[1, 2, 3, 4, 8, 32]);
        let channels = groups * random.size(12);
        let skip = (random.coin() && channels > 1).then(|| 1 + random.0.below(channels - 1));
        // A group of one position and one channel has no variance; `definitions` tests that.
        let x = random.tensor([n, h, w, channels - skip.unwrap_or(0)]);
        let skip = skip.map(|c| random.tensor([n, h, w, c]));
        let (weight, bias) = (random.tensor([channels]), random.tensor([channels]));
        let (eps, silu) = (random.one_of(&[1e-5, 1e-6]), random.coin());
        let args = || GroupNorm {
            x: x.clone(),
            skip: skip.clone(),
            weight: &weight,
            bias: &bias,
            groups,
            eps,
            silu,
        };
        let case = format!("{n}×{h}×{w}×{channels} in {groups}, silu {silu}");
        compare_tensors(Cpu.group_norm(args()), Stock.group_norm(args()), &case)
    });
}

#[test]
fn cpu_layer_norm_equals_burn() {
    sweep("layer_norm", |random| {
        let [n, t, c] = [
            random.one_of(&[1, 2, 3]),
            random.size(131),
            random.size(320),
        ];
        let x = random.tensor([n, t, c]);
        let (weight, bias) = (random.tensor([c]), random.tensor([c]));
        let eps = random.one_of(&[1e-5, 1e-6]);
        let case = format!("{n}×{t}×{c}");
        let actual = Cpu.layer_norm(x.clone(), &weight, &bias, eps);
        compare_tensors(actual, Stock.layer_norm(x, &weight, &bias, eps), &case)
    });
}

#[test]
fn cpu_activations_equal_burn() {
    sweep("activation", |random| {
        let [n, t, c] = [random.one_of(&[1, 2, 3]), random.size(67), random.size(320)];
        let x = random.tensor([n, t, c]) * random.one_of(&[1.0, 4.0, 20.0]);
        let activation = random.one_of(&[Activation::Gelu, Activation::QuickGelu]);
        let actual = Cpu.activation(x.clone(), activation);
        let expected = Stock.activation(x, activation);
        compare_tensors(actual, expected, &format!("{activation:?} of {n}×{t}×{c}"))
    });
}

#[test]
fn f16_weights_give_the_same_bits_as_in_f32() {
    sweep("weights in f16", |random| {
        let sizes = [3, 16, 31, 32, 48, 64, 130];
        let [c, out] = [random.one_of(&sizes), random.one_of(&sizes)];
        let half = |weight: Tensor<2>| weight.cast(DType::F16);
        let single = |half: &Tensor<2>| half.clone().cast(DType::F32);
        let case = format!("{c} → {out}");

        let conv = half(random.tensor([9 * c, out]));
        let bias = random.tensor([out]);
        let (h, w, t) = (random.size(13), random.size(13), random.size(67));
        let x = random.tensor([2, h, w, c]);
        let run = |weight: &Tensor<2>| Cpu.conv3x3(Conv3x3::new(x.clone(), weight, &bias));
        assert_eq!(
            values(run(&conv)),
            values(run(&single(&conv))),
            "conv {case}"
        );

        let matrix = half(random.tensor([c, 2 * out]));
        let bias = random.tensor([2 * out]);
        let x = random.tensor([1, t, c]);
        let run = |weight: &Tensor<2>| {
            Cpu.linear(Linear {
                x: x.clone(),
                skip: None,
                weight,
                bias: Some(&bias),
                residual: None,
            })
        };
        assert_eq!(
            values(run(&matrix)),
            values(run(&single(&matrix))),
            "linear {case}"
        );
        let run = |weight: &Tensor<2>| Cpu.geglu(x.clone(), weight, &bias);
        assert_eq!(
            values(run(&matrix)),
            values(run(&single(&matrix))),
            "geglu {case}"
        );
        0.0
    });
}

/// A rayon thread that waits starts other work, so an operation may begin inside another one.
#[test]
fn operations_inside_a_thread_pool_give_the_same_values() {
    use rayon::prelude::*;
    let mut random = Cases::new(4);
    let (x, weight) = (random.tensor([1, 40, 40, 64]), random.tensor([9 * 64, 64]));
    let (bias, matrix) = (random.tensor([64]), random.tensor([64, 64]));
    let conv = || Cpu.conv3x3(Conv3x3::new(x.clone(), &weight, &bias));
    let linear = || {
        Cpu.linear(Linear {
            x: x.clone().reshape([1, 1600, 64]),
            skip: None,
            weight: &matrix,
            bias: None,
            residual: None,
        })
    };
    let expected = (values(conv()), values(linear()));
    (0..64).into_par_iter().for_each(|_| {
        assert!(values(conv()) == expected.0 && values(linear()) == expected.1);
    });
}

/// Inputs are often views of other tensors: transposed, sliced, expanded.
#[test]
fn inputs_that_are_not_contiguous_equal_burn() {
    let mut random = Cases::new(3);
    let (weight, bias) = (random.tensor([24, 20]), random.tensor([20]));
    let wide = random.tensor([3, 10, 40]);
    let x = wide.slice([1..3, 2..9, 8..32]);
    let transposed = random.tensor([20, 24]).swap_dims(0, 1);
    for (x, weight) in [
        (x.clone(), weight.clone()),
        (x, transposed.clone()),
        (random.tensor([24, 7, 2]).permute([2, 1, 0]), weight.clone()),
        (random.tensor([1, 1, 24]).expand([2, 7, 24]), weight),
    ] {
        let args = || Linear {
            x: x.clone(),
            skip: None,
            weight: &weight,
            bias: Some(&bias),
            residual: None,
        };
        compare_tensors(Cpu.linear(args()), Stock.linear(args()), "a view");
    }
}
