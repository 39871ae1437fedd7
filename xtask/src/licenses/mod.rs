//! Licences of the crates that the project builds with.
//!
//! `deny.toml` lists the accepted ones. `dist/` contains the texts of those in the WebAssembly
//! module: THIRD-PARTY-LICENSES.txt.

mod spdx;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use crate::command::{cargo, output};
use crate::{Result, paths};
use spdx::Expression;

/// File in `dist/` with the texts.
pub const FILE: &str = "THIRD-PARTY-LICENSES.txt";
/// The compilation target of the page's engine.
const WASM: &str = "wasm32-unknown-unknown";
/// Beginnings of the names of files with a licence, in capital letters.
const TEXT_FILES: [&str; 6] = [
    "LICENSE",
    "LICENCE",
    "COPYING",
    "COPYRIGHT",
    "NOTICE",
    "UNLICENSE",
];
/// Shortest licence text. Some packages have a file with nothing but the path of another one.
const SHORTEST: usize = 300;

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

/// The folders of packages with their authors, by name and version.
fn folders() -> Result<BTreeMap<(String, String), (PathBuf, String)>> {
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

/// Licence texts without repetitions, each with a number.
#[derive(Default)]
struct Texts {
    texts: Vec<String>,
    /// Numbers by the text's words, so that line breaks make no difference.
    numbers: BTreeMap<String, usize>,
}

impl Texts {
    fn number(&mut self, text: &str) -> usize {
        let words: Vec<&str> = text.split_whitespace().collect();
        let next = self.texts.len() + 1;
        let number = *self.numbers.entry(words.join(" ")).or_insert(next);
        if number == next {
            self.texts.push(text.trim_end().to_owned());
        }
        number
    }
}

/// The contents of [`FILE`].
///
/// # Errors
/// When a crate has no licence, or neither its own text nor a standard one.
pub fn collect(root: &Path) -> Result<String> {
    let crates = tree(Some(WASM))?;
    let folders = folders()?;
    let mut own: BTreeMap<&Crate, Vec<String>> = BTreeMap::new();
    for krate in &crates {
        let key = (krate.name.clone(), krate.version.clone());
        let (folder, _) = folders
            .get(&key)
            .ok_or_else(|| format!("{}: cargo metadata does not list it", krate.label()))?;
        own.insert(krate, texts_in(folder)?);
    }
    let standard = Standard::new(root, &own)?;
    let mut list = String::new();
    let mut texts = Texts::default();
    for krate in &crates {
        let key = (krate.name.clone(), krate.version.clone());
        let (_, authors) = &folders[&key];
        let found = match own[krate].as_slice() {
            [] => standard.texts(krate, authors)?,
            found => found.to_vec(),
        };
        let source = format!("https://crates.io/crates/{}/{}", krate.name, krate.version);
        entry(
            &mut list,
            &mut texts,
            &krate.label(),
            &krate.license,
            &source,
            &found,
        );
    }
    let library = [
        "the Rust Project Developers",
        "MIT OR Apache-2.0",
        "https://www.rust-lang.org",
    ];
    let found = standard.of("MIT OR Apache-2.0", library[0])?;
    entry(
        &mut list,
        &mut texts,
        "Rust's standard library",
        library[1],
        library[2],
        &found,
    );
    for path in license_files(&root.join("www"))? {
        let name = path.strip_prefix(root.join("www")).unwrap_or(&path);
        let folder = name.parent().unwrap_or(name).display().to_string();
        let text = paths::read(&path)?;
        let place = format!("the folder {folder} of this package");
        entry(
            &mut list,
            &mut texts,
            &folder,
            "see the text",
            &place,
            &[text],
        );
    }
    Ok(page(&list, &texts))
}

fn entry(
    list: &mut String,
    texts: &mut Texts,
    label: &str,
    license: &str,
    source: &str,
    found: &[String],
) {
    let numbers: BTreeSet<usize> = found.iter().map(|text| texts.number(text)).collect();
    let numbers: Vec<String> = numbers.iter().map(usize::to_string).collect();
    // Writing to a string cannot fail.
    let _ = write!(
        list,
        "{label}\n    Licence: {license}\n    Source: {source}\n    Texts: {}\n",
        numbers.join(", ")
    );
}

fn page(list: &str, texts: &Texts) -> String {
    let mut page = format!(
        "Third-party licences\n\nThe WebAssembly module and the vocabulary of this package contain \
         the following works.\nThe numbers lead to the texts of their licences below.\n\n{list}"
    );
    for (number, text) in (1..).zip(&texts.texts) {
        let _ = write!(page, "\n{}\nText {number}\n\n{text}\n", "-".repeat(80));
    }
    page
}

/// The licence texts in a folder, sorted by the files' names.
fn texts_in(folder: &Path) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    for path in license_files_in(folder)? {
        let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // A notice is required however short it is.
        if text.len() >= SHORTEST || name.to_uppercase().starts_with("NOTICE") {
            texts.push(text);
        }
    }
    Ok(texts)
}

