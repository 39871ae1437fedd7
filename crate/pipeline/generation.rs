//! One picture in the making: the denoising loop, one U-Net call at a time, and the decoding.

use std::rc::Rc;

use burn::tensor::DType;

use super::Pipeline;
use super::conditioning::Prompts;
use super::decode::Decoding;
use super::denoise::{Denoiser, DenoiserInput, channels_last};
use super::picture::{Picture, to_rgba};
use super::precision::overflow_warning;
use super::read_prompts::read_prompts;
use super::recording::{AboutCall, Recording};
use super::request::Request;
use crate::config::MidBlockKind;
use crate::device::memory::UnetCall;
use crate::error::{Error, Result};
use crate::sampling::guidance::{Guiding, Options};
use crate::sampling::update::Step;
use crate::sampling::{
    Noise, OwnSampler, Sampler, SamplerKind, SamplerName, ScheduleKind, ineffective,
    ineffective_noise,
};

/// Largest width and height in pixels. A mistyped size would otherwise exhaust the memory.
pub(super) const MAX_SIDE: usize = 4096;

/// The state of a generation after a step.
#[derive(Debug, Clone, Copy, serde::Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct Progress {
    /// U-Net calls done.
    pub call: usize,
    /// U-Net calls in all. Some samplers make more than there are steps: see
    /// [`Sampler::calls`].
    pub calls: usize,
    /// Timestep of the call just done.
    pub timestep: f64,
    /// Sigma of the call just done.
    pub sigma: f64,
    /// Predictions that the call made: one for each prompt and negative prompt.
    pub branches: usize,
    /// Predictions that windows, the lowest sigma and the stop of the guidance have saved so far.
    pub branches_saved: usize,
    /// True when the latent is finished.
    pub done: bool,
    /// True when the run started again with this step, in f32, because the step before overflowed
    /// f16. [`Generation::warnings`] then has one more entry.
    pub restarted: bool,
}

/// A picture in the making.
pub struct Generation {
    pub(super) pipeline: Rc<Pipeline>,
    pub(super) request: Request,
    /// Element type of activations.
    pub(super) dtype: DType,
    sampler: Sampler,
    kind: SamplerKind,
    schedule: ScheduleKind,
    noise: Noise,
    pub(super) guiding: Guiding,
    pub(super) prompts: Prompts,
    pub(super) denoiser: Denoiser,
    pub(super) recording: Option<Recording>,
    warnings: Vec<String>,
}

impl Generation {
    /// Checks `request`, encodes both prompts and draws the noise, with activations in `dtype`.
    ///
    /// # Errors
    /// [`Error::Request`] for a value out of range, [`Error::Device`] where the device fails.
    pub(super) async fn new(
        pipeline: Rc<Pipeline>,
        dtype: DType,
        request: &Request,
    ) -> Result<Self> {
        let seeds = request.seeds();
        seeds.check()?;
        let [height, width] = latent_size(&pipeline, request)?;
        let scheduler = &request.scheduler(&pipeline.config().scheduler);
        let own = OwnSampler::of(scheduler).kind;
        let (kind, schedule) = match request.sampler {
            Some(name) => (name.kind, name.schedule(request.schedule, scheduler)),
            None => (own, request.schedule.unwrap_or_default()),
        };
        let sampler = Sampler::with_eta(kind, schedule, scheduler, request.steps, request.eta)?;
        let mut warnings = ineffective(kind, schedule, scheduler);
        // The model's warnings have those of its own sampler.
        warnings.retain(|warning| !pipeline.warnings().contains(warning));
        warnings.extend(ineffective_noise(kind, request.eta, request.ensd));
        let prompts = read_prompts(&pipeline, request, &mut warnings)?;
        let guiding = Guiding::new(
            request.guidance(),
            request.steps,
            prompts.weights(),
            !request.negative_prompt.trim().is_empty(),
            pipeline.config().unet.time_cond_proj_dim.is_some(),
        )?;
        warnings.extend(guiding.warnings());
        check_network(&pipeline, &guiding)?;
        check_memory(&pipeline, [height, width], &guiding)?;
        let first = guiding.at(sampler.step(), sampler.sigma());
        let run = (&guiding, &first);
        let (context, prompts) = Prompts::encode(&pipeline, request, dtype, prompts, run).await?;

        let channels = pipeline.config().unet.in_channels;
        let sigma = sampler.init_noise_sigma();
        let (unscaled, noise) = seeds.draw([channels, height, width]);
        let latent = unscaled
            .into_iter()
            .map(|x| (x as f64 * sigma) as f32)
            .collect();
        let input = DenoiserInput {
            prompts: context,
            most_branches: guiding.most_branches(),
            on_host: guiding.is_on_host(),
            watched: guiding.is_watched(),
            latent,
            shape: [channels, height, width],
            input_scale: sampler.input_scale(),
            timesteps: sampler.schedule().timesteps.clone(),
            guidance_scale: request.guidance_scale,
        };
        Ok(Generation {
            denoiser: Denoiser::new(pipeline.unet(), input),
            guiding,
            prompts,
            request: request.clone(),
            pipeline,
            dtype,
            sampler,
            kind,
            schedule,
            noise,
            recording: None,
            warnings,
        })
    }

