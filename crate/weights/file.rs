//! Files of weights: what a network wants of them, what they hold, and where a required tensor was found.

use std::ops::Range;

use super::params::RequiredTensor;
use super::safetensors::{Dtype, Header, TensorInfo, header_length};
use super::source::Source;
use crate::error::Result;

/// One network of a model folder and what it wants.
pub struct Part {
    /// Folder within the model: `unet`, `vae`, `text_encoder`.
    pub folder: &'static str,
    /// File name without extension: `model` (transformers) or `diffusion_pytorch_model` (diffusers).
    pub stem: &'static str,
    /// Tensors the network asks for.
    pub required: Vec<RequiredTensor>,
}

/// A file of weights and what it holds.
#[derive(Debug, Clone)]
pub struct WeightFile {
    /// Path within the source.
    pub path: String,
    /// Its tensors.
    pub header: Header,
}

/// A required tensor and where it was found.
pub(super) struct Found<'a> {
    /// Index of its part.
    pub part: usize,
    pub required: &'a RequiredTensor,
    /// Its name in the file.
    pub key: String,
    pub path: String,
    pub info: TensorInfo,
    pub dtype: Dtype,
}

pub(super) fn length(range: &Range<u64>) -> u64 {
    range.end - range.start
}

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
