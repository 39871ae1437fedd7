//! The hot operations as our own WGSL kernels, for wgpu devices in a browser or native.
//!
//! | kernel | operation |
//! |---|---|
//! | `product_registers.wgsl`, `product_workgroup.wgsl` | matrix products with fused bias, residual and activation; 3×3 convolutions as nine products |
//! | `attention_workgroup.wgsl`, `attention_registers.wgsl`, `attention_split.wgsl` | attention in one pass over the keys; scores are never stored |
//! | `nag.wgsl` | normalized attention guidance, after an attention |
//! | `group_statistics.wgsl`, `group_apply.wgsl` | GroupNorm with SiLU |
//! | `layer_norm_registers.wgsl`, `layer_norm_workgroup.wgsl` | LayerNorm |
//! | `activation.wgsl` | activations of the text encoder and of the timestep embedding |
//! | `copy.wgsl`, `append.wgsl` | copies of rows, columns and images into a larger tensor |
//! | `guidance.wgsl` | factors of guidance that depends on the whole latent |
//! | `sample.wgsl` | guidance and the sampler's step |
//! | `transpose.wgsl` | transposition of weights from files |
//!
//! The shaders are templates (`template.rs`): one text for f32 and f16, with and without each
//! optional input, and for aligned and unaligned channels. Sums are f32 for every element type.

mod activation;
mod attention;
mod copy;
mod device_guidance;
mod device_latent;
mod dry_run;
mod graph;
mod group_norm;
mod kernel_tiling;
mod launch;
mod layer_norm;
mod nag;
mod product;
mod template;
mod upload;

use std::ops::Range;

use burn::tensor::{Device, Tensor};

use super::{Attention, Conv3x3, GroupNorm, Linear, NagImages, Ops, Stock};
use crate::config::Activation;
use attention::Special;
use launch::tensor;

pub use device_latent::{DeviceLatent, DeviceLatentInit};
pub use dry_run::{DryRun, Launch, distinct};
pub use kernel_tiling::{KernelTiling, TileMemory};
pub use launch::Kernel;
pub use upload::Upload;

/// The hot operations on a wgpu device.
#[derive(Debug, Clone, Copy)]
pub struct Gpu {
    tiling: KernelTiling,
}

impl Gpu {
    /// Operations for an adapter that nothing else is known of. `software` adapters run on a CPU
    /// (wgpu's `DeviceType::Cpu`).
    pub fn new(software: bool) -> Self {
        Gpu::with_tiling(if software {
            KernelTiling::REGISTERS
        } else {
            KernelTiling::WORKGROUP
        })
    }

    /// Operations with this tiling, whatever the adapter is.
    pub fn with_tiling(tiling: KernelTiling) -> Self {
        Gpu { tiling }
    }
}

impl Ops for Gpu {
    fn conv3x3(&self, args: Conv3x3) -> Tensor<4> {
        product::conv3x3(self.tiling, args)
    }

    fn linear(&self, args: Linear) -> Tensor<3> {
        product::linear(self.tiling, args)
    }

    fn geglu(&self, x: Tensor<3>, weight: &Tensor<2>, bias: &Tensor<1>) -> Tensor<3> {
        product::geglu(self.tiling, x, weight, bias)
    }

    fn attention(&self, args: Attention) -> Tensor<3> {
        if attention::possible(args.q.dims()[2] / args.heads) {
            tensor(attention::attention(
                self.tiling.memory,
                args,
                Special::None,
            ))
        } else if dry_run::in_progress() {
            // Burn's kernels are not recorded; the result has this shape.
            args.q
        } else {
            Stock.attention(args)
        }
    }

    fn attention_with_nag(&self, args: Attention, guided: NagImages) -> Tensor<3> {
        if attention::possible(args.q.dims()[2] / args.heads) {
            nag::attention_with_nag(self.tiling.memory, args, guided)
        } else if dry_run::in_progress() {
            args.q
        } else {
            Stock.attention_with_nag(args, guided)
        }
    }

    fn attention_with_identity(&self, args: Attention) -> Tensor<3> {
        if attention::possible(args.q.dims()[2] / args.heads) {
            tensor(attention::attention(
                self.tiling.memory,
                args,
                Special::Identity,
            ))
        } else if dry_run::in_progress() {
            args.q
        } else {
            Stock.attention_with_identity(args)
        }
    }

    fn first_images(&self, x: Tensor<4>, count: usize) -> Tensor<4> {
        copy::first_images(x, count)
    }

    fn append(&self, x: Tensor<3>, from: &Tensor<3>, image: usize) -> Tensor<3> {
        copy::append(x, from, image)
    }

    fn group_norm(&self, args: GroupNorm) -> Tensor<4> {
        group_norm::group_norm(self.tiling.memory, args)
    }

    fn layer_norm(
        &self,
        x: Tensor<3>,
        weight: &Tensor<1>,
        bias: &Tensor<1>,
        eps: f64,
    ) -> Tensor<3> {
        layer_norm::layer_norm(self.tiling.memory, x, weight, bias, eps)
    }

    fn activation(&self, x: Tensor<3>, activation: Activation) -> Tensor<3> {
        activation::activation(x, activation)
    }

    fn silu(&self, x: Tensor<3>) -> Tensor<3> {
        activation::silu(x)
    }

    fn side_by_side(&self, parts: Vec<(Tensor<2>, usize)>, width: usize) -> Tensor<2> {
        copy::side_by_side(parts, width)
    }

    fn has_kernels(&self) -> bool {
        true
    }

    fn dry_run(&self, device: &Device) -> Option<DryRun> {
        Some(DryRun::new(device))
    }

    fn device_latent(&self, start: DeviceLatentInit, times: &Tensor<2>) -> Option<DeviceLatent> {
        Some(DeviceLatent::new(start, times))
    }

    fn columns(&self, row: &Tensor<2>, columns: Range<usize>) -> Tensor<2> {
        copy::columns(row, columns)
    }
}

/// Name and WGSL text of every shader that these operations use, for checks with WGSL compilers.
/// Attention has a shader for each width of heads: those of Stable Diffusion, and a few more.
#[cfg(feature = "testing")]
pub fn every_shader() -> Vec<(String, String)> {
    const HEADS: [usize; 13] = [4, 8, 20, 40, 64, 80, 128, 160, 164, 320, 512, 516, 1024];
    [TileMemory::Registers, TileMemory::Workgroup]
        .into_iter()
        .flat_map(|memory| {
            let mut kernels = product::variants(memory);
            kernels.extend(attention::variants(memory, &HEADS));
            kernels.extend(nag::variants(memory));
            kernels.extend(group_norm::variants(memory));
            kernels.extend(layer_norm::variants(memory));
            kernels
        })
        .chain(activation::variants())
        .chain(copy::variants())
        .chain(device_guidance::variants())
        .chain(device_latent::variants())
        .chain(upload::variants())
        .map(|kernel| {
            let name = format!("{} {:?}", kernel.name, kernel.values);
            (name, kernel.text())
        })
        .collect()
}
