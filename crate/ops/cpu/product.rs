//! Matrix product, the core of convolutions, linear layers and attention.
//!
//! Rows of the left matrix are read in place, in runs: a 3×3 patch of a channels-last map is nine
//! runs of channels, so a convolution needs no im2col. The right matrix is packed, a block of its
//! rows at a time, into panels as wide as a register tile. Then every tile of a few rows goes
//! through all panels: the rows stay in the first-level cache and the panels stream through in
//! order.

use std::cell::Cell;
use std::ops::Range;

use super::threads;
use super::tile::{self, COLUMNS, Panel, Runs};
use super::weights::Weights;

/// Left matrix. A row may consist of several pieces.
pub trait Left: Sync {
    /// Calls `each` with the runs of values that make up row `row`, in order. All rows have runs of
    /// the same lengths.
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
    /// Rows without gaps between them.
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

/// Right matrix, `[inner, outputs]`.
#[derive(Clone, Copy)]
pub enum Right<'a> {
    /// Its rows.
    Rows(Rows<'a>),
    /// Its rows, without gaps between them.
    Weights(Weights<'a>),
    /// Its columns.
    Columns(Rows<'a>),
}

/// Result of a product: rows of `width` values, `stride` apart.
pub struct Out<'a> {
    pub data: &'a mut [f32],
    pub stride: usize,
    pub width: usize,
}

/// Rows of the right matrix that are packed at a time. A panel of them, 16 KiB, stays in the
/// first-level cache.
const INNER: usize = 256;
/// Rows of the left matrix that are multiplied with a panel before the next panel. 64 KiB of them
/// stay in the second-level cache.
const ROWS: usize = 60;

thread_local! {
    // Taken out while in use, because a thread that works for one product may begin another.
    static PACKED: Cell<Packed> = Cell::default();
}

/// Adds `left·right` to `out`. `out` has rows of `outputs` values, and `inner` is the length of a
/// row of `left`.
pub fn add_product(out: &mut [f32], outputs: usize, left: &impl Left, right: Right, inner: usize) {
    let block = inner.div_ceil(inner.div_ceil(INNER));
    let rows = (out.len() / outputs).div_ceil(threads::count());
    let mut packed = PACKED.take();
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
    PACKED.set(packed);
}

/// Copies `columns` of as many rows as `panel` takes, from row `first` on.
#[inline(always)]
fn copy_rows(panel: &mut [[f32; COLUMNS]], rows: Rows, first: usize, columns: Range<usize>) {
    for (packed, k) in panel.iter_mut().zip(first..) {
        let row = &rows.row(k)[columns.clone()];
        match row.first_chunk() {
            Some(row) => *packed = *row,
            None => packed[..row.len()].copy_from_slice(row),
        }
    }
}

/// Packed block of rows of the right matrix.
#[derive(Default)]
pub struct Packed {
    /// Panels of [`COLUMNS`] columns, one after the other. Zeros fill up the last one.
    panels: Vec<[f32; COLUMNS]>,
    /// Indices of the rows.
    range: Range<usize>,
}

impl Packed {
    /// Makes room for a right matrix of `rows` rows: panel after panel, each with all rows. The
    /// values are undefined.
    pub fn space(&mut self, rows: usize, outputs: usize) -> &mut [[f32; COLUMNS]] {
        let size = outputs.div_ceil(COLUMNS) * rows;
        self.panels.resize(size, [0.0; COLUMNS]);
        self.range = 0..rows;
        &mut self.panels
    }

    /// Packs rows `range` of `right`.
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
                Right::Rows(rows) => copy_rows(panel, rows, range.start, columns),
                Right::Weights(Weights::Single(values)) => {
                    copy_rows(panel, Rows::dense(values, outputs), range.start, columns);
                }
                Right::Weights(weights) => {
                    for (packed, k) in panel.iter_mut().zip(range.clone()) {
                        let start = k * outputs + columns.start;
                        weights.copy(start, &mut packed[..columns.len()]);
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

    /// Adds to `out` the product of `left` with the packed rows of `right`, for the rows of `left`
    /// from `first` on.
    pub fn add_product(&self, out: &mut Out, left: &impl Left, first: usize) {
        self.product(out, left, first, |out, sum| *out += sum);
    }

    /// Sets `out` to the product that [`Packed::add_product`] adds.
    pub fn set_product(&self, out: &mut Out, left: &impl Left, first: usize) {
        self.product(out, left, first, |out, sum| *out = sum);
    }

    #[inline(always)]
    fn product(&self, out: &mut Out, left: &impl Left, first: usize, put: impl Fn(&mut f32, f32)) {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has these instructions.
            return unsafe { self.product_avx512(out, left, first, put) };
        } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: the processor has these instructions.
            return unsafe { self.product_avx2(out, left, first, put) };
        }
        match out.width {
            ..=4 => self.tiles(out, left, first, tile::product::<4, 1>, put),
            _ => self.tiles(out, left, first, tile::product::<2, 4>, put),
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn product_avx2(
        &self,
        out: &mut Out,
        left: &impl Left,
        first: usize,
        put: impl Fn(&mut f32, f32),
    ) {
        let tile = |runs: Runs<6>, panel: Panel| tile::product_avx2(runs, panel);
        self.tiles(out, left, first, tile, put);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f")]
    fn product_avx512(
        &self,
        out: &mut Out,
        left: &impl Left,
        first: usize,
        put: impl Fn(&mut f32, f32),
    ) {
        let tile = |runs: Runs<12>, panel: Panel| tile::product_avx512(runs, panel);
        self.tiles(out, left, first, tile, put);
    }

    #[inline(always)]
    fn tiles<const M: usize>(
        &self,
        out: &mut Out,
        left: &impl Left,
        first: usize,
        product: impl Fn(Runs<M>, Panel) -> [[f32; COLUMNS]; M],
        put: impl Fn(&mut f32, f32),
    ) {
        let mut runs = Vec::new();
        let mut first = first;
        for rows in out.data.chunks_mut(ROWS * out.stride) {
            let count = rows.len().div_ceil(out.stride);
            runs.clear();
            for tile in (0..count).step_by(M) {
                // A tile that reaches beyond the last row computes that row several times.
                self.gather(&mut runs, left, |i| first + (tile + i).min(count - 1));
            }
            let runs_each = runs.len() / count.div_ceil(M);
            first += count;
            let panels = self.panels.chunks_exact(self.range.len());
            for (panel, start) in panels.zip((0..out.width).step_by(COLUMNS)) {
                let columns = start..out.width.min(start + COLUMNS);
                let tiles = rows.chunks_mut(M * out.stride);
                for (rows, runs) in tiles.zip(runs.chunks_exact(runs_each)) {
                    let sums = product(runs, panel);
                    for (row, sums) in rows.chunks_mut(out.stride).zip(&sums) {
                        let row = &mut row[columns.clone()];
                        // A length known beforehand makes whole vectors of this loop.
                        match row.first_chunk_mut::<COLUMNS>() {
                            Some(row) => row.iter_mut().zip(sums).for_each(|(o, s)| put(o, *s)),
                            None => row.iter_mut().zip(sums).for_each(|(o, s)| put(o, *s)),
                        }
                    }
                }
            }
        }
    }

    /// Collects the parts of runs that are multiplied with the packed rows, for the M rows that
    /// `row` names.
    #[inline(always)]
    fn gather<'a, const M: usize>(
        &self,
        runs: &mut Vec<[&'a [f32]; M]>,
        left: &'a impl Left,
        row: impl Fn(usize) -> usize,
    ) {
        let start = runs.len();
        for i in 0..M {
            let (mut column, mut index) = (0, start);
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
