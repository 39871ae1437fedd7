//! `cargo xtask release --dry-run`: packs the crate and the npm package, and checks both.
//!
//! It publishes nothing. `cargo publish` and `npm publish` do that, after this has passed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use lexopt::prelude::*;
use serde_json::Value as Json;

use crate::check::links;
use crate::checkout::native_cargo;
use crate::command::{ask, cargo, find, output, program, run};
use crate::dist::{self, package_value};
use crate::{Result, licenses, paths};

/// Largest package that crates.io accepts.
const CRATE_LIMIT: u64 = 10_000_000;
/// Files that the crate must contain, and beginnings of paths that it must not.
const CRATE_FILES: [&str; 7] = [
    "Cargo.toml",
    "Cargo.lock",
    "README.md",
    "CHANGELOG.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "crate/lib.rs",
];
const NOT_IN_CRATE: [&str; 6] = [
    "www/models/",
    "www/pkg/",
    "tests/",
    "training/",
    "xtask/",
    "dist/",
];
/// The same for the npm package.
const NPM_FILES: [&str; 11] = [
    "package.json",
    "README.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    licenses::FILE,
    "darkroom-studio.js",
    "worker.js",
    "darkroom_bg.wasm",
    "darkroom_bg.wasm.gz",
    "vocab/clip/vocab.json",
    "vocab/clip/merges.txt",
];
const NOT_IN_NPM: [&str; 4] = ["models/", "index.html", "assets/", "sw.js"];

fn parse(mut parser: lexopt::Parser) -> std::result::Result<(), lexopt::Error> {
    let mut dry_run = false;
    while let Some(argument) = parser.next()? {
        match argument {
            Long("dry-run") => dry_run = true,
            other => return Err(other.unexpected()),
        }
    }
    match dry_run {
        true => Ok(()),
        false => Err("only --dry-run exists: publish with cargo publish and npm publish".into()),
    }
}

pub fn command(parser: lexopt::Parser) -> Result<()> {
    parse(parser).map_err(|error| error.to_string())?;
    let root = paths::root();
    let manifest = paths::read(&root.join("Cargo.toml"))?;
    let version = package_value(&manifest, "version")?;
    let mut problems = Problems::default();
    check_readme(&root, &mut problems)?;
    check_dependencies(&mut problems);
    let krate = pack_crate(version, &mut problems)?;
    let npm = pack_npm(&root, version, &mut problems)?;
    println!("\ncrate darkroom {version}: {krate}");
    println!("npm {} {version}: {npm}", dist::NAME);
    problems.finish()
}

/// Defects of the packages. All are printed before the command fails.
#[derive(Debug, Default, PartialEq)]
struct Problems(Vec<String>);

impl Problems {
    fn check(&mut self, is_sound: bool, problem: impl FnOnce() -> String) {
        if !is_sound {
            self.0.push(problem());
        }
    }

    /// Compares a package's files with those that it must and must not contain.
    fn check_files(&mut self, package: &str, files: &BTreeSet<String>, lists: [&[&str]; 2]) {
        let [wanted, unwanted] = lists;
        for name in wanted {
            self.check(files.contains(*name), || {
                format!("{package}: {name} is missing")
            });
        }
        for file in files {
            let is_wanted = !unwanted.iter().any(|begin| file.starts_with(begin));
            self.check(is_wanted, || {
                format!("{package}: {file} does not belong in it")
            });
        }
    }

    fn finish(self) -> Result<()> {
        for problem in &self.0 {
            println!("{problem}");
        }
        match self.0.len() {
            0 => Ok(()),
            count => Err(format!("{count} problems, listed above")),
        }
    }
}

/// Checks that every relative link of the README leads to a file of the checkout.
fn check_readme(root: &Path, problems: &mut Problems) -> Result<()> {
    let readme = paths::read(&root.join("README.md"))?;
    for link in links::broken(root, "README.md", &readme) {
        problems.0.push(format!("README.md: {link} does not exist"));
    }
    Ok(())
}

