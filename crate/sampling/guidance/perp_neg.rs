//! Perp-Neg: Armandpour et al., "Re-imagine the Negative Prompt Algorithm", arXiv 2304.04968.
//!
//! The negative prompt's direction, seen from the empty prompt's prediction `e`, loses what it
//! shares with the prompt's direction, so that it takes nothing away that the prompt asks for:
//!
//! ```text
//! P = p − e,  N = n − e,  N⊥ = N − (⟨N, P⟩ / ‖P‖²) · P
//! e + s · (P − w · N⊥)
//! ```
//!
//! It needs three predictions a call. Where there is no negative prompt it is plain guidance.

use super::Vectors;
use super::vectors::{dot, minus, plus};

/// Perp-Neg.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PerpNeg {
    /// Weight of the negative direction, w.
    pub weight: f64,
}

impl PerpNeg {
    pub(super) fn guide(self, v: &Vectors, scale: f64) -> Vec<f64> {
        let prompt = minus(&v.positive, &v.base);
        let negative = v.negative.as_ref().unwrap_or(&v.base);
        let negative = minus(negative, &v.base);
        let shared = dot(&negative, &prompt) / dot(&prompt, &prompt);
        let perpendicular = plus(&negative, -shared, &prompt);
        plus(&v.base, scale, &plus(&prompt, -self.weight, &perpendicular))
    }
}
