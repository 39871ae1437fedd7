//! Paths of the checkout, and of the build cache outside it that all checkouts share.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;

/// The root of the checkout.
pub fn root() -> PathBuf {
    // `cargo run` sets the variable. A program started by the tests has it from its own build.
    let manifest = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    manifest.parent().map(Path::to_path_buf).unwrap_or(manifest)
}

/// `$XDG_CACHE_HOME/darkroom` or its equivalent.
pub fn cache() -> Result<PathBuf> {
    let set = |name: &str| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let base = set("XDG_CACHE_HOME")
        .or_else(|| set("LOCALAPPDATA"))
        .or_else(|| Some(set("HOME")?.join(".cache")))
        .ok_or("no place for the build cache: neither XDG_CACHE_HOME nor HOME is set")?;
    Ok(base.join("darkroom"))
}

/// Target directory of native builds: the caller's `CARGO_TARGET_DIR`, or the cache's.
pub fn native_target() -> Result<PathBuf> {
    match env::var_os("CARGO_TARGET_DIR").filter(|value| !value.is_empty()) {
        Some(target) => {
            let here =
                env::current_dir().map_err(|error| format!("the current directory: {error}"))?;
            Ok(here.join(target))
        }
        None => Ok(cache()?.join("target")),
    }
}

/// Target directory of wasm builds. It differs from the native one: where Debian's compiler builds
/// for wasm, each compiler would rebuild the other's artifacts.
pub fn wasm_target() -> Result<PathBuf> {
    Ok(cache()?.join("target-wasm"))
}

/// Reads a text file; the error names it.
pub fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Writes a file; the error names it.
pub fn write(path: &Path, contents: impl AsRef<[u8]>) -> Result<()> {
    fs::write(path, contents).map_err(|error| format!("{}: {error}", path.display()))
}

/// A short fingerprint that shows if some bytes changed since last time. It is not secure.
pub fn fingerprint(parts: &[&[u8]]) -> String {
    // FNV-1a, 64 bits: the standard library's hasher may change from one release to the next.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        for byte in part.len().to_le_bytes().iter().chain(*part) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    format!("{hash:016x}")
}
