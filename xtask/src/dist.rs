//! `cargo xtask dist`: the page and the npm package, bundled.
//!
//! - `dist/` is the page. Any static host serves the folder as it is.
//! - `dist-npm/` is the npm package, what other pages need to embed the studio.
//! - `dist-maps/` has the source maps of both, and belongs to neither.
//!
//! The bundler is esbuild, driven by `tests/browser/build/main.mjs`.

use std::fs;
use std::path::{Path, PathBuf};

use lexopt::prelude::*;
use serde_json::{Value as Json, json};

use crate::command::{program, run};
use crate::{Result, licenses, paths, setup, wasm};

/// Name of the npm package.
pub const NAME: &str = "darkroom-studio";
const KEYWORDS: [&str; 7] = [
    "stable-diffusion",
    "text-to-image",
    "negative-prompt",
    "webgpu",
    "wasm",
    "custom-element",
    "web-components",
];
/// Description of the element's attributes, events and parts for editors.
const ELEMENTS: &str = "custom-elements.json";
/// Types of the package's main module, with the element's tag and its events.
const TYPES: &str = "types/index.d.ts";

pub struct Options {
    /// Bring the engine up to date first.
    pub build: bool,
    /// The address at which the page will be. Previews of links need it: other sites fetch the
    /// picture in them, and a relative address leads them nowhere.
    pub address: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            build: true,
            address: None,
        }
    }
}

impl Options {
    fn parse(mut parser: lexopt::Parser) -> std::result::Result<Self, lexopt::Error> {
        let mut options = Self::default();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("no-build") => options.build = false,
                Long("address") => options.address = Some(address(parser.value()?.string()?)?),
                other => return Err(other.unexpected()),
            }
        }
        Ok(options)
    }
}

/// Checks the address of a folder.
fn address(text: String) -> Result<String> {
    let is_folder = text.starts_with("https://") && text.ends_with('/');
    match is_folder && !text.contains(['"', '<', '?', '#']) {
        true => Ok(text),
        false => Err(format!(
            "--address is {text:?}; it must be the https address of a folder, such as \
             https://example.org/darkroom/"
        )),
    }
}

pub fn command(parser: lexopt::Parser) -> Result<()> {
    let options = Options::parse(parser).map_err(|error| error.to_string())?;
    make(&options).map(|_| ())
}

/// Bundles everything; returns the folder of the npm package.
pub fn make(options: &Options) -> Result<PathBuf> {
    if options.build {
        wasm::build()?;
    }
    let node = setup::node_packages()?;
    let root = paths::root();
    let [page, npm, maps] = ["dist", "dist-npm", "dist-maps"].map(|name| root.join(name));
    let mut bundler = program(&node);
    bundler
        .arg(root.join("tests/browser/build/main.mjs"))
        .args([&page, &npm, &maps])
        .args(&options.address);
    run(&mut bundler)?;
    let notices = licenses::collect(&root, &[bundler_license(&root)?])?;
    for folder in [&page, &npm] {
        for name in ["LICENSE-MIT", "LICENSE-APACHE"] {
            copy_file(&root.join(name), &folder.join(name))?;
        }
        paths::write(&folder.join(licenses::FILE), &notices)?;
    }
    package(&root, &node, &npm)?;
    println!(
        "{}: {:.1} MB. Upload it to any static host.",
        page.display(),
        folder_bytes(&page)? as f64 / 1e6
    );
    println!(
        "{}: {:.1} MB. Run npm publish inside it.",
        npm.display(),
        folder_bytes(&npm)? as f64 / 1e6
    );
    Ok(npm)
}

/// The licence of the bundler: it writes helper functions of its own into the scripts. No other
/// package from npm is in them.
fn bundler_license(root: &Path) -> Result<licenses::Work> {
    let folder = root.join("tests/browser/node_modules/esbuild");
    let manifest = paths::read(&folder.join("package.json"))?;
    let manifest: Json = serde_json::from_str(&manifest).map_err(|error| error.to_string())?;
    Ok(licenses::Work {
        label: format!(
            "esbuild {} (helper functions in the scripts)",
            manifest["version"].as_str().unwrap_or_default()
        ),
        license: "MIT",
        source: "https://www.npmjs.com/package/esbuild",
        text: folder.join("LICENSE.md"),
    })
}

/// Adds to the bundles what makes a package of them.
fn package(root: &Path, node: &Path, npm: &Path) -> Result<()> {
    let own = root.join("xtask/npm");
    copy_file(&own.join("README.md"), &npm.join("README.md"))?;
    let has_elements = own.join(ELEMENTS).is_file();
    if has_elements {
        copy_file(&own.join(ELEMENTS), &npm.join(ELEMENTS))?;
    }
    declarations(node, &npm.join("types"))?;
    copy_file(&own.join("index.d.ts"), &npm.join(TYPES))?;
    let manifest = paths::read(&root.join("Cargo.toml"))?;
    let has_api = npm.join("api.js").is_file();
    let package = package_json(&manifest, has_api, has_elements)?;
    paths::write(&npm.join("package.json"), package)
}

fn folder_bytes(folder: &Path) -> Result<u64> {
    let failed = |error| format!("{}: {error}", folder.display());
    let mut bytes = 0;
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let metadata = entry.metadata().map_err(failed)?;
        bytes += match metadata.is_dir() {
            true => folder_bytes(&entry.path())?,
            false => metadata.len(),
        };
    }
    Ok(bytes)
}

