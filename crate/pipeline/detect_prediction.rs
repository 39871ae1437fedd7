//! What a U-Net predicts, found out by asking it: most checkpoints of the SD2 kind do not say.

use burn::tensor::{DType, Tensor, TensorData};

use crate::config::PredictionType;
use crate::device::read;
use crate::error::Result;
use crate::pipeline::Pipeline;
use crate::run::check;
use crate::sampling::{Noise, Rng};
use crate::weights::checkpoint::Checkpoint;

/// Side of the latent that the U-Net is asked about.
const SIDE: usize = 32;
/// The likeness from which on a U-Net is taken to predict the noise. The demo model, which does, answers with 0.998; what
/// it would have to answer if it predicted v, with 0.02.
const NOISE: f64 = 0.8;

impl Pipeline {
    /// The correlation, −1 to 1, of pure noise with what the U-Net predicts for it at the last timestep, where a latent
    /// is hardly anything but noise. A network trained to predict the noise returns it, and comes near 1. One trained to
    /// predict `v = α·noise − σ·x0` returns, with α near 0, minus the average picture, and stays near 0.
    ///
    /// # Errors
    /// [`Error::Numeric`](crate::Error::Numeric) where the prediction is not finite,
    /// [`Error::Device`](crate::Error::Device) where the device fails.
    pub async fn likeness_to_noise(&self) -> Result<f64> {
        let likeness = async |dtype| self.likeness_to_noise_in(dtype).await;
        Ok(self.activations.networks.compute(likeness).await?.0)
    }

    async fn likeness_to_noise_in(&self, dtype: DType) -> Result<f64> {
        let device = &self.runtime.device;
        let channels = self.config.unet.in_channels;
        let noise = Noise::new(Rng::Torch, 0).normal(SIDE * SIDE * channels);
        let data = TensorData::new(noise.clone(), [1, SIDE, SIDE, channels]);
        let latent = Tensor::<4>::from_data(data, (device, DType::F32)).cast(dtype);
        let prompt = [self.tokenizer.empty_chunk()];
        let prompt = self.text_encoder.forward(&prompt, device, dtype)?;
        let timestep = (self.config.scheduler.num_train_timesteps - 1) as f64;
        let prediction = read(self.unet.forward(latent, timestep, &prompt)).await?;
        check(&prediction, timestep)?;
        let dot = |a: &[f32], b: &[f32]| {
            let products = a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b));
            products.sum::<f64>()
        };
        let size = dot(&prediction, &prediction) * dot(&noise, &noise);
        Ok(dot(&prediction, &noise) / size.sqrt())
    }

    /// Settles what the U-Net of a checkpoint predicts that does not say so, and warns that it may be wrong.
    pub(crate) async fn decide_prediction(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let likeness = self.likeness_to_noise().await?;
        let (prediction, name, other) = match likeness > NOISE {
            true => (PredictionType::Epsilon, "epsilon", "v"),
            false => (PredictionType::VPrediction, "v", "epsilon"),
        };
        self.config = checkpoint.config(prediction)?;
        self.warnings.push(format!(
            "the file does not say what its U-Net predicts; a trial says {name}: its answer to pure noise correlates with \
             that noise by {likeness:.2}. If pictures come out as noise or blotches, set prediction to {other}"
        ));
        Ok(())
    }
}
