//! Licences of the crates that the project builds with.
//!
//! `deny.toml` lists the accepted ones. `dist/` contains the texts of those in the WebAssembly
//! module: THIRD-PARTY-LICENSES.txt.

mod spdx;
mod texts;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::command::{cargo, output};
use crate::{Result, paths};
use texts::{Standard, Texts};

/// File in `dist/` with the texts.
pub const FILE: &str = "THIRD-PARTY-LICENSES.txt";
/// The compilation target of the page's engine.
const WASM: &str = "wasm32-unknown-unknown";
/// A crate of a dependency tree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Crate {
    name: String,
    version: String,
    /// An SPDX expression, or nothing.
    license: String,
}

impl Crate {
    fn label(&self) -> String {
        format!("{} {}", self.name, self.version)
    }
}

/// The crates that `darkroom` is built of for a target, without build scripts and macros.
fn tree(target: Option<&str>) -> Result<BTreeSet<Crate>> {
    let mut command = cargo();
    command
        .args([
            "tree",
            "--locked",
            "--package",
            "darkroom",
            "--prefix",
            "none",
        ])
        .args(["--edges", "normal,no-proc-macro", "--format", "{p}|{l}"]);
    if let Some(target) = target {
        command.args(["--target", target]);
    }
    let list = output(&mut command)?;
    let crates = list.lines().filter(|line| !line.trim().is_empty());
    let crates: Result<BTreeSet<Crate>> = crates.map(listed).collect();
    Ok(crates?
        .into_iter()
        .filter(|krate| krate.name != "darkroom")
        .collect())
}

/// Reads "name v1.2.3 (proc-macro)|MIT (*)".
fn listed(line: &str) -> Result<Crate> {
    let (package, license) = line.split_once('|').unwrap_or((line, ""));
    let mut words = package.split_whitespace();
    let (Some(name), Some(version)) = (words.next(), words.next()) else {
        return Err(format!("cargo tree: {line:?} names no package"));
    };
    Ok(Crate {
        name: name.to_owned(),
        version: version.trim_start_matches('v').to_owned(),
        license: license.trim_end_matches("(*)").trim().to_owned(),
    })
}

/// Texts and authors of a crate.
struct Sources {
    texts: Vec<String>,
    authors: String,
}

/// The folders of packages with their authors, by name and version.
fn packages() -> Result<BTreeMap<(String, String), (PathBuf, String)>> {
    let mut command = cargo();
    command
        .args(["metadata", "--locked", "--format-version", "1"])
        .args(["--filter-platform", WASM]);
    let metadata: serde_json::Value = serde_json::from_str(&output(&mut command)?)
        .map_err(|error| format!("cargo metadata: {error}"))?;
    let packages = metadata["packages"].as_array();
    let folder = |package: &serde_json::Value| {
        let text = |name: &str| Some(package[name].as_str()?.to_owned());
        let authors = package["authors"].as_array()?.iter();
        let authors: Vec<&str> = authors.filter_map(|author| author.as_str()).collect();
        let folder = Path::new(package["manifest_path"].as_str()?).parent()?;
        Some((
            (text("name")?, text("version")?),
            (folder.to_owned(), authors.join(", ")),
        ))
    };
    let packages = packages.ok_or("cargo metadata lists no packages")?;
    Ok(packages.iter().filter_map(folder).collect())
}

/// A work other than a crate, with the file that has the text of its licence.
pub struct Work {
    pub label: String,
    pub license: &'static str,
    pub source: &'static str,
    pub text: PathBuf,
}

/// The contents of [`FILE`]. `others` are works in the page that are no crates.
///
/// # Errors
/// When a crate has no licence, or neither its own text nor a standard one.
pub fn collect(root: &Path, others: &[Work]) -> Result<String> {
    let crates = crates()?;
    let standard = Standard::new(root, &crates)?;
    let mut page = Page::default();
    for (krate, sources) in &crates {
        let source = format!("https://crates.io/crates/{}/{}", krate.name, krate.version);
        let texts = match sources.texts.as_slice() {
            [] => standard.texts(krate, &sources.authors)?,
            texts => texts.to_vec(),
        };
        page.add(&krate.label(), &krate.license, &source, &texts);
    }
    let license = "MIT OR Apache-2.0";
    let texts = standard.of(license, "The Rust Project Developers")?;
    let source = "https://www.rust-lang.org";
    page.add("Rust's standard library", license, source, &texts);
    for work in others {
        let text = paths::read(&work.text)?;
        page.add(&work.label, work.license, work.source, &[text]);
    }
    let www = root.join("www");
    for path in texts::files_below(&www)? {
        let name = path.strip_prefix(&www).unwrap_or(&path);
        let folder = name.parent().unwrap_or(name).display().to_string();
        let source = format!("the folder {folder} of this package");
        page.add(&folder, "see the text", &source, &[paths::read(&path)?]);
    }
    Ok(page.finish())
}

