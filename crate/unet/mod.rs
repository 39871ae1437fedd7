//! The U-Net: from a noisy latent, a timestep and the prompt's embeddings to the noise in it. Matches diffusers 0.42
//! `models/unets/unet_2d_condition.py`, `UNet2DConditionModel`, for the block types of SD1.x and SD2.x in any order.

mod ahead;
mod blocks;
mod time;
mod transformer;

use std::rc::Rc;

use burn::tensor::Tensor;

use crate::config::UnetConfig;
use crate::error::Result;
use crate::ops::Ops;
use crate::ops::layers::{ConvLayer, GroupNormLayer};
use crate::weights::Scope;
use ahead::{Ahead, Given};
use blocks::{DownBlock, MidBlock, UpBlock};
use time::Timesteps;
use transformer::Context;

pub use ahead::Prompt;

/// The noise predictor.
pub struct Unet {
    timesteps: Timesteps,
    contexts: Vec<Context>,
    conv_in: ConvLayer,
    down_blocks: Vec<DownBlock>,
    mid_block: MidBlock,
    up_blocks: Vec<UpBlock>,
    conv_norm_out: GroupNormLayer,
    conv_out: ConvLayer,
    ops: Rc<dyn Ops>,
}

impl Unet {
    /// The network whose parameters are at `scope`.
    pub fn new(mut scope: Scope, config: &UnetConfig) -> Result<Self> {
        let first = config.blocks[0].channels;
        let levels = config.blocks.len();
        let conv_in = ConvLayer::new(scope.enter("conv_in"), config.in_channels, first)?;

        // Every map that leaves a layer on the way down waits here for its counterpart on the way up.
        let mut skips = vec![first];
        let mut ahead = Ahead::default();
        let mut channels = first;
        let mut down_blocks = Vec::new();
        for level in 0..levels {
            let block = DownBlock::new(
                scope.enter("down_blocks").enter(level),
                config,
                level,
                channels,
                &mut skips,
                &mut ahead,
            )?;
            channels = config.blocks[level].channels;
            down_blocks.push(block);
        }
        let mid_block = MidBlock::new(scope.enter("mid_block"), config, &mut ahead)?;
        let mut up_blocks = Vec::new();
        for (index, level) in (0..levels).rev().enumerate() {
            let block = UpBlock::new(
                scope.enter("up_blocks").enter(index),
                config,
                level,
                channels,
                &mut skips,
                &mut ahead,
            )?;
            channels = config.blocks[level].channels;
            up_blocks.push(block);
        }
        Ok(Unet {
            timesteps: Timesteps::new(scope.enter("time_embedding"), config, ahead.projections)?,
            contexts: ahead.contexts,
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
            ops: scope.ops(),
        })
    }

    /// The operations it runs on.
    pub fn ops(&self) -> &Rc<dyn Ops> {
        &self.ops
    }

    /// What every call of a run with these prompts has in common.
    ///
    /// # Shapes
    /// `[n, 77·k, cross_attention_dim]`
    pub fn prompt(&self, prompts: &Tensor<3>) -> Prompt {
        Prompt(self.contexts.iter().map(|c| c.forward(prompts)).collect())
    }

    /// What the residual blocks add at each of `timesteps`, on the device and in the element type of `prompts`.
    ///
    /// # Shapes
    /// m timesteps → `[m, columns]`, where the number of columns is the network's own
    pub fn times(&self, timesteps: &[f64], prompts: &Tensor<3>) -> Tensor<2> {
        self.timesteps
            .embed(timesteps, &prompts.device(), prompts.dtype())
    }

    /// Predicts the noise (or v) in `latent` at the timestep that `time` stands for given `prompt`, one prompt for each
    /// latent.
    ///
    /// # Shapes
    /// latent `[n, h, w, in_channels]`, time a row of [`Unet::times`], `[1, columns]` → `[n, h, w, out_channels]`
    pub fn predict(&self, latent: Tensor<4>, time: &Tensor<2>, prompt: &Prompt) -> Tensor<4> {
        let given = Given {
            time,
            prompt,
            ops: &self.ops,
        };
        let mut x = self.conv_in.forward(latent);
        let mut skips = vec![x.clone()];
        for block in &self.down_blocks {
            x = block.forward(x, &given, &mut skips);
        }
        x = self.mid_block.forward(x, &given);
        for block in &self.up_blocks {
            x = block.forward(x, &given, &mut skips);
        }
        let x = self.conv_norm_out.forward(x, None);
        self.conv_out.forward(x)
    }

    /// A single call: [`Unet::predict`] with all that goes before it.
    ///
    /// # Shapes
    /// latent `[n, h, w, in_channels]`, prompts `[n, 77·k, cross_attention_dim]` → `[n, h, w, out_channels]`
    pub fn forward(&self, latent: Tensor<4>, timestep: f64, prompts: &Tensor<3>) -> Tensor<4> {
        let time = self.times(&[timestep], prompts);
        self.predict(latent, &time, &self.prompt(prompts))
    }
}
