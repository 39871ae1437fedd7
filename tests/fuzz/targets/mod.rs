//! The targets and their shares of the inputs.

mod checkpoint;
mod config;
mod header;
mod lora;
mod plan;
mod request;
mod schedule;
mod shards;
mod source;
mod text;
mod tokenizer;
mod words;

pub use checkpoint::checkpoint_of;

use super::grow::Words;
use super::mutate::mutate;
use super::run::{Input, Target};
use crate::support::random::Random;
use crate::support::repository;
use crate::support::safetensors::split;

/// Every target with its share.
pub fn all() -> Vec<(u64, Box<dyn Target>)> {
    vec![
        (400, Box::new(header::Headers::new())),
        (180, Box::new(shards::Shards::new())),
        (60, Box::new(checkpoint::Checkpoints::new())),
        (260, Box::new(config::Configs::new())),
        (12, Box::new(plan::Plans::new())),
        (120, Box::new(schedule::Schedules::new())),
        (20, Box::new(tokenizer::Files::new())),
        (20, Box::new(text::Texts::new())),
        (130, Box::new(request::Requests::new())),
        (60, Box::new(lora::Loras::new())),
        (120, Box::new(words::Words::new())),
    ]
}

/// The folders of all models.
const MODELS: [&str; 8] = [
    "tests/golden/models/sd1-pndm/model",
    "tests/golden/models/sd1-four-levels/model",
    "tests/golden/models/sd1-plain-first/model",
    "tests/golden/models/sd1-all-cross/model",
    "tests/golden/models/sd2-v/model",
    "tests/golden/models/sd2-five-heads/model",
    "tests/golden/models/sd2-linear-v/model",
    "www/models/portraits",
];

/// A file of this repository; `None` where there is none.
fn file(path: &str) -> Option<Vec<u8>> {
    std::fs::read(repository(path)).ok()
}

/// The JSON header of a safetensors file of this repository.
fn header(path: &str) -> Option<Vec<u8>> {
    Some(split(&file(path)?).0.to_vec())
}

/// One of `seeds` with some changes.
fn changed(seeds: &[Input], words: &Words, random: &mut Random) -> Input {
    let mut input = random.element(seeds).clone();
    if random.once_in(64) {
        return input;
    }
    for _ in 0..random.length(4) {
        let other = random.element(seeds);
        let Some((name, bytes)) = input.0.get_mut(random.below(other.0.len())) else {
            continue;
        };
        mutate(bytes, words, other.get(name).unwrap_or_default(), random);
    }
    if random.once_in(32) {
        input.0.remove(random.below(input.0.len()));
    }
    input
}
