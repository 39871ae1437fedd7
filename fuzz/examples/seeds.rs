//! Writes `fuzz/corpus/<target>`: inputs for libFuzzer to begin with.

use std::io;
use std::path::Path;

/// Inputs of each target.
const NUMBER: u64 = 500;

fn main() -> io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (index, (target, data)) in darkroom_fuzz::seeds(NUMBER).enumerate() {
        let folder = corpus.join(target);
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(format!("seed-{index}")), data)?;
    }
    Ok(())
}
