//! `header_length` and `Header::parse`: the beginning of a safetensors file.

use darkroom::Error;
use darkroom::weights::safetensors::{Header, header_length};
use serde_json::{Map, Value};

use super::{MODELS, header};
use crate::grow::{self, Words};
use crate::mutate::mutate;
use crate::run::{Bound, Input, Target};
use crate::support::random::Random;

const PATH: &str = "unet/model.safetensors";

pub struct Headers {
    /// The entries of real headers, as JSON.
    headers: Vec<Vec<Vec<u8>>>,
    words: Words,
}

impl Headers {
    pub fn new() -> Self {
        let paths = MODELS.iter().flat_map(|model| {
            [
                "unet/diffusion_pytorch_model",
                "vae/diffusion_pytorch_model",
                "text_encoder/model",
            ]
            .map(|stem| format!("{model}/{stem}.safetensors"))
        });
        let found: Vec<Vec<u8>> = paths.filter_map(|path| header(&path)).collect();
        let words =
            b"\"F16\" \"BF16\" \"F32\" \"I64\" \"F8_E4M3\" \"dtype\" \"shape\" \"data_offsets\"";
        let few = found.iter().map(|json| &json[..2000]);
        Headers {
            headers: found.iter().map(|json| entries(json)).collect(),
            words: Words::of(few.chain([&words[..]])),
        }
    }

    /// Some of a header's entries, one after the other.
    fn part(&self, random: &mut Random) -> Vec<u8> {
        let header = random.element(&self.headers);
        let count = match random.once_in(256) {
            true => header.len(),
            false => random.length(24).min(header.len()),
        };
        let first = random.below(header.len() - count + 1);
        [
            b"{",
            &header[first..first + count].join(&b","[..])[..],
            b"}",
        ]
        .concat()
    }

    /// A generated header.
    fn grown(&self, random: &mut Random) -> Vec<u8> {
        let mut json = vec![b'{'];
        let mut end = 0_usize;
        for i in 0..random.length(8) {
            if i > 0 {
                json.push(b',');
            }
            self.words.string(random, &mut json);
            if random.once_in(12) {
                json.push(b':');
                self.words.value(random, 3, &mut json);
                continue;
            }
            let (dtype, size) = *random.element(&[("F16", 2), ("BF16", 2), ("F32", 4), ("I64", 8)]);
            let shape: Vec<usize> = (0..random.below(6)).map(|_| random.below(70)).collect();
            let from = end;
            end += size * shape.iter().product::<usize>();
            let entry = format!(
                ":{{\"dtype\":\"{dtype}\",\"shape\":{shape:?},\"data_offsets\":[{from},{end}]}}"
            );
            json.extend(entry.bytes());
        }
        json.push(b'}');
        json
    }
}

/// The members of a JSON object, each as text.
pub fn entries(json: &[u8]) -> Vec<Vec<u8>> {
    let header: Map<String, Value> = serde_json::from_slice(json).expect("a header");
    let entry = |(name, value)| format!("{}:{value}", Value::String(name)).into_bytes();
    header.into_iter().map(entry).collect()
}

/// The beginning of a file with this header, mostly with the right length.
pub fn with_length(json: &[u8], random: &mut Random) -> Vec<u8> {
    let length = match random.below(64) {
        0 => random.next(),
        1 => json.len() as u64 + 1,
        2 => random.below(json.len() + 1) as u64,
        3 => 1 << random.below(64),
        _ => json.len() as u64,
    };
    [&length.to_le_bytes()[..], json].concat()
}

/// A file's size: beyond all its tensors, just its header's, or any.
pub fn file_size(begin: &[u8], random: &mut Random) -> u64 {
    match random.below(8) {
        0 => begin.len() as u64,
        1 => random.next() >> random.below(64),
        2 => u64::MAX,
        _ => 1 << 40,
    }
}

impl Target for Headers {
    fn name(&self) -> &'static str {
        "header"
    }

    fn bound(&self) -> Bound {
        // A shape of zeros: two bytes a dimension, eight as a number, and twice that while the list
        // grows; and a message that quotes control characters, six bytes for each.
        Bound {
            factor: 40,
            constant: 1_500,
        }
    }

    fn names(&self) -> &'static [&'static str] {
        &[PATH]
    }

    fn input(&self, random: &mut Random) -> Input {
        let begin = match random.below(16) {
            0 => grow::bytes(random, 300),
            1 => with_length(&grow::bytes(random, 300), random),
            2..=5 => with_length(&self.grown(random), random),
            6 => {
                let mut json = Vec::new();
                self.words.object(random, 3, &mut json);
                with_length(&json, random)
            }
            _ => {
                let mut json = self.part(random);
                for _ in 0..random.length(4) - 1 {
                    let other = random.element(&self.headers);
                    let other = random.element(other);
                    mutate(&mut json, &self.words, other, random);
                }
                with_length(&json, random)
            }
        };
        let size = file_size(&begin, random);
        Input(vec![
            ("begin", begin),
            ("size", size.to_le_bytes().to_vec()),
        ])
    }

    fn run(&self, input: &Input) -> Result<(), Error> {
        let begin = input.get("begin").unwrap_or_default();
        let size = input.get("size").and_then(|bytes| bytes.first_chunk());
        let size = size.map_or(begin.len() as u64, |&bytes| u64::from_le_bytes(bytes));
        let length = header_length(PATH, &begin[..begin.len().min(8)], size)?;
        assert!(
            length + 8 <= size,
            "a header of {length} bytes in a file of {size}"
        );
        // A source with no more bytes returns this error.
        let json = begin.get(8..8 + length as usize);
        let json = json.ok_or_else(|| Error::file(PATH, "truncated"))?;
        let header = Header::parse(PATH, json, size)?;
        for (name, info) in &header.tensors {
            assert!(
                8 + length <= info.range.start && info.range.end <= size,
                "{name}: {:?}",
                info.range
            );
            let Some(dtype) = info.dtype.weight() else {
                continue;
            };
            let elements = info.shape.iter().map(|&n| n as u128).product::<u128>();
            let bytes = elements * dtype.size() as u128;
            assert_eq!(
                u128::from(info.range.end - info.range.start),
                bytes,
                "{name}"
            );
        }
        Ok(())
    }
}
