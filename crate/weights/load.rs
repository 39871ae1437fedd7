//! Loading: finding a part's files, matching them with what the network wants, and reading tensor by tensor.

use std::collections::{HashMap, HashSet};

use burn::tensor::Device;
use serde::Deserialize;

use super::checkpoint::Checkpoint;
use super::file::{Found, Part, WeightFile, length, read_header};
use super::names::{Key, aliases};
use super::params::Loaded;
use super::safetensors::TensorInfo;
use super::sizes::WeightSizes;
use super::source::{Source, read_text};
use super::storage::Storage;
use super::stream::Reader;
use super::unexpected;
use crate::error::{Error, Result};

/// Bytes of weights read so far.
#[derive(Debug, Clone, Copy)]
pub struct LoadProgress<'a> {
    /// Bytes done.
    pub done: u64,
    /// Bytes in all; known before the first one is read.
    pub total: u64,
    /// Folder being read.
    pub part: &'a str,
    /// What all weights together take in memory; known before the first byte of them is read.
    pub sizes: WeightSizes,
}

/// What [`load_parts`] and [`load_checkpoint`] return.
pub struct Weights {
    /// Each part's tensors by name.
    pub parts: Vec<HashMap<String, Loaded>>,
    /// What the user should know about the files.
    pub warnings: Vec<String>,
}

/// Loads every tensor `parts` want from a model folder onto `device`: matrices stored as `storage` says, vectors always in
/// f32.
///
/// All headers are read and all names and shapes are checked before the first byte of weights is asked for; then the
/// source is told which bytes will be.
///
/// # Errors
/// [`Error::File`] listing by name the tensors that are missing or have another shape than the configuration says;
/// whatever `source` reports; [`Error::Device`] where the device fails.
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
            let expected = format!("what {}/config.json says", part.folder);
            misfit(&path, part, &wrong, &expected)
        })?;
        let expected = |name: &str| unexpected::in_folder(part.folder, name);
        warnings.extend(unexpected::unknown(
            &path,
            &files,
            &keys(&tensors),
            &expected,
        ));
        found.extend(tensors);
    }
    let parts = read_tensors(source, parts, found, device, storage, progress).await?;
    Ok(Weights { parts, warnings })
}

/// As [`load_parts`], from a single file.
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
            let expected = format!("what the rest of its {} says", part.folder);
            misfit(&path, part, &wrong, &expected)
        })?);
    }
    let expected = |name: &str| unexpected::in_checkpoint(name, checkpoint.text_layers());
    let unknown = unexpected::unknown(&path, files, &keys(&found), &expected);
    let parts = read_tensors(source, parts, found, device, storage, progress).await?;
    Ok(Weights {
        parts,
        warnings: unknown.into_iter().collect(),
    })
}

fn keys(found: &[Found]) -> HashSet<String> {
    found.iter().map(|found| found.key.clone()).collect()
}

