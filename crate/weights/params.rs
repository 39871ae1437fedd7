//! The parameters of a network.
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

/// How a tensor on disk becomes one in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `[n]` as it is, in f32: biases and norms, too small to save on.
    Vector,
    /// `[out, in]`, or `[out, in, 1, 1]` of a 1×1 convolution, becomes `[in, out]`.
    Matrix,
    /// `[out, in, 3, 3]` becomes `[9·in, out]`, rows ordered kernel row, kernel column, input channel.
    Conv3x3,
    /// `[rows, columns]` stays on the host, in the file's element type: token tables, of which a prompt needs few rows.
    HostTable,
}

/// A tensor that a network asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequiredTensor {
    /// Full name within the part's files, as diffusers writes it today.
    pub name: String,
    /// Shape on disk (trailing ones may be missing or added).
    pub shape: Vec<usize>,
    /// What becomes of it.
    pub layout: Layout,
}

/// A table of rows on the host.
#[derive(Debug, Clone)]
pub struct HostTable {
    /// `rows·columns` elements, row by row, little endian.
    pub bytes: Vec<u8>,
    /// Their type.
    pub dtype: Dtype,
    /// Elements in a row.
    pub columns: usize,
}

impl HostTable {
    /// Row `index` in f32, `None` beyond the table.
    pub fn row(&self, index: usize) -> Option<Vec<f32>> {
        let width = self.columns * self.dtype.size();
        let start = index.checked_mul(width)?;
        let bytes = self.bytes.get(start..start.checked_add(width)?)?;
        Some(super::storage::to_f32(bytes, self.dtype))
    }
}

/// A loaded tensor.
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
    Hand(HashMap<String, Loaded>),
}

/// Records the tensors a network requires, or supplies the loaded ones.
pub struct VarStore {
    mode: Mode,
    ops: Rc<dyn Ops>,
    placeholder: Placeholder,
}

/// Tensors handed out while recording.
enum Placeholder {
    /// Fake ones.
    Fake,
    /// Tensors without memory for a dry run, in the types that weights are stored in.
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
                // Most files are in f16. Where a file is not and storage follows the file, the
                // type differs here.
                let dtype = storage.matrix(Dtype::F16, shape[1]);
                dry_run.tensor(shape, dtype)
            }
        }
    }
}

impl VarStore {
    /// Records what a network asks for, and hands out fake tensors, so that the network can run on
    /// [`Counting`](crate::ops::counting::Counting) operations. Read the list with
    /// [`VarStore::into_required`].
    pub fn recording(ops: Rc<dyn Ops>) -> Self {
        VarStore {
            mode: Mode::Record(Vec::new()),
            ops,
            placeholder: Placeholder::Fake,
        }
    }

    /// Hands out tensors of `dry_run` in the types they would be stored in.
    pub fn dry_run(dry_run: &DryRun, storage: Storage, ops: Rc<dyn Ops>) -> Self {
        VarStore {
            mode: Mode::Record(Vec::new()),
            ops,
            placeholder: Placeholder::DryRun(Box::new(dry_run.clone()), storage),
        }
    }

    /// Hands out `loaded` tensors, each once.
    pub fn loaded(loaded: HashMap<String, Loaded>, ops: Rc<dyn Ops>) -> Self {
        VarStore {
            mode: Mode::Hand(loaded),
            ops,
            placeholder: Placeholder::Fake,
        }
    }

    /// The tensors that were asked for.
    pub fn into_required(self) -> Vec<RequiredTensor> {
        match self.mode {
            Mode::Record(required) => required,
            Mode::Hand(_) => Vec::new(),
        }
    }

    /// The builder at the network's root.
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
                        bytes: Vec::new(),
                        dtype: Dtype::F32,
                        columns: shape[1],
                    }),
                })
            }
            Mode::Hand(loaded) => loaded
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
    /// The builder for `name` below this one ("push prefix").
    pub fn pp(&mut self, name: impl std::fmt::Display) -> VarBuilder<'_> {
        VarBuilder {
            prefix: format!("{}{name}.", self.prefix),
            store: self.store,
        }
    }

    /// The operations the network will run on.
    pub fn ops(&self) -> Rc<dyn Ops> {
        self.store.ops.clone()
    }

    fn get(&mut self, name: &str, shape: &[usize], layout: Layout) -> Result<Loaded> {
        let name = format!("{}{name}", self.prefix);
        self.store.get(name, shape, layout)
    }

    /// A vector of `n` elements.
    pub fn vector(&mut self, name: &str, n: usize) -> Result<Tensor<1>> {
        match self.get(name, &[n], Layout::Vector)? {
            Loaded::Vector(tensor) => Ok(tensor),
            _ => Err(self.mixed_up(name)),
        }
    }

    /// A matrix `[inputs, outputs]`.
    pub fn matrix(&mut self, name: &str, inputs: usize, outputs: usize) -> Result<Tensor<2>> {
        match self.get(name, &[outputs, inputs], Layout::Matrix)? {
            Loaded::Matrix(tensor) => Ok(tensor),
            _ => Err(self.mixed_up(name)),
        }
    }

    /// The kernel of a 3×3 convolution, `[9·inputs, outputs]`.
    pub fn conv3x3(&mut self, name: &str, inputs: usize, outputs: usize) -> Result<Tensor<2>> {
        match self.get(name, &[outputs, inputs, 3, 3], Layout::Conv3x3)? {
            Loaded::Matrix(tensor) => Ok(tensor),
            _ => Err(self.mixed_up(name)),
        }
    }

    /// A table that stays on the host.
    pub fn table(&mut self, name: &str, rows: usize, columns: usize) -> Result<HostTable> {
        match self.get(name, &[rows, columns], Layout::HostTable)? {
            Loaded::Table(table) => Ok(table),
            _ => Err(self.mixed_up(name)),
        }
    }

    fn mixed_up(&self, name: &str) -> Error {
        Error::file(
            format!("{}{name}", self.prefix),
            "this tensor was asked for in two layouts",
        )
    }
}
