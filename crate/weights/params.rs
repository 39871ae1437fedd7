//! What a model needs from its files.
//!
//! The structure of a network is written down once, in its constructor, and run twice: first against a [`Params`] that
//! only notes names and shapes, so that a file can be checked and a download planned before the first byte of weights
//! moves; then against one that hands out the loaded tensors.

use std::collections::HashMap;
use std::rc::Rc;

use burn::tensor::{Device, Tensor};

use super::safetensors::Dtype;
use crate::error::{Error, Result};
use crate::ops::Ops;

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
pub struct Wanted {
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
    Plan(Vec<Wanted>),
    Take(HashMap<String, Loaded>),
}

/// Takes note of what a network needs, or hands it out.
pub struct Params {
    mode: Mode,
    ops: Rc<dyn Ops>,
    placeholder: Device,
}

impl Params {
    /// Takes note: every tensor handed out is an empty placeholder. Read the list with [`Params::into_wanted`].
    pub fn plan(ops: Rc<dyn Ops>) -> Self {
        Params {
            mode: Mode::Plan(Vec::new()),
            ops,
            placeholder: Device::flex(),
        }
    }

    /// Hands out `loaded` tensors, each once.
    pub fn take(loaded: HashMap<String, Loaded>, ops: Rc<dyn Ops>) -> Self {
        Params {
            mode: Mode::Take(loaded),
            ops,
            placeholder: Device::flex(),
        }
    }

    /// What was asked for so far.
    pub fn into_wanted(self) -> Vec<Wanted> {
        match self.mode {
            Mode::Plan(wanted) => wanted,
            Mode::Take(_) => Vec::new(),
        }
    }

    /// The outermost scope.
    pub fn root(&mut self) -> Scope<'_> {
        Scope {
            params: self,
            prefix: String::new(),
        }
    }

    fn get(&mut self, name: String, shape: &[usize], layout: Layout) -> Result<Loaded> {
        match &mut self.mode {
            Mode::Plan(wanted) => {
                wanted.push(Wanted {
                    name,
                    shape: shape.to_vec(),
                    layout,
                });
                let device = &self.placeholder;
                Ok(match layout {
                    Layout::Vector => Loaded::Vector(Tensor::zeros([1], device)),
                    Layout::Matrix | Layout::Conv3x3 => {
                        Loaded::Matrix(Tensor::zeros([1, 1], device))
                    }
                    Layout::HostTable => Loaded::Table(HostTable {
                        bytes: Vec::new(),
                        dtype: Dtype::F32,
                        columns: shape[1],
                    }),
                })
            }
            Mode::Take(loaded) => loaded
                .remove(&name)
                .ok_or_else(|| Error::file(&name, "this tensor was not loaded")),
        }
    }
}

/// A place in a network: names asked for here get its prefix.
pub struct Scope<'a> {
    params: &'a mut Params,
    prefix: String,
}

impl Scope<'_> {
    /// The place called `name` below this one.
    pub fn enter(&mut self, name: impl std::fmt::Display) -> Scope<'_> {
        Scope {
            prefix: format!("{}{name}.", self.prefix),
            params: self.params,
        }
    }

    /// The operations the network will run on.
    pub fn ops(&self) -> Rc<dyn Ops> {
        self.params.ops.clone()
    }

    fn get(&mut self, name: &str, shape: &[usize], layout: Layout) -> Result<Loaded> {
        let name = format!("{}{name}", self.prefix);
        self.params.get(name, shape, layout)
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
