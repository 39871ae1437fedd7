//! The matrix product that convolutions, linear layers and attention all come down to.
//!
//! Rows of the left matrix are read where they lie, in runs: a 3×3 patch of a channels-last map is nine runs of
//! channels, so a convolution needs no im2col. The right matrix is packed, a block of rows at a time, into panels as
//! wide as a register tile. Then every tile of a few rows walks all panels: its rows stay in the first cache level and
//! the panels stream through in order.

use std::array::from_fn;
use std::ops::Range;

use super::threads;

/// The left matrix. Its rows need not lie in one piece.
pub trait Left: Sync {
    /// Calls `each` with the runs of values that make up row `row`, in order. All rows have runs of the same lengths.
    fn runs<'a>(&'a self, row: usize, each: impl FnMut(&'a [f32]));
}

/// Rows of `width` values, `stride` apart.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    pub data: &'a [f32],
    pub stride: usize,
    pub width: usize,
}

impl<'a> Rows<'a> {
    /// Rows that follow each other without gaps.
    pub fn dense(data: &'a [f32], width: usize) -> Self {
        Rows {
            data,
            stride: width,
            width,
        }
    }

    /// Row `row`.
    pub fn row(&self, row: usize) -> &'a [f32] {
        &self.data[row * self.stride..][..self.width]
    }
}

impl Left for Rows<'_> {
    fn runs<'a>(&'a self, row: usize, mut each: impl FnMut(&'a [f32])) {
        each(self.row(row));
    }
}

/// Two matrices side by side.
impl Left for (Rows<'_>, Rows<'_>) {
    fn runs<'a>(&'a self, row: usize, mut each: impl FnMut(&'a [f32])) {
        each(self.0.row(row));
        each(self.1.row(row));
    }
}

/// The right matrix, `[inner, outputs]`.
#[derive(Clone, Copy)]
pub enum Right<'a> {
    /// Its rows.
    Rows(Rows<'a>),
    /// Its columns.
    Columns(Rows<'a>),
}

/// Values of the right matrix that are packed at once: 256 KiB, which leaves room in any second cache level.
const PACKED_AT_MOST: usize = 64 << 10;

/// `out += left·right`: `out` has rows of `outputs` values, `inner` is the length of a row of `left`.
pub fn add_product(out: &mut [f32], outputs: usize, left: &impl Left, right: Right, inner: usize) {
    let kernel = Kernel::fastest();
    let block = block_size(inner, outputs);
    let mut packed = Vec::new();
    let rows = out.len() / outputs;
    for from in (0..inner).step_by(block) {
        let range = from..inner.min(from + block);
        kernel.pack(right, range.clone(), outputs, &mut packed);
        let share = kernel.share(rows);
        threads::chunks(out, share * outputs, |index, out| {
            let mut out = Out {
                data: out,
                stride: outputs,
                width: outputs,
            };
            kernel.add(&mut out, left, index * share, range.clone(), &packed);
        });
    }
}

/// Rows of the right matrix in a block: as many as [`PACKED_AT_MOST`] allows but at least 128, in blocks of like size.
fn block_size(inner: usize, outputs: usize) -> usize {
    let most = (PACKED_AT_MOST / outputs).max(128);
    inner.div_ceil(inner.div_ceil(most)).next_multiple_of(4)
}

/// Where a product goes: rows of `width` values, `stride` apart.
pub struct Out<'a> {
    pub data: &'a mut [f32],
    pub stride: usize,
    pub width: usize,
}

/// The register tile and the instructions of this machine.
#[derive(Clone, Copy, PartialEq)]
pub enum Kernel {
    /// 128-bit SIMD: x86-64's and WebAssembly's baseline. 4×12 is what V8's 15 registers hold.
    Narrow,
    /// 256-bit SIMD with fused multiply-add.
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

impl Kernel {
    /// What this machine does best.
    pub fn fastest() -> Self {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return Kernel::Avx2;
        }
        Kernel::Narrow
    }

    /// Rows for each thread, a multiple of the tile's.
    fn share(self, rows: usize) -> usize {
        let tile = match self {
            Kernel::Narrow => 4,
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 => 6,
        };
        rows.div_ceil(threads::count()).next_multiple_of(tile)
    }

