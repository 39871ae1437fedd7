//! GroupNorm and LayerNorm, against f64; and activations.

use burn::tensor::{DType, Tensor};
use darkroom::config::Activation;
use darkroom::ops::gpu::TileMemory;
use darkroom::ops::{Gpu, GroupNorm, Ops, Stock};

use super::harness::{Bench, sweep};
use crate::support::gpu;
use crate::support::random::Random;

fn values<const D: usize>(tensor: &Tensor<D>) -> Vec<f64> {
    let values: Vec<f32> = tensor.to_data().try_to_vec().unwrap();
    values.into_iter().map(f64::from).collect()
}

/// Mean and reciprocal standard deviation.
fn statistics(values: impl Iterator<Item = f64> + Clone, eps: f64) -> (f64, f64) {
    let count = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / count;
    let variance = values.map(|v| (v - mean) * (v - mean)).sum::<f64>() / count;
    (mean, (variance + eps).sqrt().recip())
}

/// A random mean for values of which `count` are normalised together. A few similar values far from
/// zero are an ill-conditioned problem, in which the mean's own rounding shows.
fn mean(random: &mut Random, count: usize) -> f32 {
    match count {
        0..=30 => random.one_of(&[0.0, 0.5]),
        _ => random.one_of(&[0.0, 0.5, -8.0, 100.0]),
    }
}

/// A GroupNorm of `[n, h, w, c]`, with the channels of `x` and of `skip`.
#[derive(Debug, Clone, Copy)]
struct Groups {
    n: usize,
    size: [usize; 2],
    channels: [usize; 2],
    groups: usize,
    silu: bool,
    eps: f64,
    /// Mean of the values.
    mean: f32,
}

