//! `cargo xtask check`: rules for text, sizes, links and imports. It reads files and builds
//! nothing.

mod functions;
pub mod links;
mod rules;

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::command::output;
use crate::{Result, architecture, no_arguments, paths};

/// A place that breaks a rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Path from the root of the checkout, with slashes.
    pub path: String,
    /// Counted from 1; 0 means the whole file.
    pub line: usize,
    pub rule: &'static str,
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self {
            path,
            line,
            rule,
            message,
        } = self;
        match line {
            0 => write!(f, "{path}: {rule}: {message}"),
            _ => write!(f, "{path}:{line}: {rule}: {message}"),
        }
    }
}

pub fn command(parser: lexopt::Parser) -> Result<()> {
    no_arguments(parser)?;
    print_findings()?;
    println!("Every tracked text file follows the rules.");
    Ok(())
}

/// Prints every place that breaks a rule; an error tells their number.
pub fn print_findings() -> Result<()> {
    let root = paths::root();
    let mut findings = findings(&root)?;
    match architecture::findings(&root) {
        Ok(found) => findings.extend(found),
        Err(error) => findings.push(Finding {
            path: architecture::PAGE.into(),
            line: 0,
            rule: "architecture",
            message: error,
        }),
    }
    findings.sort();
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => Ok(()),
        1 => Err("1 place breaks a rule; it is listed above".into()),
        count => Err(format!(
            "{count} places break a rule; they are listed above"
        )),
    }
}

/// Places that break a rule for text, sizes or links, in all files that git knows or would add.
fn findings(root: &Path) -> Result<Vec<Finding>> {
    let words = rules::Words::parse(&paths::read(&root.join(rules::WORD_LIST))?)?;
    let mut findings = Vec::new();
    for path in files(root)? {
        // A file that was deleted and not committed yet is still listed.
        let Ok(bytes) = fs::read(root.join(&path)) else {
            continue;
        };
        if let Ok(text) = std::str::from_utf8(&bytes) {
            rules::check(&path, text, &words, &mut findings);
            if path.ends_with(".md") {
                findings.extend(broken_links(root, &path, text));
            }
        }
    }
    Ok(findings)
}

fn broken_links(root: &Path, path: &str, text: &str) -> Vec<Finding> {
    let finding = |link| Finding {
        path: path.to_owned(),
        line: 0,
        rule: "link",
        message: format!("{link} does not exist"),
    };
    let broken = links::broken(root, path, text).into_iter();
    broken.map(finding).collect()
}

fn files(root: &Path) -> Result<Vec<String>> {
    let mut git = Command::new("git");
    git.current_dir(root)
        .args(["ls-files", "-z", "--cached", "--others"])
        .arg("--exclude-standard");
    let list = output(&mut git)?;
    let names = list.split('\0').filter(|name| !name.is_empty());
    Ok(names.map(str::to_owned).collect())
}
