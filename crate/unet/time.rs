//! The timestep embedding. Matches diffusers 0.42 `models/embeddings.py`, `get_timestep_embedding`
//! and `TimestepEmbedding`, and `time_emb_proj` of `models/resnet.py`, `ResnetBlock2D`.

use std::ops::Range;
use std::rc::Rc;

use burn::tensor::{DType, Device, Tensor, TensorData};

use crate::config::UnetConfig;
use crate::error::Result;
use crate::nn::layers::LinearLayer;
use crate::ops::Ops;
use crate::weights::VarBuilder;

/// Alignment of a block's columns within a row of [`Timesteps::embed`]: 256 bytes in f16, the
/// largest buffer offset alignment that an adapter may require. So a kernel can read the columns in
/// place.
const ALIGNMENT: usize = 128;

/// Sinusoids of the timestep, two linear layers, and a projection for each residual block.
pub struct Timesteps {
    linear_1: LinearLayer,
    linear_2: LinearLayer,
    /// Projection of the guidance scale's embedding, and the embedding's width; present in latent
    /// consistency models.
    cond_proj: Option<(LinearLayer, usize)>,
    projections: Projections,
    width: usize,
    flip_sin_to_cos: bool,
    freq_shift: f64,
    ops: Rc<dyn Ops>,
}

/// The layers `time_emb_proj` of all residual blocks, each with its columns of the common row.
#[derive(Default)]
pub struct Projections {
    layers: Vec<(LinearLayer, Range<usize>)>,
    columns: usize,
}

impl Projections {
    /// Adds the layer with the weights at `vb` and returns its columns.
    pub fn add(
        &mut self,
        vb: VarBuilder,
        config: &UnetConfig,
        outputs: usize,
    ) -> Result<Range<usize>> {
        let layer = LinearLayer::new(vb, config.time_embed_dim(), outputs)?;
        let columns = self.columns..self.columns + outputs;
        self.columns = columns.end.next_multiple_of(ALIGNMENT);
        self.layers.push((layer, columns.clone()));
        Ok(columns)
    }
}

impl Timesteps {
    /// Makes the embedding with the weights at `vb`, followed by `projections`.
    pub fn new(mut vb: VarBuilder, config: &UnetConfig, projections: Projections) -> Result<Self> {
        let width = config.blocks[0].channels;
        let inner = config.time_embed_dim();
        let cond_proj = config.time_cond_proj_dim.map(|embedding| {
            let layer = LinearLayer::without_bias(vb.pp("cond_proj"), embedding, width)?;
            Ok((layer, embedding))
        });
        Ok(Timesteps {
            linear_1: LinearLayer::new(vb.pp("linear_1"), width, inner)?,
            linear_2: LinearLayer::new(vb.pp("linear_2"), inner, inner)?,
            cond_proj: cond_proj.transpose()?,
            projections,
            width,
            flip_sin_to_cos: config.flip_sin_to_cos,
            freq_shift: config.freq_shift,
            ops: vb.ops(),
        })
    }

    /// Length of a row of [`Timesteps::embed`]. Values between the columns of two blocks are
    /// undefined.
    pub fn columns(&self) -> usize {
        self.projections.columns
    }

    /// Computes the vectors that the residual blocks add at each of `timesteps`. All blocks share
    /// the first two layers. Only latent consistency models read `guidance_scale`.
    ///
    /// # Shapes
    /// m timesteps → `[m, columns]`
    pub fn embed(
        &self,
        timesteps: &[f64],
        guidance_scale: f64,
        device: &Device,
        dtype: DType,
    ) -> Tensor<2> {
        let rows = |values: Vec<f32>, width: usize| {
            let data = TensorData::new(values, [1, timesteps.len(), width]).convert_dtype(dtype);
            Tensor::<3>::from_data(data, (device, dtype))
        };
        let sinusoids = timesteps
            .iter()
            .flat_map(|&t| sinusoids(t, self.width, self.flip_sin_to_cos, self.freq_shift));
        let mut x = rows(sinusoids.collect(), self.width);
        if let Some((cond_proj, width)) = &self.cond_proj {
            let row = guidance_embedding(guidance_scale, *width);
            let guidance = rows(row.repeat(timesteps.len()), *width);
            x = cond_proj.forward(guidance, Some(x));
        }
        let x = self.ops.silu(self.linear_1.forward(x, None));
        let x = self.ops.silu(self.linear_2.forward(x, None));
        let parts = self.projections.layers.iter().map(|(layer, columns)| {
            let part = layer.forward(x.clone(), None).squeeze_dim(0);
            (part, columns.start)
        });
        self.ops.side_by_side(parts.collect(), self.columns())
    }
}

/// `sin | cos`, or `cos | sin`, of `timestep · 10000^(−i/(half − shift))`. An odd width ends in a
/// zero.
fn sinusoids(timestep: f64, width: usize, flip_sin_to_cos: bool, freq_shift: f64) -> Vec<f32> {
    let half = width / 2;
    let angles: Vec<f64> = (0..half)
        .map(|i| timestep * (-(10000f64.ln()) * i as f64 / (half as f64 - freq_shift)).exp())
        .collect();
    let sin = angles.iter().map(|a| a.sin() as f32);
    let cos = angles.iter().map(|a| a.cos() as f32);
    let mut row: Vec<f32> = if flip_sin_to_cos {
        cos.chain(sin).collect()
    } else {
        sin.chain(cos).collect()
    };
    row.resize(width, 0.0);
    row
}

/// Embedding of the guidance scale in latent consistency models: `sin | cos` of
/// `1000 · (scale − 1) · 10000^(−i/(half − 1))`. An odd width ends in a zero.
///
/// Matches diffusers 0.42 `LatentConsistencyModelPipeline.get_guidance_scale_embedding`.
fn guidance_embedding(guidance_scale: f64, width: usize) -> Vec<f32> {
    // A shift of 1 makes the divisor half − 1, which is 0 for the narrowest embeddings.
    let shift = if width / 2 > 1 { 1.0 } else { 0.0 };
    sinusoids(1000.0 * (guidance_scale - 1.0), width, false, shift)
}

#[cfg(test)]
mod tests {
    use super::{guidance_embedding, sinusoids};

    #[test]
    fn the_guidance_embedding_of_scale_1_is_that_of_no_guidance() {
        assert_eq!(guidance_embedding(1.0, 4), [0.0, 0.0, 1.0, 1.0]);
        assert_eq!(guidance_embedding(1.0, 3), [0.0, 1.0, 0.0]);
        let row = guidance_embedding(1.5, 6);
        for (index, angle) in [500.0f64, 5.0, 0.05].into_iter().enumerate() {
            assert!((row[index] - angle.sin() as f32).abs() < 1e-6, "{row:?}");
            assert!(
                (row[index + 3] - angle.cos() as f32).abs() < 1e-6,
                "{row:?}"
            );
        }
    }

    #[test]
    fn sinusoids_of_zero_are_ones_and_zeros() {
        assert_eq!(sinusoids(0.0, 5, true, 0.0), [1.0, 1.0, 0.0, 0.0, 0.0]);
        assert_eq!(sinusoids(0.0, 4, false, 0.0), [0.0, 0.0, 1.0, 1.0]);
    }
}
