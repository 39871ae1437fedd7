//! Kernels around the timestep embedding.

use burn::tensor::{DType, Device, Tensor};
use darkroom::device::read;
use darkroom::ops::{self, Ops, Stock};
use pollster::block_on;

use super::random;
use crate::support::gpu::Gpu;
use crate::support::relative_error;

/// The expected values are those of Burn's own operations on the CPU.
#[test]
fn kernels_of_the_timestep_embedding_match_the_cpu() {
    let Some(adapter) = Gpu::new("kernels of the timestep embedding") else {
        return;
    };
    let gpu = ops::Gpu::new(true);
    for dtype in adapter.dtypes() {
        for case in 0..200u64 {
            let rows = 1 + (case * 7 % 23) as usize;
            let widths = [1 + case as usize * 13 % 71, 1 + case as usize * 5 % 67, 64];
            let on = |device: &Device, seed, width| {
                let data = random(seed, [rows, width]).convert_dtype(dtype);
                let data = if *device == Device::flex() {
                    data.convert::<f32>()
                } else {
                    data
                };
                let dtype = data.dtype();
                Tensor::<2>::from_data(data, (device, dtype))
            };
            let all = |device: &Device, ops: &dyn Ops| {
                let parts =
                    [0, 1, 2].map(|i| (on(device, case + i, widths[i as usize]), 128 * i as usize));
                let together = ops.side_by_side(parts.to_vec(), 384);
                let row = together.clone().narrow(0, rows - 1, 1);
                [0, 1, 2]
                    .map(|i| {
                        ops.columns(&row, 128 * i..128 * i + widths[i])
                            .unsqueeze::<3>()
                    })
                    .into_iter()
                    .chain([ops.silu(on(device, case, widths[0]).unsqueeze::<3>())])
                    .map(|tensor| block_on(read(tensor)).expect("a result"))
                    .collect::<Vec<_>>()
            };
            let got = all(&adapter.device, &gpu);
            let expected = all(&Device::flex(), &Stock);
            for (index, (got, expected)) in got.iter().zip(&expected).enumerate() {
                let limit = if dtype == DType::F16 { 2e-3 } else { 1e-6 };
                let error = relative_error(got, expected);
                assert!(
                    error <= limit,
                    "{dtype:?} case {case} result {index}: off by {error:.1e}"
                );
            }
        }
    }
}
