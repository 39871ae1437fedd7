//! Reads tensors a few megabytes at a time and uploads each chunk at once. Neither a file nor a
//! tensor is in host memory as a whole, except tensors that stay there.

use std::ops::Range;
use std::rc::Rc;

use burn::backend::wgpu::CubeBackend;
use burn::tensor::{DType, Tensor, TensorData};
use burn_cubecl::tensor::CubeTensor;
use half::f16;

use super::file::{Found, length};
use super::load::{LoadProgress, Reading, elements};
use super::lora::Delta;
use super::params::{HostTable, Layout, Loaded};
use super::safetensors::Dtype;
use super::sizes::WeightSizes;
use super::storage::{Storage, convert, to_f32};
use crate::error::{Error, Result};
use crate::ops::gpu::Upload;

/// Bytes of a tensor that are read, converted and uploaded in one chunk.
pub const CHUNK: usize = 4 << 20;

/// Reader of the tensors found in the files of `parts`.
pub(super) struct WeightReader<'a> {
    reading: &'a Reading<'a>,
    /// Folders of the first and the last part.
    ends: Option<[&'static str; 2]>,
    storage: Storage,
    /// Present if the device is a GPU.
    upload: Option<Upload>,
    progress: &'a mut dyn FnMut(LoadProgress<'_>),
    done: u64,
    total: u64,
    sizes: WeightSizes,
}

impl<'a> WeightReader<'a> {
    /// Makes a reader of the tensors `found`; `progress` is called before each chunk.
    pub fn new(
        reading: &'a Reading<'a>,
        found: &[Found],
        progress: &'a mut dyn FnMut(LoadProgress<'_>),
    ) -> Self {
        let storage = reading.storage.of(elements(found));
        let by_part = |found: &&Found| found.part;
        let ends = [
            found.iter().min_by_key(by_part),
            found.iter().max_by_key(by_part),
        ];
        WeightReader {
            reading,
            ends: match ends {
                [Some(first), Some(last)] => Some([first.folder, last.folder]),
                _ => None,
            },
            storage,
            upload: Upload::new(reading.device, CHUNK),
            progress,
            done: 0,
            total: found.iter().map(|f| length(&f.info.range)).sum(),
            sizes: sizes(found, storage),
        }
    }

    /// Reports the totals; to be called before the first tensor is read.
    pub fn begin(&mut self) {
        if let Some([first, _]) = self.ends {
            self.report(first);
        }
    }

    /// Calls `progress` with the current state.
    fn report(&mut self, part: &str) {
        (self.progress)(LoadProgress {
            done: self.done,
            total: self.total,
            part,
            sizes: self.sizes,
        });
    }

    /// Reads the tensor `found` and stores it on the device or the host.
    pub async fn tensor(&mut self, found: &Found) -> Result<Loaded> {
        match found.required.layout {
            Layout::Vector => self.vector(found).await.map(Loaded::Vector),
            Layout::Matrix | Layout::Conv3x3 => {
                let mut to = self.storage.matrix(found.dtype, found.required.shape[0]);
                let deltas = self.reading.merges.deltas(found).await?;
                loop {
                    let done = self.done;
                    if let Some(matrix) = self.matrix(found, to, &deltas).await? {
                        return Ok(Loaded::Matrix(matrix));
                    }
                    // A weight is beyond f16's range, which no sound model has: keep f32.
                    (to, self.done) = (DType::F32, done);
                }
            }
            Layout::HostTable => {
                let mut to = self.storage.table(found.dtype);
                loop {
                    let done = self.done;
                    if let Some(table) = self.table(found, to).await? {
                        return Ok(Loaded::Table(table));
                    }
                    // A table of f32, or of f64 rounded to it, with a value beyond f16's range.
                    (to, self.done) = (Dtype::F32, done);
                }
            }
        }
    }

    /// Waits for pending uploads; to be called after the last tensor.
    pub async fn finish(mut self) -> Result<()> {
        if let Some([_, last]) = self.ends {
            self.report(last);
        }
        match self.upload {
            Some(upload) => upload.finish().await,
            None => Ok(()),
        }
    }

    /// Reads a vector in f32.
    async fn vector(&mut self, found: &Found) -> Result<Tensor<1>> {
        let n = found.required.shape[0];
        let bytes = self.elements(found, 0..n).await?;
        let values = to_f32(&bytes, found.dtype);
        match &mut self.upload {
            Some(upload) => upload.vector(&values).await,
            None => {
                let data = TensorData::new(values, [n]);
                Ok(Tensor::from_data(data, (self.reading.device, DType::F32)))
            }
        }
    }

    /// Reads a matrix in dtype `to`: `[outputs, inputs, taps]` → `[taps·inputs, outputs]`. Returns
    /// `None` if a weight is beyond the range of `to`.
    async fn matrix(
        &mut self,
        found: &Found,
        to: DType,
        deltas: &[Delta],
    ) -> Result<Option<Tensor<2>>> {
        let shape = &found.required.shape;
        let (outputs, inner) = (shape[0], [shape[1], shape[2..].iter().product()]);
        let columns = inner[0] * inner[1];
        let stored = match to {
            DType::F16 => Dtype::F16,
            _ => Dtype::F32,
        };
        let row = columns
            * match deltas {
                [] => stored.size().max(found.dtype.size()),
                _ => Dtype::F32.size(),
            };
        // An even number, because two rows in f16 share a word.
        let rows = (CHUNK / row / 2 * 2).max(2);
        let mut matrix = match &self.upload {
            Some(upload) => Matrix::Gpu(Box::new(upload.matrix(columns, outputs, to))),
            None if to == DType::F16 => Matrix::Half(vec![f16::ZERO; columns * outputs]),
            None => Matrix::Single(vec![0.0; columns * outputs]),
        };
        for first in (0..outputs).step_by(rows) {
            let range = first * columns..outputs.min(first + rows) * columns;
            let bytes = self.elements(found, range).await?;
            let (bytes, dtype) = match deltas {
                [] => (bytes, found.dtype),
                _ => (
                    changed(&bytes, found.dtype, deltas, first, columns),
                    Dtype::F32,
                ),
            };
            let Some(bytes) = convert(bytes, dtype, stored) else {
                return Ok(None);
            };
            match (&mut matrix, &mut self.upload) {
                (Matrix::Gpu(matrix), Some(upload)) => {
                    upload.put(matrix, inner, first, bytes).await?;
                }
                (Matrix::Half(matrix), _) => {
                    transpose(matrix, outputs, inner, first, &bytes, f16::from_le_bytes);
                }
                (Matrix::Single(matrix), _) => {
                    transpose(matrix, outputs, inner, first, &bytes, f32::from_le_bytes);
                }
                (Matrix::Gpu(_), None) => unreachable!("made by the upload"),
            }
        }
        let shape = [columns, outputs];
        let data = match matrix {
            Matrix::Gpu(matrix) => return Ok(Some(Tensor::from_primitive::<CubeBackend>(*matrix))),
            Matrix::Half(values) => TensorData::new(values, shape),
            Matrix::Single(values) => TensorData::new(values, shape),
        };
        Ok(Some(Tensor::from_data(data, (self.reading.device, to))))
    }

    /// Reads a table that stays on the host, in type `to`. Returns `None` if an element is beyond
    /// the range of `to`.
    async fn table(&mut self, found: &Found, to: Dtype) -> Result<Option<HostTable>> {
        let [rows, columns] = [found.required.shape[0], found.required.shape[1]];
        let elements = rows * columns;
        let per_chunk = CHUNK / found.dtype.size();
        let mut bytes = Vec::with_capacity(elements * to.size());
        for start in (0..elements).step_by(per_chunk) {
            let chunk = self
                .elements(found, start..elements.min(start + per_chunk))
                .await?;
            match convert(chunk, found.dtype, to) {
                Some(chunk) => bytes.extend_from_slice(&chunk),
                None => return Ok(None),
            }
        }
        Ok(Some(HostTable {
            bytes: Rc::new(bytes),
            dtype: to,
            columns,
        }))
    }

    /// Reads the bytes of a range of a tensor's elements.
    async fn elements(&mut self, found: &Found, range: Range<usize>) -> Result<Vec<u8>> {
        self.report(found.folder);
        let [start, end] = [range.start, range.end]
            .map(|index| found.info.range.start + (index * found.dtype.size()) as u64);
        let source = self.reading.sources[found.source];
        let bytes = source.read(&found.path, start..end).await?;
        if bytes.len() as u64 != end - start {
            return Err(Error::file(
                source.describe(&found.path),
                format!(
                    "tensor {}: read {} bytes, expected {}",
                    found.required.name,
                    bytes.len(),
                    end - start
                ),
            ));
        }
        self.done += bytes.len() as u64;
        Ok(bytes)
    }
}

