//! Models of other shapes than the seven of `tests/golden/models`: changed copies of them against
//! diffusers, and folders as other programs leave them.

mod folders;
mod golden_values;
mod readers;
mod wrong_kind;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::support::safetensors::{split, with_length};

pub const UNET: &str = "unet/diffusion_pytorch_model.safetensors";
pub const VAE: &str = "vae/diffusion_pytorch_model.safetensors";
pub const TEXT: &str = "text_encoder/model.safetensors";

/// A tensor: element type, shape and bytes.
#[derive(Clone)]
pub struct Tensor {
    pub dtype: String,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

/// The tensors of a file by name.
pub type Tensors = BTreeMap<String, Tensor>;

/// Reads the tensors of the file at `path`.
pub fn read_tensors(path: &Path) -> Tensors {
    let file = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let (json, data) = split(&file);
    let header: Map<String, Value> = serde_json::from_slice(json).expect("a header");
    let entries = header
        .into_iter()
        .filter(|(name, _)| name != "__metadata__");
    let tensor = |(name, entry): (String, Value)| {
        let offset = |i: usize| entry["data_offsets"][i].as_u64().expect("an offset") as usize;
        let bytes = data[offset(0)..offset(1)].to_vec();
        let shape = serde_json::from_value(entry["shape"].clone()).expect("a shape");
        let dtype = entry["dtype"].as_str().expect("a type").to_string();
        let tensor = Tensor {
            dtype,
            shape,
            bytes,
        };
        (name, tensor)
    };
    entries.map(tensor).collect()
}

/// A file of these tensors.
pub fn file_of(tensors: &Tensors) -> Vec<u8> {
    let (mut header, mut data) = (Map::new(), Vec::new());
    for (name, tensor) in tensors {
        let start = data.len();
        data.extend(&tensor.bytes);
        let entry = json!({
            "dtype": tensor.dtype,
            "shape": tensor.shape,
            "data_offsets": [start, data.len()],
        });
        header.insert(name.clone(), entry);
    }
    let header = Value::Object(header).to_string();
    [with_length(header.as_bytes()), data].concat()
}

/// Changes the tensors of the file at `path`.
pub fn change_tensors(path: &Path, change: impl FnOnce(&mut Tensors)) {
    let mut tensors = read_tensors(path);
    change(&mut tensors);
    std::fs::write(path, file_of(&tensors)).expect("a file");
}
