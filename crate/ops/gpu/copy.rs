//! Copies of matrices and images into larger tensors, and views of parts of rows.

use std::ops::Range;

use burn::tensor::{DType, Tensor};
use burn_cubecl::tensor::CubeTensor;

use super::group_norm::types;
use super::launch::{
    Kernel, beginning, contiguous, empty, launch, launch_into, split, tensor, view,
};

const LANES: u32 = 64;

fn kernel(half: bool, indexed: bool) -> Kernel {
    let values = [("INDEXED", indexed.into())];
    Kernel::new("copy", include_str!("copy.wgsl"), LANES, half, values)
}

fn append_kernel(half: bool, aligned: bool) -> Kernel {
    let types = types(half, aligned);
    Kernel::new("append", include_str!("append.wgsl"), LANES, half, types)
}

/// All variants of the kernels.
#[cfg(feature = "testing")]
pub fn variants() -> Vec<Kernel> {
    (0..4u32)
        .flat_map(|bits| [kernel, append_kernel].map(|of| of(bits & 1 == 1, bits & 2 == 2)))
        .collect()
}

/// Implements [`Ops::append`](crate::ops::Ops::append).
pub fn append(x: Tensor<3>, from: &Tensor<3>, image: usize) -> Tensor<3> {
    let [n, t, c] = x.dims();
    let (x, from) = (contiguous(x), contiguous(from.clone()));
    let aligned = c % 4 == 0;
    let row = if aligned { c / 4 } else { c };
    let sizes = [n * t * row, t * row, image * t * row];
    let [groups, rest] = split(((n + 1) * t * row).div_ceil(LANES as usize));
    tensor(launch(
        append_kernel(x.dtype == DType::F16, aligned),
        &[&x, &from],
        [n + 1, t, c],
        x.dtype,
        &sizes.map(|size| size as u32),
        [groups, rest, 1],
    ))
}

/// Copy of a matrix of `rows` × `columns` into a matrix of `width` columns, from column `start` on.
struct Copy {
    rows: usize,
    columns: usize,
    width: usize,
    start: usize,
}

impl Copy {
    fn launch(self, x: &CubeTensor, into: &CubeTensor) {
        let sizes = [self.rows, self.columns, self.width, self.start, 0];
        launch_into(
            kernel(x.dtype == DType::F16, false),
            &[x],
            &[into],
            &sizes.map(|n| n as u32),
            [self.columns.div_ceil(LANES as usize), self.rows, 1],
        );
    }
}

/// Implements [`Ops::side_by_side`](crate::ops::Ops::side_by_side).
pub fn side_by_side(parts: Vec<(Tensor<2>, usize)>, width: usize) -> Tensor<2> {
    let mut result = None;
    for (part, start) in parts {
        let [rows, columns] = part.dims();
        let part = contiguous(part);
        let result = result.get_or_insert_with(|| empty(&part, [rows, width], part.dtype));
        let copy = Copy {
            rows,
            columns,
            width,
            start,
        };
        copy.launch(&part, result);
    }
    tensor(result.expect("at least one part"))
}

/// Implements [`Ops::columns`](crate::ops::Ops::columns). The part is a view.
pub fn columns(row: &Tensor<2>, columns: Range<usize>) -> Tensor<2> {
    let row = contiguous(row.clone());
    tensor(view(&row, columns.start, [1, columns.len()]))
}

/// Implements [`Ops::first_images`](crate::ops::Ops::first_images). The part is a view.
pub fn first_images(x: Tensor<4>, count: usize) -> Tensor<4> {
    let [_, h, w, c] = x.dims();
    tensor(beginning(&contiguous(x), [count, h, w, c]))
}

/// Copies a row of `rows`, `columns` wide, into the matrix `into` of one row. The number of the row
/// is element `index` of `numbers`.
pub fn copy_row(
    rows: &CubeTensor,
    columns: usize,
    (numbers, index): (&CubeTensor, usize),
    into: &CubeTensor,
) {
    launch_into(
        kernel(rows.dtype == DType::F16, true),
        &[rows, numbers],
        &[into],
        &[1, columns, columns, 0, index].map(|n| n as u32),
        [columns.div_ceil(LANES as usize), 1, 1],
    );
}

/// Overwrites the first rows of `into` with `x`, `rows` of `columns` elements.
pub fn overwrite(into: &CubeTensor, x: &CubeTensor, rows: usize, columns: usize) {
    let copy = Copy {
        rows,
        columns,
        width: columns,
        start: 0,
    };
    copy.launch(x, into);
}

/// Returns a copy of `x`, which has `rows` rows of `columns` elements.
pub fn copied(x: &CubeTensor, rows: usize, columns: usize) -> CubeTensor {
    let result = empty(x, x.meta.shape().clone(), x.dtype);
    overwrite(&result, x, rows, columns);
    result
}
