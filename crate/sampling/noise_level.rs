//! Noise levels: the shares of the denoised latent and of noise in a latent.

use super::update::Sum;
use super::update::Term::{Latent, Prediction};
use crate::config::PredictionType;

/// A noise level of a latent with variance 1: `latent = alpha · denoised + sigma · noise`.
#[derive(Debug, Clone, Copy)]
pub(super) struct NoiseLevel {
    pub alpha: f64,
    pub sigma: f64,
}

impl NoiseLevel {
    /// The noise level with this ᾱ.
    pub fn from_alpha_cumprod(alpha_cumprod: f64) -> Self {
        NoiseLevel {
            alpha: alpha_cumprod.sqrt(),
            sigma: (1.0 - alpha_cumprod).sqrt(),
        }
    }

    /// The noise level with this ratio of sigma to alpha, the sigma of k-diffusion and of Karras et
    /// al.
    pub fn from_sigma(ratio: f64) -> Self {
        let alpha = 1.0 / ratio.hypot(1.0);
        NoiseLevel {
            alpha,
            sigma: ratio * alpha,
        }
    }

    /// Half the logarithm of the signal-to-noise ratio; infinite without noise.
    pub fn lambda(self) -> f64 {
        self.alpha.ln() - self.sigma.ln()
    }

    /// The denoised latent that follows from latent and prediction, `x0`.
    pub fn denoised(self, prediction_type: PredictionType) -> Sum {
        match prediction_type {
            PredictionType::Epsilon => {
                1.0 / self.alpha * Latent - self.sigma / self.alpha * Prediction
            }
            PredictionType::VPrediction => self.alpha * Latent - self.sigma * Prediction,
        }
    }

    /// The noise that follows from latent and prediction.
    pub fn noise(self, prediction_type: PredictionType) -> Sum {
        match prediction_type {
            PredictionType::Epsilon => Prediction.into(),
            PredictionType::VPrediction => self.sigma * Latent + self.alpha * Prediction,
        }
    }
}
