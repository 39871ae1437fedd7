//! The residual block of the U-Net and the VAE.

use burn::tensor::Tensor;

use crate::error::Result;
use crate::nn::layers::{
    ConvExtras, ConvLayer, GroupNormConfig, GroupNormLayer, LinearLayer, Silu,
};
use crate::weights::VarBuilder;

/// Configuration of a [`ResnetBlock`].
#[derive(Debug, Clone, Copy)]
pub struct ResnetConfig {
    /// Channels in, those of a skip connection included.
    pub inputs: usize,
    /// Channels out.
    pub outputs: usize,
    /// Groups of both norms.
    pub groups: usize,
    /// Epsilon of both norms.
    pub eps: f64,
}

impl ResnetConfig {
    /// Makes the block with the weights at `vb`.
    pub fn init(self, mut vb: VarBuilder) -> Result<ResnetBlock> {
        let ResnetConfig {
            inputs, outputs, ..
        } = self;
        let norm = |channels| GroupNormConfig {
            channels,
            groups: self.groups,
            eps: self.eps,
            activation: Some(Silu),
        };
        Ok(ResnetBlock {
            norm1: norm(inputs).init(vb.pp("norm1"))?,
            conv1: ConvLayer::new(vb.pp("conv1"), inputs, outputs)?,
            norm2: norm(outputs).init(vb.pp("norm2"))?,
            conv2: ConvLayer::new(vb.pp("conv2"), outputs, outputs)?,
            conv_shortcut: (inputs != outputs)
                .then(|| LinearLayer::new(vb.pp("conv_shortcut"), inputs, outputs))
                .transpose()?,
        })
    }
}

/// Norm, SiLU, convolution, plus the timestep; norm, SiLU, convolution; plus the input.
///
/// Matches diffusers 0.42 `models/resnet.py`, `ResnetBlock2D`, without `time_emb_proj`, which the
/// U-Net applies ahead of a run.
pub struct ResnetBlock {
    norm1: GroupNormLayer,
    conv1: ConvLayer,
    norm2: GroupNormLayer,
    conv2: ConvLayer,
    /// 1×1; present if the number of channels changes.
    conv_shortcut: Option<LinearLayer>,
}

impl ResnetBlock {
    /// Applies the block to `x`.
    ///
    /// `skip` is a map of a down block, read as further channels of `x`. `time` is the block's own
    /// projection of the timestep embedding; the VAE has none.
    ///
    /// # Shapes
    /// x `[n, h, w, c]`, skip `[n, h, w, inputs − c]`, time `[1, outputs]` or `[n, outputs]`
    /// → `[n, h, w, outputs]`
    pub fn forward(
        &self,
        x: Tensor<4>,
        skip: Option<Tensor<4>>,
        time: Option<Tensor<2>>,
    ) -> Tensor<4> {
        let h = self.norm1.forward(x.clone(), skip.clone());
        let h = self.conv1.forward_with(
            h,
            ConvExtras {
                add: time,
                ..Default::default()
            },
        );
        let h = self.norm2.forward(h, None);
        let residual = match &self.conv_shortcut {
            Some(shortcut) => shortcut.forward_map(x, skip),
            None => x,
        };
        self.conv2.forward_with(
            h,
            ConvExtras {
                residual: Some(residual),
                ..Default::default()
            },
        )
    }
}
