//! Additions to a model: LoRAs, learned words and another VAE.

use std::rc::Rc;

use js_sys::Function;
use serde::Serialize;
use tsify::Tsify;
use wasm_bindgen::prelude::*;

use super::convert::{JsResult, js_error, json, to_js};
use super::model_source::ModelSource;
use super::{Engine, report_to};
use crate::error::{Error, Result};
use crate::pipeline::{Pipeline, Request, requested_loras};
use crate::text::embedding::Embedding;
use crate::weights::Source;
use crate::weights::lora::{AppliedLora, Lora};

/// Additions that the engine holds; they outlive a model.
#[derive(Default)]
pub(super) struct Additions {
    /// The model's source, to read single weights again.
    source: Option<Rc<dyn Source>>,
    /// The VAE in place of the model's own.
    pub vae: Option<Rc<dyn Source>>,
    loras: Vec<AppliedLora>,
    embeddings: Vec<Rc<Embedding>>,
}

impl Additions {
    /// Keeps what fits the model that was loaded from `source`; drops the rest.
    pub fn apply_to(&mut self, pipeline: &mut Rc<Pipeline>, source: Rc<dyn Source>) {
        self.source = Some(source);
        self.loras.retain(|lora| pipeline.check_lora(lora).is_ok());
        let fits = |word: &Rc<Embedding>| pipeline.set_embeddings(&[word.clone()]).is_ok();
        self.embeddings.retain(fits);
        if let Err(error) = pipeline.set_embeddings(&self.embeddings) {
            log::warn!("{error}");
            self.embeddings.clear();
        }
    }

    fn source(&self) -> Result<Rc<dyn Source>> {
        let source = self.source.clone();
        source.ok_or_else(|| Error::request("model", "none", "a loaded model"))
    }
}

/// A LoRA of the engine.
#[derive(Serialize, Tsify)]
pub struct LoraInfo<'a> {
    /// Name in prompts: `<lora:name:0.8>`.
    name: &'a str,
    /// Weight in the U-Net.
    unet: f32,
    /// Weight in the text encoder.
    text_encoder: f32,
    /// Bytes of its tensors.
    bytes: u64,
    /// Warnings about its file.
    warnings: &'a [String],
}

impl<'a> LoraInfo<'a> {
    fn of(applied: &'a AppliedLora) -> Self {
        LoraInfo {
            name: applied.lora.name(),
            unet: applied.unet,
            text_encoder: applied.text_encoder,
            bytes: applied.lora.bytes(),
            warnings: applied.lora.warnings(),
        }
    }
}

/// A learned word of the engine.
#[derive(Serialize, Tsify)]
pub struct EmbeddingInfo<'a> {
    /// Names in prompts.
    names: &'a [String],
    /// Tokens that it takes.
    vectors: usize,
    /// Elements of a vector: 768 for Stable Diffusion 1.x, 1024 for 2.x.
    width: usize,
}

impl<'a> EmbeddingInfo<'a> {
    fn of(word: &'a Rc<Embedding>) -> Self {
        EmbeddingInfo {
            names: word.names(),
            vectors: word.vectors(),
            width: word.width(),
        }
    }
}

#[wasm_bindgen]
impl Engine {
    /// Adds a LoRA, a single file, with its weights; one of the same name goes. It is merged by
    /// `prepare`.
    #[wasm_bindgen(js_name = addLora, unchecked_return_type = "LoraInfo")]
    pub async fn add_lora(
        &mut self,
        name: String,
        source: ModelSource,
        unet: f32,
        text_encoder: f32,
    ) -> JsResult<JsValue> {
        let lora = Lora::open(&name, Rc::new(source)).await.map_err(js_error)?;
        let applied = AppliedLora {
            lora: Rc::new(lora),
            unet,
            text_encoder,
        };
        if let Some(pipeline) = &self.pipeline {
            pipeline.check_lora(&applied).map_err(js_error)?;
        }
        let info = to_js(&LoraInfo::of(&applied))?;
        self.additions
            .loras
            .retain(|other| other.lora.name() != name);
        self.additions.loras.push(applied);
        Ok(info)
    }

    /// Changes the weights of a LoRA. It is merged by `prepare`.
    #[wasm_bindgen(js_name = setLora)]
    pub fn set_lora(&mut self, name: &str, unet: f32, text_encoder: f32) -> JsResult<()> {
        let mut loras = self.additions.loras.iter_mut();
        let lora = loras.find(|applied| applied.lora.name() == name);
        let lora = lora.ok_or_else(|| unknown("lora", name))?;
        (lora.unet, lora.text_encoder) = (unet, text_encoder);
        Ok(())
    }

