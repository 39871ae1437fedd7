//! Classifier-free guidance: how the prediction for the prompt and the one for the negative prompt become one.

/// `negative + scale · (positive − negative)`, element by element.
///
/// # Shapes
/// - `positive`, `negative`: the U-Net's two predictions for one latent, of equal length
/// - output: the same
///
/// `scale` 1 gives `positive`, so the negative prompt has no effect there; larger values push away from `negative`. The
/// negative prompt takes the place of the empty prompt, whose prediction Ho & Salimans (arXiv 2207.12598) push away from.
///
/// # Panics
/// When the lengths differ.
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
