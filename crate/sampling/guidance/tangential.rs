//! Tangential damping: Kwon et al., "TCFG: Tangential Damping Classifier-free Guidance", arXiv
//! 2503.18137.
//!
//! The negative prediction is projected on the direction that both predictions have in common, the
//! first right singular vector `v₁` of the matrix of their rows. What is tangential to it misleads
//! the sampler:
//!
//! ```text
//! n' = ⟨n, v₁⟩ · v₁
//! n' + s · (p − n')
//! ```

use super::Vectors;
use super::vectors::{dot, minus, plus, times};

pub(super) fn guide(v: &Vectors, scale: f64) -> Vec<f64> {
    let (p, n) = (&v.positive, &v.base);
    // The left singular vectors are those of a symmetric matrix of two rows: a rotation.
    let angle = 0.5 * (2.0 * dot(p, n)).atan2(dot(p, p) - dot(n, n));
    let common = plus(&times(angle.cos(), p), angle.sin(), n);
    let negative = times(dot(n, &common) / dot(&common, &common), &common);
    plus(&negative, scale, &minus(p, &negative))
}
