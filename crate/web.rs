//! The engine for JavaScript: the only module that knows wasm-bindgen. Its only caller is
//! `www/engine/worker.js`.

mod additions;
mod console;
mod convert;
mod inspect;
mod model_source;
mod sha256;

use std::cell::RefCell;
use std::rc::Rc;

use js_sys::{Function, Uint8ClampedArray};
use serde::Serialize;
use tsify::Tsify;
use wasm_bindgen::prelude::*;

use crate::device::memory::MemoryPlan;
use crate::device::tuning;
use crate::device::{Precision, Runtime};
use crate::error::{Error, Result};
use crate::model::PredictionSetting;
use crate::pipeline::{Generation, LoadOptions, Picture, Pipeline, Request};
use crate::text::prompt::layout::{LayoutOptions, layout};
use crate::text::tokenizer::LongPrompt;
use crate::weights::Source;
use crate::weights::load::LoadProgress;
use additions::Additions;
use convert::{JsResult, js_error, json, to_js};
use model_source::ModelSource;

unsafe extern "C" {
    fn __wasm_call_ctors();
}

/// Runs the module's constructors, once. Without this reference the linker makes every call from
/// JavaScript run all of them again: 5.7 ms a call instead of 0.009 ms.
#[wasm_bindgen(start)]
fn start() {
    unsafe { __wasm_call_ctors() };
    console::install();
}

/// The engine's version.
#[wasm_bindgen]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").into()
}

/// Number of a text's tokens.
#[derive(Serialize, Tsify)]
pub struct TokenCount {
    /// Content tokens of the text.
    count: usize,
    /// Content tokens that the model reads in one chunk.
    limit: usize,
    /// The text beyond the first chunk, or null.
    #[tsify(type = "string | null")]
    cut: Option<String>,
}

/// The device that the engine runs on.
#[derive(Serialize, Tsify)]
pub struct DeviceInfo<'a> {
    /// The adapter's name, or "CPU".
    name: &'a str,
    /// True when a CPU imitates the adapter.
    software: bool,
    /// Element type of activations: "f32" or "f16".
    dtype: String,
}

/// A device and, once loaded, a model on it.
#[wasm_bindgen]
pub struct Engine {
    runtime: Runtime,
    pipeline: Option<Rc<Pipeline>>,
    additions: Additions,
}

#[wasm_bindgen]
impl Engine {
    /// Creates an engine on the "gpu" or on the "cpu".
    pub async fn create(kind: String) -> JsResult<Engine> {
        let runtime = match kind.as_str() {
            "gpu" => Runtime::gpu(Precision::Auto, false).await,
            "cpu" => Runtime::cpu(Precision::Auto, false),
            #[cfg(feature = "stock")]
            "stock" => Runtime::gpu(Precision::Auto, true).await,
            other => Err(Error::request("device", other, "gpu or cpu")),
        };
        Ok(Engine {
            runtime: runtime.map_err(js_error)?,
            pipeline: None,
            additions: Additions::default(),
        })
    }

    /// Checks the device by a small computation of known result.
    #[wasm_bindgen(js_name = selfTest)]
    pub async fn self_test(&self) -> JsResult<()> {
        self.runtime.self_test().await.map_err(js_error)
    }

    /// Chooses the tiling of GPU kernels. `choice` is "auto", "measure" or a tiling's name;
    /// `cached` is the tiling that was measured on this adapter before. Null on the CPU.
    #[wasm_bindgen(unchecked_return_type = "ChosenTiling | null")]
    pub async fn tune(&mut self, choice: String, cached: Option<String>) -> JsResult<JsValue> {
        let choice = choice.parse().map_err(js_error)?;
        let chosen = tuning::choose(&mut self.runtime, &choice, cached.as_deref()).await;
        to_js(&chosen.map_err(js_error)?)
    }