impl Groups {
    fn reference(&self, x: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f32> {
        let c = weight.len();
        let each = c / self.groups;
        let image = self.size[0] * self.size[1] * c;
        let mut y = vec![0.0; x.len()];
        for start in (0..self.n).map(|i| i * image) {
            for group in 0..self.groups {
                let indices = (start..start + image)
                    .step_by(c)
                    .flat_map(|row| (0..each).map(move |i| row + group * each + i));
                let (mean, scale) = statistics(indices.clone().map(|i| x[i]), self.eps);
                for i in indices {
                    let value = (x[i] - mean) * scale * weight[i % c] + bias[i % c];
                    y[i] = match self.silu {
                        true => value / (1.0 + (-value).exp()),
                        false => value,
                    } as f32;
                }
            }
        }
        y
    }

    fn check(&self, bench: &mut Bench, gpu: Gpu) {
        let Groups {
            n, size: [h, w], ..
        } = *self;
        let [first, second] = self.channels;
        let c = first + second;
        let x = bench.view([n, h, w, first], 2.0, self.mean);
        let skip = (second > 0).then(|| bench.view([n, h, w, second], 1.0, 0.5));
        let weight = bench.vector(c, 0.3, 1.0);
        let bias = bench.vector(c, 0.3, 0.2);
        let all = match &skip {
            Some(skip) => Tensor::cat(vec![x.cpu, skip.cpu.clone()], 3),
            None => x.cpu,
        };
        let reference = self.reference(&values(&all), &values(&weight.cpu), &values(&bias.cpu));
        // The statistics may be computed in any number of parts.
        for parts in [1, 4, 64] {
            bench.poison_in([n, self.groups, parts, 4], DType::F32);
        }
        bench.poison([n, h, w, c]);
        let got = gpu.group_norm(GroupNorm {
            x: x.gpu,
            skip: skip.map(|t| t.gpu),
            weight: &weight.gpu,
            bias: &bias.gpu,
            groups: self.groups,
            eps: self.eps,
            silu: self.silu,
        });
        let what = format!("{:?} {self:?}", bench.dtype);
        bench.compare(got, bench.expected(reference, [n, h, w, c]), &what);
    }
}

#[test]
fn group_norm_matches_f64() {
    sweep("GroupNorm", 5, group_norm);
}

fn group_norm(bench: &mut Bench, gpu: Gpu) {
    let random = &mut bench.random;
    let groups = random.one_of(&[1, 2, 3, 5, 8, 32]);
    let channels = groups * random.one_of(&[1, 2, 3, 4, 5, 8, 10]);
    let skip = match random.below(3) {
        0 if channels > 1 => 1 + random.below(channels - 1),
        1 if channels > 4 && channels.is_multiple_of(4) => 4 * (1 + random.below(channels / 4 - 1)),
        _ => 0,
    };
    let size = [1 + random.below(14), 1 + random.below(14)];
    let case = Groups {
        n: random.one_of(&[1, 1, 2, 3]),
        size,
        channels: [channels - skip, skip],
        groups,
        silu: random.coin(),
        eps: random.one_of(&[1e-5, 1e-6]),
        mean: mean(random, size[0] * size[1] * channels / groups),
    };
    case.check(bench, gpu);
}

/// The sizes have more workgroups than one dimension holds, maps of large pictures, groups wider
/// than a workgroup, and groups in parts.
#[test]
fn group_norm_of_any_size_matches_f64() {
    let Some(adapter) = gpu::Gpu::new("GroupNorm of any size") else {
        return;
    };
    let case = |n, size, channels, groups, mean| Groups {
        n,
        size,
        channels,
        groups,
        silu: true,
        eps: 1e-6,
        mean,
    };
    let large = [
        case(70_000, [1, 1], [4, 0], 2, 0.5),
        case(1, [1031, 1033], [1, 0], 1, 0.5),
    ];
    let small = [
        case(1, [5, 3], [1300, 1260], 2, 0.5),
        case(1, [3, 3], [1031, 0], 1, -8.0),
        case(2, [64, 64], [64, 0], 32, 100.0),
        case(1, [61, 67], [20, 12], 8, 0.5),
        case(1, [61, 67], [13, 8], 7, -8.0),
        case(2, [24, 24], [640, 320], 32, 0.5),
    ];
    for tiles in [TileMemory::Registers, TileMemory::Workgroup] {
        let gpu = Gpu::new(tiles == TileMemory::Registers);
        for dtype in adapter.dtypes() {
            let mut bench = Bench::new(8, &adapter, dtype);
            small.iter().for_each(|case| case.check(&mut bench, gpu));
        }
        let mut bench = Bench::new(8, &adapter, DType::F32);
        large.iter().for_each(|case| case.check(&mut bench, gpu));
    }
}

#[test]
fn layer_norm_matches_f64() {
    sweep("LayerNorm", 6, layer_norm);
}

fn layer_norm(bench: &mut Bench, gpu: Gpu) {
    let random = &mut bench.random;
    let n = random.one_of(&[1, 1, 2, 3]);
    let t = random.one_of(&[1, 2, 3, 4, 7, 31, 64, 77]);
    let c = random.one_of(&[1, 2, 3, 4, 5, 31, 32, 64, 77, 320, 768]);
    let mean = mean(random, c);
    let what = format!("{:?} layer norm n {n} t {t} c {c} mean {mean}", bench.dtype);
    let x = bench.view([n, t, c], 1.0, mean);
    let weight = bench.vector(c, 0.3, 1.0);
    let bias = bench.vector(c, 0.3, 0.2);
    let (scales, shifts) = (values(&weight.cpu), values(&bias.cpu));
    let reference = values(&x.cpu)
        .chunks(c)
        .flat_map(|row| {
            let (mean, scale) = statistics(row.iter().copied(), 1e-5);
            let finish = |i: usize| (row[i] - mean) * scale * scales[i] + shifts[i];
            (0..c).map(|i| finish(i) as f32).collect::<Vec<f32>>()
        })
        .collect();
    bench.poison([n, t, c]);
    let got = gpu.layer_norm(x.gpu, &weight.gpu, &bias.gpu, 1e-5);
    bench.compare(got, bench.expected(reference, [n, t, c]), &what);
}

#[test]
fn activation_matches_the_cpu() {
    sweep("activations", 7, activation);
}

fn activation(bench: &mut Bench, gpu: Gpu) {
    let random = &mut bench.random;
    let shape = [
        1 + random.below(3),
        1 + random.below(80),
        1 + random.below(80),
    ];
    let activation = random.one_of(&[Activation::Gelu, Activation::QuickGelu]);
    let x = bench.view(shape, 3.0, 0.0);
    let what = format!("{:?} {activation:?} of {shape:?}", bench.dtype);
    let expected = Stock.activation(x.cpu, activation);
    bench.poison(shape);
    let got = gpu.activation(x.gpu, activation);
    bench.compare(got, expected, &what);
}
