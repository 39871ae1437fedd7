//! Arithmetic on latents: weighted sums, and the two parts, picture and noise, that a latent is made of.

use crate::config::PredictionType;

/// `Σ weight · latent`, element by element, summed in f64 and rounded to f32 once.
///
/// # Panics
/// When the latents differ in length.
pub(super) fn blend<const N: usize>(terms: [(f64, &[f32]); N]) -> Vec<f32> {
    let n = terms[0].1.len();
    assert!(
        terms.iter().all(|(_, latent)| latent.len() == n),
        "latents and predictions of one length"
    );
    (0..n)
        .map(|i| {
            terms
                .iter()
                .map(|(weight, latent)| weight * f64::from(latent[i]))
                .sum::<f64>() as f32
        })
        .collect()
}

/// A noise level of a latent with variance 1: `latent = alpha · picture + sigma · noise`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Level {
    pub alpha: f64,
    pub sigma: f64,
}

impl Level {
    /// The level with this ᾱ.
    pub fn from_alpha_cumprod(alpha_cumprod: f64) -> Self {
        Level {
            alpha: alpha_cumprod.sqrt(),
            sigma: (1.0 - alpha_cumprod).sqrt(),
        }
    }

    /// The level whose noise is `ratio` times as strong as its picture (what k-diffusion and Karras call sigma).
    pub fn from_sigma(ratio: f64) -> Self {
        let alpha = 1.0 / ratio.hypot(1.0);
        Level {
            alpha,
            sigma: ratio * alpha,
        }
    }

    /// Half the logarithm of the signal-to-noise ratio; infinite without noise.
    pub fn lambda(self) -> f64 {
        self.alpha.ln() - self.sigma.ln()
    }

    /// Weights of latent and prediction in the picture they imply, `x0`.
    pub fn picture(self, prediction_type: PredictionType) -> (f64, f64) {
        match prediction_type {
            PredictionType::Epsilon => (1.0 / self.alpha, -self.sigma / self.alpha),
            PredictionType::VPrediction => (self.alpha, -self.sigma),
        }
    }

    /// Weights of latent and prediction in the noise they imply.
    pub fn noise(self, prediction_type: PredictionType) -> (f64, f64) {
        match prediction_type {
            PredictionType::Epsilon => (0.0, 1.0),
            PredictionType::VPrediction => (self.sigma, self.alpha),
        }
    }
}
