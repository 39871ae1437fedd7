//! Attention in one pass over the keys.

use burn::tensor::{DType, Tensor};

use super::Tiles;
use super::launch::{Kernel, launch, memory, tensor};
use crate::ops::Attention;

/// Invocations in a workgroup.
const LANES: u32 = 16;
/// Keys between two rescalings of the sums.
const KEYS: u32 = 4;
/// Widest head whose query and sums an invocation holds whole, in vectors of four; of a wider one it does a part.
const VECTORS_AT_MOST: u32 = 40;
/// Vectors in a part.
const VECTORS_IN_PART: u32 = 16;

/// Whether there is a kernel for heads of `width`.
pub fn possible(width: usize) -> bool {
    width > 0 && width.is_multiple_of(4)
}

#[derive(Debug, Clone, Copy)]
struct Shape {
    half: bool,
    /// Width of a head in vectors.
    head: u32,
}

impl Shape {
    fn whole(self) -> bool {
        self.head <= VECTORS_AT_MOST
    }

    fn parts(self) -> u32 {
        if self.whole() {
            1
        } else {
            self.head.div_ceil(VECTORS_IN_PART)
        }
    }

    /// Queries of an invocation.
    fn queries(self) -> u32 {
        if self.head <= 20 { 2 } else { 1 }
    }

    fn kernel(self) -> Kernel {
        let vectors = if self.whole() {
            self.head
        } else {
            VECTORS_IN_PART
        };
        Kernel::new(
            "attention",
            include_str!("attention_registers.wgsl"),
            LANES,
            self.half,
            [
                ("HEAD", self.head.into()),
                ("WHOLE", self.whole().into()),
                ("PARTS", self.parts().into()),
                ("VECTORS", vectors.into()),
                ("QUERIES", self.queries().into()),
                ("KEYS", KEYS.into()),
            ],
        )
    }
}

/// A kernel for each of `widths` of heads.
pub fn variants(widths: &[usize]) -> Vec<Kernel> {
    widths
        .iter()
        .flat_map(|&width| {
            [false, true].map(|half| {
                Shape {
                    half,
                    head: width as u32 / 4,
                }
                .kernel()
            })
        })
        .collect()
}

/// See [`Ops::attention`](crate::ops::Ops::attention); for widths of heads that are [`possible`].
pub fn attention(_tiles: Tiles, args: Attention) -> Tensor<3> {
    let [n, t, c] = args.q.dims();
    let keys = args.k.dims()[1];
    let width = c / args.heads;
    let dtype = args.q.dtype();
    let shape = Shape {
        half: dtype == DType::F16,
        head: (width / 4) as u32,
    };
    let scale = std::f64::consts::LOG2_E / (width as f64).sqrt();
    let params = [
        t as u32,
        keys as u32,
        args.heads as u32,
        args.causal.into(),
        (scale as f32).to_bits(),
    ];
    let groups = [
        t.div_ceil((LANES * shape.queries()) as usize),
        args.heads * shape.parts() as usize,
        n,
    ];
    let (q, k, v) = (memory(args.q), memory(args.k), memory(args.v));
    tensor(launch(
        shape.kernel(),
        &[&q, &k, &v],
        [n, t, c],
        dtype,
        &params,
        groups,
    ))
}
