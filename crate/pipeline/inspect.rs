//! Effects of the two prompts at each U-Net call of a recorded generation.
//!
//! The predictions for the empty prompt and the [token maps](super::token_maps) come from a second
//! pass: recorded latents go through the network again.

use burn::tensor::{Tensor, TensorData};

use super::denoise::{channels_first, channels_last};
use super::generation::{Generation, largest_call};
use super::picture::Picture;
use super::recording::{Denoising, RecordedCall, Recording, not_recorded};
use crate::device::read;
use crate::error::Result;
use crate::sampling::guidance::Role;
use crate::text::encoder::EncodeOptions;

/// A recorded U-Net call. Arrays are `[channels, height, width]` row by row.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// Number of the call, counted from 0.
    pub call: usize,
    /// Timestep of the call.
    pub timestep: f64,
    /// Sigma of the call.
    pub sigma: f64,
    /// Guidance scale of the call.
    pub guidance_scale: f64,
    /// Shape of the arrays, `[channels, height, width]`.
    pub shape: [usize; 3],
    /// The latent before the call.
    pub latent: Vec<f32>,
    /// The prediction for the prompt, p; for several joined by `AND`, what guidance makes of them.
    pub positive: Vec<f32>,
    /// The prediction for the negative prompt, n; `None` where the call had none.
    pub negative: Option<Vec<f32>>,
    /// The prediction for the empty prompt, e, where it was
    /// [asked for](Generation::record_empty).
    pub empty: Option<Vec<f32>>,
    /// The prediction after guidance.
    pub guided: Vec<f32>,
    denoising: Denoising,
}

/// Numbers that say what the prompts did at a call. Norms are over all elements of a prediction, in
/// its units.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct InspectionScalars {
    /// Number of the call, counted from 0.
    pub call: usize,
    /// Timestep of the call.
    pub timestep: f64,
    /// Sigma of the call.
    pub sigma: f64,
    /// Guidance scale of the call.
    pub guidance_scale: f64,
    /// `‖p − n‖`; `null` without guidance.
    #[cfg_attr(target_arch = "wasm32", tsify(type = "number | null"))]
    pub distance: Option<f64>,
    /// Cosine of the angle between p and n, −1 to 1; `null` without guidance.
    #[cfg_attr(target_arch = "wasm32", tsify(type = "number | null"))]
    pub cosine: Option<f64>,
    /// `‖guided − p‖`: the distance that guidance moved the prediction.
    pub push: f64,
    /// `‖p − e‖`: the effect of the prompt against the empty one; `null` where e is not recorded.
    #[cfg_attr(target_arch = "wasm32", tsify(type = "number | null"))]
    pub prompt_effect: Option<f64>,
    /// `‖n − e‖`: the effect of the negative prompt against the empty one; `null` where e or n is
    /// not recorded.
    #[cfg_attr(target_arch = "wasm32", tsify(type = "number | null"))]
    pub negative_effect: Option<f64>,
}

impl Inspection {
    /// The denoised latent that the sampler would compute from `prediction`.
    pub fn denoised(&self, prediction: &[f32]) -> Vec<f32> {
        self.denoising.apply(&self.latent, prediction)
    }

    /// Norms and angles of p, n and e.
    pub fn scalars(&self) -> InspectionScalars {
        let p = &self.positive;
        let effect = |branch: Option<&Vec<f32>>| Some(distance(branch?, self.empty.as_ref()?));
        InspectionScalars {
            call: self.call,
            timestep: self.timestep,
            sigma: self.sigma,
            guidance_scale: self.guidance_scale,
            distance: self.negative.as_ref().map(|n| distance(p, n)),
            cosine: self.negative.as_ref().map(|n| cosine(p, n)),
            push: distance(&self.guided, p),
            prompt_effect: effect(Some(p)),
            negative_effect: effect(self.negative.as_ref()),
        }
    }

    /// A map of where guidance pushed: for each latent position, the distance between the guided
    /// denoised latent and the one of the prompt alone.
    ///
    /// # Shapes
    /// → `[height, width]`, in units of the latent
    pub fn push_map(&self) -> Vec<f32> {
        let (guided, alone) = (self.denoised(&self.guided), self.denoised(&self.positive));
        let [channels, height, width] = self.shape;
        let positions = height * width;
        let push = |position: usize| {
            let each = (0..channels).map(|channel| channel * positions + position);
            let squares = each.map(|i| (f64::from(guided[i]) - f64::from(alone[i])).powi(2));
            squares.sum::<f64>().sqrt() as f32
        };
        (0..positions).map(push).collect()
    }
}

