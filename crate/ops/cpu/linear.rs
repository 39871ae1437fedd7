//! Linear layers: matrix products with bias, residual and GELU gates.

use super::math;
use super::product::{Right, Rows, add_product};
use super::weights::Weights;

/// Computes `[x, skip]·weight + bias + residual`, where `weight` has so many outputs.
/// [`crate::ops::Linear`] has the shapes.
pub fn linear(
    x: Rows,
    skip: Option<Rows>,
    (weight, outputs): (Weights, usize),
    bias: Option<&[f32]>,
    residual: Option<&[f32]>,
) -> Vec<f32> {
    let rows = x.data.len() / x.width;
    let mut out = Vec::with_capacity(rows * outputs);
    match bias {
        Some(bias) => started(&mut out, bias, residual, rows),
        None => started(&mut out, &vec![0.0; outputs], residual, rows),
    }
    match skip {
        Some(skip) => {
            let inner = x.width + skip.width;
            add_product(&mut out, outputs, &(x, skip), Right::Weights(weight), inner);
        }
        None => add_product(&mut out, outputs, &x, Right::Weights(weight), x.width),
    }
    out
}

/// Computes `a ⊙ gelu(b)` where `[a, b] = x·weight + bias`.
pub fn geglu(x: Rows, weight: Weights, bias: &[f32]) -> Vec<f32> {
    let both = linear(x, None, (weight, bias.len()), Some(bias), None);
    let width = bias.len() / 2;
    let mut out = vec![0.0; both.len() / 2];
    for (out, row) in out
        .chunks_exact_mut(width)
        .zip(both.chunks_exact(2 * width))
    {
        let (a, b) = row.split_at(width);
        for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
            *out = a * math::gelu(*b);
        }
    }
    out
}

/// Appends the start values that a product is added to: `rows` times `start`, plus `residual` where
/// there is one. Memory written this way need not be zeroed first.
pub fn started(out: &mut Vec<f32>, start: &[f32], residual: Option<&[f32]>, rows: usize) {
    match residual {
        Some(residual) => {
            for row in residual.chunks_exact(start.len()) {
                out.extend(row.iter().zip(start).map(|(x, start)| x + start));
            }
        }
        None => {
            for _ in 0..rows {
                out.extend_from_slice(start);
            }
        }
    }
}
