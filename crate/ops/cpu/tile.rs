//! Innermost loop of a matrix product: a few rows times a panel of columns, with all sums in
//! registers.

use std::array::from_fn;

/// Columns of a tile and of a panel of packed columns: two AVX2 vectors or four 128-bit vectors.
pub const COLUMNS: usize = 16;

/// Runs of values that together make up M rows. The M slices of a run have the same length.
pub type Runs<'a, 'b, const M: usize> = &'a [[&'b [f32]; M]];

/// Panel of packed columns. It has a row for each value of a left row.
pub type Panel<'a> = &'a [[f32; COLUMNS]];

/// Multiplies M rows with the first Q·4 columns of a panel.
#[cfg(not(target_arch = "wasm32"))]
#[inline(never)]
pub fn product<const M: usize, const Q: usize>(runs: Runs<M>, panel: Panel) -> [[f32; COLUMNS]; M] {
    product_with(runs, panel, |a, b, sum| a * b + sum)
}

/// Variant of [`product`] for processors with a fused multiply-add. Elsewhere it would be a
/// function call.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub fn product_fused<const M: usize>(runs: Runs<M>, panel: Panel) -> [[f32; COLUMNS]; M] {
    product_with(runs, panel, f32::mul_add)
}

#[cfg(not(target_arch = "wasm32"))]
#[inline(always)]
fn product_with<const M: usize>(
    runs: Runs<M>,
    mut panel: Panel,
    multiply_add: impl Fn(f32, f32, f32) -> f32,
) -> [[f32; COLUMNS]; M] {
    let mut sums = [[0.0; COLUMNS]; M];
    for rows in runs {
        let (now, later) = panel.split_at(rows[0].len());
        panel = later;
        // With lengths that are known to be equal, the compiler checks no index in the loop.
        let rows: [&[f32]; M] = from_fn(|i| &rows[i][..now.len()]);
        for (k, columns) in now.iter().enumerate() {
            for (sums, row) in sums.iter_mut().zip(&rows) {
                for (sum, column) in sums.iter_mut().zip(columns) {
                    *sum = multiply_add(row[k], *column, *sum);
                }
            }
        }
    }
    sums
}

/// Multiplies M rows with the first Q·4 columns of a panel.
///
/// The vectors are explicit, because the loop that LLVM makes by itself is half as fast. It is a
/// function of its own, because 4×16 sums fill the registers: within a larger function V8 keeps
/// other values there.
#[cfg(target_arch = "wasm32")]
#[inline(never)]
pub fn product<const M: usize, const Q: usize>(
    runs: Runs<M>,
    mut panel: Panel,
) -> [[f32; COLUMNS]; M] {
    use std::arch::wasm32::{f32x4, f32x4_add, f32x4_extract_lane, f32x4_mul, f32x4_splat, v128};
    let mut sums: [[v128; Q]; M] = [[f32x4_splat(0.0); _]; _];
    for rows in runs {
        let (now, later) = panel.split_at(rows[0].len());
        panel = later;
        // With lengths that are known to be equal, the compiler checks no index in the loop.
        let rows: [&[f32]; M] = from_fn(|i| &rows[i][..now.len()]);
        for (k, columns) in now.iter().enumerate() {
            let (quads, _) = columns.as_chunks();
            let columns: [v128; Q] = from_fn(|q| {
                let [a, b, c, d] = quads[q];
                f32x4(a, b, c, d)
            });
            for (sums, row) in sums.iter_mut().zip(&rows) {
                let value = f32x4_splat(row[k]);
                for (sum, columns) in sums.iter_mut().zip(&columns) {
                    *sum = f32x4_add(*sum, f32x4_mul(value, *columns));
                }
            }
        }
    }
    sums.map(|row| {
        let mut values = [0.0; COLUMNS];
        let (quads, _) = values.as_chunks_mut();
        for (quad, sum) in quads.iter_mut().zip(row) {
            *quad = [
                f32x4_extract_lane::<0>(sum),
                f32x4_extract_lane::<1>(sum),
                f32x4_extract_lane::<2>(sum),
                f32x4_extract_lane::<3>(sum),
            ];
        }
        values
    })
}
