//! Matrix products and convolutions.

use burn::tensor::DType;
use darkroom::ops::{Conv3x3, Gpu, Linear, Ops, Stock};

use super::harness::{Bench, sweep_tiles};

/// Skip connection, bias or timestep embedding, residual: the networks' combinations, and all
/// together. (Every combination is a shader of its own, which takes longer to compile than to run;
/// `every_shader_is_valid` has them all.)
const FUSED: [[bool; 3]; 6] = [
    [false, true, false],
    [true, true, true],
    [false, false, true],
    [false, false, false],
    [false, true, true],
    [true, true, false],
];

/// Number of combinations in f16, where only the types differ.
const FUSED_HALF: usize = 2;

fn fused(bench: &mut Bench) -> [bool; 3] {
    let kinds = match bench.dtype {
        DType::F16 => FUSED_HALF,
        _ => FUSED.len(),
    };
    bench.random.one_of(&FUSED[..kinds])
}

/// True if weights are stored in f16. Each combination of fused operations has one of the two
/// types: with both there would be twice as many shaders to compile.
fn half_weights(outputs: usize, fused: bool) -> bool {
    outputs.is_multiple_of(4) == fused
}

const CHANNELS: [usize; 14] = [1, 2, 3, 4, 5, 8, 12, 13, 16, 28, 31, 32, 40, 64];

#[test]
fn convolution_matches_the_cpu() {
    sweep_tiles("convolution", 1, convolution);
}

fn convolution(bench: &mut Bench, gpu: Gpu) {
    let [_, add, residual] = fused(bench);
    let random = &mut bench.random;
    let n = random.one_of(&[1, 1, 2, 3]);
    let (h, w) = (1 + random.below(11), 1 + random.below(11));
    let channels = random.one_of(&CHANNELS);
    let outputs = random.one_of(&CHANNELS) + random.one_of(&[0, 0, 0, 61, 128]);
    let stride = random.one_of(&[1, 1, 2]);
    let upsample_to = match random.below(4) {
        0 => Some([2 * h, 2 * w]),
        1 => Some([h + random.below(7), w + random.below(7)]),
        _ => None,
    };
    let add_rows = if add { random.one_of(&[1, n]) } else { 0 };
    let half = half_weights(outputs, add);
    let what = format!(
        "{:?} conv, half weights {half}, n {n} {h}×{w} channels {channels} → {outputs} \
         stride {stride} upsample {upsample_to:?} add {add_rows} residual {residual}",
        bench.dtype
    );
    let x = bench.view([n, h, w, channels], 1.0, 0.3);
    let weight = bench.weight(
        [9 * channels, outputs],
        (channels as f32 * 9.0).powf(-0.5),
        half,
    );
    let bias = bench.vector(outputs, 0.5, 0.1);
    let add = (add_rows > 0).then(|| bench.tensor([add_rows, outputs], 0.5, 0.0));
    let mut args = Conv3x3::new(x.cpu, &weight.cpu, &bias.cpu);
    (args.stride, args.upsample_to) = (stride, upsample_to);
    let [h, w] = args.output_size();
    let residual = residual.then(|| bench.tensor([n, h, w, outputs], 0.5, 0.0));
    args.add = add.as_ref().map(|t| t.cpu.clone());
    args.residual = residual.as_ref().map(|t| t.cpu.clone());
    let expected = Stock.conv3x3(args);
    bench.poison([n, h, w, outputs]);
    let got = gpu.conv3x3(Conv3x3 {
        x: x.gpu,
        weight: &weight.gpu,
        bias: &bias.gpu,
        stride,
        upsample_to,
        add: add.map(|t| t.gpu),
        residual: residual.map(|t| t.gpu),
    });
    bench.compare(got, expected, &what);
}

/// Sizes of products: ones, primes, and sizes around those of tiles.
const SIZES: [usize; 14] = [1, 2, 3, 4, 7, 8, 16, 31, 32, 60, 64, 65, 77, 128];

#[test]
fn linear_matches_the_cpu() {
    sweep_tiles("matrix product", 2, linear);
}

fn linear(bench: &mut Bench, gpu: Gpu) {
    let [skip, bias, residual] = fused(bench);
    let random = &mut bench.random;
    let n = random.one_of(&[1, 1, 2, 3]);
    let t = random.one_of(&SIZES);
    let channels = random.one_of(&SIZES);
    let skip = if skip {
        random.one_of(&[channels, 4, 5])
    } else {
        0
    };
    let outputs = random.one_of(&SIZES) + random.one_of(&[0, 0, 0, 61, 128]);
    let half = half_weights(outputs, bias);
    let what = format!(
        "{:?} linear, half weights {half}, n {n} t {t} channels {channels}+{skip} → {outputs} \
         bias {bias} residual {residual}",
        bench.dtype
    );
    let inputs = channels + skip;
    let x = bench.view([n, t, channels], 1.0, 0.3);
    let skip = (skip > 0).then(|| bench.view([n, t, skip], 1.0, -0.2));
    let weight = bench.weight([inputs, outputs], (inputs as f32).powf(-0.5), half);
    let bias = bias.then(|| bench.vector(outputs, 0.5, 0.1));
    let residual = residual.then(|| bench.view([n, t, outputs], 0.5, 0.0));
    let expected = Stock.linear(Linear {
        x: x.cpu,
        skip: skip.as_ref().map(|t| t.cpu.clone()),
        weight: &weight.cpu,
        bias: bias.as_ref().map(|t| &t.cpu),
        residual: residual.as_ref().map(|t| t.cpu.clone()),
    });
    bench.poison([n, t, outputs]);
    let got = gpu.linear(Linear {
        x: x.gpu,
        skip: skip.map(|t| t.gpu),
        weight: &weight.gpu,
        bias: bias.as_ref().map(|t| &t.gpu),
        residual: residual.map(|t| t.gpu),
    });
    bench.compare(got, expected, &what);
}

#[test]
fn geglu_matches_the_cpu() {
    sweep_tiles("GEGLU", 3, geglu);
}

fn geglu(bench: &mut Bench, gpu: Gpu) {
    let random = &mut bench.random;
    let n = random.one_of(&[1, 1, 2, 3]);
    let t = random.one_of(&SIZES);
    let channels = random.one_of(&SIZES);
    let outputs = random.one_of(&SIZES) + random.one_of(&[0, 0, 0, 61, 128]);
    let half = half_weights(outputs, channels.is_multiple_of(4));
    let what = format!(
        "{:?} geglu, half weights {half}, n {n} t {t} {channels} → {outputs}",
        bench.dtype
    );
    let x = bench.view([n, t, channels], 1.0, 0.3);
    let weight = bench.weight(
        [channels, 2 * outputs],
        1.5 * (channels as f32).powf(-0.5),
        half,
    );
    let bias = bench.vector(2 * outputs, 0.5, 0.1);
    let expected = Stock.geglu(x.cpu, &weight.cpu, &bias.cpu);
    bench.poison([n, t, outputs]);
    let got = gpu.geglu(x.gpu, &weight.gpu, &bias.gpu);
    bench.compare(got, expected, &what);
}
