//! Normalized attention guidance (NAG): a negative prompt inside the attention to the prompt, where
//! it needs no second prediction. Chen et al., "Normalized Attention Guidance" (arXiv 2505.21179).

use crate::error::{Error, Result};

/// Settings of NAG.
///
/// For a token with the attention z⁺ to the prompt and z⁻ to the negative prompt, all heads side by
/// side:
///
/// ```text
/// z̃ = φ·z⁺ − (φ − 1)·z⁻           away from the negative prompt
/// ẑ = z̃ · min(ρ, τ)/ρ             ρ = ‖z̃‖₁ / ‖z⁺‖₁
/// z = α·ẑ + (1 − α)·z⁺
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Nag {
    /// φ; at most 1 is off.
    pub scale: f64,
    /// τ, the largest growth of the norm.
    pub tau: f64,
    /// α, the share of the guided attention, 0 to 1.
    pub alpha: f64,
}

impl Default for Nag {
    /// The authors' scale, and the other settings for Stable Diffusion.
    fn default() -> Self {
        Nag {
            scale: 5.0,
            tau: Nag::TAU,
            alpha: Nag::ALPHA,
        }
    }
}

impl Nag {
    /// τ for Stable Diffusion.
    pub const TAU: f64 = 2.5;
    /// α for Stable Diffusion.
    pub const ALPHA: f64 = 0.25;

    /// The settings, checked; `None` at a scale of at most 1, which is off.
    ///
    /// # Errors
    /// [`Error::Request`] for a value out of range.
    pub fn checked(self) -> Result<Option<Self>> {
        let within = |field, value: f64, highest: f64| match (0.0..=highest).contains(&value) {
            true => Ok(()),
            false => Err(Error::request(field, value, format!("0 to {highest}"))),
        };
        within("NAG scale", self.scale, 100.0)?;
        within("NAG tau", self.tau, 100.0)?;
        within("NAG alpha", self.alpha, 1.0)?;
        Ok((self.scale > 1.0).then_some(self))
    }

    /// Guides the attention of one token to the prompt, in place.
    ///
    /// # Panics
    /// Panics where the lengths differ.
    pub fn guide(&self, positive: &mut [f32], negative: &[f32]) {
        assert_eq!(positive.len(), negative.len(), "two attentions of a token");
        let scale = self.scale as f32;
        let away = |p: f32, n: f32| scale * p - (scale - 1.0) * n;
        let (mut norm, mut away_norm) = (0.0, 0.0);
        for (&p, &n) in positive.iter().zip(negative) {
            norm += f64::from(p.abs());
            away_norm += f64::from(away(p, n).abs());
        }
        let limit = self.tau * norm;
        // min(ρ, τ)/ρ
        let shrink = if away_norm > limit {
            limit / away_norm
        } else {
            1.0
        };
        let share = (self.alpha * shrink) as f32;
        let rest = (1.0 - self.alpha) as f32;
        for (p, &n) in positive.iter_mut().zip(negative) {
            *p = share * away(*p, n) + rest * *p;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Nag;

    fn nag(scale: f64, tau: f64, alpha: f64) -> Nag {
        Nag { scale, tau, alpha }
    }

    #[test]
    fn a_scale_of_at_most_1_is_off() {
        for scale in [0.0, 0.5, 1.0] {
            assert_eq!(nag(scale, 2.5, 0.25).checked().expect("valid"), None);
        }
    }

    #[test]
    fn values_out_of_range_are_refused() {
        for [scale, tau, alpha] in [
            [-0.1, 2.5, 0.25],
            [100.1, 2.5, 0.25],
            [f64::NAN, 2.5, 0.25],
            [5.0, -1.0, 0.25],
            [5.0, f64::INFINITY, 0.25],
            [5.0, 2.5, 1.1],
            [5.0, 2.5, f64::NAN],
        ] {
            let error = nag(scale, tau, alpha).checked().expect_err("out of range");
            assert!(error.to_string().contains("NAG"), "{error}");
        }
    }

    #[test]
    fn a_norm_within_tau_is_extrapolated_and_blended() {
        let mut z = [1.0, -2.0];
        nag(3.0, 10.0, 0.5).guide(&mut z, &[0.0, 1.0]);
        // z̃ = (3, −8)
        assert_eq!(z, [2.0, -5.0]);
    }

    #[test]
    fn a_larger_norm_is_limited_to_tau_times_that_of_the_prompt() {
        let mut z = [1.0, -2.0];
        nag(3.0, 2.0, 1.0).guide(&mut z, &[0.0, 1.0]);
        let norm: f32 = z.iter().map(|x| x.abs()).sum();
        assert!((norm - 6.0).abs() < 1e-5, "{z:?}");
    }

    #[test]
    fn an_attention_of_zero_stays_zero() {
        let mut z = [0.0, 0.0];
        nag(3.0, 2.5, 0.25).guide(&mut z, &[1.0, 0.0]);
        assert_eq!(z, [0.0, 0.0]);
        nag(3.0, 2.5, 0.25).guide(&mut z, &[0.0, 0.0]);
        assert_eq!(z, [0.0, 0.0]);
    }
}
