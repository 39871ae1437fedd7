//! The latent from call to call: on the device where its operations can do a whole step, or on the
//! host, where the device only predicts.

use burn::tensor::{Tensor, TensorData};

use super::conditioning::Context;
use crate::device::read;
use crate::error::{Error, Result};
use crate::ops::gpu::{DeviceLatent, DeviceLatentInit};
use crate::sampling::guidance::{Guided, Memory, Method, Predictions};
use crate::sampling::update::{Arrays, Step};
use crate::unet::{CrossAttnKv, Unet};

/// Timesteps that are embedded in one batch: 5 MB of f32 in SD1.5.
const TIMESTEP_BATCH: usize = 64;

/// Start of a denoising run.
pub struct DenoiserInput {
    /// Texts of the first call.
    pub prompts: Context,
    /// Largest number of branches of a call.
    pub most_branches: usize,
    /// True if the host combines predictions, whatever the device can.
    pub on_host: bool,
    /// True if the cosine of predictions is wanted.
    pub watched: bool,
    /// Scaled noise `[channels, height, width]`.
    pub latent: Vec<f32>,
    /// Shape of `latent`.
    pub shape: [usize; 3],
    /// Factor on the latent for the first call.
    pub input_scale: f64,
    /// Timesteps of all calls.
    pub timesteps: Vec<f64>,
    /// Guidance scale, which latent consistency models read beside the timestep.
    pub guidance_scale: f64,
}

/// Results of a U-Net call, for a recording.
pub struct CallResults {
    /// Predictions of all branches before guidance.
    pub predictions: KeptPredictions,
    /// The guided prediction, `[channels, height, width]`.
    pub guided: Vec<f32>,
    /// The latent before the sampler's step, `[channels, height, width]`.
    pub latent: Vec<f32>,
}

/// Predictions of all branches.
pub enum KeptPredictions {
    /// On the device, channels-last: `[branches, height·width·channels]`.
    Device(Box<Tensor<2>>),
    /// On the host, `[branches, channels, height, width]`.
    Host(Vec<f32>),
}

/// State of a denoising run.
pub struct Denoiser {
    context: Context,
    cross_attn_kv: CrossAttnKv,
    timesteps: Vec<f64>,
    guidance_scale: f64,
    /// Embedded timesteps, and the index of the first one.
    times: Option<(usize, Tensor<2>)>,
    shape: [usize; 3],
    input_scale: f64,
    /// Present latent and denoised prediction; on the host also the sampler's history.
    arrays: Arrays,
    /// State of the guidance on the host.
    memory: Memory,
    device_latent: Option<DeviceLatent>,
    /// True to keep the results of each call for [`Denoiser::take_results`].
    kept: bool,
    results: Option<CallResults>,
}

impl Denoiser {
    /// Starts a run, on the device where its operations allow it.
    pub fn new(unet: &Unet, input: DenoiserInput) -> Self {
        let mut run = Denoiser {
            cross_attn_kv: input.prompts.cross_attn_kv(unet),
            context: input.prompts,
            timesteps: input.timesteps,
            guidance_scale: input.guidance_scale,
            times: None,
            shape: input.shape,
            input_scale: input.input_scale,
            arrays: Arrays::new(input.latent),
            memory: Memory::default(),
            device_latent: None,
            kept: false,
            results: None,
        };
        let (times, _) = run.times(unet, 0);
        if input.on_host {
            return run;
        }
        let [channels, height, width] = run.shape;
        let init = DeviceLatentInit {
            latent: channels_last(&run.arrays.latent, channels),
            shape: [input.most_branches, height, width, channels],
            input_scale: run.input_scale,
            watched: input.watched,
        };
        run.device_latent = unet.ops().device_latent(init, &times);
        run
    }

    /// The present latent, `[channels, height, width]`.
    pub fn latent(&self) -> &[f32] {
        &self.arrays.latent
    }

    /// The denoised latent that the last call predicted, `[channels, height, width]`; `None` before
    /// the first call.
    pub fn denoised(&self) -> Option<&[f32]> {
        let denoised = &self.arrays.denoised;
        (!denoised.is_empty()).then_some(denoised)
    }

    /// Shape of the latent.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Keeps the results of the calls that follow for [`Denoiser::take_results`].
    pub fn keep_results(&mut self) {
        self.kept = true;
        if let Some(device) = &mut self.device_latent {
            device.keep_predictions();
        }
    }

    /// The results of the last call, if they are kept and were not taken before.
    pub fn take_results(&mut self) -> Option<CallResults> {
        self.results.take()
    }

    /// The texts in force.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Makes the call numbered `call` and the sampler's `step` with its prediction. Returns the
    /// cosine of the predictions for prompt and negative prompt, if the step wants it.
    ///
    /// # Errors
    /// [`Error::Numeric`] where prediction or latent is not finite, [`Error::Device`] where the
    /// device fails.
    pub async fn step(&mut self, unet: &Unet, call: usize, step: &Step) -> Result<Option<f64>> {
        let (times, row) = self.times(unet, call);
        let before = self.kept.then(|| self.arrays.latent.clone());
        let timestep = self.timesteps[call];
        let similarity = match &mut self.device_latent {
            Some(device) => {
                let kv = &self.cross_attn_kv;
                let predict = |latent, time: &Tensor<2>| unet.predict(latent, time, kv);
                let channels = self.shape[0];
                let noise = channels_last(&step.noise, channels);
                // The step's only readback is also its fence: without one the browser's queue
                // would grow.
                let arrays = read(device.step(step, &noise, row, &predict)).await?;
                let length = self.arrays.latent.len();
                if !is_zero(step) {
                    check(&arrays[..length], timestep)?;
                }
                self.results = before
                    .zip(device.predictions())
                    .map(|(latent, predictions)| CallResults {
                        predictions: KeptPredictions::Device(Box::new(predictions)),
                        guided: channels_first(&arrays[..length], channels),
                        latent,
                    });
                self.arrays.denoised = channels_first(&arrays[length..2 * length], channels);
                self.arrays.latent = channels_first(&arrays[2 * length..3 * length], channels);
                let guided = step.guidance.watched && !step.guidance.is_off();
                arrays
                    .get(3 * length)
                    .filter(|_| guided)
                    .map(|&cosine| f64::from(cosine))
            }
            None => {
                let time = times.narrow(0, row, 1);
                self.step_on_host(unet, timestep, time, step).await?
            }
        };
        if let Some(bad) = self.arrays.latent.iter().find(|v| !v.is_finite()) {
            return Err(Error::numeric(format!(
                "the latent holds {bad} after timestep {timestep}"
            )));
        }
        self.input_scale = step.next_input_scale;
        Ok(similarity)
    }

