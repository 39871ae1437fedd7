//! `cargo xtask bench`: sets up what `tests/browser/bench` needs, and runs it there.

use std::fs;
use std::path::{Path, PathBuf};

use crate::args::Args;
use crate::checkout::native_cargo;
use crate::command::{cargo, line, program, run};
use crate::{Result, paths, python, setup, wasm};

/// What is measured; `bench.mjs` has the parts' code under the same names.
const PARTS: [&str; 8] = [
    "cpu", "gpu", "picture", "stock", "native", "kernels", "growth", "full",
];
/// Those in a browser.
const IN_A_BROWSER: [&str; 4] = ["cpu", "gpu", "picture", "stock"];
/// What is measured when nothing is named: all that need no models but the demo, and no engine but the page's.
const USUAL: [&str; 6] = ["cpu", "gpu", "picture", "native", "kernels", "growth"];

pub fn command(mut args: Args) -> Result<()> {
    let json = args.option("--json")?;
    let models = args.option("--models")?;
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
    if parts.is_empty() {
        parts.extend(USUAL.map(String::from));
    }
    let wanted = |names: &[&str]| parts.iter().any(|part| names.contains(&part.as_str()));

    let node = setup::node_packages()?;
    let folder = paths::root().join("tests/browser/bench");
    let mut bench = program(&node);
    bench.arg(folder.join("bench.mjs"));
    // The programs that it starts by cargo are built with what is built here.
    let cargo_program = cargo().get_program().to_owned();
    bench
        .env("DARKROOM_CARGO", cargo_program)
        .env("CARGO_TARGET_DIR", paths::native_target()?);
    if wanted(&["native", "kernels", "growth", "full"]) {
        setup::vulkan()?;
    }
    if wanted(&["kernels", "growth", "full"]) {
        let mut build = native_cargo()?;
        build.args(["bench", "--no-run", "--package", "darkroom"]);
        run(build.args(["--bench", "kernels"]))?;
    }
    if wanted(&["cpu", "gpu", "picture", "native", "growth", "full"]) {
        run(native_cargo()?.args(["build", "--release", "--package", "darkroom", "--bins"]))?;
        let built = paths::native_target()?.join("release/darkroom");
        bench.env("DARKROOM_COMMAND", built);
    }
    if wanted(&["native", "growth", "full"]) {
        bench.env("DARKROOM_PYTHON", python::ready()?);
    }
    if wanted(&IN_A_BROWSER) {
        let own = std::env::current_exe().map_err(|e| format!("xtask's own program: {e}"))?;
        let sizes = wasm::sizes(&wasm::build()?.module, &node)?;
        let sizes = format!("{} {} {}", sizes.raw, sizes.gzip, sizes.brotli);
        bench
            .env("CHROMIUM", setup::chromium()?)
            .env("DARKROOM_XTASK", own)
            .env("DARKROOM_PEER", peer(&folder)?)
            .env("DARKROOM_WASM", sizes);
    }
    if wanted(&["stock"]) {
        let out = paths::cache()?.join("bench/stock");
        wasm::build_into(&out, &["stock"])?;
        bench.env("DARKROOM_STOCK", out);
    }
    // The program runs in the checkout's root, wherever we were called.
    for (option, path) in [("--json", json), ("--models", models)] {
        if let Some(path) = path {
            let path = std::path::absolute(&path).map_err(|error| format!("{path}: {error}"))?;
            bench.arg(option).arg(path);
        }
    }
    run(bench.args(parts)).map_err(|error| error.replace(&line(&bench), "the bench"))
}

/// The folder with what diffusers exports of the demo model, made anew where the model or the program has changed.
fn peer(folder: &Path) -> Result<PathBuf> {
    let model = paths::root().join("www/models/portraits");
    let script = folder.join("peer.py");
    let read = |path: PathBuf| fs::read(&path).map_err(|e| format!("{}: {e}", path.display()));
    let sources = [
        read(script.clone())?,
        read(folder.join("requirements.txt"))?,
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
    run(program(python::ready()?)
        .arg(script)
        .arg("export")
        .arg(model)
        .arg(&out))?;
    fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))?;
    Ok(out)
}
