//! The checkpoints of `tests/golden/single_file`: their files, the same weights as a model folder, and what diffusers
//! makes of them.

use std::collections::BTreeMap;
use std::path::Path;

use darkroom::Request;
use half::f16;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Tensors, golden, read_json};

/// The kinds there are files of.
pub const KINDS: [&str; 2] = ["sd1", "sd2"];

/// `<kind>.json`; see generate.py there.
#[derive(Deserialize)]
pub struct Kind {
    configs: BTreeMap<String, Value>,
    schedulers: BTreeMap<String, Value>,
    special_tokens: Map<String, Value>,
    pub cases: Vec<Case>,
    /// Part → diffusers' name → the checkpoint's name and which third of its rows.
    folder: BTreeMap<String, BTreeMap<String, (String, Option<usize>)>>,
    pub tensors: Vec<Entry>,
    /// Names and shapes of the published model.
    pub full: Vec<(String, Vec<usize>)>,
}

/// One tensor: name, element type, shape, and what its values are made of.
#[derive(Deserialize, Clone)]
pub struct Entry(pub String, pub String, pub Vec<usize>, pub f64, pub i32);

#[derive(Deserialize)]
pub struct Case {
    pub prompt: String,
    pub negative_prompt: String,
    pub seed: u64,
    pub steps: usize,
    pub guidance_scale: f64,
    pub width: usize,
    pub height: usize,
    /// "epsilon" or "v_prediction"
    pub prediction: String,
    pub latent: String,
    pub picture: String,
}

impl Case {
    pub fn request(&self) -> Request {
        Request {
            prompt: self.prompt.clone(),
            negative_prompt: self.negative_prompt.clone(),
            seed: self.seed,
            steps: self.steps,
            guidance_scale: self.guidance_scale,
            width: Some(self.width),
            height: Some(self.height),
            ..Request::default()
        }
    }
}

impl Kind {
    pub fn read(name: &str) -> Self {
        read_json(&golden().join(format!("single_file/{name}.json")))
    }

    /// What diffusers computed.
    pub fn expected(name: &str) -> Tensors {
        Tensors::read(&golden().join(format!("single_file/{name}.safetensors")))
    }

    pub fn entry(&mut self, name: &str) -> &mut Entry {
        let found = self.tensors.iter_mut().find(|entry| entry.0 == name);
        found.unwrap_or_else(|| panic!("there is no {name}"))
    }

    /// The first `rows` of the token table, for another vocabulary, and all weights in f16: a smaller file.
    pub fn reduced(name: &str, rows: usize) -> Self {
        let mut kind = Kind::read(name);
        for Entry(name, dtype, shape, ..) in &mut kind.tensors {
            if name.ends_with("token_embedding.weight") {
                shape[0] = rows;
            }
            if dtype == "F32" {
                *dtype = "F16".into();
            }
        }
        kind
    }

    /// The checkpoint's bytes.
    pub fn file(&self) -> Vec<u8> {
        let tensors = self
            .tensors
            .iter()
            .map(|entry| (entry.0.as_str(), entry, entry.bytes()));
        safetensors(tensors.collect(), &Value::Null)
    }

    /// Writes the same weights as a model folder in diffusers' layout, with the scheduler for `prediction`.
    pub fn write_folder(&self, folder: &Path, prediction: &str) {
        let write = |path: &str, bytes: Vec<u8>| {
            let path = folder.join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, bytes).expect("a file");
        };
        let json = |value: &Value| value.to_string().into_bytes();
        for (part, config) in &self.configs {
            write(&format!("{part}/config.json"), json(config));
        }
        write(
            "scheduler/scheduler_config.json",
            json(&self.schedulers[prediction]),
        );
        write(
            "tokenizer/special_tokens_map.json",
            json(&Value::Object(self.special_tokens.clone())),
        );
        let vocab = Path::new(env!("CARGO_MANIFEST_DIR")).join("www/vocab/clip");
        for name in ["vocab.json", "merges.txt"] {
            let bytes = std::fs::read(vocab.join(name)).expect("the vocabulary");
            write(&format!("tokenizer/{name}"), bytes);
        }
        let entries: BTreeMap<&str, &Entry> = self.tensors.iter().map(|e| (&*e.0, e)).collect();
        for (part, names) in &self.folder {
            let tensors = names.iter().map(|(name, (origin, third))| {
                let mut entry = entries[origin.as_str()].clone();
                let mut bytes = entry.bytes();
                if let Some(third) = third {
                    entry.2[0] /= 3;
                    let size = bytes.len() / 3;
                    bytes = bytes[third * size..][..size].to_vec();
                }
                (name.as_str(), entry, bytes)
            });
            let tensors: Vec<_> = tensors.collect();
            let tensors = tensors
                .iter()
                .map(|(name, entry, b)| (*name, entry, b.clone()));
            let stem = match part.as_str() {
                "text_encoder" => "model",
                _ => "diffusion_pytorch_model",
            };
            let bytes = safetensors(tensors.collect(), &Value::Null);
            write(&format!("{part}/{stem}.safetensors"), bytes);
        }
    }
}

impl Entry {
    fn bytes(&self) -> Vec<u8> {
        let Entry(name, dtype, shape, center, exponent) = self;
        let count = shape.iter().product();
        let values = values(name, count, *center, *exponent);
        match dtype.as_str() {
            "F32" => values.flat_map(|v| (v as f32).to_le_bytes()).collect(),
            "F16" => values
                .flat_map(|v| f16::from_f64(v).to_le_bytes())
                .collect(),
            _ => values.flat_map(|v| (v as i64).to_le_bytes()).collect(),
        }
    }
}

/// As `values` of generate.py: numbers out of a hash of name and index.
fn values(name: &str, count: usize, center: f64, exponent: i32) -> impl Iterator<Item = f64> {
    let seed = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |state, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let step = 2f64.powi(exponent - 7);
    (1..=count as u64).map(move |i| {
        let z = seed.wrapping_add(i.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let k = ((z ^ (z >> 31)) >> 56) as f64 - 127.0;
        center + k * step
    })
}

/// A safetensors file.
pub fn safetensors(tensors: Vec<(&str, &Entry, Vec<u8>)>, metadata: &Value) -> Vec<u8> {
    let mut header = Map::new();
    if !metadata.is_null() {
        header.insert("__metadata__".into(), metadata.clone());
    }
    let mut end = 0;
    for (name, Entry(_, dtype, shape, ..), bytes) in &tensors {
        let start = end;
        end += bytes.len();
        let entry = json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, end] });
        header.insert((*name).into(), entry);
    }
    let header = Value::Object(header).to_string().into_bytes();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.reserve(header.len() + end);
    file.extend(header);
    for (.., bytes) in tensors {
        file.extend(bytes);
    }
    file
}

/// The beginning of a file with tensors of these names, element types and shapes, and the size it says it has.
pub fn header_only<'a>(
    tensors: impl IntoIterator<Item = (&'a str, &'a str, &'a [usize])>,
    metadata: &Value,
) -> (Vec<u8>, u64) {
    let mut header = Map::new();
    if !metadata.is_null() {
        header.insert("__metadata__".into(), metadata.clone());
    }
    let mut end = 0;
    for (name, dtype, shape) in tensors {
        let size = match dtype {
            "F16" | "BF16" => 2,
            "F32" => 4,
            _ => 8,
        };
        let start = end;
        end += size * shape.iter().product::<usize>() as u64;
        let entry = json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, end] });
        header.insert(name.into(), entry);
    }
    let header = Value::Object(header).to_string().into_bytes();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header);
    let size = file.len() as u64 + end;
    (file, size)
}
