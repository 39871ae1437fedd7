//! The matrix product that convolutions, linear layers and attention all come down to.
//!
//! Rows of the left matrix are read where they lie, in runs: a 3×3 patch of a channels-last map is nine runs of
//! channels, so a convolution needs no im2col. The right matrix is packed, a block of its rows at a time, into panels
//! as wide as a register tile. Then every tile of a few rows walks all panels: the rows stay in the first cache level
//! and the panels stream through in order.

use std::cell::RefCell;
use std::ops::Range;

use super::threads;
use super::tile::{self, COLUMNS};

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

/// Where a product is added: rows of `width` values, `stride` apart.
pub struct Out<'a> {
    pub data: &'a mut [f32],
    pub stride: usize,
    pub width: usize,
}

/// Values of the right matrix that are packed at once: 256 KiB, which leaves room in any second cache level.
const PACKED_AT_MOST: usize = 64 << 10;

thread_local! {
    static PACKED: RefCell<Packed> = RefCell::default();
}

/// `out += left·right`: `out` has rows of `outputs` values, `inner` is the length of a row of `left`.
pub fn add_product(out: &mut [f32], outputs: usize, left: &impl Left, right: Right, inner: usize) {
    let most = (PACKED_AT_MOST / outputs).max(128);
    let block = inner.div_ceil(inner.div_ceil(most));
    let rows = (out.len() / outputs).div_ceil(threads::count());
    PACKED.with_borrow_mut(|packed| {
        for from in (0..inner).step_by(block) {
            packed.pack(right, from..inner.min(from + block), outputs);
            threads::chunks(out, rows * outputs, |index, data| {
                let mut out = Out {
                    data,
                    stride: outputs,
                    width: outputs,
                };
                packed.add_product(&mut out, left, index * rows);
            });
        }
    });
}

/// A block of rows of the right matrix.
#[derive(Default)]
pub struct Packed {
    /// Panels of [`COLUMNS`] columns, one after the other, the last one filled up with zeros.
    panels: Vec<[f32; COLUMNS]>,
    /// The rows.
    range: Range<usize>,
}

impl Packed {
    /// Takes rows `range` of `right`.
    pub fn pack(&mut self, right: Right, range: Range<usize>, outputs: usize) {
        let size = outputs.div_ceil(COLUMNS) * range.len();
        self.panels.resize(size, [0.0; COLUMNS]);
        let panels = self.panels.chunks_exact_mut(range.len());
        for (panel, start) in panels.zip((0..outputs).step_by(COLUMNS)) {
            let columns = start..outputs.min(start + COLUMNS);
            if columns.len() < COLUMNS {
                panel.fill([0.0; COLUMNS]);
            }
            match right {
                Right::Rows(rows) => {
                    for (packed, k) in panel.iter_mut().zip(range.clone()) {
                        let row = &rows.row(k)[columns.clone()];
                        match row.first_chunk() {
                            Some(row) => *packed = *row,
                            None => packed[..row.len()].copy_from_slice(row),
                        }
                    }
                }
                Right::Columns(list) => {
                    for (j, column) in columns.enumerate() {
                        let column = &list.row(column)[range.clone()];
                        for (packed, value) in panel.iter_mut().zip(column) {
                            packed[j] = *value;
                        }
                    }
                }
            }
        }
        self.range = range;
    }

    /// `out += left·right`, as far as the rows of `right` that are packed go, for the rows of `left` from `first` on.
    pub fn add_product(&self, out: &mut Out, left: &impl Left, first: usize) {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: the processor has these instructions.
            return unsafe { self.add_product_avx2(out, left, first) };
        }
        // 2 rows by 16 columns need 13 vector registers and V8 has 15: 53 GFLOP/s in Chromium against 36 with 4 rows.
        self.add_tiles(out, left, first, tile::product::<2>);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn add_product_avx2(&self, out: &mut Out, left: &impl Left, first: usize) {
        self.add_tiles(out, left, first, tile::product_fused::<6>);
    }

    #[inline(always)]
    fn add_tiles<const M: usize>(
        &self,
        out: &mut Out,
        left: &impl Left,
        first: usize,
        product: impl Fn(&[[&[f32]; M]], &[[f32; COLUMNS]]) -> [[f32; COLUMNS]; M],
    ) {
        let mut runs = Vec::new();
        for (tile, rows) in out.data.chunks_mut(M * out.stride).enumerate() {
            let last = rows.len().div_ceil(out.stride) - 1;
            // A tile that reaches beyond the last row computes that row several times.
            self.gather(&mut runs, left, |i| first + tile * M + last.min(i));
            let panels = self.panels.chunks_exact(self.range.len());
            for (panel, start) in panels.zip((0..out.width).step_by(COLUMNS)) {
                let sums = product(&runs, panel);
                let columns = start..out.width.min(start + COLUMNS);
                for (row, sums) in rows.chunks_mut(out.stride).zip(&sums) {
                    let row = &mut row[columns.clone()];
                    match row.first_chunk_mut::<COLUMNS>() {
                        Some(row) => add(row, sums),
                        None => add(row, &sums[..row.len()]),
                    }
                }
            }
        }
    }

    /// The parts of runs that meet the packed rows, for the M rows that `row` names.
    #[inline(always)]
    fn gather<'a, const M: usize>(
        &self,
        runs: &mut Vec<[&'a [f32]; M]>,
        left: &'a impl Left,
        row: impl Fn(usize) -> usize,
    ) {
        runs.clear();
        for i in 0..M {
            let mut column = 0;
            let mut index = 0;
            left.runs(row(i), |run| {
                let end = column + run.len();
                let from = self.range.start.clamp(column, end) - column;
                let to = self.range.end.clamp(column, end) - column;
                column = end;
                if from < to {
                    match runs.get_mut(index) {
                        Some(rows) => rows[i] = &run[from..to],
                        None => runs.push([&run[from..to]; M]),
                    }
                    index += 1;
                }
            });
        }
    }
}

/// `out += sums`
#[inline(always)]
fn add(out: &mut [f32], sums: &[f32]) {
    for (out, sum) in out.iter_mut().zip(sums) {
        *out += sum;
    }
}
