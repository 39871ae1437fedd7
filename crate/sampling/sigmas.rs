//! Tables of sigmas, from the noisiest down, one for each schedule type.

use super::beta_distribution::quantile;
use super::trained::{interpolate, timesteps_of};

/// The highest and the lowest sigma of a table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    pub max: f64,
    pub min: f64,
}

/// `count` sigmas, evenly spaced in their seventh root: Karras et al. (arXiv 2206.00364), equation
/// 5.
pub(super) fn karras(range: Range, count: usize) -> Vec<f64> {
    const RHO: f64 = 7.0;
    let (max, min) = (range.max.powf(1.0 / RHO), range.min.powf(1.0 / RHO));
    linspace(0.0, 1.0, count)
        .map(|ramp| (max + ramp * (min - max)).powf(RHO))
        .collect()
}

/// `count` sigmas, evenly spaced in their logarithm.
pub(super) fn exponential(range: Range, count: usize) -> Vec<f64> {
    linspace(range.max.ln(), range.min.ln(), count)
        .map(f64::exp)
        .collect()
}

/// `count` sigmas at the quantiles of the beta distribution with both parameters 0.6: Lee et al.
/// (arXiv 2407.12173).
pub(super) fn beta(range: Range, count: usize) -> Vec<f64> {
    linspace(0.0, 1.0, count)
        .map(|ramp| range.min + quantile(1.0 - ramp) * (range.max - range.min))
        .collect()
}

/// `count` sigmas at even timesteps, the end left out: the schedule of Stability AI's generative
/// models. Sigmas between timesteps are interpolated in their logarithm.
pub(super) fn sgm_uniform(trained: &[f64], count: usize) -> Vec<f64> {
    let logs: Vec<f64> = trained.iter().map(|sigma| sigma.ln()).collect();
    let last = (trained.len() - 1) as f64;
    linspace(last, 0.0, count + 1)
        .take(count)
        .map(|t| interpolate(&logs, t).exp())
        .collect()
}

/// `count` of the training's sigmas, at equal distances from the last one.
pub(super) fn simple(trained: &[f64], count: usize) -> Vec<f64> {
    let stride = trained.len() as f64 / count as f64;
    (0..count)
        .map(|i| trained[trained.len() - 1 - (i as f64 * stride) as usize])
        .collect()
}

/// The sigmas that Align Your Steps found for SD1.5 with 10 steps, and the end.
const ALIGN_YOUR_STEPS: [f64; 11] = [
    14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029,
];

/// `count` sigmas of Align Your Steps, interpolated in their logarithm.
pub(super) fn align_your_steps(count: usize) -> Vec<f64> {
    let logs = ALIGN_YOUR_STEPS.map(f64::ln);
    linspace(0.0, (logs.len() - 1) as f64, count)
        .map(|position| interpolate(&logs, position).exp())
        .collect()
}

/// `count` sigmas, evenly spaced in the logarithm that diffusers keeps in f32: `use_lu_lambdas`.
pub(super) fn lu(range: Range, count: usize) -> Vec<f64> {
    let [max, min] = [range.max, range.min].map(|sigma| f64::from(sigma.ln() as f32));
    linspace(0.0, 1.0, count)
        .map(|ramp| (max + ramp * (min - max)).exp())
        .collect()
}

/// The timestep of the sigma half-way between two others in the logarithm, and that sigma.
pub(super) fn midpoint(trained: &[f64], from: f64, to: f64) -> (f64, f64) {
    let sigma = (0.5 * (from.ln() + to.ln())).exp();
    (timesteps_of(trained, &[sigma])[0], sigma)
}

/// `np.linspace(start, end, count)`.
fn linspace(start: f64, end: f64, count: usize) -> impl Iterator<Item = f64> {
    let step = (end - start) / (count - 1).max(1) as f64;
    (0..count).map(move |i| {
        if i > 0 && i == count - 1 {
            end
        } else {
            start + i as f64 * step
        }
    })
}