/// Rows of a matrix in f32 with `deltas` added; `first` is the number of the first one.
fn changed(bytes: &[u8], from: Dtype, deltas: &[Delta], first: usize, columns: usize) -> Vec<u8> {
    let mut values = to_f32(bytes, from);
    for delta in deltas {
        delta.add_to(&mut values, first, columns);
    }
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// Memory that the tensors `found` take. A matrix with a weight beyond f16's range, as in no sound
/// model, would take more.
fn sizes(found: &[Found], storage: Storage) -> WeightSizes {
    let mut sizes = WeightSizes::default();
    for found in found {
        let elements = length(&found.info.range) / found.dtype.size() as u64;
        match found.required.layout {
            Layout::HostTable => {
                sizes.add_host(elements * storage.table(found.dtype).size() as u64);
            }
            Layout::Vector => sizes.add(elements * size_of::<f32>() as u64),
            Layout::Matrix | Layout::Conv3x3 => {
                let dtype = storage.matrix(found.dtype, found.required.shape[0]);
                sizes.add(elements * dtype.size() as u64);
            }
        }
    }
    // One chunk as read and one as converted.
    sizes.staging = 2 * CHUNK as u64;
    sizes
}

/// A matrix being filled.
enum Matrix {
    Gpu(Box<CubeTensor>),
    Half(Vec<f16>),
    Single(Vec<f32>),
}

/// Copies rows `[n, inputs, taps]`, from output `first` on, to the columns of `matrix`
/// `[taps, inputs, outputs]`.
fn transpose<const N: usize, T>(
    matrix: &mut [T],
    outputs: usize,
    [inputs, taps]: [usize; 2],
    first: usize,
    bytes: &[u8],
    read: impl Fn([u8; N]) -> T,
) {
    let values = bytes.as_chunks::<N>().0;
    let columns = inputs * taps;
    let count = values.len() / columns;
    for tap in 0..taps {
        for input in 0..inputs {
            let row = &mut matrix[(tap * inputs + input) * outputs + first..][..count];
            let column = values.iter().skip(input * taps + tap).step_by(columns);
            for (to, value) in row.iter_mut().zip(column) {
                *to = read(*value);
            }
        }
    }
}
