//! Single-file checkpoints. Their configuration is inferred from the names and shapes of their
//! tensors.
//!
//! Settings that shapes cannot tell are the same for all models of a kind. They come from the
//! published configurations: `v1-inference.yaml` of Stable Diffusion 1, `v2-inference.yaml` and
//! `v2-inference-v.yaml` of Stable Diffusion 2.

use serde_json::{Value, json};

use super::file::{WeightFile, read_header};
use super::identify::refuse_others;
use super::infer::{infer_text, infer_unet, infer_vae};
use super::names::{Ldm, TextKind};
use super::safetensors::Header;
use super::source::Source;
use crate::config::{
    ModelConfig, PredictionType, SchedulerConfig, TextConfig, UnetConfig, VaeConfig,
};
use crate::error::{Error, Result};

/// A checkpoint with its header read.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    file: WeightFile,
    shown: String,
    names: Ldm,
    unet: Value,
    /// Absent from files without a VAE.
    vae: Option<Value>,
    text: Value,
}

impl Checkpoint {
    /// Reads the header of the checkpoint at `path` and infers its configuration.
    ///
    /// # Errors
    /// [`Error::File`] if the file does not exist, is not a safetensors file, or is not a
    /// checkpoint of Stable Diffusion 1.x or 2.x. The message then says what it seems to be.
    pub async fn open(source: &dyn Source, path: &str) -> Result<Self> {
        let shown = source.describe(path);
        let size = source.size(path).await?;
        let size = size.ok_or_else(|| Error::file(&shown, "no such file"))?;
        let file = read_header(source, path.to_string(), size).await;
        let file = file.map_err(|error| match error {
            Error::File { path, what } => Error::file(
                path,
                format!("{what}; expected a .safetensors checkpoint or a model folder"),
            ),
            other => other,
        })?;
        refuse_others(&shown, &file.header)?;
        let (text_kind, text_prefix, text) = infer_text(&file.header, &shown)?;
        let (unet_level, unet) = infer_unet(&file.header, &shown, text_kind)?;
        let has_vae = file
            .header
            .tensors
            .keys()
            .any(|name| name.starts_with(Ldm::VAE));
        let (vae_levels, vae) = match has_vae {
            true => infer_vae(&file.header, &shown, Ldm::VAE).map(|(n, vae)| (n, Some(vae)))?,
            false => (0, None),
        };
        let names = Ldm {
            unet_level,
            text_prefix,
            vae_levels,
            text: text_kind,
        };
        let (required, actual) = (&unet["cross_attention_dim"], &text["hidden_size"]);
        if required != actual {
            let what = format!(
                "the U-Net requires prompts of width {required}, the text encoder gives width \
                 {actual}; the two come from different models"
            );
            return Err(Error::file(shown, what));
        }
        Ok(Checkpoint {
            file,
            shown,
            names,
            unet,
            vae,
            text,
        })
    }

    /// The file: its path and header.
    pub fn file(&self) -> &WeightFile {
        &self.file
    }

    /// The map between our names and the file's.
    pub fn names(&self) -> &Ldm {
        &self.names
    }

    /// Number of text encoder layers that are run.
    pub fn text_layers(&self) -> usize {
        self.text["num_hidden_layers"].as_u64().unwrap_or(0) as usize
    }

    /// The quantity that the U-Net predicts, if the file tells: by a key made for it, by its
    /// metadata, or by being of the SD1 kind. Most files of the SD2 kind do not tell.
    pub fn prediction(&self) -> Option<PredictionType> {
        let Header { tensors, metadata } = &self.file.header;
        let value = |key: &str| metadata.get(key).map(String::as_str);
        // ComfyUI writes `predict_key`, sd-scripts `prediction_type`.
        let key = value("modelspec.predict_key").or_else(|| value("modelspec.prediction_type"));
        match (key, value("modelspec.architecture")) {
            _ if tensors.contains_key("v_pred") => Some(PredictionType::VPrediction),
            (Some("v" | "v_prediction"), _) => Some(PredictionType::VPrediction),
            (Some("epsilon"), _) => Some(PredictionType::Epsilon),
            (_, Some("stable-diffusion-v2-768-v")) => Some(PredictionType::VPrediction),
            (_, Some("stable-diffusion-v2-512")) => Some(PredictionType::Epsilon),
            _ if self.names.text == TextKind::Clip => Some(PredictionType::Epsilon),
            _ if self.is_turbo_like() => Some(PredictionType::Epsilon),
            _ => None,
        }
    }

