//! The U-Net: from a noisy latent, a timestep and the prompt's embeddings to the noise in it. Matches diffusers 0.42
//! `models/unets/unet_2d_condition.py`, `UNet2DConditionModel`, for the block types of SD1.x and SD2.x in any order.

mod blocks;
mod precomputed;
mod time;
mod transformer;

use std::rc::Rc;

use burn::tensor::Tensor;

use crate::config::UnetConfig;
use crate::error::Result;
use crate::nn::layers::{ConvLayer, GroupNormLayer};
use crate::ops::Ops;
use crate::weights::VarBuilder;
use blocks::{DownBlock, MidBlock, UpBlock};
use precomputed::{Conditioning, Precomputed};
use time::Timesteps;
use transformer::KvProjection;

pub use precomputed::CrossAttnKv;

/// The noise predictor.
pub struct Unet {
    timesteps: Timesteps,
    kv_projections: Vec<KvProjection>,
    conv_in: ConvLayer,
    down_blocks: Vec<DownBlock>,
    mid_block: MidBlock,
    up_blocks: Vec<UpBlock>,
    conv_norm_out: GroupNormLayer,
    conv_out: ConvLayer,
    ops: Rc<dyn Ops>,
}

impl Unet {
    /// The network whose parameters are at `vb`.
    pub fn new(mut vb: VarBuilder, config: &UnetConfig) -> Result<Self> {
        let first = config.blocks[0].channels;
        let levels = config.blocks.len();
        let conv_in = ConvLayer::new(vb.pp("conv_in"), config.in_channels, first)?;

        // Every map that leaves a layer on the way down waits here for its counterpart on the way up.
        let mut skips = vec![first];
        let mut precomputed = Precomputed::default();
        let mut channels = first;
        let mut down_blocks = Vec::new();
        for level in 0..levels {
            let block = DownBlock::new(
                vb.pp("down_blocks").pp(level),
                config,
                level,
                channels,
                &mut skips,
                &mut precomputed,
            )?;
            channels = config.blocks[level].channels;
            down_blocks.push(block);
        }
        let mid_block = MidBlock::new(vb.pp("mid_block"), config, &mut precomputed)?;
        let mut up_blocks = Vec::new();
        for (index, level) in (0..levels).rev().enumerate() {
            let block = UpBlock::new(
                vb.pp("up_blocks").pp(index),
                config,
                level,
                channels,
                &mut skips,
                &mut precomputed,
            )?;
            channels = config.blocks[level].channels;
            up_blocks.push(block);
        }
        Ok(Unet {
            timesteps: Timesteps::new(vb.pp("time_embedding"), config, precomputed.projections)?,
            kv_projections: precomputed.kv_projections,
            conv_in,
            down_blocks,
            mid_block,
            up_blocks,
            conv_norm_out: GroupNormLayer::new(
                vb.pp("conv_norm_out"),
                first,
                config.norm_num_groups,
                config.norm_eps,
                true,
            )?,
            conv_out: ConvLayer::new(vb.pp("conv_out"), first, config.out_channels)?,
            ops: vb.ops(),
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
    pub fn cross_attn_kv(&self, prompts: &Tensor<3>) -> CrossAttnKv {
        CrossAttnKv(
            self.kv_projections
                .iter()
                .map(|c| c.forward(prompts))
                .collect(),
        )
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
    pub fn predict(&self, latent: Tensor<4>, time: &Tensor<2>, prompt: &CrossAttnKv) -> Tensor<4> {
        let conditioning = Conditioning {
            time,
            prompt,
            ops: &self.ops,
        };
        let mut x = self.conv_in.forward(latent);
        let mut skips = vec![x.clone()];
        for block in &self.down_blocks {
            x = block.forward(x, &conditioning, &mut skips);
        }
        x = self.mid_block.forward(x, &conditioning);
        for block in &self.up_blocks {
            x = block.forward(x, &conditioning, &mut skips);
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
        self.predict(latent, &time, &self.cross_attn_kv(prompts))
    }
}
