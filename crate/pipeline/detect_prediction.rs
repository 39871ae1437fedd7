//! Detects a U-Net's prediction type by a trial call. Most checkpoints of the SD2 kind do not name
//! it.

use burn::tensor::{DType, Tensor, TensorData};

use super::Pipeline;
use super::denoise::check;
use crate::config::PredictionType;
use crate::device::read;
use crate::error::Result;
use crate::sampling::{Noise, Rng};

/// Side of the latent for the trial, in latent positions.
const SIDE: usize = 32;
/// Correlation from which on a U-Net counts as predicting the noise. The demo model, which does,
/// reaches 0.998; with its prediction taken as v it would reach 0.02.
const THRESHOLD: f64 = 0.8;

/// Correlates pure noise with the U-Net's prediction for it at the last timestep, where a latent is
/// almost entirely noise. A network trained to predict the noise returns it and comes near 1. One
/// trained to predict `v = α·noise − σ·x0` returns, with α near 0, the negated mean picture and
/// stays near 0.
///
/// # Errors
/// [`Error::Numeric`](crate::Error::Numeric) where the prediction is not finite,
/// [`Error::Device`](crate::Error::Device) where the device fails.
pub(super) async fn noise_correlation(pipeline: &Pipeline) -> Result<f64> {
    let correlation = async |dtype| noise_correlation_in(pipeline, dtype).await;
    let networks = &pipeline.activation_dtypes.networks;
    Ok(networks.compute(correlation).await?.0)
}

async fn noise_correlation_in(pipeline: &Pipeline, dtype: DType) -> Result<f64> {
    let device = &pipeline.runtime.device;
    let channels = pipeline.config.unet.in_channels;
    let noise = Noise::new(Rng::Torch, 0).normal(SIDE * SIDE * channels);
    let data = TensorData::new(noise.clone(), [1, SIDE, SIDE, channels]);
    let latent = Tensor::<4>::from_data(data, (device, DType::F32)).cast(dtype);
    let prompt = [pipeline.tokenizer.empty_chunk()];
    let prompt = pipeline.text_encoder.forward(&prompt, device, dtype)?;
    let timestep = (pipeline.config.scheduler.num_train_timesteps - 1) as f64;
    let prediction = read(pipeline.unet.forward(latent, timestep, &prompt)).await?;
    check(&prediction, timestep)?;
    let dot = |a: &[f32], b: &[f32]| {
        let products = a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b));
        products.sum::<f64>()
    };
    let norms = dot(&prediction, &prediction) * dot(&noise, &noise);
    Ok(dot(&prediction, &noise) / norms.sqrt())
}

/// Detects the prediction type; returns it with a warning that it may be wrong.
pub(super) async fn detect_prediction(pipeline: &Pipeline) -> Result<(PredictionType, String)> {
    let correlation = noise_correlation(pipeline).await?;
    let (prediction, name, other) = match correlation > THRESHOLD {
        true => (PredictionType::Epsilon, "epsilon", "v"),
        false => (PredictionType::VPrediction, "v", "epsilon"),
    };
    let warning = format!(
        "the file does not name its prediction type; detected {name} prediction (correlation with \
         pure noise: {correlation:.2}). If pictures come out as noise or blotches, set prediction \
         to {other}"
    );
    Ok((prediction, warning))
}
