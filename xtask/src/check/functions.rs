//! Functions and their lengths.

use crate::lex::{Kind, Language, Token, closing, code};

pub struct Function<'a> {
    pub name: &'a str,
    /// First line, counted from 1.
    pub line: usize,
    pub lines: usize,
}

/// All functions with a body. A function inside another one is listed as well as the outer one.
pub fn functions(source: &str, language: Language) -> Vec<Function<'_>> {
    let tokens = code(source, language);
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        let function = match language {
            Language::Rust => rust(&tokens, at),
            Language::JavaScript => javascript(&tokens, at),
        };
        if let Some((name, line, open)) = function {
            let lines = tokens[closing(&tokens, open)].line - line + 1;
            found.push(Function { name, line, lines });
        }
    }
    found
}

/// Name, first line and opening brace of a function, if its `fn` is at `at`.
fn rust<'a>(tokens: &[Token<'a>], at: usize) -> Option<(&'a str, usize, usize)> {
    let name = tokens.get(at + 1)?;
    if !tokens[at].is("fn") || name.kind != Kind::Word {
        return None;
    }
    let mut next = at + 2;
    loop {
        match tokens.get(next)? {
            // A signature without a body, in a trait.
            token if token.is(";") => return None,
            token if token.is("{") => return Some((name.text, tokens[at].line, next)),
            token if token.is("(") || token.is("[") => next = closing(tokens, next) + 1,
            _ => next += 1,
        }
    }
}

/// Name, first line and opening brace of a function, if its opening brace is at `at`.
fn javascript<'a>(tokens: &[Token<'a>], at: usize) -> Option<(&'a str, usize, usize)> {
    if !tokens[at].is("{") {
        return None;
    }
    let before = &tokens[..at];
    let (last, before) = before.split_last()?;
    if last.is("=>") {
        let parameters = before.last()?;
        let line = if parameters.is(")") {
            tokens[opening(tokens, at - 2)?].line
        } else {
            parameters.line
        };
        return Some(("=>", line, at));
    }
    if !last.is(")") {
        return None;
    }
    let open = opening(tokens, at - 1)?;
    let name = tokens[..open].last()?;
    let control = ["if", "for", "while", "switch", "catch", "with", "await"];
    let is_function = match name.kind {
        Kind::Word => !control.contains(&name.text),
        // A computed name, a generator without a name, a method named by a string.
        Kind::Sign => name.is("]") || name.is("*"),
        Kind::Text => true,
        Kind::Comment | Kind::Other => false,
    };
    is_function.then_some((name.text, name.line, at))
}

/// The position of the bracket that the one at `close` closes.
fn opening(tokens: &[Token], close: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for at in (0..=close).rev() {
        if tokens[at].kind == Kind::Sign {
            match tokens[at].text {
                ")" | "]" | "}" => depth += 1,
                "(" | "[" | "{" => depth -= 1,
                _ => continue,
            }
            if depth == 0 {
                return Some(at);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(source: &str, language: Language) -> Vec<(&str, usize, usize)> {
        let functions = functions(source, language);
        let lengths = functions.iter().map(|f| (f.name, f.line, f.lines));
        lengths.collect()
    }

    #[test]
    fn rust_functions_end_at_their_own_brace() {
        let source = r##"
fn one(x: [u8; 3], f: fn(u8) -> u8) -> [u8; 3] where u8: Copy { x }
impl T {
    fn two<'a>(&'a self) -> &'a str {
        // }
        let a = "}"; let b = '}'; let c = r#"}"#;
        fn three() {
        }
        a
    }
}
trait U { fn four(&self); const fn five() {} }
macro_rules! m { ($f:ident) => { fn $f() {} } }
"##;
        assert_eq!(
            lengths(source, Language::Rust),
            [
                ("one", 2, 1),
                ("two", 4, 7),
                ("three", 7, 2),
                ("five", 12, 1),
                ("$f", 13, 1)
            ]
        );
    }

    #[test]
    fn javascript_functions_are_declarations_methods_and_arrows() {
        let source = "
function one(a = { b: 1 }) {
  if (a) {
    return `}`;
  }
}
class C {
  get two() { return /}/; }
  async *#three(
    a,
  ) {
    for await (const b of a) { yield b; }
  }
  [Symbol.iterator]() {}
}
const four = async (a) => {
  switch (a) { case 1: { } }
  while (a) { }
  try { } catch (e) { }
};
five.map(b => { });
const six = (a) => ({ a });
";
        assert_eq!(
            lengths(source, Language::JavaScript),
            [
                ("one", 2, 5),
                ("two", 8, 1),
                ("three", 9, 5),
                ("]", 14, 1),
                ("=>", 16, 5),
                ("=>", 21, 1),
            ]
        );
    }
}
