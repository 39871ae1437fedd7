//! How much memory a model takes, before its weights are read: what of it on the device, what beside it, and whether
//! the device's buffers are large enough.
//!
//! Weights are counted tensor by tensor. Activations follow from the configuration: the networks' allocations are gone
//! through in their order on a model of the device's memory pools. On a device the pools decide what is taken, so what
//! counts is not the bytes in use but the pages that hold them, and pages are kept until the next picture needs them.

mod count;
mod pools;
pub mod tiling;

use serde::Serialize;

use crate::config::ModelConfig;
use crate::device::Runtime;
use crate::ops::counting::Counted;
use crate::weights::sizes::WeightSizes;
use count::CountedRun;
use pools::Pools;
use tiling::VaeTiling;

/// Bytes that a model takes for pictures of one size, with guidance and prompts of one chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MemoryPlan {
    /// Weights on the device.
    pub weights: u64,
    /// What the text encoder and the U-Net compute with.
    pub activations: u64,
    /// What launches need beside that. (Loading needs four megabytes, and gives them back before the first launch.)
    pub scratch: u64,
    /// What decoding needs beyond the activations' memory, which it uses too.
    pub decode: u64,
    /// Outside the device: token tables, and weights on their way.
    pub host: u64,
    /// On the device, all in all.
    pub total: u64,
    /// The largest single buffer.
    pub largest_buffer: u64,
    /// The largest that the device has; `null` on the CPU, which knows no limit.
    pub buffer_limit: Option<u64>,
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
    /// Whether the picture will be decoded in tiles.
    pub tiled: bool,
    /// Number of tensors that are loaded.
    pub tensors: usize,
}

/// Uniforms of launches that wait for their submission: 16 KiB a launch, as CubeCL's smallest page has it, and 64 launches.
const UNIFORMS: u64 = 1 << 20;

impl MemoryPlan {
    /// The plan for pictures of `size` (width and height in pixels) with a model of `config` on `runtime`.
    pub fn new(
        config: &ModelConfig,
        weights: &WeightSizes,
        runtime: &Runtime,
        [width, height]: [usize; 2],
    ) -> Self {
        let unit = config.pixels_per_latent();
        let size = [height.div_ceil(unit), width.div_ceil(unit)];
        let (limit, dtype) = (runtime.buffer_limit, runtime.dtype);
        let gpu = limit != u64::MAX;
        // On the CPU what is freed goes back at once.
        let taken = |pools: &Pools| if gpu { pools.reserved() } else { pools.peak() };

        let counted = if gpu { Counted::Gpu } else { Counted::Cpu };
        let mut run = CountedRun::start(config, counted, dtype, limit);
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
        MemoryPlan {
            weights: weights.device,
            activations,
            scratch,
            decode,
            host: weights.host + weights.staging,
            total: weights.device + activations + scratch + decode,
            largest_buffer,
            buffer_limit: gpu.then_some(runtime.buffer_limit),
            width,
            height,
            tiled: tiling.is_some(),
            tensors: weights.tensors,
        }
    }
}

impl std::fmt::Display for MemoryPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mb = |bytes: u64| bytes as f64 / 1e6;
        write!(
            f,
            "{:.0} MB of memory for {}×{}: weights {:.0}, U-Net {:.0}, decoding {:.0}{}, scratch {:.0}; {:.0} MB beside the device",
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
                "; its largest buffer has {:.0} MB, the device's at most {:.0} MB",
                mb(self.largest_buffer),
                mb(limit)
            ),
            _ => Ok(()),
        }
    }
}

/// Use of a device's memory pools, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct InUse {
    /// Bytes taken from the device.
    pub reserved: u64,
    /// Bytes of those that tensors use.
    pub in_use: u64,
}
