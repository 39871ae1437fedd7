//! Steps as the device sees them: the number of launches and submissions, recording and replay,
//! memory from picture to picture, and kernels that are compiled while loading.

mod counts;
mod guidance;
mod inspect;
mod pictures;
pub mod random_model;
mod records;
mod samplers;
mod small;

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use burn::tensor::{DType, Tensor, TensorData};
use cubecl::logging::{LaunchObservation, LaunchObserver};
use darkroom::Runtime;
use darkroom::ops;
use darkroom::ops::gpu::TileMemory;
use darkroom::sampling::{Noise, Rng};
use darkroom::weights::Storage;

use crate::support::gpu::Gpu;

fn runtime(gpu: &Gpu, memory: TileMemory, dtype: DType) -> Runtime {
    Runtime {
        device: gpu.device.clone(),
        ops: Rc::new(ops::Gpu::new(memory == TileMemory::Registers)),
        dtype,
        storage: Storage::Half,
        name: format!("{memory:?} {dtype:?}"),
        software: true,
        buffer_limit: u64::MAX,
        memory_limit: None,
    }
}

/// Number of submissions to the queue so far, this one included. wgpu numbers them, but shows the
/// number only in its debug output.
fn submissions(gpu: &Gpu) -> usize {
    let index = format!("{:?}", gpu.setup.queue.submit([]));
    let digits: String = index.chars().filter(char::is_ascii_digit).collect();
    digits.parse().expect("the number of a submission")
}

/// Counts the process's launches while it lives, those of Burn's own kernels included.
struct LaunchCounter {
    count: Arc<Count>,
    _observation: LaunchObservation,
}

#[derive(Default)]
struct Count(AtomicUsize);

impl LaunchObserver for Count {
    fn launched(&self, _kernel: &'static str) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl LaunchCounter {
    fn start() -> Self {
        let count = Arc::new(Count::default());
        LaunchCounter {
            _observation: LaunchObservation::new(count.clone()),
            count,
        }
    }

    fn count(&self) -> usize {
        self.count.0.load(Ordering::Relaxed)
    }
}

fn random<const D: usize>(seed: u64, shape: [usize; D]) -> TensorData {
    let values = Noise::new(Rng::Torch, seed).normal(shape.iter().product());
    TensorData::new(values, shape)
}

/// Random embeddings of prompts.
fn prompts(runtime: &Runtime, branches: usize, tokens: usize, width: usize) -> Tensor<3> {
    let data = random(9, [branches, tokens, width]).convert_dtype(runtime.dtype);
    Tensor::from_data(data, (&runtime.device, runtime.dtype))
}
