//! The hot operations as WGSL kernels of our own, for wgpu devices: in a browser, or native.
//!
//! | kernel | made for |
//! |---|---|
//! | `product_registers.wgsl` | matrix products with everything around them, 3×3 convolutions as nine of them |
//! | `attention_workgroup.wgsl`, `attention_registers.wgsl`, `attention_split.wgsl` | attention in one pass over the keys, scores never stored |
//! | `group_statistics.wgsl`, `group_apply.wgsl` | GroupNorm with SiLU |
//! | `layer_norm_registers.wgsl`, `layer_norm_workgroup.wgsl` | LayerNorm |
//! | `activation.wgsl` | activations of the text encoder and of the timestep embedding |
//! | `copy.wgsl` | rows and columns into a larger matrix |
//! | `sample.wgsl` | guidance and the sampler's step |
//! | `transpose.wgsl` | weights on their way from files into memory |
//!
//! The shaders are templates ([`template`]): one text for f32 and f16, with and without each optional input, aligned
//! and unaligned channels. Whatever the elements are, sums are f32.

mod activation;
mod attention;
mod copy;
mod graph;
mod group_norm;
mod launch;
mod layer_norm;
mod product;
mod run;
mod sketch;
mod template;
mod tiles;
mod upload;

use std::ops::Range;

use burn::tensor::{Device, Tensor};

use super::{Attention, Conv3x3, GroupNorm, Linear, Ops, Stock};
use crate::config::Activation;

pub use launch::Kernel;
pub use run::{OnDevice, OnDeviceStart};
pub use sketch::{Launch, Paper, distinct};
pub use tiles::{Preset, Tiles};
pub use upload::Upload;

/// The hot operations on a wgpu device.
#[derive(Debug, Clone, Copy)]
pub struct Gpu {
    preset: Preset,
}

impl Gpu {
    /// Operations for an adapter of which nothing else is known; `software` if it runs on a CPU (wgpu's
    /// `DeviceType::Cpu`).
    pub fn new(software: bool) -> Self {
        Gpu::with_preset(if software {
            Preset::REGISTERS
        } else {
            Preset::WORKGROUP
        })
    }

    /// Operations that divide their work as `tiles` says, on whatever adapter.
    pub fn with_tiles(tiles: Tiles) -> Self {
        Gpu::new(tiles == Tiles::Registers)
    }

    /// Operations that divide their work in this way, on whatever adapter.
    pub fn with_preset(preset: Preset) -> Self {
        Gpu { preset }
    }
}

impl Ops for Gpu {
    fn conv3x3(&self, args: Conv3x3) -> Tensor<4> {
        product::conv3x3(self.preset, args)
    }

    fn linear(&self, args: Linear) -> Tensor<3> {
        product::linear(self.preset, args)
    }

    fn geglu(&self, x: Tensor<3>, weight: &Tensor<2>, bias: &Tensor<1>) -> Tensor<3> {
        product::geglu(self.preset, x, weight, bias)
    }

    fn attention(&self, args: Attention) -> Tensor<3> {
        if attention::possible(args.q.dims()[2] / args.heads) {
            attention::attention(self.preset.tiles, args)
        } else if sketch::sketching() {
            // Burn's kernels cannot be sketched; the result has this shape.
            args.q
        } else {
            Stock.attention(args)
        }
    }

    fn group_norm(&self, args: GroupNorm) -> Tensor<4> {
        group_norm::group_norm(self.preset.tiles, args)
    }

    fn layer_norm(
        &self,
        x: Tensor<3>,
        weight: &Tensor<1>,
        bias: &Tensor<1>,
        eps: f64,
    ) -> Tensor<3> {
        layer_norm::layer_norm(self.preset.tiles, x, weight, bias, eps)
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

    fn paper(&self, device: &Device) -> Option<Paper> {
        Some(Paper::new(device))
    }

    fn on_device(&self, start: OnDeviceStart, times: &Tensor<2>) -> Option<OnDevice> {
        Some(OnDevice::new(start, times))
    }

    fn columns(&self, row: &Tensor<2>, columns: Range<usize>) -> Tensor<2> {
        copy::columns(row, columns)
    }
}

/// Name and WGSL text of every shader that these operations can ask for (of attention, for the widths of heads that
/// Stable Diffusion has, and a few more): for checking them with WGSL compilers.
pub fn every_shader() -> Vec<(String, String)> {
    const HEADS: [usize; 13] = [4, 8, 20, 40, 64, 80, 128, 160, 164, 320, 512, 516, 1024];
    [Tiles::Registers, Tiles::Workgroup]
        .into_iter()
        .flat_map(|tiles| {
            let mut kernels = product::variants(tiles);
            kernels.extend(attention::variants(tiles, &HEADS));
            kernels.extend(group_norm::variants(tiles));
            kernels.extend(layer_norm::variants(tiles));
            kernels
        })
        .chain(activation::variants())
        .chain(copy::variants())
        .chain(run::variants())
        .chain(upload::variants())
        .map(|kernel| {
            let name = format!("{} {:?}", kernel.name, kernel.values);
            (name, kernel.text())
        })
        .collect()
}
