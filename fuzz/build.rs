//! Sets the environment that the modules of `tests/` expect at compile time.

use std::path::Path;

fn main() {
    let fuzz = env!("CARGO_MANIFEST_DIR");
    let root = Path::new(fuzz).parent().expect("a repository");
    // Tests read their files relative to the package, which is the repository there.
    println!("cargo::rustc-env=CARGO_MANIFEST_DIR={}", root.display());
    // Cargo sets these two for integration tests only. No target uses either of them.
    println!("cargo::rustc-env=CARGO_TARGET_TMPDIR={fuzz}/artifacts");
    println!("cargo::rustc-env=CARGO_BIN_EXE_darkroom=darkroom");
    println!("cargo::rerun-if-changed=build.rs");
}
