//! The checkpoints of `tests/golden/single_file`: their files, the same weights as a model folder,
//! and diffusers' results for them.

use std::collections::BTreeMap;
use std::path::Path;

use darkroom::Request;
use half::f16;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::random::{GAMMA, mix};
use super::safetensors::{self, Info, Tensors};
use super::{fnv1a, golden, read_json, repository};

/// The kinds of checkpoints.
pub const KINDS: [&str; 2] = ["sd1", "sd2"];

/// `<kind>.json`; see generate.py there.
#[derive(Deserialize)]
pub struct Kind {
    configs: BTreeMap<String, Value>,
    schedulers: BTreeMap<String, Value>,
    special_tokens: Map<String, Value>,
    pub cases: Vec<Case>,
    /// Part → diffusers' name → the checkpoint's name and the number of the third of its rows.
    folder: BTreeMap<String, BTreeMap<String, (String, Option<usize>)>>,
    pub tensors: Vec<Entry>,
    /// Names and shapes of the published model.
    pub full: Vec<(String, Vec<usize>)>,
}

/// One tensor: name, element type, shape, and the centre and exponent of its values.
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

    /// Diffusers' results.
    pub fn expected(name: &str) -> Tensors {
        Tensors::read(&golden().join(format!("single_file/{name}.safetensors")))
    }

    pub fn entry(&mut self, name: &str) -> &mut Entry {
        let found = self.tensors.iter_mut().find(|entry| entry.0 == name);
        found.unwrap_or_else(|| panic!("there is no {name}"))
    }

    /// A smaller file: all weights in f16, and only the first `rows` of the token table, for
    /// another vocabulary.
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
        let tensors = self.tensors.iter();
        safetensors::file(tensors.map(|entry| (entry.info(), entry.bytes())))
    }

    /// The checkpoint up to its weights, and the size of the whole file.
    pub fn header(&self) -> (Vec<u8>, u64) {
        safetensors::header(self.tensors.iter().map(Entry::info), &Value::Null)
    }

    /// Writes the same weights as a model folder in diffusers' layout, with the scheduler for
    /// `prediction`.
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
        let scheduler = &self.schedulers[prediction];
        write("scheduler/scheduler_config.json", json(scheduler));
        let special_tokens = Value::Object(self.special_tokens.clone());
        write("tokenizer/special_tokens_map.json", json(&special_tokens));
        for name in ["vocab.json", "merges.txt"] {
            let bytes = std::fs::read(repository("www/vocab/clip").join(name));
            write(&format!("tokenizer/{name}"), bytes.expect("the vocabulary"));
        }
        for part in self.folder.keys() {
            let stem = match part.as_str() {
                "text_encoder" => "model",
                _ => "diffusion_pytorch_model",
            };
            write(&format!("{part}/{stem}.safetensors"), self.part(part));
        }
    }

    /// The weights of one part of a model folder, cut out of the checkpoint.
    fn part(&self, part: &str) -> Vec<u8> {
        let entries: BTreeMap<&str, &Entry> = self.tensors.iter().map(|e| (&*e.0, e)).collect();
        let names = &self.folder[part];
        let cut = names.values().map(|(origin, third)| {
            let mut entry = entries[origin.as_str()].clone();
            let mut bytes = entry.bytes();
            if let Some(third) = third {
                entry.2[0] /= 3;
                let size = bytes.len() / 3;
                bytes = bytes[third * size..][..size].to_vec();
            }
            (entry, bytes)
        });
        let cut: Vec<_> = cut.collect();
        let tensors = names.keys().zip(&cut).map(|(name, (entry, bytes))| {
            let Entry(_, dtype, shape, ..) = entry;
            ((&**name, &**dtype, &shape[..]), bytes.clone())
        });
        safetensors::file(tensors)
    }
}

impl Entry {
    /// Name, element type and shape.
    pub fn info(&self) -> Info<'_> {
        let Entry(name, dtype, shape, ..) = self;
        (name, dtype, shape)
    }

    /// The values, in the element type.
    pub fn bytes(&self) -> Vec<u8> {
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

/// The function `values` of generate.py: numbers from a hash of name and index.
fn values(name: &str, count: usize, center: f64, exponent: i32) -> impl Iterator<Item = f64> {
    let seed = fnv1a(name);
    let step = 2f64.powi(exponent - 7);
    (1..=count as u64).map(move |i| {
        let bits = mix(seed.wrapping_add(i.wrapping_mul(GAMMA)));
        let k = (bits >> 56) as f64 - 127.0;
        center + k * step
    })
}
