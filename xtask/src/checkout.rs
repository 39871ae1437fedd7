//! Tracks the checkout that last built into a target directory of the cache. All checkouts share
//! these directories, so that Burn is built only once.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::command::{cargo, run};
use crate::{Result, paths};

/// All profiles of native builds: `cargo clean` takes one at a time.
const PROFILES: [&str; 2] = ["dev", "release"];

/// Cargo with the native target directory, claimed for this checkout.
pub fn native_cargo() -> Result<Command> {
    let target = paths::native_target()?;
    let on_target = || {
        let mut command = cargo();
        command.env("CARGO_TARGET_DIR", &target);
        command
    };
    // A caller that sets another target directory keeps its builds apart by itself.
    if target.starts_with(paths::cache()?) {
        let mut cleans = PROFILES.map(|profile| {
            let mut clean = on_target();
            clean.args(["clean", "--package", "darkroom", "--package", "xtask"]);
            clean.args(["--profile", profile]);
            clean
        });
        claim(&paths::root(), &target, &mut cleans)?;
    }
    Ok(on_target())
}

/// Claims the target directory `target` for the checkout in `root`, before cargo builds there.
///
/// Cargo recognises a package's build by the package's path in the workspace and by file times. An
/// artifact that another checkout left there later than this one's last change would pass for this
/// one's: tests would run on the other checkout's code. The commands `cleans` remove the
/// project's own packages from `target` and keep their dependencies. They run when another
/// checkout built there last.
pub fn claim(root: &Path, target: &Path, cleans: &mut [Command]) -> Result<()> {
    // Beside it: cargo marks a target directory as a cache only if it makes it itself.
    let owner = target.with_extension("checkout");
    let here = root.display().to_string();
    if fs::read_to_string(&owner).is_ok_and(|last| last == here) {
        return Ok(());
    }
    if target.exists() {
        println!(
            "{} may contain another checkout's builds of these packages:",
            target.display()
        );
        cleans.iter_mut().try_for_each(run)?;
    }
    let failed = |error| format!("{}: {error}", owner.display());
    if let Some(folder) = owner.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    fs::write(&owner, here).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::path::PathBuf;

    use super::*;
    use crate::command::ask;

    /// A package that prints `word`, and cargo in it, building into `target`.
    fn checkout(root: PathBuf, word: &str, target: &Path) -> impl Fn(&[&str]) -> Command {
        let main = format!("fn main() {{ println!({word:?}); }}\n");
        let manifest = "[package]\nname = \"darkroom\"\nedition = \"2024\"\n[workspace]\n";
        fs::create_dir_all(root.join("src")).unwrap();
        fs::write(root.join("src/main.rs"), main).unwrap();
        fs::write(root.join("Cargo.toml"), manifest).unwrap();
        let target = target.to_owned();
        move |arguments| {
            let mut command = cargo();
            command.current_dir(&root).env("CARGO_TARGET_DIR", &target);
            command.args(arguments);
            command
        }
    }

    #[test]
    fn a_checkout_never_runs_another_ones_build() {
        let folder = env::temp_dir().join(format!("darkroom-checkouts-{}", std::process::id()));
        let target = folder.join("target");
        let [older, newer] = ["older", "newer"].map(|name| folder.join(name));
        let in_older = checkout(older.clone(), "older", &target);
        let in_newer = checkout(newer.clone(), "newer", &target);
        let run = ["run", "--quiet"];
        let clean = ["clean", "--package", "darkroom"];

        claim(&newer, &target, &mut [in_newer(&clean)]).unwrap();
        assert_eq!(ask(&mut in_newer(&run)).as_deref(), Some("newer"));
        // Without this claim, cargo 1.95 runs the newer program here as well.
        claim(&older, &target, &mut [in_older(&clean)]).unwrap();
        assert_eq!(ask(&mut in_older(&run)).as_deref(), Some("older"));
        claim(&newer, &target, &mut [in_newer(&clean)]).unwrap();
        assert_eq!(ask(&mut in_newer(&run)).as_deref(), Some("newer"));
        // The owner stays the same, so nothing is cleaned: this command could not even start.
        claim(&newer, &target, &mut [Command::new("no such program")]).unwrap();
        fs::remove_dir_all(folder).unwrap();
    }
}
