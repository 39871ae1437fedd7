//! Search for the files of a network in a model folder: which of its variants to read, and what to
//! say where there is none.

use serde::Deserialize;

use super::file::{Part, WeightFile, read_header};
use super::source::{Source, read_text};
use crate::error::{Error, Result};

/// Variants that are read where there is neither an fp16 nor a plain file, the first one first.
/// [`Source::list`] may tell of more.
const VARIANTS: [&str; 4] = ["bf16", "fp32", "non_ema", "ema"];

/// Finds the files of a part: one safetensors file or the shards of an index. The fp16 variant
/// comes first, then the file without a variant, then any other variant.
///
/// # Errors
/// [`Error::File`] that says which files are there instead.
pub(super) async fn find_files(source: &dyn Source, part: &Part) -> Result<Vec<WeightFile>> {
    let Part { folder, stem, .. } = part;
    for variant in ["fp16", ""] {
        if let Some(file) = whole(source, part, variant).await? {
            return Ok(vec![file]);
        }
    }
    for variant in ["fp16", ""] {
        if let Some(files) = sharded(source, part, variant).await? {
            return Ok(files);
        }
    }
    let listed = source.list(folder).await?;
    for variant in variants(stem, listed.as_deref()) {
        if let Some(file) = whole(source, part, &variant).await? {
            return Ok(vec![file]);
        }
        if let Some(files) = sharded(source, part, &variant).await? {
            return Ok(files);
        }
    }
    Err(missing(source, part, listed).await?)
}

/// The further variants to look for: the known ones, or those among the files `listed`.
fn variants(stem: &str, listed: Option<&[String]>) -> Vec<String> {
    let known = VARIANTS.map(String::from);
    let Some(listed) = listed else {
        return known.to_vec();
    };
    let of_file = |name: &String| {
        let rest = name.strip_prefix(stem)?;
        let index = rest.strip_prefix(".safetensors.index.");
        let variant = match index {
            Some(rest) => rest.strip_suffix(".json")?,
            None => {
                let rest = rest.strip_suffix(".index.json").unwrap_or(rest);
                rest.strip_suffix(".safetensors")?.strip_prefix('.')?
            }
        };
        Some(variant.to_string())
    };
    let mut found: Vec<String> = listed.iter().filter_map(of_file).collect();
    let rank = |variant: &String| known.iter().position(|known| known == variant);
    found.sort_by_key(|variant| (rank(variant).unwrap_or(known.len()), variant.clone()));
    found.dedup();
    found
}

/// `.variant`, or nothing for no variant.
fn dotted(variant: &str) -> String {
    match variant {
        "" => String::new(),
        variant => format!(".{variant}"),
    }
}

/// The path of the file `name` in `folder`; an empty folder is the source itself.
fn inside(folder: &str, name: &str) -> String {
    match folder {
        "" => name.into(),
        folder => format!("{folder}/{name}"),
    }
}

/// The single file of a variant.
async fn whole(source: &dyn Source, part: &Part, variant: &str) -> Result<Option<WeightFile>> {
    let Part { folder, stem, .. } = part;
    let name = inside(folder, &format!("{stem}{}.safetensors", dotted(variant)));
    match source.size(&name).await? {
        Some(size) => Ok(Some(read_header(source, name, size).await?)),
        None => Ok(None),
    }
}

/// The shards of a variant, which an index lists.
async fn sharded(
    source: &dyn Source,
    part: &Part,
    variant: &str,
) -> Result<Option<Vec<WeightFile>>> {
    let Part { folder, stem, .. } = part;
    let dotted = dotted(variant);
    let names = [
        inside(folder, &format!("{stem}.safetensors.index{dotted}.json")),
        inside(folder, &format!("{stem}{dotted}.safetensors.index.json")),
    ];
    let different = if variant.is_empty() { 1 } else { 2 };
    for name in &names[..different] {
        let Some(json) = read_text(source, name).await? else {
            continue;
        };
        let mut files = Vec::new();
        for shard in shards(&source.describe(name), &json)? {
            let path = inside(folder, &shard);
            let size = source.size(&path).await?.ok_or_else(|| {
                let what = format!("no such file, but {name} lists it");
                Error::file(source.describe(&path), what)
            })?;
            files.push(read_header(source, path, size).await?);
        }
        return Ok(Some(files));
    }
    Ok(None)
}

/// Reads the file names in a `*.safetensors.index.json`.
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

/// Files of other programs that hold the same weights, by the end of their names, and what to do.
const OTHER_FORMATS: [(&str, &str); 6] = [
    (".bin", PICKLES),
    (".pt", PICKLES),
    (".ckpt", PICKLES),
    (
        ".msgpack",
        "weights for Flax only; take the model's edition for PyTorch",
    ),
    (
        ".onnx",
        "an ONNX export only; take the model that it was made from",
    ),
    (
        ".xml",
        "an OpenVINO export only; take the model that it was made from",
    ),
];
const PICKLES: &str = "PyTorch pickles only, which may run programs when they are read; take a \
    revision or an edition of the model with .safetensors files (on Hugging Face often \
    owner/name@refs/pr/1, a pull request of its converter), or convert the folder once with \
    diffusers: DiffusionPipeline.from_pretrained(FOLDER).save_pretrained(NEW_FOLDER)";

/// Makes the error for a part without a safetensors file. `listed` are the files of its folder.
async fn missing(source: &dyn Source, part: &Part, listed: Option<Vec<String>>) -> Result<Error> {
    let Part { folder, stem, .. } = part;
    let listed = match listed {
        Some(listed) => listed,
        None => {
            let mut there = Vec::new();
            for name in usual_names(stem) {
                if source.size(&inside(folder, &name)).await?.is_some() {
                    there.push(name);
                    break;
                }
            }
            there
        }
    };
    let other = OTHER_FORMATS.iter().find_map(|(end, what)| {
        let name = listed.iter().find(|name| name.ends_with(end))?;
        Some(format!("the folder has {what} ({name})"))
    });
    let what = match other {
        Some(other) => format!("no such file, nor a variant of it; {other}"),
        None => "no such file, no variant of it and no index of shards".into(),
    };
    let path = source.describe(&inside(folder, &format!("{stem}.safetensors")));
    Ok(Error::file(path, what))
}

/// Names that the weights of `stem` usually have in other formats.
fn usual_names(stem: &str) -> Vec<String> {
    let pickle = match stem {
        "model" => "pytorch_model",
        other => other,
    };
    let flax = match stem {
        "model" => "flax_model.msgpack",
        _ => "diffusion_flax_model.msgpack",
    };
    vec![
        format!("{pickle}.bin"),
        format!("{pickle}.fp16.bin"),
        flax.into(),
        "model.onnx".into(),
        "openvino_model.xml".into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::variants;

    #[test]
    fn known_variants_come_before_others() {
        let listed = [
            "config.json",
            "model.zeta.safetensors",
            "model.non_ema.safetensors",
            "model.bf16.safetensors",
            "model.safetensors.index.alpha.json",
            "model.beta.safetensors.index.json",
            "other.bf16.safetensors",
            "model-00001-of-00002.safetensors",
        ]
        .map(String::from);
        let expected = ["bf16", "non_ema", "alpha", "beta", "zeta"];
        assert_eq!(variants("model", Some(&listed)), expected);
        assert_eq!(variants("model", None)[0], "bf16");
        assert!(variants("model", Some(&[])).is_empty());
    }
}
