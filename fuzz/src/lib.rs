//! Targets for cargo-fuzz: those of `tests/fuzz`, with inputs that libFuzzer evolves by coverage
//! instead of inputs that a seeded generator draws.
//!
//! ```text
//! cargo install cargo-fuzz
//! cp Cargo.lock fuzz/
//! cargo run --release --manifest-path fuzz/Cargo.toml --example seeds
//! cargo +nightly fuzz run --sanitizer none header
//! ```
//!
//! The address sanitizer finds little here, as the parsers are safe Rust, and makes them slower
//! than the bound that `check` asserts.
//!
//! A file that crashes a target is kept in `fuzz/artifacts`. What it shows belongs in
//! `tests/fuzz/regressions.rs`.

#[path = "../../tests/fuzz/grow.rs"]
#[allow(dead_code)]
mod grow;
#[path = "../../tests/fuzz/memory.rs"]
mod memory;
#[path = "../../tests/fuzz/mutate.rs"]
mod mutate;
#[path = "../../tests/fuzz/run.rs"]
#[allow(dead_code)]
mod run;
#[path = "../../tests/support/mod.rs"]
mod support;
#[path = "../../tests/fuzz/targets/mod.rs"]
#[allow(dead_code, unused_imports)]
mod targets;

use std::cell::OnceCell;

use run::{Input, Target, check};
use support::random::Random;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

/// Begins each file of an input; no UTF-8 text has these bytes.
const SEPARATOR: [u8; 2] = [0xff, 0xfe];
/// Generated inputs that are looked at for the names of files.
const SAMPLES: u64 = 256;

/// A target and the names that its files may have.
struct Fuzzed {
    target: Box<dyn Target>,
    names: Vec<&'static str>,
}

impl Fuzzed {
    fn new(name: &str) -> Self {
        let mut targets = targets::all().into_iter().map(|(_, target)| target);
        let target = targets.find(|target| target.name() == name);
        let target = target.unwrap_or_else(|| panic!("there is no target {name}"));
        let mut names = Vec::new();
        for number in 0..SAMPLES {
            for (file, _) in target.input(&mut Random::of(name, number)).0 {
                if !names.contains(&file) {
                    names.push(file);
                }
            }
        }
        Fuzzed { target, names }
    }

    /// Decodes libFuzzer's bytes: files that each begin with [`SEPARATOR`] and a byte that chooses
    /// a name. Bytes before the first separator are the first file. A name comes once.
    fn decode(&self, data: &[u8]) -> Input {
        let mut input = Input::default();
        for (index, file) in split(data).enumerate() {
            let (name, bytes) = match (index, file) {
                (0, []) | (1.., []) => continue,
                (0, bytes) => (0, bytes),
                (_, [name, bytes @ ..]) => (usize::from(*name) % self.names.len(), bytes),
            };
            let name = self.names[name];
            if input.get(name).is_none() {
                input.0.push((name, bytes.to_vec()));
            }
        }
        input
    }

    /// Encodes `input` as [`Fuzzed::decode`] reads it.
    fn encode(&self, input: &Input) -> Vec<u8> {
        let mut data = Vec::new();
        for (name, bytes) in &input.0 {
            let index = self.names.iter().position(|known| known == name);
            data.extend(SEPARATOR);
            data.push(index.unwrap_or(0) as u8);
            data.extend(bytes);
        }
        data
    }
}

/// The parts of `data` between separators.
fn split(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(data);
    std::iter::from_fn(move || {
        let bytes = rest?;
        let end = bytes.windows(2).position(|two| two == SEPARATOR);
        rest = end.map(|end| &bytes[end + 2..]);
        Some(&bytes[..end.unwrap_or(bytes.len())])
    })
}

/// Runs the target `name` on the bytes of libFuzzer.
///
/// # Panics
/// On what a target must not do: see `check` in `tests/fuzz/run.rs`.
pub fn run(name: &'static str, data: &[u8]) {
    thread_local! {
        static FUZZED: OnceCell<Fuzzed> = const { OnceCell::new() };
    }
    FUZZED.with(|fuzzed| {
        let fuzzed = fuzzed.get_or_init(|| Fuzzed::new(name));
        let input = fuzzed.decode(data);
        if let Err(what) = check(fuzzed.target.as_ref(), 0, &input) {
            panic!("{name}: {what}");
        }
    });
}

/// Inputs of every target to begin with, each with the target's name.
pub fn seeds(number: u64) -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    targets::all().into_iter().flat_map(move |(_, target)| {
        let name = target.name();
        let fuzzed = Fuzzed::new(name);
        (0..number).map(move |number| {
            let input = fuzzed.target.input(&mut Random::of(name, number));
            (name, fuzzed.encode(&input))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::{Fuzzed, Random};

    #[test]
    fn an_encoded_input_is_decoded_to_the_same_files() {
        for name in ["shards", "config", "tokenizer"] {
            let fuzzed = Fuzzed::new(name);
            let same = |number: &u64| {
                let input = fuzzed.target.input(&mut Random::of(name, *number));
                let decoded = fuzzed.decode(&fuzzed.encode(&input));
                // Files may have the separator in them.
                decoded.0 == input.0
            };
            assert!((0..100).filter(same).count() > 90, "{name}");
        }
    }
}
