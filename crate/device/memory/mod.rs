//! Memory plan: the memory that a model takes on the device and on the host, and whether the
//! device's buffers are large enough, known before its weights are read.
//!
//! Weights are counted tensor by tensor. Activations are counted by running the networks on
//! operations that allocate nothing, with a model of the device's memory pools. The pools decide
//! how much a device takes: not the bytes in use but the pages that hold them, and pages are kept
//! until the next picture needs them.

mod count;
mod pools;
mod recording;
pub mod tiling;

use serde::Serialize;

use crate::config::ModelConfig;
use crate::device::Runtime;
use crate::ops::counting::Counted;
use crate::weights::sizes::WeightSizes;
use count::CountedRun;
use pools::Pools;
pub use recording::RecordingPlan;
use tiling::VaeTiling;

/// Bytes that a model takes for pictures of one size, with guidance and prompts of one chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct MemoryPlan {
    /// Weights on the device.
    pub weights: u64,
    /// Memory that the text encoder and the U-Net compute in, keys and values of the prompts and
    /// embedded timesteps included, which are held for a whole run.
    pub activations: u64,
    /// Memory of launches besides. (Loading needs four megabytes, and gives them back before the
    /// first launch.)
    pub scratch: u64,
    /// Memory that decoding needs beyond that of the activations.
    pub decode: u64,
    /// Memory on the host: token tables, and weights in transit.
    pub host: u64,
    /// Total on the device.
    pub total: u64,
    /// Largest buffer.
    pub largest_buffer: u64,
    /// Largest buffer that the device allows; `null` on the CPU, which has no limit.
    #[cfg_attr(target_arch = "wasm32", tsify(type = "number | null"))]
    pub buffer_limit: Option<u64>,
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// True if the picture will be decoded in tiles.
    pub tiled: bool,
    /// Number of tensors in the model.
    pub tensors: usize,
    /// Memory of a recording, which a generation takes besides if it is recorded.
    pub recording: RecordingPlan,
}

/// Uniforms of launches that wait for their submission: 16 KiB for each launch, CubeCL's smallest
/// page, and 64 launches.
const UNIFORMS: u64 = 1 << 20;

/// A U-Net call to count the memory of.
#[derive(Debug, Clone, Copy)]
pub struct UnetCall {
    /// Predictions of the call.
    pub branches: usize,
    /// True with guidance within the attention to the prompt.
    pub nag: bool,
    /// True if the last branch is perturbed.
    pub perturbed: bool,
}

impl UnetCall {
    /// A guided call: for the negative prompt and for the prompt.
    pub const GUIDED: UnetCall = UnetCall {
        branches: 2,
        nag: false,
        perturbed: false,
    };
}

impl MemoryPlan {
    /// Plans the memory for guided pictures of `size` (width and height in pixels) with a model of
    /// `config` on `runtime`.
    pub fn new(
        config: &ModelConfig,
        weights: &WeightSizes,
        runtime: &Runtime,
        size: [usize; 2],
    ) -> Self {
        MemoryPlan::of(UnetCall::GUIDED, config, weights, runtime, size)
    }

    /// Plans the memory for such pictures by calls such as `call`.
    pub fn of(
        call: UnetCall,
        config: &ModelConfig,
        weights: &WeightSizes,
        runtime: &Runtime,
        [width, height]: [usize; 2],
    ) -> Self {
        let unit = config.pixels_per_latent();
        let size = [height.div_ceil(unit), width.div_ceil(unit)];
        let (limit, dtype) = (runtime.buffer_limit, runtime.dtype);
        let gpu = limit != u64::MAX;
        // On the CPU freed memory goes back at once.
        let taken = |pools: &Pools| if gpu { pools.reserved() } else { pools.peak() };

        let counted = if gpu { Counted::Gpu } else { Counted::Cpu };
        let mut run = CountedRun::start(config, counted, dtype, limit, call);
        match runtime.ops.has_kernels() {
            true => run.step_on_device(&config.unet, size),
            false => run.steps_on_host(&config.unet, size),
        }
        let activations = taken(run.pools());
        let tiling = tiling::tiling(&config.vae, limit, dtype, size, VaeTiling::Auto);
        let tile = tiling.map_or(size, |tiling| size.map(|side| side.min(tiling.side())));
        let pools = run.finish(&config.vae, tile);
        let decode = taken(&pools) - activations;
        let largest_buffer = pools.largest().max(weights.largest);
        let scratch = if gpu { UNIFORMS } else { 0 };
        let host = weights.host + weights.staging;
        let total = weights.device + activations + scratch + decode;
        let on_device = runtime.ops.has_kernels().then(|| dtype.size());
        let room = runtime.memory_limit;
        let room = room.map(|limit| limit.saturating_sub(total.saturating_add(host)));
        MemoryPlan {
            recording: RecordingPlan::new(call.branches, config, size, on_device, room),
            weights: weights.device,
            activations,
            scratch,
            decode,
            host,
            total,
            largest_buffer,
            buffer_limit: gpu.then_some(runtime.buffer_limit),
            width,
            height,
            tiled: tiling.is_some(),
            tensors: weights.tensors,
        }
    }
}

impl MemoryPlan {
    /// True if device and host together take at most `limit` bytes. On the CPU both are the same
    /// memory.
    pub fn fits(&self, limit: Option<u64>) -> bool {
        limit.is_none_or(|limit| self.total.saturating_add(self.host) <= limit)
    }
}

impl std::fmt::Display for MemoryPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mb = |bytes: u64| bytes as f64 / 1e6;
        write!(
            f,
            "{:.0} MB of memory for {}×{}: weights {:.0}, U-Net {:.0}, decoding {:.0}{}, \
             scratch {:.0}; {:.0} MB of host memory",
            mb(self.total),
            self.width,
            self.height,
            mb(self.weights),
            mb(self.activations),
            mb(self.decode),
            if self.tiled { " in tiles" } else { "" },
            mb(self.scratch),
            mb(self.host),
        )?;
        match self.buffer_limit {
            Some(limit) if self.largest_buffer > limit => write!(
                f,
                "; its largest buffer has {:.0} MB, the device allows {:.0} MB",
                mb(self.largest_buffer),
                mb(limit)
            ),
            _ => Ok(()),
        }
    }
}

/// Use of a device's memory pools, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct InUse {
    /// Bytes taken from the device.
    pub reserved: u64,
    /// Bytes of these that tensors use.
    pub in_use: u64,
}
