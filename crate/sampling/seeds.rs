//! The noise of a picture as A1111's web UI makes it from its seeds (`modules/rng.py`): the first
//! noise, mixed with that of a variation seed, and the noise of the sampler's steps.

use super::noise::{Noise, Rng};
use crate::error::{Error, Result};

/// The seeds of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Seeds {
    /// Generator of all noise.
    pub rng: Rng,
    /// Seed of the first noise, and of the sampler's noise.
    pub seed: u64,
    /// Seed of the noise that is mixed into the first noise.
    pub variation_seed: u64,
    /// Share of it: 0 for none, 1 for nothing else.
    pub variation_strength: f64,
    /// "Eta noise seed delta": added to `seed` for the sampler's noise. With 0 that noise continues
    /// the stream of the first noise.
    pub ensd: i64,
}

impl Seeds {
    /// Checks the strength.
    ///
    /// # Errors
    /// [`Error::Request`] for a strength outside 0 to 1.
    pub fn check(&self) -> Result<()> {
        match (0.0..=1.0).contains(&self.variation_strength) {
            true => Ok(()),
            false => Err(Error::request(
                "variation strength",
                self.variation_strength,
                "0 to 1",
            )),
        }
    }

    /// The seeds of the picture numbered `index` of a batch. As in the web UI, the seeds count up;
    /// with a variation the variation seeds do, so that all pictures are variations of one.
    pub fn numbered(self, index: u64) -> Self {
        match self.variation_strength == 0.0 {
            true => Seeds {
                seed: self.seed.wrapping_add(index),
                ..self
            },
            false => Seeds {
                variation_seed: self.variation_seed.wrapping_add(index),
                ..self
            },
        }
    }

    /// Draws the first noise, `[channels, height, width]` of variance 1, and returns it with the
    /// stream of the sampler's noise. Only the first noise is mixed.
    pub fn draw(&self, [channels, height, width]: [usize; 3]) -> (Vec<f32>, Noise) {
        let length = channels * height * width;
        let mut noise = Noise::new(self.rng, self.seed);
        let mut first = noise.normal(length);
        if self.variation_strength != 0.0 {
            let other = Noise::new(self.rng, self.variation_seed).normal(length);
            mix(self.variation_strength, &mut first, &other, [height, width]);
        }
        if self.ensd != 0 {
            noise = Noise::new(self.rng, self.seed.wrapping_add_signed(self.ensd));
        }
        (first, noise)
    }
}

/// Mixes `other` into `noise` by spherical interpolation, column by column of each channel: the web
/// UI's `slerp` takes norms along the height. `size` is height and width.
fn mix(strength: f64, noise: &mut [f32], other: &[f32], [height, width]: [usize; 2]) {
    // The first element of each column.
    let starts = (0..noise.len()).step_by(height * width);
    let starts: Vec<usize> = starts.flat_map(|plane| plane..plane + width).collect();
    let column = |start: usize| (start..).step_by(width).take(height);
    let dots = starts.iter().map(|&start| {
        let (mut squares, mut dot) = ([0.0; 2], 0.0);
        for i in column(start) {
            let (a, b) = (f64::from(noise[i]), f64::from(other[i]));
            squares = [squares[0] + a * a, squares[1] + b * b];
            dot += a * b;
        }
        dot / (squares[0] * squares[1]).sqrt()
    });
    let dots: Vec<f64> = dots.collect();
    // Nearly equal noise has no angle to divide. The web UI's weights are swapped here, without
    // consequences.
    let parallel = dots.iter().sum::<f64>() / dots.len() as f64 > 0.9995;
    for (&start, dot) in starts.iter().zip(dots) {
        let angle = dot.acos();
        let weights = match parallel {
            true => [strength, 1.0 - strength],
            false => [1.0 - strength, strength].map(|share| (share * angle).sin() / angle.sin()),
        };
        for i in column(start) {
            let mixed = weights[0] * f64::from(noise[i]) + weights[1] * f64::from(other[i]);
            noise[i] = mixed as f32;
        }
    }
}
