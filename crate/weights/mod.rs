//! From files to tensors: where bytes come from ([`source`]), what a safetensors file holds ([`safetensors`]), which
//! tensors a model needs and under which names ([`params`], [`names`]), what a checkpoint of one file says of itself
//! ([`checkpoint`]), the way from one to the other ([`load`]), and the types that weights have in memory ([`storage`]).

pub mod checkpoint;
pub mod file;
mod identify;
pub mod load;
pub mod names;
pub mod params;
pub mod safetensors;
pub mod sizes;
pub mod source;
pub mod storage;
mod stream;
mod unexpected;

pub use load::load_parts;
pub use params::{VarBuilder, VarStore};
pub use source::Source;
pub use storage::Storage;
pub use stream::CHUNK;
