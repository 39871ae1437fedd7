//! Adaptive projected guidance: Sadat et al., "Eliminating Oversaturation and Artifacts of High
//! Guidance Scales in Diffusion Models", arXiv 2410.02416.
//!
//! The difference of the predictions is averaged with those of earlier calls (β, negative in the
//! paper), limited to the norm r, and divided into parts parallel and orthogonal to the prompt's
//! prediction. The parallel part, which saturates pictures, counts η times:
//!
//! ```text
//! d = (p − n) + β · d of the last guided call
//! d' = d · min(1, r / ‖d‖)
//! n + s · (d'⊥ + η · d'∥)
//! ```
//!
//! The vectors are the U-Net's predictions, as in diffusers' `AdaptiveProjectedGuidance`; the paper
//! takes denoised pictures. With β = 0, r = 0 (no limit) and η = 1 this is plain guidance.

use super::vectors::{dot, minus, norm, plus, times};
use super::{Memory, Vectors};

/// Adaptive projected guidance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Apg {
    /// Share of the parallel part, η.
    pub eta: f64,
    /// Factor on the running average, β.
    pub momentum: f64,
    /// Largest norm of the difference, r; 0: no limit.
    pub norm_threshold: f64,
}

impl Apg {
    pub(super) fn guide(self, v: &Vectors, scale: f64, memory: &mut Memory) -> Vec<f64> {
        let mut difference = minus(&v.positive, &v.base);
        if !memory.average.is_empty() {
            difference = plus(&difference, self.momentum, &memory.average);
        }
        memory.average.clone_from(&difference);
        if self.norm_threshold > 0.0 {
            let limit = (self.norm_threshold / norm(&difference)).min(1.0);
            difference = times(limit, &difference);
        }
        let p = &v.positive;
        let parallel = times(dot(&difference, p) / dot(p, p), p);
        let orthogonal = minus(&difference, &parallel);
        plus(&v.base, scale, &plus(&orthogonal, self.eta, &parallel))
    }
}
