//! GroupNorm and LayerNorm. Statistics take two passes, mean first, so that nothing cancels,
//! however large the mean is.

use super::math;
use super::threads;

/// Rows that are summed in f32 before their sum is added in f64.
const ROW_BLOCK: usize = 64;

/// Parameters of a GroupNorm, as in [`crate::ops::GroupNorm`].
#[derive(Clone, Copy)]
pub struct Groups {
    pub count: usize,
    pub eps: f64,
    pub silu: bool,
}

/// GroupNorm of maps `[n, positions, channels]` that are side by side in channels.
pub fn group_norm(
    maps: &[(&[f32], usize)],
    batch: usize,
    weight: &[f32],
    bias: &[f32],
    groups: Groups,
) -> Vec<f32> {
    let channels = weight.len();
    let positions = maps[0].0.len() / maps[0].1 / batch;
    let mut out = vec![0.0; batch * positions * channels];
    threads::chunks(&mut out, positions * channels, |image, out| {
        let maps: Vec<(&[f32], usize)> = maps
            .iter()
            .map(|(data, width)| {
                let size = positions * width;
                (&data[image * size..][..size], *width)
            })
            .collect();
        let mean = group_means(&maps, groups.count, &vec![0.0; channels], |x| x);
        let variance = group_means(&maps, groups.count, &mean, |x| x * x);
        let scale: Vec<f32> = variance
            .iter()
            .zip(weight)
            .map(|(variance, weight)| {
                (f64::from(*weight) / (f64::from(*variance) + groups.eps).sqrt()) as f32
            })
            .collect();
        let mut start = 0;
        for (data, width) in maps {
            let channels_here = start..start + width;
            let mean = &mean[channels_here.clone()];
            let scale = &scale[channels_here.clone()];
            let bias = &bias[channels_here.clone()];
            for (out, x) in out.chunks_exact_mut(channels).zip(data.chunks_exact(width)) {
                let out = &mut out[channels_here.clone()];
                for c in 0..width {
                    out[c] = (x[c] - mean[c]) * scale[c] + bias[c];
                }
                if groups.silu {
                    for value in out {
                        *value = math::silu(*value);
                    }
                }
            }
            start += width;
        }
    });
    out
}

/// Mean of `f(x − center)` over the group of each channel.
fn group_means(
    maps: &[(&[f32], usize)],
    groups: usize,
    center: &[f32],
    f: impl Fn(f32) -> f32,
) -> Vec<f32> {
    let mut sums: Vec<f64> = Vec::with_capacity(center.len());
    for (data, width) in maps {
        let start = sums.len();
        sums.resize(start + width, 0.0);
        let center = &center[start..start + width];
        for rows in data.chunks(ROW_BLOCK * width) {
            let mut partial = vec![0.0f32; *width];
            for row in rows.chunks_exact(*width) {
                for ((sum, x), center) in partial.iter_mut().zip(row).zip(center) {
                    *sum += f(x - center);
                }
            }
            for (sum, partial) in sums[start..].iter_mut().zip(&partial) {
                *sum += f64::from(*partial);
            }
        }
    }
    let positions = maps[0].0.len() / maps[0].1;
    let size = sums.len() / groups;
    let mut means = Vec::with_capacity(sums.len());
    for group in sums.chunks(size) {
        let mean = group.iter().sum::<f64>() / (size * positions) as f64;
        means.extend(std::iter::repeat_n(mean as f32, size));
    }
    means
}

/// LayerNorm over rows of `weight`'s length.
pub fn layer_norm(x: &[f32], weight: &[f32], bias: &[f32], eps: f64) -> Vec<f32> {
    let width = weight.len();
    let mut out = Vec::with_capacity(x.len());
    for row in x.chunks_exact(width) {
        let mean = math::sum(row, |x| x) / width as f32;
        let variance = math::sum(row, |x| (x - mean) * (x - mean)) / width as f32;
        let scale = (1.0 / (f64::from(variance) + eps).sqrt()) as f32;
        let scaled = row.iter().zip(weight).zip(bias);
        out.extend(scaled.map(|((x, weight), bias)| (x - mean) * scale * weight + bias));
    }
    out
}
