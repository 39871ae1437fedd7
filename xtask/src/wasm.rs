//! The engine as WebAssembly: `crate/` → cargo → `darkroom.wasm` → wasm-bindgen → `www/pkg/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{self, Stream, cargo, line, program, watched};
use crate::setup::{self, WasmToolchain};
use crate::{Result, checkout, no_arguments, paths};

/// Name of the package and its library, and stem of the page's files: `darkroom.js`,
/// `darkroom_bg.wasm`.
const NAME: &str = "darkroom";
const TARGET: &str = "wasm32-unknown-unknown";

/// Result of a build.
pub struct Built {
    /// Warnings about the crate itself, not its dependencies.
    pub warnings: usize,
    /// The module for the browser.
    pub module: PathBuf,
}

/// Bytes to transfer with each compression that a server may offer.
pub struct TransferSizes {
    pub raw: u64,
    pub gzip: u64,
    pub brotli: u64,
}

impl std::fmt::Display for TransferSizes {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let mb = |bytes: u64| bytes as f64 / 1e6;
        let (raw, gzip, brotli) = (mb(self.raw), mb(self.gzip), mb(self.brotli));
        write!(f, "{raw:.2} MB; gzip {gzip:.2} MB; Brotli {brotli:.2} MB")
    }
}

pub fn command(parser: lexopt::Parser) -> Result<()> {
    no_arguments(parser)?;
    let module = build()?.module;
    let size = match setup::node() {
        Ok(node) => sizes(&module, &node)?.to_string(),
        Err(error) => format!("compressed size unknown: {error}"),
    };
    println!("{}: {size}", module.display());
    println!(
        "Native builds share CARGO_TARGET_DIR={}",
        paths::native_target()?.display()
    );
    Ok(())
}

/// Builds the engine and its JavaScript into `www/pkg`. Does nothing when nothing has changed.
pub fn build() -> Result<Built> {
    build_into(&paths::root().join("www/pkg"), &[])
}

/// Builds into the folder `out`, with the package's features `features`.
pub fn build_into(out: &Path, features: &[&str]) -> Result<Built> {
    let toolchain = setup::wasm_toolchain()?;
    let folder = paths::wasm_target()?.join(TARGET).join("release");
    if !folder.is_dir() {
        println!(
            "The first build for WebAssembly takes ten to twenty minutes; later ones far less."
        );
    }
    let warnings = compile(toolchain, features)?;
    let module = bind(&folder.join(format!("{NAME}.wasm")), out)?;
    Ok(Built { warnings, module })
}

/// Cargo with the environment of every build for the browser.
fn cargo_for_wasm(toolchain: &WasmToolchain) -> Result<Command> {
    let mut command = match toolchain {
        WasmToolchain::Rustup => cargo(),
        WasmToolchain::Debian {
            cargo,
            rustc,
            linker,
        } => {
            let mut command = program(cargo);
            command
                .env("RUSTC", rustc)
                .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker)
                // -Zbuild-std is a nightly option, and Debian's compiler is a release. It has the
                // standard library's source.
                .env("RUSTC_BOOTSTRAP", "1")
                // `cargo run` set this to the libraries of the compiler that built xtask.
                .env_remove("LD_LIBRARY_PATH")
                .env_remove("RUSTUP_TOOLCHAIN");
            command
        }
    };
    command
        .env("CARGO_TARGET_DIR", paths::wasm_target()?)
        .env("RUSTFLAGS", "-C target-feature=+simd128")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        // Visitors download the module once and run it for hours, so the minutes of link-time
        // optimisation are well spent here. Native builds go without.
        .env("CARGO_PROFILE_RELEASE_LTO", "fat")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1")
        .env("CARGO_PROFILE_RELEASE_PANIC", "abort")
        .env("CARGO_PROFILE_RELEASE_STRIP", "debuginfo");
    Ok(command)
}

