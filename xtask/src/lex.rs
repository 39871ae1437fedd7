//! Tokens of Rust and JavaScript, for checks that must tell code from strings and comments.
//!
//! This is not a parser. It knows where strings, comments, characters, templates and regular
//! expressions begin and end, and nothing of grammar.

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Language {
    Rust,
    JavaScript,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A keyword or a name.
    Word,
    /// One character, or one of `::`, `=>` and `->`.
    Sign,
    /// A string literal without its quotes, or a piece of a template literal.
    Text,
    Comment,
    /// A number, a character, a lifetime or a regular expression.
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Token<'a> {
    pub kind: Kind,
    pub text: &'a str,
    /// Line of the first character, counted from 1.
    pub line: usize,
}

impl Token<'_> {
    pub fn is(&self, text: &str) -> bool {
        matches!(self.kind, Kind::Word | Kind::Sign) && self.text == text
    }
}

/// Splits a source text into tokens. Invalid code never fails: an unclosed literal ends with the
/// text.
pub fn tokens(source: &str, language: Language) -> Vec<Token<'_>> {
    let mut lexer = Lexer {
        source,
        at: 0,
        line: 1,
        language,
        tokens: Vec::new(),
        templates: Vec::new(),
    };
    while lexer.at < source.len() {
        lexer.step();
    }
    lexer.tokens
}

/// The tokens of the code, without comments.
pub fn code(source: &str, language: Language) -> Vec<Token<'_>> {
    let mut tokens = tokens(source, language);
    tokens.retain(|token| token.kind != Kind::Comment);
    tokens
}

