//! The hot operations in Burn's own tensor operations. They are slow on a GPU, but correct on every
//! device Burn has. Our own kernels are compared with them, in value and in time (`--stock`).

use burn::tensor::activation::{gelu, sigmoid, silu, softmax};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{DType, Int, Tensor, module};

use super::{Attention, Conv3x3, GroupNorm, Linear, MAX_SCORES, NagImages, Ops};
use crate::config::Activation;

/// Burn's own operations, on any device.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stock;

impl Ops for Stock {
    fn conv3x3(&self, args: Conv3x3) -> Tensor<4> {
        let mut x = args.x;
        if let Some([h, w]) = args.upsample_to {
            x = nearest(x, h, w);
        }
        let dtype = x.dtype();
        let inputs = x.dims()[3];
        let outputs = args.weight.dims()[1];
        let weight = args
            .weight
            .clone()
            .cast(dtype)
            .reshape([3, 3, inputs, outputs])
            .permute([3, 2, 0, 1]);
        let options = ConvOptions::new([args.stride; 2], [1, 1], [1, 1], 1);
        let y = module::conv2d(
            x.permute([0, 3, 1, 2]),
            weight,
            Some(args.bias.clone().cast(dtype)),
            options,
        )
        .permute([0, 2, 3, 1]);
        let y = match args.add {
            Some(add) => {
                let [n, c] = add.dims();
                y + add.reshape([n, 1, 1, c])
            }
            None => y,
        };
        plus(y, args.residual)
    }

    fn linear(&self, args: Linear) -> Tensor<3> {
        let x = with_skip(args.x, args.skip);
        plus(product(x, args.weight, args.bias), args.residual)
    }

    fn geglu(&self, x: Tensor<3>, weight: &Tensor<2>, bias: &Tensor<1>) -> Tensor<3> {
        let mut halves = product(x, weight, Some(bias)).chunk(2, 2).into_iter();
        match (halves.next(), halves.next()) {
            (Some(a), Some(b)) => a * gelu(b),
            _ => unreachable!("chunk(2) of an even width gives two parts"),
        }
    }

    fn attention(&self, args: Attention) -> Tensor<3> {
        let Attention {
            q,
            k,
            v,
            heads,
            causal,
        } = args;
        let [n, t, c] = q.dims();
        let s = k.dims()[1];
        let (k, v) = (k.narrow(0, 0, n), v.narrow(0, 0, n));
        let d = c / heads;
        let dtype = q.dtype();
        // q is scaled first, because SD2.1's scores q·kᵀ would exceed f16's 65504 otherwise.
        let q = split_heads(q, heads).mul_scalar(1.0 / (d as f64).sqrt());
        let k = split_heads(k, heads).swap_dims(2, 3);
        let v = split_heads(v, heads);
        let rows = (MAX_SCORES / (n * heads * s)).max(1);
        let parts = (0..t)
            .step_by(rows)
            .map(|start| {
                let rows = rows.min(t - start);
                let mut scores = q
                    .clone()
                    .narrow(2, start, rows)
                    .matmul(k.clone())
                    .cast(DType::F32);
                if causal {
                    let device = scores.device();
                    let row =
                        Tensor::<1, Int>::arange(start as i64..(start + rows) as i64, &device)
                            .reshape([1, 1, rows, 1]);
                    let column =
                        Tensor::<1, Int>::arange(0..s as i64, &device).reshape([1, 1, 1, s]);
                    let hidden = column
                        .expand([n, heads, rows, s])
                        .greater(row.expand([n, heads, rows, s]));
                    scores = scores.mask_fill(hidden, -1e30);
                }
                softmax(scores, 3).cast(dtype).matmul(v.clone())
            })
            .collect();
        Tensor::cat(parts, 2).swap_dims(1, 2).reshape([n, t, c])
    }

    fn group_norm(&self, args: GroupNorm) -> Tensor<4> {
        let x = with_skip(args.x, args.skip);
        let dtype = x.dtype();
        let [n, h, w, c] = x.dims();
        let g = args.groups;
        let x = x.cast(DType::F32).reshape([n, h * w, g, c / g]);
        let mean = x.clone().mean_dim(1).mean_dim(3);
        let x = x - mean;
        let variance = x.clone().square().mean_dim(1).mean_dim(3);
        let x = x / variance.add_scalar(args.eps).sqrt();
        let x = x.reshape([n, h, w, c]) * args.weight.clone().reshape([1, 1, 1, c])
            + args.bias.clone().reshape([1, 1, 1, c]);
        let x = if args.silu { silu(x) } else { x };
        x.cast(dtype)
    }

    fn layer_norm(
        &self,
        x: Tensor<3>,
        weight: &Tensor<1>,
        bias: &Tensor<1>,
        eps: f64,
    ) -> Tensor<3> {
        let dtype = x.dtype();
        let x = x.cast(DType::F32);
        let mean = x.clone().mean_dim(2);
        let x = x - mean;
        let variance = x.clone().square().mean_dim(2);
        let x = x / variance.add_scalar(eps).sqrt();
        let x = x * weight.clone().unsqueeze() + bias.clone().unsqueeze();
        x.cast(dtype)
    }
}