fn copy_file(from: &Path, to: &Path) -> Result<u64> {
    fs::copy(from, to).map_err(|error| format!("{} → {}: {error}", from.display(), to.display()))
}

/// Writes type declarations of the modules, from their JSDoc comments.
fn declarations(node: &Path, types: &Path) -> Result<()> {
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
        .arg(types);
    run(&mut tsc)?;
    let pkg = types.join("pkg");
    fs::create_dir_all(&pkg).map_err(|error| format!("{}: {error}", pkg.display()))?;
    copy_file(
        &root.join("www/pkg/darkroom.d.ts"),
        &pkg.join("darkroom.d.ts"),
    )?;
    Ok(())
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
///
/// The text is put together by hand: the order of an export's conditions counts, and `serde_json`
/// sorts them.
fn package_json(manifest: &str, has_api: bool, has_elements: bool) -> Result<String> {
    let value = |key| package_value(manifest, key);
    let repository = value("repository")?;
    let elements = format!("./{ELEMENTS}");
    let main = conditions(TYPES, NAME);
    let mut exports = vec![(".".to_owned(), main)];
    if has_api {
        exports.push(("./api".to_owned(), conditions("types/api.d.ts", "api")));
    }
    for file in ["./worker.js", "./package.json"] {
        let name = file.trim_end_matches(".js");
        exports.push((name.to_owned(), Json::from(file).to_string()));
    }
    let mut fields = vec![
        ("name", json!(NAME).to_string()),
        ("version", json!(value("version")?).to_string()),
        ("description", json!(value("description")?).to_string()),
        ("keywords", json!(KEYWORDS).to_string()),
        (
            "homepage",
            json!(format!("{repository}#readme")).to_string(),
        ),
        (
            "repository",
            json!({ "type": "git", "url": format!("git+{repository}.git") }).to_string(),
        ),
        (
            "bugs",
            json!({ "url": format!("{repository}/issues") }).to_string(),
        ),
        ("license", json!(value("license")?).to_string()),
        ("type", json!("module").to_string()),
        ("main", json!(format!("./{NAME}.js")).to_string()),
        ("types", json!(format!("./{TYPES}")).to_string()),
    ];
    if has_elements {
        exports.push((elements.clone(), Json::from(elements.as_str()).to_string()));
        fields.push(("customElements", Json::from(elements).to_string()));
    }
    let exports: Vec<String> = exports
        .iter()
        .map(|(name, target)| format!("    \"{name}\": {target}"))
        .collect();
    fields.push(("exports", format!("{{\n{}\n  }}", exports.join(",\n"))));
    // The element's module defines its tag. All others only export.
    let effects = json!([format!("./{NAME}.js")]);
    fields.push(("sideEffects", effects.to_string()));
    let fields: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("  \"{name}\": {value}"))
        .collect();
    Ok(format!("{{\n{}\n}}\n", fields.join(",\n")))
}

/// The conditions of a module's export: the types come first, because the first match counts.
fn conditions(types: &str, name: &str) -> String {
    format!(r#"{{ "types": "./{types}", "default": "./{name}.js" }}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_npm_package_has_the_crates_version_and_addresses() {
        let manifest = paths::read(&paths::root().join("Cargo.toml")).unwrap();
        let text = package_json(&manifest, true, true).unwrap();
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
    fn the_npm_package_exports_what_it_contains_with_types_first() {
        let manifest = paths::read(&paths::root().join("Cargo.toml")).unwrap();
        let exports = |has_api, has_elements| {
            let text = package_json(&manifest, has_api, has_elements).unwrap();
            let package: Json = serde_json::from_str(&text).unwrap();
            let names = package["exports"].as_object().unwrap().keys().cloned();
            (names.collect::<Vec<_>>(), package["customElements"].clone())
        };
        let text = package_json(&manifest, true, true).unwrap();
        let api = text.lines().find(|line| line.contains("\"./api\""));
        let types_first = r#"{ "types": "./types/api.d.ts", "default": "./api.js" }"#;
        assert!(api.unwrap().contains(types_first), "{text}");
        let (names, elements) = exports(false, false);
        assert_eq!(names, [".", "./package.json", "./worker"]);
        assert_eq!(elements, Json::Null);
        let (names, elements) = exports(true, true);
        let all = [
            ".",
            "./api",
            "./custom-elements.json",
            "./package.json",
            "./worker",
        ];
        assert_eq!(names, all);
        assert_eq!(elements, "./custom-elements.json");
    }

    #[test]
    fn an_address_of_the_page_is_an_https_folder() {
        let read = |text: &str| address(text.to_owned());
        assert!(read("https://example.org/darkroom/").is_ok());
        for text in [
            "example.org/",
            "https://example.org/a",
            "http://a/",
            "https://a/\"/",
        ] {
            assert!(read(text).unwrap_err().contains("--address"), "{text}");
        }
    }

    #[test]
    fn values_are_read_from_the_package_section_only() {
        let manifest =
            "[lib]\nversion = \"2\"\n[package]\nversion = \"1.2.3\"\n[a]\nname = \"b\"\n";
        assert_eq!(package_value(manifest, "version").unwrap(), "1.2.3");
        assert!(package_value(manifest, "name").is_err());
    }
}
