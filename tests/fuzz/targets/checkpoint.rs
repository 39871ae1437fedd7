//! Single files: the configuration that follows from names and shapes, and the match with the
//! tensors that it requires. A file with a configuration counts as accepted; few inputs have all of
//! a model's tensors.

use darkroom::Error;
use darkroom::config::PredictionType;
use darkroom::weights::Storage;
use darkroom::weights::checkpoint::Checkpoint;
use darkroom::weights::file::Part;
use darkroom::weights::load::load_checkpoint;
use pollster::block_on;
use serde_json::{Value, json};

use super::header::{file_size, with_length};
use super::plan::plan;
use super::source::{Served, up_to_the_weights};
use crate::grow::Words;
use crate::mutate::mutate;
use crate::run::{Bound, Input, Target};
use crate::support::checkpoint::{Entry, KINDS, Kind};
use crate::support::random::Random;
use crate::support::safetensors::{self, Info};

const PATH: &str = "model.safetensors";

/// Parts of the names that determine the configuration. All other tensors are needed only for the
/// weights.
const TELLING: [&str; 20] = [
    "input_blocks.0.0.weight",
    ".0.op.weight",
    ".0.out_layers.3.weight",
    ".1.transformer_blocks.0.norm1.weight",
    "middle_block.1.",
    "diffusion_model.out.2.weight",
    "decoder.up.0.block.0.conv1.weight",
    "decoder.up.0.block.1.conv1.weight",
    "decoder.up.1.block.0.conv1.weight",
    "decoder.up.2.block.0.conv1.weight",
    "decoder.up.3.block.0.conv1.weight",
    "decoder.conv_in.weight",
    "decoder.conv_out.weight",
    "post_quant_conv.weight",
    "attn_1.q.weight",
    "embedding",
    "layers.0.layer_norm1.weight",
    "layers.0.mlp.fc1.weight",
    ".attn.in_proj_weight",
    "resblocks.0.mlp.c_fc.weight",
];

pub struct Checkpoints {
    /// Entries with [`TELLING`] names, of checkpoints of both kinds, tiny and of full size, as
    /// JSON.
    kinds: Vec<Vec<Vec<u8>>>,
    /// All entries of the tiny ones.
    whole: Vec<Vec<Vec<u8>>>,
    words: Words,
}

impl Checkpoints {
    pub fn new() -> Self {
        let mut whole = Vec::new();
        let mut full = Vec::new();
        for kind in KINDS.map(Kind::read) {
            whole.push(entries(kind.tensors.iter().map(Entry::info)));
            let tensors = kind.full.iter();
            full.push(entries(
                tensors.map(|(name, shape)| (&**name, "F16", &shape[..])),
            ));
        }
        let telling = |entries: &Vec<Vec<u8>>| -> Vec<Vec<u8>> {
            let tells = |entry: &&Vec<u8>| {
                let name = String::from_utf8_lossy(entry);
                TELLING.iter().any(|part| name.contains(part))
            };
            entries.iter().filter(tells).cloned().collect()
        };
        let kinds: Vec<_> = whole.iter().chain(&full).map(telling).collect();
        Checkpoints {
            words: Words::of(kinds.iter().flatten().map(|entry| &entry[..])),
            kinds,
            whole,
        }
    }

    /// The tensors of a checkpoint, in any number and of any size.
    fn grown(random: &mut Random) -> Vec<Vec<u8>> {
        let mut grown = Grown {
            random,
            entries: Vec::new(),
        };
        let (levels, layers) = (grown.few(4), grown.few(2));
        let cross = 16 * (1 + grown.random.below(3));
        grown.unet(levels, layers, cross);
        grown.vae(layers);
        let blocks = grown.few(24);
        match grown.random.coin() {
            true => grown.clip(blocks, cross),
            false => grown.open_clip(blocks, cross),
        }
        grown.entries
    }
}

