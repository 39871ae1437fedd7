//! GPU adapters. Tests run in threads of one process, but only one of them has the adapter: a
//! software adapter takes all cores, and launches, memory and times are measured.

use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::tensor::wgpu::{WgpuSetup, wgpu};
use burn::tensor::{DType, Device, Tensor};
use darkroom::device::{DeviceLog, MAX_LAUNCHES, read};
use darkroom::{Precision, Runtime};
use pollster::block_on;

use super::say;

/// A turn with the adapter; the next test waits until it is dropped.
pub struct Turn {
    _lock: MutexGuard<'static, ()>,
}

/// Waits for a turn with the adapter; `None` with `DARKROOM_NO_GPU_TESTS=1`. `what` names the test
/// in the message that it was not run.
pub fn turn(what: &str) -> Option<Turn> {
    static ADAPTER: Mutex<()> = Mutex::new(());
    if std::env::var("DARKROOM_NO_GPU_TESTS").is_ok_and(|value| value == "1") {
        say(format_args!("NOT RUN: {what} (DARKROOM_NO_GPU_TESTS=1)"));
        return None;
    }
    // Errors of a device are only logged. This logger keeps them, and the next read fails.
    let quiet = env_logger::Builder::new().build();
    let _ = log::set_boxed_logger(Box::new(DeviceLog(Box::new(quiet))));
    log::set_max_level(log::LevelFilter::Warn);
    // A poisoned lock only means that another test failed.
    let lock = ADAPTER.lock().unwrap_or_else(PoisonError::into_inner);
    // Errors that the test before caused and did not read are not this test's.
    let _ = block_on(read(Tensor::<1>::zeros([1], &Device::flex())));
    Some(Turn { _lock: lock })
}

/// Help for a machine without an adapter.
pub const NO_ADAPTER: &str = "\
    This test needs a Vulkan, Metal or DirectX 12 adapter; a software one will do (Debian: \
    apt-get install mesa-vulkan-drivers libvulkan1). To leave it out on this machine: \
    DARKROOM_NO_GPU_TESTS=1";

/// A new device of the adapter, with the limits that the adapter has.
pub struct Gpu {
    /// The device.
    pub device: Device,
    /// The objects of wgpu behind it.
    pub setup: WgpuSetup,
    _turn: Turn,
}

impl Gpu {
    /// Waits for a turn and sets up a device; `None` as [`turn`].
    pub fn new(what: &str) -> Option<Self> {
        Self::with_buffers(what, u64::MAX)
    }

    /// [`Gpu::new`] with buffers of at most `limit` bytes.
    pub fn with_buffers(what: &str, limit: u64) -> Option<Self> {
        let turn = turn(what)?;
        let setup = block_on(setup(limit)).unwrap_or_else(|e| panic!("{e}\n{NO_ADAPTER}"));
        let options = Device::wgpu_options().tasks_max(MAX_LAUNCHES);
        let device = options.setup(setup.clone()).init().expect("a device");
        Some(Gpu {
            device,
            setup,
            _turn: turn,
        })
    }

    /// A runtime on the device.
    pub fn runtime(&self, precision: Precision) -> Runtime {
        Runtime::gpu_at(self.device.clone(), &self.setup, precision, false).expect("a runtime")
    }

    /// True if the adapter computes in f16.
    pub fn has_f16(&self) -> bool {
        let features = self.setup.device.features();
        features.contains(wgpu::Features::SHADER_F16)
    }

    /// The element types that the adapter computes in.
    pub fn dtypes(&self) -> Vec<DType> {
        if self.has_f16() {
            return vec![DType::F32, DType::F16];
        }
        say("NOT RUN in f16: the adapter has none");
        vec![DType::F32]
    }
}

impl Drop for Gpu {
    /// Frees the device's memory, which CubeCL would keep until the process ends.
    fn drop(&mut self) {
        self.device.memory_cleanup();
    }
}

async fn setup(buffer_limit: u64) -> Result<WgpuSetup, String> {
    let instance = wgpu::Instance::default();
    let adapter = instance
        .request_adapter(&wgpu::RequestAdapterOptions::default())
        .await
        .map_err(|e| format!("no adapter: {e}"))?;
    let mut limits = adapter.limits();
    for limit in [
        &mut limits.max_buffer_size,
        &mut limits.max_storage_buffer_binding_size,
        &mut limits.max_uniform_buffer_binding_size,
    ] {
        *limit = buffer_limit.min(*limit);
    }
    let (device, queue) = adapter
        .request_device(&wgpu::DeviceDescriptor {
            label: None,
            required_features: adapter.features() & !wgpu::Features::MAPPABLE_PRIMARY_BUFFERS,
            required_limits: limits,
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            trace: wgpu::Trace::Off,
            // SAFETY: CubeCL passes its shaders through unchecked; its own set-up does the same.
            experimental_features: unsafe { wgpu::ExperimentalFeatures::enabled() },
        })
        .await
        .map_err(|e| format!("no device: {e}"))?;
    let backend = adapter.get_info().backend;
    Ok(WgpuSetup {
        instance,
        adapter,
        device,
        queue,
        backend,
    })
}
