//! Where things are: the checkout, and the build cache outside it that every checkout shares.

use std::env;
use std::path::{Path, PathBuf};

use crate::Result;

/// The root of the checkout.
pub fn root() -> PathBuf {
    // Under `cargo run` the variable is set; a copy started by the tests knows it from its own build.
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
        .ok_or("neither XDG_CACHE_HOME nor HOME is set: there is no place for the build cache")?;
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

/// Target directory of wasm builds. Never the native one: where Debian's compiler builds for wasm, it would rebuild what
/// rustup's compiler built, and the other way round.
pub fn wasm_target() -> Result<PathBuf> {
    Ok(cache()?.join("target-wasm"))
}

/// A short fingerprint of some bytes, to see whether they changed since last time. Not for anything else.
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
