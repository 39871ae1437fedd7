//! Darkroom: Stable Diffusion with negative prompts, in the browser.
//!
//! ```text
//! prompt, negative prompt ─ tokenizer ─ ids [2, 77·k] ─ text encoder ─ embeddings [2, 77·k, 768|1024]
//! seed ─ noise [4, h/8, w/8] ─┐                                        │
//!                             └─ sampler loop: U-Net [2, h/8, w/8, 4] ─ guidance ─ sampler step ─ … ─ latent
//! latent ─ VAE decoder ─ RGBA [h, w, 4] ─ canvas
//! ```
//!
//! The negative prompt takes the place of the empty prompt in classifier-free guidance: at every step the U-Net predicts
//! the noise twice, once for each prompt, and the sampler goes on with `negative + scale · (positive − negative)`, away
//! from the one and toward the other. Both prompts are on equal footing: same tokenizer, same encoder, same length, one
//! batch; either may be empty.
//!
//! [`pipeline`] is the whole of it and reads from top to bottom like the paper; [`text`], [`unet`] and [`vae`] are the
//! three networks, written over the few hot operations of [`ops`]; [`sampling`] says what becomes of a latent, and [`run`]
//! does it, on the device where it can; [`kernels`] knows what a model will launch, and [`tuning`] how launches divide their
//! work; [`weights`] and [`config`] turn a model folder in diffusers' layout, or a single-file checkpoint, into tensors;
//! [`model`] is what they say of it before the weights are read.
#![warn(missing_docs)]

pub mod config;
pub mod device;
pub mod error;
pub mod kernels;
pub mod memory;
pub mod model;
pub mod ops;
pub mod pipeline;
mod precision;
mod preview;
pub mod request;
pub mod run;
pub mod sampling;
pub mod text;
mod trial;
pub mod tuning;
pub mod unet;
pub mod vae;
#[cfg(target_arch = "wasm32")]
mod web;
pub mod weights;

pub use device::{Precision, Runtime};
pub use error::{Error, Result};
pub use model::Prediction;
pub use pipeline::{Generation, Picture, Pipeline, Progress};
pub use request::Request;
