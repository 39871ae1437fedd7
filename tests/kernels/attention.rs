//! Attention.

use darkroom::ops::{Attention, Ops, Stock};

use crate::harness::sweep;

#[test]
fn attention_matches_the_cpu() {
    sweep(4, |bench, gpu| {
        let random = &mut bench.random;
        let n = random.one_of(&[1, 1, 2, 3]);
        let width = match random.below(8) {
            0..=1 => random.one_of(&[1, 3, 6, 20, 80, 128, 160, 164, 320, 512, 516, 1024]),
            _ => random.one_of(&[4, 8, 12, 40, 64]),
        };
        let heads = if width > 64 { 1 } else { 1 + random.below(5) };
        let causal = random.below(3) == 0;
        let queries = random.one_of(&[1, 2, 5, 16, 31, 64, 77, 100]);
        let keys = match causal {
            true => queries,
            false => random.one_of(&[1, 2, 3, 4, 7, 64, 77, 131]),
        };
        // Up to scores of some tens, where a softmax is nearly a choice.
        let scale = random.one_of(&[0.3, 1.0, 3.0]);
        let what = format!(
            "{:?} attention n {n} heads {heads}×{width} {queries} queries {keys} keys causal {causal} scale {scale}",
            bench.dtype
        );
        let c = heads * width;
        let q = bench.view([n, queries, c], scale, 0.0);
        let k = bench.view([n, keys, c], scale, 0.1);
        let v = bench.view([n, keys, c], 1.0, 0.2);
        let expected = Stock.attention(Attention {
            q: q.cpu,
            k: k.cpu,
            v: v.cpu,
            heads,
            causal,
        });
        bench.poison([n, queries, c]);
        let got = gpu.attention(Attention {
            q: q.gpu,
            k: k.gpu,
            v: v.gpu,
            heads,
            causal,
        });
        bench.compare(got, expected, &what);
    });
}
