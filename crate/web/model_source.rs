//! A model source written in JavaScript.

use std::ops::Range;

use js_sys::{Array, Promise, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use super::convert::{JsResult, message};
use crate::error::Error;
use crate::weights::source::{Source, SourceFuture};

#[wasm_bindgen(typescript_custom_section)]
const MODEL_SOURCE: &str = r#"
/** A model that can be read in ranges: a folder in diffusers' layout, with paths relative to it and
 * "/" between their parts; or a single file. */
export interface ModelSource {
    /**
     * The path of the checkpoint, where the model is a single file. Besides it, such a source has
     * only "tokenizer/vocab.json" and "tokenizer/merges.txt", the CLIP vocabulary; size() is null
     * for all other paths.
     */
    checkpoint?(): string | null;
    /** Size in bytes, or null where there is no such file. */
    size(path: string): Promise<number | null>;
    /** Exactly the bytes from start to before end. */
    read(path: string, start: number, end: number): Promise<Uint8Array>;
    /**
     * Called before the first byte of weights is read, with all ranges that will be, in this order:
     * a source may fetch them ahead.
     */
    announce?(ranges: [path: string, start: number, end: number][]): Promise<void>;
    /** The address to show a person for a path. */
    describe?(path: string): string;
}

/** An error of the engine. */
export interface EngineError extends Error {
    kind: "request" | "config" | "file" | "fetch" | "device" | "numeric";
    /** Path or address of the file, for the kinds config, file and fetch. */
    path?: string;
}
"#;

#[wasm_bindgen]
extern "C" {
    /// The interface `ModelSource`.
    #[wasm_bindgen(typescript_type = "ModelSource")]
    pub type ModelSource;

    #[wasm_bindgen(method, catch)]
    fn size(this: &ModelSource, path: &str) -> JsResult<Promise>;

    #[wasm_bindgen(method, catch)]
    fn read(this: &ModelSource, path: &str, start: f64, end: f64) -> JsResult<Promise>;

    #[wasm_bindgen(method, catch)]
    fn announce(this: &ModelSource, ranges: &Array) -> JsResult<Promise>;

    #[wasm_bindgen(method, catch)]
    fn describe(this: &ModelSource, path: &str) -> JsResult<String>;

    #[wasm_bindgen(method, catch)]
    fn checkpoint(this: &ModelSource) -> JsResult<Option<String>>;
}

impl Source for ModelSource {
    fn checkpoint(&self) -> Option<String> {
        // A source without this method is a folder.
        ModelSource::checkpoint(self).unwrap_or(None)
    }

    fn size<'a>(&'a self, path: &'a str) -> SourceFuture<'a, Option<u64>> {
        Box::pin(async move {
            let fail = |e: JsValue| Error::fetch(self.address(path), message(&e));
            let promise = ModelSource::size(self, path).map_err(fail)?;
            let value = JsFuture::from(promise).await.map_err(fail)?;
            Ok(value.as_f64().map(|size| size as u64))
        })
    }

    fn read<'a>(&'a self, path: &'a str, range: Range<u64>) -> SourceFuture<'a, Vec<u8>> {
        Box::pin(async move {
            let fail = |e: JsValue| Error::fetch(self.address(path), message(&e));
            let (start, end) = (range.start as f64, range.end as f64);
            let promise = ModelSource::read(self, path, start, end).map_err(fail)?;
            let value = JsFuture::from(promise).await.map_err(fail)?;
            // A cast, not `Uint8Array::new`, which would copy the bytes in JavaScript first.
            let bytes: Uint8Array = value.dyn_into().map_err(fail)?;
            Ok(bytes.to_vec())
        })
    }

    fn announce<'a>(&'a self, ranges: &'a [(&'a str, Range<u64>)]) -> SourceFuture<'a, ()> {
        Box::pin(async move {
            if !js_sys::Reflect::has(self, &"announce".into()).unwrap_or(false) {
                return Ok(());
            }
            let path = ranges.first().map_or("", |range| range.0);
            let fail = |e: JsValue| Error::fetch(self.address(path), message(&e));
            let list = Array::new();
            for (path, range) in ranges {
                let (start, end) = (range.start as f64, range.end as f64);
                list.push(&Array::of3(&(*path).into(), &start.into(), &end.into()));
            }
            let promise = ModelSource::announce(self, &list).map_err(fail)?;
            JsFuture::from(promise).await.map_err(fail).map(drop)
        })
    }

    fn describe(&self, path: &str) -> String {
        self.address(path)
    }
}

impl ModelSource {
    fn address(&self, path: &str) -> String {
        ModelSource::describe(self, path).unwrap_or_else(|_| path.to_string())
    }
}
