//! The latent of a run from call to call: on the device, where the operations can take it through a whole step, or on the
//! host, which then has the device predict only.

use burn::tensor::{Tensor, TensorData};

use crate::device::read;
use crate::error::{Error, Result};
use crate::ops::gpu::{OnDevice, OnDeviceStart};
use crate::sampling::guide;
use crate::sampling::update::{Arrays, Step};
use crate::unet::{Prompt, Unet};

/// Timesteps that are embedded at once: 5 MB of f32 in SD1.5.
const TIMESTEPS_AT_ONCE: usize = 64;

/// What a run begins with.
pub struct Start {
    /// `[branches, 77·k, cross_attention_dim]`: negative, then positive; or positive alone.
    pub prompts: Tensor<3>,
    /// `[channels, height, width]`
    pub latent: Vec<f32>,
    /// Its shape.
    pub shape: [usize; 3],
    /// What the latent is multiplied by for the first call.
    pub input_scale: f64,
    /// Timesteps of all calls.
    pub timesteps: Vec<f64>,
}

/// A latent on its way.
pub struct Run {
    prompts: Tensor<3>,
    prompt: Prompt,
    timesteps: Vec<f64>,
    /// Embedded timesteps from the one of that number on.
    times: Option<(usize, Tensor<2>)>,
    shape: [usize; 3],
    input_scale: f64,
    /// Latent and picture as they are now; on the host also what the sampler keeps.
    arrays: Arrays,
    on_device: Option<OnDevice>,
}

impl Run {
    /// A run on the device where its operations allow it.
    pub fn new(unet: &Unet, start: Start) -> Self {
        let mut run = Run::on_host(unet, start);
        let (times, _) = run.times(unet, 0);
        let [branches, ..] = run.prompts.dims();
        let [channels, height, width] = run.shape;
        let start = OnDeviceStart {
            latent: channels_last(&run.arrays.latent, channels),
            shape: [branches, height, width, channels],
            input_scale: run.input_scale,
        };
        run.on_device = unet.ops().on_device(start, &times);
        run
    }

    /// A run whose latent stays on the host, whatever the device.
    pub fn on_host(unet: &Unet, start: Start) -> Self {
        Run {
            prompt: unet.prompt(&start.prompts),
            prompts: start.prompts,
            timesteps: start.timesteps,
            times: None,
            shape: start.shape,
            input_scale: start.input_scale,
            arrays: Arrays::new(start.latent),
            on_device: None,
        }
    }

    /// `[channels, height, width]`: the latent as it is now.
    pub fn latent(&self) -> &[f32] {
        &self.arrays.latent
    }

    /// Likewise the picture that the last call predicted; `None` before the first.
    pub fn picture(&self) -> Option<&[f32]> {
        let picture = &self.arrays.picture;
        (!picture.is_empty()).then_some(picture)
    }

    /// The shape of both.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// The call numbered `call`, and the sampler's `step` with what it predicts.
    ///
    /// # Errors
    /// [`Error::Numeric`] where prediction or latent is not finite, [`Error::Device`] where the device fails.
    pub async fn step(&mut self, unet: &Unet, call: usize, step: &Step) -> Result<()> {
        let (times, row) = self.times(unet, call);
        let timestep = self.timesteps[call];
        let prompt = &self.prompt;
        let predict = |latent, time: &Tensor<2>| unet.predict(latent, time, prompt);
        let [channels, height, width] = self.shape;
        if let Some(device) = &mut self.on_device {
            // One fence a step: without it the browser's queue would grow.
            let noise = channels_last(&step.noise, channels);
            let arrays = read(device.step(step, &noise, row, &predict)).await?;
            let length = self.arrays.latent.len();
            check(&arrays[..length], timestep)?;
            self.arrays.picture = channels_first(&arrays[length..2 * length], channels);
            self.arrays.latent = channels_first(&arrays[2 * length..], channels);
        } else {
            let [branches, ..] = self.prompts.dims();
            let input = self.arrays.latent.iter();
            let input = input.map(|&x| (self.input_scale * f64::from(x)) as f32);
            let input = channels_last(&input.collect::<Vec<_>>(), channels).repeat(branches);
            let data = TensorData::new(input, [branches, height, width, channels]);
            let dtype = self.prompts.dtype();
            let options = (&self.prompts.device(), dtype);
            let input = Tensor::from_data(data.convert_dtype(dtype), options);
            let prediction = read(predict(input, &times.narrow(0, row, 1))).await?;
            check(&prediction, timestep)?;
            let length = self.arrays.latent.len();
            let mut branches = prediction
                .chunks(length)
                .map(|p| channels_first(p, channels));
            let prediction = match (branches.next(), branches.next()) {
                (Some(negative), Some(positive)) => guide(&positive, &negative, step.guidance),
                (positive, _) => positive.unwrap_or_default(),
            };
            step.update
                .apply(&mut self.arrays, &prediction, &step.noise);
        }
        if let Some(bad) = self.arrays.latent.iter().find(|v| !v.is_finite()) {
            return Err(Error::numeric(format!(
                "the latent holds {bad} after timestep {timestep}"
            )));
        }
        self.input_scale = step.next_input_scale;
        Ok(())
    }

    /// Lets go of what is on the device, after the last step.
    pub fn release(&mut self) {
        self.on_device = None;
        self.times = None;
    }

    /// Embedded timesteps, and which of them is that of `call`.
    fn times(&mut self, unet: &Unet, call: usize) -> (Tensor<2>, usize) {
        let row = call % TIMESTEPS_AT_ONCE;
        let begin = call - row;
        match &self.times {
            Some((first, times)) if *first == begin => (times.clone(), row),
            _ => {
                let end = self.timesteps.len().min(begin + TIMESTEPS_AT_ONCE);
                let times = unet.times(&self.timesteps[begin..end], &self.prompts);
                if let Some(device) = &mut self.on_device {
                    device.replace_times(&times);
                }
                self.times = Some((begin, times.clone()));
                (times, row)
            }
        }
    }
}

/// A prediction that is not finite, or all zero, is no prediction: overflow, or a device that computed nothing.
pub(crate) fn check(prediction: &[f32], timestep: f64) -> Result<()> {
    if let Some(bad) = prediction.iter().find(|v| !v.is_finite()) {
        return Err(Error::numeric(format!(
            "the U-Net predicted {bad} at timestep {timestep}"
        )));
    }
    if prediction.iter().all(|&v| v == 0.0) {
        return Err(Error::device(format!(
            "the U-Net predicted nothing but zeros at timestep {timestep}: the device did not compute it"
        )));
    }
    Ok(())
}

/// `[channels, positions]` → `[positions, channels]`
pub(crate) fn channels_last(values: &[f32], channels: usize) -> Vec<f32> {
    let positions = values.len() / channels;
    (0..values.len())
        .map(|i| values[i % channels * positions + i / channels])
        .collect()
}

/// `[positions, channels]` → `[channels, positions]`
fn channels_first(values: &[f32], channels: usize) -> Vec<f32> {
    channels_last(values, values.len() / channels)
}