    /// Loads a model. `progress` is called before each few megabytes, with bytes done, bytes in all
    /// and the part being read. `prediction` is "auto" (the default), "epsilon" or "v". `plan` is
    /// called once before the weights are read. LoRAs and learned words stay if they fit the model.
    pub async fn load(
        &mut self,
        source: ModelSource,
        #[wasm_bindgen(
            unchecked_param_type = "(done: number, total: number, part: string) => void"
        )]
        progress: Function,
        #[wasm_bindgen(unchecked_optional_param_type = "string")] prediction: Option<String>,
        #[wasm_bindgen(unchecked_optional_param_type = "(plan: MemoryPlan) => void")] plan: Option<
            Function,
        >,
    ) -> JsResult<()> {
        let prediction = prediction.map_or(Ok(PredictionSetting::Auto), |name| name.parse());
        let prediction = prediction.map_err(js_error)?;
        // The old model goes first: memory may not hold two.
        self.pipeline = None;
        let on_plan = move |memory: &MemoryPlan| {
            if let (Some(plan), Ok(memory)) = (&plan, to_js(memory)) {
                let _ = plan.call1(&JsValue::NULL, &memory);
            }
        };
        let on_progress = report_to(progress);
        let vae = self.additions.vae.clone();
        let options = LoadOptions {
            prediction,
            size: [None; 2],
            vae: vae.as_deref(),
            loras: Vec::new(),
            on_plan: Box::new(on_plan),
            on_progress: Box::new(on_progress),
        };
        let source: Rc<dyn Source> = Rc::new(source);
        let pipeline = Pipeline::load(&*source, &self.runtime, options).await;
        let mut pipeline = pipeline.map_err(js_error)?;
        self.additions.apply_to(&mut pipeline, source);
        self.pipeline = Some(pipeline);
        Ok(())
    }

    /// Present use of the device's memory pools; null on the CPU.
    #[wasm_bindgen(unchecked_return_type = "InUse | null")]
    pub fn memory(&self) -> JsResult<JsValue> {
        to_js(&self.runtime.memory())
    }

    /// The memory plan for pictures of this size with the loaded model.
    #[wasm_bindgen(js_name = memoryPlan, unchecked_return_type = "MemoryPlan")]
    pub fn memory_plan(&self, width: usize, height: usize) -> JsResult<JsValue> {
        to_js(&self.loaded()?.memory_plan(width, height))
    }

    /// The model's defaults and limits.
    #[wasm_bindgen(js_name = modelInfo, unchecked_return_type = "ModelInfo")]
    pub fn model_info(&self) -> JsResult<JsValue> {
        to_js(&self.loaded()?.info().map_err(js_error)?)
    }

    /// Counts the tokens of `text`.
    #[wasm_bindgen(js_name = countTokens, unchecked_return_type = "TokenCount")]
    pub fn count_tokens(&self, text: &str) -> JsResult<JsValue> {
        let tokenizer = self.loaded()?.tokenizer();
        let tokens = tokenizer.encode(text, LongPrompt::Truncate);
        let tokens = tokens.map_err(js_error)?;
        to_js(&TokenCount {
            count: tokens.count,
            limit: tokenizer.max_length() - 2,
            cut: tokens.cut,
        })
    }

    /// Finds the place of everything in a prompt, in UTF-16 code units. `syntax` and `emphasis` are
    /// those of `Request`; in a negative prompt `AND` and tags are text.
    #[wasm_bindgen(js_name = promptLayout, unchecked_return_type = "PromptLayout")]
    pub fn prompt_layout(
        &self,
        text: &str,
        syntax: &str,
        emphasis: &str,
        steps: usize,
        negative: bool,
    ) -> JsResult<JsValue> {
        let pipeline = self.loaded()?;
        let layout = || {
            let options = LayoutOptions {
                syntax: syntax.parse()?,
                emphasis: emphasis.parse()?,
                steps,
                negative,
            };
            layout(text, options, pipeline.tokenizer())
        };
        to_js(&layout().map_err(js_error)?)
    }

    /// Starts a picture.
    pub async fn start(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Request")] request: JsValue,
    ) -> JsResult<Run> {
        let generation = async {
            let request = Request::from_json(&json(&request)?)?;
            self.loaded_pipeline()?.start(&request).await
        };
        let generation = generation.await.map_err(js_error)?;
        Ok(Run {
            calls: generation.calls(),
            generation: RefCell::new(generation),
        })
    }

    /// The device that the engine runs on.
    #[wasm_bindgen(unchecked_return_type = "DeviceInfo")]
    pub fn device(&self) -> JsResult<JsValue> {
        to_js(&DeviceInfo {
            name: &self.runtime.name,
            software: self.runtime.software,
            dtype: format!("{:?}", self.runtime.dtype).to_lowercase(),
        })
    }

    fn loaded(&self) -> JsResult<&Rc<Pipeline>> {
        self.loaded_pipeline().map_err(js_error)
    }

    fn loaded_pipeline(&self) -> Result<&Rc<Pipeline>> {
        self.pipeline
            .as_ref()
            .ok_or_else(|| Error::request("model", "none", "a loaded model"))
    }
}

