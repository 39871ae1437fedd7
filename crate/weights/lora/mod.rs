//! LoRA: small files that change the weights of a model.
//!
//! | module | purpose |
//! |---|---|
//! | `keys` | names of tensors in LoRA files, of four programs |
//! | [`file`] | a LoRA's file: its header, and the modules that it changes |
//! | `delta` | the change of one weight matrix, row by row |
//! | `merge` | matching of LoRAs with a model, and the sum of their changes |
//!
//! A module is a layer of the U-Net or of the text encoder. Its weight `W` becomes
//! `W + weight · alpha/rank · up·down`, computed in f32 on the host while `W` is read. The changes
//! of several LoRAs add up.

mod delta;
mod file;
mod keys;
mod merge;

pub(super) use delta::Delta;
pub use file::{AppliedLora, Lora};
pub(crate) use merge::Merges;
