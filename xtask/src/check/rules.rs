//! Rules for text and sizes.

use super::Finding;
use super::functions::functions;
use crate::lex::{Kind, Language, tokens};

/// Words that the project's texts avoid, with a replacement for each.
pub const WORD_LIST: &str = "xtask/words.txt";
/// Longest line, in characters.
const COLUMNS: usize = 100;
/// Most lines of a file, and of a function, in `SIZED`.
const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 80;
/// Folders with the rules for sizes.
const SIZED: [&str; 3] = ["crate/", "www/", "xtask/"];
/// Files that no person writes or reads line by line.
const DATA_EXTENSIONS: [&str; 7] = ["json", "lock", "svg", "csv", "map", "npy", "patch"];
const DATA_FOLDERS: [&str; 3] = ["pkg", "tokenizer", "vocab"];
/// Beginnings of a doc comment that are neither a noun nor a verb.
const BEGINNINGS: [&str; 5] = ["What", "Where", "How", "Whether", "As"];

/// Applies every rule to a file.
pub fn check(path: &str, text: &str, words: &Words, findings: &mut Vec<Finding>) {
    if is_data(path) {
        return;
    }
    let mut report = |line, rule, message| {
        findings.push(Finding {
            path: path.to_owned(),
            line,
            rule,
            message,
        });
    };
    let table = |line: &str| is_table_row(line, path.ends_with(".md"));
    // The formatter wraps Python at the same width; what is left are strings that are data.
    let columns_apply = !path.ends_with(".py");
    for (line, text) in (1..).zip(text.lines()) {
        let columns = text.chars().count();
        if columns_apply && columns > COLUMNS && !table(text) && !is_unbreakable(text) {
            report(
                line,
                "columns",
                format!("{columns}; the limit is {COLUMNS}"),
            );
        }
        if path != WORD_LIST {
            for (word, instead) in words.found(text) {
                report(line, "words", format!("{word:?}; write {instead}"));
            }
        }
    }
    let language = language(path);
    if let Some(language) = language {
        for (line, beginning) in doc_beginnings(text, language) {
            let message = format!("{beginning:?}; begin with a noun or a verb");
            report(line, "doc comment", message);
        }
    }
    if SIZED.iter().any(|folder| path.starts_with(folder)) {
        let lines = text.lines().count();
        if lines > FILE_LINES {
            report(
                0,
                "file length",
                format!("{lines} lines; the limit is {FILE_LINES}"),
            );
        }
        for function in language.map_or_else(Vec::new, |language| functions(text, language)) {
            if function.lines > FUNCTION_LINES {
                let (name, lines) = (function.name, function.lines);
                let message = format!("{name} has {lines} lines; the limit is {FUNCTION_LINES}");
                report(function.line, "function length", message);
            }
        }
    }
}

fn is_data(path: &str) -> bool {
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    name.starts_with("LICENSE")
        || extension.is_some_and(|extension| DATA_EXTENSIONS.contains(&extension))
        || folders
            .split('/')
            .any(|folder| DATA_FOLDERS.contains(&folder))
}

fn language(path: &str) -> Option<Language> {
    match path.rsplit_once('.')?.1 {
        "rs" => Some(Language::Rust),
        "js" | "mjs" => Some(Language::JavaScript),
        _ => None,
    }
}

/// Tells if a line is a row of a Markdown table, in a page or in a doc comment.
fn is_table_row(line: &str, markdown: bool) -> bool {
    let line = line.trim_start_matches(['>', ' ', '\t']);
    let comment = line.strip_prefix("//!").or(line.strip_prefix("///"));
    match comment {
        Some(text) => text.trim_start().starts_with('|'),
        None => markdown && line.starts_with('|'),
    }
}

/// Tells if a line is too long only for an address that does not fit on a line of its own, or
/// that is alone behind the mark of a comment, a list or a reference.
fn is_unbreakable(line: &str) -> bool {
    let indent = line.chars().take_while(|c| c.is_whitespace()).count();
    let mut words = line.split_whitespace();
    let is_address = |word: &&str| word.contains("://") || word.starts_with("href=");
    let Some(address) = words.clone().find(is_address) else {
        return false;
    };
    let is_mark = |word: &str| {
        let reference = word.starts_with('[') && word.ends_with("]:");
        reference || word.chars().all(|c| "/*#-+>!;".contains(c))
    };
    let alone = words.all(|word| word == address || is_mark(word));
    alone || indent + address.chars().count() > COLUMNS
}

/// First words of doc comments that break the rule, with their lines.
fn doc_beginnings(source: &str, language: Language) -> Vec<(usize, &'static str)> {
    let mut found = Vec::new();
    // Line comments on successive lines are one text.
    let mut last_line = None;
    for token in tokens(source, language) {
        if token.kind != Kind::Comment {
            continue;
        }
        let Some(text) = doc_text(token.text, language) else {
            continue;
        };
        let continues = token.text.starts_with("//") && last_line == Some(token.line - 1);
        last_line = Some(token.line);
        if continues {
            continue;
        }
        let text = text.trim_start_matches(|c: char| c == '*' || c.is_whitespace());
        let word = text.split(|c: char| !c.is_alphabetic()).next();
        let beginning = BEGINNINGS
            .iter()
            .find(|beginning| Some(**beginning) == word);
        found.extend(beginning.map(|beginning| (token.line, *beginning)));
    }
    found
}

/// The text of a doc comment, `None` for other comments.
fn doc_text(comment: &str, language: Language) -> Option<&str> {
    if let Some(text) = comment.strip_prefix("/**") {
        return Some(text);
    }
    if language == Language::JavaScript {
        return None;
    }
    let marks = ["///", "//!", "/*!"].into_iter();
    let mut texts = marks.filter_map(|mark| comment.strip_prefix(mark));
    texts.next().filter(|text| !text.starts_with('/'))
}

