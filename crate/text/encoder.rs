//! CLIP's text encoder. Matches transformers 5 `models/clip/modeling_clip.py`, `CLIPTextModel`.

use std::rc::Rc;

use burn::tensor::{DType, Device, Tensor, TensorData};

use super::embedding::LearnedVectors;
use crate::config::{Activation, TextConfig};
use crate::error::{Error, Result};
use crate::nn::layers::{LayerNormConfig, LayerNormLayer, LinearLayer};
use crate::ops::{Attention, Ops};
use crate::weights::VarBuilder;
use crate::weights::params::HostTable;

/// The text encoder: token ids in, one embedding per token out.
pub struct TextEncoder {
    token_embedding: HostTable,
    position_embedding: HostTable,
    layers: Vec<EncoderLayer>,
    final_layer_norm: LayerNormLayer,
    width: usize,
}

/// Causal self-attention and a feed-forward layer, each with a norm before it and its input added.
struct EncoderLayer {
    layer_norm1: LayerNormLayer,
    q_proj: LinearLayer,
    k_proj: LinearLayer,
    v_proj: LinearLayer,
    out_proj: LinearLayer,
    layer_norm2: LayerNormLayer,
    fc1: LinearLayer,
    fc2: LinearLayer,
    heads: usize,
    activation: Activation,
    ops: Rc<dyn Ops>,
}

/// Options of [`TextEncoder::forward_with`].
#[derive(Clone, Copy)]
pub struct EncodeOptions<'a> {
    /// Layers at the end that are not run: clip skip.
    pub left_out: usize,
    /// The vectors of learned words.
    pub learned: &'a LearnedVectors,
}

impl TextEncoder {
    /// Makes the encoder with the weights at `vb`.
    pub fn new(mut vb: VarBuilder, config: &TextConfig) -> Result<Self> {
        let width = config.hidden_size;
        let mut embeddings = vb.pp("embeddings");
        let token_embedding =
            embeddings
                .pp("token_embedding")
                .table("weight", config.vocab_size, width)?;
        let position_embedding = embeddings.pp("position_embedding").table(
            "weight",
            config.max_position_embeddings,
            width,
        )?;
        let layers = (0..config.num_hidden_layers)
            .map(|i| EncoderLayer::new(vb.pp("encoder.layers").pp(i), config))
            .collect::<Result<_>>()?;
        let norm = LayerNormConfig {
            channels: width,
            eps: config.layer_norm_eps,
        };
        Ok(TextEncoder {
            token_embedding,
            position_embedding,
            layers,
            final_layer_norm: norm.init(vb.pp("final_layer_norm"))?,
            width,
        })
    }

    /// Encodes `chunks`, all of the same length, as one batch. The result is on `device` in
    /// `dtype`.
    ///
    /// # Shapes
    /// n chunks of t ids → `[n, t, hidden_size]`
    ///
    /// # Errors
    /// [`Error::File`] for an id beyond the token table: the tokenizer is not the text encoder's.
    pub fn forward(&self, chunks: &[Vec<u32>], device: &Device, dtype: DType) -> Result<Tensor<3>> {
        let options = EncodeOptions {
            left_out: 0,
            learned: &LearnedVectors::default(),
        };
        self.forward_with(chunks, options, device, dtype)
    }

    /// Encodes `chunks` as [`TextEncoder::forward`] does, with `options`.
    ///
    /// # Errors
    /// Those of [`TextEncoder::forward`].
    pub fn forward_with(
        &self,
        chunks: &[Vec<u32>],
        options: EncodeOptions<'_>,
        device: &Device,
        dtype: DType,
    ) -> Result<Tensor<3>> {
        let EncodeOptions { left_out, learned } = options;
        let beyond = |what: String, table: &str| {
            let what = format!("{what} is beyond the text encoder's {table} table");
            Error::file("tokenizer", what)
        };
        let t = chunks.first().map_or(0, Vec::len);
        let mut values = Vec::with_capacity(chunks.len() * t * self.width);
        for chunk in chunks {
            for (index, &id) in chunk.iter().enumerate() {
                let vector = learned.get(id).map(<[f32]>::to_vec);
                let token = vector.or_else(|| self.token_embedding.row(id as usize));
                let token = token.ok_or_else(|| beyond(format!("token id {id}"), "token"))?;
                let position = self.position_embedding.row(index);
                let position =
                    position.ok_or_else(|| beyond(format!("position {index}"), "position"))?;
                values.extend(token.iter().zip(&position).map(|(a, b)| a + b));
            }
        }
        let data = TensorData::new(values, [chunks.len(), t, self.width]).convert_dtype(dtype);
        let embedded = Tensor::from_data(data, (device, dtype));
        Ok(self.encode_without(left_out, embedded))
    }

    /// Encodes embedded tokens: all that follows the token and position embeddings.
    ///
    /// # Shapes
    /// `[n, t, hidden_size]` → `[n, t, hidden_size]`
    pub fn encode(&self, x: Tensor<3>) -> Tensor<3> {
        self.encode_without(0, x)
    }

    /// Encodes embedded tokens without the last `left_out` layers; the final norm stays.
    fn encode_without(&self, left_out: usize, mut x: Tensor<3>) -> Tensor<3> {
        for layer in &self.layers[..self.layers.len().saturating_sub(left_out)] {
            x = layer.forward(x);
        }
        self.final_layer_norm.forward(x)
    }
}

impl EncoderLayer {
    fn new(mut vb: VarBuilder, config: &TextConfig) -> Result<Self> {
        let (width, inner) = (config.hidden_size, config.intermediate_size);
        let norm = LayerNormConfig {
            channels: width,
            eps: config.layer_norm_eps,
        };
        let mut attention = vb.pp("self_attn");
        let mut square = |name| LinearLayer::new(attention.pp(name), width, width);
        let (q_proj, k_proj) = (square("q_proj")?, square("k_proj")?);
        let (v_proj, out_proj) = (square("v_proj")?, square("out_proj")?);
        Ok(EncoderLayer {
            layer_norm1: norm.init(vb.pp("layer_norm1"))?,
            q_proj,
            k_proj,
            v_proj,
            out_proj,
            layer_norm2: norm.init(vb.pp("layer_norm2"))?,
            fc1: LinearLayer::new(vb.pp("mlp.fc1"), width, inner)?,
            fc2: LinearLayer::new(vb.pp("mlp.fc2"), inner, width)?,
            heads: config.num_attention_heads,
            activation: config.hidden_act,
            ops: vb.ops(),
        })
    }

    /// `[n, t, hidden_size]` → `[n, t, hidden_size]`
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let h = self.layer_norm1.forward(x.clone());
        let h = self.ops.attention(Attention {
            q: self.q_proj.forward(h.clone(), None),
            k: self.k_proj.forward(h.clone(), None),
            v: self.v_proj.forward(h, None),
            heads: self.heads,
            causal: true,
        });
        let x = self.out_proj.forward(h, Some(x));
        let h = self.layer_norm2.forward(x.clone());
        let h = self
            .ops
            .activation(self.fc1.forward(h, None), self.activation);
        self.fc2.forward(h, Some(x))
    }
}
