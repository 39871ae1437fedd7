//! Attention in one pass over the keys.

use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;

use super::TileMemory;
use super::launch::{Kernel, contiguous, launch};
use crate::ops::{Attention, NagImages};
#[cfg(feature = "testing")]
use crate::sampling::Nag;

/// Division of work in the register kernel. Measured with heads of 40 on a loaded machine, in
/// GFLOP/s of one core, for 1, 2 and 4 queries at a time: 2.7, 5.4 and 8.8 on lavapipe, 0.9, 1.5
/// and 2.1 on SwiftShader. The text to compile grows as fast: one invocation holds all of a query
/// and of its result.
mod registers {
    /// Widest head, in vectors of four. Wider heads take SwiftShader more than ten seconds to
    /// compile, and are split.
    pub const MAX_HEAD: u32 = 16;
    /// Queries of an invocation.
    pub const QUERIES: u32 = 4;
    /// Keys between two rescalings of the sums.
    pub const KEYS: u32 = 2;
    /// Invocations in a workgroup. Lavapipe's vectors are eight wide.
    pub const LANES: u32 = 8;
}

/// Division of work in the kernel for wide heads.
mod split {
    /// Queries of an invocation.
    pub const QUERIES: u32 = 8;
    /// Keys between two exchanges of scores.
    pub const KEYS: u32 = 2;
    /// Minimum number of invocations in a workgroup: the width of lavapipe's vectors.
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

/// Division of work in the kernel for GPUs. Not measured on a GPU yet; each size has its aim beside
/// it.
mod workgroup {
    /// Widest head, in vectors of four. At 128 an invocation's results take 64 registers.
    pub const MAX_HEAD: u32 = 128;
    /// Vectors of workgroup memory: the 16 KiB that WebGPU guarantees.
    pub const TILE: u32 = 1024;
    /// Invocations in a workgroup that WebGPU guarantees.
    const MAX_LANES: u32 = 256;
    /// Maximum number of vectors of workgroup memory for shares, so that values have room beside
    /// them.
    const MAX_SHARES: u32 = 640;
    /// Maximum number of vectors of the head between two barriers while scores are computed.
    const MAX_DEPTH: u32 = 8;

    /// Numbers that have the same names in the shader.
    #[derive(Debug, Clone, Copy)]
    pub struct Division {
        /// Invocations along keys and along the head.
        pub side: u32,
        /// Invocations along queries.
        pub stack: u32,
        /// Queries of an invocation.
        pub queries: u32,
        /// Vectors of the head of an invocation.
        pub vectors: u32,
        /// Vectors of the head that are multiplied between two barriers.
        pub depth: u32,
        /// Vectors from one row of queries or keys to the next. Odd, because rows would begin in
        /// the same banks otherwise.
        pub pitch: u32,
        /// Vectors from one row of shares to the next. Odd too where there is room.
        pub shares: u32,
        /// Shares of four keys each that are used between two barriers.
        pub slab: u32,
    }

