//! Values that cross between Rust and JavaScript.
//!
//! Structures cross as JSON text, which `JSON.parse` and `JSON.stringify` turn into objects: one
//! path for all types costs fewer bytes of WebAssembly than a conversion for each. Their TypeScript
//! types come from the Rust types by tsify.

use js_sys::{JSON, Reflect};
use serde::Serialize;
use wasm_bindgen::prelude::*;

use crate::error::{Error, Result};

/// `Result` for functions that JavaScript calls.
pub(super) type JsResult<T> = std::result::Result<T, JsValue>;

/// A JavaScript object of `value`.
pub(super) fn to_js(value: &impl Serialize) -> JsResult<JsValue> {
    let text = serde_json::to_string(value)
        .map_err(|e| js_error(Error::numeric(format!("writing JSON: {e}"))))?;
    JSON::parse(&text)
}

/// The JSON text of a JavaScript object.
///
/// # Errors
/// [`Error::Request`] for a value that JSON cannot hold.
pub(super) fn json(value: &JsValue) -> Result<String> {
    JSON::stringify(value).map(String::from).map_err(|e| {
        Error::request(
            "request",
            message(&e),
            "an object with the request's fields",
        )
    })
}

/// An `Error` object with the message, the error's `kind`, and its `path` where there is one.
pub(super) fn js_error(error: Error) -> JsValue {
    let object = js_sys::Error::new(&error.to_string());
    let _ = Reflect::set(&object, &"kind".into(), &error.kind().into());
    if let Some(path) = error.path() {
        let _ = Reflect::set(&object, &"path".into(), &path.into());
    }
    object.into()
}

/// The message of a value that JavaScript threw.
pub(super) fn message(thrown: &JsValue) -> String {
    thrown
        .dyn_ref::<js_sys::Error>()
        .map(|e| String::from(e.message()))
        .or_else(|| thrown.as_string())
        .unwrap_or_else(|| format!("{thrown:?}"))
}
