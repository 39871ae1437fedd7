//! Licence texts: those in the crates' folders, and standard ones.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::spdx::Expression;
use super::{Crate, Sources};
use crate::{Result, paths};

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

/// The licence texts in a folder, sorted by the files' names.
pub fn of_folder(folder: &Path) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    for path in files_in(folder)? {
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

fn files_in(folder: &Path) -> Result<Vec<PathBuf>> {
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
pub fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = files_in(folder)?;
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut folders: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    for folder in folders {
        found.extend(files_below(&folder)?);
    }
    Ok(found)
}

/// Licence texts without repetitions, each with a number.
#[derive(Default)]
pub struct Texts {
    texts: Vec<String>,
    /// Numbers by the text's words, so that line breaks make no difference.
    numbers: BTreeMap<String, usize>,
}

impl Texts {
    pub fn number(&mut self, text: &str) -> usize {
        let words: Vec<&str> = text.split_whitespace().collect();
        let next = self.texts.len() + 1;
        let number = *self.numbers.entry(words.join(" ")).or_insert(next);
        if number == next {
            self.texts.push(text.trim_end().to_owned());
        }
        number
    }

    /// The texts in the order of their numbers.
    pub fn all(&self) -> &[String] {
        &self.texts
    }
}

/// Standard texts, for crates that come without one.
pub struct Standard {
    mit: String,
    /// Texts by the licence's name.
    others: BTreeMap<String, String>,
}

impl Standard {
    /// Takes MIT and Apache-2.0 from the project's own files, and any other licence from a crate
    /// that has this licence only.
    pub fn new(root: &Path, crates: &BTreeMap<Crate, Sources>) -> Result<Self> {
        let mut others = BTreeMap::new();
        for (krate, sources) in crates {
            if let (Ok(Expression::License(name)), [text]) =
                (Expression::parse(&krate.license), sources.texts.as_slice())
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

    pub fn texts(&self, krate: &Crate, authors: &str) -> Result<Vec<String>> {
        let holder = match authors {
            "" => format!("the authors of {}", krate.name),
            authors => authors.to_owned(),
        };
        self.of(&krate.license, &holder)
            .map_err(|error| format!("{}: {error}", krate.label()))
    }

    /// Standard texts that fulfil a licence expression.
    pub fn of(&self, license: &str, holder: &str) -> Result<Vec<String>> {
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

    #[test]
    fn a_crate_without_a_text_gets_a_standard_one_or_is_an_error() {
        let krate = |name: &str, license: &str| Crate {
            name: name.into(),
            version: "1.0.0".into(),
            license: license.into(),
        };
        let (zlib, both) = (krate("a", "Zlib"), krate("b", "BSL-1.0 AND Zlib"));
        let crates = [(zlib, "the text of Zlib"), (both, "two texts")].map(|(krate, text)| {
            let texts = vec![text.to_owned()];
            let authors = String::new();
            (krate, Sources { texts, authors })
        });
        let standard = Standard::new(&paths::root(), &crates.into()).unwrap();
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
}
