//! The levels of the U-Net. Matches diffusers 0.42 `models/unets/unet_2d_blocks.py`: `DownBlock2D`,
//! `CrossAttnDownBlock2D`, `UNetMidBlock2DCrossAttn`, `UpBlock2D`, `CrossAttnUpBlock2D`.

use std::ops::Range;

use burn::tensor::Tensor;

use super::precomputed::{Conditioning, Precomputed};
use super::transformer::Transformer;
use crate::config::UnetConfig;
use crate::error::Result;
use crate::nn::layers::{ConvExtras, ConvLayer};
use crate::nn::resnet::{ResnetBlock, ResnetConfig};
use crate::weights::VarBuilder;

/// A residual block that is told the timestep.
struct TimedBlock {
    block: ResnetBlock,
    /// Its columns of what is given of the timestep.
    time: Range<usize>,
}

impl TimedBlock {
    fn new(
        mut vb: VarBuilder,
        config: &UnetConfig,
        inputs: usize,
        outputs: usize,
        precomputed: &mut Precomputed,
    ) -> Result<Self> {
        let sizes = ResnetConfig {
            inputs,
            outputs,
            groups: config.norm_num_groups,
            eps: config.norm_eps,
        };
        Ok(TimedBlock {
            time: precomputed
                .projections
                .add(vb.pp("time_emb_proj"), config, outputs)?,
            block: ResnetBlock::new(vb, sizes)?,
        })
    }

    fn forward(
        &self,
        x: Tensor<4>,
        skip: Option<Tensor<4>>,
        conditioning: &Conditioning,
    ) -> Tensor<4> {
        let time = conditioning.time(self.time.clone());
        self.block.forward(x, skip, Some(time))
    }
}

/// A residual block and, on levels that see the prompt, a transformer.
struct Layer {
    resnet: TimedBlock,
    attention: Option<Transformer>,
}

impl Layer {
    fn forward(
        &self,
        x: Tensor<4>,
        skip: Option<Tensor<4>>,
        conditioning: &Conditioning,
    ) -> Tensor<4> {
        let x = self.resnet.forward(x, skip, conditioning);
        match &self.attention {
            Some(attention) => attention.forward(x, conditioning),
            None => x,
        }
    }
}

/// A level on the way down.
pub struct DownBlock {
    layers: Vec<Layer>,
    downsample: Option<ConvLayer>,
}

impl DownBlock {
    /// `inputs` channels come in; the channels of every map kept for the way up are pushed to `skips`.
    pub fn new(
        mut vb: VarBuilder,
        config: &UnetConfig,
        level: usize,
        inputs: usize,
        skips: &mut Vec<usize>,
        precomputed: &mut Precomputed,
    ) -> Result<Self> {
        let block = config.blocks[level];
        let mut layers = Vec::new();
        for i in 0..block.layers {
            let inputs = if i == 0 { inputs } else { block.channels };
            layers.push(Layer {
                resnet: TimedBlock::new(
                    vb.pp("resnets").pp(i),
                    config,
                    inputs,
                    block.channels,
                    precomputed,
                )?,
                attention: block
                    .down_attention
                    .then(|| {
                        let mut vb = vb.pp("attentions");
                        Transformer::new(vb.pp(i), config, level, precomputed)
                    })
                    .transpose()?,
            });
            skips.push(block.channels);
        }
        let last = level + 1 == config.blocks.len();
        let downsample = (!last)
            .then(|| {
                skips.push(block.channels);
                let vb = &mut vb.pp("downsamplers.0");
                ConvLayer::new(vb.pp("conv"), block.channels, block.channels)
            })
            .transpose()?;
        Ok(DownBlock { layers, downsample })
    }

    /// `[n, h, w, c]` → `[n, ⌈h/2⌉, ⌈w/2⌉, c']`; the same size on the last level
    pub fn forward(
        &self,
        mut x: Tensor<4>,
        conditioning: &Conditioning,
        skips: &mut Vec<Tensor<4>>,
    ) -> Tensor<4> {
        for layer in &self.layers {
            x = layer.forward(x, None, conditioning);
            skips.push(x.clone());
        }
        if let Some(conv) = &self.downsample {
            x = conv.forward_with(
                x,
                ConvExtras {
                    halve: true,
                    ..Default::default()
                },
            );
            skips.push(x.clone());
        }
        x
    }
}