/// The position of the bracket that closes the one at `open`, or the end of the tokens.
pub fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        if token.kind == Kind::Sign {
            match token.text {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth = depth.saturating_sub(1),
                _ => continue,
            }
            if depth == 0 {
                return at;
            }
        }
    }
    tokens.len().saturating_sub(1)
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    line: usize,
    language: Language,
    tokens: Vec<Token<'a>>,
    /// For each open `${` of a template literal: the number of open braces inside it.
    templates: Vec<usize>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    /// Adds the next `length` bytes as a token. Its text is without the bytes `skip` at both ends.
    fn push(&mut self, kind: Kind, length: usize, skip: (usize, usize)) {
        let whole = &self.rest()[..length];
        let text = whole.get(skip.0..length - skip.1).unwrap_or_default();
        let line = self.line;
        self.tokens.push(Token { kind, text, line });
        self.advance(length);
    }

    fn advance(&mut self, length: usize) {
        let passed = &self.source.as_bytes()[self.at..self.at + length];
        self.line += passed.iter().filter(|byte| **byte == b'\n').count();
        self.at += length;
    }

    fn step(&mut self) {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return;
        };
        if first.is_whitespace() {
            self.advance(first.len_utf8());
        } else if let Some(length) = self.comment() {
            self.push(Kind::Comment, length, (0, 0));
        } else if let Some((length, skip)) = self.raw_string() {
            self.push(
                Kind::Text,
                length,
                (skip, skip.saturating_sub(self.raw_prefix())),
            );
        } else if first == '"' || (first == '\'' && self.language == Language::JavaScript) {
            let length = quoted(rest, first);
            self.push(Kind::Text, length, (1, 1));
        } else if first == '\'' {
            self.push(Kind::Other, character_or_lifetime(rest), (0, 0));
        } else if first == '`' && self.language == Language::JavaScript {
            self.push(Kind::Sign, 1, (0, 0));
            self.template();
        } else if first.is_ascii_digit() {
            self.push(Kind::Other, word_length(rest), (0, 0));
        } else if is_word(first) {
            self.push(Kind::Word, word_length(rest), (0, 0));
        } else if first == '/' && self.language == Language::JavaScript && self.regex_may_begin() {
            self.push(Kind::Other, regex(rest), (0, 0));
        } else {
            self.sign(first);
        }
    }

    fn sign(&mut self, first: char) {
        let double = ["::", "=>", "->"]
            .iter()
            .any(|sign| self.rest().starts_with(sign));
        self.push(
            Kind::Sign,
            if double { 2 } else { first.len_utf8() },
            (0, 0),
        );
        match (first, self.templates.last_mut()) {
            ('{', Some(open)) => *open += 1,
            ('}', Some(0)) => {
                self.templates.pop();
                self.template();
            }
            ('}', Some(open)) => *open -= 1,
            _ => {}
        }
    }

    /// Reads a template literal up to its end or to the next `${`.
    fn template(&mut self) {
        let rest = self.rest();
        let mut length = 0;
        while length < rest.len() {
            match &rest.as_bytes()[length..] {
                [b'\\', ..] => {
                    length += 1 + rest[length + 1..].chars().next().map_or(0, char::len_utf8)
                }
                [b'`', ..] => {
                    self.push(Kind::Text, length, (0, 0));
                    return self.push(Kind::Sign, 1, (0, 0));
                }
                [b'$', b'{', ..] => {
                    self.push(Kind::Text, length, (0, 0));
                    self.templates.push(0);
                    self.advance(1);
                    return self.push(Kind::Sign, 1, (0, 0));
                }
                _ => length += 1,
            }
        }
        self.push(Kind::Text, rest.len(), (0, 0));
    }

    fn comment(&self) -> Option<usize> {
        let rest = self.rest();
        if rest.starts_with("//") || (self.at == 0 && rest.starts_with("#!/")) {
            return Some(rest.find('\n').unwrap_or(rest.len()));
        }
        if !rest.starts_with("/*") {
            return None;
        }
        if self.language == Language::JavaScript {
            return Some(rest.find("*/").map_or(rest.len(), |end| end + 2));
        }
        let (mut depth, mut at) = (0_usize, 0);
        while at < rest.len() {
            let bytes = &rest.as_bytes()[at..];
            at += 2;
            if bytes.starts_with(b"/*") {
                depth += 1;
            } else if bytes.starts_with(b"*/") {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            } else {
                at -= 1;
            }
        }
        Some(rest.len())
    }

    /// Length of the letters before a raw string's first `#` or quote.
    fn raw_prefix(&self) -> usize {
        let rest = self.rest();
        let prefixes = ["br", "cr", "r"].iter();
        let mut found = prefixes.filter(|prefix| rest.starts_with(**prefix));
        found.next().map_or(0, |prefix| prefix.len())
    }

    /// Total length of a raw string such as `r#"…"#`, and the length before its contents.
    fn raw_string(&self) -> Option<(usize, usize)> {
        let prefix = self.raw_prefix();
        if self.language != Language::Rust || prefix == 0 {
            return None;
        }
        let rest = &self.rest()[prefix..];
        let hashes = rest.len() - rest.trim_start_matches('#').len();
        let contents = rest[hashes..].strip_prefix('"')?;
        let end = format!("\"{}", &rest[..hashes]);
        let length = contents
            .find(&end)
            .map_or(contents.len(), |at| at + end.len());
        let before = prefix + hashes + 1;
        Some((before + length, before))
    }

    /// Tells a regular expression from a division, by the token before the slash.
    fn regex_may_begin(&self) -> bool {
        let mut before = self.tokens.iter().rev();
        let Some(last) = before.find(|token| token.kind != Kind::Comment) else {
            return true;
        };
        match last.kind {
            Kind::Word => [
                "return",
                "typeof",
                "case",
                "in",
                "of",
                "delete",
                "void",
                "throw",
                "new",
                "else",
                "do",
                "yield",
                "await",
                "instanceof",
            ]
            .contains(&last.text),
            Kind::Sign => ![")", "]", "}", "`"].contains(&last.text),
            Kind::Text | Kind::Other | Kind::Comment => false,
        }
    }
}

fn is_word(first: char) -> bool {
    first.is_alphanumeric() || first == '_' || first == '$'
}

