//! Model metadata: configuration, tokenizer and prediction type, read without the weights.

use crate::config::{
    ModelConfig, PredictionType, SchedulerConfig, TextConfig, UnetConfig, VaeConfig,
};
use crate::error::{Error, Result};
use crate::text::tokenizer::{Tokenizer, TokenizerFiles, lists_added_tokens};
use crate::weights::checkpoint::Checkpoint;
use crate::weights::identify_folder::explain;
#[cfg(not(target_arch = "wasm32"))]
use crate::weights::source::single_file::{MERGES, VOCAB, built_in};
use crate::weights::source::{Source, read_text, require_text};

/// The user's setting for the quantity that the U-Net predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PredictionSetting {
    /// The type in the model's files. For a checkpoint that does not tell, the type that a trial
    /// call of the U-Net detects.
    #[default]
    Auto,
    /// The noise.
    Epsilon,
    /// `v = α·noise − σ·x0`.
    V,
}

impl PredictionSetting {
    /// The chosen type, or `None` for [`PredictionSetting::Auto`].
    fn chosen(self) -> Option<PredictionType> {
        match self {
            PredictionSetting::Auto => None,
            PredictionSetting::Epsilon => Some(PredictionType::Epsilon),
            PredictionSetting::V => Some(PredictionType::VPrediction),
        }
    }
}

impl std::fmt::Display for PredictionSetting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            PredictionSetting::Auto => "auto",
            PredictionSetting::Epsilon => "epsilon",
            PredictionSetting::V => "v",
        })
    }
}

impl std::str::FromStr for PredictionSetting {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "auto" => Ok(PredictionSetting::Auto),
            "epsilon" => Ok(PredictionSetting::Epsilon),
            "v" => Ok(PredictionSetting::V),
            other => Err(Error::request("prediction", other, "auto, epsilon or v")),
        }
    }
}

/// A model without its weights.
pub(crate) struct Model {
    pub config: ModelConfig,
    pub tokenizer: Tokenizer,
    /// Present if the model is a single file.
    pub checkpoint: Option<Checkpoint>,
    /// True if neither the user nor the files tell what the U-Net predicts.
    pub undecided: bool,
}

impl Model {
    /// Reads the model that `source` has. `vae` takes the place of its VAE.
    ///
    /// # Errors
    /// [`Error::File`] and [`Error::Config`] for missing, malformed or unsupported files; errors of
    /// `source`.
    pub async fn read(
        source: &dyn Source,
        prediction: PredictionSetting,
        vae: Option<&VaeConfig>,
    ) -> Result<Self> {
        let model = match source.checkpoint() {
            None => {
                let mut config = match read_config(source, vae).await {
                    Ok(config) => config,
                    Err(error) => return Err(explain(source, error).await),
                };
                if let Some(chosen) = prediction.chosen() {
                    config.scheduler.prediction_type = chosen;
                }
                Model {
                    config,
                    tokenizer: read_tokenizer(source, None).await?,
                    checkpoint: None,
                    undecided: false,
                }
            }
            Some(path) => {
                let checkpoint = Checkpoint::open(source, &path).await?;
                let decided = prediction.chosen().or(checkpoint.prediction());
                let assumed = decided.unwrap_or(PredictionType::Epsilon);
                let special_tokens_map = checkpoint.special_tokens_map();
                Model {
                    config: checkpoint.config_with(assumed, vae)?,
                    tokenizer: read_tokenizer(source, special_tokens_map).await?,
                    checkpoint: Some(checkpoint),
                    undecided: decided.is_none(),
                }
            }
        };
        model.check(source)?;
        Ok(model)
    }

