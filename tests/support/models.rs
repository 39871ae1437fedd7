//! The tiny models of `tests/golden/models/` and diffusers' results for them.

use std::path::PathBuf;
use std::rc::Rc;

use darkroom::config::{ModelConfig, SchedulerConfig, TextConfig, UnetConfig, VaeConfig};
use darkroom::text::tokenizer::LongPrompt;
use darkroom::weights::source::folder::Folder;
use darkroom::{Pipeline, Request, Runtime};
use serde::Deserialize;

use super::generate::load;
use super::safetensors::Tensors;
use super::{golden, read_json};

/// The folders of `tests/golden/models/`; layouts.py there says what each model covers.
pub const MODELS: [&str; 7] = [
    "sd1-pndm",
    "sd1-four-levels",
    "sd1-plain-first",
    "sd1-all-cross",
    "sd2-v",
    "sd2-five-heads",
    "sd2-linear-v",
];

/// The content of `expected.json`.
#[derive(Deserialize)]
pub struct Expected {
    pub embeddings: Vec<Embedding>,
    pub predictions: Vec<Prediction>,
    pub decodes: Vec<Decode>,
    pub cases: Vec<Case>,
}

#[derive(Deserialize)]
pub struct Embedding {
    pub prompt: String,
    pub tensor: String,
}

#[derive(Deserialize)]
pub struct Prediction {
    pub prompt: String,
    pub negative_prompt: String,
    pub timestep: f64,
    pub latent: String,
    pub tensor: String,
}

#[derive(Deserialize)]
pub struct Decode {
    pub latent: String,
    pub tensor: String,
}

#[derive(Deserialize)]
pub struct Case {
    pub name: String,
    pub sampler: Option<String>,
    pub prompt: String,
    pub negative_prompt: String,
    pub seed: u64,
    pub steps: usize,
    pub guidance_scale: f64,
    pub width: Option<usize>,
    pub height: Option<usize>,
    pub latent: String,
    pub picture: Option<String>,
}

impl Case {
    pub fn request(&self) -> Request {
        Request {
            prompt: self.prompt.clone(),
            negative_prompt: self.negative_prompt.clone(),
            seed: self.seed,
            steps: self.steps,
            guidance_scale: self.guidance_scale,
            sampler: self
                .sampler
                .as_ref()
                .map(|name| name.parse().expect("a sampler")),
            width: self.width,
            height: self.height,
            // diffusers cuts off long prompts.
            long_prompt: LongPrompt::Truncate,
            ..Request::default()
        }
    }
}

/// One model folder and diffusers' results for it.
pub struct Model {
    pub name: &'static str,
    pub expected: Expected,
    pub tensors: Tensors,
}

impl Model {
    pub fn read(name: &'static str) -> Self {
        let folder = golden().join("models").join(name);
        Model {
            name,
            expected: read_json(&folder.join("expected.json")),
            tensors: Tensors::read(&folder.join("expected.safetensors")),
        }
    }

    /// The model of this name, which must be one of [`MODELS`].
    pub fn named(name: &str) -> Self {
        let known = MODELS.into_iter().find(|known| *known == name);
        Model::read(known.unwrap_or_else(|| panic!("there is no model {name}")))
    }

    pub fn path(&self) -> PathBuf {
        golden().join("models").join(self.name).join("model")
    }

    pub fn folder(&self) -> Folder {
        Folder::open(self.path()).expect("a model folder")
    }

    #[track_caller]
    pub fn load(&self, runtime: &Runtime) -> Rc<Pipeline> {
        load(&self.folder(), runtime)
    }

    fn json(&self, path: &str) -> Vec<u8> {
        std::fs::read(self.path().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    pub fn config(&self) -> ModelConfig {
        let read = || {
            Ok::<_, darkroom::Error>(ModelConfig {
                unet: UnetConfig::from_json("unet", &self.json("unet/config.json"))?,
                vae: VaeConfig::from_json("vae", &self.json("vae/config.json"))?,
                text: TextConfig::from_json("text", &self.json("text_encoder/config.json"))?,
                scheduler: SchedulerConfig::from_json(
                    "scheduler",
                    &self.json("scheduler/scheduler_config.json"),
                )?,
            })
        };
        read().unwrap_or_else(|e| panic!("{}: {e}", self.name))
    }
}
