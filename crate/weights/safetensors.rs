//! The safetensors format: eight bytes of header length, a JSON header, then the tensors' bytes.
//!
//! Only the header is parsed here; tensors are read by byte range, one at a time, so a 1.7 GB file never has to exist in
//! memory. Matches the format's own description, with every offset checked against the file's size.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;

use crate::error::{Error, Result};

/// The format's own limit for the JSON header.
const HEADER_AT_MOST: u64 = 100_000_000;

/// Element types that weights come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    /// IEEE half precision.
    F16,
    /// bfloat16.
    Bf16,
    /// IEEE single precision.
    F32,
}

impl Dtype {
    /// Bytes an element takes.
    pub fn size(self) -> usize {
        match self {
            Dtype::F16 | Dtype::Bf16 => 2,
            Dtype::F32 => 4,
        }
    }
}

/// One tensor of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Element type; `None` for types no weight here has (int64 position ids and the like).
    pub dtype: Option<Dtype>,
    /// Dimensions.
    pub shape: Vec<usize>,
    /// Bytes within the file, counted from its beginning.
    pub range: Range<u64>,
}

/// All tensors of a file by name.
#[derive(Debug, Clone, Default)]
pub struct Header {
    /// Name → where and what.
    pub tensors: BTreeMap<String, TensorInfo>,
    /// What the file says of itself (`__metadata__`).
    pub metadata: BTreeMap<String, String>,
}

/// The length of the JSON header, from the file's first eight bytes.
///
/// # Errors
/// [`Error::File`] naming `path` where the length is impossible for a file of `file_size` bytes.
pub fn header_length(path: &str, first: &[u8], file_size: u64) -> Result<u64> {
    let Some(bytes) = first.first_chunk::<8>() else {
        return Err(Error::file(
            path,
            format!("not a safetensors file: it has only {file_size} bytes"),
        ));
    };
    let length = u64::from_le_bytes(*bytes);
    if !(2..=HEADER_AT_MOST).contains(&length) {
        let what = match bytes {
            [b'P', b'K', 3, 4, ..] | [0x80, ..] => {
                "a PyTorch pickle. Such files can run programs; convert it to .safetensors first"
                    .into()
            }
            b"version " => {
                "a Git LFS pointer that stands for the file; fetch it with git lfs pull".into()
            }
            [b'G', b'G', b'U', b'F', ..] => "a GGUF file".into(),
            [b'<', ..] => "a web page".into(),
            _ => format!("its header would have {length} bytes"),
        };
        return Err(Error::file(path, format!("not a safetensors file: {what}")));
    }
    if length + 8 > file_size {
        return Err(Error::file(
            path,
            format!(
                "truncated: its header alone needs {} bytes, the file has {file_size}",
                length + 8
            ),
        ));
    }
    Ok(length)
}

impl Header {
    /// Parses the JSON header `json` (without the eight length bytes) of a file of `file_size` bytes.
    ///
    /// # Errors
    /// [`Error::File`] naming `path` and the tensor whose entry contradicts itself or reaches beyond the file.
    pub fn parse(path: &str, json: &[u8], file_size: u64) -> Result<Self> {
        #[derive(Deserialize)]
        struct Entry {
            dtype: String,
            shape: Vec<usize>,
            data_offsets: [u64; 2],
        }
        let entries: BTreeMap<String, serde_json::Value> = serde_json::from_slice(json)
            .map_err(|e| Error::file(path, format!("malformed safetensors header: {e}")))?;
        let start_of_data = 8 + json.len() as u64;
        let mut tensors = BTreeMap::new();
        let mut metadata = BTreeMap::new();
        for (name, value) in entries {
            if name == "__metadata__" {
                // Nothing here hangs on it but a default; whatever else it holds may stay what it is.
                if let serde_json::Value::Object(entries) = value {
                    let text = |(key, value): (String, serde_json::Value)| {
                        Some((key, value.as_str()?.to_string()))
                    };
                    metadata = entries.into_iter().filter_map(text).collect();
                }
                continue;
            }
            let entry = Entry::deserialize(value).map_err(|e| {
                Error::file(
                    path,
                    format!("malformed header entry of tensor {name}: {e}"),
                )
            })?;
            let [from, to] = entry.data_offsets;
            let range = start_of_data
                .checked_add(from)
                .zip(start_of_data.checked_add(to))
                .filter(|(from, to)| from <= to)
                .map(|(from, to)| from..to)
                .ok_or_else(|| {
                    Error::file(
                        path,
                        format!("tensor {name} has impossible offsets {from}..{to}"),
                    )
                })?;
            if range.end > file_size {
                return Err(Error::file(
                    path,
                    format!(
                        "truncated: tensor {name} ends at byte {}, the file has {file_size}",
                        range.end
                    ),
                ));
            }
            let dtype = match entry.dtype.as_str() {
                "F16" => Some(Dtype::F16),
                "BF16" => Some(Dtype::Bf16),
                "F32" => Some(Dtype::F32),
                _ => None,
            };
            if let Some(dtype) = dtype {
                let bytes = entry
                    .shape
                    .iter()
                    .try_fold(dtype.size(), |size, &dim| size.checked_mul(dim));
                if bytes.map(|b| b as u64) != Some(range.end - range.start) {
                    return Err(Error::file(
                        path,
                        format!(
                            "tensor {name} of shape {:?} and type {} cannot have {} bytes",
                            entry.shape,
                            entry.dtype,
                            range.end - range.start
                        ),
                    ));
                }
            }
            tensors.insert(
                name,
                TensorInfo {
                    dtype,
                    shape: entry.shape,
                    range,
                },
            );
        }
        Ok(Header { tensors, metadata })
    }
}
