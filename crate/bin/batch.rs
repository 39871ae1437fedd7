//! Several pictures of one run: the seeds that the command line gives them, and their files.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use darkroom::{Error, Result};

use crate::args::Generate;
use crate::output::Outputs;

/// Largest number of pictures in a run. A mistyped number would fill the disk.
const MOST: usize = 10_000;

/// A variation seed and its strength, `SEED:STRENGTH`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct VariationArg {
    pub seed: u64,
    pub strength: f64,
}

impl FromStr for VariationArg {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts = text.split_once(':');
        let parsed = parts.and_then(|(seed, strength)| {
            Some(VariationArg {
                seed: seed.trim().parse().ok()?,
                strength: strength.trim().parse().ok()?,
            })
        });
        let expected = "SEED:STRENGTH, a whole number from 0 and a number from 0 to 1";
        parsed
            .filter(|variation| (0.0..=1.0).contains(&variation.strength))
            .ok_or_else(|| Error::request("variation", text, expected))
    }
}

/// The paths of one picture.
pub struct Files {
    pub out: PathBuf,
    pub latents_out: Option<PathBuf>,
    pub outputs: Outputs,
}

/// The checked files of all pictures. One picture has the names as they are given; several have a
/// number behind them.
///
/// # Errors
/// [`Error::Request`] for an impossible number of pictures, and for several on standard output;
/// those of [`Outputs::check`].
pub fn files(args: &Generate) -> Result<Vec<Files>> {
    if !(1..=MOST).contains(&args.batch) {
        let expected = format!("1 to {MOST}");
        return Err(Error::request("batch", args.batch, expected));
    }
    let outputs = [
        ("out", Some(&args.out)),
        ("latents-out", args.latents_out.as_ref()),
    ];
    for (option, path) in outputs {
        if args.batch > 1 && path.is_some_and(|path| path == Path::new("-")) {
            let expected = "a file with --batch, which writes several";
            return Err(Error::request(option, "-", expected));
        }
    }
    let numbers = (1..=args.batch).map(|number| {
        let name = |path: &PathBuf| match args.batch {
            1 => path.clone(),
            _ => numbered(path, number),
        };
        let out = name(&args.out);
        let latents_out = args.latents_out.as_ref().map(name);
        Ok(Files {
            outputs: Outputs::check(&out, latents_out.as_deref(), args.json)?,
            out,
            latents_out,
        })
    });
    numbers.collect()
}

/// `folder/name.png` → `folder/name-1.png`
fn numbered(path: &Path, number: usize) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_os_string();
    name.push(format!("-{number}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}
