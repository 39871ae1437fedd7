//! The U-Net: predicts the noise in a latent from the latent, the timestep and the prompt's
//! embeddings.
//!
//! Matches diffusers 0.42 `models/unets/unet_2d_condition.py`, `UNet2DConditionModel`, for the
//! block types of SD1.x and SD2.x in any order.

pub mod attention_maps;
mod blocks;
mod precomputed;
mod time;
mod transformer;

use std::rc::Rc;

use burn::tensor::Tensor;

use crate::config::UnetConfig;
use crate::error::Result;
use crate::nn::layers::{ConvLayer, GroupNormConfig, GroupNormLayer, Silu};
use crate::ops::Ops;
use crate::weights::VarBuilder;
use attention_maps::AttentionMaps;
use blocks::{BlockBuilder, DownBlock, MidBlock, UpBlock};
use precomputed::Conditioning;
use time::Timesteps;
use transformer::KvProjection;

pub use precomputed::{CrossAttnKv, Perturbation};

/// The noise predictor.
pub struct Unet {
    timesteps: Timesteps,
    kv_projections: Vec<KvProjection>,
    conv_in: ConvLayer,
    down_blocks: Vec<DownBlock>,
    /// Absent in distilled small models.
    mid_block: Option<MidBlock>,
    up_blocks: Vec<UpBlock>,
    conv_norm_out: GroupNormLayer,
    conv_out: ConvLayer,
    ops: Rc<dyn Ops>,
}

impl Unet {
    /// Makes the network with the weights at `vb`.
    pub fn new(mut vb: VarBuilder, config: &UnetConfig) -> Result<Self> {
        let first = config.blocks[0].channels;
        let levels = config.blocks.len();
        let conv_in = ConvLayer::new(vb.pp("conv_in"), config.in_channels, first)?;
        let mut blocks = BlockBuilder::new(config);
        let down_blocks = (0..levels)
            .map(|level| blocks.down_block(vb.pp("down_blocks").pp(level), level))
            .collect::<Result<_>>()?;
        let mid_block = blocks.mid_block(vb.pp("mid_block"))?;
        let up_blocks = (0..levels)
            .map(|index| blocks.up_block(vb.pp("up_blocks").pp(index), levels - 1 - index))
            .collect::<Result<_>>()?;
        let precomputed = blocks.into_precomputed();
        let norm_out = GroupNormConfig {
            channels: first,
            groups: config.norm_num_groups,
            eps: config.norm_eps,
            activation: Some(Silu),
        };
        Ok(Unet {
            timesteps: Timesteps::new(vb.pp("time_embedding"), config, precomputed.projections)?,
            kv_projections: precomputed.kv_projections,
            conv_in,
            down_blocks,
            mid_block,
            up_blocks,
            conv_norm_out: norm_out.init(vb.pp("conv_norm_out"))?,
            conv_out: ConvLayer::new(vb.pp("conv_out"), first, config.out_channels)?,
            ops: vb.ops(),
        })
    }

    /// The operations that the network runs on.
    pub fn ops(&self) -> &Rc<dyn Ops> {
        &self.ops
    }

    /// Keys and values of every cross-attention for these prompts. All steps of a run share them.
    ///
    /// # Shapes
    /// `[n, 77·k, cross_attention_dim]`
    pub fn cross_attn_kv(&self, prompts: &Tensor<3>) -> CrossAttnKv {
        self.cross_attn_kv_with(prompts, prompts)
    }

    /// Keys of `prompts`, and values of `for_values`: the same embeddings, with other signs where
    /// a prompt has negative weights.
    ///
    /// # Shapes
    /// `[n, 77·k, cross_attention_dim]` each
    pub fn cross_attn_kv_with(&self, prompts: &Tensor<3>, for_values: &Tensor<3>) -> CrossAttnKv {
        let projections = self.kv_projections.iter();
        CrossAttnKv {
            layers: projections
                .map(|projection| projection.forward_with(prompts, for_values))
                .collect(),
            nag: None,
            perturbation: None,
        }
    }

    /// Projected timestep embeddings: the vectors that the residual blocks add at each of
    /// `timesteps`, on the device and in the dtype of `prompts`. Only latent consistency models
    /// read `guidance_scale`.
    ///
    /// # Shapes
    /// m timesteps → `[m, columns]`; the number of columns depends on the network
    pub fn times(&self, timesteps: &[f64], guidance_scale: f64, prompts: &Tensor<3>) -> Tensor<2> {
        let (device, dtype) = (prompts.device(), prompts.dtype());
        self.timesteps
            .embed(timesteps, guidance_scale, &device, dtype)
    }

    /// Predicts the noise, or v, in `latent`. `time` is a row of [`Unet::times`]; `prompt` has one
    /// prompt for each latent. Up to the middle block a perturbed latent is computed together with
    /// the one before.
    ///
    /// # Shapes
    /// latent `[n, h, w, in_channels]`, time `[1, columns]` → `[n, h, w, out_channels]`
    pub fn predict(&self, latent: Tensor<4>, time: &Tensor<2>, prompt: &CrossAttnKv) -> Tensor<4> {
        self.run(
            latent,
            &Conditioning {
                time,
                prompt,
                ops: &self.ops,
                maps: None,
            },
        )
    }

    /// Predicts as [`Unet::predict`] does, and adds the attention to each token to `maps`.
    pub fn predict_with_maps(
        &self,
        latent: Tensor<4>,
        time: &Tensor<2>,
        prompt: &CrossAttnKv,
        maps: &AttentionMaps,
    ) -> Tensor<4> {
        self.run(
            latent,
            &Conditioning {
                time,
                prompt,
                ops: &self.ops,
                maps: Some(maps),
            },
        )
    }

    fn run(&self, latent: Tensor<4>, conditioning: &Conditioning) -> Tensor<4> {
        let mut x = self
            .conv_in
            .forward(match conditioning.prompt.perturbation {
                Some(_) => {
                    let shared = latent.dims()[0] - 1;
                    self.ops.first_images(latent, shared)
                }
                None => latent,
            });
        let mut skips = vec![x.clone()];
        for block in &self.down_blocks {
            x = block.forward(x, conditioning, &mut skips);
        }
        if let Some(block) = &self.mid_block {
            x = block.forward(x, conditioning);
        }
        for block in &self.up_blocks {
            x = block.forward(x, conditioning, &mut skips);
        }
        let x = self.conv_norm_out.forward(x, None);
        self.conv_out.forward(x)
    }

    /// Predicts for a single call at guidance scale 1: [`Unet::times`], [`Unet::cross_attn_kv`] and
    /// [`Unet::predict`].
    ///
    /// # Shapes
    /// latent `[n, h, w, in_channels]`, prompts `[n, 77·k, cross_attention_dim]`
    /// → `[n, h, w, out_channels]`
    pub fn forward(&self, latent: Tensor<4>, timestep: f64, prompts: &Tensor<3>) -> Tensor<4> {
        let time = self.times(&[timestep], 1.0, prompts);
        self.predict(latent, &time, &self.cross_attn_kv(prompts))
    }
}
