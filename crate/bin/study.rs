//! Options of `darkroom generate` that show what the prompts did, and the files of a recorded
//! generation.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use darkroom::pipeline::inspect::{Inspection, InspectionScalars};
use darkroom::pipeline::token_maps::{TokenMap, TokenMaps};
use darkroom::{Error, Generation, Picture, Result};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::json;

use crate::canvas::{blended, enlarged, heat};
use crate::grid::GridArg;
use crate::output::{png, write_file};
use crate::progress_bar::ProgressBar;

#[derive(Args)]
pub struct StudyArgs {
    /// Folder for what the prompts did at each U-Net call: predictions and latents (safetensors),
    /// previews (PNG), and numbers (JSON)
    #[arg(long, value_name = "DIR", conflicts_with = "batch")]
    pub inspect: Option<PathBuf>,
    /// With --inspect: predict for the empty prompt too, which is one more prediction a call
    #[arg(long, requires = "inspect")]
    pub inspect_empty: bool,
    /// Folder for maps of where each token of both prompts acted (PNG, safetensors, JSON)
    #[arg(long, value_name = "DIR", conflicts_with = "batch")]
    pub token_maps: Option<PathBuf>,
    /// Leave the negative prompt's terms out one at a time, with this many seeds from --seed on,
    /// and rank them by what changes; --out is a folder
    #[arg(
        long,
        value_name = "SEEDS",
        num_args = 0..=1,
        default_missing_value = "1",
        value_parser = clap::value_parser!(u64).range(1..=1000),
        conflicts_with_all = ["inspect", "token_maps", "grid", "latents_out", "batch"]
    )]
    pub ablate: Option<u64>,
    /// Pictures side by side in one PNG: the settings that vary with their values, such as
    /// X=steps:10|20,Y=seed:1-4 or X=replace:man|woman
    #[arg(
        long,
        value_name = "X=SETTING:A|B,Y=…",
        conflicts_with_all = ["inspect", "token_maps", "latents_out", "batch"]
    )]
    pub grid: Option<GridArg>,
}

impl StudyArgs {
    /// True if the generation has to be recorded.
    pub fn is_recorded(&self) -> bool {
        self.inspect.is_some() || self.token_maps.is_some()
    }

    /// Makes the folders, so that a mistake in a path shows before the run.
    ///
    /// # Errors
    /// [`Error::File`] with the system's reason.
    pub fn make_folders(&self) -> Result<()> {
        let mut folders = self.inspect.iter().chain(&self.token_maps);
        folders.try_for_each(|folder| make_folder(folder))
    }

    /// Writes the files of a recorded generation with its final picture.
    ///
    /// # Errors
    /// Those of the engine; [`Error::File`] where a file cannot be written.
    pub async fn write(
        &self,
        generation: &mut Generation,
        picture: &Picture,
        bar: &ProgressBar,
    ) -> Result<()> {
        if let Some(folder) = &self.inspect {
            if self.inspect_empty {
                for call in generation.recorded_calls() {
                    bar.show(&format!("empty prompt at call {}", call + 1));
                    generation.record_empty(call).await?;
                }
            }
            inspect(folder, generation, picture).await?;
        }
        if let Some(folder) = &self.token_maps {
            let calls = generation.recorded_calls();
            bar.show(&format!("token maps of {} calls", calls.len()));
            token_maps(folder, &generation.token_maps(&calls).await?, picture)?;
        }
        Ok(())
    }
}

/// Makes a folder where there is none.
///
/// # Errors
/// [`Error::File`] with the system's reason.
pub fn make_folder(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|e| Error::file(folder.display(), e))
}

/// A tensor's name, shape and values.
type Named = (String, Vec<usize>, Vec<f32>);

/// Writes the recorded calls to `folder`.
async fn inspect(folder: &Path, generation: &Generation, picture: &Picture) -> Result<()> {
    let calls = generation.recorded_calls();
    let mut scalars: Vec<InspectionScalars> = Vec::new();
    let mut tensors = Vec::new();
    let mut maps = Vec::new();
    for &number in &calls {
        let call = generation.inspect(number).await?;
        let previews = generation.previews(&call);
        let named = [
            ("positive", Some(&previews.positive)),
            ("negative", previews.negative.as_ref()),
            ("difference", previews.difference.as_ref()),
            ("guided", Some(&previews.guided)),
        ];
        for (name, preview) in named {
            if let Some(preview) = preview {
                write_png(folder, &file_name(number, name), &shown(preview, picture))?;
            }
        }
        scalars.push(call.scalars());
        maps.push(call.push_map());
        tensors.extend(arrays(&call, maps.last()));
    }
    // One scale for all calls, so that the maps can be compared.
    let largest = maps.iter().flatten().fold(0.0f32, |a, &b| a.max(b));
    let [_, height, width] = generation.latent_shape();
    for (&number, map) in calls.iter().zip(&maps) {
        let map = shown(&heat(map, width, height, largest), picture);
        write_png(folder, &file_name(number, "push"), &map)?;
    }
    write_tensors(&folder.join("inspect.safetensors"), &tensors)?;
    let report = json!({ "calls": scalars, "largest_push": largest });
    write_json(&folder.join("inspect.json"), &report)
}

