//! Seeded noise, schedules, guidance and samplers: from noise to a latent, given predictions.
//!
//! Samplers compute coefficients in f64 on the host. [`update`] applies them to f32 latents there,
//! or the device does. Nothing here has a model or a device.

mod beta_distribution;
mod consistency;
mod ddim;
mod ddpm;
mod deis;
mod dpmpp;
mod euler;
pub mod guidance;
mod kind;
mod lms;
mod nag;
mod names;
pub mod noise;
mod noise_level;
mod own;
mod pndm;
pub mod sampler;
pub mod schedule;
mod seeds;
mod sigmas;
mod singlestep;
mod solver;
mod spacing;
mod trained;
mod two_calls;
mod unipc;
pub mod update;

pub use guidance::guide;
pub use kind::SamplerKind;
pub use nag::Nag;
pub use names::{SamplerName, ScheduleKind};
pub use noise::{Noise, Rng};
pub use own::{OwnSampler, ineffective, ineffective_noise};
pub use sampler::Sampler;
pub use seeds::Seeds;