/// The list of words to avoid.
pub struct Words(Vec<(String, String)>);

impl Words {
    /// Reads lines of the form "word: replacement"; lines that begin with `#` are comments.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let lines = lines.filter(|line| !line.trim().is_empty());
        let pair = |line: &str| {
            let (word, instead) = line
                .split_once(": ")
                .ok_or_else(|| format!("{WORD_LIST}: {line:?} has no \": \""))?;
            Ok((word.to_lowercase(), instead.to_owned()))
        };
        lines.map(pair).collect::<Result<_, _>>().map(Self)
    }

    /// The words of the list that a line contains, as whole words.
    fn found(&self, line: &str) -> Vec<(&str, &str)> {
        let line = line.to_lowercase();
        let inside = |word: &str| {
            line.match_indices(word).any(|(at, _)| {
                let before = line[..at].chars().next_back();
                let after = line[at + word.len()..].chars().next();
                [before, after]
                    .iter()
                    .all(|c| !c.is_some_and(char::is_alphanumeric))
            })
        };
        let pairs = self.0.iter().filter(|(word, _)| inside(word));
        pairs
            .map(|(word, instead)| (word.as_str(), instead.as_str()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "# a comment\nhither: here\nis bidden: must\n";

    fn found(path: &str, text: &str) -> Vec<String> {
        let mut findings = Vec::new();
        check(path, text, &Words::parse(LIST).unwrap(), &mut findings);
        findings.iter().map(Finding::to_string).collect()
    }

    #[test]
    fn long_lines_are_named_with_their_length() {
        let long = "é".repeat(101);
        assert_eq!(found("a.rs", &"é".repeat(100)), [""; 0]);
        assert_eq!(
            found("docs/a.md", &format!("a\n{long}")),
            ["docs/a.md:2: columns: 101; the limit is 100"]
        );
    }

    #[test]
    fn table_rows_and_addresses_may_be_long() {
        let row = format!("| {} |", "a ".repeat(60));
        assert_eq!(found("a.md", &row), [""; 0]);
        assert_eq!(found("a.rs", &row).len(), 1);
        let long = format!("https://example.org/{}", "a".repeat(90));
        let short = "https://example.org/a";
        for line in [
            format!("see [the page]({long})."),
            format!("//! <{long}>"),
            format!("[page]: {long}"),
            format!("<a href=\"#{}\"", "a".repeat(100)),
            format!("//! {row}"),
        ] {
            assert_eq!(found("a.md", &line), [""; 0], "{line}");
        }
        let text = format!("{} {short}", "word ".repeat(20));
        assert_eq!(found("a.md", &text).len(), 1, "a line that could be broken");
    }

    #[test]
    fn data_and_licences_are_exempt() {
        let long = "hither ".repeat(40);
        for path in [
            "a.json",
            "Cargo.lock",
            "LICENSE-MIT",
            "www/vocab/clip/merges.txt",
            "tests/golden/a/tokenizer/merges.txt",
        ] {
            assert_eq!(found(path, &long), [""; 0], "{path}");
        }
        assert!(!found(".ci/run", &long).is_empty());
        assert!(!found("a/vocabulary.js", &long).is_empty());
    }

    #[test]
    fn words_of_the_list_are_found_whole_and_in_any_case() {
        assert_eq!(
            found("a.md", "Hither, he is bidden.\nthither hitherto a_hithers"),
            [
                "a.md:1: words: \"hither\"; write here",
                "a.md:1: words: \"is bidden\"; write must",
            ]
        );
        assert_eq!(found("a.js", "a(\"hither\")").len(), 1);
        assert_eq!(found(WORD_LIST, LIST), [""; 0]);
        assert!(Words::parse("hither\n").is_err());
    }

    #[test]
    fn doc_comments_begin_with_a_noun_or_a_verb() {
        let rust = "//! What it is\n\n/// The thing\n/// What it does\nfn a() {}\n/// How's that\n";
        assert_eq!(
            found("a.rs", rust),
            [
                "a.rs:1: doc comment: \"What\"; begin with a noun or a verb",
                "a.rs:6: doc comment: \"How\"; begin with a noun or a verb",
            ]
        );
        assert_eq!(
            found(
                "a.rs",
                "// What\n//// What\nlet a = \"/// What\";\n/* What */"
            ),
            [""; 0]
        );
        let js =
            "/** As it is */\n/**\n * Whether\n */\n/** @type {What} */\n/// What\n/** Assets */";
        assert_eq!(found("a.mjs", js).len(), 2);
    }

    #[test]
    fn long_files_and_functions_are_named_in_the_folders_with_that_rule() {
        let body = |lines: usize| "    a();\n".repeat(lines - 2);
        let rust = |lines| format!("fn long() {{\n{}}}\n", body(lines));
        assert_eq!(found("crate/a.rs", &rust(80)), [""; 0]);
        assert_eq!(
            found("crate/a.rs", &rust(81)),
            ["crate/a.rs:1: function length: long has 81 lines; the limit is 80"]
        );
        let js = format!(
            "x = {{\n  short() {{}},\n  long() {{\n{}}}\n}};\n",
            body(81)
        );
        assert_eq!(
            found("www/a.js", &js),
            ["www/a.js:3: function length: long has 81 lines; the limit is 80"]
        );
        assert_eq!(found("tests/a.rs", &rust(600)), [""; 0]);
        assert_eq!(
            found("www/a.css", &"a {}\n".repeat(501)),
            ["www/a.css: file length: 501 lines; the limit is 500"]
        );
    }
}