/// Runs cargo-deny, if it is installed: licences, sources and security advisories. It needs the
/// network for the advisories. `cargo xtask test` checks the licences without it.
fn check_dependencies(problems: &mut Problems) {
    if ask(cargo().args(["deny", "--version"])).is_none() {
        println!("Advisories were not checked: cargo install --locked cargo-deny");
        return;
    }
    let checked = run(cargo().args(["deny", "check"]));
    problems.0.extend(checked.err());
}

/// Packs the crate and checks it; returns its size in words. Cargo's own check, a build of the
/// package, would build Burn once more, so it is left to `cargo publish`.
fn pack_crate(version: &str, problems: &mut Problems) -> Result<String> {
    let package = ["package", "--package", "darkroom", "--allow-dirty"];
    let list = output(native_cargo()?.args(package).arg("--list"))?;
    let files = list.lines().map(|line| line.replace('\\', "/")).collect();
    problems.check_files("crate", &files, [&CRATE_FILES, &NOT_IN_CRATE]);
    output(native_cargo()?.args(package).arg("--no-verify"))?;
    let packed = paths::native_target()?.join(format!("package/darkroom-{version}.crate"));
    let size = fs::metadata(&packed)
        .map_err(|error| format!("{}: {error}", packed.display()))?
        .len();
    problems.check(size < CRATE_LIMIT, || {
        let limit = CRATE_LIMIT as f64 / 1e6;
        format!("crate: {}; the limit is {limit:.0} MB", megabytes(size))
    });
    Ok(format!("{}, {} files", megabytes(size), files.len()))
}

/// Packs the npm package and checks it; returns its size in words.
fn pack_npm(root: &Path, version: &str, problems: &mut Problems) -> Result<String> {
    let dist = dist::make(&dist::Options::default())?;
    let npm = find(&["npm"]).ok_or("npm is not on the PATH; it comes with Node.js")?;
    let mut pack = program(npm);
    pack.current_dir(&dist)
        .args(["pack", "--dry-run", "--json", "--ignore-scripts"]);
    let packed = Packed::parse(&output(&mut pack)?)?;
    let package = paths::read(&dist.join("package.json"))?;
    let readme = paths::read(&root.join("xtask/npm/README.md"))?;
    packed.check(version, &package, &readme, problems)?;
    Ok(format!(
        "{} packed, {} unpacked, {} files",
        megabytes(packed.size),
        megabytes(packed.unpacked),
        packed.files.len()
    ))
}

fn megabytes(bytes: u64) -> String {
    format!("{:.2} MB", bytes as f64 / 1e6)
}

/// Report of `npm pack --json`.
struct Packed {
    name: String,
    version: String,
    size: u64,
    unpacked: u64,
    files: BTreeSet<String>,
}

impl Packed {
    fn parse(text: &str) -> Result<Self> {
        let report: Json =
            serde_json::from_str(text).map_err(|error| format!("npm pack: {error}: {text}"))?;
        // npm 11 lists the packages; later versions name them.
        let package = match &report {
            Json::Array(packages) => packages.first(),
            Json::Object(packages) => packages.values().next(),
            _ => None,
        };
        let read = |package: &Json| {
            let files = package["files"].as_array()?.iter();
            Some(Self {
                name: package["name"].as_str()?.to_owned(),
                version: package["version"].as_str()?.to_owned(),
                size: package["size"].as_u64()?,
                unpacked: package["unpackedSize"].as_u64()?,
                files: files
                    .filter_map(|file| Some(file["path"].as_str()?.to_owned()))
                    .collect(),
            })
        };
        package
            .and_then(read)
            .ok_or_else(|| format!("npm pack: the report has another form: {text}"))
    }

