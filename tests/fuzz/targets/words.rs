//! `Embedding::read`: learned words in safetensors files and in pickles.

use darkroom::Error;
use darkroom::text::embedding::Embedding;

use super::file;
use crate::grow;
use crate::mutate::mutate;
use crate::run::{Bound, Input, Target};
use crate::support::random::Random;

const PATH: &str = "word.pt";
const FILES: [&str; 6] = [
    "word-emb-params.safetensors",
    "word-diffusers.safetensors",
    "word-webui.pt",
    "word-diffusers.bin",
    "word-legacy.pt",
    "word-parameters.pt",
];
/// Instructions of pickle, those that call something among them.
const CODES: &[u8] = b"(.0125]}GJKMNQRTUXBCcabdehjlqrstuio)P\x80\x81\x82\x85\x86\x87\x88\x8a\x8c\
    \x92\x93\x94\x95";

pub struct Words {
    seeds: Vec<Vec<u8>>,
    words: grow::Words,
}

impl Words {
    pub fn new() -> Self {
        let read = |name| file(&format!("tests/golden/additions/{name}")).expect("a word");
        let seeds = FILES.map(read).to_vec();
        let words = br#""emb_params" "string_to_param" "F16" "dtype" "shape" "data_offsets" "*""#;
        Words {
            words: grow::Words::of([&words[..]]),
            seeds,
        }
    }

    /// Some instructions of a pickle, without archive.
    fn program(&self, random: &mut Random) -> Vec<u8> {
        let legacy = &self.seeds[4];
        let start = legacy
            .windows(2)
            .skip(20)
            .position(|part| part == b"\x80\x02");
        let mut bytes = legacy[..start.map_or(0, |start| start + 20)].to_vec();
        let few = random.once_in(2);
        let codes: Vec<u8> = (0..3).map(|_| *random.element(CODES)).collect();
        for _ in 0..random.length(3000) {
            bytes.push(match few {
                true => *random.element(&codes),
                false => *random.element(CODES),
            });
            if random.once_in(4) {
                bytes.push(random.below(256) as u8);
            }
        }
        bytes
    }
}

impl Target for Words {
    fn name(&self) -> &'static str {
        "words"
    }

    fn bound(&self) -> Bound {
        // An empty list: one byte of a pickle, a value and a place on the stack, and twice that
        // while both lists grow.
        Bound {
            factor: 240,
            constant: 4_000,
        }
    }

    fn names(&self) -> &'static [&'static str] {
        &[PATH]
    }

    fn input(&self, random: &mut Random) -> Input {
        let bytes = match random.below(8) {
            0 => grow::bytes(random, 400),
            1 => self.program(random),
            _ => {
                let mut bytes = random.element(&self.seeds).clone();
                for _ in 0..random.below(4) {
                    let other = random.element(&self.seeds).clone();
                    mutate(&mut bytes, &self.words, &other, random);
                }
                bytes
            }
        };
        Input(vec![("word", bytes)])
    }

    fn run(&self, input: &Input) -> Result<(), Error> {
        let bytes = input.get("word").unwrap_or_default();
        let word = Embedding::read(None, PATH, PATH, bytes)?;
        assert!(
            word.width() > 0 && word.vectors() > 0,
            "a word without vectors"
        );
        assert!(!word.names().is_empty(), "a word without a name");
        let elements = word.vectors() * word.width();
        assert!(
            2 * elements <= bytes.len(),
            "{elements} elements in {}",
            bytes.len()
        );
        Ok(())
    }
}
