//! Measurement of the fastest tiling on an adapter.

use burn::tensor::{DType, Device, Tensor, TensorData};
use half::f16;
use serde::Serialize;
use web_time::Instant;

use crate::device::read;
use crate::error::Result;
use crate::ops::gpu::KernelTiling;
use crate::ops::{Conv3x3, Gpu, Ops};

/// Shape of the operations that are measured: a convolution and a GEGLU layer of a U-Net, which
/// have most of its work.
#[derive(Debug, Clone, Copy)]
pub struct BenchShape {
    /// Number of images: guidance has two.
    pub batch: usize,
    /// Height and width of the map.
    pub side: usize,
    /// Channels of the map.
    pub channels: usize,
}

impl BenchShape {
    /// Highest resolution of Stable Diffusion's U-Net at 512×512: 15 GFLOP for the convolution, 13
    /// for the layer.
    pub const STABLE_DIFFUSION: BenchShape = BenchShape {
        batch: 2,
        side: 64,
        channels: 320,
    };
}

/// Result of a measurement.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct Timing {
    /// Name of the tiling.
    pub tiling: &'static str,
    /// Shortest time of both operations together, in seconds.
    pub seconds: f64,
    /// Number of measurements.
    pub rounds: usize,
}

/// Measurements of each tiling, taken in turns.
const ROUNDS: usize = 3;
/// Factor by which a tiling's first time may exceed the best one's. Slower tilings are not measured
/// again.
const HOPELESS: f64 = 1.5;

/// Times `tilings` on `device`, with activations in `dtype` and weights in f16. The first of the
/// list is the fastest.
///
/// Every tiling runs once before its first measurement, so that its compilation does not count.
/// Every measurement waits for the adapter to finish. Tilings are measured in turns, so that other
/// work on the machine affects all of them.
///
/// # Errors
/// [`Error::Device`](crate::Error::Device) where the device failed.
pub async fn measure(
    device: &Device,
    dtype: DType,
    shape: BenchShape,
    tilings: &[KernelTiling],
) -> Result<Vec<Timing>> {
    let work = Work::new(device, dtype, shape);
    let mut timings = Vec::new();
    for &tiling in tilings {
        work.time(tiling).await?;
        timings.push(Timing {
            tiling: tiling.name,
            seconds: f64::INFINITY,
            rounds: 0,
        });
    }
    for round in 0..ROUNDS {
        let best = timings
            .iter()
            .map(|t| t.seconds)
            .fold(f64::INFINITY, f64::min);
        for (tiling, timing) in tilings.iter().zip(&mut timings) {
            if round > 0 && timing.seconds > HOPELESS * best {
                continue;
            }
            let seconds = work.time(*tiling).await?;
            timing.seconds = timing.seconds.min(seconds);
            timing.rounds += 1;
        }
    }
    // Pools keep memory, which a model needs next.
    drop(work);
    device.memory_cleanup();
    timings.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    Ok(timings)
}

/// Tensors to measure with; their values do not matter.
struct Work {
    map: Tensor<4>,
    conv: Tensor<2>,
    bias: Tensor<1>,
    gates: Tensor<2>,
    gate_bias: Tensor<1>,
    /// Tensor that is read back to wait for everything before it.
    fence: Tensor<1>,
}

impl Work {
    fn new(device: &Device, dtype: DType, shape: BenchShape) -> Self {
        let BenchShape {
            batch,
            side,
            channels,
        } = shape;
        // Uploaded as data, because an adapter without f16 can hold it but not compute it.
        let matrix = |rows: usize, columns: usize| {
            let values = vec![f16::from_f32(0.01); rows * columns];
            Tensor::from_data(
                TensorData::new(values, [rows, columns]),
                (device, DType::F16),
            )
        };
        let vector = |n| Tensor::zeros([n], (device, DType::F32));
        Work {
            map: Tensor::full([batch, side, side, channels], 0.5, (device, dtype)),
            conv: matrix(9 * channels, channels),
            bias: vector(channels),
            gates: matrix(channels, 8 * channels),
            gate_bias: vector(8 * channels),
            fence: vector(1),
        }
    }

    /// Seconds that both operations take.
    async fn time(&self, tiling: KernelTiling) -> Result<f64> {
        let gpu = Gpu::with_tiling(tiling);
        read(self.fence.clone()).await?;
        let begin = Instant::now();
        let [batch, height, width, channels] = self.map.dims();
        let map = gpu.conv3x3(Conv3x3::new(self.map.clone(), &self.conv, &self.bias));
        let tokens = map.reshape([batch, height * width, channels]);
        let result = gpu.geglu(tokens, &self.gates, &self.gate_bias);
        read(self.fence.clone()).await?;
        drop(result);
        Ok(begin.elapsed().as_secs_f64())
    }
}
