//! Self-attention and cross-attention to the prompt. Matches diffusers 0.42
//! `models/transformers/transformer_2d.py`, `Transformer2DModel`, and `models/attention.py`,
//! `BasicTransformerBlock`.

use std::rc::Rc;

use burn::tensor::Tensor;

use super::precomputed::{Conditioning, Perturbation, Precomputed};
use crate::error::Result;
use crate::nn::layers::{
    GegluLayer, GroupNormConfig, GroupNormLayer, LayerNormConfig, LayerNormLayer, LinearLayer,
    tokens,
};
use crate::ops::{Attention, Ops};
use crate::weights::VarBuilder;

/// Epsilon of the norm before the transformer layers, fixed in diffusers.
const GROUP_NORM_EPS: f64 = 1e-6;
/// Epsilon of the norms within a transformer layer, fixed in diffusers.
const LAYER_NORM_EPS: f64 = 1e-5;

/// Configuration of a [`Transformer`].
#[derive(Debug, Clone, Copy)]
pub struct TransformerConfig {
    /// Channels of the map.
    pub channels: usize,
    /// Attention heads.
    pub heads: usize,
    /// Number of transformer layers.
    pub layers: usize,
    /// Groups of the norm.
    pub groups: usize,
    /// Channels of the prompt's embeddings.
    pub prompt_channels: usize,
}

impl TransformerConfig {
    /// Makes the transformer with the weights at `vb`. Adds the key and value projections of its
    /// cross-attentions to `precomputed`.
    pub fn init(self, mut vb: VarBuilder, precomputed: &mut Precomputed) -> Result<Transformer> {
        let channels = self.channels;
        let norm = GroupNormConfig {
            channels,
            groups: self.groups,
            eps: GROUP_NORM_EPS,
            activation: None,
        };
        Ok(Transformer {
            norm: norm.init(vb.pp("norm"))?,
            proj_in: LinearLayer::new(vb.pp("proj_in"), channels, channels)?,
            transformer_blocks: (0..self.layers)
                .map(|index| {
                    let mut vb = vb.pp("transformer_blocks");
                    TransformerBlock::new(vb.pp(index), self, precomputed)
                })
                .collect::<Result<_>>()?,
            proj_out: LinearLayer::new(vb.pp("proj_out"), channels, channels)?,
        })
    }
}

/// Norm, projection, transformer layers, projection, plus the input.
pub struct Transformer {
    norm: GroupNormLayer,
    proj_in: LinearLayer,
    transformer_blocks: Vec<TransformerBlock>,
    proj_out: LinearLayer,
}

impl Transformer {
    /// Applies the transformer to `x`.
    ///
    /// # Shapes
    /// `[n, h, w, c]` → `[n, h, w, c]`
    pub fn forward(&self, x: Tensor<4>, conditioning: &Conditioning) -> Tensor<4> {
        let shape = x.dims();
        if let Some(maps) = conditioning.maps {
            maps.enter([shape[1], shape[2]]);
        }
        let h = tokens(self.norm.forward(x.clone(), None));
        let h = self.proj_in.forward(h, None);
        let h = self.blocks(h, conditioning, false);
        self.proj_out.forward(h, Some(tokens(x))).reshape(shape)
    }

    /// Applies the transformer to `x`, and with a perturbation to its last image again.
    ///
    /// # Shapes
    /// `[n, h, w, c]` → `[n + 1, h, w, c]`
    pub fn forward_perturbed(
        &self,
        x: Tensor<4>,
        perturbation: Perturbation,
        conditioning: &Conditioning,
    ) -> Tensor<4> {
        let last = x.dims()[0] - 1;
        let h = tokens(self.norm.forward(x.clone(), None));
        let h = self.proj_in.forward(h, None);
        let ops = conditioning.ops;
        let h = match perturbation {
            Perturbation::IdentityAttention => {
                self.blocks(ops.append(h.clone(), &h, last), conditioning, true)
            }
            Perturbation::SkippedLayers => {
                ops.append(self.blocks(h.clone(), conditioning, false), &h, last)
            }
        };
        let x = conditioning.with_twin(x);
        let shape = x.dims();
        self.proj_out.forward(h, Some(tokens(x))).reshape(shape)
    }

    /// Applies the transformer layers. With `identity` the last image's self-attentions are that.
    fn blocks(&self, h: Tensor<3>, conditioning: &Conditioning, identity: bool) -> Tensor<3> {
        let blocks = self.transformer_blocks.iter();
        blocks.fold(h, |h, block| block.forward(h, conditioning, identity))
    }
}

/// Self-attention, cross-attention to the prompt and gated feed-forward layers, each with a norm
/// before it and its input added.
struct TransformerBlock {
    norm1: LayerNormLayer,
    attn1: AttentionLayer,
    attn1_kv: KvProjection,
    norm2: LayerNormLayer,
    attn2: AttentionLayer,
    /// Index of this block's keys and values among the precomputed ones.
    attn2_kv: usize,
    norm3: LayerNormLayer,
    ff_in: GegluLayer,
    ff_out: LinearLayer,
}

