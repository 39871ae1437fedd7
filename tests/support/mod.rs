//! What the golden tests share: reading expected values, measuring errors, and running something to its end.
#![allow(dead_code)] // every test program uses its own part of this

pub mod adapter;
pub mod checkpoint;
pub mod command;
pub mod models;
pub mod server;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// `tests/golden`
pub fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Writes a line past the test harness, which shows captured output of failed tests only.
pub fn say(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A JSON file as `T`.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> T {
    let text = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The tensors of a small safetensors file.
pub struct Tensors {
    path: PathBuf,
    metadata: BTreeMap<String, String>,
    entries: BTreeMap<String, Entry>,
    data: Vec<u8>,
}

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [usize; 2],
}

impl Tensors {
    /// Reads the file at `path`.
    pub fn read(path: &Path) -> Self {
        let mut bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let length = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
        let data = bytes.split_off(8 + length);
        let mut header: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(&bytes[8..])
                .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let metadata = header.remove("__metadata__").map(serde_json::from_value);
        let metadata = metadata.map(|found| found.expect("names and texts"));
        let entries = serde_json::from_value(header.into()).expect("a safetensors header");
        Tensors {
            path: path.to_path_buf(),
            metadata: metadata.unwrap_or_default(),
            entries,
            data,
        }
    }

    /// What the metadata's JSON text `name` says.
    pub fn said<T: DeserializeOwned>(&self, name: &str) -> T {
        let wrong = |problem: &dyn Display| -> ! {
            panic!("{}: metadata {name}: {problem}", self.path.display())
        };
        let text = self.metadata.get(name);
        let text = text.unwrap_or_else(|| wrong(&"missing"));
        serde_json::from_str(text).unwrap_or_else(|e| wrong(&e))
    }

    fn get(&self, name: &str, dtype: &str) -> (&[usize], &[u8]) {
        let entry = self
            .entries
            .get(name)
            .unwrap_or_else(|| panic!("{} has no {name}", self.path.display()));
        assert_eq!(entry.dtype, dtype, "{name}");
        let [from, to] = entry.data_offsets;
        (&entry.shape, &self.data[from..to])
    }

    /// Shape and elements of the f32 tensor `name`.
    pub fn f32(&self, name: &str) -> (&[usize], Vec<f32>) {
        let (shape, bytes) = self.get(name, "F32");
        let values = bytes.as_chunks::<4>().0;
        (
            shape,
            values.iter().map(|&b| f32::from_le_bytes(b)).collect(),
        )
    }

    /// Shape and elements of the u8 tensor `name`.
    pub fn u8(&self, name: &str) -> (&[usize], &[u8]) {
        self.get(name, "U8")
    }
}

/// `‖a − b‖ / ‖b‖`; infinite where a value is not a number.
pub fn relative_error(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len(), "number of elements");
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
    let difference = square(&mut a.iter().zip(b).map(|(&a, &b)| f64::from(a) - f64::from(b)));
    let error = (difference / square(&mut b.iter().map(|&b| f64::from(b)))).sqrt();
    if error.is_nan() { f64::INFINITY } else { error }
}

/// Peak signal-to-noise ratio of two 8-bit pictures in dB; infinite for equal ones.
pub fn psnr(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len(), "number of bytes");
    let square = |(&a, &b): (&u8, &u8)| (f64::from(a) - f64::from(b)).powi(2);
    let mean = a.iter().zip(b).map(square).sum::<f64>() / a.len() as f64;
    10.0 * (255.0 * 255.0 / mean).log10()
}

/// `[n, c, h, w]` → `[n, h, w, c]`
pub fn channels_last(values: &[f32], [n, c, h, w]: [usize; 4]) -> Vec<f32> {
    let mut result = Vec::with_capacity(values.len());
    for image in 0..n {
        for position in 0..h * w {
            result.extend((0..c).map(|channel| values[(image * c + channel) * h * w + position]));
        }
    }
    result
}

/// `[n, h, w, c]` → `[n, c, h, w]`
pub fn channels_first(values: &[f32], [n, h, w, c]: [usize; 4]) -> Vec<f32> {
    let mut result = Vec::with_capacity(values.len());
    for image in 0..n {
        for channel in 0..c {
            result.extend((0..h * w).map(|at| values[(image * h * w + at) * c + channel]));
        }
    }
    result
}

/// The dimensions of a tensor of four.
pub fn four(shape: &[usize]) -> [usize; 4] {
    shape.try_into().expect("four dimensions")
}