/// The crates of the WebAssembly module, with their texts and authors.
fn crates() -> Result<BTreeMap<Crate, Sources>> {
    let mut packages = packages()?;
    let with_sources = |krate: Crate| {
        let key = (krate.name.clone(), krate.version.clone());
        let (folder, authors) = packages
            .remove(&key)
            .ok_or_else(|| format!("{}: cargo metadata does not list it", krate.label()))?;
        let texts = texts::of_folder(&folder)?;
        Ok((krate, Sources { texts, authors }))
    };
    tree(Some(WASM))?.into_iter().map(with_sources).collect()
}

/// The page under construction.
#[derive(Default)]
struct Page {
    list: String,
    texts: Texts,
}

impl Page {
    fn add(&mut self, label: &str, license: &str, source: &str, texts: &[String]) {
        let numbers: BTreeSet<usize> = texts.iter().map(|text| self.texts.number(text)).collect();
        let numbers: Vec<String> = numbers.iter().map(usize::to_string).collect();
        let numbers = numbers.join(", ");
        self.list += &format!(
            "{label}\n    Licence: {license}\n    Source: {source}\n    Texts: {numbers}\n"
        );
    }

    fn finish(self) -> String {
        let mut page = format!(
            "Third-party licences\n\nThe WebAssembly module, the scripts and the vocabulary in \
             this folder contain the\nfollowing works. The numbers lead to the texts of their \
             licences below.\n\n{}",
            self.list
        );
        for (number, text) in (1..).zip(self.texts.all()) {
            page += &format!("\n{}\nText {number}\n\n{text}\n", "-".repeat(80));
        }
        page
    }
}

#[cfg(test)]
mod tests {
    use super::spdx::Expression;
    use super::*;

    /// The accepted licences of `deny.toml`.
    fn accepted() -> BTreeSet<String> {
        let deny = paths::read(&paths::root().join("deny.toml")).unwrap();
        let (_, list) = deny.split_once("\nallow = [").expect("a list of licences");
        let (list, _) = list.split_once(']').unwrap();
        let quoted = list.split('"').skip(1).step_by(2);
        quoted.map(str::to_owned).collect()
    }

    #[test]
    fn every_crate_of_the_engine_has_an_accepted_licence() {
        let accepted = accepted();
        assert!(accepted.contains("MIT"), "{accepted:?}");
        let mut refused = BTreeSet::new();
        for target in [None, Some(WASM)] {
            for krate in tree(target).unwrap() {
                let expression = Expression::parse(&krate.license);
                if !expression.is_ok_and(|e| e.is_met(&|name| accepted.contains(name))) {
                    refused.insert(format!("{}: {:?}", krate.label(), krate.license));
                }
            }
        }
        assert!(refused.is_empty(), "{refused:#?}");
    }

    #[test]
    fn the_list_names_every_crate_of_the_module_with_a_text() {
        let other = Work {
            label: "a bundler 1.0".into(),
            license: "MIT",
            source: "https://example.org",
            text: paths::root().join("LICENSE-MIT"),
        };
        let page = collect(&paths::root(), &[other]).unwrap();
        let texts = page.matches("\nText ").count();
        let crates = tree(Some(WASM)).unwrap();
        assert!(crates.len() > 50, "{}", crates.len());
        for krate in &crates {
            let label = format!("\n{}\n    Licence: {}\n", krate.label(), krate.license);
            let (_, entry) = page.split_once(&label).unwrap_or_else(|| panic!("{label}"));
            let numbers = entry
                .lines()
                .nth(1)
                .unwrap()
                .trim_start_matches("    Texts: ");
            for number in numbers.split(", ") {
                let number: usize = number.parse().unwrap();
                assert!((1..=texts).contains(&number), "{label}");
            }
        }
        for part in [
            "a bundler 1.0\n    Licence: MIT\n",
            "vocab/clip\n",
            "Rust's standard library\n",
            "Copyright (c) 2021 OpenAI",
        ] {
            assert!(page.contains(part), "{part}");
        }
    }

    #[test]
    fn packages_are_read_from_cargo_tree() {
        let krate = listed("ahash v0.8.1 (proc-macro)|MIT OR Apache-2.0 (*)").unwrap();
        assert_eq!(krate.label(), "ahash 0.8.1");
        assert_eq!(krate.license, "MIT OR Apache-2.0");
        assert_eq!(listed("a v1.0.0").unwrap().license, "");
        assert!(listed("|MIT").is_err());
    }
}
