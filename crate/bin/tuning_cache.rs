//! What was measured of this machine's adapters, kept from one run to the next in the user's cache folder. What is lost
//! is measured again, so nothing here can fail.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// Presets by adapter. Another version of Darkroom may divide its work otherwise, so it has a file of its own.
fn file() -> Option<PathBuf> {
    let name = concat!("tiles-", env!("CARGO_PKG_VERSION"), ".json");
    Some(dirs::cache_dir()?.join("darkroom").join(name))
}

fn read() -> BTreeMap<String, String> {
    let text = file().and_then(|file| fs::read(file).ok());
    text.and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_default()
}

/// The name of the preset that was found best for `adapter`.
pub fn tiles(adapter: &str) -> Option<String> {
    read().remove(adapter)
}

/// Remembers that `preset` was found best for `adapter`.
pub fn remember(adapter: &str, preset: &str) {
    let mut all = read();
    all.insert(adapter.into(), preset.into());
    let (Some(file), Ok(text)) = (file(), serde_json::to_vec_pretty(&all)) else {
        return;
    };
    if let Some(folder) = file.parent() {
        let _ = fs::create_dir_all(folder);
    }
    let _ = fs::write(file, text);
}