    /// Checks that tokenizer and text encoder have the same number of tokens per chunk.
    fn check(&self, source: &dyn Source) -> Result<()> {
        let (encoder, tokenizer) = (
            self.config.text.max_position_embeddings,
            self.tokenizer.max_length(),
        );
        if encoder == tokenizer {
            return Ok(());
        }
        match &self.checkpoint {
            None => Err(Error::config(
                source.describe("tokenizer/tokenizer_config.json"),
                "model_max_length",
                tokenizer,
                format!("{encoder}, as `max_position_embeddings` of text_encoder/config.json"),
            )),
            Some(checkpoint) => Err(Error::file(
                source.describe(&checkpoint.file().path),
                format!(
                    "the text encoder takes {encoder} tokens, expected {tokenizer}, as in CLIP"
                ),
            )),
        }
    }
}

/// Reads and checks a model folder's JSON files. `other_vae` takes the place of its VAE.
async fn read_config(source: &dyn Source, other_vae: Option<&VaeConfig>) -> Result<ModelConfig> {
    let unet = "unet/config.json";
    let vae = "vae/config.json";
    let text = "text_encoder/config.json";
    let scheduler = SchedulerConfig::FILE;
    let read = async |path: &'static str| require_text(source, path).await;
    let shown = |path: &str| source.describe(path);
    let config = ModelConfig {
        unet: UnetConfig::from_json(&shown(unet), &read(unet).await?)?,
        vae: match other_vae {
            Some(vae) => vae.clone(),
            None => VaeConfig::from_json(&shown(vae), &read(vae).await?)?,
        },
        text: TextConfig::from_json(&shown(text), &read(text).await?)?,
        scheduler: SchedulerConfig::from_json(&shown(scheduler), &read(scheduler).await?)?,
    };
    config.check()?;
    Ok(config)
}

/// The tokenizer of the model that `source` has. Neither configuration nor weights are read.
///
/// # Errors
/// [`Error::File`] and [`Error::Config`] for missing or malformed files; errors of `source`.
pub async fn tokenizer(source: &dyn Source) -> Result<Tokenizer> {
    let special_tokens_map = match source.checkpoint() {
        Some(path) => Checkpoint::open(source, &path).await?.special_tokens_map(),
        None => None,
    };
    read_tokenizer(source, special_tokens_map).await
}

/// The tokenizer of CLIP's built-in vocabulary, with the padding of SD1.x.
///
/// # Errors
/// None in practice: the vocabulary is complete.
#[cfg(not(target_arch = "wasm32"))]
pub fn clip_tokenizer() -> Result<Tokenizer> {
    Tokenizer::from_files(&TokenizerFiles {
        vocab: built_in(VOCAB),
        merges: built_in(MERGES),
        ..TokenizerFiles::default()
    })
}

/// Builds the tokenizer from the folder's `tokenizer/` files. A checkpoint's `special_tokens_map`
/// replaces the file of that name.
async fn read_tokenizer(
    source: &dyn Source,
    special_tokens_map: Option<Vec<u8>>,
) -> Result<Tokenizer> {
    let read = async |name: &str| read_text(source, &format!("tokenizer/{name}")).await;
    let vocab = read("vocab.json").await?;
    let merges = read("merges.txt").await?;
    let tokenizer_json = match vocab.is_some() && merges.is_some() {
        true => None,
        false => read("tokenizer.json").await?,
    };
    let tokenizer_config = read("tokenizer_config.json").await?;
    let special_tokens_map = match special_tokens_map {
        Some(map) => Some(map),
        None => read("special_tokens_map.json").await?,
    };
    let added_tokens = match lists_added_tokens(tokenizer_config.as_deref()) {
        true => None,
        false => read("added_tokens.json").await?,
    };
    Tokenizer::from_files(&TokenizerFiles {
        vocab: vocab.as_deref(),
        merges: merges.as_deref(),
        tokenizer_json: tokenizer_json.as_deref(),
        tokenizer_config: tokenizer_config.as_deref(),
        special_tokens_map: special_tokens_map.as_deref(),
        added_tokens: added_tokens.as_deref(),
    })
}
