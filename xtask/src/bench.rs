//! `cargo xtask bench`: sets up what `tests/browser/bench` needs, and runs it there.

use std::fs;
use std::path::{Path, PathBuf};

use crate::args::Args;
use crate::command::{cargo, line, program, run};
use crate::{Result, paths, setup, wasm};

/// What is measured; `bench.mjs` has the parts' code under the same names.
const PARTS: [&str; 4] = ["cpu", "gpu", "picture", "native"];

pub fn command(mut args: Args) -> Result<()> {
    let json = args.option("--json")?;
    let mut parts = Vec::new();
    while let Some(part) = args.word() {
        if !PARTS.contains(&part.as_str()) {
            return Err(format!(
                "there is no part {part:?}; there are {}",
                PARTS.join(", ")
            ));
        }
        parts.push(part);
    }
    args.end()?;
    let native = parts.is_empty() || parts.iter().any(|part| part == "native");

    let node = setup::node_packages()?;
    let chromium = setup::chromium()?;
    if native {
        setup::vulkan()?;
    }
    let folder = paths::root().join("tests/browser/bench");
    let requirements = folder.join("requirements.txt");
    let peer = peer(&folder, &requirements)?;
    let module = wasm::build()?.module;
    let sizes = wasm::sizes(&module, &node)?;
    run(cargo()?.args(["build", "--release", "--package", "darkroom", "--bins"]))?;

    let own = std::env::current_exe().map_err(|error| format!("xtask's own program: {error}"))?;
    let mut bench = program(&node);
    bench
        .env("CHROMIUM", chromium)
        .env("DARKROOM_XTASK", own)
        .env(
            "DARKROOM_COMMAND",
            paths::native_target()?.join("release/darkroom"),
        )
        .env("DARKROOM_PEER", peer)
        .env(
            "DARKROOM_WASM",
            format!("{} {} {}", sizes.raw, sizes.gzip, sizes.brotli),
        )
        .arg(folder.join("bench.mjs"));
    bench.env("DARKROOM_PYTHON", setup::python(&requirements)?);
    if let Some(json) = json {
        // The program runs in the checkout's root, wherever we were called.
        let json = std::path::absolute(&json).map_err(|error| format!("{json}: {error}"))?;
        bench.arg("--json").arg(json);
    }
    run(bench.args(parts)).map_err(|error| error.replace(&line(&bench), "the bench"))
}

/// The folder with what diffusers exports of the demo model, made anew where the model or the program has changed.
fn peer(folder: &Path, requirements: &Path) -> Result<PathBuf> {
    let model = paths::root().join("www/models/portraits");
    let script = folder.join("peer.py");
    let read = |path: PathBuf| fs::read(&path).map_err(|e| format!("{}: {e}", path.display()));
    let sources = [
        read(script.clone())?,
        read(requirements.to_owned())?,
        read(model.join("unet/diffusion_pytorch_model.safetensors"))?,
        read(model.join("text_encoder/model.safetensors"))?,
        read(model.join("scheduler/scheduler_config.json"))?,
    ];
    let sources: Vec<&[u8]> = sources.iter().map(Vec::as_slice).collect();
    let wanted = paths::fingerprint(&sources);
    let out = paths::cache()?.join("bench");
    let stamp = out.join("exported");
    if fs::read_to_string(&stamp).is_ok_and(|exported| exported == wanted) {
        return Ok(out);
    }
    println!("Exporting the demo model's U-Net for onnxruntime:");
    run(program(setup::python(requirements)?)
        .arg(script)
        .arg("export")
        .arg(model)
        .arg(&out))?;
    fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))?;
    Ok(out)
}
