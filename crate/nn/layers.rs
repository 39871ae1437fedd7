//! Layers: weights together with the operations that use them.

use std::rc::Rc;

use burn::tensor::Tensor;

use crate::error::Result;
use crate::ops::{Conv3x3, GroupNorm, Linear, Ops};
use crate::weights::VarBuilder;

/// A 3×3 convolution with padding 1.
pub struct ConvLayer {
    weight: Tensor<2>,
    bias: Tensor<1>,
    ops: Rc<dyn Ops>,
}

/// Operations fused into a convolution. [`Conv3x3`] has their shapes.
#[derive(Default)]
pub struct ConvExtras {
    /// Stride 2 instead of 1, which halves the size.
    pub halve: bool,
    /// Size to which the input is enlarged first.
    pub upsample_to: Option<[usize; 2]>,
    /// Projected timestep embedding, added to the result.
    pub add: Option<Tensor<2>>,
    /// Map added to the result.
    pub residual: Option<Tensor<4>>,
}

impl ConvLayer {
    /// Takes `weight` and `bias` from `vb`.
    pub fn new(mut vb: VarBuilder, inputs: usize, outputs: usize) -> Result<Self> {
        Ok(ConvLayer {
            weight: vb.conv3x3("weight", inputs, outputs)?,
            bias: vb.vector("bias", outputs)?,
            ops: vb.ops(),
        })
    }

    /// Convolves `x` with stride 1.
    ///
    /// # Shapes
    /// `[n, h, w, inputs]` → `[n, h, w, outputs]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.forward_with(x, ConvExtras::default())
    }

    /// Convolves `x` as [`ConvLayer::forward`] does, with `extras` fused in.
    pub fn forward_with(&self, x: Tensor<4>, extras: ConvExtras) -> Tensor<4> {
        self.ops.conv3x3(Conv3x3 {
            x,
            weight: &self.weight,
            bias: &self.bias,
            stride: if extras.halve { 2 } else { 1 },
            upsample_to: extras.upsample_to,
            add: extras.add,
            residual: extras.residual,
        })
    }
}

/// A matrix product with bias, over tokens or, as a 1×1 convolution, over the positions of a map.
pub struct LinearLayer {
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    ops: Rc<dyn Ops>,
}

impl LinearLayer {
    /// Takes `weight` and `bias` from `vb`.
    pub fn new(mut vb: VarBuilder, inputs: usize, outputs: usize) -> Result<Self> {
        Ok(LinearLayer {
            weight: vb.matrix("weight", inputs, outputs)?,
            bias: Some(vb.vector("bias", outputs)?),
            ops: vb.ops(),
        })
    }

    /// Takes `weight` from `vb`; the layer has no bias.
    pub fn without_bias(mut vb: VarBuilder, inputs: usize, outputs: usize) -> Result<Self> {
        Ok(LinearLayer {
            weight: vb.matrix("weight", inputs, outputs)?,
            bias: None,
            ops: vb.ops(),
        })
    }

    /// Multiplies tokens by the weight and adds `residual`.
    ///
    /// # Shapes
    /// x `[n, t, inputs]`, residual `[n, t, outputs]` → `[n, t, outputs]`
    pub fn forward(&self, x: Tensor<3>, residual: Option<Tensor<3>>) -> Tensor<3> {
        self.ops.linear(Linear {
            x,
            skip: None,
            weight: &self.weight,
            bias: self.bias.as_ref(),
            residual,
        })
    }

    /// Applies the layer to a map as a 1×1 convolution, with `skip` as further input channels.
    ///
    /// # Shapes
    /// x `[n, h, w, c]`, skip `[n, h, w, inputs − c]` → `[n, h, w, outputs]`
    pub fn forward_map(&self, x: Tensor<4>, skip: Option<Tensor<4>>) -> Tensor<4> {
        let [n, h, w, _] = x.dims();
        let y = self.ops.linear(Linear {
            x: tokens(x),
            skip: skip.map(tokens),
            weight: &self.weight,
            bias: self.bias.as_ref(),
            residual: None,
        });
        let outputs = y.dims()[2];
        y.reshape([n, h, w, outputs])
    }
}

