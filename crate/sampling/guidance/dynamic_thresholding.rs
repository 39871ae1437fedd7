//! Dynamic thresholding: Saharia et al., "Photorealistic Text-to-Image Diffusion Models with Deep
//! Language Understanding", arXiv 2205.11487, section 2.3, in the form for latents of the extension
//! sd-dynamic-thresholding for A1111's web UI.
//!
//! A latent has no fixed range, so the range is that of a second guidance scale m, the mimicked
//! one. The denoised latents of scale s (G) and m (M) are centred in each channel. Values of the
//! first are limited to its quantile q of magnitudes, and scaled to the largest magnitude of the
//! second:
//!
//! ```text
//! R = max |M|,  S = max(R, quantile_q |G|)
//! mean + clamp(G, −S, S) · R / S
//! ```
//!
//! With m = s and q = 1 the result is that of plain guidance. The quantile needs each channel's
//! values in order. No kernel here sorts them, so the host combines the predictions.

use super::vectors::{mean, minus, plus};
use super::{DenoisedSpace, Vectors};

/// Dynamic thresholding.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DynamicThresholding {
    /// The guidance scale that is mimicked, m.
    pub mimic_scale: f64,
    /// Share of the magnitudes that is kept, q.
    pub percentile: f64,
}

impl DynamicThresholding {
    pub(super) fn guide(self, v: &Vectors, scale: f64, space: &DenoisedSpace) -> Vec<f64> {
        let difference = minus(&v.positive, &v.base);
        let denoised = |scale| space.denoised(&plus(&v.base, scale, &difference));
        let (guided, mimicked) = (denoised(scale), denoised(self.mimic_scale));
        let positions = guided.len() / space.channels;
        let channels = guided.chunks(positions).zip(mimicked.chunks(positions));
        let limited = channels.flat_map(|(guided, mimicked)| self.channel(guided, mimicked));
        space.prediction(&limited.collect::<Vec<_>>())
    }

    fn channel(self, guided: &[f64], mimicked: &[f64]) -> Vec<f64> {
        let centre = mean(guided);
        let magnitudes = |values: &[f64]| {
            let mean = mean(values);
            let mut magnitudes: Vec<f64> = values.iter().map(|x| (x - mean).abs()).collect();
            magnitudes.sort_by(f64::total_cmp);
            magnitudes
        };
        let range = quantile(&magnitudes(mimicked), 1.0);
        let largest = range.max(quantile(&magnitudes(guided), self.percentile));
        if largest == 0.0 {
            return guided.to_vec();
        }
        let limit = |x: &f64| centre + (x - centre).clamp(-largest, largest) * (range / largest);
        guided.iter().map(limit).collect()
    }
}

/// The value below which the share `q` of `sorted` lies, interpolated linearly.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let place = q * (sorted.len() - 1) as f64;
    let (below, above) = (place.floor(), place.ceil());
    let [low, high] = [below, above].map(|index| sorted[index as usize]);
    low + (place - below) * (high - low)
}
