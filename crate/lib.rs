//! Darkroom: Stable Diffusion with negative prompts, in the browser.
#![warn(missing_docs)]

pub mod config;
pub mod error;
pub mod ops;
pub mod text;
pub mod unet;
pub mod vae;
pub mod weights;

pub use error::{Error, Result};
