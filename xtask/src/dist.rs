//! `cargo xtask dist`: fills `dist/` with the page, for two uses.
//!
//! Any static host serves the folder as it is. `npm publish` takes the part of it that other
//! pages need to embed the studio.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::command::{program, run};
use crate::{Result, licenses, no_arguments, paths, setup, wasm};

/// Name of the npm package.
pub const NAME: &str = "darkroom-studio";
/// Files of the npm package, as patterns. The page itself and its models stay out: a page that
/// embeds the studio names a model of its own.
const FILES: [&str; 12] = [
    "**/*.js",
    "**/*.d.ts",
    "**/*.wasm",
    "**/*.css",
    "vocab/",
    "LICENSE-*",
    licenses::FILE,
    "!main.*",
    "!sw.*",
    "!page.css",
    "!index.html",
    "!models/",
];

pub fn command(parser: lexopt::Parser) -> Result<()> {
    no_arguments(parser)?;
    make().map(|_| ())
}

/// Builds everything and fills `dist/`; returns its path.
pub fn make() -> Result<PathBuf> {
    let built = wasm::build()?;
    let node = setup::node_packages()?;
    let root = paths::root();
    let dist = root.join("dist");
    if dist.exists() {
        fs::remove_dir_all(&dist).map_err(|error| format!("{}: {error}", dist.display()))?;
    }
    let total = copy_folder(&root.join("www"), &dist)?;
    for name in ["LICENSE-MIT", "LICENSE-APACHE"] {
        copy_file(&root.join(name), &dist.join(name))?;
    }
    copy_file(&root.join("xtask/npm/README.md"), &dist.join("README.md"))?;
    paths::write(&dist.join(licenses::FILE), licenses::collect(&root)?)?;
    declarations(&node, &dist)?;
    let manifest = paths::read(&root.join("Cargo.toml"))?;
    paths::write(&dist.join("package.json"), package_json(&manifest)?)?;
    println!("engine: {}", wasm::sizes(&built.module, &node)?);
    println!(
        "{}: {:.1} MB. Upload it to any static host, or run npm publish inside it.",
        dist.display(),
        total as f64 / 1e6
    );
    Ok(dist)
}

/// Copies a folder without hidden files, which belong to the build; returns the number of bytes.
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

/// Writes type declarations beside the modules, from their JSDoc comments.
fn declarations(node: &Path, dist: &Path) -> Result<()> {
    let root = paths::root();
    let tests = root.join("tests/browser");
    let mut tsc = program(node);
    tsc.arg(tests.join("node_modules/typescript/bin/tsc"))
        .arg("--project")
        .arg(tests.join("tsconfig.page.json"))
        .args(["--noEmit", "false", "--declaration"])
        .args(["--emitDeclarationOnly", "--rootDir"])
        .arg(root.join("www"))
        .arg("--outDir")
        .arg(dist);
    run(&mut tsc)
}

/// The value of a line `key = "value"` in the section `[package]` of a Cargo.toml.
pub fn package_value<'a>(manifest: &'a str, key: &str) -> Result<&'a str> {
    let prefix = format!("{key} = \"");
    let lines = manifest
        .lines()
        .skip_while(|line| *line != "[package]")
        .skip(1)
        .take_while(|line| !line.starts_with('['));
    let mut values = lines.filter_map(|line| line.strip_prefix(&prefix)?.strip_suffix('"'));
    values
        .next()
        .ok_or_else(|| format!("Cargo.toml has no {key} in [package]"))
}

/// The package.json of the npm package, with the crate's own version and description.
fn package_json(manifest: &str) -> Result<String> {
    let value = |key| package_value(manifest, key);
    let repository = value("repository")?;
    let package = json!({
        "name": NAME,
        "version": value("version")?,
        "description": value("description")?,
        "keywords": [
            "stable-diffusion",
            "text-to-image",
            "negative-prompt",
            "webgpu",
            "wasm",
            "custom-element",
            "web-components",
        ],
        "homepage": format!("{repository}#readme"),
        "repository": { "type": "git", "url": format!("git+{repository}.git") },
        "bugs": { "url": format!("{repository}/issues") },
        "license": value("license")?,
        "type": "module",
        "main": "./darkroom-studio.js",
        "types": "./darkroom-studio.d.ts",
        "exports": {
            ".": {
                "types": "./darkroom-studio.d.ts",
                "default": "./darkroom-studio.js",
            },
            "./*": "./*",
        },
        "files": FILES,
        "sideEffects": ["./darkroom-studio.js"],
    });
    let text = serde_json::to_string_pretty(&package).map_err(|error| error.to_string())?;
    Ok(text + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_npm_package_has_the_crates_version_and_addresses() {
        let manifest = paths::read(&paths::root().join("Cargo.toml")).unwrap();
        let text = package_json(&manifest).unwrap();
        let package: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            package["version"],
            package_value(&manifest, "version").unwrap()
        );
        assert_eq!(package["name"], NAME);
        let repository = package_value(&manifest, "repository").unwrap();
        for key in ["homepage", "repository", "bugs"] {
            assert!(package[key].to_string().contains(repository), "{key}");
        }
        assert!(package["keywords"].as_array().unwrap().len() >= 5);
    }

    #[test]
    fn values_are_read_from_the_package_section_only() {
        let manifest =
            "[lib]\nversion = \"2\"\n[package]\nversion = \"1.2.3\"\n[a]\nname = \"b\"\n";
        assert_eq!(package_value(manifest, "version").unwrap(), "1.2.3");
        assert!(package_value(manifest, "name").is_err());
    }
}