fn file_name(call: usize, name: &str) -> String {
    format!("{call:03}-{name}.png")
}

/// A preview as large as the picture.
fn shown(preview: &Picture, picture: &Picture) -> Picture {
    enlarged(preview, picture.width, picture.height)
}

/// The arrays of a call.
fn arrays(call: &Inspection, push: Option<&Vec<f32>>) -> Vec<Named> {
    let shape = call.shape.to_vec();
    let named = [
        ("latent", Some(call.latent.clone())),
        ("positive", Some(call.positive.clone())),
        ("negative", call.negative.clone()),
        ("empty", call.empty.clone()),
        ("guided", Some(call.guided.clone())),
        ("denoised", Some(call.denoised(&call.guided))),
    ];
    let name = |name| format!("{:03}.{name}", call.call);
    let array = |(array, values): (&str, Option<Vec<f32>>)| {
        Some((name(array.to_string()), shape.clone(), values?))
    };
    let mut arrays: Vec<Named> = named.into_iter().filter_map(array).collect();
    let push = push.map(|push| (name("push".into()), shape[1..].to_vec(), push.clone()));
    arrays.extend(push);
    let one = |value: f64| vec![value as f32];
    arrays.push((name("sigma".into()), vec![1], one(call.sigma)));
    arrays.push((name("timestep".into()), vec![1], one(call.timestep)));
    arrays
}

/// Writes the maps of all tokens to `folder`.
fn token_maps(folder: &Path, maps: &TokenMaps, picture: &Picture) -> Result<()> {
    let mut tensors = Vec::new();
    let mut listed = Vec::new();
    for branch in &maps.branches {
        let prompt = if branch.negative {
            "negative"
        } else {
            "positive"
        };
        for (number, token) in branch.tokens.iter().enumerate() {
            let name = format!("{prompt}-{number:02}");
            let file = format!("{name}-{}.png", plain(&token.text));
            let TokenMap { text, span, values } = token;
            let largest = values.iter().fold(0.0f32, |a, &b| a.max(b));
            let map = heat(values, maps.width, maps.height, largest);
            write_png(folder, &file, &blended(picture, &shown(&map, picture)))?;
            let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64;
            listed.push(json!({
                "prompt": prompt,
                "token": text,
                "span": [span.start, span.end],
                "file": file,
                "tensor": name,
                "mean": mean,
                "largest": largest,
            }));
            tensors.push((name, vec![maps.height, maps.width], values.clone()));
        }
    }
    write_tensors(&folder.join("token-maps.safetensors"), &tensors)?;
    let report = json!({ "width": maps.width, "height": maps.height, "tokens": listed });
    write_json(&folder.join("token-maps.json"), &report)
}

/// `text` as a part of a file's name.
pub fn plain(text: &str) -> String {
    let letter = |c: char| if c.is_alphanumeric() { c } else { '-' };
    text.trim().chars().take(40).map(letter).collect()
}

/// Writes a picture to `folder`.
///
/// # Errors
/// [`Error::File`] with the system's reason.
pub fn write_png(folder: &Path, name: &str, picture: &Picture) -> Result<()> {
    let path = folder.join(name);
    write_file(&path, &png(picture, &path.display().to_string())?)
}

/// Writes a report.
///
/// # Errors
/// [`Error::File`] with the system's reason.
pub fn write_json(path: &Path, report: &serde_json::Value) -> Result<()> {
    write_file(path, format!("{report:#}\n").as_bytes())
}

fn write_tensors(path: &Path, tensors: &[Named]) -> Result<()> {
    let fail = |e: safetensors::SafeTensorError| Error::file(path.display(), e);
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(.., values)| values.iter().flat_map(|v| v.to_le_bytes()).collect())
        .collect();
    let mut views = Vec::new();
    for ((name, shape, _), bytes) in tensors.iter().zip(&bytes) {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(fail)?;
        views.push((name.clone(), view));
    }
    write_file(path, &safetensors::serialize(views, None).map_err(fail)?)
}
