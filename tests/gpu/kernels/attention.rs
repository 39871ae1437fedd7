//! Attention.

use burn::tensor::DType;
use darkroom::ops::{Attention, Gpu, NagImages, Ops, Stock};
use darkroom::sampling::Nag;

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

/// Guided are one image or several, away from any of the prompts, of which there may be more than
/// images.
#[test]
fn attention_with_nag_matches_the_cpu() {
    sweep("attention with NAG", 5, |bench, gpu| {
        let random = &mut bench.random;
        let (n, heads) = (1 + random.below(3), 1 + random.below(3));
        let prompts = n + random.below(2);
        let c = heads * random.one_of(&[4, 40, 40, 80]);
        let (queries, keys) = (random.one_of(&[1, 5, 31, 64]), random.one_of(&[1, 3, 77]));
        let guided = NagImages {
            first: random.below(n),
            prompt: random.below(prompts),
            nag: Nag {
                scale: random.one_of(&[1.5, 5.0, 11.0]),
                tau: random.one_of(&[1.0, 2.5]),
                alpha: random.one_of(&[0.25, 1.0]),
            },
        };
        let what =
            format!("{prompts} prompts, {queries} queries {keys} keys, {n} images: {guided:?}");
        let q = bench.view([n, queries, c], 1.0, 0.0);
        let [k, v] = [0.1, 0.2].map(|mean| bench.view([prompts, keys, c], 1.0, mean));
        let args = |q, k, v| Attention {
            q,
            k,
            v,
            heads,
            causal: false,
        };
        let expected = Stock.attention_with_nag(args(q.cpu, k.cpu, v.cpu), guided);
        bench.poison([2 * n - guided.first, queries, c]);
        let got = gpu.attention_with_nag(args(q.gpu, k.gpu, v.gpu), guided);
        bench.compare(got, expected, &what);
    });
}

#[test]
fn attention_with_the_identity_in_the_last_image_matches_the_cpu() {
    sweep("attention with the identity", 6, |bench, gpu| {
        let random = &mut bench.random;
        let (n, heads) = (2 + random.below(2), 1 + random.below(3));
        let c = heads * random.one_of(&[4, 40, 40, 80]);
        let shape = [n, random.one_of(&[1, 5, 31, 64, 77]), c];
        let what = format!("identity, {shape:?}, {heads} heads");
        let [q, k, v] = [0.0, 0.1, 0.2].map(|mean| bench.view(shape, 2.0, mean));
        let args = |q, k, v| Attention {
            q,
            k,
            v,
            heads,
            causal: false,
        };
        let expected = Stock.attention_with_identity(args(q.cpu, k.cpu, v.cpu));
        bench.poison(shape);
        let got = gpu.attention_with_identity(args(q.gpu, k.gpu, v.gpu));
        bench.compare(got, expected, &what);
    });
}

#[test]
fn images_are_appended_and_taken_from_the_front() {
    sweep("images", 7, |bench, gpu| {
        let random = &mut bench.random;
        let n = 1 + random.below(3);
        let (t, c) = (random.one_of(&[1, 5, 64]), random.one_of(&[3, 4, 20, 64]));
        let image = random.below(n);
        let x = bench.view([n, t, c], 1.0, 0.0);
        let from = bench.view([n, t, c], 1.0, 0.5);
        let expected = Stock.append(x.cpu, &from.cpu, image);
        bench.poison([n + 1, t, c]);
        let got = gpu.append(x.gpu, &from.gpu, image);
        let what = format!("image {image} of {n} appended, {t} tokens of {c}");
        bench.compare(got.clone(), expected.clone(), &what);
        let first = |x: burn::tensor::Tensor<3>| x.reshape([n + 1, t, 1, c]);
        let expected = Stock.first_images(first(expected), n);
        bench.compare(gpu.first_images(first(got), n), expected, &what);
    });
}
