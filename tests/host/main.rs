//! Everything the host computes, against the reference values in `golden/host` (see its generate.py): token ids against
//! transformers, noise against PyTorch, schedules and samplers against diffusers.

#[path = "host_values/noise.rs"]
mod noise;
#[path = "host_values/samplers.rs"]
mod samplers;
#[path = "host_values/tokens.rs"]
mod tokens;

use std::path::PathBuf;

use serde_json::Value;

/// A file of this repository.
fn read(path: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn golden(name: &str) -> Value {
    serde_json::from_slice(&read(&format!("tests/golden/host/{name}"))).unwrap()
}

fn usize_of(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}
