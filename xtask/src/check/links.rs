//! Links of Markdown pages.

use std::path::Path;

/// Relative links of the page `path` that lead to no file below `root`.
pub fn broken(root: &Path, path: &str, markdown: &str) -> Vec<String> {
    let page = root.join(path);
    let folder = page.parent().unwrap_or(root);
    let links = links(markdown).into_iter();
    links
        .filter(|link| !is_absolute(link) && !folder.join(link).exists())
        .collect()
}

/// Targets of all links and pictures outside of code, without anchors.
pub fn links(markdown: &str) -> Vec<String> {
    let text = without_code(markdown);
    let mut found = Vec::new();
    for (opening, closing) in [("](", ')'), ("src=\"", '"'), ("href=\"", '"')] {
        for (at, _) in text.match_indices(opening) {
            let target = &text[at + opening.len()..];
            found.extend(target.split(closing).next().map(str::to_owned));
        }
    }
    for line in text.lines() {
        if let Some((label, target)) = line.split_once("]: ")
            && label.starts_with('[')
        {
            found.push(target.to_owned());
        }
    }
    let target = |link: &String| {
        // A title may follow the target, and an anchor is part of the page.
        let target = link.split([' ', '#']).next().unwrap_or_default();
        target.trim_matches(['<', '>']).to_owned()
    };
    let targets = found.iter().map(target);
    targets.filter(|target| !target.is_empty()).collect()
}

pub fn is_absolute(link: &str) -> bool {
    link.contains("://") || link.starts_with("mailto:")
}

/// Removes fenced blocks and the code between backticks.
fn without_code(markdown: &str) -> String {
    let mut text = String::new();
    let mut fenced = false;
    for line in markdown.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            text += line;
            text.push('\n');
        }
    }
    let pieces = text.split('`').step_by(2);
    pieces.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_in_every_form_and_not_in_code() {
        let markdown = "[a](one.md#part) and ![b](two.png \"title\") [`c`](<three.md>)\n\
            <img src=\"four.png\"> [d](#here) `[e](five.md)`\n[f]: six.md\n\
            ```\n[g](seven.md)\n```\n[h](https://example.org/a#b)\n";
        let mut found = links(markdown);
        found.sort();
        let all = [
            "four.png",
            "https://example.org/a",
            "one.md",
            "six.md",
            "three.md",
            "two.png",
        ];
        assert_eq!(found, all);
        let absolute: Vec<&String> = found.iter().filter(|link| is_absolute(link)).collect();
        assert_eq!(absolute, ["https://example.org/a"]);
    }

    #[test]
    fn a_relative_link_must_lead_to_a_file() {
        let root = crate::paths::root();
        let markdown = "[a](../Cargo.toml) [b](https://example.org/none) [c](none.md) [d](#part)";
        assert_eq!(broken(&root, "docs/page.md", markdown), ["none.md"]);
    }
}