    /// Makes one U-Net call and the sampler's step with its prediction.
    ///
    /// If activations overflow f16, the run starts again in f32 with the same noise and the same
    /// weights. The step returned is then the first of the new run, [`Progress::restarted`] is set,
    /// and there is one more warning. Later runs of the pipeline are in f32 from the start.
    ///
    /// # Errors
    /// [`Error::Numeric`] where prediction or latent is not finite in f32 either,
    /// [`Error::Device`] where the device fails.
    pub async fn step(&mut self) -> Result<Progress> {
        match self.advance().await {
            Err(Error::Numeric(reason)) if self.dtype == DType::F16 => {
                self.pipeline.activation_dtypes.widen();
                let recorded = self.recording.is_some();
                *self = Self::new(self.pipeline.clone(), DType::F32, &self.request).await?;
                if recorded {
                    self.record();
                }
                self.warnings
                    .push(overflow_warning(&reason, "the run was started again"));
                Ok(Progress {
                    restarted: true,
                    ..self.advance().await?
                })
            }
            result => result,
        }
    }

    /// Makes one step in the present precision.
    async fn advance(&mut self) -> Result<Progress> {
        let (timestep, sigma) = (self.sampler.timestep(), self.sampler.sigma());
        let call = self.sampler.call();
        let prompt_step = self.sampler.step();
        let guidance = self.guiding.at(prompt_step, sigma);
        let prompts = &mut self.prompts;
        if let Some(prompts) = prompts.change_at(prompt_step, &guidance) {
            self.denoiser.replace_prompts(self.pipeline.unet(), prompts);
        }
        let input_scale = self.sampler.input_scale();
        let update = self.sampler.advance();
        let noise = match update.is_noisy() {
            true => self.noise.normal(self.denoiser.latent().len()),
            false => Vec::new(),
        };
        let step = Step {
            update,
            noise,
            guidance,
            next_input_scale: self.sampler.input_scale(),
        };
        let unet = self.pipeline.unet();
        let similarity = self.denoiser.step(unet, call, &step).await?;
        self.guiding.made(&step.guidance, similarity);
        let branches = step.guidance.branches();
        let results = self.denoiser.take_results();
        if let (Some(recording), Some(results)) = (&mut self.recording, results) {
            let about = AboutCall {
                call,
                prompt_step,
                timestep,
                sigma,
                guidance_scale: step.guidance.scale,
                input_scale,
                roles: step.guidance.roles,
                nag: step.guidance.nag,
            };
            recording.add(about, results, &step.update).await?;
        }
        if self.sampler.is_done() {
            self.denoiser.release();
        }
        Ok(Progress {
            call: self.sampler.call(),
            calls: self.sampler.calls(),
            timestep,
            sigma,
            branches,
            branches_saved: self.guiding.saved(),
            done: self.sampler.is_done(),
            restarted: false,
        })
    }

    /// Decodes the latent into a picture: whole, or in tiles where the request or the device asks
    /// for them. An overflow of f16 repeats it in f32, and a device that fails to decode it whole
    /// repeats it in tiles; each adds a warning.
    ///
    /// # Errors
    /// [`Error::Numeric`] where the picture is not finite in f32 either, [`Error::Device`] where
    /// the device fails.
    pub async fn finish(&mut self) -> Result<Picture> {
        let latent = self.denoiser.latent().to_vec();
        self.decode(&latent).await
    }

    /// Decodes `latent`, `[channels, height, width]`, as [`Generation::finish`] does.
    pub(super) async fn decode(&mut self, latent: &[f32]) -> Result<Picture> {
        let vae = &self.pipeline.activation_dtypes.vae;
        let decoded = vae
            .compute(async |dtype| self.decode_in(latent, dtype).await)
            .await?;
        let ((picture, tiled), overflow) = decoded;
        let overflow = overflow.map(|reason| overflow_warning(&reason, "it was decoded again"));
        self.warnings.extend(overflow.into_iter().chain(tiled));
        Ok(picture)
    }

    /// Decodes `latent` with activations in `dtype`; returns a warning beside the picture where
    /// the device failed to decode it whole.
    async fn decode_in(&self, latent: &[f32], dtype: DType) -> Result<(Picture, Option<String>)> {
        let config = self.pipeline.config();
        let [channels, height, width] = self.denoiser.shape();
        let latent = channels_last(latent, channels);
        let decoding = Decoding {
            vae: self.pipeline.vae(),
            config: &config.vae,
            runtime: self.pipeline.runtime(),
            dtype,
        };
        let tiling = self.request.vae_tiling;
        let (values, warning) = decoding.decode(&latent, [height, width], tiling).await?;
        let unit = config.pixels_per_latent();
        let picture = Picture {
            width: width * unit,
            height: height * unit,
            rgba: to_rgba(&values),
        };
        Ok((picture, warning))
    }

    /// True when all steps are done.
    pub fn is_done(&self) -> bool {
        self.sampler.is_done()
    }

