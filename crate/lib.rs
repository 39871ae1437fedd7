//! Darkroom: Stable Diffusion with negative prompts, in the browser.
//!
//! ```text
//! prompt, negative prompt                 seed
//!   │ tokenizer                             │ random generator
//! token ids [2, 77·k]                     noise [4, h/8, w/8]
//!   │ text encoder                          │
//! embeddings [2, 77·k, 768|1024] ─┐         │
//!                                 └─ for each step: U-Net, guidance, sampler
//!                                                 │
//!                                            latent [4, h/8, w/8]
//!                                                 │ VAE decoder
//!                                            RGBA [h, w, 4]
//! ```
//!
//! The negative prompt takes the place of the empty prompt in classifier-free guidance. In each
//! step the U-Net predicts the noise twice, once for each prompt, and the sampler goes on with
//! `negative + scale · (positive − negative)`: away from the one and toward the other. Both prompts
//! are on equal footing: same tokenizer, same encoder, same length, one batch; either may be empty.
//!
//! A module imports only from those below it in this list; `docs/architecture.md` has the whole
//! table, and a test holds the code to it.
//!
//! | module | purpose |
//! |---|---|
//! | [`pipeline`] | loading, the denoising loop, decoding |
//! | [`model`] | a model's files without its weights |
//! | [`device`] | device, memory plan, kernel tuning |
//! | [`text`], [`unet`], [`vae`] | the three networks |
//! | `nn` | layers with weights |
//! | [`weights`] | from files to tensors |
//! | [`ops`] | the hot operations, for CPU and GPU |
//! | [`sampling`] | noise, schedules, guidance, samplers |
//! | [`config`] | a model's JSON files |
//! | [`error`] | the error type |
#![warn(missing_docs)]

pub mod config;
pub mod device;
pub mod error;
pub mod model;
pub(crate) mod nn;
pub mod ops;
pub mod pipeline;
pub mod sampling;
pub mod text;
pub mod unet;
pub mod vae;
#[cfg(target_arch = "wasm32")]
mod web;
pub mod weights;

pub use device::{Precision, Runtime};
pub use error::{Error, Result};
pub use model::PredictionSetting;
pub use pipeline::{Generation, LoadOptions, ModelInfo, Picture, Pipeline, Progress, Request};
