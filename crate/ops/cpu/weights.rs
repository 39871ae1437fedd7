//! Matrices of weights in f32, or in f16 where a model would not fit into memory otherwise. Those are widened where
//! products pack them, a block at a time: each weight once in a product of all rows.

use half::f16;
use half::slice::HalfFloatSliceExt;

/// A matrix, row by row.
#[derive(Clone, Copy)]
pub enum Weights<'a> {
    /// In f32.
    Single(&'a [f32]),
    /// In f16.
    Half(&'a [f16]),
}

impl Weights<'_> {
    /// Copies as many values as there is room for, from `start` on.
    #[inline(always)]
    pub fn copy(self, start: usize, to: &mut [f32]) {
        match self {
            Weights::Single(values) => to.copy_from_slice(&values[start..][..to.len()]),
            Weights::Half(values) => values[start..][..to.len()].convert_to_f32_slice(to),
        }
    }
}
