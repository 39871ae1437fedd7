//! Where the picture attends to itself and to the prompt. Matches diffusers 0.42 `models/transformers/transformer_2d.py`
//! and `models/attention.py`, `BasicTransformerBlock`.

use std::rc::Rc;

use burn::tensor::Tensor;

use super::precomputed::{Conditioning, Precomputed};
use crate::config::UnetConfig;
use crate::error::Result;
use crate::nn::layers::{GegluLayer, GroupNormLayer, LayerNormLayer, LinearLayer, tokens};
use crate::ops::{Attention, Ops};
use crate::weights::VarBuilder;

/// Norm, projection, transformer layers, projection, plus the input.
pub struct Transformer {
    norm: GroupNormLayer,
    proj_in: LinearLayer,
    transformer_blocks: Vec<TransformerBlock>,
    proj_out: LinearLayer,
}

impl Transformer {
    /// The transformer of `level` whose parameters are at `vb`.
    pub fn new(
        mut vb: VarBuilder,
        config: &UnetConfig,
        level: usize,
        precomputed: &mut Precomputed,
    ) -> Result<Self> {
        let block = config.blocks[level];
        let channels = block.channels;
        Ok(Transformer {
            norm: GroupNormLayer::new(
                vb.pp("norm"),
                channels,
                config.norm_num_groups,
                1e-6,
                false,
            )?,
            proj_in: LinearLayer::new(vb.pp("proj_in"), channels, channels)?,
            transformer_blocks: (0..block.transformer_layers)
                .map(|i| {
                    TransformerBlock::new(
                        vb.pp("transformer_blocks").pp(i),
                        channels,
                        block.heads,
                        config.cross_attention_dim,
                        precomputed,
                    )
                })
                .collect::<Result<_>>()?,
            proj_out: LinearLayer::new(vb.pp("proj_out"), channels, channels)?,
        })
    }

    /// # Shapes
    /// `[n, h, w, c]` → the same
    pub fn forward(&self, x: Tensor<4>, conditioning: &Conditioning) -> Tensor<4> {
        let shape = x.dims();
        let mut h = tokens(self.norm.forward(x.clone(), None));
        h = self.proj_in.forward(h, None);
        for block in &self.transformer_blocks {
            h = block.forward(h, conditioning);
        }
        self.proj_out.forward(h, Some(tokens(x))).reshape(shape)
    }
}

/// Self-attention, cross-attention to the prompt, gated feed-forward; each with its norm before and the input added.
struct TransformerBlock {
    norm1: LayerNormLayer,
    attn1: AttentionLayer,
    attn1_kv: KvProjection,
    norm2: LayerNormLayer,
    attn2: AttentionLayer,
    /// Which of the given keys and values are this block's.
    attn2_kv: usize,
    norm3: LayerNormLayer,
    ff_in: GegluLayer,
    ff_out: LinearLayer,
}

impl TransformerBlock {
    fn new(
        mut vb: VarBuilder,
        channels: usize,
        heads: usize,
        prompt: usize,
        precomputed: &mut Precomputed,
    ) -> Result<Self> {
        let eps = 1e-5;
        Ok(TransformerBlock {
            norm1: LayerNormLayer::new(vb.pp("norm1"), channels, eps)?,
            attn1: AttentionLayer::new(vb.pp("attn1"), channels, heads)?,
            attn1_kv: KvProjection::new(vb.pp("attn1"), channels, channels)?,
            norm2: LayerNormLayer::new(vb.pp("norm2"), channels, eps)?,
            attn2: AttentionLayer::new(vb.pp("attn2"), channels, heads)?,
            attn2_kv: precomputed.add_kv_projection(vb.pp("attn2"), prompt, channels)?,
            norm3: LayerNormLayer::new(vb.pp("norm3"), channels, eps)?,
            ff_in: GegluLayer::new(vb.pp("ff.net.0"), channels, 4 * channels)?,
            ff_out: LinearLayer::new(vb.pp("ff.net.2"), 4 * channels, channels)?,
        })
    }

    /// `[n, t, c]` → the same
    fn forward(&self, x: Tensor<3>, conditioning: &Conditioning) -> Tensor<3> {
        let h = self.norm1.forward(x.clone());
        let itself = self.attn1_kv.forward(&h);
        let x = self.attn1.forward(h, itself, x);
        let h = self.norm2.forward(x.clone());
        let x = self
            .attn2
            .forward(h, conditioning.context(self.attn2_kv), x);
        let h = self.norm3.forward(x.clone());
        self.ff_out.forward(self.ff_in.forward(h), Some(x))
    }
}

/// Keys and values of what is attended to, `[n, s, channels]`.
#[derive(Clone)]
pub struct KeysValues {
    keys: Tensor<3>,
    values: Tensor<3>,
}

/// The layers that make them.
pub struct KvProjection {
    to_k: LinearLayer,
    to_v: LinearLayer,
}

impl KvProjection {
    /// `to_k` and `to_v` of `vb`.
    pub fn new(mut vb: VarBuilder, inputs: usize, channels: usize) -> Result<Self> {
        Ok(KvProjection {
            to_k: LinearLayer::without_bias(vb.pp("to_k"), inputs, channels)?,
            to_v: LinearLayer::without_bias(vb.pp("to_v"), inputs, channels)?,
        })
    }

    /// # Shapes
    /// `[n, s, inputs]` → `[n, s, channels]` each
    pub fn forward(&self, x: &Tensor<3>) -> KeysValues {
        KeysValues {
            keys: self.to_k.forward(x.clone(), None),
            values: self.to_v.forward(x.clone(), None),
        }
    }
}

struct AttentionLayer {
    to_q: LinearLayer,
    to_out: LinearLayer,
    heads: usize,
    ops: Rc<dyn Ops>,
}

impl AttentionLayer {
    fn new(mut vb: VarBuilder, channels: usize, heads: usize) -> Result<Self> {
        Ok(AttentionLayer {
            to_q: LinearLayer::without_bias(vb.pp("to_q"), channels, channels)?,
            to_out: LinearLayer::new(vb.pp("to_out.0"), channels, channels)?,
            heads,
            ops: vb.ops(),
        })
    }

    /// `x` attends to `context`; `residual` is added.
    fn forward(&self, x: Tensor<3>, context: KeysValues, residual: Tensor<3>) -> Tensor<3> {
        let h = self.ops.attention(Attention {
            q: self.to_q.forward(x, None),
            k: context.keys,
            v: context.values,
            heads: self.heads,
            causal: false,
        });
        self.to_out.forward(h, Some(residual))
    }
}
