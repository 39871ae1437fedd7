//! Measured kernel tilings, kept between runs in the user's cache folder. A lost entry is measured
//! again, so nothing here can fail.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// Path of the cache. Another version may tile its kernels differently, so it has its own file.
fn file() -> Option<PathBuf> {
    let name = concat!("tiles-", env!("CARGO_PKG_VERSION"), ".json");
    Some(dirs::cache_dir()?.join("darkroom").join(name))
}

/// All entries: names of tilings by adapter.
fn entries() -> BTreeMap<String, String> {
    let text = file().and_then(|file| fs::read(file).ok());
    text.and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_default()
}

/// The name of the tiling that was fastest on `adapter`.
pub fn get(adapter: &str) -> Option<String> {
    entries().remove(adapter)
}

/// Records that `tiling` was fastest on `adapter`.
pub fn put(adapter: &str, tiling: &str) {
    let mut all = entries();
    all.insert(adapter.into(), tiling.into());
    let (Some(file), Ok(text)) = (file(), serde_json::to_vec_pretty(&all)) else {
        return;
    };
    if let Some(folder) = file.parent() {
        let _ = fs::create_dir_all(folder);
    }
    let _ = fs::write(file, text);
}