    /// Predicts on the device, and does guidance and the sampler's step on the host. `time` is the
    /// embedded timestep, `[1, columns]`.
    async fn step_on_host(
        &mut self,
        unet: &Unet,
        timestep: f64,
        time: Tensor<2>,
        step: &Step,
    ) -> Result<Option<f64>> {
        let branches = step.guidance.branches();
        let [channels, height, width] = self.shape;
        let input = self.arrays.latent.iter();
        let input = input.map(|&x| (self.input_scale * f64::from(x)) as f32);
        let input = channels_last(&input.collect::<Vec<_>>(), channels).repeat(branches);
        let data = TensorData::new(input, [branches, height, width, channels]);
        let dtype = self.context.embeddings.dtype();
        let options = (&self.context.embeddings.device(), dtype);
        let input = Tensor::from_data(data.convert_dtype(dtype), options);
        let prediction = read(unet.predict(input, &time, &self.cross_attn_kv)).await?;
        check(&prediction, timestep)?;
        let length = self.arrays.latent.len();
        let branches = prediction.chunks(length);
        let branches: Vec<_> = branches.map(|p| channels_first(p, channels)).collect();
        let predictions = Predictions {
            branches: &branches,
            latent: &self.arrays.latent,
            update: &step.update,
            channels,
        };
        let Guided {
            prediction,
            similarity,
        } = step.guidance.combine(&predictions, &mut self.memory);
        self.results = self.kept.then(|| CallResults {
            predictions: KeptPredictions::Host(branches.concat()),
            guided: prediction.clone(),
            latent: self.arrays.latent.clone(),
        });
        step.update
            .apply(&mut self.arrays, &prediction, &step.noise);
        Ok(similarity)
    }

    /// Replaces the prompts for the calls that follow; there may be more or fewer of them, up to
    /// the largest number of branches.
    pub fn replace_prompts(&mut self, unet: &Unet, prompts: Context) {
        if let Some(device) = &mut self.device_latent {
            device.forget_recording();
        }
        self.cross_attn_kv = prompts.cross_attn_kv(unet);
        self.context = prompts;
    }

    /// Frees what the run holds on the device, after the last step.
    pub fn release(&mut self) {
        self.device_latent = None;
        self.times = None;
    }

    /// Embedded timesteps, and the row that belongs to `call`.
    fn times(&mut self, unet: &Unet, call: usize) -> (Tensor<2>, usize) {
        let row = call % TIMESTEP_BATCH;
        let first = call - row;
        match &self.times {
            Some((start, times)) if *start == first => (times.clone(), row),
            _ => {
                let end = self.timesteps.len().min(first + TIMESTEP_BATCH);
                let timesteps = &self.timesteps[first..end];
                let times = unet.times(timesteps, self.guidance_scale, &self.context.embeddings);
                if let Some(device) = &mut self.device_latent {
                    device.replace_times(&times);
                }
                self.times = Some((first, times.clone()));
                (times, row)
            }
        }
    }
}

/// True if the guidance sets the prediction to zero.
fn is_zero(step: &Step) -> bool {
    matches!(step.guidance.method, Method::CfgZero(method) if method.zero)
}

/// Checks a prediction. Values that are not finite are an overflow; zeros throughout mean that the
/// device computed nothing.
pub(super) fn check(prediction: &[f32], timestep: f64) -> Result<()> {
    if let Some(bad) = prediction.iter().find(|v| !v.is_finite()) {
        return Err(Error::numeric(format!(
            "the U-Net predicted {bad} at timestep {timestep}"
        )));
    }
    if prediction.iter().all(|&v| v == 0.0) {
        return Err(Error::device(format!(
            "the U-Net predicted nothing but zeros at timestep {timestep}: the device did not \
             compute it"
        )));
    }
    Ok(())
}

/// `[channels, positions]` → `[positions, channels]`
pub(super) fn channels_last(values: &[f32], channels: usize) -> Vec<f32> {
    let positions = values.len() / channels;
    (0..values.len())
        .map(|i| values[i % channels * positions + i / channels])
        .collect()
}

/// `[branches, positions, channels]` → `[branches, channels, positions]`, where a branch has
/// `length` values
pub(super) fn branches_first(values: &[f32], length: usize, channels: usize) -> Vec<f32> {
    let branches = values.chunks(length);
    branches
        .flat_map(|branch| channels_first(branch, channels))
        .collect()
}

/// `[positions, channels]` → `[channels, positions]`
pub(super) fn channels_first(values: &[f32], channels: usize) -> Vec<f32> {
    channels_last(values, values.len() / channels)
}
