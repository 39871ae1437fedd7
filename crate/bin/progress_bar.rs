//! Progress on standard error.

use std::io::{IsTerminal, Write};

/// One line on standard error that is overwritten; in a file, one line for each different text.
#[derive(Default)]
pub struct ProgressBar {
    shown: String,
}

impl ProgressBar {
    /// Shows `text`.
    pub fn show(&mut self, text: &str) {
        if self.shown == text {
            return;
        }
        if std::io::stderr().is_terminal() {
            eprint!("\r\x1b[K{text}");
            let _ = std::io::stderr().flush();
        } else {
            eprintln!("{text}");
        }
        self.shown = text.to_string();
    }

    /// Ends the line, so that other text can follow.
    pub fn end(&mut self) {
        if !std::mem::take(&mut self.shown).is_empty() && std::io::stderr().is_terminal() {
            eprintln!();
        }
    }

    /// Prints `warnings` on lines of their own.
    pub fn warn(&mut self, warnings: &[String]) {
        for warning in warnings {
            self.end();
            eprintln!("warning: {warning}");
        }
    }
}