impl TransformerBlock {
    fn new(
        mut vb: VarBuilder,
        config: TransformerConfig,
        precomputed: &mut Precomputed,
    ) -> Result<Self> {
        let TransformerConfig {
            channels,
            prompt_channels,
            ..
        } = config;
        let norm = LayerNormConfig {
            channels,
            eps: LAYER_NORM_EPS,
        };
        Ok(TransformerBlock {
            norm1: norm.init(vb.pp("norm1"))?,
            attn1: AttentionLayer::new(vb.pp("attn1"), config)?,
            attn1_kv: KvProjection::new(vb.pp("attn1"), channels, channels)?,
            norm2: norm.init(vb.pp("norm2"))?,
            attn2: AttentionLayer::new(vb.pp("attn2"), config)?,
            attn2_kv: precomputed.add_kv_projection(vb.pp("attn2"), prompt_channels, channels)?,
            norm3: norm.init(vb.pp("norm3"))?,
            ff_in: GegluLayer::new(vb.pp("ff.net.0"), channels, 4 * channels)?,
            ff_out: LinearLayer::new(vb.pp("ff.net.2"), 4 * channels, channels)?,
        })
    }

    /// `[n, t, c]` → `[n, t, c]`
    fn forward(&self, x: Tensor<3>, conditioning: &Conditioning, identity: bool) -> Tensor<3> {
        let h = self.norm1.forward(x.clone());
        let itself = self.attn1_kv.forward(&h);
        let x = self
            .attn1
            .forward(h, itself, x, |ops, args| match identity {
                true => ops.attention_with_identity(args),
                false => ops.attention(args),
            });
        let h = self.norm2.forward(x.clone());
        let prompt = conditioning.keys_values(self.attn2_kv);
        if let Some(maps) = conditioning.maps {
            let q = self.attn2.to_q.forward(h.clone(), None);
            maps.add(self.attn2_kv, &q, &prompt.keys, self.attn2.heads);
        }
        let nag = conditioning.prompt.nag;
        let x = self.attn2.forward(h, prompt, x, |ops, args| match nag {
            Some(nag) => ops.attention_with_nag(args, nag),
            None => ops.attention(args),
        });
        let h = self.norm3.forward(x.clone());
        self.ff_out.forward(self.ff_in.forward(h), Some(x))
    }
}

/// Keys and values of the tokens attended to, `[n, s, channels]` each.
#[derive(Clone)]
pub struct KeysValues {
    keys: Tensor<3>,
    values: Tensor<3>,
}

/// The layers that compute [`KeysValues`].
pub struct KvProjection {
    to_k: LinearLayer,
    to_v: LinearLayer,
}

impl KvProjection {
    /// Takes `to_k` and `to_v` from `vb`.
    pub fn new(mut vb: VarBuilder, inputs: usize, channels: usize) -> Result<Self> {
        Ok(KvProjection {
            to_k: LinearLayer::without_bias(vb.pp("to_k"), inputs, channels)?,
            to_v: LinearLayer::without_bias(vb.pp("to_v"), inputs, channels)?,
        })
    }

    /// Computes the keys and values of `x`.
    ///
    /// # Shapes
    /// `[n, s, inputs]` → `[n, s, channels]` each
    pub fn forward(&self, x: &Tensor<3>) -> KeysValues {
        self.forward_with(x, x)
    }

    /// Computes the keys of `x`, and the values of `for_values`, which has the same shape.
    pub fn forward_with(&self, x: &Tensor<3>, for_values: &Tensor<3>) -> KeysValues {
        KeysValues {
            keys: self.to_k.forward(x.clone(), None),
            values: self.to_v.forward(for_values.clone(), None),
        }
    }
}

/// Query and output projections around an attention.
struct AttentionLayer {
    to_q: LinearLayer,
    to_out: LinearLayer,
    heads: usize,
    ops: Rc<dyn Ops>,
}

impl AttentionLayer {
    fn new(mut vb: VarBuilder, config: TransformerConfig) -> Result<Self> {
        let channels = config.channels;
        Ok(AttentionLayer {
            to_q: LinearLayer::without_bias(vb.pp("to_q"), channels, channels)?,
            to_out: LinearLayer::new(vb.pp("to_out.0"), channels, channels)?,
            heads: config.heads,
            ops: vb.ops(),
        })
    }

    /// Lets `x` attend to `context` by one of the operations' kinds of attention, and adds
    /// `residual`: `[n, t, c]` → `[n, t, c]`.
    fn forward(
        &self,
        x: Tensor<3>,
        context: KeysValues,
        residual: Tensor<3>,
        attend: impl FnOnce(&dyn Ops, Attention) -> Tensor<3>,
    ) -> Tensor<3> {
        let attention = Attention {
            q: self.to_q.forward(x, None),
            k: context.keys,
            v: context.values,
            heads: self.heads,
            causal: false,
        };
        let h = attend(&*self.ops, attention);
        self.to_out.forward(h, Some(residual))
    }
}