fn license_files_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error| format!("{}: {error}", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.to_uppercase();
        if path.is_file() && TEXT_FILES.iter().any(|begin| name.starts_with(begin)) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Files with licences in a folder and the folders in it.
fn license_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = license_files_in(folder)?;
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut folders: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    for folder in folders {
        found.extend(license_files(&folder)?);
    }
    Ok(found)
}

/// Standard texts, for crates that come without one.
struct Standard {
    mit: String,
    /// Texts by the licence's name.
    others: BTreeMap<String, String>,
}

impl Standard {
    /// Takes MIT and Apache-2.0 from the project's own files, and any other licence from a crate
    /// that has this licence only.
    fn new(root: &Path, own: &BTreeMap<&Crate, Vec<String>>) -> Result<Self> {
        let mut others = BTreeMap::new();
        for (krate, texts) in own {
            if let (Ok(Expression::License(name)), [text]) =
                (Expression::parse(&krate.license), texts.as_slice())
            {
                others.insert(name, text.clone());
            }
        }
        let apache = paths::read(&root.join("LICENSE-APACHE"))?;
        others.insert("Apache-2.0".to_owned(), apache);
        let mit = paths::read(&root.join("LICENSE-MIT"))?;
        let terms = mit
            .find("Permission is hereby granted")
            .ok_or("LICENSE-MIT is not the MIT licence")?;
        Ok(Self {
            mit: mit[terms..].to_owned(),
            others,
        })
    }

    fn texts(&self, krate: &Crate, authors: &str) -> Result<Vec<String>> {
        let holder = match authors {
            "" => format!("the authors of {}", krate.name),
            authors => authors.to_owned(),
        };
        self.of(&krate.license, &holder)
            .map_err(|error| format!("{}: {error}", krate.label()))
    }

    /// Standard texts that fulfil a licence expression.
    fn of(&self, license: &str, holder: &str) -> Result<Vec<String>> {
        let expression = Expression::parse(license)?;
        let mut texts = Vec::new();
        if expression.is_met(&|name| name == "MIT") {
            let mit = &self.mit;
            texts.push(format!("MIT License\n\nCopyright (c) {holder}\n\n{mit}"));
        } else if let Some((_, text)) = self
            .others
            .iter()
            .find(|(other, _)| expression.is_met(&|name| name == other.as_str()))
        {
            texts.push(text.clone());
        }
        if texts.is_empty() {
            return Err(format!("no text of the licence {license:?} was found"));
        }
        Ok(texts)
    }
}

#[cfg(test)]
mod tests {
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
        let page = collect(&paths::root()).unwrap();
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
            "vocab/clip\n",
            "Rust's standard library\n",
            "Copyright (c) 2021 OpenAI",
        ] {
            assert!(page.contains(part), "{part}");
        }
    }

    #[test]
    fn a_crate_without_a_text_gets_a_standard_one_or_is_an_error() {
        let krate = |name: &str, license: &str| Crate {
            name: name.into(),
            version: "1.0.0".into(),
            license: license.into(),
        };
        let (zlib, both) = (krate("a", "Zlib"), krate("b", "BSL-1.0 AND Zlib"));
        let own = [
            (&zlib, vec!["the text of Zlib".to_owned()]),
            (&both, vec!["two texts".to_owned()]),
        ];
        let standard = Standard::new(&paths::root(), &own.into()).unwrap();
        let texts = |license: &str| standard.texts(&krate("c", license), "");
        let mit = texts("MIT OR Zlib").unwrap();
        assert!(
            mit[0].contains("the authors of c") && mit[0].contains("AS IS"),
            "{mit:?}"
        );
        assert_eq!(texts("Zlib OR BSL-1.0").unwrap(), ["the text of Zlib"]);
        assert!(texts("Apache-2.0").unwrap()[0].contains("Apache License"));
        for license in ["BSL-1.0", "MIT AND BSL-1.0", ""] {
            let error = texts(license).unwrap_err();
            assert!(error.starts_with("c 1.0.0: "), "{error}");
        }
    }

    #[test]
    fn equal_texts_are_listed_once() {
        let mut texts = Texts::default();
        let numbers = ["a b", "c", "a\n  b\n"].map(|text| texts.number(text));
        assert_eq!(numbers, [1, 2, 1]);
        assert_eq!(texts.texts, ["a b", "c"]);
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
