//! The operations against their definitions, in f64 and as simple as possible.

use darkroom::ops::{Attention, Conv3x3, Cpu, GroupNorm, Linear, Ops};

use super::{Cases, compare, values};

fn linear(x: &[f64], weight: &[f64], bias: &[f64], inputs: usize) -> Vec<f64> {
    let outputs = bias.len();
    let row = |x: &[f64]| -> Vec<f64> {
        let sum = |o| {
            (0..inputs)
                .map(|i| x[i] * weight[i * outputs + o])
                .sum::<f64>()
        };
        (0..outputs).map(|o| bias[o] + sum(o)).collect()
    };
    x.chunks(inputs).flat_map(row).collect()
}

/// The convolution of one image.
fn conv3x3(
    x: &[f64],
    [h, w, c]: [usize; 3],
    weight: &[f64],
    bias: &[f64],
    stride: usize,
) -> Vec<f64> {
    let outputs = bias.len();
    let at = |y: usize, x_: usize, i: usize| {
        let inside = (1..=h).contains(&y) && (1..=w).contains(&x_);
        if inside {
            x[((y - 1) * w + x_ - 1) * c + i]
        } else {
            0.0
        }
    };
    let mut out = Vec::new();
    for y in (0..h).step_by(stride) {
        for x in (0..w).step_by(stride) {
            for o in 0..outputs {
                let mut sum = bias[o];
                for (dy, dx, i) in (0..3)
                    .flat_map(|dy| (0..3).flat_map(move |dx| (0..c).map(move |i| (dy, dx, i))))
                {
                    let row = (dy * 3 + dx) * c + i;
                    sum += at(y + dy, x + dx, i) * weight[row * outputs + o];
                }
                out.push(sum);
            }
        }
    }
    out
}

/// The attention of one sequence.
fn attention(q: &[f64], k: &[f64], v: &[f64], heads: usize, d: usize, causal: bool) -> Vec<f64> {
    let width = heads * d;
    let mut out = vec![0.0; q.len()];
    for head in 0..heads {
        for (query, (q, out)) in q.chunks(width).zip(out.chunks_mut(width)).enumerate() {
            let part = head * d..(head + 1) * d;
            let score = |k: &[f64]| -> f64 {
                let products = q[part.clone()].iter().zip(&k[part.clone()]);
                products.map(|(q, k)| q * k).sum::<f64>() / (d as f64).sqrt()
            };
            let seen = if causal { query + 1 } else { usize::MAX };
            let weights: Vec<f64> = k.chunks(width).take(seen).map(|k| score(k).exp()).collect();
            let sum: f64 = weights.iter().sum();
            for (weight, v) in weights.iter().zip(v.chunks(width)) {
                for (out, v) in out[part.clone()].iter_mut().zip(&v[part.clone()]) {
                    *out += weight / sum * v;
                }
            }
        }
    }
    out
}

/// The GroupNorm of one image.
fn group_norm(
    x: &[f64],
    weight: &[f64],
    bias: &[f64],
    groups: usize,
    eps: f64,
    silu: bool,
) -> Vec<f64> {
    let channels = weight.len();
    let size = channels / groups;
    let group = |g: usize| {
        let of = move |(i, _): &(usize, &f64)| i % channels / size == g;
        x.iter().enumerate().filter(of).map(|(_, x)| *x)
    };
    let count = (x.len() / groups) as f64;
    let statistics: Vec<(f64, f64)> = (0..groups)
        .map(|g| {
            let mean = group(g).sum::<f64>() / count;
            let variance = group(g).map(|x| (x - mean).powi(2)).sum::<f64>() / count;
            (mean, (variance + eps).sqrt())
        })
        .collect();
    let value = |(i, x): (usize, &f64)| {
        let (mean, deviation) = statistics[i % channels / size];
        let y = (x - mean) / deviation * weight[i % channels] + bias[i % channels];
        if silu { y / (1.0 + (-y).exp()) } else { y }
    };
    x.iter().enumerate().map(value).collect()
}

