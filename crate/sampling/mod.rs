//! Seeded noise, schedules, guidance and samplers: from noise to a latent, given predictions.
//!
//! Samplers compute coefficients in f64 on the host. [`update`] applies them to f32 latents there,
//! or the device does. Nothing here has a model or a device.

mod ddim;
mod dpmpp;
mod euler;
pub mod guidance;
mod kind;
pub mod noise;
mod noise_level;
mod pndm;
pub mod sampler;
pub mod schedule;
mod solver;
mod spacing;
mod trained;
mod unipc;
pub mod update;

pub use guidance::guide;
pub use kind::SamplerKind;
pub use noise::{Noise, Rng};
pub use sampler::Sampler;
