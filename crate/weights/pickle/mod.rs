//! Tensors in files of `torch.save`, read without running anything.
//!
//! Such a file is a program for a stack machine that may call any function of Python. Here the
//! program may build numbers, texts, lists, dictionaries and tensors; each request for anything
//! else is an error (`machine`). The file is a ZIP archive with the program and the tensors'
//! bytes, or, before PyTorch 1.6, a sequence of programs and bytes (`container`).

mod container;
mod machine;

use std::ops::Range;

use self::machine::{Node, Program};
use super::safetensors::Dtype;
use super::storage::to_f32;
use crate::error::{Error, Result};

/// The types of elements that tensors in such files have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    Float(Dtype),
    Double,
    /// Integers, of so many bytes: no weights.
    Other(usize),
}

impl Element {
    fn size(self) -> usize {
        match self {
            Element::Float(dtype) => dtype.size(),
            Element::Double => 8,
            Element::Other(size) => size,
        }
    }
}

/// A file of `torch.save`.
pub struct Pickle<'a> {
    path: &'a str,
    bytes: &'a [u8],
    program: Program,
    /// Bytes of each storage.
    storages: Vec<(String, Range<usize>)>,
}

/// A tensor in f32.
#[derive(Debug, Clone, PartialEq)]
pub struct PickledTensor {
    /// Dimensions.
    pub shape: Vec<usize>,
    /// Elements, row by row.
    pub values: Vec<f32>,
}

/// A value in a [`Pickle`].
#[derive(Clone, Copy)]
pub struct Item<'a> {
    pickle: &'a Pickle<'a>,
    node: usize,
}

/// True for the first bytes of a file of `torch.save`.
pub fn is_pickle(first: &[u8]) -> bool {
    matches!(first, [b'P', b'K', 3, 4, ..] | [0x80, 2..=5, ..])
}

impl<'a> Pickle<'a> {
    /// Reads the structure of a file. Nothing in it is run.
    ///
    /// # Errors
    /// [`Error::File`] naming `path` for a malformed file, and for one that asks for a function
    /// that builds no tensor.
    pub fn read(path: &'a str, bytes: &'a [u8]) -> Result<Self> {
        let read = match bytes {
            [b'P', b'K', ..] => container::read_archive(bytes),
            _ => container::read_legacy(bytes),
        };
        let (program, storages) = read.map_err(|what| Error::file(path, what))?;
        Ok(Pickle {
            path,
            bytes,
            program,
            storages,
        })
    }

    /// The value that was saved.
    pub fn root(&'a self) -> Item<'a> {
        Item {
            pickle: self,
            node: self.program.root(),
        }
    }
}

impl<'a> Item<'a> {
    fn node(self) -> &'a Node {
        self.pickle.program.node(self.node)
    }

    fn at(self, node: usize) -> Self {
        Item { node, ..self }
    }

    /// The entries of a dictionary that have texts as keys; none of any other value.
    pub fn entries(self) -> impl Iterator<Item = (&'a str, Item<'a>)> {
        let pairs = match self.node() {
            Node::Dict(pairs) => &pairs[..],
            _ => &[],
        };
        pairs
            .iter()
            .filter_map(move |&(key, value)| match self.at(key).node() {
                Node::Text(key) => Some((key.as_str(), self.at(value))),
                _ => None,
            })
    }

    /// The value of a dictionary's `key`.
    pub fn get(self, key: &str) -> Option<Item<'a>> {
        self.entries()
            .filter(|&(name, _)| name == key)
            .last()
            .map(|(_, value)| value)
    }

    /// The text, where the value is one.
    pub fn text(self) -> Option<&'a str> {
        match self.node() {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    /// True for a tensor.
    pub fn is_tensor(self) -> bool {
        matches!(self.node(), Node::Tensor(_))
    }

    /// The tensor in f32, where the value is one.
    ///
    /// # Errors
    /// [`Error::File`] where its elements are no floating-point numbers, are not in order, or are
    /// not in the file.
    pub fn tensor(self) -> Result<Option<PickledTensor>> {
        let Node::Tensor(tensor) = self.node() else {
            return Ok(None);
        };
        let wrong = |what: String| Error::file(self.pickle.path, what);
        let storages = &self.pickle.storages;
        let key = self.at(tensor.storage).text().unwrap_or_default();
        let Some((_, range)) = storages.iter().find(|(own, _)| own == key) else {
            return Err(wrong(format!("storage {key} of a tensor is missing")));
        };
        let shape = tensor.shape.clone();
        let size = tensor.element.size();
        let count = shape
            .iter()
            .try_fold(1usize, |count, &n| count.checked_mul(n));
        let bytes = count.and_then(|count| {
            let start = range.start.checked_add(tensor.offset.checked_mul(size)?)?;
            let end = start.checked_add(count.checked_mul(size)?)?;
            (end <= range.end).then(|| self.pickle.bytes.get(start..end))?
        });
        let Some(bytes) = bytes else {
            let what = format!("a tensor of shape {shape:?} reaches beyond its storage");
            return Err(wrong(what));
        };
        if !tensor.is_contiguous() {
            return Err(wrong(format!(
                "a tensor of shape {shape:?} is not in order"
            )));
        }
        let values = match tensor.element {
            Element::Float(dtype) => to_f32(bytes, dtype),
            Element::Double => {
                let (values, _) = bytes.as_chunks::<8>();
                values
                    .iter()
                    .map(|&bytes| f64::from_le_bytes(bytes) as f32)
                    .collect()
            }
            Element::Other(_) => {
                return Err(wrong(
                    "a tensor holds whole numbers, expected weights".into(),
                ));
            }
        };
        Ok(Some(PickledTensor { shape, values }))
    }
}
