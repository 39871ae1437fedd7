//! The safetensors format: eight bytes of header length, a JSON header, then the tensors' bytes.
//!
//! Only the header is parsed here. Tensors are read by byte range, one at a time, so a 1.7 GB file
//! is never in memory as a whole. Follows the format's own description and checks every offset
//! against the file's size.

use std::borrow::Cow;
use std::collections::{BTreeMap, btree_map};
use std::fmt;
use std::ops::Range;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::error::{Error, Result};

/// Maximum length of the JSON header in bytes, the format's own limit.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// Element types of weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    /// IEEE half precision.
    F16,
    /// bfloat16.
    Bf16,
    /// IEEE single precision.
    F32,
    /// IEEE double precision.
    F64,
    /// Eight bits: sign, four of exponent, three of mantissa; no infinity.
    F8E4m3,
    /// Eight bits: sign, five of exponent, two of mantissa.
    F8E5m2,
}

impl Dtype {
    /// Bytes per element.
    pub fn size(self) -> usize {
        match self {
            Dtype::F8E4m3 | Dtype::F8E5m2 => 1,
            Dtype::F16 | Dtype::Bf16 => 2,
            Dtype::F32 => 4,
            Dtype::F64 => 8,
        }
    }
}

/// Type of a tensor's elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ElementType {
    /// One that weights have.
    Weight(Dtype),
    /// Another one by its name in the file, such as the I64 of position ids.
    Other(Box<str>),
}

impl ElementType {
    /// Reads the name that the format gives a type.
    fn named(name: &str) -> Self {
        ElementType::Weight(match name {
            "F16" => Dtype::F16,
            "BF16" => Dtype::Bf16,
            "F32" => Dtype::F32,
            "F64" => Dtype::F64,
            "F8_E4M3" => Dtype::F8E4m3,
            "F8_E5M2" => Dtype::F8E5m2,
            other => return ElementType::Other(other.into()),
        })
    }

    /// The type, if weights may have it.
    pub fn weight(&self) -> Option<Dtype> {
        match self {
            ElementType::Weight(dtype) => Some(*dtype),
            ElementType::Other(_) => None,
        }
    }
}

/// One tensor of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Element type.
    pub dtype: ElementType,
    /// Dimensions.
    pub shape: Vec<usize>,
    /// Range of bytes, counted from the start of the file.
    pub range: Range<u64>,
}

/// All tensors of a file by name.
#[derive(Debug, Clone, Default)]
pub struct Header {
    /// Tensors by name.
    pub tensors: BTreeMap<String, TensorInfo>,
    /// The file's `__metadata__`.
    pub metadata: BTreeMap<String, String>,
}

/// Reads the length of the JSON header from the first eight bytes of a file.
///
/// # Errors
/// [`Error::File`] naming `path` if the length is impossible for a file of `file_size` bytes.
pub fn header_length(path: &str, first: &[u8], file_size: u64) -> Result<u64> {
    let Some(bytes) = first.first_chunk::<8>() else {
        return Err(Error::file(
            path,
            format!("not a safetensors file: it has only {file_size} bytes"),
        ));
    };
    let length = u64::from_le_bytes(*bytes);
    if !(2..=MAX_HEADER_BYTES).contains(&length) {
        let what = match bytes {
            [b'P', b'K', 3, 4, ..] | [0x80, ..] => {
                "a PyTorch pickle, which may run programs when it is read; convert it to \
                 .safetensors first"
                    .into()
            }
            b"version " => {
                "a Git LFS pointer in place of the file; download it with git lfs pull".into()
            }
            [b'G', b'G', b'U', b'F', ..] => "a GGUF file".into(),
            [b'<', ..] => "a web page".into(),
            _ => format!("its header length is {length} bytes"),
        };
        return Err(Error::file(path, format!("not a safetensors file: {what}")));
    }
    if length + 8 > file_size {
        return Err(Error::file(
            path,
            format!(
                "truncated: the header needs {} bytes, the file has {file_size}",
                length + 8
            ),
        ));
    }
    Ok(length)
}

/// One entry of the JSON header.
#[derive(serde::Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    dtype: Cow<'a, str>,
    shape: Vec<usize>,
    data_offsets: [u64; 2],
}

impl Header {
    /// Parses `json`, the JSON header without the eight length bytes, of a file of `file_size`
    /// bytes.
    ///
    /// # Errors
    /// [`Error::File`] naming `path` and the tensor if an entry contradicts itself or reaches
    /// beyond the file.
    pub fn parse(path: &str, json: &[u8], file_size: u64) -> Result<Self> {
        let mut visitor = HeaderVisitor {
            path,
            start_of_data: 8 + json.len() as u64,
            file_size,
            header: Header::default(),
            error: None,
        };
        let mut json = serde_json::Deserializer::from_slice(json);
        let read = json.deserialize_map(&mut visitor).and_then(|()| json.end());
        match (visitor.error, read) {
            (Some(error), _) => Err(error),
            (None, Err(e)) => Err(Error::file(
                path,
                format!("malformed safetensors header: {e}"),
            )),
            (None, Ok(())) => Ok(visitor.header),
        }
    }
}

