//! GroupNorm in two passes, statistics in f32.

use burn::tensor::{DType, Tensor};

use super::TileMemory;
use super::launch::{Kernel, contiguous, launch, split, tensor, vector};
use super::template::Value;
use crate::ops::GroupNorm;

/// Division of work in both passes.
struct Division {
    /// Invocations in a workgroup of the first pass.
    statistics_lanes: u32,
    /// Workgroups that keep the adapter busy in the first pass. Positions are split until there are
    /// about so many.
    statistics_workgroups: usize,
    /// Invocations in a workgroup of the second pass.
    apply_lanes: u32,
    /// Positions of an invocation in the second pass.
    positions: u32,
}

/// Division for adapters that run on a CPU, where a workgroup is one thread's work.
const REGISTERS: Division = Division {
    statistics_lanes: 64,
    statistics_workgroups: 16,
    apply_lanes: 32,
    positions: 16,
};

/// Division for GPUs. Not measured on one yet.
const WORKGROUP: Division = Division {
    statistics_lanes: 256,
    statistics_workgroups: 512,
    apply_lanes: 256,
    positions: 8,
};

/// Groups of a workgroup of the first pass: the number of channels of four groups always divides by
/// four.
const BAND: u32 = 4;
/// Maximum number of parts of a group's positions. Every workgroup of the second pass reads all of
/// them.
const MAX_PARTS: usize = 64;
/// Minimum number of values that an invocation of the first pass should add up.
const MIN_VALUES: usize = 4;
/// Maximum number of invocations along channels in the second pass: 128 channels, four cache lines
/// of f16.
const MAX_COLUMNS: u32 = 32;

fn division(memory: TileMemory) -> Division {
    match memory {
        TileMemory::Registers => REGISTERS,
        TileMemory::Workgroup => WORKGROUP,
    }
}

