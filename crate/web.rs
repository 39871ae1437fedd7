//! The engine for JavaScript: the only module that knows wasm-bindgen. `www/worker.js` is its only user.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use js_sys::{Function, Promise, Uint8Array, Uint8ClampedArray};
use serde::Serialize;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::device::memory::MemoryPlan;
use crate::device::tuning;
use crate::device::{DeviceLog, Precision, Runtime};
use crate::error::{Error, Result};
use crate::model::PredictionSetting;
use crate::pipeline::{Generation, LoadOptions, Picture, Pipeline, Request};
use crate::text::tokenizer::LongPrompt;
use crate::weights::load::LoadProgress;
use crate::weights::source::{Source, SourceFuture};

unsafe extern "C" {
    fn __wasm_call_ctors();
}

/// Runs the module's constructors, once. Without this reference to them the linker makes every call from JavaScript run
/// all of them again: 5.7 ms a call instead of 0.009 ms.
#[wasm_bindgen(start)]
fn start() {
    unsafe { __wasm_call_ctors() };
    console_error_panic_hook::set_once();
    let _ = log::set_logger(&LOGGER);
    log::set_max_level(log::LevelFilter::Warn);
}

static LOGGER: DeviceLog<Console> = DeviceLog(Console);

/// The browser's console, for warnings and errors.
struct Console;

impl log::Log for Console {
    fn enabled(&self, metadata: &log::Metadata) -> bool {
        metadata.level() <= log::Level::Warn
    }

    fn log(&self, record: &log::Record) {
        let text = format!("{}: {}", record.target(), record.args()).into();
        match record.level() {
            log::Level::Error => web_sys::console::error_1(&text),
            _ => web_sys::console::warn_1(&text),
        }
    }

    fn flush(&self) {}
}

/// An `Error` object with the message a person should read, its `kind`, and the `path` of the file
/// it is about, where there is one. JavaScript decides by these, never by the message.
fn js_error(error: Error) -> JsValue {
    let (kind, path) = match &error {
        Error::Request { .. } => ("request", None),
        Error::Config { file, .. } => ("config", Some(file)),
        Error::File { path, .. } => ("file", Some(path)),
        Error::Fetch { address, .. } => ("fetch", Some(address)),
        Error::Device(_) => ("device", None),
        Error::Numeric(_) => ("numeric", None),
    };
    let object = js_sys::Error::new(&error.to_string());
    let set = |name: &str, value: &str| {
        // Setting a property of a new object does not fail.
        let _ = js_sys::Reflect::set(&object, &name.into(), &value.into());
    };
    set("kind", kind);
    if let Some(path) = path {
        set("path", path);
    }
    object.into()
}

/// The message of whatever JavaScript threw.
fn message(thrown: &JsValue) -> String {
    thrown
        .dyn_ref::<js_sys::Error>()
        .map(|e| String::from(e.message()))
        .or_else(|| thrown.as_string())
        .unwrap_or_else(|| format!("{thrown:?}"))
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::numeric(format!("writing JSON: {e}")))
}

#[wasm_bindgen(typescript_custom_section)]
const MODEL_SOURCE: &str = r#"
/** A model that can be read in pieces: a folder in diffusers' layout, paths relative to it, with "/"; or a single file. */
export interface ModelSource {
    /**
     * The path of the checkpoint, where the model is a single file. Beside that path, such a source has only
     * "tokenizer/vocab.json" and "tokenizer/merges.txt", the CLIP vocabulary; size() is null for all others.
     */
    checkpoint?(): string | null;
    /** Size in bytes, or null where there is no such file. */
    size(path: string): Promise<number | null>;
    /** Exactly the bytes from start to before end. */
    read(path: string, start: number, end: number): Promise<Uint8Array>;
    /**
     * Called before the first byte of weights is read: JSON of the ranges that will be, in this order,
     * [[path, start, end], …]. What takes time to fetch can be fetched ahead, and nothing else is.
     */
    plan?(ranges: string): Promise<void>;
    /** The address to show a person for a path. */
    describe?(path: string): string;
}
"#;

#[wasm_bindgen]
extern "C" {
    /// `ModelSource` of `www/weights.js`.
    #[wasm_bindgen(typescript_type = "ModelSource")]
    pub type ModelSource;

    #[wasm_bindgen(method, catch)]
    fn size(this: &ModelSource, path: &str) -> std::result::Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn read(
        this: &ModelSource,
        path: &str,
        start: f64,
        end: f64,
    ) -> std::result::Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn plan(this: &ModelSource, ranges: &str) -> std::result::Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn describe(this: &ModelSource, path: &str) -> std::result::Result<String, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn checkpoint(this: &ModelSource) -> std::result::Result<Option<String>, JsValue>;
}

impl Source for ModelSource {
    fn checkpoint(&self) -> Option<String> {
        // A source without this method is a folder.
        ModelSource::checkpoint(self).unwrap_or(None)
    }

