//! The crate's error type. Each error names what is wrong, the value found and the value expected.

use std::fmt::{self, Display, Write};

/// `Result` with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that can go wrong between a prompt and a picture.
///
/// Messages are written for the user: they name the setting, file or tensor, the value found and
/// the value expected, and no internals. Text quoted from files is shortened, and its control
/// characters are escaped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A value of the request is out of range. The command line reports it as a usage error
    /// (exit code 2).
    #[error("{field}: got {actual}, expected {expected}")]
    Request {
        /// Name of the request's field, as on the command line and in JSON.
        field: String,
        /// The value requested.
        actual: String,
        /// The values accepted.
        expected: String,
    },
    /// A model's JSON file has a value that Darkroom does not support, or contradicts itself.
    #[error("{file}: `{key}` is {actual}, expected {expected}")]
    Config {
        /// Path within the model folder.
        file: String,
        /// The JSON key, with dots between nested keys.
        key: String,
        /// Its value.
        actual: String,
        /// The values supported.
        expected: String,
    },
    /// A file is missing, truncated or malformed.
    #[error("{path}: {what}")]
    File {
        /// Path or address of the file.
        path: String,
        /// The fault found.
        what: String,
    },
    /// A network request failed.
    #[error("{address}: {what}")]
    Fetch {
        /// The address requested.
        address: String,
        /// The failure.
        what: String,
    },
    /// The device is missing, lacks a feature or failed.
    #[error("device: {0}")]
    Device(String),
    /// A computation gave NaN or infinity.
    #[error("the computation failed: {0}")]
    Numeric(String),
}

impl Error {
    /// Makes an error for a value of a request that is out of range.
    pub fn request(field: impl Display, actual: impl Display, expected: impl Display) -> Self {
        Error::Request {
            field: brief(field),
            actual: brief(actual),
            expected: brief(expected),
        }
    }

    /// Makes an error for a value in a model's JSON file that is not supported.
    pub fn config(
        file: impl Display,
        key: impl Display,
        actual: impl Display,
        expected: impl Display,
    ) -> Self {
        Error::Config {
            file: brief(file),
            key: brief(key),
            actual: brief(actual),
            expected: brief(expected),
        }
    }

    /// Makes an error for a file that is missing, truncated or malformed.
    pub fn file(path: impl Display, what: impl Display) -> Self {
        Error::File {
            path: brief(path),
            what: brief(what),
        }
    }

    /// Makes an error for a network request that failed.
    pub fn fetch(address: impl Display, what: impl Display) -> Self {
        Error::Fetch {
            address: brief(address),
            what: brief(what),
        }
    }

    /// Makes an error for a device that is missing or failed.
    pub fn device(what: impl Display) -> Self {
        Error::Device(what.to_string())
    }

    /// Makes an error for a computation that gave NaN or infinity.
    pub fn numeric(what: impl Display) -> Self {
        Error::Numeric(what.to_string())
    }

    /// The kind of error, the same word in every interface: "request", "config", "file", "fetch",
    /// "device" or "numeric". Callers decide by it, not by the message.
    pub fn kind(&self) -> &'static str {
        match self {
            Error::Request { .. } => "request",
            Error::Config { .. } => "config",
            Error::File { .. } => "file",
            Error::Fetch { .. } => "fetch",
            Error::Device(_) => "device",
            Error::Numeric(_) => "numeric",
        }
    }

    /// The path or address of the file concerned, for the kinds "config", "file" and "fetch".
    pub fn path(&self) -> Option<&str> {
        match self {
            Error::Config { file: path, .. }
            | Error::File { path, .. }
            | Error::Fetch { address: path, .. } => Some(path),
            Error::Request { .. } | Error::Device(_) | Error::Numeric(_) => None,
        }
    }

    /// True if the caller requested something impossible; false if an operation failed.
    pub fn is_usage(&self) -> bool {
        matches!(self, Error::Request { .. })
    }
}

