//! One error type for the whole crate: what was wrong, where, what was found and what was expected.

use std::fmt::{self, Display, Write};

/// `Result` with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that can go wrong between a prompt and a picture.
///
/// Messages are written for the person in front of the screen: they name the thing, say what was found there and what
/// was expected, and never quote internals.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A value of the request is out of range. The command line reports this as a usage error (exit code 2).
    #[error("{field}: got {actual}, expected {expected}")]
    Request {
        /// Name of the request's field, as on the command line and in JSON.
        field: String,
        /// What was asked for.
        actual: String,
        /// What can be asked for.
        expected: String,
    },
    /// A model's JSON file asks for something that does not exist here, or contradicts itself.
    #[error("{file}: `{key}` is {actual}, expected {expected}")]
    Config {
        /// Path within the model folder.
        file: String,
        /// The JSON key, dotted where nested.
        key: String,
        /// Its value.
        actual: String,
        /// What is supported.
        expected: String,
    },
    /// A file is missing, truncated or malformed.
    #[error("{path}: {what}")]
    File {
        /// Path or address of the file.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// The network did not deliver.
    #[error("{address}: {what}")]
    Fetch {
        /// The address asked for.
        address: String,
        /// What happened.
        what: String,
    },
    /// The device is missing, lacks something or failed.
    #[error("device: {0}")]
    Device(String),
    /// A computation gave NaN or infinity.
    #[error("the computation failed: {0}")]
    Numeric(String),
}

impl Error {
    /// A bad value in a request.
    pub fn request(field: impl Display, actual: impl Display, expected: impl Display) -> Self {
        Error::Request {
            field: brief(field),
            actual: brief(actual),
            expected: brief(expected),
        }
    }

    /// A key of a model's JSON file that cannot be honoured.
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

    /// A file that is missing, truncated or malformed.
    pub fn file(path: impl Display, what: impl Display) -> Self {
        Error::File {
            path: brief(path),
            what: brief(what),
        }
    }

    /// An address that did not deliver.
    pub fn fetch(address: impl Display, what: impl Display) -> Self {
        Error::Fetch {
            address: brief(address),
            what: brief(what),
        }
    }

    /// A device that is missing or failed.
    pub fn device(what: impl Display) -> Self {
        Error::Device(what.to_string())
    }

    /// A computation that left the finite numbers.
    pub fn numeric(what: impl Display) -> Self {
        Error::Numeric(what.to_string())
    }

    /// Name of the error's kind, for callers that cannot match on the type.
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

    /// Path or address of the file that the error is about.
    pub fn path(&self) -> Option<&str> {
        match self {
            Error::Config { file, .. } => Some(file),
            Error::File { path, .. } => Some(path),
            Error::Fetch { address, .. } => Some(address),
            _ => None,
        }
    }

    /// True where the caller asked for something impossible, false where something failed on the way.
    pub fn is_usage(&self) -> bool {
        matches!(self, Error::Request { .. })
    }
}

/// The beginning of `thing`, where it is long: messages quote files, and a file's only value may be all of it.
fn brief(thing: impl Display) -> String {
    const AT_MOST: usize = 1000;
    struct Brief(String);
    impl Write for Brief {
        fn write_str(&mut self, part: &str) -> fmt::Result {
            let room = AT_MOST.saturating_sub(self.0.len());
            if part.len() <= room {
                self.0.push_str(part);
                return Ok(());
            }
            self.0.push_str(&part[..part.floor_char_boundary(room)]);
            self.0.push('…');
            Err(fmt::Error)
        }
    }
    let mut text = Brief(String::new());
    // Its only error is that there is no more room.
    let _ = write!(text, "{thing}");
    text.0
}