    /// U-Net calls in all.
    pub fn calls(&self) -> usize {
        self.sampler.calls()
    }

    /// Last layer of the text encoder that is run, as the web UI of A1111 counts.
    pub fn clip_skip(&self) -> usize {
        let own = self.pipeline.config().text.own_clip_skip();
        self.request.clip_skip.unwrap_or(own)
    }

    /// Amount of fresh noise in the sampler's steps; `None` where the sampler does not read it.
    pub fn eta(&self) -> Option<f64> {
        let own = self.kind.own_eta();
        own.map(|own| self.request.eta.unwrap_or(own))
    }

    /// The kind of guidance with its options.
    pub fn guidance(&self) -> &Options {
        self.guiding.options()
    }

    /// Predictions that the calls so far have made.
    pub fn branches(&self) -> usize {
        self.guiding.branches()
    }

    /// Predictions that windows, the lowest sigma and the stop of the guidance have saved so far.
    pub fn branches_saved(&self) -> usize {
        self.guiding.saved()
    }

    /// The sampler in use.
    pub fn sampler(&self) -> SamplerKind {
        self.kind
    }

    /// The sampler's name, with the schedule type where one name says both: a name of
    /// [`ModelInfo::samplers`](super::ModelInfo::samplers).
    pub fn sampler_name(&self) -> &'static str {
        SamplerName::joined(self.kind, self.schedule())
    }

    /// The schedule type in use: the one that the request's "model" stands for, or
    /// [`ScheduleKind::Model`] where it has no other name.
    pub fn schedule(&self) -> ScheduleKind {
        let config = &self.pipeline.config().scheduler;
        self.schedule.resolve(self.kind, config)
    }

    /// Warnings about this request: prompts cut off, a negative prompt without effect, brackets
    /// without a partner, a run repeated in f32. Steps and the decoding may add to them.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The present latent, `[channels, height, width]` row by row.
    pub fn latent(&self) -> &[f32] {
        self.denoiser.latent()
    }

    /// Shape of [`Generation::latent`].
    pub fn latent_shape(&self) -> [usize; 3] {
        self.denoiser.shape()
    }

    /// A rough picture of what the latent is heading for, one pixel for each latent position.
    pub fn preview(&self) -> Picture {
        let [_, height, width] = self.denoiser.shape();
        let latent = self.denoiser.denoised().unwrap_or(self.denoiser.latent());
        Picture {
            width,
            height,
            rgba: self.pipeline.preview.apply(latent),
        }
    }
}

/// Checks that the network has what the guidance perturbs.
///
/// # Errors
/// [`Error::Request`] for a kind of guidance that the model cannot have.
fn check_network(pipeline: &Pipeline, guiding: &Guiding) -> Result<()> {
    let has_attention = pipeline.config().unet.mid_block == MidBlockKind::Attention;
    if guiding.is_perturbed() && !has_attention {
        let expected = "one for a model without attention in its middle block";
        let kind = guiding.options().kind();
        return Err(Error::request("guidance kind", kind, expected));
    }
    Ok(())
}

/// The call of a run that takes most memory.
pub(super) fn largest_call(guiding: &Guiding) -> UnetCall {
    UnetCall {
        branches: guiding.most_branches(),
        nag: guiding.nag().is_some(),
        perturbed: guiding.is_perturbed(),
    }
}

/// Checks that the memory plan for a latent of `size`, height and width, is within the device's
/// limit.
///
/// # Errors
/// [`Error::Request`] with the memory that the picture would take.
fn check_memory(pipeline: &Pipeline, size: [usize; 2], guiding: &Guiding) -> Result<()> {
    let Some(limit) = pipeline.runtime().memory_limit else {
        return Ok(());
    };
    let [height, width] = size.map(|side| side * pipeline.config().pixels_per_latent());
    let plan = pipeline.memory_plan_of(largest_call(guiding), width, height);
    if plan.fits(Some(limit)) {
        return Ok(());
    }
    let mb = |bytes: u64| bytes as f64 / 1e6;
    let actual = format!(
        "{width}×{height}, {:.0} MB of memory",
        mb(plan.total + plan.host)
    );
    let expected = format!(
        "a size that takes at most {:.0} MB on this device",
        mb(limit)
    );
    Err(Error::request("width and height", actual, expected))
}

/// Height and width of the latent that `request` asks for.
///
/// # Errors
/// [`Error::Request`] for a size the model cannot make.
fn latent_size(pipeline: &Pipeline, request: &Request) -> Result<[usize; 2]> {
    let config = pipeline.config();
    let unit = config.pixels_per_latent();
    let [default_width, default_height] = config.default_size();
    let size = |field, pixels: Option<usize>, default| {
        let pixels = pixels.unwrap_or(default);
        if pixels == 0 || !pixels.is_multiple_of(unit) || pixels > MAX_SIDE {
            let expected = format!("a multiple of {unit} from {unit} to {MAX_SIDE}");
            return Err(Error::request(field, pixels, expected));
        }
        Ok(pixels / unit)
    };
    let width = size("width", request.width, default_width)?;
    Ok([size("height", request.height, default_height)?, width])
}
