//! The VAE's decoder. Matches diffusers 0.42 `models/autoencoders/autoencoder_kl.py`,
//! `AutoencoderKL`, and `vae.py`, `Decoder`.

use std::rc::Rc;

use burn::tensor::Tensor;

use crate::config::VaeConfig;
use crate::error::Result;
use crate::nn::layers::{
    ConvExtras, ConvLayer, GroupNormConfig, GroupNormLayer, LinearLayer, Silu, tokens,
};
use crate::nn::resnet::{ResnetBlock, ResnetConfig};
use crate::ops::{Attention, Ops};
use crate::weights::VarBuilder;

/// Epsilon of every norm in the VAE, fixed in diffusers.
const EPS: f64 = 1e-6;

/// The VAE's decoder: latent in, picture out.
pub struct VaeDecoder {
    post_quant_conv: Option<LinearLayer>,
    conv_in: ConvLayer,
    mid_first: ResnetBlock,
    mid_attention: Option<MidAttention>,
    mid_last: ResnetBlock,
    up_blocks: Vec<UpBlock>,
    conv_norm_out: GroupNormLayer,
    conv_out: ConvLayer,
    scaling_factor: f64,
}

/// A level of the decoder.
struct UpBlock {
    resnets: Vec<ResnetBlock>,
    upsample: Option<ConvLayer>,
}

/// Self-attention over all positions with one head.
struct MidAttention {
    group_norm: GroupNormLayer,
    to_q: LinearLayer,
    to_k: LinearLayer,
    to_v: LinearLayer,
    to_out: LinearLayer,
    ops: Rc<dyn Ops>,
}

impl VaeDecoder {
    /// Makes the decoder with the weights at `vb`.
    pub fn new(mut vb: VarBuilder, config: &VaeConfig) -> Result<Self> {
        let latent = config.latent_channels;
        let groups = config.norm_num_groups;
        let post_quant_conv = config
            .use_post_quant_conv
            .then(|| LinearLayer::new(vb.pp("post_quant_conv"), latent, latent))
            .transpose()?;
        let mut vb = vb.pp("decoder");
        let levels = config.block_out_channels.len();
        let (highest, lowest) = (
            config.block_out_channels[0],
            config.block_out_channels[levels - 1],
        );
        let mut mid = vb.pp("mid_block");
        let mid_first = resnet(config, lowest, lowest).init(mid.pp("resnets.0"))?;
        let mid_attention = config
            .mid_block_add_attention
            .then(|| MidAttention::new(mid.pp("attentions.0"), lowest, groups))
            .transpose()?;
        let mid_last = resnet(config, lowest, lowest).init(mid.pp("resnets.1"))?;
        let up_blocks = (0..levels)
            .map(|index| UpBlock::new(vb.pp("up_blocks").pp(index), config, levels - 1 - index))
            .collect::<Result<_>>()?;
        let norm_out = GroupNormConfig {
            channels: highest,
            groups,
            eps: EPS,
            activation: Some(Silu),
        };
        Ok(VaeDecoder {
            post_quant_conv,
            conv_in: ConvLayer::new(vb.pp("conv_in"), latent, lowest)?,
            mid_first,
            mid_attention,
            mid_last,
            up_blocks,
            conv_norm_out: norm_out.init(vb.pp("conv_norm_out"))?,
            conv_out: ConvLayer::new(vb.pp("conv_out"), highest, config.out_channels)?,
            scaling_factor: config.scaling_factor,
        })
    }

    /// Decodes `latent` as the sampler returns it: divides it by the scaling factor first.
    ///
    /// # Shapes
    /// `[n, h, w, latent_channels]` → `[n, 8h, 8w, 3]`, −1 (black) to 1 (white), not clamped
    pub fn forward(&self, latent: Tensor<4>) -> Tensor<4> {
        self.decode(latent.div_scalar(self.scaling_factor))
    }

    /// Decodes a latent that is already divided by the scaling factor, in the latent's dtype. The
    /// shapes are those of [`VaeDecoder::forward`].
    pub fn decode(&self, mut x: Tensor<4>) -> Tensor<4> {
        if let Some(conv) = &self.post_quant_conv {
            x = conv.forward_map(x, None);
        }
        x = self.conv_in.forward(x);
        x = self.mid_first.forward(x, None, None);
        if let Some(attention) = &self.mid_attention {
            x = attention.forward(x);
        }
        x = self.mid_last.forward(x, None, None);
        for block in &self.up_blocks {
            x = block.forward(x);
        }
        let x = self.conv_norm_out.forward(x, None);
        self.conv_out.forward(x)
    }
}

/// Configuration of a residual block of the decoder.
fn resnet(config: &VaeConfig, inputs: usize, outputs: usize) -> ResnetConfig {
    ResnetConfig {
        inputs,
        outputs,
        groups: config.norm_num_groups,
        eps: EPS,
    }
}

impl UpBlock {
    /// Makes the block of `level`, counted from the highest resolution down, with the weights at
    /// `vb`.
    fn new(mut vb: VarBuilder, config: &VaeConfig, level: usize) -> Result<Self> {
        let channels = &config.block_out_channels;
        let outputs = channels[level];
        let mut inputs = channels[(level + 1).min(channels.len() - 1)];
        let mut resnets = Vec::new();
        for index in 0..=config.layers_per_block {
            let vb = &mut vb.pp("resnets");
            resnets.push(resnet(config, inputs, outputs).init(vb.pp(index))?);
            inputs = outputs;
        }
        let upsample = (level > 0)
            .then(|| ConvLayer::new(vb.pp("upsamplers.0").pp("conv"), outputs, outputs))
            .transpose()?;
        Ok(UpBlock { resnets, upsample })
    }

    /// `[n, h, w, c]` → `[n, 2h, 2w, c']`; the highest level keeps the size
    fn forward(&self, mut x: Tensor<4>) -> Tensor<4> {
        for resnet in &self.resnets {
            x = resnet.forward(x, None, None);
        }
        if let Some(conv) = &self.upsample {
            let [_, h, w, _] = x.dims();
            x = conv.forward_with(
                x,
                ConvExtras {
                    upsample_to: Some([2 * h, 2 * w]),
                    ..Default::default()
                },
            );
        }
        x
    }
}

impl MidAttention {
    fn new(mut vb: VarBuilder, channels: usize, groups: usize) -> Result<Self> {
        let mut square = |name| LinearLayer::new(vb.pp(name), channels, channels);
        let (to_q, to_k) = (square("to_q")?, square("to_k")?);
        let (to_v, to_out) = (square("to_v")?, square("to_out.0")?);
        let norm = GroupNormConfig {
            channels,
            groups,
            eps: EPS,
            activation: None,
        };
        Ok(MidAttention {
            group_norm: norm.init(vb.pp("group_norm"))?,
            to_q,
            to_k,
            to_v,
            to_out,
            ops: vb.ops(),
        })
    }

    /// `[n, h, w, c]` → `[n, h, w, c]`
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let shape = x.dims();
        let h = tokens(self.group_norm.forward(x.clone(), None));
        let h = self.ops.attention(Attention {
            q: self.to_q.forward(h.clone(), None),
            k: self.to_k.forward(h.clone(), None),
            v: self.to_v.forward(h, None),
            heads: 1,
            causal: false,
        });
        self.to_out.forward(h, Some(tokens(x))).reshape(shape)
    }
}
