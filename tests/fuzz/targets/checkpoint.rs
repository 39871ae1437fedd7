//! Single files: the configuration that names and shapes give away, and the match with what it wants. A file counts as
//! accepted with the first; the second needs all of a model's tensors, which few inputs have.

use darkroom::Error;
use darkroom::config::PredictionType;
use darkroom::weights::Storage;
use darkroom::weights::checkpoint::Checkpoint;
use darkroom::weights::file::Part;
use darkroom::weights::load::load_checkpoint;
use pollster::block_on;

use super::header::{file_size, with_length};
use super::plan::plan;
use super::source::{Served, up_to_the_weights};
use crate::grow::Words;
use crate::mutate::mutate;
use crate::random::Random;
use crate::run::{Bound, Input, Target};
use crate::support::checkpoint::{Entry, KINDS, Kind};

const PATH: &str = "model.safetensors";

/// Parts of the names that a checkpoint is known by; the others only have to be there, and only for the weights.
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
    /// The telling entries of checkpoints of both kinds, tiny and of full size, as JSON.
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
            let tensors = kind.tensors.iter();
            whole.push(entries(tensors.map(|Entry(name, dtype, shape, ..)| {
                (&**name, &**dtype, &shape[..])
            })));
            full.push(entries(
                kind.full
                    .iter()
                    .map(|(name, shape)| (&**name, "F16", &shape[..])),
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

    /// Tensors as a checkpoint might have them, in any number and of any size.
    fn grown(random: &mut Random) -> Vec<Vec<u8>> {
        let mut entries = Vec::new();
        let mut add = |random: &mut Random, name: String, shape: [usize; 2]| {
            let huge = random.once_in(24);
            let shape = if huge {
                shape.map(|n| n << random.below(60))
            } else {
                shape
            };
            // No size follows from a type that no weight has.
            let (dtype, end) = match shape[0]
                .checked_mul(shape[1])
                .and_then(|n| n.checked_mul(2))
            {
                Some(bytes) if !huge => ("F16", bytes),
                _ => ("U8", 0),
            };
            entries.push(
                format!("\"{name}\":{{\"dtype\":\"{dtype}\",\"shape\":{shape:?},\"data_offsets\":[0,{end}]}}").into_bytes(),
            );
        };
        let unet = "model.diffusion_model.";
        let few = |random: &mut Random, most| {
            if random.once_in(40) {
                random.length(70)
            } else {
                random.below(most) + 1
            }
        };
        let (levels, layers, depth) = (few(random, 4), few(random, 2), few(random, 2));
        let width = 32 * (1 + random.below(3));
        let cross = 16 * (1 + random.below(3));
        add(random, format!("{unet}input_blocks.0.0.weight"), [width, 4]);
        let mut block = 1;
        for level in 0..levels {
            for _ in 0..layers {
                add(
                    random,
                    format!("{unet}input_blocks.{block}.0.out_layers.3.weight"),
                    [width << level.min(3), 1],
                );
                for i in 0..if level + 1 < levels { depth } else { 0 } {
                    add(
                        random,
                        format!("{unet}input_blocks.{block}.1.transformer_blocks.{i}.norm1.weight"),
                        [width, 1],
                    );
                }
                block += 1;
            }
            if level + 1 < levels {
                add(
                    random,
                    format!("{unet}input_blocks.{block}.0.op.weight"),
                    [width, 1],
                );
                block += 1;
            }
        }
        for i in 0..depth {
            add(
                random,
                format!("{unet}middle_block.1.transformer_blocks.{i}.norm1.weight"),
                [width, 1],
            );
        }
        add(
            random,
            format!("{unet}middle_block.1.transformer_blocks.0.attn2.to_k.weight"),
            [width, cross],
        );
        add(random, format!("{unet}out.2.weight"), [4, width]);
        let vae = "first_stage_model.decoder.";
        for level in 0..few(random, 4) {
            for i in 0..if level == 0 { layers + 1 } else { 1 } {
                add(
                    random,
                    format!("{vae}up.{level}.block.{i}.conv1.weight"),
                    [32, 32],
                );
            }
        }
        add(random, format!("{vae}conv_in.weight"), [32, 4]);
        add(random, format!("{vae}conv_out.weight"), [3, 32]);
        let blocks = few(random, 24);
        if random.once_in(2) {
            let clip = "cond_stage_model.transformer.text_model.";
            add(
                random,
                format!("{clip}embeddings.token_embedding.weight"),
                [100, cross],
            );
            add(
                random,
                format!("{clip}embeddings.position_embedding.weight"),
                [77, cross],
            );
            add(
                random,
                format!("{clip}encoder.layers.0.mlp.fc1.weight"),
                [4 * cross, cross],
            );
            for i in 0..blocks {
                add(
                    random,
                    format!("{clip}encoder.layers.{i}.layer_norm1.weight"),
                    [cross, 1],
                );
            }
        } else {
            let clip = "cond_stage_model.model.";
            add(
                random,
                format!("{clip}token_embedding.weight"),
                [100, cross],
            );
            add(random, format!("{clip}positional_embedding"), [77, cross]);
            add(
                random,
                format!("{clip}transformer.resblocks.0.mlp.c_fc.weight"),
                [4 * cross, cross],
            );
            for i in 0..blocks {
                add(
                    random,
                    format!("{clip}transformer.resblocks.{i}.attn.in_proj_weight"),
                    [3 * cross, cross],
                );
            }
        }
        entries
    }
}

/// A checkpoint that would do, but for the first dimension of these tensors.
pub fn checkpoint_of(changed: &[(&str, usize)]) -> Input {
    let mut kind = Kind::read("sd1");
    for &(name, n) in changed {
        let Entry(_, dtype, shape, ..) = kind.entry(name);
        shape[0] = n;
        *dtype = "I64".into();
    }
    let tensors = kind.tensors.iter();
    let entries =
        entries(tensors.map(|Entry(name, dtype, shape, ..)| (&**name, &**dtype, &shape[..])));
    let json = [b"{", &entries.join(&b","[..])[..], b"}"].concat();
    let begin = [&(json.len() as u64).to_le_bytes()[..], &json].concat();
    Input(vec![
        (PATH, begin),
        ("size", u64::MAX.to_le_bytes().to_vec()),
    ])
}

/// Header entries of tensors that lie one behind the other.
fn entries<'a>(tensors: impl Iterator<Item = (&'a str, &'a str, &'a [usize])>) -> Vec<Vec<u8>> {
    let mut end = 0;
    let entry = |(name, dtype, shape): (&str, &str, &[usize])| {
        let size = match dtype {
            "F16" => 2,
            "F32" => 4,
            _ => 8,
        };
        let from = end;
        end += size * shape.iter().product::<usize>();
        format!("\"{name}\":{{\"dtype\":\"{dtype}\",\"shape\":{shape:?},\"data_offsets\":[{from},{end}]}}").into_bytes()
    };
    tensors.map(entry).collect()
}

impl Target for Checkpoints {
    fn name(&self) -> &'static str {
        "checkpoint"
    }

    fn bound(&self) -> Bound {
        // Two tensors in a file can stand for a block that wants twenty; 256 transformers may hang on one name more.
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
        // The plan and the match take a hundred times as long as all before them.
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
            Err(other) => panic!("of the match: {other}"),
        }
        Ok(())
    }
}