    /// Rows `range` of `right` as panels of the tile's width, filled up with zeros.
    pub fn pack(self, right: Right, range: Range<usize>, outputs: usize, packed: &mut Vec<f32>) {
        match self {
            Kernel::Narrow => pack::<12>(right, range, outputs, packed),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 => pack::<16>(right, range, outputs, packed),
        }
    }

    /// `out += left·right` for the rows of `left` from `first` on, columns `range` of `left` and `packed`, which holds
    /// the same rows of the right matrix.
    pub fn add(
        self,
        out: &mut Out,
        left: &impl Left,
        first: usize,
        range: Range<usize>,
        packed: &[f32],
    ) {
        match self {
            Kernel::Narrow => add::<4, 12>(out, left, first, range, packed, |a, b, c| a * b + c),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `fastest` chose it because the processor has these instructions.
            Kernel::Avx2 => unsafe { add_avx2(out, left, first, range, packed) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn add_avx2(out: &mut Out, left: &impl Left, first: usize, range: Range<usize>, packed: &[f32]) {
    add::<6, 16>(out, left, first, range, packed, f32::mul_add);
}

fn pack<const N: usize>(right: Right, range: Range<usize>, outputs: usize, packed: &mut Vec<f32>) {
    packed.clear();
    for start in (0..outputs).step_by(N) {
        let width = N.min(outputs - start);
        match right {
            Right::Rows(rows) => {
                for k in range.clone() {
                    let row = &rows.row(k)[start..start + width];
                    packed.extend_from_slice(row);
                    packed.extend(std::iter::repeat_n(0.0, N - width));
                }
            }
            Right::Columns(columns) => {
                let columns: [&[f32]; N] =
                    from_fn(|j| &columns.row(start + j.min(width - 1))[range.clone()]);
                for k in 0..range.len() {
                    packed.extend(columns.map(|column| column[k]));
                }
            }
        }
    }
}

#[inline(always)]
fn add<const M: usize, const N: usize>(
    out: &mut Out,
    left: &impl Left,
    first: usize,
    range: Range<usize>,
    packed: &[f32],
    multiply_add: impl Fn(f32, f32, f32) -> f32 + Copy,
) {
    let rows = out.data.len().div_ceil(out.stride);
    let mut runs: Vec<[&[f32]; M]> = Vec::new();
    for (tile, out_rows) in out.data.chunks_mut(M * out.stride).enumerate() {
        let tile = tile * M;
        gather(&mut runs, left, &range, |i| {
            first + (tile + i).min(rows - 1)
        });
        for (panel, start) in packed
            .chunks_exact(N * range.len())
            .zip((0..out.width).step_by(N))
        {
            let sums = tile_product::<M, N>(&runs, panel, multiply_add);
            let width = N.min(out.width - start);
            for (out_row, sums) in out_rows.chunks_mut(out.stride).zip(&sums) {
                for (out, sum) in out_row[start..start + width].iter_mut().zip(sums) {
                    *out += sum;
                }
            }
        }
    }
}

/// The parts of runs that fall into columns `range`, for the M rows that `row` names.
#[inline(always)]
fn gather<'a, const M: usize>(
    runs: &mut Vec<[&'a [f32]; M]>,
    left: &'a impl Left,
    range: &Range<usize>,
    row: impl Fn(usize) -> usize,
) {
    runs.clear();
    for i in 0..M {
        let mut column = 0;
        let mut index = 0;
        left.runs(row(i), |run| {
            let from = range.start.clamp(column, column + run.len()) - column;
            let to = range.end.clamp(column, column + run.len()) - column;
            column += run.len();
            if from < to {
                if i == 0 {
                    runs.push([&run[from..to]; M]);
                } else {
                    runs[index][i] = &run[from..to];
                }
                index += 1;
            }
        });
    }
}

/// M rows, given in runs, times a panel of N columns. The sums stay in registers.
#[inline(always)]
fn tile_product<const M: usize, const N: usize>(
    runs: &[[&[f32]; M]],
    panel: &[f32],
    multiply_add: impl Fn(f32, f32, f32) -> f32,
) -> [[f32; N]; M] {
    let (mut panel, _) = panel.as_chunks::<N>();
    let mut sums = [[0.0; N]; M];
    for rows in runs {
        let (now, later) = panel.split_at(rows[0].len());
        panel = later;
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
