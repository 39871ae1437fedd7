//! Warm-up: kernels that a model needs, known from its configuration alone. They are compiled while
//! its weights are downloaded, so that the first picture does not wait for them.

use std::collections::VecDeque;

use crate::config::ModelConfig;
use crate::device::Runtime;
use crate::error::Result;
use crate::ops::gpu::{DeviceLatentInit, DryRun, Launch, distinct};
use crate::sampling::update::Step;
use crate::text::encoder::TextEncoder;
use crate::unet::Unet;
use crate::vae::decoder::VaeDecoder;
use crate::weights::VarStore;

/// Timesteps of the recorded run. Only the tile size of a small product depends on their number.
const TIMESTEPS: usize = 20;

/// Launches of a guided picture of a model's own size.
pub struct Launches {
    /// Launches before the first step: the text encoder, and the U-Net's part that is the same for
    /// all steps.
    pub start: Vec<Launch>,
    /// Launches of every step.
    pub step: Vec<Launch>,
    /// Launches after the last step: the VAE.
    pub finish: Vec<Launch>,
}

impl Launches {
    /// Records a picture of `size`, height and width in pixels, on `dry_run`.
    ///
    /// # Errors
    /// Errors of the networks' constructors.
    pub fn new(
        config: &ModelConfig,
        runtime: &Runtime,
        dry_run: &DryRun,
        size: [usize; 2],
    ) -> Result<Self> {
        let params = || VarStore::dry_run(dry_run, runtime.storage, runtime.ops.clone());
        let text_encoder = TextEncoder::new(params().root(), &config.text)?;
        let unet = Unet::new(params().root(), &config.unet)?;
        let vae = VaeDecoder::new(params().root(), &config.vae)?;

        let tokens = config.text.max_position_embeddings;
        let [height, width] = size.map(|pixels| pixels / config.pixels_per_latent());
        let channels = config.unet.in_channels;
        let mut run = None;
        let start = dry_run.record(|| {
            let x = dry_run.tensor([2, tokens, config.text.hidden_size], runtime.dtype);
            let prompts = text_encoder.encode(x);
            let times = unet.times(&[0.0; TIMESTEPS], 1.0, &prompts);
            let start = DeviceLatentInit {
                latent: vec![0.0; channels * height * width],
                shape: [2, height, width, channels],
                input_scale: 1.0,
                watched: false,
            };
            let latent = runtime.ops.device_latent(start, &times)?;
            // These copies are made once, before a step is recorded.
            latent.copies();
            run = Some((latent, unet.cross_attn_kv(&prompts)));
            Some(())
        });
        let step = dry_run.record(|| {
            let (latent, prompt) = run.as_mut()?;
            let predict = |latent, time: &_| unet.predict(latent, time, prompt);
            Some(latent.step(&Step::default(), &[], 0, &predict))
        });
        let finish = dry_run
            .record(|| vae.decode(dry_run.tensor([1, height, width, channels], runtime.dtype)));
        Ok(Launches {
            start,
            step,
            finish,
        })
    }

    /// The kernels of all launches, each once, in the order in which they are needed.
    pub fn kernels(&self) -> Vec<Launch> {
        distinct(&[&self.start[..], &self.step, &self.finish].concat())
    }
}

/// Kernels to be compiled, one after the other.
pub struct Warmup {
    dry_run: Option<DryRun>,
    waiting: VecDeque<Launch>,
}

impl Warmup {
    /// The kernels of a guided picture of the model's own size; none where operations are not
    /// kernels of ours.
    ///
    /// # Errors
    /// Errors of the networks' constructors.
    pub fn new(config: &ModelConfig, runtime: &Runtime) -> Result<Self> {
        let dry_run = runtime.ops.dry_run(&runtime.device);
        let waiting = match &dry_run {
            Some(dry_run) => {
                let [width, height] = config.default_size();
                let size = [height, width];
                Launches::new(config, runtime, dry_run, size)?
                    .kernels()
                    .into()
            }
            None => VecDeque::new(),
        };
        Ok(Warmup { dry_run, waiting })
    }

    /// Compiles one of them. Returns false if there was none left.
    pub fn compile_next(&mut self) -> bool {
        match (&self.dry_run, self.waiting.pop_front()) {
            (Some(dry_run), Some(kernel)) => {
                dry_run.compile(&kernel);
                true
            }
            _ => false,
        }
    }
}