/// Types of an array of elements that are one or four values wide, as they are stored and as they
/// are computed with.
pub fn types(half: bool, aligned: bool) -> [(&'static str, Value); 3] {
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

fn sources(skip: bool) -> (&'static str, Value) {
    ("SOURCES", if skip { "x skip" } else { "x" }.into())
}

fn statistics_kernel(memory: TileMemory, half: bool, skip: bool, aligned: bool) -> Kernel {
    Kernel::new(
        "group_statistics",
        include_str!("group_statistics.wgsl"),
        division(memory).statistics_lanes,
        half,
        types(half, aligned).into_iter().chain([
            sources(skip),
            ("BAND", BAND.into()),
            // A channel's value in an array of vectors.
            ("LANE", if aligned { "[c % 4]" } else { "" }.into()),
        ]),
    )
}

fn apply_kernel(memory: TileMemory, half: bool, skip: bool, aligned: bool, silu: bool) -> Kernel {
    let division = division(memory);
    Kernel::new(
        "group_apply",
        include_str!("group_apply.wgsl"),
        division.apply_lanes,
        half,
        types(half, aligned).into_iter().chain([
            sources(skip),
            ("COLUMNS", MAX_COLUMNS.into()),
            ("POSITIONS", division.positions.into()),
            ("SILU", silu.into()),
        ]),
    )
}

/// All variants of the kernels.
#[cfg(feature = "testing")]
pub fn variants(memory: TileMemory) -> Vec<Kernel> {
    let mut kernels = Vec::new();
    for bits in 0..16u32 {
        let bit = |i: u32| bits >> i & 1 == 1;
        kernels.push(apply_kernel(memory, bit(0), bit(1), bit(2), bit(3)));
        if bits < 8 {
            kernels.push(statistics_kernel(memory, bit(0), bit(1), bit(2)));
        }
    }
    kernels
}

/// Parts into which the first pass splits groups.
struct Parts {
    /// Workgroups over the channels of [`BAND`] groups.
    slabs: usize,
    /// Vectors of channels of each workgroup.
    columns: usize,
    /// Workgroups over the positions of an image.
    parts: usize,
    /// Positions of each part; the last may have fewer.
    positions: usize,
}

/// Splits `groups` groups of `size` vectors over [`BAND`] groups, of `positions` positions in each
/// of `images` images.
fn parts(
    division: &Division,
    images: usize,
    positions: usize,
    groups: usize,
    size: usize,
) -> Parts {
    let lanes = division.statistics_lanes as usize;
    let slabs = size.div_ceil(lanes);
    let columns = size.div_ceil(slabs);
    let rows = lanes / columns;
    let whole = groups.div_ceil(BAND as usize) * slabs * images;
    let most = (positions / (rows * MIN_VALUES)).clamp(1, MAX_PARTS);
    let parts = (division.statistics_workgroups / whole).clamp(1, most);
    let positions_each = positions.div_ceil(parts);
    Parts {
        slabs,
        columns,
        parts: positions.div_ceil(positions_each),
        positions: positions_each,
    }
}

/// Division of maps in the second pass.
struct Blocks {
    /// Vectors of channels of a workgroup.
    columns: usize,
    /// Workgroups over the positions of an image.
    blocks: usize,
    /// Workgroups in each dimension.
    groups: [usize; 3],
}

/// Divides `images` images of `positions` positions with `vectors` vectors of channels.
fn blocks(division: &Division, images: usize, positions: usize, vectors: usize) -> Blocks {
    // Blocks are as even as possible: 80 vectors are three times 27, not 32, 32 and 16.
    let column_blocks = vectors.div_ceil(MAX_COLUMNS as usize);
    let columns = vectors.div_ceil(column_blocks);
    let rows = division.apply_lanes as usize / columns;
    let blocks = positions.div_ceil(rows * division.positions as usize);
    let [y, z] = split(images * blocks);
    Blocks {
        columns,
        blocks,
        groups: [column_blocks, y, z],
    }
}

/// Implements [`Ops::group_norm`](crate::ops::Ops::group_norm).
pub fn group_norm(memory: TileMemory, args: GroupNorm) -> Tensor<4> {
    let [n, h, w, x_channels] = args.x.dims();
    let skip_channels = args.skip.as_ref().map_or(0, |skip| skip.dims()[3]);
    let channels = x_channels + skip_channels;
    let aligned = (x_channels | skip_channels).is_multiple_of(4);
    let width = if aligned { 4 } else { 1 };
    let dtype = args.x.dtype();
    let half = dtype == DType::F16;
    let skip = args.skip.is_some();
    let positions = h * w;
    let division = division(memory);

    let x = contiguous(args.x);
    let second = args.skip.map(contiguous);
    let mut inputs = vec![&x];
    inputs.extend(&second);

    let band = args.groups.min(BAND as usize) * (channels / args.groups);
    let parts = parts(&division, n, positions, args.groups, band.div_ceil(width));
    let all_parts = parts.parts * parts.slabs;
    let sizes = [
        n,
        positions,
        x_channels,
        skip_channels,
        args.groups,
        all_parts,
    ];
    let params = [parts.slabs, parts.positions, parts.columns];
    let [images, rest] = split(n);
    let statistics = launch(
        statistics_kernel(memory, half, skip, aligned),
        &inputs,
        [n, args.groups, all_parts, 4],
        DType::F32,
        &[&sizes.map(|n| n as u32)[..], &params.map(|n| n as u32)].concat(),
        [
            args.groups.div_ceil(BAND as usize) * all_parts,
            images,
            rest,
        ],
    );

    let (weight, bias) = (vector(args.weight), vector(args.bias));
    inputs.extend([&weight, &bias, &statistics]);
    let blocks = blocks(&division, n, positions, channels / width);
    let params = [
        blocks.columns as u32,
        blocks.blocks as u32,
        (args.eps as f32).to_bits(),
    ];
    tensor(launch(
        apply_kernel(memory, half, skip, aligned, args.silu),
        &inputs,
        [n, h, w, channels],
        dtype,
        &[&sizes.map(|n| n as u32)[..], &params].concat(),
        blocks.groups,
    ))
}

#[cfg(test)]
mod tests {
    use super::{MAX_PARTS, REGISTERS, WORKGROUP, parts};

    #[test]
    fn parts_cover_all_positions_and_channels() {
        for division in [REGISTERS, WORKGROUP] {
            for positions in [1, 2, 7, 64, 65, 1023, 4096, 1 << 20] {
                for size in [1, 3, 10, 80, 255, 256, 257, 2560] {
                    for images in [1, 2, 600] {
                        let p = parts(&division, images, positions, 32, size);
                        assert!(p.parts >= 1 && p.parts <= MAX_PARTS);
                        assert!(p.parts * p.positions >= positions);
                        assert!(
                            (p.parts - 1) * p.positions < positions,
                            "a part without positions"
                        );
                        assert!(p.columns <= division.statistics_lanes as usize);
                        assert!(p.slabs * p.columns >= size);
                    }
                }
            }
        }
    }
}
