//! `cargo xtask golden`: recomputes the tests' reference values with the Python programs beside
//! them.

use std::fs;
use std::path::{Path, PathBuf};

use lexopt::prelude::*;

use crate::command::{program, run};
use crate::{Result, paths, python};

fn parse(mut parser: lexopt::Parser) -> std::result::Result<String, lexopt::Error> {
    let mut filter = None;
    while let Some(argument) = parser.next()? {
        match argument {
            Value(name) if filter.is_none() => filter = Some(name.string()?),
            other => return Err(other.unexpected()),
        }
    }
    Ok(filter.unwrap_or_default())
}

pub fn command(parser: lexopt::Parser) -> Result<()> {
    let filter = parse(parser).map_err(|error| error.to_string())?;
    let folder = paths::root().join("tests/golden");
    let mut generators = Vec::new();
    collect(&folder, &mut generators)?;
    let name = |generator: &Path| {
        generator
            .strip_prefix(&folder)
            .unwrap_or(generator)
            .display()
            .to_string()
    };
    generators.retain(|generator| name(generator).contains(&filter));
    generators.sort();
    if generators.is_empty() {
        return Err(format!(
            "no generate.py below {} matches {filter:?}",
            folder.display()
        ));
    }
    let python = python::ready()?;
    for generator in &generators {
        let folder = generator.parent().unwrap_or(&folder);
        run(program(&python).current_dir(folder).arg(generator))?;
    }
    println!("git diff --stat tests/golden lists the changes.");
    Ok(())
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let failed = |error| format!("{}: {error}", folder.display());
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        // These models are not in the repository: `cargo xtask test --full` makes them.
        if path.ends_with("tests/golden/full") {
            continue;
        }
        if path.is_dir() {
            collect(&path, found)?;
        } else if path.file_name().is_some_and(|name| name == "generate.py") {
            found.push(path);
        }
    }
    Ok(())
}