    fn check(
        &self,
        version: &str,
        package: &str,
        readme: &str,
        problems: &mut Problems,
    ) -> Result<()> {
        problems.check(self.name == dist::NAME, || {
            format!("npm: the name is {}", self.name)
        });
        problems.check(self.version == version, || {
            format!(
                "npm: the version is {}, the crate's is {version}",
                self.version
            )
        });
        problems.check_files("npm", &self.files, [&NPM_FILES, &NOT_IN_NPM]);
        let package: Json =
            serde_json::from_str(package).map_err(|error| format!("package.json: {error}"))?;
        for entry in [
            &package["main"],
            &package["types"],
            &package["exports"]["."]["types"],
        ] {
            let file = entry.as_str().unwrap_or_default().trim_start_matches("./");
            problems.check(self.files.contains(file), || {
                format!("npm: package.json names {entry}, which is not in the package")
            });
        }
        for link in links::links(readme) {
            let path = PathBuf::from(&link).display().to_string();
            let exists = links::is_absolute(&link) || self.files.contains(&path);
            problems.check(exists, || format!("npm: README.md: {link} does not exist"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npm(files: &[&str]) -> String {
        let files: Vec<Json> = files
            .iter()
            .map(|path| serde_json::json!({ "path": path, "size": 1 }))
            .collect();
        serde_json::json!([{
            "name": dist::NAME,
            "version": "1.2.3",
            "size": 4,
            "unpackedSize": 5,
            "files": files,
        }])
        .to_string()
    }

    const PACKAGE: &str = r#"{ "main": "./darkroom-studio.js", "types": "./darkroom-studio.d.ts",
        "exports": { ".": { "types": "./darkroom-studio.d.ts" } } }"#;

    fn problems(files: &[&str], version: &str, readme: &str) -> Vec<String> {
        let files = [&NPM_FILES[..], &["darkroom-studio.d.ts"], files].concat();
        let mut problems = Problems::default();
        let packed = Packed::parse(&npm(&files)).unwrap();
        packed
            .check(version, PACKAGE, readme, &mut problems)
            .unwrap();
        problems.0
    }

    #[test]
    fn a_sound_npm_package_has_no_problem() {
        let readme = "[a](https://example.org) [b](LICENSE-MIT)";
        assert_eq!(problems(&[], "1.2.3", readme), [""; 0]);
    }

    #[test]
    fn defects_of_the_npm_package_are_named() {
        let readme = "[a](docs/a.md)";
        assert_eq!(
            problems(&["models/a.bin"], "1.2.4", readme),
            [
                "npm: the version is 1.2.3, the crate's is 1.2.4",
                "npm: models/a.bin does not belong in it",
                "npm: README.md: docs/a.md does not exist",
            ]
        );
        let mut found = Problems::default();
        let packed = Packed::parse(&npm(&["package.json"])).unwrap();
        packed.check("1.2.3", PACKAGE, "", &mut found).unwrap();
        let missing = "npm: darkroom-studio.js is missing".to_owned();
        assert!(found.0.contains(&missing), "{found:?}");
        assert!(
            found
                .0
                .iter()
                .any(|problem| problem.contains("names \"./darkroom-studio.d.ts\""))
        );
        assert!(Packed::parse("[]").is_err());
    }

    #[test]
    fn the_crate_is_checked_for_files_that_it_must_and_must_not_contain() {
        let mut found = Problems::default();
        let files = ["Cargo.toml", "crate/lib.rs", "tests/golden/a.bin"];
        let files = files.map(str::to_owned).into();
        found.check_files("crate", &files, [&CRATE_FILES, &NOT_IN_CRATE]);
        let found = found.0.join("\n");
        assert!(found.contains("crate: LICENSE-MIT is missing"), "{found}");
        assert!(
            found.contains("crate: tests/golden/a.bin does not belong"),
            "{found}"
        );
        assert!(!found.contains("lib.rs"), "{found}");
    }

    #[test]
    fn release_without_dry_run_is_refused() {
        let run = |words: &[&str]| parse(lexopt::Parser::from_args(words.iter().copied()));
        assert!(run(&["--dry-run"]).is_ok());
        assert!(run(&[]).unwrap_err().to_string().contains("--dry-run"));
    }
}
