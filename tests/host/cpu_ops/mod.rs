//! Every operation of [`Cpu`] against [`Stock`] on the Flex device over many random shapes and all options, and a few
//! against the definition, evaluated in f64. And that the products are as fast as they should be.

use std::hint::black_box;
use std::time::Instant;

use burn::tensor::{DType, Device, Tensor, TensorData};
use darkroom::config::Activation;
use darkroom::ops::{Attention, Conv3x3, Cpu, GroupNorm, Linear, Ops, Stock};

/// Random shapes for each operation.
const CASES: u64 = 250;
/// ‖a − b‖ / ‖b‖ that rounding may cost.
const TOLERANCE: f64 = 1e-5;

/// Sizes and values of a case (SplitMix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[(self.next() % list.len() as u64) as usize]
    }

    fn coin(&mut self) -> bool {
        self.next().is_multiple_of(2)
    }

    /// Ones, primes, tile sizes and their neighbours.
    fn size(&mut self, most: usize) -> usize {
        let sizes = [
            1, 2, 3, 4, 5, 7, 8, 11, 12, 13, 16, 17, 31, 32, 33, 48, 64, 67, 96, 128, 131, 257, 320,
        ];
        let fitting: Vec<usize> = sizes.into_iter().filter(|size| *size <= most).collect();
        self.of(&fitting)
    }

    /// Values between −1 and 1 around `center`.
    fn around<const D: usize>(&mut self, center: f32, shape: [usize; D]) -> Tensor<D> {
        let count = shape.iter().product();
        let value = |dice: &mut Dice| center + (dice.next() >> 40) as f32 / (1 << 23) as f32 - 1.0;
        let values: Vec<f32> = (0..count).map(|_| value(self)).collect();
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }

    fn tensor<const D: usize>(&mut self, shape: [usize; D]) -> Tensor<D> {
        self.around(0.0, shape)
    }

    fn maybe<const D: usize>(&mut self, shape: [usize; D]) -> Option<Tensor<D>> {
        self.coin().then(|| self.tensor(shape))
    }
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    let values: Vec<f32> = tensor.into_data().try_to_vec().unwrap();
    values.into_iter().map(f64::from).collect()
}

/// Checks `actual` against `expected` and returns how far they are apart.
#[track_caller]
fn compare(actual: &[f64], expected: &[f64], case: &str) -> f64 {
    assert_eq!(actual.len(), expected.len(), "{case}");
    let norm = |list: &mut dyn Iterator<Item = f64>| list.map(|x| x * x).sum::<f64>().sqrt();
    let apart = norm(&mut actual.iter().zip(expected).map(|(a, b)| a - b));
    let error = apart / norm(&mut expected.iter().copied()).max(1e-30);
    assert!(error <= TOLERANCE, "{case}: relative error {error:.2e}");
    error
}

#[track_caller]
fn compare_tensors<const D: usize>(actual: Tensor<D>, expected: Tensor<D>, case: &str) -> f64 {
    assert_eq!(actual.dims(), expected.dims(), "{case}");
    compare(&values(actual), &values(expected), case)
}

/// Runs `case` with dice of its own for each number and prints the greatest of the errors it returns.
fn cases(what: &str, case: impl Fn(&mut Dice) -> f64) {
    let worst = (0..CASES)
        .map(|seed| case(&mut Dice(seed)))
        .fold(0.0, f64::max);
    println!("{what}: {CASES} shapes, greatest relative error {worst:.1e}");
}

