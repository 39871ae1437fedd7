//! The VAE's decoder. Matches diffusers 0.42 `models/autoencoders/autoencoder_kl.py` and `vae.py`, `Decoder`.

use std::rc::Rc;

use burn::tensor::Tensor;

use crate::config::VaeConfig;
use crate::error::Result;
use crate::nn::layers::{ConvExtras, ConvLayer, GroupNormLayer, LinearLayer, tokens};
use crate::nn::resnet::{ResnetBlock, ResnetConfig};
use crate::ops::{Attention, Ops};
use crate::weights::VarBuilder;

/// Epsilon of every norm in the VAE, fixed in diffusers.
const EPS: f64 = 1e-6;

/// Latent in, picture out.
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

struct UpBlock {
    resnets: Vec<ResnetBlock>,
    upsample: Option<ConvLayer>,
}

/// Self-attention over all positions, one head.
struct MidAttention {
    group_norm: GroupNormLayer,
    to_q: LinearLayer,
    to_k: LinearLayer,
    to_v: LinearLayer,
    to_out: LinearLayer,
    ops: Rc<dyn Ops>,
}

impl VaeDecoder {
    /// The decoder whose parameters are at `vb`.
    pub fn new(mut vb: VarBuilder, config: &VaeConfig) -> Result<Self> {
        let latent = config.latent_channels;
        let groups = config.norm_num_groups;
        let resnet = |vb: VarBuilder, inputs, outputs| {
            ResnetBlock::new(
                vb,
                ResnetConfig {
                    inputs,
                    outputs,
                    groups,
                    eps: EPS,
                },
            )
        };
        let post_quant_conv = config
            .use_post_quant_conv
            .then(|| LinearLayer::new(vb.pp("post_quant_conv"), latent, latent))
            .transpose()?;
        let mut vb = vb.pp("decoder");
        let levels = config.block_out_channels.len();
        let deepest = config.block_out_channels[levels - 1];
        let mut mid = vb.pp("mid_block");
        let mid_first = resnet(mid.pp("resnets.0"), deepest, deepest)?;
        let mid_attention = config
            .mid_block_add_attention
            .then(|| MidAttention::new(mid.pp("attentions.0"), deepest, groups))
            .transpose()?;
        let mid_last = resnet(mid.pp("resnets.1"), deepest, deepest)?;
        let mut channels = deepest;
        let mut up_blocks = Vec::new();
        for (index, level) in (0..levels).rev().enumerate() {
            let outputs = config.block_out_channels[level];
            let mut vb = vb.pp("up_blocks");
            let mut vb = vb.pp(index);
            let mut resnets = Vec::new();
            for i in 0..=config.layers_per_block {
                resnets.push(resnet(vb.pp("resnets").pp(i), channels, outputs)?);
                channels = outputs;
            }
            let upsample = (level > 0)
                .then(|| ConvLayer::new(vb.pp("upsamplers.0").pp("conv"), outputs, outputs))
                .transpose()?;
            up_blocks.push(UpBlock { resnets, upsample });
        }
        Ok(VaeDecoder {
            post_quant_conv,
            conv_in: ConvLayer::new(vb.pp("conv_in"), latent, deepest)?,
            mid_first,
            mid_attention,
            mid_last,
            up_blocks,
            conv_norm_out: GroupNormLayer::new(
                vb.pp("conv_norm_out"),
                channels,
                groups,
                EPS,
                true,
            )?,
            conv_out: ConvLayer::new(vb.pp("conv_out"), channels, config.out_channels)?,
            scaling_factor: config.scaling_factor,
        })
    }

    /// Decodes `latent`, as the sampler left it.
    ///
    /// # Shapes
    /// `[n, h, w, latent_channels]` → `[n, 8h, 8w, 3]`, −1 black to 1 white, not clamped
    pub fn forward(&self, latent: Tensor<4>) -> Tensor<4> {
        self.decode(latent.div_scalar(self.scaling_factor))
    }

    /// As [`VaeDecoder::forward`], of a latent that is scaled already, and in the latent's element type.
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

impl UpBlock {
    /// `[n, h, w, c]` → `[n, 2h, 2w, c']`; the same size on the last level
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
        Ok(MidAttention {
            group_norm: GroupNormLayer::new(vb.pp("group_norm"), channels, groups, EPS, false)?,
            to_q,
            to_k,
            to_v,
            to_out,
            ops: vb.ops(),
        })
    }

    /// `[n, h, w, c]` → the same
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
