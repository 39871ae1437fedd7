//! Attention in one pass over the keys.

use burn::tensor::{DType, Tensor};

use super::TileMemory;
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

/// How the kernel for GPUs divides its work. Not measured on a GPU yet; what the sizes aim at is said beside them.
mod workgroup {
    /// Widest head, in vectors of four: with 128 an invocation's results take 64 registers.
    pub const HEAD_AT_MOST: u32 = 128;
    /// Vectors of workgroup memory: the 16 KiB that WebGPU promises.
    pub const TILE: u32 = 1024;
    /// Invocations in a workgroup that WebGPU promises.
    const LANES_AT_MOST: u32 = 256;
    /// Vectors of workgroup memory that shares take at most, so that values have a place beside them.
    const SHARES_AT_MOST: u32 = 640;
    /// Vectors of the head between two barriers while scores are computed.
    const DEPTH_AT_MOST: u32 = 8;

    /// Numbers of the same names in the shader.
    #[derive(Debug, Clone, Copy)]
    pub struct Division {
        /// Invocations side by side, over keys and over the head.
        pub side: u32,
        /// Invocations above each other, over queries.
        pub stack: u32,
        /// Queries of an invocation.
        pub queries: u32,
        /// Vectors of the head of an invocation.
        pub vectors: u32,
        /// Vectors of the head whose products are computed between two barriers.
        pub depth: u32,
        /// Vectors from one row of queries or keys to the next. Odd, or rows would begin in the same banks.
        pub pitch: u32,
        /// Vectors from one row of shares to the next; likewise where there is room.
        pub shares: u32,
        /// Shares, of four keys each, that are used between two barriers.
        pub slab: u32,
    }

    impl Division {
        /// For heads of `head` vectors, at most [`HEAD_AT_MOST`].
        pub fn new(head: u32) -> Self {
            // An invocation's results are to be 8 vectors for the heads that take most of the time (40 and 64: eight
            // multiplications for each vector read), and never more than 16.
            let vectors = match head {
                0..=8 => 1,
                9..=40 => 2,
                41..=80 => 4,
                _ => 8,
            };
            let queries = if vectors == 8 { 2 } else { 4 };
            let side = head.div_ceil(vectors).max(4);
            let most = (LANES_AT_MOST / side).min(SHARES_AT_MOST / (side * queries));
            let stack = 1 << most.ilog2();
            let rows = stack * queries;
            let lanes = side * stack;
            let odd = side | 1;
            let shares = match rows * odd + lanes.max(4 * head) <= TILE {
                true => odd,
                false => side,
            };
            let slab = ((TILE - rows * shares) / (4 * head)).min(side);
            let slab = side.div_ceil(side.div_ceil(slab));
            // A barrier is counted as much as a vector of products, and so is what goes beyond the head.
            let cost = |depth: &u32| head.next_multiple_of(*depth) + head.div_ceil(*depth);
            let depth = (1..=DEPTH_AT_MOST)
                .filter(|depth| (rows + 4 * side) * (depth | 1) <= TILE)
                .min_by_key(|depth| (cost(depth), head.next_multiple_of(*depth)))
                .unwrap_or(1);
            Division {
                side,
                stack,
                queries,
                vectors,
                depth,
                pitch: depth | 1,
                shares,
                slab,
            }
        }

        /// Vectors of workgroup memory that are used.
        pub fn tile(&self, head: u32) -> u32 {
            let rows = self.stack * self.queries;
            let lanes = self.side * self.stack;
            let scores = (rows + 4 * self.side) * self.pitch;
            scores.max(rows * self.shares + lanes.max(4 * self.slab * head))
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn every_head_fits_the_limits() {
            for head in 1..=HEAD_AT_MOST {
                let d = Division::new(head);
                assert!(d.side * d.stack <= LANES_AT_MOST, "{head}: {d:?}");
                assert!(d.tile(head) <= TILE, "{head}: {d:?} {}", d.tile(head));
                assert!(d.side * d.vectors >= head, "{head}: {d:?}");
                assert!(
                    d.slab >= 1 && d.depth >= 1 && d.queries <= 4,
                    "{head}: {d:?}"
                );
            }
        }
    }
}

/// Whether there is a kernel for heads of `width`.
pub fn possible(width: usize) -> bool {
    width > 0 && width.is_multiple_of(4) && width <= 1024
}

/// A kernel, and the queries of one of its workgroups.
fn kernel(tiles: TileMemory, half: bool, width: usize) -> (Kernel, u32) {
    let head = (width / 4) as u32;
    if tiles == TileMemory::Workgroup && head <= workgroup::HEAD_AT_MOST {
        let d = workgroup::Division::new(head);
        let kernel = Kernel::new(
            "attention_workgroup",
            include_str!("attention_workgroup.wgsl"),
            d.side * d.stack,
            half,
            [
                ("HEAD", head.into()),
                ("SIDE", d.side.into()),
                ("STACK", d.stack.into()),
                ("QUERIES", d.queries.into()),
                ("VECTORS", d.vectors.into()),
                ("DEPTH", d.depth.into()),
                ("RAGGED", (!head.is_multiple_of(d.depth)).into()),
                ("PITCH", d.pitch.into()),
                ("SHARES", d.shares.into()),
                ("SLAB", d.slab.into()),
                ("TILE", d.tile(head).into()),
            ],
        );
        return (kernel, d.stack * d.queries);
    }
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
pub fn variants(tiles: TileMemory, widths: &[usize]) -> Vec<Kernel> {
    widths
        .iter()
        .flat_map(|&width| [false, true].map(|half| kernel(tiles, half, width).0))
        .collect()
}

/// See [`Ops::attention`](crate::ops::Ops::attention); for widths of heads that are [`possible`].
pub fn attention(tiles: TileMemory, args: Attention) -> Tensor<3> {
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
