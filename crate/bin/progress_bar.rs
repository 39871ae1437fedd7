//! Progress on standard error.

use std::cell::RefCell;
use std::io::{IsTerminal, Write};

use darkroom::error::printable;

/// One line on standard error that is overwritten; in a file, one line for each different text.
#[derive(Default)]
pub struct ProgressBar {
    shown: RefCell<String>,
}

impl ProgressBar {
    /// Shows `text`. Names in it come from files and servers.
    pub fn show(&self, text: &str) {
        let text = printable(text);
        if *self.shown.borrow() == text {
            return;
        }
        if std::io::stderr().is_terminal() {
            eprint!("\r\x1b[K{text}");
            let _ = std::io::stderr().flush();
        } else {
            eprintln!("{text}");
        }
        self.shown.replace(text);
    }

    /// Ends the line, so that other text can follow.
    pub fn end(&self) {
        if !self.shown.take().is_empty() && std::io::stderr().is_terminal() {
            eprintln!();
        }
    }

    /// Prints `warnings` on lines of their own.
    pub fn warn(&self, warnings: &[String]) {
        for warning in warnings {
            self.end();
            eprintln!("warning: {}", printable(warning));
        }
    }
}
