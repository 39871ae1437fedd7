//! Probabilities of the cross-attentions, for a second pass that asks which token acts where.
//!
//! The fused attention kernels never store probabilities. Here they are computed beside them, with
//! Burn's own operations, from the same queries and keys. The middle block is left out, as DAAM
//! (Tang et al., arXiv 2210.04885) does: its map has the lowest resolution of all.

use std::cell::{Cell, RefCell};

use burn::tensor::activation::softmax;
use burn::tensor::{DType, Tensor};

use crate::ops::MAX_SCORES;

/// Collector of the attention to the first tokens of the prompts.
pub struct AttentionMaps {
    /// Number of tokens.
    tokens: usize,
    /// Height and width of the present map.
    size: Cell<[usize; 2]>,
    layers: RefCell<Vec<LayerMaps>>,
}

/// Attention of a layer to the tokens of one prompt.
pub struct LayerMaps {
    /// Number of the layer.
    pub layer: usize,
    /// Index of the prompt in its batch.
    pub branch: usize,
    /// Height and width of the layer's map.
    pub size: [usize; 2],
    /// Probabilities in f32, `[heads, height·width, tokens]`.
    pub probabilities: Tensor<3>,
}

impl AttentionMaps {
    /// A collector for the first `tokens` tokens.
    pub fn new(tokens: usize) -> Self {
        AttentionMaps {
            tokens,
            size: Cell::default(),
            layers: RefCell::default(),
        }
    }

    /// The maps of all layers.
    pub fn into_layers(self) -> Vec<LayerMaps> {
        self.layers.into_inner()
    }

    /// Sets the size of the maps that follow.
    pub(super) fn enter(&self, size: [usize; 2]) {
        self.size.set(size);
    }

    /// Adds the probabilities `softmax(q·kᵀ/√d)` of a layer.
    ///
    /// # Shapes
    /// q `[n, t, heads·d]`, k `[n, s, heads·d]`
    pub(super) fn add(&self, layer: usize, q: &Tensor<3>, k: &Tensor<3>, heads: usize) {
        let [branches, t, _] = q.dims();
        let [_, s, _] = k.dims();
        let tokens = self.tokens.min(s);
        let heads_at_once = (MAX_SCORES / (t * s)).clamp(1, heads);
        for branch in 0..branches {
            let of_heads = |x: &Tensor<3>| {
                let x = x.clone().narrow(0, branch, 1);
                let [_, length, width] = x.dims();
                let x = x.reshape([length, heads, width / heads]).swap_dims(0, 1);
                x.cast(DType::F32)
            };
            let (q, k) = (of_heads(q), of_heads(k).swap_dims(1, 2));
            let scale = 1.0 / (q.dims()[2] as f64).sqrt();
            let parts = (0..heads).step_by(heads_at_once).map(|first| {
                let heads = first..heads.min(first + heads_at_once);
                let q = q.clone().slice([heads.clone()]);
                let scores = q.matmul(k.clone().slice([heads.clone()]));
                softmax(scores.mul_scalar(scale), 2).slice([0..heads.len(), 0..t, 0..tokens])
            });
            self.layers.borrow_mut().push(LayerMaps {
                layer,
                branch,
                size: self.size.get(),
                probabilities: Tensor::cat(parts.collect(), 0),
            });
        }
    }
}