/// The entries of a generated checkpoint.
struct Grown<'a> {
    random: &'a mut Random,
    entries: Vec<Vec<u8>>,
}

impl Grown<'_> {
    fn add(&mut self, name: String, shape: [usize; 2]) {
        let huge = self.random.once_in(24);
        let shape = match huge {
            true => shape.map(|n| n << self.random.below(60)),
            false => shape,
        };
        // No size follows from a type that no weight has.
        let bytes = shape[0].checked_mul(shape[1]);
        let (dtype, end) = match bytes.and_then(|n| n.checked_mul(2)) {
            Some(bytes) if !huge => ("F16", bytes),
            _ => ("U8", 0),
        };
        let info = json!({ "dtype": dtype, "shape": shape, "data_offsets": [0, end] });
        let entry = format!("{}:{info}", Value::String(name));
        self.entries.push(entry.into_bytes());
    }

    /// A small number, seldom a larger one.
    fn few(&mut self, most: usize) -> usize {
        match self.random.once_in(40) {
            true => self.random.length(70),
            false => self.random.below(most) + 1,
        }
    }

    fn unet(&mut self, levels: usize, layers: usize, cross: usize) {
        let unet = "model.diffusion_model.";
        let depth = self.few(2);
        let width = 32 * (1 + self.random.below(3));
        let norm =
            |block: &str, i: usize| format!("{unet}{block}.1.transformer_blocks.{i}.norm1.weight");
        self.add(format!("{unet}input_blocks.0.0.weight"), [width, 4]);
        let mut number = 1;
        for level in 0..levels {
            for _ in 0..layers {
                let block = format!("input_blocks.{number}");
                let wide = [width << level.min(3), 1];
                self.add(format!("{unet}{block}.0.out_layers.3.weight"), wide);
                for i in 0..if level + 1 < levels { depth } else { 0 } {
                    self.add(norm(&block, i), [width, 1]);
                }
                number += 1;
            }
            if level + 1 < levels {
                self.add(
                    format!("{unet}input_blocks.{number}.0.op.weight"),
                    [width, 1],
                );
                number += 1;
            }
        }
        for i in 0..depth {
            self.add(norm("middle_block", i), [width, 1]);
        }
        let key = "middle_block.1.transformer_blocks.0.attn2.to_k.weight";
        self.add(format!("{unet}{key}"), [width, cross]);
        self.add(format!("{unet}out.2.weight"), [4, width]);
    }

    fn vae(&mut self, layers: usize) {
        let vae = "first_stage_model.decoder.";
        for level in 0..self.few(4) {
            for i in 0..if level == 0 { layers + 1 } else { 1 } {
                let name = format!("{vae}up.{level}.block.{i}.conv1.weight");
                self.add(name, [32, 32]);
            }
        }
        self.add(format!("{vae}conv_in.weight"), [32, 4]);
        self.add(format!("{vae}conv_out.weight"), [3, 32]);
    }

    fn clip(&mut self, blocks: usize, cross: usize) {
        let clip = "cond_stage_model.transformer.text_model.";
        for (name, rows) in [
            ("embeddings.token_embedding.weight", 100),
            ("embeddings.position_embedding.weight", 77),
            ("encoder.layers.0.mlp.fc1.weight", 4 * cross),
        ] {
            self.add(format!("{clip}{name}"), [rows, cross]);
        }
        for i in 0..blocks {
            let name = format!("{clip}encoder.layers.{i}.layer_norm1.weight");
            self.add(name, [cross, 1]);
        }
    }

    fn open_clip(&mut self, blocks: usize, cross: usize) {
        let clip = "cond_stage_model.model.";
        for (name, rows) in [
            ("token_embedding.weight", 100),
            ("positional_embedding", 77),
            ("transformer.resblocks.0.mlp.c_fc.weight", 4 * cross),
        ] {
            self.add(format!("{clip}{name}"), [rows, cross]);
        }
        for i in 0..blocks {
            let name = format!("{clip}transformer.resblocks.{i}.attn.in_proj_weight");
            self.add(name, [3 * cross, cross]);
        }
    }
}

