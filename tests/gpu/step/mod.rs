//! A step as the device sees it: how many launches and submissions it is, that what is replayed is what was recorded, that
//! nothing grows from picture to picture, and that a loaded model has all its kernels.
//!
//! Runs on any wgpu adapter, a software one included, and fails without one unless `DARKROOM_NO_GPU_TESTS=1` says that
//! this is meant.

#[path = "step/counts.rs"]
mod counts;
#[path = "step/pictures.rs"]
mod pictures;
#[path = "step/records.rs"]
mod records;
#[path = "step/samplers.rs"]
mod samplers;
#[path = "step/small.rs"]
mod small;
mod support;
#[path = "step/walk.rs"]
mod walk;

use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use burn::backend::wgpu::CubeBackend;
use burn::tensor::wgpu::wgpu;
use burn::tensor::{DType, Device, Tensor, TensorData};
use cubecl::MemoryScope;
use cubecl::logging::{LaunchObservation, LaunchObserver};
use darkroom::Runtime;
use darkroom::device::LAUNCHES_AT_MOST;
use darkroom::ops::Gpu;
use darkroom::ops::gpu::TileMemory;
use darkroom::sampling::{Noise, Rng};
use darkroom::weights::Storage;
use support::say;

struct Adapter {
    device: Device,
    queue: wgpu::Queue,
    half: bool,
}

/// The adapter, for one test at a time: launches and memory are counted.
fn adapter(what: &str) -> Option<MutexGuard<'static, Adapter>> {
    static ADAPTER: OnceLock<Option<Mutex<Adapter>>> = OnceLock::new();
    let adapter = ADAPTER.get_or_init(|| {
        if std::env::var("DARKROOM_NO_GPU_TESTS").is_ok_and(|v| v == "1") {
            return None;
        }
        let (device, setup) = Device::wgpu_options()
            .tasks_max(LAUNCHES_AT_MOST)
            .init_with_setup()
            .expect("a wgpu adapter (lavapipe will do), or DARKROOM_NO_GPU_TESTS=1");
        let half = wgpu::Features::SHADER_F16;
        Some(Mutex::new(Adapter {
            device,
            half: setup.device.features().contains(half),
            queue: setup.queue,
        }))
    });
    if adapter.is_none() {
        say(format_args!("NOT RUN: {what} (DARKROOM_NO_GPU_TESTS=1)"));
    }
    // A poisoned lock only means that another test failed.
    let lock = adapter.as_ref()?.lock();
    Some(lock.unwrap_or_else(|poisoned| poisoned.into_inner()))
}

impl Adapter {
    fn runtime(&self, tiles: TileMemory, dtype: DType) -> Runtime {
        Runtime {
            device: self.device.clone(),
            ops: Rc::new(Gpu::with_memory(tiles)),
            dtype,
            storage: Storage::Half,
            name: format!("{tiles:?} {dtype:?}"),
            software: true,
            buffer_limit: u64::MAX,
        }
    }

    fn dtypes(&self) -> Vec<DType> {
        if !self.half {
            say("NOT RUN in f16: the adapter has none");
            return vec![DType::F32];
        }
        vec![DType::F32, DType::F16]
    }

    /// Submissions to the queue so far, this one included. wgpu numbers them, and shows the number to debuggers only.
    fn submissions(&self) -> usize {
        let index = format!("{:?}", self.queue.submit([]));
        let digits: String = index.chars().filter(char::is_ascii_digit).collect();
        digits.parse().expect("the number of a submission")
    }

    /// Bytes that the device's memory pools hold.
    fn memory(&self) -> u64 {
        let any = Tensor::<1>::from_data([0f32], &self.device);
        let any = any
            .try_into_primitive::<CubeBackend>()
            .expect("a wgpu device");
        any.client
            .memory_report(MemoryScope::Device)
            .usage()
            .bytes_reserved
    }
}

/// LaunchCounter while it lives, Burn's own included.
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
    fn watch() -> Self {
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

fn prompts(runtime: &Runtime, branches: usize, tokens: usize, width: usize) -> Tensor<3> {
    let data = random(9, [branches, tokens, width]).convert_dtype(runtime.dtype);
    Tensor::from_data(data, (&runtime.device, runtime.dtype))
}
