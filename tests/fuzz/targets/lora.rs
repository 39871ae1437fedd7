//! `Lora::open`: the names and shapes of the tensors of a LoRA.

use std::ops::Range;
use std::rc::Rc;

use darkroom::Error;
use darkroom::weights::Source;
use darkroom::weights::lora::Lora;
use darkroom::weights::source::SourceFuture;
use pollster::block_on;

use super::header as read_header;
use super::header::{entries, file_size, with_length};
use crate::grow::Words;
use crate::mutate::mutate;
use crate::run::{Bound, Input, Target};
use crate::support::random::Random;

const PATH: &str = "lora.safetensors";
const FILES: [&str; 6] = ["kohya", "locon", "diffusers", "peft", "loha", "lokr"];

/// The beginning of a file.
struct Begin {
    bytes: Vec<u8>,
    size: u64,
}

impl Source for Begin {
    fn checkpoint(&self) -> Option<String> {
        Some(PATH.into())
    }

    fn size<'a>(&'a self, _: &'a str) -> SourceFuture<'a, Option<u64>> {
        Box::pin(async { Ok(Some(self.size)) })
    }

    fn read<'a>(&'a self, path: &'a str, range: Range<u64>) -> SourceFuture<'a, Vec<u8>> {
        assert!(range.end <= self.size, "{range:?} of {}", self.size);
        let bytes = self.bytes.get(range.start as usize..range.end as usize);
        let bytes = bytes.map(<[u8]>::to_vec);
        Box::pin(async move { bytes.ok_or_else(|| Error::file(path, "truncated")) })
    }

    fn describe(&self, path: &str) -> String {
        path.into()
    }
}

pub struct Loras {
    /// The entries of each file's header, as JSON.
    headers: Vec<Vec<Vec<u8>>>,
    words: Words,
}

impl Loras {
    pub fn new() -> Self {
        let path = |name| format!("tests/golden/additions/lora-{name}.safetensors");
        let found = FILES.map(|name| read_header(&path(name)).expect("a LoRA"));
        let headers: Vec<_> = found.iter().map(|json| entries(json)).collect();
        let few = found.iter().map(|json| &json[..1500]);
        let more = br#"".lora_mid.weight" ".alpha" ".diff" "lora_te_" "unet." ".dora_scale" "F16""#;
        Loras {
            words: Words::of(few.chain([&more[..]])),
            headers,
        }
    }
}

impl Target for Loras {
    fn name(&self) -> &'static str {
        "lora"
    }

    fn bound(&self) -> Bound {
        // As a header, and each name once more, taken apart.
        Bound {
            factor: 60,
            constant: 4_000,
        }
    }

    fn names(&self) -> &'static [&'static str] {
        &[PATH]
    }

    fn input(&self, random: &mut Random) -> Input {
        let header = random.element(&self.headers);
        let count = random.length(24).min(header.len());
        let first = random.below(header.len() - count + 1);
        let mut json = [
            b"{",
            &header[first..first + count].join(&b","[..])[..],
            b"}",
        ]
        .concat();
        for _ in 0..random.below(4) {
            let other = random.element(&self.headers);
            let other = random.element(other);
            mutate(&mut json, &self.words, other, random);
        }
        let begin = with_length(&json, random);
        let size = file_size(&begin, random);
        Input(vec![
            ("begin", begin),
            ("size", size.to_le_bytes().to_vec()),
        ])
    }

    fn run(&self, input: &Input) -> Result<(), Error> {
        let bytes = input.get("begin").unwrap_or_default().to_vec();
        let size = input.get("size").and_then(|bytes| bytes.first_chunk());
        let size = size.map_or(bytes.len() as u64, |&bytes| u64::from_le_bytes(bytes));
        let lora = block_on(Lora::open("name", Rc::new(Begin { bytes, size })))?;
        assert!(
            lora.bytes() <= size.saturating_mul(1 << 20),
            "more bytes than tensors"
        );
        Ok(())
    }
}
