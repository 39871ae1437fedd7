//! Classifier-free guidance: combines the predictions for the prompt and for the negative prompt.

/// `negative + scale · (positive − negative)`, element by element.
///
/// # Shapes
/// - `positive`, `negative`: the U-Net's two predictions for one latent, of equal length
/// - output: the same length
///
/// `scale` 1 gives `positive`, so the negative prompt has no effect. Larger values move the result
/// away from `negative`. The negative prompt replaces the empty prompt of Ho & Salimans (arXiv
/// 2207.12598).
///
/// # Panics
/// Panics where the lengths differ.
pub fn guide(positive: &[f32], negative: &[f32], scale: f64) -> Vec<f32> {
    assert_eq!(
        positive.len(),
        negative.len(),
        "two predictions of one latent"
    );
    positive
        .iter()
        .zip(negative)
        .map(|(&p, &n)| (f64::from(n) + scale * (f64::from(p) - f64::from(n))) as f32)
        .collect()
}
