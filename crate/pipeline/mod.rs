//! From two prompts to a picture. Matches diffusers 0.42 `StableDiffusionPipeline`, with its loop turned inside out:
//! [`Generation::step`] returns after each U-Net call, and the caller decides whether to go on.

use std::collections::HashMap;
use std::rc::Rc;

use burn::tensor::DType;

use crate::config::ModelConfig;
use crate::device::Runtime;
use crate::error::{Error, Result};
use crate::kernels::Kernels;
use crate::memory::{Plan, WeightSizes};
use crate::model::{Model, Prediction};
use crate::precision::{Activations, beyond_f16};
use crate::preview::LatentToRgb;
use crate::request::Request;
use crate::run::{Run, Start, channels_last};
use crate::sampling::update::Step;
use crate::sampling::{Noise, Sampler, SamplerKind};
use crate::text::encoder::TextEncoder;
use crate::text::tokenizer::{Tokenizer, Tokens};
use crate::unet::Unet;
use crate::vae::decode::Decoding;
use crate::vae::decoder::VaeDecoder;
use crate::weights::load::{LoadProgress, Part, load_checkpoint, load_parts};
use crate::weights::params::Loaded;
use crate::weights::source::Source;
use crate::weights::{Params, Scope};

/// Most pixels in each direction; beyond, a mistyped size would only be found out by running out of memory.
const SIDE_AT_MOST: usize = 4096;

/// A finished picture.
pub struct Picture {
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
    /// `width·height·4` bytes, row by row: red, green, blue, 255.
    pub rgba: Vec<u8>,
}

/// Where a generation stands after a step.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Progress {
    /// U-Net calls done.
    pub call: usize,
    /// U-Net calls in all; pndm has one more than steps.
    pub calls: usize,
    /// Timestep of the call just done.
    pub timestep: f64,
    /// Its sigma.
    pub sigma: f64,
    /// Whether the latent is finished.
    pub done: bool,
    /// Whether the run has begun anew with this step, because the one before it was beyond f16: it is in f32 now, and
    /// [`Generation::warnings`] says so.
    pub restarted: bool,
}

/// A loaded model on a device.
pub struct Pipeline {
    pub(crate) config: ModelConfig,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) text_encoder: TextEncoder,
    pub(crate) unet: Unet,
    vae: VaeDecoder,
    preview: LatentToRgb,
    pub(crate) runtime: Runtime,
    pub(crate) activations: Activations,
    weight_bytes: u64,
    weight_sizes: WeightSizes,
    pub(crate) warnings: Vec<String>,
}

