//! Rescaled guidance: Lin et al., "Common Diffusion Noise Schedules and Sample Steps Are Flawed",
//! arXiv 2305.08891, section 3.4.
//!
//! A high guidance scale makes the prediction larger than any that the U-Net was trained for, so
//! pictures are overexposed. The standard deviation of the prompt's prediction `p` is restored, in
//! a share φ of the result `g`:
//!
//! ```text
//! φ · g · std(p) / std(g) + (1 − φ) · g
//! ```
//!
//! The paper takes φ = 0.7. Every other kind takes φ as its option `rescale`.

use super::vectors::{deviation, times};

/// Rescales the share `phi` of `guided` to the standard deviation of `positive`.
pub(super) fn rescale(guided: Vec<f64>, positive: &[f64], phi: f64) -> Vec<f64> {
    let size = deviation(&guided);
    if phi == 0.0 || size == 0.0 {
        return guided;
    }
    times(phi * deviation(positive) / size + 1.0 - phi, &guided)
}
