//! Safetensors files for the tests: one writer, which also makes headers without their tensors and
//! headers that no library would write, and one reader of small files.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// Name, element type and shape of a tensor.
pub type Info<'a> = (&'a str, &'a str, &'a [usize]);

/// Bytes of one element.
pub fn element_size(dtype: &str) -> usize {
    match dtype {
        "U8" => 1,
        "F16" | "BF16" => 2,
        "F32" => 4,
        _ => 8,
    }
}

/// The header entries of tensors that lie one after the other, and the bytes of all tensors.
pub fn entries<'a>(tensors: impl IntoIterator<Item = Info<'a>>) -> (Vec<(String, Value)>, u64) {
    let mut end = 0;
    let entry = |(name, dtype, shape): Info<'a>| {
        let start = end;
        end += element_size(dtype) as u64 * shape.iter().product::<usize>() as u64;
        let info = json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, end] });
        (name.to_string(), info)
    };
    let entries = tensors.into_iter().map(entry).collect();
    (entries, end)
}

/// The beginning of a file, up to its tensors, and the size of the whole file.
pub fn header<'a>(tensors: impl IntoIterator<Item = Info<'a>>, metadata: &Value) -> (Vec<u8>, u64) {
    let (entries, length) = entries(tensors);
    let mut header: Map<String, Value> = entries.into_iter().collect();
    if !metadata.is_null() {
        header.insert("__metadata__".into(), metadata.clone());
    }
    let file = with_length(Value::Object(header).to_string().as_bytes());
    let size = file.len() as u64 + length;
    (file, size)
}

/// A header's JSON with its length in front.
pub fn with_length(json: &[u8]) -> Vec<u8> {
    [&(json.len() as u64).to_le_bytes()[..], json].concat()
}

/// A whole file.
pub fn file<'a>(tensors: impl IntoIterator<Item = (Info<'a>, Vec<u8>)>) -> Vec<u8> {
    let (infos, data): (Vec<_>, Vec<_>) = tensors.into_iter().unzip();
    let (mut file, size) = header(infos, &Value::Null);
    file.reserve(size as usize - file.len());
    data.iter().for_each(|bytes| file.extend(bytes));
    assert_eq!(file.len() as u64, size, "bytes of the tensors");
    file
}

/// The header's JSON and the tensors' bytes of a whole file.
pub fn split(file: &[u8]) -> (&[u8], &[u8]) {
    let length = u64::from_le_bytes(*file.first_chunk().expect("a header's length"));
    file[8..].split_at(length as usize)
}

/// The header's JSON of the file at `path`, which is not read further.
pub fn read_header(path: &Path) -> Map<String, Value> {
    let read = || {
        let mut file = std::fs::File::open(path)?;
        let mut length = [0; 8];
        file.read_exact(&mut length)?;
        let mut json = vec![0; u64::from_le_bytes(length) as usize];
        file.read_exact(&mut json)?;
        Ok::<_, std::io::Error>(serde_json::from_slice(&json)?)
    };
    read().unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The tensors of a small file.
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
        let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let (json, data) = split(&bytes);
        let mut header: Map<String, Value> =
            serde_json::from_slice(json).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let metadata = header.remove("__metadata__").map(serde_json::from_value);
        let metadata = metadata.map(|found| found.expect("names and texts"));
        Tensors {
            path: path.to_path_buf(),
            metadata: metadata.unwrap_or_default(),
            entries: serde_json::from_value(header.into()).expect("a safetensors header"),
            data: data.to_vec(),
        }
    }

    /// The JSON text `name` of the metadata.
    pub fn metadata<T: DeserializeOwned>(&self, name: &str) -> T {
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
        let (values, _) = bytes.as_chunks::<4>();
        let values = values.iter().map(|&b| f32::from_le_bytes(b)).collect();
        (shape, values)
    }

    /// Shape and elements of the u8 tensor `name`.
    pub fn u8(&self, name: &str) -> (&[usize], &[u8]) {
        self.get(name, "U8")
    }
}