/// Rough pictures of a call, one pixel for each latent position, made as
/// [`Generation::preview`] makes them.
#[derive(Debug, Clone)]
pub struct InspectionPreviews {
    /// The picture that the prompt alone was heading for.
    pub positive: Picture,
    /// The picture that the negative prompt alone was heading for; `None` without guidance.
    pub negative: Option<Picture>,
    /// The first less the second, around a medium grey; `None` without guidance.
    pub difference: Option<Picture>,
    /// The picture that the call was heading for, after guidance.
    pub guided: Picture,
}

impl Generation {
    /// Records the calls that follow. Call it before the first step to record all.
    pub fn record(&mut self) {
        if self.recording.is_none() {
            let unit = self.pipeline.config().pixels_per_latent();
            let shape = self.denoiser.shape();
            let [_, height, width] = shape;
            let call = largest_call(&self.guiding);
            let [width, height] = [width * unit, height * unit];
            let plan = self.pipeline.memory_plan_of(call, width, height);
            self.recording = Some(Recording::new(plan.recording, shape));
            self.denoiser.keep_results();
        }
    }

    /// Numbers of the recorded calls, counted from 0.
    pub fn recorded_calls(&self) -> Vec<usize> {
        let calls = self.recording.iter().flat_map(|r| &r.calls);
        calls.map(|call| call.about.call).collect()
    }

    /// The recorded call with this number.
    ///
    /// # Errors
    /// [`Error::Request`](crate::Error::Request) for a call that is not recorded,
    /// [`Error::Device`](crate::Error::Device) where the device fails.
    pub async fn inspect(&self, call: usize) -> Result<Inspection> {
        let found = self.recorded(call)?;
        let predictions = found.predictions().await?;
        let branches: Vec<&[f32]> = predictions.chunks(found.latent.len()).collect();
        let about = &found.about;
        let branch = |role| {
            let index = about.roles.iter().position(|&each| each == role)?;
            Some(branches[index].to_vec())
        };
        Ok(Inspection {
            call,
            timestep: about.timestep,
            sigma: about.sigma,
            guidance_scale: about.guidance_scale,
            shape: found.shape,
            latent: found.latent.clone(),
            positive: positive(&about.roles, &branches),
            negative: branch(Role::Negative),
            empty: branch(Role::Empty).or_else(|| found.empty.clone()),
            guided: found.guided.clone(),
            denoising: found.denoising,
        })
    }

    /// Rough pictures of a recorded call.
    pub fn previews(&self, call: &Inspection) -> InspectionPreviews {
        let map = &self.pipeline.preview;
        let [_, height, width] = call.shape;
        let picture = |rgba| Picture {
            width,
            height,
            rgba,
        };
        let positive = call.denoised(&call.positive);
        let negative = call.negative.as_ref().map(|n| call.denoised(n));
        let difference = negative.as_ref().map(|negative| {
            let pairs = positive.iter().zip(negative);
            let difference: Vec<f32> = pairs.map(|(p, n)| p - n).collect();
            picture(map.apply_to_difference(&difference))
        });
        InspectionPreviews {
            positive: picture(map.apply(&positive)),
            negative: negative.map(|negative| picture(map.apply(&negative))),
            difference,
            guided: picture(map.apply(&call.denoised(&call.guided))),
        }
    }

    /// Decodes the denoised latent of a recorded call, as [`Generation::finish`] does the last.
    ///
    /// # Errors
    /// Those of [`Generation::finish`], and [`Error::Request`](crate::Error::Request) for a call
    /// that is not recorded.
    pub async fn decode_call(&mut self, call: usize) -> Result<Picture> {
        let found = self.recorded(call)?;
        let latent = found.denoising.apply(&found.latent, &found.guided);
        self.decode(&latent).await
    }

