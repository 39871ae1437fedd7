//! The blocks of the U-Net. Matches diffusers 0.42 `models/unets/unet_2d_blocks.py`: `DownBlock2D`,
//! `CrossAttnDownBlock2D`, `UNetMidBlock2D`, `UNetMidBlock2DCrossAttn`, `UpBlock2D`,
//! `CrossAttnUpBlock2D`.

use std::ops::Range;

use burn::tensor::Tensor;

use super::precomputed::{Conditioning, Precomputed};
use super::transformer::{Transformer, TransformerConfig};
use crate::config::{MidBlockKind, UnetConfig};
use crate::error::Result;
use crate::nn::layers::{ConvExtras, ConvLayer};
use crate::nn::resnet::{ResnetBlock, ResnetConfig};
use crate::weights::VarBuilder;

/// A residual block with the timestep added.
struct TimedBlock {
    block: ResnetBlock,
    /// Columns of the precomputed timestep row that belong to this block.
    time: Range<usize>,
}

impl TimedBlock {
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

/// A residual block and, in blocks that attend to the prompt, a transformer.
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
    /// Applies the block to `x` and pushes the map of every layer to `skips`.
    ///
    /// # Shapes
    /// `[n, h, w, c]` → `[n, ⌈h/2⌉, ⌈w/2⌉, c']`; the lowest level keeps the size
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

/// The middle block, at the lowest resolution.
pub struct MidBlock {
    first: TimedBlock,
    /// Absent in `UNetMidBlock2D`, which has one residual block alone.
    rest: Option<(Transformer, TimedBlock)>,
}

impl MidBlock {
    /// Applies the block to `x`. With a perturbation there is one image more from here on.
    ///
    /// # Shapes
    /// `[n, h, w, c]` → `[n, h, w, c]`
    pub fn forward(&self, x: Tensor<4>, conditioning: &Conditioning) -> Tensor<4> {
        let x = self.first.forward(x, None, conditioning);
        let Some((attention, last)) = &self.rest else {
            return x;
        };
        // Its map is the coarsest, and is left out of token maps; see `attention_maps.rs`.
        let without_maps = conditioning.without_maps();
        let x = match conditioning.prompt.perturbation {
            Some(perturbation) => attention.forward_perturbed(x, perturbation, &without_maps),
            None => attention.forward(x, &without_maps),
        };
        last.forward(x, None, conditioning)
    }
}

/// A level on the way up: one layer more than on the way down. Each layer reads a map of the down
/// blocks as further channels.
pub struct UpBlock {
    layers: Vec<Layer>,
    upsample: Option<ConvLayer>,
}

impl UpBlock {
    /// Applies the block to `x` and pops a map from `skips` for every layer.
    ///
    /// # Shapes
    /// `[n, h, w, c]` → `[n, h', w', c']` with the size of the next map in `skips`: 2h or 2h − 1,
    /// and the same for w; the highest level keeps the size
    pub fn forward(
        &self,
        mut x: Tensor<4>,
        conditioning: &Conditioning,
        skips: &mut Vec<Tensor<4>>,
    ) -> Tensor<4> {
        for layer in &self.layers {
            let skip = skips.pop().map(|skip| conditioning.for_all(skip));
            x = layer.forward(x, skip, conditioning);
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

/// Position of a layer, and whether a transformer follows its residual block.
struct LayerConfig {
    /// Level of the block, counted from the highest resolution down.
    level: usize,
    /// Index within the block.
    index: usize,
    attention: bool,
}

/// Builder of the blocks, in the order in which they run. It counts channels and collects the
/// layers that are applied ahead of a run.
pub struct BlockBuilder<'a> {
    config: &'a UnetConfig,
    /// Channels of the map that the next block reads.
    channels: usize,
    /// Channels of the maps that down blocks push and up blocks pop.
    skips: Vec<usize>,
    precomputed: Precomputed,
}

impl<'a> BlockBuilder<'a> {
    /// Starts after `conv_in`. The last up block reads its output too.
    pub fn new(config: &'a UnetConfig) -> Self {
        let channels = config.blocks[0].channels;
        BlockBuilder {
            config,
            channels,
            skips: vec![channels],
            precomputed: Precomputed::default(),
        }
    }

    /// Makes the down block of `level` with the weights at `vb`.
    pub fn down_block(&mut self, mut vb: VarBuilder, level: usize) -> Result<DownBlock> {
        let block = self.config.blocks[level];
        let mut layers = Vec::new();
        for index in 0..block.layers {
            let layer = LayerConfig {
                level,
                index,
                attention: block.down_attention,
            };
            layers.push(self.layer(&mut vb, layer)?);
            self.skips.push(block.channels);
        }
        let last = level + 1 == self.config.blocks.len();
        let downsample = (!last)
            .then(|| {
                self.skips.push(block.channels);
                let vb = &mut vb.pp("downsamplers.0");
                ConvLayer::new(vb.pp("conv"), block.channels, block.channels)
            })
            .transpose()?;
        Ok(DownBlock { layers, downsample })
    }

    /// Makes the middle block with the weights at `vb`, if the network has one.
    pub fn mid_block(&mut self, mut vb: VarBuilder) -> Result<Option<MidBlock>> {
        if self.config.mid_block == MidBlockKind::Absent {
            return Ok(None);
        }
        let lowest = self.config.blocks.len() - 1;
        let channels = self.config.blocks[lowest].channels;
        let first = self.timed_block(vb.pp("resnets.0"), channels, channels)?;
        let rest = (self.config.mid_block == MidBlockKind::Attention)
            .then(|| {
                Ok((
                    self.transformer(vb.pp("attentions.0"), lowest)?,
                    self.timed_block(vb.pp("resnets.1"), channels, channels)?,
                ))
            })
            .transpose()?;
        Ok(Some(MidBlock { first, rest }))
    }

    /// Makes the up block of `level` with the weights at `vb`.
    pub fn up_block(&mut self, mut vb: VarBuilder, level: usize) -> Result<UpBlock> {
        let block = self.config.blocks[level];
        let mut layers = Vec::new();
        for index in 0..=block.layers {
            // Down blocks pushed one map for each layer of the up blocks.
            self.channels += self.skips.pop().unwrap_or(0);
            let layer = LayerConfig {
                level,
                index,
                attention: block.up_attention,
            };
            layers.push(self.layer(&mut vb, layer)?);
        }
        let upsample = (level > 0)
            .then(|| {
                let vb = &mut vb.pp("upsamplers.0");
                ConvLayer::new(vb.pp("conv"), block.channels, block.channels)
            })
            .transpose()?;
        Ok(UpBlock { layers, upsample })
    }

    /// Returns the layers that are applied ahead of a run.
    pub fn into_precomputed(self) -> Precomputed {
        self.precomputed
    }

    /// Makes a layer of the block with the weights at `vb`.
    fn layer(&mut self, vb: &mut VarBuilder, config: LayerConfig) -> Result<Layer> {
        let LayerConfig {
            level,
            index,
            attention,
        } = config;
        let inputs = self.channels;
        self.channels = self.config.blocks[level].channels;
        let resnet = self.timed_block(vb.pp("resnets").pp(index), inputs, self.channels)?;
        let attention = attention
            .then(|| self.transformer(vb.pp("attentions").pp(index), level))
            .transpose()?;
        Ok(Layer { resnet, attention })
    }

    fn timed_block(
        &mut self,
        mut vb: VarBuilder,
        inputs: usize,
        outputs: usize,
    ) -> Result<TimedBlock> {
        let resnet = ResnetConfig {
            inputs,
            outputs,
            groups: self.config.norm_num_groups,
            eps: self.config.norm_eps,
        };
        let projections = &mut self.precomputed.projections;
        Ok(TimedBlock {
            time: projections.add(vb.pp("time_emb_proj"), self.config, outputs)?,
            block: resnet.init(vb)?,
        })
    }

    fn transformer(&mut self, vb: VarBuilder, level: usize) -> Result<Transformer> {
        let block = self.config.blocks[level];
        let transformer = TransformerConfig {
            channels: block.channels,
            heads: block.heads,
            layers: block.transformer_layers,
            groups: self.config.norm_num_groups,
            prompt_channels: self.config.cross_attention_dim,
        };
        transformer.init(vb, &mut self.precomputed)
    }
}
