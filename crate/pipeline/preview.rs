//! Previews while sampling: a linear map from latent channels to colours, one pixel for each latent
//! position.
//!
//! A VAE decode costs as much as 1.6 guided steps at full size; this costs almost nothing. The map
//! is fitted to the model's own decoder once after loading, so that it suits every model.

use burn::tensor::{DType, Device, Tensor, TensorData};

use super::picture::to_rgba;
use crate::device::read;
use crate::error::{Error, Result};
use crate::sampling::{Noise, Rng};
use crate::vae::decoder::VaeDecoder;

/// Side of the latent that the map is fitted on.
const SIDE: usize = 8;
/// Side of its patches of equal latent. A decoder renders a single odd position as texture, not as
/// colour.
const PATCH: usize = 2;

/// The map `rgb = matrix·latent + offset`, in −1 to 1.
#[derive(Clone)]
pub struct LatentToRgb {
    /// One row for each colour: a weight for each latent channel, then the offset.
    rows: [Vec<f64>; 3],
    channels: usize,
}

impl LatentToRgb {
    /// Decodes a patchwork of random latents, with activations in `dtype`, and fits the map by
    /// least squares.
    ///
    /// # Errors
    /// [`Error::Numeric`] where the picture is not finite, [`Error::Device`] where the device
    /// fails.
    pub async fn fit(
        vae: &VaeDecoder,
        channels: usize,
        device: &Device,
        dtype: DType,
    ) -> Result<Self> {
        let latent = patchwork(channels);
        let data = TensorData::new(latent.clone(), [1, SIDE, SIDE, channels]);
        let tensor = Tensor::<4>::from_data(data, (device, DType::F32)).cast(dtype);
        let picture = vae.forward(tensor);
        let [_, height, width, _] = picture.dims();
        let picture = read(picture).await?;
        if let Some(bad) = picture.iter().find(|v| !v.is_finite()) {
            return Err(Error::numeric(format!(
                "a picture of random colours holds {bad}"
            )));
        }
        let rows = least_squares(&latent, channels, &picture, [height, width]);
        Ok(LatentToRgb { rows, channels })
    }

    /// Maps a latent to a picture.
    ///
    /// # Shapes
    /// latent `[channels, h, w]` → `h·w·4` bytes RGBA
    pub fn apply(&self, latent: &[f32]) -> Vec<u8> {
        self.map(latent, 1.0)
    }

    /// Maps the difference of two latents to the difference of their pictures, around a medium
    /// grey.
    ///
    /// # Shapes
    /// difference `[channels, h, w]` → `h·w·4` bytes RGBA
    pub fn apply_to_difference(&self, difference: &[f32]) -> Vec<u8> {
        self.map(difference, 0.0)
    }

    /// Applies the matrix, and adds `offset` times the offset.
    fn map(&self, latent: &[f32], offset: f64) -> Vec<u8> {
        let positions = latent.len() / self.channels;
        let values: Vec<f32> = (0..positions)
            .flat_map(|p| {
                self.rows.each_ref().map(|row| {
                    let colour: f64 = (0..self.channels)
                        .map(|c| row[c] * latent[c * positions + p] as f64)
                        .sum();
                    (colour + offset * row[self.channels]) as f32
                })
            })
            .collect();
        to_rgba(&values)
    }
}

/// Random latents in patches of [`PATCH`]², `[SIDE, SIDE, channels]`.
fn patchwork(channels: usize) -> Vec<f32> {
    let patches = SIDE / PATCH;
    let noise = Noise::new(Rng::Torch, 0).normal(patches * patches * channels);
    (0..SIDE * SIDE * channels)
        .map(|i| {
            let (y, x, c) = (i / channels / SIDE, i / channels % SIDE, i % channels);
            noise[(y / PATCH * patches + x / PATCH) * channels + c]
        })
        .collect()
}

/// Solves the normal equations of `[latent, 1]·row = mean colour of the position's cell`.
///
/// # Shapes
/// latent `[SIDE, SIDE, channels]`, picture `[height, width, 3]` → three rows of `channels + 1`
fn least_squares(
    latent: &[f32],
    channels: usize,
    picture: &[f32],
    [height, width]: [usize; 2],
) -> [Vec<f64>; 3] {
    let (cell_h, cell_w) = (height / SIDE, width / SIDE);
    let n = channels + 1;
    let mut gram = vec![vec![0.0; n]; n];
    let mut right: [Vec<f64>; 3] = std::array::from_fn(|_| vec![0.0; n]);
    for position in 0..SIDE * SIDE {
        let (y, x) = (position / SIDE, position % SIDE);
        let input: Vec<f64> = latent[position * channels..][..channels]
            .iter()
            .map(|&v| v as f64)
            .chain([1.0])
            .collect();
        for i in 0..n {
            for j in 0..n {
                gram[i][j] += input[i] * input[j];
            }
        }
        for (colour, right) in right.iter_mut().enumerate() {
            let mut sum = 0.0;
            for py in y * cell_h..(y + 1) * cell_h {
                for px in x * cell_w..(x + 1) * cell_w {
                    sum += picture[(py * width + px) * 3 + colour].clamp(-1.0, 1.0) as f64;
                }
            }
            let mean = sum / (cell_h * cell_w) as f64;
            for i in 0..n {
                right[i] += input[i] * mean;
            }
        }
    }
    right.map(|right| solve(gram.clone(), right))
}

/// Solves a small symmetric system by Gaussian elimination with pivoting. Undetermined unknowns
/// become 0.
fn solve(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Vec<f64> {
    let n = b.len();
    for column in 0..n {
        let pivot = (column..n)
            .max_by(|&i, &j| a[i][column].abs().total_cmp(&a[j][column].abs()))
            .unwrap_or(column);
        a.swap(column, pivot);
        b.swap(column, pivot);
        if a[column][column].abs() < 1e-12 {
            continue;
        }
        let pivot = a[column].clone();
        for row in (0..n).filter(|&row| row != column) {
            let factor = a[row][column] / pivot[column];
            for (value, above) in a[row].iter_mut().zip(&pivot) {
                *value -= factor * above;
            }
            b[row] -= factor * b[column];
        }
    }
    (0..n)
        .map(|i| {
            if a[i][i].abs() < 1e-12 {
                0.0
            } else {
                b[i] / a[i][i]
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::solve;

    #[test]
    fn solve_sets_undetermined_unknowns_to_zero() {
        assert_eq!(
            solve(vec![vec![0.0, 2.0], vec![4.0, 0.0]], vec![6.0, 8.0]),
            [2.0, 3.0]
        );
        assert_eq!(
            solve(vec![vec![2.0, 0.0], vec![0.0, 0.0]], vec![6.0, 0.0]),
            [3.0, 0.0]
        );
    }
}