/// Runs cargo; returns the number of warnings about the crate.
fn compile(toolchain: WasmToolchain, features: &[&str]) -> Result<usize> {
    let package = ["--target", TARGET, "--package", NAME];
    let mut clean = cargo_for_wasm(&toolchain)?;
    clean.args(["clean", "--release"]).args(package);
    checkout::claim(&paths::root(), &paths::wasm_target()?, &mut [clean])?;
    let mut command = cargo_for_wasm(&toolchain)?;
    command.args(["build", "--release", "--lib"]).args(package);
    if !features.is_empty() {
        command.arg("--features").arg(features.join(","));
    }
    if matches!(toolchain, WasmToolchain::Debian { .. }) {
        command.arg("-Zbuild-std=std,panic_abort");
    }
    let mut warnings = 0;
    watched(&mut command, Stream::Stderr, |line| {
        warnings += warnings_about(NAME, line)
    })?;
    Ok(warnings)
}

/// Reads 3 from "warning: `darkroom` (lib) generated 3 warnings". Cargo repeats this line from its
/// cache on every build.
fn warnings_about(name: &str, line: &str) -> usize {
    line.strip_prefix(&format!("warning: `{name}` ("))
        .and_then(|rest| rest.split_once(") generated "))
        .and_then(|(_, rest)| rest.split(' ').next()?.parse().ok())
        .unwrap_or(0)
}

/// Runs wasm-bindgen, unless its last run was on the same module.
fn bind(compiled: &Path, out: &Path) -> Result<PathBuf> {
    let generator = generator()?;
    let contents =
        |path: &Path| fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    let stamp = paths::fingerprint(&[&contents(compiled)?, &contents(&generator)?]);
    let stamp_file = out.join(".stamp");
    let module = out.join(format!("{NAME}_bg.wasm"));
    if module.is_file() && fs::read_to_string(&stamp_file).is_ok_and(|done| done == stamp) {
        return Ok(module);
    }
    // An interrupted run must not leave a mixture of two builds.
    if out.exists() {
        fs::remove_dir_all(out).map_err(|error| format!("{}: {error}", out.display()))?;
    }
    command::run(program(&generator).args([compiled, out]).arg(NAME))?;
    fs::write(&stamp_file, stamp).map_err(|error| format!("{}: {error}", stamp_file.display()))?;
    Ok(module)
}

/// The program `xtask-bindgen`, built in the cache from the versions in Cargo.lock.
fn generator() -> Result<PathBuf> {
    let mut command = checkout::native_cargo()?;
    command.args([
        "build",
        "--quiet",
        "--release",
        "--package",
        "xtask",
        "--features",
        "bindgen",
        "--bin",
        "xtask-bindgen",
    ]);
    let status = command
        .status()
        .map_err(|error| format!("{}: {error}", line(&command)))?;
    if !status.success() {
        return Err(format!("{}: {status}", line(&command)));
    }
    let name = format!("xtask-bindgen{}", std::env::consts::EXE_SUFFIX);
    Ok(paths::native_target()?.join("release").join(name))
}

/// Sizes of a file as a server would send it. Node compresses, so that xtask needs no library for
/// it, and caches the copies beside the file: the best Brotli level takes half a minute or more.
pub fn sizes(file: &Path, node: &Path) -> Result<TransferSizes> {
    let mut compress = program(node);
    compress
        .arg(paths::root().join("tests/browser/build/compress.mjs"))
        .arg(file);
    let line = command::output(&mut compress)?;
    let words = line.split_whitespace();
    let numbers: Vec<u64> = words.filter_map(|word| word.parse().ok()).collect();
    match numbers[..] {
        [raw, gzip, brotli] => Ok(TransferSizes { raw, gzip, brotli }),
        _ => Err(format!(
            "compress.mjs: expected three numbers, found {line:?}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_warnings_about_the_crate_itself_count() {
        assert_eq!(
            warnings_about("darkroom", "warning: `darkroom` (lib) generated 3 warnings"),
            3
        );
        assert_eq!(
            warnings_about(
                "darkroom",
                "warning: `darkroom` (lib) generated 1 warning (run `cargo fix`)"
            ),
            1
        );
        assert_eq!(
            warnings_about("darkroom", "warning: `burn` (lib) generated 3 warnings"),
            0
        );
        assert_eq!(warnings_about("darkroom", "warning: unused variable"), 0);
    }
}
