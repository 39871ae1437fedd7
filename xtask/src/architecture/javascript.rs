//! Imports between the folders of `www/`.

use std::path::Path;

use super::{Arrow, Imports, finding, sources};
use crate::lex::{Kind, Language, Token, closing, code};
use crate::{Result, paths};

/// The name in the table for the scripts at the root of `www/`.
const PAGE: &str = "page";
/// The folder of the engine's generated scripts. Every folder may import them.
const GENERATED: &str = "pkg";

/// Reads all imports below `root`/www. Types imported in comments are exempt.
pub fn imports(root: &Path) -> Result<Imports> {
    let mut imports = Imports::default();
    for path in sources(root, "www", "js")? {
        let from = folder(&path);
        if from == GENERATED {
            continue;
        }
        imports.modules.insert(from.to_owned());
        let source = paths::read(&root.join(&path))?;
        for (target, line) in targets(&source) {
            let Some(target) = target else {
                let message = "a computed import hides the imported folder".into();
                imports.opaque.push(finding(&path, line, message));
                continue;
            };
            let Some(target) = resolve(&path, target) else {
                continue;
            };
            let to = folder(&target);
            if to != from && to != GENERATED {
                imports.arrows.push(Arrow {
                    from: from.to_owned(),
                    to: to.to_owned(),
                    path: path.clone(),
                    line,
                });
            }
        }
    }
    imports.arrows.sort();
    Ok(imports)
}

/// The folder of a script's path `www/…`.
fn folder(path: &str) -> &str {
    let below = path.strip_prefix("www/").unwrap_or(path);
    below.split_once('/').map_or(PAGE, |(folder, _)| folder)
}

/// The path of a relative address in the script `from`; `None` for other addresses.
fn resolve(from: &str, address: &str) -> Option<String> {
    if !address.starts_with("./") && !address.starts_with("../") {
        return None;
    }
    let mut path: Vec<&str> = from.split('/').collect();
    path.pop();
    for component in address.split('/') {
        match component {
            "." => {}
            ".." => drop(path.pop()?),
            name => path.push(name),
        }
    }
    Some(path.join("/"))
}

/// Addresses of all imports and re-exports, with their lines. A computed address is `None`.
fn targets(source: &str) -> Vec<(Option<&str>, usize)> {
    let tokens = code(source, Language::JavaScript);
    (0..tokens.len())
        .filter_map(|at| Some((target(&tokens, at)?, tokens[at].line)))
        .collect()
}

fn target<'a>(tokens: &[Token<'a>], at: usize) -> Option<Option<&'a str>> {
    let is_member = at > 0 && tokens[at - 1].is(".");
    let next = tokens.get(at + 1)?;
    if is_member {
        return None;
    }
    if tokens[at].is("import") {
        if next.is("(") {
            let address = &tokens[at + 2..closing(tokens, at + 1)];
            return Some(literal(address));
        }
        if next.is(".") {
            return None;
        }
        if next.kind == Kind::Text {
            return Some(Some(next.text));
        }
        return after_from(tokens, at + 1).map(Some);
    }
    if tokens[at].is("export") && (next.is("{") || next.is("*")) {
        let end = if next.is("{") {
            closing(tokens, at + 1)
        } else {
            at + 1
        };
        // Without `from`, the braces list names of this script.
        let rest = &tokens[end + 1..];
        let listed = next.is("{") && !rest.first()?.is("from");
        return if listed {
            None
        } else {
            after_from(tokens, end + 1).map(Some)
        };
    }
    None
}

/// The only token of a literal address.
fn literal<'a>(address: &[Token<'a>]) -> Option<&'a str> {
    let address: Vec<&Token> = address.iter().filter(|token| !token.is("`")).collect();
    match address[..] {
        [only] if only.kind == Kind::Text => Some(only.text),
        _ => None,
    }
}

/// The text after the next `from` of the statement.
fn after_from<'a>(tokens: &[Token<'a>], at: usize) -> Option<&'a str> {
    let statement = tokens[at..].iter().take_while(|token| !token.is(";"));
    let statement: Vec<&Token> = statement.collect();
    let pairs = statement.windows(2);
    let mut found = pairs.filter(|pair| pair[0].is("from") && pair[1].kind == Kind::Text);
    found.next().map(|pair| pair[1].text)
}
