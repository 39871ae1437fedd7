//! From two prompts to a picture. Matches diffusers 0.42 `StableDiffusionPipeline`, with the loop
//! in the caller's hands: [`Generation::step`] returns after each U-Net call.
//!
//! ```no_run
//! # async fn example(source: &dyn darkroom::weights::Source) -> darkroom::Result<()> {
//! use darkroom::{LoadOptions, Pipeline, Precision, Request, Runtime};
//!
//! let runtime = Runtime::cpu(Precision::Auto, false)?;
//! let pipeline = Pipeline::load(source, &runtime, LoadOptions::default()).await?;
//! let request = Request {
//!     prompt: "Portrait photo of a man".into(),
//!     negative_prompt: "mustache".into(),
//!     ..Request::default()
//! };
//! let mut generation = pipeline.start(&request).await?;
//! while !generation.is_done() {
//!     generation.step().await?;
//! }
//! let picture = generation.finish().await?;
//! # Ok(())
//! # }
//! ```

mod additions;
mod conditioning;
pub mod decode;
mod denoise;
mod detect_prediction;
mod enlarge;
mod generation;
mod info;
pub mod inspect;
mod load;
mod picture;
mod precision;
mod preview;
mod read_prompts;
mod recording;
mod request;
#[cfg(not(target_arch = "wasm32"))]
pub mod survey;
pub mod token_maps;
pub mod warmup;

use std::rc::Rc;

pub use additions::requested_loras;
pub use generation::{Generation, Progress};
pub use info::ModelInfo;
pub use inspect::{Inspection, InspectionScalars};
pub use load::LoadOptions;
pub use picture::Picture;
pub use request::Request;

use crate::config::ModelConfig;
use crate::device::Runtime;
use crate::device::memory::{MemoryPlan, UnetCall};
use crate::error::Result;
use crate::text::embedding::{Embedding, LearnedVectors};
use crate::text::encoder::TextEncoder;
use crate::text::tokenizer::Tokenizer;
use crate::unet::Unet;
use crate::vae::decoder::VaeDecoder;
use crate::weights::Source;
use crate::weights::lora::AppliedLora;
use crate::weights::sizes::WeightSizes;
use additions::ChangeableWeights;
use precision::ActivationDtypes;
use preview::LatentToRgb;

/// A loaded model on a device.
#[derive(Clone)]
pub struct Pipeline {
    config: ModelConfig,
    tokenizer: Tokenizer,
    text_encoder: Rc<TextEncoder>,
    unet: Rc<Unet>,
    vae: Rc<VaeDecoder>,
    preview: LatentToRgb,
    runtime: Runtime,
    activation_dtypes: ActivationDtypes,
    weight_bytes: u64,
    weight_sizes: WeightSizes,
    warnings: Vec<String>,
    /// The weights that LoRAs may change.
    weights: ChangeableWeights,
    loras: Vec<AppliedLora>,
    embeddings: Vec<Rc<Embedding>>,
    learned: LearnedVectors,
}

impl Pipeline {
    /// Loads the model `source`, a folder or a single file, onto `runtime`'s device.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) and [`Error::File`](crate::Error::File) naming what
    /// in the model is missing or wrong; whatever `source` reports.
    pub async fn load(
        source: &dyn Source,
        runtime: &Runtime,
        options: LoadOptions<'_>,
    ) -> Result<Rc<Self>> {
        load::load(source, runtime, options).await.map(Rc::new)
    }

    /// Checks `request`, encodes both prompts and draws the noise.
    ///
    /// # Errors
    /// [`Error::Request`](crate::Error::Request) for a value out of range, and after a change of
    /// LoRAs that failed; [`Error::Device`](crate::Error::Device) where the device fails.
    pub async fn start(self: &Rc<Self>, request: &Request) -> Result<Generation> {
        self.weights.check()?;
        Generation::new(self.clone(), self.activation_dtypes.networks.get(), request).await
    }

    /// The correlation, −1 to 1, of pure noise with the U-Net's prediction for it. Near 1 for a
    /// model that predicts the noise, near 0 for one that predicts v.
    ///
    /// # Errors
    /// [`Error::Numeric`](crate::Error::Numeric) where the prediction is not finite,
    /// [`Error::Device`](crate::Error::Device) where the device fails.
    pub async fn noise_correlation(&self) -> Result<f64> {
        detect_prediction::noise_correlation(self).await
    }

    /// The model's defaults and limits.
    ///
    /// # Errors
    /// None in practice: every scheduler file has a sampler.
    pub fn info(&self) -> Result<ModelInfo> {
        ModelInfo::of(self)
    }

    /// The memory that the model takes for pictures of `width` × `height` pixels.
    pub fn memory_plan(&self, width: usize, height: usize) -> MemoryPlan {
        self.memory_plan_of(UnetCall::GUIDED, width, height)
    }

    /// The memory that the model takes for such pictures by calls such as `call`; no less than
    /// guidance needs.
    pub fn memory_plan_of(&self, call: UnetCall, width: usize, height: usize) -> MemoryPlan {
        let (config, weights) = (&self.config, &self.weight_sizes);
        let branches = call.branches.max(UnetCall::GUIDED.branches);
        let call = UnetCall { branches, ..call };
        MemoryPlan::of(call, config, weights, &self.runtime, [width, height])
    }

    /// Warnings about the model's files.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The model's configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The model's tokenizer, for counting tokens.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The device that the pipeline runs on.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
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

    /// Bytes of weights in the model's files.
    pub fn weight_bytes(&self) -> u64 {
        self.weight_bytes
    }
}
