//! The upload of weights.

use burn::backend::wgpu::CubeBackend;
use burn::tensor::{DType, Tensor};
use darkroom::ops::gpu::Upload;

use super::harness::SHAPES;
use crate::support::gpu::Gpu;
use crate::support::random::Random;

#[test]
fn uploaded_weights_are_transposed() {
    let Some(gpu) = Gpu::new("the upload of weights") else {
        return;
    };
    let mut random = Random::new(8);
    for _ in 0..SHAPES {
        let half = random.coin();
        let (dtype, size) = match half {
            true => (DType::F16, 2),
            false => (DType::F32, 4),
        };
        // f16 values are moved in pairs.
        let outputs = match half {
            true => 2 * (1 + random.below(150)),
            false => 1 + random.below(300),
        };
        let inner = [1 + random.below(70), random.one_of(&[1, 9, 9, 4])];
        let columns = inner[0] * inner[1];
        let bits: Vec<u8> = (0..outputs * columns * size)
            .map(|_| random.next() as u8)
            .collect();
        // Smaller than some pairs of rows, which then take a larger chunk.
        let chunk = random.one_of(&[64, 1024, 1 << 20]);
        let rows = (chunk / (columns * size) / 2 * 2).max(2);
        let mut upload = Upload::new(&gpu.device, chunk).expect("a wgpu device");
        let matrix = upload.matrix(columns, outputs, dtype);
        pollster::block_on(async {
            for first in (0..outputs).step_by(rows) {
                let range = first * columns * size..outputs.min(first + rows) * columns * size;
                let chunk = bits[range].to_vec();
                upload.put(&matrix, inner, first, chunk).await?;
            }
            upload.finish().await
        })
        .expect("an upload");
        let got = Tensor::<2>::from_primitive::<CubeBackend>(matrix).into_data();
        let what = format!("{dtype:?} {inner:?} → {outputs}, {rows} rows in a chunk");
        assert_eq!(got.shape().as_slice(), [columns, outputs], "{what}");
        let mut expected = Vec::with_capacity(bits.len());
        let [inputs, taps] = inner;
        for row in 0..columns {
            let (tap, input) = (row / inputs, row % inputs);
            for output in 0..outputs {
                let index = (output * inputs + input) * taps + tap;
                expected.extend_from_slice(&bits[index * size..][..size]);
            }
        }
        assert!(got.bytes()[..] == expected[..], "{what}");
    }
}