async fn read_tensors(
    source: &dyn Source,
    parts: &[Part],
    mut found: Vec<Found<'_>>,
    device: &Device,
    storage: Storage,
    progress: &mut dyn FnMut(LoadProgress<'_>),
) -> Result<Vec<HashMap<String, Loaded>>> {
    // In the order of the files, so that the network sees long runs of neighbouring ranges.
    found.sort_by(|a, b| (&a.path, a.info.range.start).cmp(&(&b.path, b.info.range.start)));
    let mut reader = Reader::new(source, parts, &found, device, storage, progress);
    reader.begin();
    let ranges = found
        .iter()
        .map(|f| (f.path.as_str(), f.info.range.clone()));
    source.plan(&ranges.collect::<Vec<_>>()).await?;
    let mut loaded: Vec<HashMap<String, Loaded>> = parts.iter().map(|_| HashMap::new()).collect();
    for found in &found {
        let tensor = reader.tensor(found).await?;
        loaded[found.part].insert(found.required.name.clone(), tensor);
    }
    reader.finish().await?;
    Ok(loaded)
}

/// The files of a part: one safetensors file or the shards of an index, the fp16 variant first.
async fn find_files(source: &dyn Source, part: &Part) -> Result<Vec<WeightFile>> {
    let Part { folder, stem, .. } = part;
    for name in [
        format!("{folder}/{stem}.fp16.safetensors"),
        format!("{folder}/{stem}.safetensors"),
    ] {
        if let Some(size) = source.size(&name).await? {
            return Ok(vec![read_header(source, name, size).await?]);
        }
    }
    for name in [
        format!("{folder}/{stem}.safetensors.index.fp16.json"),
        format!("{folder}/{stem}.fp16.safetensors.index.json"),
        format!("{folder}/{stem}.safetensors.index.json"),
    ] {
        if let Some(json) = read_text(source, &name).await? {
            let mut files = Vec::new();
            for shard in shards(&source.describe(&name), &json)? {
                let path = format!("{folder}/{shard}");
                let size = source.size(&path).await?.ok_or_else(|| {
                    Error::file(
                        source.describe(&path),
                        format!("no such file, but {name} lists it"),
                    )
                })?;
                files.push(read_header(source, path, size).await?);
            }
            return Ok(files);
        }
    }
    Err(Error::file(
        source.describe(&format!("{folder}/{stem}.safetensors")),
        "no such file, and neither its fp16 variant nor an index of shards",
    ))
}

/// File names in a `*.safetensors.index.json`.
fn shards(path: &str, json: &[u8]) -> Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: std::collections::BTreeMap<String, String>,
    }
    let index: Index = serde_json::from_slice(json)
        .map_err(|e| Error::file(path, format!("malformed index of shards: {e}")))?;
    let mut names: Vec<String> = index.weight_map.into_values().collect();
    names.sort();
    names.dedup();
    if let Some(bad) = names.iter().find(|n| n.contains(['/', '\\']) || *n == "..") {
        return Err(Error::file(
            path,
            format!("lists a shard outside its folder: {bad}"),
        ));
    }
    Ok(names)
}

/// Finds every required tensor of `part` in `files`, or lists all that are not there as required. `keys` gives the names a
/// tensor may have there.
fn match_part<'a>(
    index: usize,
    part: &'a Part,
    files: &[WeightFile],
    keys: &dyn Fn(&str) -> Vec<Key>,
) -> std::result::Result<Vec<Found<'a>>, Vec<String>> {
    let mut found = Vec::new();
    let mut wrong = Vec::new();
    for required in &part.required {
        let keys = keys(&required.name);
        let hit = keys.iter().find_map(|key| {
            let find = |file: &'_ WeightFile| {
                let info = file.header.tensors.get(&key.name)?.clone();
                Some((key, file.path.clone(), info))
            };
            files.iter().find_map(find)
        });
        let Some((key, path, whole)) = hit else {
            let name = keys.first().map_or(&required.name, |key| &key.name);
            wrong.push(format!("{name} is missing"));
            continue;
        };
        let mut expected = required.shape.clone();
        let info = match key.third {
            None => whole.clone(),
            Some(third) => {
                expected[0] *= 3;
                rows(&whole, third)
            }
        };
        match info.dtype {
            _ if !same_shape(&whole.shape, &expected) => wrong.push(format!(
                "{} has shape {:?}, expected {expected:?}",
                key.name, whole.shape
            )),
            Some(dtype) => found.push(Found {
                part: index,
                required,
                key: key.name.clone(),
                path,
                info,
                dtype,
            }),
            None => wrong.push(format!(
                "{} has an element type that is not F16, BF16 or F32",
                key.name
            )),
        }
    }
    if wrong.is_empty() {
        Ok(found)
    } else {
        Err(wrong)
    }
}

/// The upper, middle or lower third of a tensor's rows, which lie in the file one after the other.
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

fn misfit(path: &str, part: &Part, wrong: &[String], expected: &str) -> Error {
    let shown = 6.min(wrong.len());
    let mut list = wrong[..shown].join("; ");
    if wrong.len() > shown {
        list += &format!("; and {} more", wrong.len() - shown);
    }
    let counts = format!("{} of {} tensors", wrong.len(), part.required.len());
    Error::file(path, format!("{counts} are not {expected}: {list}"))
}

/// Equal but for trailing ones: a 1×1 convolution is a matrix.
fn same_shape(a: &[usize], b: &[usize]) -> bool {
    let (short, long) = if a.len() < b.len() { (a, b) } else { (b, a) };
    long.starts_with(short) && long[short.len()..].iter().all(|&d| d == 1)
}