    /// Adds the prediction for the empty prompt to a recorded call. This is one more U-Net call of
    /// one branch; an empty negative prompt has it already.
    ///
    /// # Errors
    /// [`Error::Request`](crate::Error::Request) for a call that is not recorded,
    /// [`Error::Device`](crate::Error::Device) where the device fails.
    pub async fn record_empty(&mut self, call: usize) -> Result<()> {
        let inspection = self.inspect(call).await?;
        if inspection.empty.is_some() {
            return Ok(());
        }
        let empty = match inspection.negative {
            Some(negative) if self.request.negative_prompt.is_empty() => negative,
            _ => self.predict_empty(call).await?,
        };
        if let Some(recording) = &mut self.recording {
            recording.find_mut(call)?.empty = Some(empty);
            recording.thin();
        }
        Ok(())
    }

    /// The prediction for the empty prompt at a recorded call, `[channels, height, width]`.
    async fn predict_empty(&self, call: usize) -> Result<Vec<f32>> {
        let found = self.recorded(call)?;
        let config = &self.pipeline.config().text;
        let [_, tokens, width] = self.denoiser.context().embeddings.dims();
        let chunk = self.pipeline.tokenizer().empty_chunk();
        let batch = vec![chunk.clone(); tokens / chunk.len()];
        let options = EncodeOptions {
            left_out: config.layers_left_out(self.clip_skip())?,
            learned: &self.pipeline.learned,
        };
        let device = &self.pipeline.runtime().device;
        let encoder = self.pipeline.text_encoder();
        let empty = encoder.forward_with(&batch, options, device, self.dtype)?;
        let empty = empty.reshape([1, tokens, width]);
        let unet = self.pipeline.unet();
        let times = unet.times(&[found.about.timestep], found.about.guidance_scale, &empty);
        let input = self.network_input(found, 1);
        let values = read(unet.predict(input, &times, &unet.cross_attn_kv(&empty))).await?;
        Ok(channels_first(&values, found.shape[0]))
    }

    /// The network's input at a recorded call, for so many branches: `[branches, h, w, c]`.
    pub(super) fn network_input(&self, call: &RecordedCall, branches: usize) -> Tensor<4> {
        let [channels, height, width] = call.shape;
        let scaled = call.latent.iter();
        let scaled = scaled.map(|&x| (call.about.input_scale * f64::from(x)) as f32);
        let input = channels_last(&scaled.collect::<Vec<_>>(), channels).repeat(branches);
        let data = TensorData::new(input, [branches, height, width, channels]);
        let device = &self.pipeline.runtime().device;
        Tensor::from_data(data.convert_dtype(self.dtype), (device, self.dtype))
    }

    pub(super) fn recorded(&self, call: usize) -> Result<&RecordedCall> {
        match &self.recording {
            Some(recording) => recording.find(call),
            None => Err(not_recorded(call)),
        }
    }
}

/// The prediction for the prompts. Those joined by `AND` are one, as the guidance joins them: the
/// first branch, and the weighted distances of the prompts' predictions from it.
fn positive(roles: &[Role], branches: &[&[f32]]) -> Vec<f32> {
    let prompts: Vec<(f64, &[f32])> = roles
        .iter()
        .zip(branches)
        .filter_map(|(role, branch)| match role {
            Role::Positive(weight) => Some((*weight, *branch)),
            _ => None,
        })
        .collect();
    // Weights of a prompt with a perturbed twin are those of the guidance, not the prompt's.
    let perturbed = matches!(roles.last(), Some(Role::Perturbed(_)));
    match prompts[..] {
        [(weight, only)] if weight == 1.0 || perturbed => return only.to_vec(),
        _ => {}
    }
    let joined = |(index, &base): (usize, &f32)| {
        let base = f64::from(base);
        let each = prompts.iter();
        let moves = each.map(|(weight, branch)| weight * (f64::from(branch[index]) - base));
        (base + moves.sum::<f64>()) as f32
    };
    branches[0].iter().enumerate().map(joined).collect()
}

/// `‖a − b‖`
fn distance(a: &[f32], b: &[f32]) -> f64 {
    let pairs = a.iter().zip(b);
    let squares = pairs.map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2));
    squares.sum::<f64>().sqrt()
}

/// Cosine of the angle between `a` and `b`; 0 where one of them is zero.
fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        let pairs = a.iter().zip(b);
        pairs.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    let norms = (dot(a, a) * dot(b, b)).sqrt();
    if norms == 0.0 { 0.0 } else { dot(a, b) / norms }
}
