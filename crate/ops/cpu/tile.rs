//! The innermost loop: a few rows times a panel of columns, with the sums in registers throughout.

use std::array::from_fn;

/// Columns of a tile, and of a panel of packed columns: two AVX2 or four 128-bit vectors.
pub const COLUMNS: usize = 16;

/// M rows, given in runs, times the panel that holds [`COLUMNS`] values for each value of a row.
#[cfg(not(target_arch = "wasm32"))]
#[inline(always)]
pub fn product<const M: usize>(
    runs: &[[&[f32]; M]],
    panel: &[[f32; COLUMNS]],
) -> [[f32; COLUMNS]; M] {
    product_with(runs, panel, |a, b, sum| a * b + sum)
}

/// As [`product`], for processors with a fused multiply-add: elsewhere it would be a function call.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub fn product_fused<const M: usize>(
    runs: &[[&[f32]; M]],
    panel: &[[f32; COLUMNS]],
) -> [[f32; COLUMNS]; M] {
    product_with(runs, panel, f32::mul_add)
}

#[cfg(not(target_arch = "wasm32"))]
#[inline(always)]
fn product_with<const M: usize>(
    runs: &[[&[f32]; M]],
    mut panel: &[[f32; COLUMNS]],
    multiply_add: impl Fn(f32, f32, f32) -> f32,
) -> [[f32; COLUMNS]; M] {
    let mut sums = [[0.0; COLUMNS]; M];
    for rows in runs {
        let (now, later) = panel.split_at(rows[0].len());
        panel = later;
        // Told that all have this length, the compiler checks no index in the loop.
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

/// M rows, given in runs, times the panel that holds [`COLUMNS`] values for each value of a row.
///
/// In explicit vectors: left to itself LLVM makes half as fast a loop of it.
#[cfg(target_arch = "wasm32")]
#[inline(always)]
pub fn product<const M: usize>(
    runs: &[[&[f32]; M]],
    mut panel: &[[f32; COLUMNS]],
) -> [[f32; COLUMNS]; M] {
    use std::arch::wasm32::{f32x4, f32x4_add, f32x4_extract_lane, f32x4_mul, f32x4_splat, v128};
    let mut sums: [[v128; COLUMNS / 4]; M] = [[f32x4_splat(0.0); _]; _];
    for rows in runs {
        let (now, later) = panel.split_at(rows[0].len());
        panel = later;
        // Told that all have this length, the compiler checks no index in the loop.
        let rows: [&[f32]; M] = from_fn(|i| &rows[i][..now.len()]);
        for (k, columns) in now.iter().enumerate() {
            let columns: [v128; COLUMNS / 4] = from_fn(|j| {
                f32x4(
                    columns[4 * j],
                    columns[4 * j + 1],
                    columns[4 * j + 2],
                    columns[4 * j + 3],
                )
            });
            for (sums, row) in sums.iter_mut().zip(&rows) {
                let value = f32x4_splat(row[k]);
                for (sum, columns) in sums.iter_mut().zip(&columns) {
                    *sum = f32x4_add(*sum, f32x4_mul(value, *columns));
                }
            }
        }
    }
    sums.map(|sums| {
        from_fn(|j| {
            let sums = sums[j / 4];
            match j % 4 {
                0 => f32x4_extract_lane::<0>(sums),
                1 => f32x4_extract_lane::<1>(sums),
                2 => f32x4_extract_lane::<2>(sums),
                _ => f32x4_extract_lane::<3>(sums),
            }
        })
    })
}
