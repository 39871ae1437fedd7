//! Templates of shaders. WGSL has neither generics nor a preprocessor, and the compilers of
//! software adapters do not unroll loops. So lines of our shaders that begin with `//%` are carried
//! out, and `$NAME`s are replaced:
//!
//! ```text
//! //% for r in 0..ROWS          once for each number below the value of ROWS; `$r` is the number
//! //% for s in SOURCES          once for each word of the value of SOURCES
//! //% if RESIDUAL               unless the value is 0, empty or was not given
//! //% if TILE == 4              if the value is that
//! //% else
//! //% end
//! ```
//!
//! A name is one small letter, or capitals and digits: `sum$r_$c` and `$sp` contain `r`, `c` and
//! `s`. `$SLOT` is the number of the next binding: buffers are numbered in the order in which they
//! are declared.

use std::fmt::Write;

/// Value of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Value {
    /// Size or truth value.
    Number(u32),
    /// WGSL text, or the words that a loop repeats for.
    Text(&'static str),
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Value::Number(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Value::Number(truth.into())
    }
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Value::Text(text)
    }
}

/// Expands `template` with `values` to a shader.
///
/// # Panics
/// Panics if the template is invalid. The tests make every shader.
pub fn expand(template: &str, values: &[(&'static str, Value)]) -> String {
    let mut names: Vec<(String, String)> = values
        .iter()
        .map(|(name, value)| {
            let value = match value {
                Value::Number(number) => number.to_string(),
                Value::Text(text) => text.to_string(),
            };
            (name.to_string(), value)
        })
        .collect();
    let lines: Vec<&str> = template.lines().collect();
    let mut expansion = Expansion {
        text: String::new(),
        slot: 0,
    };
    expansion.block(&lines, &mut names);
    expansion.text
}

struct Expansion {
    text: String,
    slot: usize,
}

impl Expansion {
    fn block(&mut self, lines: &[&str], names: &mut Vec<(String, String)>) {
        let mut i = 0;
        while i < lines.len() {
            let Some(command) = command(lines[i]) else {
                self.line(lines[i], names);
                i += 1;
                continue;
            };
            let (otherwise, end) = parts(lines, i);
            let body = &lines[i + 1..otherwise.unwrap_or(end)];
            let words: Vec<&str> = command.split_whitespace().collect();
            match words[..] {
                ["for", name, "in", list] => {
                    for word in repetitions(list, names) {
                        names.push((name.to_string(), word));
                        self.block(body, names);
                        names.pop();
                    }
                }
                ["if", ref condition @ ..] => {
                    if holds(condition, names) {
                        self.block(body, names);
                    } else if let Some(otherwise) = otherwise {
                        self.block(&lines[otherwise + 1..end], names);
                    }
                }
                _ => panic!("template: unknown command {:?}", lines[i]),
            }
            i = end + 1;
        }
    }

    /// Appends `line` with its names replaced and without comments.
    fn line(&mut self, line: &str, names: &[(String, String)]) {
        let line = line.split("//").next().unwrap_or_default().trim_end();
        if line.is_empty() {
            return;
        }
        let mut pieces = line.split('$');
        self.text.push_str(pieces.next().unwrap_or_default());
        for piece in pieces {
            let (name, rest) = split_name(piece);
            if name == "SLOT" {
                let _ = write!(self.text, "{}", self.slot);
                self.slot += 1;
            } else {
                let value = value(name, names)
                    .unwrap_or_else(|| panic!("template: ${name} has no value in {line:?}"));
                self.text.push_str(value);
            }
            self.text.push_str(rest);
        }
        self.text.push('\n');
    }
}

/// Splits `text` after the name it begins with.
fn split_name(text: &str) -> (&str, &str) {
    let length = match text.chars().next() {
        Some('a'..='z') => 1,
        _ => text
            .find(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit())
            .unwrap_or(text.len()),
    };
    text.split_at(length)
}

fn command(line: &str) -> Option<&str> {
    line.trim_start().strip_prefix("//%").map(str::trim)
}

/// Lines of the `else`, if any, and of the `end` of the block that begins at `start`.
fn parts(lines: &[&str], start: usize) -> (Option<usize>, usize) {
    let mut depth = 0;
    let mut otherwise = None;
    for (i, line) in lines.iter().enumerate().skip(start) {
        match command(line).and_then(|c| c.split_whitespace().next()) {
            Some("for" | "if") => depth += 1,
            Some("else") if depth == 1 => otherwise = Some(i),
            Some("end") if depth == 1 => return (otherwise, i),
            Some("end") => depth -= 1,
            _ => {}
        }
    }
    panic!("template: no end for {:?}", lines[start]);
}

/// Value of the last entry of that name, so that the name of an inner loop hides that of an outer
/// one.
fn value<'a>(name: &str, names: &'a [(String, String)]) -> Option<&'a str> {
    names
        .iter()
        .rev()
        .find(|(n, _)| n == name)
        .map(|(_, v)| v.as_str())
}

fn repetitions(list: &str, names: &[(String, String)]) -> Vec<String> {
    match list.strip_prefix("0..") {
        Some(end) => {
            let end = value(end, names).unwrap_or(end);
            let end: usize = end
                .parse()
                .unwrap_or_else(|_| panic!("template: 0..{end} has no number at its end"));
            (0..end).map(|i| i.to_string()).collect()
        }
        None => value(list, names)
            .unwrap_or_else(|| panic!("template: {list} has no value"))
            .split_whitespace()
            .map(str::to_string)
            .collect(),
    }
}

fn holds(condition: &[&str], names: &[(String, String)]) -> bool {
    match *condition {
        [name] => !matches!(value(name, names), None | Some("0" | "")),
        [name, "==", expected] => value(name, names) == Some(expected),
        _ => panic!("template: unknown condition {condition:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::expand;

    #[test]
    fn repeats_replaces_and_chooses() {
        let template = "\
@binding($SLOT) a; // comment
//% for r in 0..ROWS
//% for s in SOURCES
let $s$r_0 = $s[$r];
//% end
//% end
//% if GELU
gelu
//% else
plain
//% end
//% if WIDTH == 4
@binding($SLOT) b;
//% end
";
        let text = expand(
            template,
            &[
                ("ROWS", 2.into()),
                ("SOURCES", "x skip".into()),
                ("GELU", false.into()),
                ("WIDTH", 4.into()),
            ],
        );
        assert_eq!(
            text,
            "\
@binding(0) a;
let x0_0 = x[0];
let skip0_0 = skip[0];
let x1_0 = x[1];
let skip1_0 = skip[1];
plain
@binding(1) b;
"
        );
    }

    #[test]
    #[should_panic(expected = "$MISSING has no value")]
    fn refuses_unknown_names() {
        expand("$MISSING", &[]);
    }
}
