//! The kernels that a model will need, known from its configuration alone: compiled while its weights are on their way,
//! so that the first picture does not wait for them.

use std::collections::VecDeque;

use crate::config::ModelConfig;
use crate::device::Runtime;
use crate::error::Result;
use crate::ops::gpu::{Launch, OnDeviceStart, Paper, distinct};
use crate::sampling::update::Step;
use crate::text::encoder::TextEncoder;
use crate::unet::Unet;
use crate::vae::decoder::VaeDecoder;
use crate::weights::Params;

/// Timesteps of the run that is sketched. Their number decides over nothing but the size of a small product's tiles.
const TIMESTEPS: usize = 20;

/// What a guided picture of a model's own size launches.
pub struct Sketch {
    /// Once a run, before its first step: the text encoder, and the U-Net's part that is the same for all steps.
    pub start: Vec<Launch>,
    /// Every step.
    pub step: Vec<Launch>,
    /// Once a run, after its last step: the VAE.
    pub finish: Vec<Launch>,
}

impl Sketch {
    /// Sketches a picture of `size`, height and width in pixels, on `paper`.
    ///
    /// # Errors
    /// As the networks' constructors.
    pub fn new(
        config: &ModelConfig,
        runtime: &Runtime,
        paper: &Paper,
        size: [usize; 2],
    ) -> Result<Self> {
        let params = || Params::on_paper(paper, runtime.storage, runtime.ops.clone());
        let text_encoder = TextEncoder::new(params().root(), &config.text)?;
        let unet = Unet::new(params().root(), &config.unet)?;
        let vae = VaeDecoder::new(params().root(), &config.vae)?;

        let tokens = config.text.max_position_embeddings;
        let [height, width] = size.map(|pixels| pixels / config.pixels_per_latent());
        let channels = config.unet.in_channels;
        let mut given = None;
        let start = paper.sketch(|| {
            let x = paper.tensor([2, tokens, config.text.hidden_size], runtime.dtype);
            let prompts = text_encoder.encode(x);
            let times = unet.times(&[0.0; TIMESTEPS], &prompts);
            let start = OnDeviceStart {
                latent: vec![0.0; channels * height * width],
                shape: [2, height, width, channels],
                input_scale: 1.0,
            };
            let latent = runtime.ops.on_device(start, &times)?;
            // They are made once, before a step is recorded.
            latent.copies();
            given = Some((latent, unet.prompt(&prompts)));
            Some(())
        });
        let step = paper.sketch(|| {
            let (latent, prompt) = given.as_mut()?;
            let predict = |latent, time: &_| unet.predict(latent, time, prompt);
            Some(latent.step(&Step::default(), &[], 0, &predict))
        });
        let finish =
            paper.sketch(|| vae.decode(paper.tensor([1, height, width, channels], runtime.dtype)));
        Ok(Sketch {
            start,
            step,
            finish,
        })
    }

    /// Every kernel of it once, in the order in which they are needed.
    pub fn kernels(&self) -> Vec<Launch> {
        distinct(&[&self.start[..], &self.step, &self.finish].concat())
    }
}

/// Kernels to be compiled one after the other.
pub struct Kernels {
    paper: Option<Paper>,
    waiting: VecDeque<Launch>,
}

impl Kernels {
    /// The kernels that a guided picture of the model's own size needs; none where operations are no kernels of ours.
    ///
    /// # Errors
    /// As the networks' constructors.
    pub fn of(config: &ModelConfig, runtime: &Runtime) -> Result<Self> {
        let paper = runtime.ops.paper(&runtime.device);
        let waiting = match &paper {
            Some(paper) => {
                let size = [config.default_size(); 2];
                Sketch::new(config, runtime, paper, size)?.kernels().into()
            }
            None => VecDeque::new(),
        };
        Ok(Kernels { paper, waiting })
    }

    /// Compiles one of them. Returns whether there was one left.
    pub fn compile_next(&mut self) -> bool {
        match (&self.paper, self.waiting.pop_front()) {
            (Some(paper), Some(kernel)) => {
                paper.compile(&kernel);
                true
            }
            _ => false,
        }
    }
}
