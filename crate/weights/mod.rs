//! Weights: from files to tensors.
//!
//! | module | purpose |
//! |---|---|
//! | [`source`] | where bytes come from: folder, HTTP, single file |
//! | [`safetensors`] | the header of a safetensors file |
//! | [`params`] | the tensors that a network requires |
//! | [`names`] | the map between our names and the files' |
//! | [`pickle`] | tensors in files of `torch.save`, read without running anything |
//! | [`checkpoint`] | single-file checkpoints and their configuration |
//! | [`load`] | matching required tensors with files, and reading them |
//! | [`lora`] | small files that change a model's weights |
//! | [`storage`] | the types that weights have in memory |

pub mod checkpoint;
pub mod file;
mod find;
mod identify;
pub mod identify_folder;
mod infer;
pub mod load;
pub mod lora;
pub mod names;
pub mod params;
pub mod pickle;
pub mod safetensors;
pub mod sizes;
pub mod source;
pub mod storage;
mod stream;
mod unexpected;
pub(crate) mod vae;

pub use load::load_parts;
pub use params::{VarBuilder, VarStore};
pub use source::Source;
pub use storage::Storage;
pub use stream::CHUNK;
