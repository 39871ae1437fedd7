//! `dist/`: the page as a folder that any static host takes as it is, and that `npm publish` takes too, for pages that embed
//! the studio.

use std::fs;
use std::path::Path;

use crate::command::{program, run};
use crate::{Result, paths, setup, wasm};

pub fn command(parser: lexopt::Parser) -> Result<()> {
    crate::no_arguments(parser)?;
    let built = wasm::build()?;
    let node = setup::node_packages()?;
    let root = paths::root();
    let dist = root.join("dist");
    if dist.exists() {
        fs::remove_dir_all(&dist).map_err(|error| format!("{}: {error}", dist.display()))?;
    }
    let total = copy_folder(&root.join("www"), &dist)?;
    for name in ["README.md", "LICENSE-MIT", "LICENSE-APACHE"] {
        if root.join(name).is_file() {
            copy_file(&root.join(name), &dist.join(name))?;
        }
    }
    declarations(&node, &dist)?;
    let package = dist.join("package.json");
    fs::write(&package, package_json(&version(&root)?))
        .map_err(|error| format!("{}: {error}", package.display()))?;
    println!("engine: {}", wasm::sizes(&built.module, &node)?);
    println!(
        "{}: {:.1} MB. Upload it anywhere; or, inside it, npm publish.",
        dist.display(),
        total as f64 / 1e6
    );
    Ok(())
}

/// Copies a folder without its hidden files, which are the build's own notes; returns the bytes copied.
fn copy_folder(from: &Path, to: &Path) -> Result<u64> {
    let failed = |error| format!("{}: {error}", from.display());
    fs::create_dir_all(to).map_err(|error| format!("{}: {error}", to.display()))?;
    let mut bytes = 0;
    for entry in fs::read_dir(from).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let Some(name) = path
            .file_name()
            .filter(|name| !name.to_string_lossy().starts_with('.'))
        else {
            continue;
        };
        bytes += if path.is_dir() {
            copy_folder(&path, &to.join(name))?
        } else {
            copy_file(&path, &to.join(name))?
        };
    }
    Ok(bytes)
}

fn copy_file(from: &Path, to: &Path) -> Result<u64> {
    fs::copy(from, to).map_err(|error| format!("{} → {}: {error}", from.display(), to.display()))
}

/// Type declarations beside the modules, out of their JSDoc: those who embed the studio get them with the package.
fn declarations(node: &Path, dist: &Path) -> Result<()> {
    let root = paths::root();
    let tests = root.join("tests/browser");
    let mut tsc = program(node);
    tsc.arg(tests.join("node_modules/typescript/bin/tsc"))
        .arg("--project")
        .arg(tests.join("tsconfig.page.json"))
        .args([
            "--noEmit",
            "false",
            "--declaration",
            "--emitDeclarationOnly",
            "--rootDir",
        ])
        .arg(root.join("www"))
        .arg("--outDir")
        .arg(dist);
    run(&mut tsc)
}

/// The engine's version, from the root's Cargo.toml.
fn version(root: &Path) -> Result<String> {
    let manifest = root.join("Cargo.toml");
    let text = fs::read_to_string(&manifest)
        .map_err(|error| format!("{}: {error}", manifest.display()))?;
    let version = text
        .lines()
        .find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
    Ok(version
        .ok_or_else(|| format!("{}: no version", manifest.display()))?
        .to_owned())
}

/// The page itself and its models stay out of the npm package: who embeds the studio brings a page and names a model.
fn package_json(version: &str) -> String {
    format!(
        r#"{{
  "name": "darkroom-studio",
  "version": "{version}",
  "description": "Stable Diffusion with negative prompts, in the browser: Rust, WebAssembly, WebGPU",
  "license": "MIT OR Apache-2.0",
  "type": "module",
  "exports": {{
    ".": "./darkroom-studio.js",
    "./*": "./*"
  }},
  "files": ["**/*.js", "**/*.d.ts", "**/*.wasm", "style.css", "vocab/", "LICENSE-*", "!main.js", "!main.d.ts", "!models/"],
  "sideEffects": ["./darkroom-studio.js"]
}}
"#
    )
}
