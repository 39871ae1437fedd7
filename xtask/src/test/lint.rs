//! Static checks: format, lints and documentation.

use std::process::Command;

use super::Options;
use crate::checkout::native_cargo;
use crate::command::{ask, cargo, program, run};
use crate::report::Outcome;
use crate::{Result, check, paths, setup};

/// Packages of the workspace, checked one at a time: together they would share features, and each
/// set of features would build Burn once more.
const PACKAGES: [&[&str]; 2] = [
    &["--package", "darkroom"],
    &["--package", "xtask", "--all-features"],
];

pub fn format(_: &Options) -> Outcome {
    component("fmt", "rustfmt", || {
        run(cargo().args(["fmt", "--all", "--check"]))
    })
}

pub fn clippy(_: &Options) -> Outcome {
    let check = |package: &[&str]| {
        run(native_cargo()?
            .args(["clippy", "--release", "--all-targets"])
            .args(package)
            .args(["--", "-D", "warnings"]))
    };
    component("clippy", "clippy", || {
        all(PACKAGES.iter().map(|package| check(package)))
    })
}

/// Builds the crate's documentation. A broken link in it is an error.
///
/// The dependencies are those that clippy has checked: the same profile and features in the same
/// target directory.
pub fn doc(_: &Options) -> Outcome {
    let documentation = || {
        let mut doc = native_cargo()?;
        doc.env("RUSTDOCFLAGS", "-D warnings")
            .args(["doc", "--release", "--no-deps", "--lib"])
            .args(PACKAGES[0]);
        run(&mut doc)
    };
    Outcome::of(documentation())
}

/// The rules for text, sizes and imports (`cargo xtask check`), and biome for JavaScript.
pub fn lint(_: &Options) -> Outcome {
    let rules = check::print_findings();
    let node = match setup::node_packages() {
        Ok(node) => node,
        Err(error) if rules.is_ok() => return Outcome::NotRun(error),
        Err(_) => return Outcome::of(rules),
    };
    let mut biome: Command = program(node);
    biome
        .arg(paths::root().join("tests/browser/node_modules/@biomejs/biome/bin/biome"))
        .args(["ci", "."]);
    Outcome::of(all([rules, run(&mut biome)].into_iter()))
}

/// Collects the errors of all checks, so that one run shows everything.
pub fn all(checks: impl Iterator<Item = Result<()>>) -> Result<()> {
    let failed: Vec<String> = checks.filter_map(Result::err).collect();
    if failed.is_empty() {
        Ok(())
    } else {
        Err(failed.join("; "))
    }
}

/// Runs a check by a component of the Rust toolchain, which may not be installed.
fn component(subcommand: &str, component: &str, check: impl FnOnce() -> Result<()>) -> Outcome {
    match ask(cargo().args([subcommand, "--version"])) {
        Some(_) => Outcome::of(check()),
        None => Outcome::NotRun(format!(
            "{component} is not installed: rustup component add {component}"
        )),
    }
}
