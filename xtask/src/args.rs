//! Command-line words: options `--name value` or `--name=value`, flags `--name`, and plain words.

use crate::Result;

/// What is left of the command line. Take everything that is known, then call [`Args::end`].
pub struct Args(Vec<String>);

impl Args {
    pub fn from_env() -> Self {
        Self(std::env::args().skip(1).collect())
    }

    /// The next plain word, if there is one.
    pub fn word(&mut self) -> Option<String> {
        let at = self.0.iter().position(|word| !word.starts_with("--"))?;
        Some(self.0.remove(at))
    }

    pub fn flag(&mut self, name: &str) -> bool {
        match self.0.iter().position(|word| word == name) {
            Some(at) => {
                self.0.remove(at);
                true
            }
            None => false,
        }
    }

    /// The value of an option. Call this before [`Args::word`], which would take the value for a word.
    pub fn option(&mut self, name: &str) -> Result<Option<String>> {
        let prefix = format!("{name}=");
        let Some(at) = self
            .0
            .iter()
            .position(|word| word == name || word.starts_with(&prefix))
        else {
            return Ok(None);
        };
        let word = self.0.remove(at);
        if let Some(value) = word.strip_prefix(&prefix) {
            return Ok(Some(value.to_owned()));
        }
        if at < self.0.len() {
            Ok(Some(self.0.remove(at)))
        } else {
            Err(format!("{name} needs a value"))
        }
    }

    /// Refuses what nobody took: a mistyped option must not be ignored.
    pub fn end(self) -> Result<()> {
        match self.0.first() {
            None => Ok(()),
            Some(word) => Err(format!("unknown argument {word:?}; see cargo xtask help")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Args {
        Args(line.split_whitespace().map(str::to_owned).collect())
    }

    #[test]
    fn options_flags_and_words_in_any_order() {
        let mut args = args("serve --port 81 --no-build --host=::1 extra");
        assert_eq!(args.word().as_deref(), Some("serve"));
        assert_eq!(args.option("--port").unwrap().as_deref(), Some("81"));
        assert_eq!(args.option("--host").unwrap().as_deref(), Some("::1"));
        assert_eq!(args.option("--root").unwrap(), None);
        assert!(args.flag("--no-build"));
        assert!(!args.flag("--full"));
        assert_eq!(args.word().as_deref(), Some("extra"));
        assert!(args.end().is_ok());
    }

    #[test]
    fn missing_values_and_unknown_words_are_errors() {
        assert!(args("--port").option("--port").is_err());
        assert!(args("--prot 81").end().is_err());
    }
}