/// A valid checkpoint with another first dimension of these tensors.
pub fn checkpoint_of(changed: &[(&str, usize)]) -> Input {
    let mut kind = Kind::read("sd1");
    for &(name, n) in changed {
        let Entry(_, dtype, shape, ..) = kind.entry(name);
        shape[0] = n;
        *dtype = "I64".into();
    }
    let (begin, _) = kind.header();
    Input(vec![
        (PATH, begin),
        ("size", u64::MAX.to_le_bytes().to_vec()),
    ])
}

/// The header entries of tensors that lie one after the other, as JSON.
fn entries<'a>(tensors: impl Iterator<Item = Info<'a>>) -> Vec<Vec<u8>> {
    let (entries, _) = safetensors::entries(tensors);
    let text = |(name, info)| format!("{}:{info}", Value::String(name)).into_bytes();
    entries.into_iter().map(text).collect()
}

impl Target for Checkpoints {
    fn name(&self) -> &'static str {
        "checkpoint"
    }

    fn bound(&self) -> Bound {
        // Two tensors in a file can stand for a block of twenty, and one more name for 256
        // transformers.
        Bound {
            factor: 200,
            constant: 4_000_000,
        }
    }

    fn names(&self) -> &'static [&'static str] {
        &[PATH]
    }

    fn input(&self, random: &mut Random) -> Input {
        let mut entries = match random.below(256) {
            0 => random.element(&self.whole).clone(),
            1..128 => Self::grown(random),
            _ => random.element(&self.kinds).clone(),
        };
        for _ in 0..random.below(3) {
            if !entries.is_empty() {
                let at = random.below(entries.len());
                if random.once_in(2) {
                    entries.swap_remove(at);
                } else {
                    mutate(&mut entries[at], &self.words, b"\"v_pred\":0", random);
                }
            }
        }
        if random.once_in(16) {
            let mut value = Vec::new();
            self.words.value(random, 2, &mut value);
            entries.push([b"\"__metadata__\":", &value[..]].concat());
        }
        let json = [b"{", &entries.join(&b","[..])[..], b"}"].concat();
        let begin = with_length(&json, random);
        let size = file_size(&begin, random);
        Input(vec![(PATH, begin), ("size", size.to_le_bytes().to_vec())])
    }

    fn run(&self, input: &Input) -> Result<(), Error> {
        let size = input.get("size").and_then(|bytes| bytes.first_chunk());
        let source = Served {
            files: input,
            size: size.map_or(1 << 40, |&bytes| u64::from_le_bytes(bytes)),
            checkpoint: Some(PATH),
        };
        let checkpoint =
            block_on(Checkpoint::open(&source, PATH)).map_err(|error| match error {
                Error::Fetch { address, what } => Error::file(address, what),
                other => other,
            })?;
        let config = checkpoint.config(PredictionType::VPrediction)?;
        let config = match checkpoint.prediction() {
            Some(prediction) => checkpoint.config(prediction)?,
            None => config,
        };
        // The plan and the match take a hundred times as long as everything before.
        if !input.size().is_multiple_of(8) {
            return Ok(());
        }
        let [text, unet, vae] = plan(&config)?;
        let part = |folder, required| Part {
            folder,
            stem: "",
            required,
        };
        let parts = [
            part("text_encoder", text),
            part("unet", unet),
            part("vae", vae),
        ];
        let device = burn::tensor::Device::flex();
        let storage = Storage::Lossless;
        let result = block_on(load_checkpoint(
            &source,
            &checkpoint,
            &parts,
            &device,
            storage,
            &mut |_| (),
        ));
        match up_to_the_weights(result) {
            Ok(()) => {}
            Err(Error::File { path, .. }) if path == PATH => {}
            Err(other) => panic!("the match failed: {other}"),
        }
        Ok(())
    }
}
