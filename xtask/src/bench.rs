//! `cargo xtask bench`: prepares and runs the benchmarks in `tests/browser/bench`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use lexopt::prelude::*;

use crate::checkout::native_cargo;
use crate::command::{cargo, line, program, run};
use crate::{Result, paths, python, setup, wasm};

/// A part of the benchmark, and the set-up that it needs. `bench.mjs` has the parts' code under
/// the same names.
struct Part {
    name: &'static str,
    needs: &'static [Need],
    /// Runs when no part is named: needs no models but the demo, and no engine but the page's.
    usual: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Need {
    Browser,
    /// The second engine, with Burn's own operations.
    StockEngine,
    /// A Vulkan driver.
    Vulkan,
    /// The program of `benches/kernels`.
    Kernels,
    /// The native command.
    Command,
    Python,
}

const PARTS: [Part; 8] = [
    part("cpu", true, &[Need::Browser, Need::Command]),
    part("gpu", true, &[Need::Browser, Need::Command]),
    part("picture", true, &[Need::Browser, Need::Command]),
    part("stock", false, &[Need::Browser, Need::StockEngine]),
    part("native", true, &[Need::Vulkan, Need::Command, Need::Python]),
    part("kernels", true, &[Need::Vulkan, Need::Kernels]),
    part(
        "growth",
        true,
        &[Need::Vulkan, Need::Kernels, Need::Command, Need::Python],
    ),
    part(
        "full",
        false,
        &[Need::Vulkan, Need::Kernels, Need::Command, Need::Python],
    ),
];

const fn part(name: &'static str, usual: bool, needs: &'static [Need]) -> Part {
    Part { name, needs, usual }
}

#[derive(Default)]
struct Options {
    json: Option<PathBuf>,
    models: Option<PathBuf>,
    parts: Vec<&'static Part>,
}

impl Options {
    fn parse(mut parser: lexopt::Parser) -> std::result::Result<Self, lexopt::Error> {
        let mut options = Self::default();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("json") => options.json = Some(parser.value()?.into()),
                Long("models") => options.models = Some(parser.value()?.into()),
                Value(name) => options.parts.push(named(&name.string()?)?),
                other => return Err(other.unexpected()),
            }
        }
        if options.parts.is_empty() {
            options.parts = PARTS.iter().filter(|part| part.usual).collect();
        }
        Ok(options)
    }
}

fn named(name: &str) -> Result<&'static Part> {
    PARTS.iter().find(|part| part.name == name).ok_or_else(|| {
        let names: Vec<&str> = PARTS.iter().map(|part| part.name).collect();
        format!("no part {name:?}; the parts are {}", names.join(", "))
    })
}

pub fn command(parser: lexopt::Parser) -> Result<()> {
    let options = Options::parse(parser).map_err(|error| error.to_string())?;
    let node = setup::node_packages()?;
    let folder = paths::root().join("tests/browser/bench");
    let mut bench = program(&node);
    bench.arg(folder.join("bench.mjs"));
    // The bench starts some programs through cargo: with the same cargo and target directory.
    let cargo_program = cargo().get_program().to_owned();
    bench
        .env("DARKROOM_CARGO", cargo_program)
        .env("CARGO_TARGET_DIR", paths::native_target()?);
    prepare(&mut bench, &options.parts, &node, &folder)?;
    // The bench runs in the checkout's root, which may not be the caller's folder.
    for (option, path) in [("--json", options.json), ("--models", options.models)] {
        if let Some(path) = path {
            let path = std::path::absolute(&path)
                .map_err(|error| format!("{}: {error}", path.display()))?;
            bench.arg(option).arg(path);
        }
    }
    bench.args(options.parts.iter().map(|part| part.name));
    run(&mut bench).map_err(|error| error.replace(&line(&bench), "the bench"))
}

/// Builds and installs what the parts need, and passes the paths to the bench.
fn prepare(bench: &mut Command, parts: &[&Part], node: &Path, folder: &Path) -> Result<()> {
    let needed = |need| parts.iter().any(|part| part.needs.contains(&need));
    if needed(Need::Vulkan) {
        setup::vulkan()?;
    }
    if needed(Need::Kernels) {
        let mut build = native_cargo()?;
        build.args(["bench", "--no-run", "--package", "darkroom"]);
        run(build.args(["--bench", "kernels"]))?;
    }
    if needed(Need::Command) {
        run(native_cargo()?.args(["build", "--release", "--package", "darkroom", "--bins"]))?;
        let built = paths::native_target()?.join("release/darkroom");
        bench.env("DARKROOM_COMMAND", built);
    }
    if needed(Need::Python) {
        bench.env("DARKROOM_PYTHON", python::ready()?);
    }
    if needed(Need::Browser) {
        let own = std::env::current_exe().map_err(|e| format!("xtask's own program: {e}"))?;
        let sizes = wasm::sizes(&wasm::build()?.module, node)?;
        let sizes = format!("{} {} {}", sizes.raw, sizes.gzip, sizes.brotli);
        bench
            .env("CHROMIUM", setup::chromium()?)
            .env("DARKROOM_XTASK", own)
            .env("DARKROOM_PEER", peer(folder)?)
            .env("DARKROOM_WASM", sizes);
    }
    if needed(Need::StockEngine) {
        let out = paths::cache()?.join("bench/stock");
        wasm::build_into(&out, &["stock"])?;
        bench.env("DARKROOM_STOCK", out);
    }
    Ok(())
}

/// The folder with diffusers' export of the demo model. The export runs again when the model or
/// the program has changed.
fn peer(folder: &Path) -> Result<PathBuf> {
    let model = paths::root().join("www/models/portraits");
    let script = folder.join("peer.py");
    let sources = [
        script.clone(),
        folder.join("requirements.txt"),
        model.join("unet/diffusion_pytorch_model.safetensors"),
        model.join("text_encoder/model.safetensors"),
        model.join("scheduler/scheduler_config.json"),
    ];
    let read = |path: &PathBuf| fs::read(path).map_err(|e| format!("{}: {e}", path.display()));
    let sources: Vec<Vec<u8>> = sources.iter().map(read).collect::<Result<_>>()?;
    let sources: Vec<&[u8]> = sources.iter().map(Vec::as_slice).collect();
    let wanted = paths::fingerprint(&sources);
    let out = paths::cache()?.join("bench");
    let stamp = out.join("exported");
    if fs::read_to_string(&stamp).is_ok_and(|exported| exported == wanted) {
        return Ok(out);
    }
    println!("Exporting the demo model's U-Net for onnxruntime:");
    run(program(python::ready()?)
        .arg(script)
        .arg("export")
        .arg(model)
        .arg(&out))?;
    paths::write(&stamp, wanted)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn parts(words: &[&str]) -> Result<BTreeSet<&'static str>> {
        let options =
            Options::parse(lexopt::Parser::from_args(words)).map_err(|error| error.to_string())?;
        Ok(options.parts.iter().map(|part| part.name).collect())
    }

    #[test]
    fn without_names_all_parts_run_that_need_no_second_engine_and_no_big_models() {
        let usual = ["cpu", "gpu", "growth", "kernels", "native", "picture"];
        assert_eq!(parts(&["--json", "out.json"]).unwrap(), usual.into());
        assert_eq!(parts(&["full", "cpu"]).unwrap(), ["cpu", "full"].into());
    }

    #[test]
    fn an_unknown_part_is_named() {
        assert!(parts(&["gpuu"]).unwrap_err().contains("gpuu"));
    }
}
