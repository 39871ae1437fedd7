//! Files of learned words.
//!
//! | file | content |
//! |---|---|
//! | `.safetensors` of the web UI | `emb_params`, `[vectors, width]` |
//! | `.safetensors`, `.bin` of diffusers | the name itself, `[width]` or `[vectors, width]` |
//! | `.pt` of the web UI | `string_to_param`, a dictionary with `*`; `name` |

use crate::error::{Error, Result};
use crate::weights::pickle::{Item, Pickle, PickledTensor, is_pickle};
use crate::weights::safetensors::{Header, header_length};
use crate::weights::source::{Source, locate_file};
use crate::weights::storage::to_f32;

/// Names of the file in a folder: diffusers'.
const FILES: [&str; 2] = ["learned_embeds.safetensors", "learned_embeds.bin"];
/// Maximum size of such a file. 75 vectors in f32 take 0.3 MB.
const MAX_BYTES: u64 = 64 << 20;
/// Names that stand for the vectors, and not for the word.
const GENERAL: [&str; 3] = ["emb_params", "*", "string_to_param"];

/// A learned word.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    names: Vec<String>,
    shown: String,
    /// `[vectors, width]`
    values: Vec<f32>,
    width: usize,
}

impl Embedding {
    /// Reads the learned word in `source`: a single file, or a folder with diffusers' file. `name`
    /// is what prompts call it; where it is `None`, they may call it by the file's name and by the
    /// name in the file.
    ///
    /// # Errors
    /// [`Error::File`] for a file that holds no learned word, and for a pickle that asks for
    /// anything but tensors; errors of `source`.
    pub async fn open(name: Option<&str>, source: &dyn Source) -> Result<Self> {
        let (path, size) = locate_file(source, &FILES, "a learned word").await?;
        let shown = source.describe(&path);
        if size > MAX_BYTES {
            let what = format!("has {size} bytes, expected a learned word of at most {MAX_BYTES}");
            return Err(Error::file(shown, what));
        }
        let bytes = source.read(&path, 0..size).await?;
        Self::read(name, &path, &shown, &bytes)
    }

    /// Reads the learned word in `bytes`, the file at `path`, which messages call `shown`.
    ///
    /// # Errors
    /// Those of [`Embedding::open`].
    pub fn read(name: Option<&str>, path: &str, shown: &str, bytes: &[u8]) -> Result<Self> {
        let (own, tensor) = match is_pickle(bytes) {
            true => of_pickle(shown, bytes)?,
            false => of_safetensors(shown, bytes)?,
        };
        let width = tensor.shape.last().copied().unwrap_or(0);
        let finite = tensor.values.iter().all(|value| value.is_finite());
        let expected = matches!(tensor.shape[..], [_] | [_, _]) && !tensor.values.is_empty();
        if !expected || !finite {
            let what = match finite {
                true => format!(
                    "vectors have the shape {:?}, expected [vectors, width]",
                    tensor.shape
                ),
                false => "a vector holds a number that is not finite".to_string(),
            };
            return Err(Error::file(shown, what));
        }
        let names = match name {
            Some(name) => vec![name.to_string()],
            None => names(path, own),
        };
        if names.is_empty() || names.iter().any(|name| name.trim().is_empty()) {
            return Err(Error::file(
                shown,
                "this learned word has no name; name it: NAME=FILE",
            ));
        }
        Ok(Embedding {
            names,
            shown: shown.to_string(),
            values: tensor.values,
            width,
        })
    }

    /// A word of these vectors, for tests.
    #[cfg(test)]
    pub(super) fn of_values(name: &str, values: Vec<f32>, width: usize) -> Self {
        Embedding {
            names: vec![name.to_string()],
            shown: name.to_string(),
            values,
            width,
        }
    }

    /// The names that prompts may call it by.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Number of vectors: the tokens it takes.
    pub fn vectors(&self) -> usize {
        self.values.len() / self.width
    }

    /// Elements of a vector: 768 for Stable Diffusion 1.x, 1024 for 2.x.
    pub fn width(&self) -> usize {
        self.width
    }

    pub(super) fn values(&self) -> &[f32] {
        &self.values
    }

