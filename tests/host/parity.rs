//! Tiny models against diffusers, on the CPU.

use darkroom::sampling::SamplerKind;
use darkroom::{Precision, Runtime};

use crate::support::models::MODELS;
use crate::support::parity::{CPU, Extent, compare, compare_seeds};
use crate::support::{cpu, golden};

/// A model that is not listed would never be compared.
#[test]
fn every_model_is_compared() {
    let mut found: Vec<String> = std::fs::read_dir(golden().join("models"))
        .expect("the models' folder")
        .map(|entry| entry.expect("a folder entry"))
        .filter(|entry| entry.path().join("model").is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    found.sort();
    let mut listed = MODELS.to_vec();
    listed.sort();
    assert_eq!(found, listed);
}

#[test]
fn cpu_matches_diffusers() {
    compare(&cpu(), &CPU, Extent::All);
    let mut stock = Runtime::cpu(Precision::F32, true).expect("the CPU");
    stock.name += " with Burn's operations";
    compare(&stock, &CPU, Extent::Stages);
}

#[test]
fn cpu_same_seed_same_picture() {
    compare_seeds(&cpu(), &SamplerKind::ALL);
}
