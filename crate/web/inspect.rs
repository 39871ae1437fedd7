//! Recorded generations for JavaScript.

use js_sys::Float32Array;
use serde::Serialize;
use tsify::Tsify;
use wasm_bindgen::prelude::*;

use super::convert::{JsResult, js_error, to_js};
use super::{Pixels, Run, busy};
use crate::error::Error;
use crate::pipeline::inspect::{Inspection, InspectionPreviews};
use crate::pipeline::token_maps::TokenMaps;

#[wasm_bindgen(typescript_custom_section)]
const ARRAYS: &str = r#"
/** Name of an array of a recorded call. */
export type InspectedArray =
    | "latent" | "positive" | "negative" | "empty" | "guided" | "denoised" | "push";
"#;

#[wasm_bindgen(js_class = Generation)]
impl Run {
    /// Records the calls that follow. Call it before the first step to record all.
    pub fn record(&self) -> JsResult<()> {
        self.generation.try_borrow_mut().map_err(busy)?.record();
        Ok(())
    }

    /// Numbers of the recorded calls, counted from 0.
    #[wasm_bindgen(js_name = recordedCalls, unchecked_return_type = "number[]")]
    pub fn recorded_calls(&self) -> JsResult<JsValue> {
        let generation = self.generation.try_borrow().map_err(busy)?;
        to_js(&generation.recorded_calls())
    }

    /// A recorded call: predictions, numbers, previews.
    #[allow(clippy::await_holding_refcell_ref)] // See `step`.
    pub async fn inspect(&self, call: usize) -> JsResult<InspectedCall> {
        let generation = self.generation.try_borrow_mut().map_err(busy)?;
        let inspection = generation.inspect(call).await.map_err(js_error)?;
        let previews = generation.previews(&inspection);
        Ok(InspectedCall {
            inspection,
            previews,
        })
    }

    /// Adds the prediction for the empty prompt to a recorded call: one more U-Net call.
    #[wasm_bindgen(js_name = recordEmpty)]
    #[allow(clippy::await_holding_refcell_ref)] // See `step`.
    pub async fn record_empty(&self, call: usize) -> JsResult<()> {
        let mut generation = self.generation.try_borrow_mut().map_err(busy)?;
        generation.record_empty(call).await.map_err(js_error)
    }

    /// Decodes the denoised latent of a recorded call.
    #[wasm_bindgen(js_name = decodeCall)]
    #[allow(clippy::await_holding_refcell_ref)] // See `step`.
    pub async fn decode_call(&self, call: usize) -> JsResult<Pixels> {
        let mut generation = self.generation.try_borrow_mut().map_err(busy)?;
        Ok(generation.decode_call(call).await.map_err(js_error)?.into())
    }

    /// Maps of where each token of both prompts acted, as the mean over some recorded calls. Each
    /// costs a U-Net call or a little more.
    #[wasm_bindgen(js_name = tokenMaps)]
    #[allow(clippy::await_holding_refcell_ref)] // See `step`.
    pub async fn token_maps(&self, calls: Vec<usize>) -> JsResult<PromptMaps> {
        let generation = self.generation.try_borrow_mut().map_err(busy)?;
        let maps = generation.token_maps(&calls).await.map_err(js_error)?;
        Ok(PromptMaps(maps))
    }
}

/// A recorded call. Arrays of three dimensions are `[channels, height, width]`.
#[wasm_bindgen]
pub struct InspectedCall {
    inspection: Inspection,
    previews: InspectionPreviews,
}

#[wasm_bindgen]
impl InspectedCall {
    /// Channels of the latent.
    #[wasm_bindgen(getter)]
    pub fn channels(&self) -> usize {
        self.inspection.shape[0]
    }

    /// Height of the latent.
    #[wasm_bindgen(getter)]
    pub fn height(&self) -> usize {
        self.inspection.shape[1]
    }

    /// Width of the latent.
    #[wasm_bindgen(getter)]
    pub fn width(&self) -> usize {
        self.inspection.shape[2]
    }

    /// Numbers that say what the prompts did.
    #[wasm_bindgen(unchecked_return_type = "InspectionScalars")]
    pub fn scalars(&self) -> JsResult<JsValue> {
        to_js(&self.inspection.scalars())
    }

