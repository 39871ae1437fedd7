//! Matrices put beside each other, and taken apart again.

use std::ops::Range;

use burn::tensor::{DType, Tensor};
use burn_cubecl::tensor::CubeTensor;

use super::launch::{Kernel, empty, launch_into, memory, tensor, view};

const LANES: u32 = 64;

fn kernel(half: bool, indexed: bool) -> Kernel {
    let values = [("INDEXED", indexed.into())];
    Kernel::new("copy", include_str!("copy.wgsl"), LANES, half, values)
}

/// Every variant of the kernel.
pub fn variants() -> Vec<Kernel> {
    (0..4u32)
        .map(|bits| kernel(bits & 1 == 1, bits & 2 == 2))
        .collect()
}

/// Copies the matrix `x` of `rows` × `columns` into columns of `into`, a matrix `width` wide, from its column `place` on.
struct Copy {
    rows: usize,
    columns: usize,
    width: usize,
    place: usize,
}

impl Copy {
    fn launch(self, x: &CubeTensor, into: &CubeTensor) {
        let sizes = [self.rows, self.columns, self.width, self.place, 0];
        launch_into(
            kernel(x.dtype == DType::F16, false),
            &[x],
            &[into],
            &sizes.map(|n| n as u32),
            [self.columns.div_ceil(LANES as usize), self.rows, 1],
        );
    }
}

/// See [`Ops::side_by_side`](crate::ops::Ops::side_by_side).
pub fn side_by_side(parts: Vec<(Tensor<2>, usize)>, width: usize) -> Tensor<2> {
    let mut result = None;
    for (part, place) in parts {
        let [rows, columns] = part.dims();
        let part = memory(part);
        let result = result.get_or_insert_with(|| empty(&part, [rows, width], part.dtype));
        let copy = Copy {
            rows,
            columns,
            width,
            place,
        };
        copy.launch(&part, result);
    }
    tensor(result.expect("something to put side by side"))
}

/// See [`Ops::columns`](crate::ops::Ops::columns). The part is read where it lies.
pub fn columns(row: &Tensor<2>, columns: Range<usize>) -> Tensor<2> {
    let row = memory(row.clone());
    tensor(view(&row, columns.start, [1, columns.len()]))
}

/// Copies a row of `rows`, `columns` wide, into the matrix `into` of one row: the row whose number is in `given` at `place`.
pub fn copy_row(
    rows: &CubeTensor,
    columns: usize,
    (given, place): (&CubeTensor, usize),
    into: &CubeTensor,
) {
    launch_into(
        kernel(rows.dtype == DType::F16, true),
        &[rows, given],
        &[into],
        &[1, columns, columns, 0, place].map(|n| n as u32),
        [columns.div_ceil(LANES as usize), 1, 1],
    );
}

/// Overwrites the first rows of `into` with `x`, `rows` of `columns` elements.
pub fn overwrite(into: &CubeTensor, x: &CubeTensor, rows: usize, columns: usize) {
    let copy = Copy {
        rows,
        columns,
        width: columns,
        place: 0,
    };
    copy.launch(x, into);
}

/// A copy of `rows` rows of `columns` elements in all.
pub fn copied(x: &CubeTensor, rows: usize, columns: usize) -> CubeTensor {
    let result = empty(x, x.meta.shape().clone(), x.dtype);
    overwrite(&result, x, rows, columns);
    result
}