/// `text` for a terminal: control characters and changes of the writing direction become escapes
/// such as `\u{1b}`; line ends and tabs stay.
pub fn printable(text: impl Display) -> String {
    let mut escaped = String::new();
    for character in text.to_string().chars() {
        match character {
            '\n' | '\t' => escaped.push(character),
            other => push_escaped(&mut escaped, other),
        }
    }
    escaped
}

/// The start of `text`, at most [`MAX_QUOTE`] bytes and an ellipsis, made safe by [`push_escaped`].
///
/// Messages quote files, and a single value of a file may be as long as the file.
pub(crate) fn brief(text: impl Display) -> String {
    let mut quote = Quote(String::new());
    // The only error of `Quote` is that it is full.
    let _ = write!(quote, "{text}");
    quote.0
}

/// Bytes that an error quotes of a value at most.
const MAX_QUOTE: usize = 1000;

/// A string that takes at most [`MAX_QUOTE`] bytes.
struct Quote(String);

impl Write for Quote {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        for character in part.chars() {
            let before = self.0.len();
            push_escaped(&mut self.0, character);
            if self.0.len() > MAX_QUOTE {
                self.0.truncate(before);
                self.0.push('…');
                return Err(fmt::Error);
            }
        }
        Ok(())
    }
}

/// Appends `character` to `text`. Control characters and changes of the writing direction become
/// escapes such as `\u{1b}`: on a terminal they could hide or forge what is printed.
fn push_escaped(text: &mut String, character: char) {
    let changes_direction = matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if character.is_control() || changes_direction {
        text.extend(character.escape_default());
    } else {
        text.push(character);
    }
}

#[cfg(test)]
mod tests {
    use super::{Error, MAX_QUOTE, brief, printable};

    #[test]
    fn kind_and_path_of_every_error() {
        let cases = [
            (Error::request("steps", 0, "1 to 1000"), "request", None),
            (
                Error::config("unet/config.json", "act_fn", "mish", "silu"),
                "config",
                Some("unet/config.json"),
            ),
            (Error::file("a.json", "truncated"), "file", Some("a.json")),
            (
                Error::fetch("https://host/a", "status 500"),
                "fetch",
                Some("https://host/a"),
            ),
            (Error::device("no adapter"), "device", None),
            (Error::numeric("NaN"), "numeric", None),
        ];
        for (error, kind, path) in cases {
            assert_eq!((error.kind(), error.path()), (kind, path), "{error}");
            assert_eq!(error.is_usage(), kind == "request", "{error}");
        }
    }

    #[test]
    fn control_characters_are_escaped() {
        let name = "a\u{1b}]0;title\u{7}\r\n\u{9b}31m\u{202e}ü";
        let error = Error::file(name, format!("tensor {name} is missing"));
        let escaped = r"a\u{1b}]0;title\u{7}\r\n\u{9b}31m\u{202e}ü";
        assert_eq!(error.path(), Some(escaped));
        let message = error.to_string();
        assert_eq!(message, format!("{escaped}: tensor {escaped} is missing"));
        assert!(!message.contains(char::is_control));
    }

    #[test]
    fn text_for_a_terminal_keeps_its_lines() {
        let text = "a\u{1b}[2J\n\tb\u{202e}\r\u{7}ü";
        assert_eq!(printable(text), "a\\u{1b}[2J\n\tb\\u{202e}\\r\\u{7}ü");
    }

    #[test]
    fn long_values_are_shortened() {
        let shortest = "x".repeat(MAX_QUOTE);
        assert_eq!(brief(&shortest), shortest);
        assert_eq!(brief("x".repeat(1 << 20)), format!("{shortest}…"));
        // Characters and escapes are kept whole or left out.
        assert_eq!(
            brief("ü".repeat(MAX_QUOTE)).chars().count(),
            MAX_QUOTE / 2 + 1
        );
        let escapes = brief("\u{1b}".repeat(MAX_QUOTE));
        assert!(escapes.ends_with(r"\u{1b}…"), "{escapes}");
        assert!(escapes.len() <= MAX_QUOTE + '…'.len_utf8());
    }
}
