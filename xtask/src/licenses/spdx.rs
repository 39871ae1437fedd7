//! SPDX licence expressions, such as `MIT OR (Apache-2.0 AND Unicode-3.0)`.

use crate::Result;

/// A licence expression. An exception (`Apache-2.0 WITH LLVM-exception`) is part of the name.
#[derive(Debug, PartialEq)]
pub enum Expression {
    License(String),
    And(Vec<Expression>),
    Or(Vec<Expression>),
}

impl Expression {
    /// Reads an expression. Old packages write `MIT/Apache-2.0` for `MIT OR Apache-2.0`.
    pub fn parse(text: &str) -> Result<Self> {
        let spaced = text
            .replace('/', " OR ")
            .replace('(', " ( ")
            .replace(')', " ) ");
        let words: Vec<&str> = spaced.split_whitespace().collect();
        let mut rest = words.as_slice();
        let expression = or(&mut rest).filter(|_| rest.is_empty());
        expression.ok_or_else(|| format!("{text:?} is not a licence expression"))
    }

    /// Tells if the licences that `accept` accepts suffice.
    pub fn is_met(&self, accept: &dyn Fn(&str) -> bool) -> bool {
        match self {
            Self::License(name) => accept(name),
            Self::And(parts) => parts.iter().all(|part| part.is_met(accept)),
            Self::Or(parts) => parts.iter().any(|part| part.is_met(accept)),
        }
    }
}

fn or(words: &mut &[&str]) -> Option<Expression> {
    list(words, "OR", and, Expression::Or)
}

fn and(words: &mut &[&str]) -> Option<Expression> {
    list(words, "AND", license, Expression::And)
}

fn list(
    words: &mut &[&str],
    operator: &str,
    part: fn(&mut &[&str]) -> Option<Expression>,
    join: fn(Vec<Expression>) -> Expression,
) -> Option<Expression> {
    let mut parts = vec![part(words)?];
    while words.first() == Some(&operator) {
        *words = &words[1..];
        parts.push(part(words)?);
    }
    match parts.len() {
        1 => parts.pop(),
        _ => Some(join(parts)),
    }
}

fn license(words: &mut &[&str]) -> Option<Expression> {
    let (first, rest) = words.split_first()?;
    *words = rest;
    if *first == "(" {
        let inner = or(words)?;
        let (close, rest) = words.split_first()?;
        *words = rest;
        return (*close == ")").then_some(inner);
    }
    if ["AND", "OR", "WITH", ")"].contains(first) {
        return None;
    }
    let mut name = (*first).to_owned();
    if let ["WITH", exception, rest @ ..] = words {
        name = format!("{name} WITH {exception}");
        *words = rest;
    }
    Some(Expression::License(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_met(text: &str, accepted: &[&str]) -> bool {
        let expression = Expression::parse(text).unwrap();
        expression.is_met(&|name| accepted.contains(&name))
    }

    #[test]
    fn one_alternative_suffices_and_every_part_of_a_conjunction_is_needed() {
        assert!(is_met("MIT", &["MIT"]));
        assert!(!is_met("MIT", &["Apache-2.0"]));
        for text in ["MIT OR Apache-2.0", "MIT/Apache-2.0", "MIT / Apache-2.0"] {
            assert!(is_met(text, &["Apache-2.0"]), "{text}");
        }
        let both = "(MIT OR Apache-2.0) AND Unicode-3.0";
        assert!(is_met(both, &["MIT", "Unicode-3.0"]));
        assert!(!is_met(both, &["MIT", "Apache-2.0"]));
        assert!(is_met("MIT OR Apache-2.0 AND Zlib", &["MIT"]));
        assert!(!is_met("MIT OR Apache-2.0 AND Zlib", &["Zlib"]));
    }

    #[test]
    fn an_exception_makes_another_licence() {
        let text = "Apache-2.0 WITH LLVM-exception OR GPL-2.0";
        assert!(is_met(text, &["Apache-2.0 WITH LLVM-exception"]));
        assert!(!is_met(text, &["Apache-2.0"]));
    }

    #[test]
    fn broken_expressions_are_errors() {
        for text in [
            "",
            "MIT OR",
            "AND MIT",
            "(MIT",
            "MIT)",
            "MIT Apache-2.0",
            "()",
            "OR",
        ] {
            assert!(Expression::parse(text).is_err(), "{text}");
        }
    }
}