fn word_length(rest: &str) -> usize {
    rest.find(|c: char| !is_word(c)).unwrap_or(rest.len())
}

/// Length of a string literal with its quotes.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        if !escaped && c == quote {
            return at + 1;
        }
        escaped = !escaped && c == '\\';
    }
    rest.len()
}

/// Length of `'x'`, `'\n'` or `'lifetime`.
fn character_or_lifetime(rest: &str) -> usize {
    let mut characters = rest.char_indices().skip(1);
    match (characters.next(), characters.next()) {
        (Some((_, '\\')), _) => quoted(rest, '\''),
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1 + word_length(&rest[1..]),
    }
}

/// Length of a regular expression with its flags.
fn regex(rest: &str) -> usize {
    let (mut escaped, mut in_class) = (false, false);
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            '\n' => return at,
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => in_class = true,
            ']' => in_class = false,
            '/' if !in_class => return at + 1 + word_length(&rest[at + 1..]),
            _ => {}
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str, language: Language) -> Vec<&str> {
        let tokens = tokens(source, language);
        let words = tokens.iter().filter(|token| token.kind == Kind::Word);
        words.map(|token| token.text).collect()
    }

    fn texts(source: &str, language: Language) -> Vec<&str> {
        let tokens = tokens(source, language);
        let texts = tokens.iter().filter(|token| token.kind == Kind::Text);
        texts.map(|token| token.text).collect()
    }

    #[test]
    fn rust_strings_and_comments_are_not_code() {
        let source = r##"a // { b
            /* { /* { */ c */ d "{ \" e" r"{ \" f r#"{ " g"# br"h" b'"' '"' '\'' '{' 'i j"##;
        assert_eq!(words(source, Language::Rust), ["a", "d", "f", "b", "j"]);
        assert_eq!(
            texts(source, Language::Rust),
            ["{ \\\" e", "{ \\", "{ \" g", "h"]
        );
    }

    #[test]
    fn rust_lifetimes_are_not_characters() {
        let source = "fn f<'a>(x: &'a str, c: char) -> &'static str { if c == 'é' { x } }";
        let tokens = tokens(source, Language::Rust);
        let others = tokens.iter().filter(|token| token.kind == Kind::Other);
        let others: Vec<&str> = others.map(|token| token.text).collect();
        assert_eq!(others, ["'a", "'a", "'static", "'é'"]);
        assert_eq!(tokens[closing(&tokens, tokens.len() - 8)].text, "}");
    }

    #[test]
    fn javascript_templates_hold_code_between_braces() {
        let source = "a(`{ ${b({ c: `${d}}` })} \\` ${'}'} e`); f";
        assert_eq!(
            words(source, Language::JavaScript),
            ["a", "b", "c", "d", "f"]
        );
        assert_eq!(
            texts(source, Language::JavaScript),
            ["{ ", "", "}", " \\` ", "}", " e"]
        );
    }

    #[test]
    fn javascript_regular_expressions_are_not_divisions() {
        let source = "a = /[/{\"]\\/'/g; b = c / d / e; f(/`/); return /}/.test(g) // {\n/* ' */ h";
        assert_eq!(
            words(source, Language::JavaScript),
            ["a", "b", "c", "d", "e", "f", "return", "test", "g", "h"]
        );
    }

    #[test]
    fn lines_are_counted_inside_literals() {
        let source = "a\n\"b\nc\" d\n/*\n*/ e";
        let lines: Vec<usize> = tokens(source, Language::Rust)
            .iter()
            .map(|token| token.line)
            .collect();
        assert_eq!(lines, [1, 2, 3, 4, 5]);
    }

    #[test]
    fn unclosed_literals_end_with_the_text() {
        for source in [
            "\"a", "'", "'\\", "/* a", "r#\"a", "`a ${", "`\\", "/[a", "b'",
        ] {
            for language in [Language::Rust, Language::JavaScript] {
                assert!(!tokens(source, language).is_empty(), "{source}");
            }
        }
    }
}