fn conv3x3(dice: &mut Dice, channels: [usize; 2], skip: Option<usize>) -> f64 {
    let n = dice.of(&[1, 1, 2, 3]);
    let [h, w] = [dice.size(33), dice.size(33)];
    let [c, out] = channels;
    let x = dice.tensor([n, h, w, c]);
    let weight = dice.tensor([9 * (c + skip.unwrap_or(0)), out]);
    let skip = skip.map(|c| dice.tensor([n, h, w, c]));
    let bias = dice.tensor([out]);
    let upsample_to = dice.coin().then(|| [dice.size(33), dice.size(33)]);
    let mut args = Conv3x3 {
        skip,
        stride: dice.of(&[1, 1, 2]),
        upsample_to,
        add: dice.maybe([n, out]),
        ..Conv3x3::new(x, &weight, &bias)
    };
    let [height, width] = args.output_size();
    args.residual = dice.maybe([n, height, width, out]);
    let case = format!(
        "x {n}×{h}×{w}×{c}, skip {:?}, to {:?}, stride {}, {out} outputs",
        args.skip.as_ref().map(|skip| skip.dims()[3]),
        args.upsample_to,
        args.stride,
    );
    let again = Conv3x3 {
        x: args.x.clone(),
        skip: args.skip.clone(),
        add: args.add.clone(),
        residual: args.residual.clone(),
        ..args
    };
    compare_tensors(Cpu.conv3x3(args), Stock.conv3x3(again), &case)
}

#[test]
fn conv3x3_is_stocks() {
    cases("conv3x3", |dice| {
        let channels = [dice.size(131), dice.size(131)];
        let skip = dice.coin().then(|| dice.size(67));
        conv3x3(dice, channels, skip)
    });
}

/// Channels in multiples of 16 go another way, by Winograd's transforms.
#[test]
fn conv3x3_of_even_channels_is_stocks() {
    cases("conv3x3 of even channels", |dice| {
        let sizes = [16, 32, 48, 64, 96, 128];
        let channels = [dice.of(&sizes), dice.of(&sizes)];
        let skip = dice.coin().then(|| dice.of(&sizes));
        conv3x3(dice, channels, skip)
    });
}

