//! GroupNorm in two passes, LayerNorm in one; statistics in f32.

use burn::tensor::{DType, Tensor};

use super::Tiles;
use super::launch::{Kernel, launch, memory, split, tensor, vector};
use super::template::Value;
use crate::ops::GroupNorm;

/// Invocations that sum up a group together.
const STATISTICS_LANES: u32 = 64;
/// Invocations side by side over channels, in the second pass.
const APPLY_LANES: u32 = 32;
/// Positions of an invocation in the second pass.
const POSITIONS: u32 = 16;
/// Tokens of a workgroup of LayerNorm.
const LAYER_NORM_LANES: u32 = 16;

/// Types of an array whose elements are one or four values wide, as stored and as computed with.
fn types(half: bool, aligned: bool) -> [(&'static str, Value); 3] {
    let (data, wide) = match (half, aligned) {
        (false, false) => ("f32", "f32"),
        (true, false) => ("f16", "f32"),
        (false, true) => ("vec4<f32>", "vec4<f32>"),
        (true, true) => ("vec4<f16>", "vec4<f32>"),
    };
    [
        ("WIDTH", if aligned { 4 } else { 1 }.into()),
        ("DATA", data.into()),
        ("WIDE", wide.into()),
    ]
}

fn sources(skip: bool) -> [(&'static str, Value); 2] {
    [
        ("SKIP", skip.into()),
        ("SOURCES", if skip { "x skip" } else { "x" }.into()),
    ]
}

fn statistics_kernel(half: bool, skip: bool) -> Kernel {
    Kernel::new(
        "group_statistics",
        include_str!("group_statistics.wgsl"),
        STATISTICS_LANES,
        half,
        sources(skip),
    )
}

fn apply_kernel(half: bool, skip: bool, aligned: bool, silu: bool) -> Kernel {
    Kernel::new(
        "group_apply",
        include_str!("group_apply.wgsl"),
        APPLY_LANES,
        half,
        sources(skip)
            .into_iter()
            .chain(types(half, aligned))
            .chain([("POSITIONS", POSITIONS.into()), ("SILU", silu.into())]),
    )
}

fn layer_norm_kernel(half: bool, aligned: bool) -> Kernel {
    Kernel::new(
        "layer_norm",
        include_str!("layer_norm_registers.wgsl"),
        LAYER_NORM_LANES,
        half,
        types(half, aligned),
    )
}

/// Every variant of the kernels.
pub fn variants() -> Vec<Kernel> {
    let mut kernels = Vec::new();
    for bits in 0..16u32 {
        let bit = |i: u32| bits >> i & 1 == 1;
        kernels.push(apply_kernel(bit(0), bit(1), bit(2), bit(3)));
        if bits < 4 {
            kernels.push(statistics_kernel(bit(0), bit(1)));
            kernels.push(layer_norm_kernel(bit(0), bit(1)));
        }
    }
    kernels
}

/// See [`Ops::group_norm`](crate::ops::Ops::group_norm).
pub fn group_norm(_tiles: Tiles, args: GroupNorm) -> Tensor<4> {
    let [n, h, w, x_channels] = args.x.dims();
    let skip_channels = args.skip.as_ref().map_or(0, |skip| skip.dims()[3]);
    let channels = x_channels + skip_channels;
    let aligned = (x_channels | skip_channels).is_multiple_of(4);
    let dtype = args.x.dtype();
    let half = dtype == DType::F16;
    let skip = args.skip.is_some();
    let positions = h * w;

    let x = memory(args.x);
    let second = args.skip.map(memory);
    let mut inputs = vec![&x];
    inputs.extend(&second);
    let sizes = [positions, x_channels, skip_channels, args.groups].map(|n| n as u32);
    let [a, b, c, d] = sizes;
    let statistics = launch(
        statistics_kernel(half, skip),
        &inputs,
        [n, args.groups, 2],
        DType::F32,
        &[a, b, c, d, (args.eps as f32).to_bits()],
        [args.groups, n, 1],
    );
    let (weight, bias) = (vector(args.weight), vector(args.bias));
    inputs.extend([&weight, &bias, &statistics]);
    let vectors = if aligned { channels / 4 } else { channels };
    tensor(launch(
        apply_kernel(half, skip, aligned, args.silu),
        &inputs,
        [n, h, w, channels],
        dtype,
        &sizes,
        [
            vectors.div_ceil(APPLY_LANES as usize),
            positions.div_ceil(POSITIONS as usize),
            n,
        ],
    ))
}

/// See [`Ops::layer_norm`](crate::ops::Ops::layer_norm).
pub fn layer_norm(
    _tiles: Tiles,
    x: Tensor<3>,
    weight: &Tensor<1>,
    bias: &Tensor<1>,
    eps: f64,
) -> Tensor<3> {
    let [n, t, c] = x.dims();
    let dtype = x.dtype();
    let aligned = c % 4 == 0;
    let (x, weight, bias) = (memory(x), vector(weight), vector(bias));
    let [groups, rest] = split((n * t).div_ceil(LAYER_NORM_LANES as usize));
    tensor(launch(
        layer_norm_kernel(dtype == DType::F16, aligned),
        &[&x, &weight, &bias],
        [n, t, c],
        dtype,
        &[(n * t) as u32, c as u32, (eps as f32).to_bits()],
        [groups, rest, 1],
    ))
}
