//! SHA-256 of bytes that come in parts; the browser's own digest takes them all at once.

use std::fmt::Write;

use sha2::Digest;
use wasm_bindgen::prelude::*;

/// SHA-256 of a download, updated chunk by chunk.
#[wasm_bindgen]
#[derive(Default)]
pub struct Sha256(sha2::Sha256);

#[wasm_bindgen]
impl Sha256 {
    /// Starts without bytes.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Returns the hash in hexadecimal digits, and starts again.
    pub fn digest(&mut self) -> String {
        let mut text = String::new();
        for byte in self.0.finalize_reset() {
            let _ = write!(text, "{byte:02x}");
        }
        text
    }
}
