//! Layers: parameters together with the operations that use them.

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

/// What may be fused into a convolution; see [`Conv3x3`] for shapes.
#[derive(Default)]
pub struct ConvExtras {
    /// Halve the size.
    pub halve: bool,
    /// Enlarge the input first.
    pub upsample_to: Option<[usize; 2]>,
    /// Timestep embedding.
    pub add: Option<Tensor<2>>,
    /// Added to the result.
    pub residual: Option<Tensor<4>>,
}

impl ConvLayer {
    /// `weight` and `bias` of `vb`.
    pub fn new(mut vb: VarBuilder, inputs: usize, outputs: usize) -> Result<Self> {
        Ok(ConvLayer {
            weight: vb.conv3x3("weight", inputs, outputs)?,
            bias: vb.vector("bias", outputs)?,
            ops: vb.ops(),
        })
    }

    /// # Shapes
    /// `[n, h, w, inputs]` → `[n, h, w, outputs]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.forward_with(x, ConvExtras::default())
    }

    /// As [`ConvLayer::forward`], with what `extras` asks for fused in.
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

/// A matrix product with bias, over tokens or (as a 1×1 convolution) over the positions of a map.
pub struct LinearLayer {
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    ops: Rc<dyn Ops>,
}

impl LinearLayer {
    /// `weight` and `bias` of `vb`.
    pub fn new(mut vb: VarBuilder, inputs: usize, outputs: usize) -> Result<Self> {
        Ok(LinearLayer {
            weight: vb.matrix("weight", inputs, outputs)?,
            bias: Some(vb.vector("bias", outputs)?),
            ops: vb.ops(),
        })
    }

    /// `weight` alone.
    pub fn without_bias(mut vb: VarBuilder, inputs: usize, outputs: usize) -> Result<Self> {
        Ok(LinearLayer {
            weight: vb.matrix("weight", inputs, outputs)?,
            bias: None,
            ops: vb.ops(),
        })
    }

    /// # Shapes
    /// `[n, t, inputs]` (+ residual `[n, t, outputs]`) → `[n, t, outputs]`
    pub fn forward(&self, x: Tensor<3>, residual: Option<Tensor<3>>) -> Tensor<3> {
        self.ops.linear(Linear {
            x,
            skip: None,
            weight: &self.weight,
            bias: self.bias.as_ref(),
            residual,
        })
    }

    /// As a 1×1 convolution over a map, with `skip` as further input channels.
    ///
    /// # Shapes
    /// `[n, h, w, c]`, `[n, h, w, inputs − c]` → `[n, h, w, outputs]`
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

/// `[n, h, w, c]` → `[n, h·w, c]`
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
    /// `proj.weight` and `proj.bias` of `vb`; twice `outputs` wide.
    pub fn new(mut vb: VarBuilder, inputs: usize, outputs: usize) -> Result<Self> {
        let mut proj = vb.pp("proj");
        Ok(GegluLayer {
            weight: proj.matrix("weight", inputs, 2 * outputs)?,
            bias: proj.vector("bias", 2 * outputs)?,
            ops: proj.ops(),
        })
    }

    /// # Shapes
    /// `[n, t, inputs]` → `[n, t, outputs]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.ops.geglu(x, &self.weight, &self.bias)
    }
}

/// GroupNorm, with SiLU behind it where asked.
pub struct GroupNormLayer {
    weight: Tensor<1>,
    bias: Tensor<1>,
    groups: usize,
    eps: f64,
    silu: bool,
    ops: Rc<dyn Ops>,
}

impl GroupNormLayer {
    /// `weight` and `bias` of `vb`.
    pub fn new(
        mut vb: VarBuilder,
        channels: usize,
        groups: usize,
        eps: f64,
        silu: bool,
    ) -> Result<Self> {
        Ok(GroupNormLayer {
            weight: vb.vector("weight", channels)?,
            bias: vb.vector("bias", channels)?,
            groups,
            eps,
            silu,
            ops: vb.ops(),
        })
    }

    /// # Shapes
    /// `[n, h, w, c]`, `[n, h, w, channels − c]` → `[n, h, w, channels]`
    pub fn forward(&self, x: Tensor<4>, skip: Option<Tensor<4>>) -> Tensor<4> {
        self.ops.group_norm(GroupNorm {
            x,
            skip,
            weight: &self.weight,
            bias: &self.bias,
            groups: self.groups,
            eps: self.eps,
            silu: self.silu,
        })
    }
}

/// LayerNorm over channels.
pub struct LayerNormLayer {
    weight: Tensor<1>,
    bias: Tensor<1>,
    eps: f64,
    ops: Rc<dyn Ops>,
}

impl LayerNormLayer {
    /// `weight` and `bias` of `vb`.
    pub fn new(mut vb: VarBuilder, channels: usize, eps: f64) -> Result<Self> {
        Ok(LayerNormLayer {
            weight: vb.vector("weight", channels)?,
            bias: vb.vector("bias", channels)?,
            eps,
            ops: vb.ops(),
        })
    }

    /// # Shapes
    /// `[n, t, channels]` → `[n, t, channels]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.ops.layer_norm(x, &self.weight, &self.bias, self.eps)
    }
}
