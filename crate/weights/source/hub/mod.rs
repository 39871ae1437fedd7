//! A model on a hub such as Hugging Face.

mod address;

pub use address::HUB_VARIABLE;
pub(super) use address::{hub_address, raw_file};
