//! Results that the U-Net computes once per run instead of once per step, because they depend only
//! on the prompt or on the timesteps: the keys and values of every cross-attention, and the vector
//! that every residual block adds for the timestep. In SD1.5 these are 32 and 24 of some 500
//! operations.

use std::ops::Range;
use std::rc::Rc;

use burn::tensor::Tensor;

use super::attention_maps::AttentionMaps;
use super::time::Projections;
use super::transformer::{KeysValues, KvProjection};
use crate::error::Result;
use crate::nn::layers::tokens;
use crate::ops::{NagImages, Ops};
use crate::weights::VarBuilder;

/// Layers that are applied ahead of a run. Blocks add their layers here and keep the columns or the
/// index of the result.
#[derive(Default)]
pub struct Precomputed {
    /// Timestep projections of the residual blocks.
    pub projections: Projections,
    /// Key and value projections of the cross-attentions.
    pub kv_projections: Vec<KvProjection>,
}

impl Precomputed {
    /// Adds the key and value projections at `vb` and returns their index.
    pub fn add_kv_projection(
        &mut self,
        vb: VarBuilder,
        inputs: usize,
        channels: usize,
    ) -> Result<usize> {
        self.kv_projections
            .push(KvProjection::new(vb, inputs, channels)?);
        Ok(self.kv_projections.len() - 1)
    }
}

/// Keys and values of every cross-attention for the prompts of a run, each
/// `[n, 77·k, channels of its level]`.
#[derive(Clone)]
pub struct CrossAttnKv {
    pub(super) layers: Vec<KeysValues>,
    /// The images that are guided within these attentions.
    pub(super) nag: Option<NagImages>,
    /// The change that makes the last image differ from the one before.
    pub(super) perturbation: Option<Perturbation>,
}

impl CrossAttnKv {
    /// The same keys and values with normalized attention guidance. There may be more prompts than
    /// images: the first ones belong to the images.
    #[must_use]
    pub fn with_nag(self, nag: Option<NagImages>) -> Self {
        CrossAttnKv { nag, ..self }
    }

    /// The same keys and values for calls with a perturbed image: the last one, which has latent
    /// and prompt of the one before.
    #[must_use]
    pub fn with_perturbation(self, perturbation: Option<Perturbation>) -> Self {
        CrossAttnKv {
            perturbation,
            ..self
        }
    }
}

/// A change of the middle block's transformer that makes a prediction worse, so that guidance can
/// move away from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Perturbation {
    /// The identity as self-attention: PAG (Ahn et al., arXiv 2403.17377).
    IdentityAttention,
    /// No transformer layers: skip-layer guidance.
    SkippedLayers,
}

/// Inputs of a U-Net call besides the latent.
pub struct Conditioning<'a> {
    /// Row of the projected timestep embeddings, `[1, columns]`.
    pub time: &'a Tensor<2>,
    /// Keys and values of the prompts.
    pub prompt: &'a CrossAttnKv,
    /// Operations that take columns of `time`.
    pub ops: &'a Rc<dyn Ops>,
    /// Collects the maps of cross-attentions, where they are wanted.
    pub maps: Option<&'a AttentionMaps>,
}

impl Conditioning<'_> {
    /// The vector that a residual block adds for the timestep, `[1, outputs]`.
    pub fn time(&self, columns: Range<usize>) -> Tensor<2> {
        self.ops.columns(self.time, columns)
    }

    /// `x` with its last image again, which the perturbed one shares up to the middle block.
    pub fn with_twin(&self, x: Tensor<4>) -> Tensor<4> {
        let [n, h, w, c] = x.dims();
        let x = tokens(x);
        let with_twin = self.ops.append(x.clone(), &x, n - 1);
        with_twin.reshape([n + 1, h, w, c])
    }

    /// `skip` of a down block, for all images.
    pub fn for_all(&self, skip: Tensor<4>) -> Tensor<4> {
        match self.prompt.perturbation {
            Some(_) => self.with_twin(skip),
            None => skip,
        }
    }

    /// The same without maps.
    pub fn without_maps(&self) -> Self {
        Conditioning {
            maps: None,
            ..*self
        }
    }

    /// Keys and values of the cross-attention at `index`.
    pub fn keys_values(&self, index: usize) -> KeysValues {
        self.prompt.layers[index].clone()
    }
}
