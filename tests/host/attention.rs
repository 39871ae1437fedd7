//! Guidance within the attention, on the CPU: normalized attention guidance and negative weights.

use darkroom::{Precision, Runtime};

use crate::support::attention::compare;
use crate::support::cpu;

#[test]
fn normalized_attention_guidance_matches_the_authors_formula_in_diffusers() {
    compare(&cpu(), 1e-4, |name| name.starts_with("nag"));
    let mut stock = Runtime::cpu(Precision::F32, true).expect("the CPU");
    stock.name += " with Burn's operations";
    compare(&stock, 1e-4, |name| ["nag-1", "nag-4"].contains(&name));
}

#[test]
fn negative_weights_negate_values_and_not_keys() {
    compare(&cpu(), 1e-4, |name| name.starts_with("weights"));
}
