//! From noise to a latent of a picture, given something that predicts noise: seeded noise, schedules, guidance, samplers.
//! Host arithmetic only, f64 coefficients for f32 latents, which the device may apply; no model and no device.

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
mod unipc;
pub mod update;

pub use guidance::guide;
pub use kind::SamplerKind;
pub use noise::{Noise, Rng};
pub use sampler::Sampler;
