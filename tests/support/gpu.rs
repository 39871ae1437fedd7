//! GPU adapters set up by the tests themselves: as many devices in a process as they like, with limits of
//! their choice.

use burn::tensor::Device;
use burn::tensor::wgpu::{WgpuSetup, wgpu};
use darkroom::device::DeviceLog;
use darkroom::{Precision, Runtime};
use pollster::block_on;

use super::say;

/// What is asked of the device.
#[derive(Clone, Copy)]
pub struct AdapterRequest {
    pub precision: Precision,
    /// Most bytes of a buffer, where the adapter's own limit is higher.
    pub buffer_limit: Option<u64>,
}

/// A device of the first adapter, or `None` where it was asked not to be tested.
pub fn gpu(what: &str, required: AdapterRequest) -> Option<Runtime> {
    if std::env::var("DARKROOM_NO_GPU_TESTS").is_ok_and(|value| value == "1") {
        say(format_args!("NOT RUN: {what} (DARKROOM_NO_GPU_TESTS=1)"));
        return None;
    }
    // A device's errors are only logged; with this logger they fail the next read.
    let quiet = env_logger::Builder::new().build();
    let _ = log::set_boxed_logger(Box::new(DeviceLog(Box::new(quiet))));
    log::set_max_level(log::LevelFilter::Warn);
    let setup = block_on(setup(required.buffer_limit)).unwrap_or_else(|e| {
        panic!(
            "{e}\nThis test needs a Vulkan, Metal or DirectX 12 adapter; a software one will do \
             (Debian: apt-get install mesa-vulkan-drivers libvulkan1). \
             To leave it out on this machine: DARKROOM_NO_GPU_TESTS=1"
        )
    });
    let options = Device::wgpu_options().tasks_max(64).setup(setup.clone());
    let device = options.init().expect("a device");
    Some(Runtime::gpu_at(device, &setup, required.precision, false).expect("a runtime"))
}

async fn setup(buffer_limit: Option<u64>) -> Result<WgpuSetup, String> {
    let instance = wgpu::Instance::default();
    let adapter = instance
        .request_adapter(&wgpu::RequestAdapterOptions::default())
        .await
        .map_err(|e| format!("no adapter: {e}"))?;
    let mut limits = adapter.limits();
    if let Some(most) = buffer_limit {
        limits.max_buffer_size = limits.max_buffer_size.min(most);
        limits.max_storage_buffer_binding_size = limits.max_storage_buffer_binding_size.min(most);
        limits.max_uniform_buffer_binding_size = limits.max_uniform_buffer_binding_size.min(most);
    }
    let features = adapter.features() & !wgpu::Features::MAPPABLE_PRIMARY_BUFFERS;
    let (device, queue) = adapter
        .request_device(&wgpu::DeviceDescriptor {
            label: None,
            required_features: features,
            required_limits: limits,
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            trace: wgpu::Trace::Off,
            // SAFETY: CubeCL passes its shaders through, unchecked; so does its own set-up.
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
