//! Runtime of a pipeline: a Burn device, the operations that fit it, and the element types of
//! weights and activations.

pub mod memory;
pub mod tuning;

use std::rc::Rc;
use std::sync::{Arc, Mutex};

use burn::tensor::wgpu::WgpuSetup;
use burn::tensor::{DType, Device, Tensor, TensorData};

use crate::error::{Error, Result};
use crate::ops::{Cpu, Gpu, Linear, Ops, Stock};
use crate::weights::Storage;
use memory::InUse;

/// Maximum number of launches that are submitted together. It is more than a step of the U-Net has,
/// so that a step is one submission.
pub const MAX_LAUNCHES: usize = 1024;

/// Device with its operations and element types.
#[derive(Clone)]
pub struct Runtime {
    /// Burn's device.
    pub device: Device,
    /// Operations for this device.
    pub ops: Rc<dyn Ops>,
    /// Element type of activations, f32 or f16.
    pub dtype: DType,
    /// Element types that weights are stored in.
    pub storage: Storage,
    /// Name for the user: the adapter's, or "CPU".
    pub name: String,
    /// True for a software adapter, a GPU adapter on a CPU (lavapipe, SwiftShader, WARP).
    pub software: bool,
    /// Maximum number of bytes in a buffer that a kernel can use; `u64::MAX` on the CPU.
    pub buffer_limit: u64,
    /// Maximum number of bytes that the model and a picture may take together; `None` where only
    /// the system knows.
    pub memory_limit: Option<u64>,
}

/// Requested element types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// Activations in f16 where a GPU can, else in f32. Software adapters are slower in f16 and use
    /// f32. Weights in f16 on any GPU.
    #[default]
    Auto,
    /// Activations in f32, weights without loss.
    F32,
    /// Activations and weights in f16; an error where the adapter has no f16.
    F16,
}

/// All of a model's weights in f32 may take so much of WebAssembly's 4 GiB, which activations need
/// a part of.
#[cfg(target_arch = "wasm32")]
const CPU_STORAGE: Storage = Storage::SingleWithin(1 << 30);
/// Widening weights for every product costs more than their memory is worth.
#[cfg(not(target_arch = "wasm32"))]
const CPU_STORAGE: Storage = Storage::Single;

/// WebAssembly addresses 4 GiB; the program itself and what loading leaves take some of them.
#[cfg(target_arch = "wasm32")]
const CPU_MEMORY: Option<u64> = Some((4 << 30) - (128 << 20));
#[cfg(not(target_arch = "wasm32"))]
const CPU_MEMORY: Option<u64> = None;

impl Runtime {
    /// The CPU, in f32.
    ///
    /// # Errors
    /// [`Error::Device`] for f16, which has no advantage on a CPU.
    pub fn cpu(precision: Precision, stock: bool) -> Result<Self> {
        if precision == Precision::F16 {
            return Err(Error::device(
                "f16 was asked for, but the CPU path computes in f32",
            ));
        }
        Ok(Runtime {
            device: Device::flex(),
            ops: cpu_ops(stock),
            dtype: DType::F32,
            storage: CPU_STORAGE,
            name: "CPU".into(),
            software: false,
            buffer_limit: u64::MAX,
            memory_limit: CPU_MEMORY,
        })
    }

    /// The GPU that wgpu prefers. Call it once in a process: a runtime cannot be set up twice.
    ///
    /// # Errors
    /// [`Error::Device`] where there is no adapter, or it lacks what `precision` requires.
    pub async fn gpu(precision: Precision, stock: bool) -> Result<Self> {
        let (device, setup) = Device::wgpu_options()
            .tasks_max(MAX_LAUNCHES)
            .init_with_setup_async()
            .await
            .map_err(|e| Error::device(format!("no usable GPU adapter: {e}")))?;
        Self::gpu_at(device, &setup, precision, stock)
    }

    /// The GPU of `device`, which was made from `setup`.
    ///
    /// # Errors
    /// [`Error::Device`] where it lacks what `precision` requires.
    pub fn gpu_at(
        device: Device,
        setup: &WgpuSetup,
        precision: Precision,
        stock: bool,
    ) -> Result<Self> {
        setup
            .device
            .on_uncaptured_error(Arc::new(|error| report(error.to_string())));
        let info = setup.adapter.get_info();
        let f16 = setup.device.features().contains(wgpu::Features::SHADER_F16);
        let name = info.name.to_lowercase();
        let software = info.device_type == wgpu::DeviceType::Cpu
            || ["swiftshader", "llvmpipe", "basic render"]
                .iter()
                .any(|known| name.contains(known));
        let dtype = match precision {
            Precision::F16 if !f16 => {
                return Err(Error::device(format!(
                    "f16 was asked for, but the adapter {} has no shader-f16",
                    info.name
                )));
            }
            Precision::F16 => DType::F16,
            Precision::Auto if f16 && !software => DType::F16,
            Precision::Auto | Precision::F32 => DType::F32,
        };
        let storage = match (precision, dtype) {
            // Burn's own operations require activations and weights of the same type.
            (_, DType::F32) if stock => Storage::Single,
            (Precision::F32, _) => Storage::Lossless,
            (Precision::Auto | Precision::F16, _) => Storage::Half,
        };
        // CubeCL makes no larger buffers.
        let limits = setup.device.limits();
        let buffer_limit = limits
            .max_storage_buffer_binding_size
            .min(limits.max_buffer_size);
        Ok(Runtime {
            device,
            ops: gpu_ops(stock, software),
            dtype,
            storage,
            name: info.name,
            software,
            buffer_limit,
            memory_limit: None,
        })
    }

