//! A Python environment in the cache, for the reference values, the training and the bench.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::command::{ask, find, install, program};
use crate::setup::apt_install;
use crate::{Result, paths};

/// Lists of its packages, with the same versions in both. They share one environment: two would
/// contain PyTorch twice.
const REQUIREMENTS: [&str; 2] = [
    "tests/golden/requirements.txt",
    "tests/browser/bench/requirements.txt",
];

/// The interpreter, if it is installed with all packages.
pub fn installed() -> Result<Option<PathBuf>> {
    let (wanted, interpreter) = (wanted()?, interpreter()?);
    let stamped = fs::read_to_string(stamp()?).is_ok_and(|stamp| stamp == wanted);
    Ok((stamped && interpreter.is_file()).then_some(interpreter))
}

/// The interpreter with all packages. Missing ones are installed.
pub fn ready() -> Result<PathBuf> {
    if let Some(interpreter) = installed()? {
        return Ok(interpreter);
    }
    let (folder, interpreter) = (folder()?, interpreter()?);
    println!(
        "Python packages are missing. Installing them in {}:",
        folder.display()
    );
    let has_pip = || ask(Command::new(&interpreter).args(["-m", "pip", "--version"])).is_some();
    if !interpreter.is_file() || !has_pip() {
        let system = find(&["python3", "python"])
            .ok_or("Python 3 is not on the PATH (https://www.python.org)")?;
        let venv = || {
            let mut command = program(&system);
            command.args(["-m", "venv", "--clear"]).arg(&folder);
            install(&mut command, Duration::from_secs(300))
        };
        if venv().is_err() {
            // Debian ships Python without the venv module.
            apt_install(&["python3-venv"])?;
            venv()?;
        }
    }
    let mut pip = program(&interpreter);
    pip.args(["-m", "pip", "install", "--disable-pip-version-check"]);
    for file in REQUIREMENTS {
        pip.args(["--requirement", file]);
    }
    install(&mut pip, Duration::from_secs(3600))?;
    let stamp = stamp()?;
    fs::write(&stamp, wanted()?).map_err(|error| format!("{}: {error}", stamp.display()))?;
    Ok(interpreter)
}

fn folder() -> Result<PathBuf> {
    Ok(paths::cache()?.join("python"))
}

fn interpreter() -> Result<PathBuf> {
    Ok(folder()?.join(if cfg!(windows) {
        "Scripts/python.exe"
    } else {
        "bin/python"
    }))
}

/// The file that records the installed packages.
fn stamp() -> Result<PathBuf> {
    Ok(folder()?.join("installed"))
}

/// Contents of the stamp after an installation.
fn wanted() -> Result<String> {
    let read =
        |file| fs::read(paths::root().join(file)).map_err(|error| format!("{file}: {error}"));
    let [golden, bench] = REQUIREMENTS.map(read);
    Ok(paths::fingerprint(&[&golden?, &bench?]))
}