/// Flattens the positions of a map into tokens: `[n, h, w, c]` → `[n, h·w, c]`.
pub fn tokens(x: Tensor<4>) -> Tensor<3> {
    let [n, h, w, c] = x.dims();
    x.reshape([n, h * w, c])
}

/// A feed-forward layer with gated GELU.
pub struct GegluLayer {
    weight: Tensor<2>,
    bias: Tensor<1>,
    ops: Rc<dyn Ops>,
}

impl GegluLayer {
    /// Takes `proj.weight` and `proj.bias` from `vb`. They are twice `outputs` wide.
    pub fn new(mut vb: VarBuilder, inputs: usize, outputs: usize) -> Result<Self> {
        let mut proj = vb.pp("proj");
        Ok(GegluLayer {
            weight: proj.matrix("weight", inputs, 2 * outputs)?,
            bias: proj.vector("bias", 2 * outputs)?,
            ops: proj.ops(),
        })
    }

    /// Multiplies one half of the projection of `x` by the GELU of the other.
    ///
    /// # Shapes
    /// `[n, t, inputs]` → `[n, t, outputs]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.ops.geglu(x, &self.weight, &self.bias)
    }
}

/// SiLU, the only activation that follows a norm in these networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silu;

/// Configuration of a [`GroupNormLayer`].
#[derive(Debug, Clone, Copy)]
pub struct GroupNormConfig {
    /// Channels, those of a skip connection included.
    pub channels: usize,
    /// Groups that the channels divide into.
    pub groups: usize,
    /// Number added to the variance.
    pub eps: f64,
    /// Activation fused behind the norm.
    pub activation: Option<Silu>,
}

impl GroupNormConfig {
    /// Makes the layer with `weight` and `bias` of `vb`.
    pub fn init(self, mut vb: VarBuilder) -> Result<GroupNormLayer> {
        Ok(GroupNormLayer {
            weight: vb.vector("weight", self.channels)?,
            bias: vb.vector("bias", self.channels)?,
            config: self,
            ops: vb.ops(),
        })
    }
}

/// GroupNorm, optionally followed by SiLU.
pub struct GroupNormLayer {
    weight: Tensor<1>,
    bias: Tensor<1>,
    config: GroupNormConfig,
    ops: Rc<dyn Ops>,
}

impl GroupNormLayer {
    /// Normalizes `x`, with `skip` as further channels.
    ///
    /// # Shapes
    /// x `[n, h, w, c]`, skip `[n, h, w, channels − c]` → `[n, h, w, channels]`
    pub fn forward(&self, x: Tensor<4>, skip: Option<Tensor<4>>) -> Tensor<4> {
        self.ops.group_norm(GroupNorm {
            x,
            skip,
            weight: &self.weight,
            bias: &self.bias,
            groups: self.config.groups,
            eps: self.config.eps,
            silu: self.config.activation.is_some(),
        })
    }
}

/// Configuration of a [`LayerNormLayer`].
#[derive(Debug, Clone, Copy)]
pub struct LayerNormConfig {
    /// Channels of a token.
    pub channels: usize,
    /// Number added to the variance.
    pub eps: f64,
}

impl LayerNormConfig {
    /// Makes the layer with `weight` and `bias` of `vb`.
    pub fn init(self, mut vb: VarBuilder) -> Result<LayerNormLayer> {
        Ok(LayerNormLayer {
            weight: vb.vector("weight", self.channels)?,
            bias: vb.vector("bias", self.channels)?,
            eps: self.eps,
            ops: vb.ops(),
        })
    }
}

/// LayerNorm over the channels of each token.
pub struct LayerNormLayer {
    weight: Tensor<1>,
    bias: Tensor<1>,
    eps: f64,
    ops: Rc<dyn Ops>,
}

impl LayerNormLayer {
    /// Normalizes each token.
    ///
    /// # Shapes
    /// `[n, t, channels]` → `[n, t, channels]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.ops.layer_norm(x, &self.weight, &self.bias, self.eps)
    }
}
