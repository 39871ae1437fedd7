//! From noise to a latent of a picture, given something that predicts noise: seeded noise, schedules, guidance, samplers.
//! Host arithmetic only, f64 coefficients for f32 latents, which the device may apply; no model and no device.

mod ddim;
mod dpmpp;
mod euler;
pub mod guidance;
mod level;
pub mod noise;
mod pndm;
pub mod samplers;
pub mod schedule;
mod unipc;
pub mod update;

pub use guidance::guide;
pub use noise::{Noise, Rng};
pub use samplers::{Sampler, SamplerKind};