    /// An array: "latent" (before the call), "positive", "negative", "empty", "guided"
    /// (predictions), "denoised" (the latent that the call was heading for), or "push": where
    /// guidance moved that latent, `[height, width]`. Undefined for a prediction that there is not.
    pub fn array(
        &self,
        #[wasm_bindgen(unchecked_param_type = "InspectedArray")] name: &str,
    ) -> JsResult<Option<Float32Array>> {
        let call = &self.inspection;
        let array = |values: &Vec<f32>| Float32Array::from(&values[..]);
        Ok(match name {
            "latent" => Some(array(&call.latent)),
            "positive" => Some(array(&call.positive)),
            "negative" => call.negative.as_ref().map(array),
            "empty" => call.empty.as_ref().map(array),
            "guided" => Some(array(&call.guided)),
            "denoised" => Some(array(&call.denoised(&call.guided))),
            "push" => Some(array(&call.push_map())),
            other => return Err(unknown("array", other, "the name of an array")),
        })
    }

    /// A rough picture, one pixel for each latent position: what the call was heading for by the
    /// prompt ("positive") or the negative prompt ("negative") alone, their "difference" around a
    /// medium grey, and after guidance ("guided"). Undefined without a negative prediction.
    pub fn preview(
        &self,
        #[wasm_bindgen(
            unchecked_param_type = "\"positive\" | \"negative\" | \"difference\" | \"guided\""
        )]
        name: &str,
    ) -> JsResult<Option<Pixels>> {
        let previews = &self.previews;
        let picture = match name {
            "positive" => Some(&previews.positive),
            "negative" => previews.negative.as_ref(),
            "difference" => previews.difference.as_ref(),
            "guided" => Some(&previews.guided),
            other => return Err(unknown("preview", other, "the name of a preview")),
        };
        Ok(picture.map(|picture| picture.clone().into()))
    }
}

fn unknown(field: &str, actual: &str, expected: &str) -> JsValue {
    js_error(Error::request(field, actual, expected))
}

/// Maps of the tokens of both prompts.
#[wasm_bindgen(js_name = TokenMaps)]
pub struct PromptMaps(TokenMaps);

/// The tokens of a prompt.
#[derive(Serialize, Tsify)]
pub struct PromptTokens {
    /// True for the negative prompt.
    negative: bool,
    /// The tokens, in the order of the prompt.
    tokens: Vec<PromptToken>,
}

/// A token of a prompt.
#[derive(Serialize, Tsify)]
pub struct PromptToken {
    /// The token as it was typed.
    text: String,
    /// Index in the prompt, as JavaScript counts letters, at which it begins.
    start: usize,
    /// Index at which it ends.
    end: usize,
}

#[wasm_bindgen(js_class = TokenMaps)]
impl PromptMaps {
    /// Width of a map: the latent's.
    #[wasm_bindgen(getter)]
    pub fn width(&self) -> usize {
        self.0.width
    }

    /// Height of a map: the latent's.
    #[wasm_bindgen(getter)]
    pub fn height(&self) -> usize {
        self.0.height
    }

    /// The tokens of the negative prompt, then of the prompt; or of the prompt alone.
    #[wasm_bindgen(unchecked_return_type = "PromptTokens[]")]
    pub fn branches(&self) -> JsResult<JsValue> {
        let branches = self.0.branches.iter().map(|branch| {
            let index = |byte: usize| branch.prompt[..byte].encode_utf16().count();
            let tokens = branch.tokens.iter().map(|token| PromptToken {
                text: token.text.clone(),
                start: index(token.span.start),
                end: index(token.span.end),
            });
            PromptTokens {
                negative: branch.negative,
                tokens: tokens.collect(),
            }
        });
        to_js(&branches.collect::<Vec<_>>())
    }

    /// The map of a token: the mean attention probability at each latent position, `[height,
    /// width]`. Undefined where there is no such token.
    pub fn map(&self, branch: usize, token: usize) -> Option<Float32Array> {
        let token = self.0.branches.get(branch)?.tokens.get(token)?;
        Some(Float32Array::from(&token.values[..]))
    }
}
