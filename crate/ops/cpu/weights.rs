//! Matrices of weights in f32, or in f16 where a model would not fit into memory otherwise.
//! Products widen f16 as they pack it, a block at a time: each weight once in a product of all
//! rows.

use half::f16;
use half::slice::HalfFloatSliceExt;

/// Matrix, row by row.
#[derive(Clone, Copy)]
pub enum Weights<'a> {
    /// Values in f32.
    Single(&'a [f32]),
    /// Values in f16.
    Half(&'a [f16]),
}

impl Weights<'_> {
    /// Copies values from `start` on, as many as `to` has room for.
    #[inline(always)]
    pub fn copy(self, start: usize, to: &mut [f32]) {
        match self {
            Weights::Single(values) => to.copy_from_slice(&values[start..][..to.len()]),
            Weights::Half(values) => values[start..][..to.len()].convert_to_f32_slice(to),
        }
    }
}
