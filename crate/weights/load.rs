//! Loading: finds a part's files, matches their tensors with the required ones and reads them.

use std::collections::{HashMap, HashSet};

use burn::tensor::Device;

use super::checkpoint::Checkpoint;
use super::file::{Found, Part, WeightFile, length};
use super::find::find_files;
use super::lora::Merges;
use super::names::{Key, Ldm, aliases};
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

/// The result of [`locate_parts`] and [`locate_in_checkpoint`].
pub(crate) struct Located {
    /// Location of every tensor.
    pub found: Vec<Found>,
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
    let Located { found, warnings } = locate_parts(source, parts).await?;
    let reading = Reading {
        sources: &[source],
        merges: &Merges::default(),
        device,
        storage,
    };
    let parts = reading.tensors(found, parts.len(), progress).await?;
    Ok(Weights { parts, warnings })
}

/// Finds the tensors that `parts` require in a model folder.
///
/// # Errors
/// Those of [`load_parts`] for names and shapes.
pub(crate) async fn locate_parts(source: &dyn Source, parts: &[Part]) -> Result<Located> {
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
    Ok(Located { found, warnings })
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
    let Located { found, warnings } = locate_in_checkpoint(source, checkpoint, parts)?;
    let reading = Reading {
        sources: &[source],
        merges: &Merges::default(),
        device,
        storage,
    };
    let parts = reading.tensors(found, parts.len(), progress).await?;
    Ok(Weights { parts, warnings })
}

/// Finds the tensors that `parts` require in a single file.
///
/// # Errors
/// Those of [`load_parts`] for names and shapes.
pub(crate) fn locate_in_checkpoint(
    source: &dyn Source,
    checkpoint: &Checkpoint,
    parts: &[Part],
) -> Result<Located> {
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
    let replaced = |name: &str| {
        let own = parts.iter().any(|part| part.folder == "vae");
        !own && name.starts_with(Ldm::VAE)
    };
    let layers = checkpoint.text_layers();
    let usual = |name: &str| replaced(name) || unexpected::usual_in_checkpoint(name, layers);
    let warning = unexpected::warning(&path, files, &keys(&found), &usual);
    Ok(Located {
        found,
        warnings: warning.into_iter().collect(),
    })
}

/// Names of the tensors in their files.
fn keys(found: &[Found]) -> HashSet<String> {
    found.iter().map(|found| found.key.clone()).collect()
}

/// Number of elements of the tensors `found`.
pub(crate) fn elements(found: &[Found]) -> u64 {
    let elements = |f: &Found| length(&f.info.range) / f.dtype.size() as u64;
    found.iter().map(elements).sum()
}

/// Sources of tensors, and the form that they take in memory.
pub(crate) struct Reading<'a> {
    /// Sources that [`Found::source`] counts.
    pub sources: &'a [&'a dyn Source],
    /// Changes that are merged into the tensors.
    pub merges: &'a Merges,
    /// The device that the tensors are uploaded to.
    pub device: &'a Device,
    /// The types of tensors in memory.
    pub storage: Storage,
}

impl Reading<'_> {
    /// Reads the tensors `found`. Returns those of each of so many parts by name.
    pub async fn tensors(
        self,
        mut found: Vec<Found>,
        parts: usize,
        progress: &mut dyn FnMut(LoadProgress<'_>),
    ) -> Result<Vec<HashMap<String, Loaded>>> {
        // In the order of the files, so that requests cover long runs of adjacent ranges.
        let place = |f: &Found| (f.source, f.path.clone(), f.info.range.start);
        found.sort_by_cached_key(place);
        let mut loaded: Vec<HashMap<String, Loaded>> = (0..parts).map(|_| HashMap::new()).collect();
        let keep = &mut |found: &Found, tensor| {
            loaded[found.part].insert(found.required.name.clone(), tensor);
        };
        self.each(&found, keep, progress).await?;
        Ok(loaded)
    }

    /// Reads the tensors `found`, in this order, and passes each to `keep`.
    pub async fn each(
        self,
        found: &[Found],
        keep: &mut dyn FnMut(&Found, Loaded),
        progress: &mut dyn FnMut(LoadProgress<'_>),
    ) -> Result<()> {
        let mut reader = WeightReader::new(&self, found, progress);
        reader.begin();
        self.merges.announce().await?;
        for (index, source) in self.sources.iter().enumerate() {
            let of_source = found.iter().filter(|f| f.source == index);
            let ranges = of_source.map(|f| (f.path.as_str(), f.info.range.clone()));
            source.announce(&ranges.collect::<Vec<_>>()).await?;
        }
        for found in found {
            let tensor = reader.tensor(found).await?;
            keep(found, tensor);
        }
        reader.finish().await
    }
}

/// Finds every required tensor of `part` in `files`. `keys` gives the possible names of a tensor.
///
/// # Errors
/// A description of each tensor that is missing or has the wrong shape or type.
pub(super) fn match_part(
    index: usize,
    part: &Part,
    files: &[WeightFile],
    keys: &dyn Fn(&str) -> Vec<Key>,
) -> std::result::Result<Vec<Found>, Vec<String>> {
    let mut found = Vec::new();
    let mut wrong = Vec::new();
    for required in &part.required {
        match find_tensor((index, part.folder), required, files, &keys(&required.name)) {
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
fn find_tensor(
    (part, folder): (usize, &'static str),
    required: &RequiredTensor,
    files: &[WeightFile],
    keys: &[Key],
) -> std::result::Result<Found, String> {
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
        source: 0,
        part,
        folder,
        required: required.clone(),
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
pub(super) fn mismatch(path: &str, part: &Part, wrong: &[String], expected: &str) -> Error {
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