#[test]
fn linear_is_stocks() {
    cases("linear", |dice| {
        let [n, t] = [dice.of(&[1, 2, 3]), dice.size(320)];
        let [c, out] = [dice.size(320), dice.size(320)];
        let skip = dice.coin().then(|| dice.size(131));
        let weight = dice.tensor([c + skip.unwrap_or(0), out]);
        let bias = dice.maybe([out]);
        let x = dice.tensor([n, t, c]);
        let skip = skip.map(|c| dice.tensor([n, t, c]));
        let residual = dice.maybe([n, t, out]);
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
fn long_inner_dimensions_are_summed_in_blocks() {
    let mut dice = Dice(1);
    for (t, c, out) in [(9, 5000, 67), (2, 1031, 640), (13, 129, 1280)] {
        let weight = dice.tensor([c, out]);
        let x = dice.tensor([1, t, c]);
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
fn geglu_is_stocks() {
    cases("geglu", |dice| {
        let [n, t] = [dice.of(&[1, 2, 3]), dice.size(131)];
        let [c, out] = [dice.size(131), dice.size(320)];
        let x = dice.tensor([n, t, c]);
        let (weight, bias) = (dice.tensor([c, 2 * out]), dice.tensor([2 * out]));
        let case = format!("{n}×{t}×{c} → {out}");
        let actual = Cpu.geglu(x.clone(), &weight, &bias);
        compare_tensors(actual, Stock.geglu(x, &weight, &bias), &case)
    });
}

#[test]
fn attention_is_stocks() {
    cases("attention", |dice| {
        let causal = dice.coin();
        let n = dice.of(&[1, 2, 3]);
        let t = dice.size(320);
        let s = if causal { t } else { dice.size(320) };
        let (heads, d) = (dice.of(&[1, 2, 3, 4, 8]), dice.size(67));
        // Scores of a trained network reach tens, which makes softmax pick a few keys.
        let sharpness = dice.of(&[1.0, 8.0]);
        let q = dice.tensor([n, t, heads * d]) * sharpness;
        let [k, v] = [(); 2].map(|()| dice.tensor([n, s, heads * d]));
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
fn attention_over_several_tiles_of_keys() {
    let mut dice = Dice(2);
    for (t, s, heads, d, causal) in [
        (300, 1031, 2, 40, false),
        (1031, 1031, 1, 16, true),
        (33, 2048, 1, 512, false),
    ] {
        let q = dice.tensor([1, t, heads * d]) * 4.0;
        let [k, v] = [(); 2].map(|()| dice.tensor([1, s, heads * d]));
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
fn group_norm_is_stocks() {
    cases("group_norm", |dice| {
        let n = dice.of(&[1, 2, 3]);
        let [h, w] = [dice.size(33), dice.size(33)];
        let groups = dice.of(&[1, 2, 3, 4, 8, 32]);
        let channels = groups * dice.size(12);
        let skip = (dice.coin() && channels > 1).then(|| 1 + dice.next() as usize % (channels - 1));
        // One position of one channel a group has no variance at all; leave that to the eps test below.
        let x = dice.tensor([n, h, w, channels - skip.unwrap_or(0)]);
        let skip = skip.map(|c| dice.tensor([n, h, w, c]));
        let (weight, bias) = (dice.tensor([channels]), dice.tensor([channels]));
        let (eps, silu) = (dice.of(&[1e-5, 1e-6]), dice.coin());
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
fn layer_norm_is_stocks() {
    cases("layer_norm", |dice| {
        let [n, t, c] = [dice.of(&[1, 2, 3]), dice.size(131), dice.size(320)];
        let x = dice.tensor([n, t, c]);
        let (weight, bias) = (dice.tensor([c]), dice.tensor([c]));
        let eps = dice.of(&[1e-5, 1e-6]);
        let case = format!("{n}×{t}×{c}");
        let actual = Cpu.layer_norm(x.clone(), &weight, &bias, eps);
        compare_tensors(actual, Stock.layer_norm(x, &weight, &bias, eps), &case)
    });
}

#[test]
fn activations_are_stocks() {
    cases("activation", |dice| {
        let [n, t, c] = [dice.of(&[1, 2, 3]), dice.size(67), dice.size(320)];
        let x = dice.tensor([n, t, c]) * dice.of(&[1.0, 4.0, 20.0]);
        let activation = dice.of(&[Activation::Gelu, Activation::QuickGelu]);
        let actual = Cpu.activation(x.clone(), activation);
        let expected = Stock.activation(x, activation);
        compare_tensors(actual, expected, &format!("{activation:?} of {n}×{t}×{c}"))
    });
}

/// Weights in f16 give what the same weights in f32 give, to the last bit.
#[test]
fn weights_in_f16_are_widened() {
    cases("weights in f16", |dice| {
        let sizes = [3, 16, 31, 32, 48, 64, 130];
        let [c, out] = [dice.of(&sizes), dice.of(&sizes)];
        let half = |weight: Tensor<2>| weight.cast(DType::F16);
        let single = |half: &Tensor<2>| half.clone().cast(DType::F32);
        let case = format!("{c} → {out}");

        let conv = half(dice.tensor([9 * c, out]));
        let bias = dice.tensor([out]);
        let (h, w, t) = (dice.size(13), dice.size(13), dice.size(67));
        let x = dice.tensor([2, h, w, c]);
        let run = |weight: &Tensor<2>| Cpu.conv3x3(Conv3x3::new(x.clone(), weight, &bias));
        assert_eq!(
            values(run(&conv)),
            values(run(&single(&conv))),
            "conv {case}"
        );

        let matrix = half(dice.tensor([c, 2 * out]));
        let bias = dice.tensor([2 * out]);
        let x = dice.tensor([1, t, c]);
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

/// An operation may begin on a thread that already works for another one: that is how rayon waits.
#[test]
fn operations_run_inside_a_thread_pool() {
    use rayon::prelude::*;
    let mut dice = Dice(4);
    let (x, weight) = (dice.tensor([1, 40, 40, 64]), dice.tensor([9 * 64, 64]));
    let (bias, matrix) = (dice.tensor([64]), dice.tensor([64, 64]));
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

/// Views of other tensors arrive as inputs all the time: transposed, sliced, expanded.
#[test]
fn inputs_need_not_be_contiguous() {
    let mut dice = Dice(3);
    let (weight, bias) = (dice.tensor([24, 20]), dice.tensor([20]));
    let wide = dice.tensor([3, 10, 40]);
    let x = wide.slice([1..3, 2..9, 8..32]);
    let transposed = dice.tensor([20, 24]).swap_dims(0, 1);
    for (x, weight) in [
        (x.clone(), weight.clone()),
        (x, transposed.clone()),
        (dice.tensor([24, 7, 2]).permute([2, 1, 0]), weight.clone()),
        (dice.tensor([1, 1, 24]).expand([2, 7, 24]), weight),
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

/// The definitions of the operations, in f64 and as plain as can be.
mod definition {
    pub fn linear(x: &[f64], weight: &[f64], bias: &[f64], inputs: usize) -> Vec<f64> {
        let outputs = bias.len();
        let row = |x: &[f64]| -> Vec<f64> {
            let sum = |o| {
                (0..inputs)
                    .map(|i| x[i] * weight[i * outputs + o])
                    .sum::<f64>()
            };
            (0..outputs).map(|o| bias[o] + sum(o)).collect()
        };
        x.chunks(inputs).flat_map(row).collect()
    }

    /// One image, stride 1, no extras.
    pub fn conv3x3(
        x: &[f64],
        [h, w, c]: [usize; 3],
        weight: &[f64],
        bias: &[f64],
        stride: usize,
    ) -> Vec<f64> {
        let outputs = bias.len();
        let at = |y: usize, x_: usize, i: usize| {
            let inside = (1..=h).contains(&y) && (1..=w).contains(&x_);
            if inside {
                x[((y - 1) * w + x_ - 1) * c + i]
            } else {
                0.0
            }
        };
        let mut out = Vec::new();
        for y in (0..h).step_by(stride) {
            for x in (0..w).step_by(stride) {
                for o in 0..outputs {
                    let mut sum = bias[o];
                    for (dy, dx, i) in (0..3)
                        .flat_map(|dy| (0..3).flat_map(move |dx| (0..c).map(move |i| (dy, dx, i))))
                    {
                        let row = (dy * 3 + dx) * c + i;
                        sum += at(y + dy, x + dx, i) * weight[row * outputs + o];
                    }
                    out.push(sum);
                }
            }
        }
        out
    }

    /// One sequence.
    pub fn attention(
        q: &[f64],
        k: &[f64],
        v: &[f64],
        heads: usize,
        d: usize,
        causal: bool,
    ) -> Vec<f64> {
        let width = heads * d;
        let mut out = vec![0.0; q.len()];
        for head in 0..heads {
            for (query, (q, out)) in q.chunks(width).zip(out.chunks_mut(width)).enumerate() {
                let part = head * d..(head + 1) * d;
                let score = |k: &[f64]| -> f64 {
                    let products = q[part.clone()].iter().zip(&k[part.clone()]);
                    products.map(|(q, k)| q * k).sum::<f64>() / (d as f64).sqrt()
                };
                let seen = if causal { query + 1 } else { usize::MAX };
                let weights: Vec<f64> =
                    k.chunks(width).take(seen).map(|k| score(k).exp()).collect();
                let sum: f64 = weights.iter().sum();
                for (weight, v) in weights.iter().zip(v.chunks(width)) {
                    for (out, v) in out[part.clone()].iter_mut().zip(&v[part.clone()]) {
                        *out += weight / sum * v;
                    }
                }
            }
        }
        out
    }

    /// One image.
    pub fn group_norm(
        x: &[f64],
        weight: &[f64],
        bias: &[f64],
        groups: usize,
        eps: f64,
        silu: bool,
    ) -> Vec<f64> {
        let channels = weight.len();
        let size = channels / groups;
        let group = |g: usize| {
            let of = move |(i, _): &(usize, &f64)| i % channels / size == g;
            x.iter().enumerate().filter(of).map(|(_, x)| *x)
        };
        let count = (x.len() / groups) as f64;
        let statistics: Vec<(f64, f64)> = (0..groups)
            .map(|g| {
                let mean = group(g).sum::<f64>() / count;
                let variance = group(g).map(|x| (x - mean).powi(2)).sum::<f64>() / count;
                (mean, (variance + eps).sqrt())
            })
            .collect();
        let value = |(i, x): (usize, &f64)| {
            let (mean, deviation) = statistics[i % channels / size];
            let y = (x - mean) / deviation * weight[i % channels] + bias[i % channels];
            if silu { y / (1.0 + (-y).exp()) } else { y }
        };
        x.iter().enumerate().map(value).collect()
    }
}

#[test]
fn products_are_what_they_are_defined_to_be() {
    let mut dice = Dice(4);
    for (t, c, out) in [(5, 3000, 33), (97, 64, 128), (1, 1, 1)] {
        let (x, weight, bias) = (
            dice.tensor([1, t, c]),
            dice.tensor([c, out]),
            dice.tensor([out]),
        );
        let expected = definition::linear(
            &values(x.clone()),
            &values(weight.clone()),
            &values(bias.clone()),
            c,
        );
        let actual = Cpu.linear(Linear {
            x,
            skip: None,
            weight: &weight,
            bias: Some(&bias),
            residual: None,
        });
        compare(
            &values(actual),
            &expected,
            &format!("linear {t}×{c} → {out}"),
        );
    }
    for (h, w, c, out, stride) in [
        (9, 7, 130, 20, 1),
        (9, 9, 320, 64, 1),
        (8, 5, 16, 33, 2),
        (1, 1, 3, 4, 1),
    ] {
        let x = dice.tensor([1, h, w, c]);
        let (weight, bias) = (dice.tensor([9 * c, out]), dice.tensor([out]));
        let expected = definition::conv3x3(
            &values(x.clone()),
            [h, w, c],
            &values(weight.clone()),
            &values(bias.clone()),
            stride,
        );
        let actual = Cpu.conv3x3(Conv3x3 {
            stride,
            ..Conv3x3::new(x, &weight, &bias)
        });
        compare(
            &values(actual),
            &expected,
            &format!("conv3x3 {h}×{w}×{c} → {out}"),
        );
    }
}

#[test]
fn attention_is_what_it_is_defined_to_be() {
    let mut dice = Dice(5);
    for (t, s, heads, d, causal) in [
        (77, 77, 4, 32, true),
        (40, 300, 2, 40, false),
        (1, 1, 1, 1, true),
    ] {
        let q = dice.tensor([1, t, heads * d]) * 8.0;
        let [k, v] = [(); 2].map(|()| dice.tensor([1, s, heads * d]));
        let [q64, k64, v64] = [&q, &k, &v].map(|tensor| values(tensor.clone()));
        let expected = definition::attention(&q64, &k64, &v64, heads, d, causal);
        let actual = Cpu.attention(Attention {
            q,
            k,
            v,
            heads,
            causal,
        });
        compare(
            &values(actual),
            &expected,
            &format!("attention {t}×{s}×{heads}·{d}"),
        );
    }
}

#[test]
fn norms_are_what_they_are_defined_to_be() {
    let mut dice = Dice(6);
    // One-pass statistics in f32 would be wrong in the fourth digit for a mean of fifty deviations.
    for (center, h, c, groups, silu) in [
        (0.0, 64, 32, 8, true),
        (30.0, 16, 96, 32, false),
        (0.0, 1, 8, 8, false),
    ] {
        let x = dice.around(center, [1, h, h, c]);
        let (weight, bias) = (dice.tensor([c]), dice.tensor([c]));
        let [x64, weight64, bias64] = [
            values(x.clone()),
            values(weight.clone()),
            values(bias.clone()),
        ];
        let expected = definition::group_norm(&x64, &weight64, &bias64, groups, 1e-5, silu);
        let actual = Cpu.group_norm(GroupNorm {
            x,
            skip: None,
            weight: &weight,
            bias: &bias,
            groups,
            eps: 1e-5,
            silu,
        });
        compare(
            &values(actual),
            &expected,
            &format!("group_norm {h}×{h}×{c} around {center}"),
        );
    }
    // A LayerNorm is a GroupNorm of one position in one group.
    let x = dice.around(30.0, [1, 1, 320]);
    let (weight, bias) = (dice.tensor([320]), dice.tensor([320]));
    let expected = definition::group_norm(
        &values(x.clone()),
        &values(weight.clone()),
        &values(bias.clone()),
        1,
        1e-5,
        false,
    );
    let actual = Cpu.layer_norm(x, &weight, &bias, 1e-5);
    compare(&values(actual), &expected, "layer_norm");
}

/// At least so many times as fast as [`plain`]'s loops the operations must be. They are 30 times and more; with a function
/// call for every product, as a compiler once made of a fused multiply-add, they are slower than the loops.
const FASTER: f64 = 4.0;

/// One product after the other, in one sum.
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

/// Fails unless `ours` is [`FASTER`] than `plain`.
fn keeps_its_pace(what: &str, ours: impl Fn() -> Vec<f32>, plain: impl Fn() -> Vec<f32>) {
    let (actual, expected) = (ours(), plain());
    let wide = |values: &[f32]| values.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
    compare(&wide(&actual), &wide(&expected), what);
    let time = |run: &dyn Fn() -> Vec<f32>| {
        let start = Instant::now();
        black_box(run());
        start.elapsed().as_secs_f64()
    };
    // In turns, and the best of each: other programs may have the processors for a while.
    let (mut best, mut best_plain) = (f64::MAX, f64::MAX);
    for round in 0..40 {
        best = best.min(time(&ours));
        best_plain = best_plain.min(time(&plain));
        if round >= 4 && best_plain > FASTER * best {
            break;
        }
    }
    let times = best_plain / best;
    println!("{what}: {times:.0} times as fast as one product after the other");
    assert!(
        times > FASTER,
        "{what}: {times:.1} times as fast as one product after the other, {:.1} against {:.1} ms; expected {FASTER} and more",
        best * 1e3,
        best_plain * 1e3
    );
}

#[test]
fn linear_keeps_its_pace() {
    let mut dice = Dice(1);
    let (rows, [inputs, outputs]) = (128, [320, 320]);
    let x = dice.tensor([1, rows, inputs]);
    let weight = dice.tensor([inputs, outputs]);
    let flat = [f32s(x.clone()), f32s(weight.clone())];
    keeps_its_pace(
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
fn conv3x3_keeps_its_pace() {
    let mut dice = Dice(2);
    // Channels that Winograd's method takes, and some that it does not.
    for channels in [[64, 64], [30, 50]] {
        let side = 24;
        let [inputs, outputs] = channels;
        let x = dice.tensor([1, side, side, inputs]);
        let weight = dice.tensor([9 * inputs, outputs]);
        let none = Tensor::zeros([outputs], &Device::flex());
        let flat = [f32s(x.clone()), f32s(weight.clone())];
        keeps_its_pace(
            &format!("conv3x3 {inputs} to {outputs}"),
            || f32s(Cpu.conv3x3(Conv3x3::new(x.clone(), &weight, &none))),
            || plain::conv3x3(&flat[0], &flat[1], side, channels),
        );
    }
}

fn f32s<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}
