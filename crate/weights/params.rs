//! The weights of a network.
//!
//! A network's structure is written once, in its constructor, and run twice: first against a
//! [`VarStore`] that records names and shapes, so that a file can be checked and a download planned
//! before the first byte of weights moves; then against one that supplies the loaded tensors. A
//! third kind supplies tensors for a dry run.

use std::collections::HashMap;
use std::rc::Rc;

use burn::tensor::{DType, Tensor};

use super::safetensors::Dtype;
use super::storage::Storage;
use crate::error::{Error, Result};
use crate::ops::Ops;
use crate::ops::fake::fake_tensor;
use crate::ops::gpu::DryRun;

/// Conversion of a tensor on disk to one in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `[n]` stays as it is, in f32: biases and norms, too small for f16 to save memory.
    Vector,
    /// `[out, in]`, or `[out, in, 1, 1]` of a 1×1 convolution, becomes `[in, out]`.
    Matrix,
    /// `[out, in, 3, 3]` becomes `[9·in, out]`, with rows in the order kernel row, kernel column,
    /// input channel.
    Conv3x3,
    /// `[rows, columns]` stays on the host in the file's dtype: token tables, of which a prompt
    /// needs few rows.
    HostTable,
}

/// A tensor that a network requires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequiredTensor {
    /// Full name within the part's files, as diffusers 0.42 writes it.
    pub name: String,
    /// Shape on disk (trailing ones may be missing or added).
    pub shape: Vec<usize>,
    /// Conversion to memory.
    pub layout: Layout,
}

/// A table of rows on the host.
#[derive(Debug, Clone)]
pub struct HostTable {
    /// `rows·columns` elements, row by row, little endian.
    pub bytes: Rc<Vec<u8>>,
    /// Their dtype.
    pub dtype: Dtype,
    /// Elements in a row.
    pub columns: usize,
}

impl HostTable {
    /// Returns row `index` in f32, or `None` beyond the table.
    pub fn row(&self, index: usize) -> Option<Vec<f32>> {
        let width = self.columns * self.dtype.size();
        let start = index.checked_mul(width)?;
        let bytes = self.bytes.get(start..start.checked_add(width)?)?;
        Some(super::storage::to_f32(bytes, self.dtype))
    }
}

/// A loaded tensor. Clones share its memory.
#[derive(Clone)]
pub enum Loaded {
    /// [`Layout::Vector`]
    Vector(Tensor<1>),
    /// [`Layout::Matrix`] or [`Layout::Conv3x3`]
    Matrix(Tensor<2>),
    /// [`Layout::HostTable`]
    Table(HostTable),
}

enum Mode {
    Record(Vec<RequiredTensor>),
    Supply(HashMap<String, Loaded>),
}

/// Records the tensors a network requires, or supplies the loaded ones.
pub struct VarStore {
    mode: Mode,
    ops: Rc<dyn Ops>,
    placeholder: Placeholder,
}

/// Tensors supplied while recording.
enum Placeholder {
    /// Fake tensors, for counting and recording.
    Fake,
    /// Tensors without memory for a dry run, in the dtypes that weights are stored in.
    DryRun(Box<DryRun>, Storage),
}

impl Placeholder {
    fn vector(&self, length: usize) -> Tensor<1> {
        match self {
            Placeholder::Fake => fake_tensor([length], DType::F32),
            Placeholder::DryRun(dry_run, _) => dry_run.tensor([length], DType::F32),
        }
    }

    fn matrix(&self, shape: [usize; 2]) -> Tensor<2> {
        match self {
            Placeholder::Fake => fake_tensor(shape, DType::F32),
            Placeholder::DryRun(dry_run, storage) => {
                // Most files are in f16. For other files, the dtype is wrong here if storage
                // follows the file.
                let dtype = storage.matrix(Dtype::F16, shape[1]);
                dry_run.tensor(shape, dtype)
            }
        }
    }
}

impl VarStore {
    /// Makes a store that records the tensors a network requires and supplies fake ones, so that
    /// the network can run on `ops::counting::Counting` operations.
    /// [`VarStore::into_required`] returns the list.
    pub fn recording(ops: Rc<dyn Ops>) -> Self {
        VarStore {
            mode: Mode::Record(Vec::new()),
            ops,
            placeholder: Placeholder::Fake,
        }
    }

