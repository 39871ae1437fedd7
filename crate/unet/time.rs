//! The timestep as a vector. Matches diffusers 0.42 `models/embeddings.py`, `get_timestep_embedding` and
//! `TimestepEmbedding`.

use burn::tensor::activation::silu;
use burn::tensor::{DType, Tensor, TensorData};

use crate::config::UnetConfig;
use crate::error::Result;
use crate::ops::layers::LinearLayer;
use crate::weights::Scope;

/// Sinusoids of the timestep through two linear layers.
pub struct TimeEmbedding {
    linear_1: LinearLayer,
    linear_2: LinearLayer,
    width: usize,
    flip_sin_to_cos: bool,
    freq_shift: f64,
}

impl TimeEmbedding {
    pub fn new(mut scope: Scope, config: &UnetConfig) -> Result<Self> {
        let width = config.blocks[0].channels;
        let inner = config.time_embed_dim();
        Ok(TimeEmbedding {
            linear_1: LinearLayer::new(scope.enter("linear_1"), width, inner)?,
            linear_2: LinearLayer::new(scope.enter("linear_2"), inner, inner)?,
            width,
            flip_sin_to_cos: config.flip_sin_to_cos,
            freq_shift: config.freq_shift,
        })
    }

    /// The same embedding for each latent of the batch.
    ///
    /// # Shapes
    /// latent `[n, …]` → `[n, 4·block_out_channels[0]]`
    pub fn forward(&self, timestep: f64, latent: &Tensor<4>) -> Tensor<2> {
        let n = latent.dims()[0];
        let row = sinusoids(timestep, self.width, self.flip_sin_to_cos, self.freq_shift);
        let data = TensorData::new(row.repeat(n), [n, 1, self.width]);
        let x = Tensor::<3>::from_data(data, (&latent.device(), DType::F32)).cast(latent.dtype());
        let x = silu(self.linear_1.forward(x, None));
        self.linear_2.forward(x, None).squeeze_dim(1)
    }
}

/// `sin | cos` (or `cos | sin`) of `timestep · 10000^(−i/(half − shift))`; a zero is added to an odd width.
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

#[cfg(test)]
mod tests {
    use super::sinusoids;

    #[test]
    fn sinusoids_of_zero_are_ones_and_zeros() {
        assert_eq!(sinusoids(0.0, 5, true, 0.0), [1.0, 1.0, 0.0, 0.0, 0.0]);
        assert_eq!(sinusoids(0.0, 4, false, 0.0), [0.0, 0.0, 1.0, 1.0]);
    }
}
