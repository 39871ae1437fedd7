//! CFG-Zero*: Fan et al., "CFG-Zero*: Improved Classifier-Free Guidance for Flow Matching Models",
//! arXiv 2503.18886.
//!
//! The negative prediction is scaled to come as near to the positive one as it can:
//!
//! ```text
//! α = ⟨p, n⟩ / ‖n‖²
//! α · n + s · (p − α · n)
//! ```
//!
//! The paper also sets the prediction of the first steps to zero, for models of flow matching,
//! which have little to say there. `zero_steps` does so; for Stable Diffusion it is 0.

use super::Vectors;
use super::vectors::{dot, minus, plus, times};

/// Keeps the quotient finite where the negative prediction is zero.
pub const EPSILON: f64 = 1e-8;

/// CFG-Zero* in one call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CfgZero {
    /// True if the prediction of this call is set to zero.
    pub zero: bool,
}

impl CfgZero {
    pub(super) fn guide(self, v: &Vectors, scale: f64) -> Vec<f64> {
        if self.zero {
            return vec![0.0; v.base.len()];
        }
        let alpha = dot(&v.positive, &v.base) / (dot(&v.base, &v.base) + EPSILON);
        let negative = times(alpha, &v.base);
        plus(&negative, scale, &minus(&v.positive, &negative))
    }
}
