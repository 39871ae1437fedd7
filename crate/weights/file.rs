//! Weight files: their headers, the tensors that a network requires, and where those were found.

use std::ops::Range;

use super::params::RequiredTensor;
use super::safetensors::{Dtype, Header, TensorInfo, header_length};
use super::source::Source;
use crate::error::Result;

/// A network of a model folder and the tensors it requires.
pub struct Part {
    /// Folder within the model: `unet`, `vae`, `text_encoder`.
    pub folder: &'static str,
    /// File name without extension: `model` (transformers) or `diffusion_pytorch_model`
    /// (diffusers).
    pub stem: &'static str,
    /// The required tensors.
    pub required: Vec<RequiredTensor>,
}

/// A weight file and its header.
#[derive(Debug, Clone)]
pub struct WeightFile {
    /// Path within the source.
    pub path: String,
    /// The tensors it contains.
    pub header: Header,
}

/// A required tensor and its location.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// Index of the source that has it.
    pub source: usize,
    /// Index of the part that requires it.
    pub part: usize,
    /// Folder of that part.
    pub folder: &'static str,
    pub required: RequiredTensor,
    /// Name in the file.
    pub key: String,
    /// Path of the file within the source.
    pub path: String,
    pub info: TensorInfo,
    pub dtype: Dtype,
}

/// Number of bytes in `range`.
pub(super) fn length(range: &Range<u64>) -> u64 {
    range.end - range.start
}

/// Reads the header of the safetensors file at `path`, which has `size` bytes.
pub(super) async fn read_header(
    source: &dyn Source,
    path: String,
    size: u64,
) -> Result<WeightFile> {
    let shown = source.describe(&path);
    let first = source.read(&path, 0..size.min(8)).await?;
    let length = header_length(&shown, &first, size)?;
    let json = source.read(&path, 8..8 + length).await?;
    let header = Header::parse(&shown, &json, size)?;
    Ok(WeightFile { path, header })
}
