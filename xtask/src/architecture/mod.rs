//! Test of the imports against the tables in `docs/architecture.md`.
//!
//! The tables list, for each top-level module of `crate/` and each folder of `www/`, what it may
//! import. A module's name is the first component of its path below `crate/`: `web` for
//! `crate/web.rs`, `weights` for `crate/weights/load.rs`. Scripts at the root of `www/` form the
//! folder `page`. An import that no table allows is a finding, and so are a permission that no
//! code uses, a module without a row, a row without a module, and a cycle.

mod javascript;
mod rust;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::check::Finding;
use crate::{Result, paths};
use table::Table;

/// The page with the tables.
pub const PAGE: &str = "docs/architecture.md";
const RUST: &str = "## Rust modules";
const JAVASCRIPT: &str = "## JavaScript folders";

/// An import of one module by another, and the place of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Arrow {
    from: String,
    to: String,
    path: String,
    line: usize,
}

/// Modules of the code, and the imports between them.
#[derive(Default)]
struct Imports {
    modules: BTreeSet<String>,
    arrows: Vec<Arrow>,
    /// Places that hide imports from this test.
    opaque: Vec<Finding>,
}

/// Differences between the tables and the code below `root`.
///
/// # Errors
/// When the page or one of its tables is missing, or a file cannot be read.
pub fn findings(root: &Path) -> Result<Vec<Finding>> {
    let page = paths::read(&root.join(PAGE))?;
    let mut findings = compare(&Table::parse(&page, RUST)?, rust::imports(root)?);
    let scripts = javascript::imports(root)?;
    findings.extend(compare(&Table::parse(&page, JAVASCRIPT)?, scripts));
    findings.sort();
    Ok(findings)
}

fn finding(path: &str, line: usize, message: String) -> Finding {
    Finding {
        path: path.to_owned(),
        line,
        rule: "architecture",
        message,
    }
}

fn compare(table: &Table, imports: Imports) -> Vec<Finding> {
    let mut findings = imports.opaque;
    let mut used: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for arrow in &imports.arrows {
        used.entry(&arrow.from).or_default().insert(&arrow.to);
        if !table.allows(&arrow.from, &arrow.to) {
            let (from, to) = (&arrow.from, &arrow.to);
            let message = format!("{from} imports {to}, which {PAGE} does not allow");
            findings.push(finding(&arrow.path, arrow.line, message));
        }
    }
    for module in &imports.modules {
        if !table.rows.contains_key(module) {
            let message = format!("{module} has no row in the table {:?}", table.heading);
            findings.push(finding(PAGE, table.line, message));
        }
    }
    for (module, row) in &table.rows {
        let mut report = |message| findings.push(finding(PAGE, row.line, message));
        if !imports.modules.contains(module) {
            report(format!("{module} is not in the code"));
            continue;
        }
        let used = used.remove(module.as_str()).unwrap_or_default();
        for allowed in &row.allowed {
            if !used.contains(allowed.as_str()) {
                let list: Vec<&str> = used.iter().copied().collect();
                let list = list.join(", ");
                report(format!(
                    "{module} may import {allowed}, but does not; it imports: {list}"
                ));
            }
        }
    }
    findings.extend(
        table
            .cycles()
            .into_iter()
            .map(|(line, cycle)| finding(PAGE, line, format!("import cycle: {cycle}"))),
    );
    findings
}

/// Paths of all files below `root`/`folder` with the extension `extension`, relative to `root`.
fn sources(root: &Path, folder: &str, extension: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let failed = |error| format!("{}: {error}", root.join(&folder).display());
        for entry in root.join(&folder).read_dir().map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                folders.push(path);
            } else if Path::new(&path).extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests;
