//! Attention.

use burn::tensor::DType;
use darkroom::ops::{Attention, Gpu, Ops, Stock};

use super::harness::{Bench, sweep};

/// The widths of heads are those of Stable Diffusion, and a narrow one. (Each is a shader of its
/// own.) Wide heads are slow, so they are rarer.
#[test]
fn attention_matches_the_cpu() {
    sweep("attention", 4, |bench, gpu| match bench.dtype {
        DType::F32 => attention(bench, gpu, [&[4, 40, 64], &[80, 160, 512]]),
        _ => attention(bench, gpu, [&[40, 64], &[80, 160]]),
    });
}

/// The widths are those of no model: some that no workgroup holds, and some that only Burn's own
/// operations can compute.
#[test]
#[ignore = "compiles large shaders for a minute or more"]
fn attention_of_any_width_matches_the_cpu() {
    let wide = [1, 3, 80, 100, 128, 160, 164, 320, 400, 512, 516, 1024];
    sweep("attention of any width", 9, |bench, gpu| {
        attention(bench, gpu, [&[4, 8, 12, 20, 24, 48, 56], &wide]);
    });
}

fn attention(bench: &mut Bench, gpu: Gpu, [common, rare]: [&[usize]; 2]) {
    let random = &mut bench.random;
    let n = random.one_of(&[1, 1, 2, 3]);
    let width = match random.below(6) {
        0 => random.one_of(rare),
        _ => random.one_of(common),
    };
    let heads = if width > 64 { 1 } else { 1 + random.below(5) };
    let causal = random.below(3) == 0;
    let queries = random.one_of(&[1, 2, 5, 16, 31, 64, 77, 100]);
    let keys = match causal {
        true => queries,
        false => random.one_of(&[1, 2, 3, 4, 7, 64, 77, 131]),
    };
    // Up to scores of some tens, where a softmax selects nearly one key.
    let scale = random.one_of(&[0.3, 1.0, 3.0]);
    let what = format!(
        "{:?} attention n {n} heads {heads}×{width} {queries} queries {keys} keys \
         causal {causal} scale {scale}",
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
}
