//! Tests that need no GPU adapter and take seconds: `cargo test --release --test host`.
//!
//! Values are compared with `tests/golden` (see each generate.py there): token ids with
//! transformers, noise with PyTorch, schedules, samplers and tiny models with diffusers.

mod attention;
mod bad_input;
mod bad_network;
mod batch;
mod catalogue;
mod command;
mod cpu_ops;
mod embedding;
mod guidance;
mod inspect;
mod limits;
mod lora;
mod memory;
mod models_command;
mod noise;
mod other_vae;
mod outputs;
mod parity;
mod pickle;
mod precision;
mod prompts;
mod samplers;
mod schedules;
mod seeds;
mod shaders;
mod single_file;
mod study;
#[path = "../support/mod.rs"]
mod support;
mod token_maps;
mod tokens;
mod tuning;
mod vae_tiles;
mod variants;

use serde_json::Value;

use support::{golden, read_json, repository};

/// A file of this repository.
fn read(path: &str) -> Vec<u8> {
    std::fs::read(repository(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// A JSON file of `tests/golden/host`.
fn host_values(name: &str) -> Value {
    read_json(&golden().join("host").join(name))
}

fn usize_of(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}