    fn size<'a>(&'a self, path: &'a str) -> SourceFuture<'a, Option<u64>> {
        Box::pin(async move {
            let fail = |e: JsValue| Error::fetch(self.describe_file(path), message(&e));
            let promise = ModelSource::size(self, path).map_err(fail)?;
            let value = JsFuture::from(promise).await.map_err(fail)?;
            Ok(value.as_f64().map(|size| size as u64))
        })
    }

    fn read<'a>(&'a self, path: &'a str, range: Range<u64>) -> SourceFuture<'a, Vec<u8>> {
        Box::pin(async move {
            let fail = |e: JsValue| Error::fetch(self.describe_file(path), message(&e));
            let (start, end) = (range.start as f64, range.end as f64);
            let promise = ModelSource::read(self, path, start, end).map_err(fail)?;
            let value = JsFuture::from(promise).await.map_err(fail)?;
            // As it is: `Uint8Array::new` would copy it on JavaScript's side first.
            let bytes: Uint8Array = value.dyn_into().map_err(fail)?;
            Ok(bytes.to_vec())
        })
    }

    fn plan<'a>(&'a self, ranges: &'a [(&'a str, Range<u64>)]) -> SourceFuture<'a, ()> {
        Box::pin(async move {
            if !js_sys::Reflect::has(self, &"plan".into()).unwrap_or(false) {
                return Ok(());
            }
            let path = ranges.first().map_or("", |range| range.0);
            let fail = |e: JsValue| Error::fetch(self.describe_file(path), message(&e));
            let triples: Vec<_> = ranges
                .iter()
                .map(|(path, range)| (*path, range.start, range.end))
                .collect();
            let promise = ModelSource::plan(self, &json(&triples)?).map_err(fail)?;
            JsFuture::from(promise).await.map_err(fail).map(drop)
        })
    }

    fn describe(&self, path: &str) -> String {
        self.describe_file(path)
    }
}

impl ModelSource {
    fn describe_file(&self, path: &str) -> String {
        ModelSource::describe(self, path).unwrap_or_else(|_| path.to_string())
    }
}

/// The engine's version.
#[wasm_bindgen]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").into()
}

/// A device and, once loaded, a model on it.
#[wasm_bindgen]
pub struct Engine {
    runtime: Runtime,
    pipeline: Option<Rc<Pipeline>>,
}

