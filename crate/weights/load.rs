//! Loading: finds a part's files, matches their tensors with the required ones and reads them.

use std::collections::{HashMap, HashSet};

use burn::tensor::Device;

use super::checkpoint::Checkpoint;
use super::file::{Found, Part, WeightFile, length};
use super::find::find_files;
use super::names::{Key, aliases};
use super::params::{Loaded, RequiredTensor};
use super::safetensors::{ElementType, TensorInfo};
use super::sizes::WeightSizes;
use super::source::Source;
use super::storage::Storage;
use super::stream::WeightReader;
use super::unexpected;
use crate::error::{Error, Result};

/// Bytes of weights read so far.
#[derive(Debug, Clone, Copy)]
pub struct LoadProgress<'a> {
    /// Bytes read.
    pub done: u64,
    /// Bytes in total, known before the first one is read.
    pub total: u64,
    /// Folder of the part being read.
    pub part: &'a str,
    /// Memory that all weights together take, known before the first byte of them is read.
    pub sizes: WeightSizes,
}

/// The result of [`load_parts`] and [`load_checkpoint`].
pub struct Weights {
    /// Each part's tensors by name.
    pub parts: Vec<HashMap<String, Loaded>>,
    /// Warnings about the files, for the user.
    pub warnings: Vec<String>,
}

/// Loads the tensors that `parts` require from a model folder onto `device`: matrices in the dtype
/// of `storage`, vectors always in f32.
///
/// All headers are read and all names and shapes checked before the first byte of weights is
/// requested. Then the source learns by [`Source::announce`] which bytes will be read.
///
/// # Errors
/// [`Error::File`] with the names of tensors that are missing or do not have the configuration's
/// shape; errors of `source`; [`Error::Device`] if the device fails.
pub async fn load_parts(
    source: &dyn Source,
    parts: &[Part],
    device: &Device,
    storage: Storage,
    progress: &mut dyn FnMut(LoadProgress<'_>),
) -> Result<Weights> {
    let mut found = Vec::new();
    let mut warnings = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let files = find_files(source, part).await?;
        let path = match &files[..] {
            [file] => source.describe(&file.path),
            _ => source.describe(part.folder),
        };
        let tensors = match_part(index, part, &files, &aliases).map_err(|wrong| {
            let expected = format!("{}/config.json", part.folder);
            mismatch(&path, part, &wrong, &expected)
        })?;
        let usual = |name: &str| unexpected::usual_in_folder(part.folder, name);
        let used = keys(&tensors);
        warnings.extend(unexpected::warning(&path, &files, &used, &usual));
        found.extend(tensors);
    }
    let parts = read_tensors(source, parts, found, device, storage, progress).await?;
    Ok(Weights { parts, warnings })
}

/// Loads the tensors that `parts` require from a single file, as [`load_parts`] does from a folder.
pub async fn load_checkpoint(
    source: &dyn Source,
    checkpoint: &Checkpoint,
    parts: &[Part],
    device: &Device,
    storage: Storage,
    progress: &mut dyn FnMut(LoadProgress<'_>),
) -> Result<Weights> {
    let mut found = Vec::new();
    let files = std::slice::from_ref(checkpoint.file());
    let path = source.describe(&files[0].path);
    for (index, part) in parts.iter().enumerate() {
        let keys = |name: &str| checkpoint.names().keys(part.folder, name);
        let tensors = match_part(index, part, files, &keys);
        found.extend(tensors.map_err(|wrong| {
            let expected = format!("the other tensors of its {}", part.folder);
            mismatch(&path, part, &wrong, &expected)
        })?);
    }
    let usual = |name: &str| unexpected::usual_in_checkpoint(name, checkpoint.text_layers());
    let warning = unexpected::warning(&path, files, &keys(&found), &usual);
    let parts = read_tensors(source, parts, found, device, storage, progress).await?;
    Ok(Weights {
        parts,
        warnings: warning.into_iter().collect(),
    })
}

/// Names of the tensors in their files.
fn keys(found: &[Found]) -> HashSet<String> {
    found.iter().map(|found| found.key.clone()).collect()
}

/// Reads the tensors `found`. Returns those of each part by name.
async fn read_tensors(
    source: &dyn Source,
    parts: &[Part],
    mut found: Vec<Found<'_>>,
    device: &Device,
    storage: Storage,
    progress: &mut dyn FnMut(LoadProgress<'_>),
) -> Result<Vec<HashMap<String, Loaded>>> {
    // In the order of the files, so that requests cover long runs of adjacent ranges.
    found.sort_by(|a, b| (&a.path, a.info.range.start).cmp(&(&b.path, b.info.range.start)));
    let mut reader = WeightReader::new(source, parts, &found, device, storage, progress);
    reader.begin();
    let ranges = found
        .iter()
        .map(|f| (f.path.as_str(), f.info.range.clone()));
    source.announce(&ranges.collect::<Vec<_>>()).await?;
    let mut loaded: Vec<HashMap<String, Loaded>> = parts.iter().map(|_| HashMap::new()).collect();
    for found in &found {
        let tensor = reader.tensor(found).await?;
        loaded[found.part].insert(found.required.name.clone(), tensor);
    }
    reader.finish().await?;
    Ok(loaded)
}

/// Finds every required tensor of `part` in `files`. `keys` gives the possible names of a tensor.
///
/// # Errors
/// A description of each tensor that is missing or has the wrong shape or type.
fn match_part<'a>(
    index: usize,
    part: &'a Part,
    files: &[WeightFile],
    keys: &dyn Fn(&str) -> Vec<Key>,
) -> std::result::Result<Vec<Found<'a>>, Vec<String>> {
    let mut found = Vec::new();
    let mut wrong = Vec::new();
    for required in &part.required {
        match find_tensor(index, required, files, &keys(&required.name)) {
            Ok(tensor) => found.push(tensor),
            Err(what) => wrong.push(what),
        }
    }
    if wrong.is_empty() {
        Ok(found)
    } else {
        Err(wrong)
    }
}