    /// Present use of the device's memory pools; `None` on the CPU, which has none.
    pub fn memory(&self) -> Option<InUse> {
        let usage = self.device.memory_pool_usage()?;
        Some(InUse {
            reserved: usage.bytes_reserved,
            in_use: usage.bytes_in_use,
        })
    }

    /// Multiplies two small matrices with a known product.
    ///
    /// # Errors
    /// [`Error::Device`] where the product is wrong: the device or its driver cannot be trusted.
    pub async fn self_test(&self) -> Result<()> {
        let (rows, inner, columns) = (33, 70, 45);
        let a = |i: usize, k: usize| ((i * 7 + k * 3) % 11) as f32 - 5.0;
        let b = |k: usize, j: usize| ((k * 5 + j * 2) % 13) as f32 - 6.0;
        let fill = |n: usize, m: usize, f: &dyn Fn(usize, usize) -> f32| {
            let values: Vec<f32> = (0..n * m).map(|i| f(i / m, i % m)).collect();
            Tensor::<2>::from_data(TensorData::new(values, [n, m]), (&self.device, DType::F32))
                .cast(self.dtype)
        };
        let y = self.ops.linear(Linear {
            x: fill(rows, inner, &a).unsqueeze(),
            skip: None,
            weight: &fill(inner, columns, &b),
            bias: None,
            residual: None,
        });
        let got = read(y).await?;
        for (index, value) in got.into_iter().enumerate() {
            let (i, j) = (index / columns, index % columns);
            let expected: f32 = (0..inner).map(|k| a(i, k) * b(k, j)).sum();
            if (value - expected).abs() > 0.01 * expected.abs().max(1.0) {
                return Err(Error::device(format!(
                    "{} failed its self-test: got {value}, expected {expected}",
                    self.name
                )));
            }
        }
        Ok(())
    }
}

/// Burn's own operations are there to compare with. Visitors do not download them for nothing.
const HAS_STOCK: bool = cfg!(any(not(target_arch = "wasm32"), feature = "stock"));

fn cpu_ops(stock: bool) -> Rc<dyn Ops> {
    match stock {
        true if HAS_STOCK => Rc::new(Stock),
        _ => Rc::new(Cpu),
    }
}

fn gpu_ops(stock: bool, software: bool) -> Rc<dyn Ops> {
    match stock {
        true if HAS_STOCK => Rc::new(Stock),
        _ => Rc::new(Gpu::new(software)),
    }
}

/// Reads a tensor back, in f32.
///
/// # Errors
/// [`Error::Device`] where the device failed, now or since the last read.
pub async fn read<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    let data = tensor
        .into_data_async()
        .await
        .map_err(|e| Error::device(format!("reading a result failed: {e:?}")))?;
    if let Some(error) = take_reported() {
        return Err(Error::device(error));
    }
    data.convert_dtype(DType::F32)
        .try_to_vec::<f32>()
        .map_err(|e| Error::device(format!("reading a result failed: {e:?}")))
}

/// First error that a device or its driver reported outside a call. An invalid shader, for example,
/// is only logged, and its results are whatever was in memory.
static REPORTED: Mutex<Option<String>> = Mutex::new(None);

/// Records an error that no call returned.
pub fn report(error: String) {
    if let Ok(mut reported) = REPORTED.lock() {
        reported.get_or_insert(error);
    }
}

/// Takes the recorded error.
pub(crate) fn take_reported() -> Option<String> {
    REPORTED
        .lock()
        .ok()
        .and_then(|mut reported| reported.take())
}

/// Logger that passes everything on to another, and records errors that CubeCL and wgpu log.
pub struct DeviceLog<L>(pub L);

impl<L: log::Log> log::Log for DeviceLog<L> {
    fn enabled(&self, metadata: &log::Metadata) -> bool {
        metadata.level() == log::Level::Error || self.0.enabled(metadata)
    }

    fn log(&self, record: &log::Record) {
        let target = record.target();
        if record.level() == log::Level::Error
            && (target.starts_with("cubecl") || target.starts_with("wgpu"))
        {
            report(record.args().to_string());
        }
        if self.0.enabled(record.metadata()) {
            self.0.log(record);
        }
    }

    fn flush(&self) {
        self.0.flush();
    }
}
