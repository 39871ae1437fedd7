//! The hot operations as WGSL kernels of our own, for wgpu devices: in a browser, or native.
//!
//! | kernel | made for |
//! |---|---|
//! | `product_registers.wgsl` | matrix products with everything around them, 3×3 convolutions as nine of them |
//! | `attention_registers.wgsl`, `attention_split.wgsl` | attention in one pass over the keys, scores never stored |
//! | `group_statistics.wgsl`, `group_apply.wgsl` | GroupNorm with SiLU |
//! | `layer_norm_registers.wgsl` | LayerNorm |
//! | `activation.wgsl` | the text encoder's activations |
//! | `transpose.wgsl` | weights on their way from files into memory |
//!
//! The shaders are templates ([`template`]): one text for f32 and f16, with and without each optional input, aligned
//! and unaligned channels. Whatever the elements are, sums are f32.

mod activation;
mod attention;
mod launch;
mod norm;
mod product;
mod template;
mod upload;

use burn::tensor::Tensor;

use super::{Attention, Conv3x3, GroupNorm, Linear, Ops, Stock};
use crate::config::Activation;

pub use upload::Upload;

/// How kernels divide their work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tiles {
    /// Every invocation for itself, its sums in registers: for adapters that run on a CPU, which have no fast workgroup
    /// memory, and whose barriers are slow.
    Registers,
    /// Workgroups share what they read through workgroup memory: for GPUs.
    Workgroup,
}

/// The hot operations on a wgpu device.
#[derive(Debug, Clone, Copy)]
pub struct Gpu {
    tiles: Tiles,
}

impl Gpu {
    /// Operations for an adapter; `software` if it runs on a CPU (wgpu's `DeviceType::Cpu`).
    pub fn new(software: bool) -> Self {
        Gpu::with_tiles(if software {
            Tiles::Registers
        } else {
            Tiles::Workgroup
        })
    }

    /// Operations that divide their work as `tiles` says, on whatever adapter.
    pub fn with_tiles(tiles: Tiles) -> Self {
        Gpu { tiles }
    }
}

impl Ops for Gpu {
    fn conv3x3(&self, args: Conv3x3) -> Tensor<4> {
        product::conv3x3(self.tiles, args)
    }

    fn linear(&self, args: Linear) -> Tensor<3> {
        product::linear(self.tiles, args)
    }

    fn geglu(&self, x: Tensor<3>, weight: &Tensor<2>, bias: &Tensor<1>) -> Tensor<3> {
        product::geglu(self.tiles, x, weight, bias)
    }

    fn attention(&self, args: Attention) -> Tensor<3> {
        if attention::possible(args.q.dims()[2] / args.heads) {
            attention::attention(self.tiles, args)
        } else {
            Stock.attention(args)
        }
    }

    fn group_norm(&self, args: GroupNorm) -> Tensor<4> {
        norm::group_norm(self.tiles, args)
    }

    fn layer_norm(
        &self,
        x: Tensor<3>,
        weight: &Tensor<1>,
        bias: &Tensor<1>,
        eps: f64,
    ) -> Tensor<3> {
        norm::layer_norm(self.tiles, x, weight, bias, eps)
    }

    fn activation(&self, x: Tensor<3>, activation: Activation) -> Tensor<3> {
        activation::activation(x, activation)
    }
}

/// Name and WGSL text of every shader that these operations can ask for (of attention, for the widths of heads that
/// Stable Diffusion has, and a few more): for checking them with WGSL compilers.
pub fn every_shader() -> Vec<(String, String)> {
    [Tiles::Registers, Tiles::Workgroup]
        .into_iter()
        .flat_map(product::variants)
        .chain(attention::variants(
            Tiles::Registers,
            &[4, 8, 40, 64, 80, 160, 164, 512, 1024],
        ))
        .chain(norm::variants())
        .chain(activation::variants())
        .chain(upload::variants())
        .map(|kernel| {
            let name = format!("{} {:?}", kernel.name, kernel.values);
            (name, kernel.text())
        })
        .collect()
}
