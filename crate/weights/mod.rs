//! From files to tensors: where bytes come from ([`source`]), what a safetensors file holds ([`safetensors`]), which
//! tensors a model needs and under which names ([`params`], [`names`]), what a checkpoint of one file says of itself
//! ([`checkpoint`]), the way from one to the other ([`load`]), and the types that weights have in memory ([`storage`]).

pub mod checkpoint;
mod identify;
pub mod load;
pub mod names;
#[cfg(not(target_arch = "wasm32"))]
pub mod native;
mod needless;
pub mod params;
#[cfg(not(target_arch = "wasm32"))]
pub mod place;
mod read;
pub mod safetensors;
pub mod source;
pub mod storage;

pub use load::load_parts;
pub use params::{Params, Scope};
pub use read::CHUNK;
pub use source::Source;
pub use storage::Storage;
