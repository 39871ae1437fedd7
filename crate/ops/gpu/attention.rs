//! Attention in one pass over the keys.

use burn::tensor::{DType, Tensor};

use super::Tiles;
use super::launch::{Kernel, launch, memory, tensor};
use crate::ops::Attention;

/// How the register kernel divides its work. Measured with heads of 40 on a loaded machine, in GFLOP/s of one core, for
/// 1, 2 and 4 queries at a time: 2.7, 5.4 and 8.8 on lavapipe, 0.9, 1.5 and 2.1 on SwiftShader. The text to compile
/// grows likewise: one invocation holds all of a query and of its result.
mod registers {
    /// Widest head, in vectors of four. Wider ones take SwiftShader above ten seconds to compile, and have to be split.
    pub const HEAD_AT_MOST: u32 = 16;
    /// Queries of an invocation.
    pub const QUERIES: u32 = 4;
    /// Keys between two rescalings of the sums.
    pub const KEYS: u32 = 2;
    /// Invocations in a workgroup: lavapipe's vectors are eight wide.
    pub const LANES: u32 = 8;
}

/// How the kernel for wide heads divides its work.
mod split {
    /// Queries of an invocation.
    pub const QUERIES: u32 = 8;
    /// Keys between two exchanges of scores.
    pub const KEYS: u32 = 2;
    /// Invocations in a workgroup, at least: as many as lavapipe's vectors are wide.
    pub const LANES: u32 = 8;

    /// Invocations that share a head of `vectors` vectors.
    pub fn parts(vectors: u32) -> u32 {
        match vectors {
            0..=20 => 4,
            21..=48 => 8,
            49..=128 => 16,
            _ => 32,
        }
    }
}

/// Whether there is a kernel for heads of `width`.
pub fn possible(width: usize) -> bool {
    width > 0 && width.is_multiple_of(4) && width <= 1024
}

/// A kernel, and the queries of one of its workgroups.
fn kernel(_tiles: Tiles, half: bool, width: usize) -> (Kernel, u32) {
    let head = (width / 4) as u32;
    if head <= registers::HEAD_AT_MOST {
        let kernel = Kernel::new(
            "attention",
            include_str!("attention_registers.wgsl"),
            registers::LANES,
            half,
            [
                ("HEAD", head.into()),
                ("QUERIES", registers::QUERIES.into()),
                ("KEYS", registers::KEYS.into()),
            ],
        );
        return (kernel, registers::LANES * registers::QUERIES);
    }
    let parts = split::parts(head);
    let lanes = split::LANES.max(parts);
    let teams = lanes / parts;
    let kernel = Kernel::new(
        "attention_split",
        include_str!("attention_split.wgsl"),
        lanes,
        half,
        [
            ("HEAD", head.into()),
            ("PARTS", parts.into()),
            ("VECTORS", head.div_ceil(parts).into()),
            ("TEAMS", teams.into()),
            ("QUERIES", split::QUERIES.into()),
            ("KEYS", split::KEYS.into()),
        ],
    );
    (kernel, teams * split::QUERIES)
}

/// A kernel for each of `widths` of heads.
pub fn variants(tiles: Tiles, widths: &[usize]) -> Vec<Kernel> {
    widths
        .iter()
        .flat_map(|&width| [false, true].map(|half| kernel(tiles, half, width).0))
        .collect()
}

/// See [`Ops::attention`](crate::ops::Ops::attention); for widths of heads that are [`possible`].
pub fn attention(tiles: Tiles, args: Attention) -> Tensor<3> {
    let [n, t, c] = args.q.dims();
    let keys = args.k.dims()[1];
    let width = c / args.heads;
    let dtype = args.q.dtype();
    let (kernel, queries) = kernel(tiles, dtype == DType::F16, width);
    let scale = std::f64::consts::LOG2_E / (width as f64).sqrt();
    let params = [
        t as u32,
        keys as u32,
        args.heads as u32,
        args.causal.into(),
        (scale as f32).to_bits(),
    ];
    let groups = [t.div_ceil(queries as usize), args.heads, n];
    let (q, k, v) = (memory(args.q), memory(args.k), memory(args.v));
    tensor(launch(
        kernel,
        &[&q, &k, &v],
        [n, t, c],
        dtype,
        &params,
        groups,
    ))
}
