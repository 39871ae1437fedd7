//! A model apart from its weights: what its files say of it, and what to tell of it.

use crate::config::{
    ModelConfig, PredictionType, SchedulerConfig, TextConfig, UnetConfig, VaeConfig,
};
use crate::error::Result;
use crate::pipeline::Pipeline;
use crate::sampling::SamplerKind;
use crate::text::tokenizer::{Tokenizer, TokenizerFiles};
use crate::weights::source::{Source, read_text, require_text};

/// Reads and checks the folder's JSON files.
pub(crate) async fn read_config(source: &dyn Source) -> Result<ModelConfig> {
    let unet = "unet/config.json";
    let vae = "vae/config.json";
    let text = "text_encoder/config.json";
    let scheduler = "scheduler/scheduler_config.json";
    let read = async |path: &'static str| require_text(source, path).await;
    let shown = |path: &str| source.describe(path);
    let config = ModelConfig {
        unet: UnetConfig::from_json(&shown(unet), &read(unet).await?)?,
        vae: VaeConfig::from_json(&shown(vae), &read(vae).await?)?,
        text: TextConfig::from_json(&shown(text), &read(text).await?)?,
        scheduler: SchedulerConfig::from_json(&shown(scheduler), &read(scheduler).await?)?,
    };
    config.check()?;
    SamplerKind::from_config(&config.scheduler)?;
    Ok(config)
}

/// Builds the tokenizer of the folder's `tokenizer/` files.
pub(crate) async fn read_tokenizer(source: &dyn Source) -> Result<Tokenizer> {
    let read = async |name: &str| read_text(source, &format!("tokenizer/{name}")).await;
    let vocab = read("vocab.json").await?;
    let merges = read("merges.txt").await?;
    let tokenizer_json = match vocab.is_some() && merges.is_some() {
        true => None,
        false => read("tokenizer.json").await?,
    };
    let tokenizer_config = read("tokenizer_config.json").await?;
    let special_tokens_map = read("special_tokens_map.json").await?;
    Tokenizer::from_files(&TokenizerFiles {
        vocab: vocab.as_deref(),
        merges: merges.as_deref(),
        tokenizer_json: tokenizer_json.as_deref(),
        tokenizer_config: tokenizer_config.as_deref(),
        special_tokens_map: special_tokens_map.as_deref(),
    })
}

/// The model in a few words, for a user interface.
#[derive(Debug, Clone, serde::Serialize)]
pub struct ModelInfo {
    /// The model's own sampler.
    pub default_sampler: &'static str,
    /// All samplers.
    pub samplers: Vec<&'static str>,
    /// Pixels.
    pub default_width: usize,
    /// Pixels.
    pub default_height: usize,
    /// Sizes are multiples of this.
    pub size_multiple: usize,
    /// "epsilon" or "v_prediction".
    pub prediction_type: &'static str,
    /// Content tokens the model reads in one chunk (75).
    pub max_tokens: usize,
    /// Bytes of weights, as they lie in the model's files.
    pub weight_bytes: u64,
}

impl Pipeline {
    /// The model in a few words.
    pub fn info(&self) -> Result<ModelInfo> {
        let config = self.config();
        let size = config.default_size();
        Ok(ModelInfo {
            default_sampler: SamplerKind::from_config(&config.scheduler)?.name(),
            samplers: SamplerKind::ALL.iter().map(|kind| kind.name()).collect(),
            default_width: size,
            default_height: size,
            size_multiple: config.pixels_per_latent(),
            prediction_type: match config.scheduler.prediction_type {
                PredictionType::Epsilon => "epsilon",
                PredictionType::VPrediction => "v_prediction",
            },
            max_tokens: self.tokenizer().max_length() - 2,
            weight_bytes: self.weight_bytes(),
        })
    }
}
