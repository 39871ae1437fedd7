//! Imports between the top-level modules of `crate/`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{Arrow, Imports, finding, sources};
use crate::lex::{Kind, Language, Token, closing, code};
use crate::{Result, paths};

/// The crate's root. It declares the modules and re-exports names, so it may import any of them.
const LIBRARY: &str = "crate/lib.rs";
/// Name of the library, as the programs in `crate/bin/` write it.
const NAME: &str = "darkroom";

/// Reads all imports below `root`/crate.
///
/// Test modules are exempt: those marked `#[cfg(test)]`, and files named `tests.rs` or below a
/// folder `tests`.
pub fn imports(root: &Path) -> Result<Imports> {
    let files = sources(root, "crate", "rs")?;
    let modules: BTreeSet<String> = files.iter().filter_map(|path| module(path)).collect();
    let library = paths::read(&root.join(LIBRARY))?;
    let mut imports = Imports::default();
    let exports = exports(&library, &modules, &mut imports);
    for path in &files {
        let Some(from) = module(path).filter(|_| !is_test(path)) else {
            continue;
        };
        let source = paths::read(&root.join(path))?;
        for Use { name, line } in uses(&source, path) {
            if name == "*" {
                let message = "a glob import of the crate's root hides the imported modules".into();
                imports.opaque.push(finding(path, line, message));
                continue;
            }
            let to = match modules.get(&name) {
                Some(module) => module,
                None => match exports.get(&name) {
                    Some(module) => module,
                    // An item of the root itself, or a macro.
                    None => continue,
                },
            };
            if *to != from {
                imports.arrows.push(Arrow {
                    from: from.clone(),
                    to: to.clone(),
                    path: path.clone(),
                    line,
                });
            }
        }
    }
    imports.arrows.sort();
    imports.modules = modules;
    Ok(imports)
}

/// The top-level module of a file; `None` for the crate's root.
fn module(path: &str) -> Option<String> {
    let below = path.strip_prefix("crate/")?;
    let first = below.split('/').next()?;
    let name = first.strip_suffix(".rs").unwrap_or(first);
    (path != LIBRARY).then(|| name.to_owned())
}

fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.split('/').any(|folder| folder == "tests")
}

/// Names that the crate's root re-exports, with the modules they come from.
fn exports(
    library: &str,
    modules: &BTreeSet<String>,
    imports: &mut Imports,
) -> BTreeMap<String, String> {
    let tokens = without_tests(code(library, Language::Rust));
    let mut exports = BTreeMap::new();
    for at in 0..tokens.len() {
        if !is_use(&tokens, at) {
            continue;
        }
        for leaf in leaves(&tokens, at + 1) {
            let mut path = leaf
                .path
                .iter()
                .filter(|word| !["crate", "self"].contains(*word));
            let Some(module) = path.next().filter(|first| modules.contains(**first)) else {
                continue;
            };
            if leaf.name == "*" {
                let message = format!("a glob re-export of {module} hides the names in it");
                imports.opaque.push(finding(LIBRARY, leaf.line, message));
            }
            exports.insert(leaf.name.to_owned(), (*module).to_owned());
        }
    }
    exports
}

/// The first component of a path that begins at the crate's root.
struct Use {
    name: String,
    line: usize,
}

fn uses(source: &str, path: &str) -> Vec<Use> {
    let tokens = without_tests(code(source, Language::Rust));
    let mut uses = Vec::new();
    // Opening braces of inline modules, by the position of the closing one.
    let mut inline: Vec<usize> = Vec::new();
    let mut skip_to = 0;
    for at in 0..tokens.len() {
        inline.retain(|end| *end > at);
        if at >= 2 && tokens[at].is("{") && tokens[at - 2].is("mod") {
            inline.push(closing(&tokens, at));
        }
        if at < skip_to {
            continue;
        }
        let root = Root {
            depth: depth(path) + inline.len(),
            program: path.starts_with("crate/bin/"),
        };
        if is_use(&tokens, at) {
            for leaf in leaves(&tokens, at + 1) {
                uses.extend(root.name(&leaf.path, leaf.line));
            }
            skip_to = end_of_use(&tokens, at);
        } else if tokens[at].kind == Kind::Word && starts_path(&tokens, at) {
            let path = path_at(&tokens, at);
            uses.extend(root.name(&path, tokens[at].line));
        }
    }
    uses
}

/// The crate's root as seen from a place in the code.
struct Root {
    /// Number of `super` that lead from here to the root.
    depth: usize,
    /// The place is in a program beside the library, which it calls by its name.
    program: bool,
}