    /// Checks that it fits a text encoder of this width, and in a chunk of `room` tokens.
    pub(super) fn check(&self, width: usize, room: usize) -> Result<()> {
        let family = |width| match width {
            768 => " (Stable Diffusion 1.x)",
            1024 => " (Stable Diffusion 2.x)",
            1280 => " (Stable Diffusion XL)",
            _ => "",
        };
        if self.width != width {
            let what = format!(
                "this learned word has vectors of width {}{}, expected {width}{}, as the model's \
                 text encoder",
                self.width,
                family(self.width),
                family(width)
            );
            return Err(Error::file(&self.shown, what));
        }
        if self.vectors() > room {
            let what = format!(
                "this learned word has {} vectors, expected at most {room}, the tokens of a chunk",
                self.vectors()
            );
            return Err(Error::file(&self.shown, what));
        }
        Ok(())
    }
}

/// Names by the file and by what the file says.
fn names(path: &str, own: Option<String>) -> Vec<String> {
    let file = path.split(['?', '#']).next().unwrap_or(path);
    let file = file.rsplit(['/', '\\']).next().unwrap_or(file);
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let stem = (!stem.is_empty() && stem != "learned_embeds").then(|| stem.to_string());
    let mut names: Vec<String> = stem.into_iter().chain(own).collect();
    names.dedup();
    names
}

type Named = (Option<String>, PickledTensor);

/// The only tensor of `tensors`, with its name where that is the word's.
fn only<T>(shown: &str, mut tensors: Vec<(&str, T)>) -> Result<(Option<String>, T)> {
    let list = |tensors: &[(&str, T)]| {
        let names: Vec<_> = tensors.iter().take(3).map(|(name, _)| *name).collect();
        names.join(", ")
    };
    if tensors.iter().any(|(name, _)| *name == "clip_g") {
        let what = "this learned word is for Stable Diffusion XL (clip_g); expected one for 1.x \
            or 2.x";
        return Err(Error::file(shown, what));
    }
    match tensors.len() {
        1 => {
            let (name, tensor) = tensors.remove(0);
            let name = (!GENERAL.contains(&name)).then(|| name.to_string());
            Ok((name, tensor))
        }
        0 => Err(Error::file(
            shown,
            "holds no learned word: it has no tensors",
        )),
        count => {
            let what = format!("has {count} tensors, expected one: {}", list(&tensors));
            Err(Error::file(shown, what))
        }
    }
}

fn of_safetensors(shown: &str, bytes: &[u8]) -> Result<Named> {
    let size = bytes.len() as u64;
    let length = header_length(shown, bytes, size)? as usize;
    let header = Header::parse(shown, &bytes[8..8 + length], size)?;
    let tensors = header.tensors.iter().map(|(name, info)| (&**name, info));
    let (name, info) = only(shown, tensors.collect())?;
    let (start, end) = (info.range.start as usize, info.range.end as usize);
    let (Some(dtype), Some(bytes)) = (info.dtype.weight(), bytes.get(start..end)) else {
        let what = "the vectors have an element type that weights do not have";
        return Err(Error::file(shown, what));
    };
    let tensor = PickledTensor {
        shape: info.shape.clone(),
        values: to_f32(bytes, dtype),
    };
    Ok((
        name.map(|name| name.trim_start_matches("string_to_param.").to_string()),
        tensor,
    ))
}

fn of_pickle(shown: &str, bytes: &[u8]) -> Result<Named> {
    let pickle = Pickle::read(shown, bytes)?;
    let root = pickle.root();
    let own = root.get("name").and_then(Item::text);
    // A `ParameterDict` keeps its tensors one level deeper.
    let parameters = root.get("string_to_param");
    let parameters = parameters.map(|item| item.get("_parameters").unwrap_or(item));
    let tensors = parameters
        .unwrap_or(root)
        .entries()
        .filter(|(_, item)| item.is_tensor());
    let (name, item) = only(shown, tensors.collect())?;
    let tensor = item.tensor()?;
    let tensor = tensor.ok_or_else(|| Error::file(shown, "holds no learned word"))?;
    Ok((own.map(str::to_string).or(name), tensor))
}
