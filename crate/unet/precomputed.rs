//! What the U-Net computes once a run instead of once a step, because it depends on the prompt or on the timesteps alone,
//! which are known before the first step: keys and values of every cross-attention, and what every residual block adds
//! for the timestep. In SD1.5 that is 32 and 24 of some 500 operations.

use std::ops::Range;
use std::rc::Rc;

use burn::tensor::Tensor;

use super::time::Projections;
use super::transformer::{KeysValues, KvProjection};
use crate::error::Result;
use crate::ops::Ops;
use crate::weights::VarBuilder;

/// The layers that are carried out ahead of a run. The blocks put them here as they are made, and keep the place.
#[derive(Default)]
pub struct Precomputed {
    /// Of the residual blocks.
    pub projections: Projections,
    /// Of the cross-attentions.
    pub kv_projections: Vec<KvProjection>,
}

impl Precomputed {
    /// The layers for keys and values at `vb`; returns their place.
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

/// What the prompts of a run amount to: keys and values of every cross-attention, `[n, 77·k, channels of its level]` each.
#[derive(Clone)]
pub struct CrossAttnKv(pub(super) Vec<KeysValues>);

/// What a call is given besides the latent.
pub struct Conditioning<'a> {
    /// `[1, columns]`: a row of what was embedded precomputed.
    pub time: &'a Tensor<2>,
    /// See [`CrossAttnKv`].
    pub prompt: &'a CrossAttnKv,
    /// To take a part of the row with.
    pub ops: &'a Rc<dyn Ops>,
}

impl Conditioning<'_> {
    /// `[1, outputs]`: a residual block's part of the timestep.
    pub fn time(&self, columns: Range<usize>) -> Tensor<2> {
        self.ops.columns(self.time, columns)
    }

    /// Keys and values for the cross-attention at `place`.
    pub fn context(&self, place: usize) -> KeysValues {
        self.prompt.0[place].clone()
    }
}
