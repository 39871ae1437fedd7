//! A sampler's run on the host with a function in place of the U-Net.

use darkroom::sampling::update::Arrays;
use darkroom::sampling::{Noise, Sampler};

/// Makes one call as the engine does without a device: `predict` gets the scaled latent and the
/// timestep, and [`Update::apply`](darkroom::sampling::update::Update::apply) makes the step.
pub fn advance(
    sampler: &mut Sampler,
    arrays: &mut Arrays,
    noise: &mut Noise,
    predict: impl FnOnce(&[f32], f64) -> Vec<f32>,
) {
    let scale = sampler.input_scale();
    let input = arrays.latent.iter();
    let input = input.map(|&x| (scale * f64::from(x)) as f32);
    let prediction = predict(&input.collect::<Vec<_>>(), sampler.timestep());
    let update = sampler.advance();
    let fresh = match update.is_noisy() {
        true => noise.normal(arrays.latent.len()),
        false => Vec::new(),
    };
    update.apply(arrays, &prediction, &fresh);
}