#[wasm_bindgen]
impl Engine {
    /// An engine on the "gpu" or on the "cpu".
    pub async fn create(kind: String) -> std::result::Result<Engine, JsValue> {
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
        })
    }

    /// A small known computation; fails where the device gets it wrong.
    #[wasm_bindgen(js_name = selfTest)]
    pub async fn self_test(&self) -> std::result::Result<(), JsValue> {
        self.runtime.self_test().await.map_err(js_error)
    }

    /// Chooses how the GPU's kernels divide their work. `wish` is "auto", "measure" or a preset's name; `remembered`, the
    /// preset of an earlier choice on this adapter. JSON `{preset, how, timings: [{preset, seconds, rounds}]}`, `how` being
    /// "asked", "table", "remembered" or "measured"; null on the CPU.
    pub async fn tune(
        &mut self,
        wish: String,
        remembered: Option<String>,
    ) -> std::result::Result<String, JsValue> {
        let wish = wish.parse().map_err(js_error)?;
        let choice = tuning::choose(&mut self.runtime, &wish, remembered.as_deref()).await;
        choice.and_then(|choice| json(&choice)).map_err(js_error)
    }

    /// Loads a model; `progress(doneBytes, totalBytes, part)` is called on the way. `prediction` is "auto" (also where it
    /// is left out), "epsilon" or "v": what the U-Net predicts. `plan(json)` is called once before the weights are read:
    /// JSON `{weights, activations, scratch, decode, host, total, largest_buffer, buffer_limit, width, height, tiled,
    /// tensors}`, all bytes but the last four; see the crate's `memory::Plan`.
    pub async fn load(
        &mut self,
        source: ModelSource,
        progress: Function,
        prediction: Option<String>,
        plan: Option<Function>,
    ) -> std::result::Result<(), JsValue> {
        let prediction = prediction.map_or(Ok(PredictionSetting::Auto), |name| name.parse());
        let prediction = prediction.map_err(js_error)?;
        // Out first: two models in memory at once may be one too many.
        self.pipeline = None;
        let on_plan = move |memory: &MemoryPlan| {
            if let (Some(plan), Ok(text)) = (&plan, json(memory)) {
                let _ = plan.call1(&JsValue::NULL, &text.into());
            }
        };
        let on_progress = move |p: LoadProgress<'_>| {
            let _ = progress.call3(
                &JsValue::NULL,
                &(p.done as f64).into(),
                &(p.total as f64).into(),
                &p.part.into(),
            );
        };
        let options = LoadOptions {
            prediction,
            on_plan: Box::new(on_plan),
            on_progress: Box::new(on_progress),
        };
        let pipeline = Pipeline::load(&source, &self.runtime, options).await;
        self.pipeline = Some(pipeline.map_err(js_error)?);
        Ok(())
    }

    /// JSON `{reserved, in_use}`: bytes in the device's memory pools now; null on the CPU.
    pub fn memory(&self) -> std::result::Result<String, JsValue> {
        json(&self.runtime.memory()).map_err(js_error)
    }

    /// JSON: the plan, as `load` hands it on, for pictures of this size with the loaded model.
    pub fn plan(&self, width: usize, height: usize) -> std::result::Result<String, JsValue> {
        self.loaded()
            .and_then(|pipeline| json(&pipeline.memory_plan(width, height)))
            .map_err(js_error)
    }

    /// JSON: the model's defaults and limits.
    #[wasm_bindgen(js_name = modelInfo)]
    pub fn model_info(&self) -> std::result::Result<String, JsValue> {
        self.loaded()
            .and_then(|pipeline| json(&pipeline.info()?))
            .map_err(js_error)
    }

    /// JSON `{count, limit, cut}`: tokens of `text`, how many the model reads in one chunk, and what lies beyond them.
    #[wasm_bindgen(js_name = countTokens)]
    pub fn count_tokens(&self, text: &str) -> std::result::Result<String, JsValue> {
        #[derive(Serialize)]
        struct Count {
            count: usize,
            limit: usize,
            cut: Option<String>,
        }
        let count = || {
            let tokenizer = self.loaded()?.tokenizer();
            let tokens = tokenizer.encode(text, LongPrompt::Truncate)?;
            json(&Count {
                count: tokens.count,
                limit: tokenizer.max_length() - 2,
                cut: tokens.cut,
            })
        };
        count().map_err(js_error)
    }

    /// Begins a picture; `request` is JSON with the fields of the crate's `Request`.
    pub async fn start(&self, request: String) -> std::result::Result<Run, JsValue> {
        let generation = async {
            let request = Request::from_json(&request)?;
            self.loaded()?.start(&request).await
        };
        let generation = generation.await.map_err(js_error)?;
        Ok(Run {
            calls: generation.calls(),
            generation: RefCell::new(generation),
        })
    }

    /// JSON: what the engine runs on, `{name, software, dtype}`.
    pub fn device(&self) -> std::result::Result<String, JsValue> {
        #[derive(Serialize)]
        struct About<'a> {
            name: &'a str,
            software: bool,
            dtype: String,
        }
        json(&About {
            name: &self.runtime.name,
            software: self.runtime.software,
            dtype: format!("{:?}", self.runtime.dtype).to_lowercase(),
        })
        .map_err(js_error)
    }

    fn loaded(&self) -> Result<&Rc<Pipeline>> {
        self.pipeline
            .as_ref()
            .ok_or_else(|| Error::request("model", "none", "a loaded model"))
    }
}

/// A picture in the making; the caller owns the loop.
#[wasm_bindgen]
pub struct Run {
    generation: RefCell<Generation>,
    /// U-Net calls in all.
    #[wasm_bindgen(readonly)]
    pub calls: usize,
}

#[wasm_bindgen]
impl Run {
    /// JSON array of what the user should know about the request; steps and decoding may add to it.
    pub fn warnings(&self) -> std::result::Result<String, JsValue> {
        json(&self.generation.borrow().warnings()).map_err(js_error)
    }

    /// The sampler in use.
    #[wasm_bindgen(getter)]
    pub fn sampler(&self) -> String {
        self.generation.borrow().sampler().name().into()
    }

    /// One U-Net call; JSON `{call, calls, timestep, sigma, done, restarted}`. Where `restarted` is true, the run has begun
    /// anew with this call, in another precision, and the last of `warnings` says why.
    #[allow(clippy::await_holding_refcell_ref)] // A second call while one is under way is the caller's error; it gets a message.
    pub async fn step(&self) -> std::result::Result<String, JsValue> {
        let mut generation = self.generation.try_borrow_mut().map_err(busy)?;
        let progress = generation.step().await.map_err(js_error)?;
        json(&progress).map_err(js_error)
    }

    /// A rough picture, one pixel for each latent position.
    pub fn preview(&self) -> std::result::Result<Pixels, JsValue> {
        let generation = self.generation.try_borrow().map_err(busy)?;
        Ok(generation.preview().into())
    }

    /// Decodes the latent into the picture.
    #[allow(clippy::await_holding_refcell_ref)] // As above.
    pub async fn finish(&self) -> std::result::Result<Pixels, JsValue> {
        let mut generation = self.generation.try_borrow_mut().map_err(busy)?;
        Ok(generation.finish().await.map_err(js_error)?.into())
    }
}

fn busy(_: impl std::error::Error) -> JsValue {
    js_sys::Error::new("this generation is still at its last step").into()
}

/// A picture's pixels.
#[wasm_bindgen]
pub struct Pixels {
    /// Pixels across.
    #[wasm_bindgen(readonly)]
    pub width: usize,
    /// Pixels down.
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
