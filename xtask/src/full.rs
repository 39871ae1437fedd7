//! Models of full size for the tests marked `#[ignore]`: made by `tests/golden/full/generate.py`
//! and kept in the build cache.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::checkout::native_cargo;
use crate::command::{Stream, program, run, watched};
use crate::{Result, paths, python};

/// Sources of the models and of their expected values, below `tests/golden`.
const SOURCES: [&str; 4] = [
    "full/generate.py",
    "full/layouts.py",
    "single_file/original.py",
    "requirements.txt",
];

/// The test target with the tests of full-size models, named `<model>::<device>`.
const TESTS: &str = "full_size";

/// Makes the models for the ignored tests with `filter` in their names; returns their folder.
pub fn models(filter: Option<&str>) -> Result<PathBuf> {
    let folder = paths::cache()?.join("full");
    for name in needed(filter)? {
        make(&folder, &name)?;
    }
    Ok(folder)
}

fn needed(filter: Option<&str>) -> Result<BTreeSet<String>> {
    let mut models = BTreeSet::new();
    let mut list = native_cargo()?;
    list.args([
        "test",
        "--release",
        "--package",
        "darkroom",
        "--test",
        TESTS,
    ])
    .args(filter)
    .args(["--", "--ignored", "--list"]);
    watched(&mut list, Stream::Stdout, |line| models.extend(model(line)))?;
    Ok(models)
}

/// The model `sd21-base` of the line "sd21_base::cpu: test" in the list of tests.
fn model(line: &str) -> Option<String> {
    let (module, _) = line.strip_suffix(": test")?.split_once("::")?;
    Some(module.replace('_', "-"))
}

/// Runs the generator, unless its result exists.
fn make(folder: &Path, name: &str) -> Result<()> {
    let golden = paths::root().join("tests/golden");
    let sources: Vec<Vec<u8>> = SOURCES
        .iter()
        .map(|source| {
            let path = golden.join(source);
            fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))
        })
        .collect::<Result<_>>()?;
    let sources: Vec<&[u8]> = sources.iter().map(Vec::as_slice).collect();
    let fingerprint = paths::fingerprint(&sources);
    let stamp = folder.join(name).join("made");
    if fs::read_to_string(&stamp).is_ok_and(|made| made == fingerprint) {
        return Ok(());
    }
    println!(
        "Making {name} with random weights in {}: about 4 GB and a few minutes.",
        folder.display()
    );
    let python = python::ready()?;
    run(program(&python)
        .current_dir(golden.join("full"))
        .arg("generate.py")
        .arg(folder)
        .arg(name))?;
    fs::write(&stamp, fingerprint).map_err(|error| format!("{}: {error}", stamp.display()))
}

#[cfg(test)]
mod tests {
    use super::model;

    #[test]
    fn a_model_is_read_from_the_name_of_its_test() {
        assert_eq!(model("sd15::cpu: test"), Some("sd15".into()));
        assert_eq!(model("sd21_base::gpu_f16: test"), Some("sd21-base".into()));
        assert_eq!(model("every_model_is_compared: test"), None);
        assert_eq!(model("7 tests, 0 benchmarks"), None);
    }
}