    impl Division {
        /// Division for heads of `head` vectors, at most [`MAX_HEAD`].
        pub fn new(head: u32) -> Self {
            // An invocation has 8 vectors of results for the heads that take most of the time (40
            // and 64: eight multiplications for each vector read), and never more than 16.
            let vectors = match head {
                0..=8 => 1,
                9..=40 => 2,
                41..=80 => 4,
                _ => 8,
            };
            let queries = if vectors == 8 { 2 } else { 4 };
            let side = head.div_ceil(vectors).max(4);
            let most = (MAX_LANES / side).min(MAX_SHARES / (side * queries));
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
            // A barrier costs as much as a vector of products, and so does a vector beyond the
            // head.
            let cost = |depth: &u32| head.next_multiple_of(*depth) + head.div_ceil(*depth);
            let depth = (1..=MAX_DEPTH)
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

        /// Number of vectors of workgroup memory that are used.
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
            for head in 1..=MAX_HEAD {
                let d = Division::new(head);
                assert!(d.side * d.stack <= MAX_LANES, "{head}: {d:?}");
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

/// True where there is a kernel for heads of `width`.
pub fn possible(width: usize) -> bool {
    width > 0 && width.is_multiple_of(4) && width <= 1024
}

/// A kernel, and the number of queries of one of its workgroups.
fn kernel(memory: TileMemory, half: bool, special: Special, width: usize) -> (Kernel, u32) {
    let [nag, identity] = special.flags();
    let head = (width / 4) as u32;
    if memory == TileMemory::Workgroup && head <= workgroup::MAX_HEAD {
        let d = workgroup::Division::new(head);
        let kernel = Kernel::new(
            "attention_workgroup",
            include_str!("attention_workgroup.wgsl"),
            d.side * d.stack,
            half,
            [
                ("HEAD", head.into()),
                ("NAG", nag.into()),
                ("IDENTITY", identity.into()),
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
    if head <= registers::MAX_HEAD {
        let kernel = Kernel::new(
            "attention",
            include_str!("attention_registers.wgsl"),
            registers::LANES,
            half,
            [
                ("HEAD", head.into()),
                ("NAG", nag.into()),
                ("IDENTITY", identity.into()),
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
            ("NAG", nag.into()),
            ("IDENTITY", identity.into()),
            ("PARTS", parts.into()),
            ("VECTORS", head.div_ceil(parts).into()),
            ("TEAMS", teams.into()),
            ("QUERIES", split::QUERIES.into()),
            ("KEYS", split::KEYS.into()),
        ],
    );
    (kernel, teams * split::QUERIES)
}

/// Kernels for each of `widths` of heads.
#[cfg(feature = "testing")]
pub fn variants(memory: TileMemory, widths: &[usize]) -> Vec<Kernel> {
    let nag = NagImages {
        first: 0,
        prompt: 0,
        nag: Nag::default(),
    };
    let specials = [Special::None, Special::Nag(nag), Special::Identity];
    let of = |width: usize| {
        specials
            .into_iter()
            .flat_map(move |s| [false, true].map(|half| kernel(memory, half, s, width).0))
    };
    widths.iter().flat_map(|&width| of(width)).collect()
}

/// Treatment of some of the images.
#[derive(Debug, Clone, Copy)]
pub enum Special {
    /// All images alike.
    None,
    /// Further attentions behind those of the images: of the guided ones to the negative prompt.
    Nag(NagImages),
    /// The identity as attention of the last image.
    Identity,
}

impl Special {
    /// The names NAG and IDENTITY of the shaders.
    fn flags(self) -> [bool; 2] {
        [
            matches!(self, Special::Nag(_)),
            matches!(self, Special::Identity),
        ]
    }
}

/// Computes the attentions of the images, and those that `special` adds. Widths of heads must be
/// [`possible`].
pub fn attention(memory: TileMemory, args: Attention, special: Special) -> CubeTensor {
    let [n, t, c] = args.q.dims();
    let keys = args.k.dims()[1];
    let width = c / args.heads;
    let dtype = args.q.dtype();
    let (kernel, queries) = kernel(memory, dtype == DType::F16, special, width);
    let scale = std::f64::consts::LOG2_E / (width as f64).sqrt();
    let mut params = vec![
        t as u32,
        keys as u32,
        args.heads as u32,
        args.causal.into(),
        (scale as f32).to_bits(),
    ];
    let mut results = n;
    match special {
        Special::None => {}
        Special::Nag(NagImages { first, prompt, .. }) => {
            params.extend([n, first, prompt].map(|number| number as u32));
            results += n - first;
        }
        Special::Identity => params.push((n - 1) as u32),
    }
    let groups = [t.div_ceil(queries as usize), args.heads, results];
    let (q, k, v) = (contiguous(args.q), contiguous(args.k), contiguous(args.v));
    launch(
        kernel,
        &[&q, &k, &v],
        [results, t, c],
        dtype,
        &params,
        groups,
    )
}