impl Pipeline {
    /// Loads the model `source`, a folder or a single file, onto `runtime`'s device. `progress` is called before each
    /// few megabytes.
    ///
    /// # Errors
    /// [`Error::Config`] and [`Error::File`] naming what in the model is missing or not as it should be; whatever
    /// `source` reports.
    pub async fn load(
        source: &dyn Source,
        runtime: &Runtime,
        progress: &mut dyn FnMut(LoadProgress<'_>),
    ) -> Result<Rc<Self>> {
        Self::load_as(source, Prediction::Auto, runtime, progress).await
    }

    /// As [`Pipeline::load`], with a word from the user on what the U-Net predicts.
    ///
    /// # Errors
    /// As [`Pipeline::load`].
    pub async fn load_as(
        source: &dyn Source,
        prediction: Prediction,
        runtime: &Runtime,
        progress: &mut dyn FnMut(LoadProgress<'_>),
    ) -> Result<Rc<Self>> {
        Self::load_planned(source, prediction, runtime, &mut |_| (), progress).await
    }

    /// As [`Pipeline::load_as`]; `planned` is called once, before the weights are read, with what they and pictures of the
    /// model's own size will take.
    ///
    /// # Errors
    /// As [`Pipeline::load`].
    pub async fn load_planned(
        source: &dyn Source,
        prediction: Prediction,
        runtime: &Runtime,
        planned: &mut dyn FnMut(&Plan),
        progress: &mut dyn FnMut(LoadProgress<'_>),
    ) -> Result<Rc<Self>> {
        let Model {
            config,
            tokenizer,
            checkpoint,
            undecided,
        } = Model::read(source, prediction).await?;
        let plan = |build: &dyn Fn(Scope) -> Result<()>| {
            let mut params = Params::plan(runtime.ops.clone());
            build(params.root())?;
            Ok::<_, Error>(params.into_wanted())
        };
        let parts = [
            Part {
                folder: "text_encoder",
                stem: "model",
                wanted: plan(&|scope| TextEncoder::new(scope, &config.text).map(drop))?,
            },
            Part {
                folder: "unet",
                stem: "diffusion_pytorch_model",
                wanted: plan(&|scope| Unet::new(scope, &config.unet).map(drop))?,
            },
            Part {
                folder: "vae",
                stem: "diffusion_pytorch_model",
                wanted: plan(&|scope| VaeDecoder::new(scope, &config.vae).map(drop))?,
            },
        ];
        let mut sizes = None;
        let mut kernels = Kernels::of(&config, runtime)?;
        let mut progress = |p: LoadProgress<'_>| {
            if sizes.is_none() {
                let size = [config.default_size(); 2];
                planned(&Plan::new(&config, &p.sizes, runtime, size));
            }
            sizes = Some((p.total, p.sizes));
            // One between two tensors: while these are on their way.
            kernels.compile_next();
            progress(p);
        };
        let (device, storage) = (&runtime.device, runtime.storage);
        let weights = match &checkpoint {
            None => load_parts(source, &parts, device, storage, &mut progress).await?,
            Some(file) => {
                load_checkpoint(source, file, &parts, device, storage, &mut progress).await?
            }
        };
        while kernels.compile_next() {}
        let (weight_bytes, weight_sizes) = sizes.unwrap_or_default();
        let mut loaded = weights.parts.into_iter();
        let mut take = || -> Params {
            let tensors: HashMap<String, Loaded> = loaded.next().unwrap_or_default();
            Params::take(tensors, runtime.ops.clone())
        };
        let text_encoder = TextEncoder::new(take().root(), &config.text)?;
        let unet = Unet::new(take().root(), &config.unet)?;
        let vae = VaeDecoder::new(take().root(), &config.vae)?;
        let activations = Activations::new(runtime.dtype);
        let channels = config.vae.latent_channels;
        let fit = async |dtype| LatentToRgb::fit(&vae, channels, &runtime.device, dtype).await;
        let (preview, wrong) = activations.vae.compute(fit).await?;
        let mut warnings = weights.warnings;
        warnings.extend(wrong.map(|what| beyond_f16(&what, "pictures are decoded")));
        let mut pipeline = Pipeline {
            config,
            tokenizer,
            text_encoder,
            unet,
            vae,
            preview,
            runtime: runtime.clone(),
            activations,
            weight_bytes,
            weight_sizes,
            warnings,
        };
        if let Some(checkpoint) = checkpoint.filter(|_| undecided) {
            pipeline.decide_prediction(&checkpoint).await?;
        }
        Ok(Rc::new(pipeline))
    }

    /// What the user should know about the model.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The model's configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The model's tokenizer, to count tokens with.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// What the pipeline runs on.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// What the model takes in memory for pictures of `width` × `height` pixels.
    pub fn plan(&self, width: usize, height: usize) -> Plan {
        let size = [width, height];
        Plan::new(&self.config, &self.weight_sizes, &self.runtime, size)
    }

    /// The text encoder.
    pub fn text_encoder(&self) -> &TextEncoder {
        &self.text_encoder
    }

    /// The U-Net.
    pub fn unet(&self) -> &Unet {
        &self.unet
    }

    /// The VAE's decoder.
    pub fn vae(&self) -> &VaeDecoder {
        &self.vae
    }

    /// Bytes of weights, as they lie in the model's files.
    pub fn weight_bytes(&self) -> u64 {
        self.weight_bytes
    }

    /// Checks `request`, encodes both prompts and draws the noise.
    ///
    /// # Errors
    /// [`Error::Request`] for a value out of range, [`Error::Device`] where the device fails.
    pub async fn start(self: &Rc<Self>, request: &Request) -> Result<Generation> {
        self.start_in(self.activations.networks.get(), request)
    }

    /// As [`Pipeline::start`], with activations in `dtype`.
    pub(crate) fn start_in(self: &Rc<Self>, dtype: DType, request: &Request) -> Result<Generation> {
        let scale = request.guidance_scale;
        if !(1.0..=100.0).contains(&scale) {
            return Err(Error::request("guidance scale", scale, "1 to 100"));
        }
        let unit = self.config.pixels_per_latent();
        let size = |field, pixels: Option<usize>| {
            let pixels = pixels.unwrap_or(self.config.default_size());
            if pixels == 0 || !pixels.is_multiple_of(unit) || pixels > SIDE_AT_MOST {
                let expected = format!("a multiple of {unit} from {unit} to {SIDE_AT_MOST}");
                return Err(Error::request(field, pixels, expected));
            }
            Ok(pixels / unit)
        };
        let (width, height) = (
            size("width", request.width)?,
            size("height", request.height)?,
        );
        let scheduler = &self.config.scheduler;
        let kind = match request.sampler {
            Some(kind) => kind,
            None => SamplerKind::from_config(scheduler)?,
        };
        let sampler = Sampler::new(kind, scheduler, request.steps)?;

        let mut warnings = Vec::new();
        let mut encode = |name, text: &str| -> Result<Tokens> {
            let tokens = self.tokenizer.encode(text, request.long_prompt)?;
            if let Some(cut) = &tokens.cut {
                warnings.push(format!(
                    "the {name} has {} tokens, the model reads {}; cut off: “{}”",
                    tokens.count,
                    self.tokenizer.max_length() - 2,
                    cut.trim()
                ));
            }
            Ok(tokens)
        };
        let mut positive = encode("prompt", &request.prompt)?.chunks;
        let mut negative = encode("negative prompt", &request.negative_prompt)?.chunks;
        let guided = scale != 1.0;
        if !guided && !request.negative_prompt.is_empty() {
            warnings.push("at guidance scale 1 the negative prompt has no effect".into());
        }
        // Both prompts on equal footing: the same number of chunks, in one batch.
        let chunks = positive.len().max(negative.len());
        positive.resize_with(chunks, || self.tokenizer.empty_chunk());
        negative.resize_with(chunks, || self.tokenizer.empty_chunk());
        let branches = if guided { 2 } else { 1 };
        let batch = if guided {
            [negative, positive].concat()
        } else {
            positive
        };
        let prompts = self
            .text_encoder
            .forward(&batch, &self.runtime.device, dtype)?;
        let width_of_embedding = self.config.text.hidden_size;
        let tokens = chunks * self.tokenizer.max_length();
        let prompts = prompts.reshape([branches, tokens, width_of_embedding]);

        let mut noise = Noise::new(request.rng, request.seed);
        let channels = self.config.unet.in_channels;
        let sigma = sampler.init_noise_sigma();
        let latent = noise
            .normal(channels * height * width)
            .into_iter()
            .map(|x| (x as f64 * sigma) as f32)
            .collect();
        let start = Start {
            prompts,
            latent,
            shape: [channels, height, width],
            input_scale: sampler.input_scale(),
            timesteps: sampler.schedule().timesteps.clone(),
        };
        Ok(Generation {
            pipeline: self.clone(),
            request: request.clone(),
            dtype,
            sampler,
            run: Run::new(&self.unet, start),
            kind,
            noise,
            guidance_scale: scale,
            warnings,
        })
    }
}

/// A picture in the making.
pub struct Generation {
    pub(crate) pipeline: Rc<Pipeline>,
    pub(crate) request: Request,
    /// Type of activations.
    pub(crate) dtype: DType,
    sampler: Sampler,
    kind: SamplerKind,
    noise: Noise,
    guidance_scale: f64,
    /// Of both prompts; of the positive one alone at guidance scale 1.
    run: Run,
    pub(crate) warnings: Vec<String>,
}

impl Generation {
    /// One U-Net call and the sampler's step with its prediction, in the precision that the run is in.
    pub(crate) async fn advance(&mut self) -> Result<Progress> {
        let (timestep, sigma) = (self.sampler.timestep(), self.sampler.sigma());
        let call = self.sampler.call();
        let update = self.sampler.advance();
        let noise = match update.is_noisy() {
            true => self.noise.normal(self.run.latent().len()),
            false => Vec::new(),
        };
        let step = Step {
            update,
            noise,
            guidance: self.guidance_scale,
            next_input_scale: self.sampler.input_scale(),
        };
        self.run.step(&self.pipeline.unet, call, &step).await?;
        if self.sampler.is_done() {
            self.run.release();
        }
        Ok(Progress {
            call: self.sampler.call(),
            calls: self.sampler.calls(),
            timestep,
            sigma,
            done: self.sampler.is_done(),
            restarted: false,
        })
    }

    /// Whether all steps are done.
    pub fn is_done(&self) -> bool {
        self.sampler.is_done()
    }

    /// U-Net calls in all.
    pub fn calls(&self) -> usize {
        self.sampler.calls()
    }

    /// The sampler in use.
    pub fn sampler(&self) -> SamplerKind {
        self.kind
    }

    /// What the user should know about this request: prompts cut off, a negative prompt without effect, a run repeated in
    /// f32. Steps and the decoding may add to it.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The latent as it is now, `[channels, height, width]` row by row.
    pub fn latent(&self) -> &[f32] {
        self.run.latent()
    }

    /// Shape of [`Generation::latent`].
    pub fn latent_shape(&self) -> [usize; 3] {
        self.run.shape()
    }

    /// A rough picture, one pixel for each latent position, of what the latent is heading for.
    pub fn preview(&self) -> Picture {
        let [_, height, width] = self.run.shape();
        let latent = self.run.picture().unwrap_or(self.run.latent());
        Picture {
            width,
            height,
            rgba: self.pipeline.preview.apply(latent),
        }
    }

    /// Decodes the latent into a picture, with activations in `dtype`: whole, or in tiles where the request or the device
    /// asks for them, or where the device failed to decode it whole; then there is a warning.
    pub(crate) async fn decode(&self, dtype: DType) -> Result<(Picture, Option<String>)> {
        let Pipeline {
            vae,
            runtime,
            config,
            ..
        } = &*self.pipeline;
        let [channels, height, width] = self.run.shape();
        let latent = channels_last(self.run.latent(), channels);
        let decoding = Decoding {
            vae,
            config: &config.vae,
            runtime,
            dtype,
        };
        let size = [height, width];
        let (values, warning) = decoding.decode(&latent, size, self.request.tiles).await?;
        let unit = config.pixels_per_latent();
        let picture = Picture {
            width: width * unit,
            height: height * unit,
            rgba: to_rgba(&values),
        };
        Ok((picture, warning))
    }
}

/// `[h, w, 3]` from −1 to 1, as bytes with alpha. Matches diffusers' `VaeImageProcessor`: clamp, then round.
pub(crate) fn to_rgba(values: &[f32]) -> Vec<u8> {
    let byte = |v: f32| ((v / 2.0 + 0.5).clamp(0.0, 1.0) * 255.0).round_ties_even() as u8;
    values
        .as_chunks::<3>()
        .0
        .iter()
        .flat_map(|&[r, g, b]| [byte(r), byte(g), byte(b), 255])
        .collect()
}
