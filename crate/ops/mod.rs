//! The operations that make up nearly all of the work, as one trait with an implementation for each
//! device.
//!
//! | implementation | runs on | made of |
//! |---|---|---|
//! | [`Stock`] | any Burn device | Burn's own tensor operations: the reference in tests |
//! | `Cpu` | Flex | our own loops on the tensors' memory |
//! | `Gpu` | wgpu | our WGSL kernels |
//! | `counting::Counting` | the host | nothing: it records allocations |
//!
//! Feature maps are channels-last, `[batch, height, width, channels]`, everywhere: a convolution is
//! then a matrix product over rows of channels, and a feature map becomes a sequence of tokens
//! `[batch, height·width, channels]` for the transformers by reshaping alone. Matrices are
//! `[inputs, outputs]`.

use std::ops::Range;

use burn::tensor::activation::silu;
use burn::tensor::{Device, Tensor};

use crate::config::Activation;
use crate::sampling::Nag;
use gpu::{DeviceLatent, DeviceLatentInit, DryRun};

pub(crate) mod counting;
mod cpu;
pub(crate) mod fake;
pub mod gpu;
mod stock;

pub use cpu::Cpu;
pub(crate) use cpu::product;
pub use gpu::Gpu;
pub use stock::Stock;

/// A 3×3 convolution with padding 1 and everything that is fused into it.
pub struct Conv3x3<'a> {
    /// `[n, h, w, c]`
    pub x: Tensor<4>,
    /// `[9·c, out]`, rows ordered kernel row, kernel column, input channel.
    pub weight: &'a Tensor<2>,
    /// `[out]`
    pub bias: &'a Tensor<1>,
    /// 1, or 2 to halve the size (rounding up).
    pub stride: usize,
    /// `[h', w']`: the input is enlarged to this size first, by nearest neighbour.
    pub upsample_to: Option<[usize; 2]>,
    /// `[n, out]`, or `[1, out]` for all images alike, added at every position: the timestep
    /// embedding.
    pub add: Option<Tensor<2>>,
    /// `[n, h', w', out]`, added to the result.
    pub residual: Option<Tensor<4>>,
}

impl<'a> Conv3x3<'a> {
    /// A plain convolution of `x`.
    pub fn new(x: Tensor<4>, weight: &'a Tensor<2>, bias: &'a Tensor<1>) -> Self {
        Conv3x3 {
            x,
            weight,
            bias,
            stride: 1,
            upsample_to: None,
            add: None,
            residual: None,
        }
    }

    /// Height and width of the result.
    pub fn output_size(&self) -> [usize; 2] {
        let [_, h, w, _] = self.x.dims();
        let [h, w] = self.upsample_to.unwrap_or([h, w]);
        [h.div_ceil(self.stride), w.div_ceil(self.stride)]
    }
}

/// `x·weight + bias (+ residual)` over the last dimension.
pub struct Linear<'a> {
    /// `[n, t, c]`
    pub x: Tensor<3>,
    /// `[n, t, c']`: further inputs, read in place instead of concatenated first.
    pub skip: Option<Tensor<3>>,
    /// `[c+c', out]`
    pub weight: &'a Tensor<2>,
    /// `[out]`
    pub bias: Option<&'a Tensor<1>>,
    /// `[n, t, out]`, added to the result.
    pub residual: Option<Tensor<3>>,
}

/// GroupNorm over channels-last maps, followed by SiLU if `silu` is set.
pub struct GroupNorm<'a> {
    /// `[n, h, w, c]`
    pub x: Tensor<4>,
    /// `[n, h, w, c']`: further channels, read in place instead of concatenated first.
    pub skip: Option<Tensor<4>>,
    /// `[c+c']`
    pub weight: &'a Tensor<1>,
    /// `[c+c']`
    pub bias: &'a Tensor<1>,
    /// Number of groups that the channels are split into.
    pub groups: usize,
    /// Added to the variance.
    pub eps: f64,
    /// Apply SiLU, `x·sigmoid(x)`, to the result.
    pub silu: bool,
}

/// Multi-head attention, `softmax(q·kᵀ/√d)·v` for each head.
pub struct Attention {
    /// `[n, t, heads·d]`
    pub q: Tensor<3>,
    /// `[m, s, heads·d]`, m ≥ n: the first n belong to the images.
    pub k: Tensor<3>,
    /// `[m, s, heads·d]`
    pub v: Tensor<3>,
    /// Number of heads.
    pub heads: usize,
    /// Causal mask, by which a token sees only itself and those before it (text encoder).
    pub causal: bool,
}