/// The deepest point.
pub struct MidBlock {
    first: TimedBlock,
    /// Absent in `UNetMidBlock2D`, which then is one residual block alone.
    rest: Option<(Transformer, TimedBlock)>,
}

impl MidBlock {
    /// The block whose parameters are at `vb`.
    pub fn new(
        mut vb: VarBuilder,
        config: &UnetConfig,
        precomputed: &mut Precomputed,
    ) -> Result<Self> {
        let deepest = config.blocks.len() - 1;
        let channels = config.blocks[deepest].channels;
        let first = vb.pp("resnets.0");
        let first = TimedBlock::new(first, config, channels, channels, precomputed)?;
        let rest = config
            .mid_attention
            .then(|| {
                Ok((
                    Transformer::new(vb.pp("attentions.0"), config, deepest, precomputed)?,
                    TimedBlock::new(vb.pp("resnets.1"), config, channels, channels, precomputed)?,
                ))
            })
            .transpose()?;
        Ok(MidBlock { first, rest })
    }

    /// `[n, h, w, c]` → the same
    pub fn forward(&self, x: Tensor<4>, conditioning: &Conditioning) -> Tensor<4> {
        let x = self.first.forward(x, None, conditioning);
        match &self.rest {
            Some((attention, last)) => {
                last.forward(attention.forward(x, conditioning), None, conditioning)
            }
            None => x,
        }
    }
}

/// A level on the way up: one layer more than on the way down, each with a map from there beside its input.
pub struct UpBlock {
    layers: Vec<Layer>,
    upsample: Option<ConvLayer>,
}

impl UpBlock {
    /// `inputs` channels come in; the maps kept on the way down are taken from the end of `skips`.
    pub fn new(
        mut vb: VarBuilder,
        config: &UnetConfig,
        level: usize,
        inputs: usize,
        skips: &mut Vec<usize>,
        precomputed: &mut Precomputed,
    ) -> Result<Self> {
        let block = config.blocks[level];
        let mut layers = Vec::new();
        for i in 0..=block.layers {
            let inputs = if i == 0 { inputs } else { block.channels };
            // Down and up are counted from the same lists, so there is one map for each layer.
            let skip = skips.pop().unwrap_or(0);
            layers.push(Layer {
                resnet: TimedBlock::new(
                    vb.pp("resnets").pp(i),
                    config,
                    inputs + skip,
                    block.channels,
                    precomputed,
                )?,
                attention: block
                    .up_attention
                    .then(|| {
                        let mut vb = vb.pp("attentions");
                        Transformer::new(vb.pp(i), config, level, precomputed)
                    })
                    .transpose()?,
            });
        }
        let upsample = (level > 0)
            .then(|| {
                let vb = &mut vb.pp("upsamplers.0");
                ConvLayer::new(vb.pp("conv"), block.channels, block.channels)
            })
            .transpose()?;
        Ok(UpBlock { layers, upsample })
    }

    /// `[n, h, w, c]` → `[n, h', w', c']` with the size of the next level's map from the way down: for sizes that do
    /// not halve evenly it is one less than twice the size.
    pub fn forward(
        &self,
        mut x: Tensor<4>,
        conditioning: &Conditioning,
        skips: &mut Vec<Tensor<4>>,
    ) -> Tensor<4> {
        for layer in &self.layers {
            x = layer.forward(x, skips.pop(), conditioning);
        }
        if let Some(conv) = &self.upsample {
            let [_, h, w, _] = x.dims();
            let [height, width] = skips.last().map_or([2 * h, 2 * w], |skip| {
                let [_, h, w, _] = skip.dims();
                [h, w]
            });
            x = conv.forward_with(
                x,
                ConvExtras {
                    upsample_to: Some([height, width]),
                    ..Default::default()
                },
            );
        }
        x
    }
}
