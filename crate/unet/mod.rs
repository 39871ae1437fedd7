//! The U-Net: from a noisy latent, a timestep and the prompt's embeddings to the noise in it. Matches diffusers 0.42
//! `models/unets/unet_2d_condition.py`, `UNet2DConditionModel`, for the block types of SD1.x and SD2.x in any order.

mod blocks;
mod time;
mod transformer;

use burn::tensor::{DType, Tensor};

use crate::config::UnetConfig;
use crate::error::Result;
use crate::ops::layers::{ConvLayer, GroupNormLayer};
use crate::weights::Scope;
use blocks::{DownBlock, MidBlock, UpBlock};
use time::TimeEmbedding;

/// The noise predictor.
pub struct Unet {
    time_embedding: TimeEmbedding,
    conv_in: ConvLayer,
    down_blocks: Vec<DownBlock>,
    mid_block: MidBlock,
    up_blocks: Vec<UpBlock>,
    conv_norm_out: GroupNormLayer,
    conv_out: ConvLayer,
}

impl Unet {
    /// The network whose parameters are at `scope`.
    pub fn new(mut scope: Scope, config: &UnetConfig) -> Result<Self> {
        let first = config.blocks[0].channels;
        let levels = config.blocks.len();
        let conv_in = ConvLayer::new(scope.enter("conv_in"), config.in_channels, first)?;
        let time_embedding = TimeEmbedding::new(scope.enter("time_embedding"), config)?;

        // Every map that leaves a layer on the way down waits here for its counterpart on the way up.
        let mut skips = vec![first];
        let mut channels = first;
        let mut down_blocks = Vec::new();
        for level in 0..levels {
            let block = DownBlock::new(
                scope.enter("down_blocks").enter(level),
                config,
                level,
                channels,
                &mut skips,
            )?;
            channels = config.blocks[level].channels;
            down_blocks.push(block);
        }
        let mid_block = MidBlock::new(scope.enter("mid_block"), config)?;
        let mut up_blocks = Vec::new();
        for (index, level) in (0..levels).rev().enumerate() {
            let block = UpBlock::new(
                scope.enter("up_blocks").enter(index),
                config,
                level,
                channels,
                &mut skips,
            )?;
            channels = config.blocks[level].channels;
            up_blocks.push(block);
        }
        Ok(Unet {
            time_embedding,
            conv_in,
            down_blocks,
            mid_block,
            up_blocks,
            conv_norm_out: GroupNormLayer::new(
                scope.enter("conv_norm_out"),
                first,
                config.norm_num_groups,
                config.norm_eps,
                true,
            )?,
            conv_out: ConvLayer::new(scope.enter("conv_out"), first, config.out_channels)?,
        })
    }

    /// Predicts the noise (or v) in `latent` at `timestep` given `prompt`, one prompt for each latent.
    ///
    /// # Shapes
    /// latent `[n, h, w, in_channels]`, prompt `[n, 77·k, cross_attention_dim]` → `[n, h, w, out_channels]` in f32
    pub fn forward(&self, latent: Tensor<4>, timestep: f64, prompt: &Tensor<3>) -> Tensor<4> {
        let time = self.time_embedding.forward(timestep, &latent);
        let mut x = self.conv_in.forward(latent);
        let mut skips = vec![x.clone()];
        for block in &self.down_blocks {
            x = block.forward(x, &time, prompt, &mut skips);
        }
        x = self.mid_block.forward(x, &time, prompt);
        for block in &self.up_blocks {
            x = block.forward(x, &time, prompt, &mut skips);
        }
        let x = self.conv_norm_out.forward(x, None);
        self.conv_out.forward(x).cast(DType::F32)
    }
}