/// Images that normalized attention guidance moves away from a negative prompt, within their
/// attention to their own prompts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NagImages {
    /// The first of them; all that follow are guided too.
    pub first: usize,
    /// Index of the negative prompt among the prompts.
    pub prompt: usize,
    /// Settings.
    pub nag: Nag,
}

/// Hot operations. Results have the element type of their input; sums, norms and softmax are
/// computed in f32.
pub trait Ops {
    /// 3×3 convolution; `[n, h', w', out]`.
    fn conv3x3(&self, args: Conv3x3) -> Tensor<4>;
    /// Matrix product; `[n, t, out]`.
    fn linear(&self, args: Linear) -> Tensor<3>;
    /// GEGLU: `a ⊙ gelu(b)` where `[a, b] = x·weight + bias`, `x` is `[n, t, c]` and `weight` is
    /// `[c, 2·m]`; `[n, t, m]`.
    fn geglu(&self, x: Tensor<3>, weight: &Tensor<2>, bias: &Tensor<1>) -> Tensor<3>;
    /// Attention; `[n, t, heads·d]`. Never holds more than [`MAX_SCORES`] scores at once.
    fn attention(&self, args: Attention) -> Tensor<3>;
    /// Attention of n images to prompts, some of them with normalized attention guidance;
    /// `[n, t, heads·d]`.
    fn attention_with_nag(&self, args: Attention, nag: NagImages) -> Tensor<3> {
        stock::attention_with_nag(&|args| self.attention(args), args, nag)
    }
    /// Attention, with the identity as that of the last image: each of its tokens attends to itself
    /// alone; `[n, t, heads·d]`.
    fn attention_with_identity(&self, args: Attention) -> Tensor<3> {
        stock::attention_with_identity(&|args| self.attention(args), args)
    }
    /// The first `count` images of `x`, `[n, h, w, c]`.
    fn first_images(&self, x: Tensor<4>, count: usize) -> Tensor<4> {
        x.narrow(0, 0, count)
    }
    /// `x` `[n, t, c]` followed by an image of `from`; `[n + 1, t, c]`.
    fn append(&self, x: Tensor<3>, from: &Tensor<3>, image: usize) -> Tensor<3> {
        Tensor::cat(vec![x, from.clone().narrow(0, image, 1)], 0)
    }
    /// GroupNorm; `[n, h, w, c+c']`.
    fn group_norm(&self, args: GroupNorm) -> Tensor<4>;
    /// LayerNorm over the last dimension of `[n, t, c]`.
    fn layer_norm(&self, x: Tensor<3>, weight: &Tensor<1>, bias: &Tensor<1>, eps: f64)
    -> Tensor<3>;
    /// Activation of the text encoder, element by element.
    fn activation(&self, x: Tensor<3>, activation: Activation) -> Tensor<3> {
        stock::activation(x, activation)
    }
    /// SiLU, `x·sigmoid(x)`, element by element.
    fn silu(&self, x: Tensor<3>) -> Tensor<3> {
        silu(x)
    }
    /// Puts `parts`, `[m, c]` each, into one matrix `[m, width]`, each from its own first column
    /// on. Columns between the parts are undefined.
    fn side_by_side(&self, parts: Vec<(Tensor<2>, usize)>, width: usize) -> Tensor<2> {
        stock::side_by_side(parts, width)
    }
    /// True where operations are kernels of ours, which can be recorded by a dry run and keep a
    /// run's latent on the device.
    fn has_kernels(&self) -> bool {
        false
    }
    /// A dry run for networks of these operations; `None` where operations are not kernels of ours.
    fn dry_run(&self, _device: &Device) -> Option<DryRun> {
        None
    }
    /// Moves the latent of a run to the device, where its steps are done without the host; `None`
    /// where operations cannot. `times` are embedded timesteps on the device.
    fn device_latent(&self, _start: DeviceLatentInit, _times: &Tensor<2>) -> Option<DeviceLatent> {
        None
    }
    /// Some columns of a row `[1, width]`. They begin at the first column of one of the parts that
    /// were put side by side.
    fn columns(&self, row: &Tensor<2>, columns: Range<usize>) -> Tensor<2> {
        row.clone().slice([0..1, columns])
    }
}

/// Maximum number of attention scores that exist at once: 16 Mi, 64 MiB in f32. The whole matrix of
/// SD1.5 at 512×512 with guidance would be 268 Mi.
pub const MAX_SCORES: usize = 16 << 20;