/// A function that passes the progress of reading weights to `progress`.
fn report_to(progress: Function) -> impl FnMut(LoadProgress<'_>) {
    move |p| {
        let (done, total) = (p.done as f64, p.total as f64);
        let _ = progress.call3(&JsValue::NULL, &done.into(), &total.into(), &p.part.into());
    }
}

/// A [`Generation`] in JavaScript's hands; the caller owns the loop.
#[wasm_bindgen(js_name = Generation)]
pub struct Run {
    generation: RefCell<Generation>,
    /// U-Net calls in all.
    #[wasm_bindgen(readonly)]
    pub calls: usize,
}

#[wasm_bindgen(js_class = Generation)]
impl Run {
    /// Warnings about the request; steps and decoding may add to them.
    #[wasm_bindgen(unchecked_return_type = "string[]")]
    pub fn warnings(&self) -> JsResult<JsValue> {
        to_js(&self.generation.borrow().warnings())
    }

    /// The sampler in use: a name of `ModelInfo.samplers`.
    #[wasm_bindgen(getter)]
    pub fn sampler(&self) -> String {
        self.generation.borrow().sampler_name().into()
    }

    /// The schedule type in use: a name of `ModelInfo.schedules`.
    #[wasm_bindgen(getter)]
    pub fn schedule(&self) -> String {
        self.generation.borrow().schedule().name().into()
    }

    /// Makes one U-Net call. Where `restarted` is true, the run started again with this call in
    /// another precision, and the last of `warnings` says why.
    #[wasm_bindgen(unchecked_return_type = "Progress")]
    // A second call while one is under way is the caller's error; it gets a message.
    #[allow(clippy::await_holding_refcell_ref)]
    pub async fn step(&self) -> JsResult<JsValue> {
        let mut generation = self.generation.try_borrow_mut().map_err(busy)?;
        to_js(&generation.step().await.map_err(js_error)?)
    }

    /// A rough picture, one pixel for each latent position.
    pub fn preview(&self) -> JsResult<Pixels> {
        let generation = self.generation.try_borrow().map_err(busy)?;
        Ok(generation.preview().into())
    }

    /// Decodes the latent into the picture.
    #[allow(clippy::await_holding_refcell_ref)] // See `step`.
    pub async fn finish(&self) -> JsResult<Pixels> {
        let mut generation = self.generation.try_borrow_mut().map_err(busy)?;
        Ok(generation.finish().await.map_err(js_error)?.into())
    }
}

fn busy(_: impl std::error::Error) -> JsValue {
    js_error(Error::request(
        "generation",
        "a second call during a step",
        "one call at a time",
    ))
}

/// A picture's pixels.
#[wasm_bindgen]
pub struct Pixels {
    /// Width in pixels.
    #[wasm_bindgen(readonly)]
    pub width: usize,
    /// Height in pixels.
    #[wasm_bindgen(readonly)]
    pub height: usize,
    rgba: Vec<u8>,
}

#[wasm_bindgen]
impl Pixels {
    /// Red, green, blue, alpha of every pixel, row by row.
    #[wasm_bindgen(getter)]
    pub fn rgba(&self) -> Uint8ClampedArray {
        Uint8ClampedArray::from(self.rgba.as_slice())
    }
}

impl From<Picture> for Pixels {
    fn from(picture: Picture) -> Self {
        Pixels {
            width: picture.width,
            height: picture.height,
            rgba: picture.rgba,
        }
    }
}