    /// Makes a store that supplies tensors of `dry_run` in the dtypes that `storage` gives them.
    pub fn dry_run(dry_run: &DryRun, storage: Storage, ops: Rc<dyn Ops>) -> Self {
        VarStore {
            mode: Mode::Record(Vec::new()),
            ops,
            placeholder: Placeholder::DryRun(Box::new(dry_run.clone()), storage),
        }
    }

    /// Makes a store that supplies `loaded` tensors, each once.
    pub fn loaded(loaded: HashMap<String, Loaded>, ops: Rc<dyn Ops>) -> Self {
        VarStore {
            mode: Mode::Supply(loaded),
            ops,
            placeholder: Placeholder::Fake,
        }
    }

    /// Returns the tensors recorded.
    pub fn into_required(self) -> Vec<RequiredTensor> {
        match self.mode {
            Mode::Record(required) => required,
            Mode::Supply(_) => Vec::new(),
        }
    }

    /// Returns the builder for the root of a network.
    pub fn root(&mut self) -> VarBuilder<'_> {
        VarBuilder {
            store: self,
            prefix: String::new(),
        }
    }

    fn get(&mut self, name: String, shape: &[usize], layout: Layout) -> Result<Loaded> {
        match &mut self.mode {
            Mode::Record(required) => {
                required.push(RequiredTensor {
                    name,
                    shape: shape.to_vec(),
                    layout,
                });
                let taps: usize = shape[1..].iter().skip(1).product();
                Ok(match layout {
                    Layout::Vector => Loaded::Vector(self.placeholder.vector(shape[0])),
                    Layout::Matrix | Layout::Conv3x3 => {
                        Loaded::Matrix(self.placeholder.matrix([taps * shape[1], shape[0]]))
                    }
                    Layout::HostTable => Loaded::Table(HostTable {
                        bytes: Rc::default(),
                        dtype: Dtype::F32,
                        columns: shape[1],
                    }),
                })
            }
            Mode::Supply(loaded) => loaded
                .remove(&name)
                .ok_or_else(|| Error::file(&name, "this tensor was not loaded")),
        }
    }
}

/// A prefix of tensor names, as candle's `VarBuilder`.
pub struct VarBuilder<'a> {
    store: &'a mut VarStore,
    prefix: String,
}

impl VarBuilder<'_> {
    /// Returns the builder for `name` below this one ("push prefix").
    pub fn pp(&mut self, name: impl std::fmt::Display) -> VarBuilder<'_> {
        VarBuilder {
            prefix: format!("{}{name}.", self.prefix),
            store: self.store,
        }
    }

    /// The operations that the network runs on.
    pub fn ops(&self) -> Rc<dyn Ops> {
        self.store.ops.clone()
    }

    fn get(&mut self, name: &str, shape: &[usize], layout: Layout) -> Result<Loaded> {
        let name = format!("{}{name}", self.prefix);
        self.store.get(name, shape, layout)
    }

    /// Takes a vector `[n]`.
    pub fn vector(&mut self, name: &str, n: usize) -> Result<Tensor<1>> {
        match self.get(name, &[n], Layout::Vector)? {
            Loaded::Vector(tensor) => Ok(tensor),
            _ => Err(self.layout_conflict(name)),
        }
    }

    /// Takes a matrix, `[inputs, outputs]`.
    pub fn matrix(&mut self, name: &str, inputs: usize, outputs: usize) -> Result<Tensor<2>> {
        match self.get(name, &[outputs, inputs], Layout::Matrix)? {
            Loaded::Matrix(tensor) => Ok(tensor),
            _ => Err(self.layout_conflict(name)),
        }
    }

    /// Takes the kernel of a 3×3 convolution, `[9·inputs, outputs]`.
    pub fn conv3x3(&mut self, name: &str, inputs: usize, outputs: usize) -> Result<Tensor<2>> {
        match self.get(name, &[outputs, inputs, 3, 3], Layout::Conv3x3)? {
            Loaded::Matrix(tensor) => Ok(tensor),
            _ => Err(self.layout_conflict(name)),
        }
    }

    /// Takes a table that stays on the host.
    pub fn table(&mut self, name: &str, rows: usize, columns: usize) -> Result<HostTable> {
        match self.get(name, &[rows, columns], Layout::HostTable)? {
            Loaded::Table(table) => Ok(table),
            _ => Err(self.layout_conflict(name)),
        }
    }

    fn layout_conflict(&self, name: &str) -> Error {
        Error::file(
            format!("{}{name}", self.prefix),
            "this tensor is required in two layouts",
        )
    }
}
