//! Tests on a GPU adapter. Any wgpu adapter will do, a software one included. Without one they fail
//! unless `DARKROOM_NO_GPU_TESTS=1` leaves them out.

mod attention;
mod guidance;
mod kernels;
mod lora;
mod memory;
mod parity;
mod precision;
mod prompts;
mod step;
#[path = "../support/mod.rs"]
mod support;
mod tuning;
mod vae_tiles;