    /// True for a text encoder of SD2 in the naming of the later code. Of the published models,
    /// SD-Turbo has it.
    fn is_turbo_like(&self) -> bool {
        self.names.text_prefix == Ldm::SGM_OPEN_CLIP
    }

    /// The configuration for a U-Net that predicts `prediction`, read from JSON like a model
    /// folder's files.
    ///
    /// # Errors
    /// [`Error::Config`] and [`Error::File`] for sizes that no model of these kinds has, and for a
    /// file without a VAE.
    pub fn config(&self, prediction: PredictionType) -> Result<ModelConfig> {
        self.config_with(prediction, None)
    }

    /// The configuration as [`Checkpoint::config`] gives it, with `vae` in place of the file's own.
    ///
    /// # Errors
    /// Those of [`Checkpoint::config`].
    pub fn config_with(
        &self,
        prediction: PredictionType,
        vae: Option<&VaeConfig>,
    ) -> Result<ModelConfig> {
        let file = |name: &str| format!("{}: {name}", self.shown);
        let text = |json: &Value| json.to_string().into_bytes();
        let v = prediction == PredictionType::VPrediction;
        let mut unet = self.unet.clone();
        // SD2 for 768×768 pixels predicts v; SD1 and SD2 for 512×512 predict the noise.
        let large = v && self.names.text == TextKind::OpenClip;
        unet["sample_size"] = if large { 96 } else { 64 }.into();
        let scheduler = self.scheduler(v);
        let config = ModelConfig {
            unet: UnetConfig::from_json(&file("unet"), &text(&unet))?,
            vae: match vae {
                Some(vae) => vae.clone(),
                None => self.vae_config()?,
            },
            text: TextConfig::from_json(&file("text encoder"), &text(&self.text))?,
            scheduler: SchedulerConfig::from_json(&file("scheduler"), &text(&scheduler))?,
        };
        config.check().map_err(|error| match error {
            // The message names a file of a model folder; there is only one file here.
            Error::Config {
                key,
                actual,
                expected,
                ..
            } => Error::config(file("unet"), key, actual, expected),
            other => other,
        })?;
        Ok(config)
    }

    /// The configuration of the file's own VAE.
    ///
    /// # Errors
    /// [`Error::File`] for a file without one.
    pub fn vae_config(&self) -> Result<VaeConfig> {
        let Some(vae) = &self.vae else {
            let what = "this checkpoint has no VAE (first_stage_model.…), which turns latents into \
                        pictures; name one beside it, as --vae does: a VAE's file or folder, or \
                        another model, such as stabilityai/sd-vae-ft-mse";
            return Err(Error::file(&self.shown, what));
        };
        let mut vae = vae.clone();
        let sd1 = self.names.text == TextKind::Clip;
        vae["sample_size"] = if sd1 { 512 } else { 768 }.into();
        VaeConfig::from_json(
            &format!("{}: vae", self.shown),
            &vae.to_string().into_bytes(),
        )
    }

    /// `scheduler/scheduler_config.json` for a U-Net that predicts v or, otherwise, the noise. No
    /// timestep spacing, as in the folders of these models: each sampler has its own default.
    fn scheduler(&self, v: bool) -> Value {
        let turbo = self.is_turbo_like() && !v;
        let lcm = !self.unet["time_cond_proj_dim"].is_null();
        json!({
            "_class_name": match (lcm, turbo, v) {
                (true, ..) => "LCMScheduler",
                (_, true, _) => "EulerDiscreteScheduler",
                (.., true) => "DDIMScheduler",
                _ => "PNDMScheduler",
            },
            "num_train_timesteps": 1000,
            "beta_start": 0.00085,
            "beta_end": 0.012,
            "beta_schedule": "scaled_linear",
            "prediction_type": if v { "v_prediction" } else { "epsilon" },
            // SD-Turbo was trained for the last timestep of its one step.
            "timestep_spacing": turbo.then_some("trailing"),
            "steps_offset": if lcm { 0 } else { 1 },
            "set_alpha_to_one": lcm,
            "skip_prk_steps": true,
            "clip_sample": false,
            // Some v-predicting models of the SD1 kind have this key.
            "rescale_betas_zero_snr": v && self.file.header.tensors.contains_key("ztsnr"),
        })
    }

    /// `tokenizer/special_tokens_map.json`, if the kind needs one: SD2 pads with "!", id 0.
    pub fn special_tokens_map(&self) -> Option<Vec<u8>> {
        let sd2 = self.names.text == TextKind::OpenClip;
        sd2.then(|| json!({ "pad_token": "!" }).to_string().into_bytes())
    }
}