/// Reads a header entry by entry. As a tree of JSON values, a header of 100 MB could take 10 GB.
struct HeaderVisitor<'a> {
    path: &'a str,
    start_of_data: u64,
    file_size: u64,
    header: Header,
    /// The fault of an entry. serde's errors cannot carry it.
    error: Option<Error>,
}

impl<'de> Visitor<'de> for &mut HeaderVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                if let MetadataValue::Object(metadata) = map.next_value()? {
                    self.header.metadata = metadata;
                }
                continue;
            }
            let added = match map.next_value::<Entry>() {
                Ok(entry) => self.add(name, entry),
                Err(e) => Err(Error::file(
                    self.path,
                    format!("malformed header entry of tensor {name}: {e}"),
                )),
            };
            if let Err(error) = added {
                self.error = Some(error);
                return Err(de::Error::custom("see `error`"));
            }
        }
        Ok(())
    }
}

impl HeaderVisitor<'_> {
    /// Checks an entry and adds it to the header.
    fn add(&mut self, name: String, entry: Entry) -> Result<()> {
        let wrong = |what: String| Err(Error::file(self.path, what));
        let [from, to] = entry.data_offsets;
        let range = self
            .start_of_data
            .checked_add(from)
            .zip(self.start_of_data.checked_add(to))
            .filter(|(from, to)| from <= to)
            .map(|(from, to)| from..to);
        let Some(range) = range else {
            return wrong(format!("tensor {name} has impossible offsets {from}..{to}"));
        };
        let bytes = range.end - range.start;
        if range.end > self.file_size {
            return wrong(format!(
                "truncated: tensor {name} ends at byte {}, the file has {}",
                range.end, self.file_size
            ));
        }
        let dtype = ElementType::named(&entry.dtype);
        let expected = |dtype: Dtype| {
            let dims = entry.shape.iter();
            let size = dims
                .map(|&dim| dim as u64)
                .try_fold(dtype.size() as u64, u64::checked_mul);
            size == Some(bytes)
        };
        if !dtype.weight().is_none_or(expected) {
            return wrong(format!(
                "tensor {name} of shape {:?} and type {} cannot have {bytes} bytes",
                entry.shape, entry.dtype
            ));
        }
        match self.header.tensors.entry(name) {
            btree_map::Entry::Occupied(entry) => {
                wrong(format!("tensor {} is listed twice", entry.key()))
            }
            btree_map::Entry::Vacant(slot) => {
                slot.insert(TensorInfo {
                    dtype,
                    shape: entry.shape,
                    range,
                });
                Ok(())
            }
        }
    }
}

/// A value in `__metadata__`. It decides only a default, so values other than strings are accepted
/// and ignored.
enum MetadataValue {
    Text(String),
    /// The members that are strings.
    Object(BTreeMap<String, String>),
    Other,
}

impl<'de> Deserialize<'de> for MetadataValue {
    fn deserialize<D: Deserializer<'de>>(input: D) -> std::result::Result<Self, D::Error> {
        input.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = MetadataValue;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> std::result::Result<MetadataValue, E> {
        Ok(MetadataValue::Other)
    }

    fn visit_i64<E>(self, _: i64) -> std::result::Result<MetadataValue, E> {
        Ok(MetadataValue::Other)
    }

    fn visit_u64<E>(self, _: u64) -> std::result::Result<MetadataValue, E> {
        Ok(MetadataValue::Other)
    }

    fn visit_f64<E>(self, _: f64) -> std::result::Result<MetadataValue, E> {
        Ok(MetadataValue::Other)
    }

    fn visit_unit<E>(self) -> std::result::Result<MetadataValue, E> {
        Ok(MetadataValue::Other)
    }

    fn visit_str<E>(self, text: &str) -> std::result::Result<MetadataValue, E> {
        Ok(MetadataValue::Text(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(
        self,
        mut list: A,
    ) -> std::result::Result<MetadataValue, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(MetadataValue::Other)
    }

    fn visit_map<A: MapAccess<'de>>(
        self,
        mut map: A,
    ) -> std::result::Result<MetadataValue, A::Error> {
        let mut texts = BTreeMap::new();
        while let Some(key) = map.next_key()? {
            if let MetadataValue::Text(text) = map.next_value()? {
                texts.insert(key, text);
            }
        }
        Ok(MetadataValue::Object(texts))
    }
}