/// Finds a tensor that part `index` requires, under the first of `keys` that a file has.
fn find_tensor<'a>(
    index: usize,
    required: &'a RequiredTensor,
    files: &[WeightFile],
    keys: &[Key],
) -> std::result::Result<Found<'a>, String> {
    let mut candidates = keys
        .iter()
        .flat_map(|key| files.iter().map(move |file| (key, file)));
    let hit = candidates.find_map(|(key, file)| {
        let whole = file.header.tensors.get(&key.name)?;
        Some((key, file.path.clone(), whole))
    });
    let Some((key, path, whole)) = hit else {
        let name = keys.first().map_or(&required.name, |key| &key.name);
        return Err(format!("{name} is missing"));
    };
    let mut expected = required.shape.clone();
    if key.third.is_some() {
        expected[0] *= 3;
    }
    if !same_shape(&whole.shape, &expected) {
        let (name, shape) = (&key.name, &whole.shape);
        return Err(format!("{name} has shape {shape:?}, expected {expected:?}"));
    }
    let dtype = match &whole.dtype {
        ElementType::Weight(dtype) => *dtype,
        ElementType::Other(other) => {
            let name = &key.name;
            return Err(format!(
                "{name} has the element type {other}, expected F16, BF16, F32, F64, F8_E4M3 or \
                 F8_E5M2"
            ));
        }
    };
    if let Some(scale) = scale_of(&key.name, files) {
        let name = &key.name;
        return Err(format!(
            "{name} is stored with a separate scale, {scale}, which is not supported; expected \
             plain F8_E4M3 or F8_E5M2, or an F16 edition of the model"
        ));
    }
    Ok(Found {
        part: index,
        required,
        key: key.name.clone(),
        path,
        info: key
            .third
            .map_or_else(|| whole.clone(), |third| rows(whole, third)),
        dtype,
    })
}

/// Name of the tensor that scales the weight `name`, as some programs write 8-bit weights: its
/// values alone would load and give noise.
fn scale_of(name: &str, files: &[WeightFile]) -> Option<String> {
    let base = name.strip_suffix(".weight")?;
    let scales = [
        format!("{base}.scale_weight"),
        format!("{base}.weight_scale"),
    ];
    let in_file = |name: &String| {
        let mut files = files.iter();
        files.any(|file| file.header.tensors.contains_key(name))
    };
    scales.into_iter().find(in_file)
}

/// Returns the upper, middle or lower third of a tensor's rows, which are contiguous in the file.
fn rows(info: &TensorInfo, third: usize) -> TensorInfo {
    let bytes = length(&info.range) / 3;
    let start = info.range.start + third as u64 * bytes;
    let mut part = info.clone();
    part.range = start..start + bytes;
    if let Some(rows) = part.shape.first_mut() {
        *rows /= 3;
    }
    part
}

/// Makes the error for the tensors of `part` that are `wrong`.
fn mismatch(path: &str, part: &Part, wrong: &[String], expected: &str) -> Error {
    let named = 6.min(wrong.len());
    let mut list = wrong[..named].join("; ");
    if wrong.len() > named {
        list += &format!("; and {} more", wrong.len() - named);
    }
    let counts = format!("{} of {} tensors", wrong.len(), part.required.len());
    Error::file(path, format!("{counts} do not match {expected}: {list}"))
}

/// Compares shapes without trailing ones: a 1×1 convolution is a matrix.
fn same_shape(a: &[usize], b: &[usize]) -> bool {
    let (short, long) = if a.len() < b.len() { (a, b) } else { (b, a) };
    long.starts_with(short) && long[short.len()..].iter().all(|&d| d == 1)
}
