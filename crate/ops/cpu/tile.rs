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
    let mut panel = panel;
    let mut sums = [[0.0; COLUMNS]; M];
    for rows in runs {
        let (now, later) = panel.split_at(rows[0].len());
        panel = later;
        let rows: [&[f32]; M] = from_fn(|i| &rows[i][..now.len()]);
        for (k, columns) in now.iter().enumerate() {
            for (sums, row) in sums.iter_mut().zip(&rows) {
                for (sum, column) in sums.iter_mut().zip(columns) {
                    *sum += row[k] * column;
                }
            }
        }
    }
    sums
}

/// Multiplies M rows with a panel, for processors with AVX2 and fused multiply-add.
///
/// The vectors are explicit: LLVM's own loop checks an index for each row and loads the panel again
/// for each multiply-add. With M = 6 the sums fill twelve of sixteen registers.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
#[inline]
pub fn product_avx2<const M: usize>(runs: Runs<M>, mut panel: Panel) -> [[f32; COLUMNS]; M] {
    use std::arch::x86_64::{
        _mm256_broadcast_ss, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_setzero_ps, _mm256_storeu_ps,
    };
    let mut sums = [[_mm256_setzero_ps(); 2]; M];
    for rows in runs {
        let (now, later) = panel.split_at(rows[0].len());
        panel = later;
        let rows: [&[f32]; M] = from_fn(|i| &rows[i][..now.len()]);
        for (k, columns) in now.iter().enumerate() {
            // SAFETY: `columns` has sixteen values, and every row has as many as `now`.
            unsafe {
                let low = _mm256_loadu_ps(columns.as_ptr());
                let high = _mm256_loadu_ps(columns.as_ptr().add(8));
                for (sums, row) in sums.iter_mut().zip(&rows) {
                    let value = _mm256_broadcast_ss(row.get_unchecked(k));
                    sums[0] = _mm256_fmadd_ps(value, low, sums[0]);
                    sums[1] = _mm256_fmadd_ps(value, high, sums[1]);
                }
            }
        }
    }
    sums.map(|[low, high]| {
        let mut values = [0.0; COLUMNS];
        // SAFETY: `values` has room for both vectors.
        unsafe {
            _mm256_storeu_ps(values.as_mut_ptr(), low);
            _mm256_storeu_ps(values.as_mut_ptr().add(8), high);
        }
        values
    })
}

/// Variant of [`product_avx2`] for processors with AVX-512: a row of the panel is one vector.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
#[inline]
pub fn product_avx512<const M: usize>(runs: Runs<M>, mut panel: Panel) -> [[f32; COLUMNS]; M] {
    use std::arch::x86_64::{
        _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps,
    };
    let mut sums = [_mm512_setzero_ps(); M];
    for rows in runs {
        let (now, later) = panel.split_at(rows[0].len());
        panel = later;
        let rows: [&[f32]; M] = from_fn(|i| &rows[i][..now.len()]);
        for (k, columns) in now.iter().enumerate() {
            // SAFETY: `columns` has sixteen values, and every row has as many as `now`.
            unsafe {
                let columns = _mm512_loadu_ps(columns.as_ptr());
                for (sum, row) in sums.iter_mut().zip(&rows) {
                    *sum = _mm512_fmadd_ps(_mm512_set1_ps(*row.get_unchecked(k)), columns, *sum);
                }
            }
        }
    }
    sums.map(|sum| {
        let mut values = [0.0; COLUMNS];
        // SAFETY: `values` has room for the vector.
        unsafe { _mm512_storeu_ps(values.as_mut_ptr(), sum) };
        values
    })
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

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    /// The same sums one by one, each with a fused multiply-add.
    fn expected(rows: &[Vec<f32>; 6], panel: Panel) -> [[f32; COLUMNS]; 6] {
        from_fn(|i| {
            from_fn(|j| {
                let terms = rows[i].iter().zip(panel);
                terms.fold(0.0, |sum, (a, columns)| a.mul_add(columns[j], sum))
            })
        })
    }

    #[test]
    fn every_kind_of_vector_gives_the_same_bits() {
        let value = |i: usize| (i * 7919 % 1000) as f32 / 997.0 - 0.5;
        for (first, second) in [(0, 1), (1, 0), (3, 4), (64, 192)] {
            let inner = first + second;
            let rows: [Vec<f32>; 6] = from_fn(|i| (0..inner).map(|k| value(31 * i + k)).collect());
            let panel: Vec<[f32; COLUMNS]> =
                (0..inner).map(|k| from_fn(|j| value(17 * k + j))).collect();
            let runs: [[&[f32]; 6]; 2] = [
                from_fn(|i| &rows[i][..first]),
                from_fn(|i| &rows[i][first..]),
            ];
            let expected = expected(&rows, &panel);
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                // SAFETY: the processor has these instructions.
                assert_eq!(unsafe { product_avx2(&runs, &panel) }, expected);
            }
            if is_x86_feature_detected!("avx512f") {
                // SAFETY: the processor has these instructions.
                assert_eq!(unsafe { product_avx512(&runs, &panel) }, expected);
            }
        }
    }
}