impl Root {
    /// The component after the crate's root, if the path leads through it.
    fn name(&self, path: &[&str], line: usize) -> Option<Use> {
        let path = match path {
            ["self", rest @ ..] => rest,
            path => path,
        };
        let rest = match path {
            [NAME, rest @ ..] if self.program => rest,
            // In a program, these lead to the program's own modules.
            _ if self.program => return None,
            ["crate" | "$crate", rest @ ..] => rest,
            path => {
                let supers = path.iter().take_while(|word| **word == "super").count();
                if supers < self.depth {
                    return None;
                }
                &path[supers..]
            }
        };
        let name = (*rest.first()?).to_owned();
        Some(Use { name, line })
    }
}

/// Number of modules around the code of a file: 1 in `crate/model.rs` and `crate/text/mod.rs`.
fn depth(path: &str) -> usize {
    let folders = path.matches('/').count();
    folders - usize::from(path.ends_with("/mod.rs"))
}

/// Removes items that are compiled for tests only.
fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    let mark = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        let here = tokens.iter().skip(at).map(|token| token.text);
        if here.take(mark.len()).eq(mark) {
            at = end_of_item(&tokens, at + mark.len());
        } else {
            kept.push(tokens[at]);
            at += 1;
        }
    }
    kept
}

/// The position after the item at `at`, which ends with a semicolon or with its first braces.
fn end_of_item(tokens: &[Token], mut at: usize) -> usize {
    // The braces of a use declaration do not end it.
    let mut words = tokens[at..].iter().filter(|token| token.kind == Kind::Word);
    let is_use = words
        .find(|token| !["pub", "crate", "super", "in"].contains(&token.text))
        .is_some_and(|token| token.is("use"));
    while at < tokens.len() {
        let token = &tokens[at];
        if token.is(";") {
            return at + 1;
        }
        if ["(", "[", "{"].iter().any(|open| token.is(open)) {
            at = closing(tokens, at);
            if token.is("{") && !is_use {
                return at + 1;
            }
        }
        at += 1;
    }
    at
}

/// Tells a `use` declaration from the `use<…>` of a type.
fn is_use(tokens: &[Token], at: usize) -> bool {
    tokens[at].is("use") && tokens.get(at + 1).is_some_and(|next| !next.is("<"))
}

fn end_of_use(tokens: &[Token], at: usize) -> usize {
    let rest = tokens.iter().skip(at);
    at + rest.take_while(|token| !token.is(";")).count()
}

/// A path's first word: not one that follows `::`, `.` or another word of a path.
fn starts_path(tokens: &[Token], at: usize) -> bool {
    let follows = at
        .checked_sub(1)
        .is_some_and(|before| tokens[before].is("::"));
    !follows && tokens.get(at + 1).is_some_and(|next| next.is("::"))
}

/// The words of a path in an expression or a type.
fn path_at<'a>(tokens: &[Token<'a>], mut at: usize) -> Vec<&'a str> {
    let mut path = vec![tokens[at].text];
    while let [colons, word, ..] = &tokens[at + 1..]
        && colons.is("::")
        && word.kind == Kind::Word
    {
        path.push(word.text);
        at += 2;
    }
    path
}

/// One imported name of a `use` declaration.
struct Leaf<'a> {
    /// All components, `*` and `self` included.
    path: Vec<&'a str>,
    /// The name by which it is known here.
    name: &'a str,
    line: usize,
}

/// The names that the use tree at `at` imports.
fn leaves<'a>(tokens: &[Token<'a>], at: usize) -> Vec<Leaf<'a>> {
    let mut found = Vec::new();
    tree(tokens, at, &[], &mut found);
    found
}

/// Reads one use tree; returns the position after it.
fn tree<'a>(
    tokens: &[Token<'a>],
    mut at: usize,
    prefix: &[&'a str],
    found: &mut Vec<Leaf<'a>>,
) -> usize {
    let mut path = prefix.to_vec();
    while let Some(token) = tokens.get(at) {
        if token.is("{") {
            at += 1;
            while tokens.get(at).is_some_and(|token| !token.is("}")) {
                at = tree(tokens, at, &path, found);
                at += usize::from(tokens.get(at).is_some_and(|token| token.is(",")));
            }
            return at + 1;
        }
        if token.kind == Kind::Word || token.is("*") {
            path.push(token.text);
        }
        at += 1;
        let next = tokens.get(at);
        if next.is_some_and(|next| next.is("as")) {
            let name = tokens.get(at + 1).map_or("", |name| name.text);
            let line = token.line;
            found.push(Leaf { path, name, line });
            return at + 2;
        }
        if !token.is("::") && !next.is_some_and(|next| next.is("::")) {
            // The name of a::b::{self} is b.
            let named = path.iter().rev().find(|word| **word != "self");
            let name = named.copied().unwrap_or_default();
            let line = token.line;
            found.push(Leaf { path, name, line });
            return at;
        }
    }
    at
}
