//! Perturbed-attention guidance (PAG) and skip-layer guidance (SLG): away from what a worse network
//! predicts for the same prompt. Ahn et al., "Self-Rectifying Diffusion Sampling with
//! Perturbed-Attention Guidance" (arXiv 2403.17377).
//!
//! The worse network is the U-Net with a change of its middle block. With its prediction q, those
//! for the prompt and the negative prompt p and n, and scales s and k:
//!
//! ```text
//! n + s·(p − n) + k·(p − q)
//! p + k·(p − q)                 without a negative prompt
//! ```

use super::Role;

/// The smallest scale that shares are computed for. At scale 0 there is no perturbed guidance.
const SMALLEST: f64 = 1e-6;

/// The branches of a prompt with this `weight`, and of the perturbed one: with the weights that
/// guidance of `scale` must give the differences `p − b` and `q − b` from its base `b`, so that the
/// result is the formula above.
pub fn roles(weight: f64, scale: f64, perturbed_scale: f64) -> Vec<Role> {
    let share = perturbed_scale / scale.abs().max(SMALLEST).copysign(scale);
    vec![Role::Positive(weight + share), Role::Perturbed(-share)]
}

#[cfg(test)]
mod tests {
    use super::roles;
    use crate::sampling::guidance::{Guidance, Memory, Predictions, Role};
    use crate::sampling::update::Update;

    fn combined(away: &[Role], scale: f64, branches: &[f32]) -> f32 {
        let guidance = Guidance {
            scale,
            roles: [away, &roles(1.0, scale, 2.0)].concat(),
            ..Guidance::plain(scale)
        };
        let branches: Vec<_> = branches.iter().map(|&x| vec![x]).collect();
        let predictions = Predictions {
            branches: &branches,
            latent: &[0.0],
            update: &Update::default(),
            channels: 1,
        };
        let guided = guidance.combine(&predictions, &mut Memory::default());
        guided.prediction[0]
    }

    #[test]
    fn the_perturbed_prediction_is_moved_away_from() {
        // n, p, q
        let guided = combined(&[Role::Negative], 3.0, &[1.0, 2.0, 1.5]);
        assert!((guided - 5.0).abs() < 1e-6, "{guided}");
        let guided = combined(&[], 1.0, &[2.0, 1.5]);
        assert!((guided - 3.0).abs() < 1e-6, "{guided}");
    }

    #[test]
    fn at_scale_0_the_negative_prompt_is_alone() {
        let guided = combined(&[Role::Negative], 0.0, &[1.0, 2.0, 1.5]);
        assert_eq!(guided, 1.0);
    }
}