    /// Removes a LoRA. It is taken out of the model by `prepare`.
    #[wasm_bindgen(js_name = removeLora)]
    pub fn remove_lora(&mut self, name: &str) {
        self.additions
            .loras
            .retain(|applied| applied.lora.name() != name);
    }

    /// All LoRAs.
    #[wasm_bindgen(unchecked_return_type = "LoraInfo[]")]
    pub fn loras(&self) -> JsResult<JsValue> {
        let loras: Vec<_> = self.additions.loras.iter().map(LoraInfo::of).collect();
        to_js(&loras)
    }

    /// Merges the LoRAs with their weights, or with those that the request's prompt names, and
    /// takes out what was merged before. To be called before `start`. `progress` is called as by
    /// `load`, if any weights change.
    pub async fn prepare(
        &mut self,
        #[wasm_bindgen(unchecked_param_type = "Request")] request: JsValue,
        #[wasm_bindgen(
            unchecked_param_type = "(done: number, total: number, part: string) => void"
        )]
        progress: Function,
    ) -> JsResult<()> {
        let request = json(&request).and_then(|text| Request::from_json(&text));
        let request = request.map_err(js_error)?;
        let loras = requested_loras(
            &request.prompt,
            request.prompt_syntax,
            &self.additions.loras,
        );
        let source = self.additions.source().map_err(js_error)?;
        let pipeline = self.pipeline.as_mut().ok_or_else(no_model)?;
        let mut progress = report_to(progress);
        let set = pipeline.set_loras(&*source, &loras, &mut progress);
        set.await.map_err(js_error)
    }

    /// Adds a learned word, a single file. Without a name prompts call it by the file's name or by
    /// the name in the file.
    #[wasm_bindgen(js_name = addEmbedding, unchecked_return_type = "EmbeddingInfo")]
    pub async fn add_embedding(
        &mut self,
        #[wasm_bindgen(unchecked_param_type = "string | null")] name: Option<String>,
        source: ModelSource,
    ) -> JsResult<JsValue> {
        let word = Embedding::open(name.as_deref(), &source)
            .await
            .map_err(js_error)?;
        let word = Rc::new(word);
        let mut embeddings = self.additions.embeddings.clone();
        embeddings.retain(|other| other.names() != word.names());
        embeddings.push(word.clone());
        if let Some(pipeline) = &mut self.pipeline {
            pipeline.set_embeddings(&embeddings).map_err(js_error)?;
        }
        self.additions.embeddings = embeddings;
        to_js(&EmbeddingInfo::of(&word))
    }

    /// Removes the learned word that has this name.
    #[wasm_bindgen(js_name = removeEmbedding)]
    pub fn remove_embedding(&mut self, name: &str) -> JsResult<()> {
        let other = |word: &Rc<Embedding>| !word.names().iter().any(|own| own == name);
        self.additions.embeddings.retain(other);
        match &mut self.pipeline {
            Some(pipeline) => pipeline
                .set_embeddings(&self.additions.embeddings)
                .map_err(js_error),
            None => Ok(()),
        }
    }

    /// All learned words.
    #[wasm_bindgen(unchecked_return_type = "EmbeddingInfo[]")]
    pub fn embeddings(&self) -> JsResult<JsValue> {
        let words: Vec<_> = self
            .additions
            .embeddings
            .iter()
            .map(EmbeddingInfo::of)
            .collect();
        to_js(&words)
    }

    /// Puts a VAE, a file or a folder, in place of the present one; null restores the model's own.
    /// Before a model is loaded, it is kept for it. Returns warnings.
    #[wasm_bindgen(js_name = setVae, unchecked_return_type = "string[]")]
    pub async fn set_vae(
        &mut self,
        #[wasm_bindgen(unchecked_param_type = "ModelSource | null")] vae: Option<ModelSource>,
        #[wasm_bindgen(
            unchecked_param_type = "(done: number, total: number, part: string) => void"
        )]
        progress: Function,
    ) -> JsResult<JsValue> {
        let vae = vae.map(|vae| Rc::new(vae) as Rc<dyn Source>);
        let mut warnings = Vec::new();
        if let Some(pipeline) = &mut self.pipeline {
            let source = self.additions.source().map_err(js_error)?;
            let mut progress = report_to(progress);
            let set = pipeline.set_vae(&*source, vae.as_deref(), &mut progress);
            warnings = set.await.map_err(js_error)?;
        }
        self.additions.vae = vae;
        to_js(&warnings)
    }
}

fn no_model() -> JsValue {
    js_error(Error::request("model", "none", "a loaded model"))
}

fn unknown(kind: &str, name: &str) -> JsValue {
    js_error(Error::request(kind, name, "one that was added"))
}