#[test]
fn cpu_products_equal_their_definitions_in_f64() {
    let mut random = Cases::new(4);
    for (t, c, out) in [(5, 3000, 33), (97, 64, 128), (1, 1, 1)] {
        let (x, weight, bias) = (
            random.tensor([1, t, c]),
            random.tensor([c, out]),
            random.tensor([out]),
        );
        let expected = linear(
            &values(x.clone()),
            &values(weight.clone()),
            &values(bias.clone()),
            c,
        );
        let actual = Cpu.linear(Linear {
            x,
            skip: None,
            weight: &weight,
            bias: Some(&bias),
            residual: None,
        });
        compare(
            &values(actual),
            &expected,
            &format!("linear {t}×{c} → {out}"),
        );
    }
    for (h, w, c, out, stride) in [
        (9, 7, 130, 20, 1),
        (9, 9, 320, 64, 1),
        (8, 5, 16, 33, 2),
        (1, 1, 3, 4, 1),
    ] {
        let x = random.tensor([1, h, w, c]);
        let (weight, bias) = (random.tensor([9 * c, out]), random.tensor([out]));
        let expected = conv3x3(
            &values(x.clone()),
            [h, w, c],
            &values(weight.clone()),
            &values(bias.clone()),
            stride,
        );
        let actual = Cpu.conv3x3(Conv3x3 {
            stride,
            ..Conv3x3::new(x, &weight, &bias)
        });
        compare(
            &values(actual),
            &expected,
            &format!("conv3x3 {h}×{w}×{c} → {out}"),
        );
    }
}

#[test]
fn cpu_attention_equals_its_definition_in_f64() {
    let mut random = Cases::new(5);
    for (t, s, heads, d, causal) in [
        (77, 77, 4, 32, true),
        (40, 300, 2, 40, false),
        (1, 1, 1, 1, true),
    ] {
        let q = random.tensor([1, t, heads * d]) * 8.0;
        let [k, v] = [(); 2].map(|()| random.tensor([1, s, heads * d]));
        let [q64, k64, v64] = [&q, &k, &v].map(|tensor| values(tensor.clone()));
        let expected = attention(&q64, &k64, &v64, heads, d, causal);
        let actual = Cpu.attention(Attention {
            q,
            k,
            v,
            heads,
            causal,
        });
        compare(
            &values(actual),
            &expected,
            &format!("attention {t}×{s}×{heads}·{d}"),
        );
    }
}

#[test]
fn cpu_norms_equal_their_definitions_in_f64() {
    let mut random = Cases::new(6);
    // A mean of fifty deviations: one-pass statistics in f32 would be wrong in the fourth digit.
    for (center, h, c, groups, silu) in [
        (0.0, 64, 32, 8, true),
        (30.0, 16, 96, 32, false),
        (0.0, 1, 8, 8, false),
    ] {
        let x = random.around(center, [1, h, h, c]);
        let (weight, bias) = (random.tensor([c]), random.tensor([c]));
        let [x64, weight64, bias64] = [
            values(x.clone()),
            values(weight.clone()),
            values(bias.clone()),
        ];
        let expected = group_norm(&x64, &weight64, &bias64, groups, 1e-5, silu);
        let actual = Cpu.group_norm(GroupNorm {
            x,
            skip: None,
            weight: &weight,
            bias: &bias,
            groups,
            eps: 1e-5,
            silu,
        });
        compare(
            &values(actual),
            &expected,
            &format!("group_norm {h}×{h}×{c} around {center}"),
        );
    }
    // A LayerNorm is a GroupNorm of one position with one group.
    let x = random.around(30.0, [1, 1, 320]);
    let (weight, bias) = (random.tensor([320]), random.tensor([320]));
    let expected = group_norm(
        &values(x.clone()),
        &values(weight.clone()),
        &values(bias.clone()),
        1,
        1e-5,
        false,
    );
    let actual = Cpu.layer_norm(x, &weight, &bias, 1e-5);
    compare(&values(actual), &expected, "layer_norm");
}
