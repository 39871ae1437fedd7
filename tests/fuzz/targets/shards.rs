//! `load_parts` up to the first weights: the index of shards, their headers, and the match with the
//! tensors that a network requires.

use darkroom::Error;
use darkroom::weights::Storage;
use darkroom::weights::file::Part;
use darkroom::weights::load::load_parts;
use darkroom::weights::params::{Layout, RequiredTensor};
use pollster::block_on;

use super::changed;
use super::header::{file_size, with_length};
use super::source::{Served, up_to_the_weights};
use crate::grow::{self, Words};
use crate::run::{Bound, Input, Target};
use crate::support::random::Random;

const INDEX: &str = "unet/model.safetensors.index.json";
const WHOLE: &str = "unet/model.safetensors";
const FIRST: &str = "unet/model-00001-of-00002.safetensors";
const SECOND: &str = "unet/model-00002-of-00002.safetensors";

/// Tensors that the network requires: name, shape, layout.
const REQUIRED: [(&str, &[usize], Layout); 5] = [
    ("conv_in.weight", &[8, 4, 3, 3], Layout::Conv3x3),
    ("conv_in.bias", &[8], Layout::Vector),
    ("attn.to_q.weight", &[8, 8], Layout::Matrix),
    ("proj_in.weight", &[8, 8], Layout::Matrix),
    ("embedding.weight", &[20, 8], Layout::HostTable),
];

pub struct Shards {
    sharded: Vec<Input>,
    whole: Vec<Input>,
    words: Words,
}

impl Shards {
    pub fn new() -> Self {
        let part = Part {
            folder: "unet",
            stem: "model",
            required: Vec::new(),
        };
        assert_eq!(format!("{}/{}.safetensors", part.folder, part.stem), WHOLE);
        let index = r#"{"metadata": {"total_size": 2688}, "weight_map": {
            "conv_in.weight": "model-00001-of-00002.safetensors",
            "conv_in.bias": "model-00001-of-00002.safetensors",
            "attn.to_q.weight": "model-00002-of-00002.safetensors",
            "proj_in.weight": "model-00002-of-00002.safetensors",
            "embedding.weight": "model-00002-of-00002.safetensors"}}"#;
        let first = r#"{"conv_in.weight":{"dtype":"F16","shape":[8,4,3,3],"data_offsets":[0,576]},
            "conv_in.bias":{"dtype":"F32","shape":[8],"data_offsets":[576,608]}}"#;
        // An old name, and a 1×1 convolution in place of a matrix.
        let second = r#"{"__metadata__":{"format":"pt"},
            "attn.query.weight":{"dtype":"F32","shape":[8,8],"data_offsets":[0,256]},
            "proj_in.weight":{"dtype":"BF16","shape":[8,8,1,1],"data_offsets":[256,384]},
            "embedding.weight":{"dtype":"F16","shape":[20,8],"data_offsets":[384,704]}}"#;
        let whole = r#"{"conv_in.weight":{"dtype":"F16","shape":[8,4,3,3],"data_offsets":[0,576]},
            "conv_in.bias":{"dtype":"F32","shape":[8],"data_offsets":[576,608]},
            "attn.to_q.weight":{"dtype":"F32","shape":[8,8],"data_offsets":[608,864]},
            "proj_in.weight":{"dtype":"BF16","shape":[8,8],"data_offsets":[864,992]},
            "embedding.weight":{"dtype":"F16","shape":[20,8],"data_offsets":[992,1312]}}"#;
        let bytes = |text: &str| text.as_bytes().to_vec();
        Shards {
            words: Words::of([index, first, second, whole].map(str::as_bytes)),
            sharded: vec![Input(vec![
                (INDEX, bytes(index)),
                (FIRST, bytes(first)),
                (SECOND, bytes(second)),
            ])],
            whole: vec![Input(vec![(WHOLE, bytes(whole))])],
        }
    }
}

impl Target for Shards {
    fn name(&self) -> &'static str {
        "shards"
    }

    fn bound(&self) -> Bound {
        // The same as a header.
        Bound {
            factor: 40,
            constant: 2_500,
        }
    }

    fn names(&self) -> &'static [&'static str] {
        &["unet"]
    }

    fn input(&self, random: &mut Random) -> Input {
        let mut input = match random.below(16) {
            0 => Input(vec![(INDEX, grow::bytes(random, 300))]),
            1 => {
                let mut json = b"{\"weight_map\":".to_vec();
                self.words.value(random, 3, &mut json);
                json.push(b'}');
                Input(vec![(INDEX, json)])
            }
            2..=4 => changed(&self.whole, &self.words, random),
            _ => changed(&self.sharded, &self.words, random),
        };
        let mut size = 0;
        for (name, bytes) in &mut input.0 {
            if *name != INDEX {
                *bytes = with_length(bytes, random);
                size = file_size(bytes, random);
            }
        }
        input.0.push(("size", size.to_le_bytes().to_vec()));
        input
    }

    fn run(&self, input: &Input) -> Result<(), Error> {
        let size = input.get("size").and_then(|bytes| bytes.first_chunk());
        let source = Served {
            files: input,
            size: size.map_or(1 << 40, |&bytes| u64::from_le_bytes(bytes)),
            checkpoint: None,
        };
        let required = REQUIRED.map(|(name, shape, layout)| RequiredTensor {
            name: name.into(),
            shape: shape.to_vec(),
            layout,
        });
        let part = Part {
            folder: "unet",
            stem: "model",
            required: required.to_vec(),
        };
        let device = burn::tensor::Device::flex();
        let storage = Storage::Lossless;
        up_to_the_weights(block_on(load_parts(
            &source,
            &[part],
            &device,
            storage,
            &mut |_| (),
        )))
    }
}
