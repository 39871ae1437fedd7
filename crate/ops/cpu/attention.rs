//! Attention in tiles of keys, with a running softmax (FlashAttention, Dao et al. 2022).

use super::math;
use super::product::{Out, Packed, Right, Rows};
use super::threads;
use crate::ops::Attention;

/// Queries in a tile of scores.
const QUERIES: usize = 32;
/// Keys in a tile of scores. 32·256 scores are 32 KiB.
const KEYS: usize = 256;

/// Sizes of an attention, as in [`Attention`].
#[derive(Clone, Copy)]
pub struct Sizes {
    pub queries: usize,
    pub keys: usize,
    pub heads: usize,
    pub head_width: usize,
    pub causal: bool,
}

impl Sizes {
    pub fn of(args: &Attention) -> Self {
        let [_, queries, width] = args.q.dims();
        Sizes {
            queries,
            keys: args.k.dims()[1],
            heads: args.heads,
            head_width: width / args.heads,
            causal: args.causal,
        }
    }
}

/// Computes `softmax(q·kᵀ/√d)·v`: `q` `[n, t, heads·d]`, `k` and `v` `[n, s, heads·d]` →
/// `[n, t, heads·d]`
pub fn attention(q: &[f32], k: &[f32], v: &[f32], sizes: Sizes) -> Vec<f32> {
    let width = sizes.heads * sizes.head_width;
    let mut out = vec![0.0; q.len()];
    let sequences = out.chunks_mut(sizes.queries * width);
    for (sequence, out) in sequences.enumerate() {
        let q = &q[sequence * sizes.queries * width..];
        let k = &k[sequence * sizes.keys * width..];
        let v = &v[sequence * sizes.keys * width..];
        let share = sizes.queries.div_ceil(threads::count());
        threads::chunks(out, share * width, |index, out| {
            for head in 0..sizes.heads {
                attend(out, index * share, head, [q, k, v], sizes);
            }
        });
    }
    out
}

/// Computes one head's part of `out`. Its first row is query `first`.
fn attend(out: &mut [f32], first: usize, head: usize, [q, k, v]: [&[f32]; 3], sizes: Sizes) {
    let d = sizes.head_width;
    let stride = sizes.heads * d;
    let queries = out.len() / stride;
    let rows = |data, start: usize| {
        let data: &[f32] = data;
        Rows {
            data: &data[start * stride + head * d..],
            stride,
            width: d,
        }
    };
    let out = &mut out[head * d..];
    let scale = 1.0 / (d as f32).sqrt();
    let [mut packed_keys, mut packed_values] = [Packed::default(), Packed::default()];
    let mut scores = vec![0.0; QUERIES * KEYS.min(sizes.keys)];
    // For every query: the greatest score so far, and the sum of exponentials relative to it.
    let mut running = vec![(f32::NEG_INFINITY, 0.0f32); queries];

    for start in (0..sizes.keys).step_by(KEYS) {
        let keys = KEYS.min(sizes.keys - start);
        packed_keys.pack(Right::Columns(rows(k, start)), 0..d, keys);
        packed_values.pack(Right::Rows(rows(v, start)), 0..keys, d);
        let tiles = out.chunks_mut(QUERIES * stride);
        for (tile, (out, running)) in tiles.zip(running.chunks_mut(QUERIES)).enumerate() {
            let from = first + tile * QUERIES;
            let visible = |query: usize| match sizes.causal {
                true => (from + query + 1).saturating_sub(start).min(keys),
                false => keys,
            };
            if visible(running.len() - 1) == 0 {
                continue;
            }
            let scores = &mut scores[..running.len() * keys];
            let mut score_rows = Out {
                data: scores,
                stride: keys,
                width: keys,
            };
            packed_keys.set_product(&mut score_rows, &rows(q, from), 0);
            for (query, row) in scores.chunks_mut(keys).enumerate() {
                let rescale = softmax(row, visible(query), scale, &mut running[query]);
                for value in &mut out[query * stride..][..d] {
                    *value *= rescale;
                }
            }
            let mut out = Out {
                data: out,
                stride,
                width: d,
            };
            let weights = Rows::dense(scores, keys);
            packed_values.add_product(&mut out, &weights, 0);
        }
    }
    for (row, (_, sum)) in out.chunks_mut(stride).zip(running) {
        for value in &mut row[..d] {
            *value /= sum;
        }
    }
}

/// Turns the first `visible` scores of a row into weights relative to the greatest score so far,
/// and the others into 0. Returns the factor for the sum over earlier keys.
fn softmax(row: &mut [f32], visible: usize, scale: f32, running: &mut (f32, f32)) -> f32 {
    let (row, hidden) = row.split_at_mut(visible);
    hidden.fill(0.0);
    let (before, sum) = *running;
    let most = math::max(row).max(before);
    for score in row.iter_mut() {
        *score = math::exp((*score - most) * scale);
    }
    let rescale = if before == f32::NEG_INFINITY {
        0.0
    } else {
        math::exp((before - most) * scale)
    };
    *running = (most, sum * rescale + math::sum(row, |weight| weight));
    rescale
}