/// Implements [`Ops::attention_with_nag`] by `attention` and Burn's element-wise operations.
pub(super) fn attention_with_nag(
    attention: &dyn Fn(Attention) -> Tensor<3>,
    args: Attention,
    guided: NagImages,
) -> Tensor<3> {
    let NagImages { first, prompt, nag } = guided;
    let [n, t, c] = args.q.dims();
    let [_, s, _] = args.k.dims();
    let negative = |x: &Tensor<3>| x.clone().narrow(0, prompt, 1).expand([n - first, s, c]);
    let negative = attention(Attention {
        q: args.q.clone().narrow(0, first, n - first),
        k: negative(&args.k),
        v: negative(&args.v),
        ..args
    });
    let z = attention(args);
    let dtype = z.dtype();
    let positive = z.clone().narrow(0, first, n - first).cast(DType::F32);
    let negative = negative.cast(DType::F32);
    let away = positive.clone() * nag.scale - negative * (nag.scale - 1.0);
    let norm = |x: &Tensor<3>| x.clone().abs().sum_dim(2);
    let limit = norm(&positive) * nag.tau;
    // min(ρ, τ)/ρ; the divisor is never zero.
    let shrink = limit.clone() / norm(&away).max_pair(limit).clamp_min(f32::MIN_POSITIVE);
    let guided = away * (shrink * nag.alpha) + positive * (1.0 - nag.alpha);
    z.slice_assign([first..n, 0..t, 0..c], guided.cast(dtype))
}

/// Implements [`Ops::attention_with_identity`] by `attention`.
pub(super) fn attention_with_identity(
    attention: &dyn Fn(Attention) -> Tensor<3>,
    args: Attention,
) -> Tensor<3> {
    let last = args.q.dims()[0] - 1;
    let itself = args.v.clone().narrow(0, last, 1);
    let others = attention(Attention {
        q: args.q.clone().narrow(0, 0, last),
        ..args
    });
    Tensor::cat(vec![others, itself], 0)
}

/// The text encoder's activation in Burn's element-wise operations.
pub(super) fn activation(x: Tensor<3>, activation: Activation) -> Tensor<3> {
    match activation {
        Activation::Gelu => gelu(x),
        Activation::QuickGelu => x.clone() * sigmoid(x.mul_scalar(1.702)),
    }
}

/// Implements [`Ops::side_by_side`], with zeros between the parts.
pub(super) fn side_by_side(parts: Vec<(Tensor<2>, usize)>, width: usize) -> Tensor<2> {
    let (first, _) = &parts[0];
    let rows = first.dims()[0];
    let result = Tensor::zeros([rows, width], (&first.device(), first.dtype()));
    parts.into_iter().fold(result, |result, (part, start)| {
        let end = start + part.dims()[1];
        result.slice_assign([0..rows, start..end], part)
    })
}

/// `x` and `skip` side by side in the last dimension.
fn with_skip<const D: usize>(x: Tensor<D>, skip: Option<Tensor<D>>) -> Tensor<D> {
    match skip {
        Some(skip) => Tensor::cat(vec![x, skip], D - 1),
        None => x,
    }
}

fn plus<const D: usize>(x: Tensor<D>, residual: Option<Tensor<D>>) -> Tensor<D> {
    match residual {
        Some(residual) => x + residual,
        None => x,
    }
}

/// `[n, t, c]·[c, out] + [out]`, the batch folded into the rows: one matrix product instead of one
/// for each batch entry.
fn product(x: Tensor<3>, weight: &Tensor<2>, bias: Option<&Tensor<1>>) -> Tensor<3> {
    let dtype = x.dtype();
    let [n, t, c] = x.dims();
    let y = x.reshape([n * t, c]).matmul(weight.clone().cast(dtype));
    let y = match bias {
        Some(bias) => y + bias.clone().cast(dtype).unsqueeze(),
        None => y,
    };
    let outputs = weight.dims()[1];
    y.reshape([n, t, outputs])
}

/// `[n, t, heads·d]` → `[n, heads, t, d]`
fn split_heads(x: Tensor<3>, heads: usize) -> Tensor<4> {
    let [n, t, c] = x.dims();
    x.reshape([n, t, heads, c / heads]).swap_dims(1, 2)
}

/// Nearest-neighbour enlargement of `[n, h, w, c]`, source index `⌊i·h/h'⌋` as torch's
/// `interpolate`.
fn nearest(x: Tensor<4>, height: usize, width: usize) -> Tensor<4> {
    let [_, h, w, _] = x.dims();
    let device = x.device();
    let index = |from: usize, to: usize| {
        let list: Vec<i32> = (0..to).map(|i| (i * from / to) as i32).collect();
        Tensor::<1, Int>::from_data(list.as_slice(), &device)
    };
    x.select(1, index(h, height)).select(2, index(w, width))
}
