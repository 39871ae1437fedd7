//! Programs and libraries that a fresh machine lacks.
//!
//! Each step detects its part, installs it where that needs no permission, and otherwise returns
//! an error with the exact command to run.

mod browsers;

use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::command::{ask, find, install, program};
use crate::{Result, no_arguments, paths};
pub use browsers::{chromium, firefox};

/// Prepares a machine ahead of time: every step except Python (python.rs), which neither the page
/// nor its tests need.
pub fn command(parser: lexopt::Parser) -> Result<()> {
    no_arguments(parser)?;
    let steps = [
        (
            "Rust for wasm",
            wasm_toolchain().map(|toolchain| toolchain.to_string()),
        ),
        ("Vulkan", vulkan().map(|()| "a driver is installed".into())),
        (
            "Node.js",
            node_packages()
                .map(|node| format!("{} and the packages of tests/browser", node.display())),
        ),
        (
            "Chromium",
            chromium().map(|path| path.display().to_string()),
        ),
        ("Firefox", firefox().map(|path| path.display().to_string())),
    ];
    let mut missing = Vec::new();
    for (name, found) in steps {
        match found {
            Ok(found) => println!("{name}: {found}"),
            Err(error) => {
                println!("{name}: MISSING. {error}");
                missing.push(name);
            }
        }
    }
    if missing.is_empty() {
        Ok(())
    } else {
        Err(format!("missing: {}", missing.join(", ")))
    }
}

/// Compiler, linker and standard library of the wasm build.
pub enum WasmToolchain {
    /// The compiler that built xtask has the target.
    Rustup,
    /// Debian's compiler and its library's source, which cargo builds for wasm (`-Zbuild-std`).
    Debian {
        cargo: &'static str,
        rustc: &'static str,
        linker: &'static str,
    },
}

impl fmt::Display for WasmToolchain {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Rustup => write!(f, "the compiler's own target {WASM_TARGET}"),
            Self::Debian { rustc, linker, .. } => {
                write!(f, "Debian's {rustc} and {linker}")
            }
        }
    }
}

const WASM_TARGET: &str = "wasm32-unknown-unknown";
const DEBIAN_WASM: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "lld-19"];

/// Rust for wasm. An installed toolchain is preferred, so that later runs need no network and use
/// the same compiler.
pub fn wasm_toolchain() -> Result<WasmToolchain> {
    let choice = env::var("DARKROOM_WASM_TOOLCHAIN").unwrap_or_default();
    let (rustup, debian) = match choice.as_str() {
        "" => (true, true),
        "rustup" => (true, false),
        "debian" => (false, true),
        other => {
            return Err(format!(
                "DARKROOM_WASM_TOOLCHAIN is {other:?}; it can be rustup or debian"
            ));
        }
    };
    if rustup && has_wasm_target() {
        return Ok(WasmToolchain::Rustup);
    }
    if debian && let Some(found) = debian_toolchain() {
        return Ok(found);
    }
    println!("Rust cannot build for {WASM_TARGET} yet. Installing the missing parts:");
    let mut errors = Vec::new();
    if rustup {
        match install_from_rustup() {
            Ok(toolchain) => return Ok(toolchain),
            Err(error) => errors.push(error),
        }
    }
    if debian {
        match install_from_debian() {
            Ok(toolchain) => return Ok(toolchain),
            Err(error) => errors.push(error),
        }
    }
    Err(format!(
        "no Rust for {WASM_TARGET}. With rustup:\n    rustup target add {WASM_TARGET}\n\
         On Debian, where rustup cannot:\n    sudo apt-get install {}\n\
         Errors of the automatic installation:\n  {}",
        DEBIAN_WASM.join(" "),
        errors.join("\n").replace('\n', "\n  ")
    ))
}

fn install_from_rustup() -> Result<WasmToolchain> {
    add_wasm_target()?;
    if has_wasm_target() {
        return Ok(WasmToolchain::Rustup);
    }
    Err("rustup installed the target for another toolchain than the one in use".into())
}

fn install_from_debian() -> Result<WasmToolchain> {
    apt_install(&DEBIAN_WASM)?;
    debian_toolchain().ok_or_else(|| {
        "Debian's packages are installed, but /usr/bin/rustc is older than Cargo.toml's \
         rust-version"
            .into()
    })
}

fn has_wasm_target() -> bool {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let Some(sysroot) = ask(program(rustc).args(["--print", "sysroot"])) else {
        return false;
    };
    let libraries = Path::new(&sysroot)
        .join("lib/rustlib")
        .join(WASM_TARGET)
        .join("lib");
    libraries
        .read_dir()
        .is_ok_and(|mut files| files.next().is_some())
}

fn add_wasm_target() -> Result<()> {
    if find(&["rustup"]).is_none() {
        return Err("rustup is not installed".into());
    }
    // Fail fast when the server cannot be reached: there is a second way.
    let mut rustup = program("rustup");
    rustup
        .env("RUSTUP_MAX_RETRIES", "0")
        .args(["target", "add", WASM_TARGET]);
    install(&mut rustup, Duration::from_secs(90))
}

fn debian_toolchain() -> Option<WasmToolchain> {
    let (cargo, rustc) = ("/usr/bin/cargo", "/usr/bin/rustc");
    let version = ask(Command::new(rustc).arg("--version"))?;
    if !Path::new(cargo).is_file() || minor_version(&version)? < wanted_version()? {
        return None;
    }
    let sysroot = ask(Command::new(rustc).args(["--print", "sysroot"]))?;
    if !Path::new(&sysroot)
        .join("lib/rustlib/src/rust/library/std/Cargo.toml")
        .is_file()
    {
        return None;
    }
    // DEBIAN_WASM names the first one.
    let linkers = [
        "wasm-ld-19",
        "wasm-ld-22",
        "wasm-ld-21",
        "wasm-ld-20",
        "wasm-ld",
    ];
    let linker = linkers.into_iter().find(|name| find(&[name]).is_some())?;
    Some(WasmToolchain::Debian {
        cargo,
        rustc,
        linker,
    })
}

/// 96 of `rustc 1.96.0 (…)`.
fn minor_version(version: &str) -> Option<u32> {
    version
        .strip_prefix("rustc 1.")?
        .split('.')
        .next()?
        .parse()
        .ok()
}

/// 95 of `rust-version = "1.95"` in the root's Cargo.toml.
fn wanted_version() -> Option<u32> {
    let manifest = fs::read_to_string(paths::root().join("Cargo.toml")).ok()?;
    manifest.lines().find_map(|line| {
        line.strip_prefix("rust-version = \"1.")?
            .trim_end_matches('"')
            .parse()
            .ok()
    })
}

/// A Vulkan driver for the native GPU tests. On a machine without a GPU, Mesa's lavapipe serves.
pub fn vulkan() -> Result<()> {
    if !cfg!(target_os = "linux") || has_vulkan() {
        return Ok(());
    }
    println!("The GPU tests need a Vulkan driver. Installing the software driver:");
    let packages = ["mesa-vulkan-drivers", "libvulkan1"];
    let tried = apt_install(&packages);
    if has_vulkan() {
        return Ok(());
    }
    Err(format!(
        "no Vulkan driver for the GPU tests. On Debian:\n    sudo apt-get install {}\n\
         elsewhere install the Vulkan loader and Mesa's software driver (lavapipe).{}",
        packages.join(" "),
        tried
            .err()
            .map_or(String::new(), |error| format!("\n  {error}"))
    ))
}

fn has_vulkan() -> bool {
    let chosen = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"]
        .iter()
        .any(|name| env::var_os(name).is_some());
    let folders = [
        "/usr/share/vulkan/icd.d",
        "/usr/local/share/vulkan/icd.d",
        "/etc/vulkan/icd.d",
    ];
    let driver = folders
        .iter()
        .any(|folder| fs::read_dir(folder).is_ok_and(|mut files| files.next().is_some()));
    let libraries = [
        "/usr/lib",
        "/usr/lib64",
        "/usr/local/lib",
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
    ];
    let loader = libraries
        .iter()
        .any(|folder| Path::new(folder).join("libvulkan.so.1").exists());
    (chosen || driver) && loader
}

/// Installs exactly the packages of `tests/browser/package-lock.json`; returns Node's program.
pub fn node_packages() -> Result<PathBuf> {
    let node = node()?;
    let npm = find(&["npm"])
        .ok_or("npm is not on the PATH; it comes with Node.js (https://nodejs.org)")?;
    let folder = paths::root().join("tests/browser");
    let lock = folder.join("package-lock.json");
    let wanted = fs::read(&lock).map_err(|error| format!("{}: {error}", lock.display()))?;
    let wanted = paths::fingerprint(&[&wanted]);
    let stamp = folder.join("node_modules/.installed");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(node);
    }
    println!("The browser tests need packages from npm. Installing them:");
    let mut ci = program(npm);
    ci.current_dir(&folder)
        .args(["ci", "--prefer-offline", "--no-audit", "--no-fund"]);
    install(&mut ci, Duration::from_secs(600))?;
    fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))?;
    Ok(node)
}

/// Node.js, 20 or newer.
pub fn node() -> Result<PathBuf> {
    let node = find(&["node", "nodejs"])
        .ok_or("Node.js is not on the PATH; install version 20 or newer (https://nodejs.org)")?;
    let version = ask(Command::new(&node).arg("--version")).unwrap_or_default();
    let major = version
        .trim_start_matches('v')
        .split('.')
        .next()
        .and_then(|major| major.parse::<u32>().ok());
    if major.is_some_and(|major| major >= 20) {
        return Ok(node);
    }
    Err(format!(
        "{} is Node.js {version}; version 20 or newer is needed (https://nodejs.org)",
        node.display()
    ))
}

/// Installs Debian packages, as root or with a sudo that needs no password.
///
/// It never removes a package: Debian's compiler for the web conflicts with its ordinary one.
pub fn apt_install(packages: &[&str]) -> Result<()> {
    let manual = format!("sudo apt-get install {}", packages.join(" "));
    if find(&["apt-get"]).is_none() {
        return Err(format!(
            "apt-get is not on this system, so this was not tried: {manual}"
        ));
    }
    let root = ask(Command::new("id").arg("-u")).as_deref() == Some("0");
    if !root && ask(Command::new("sudo").args(["-n", "true"])).is_none() {
        return Err(format!("needs an administrator: {manual}"));
    }
    let apt = |arguments: &[&str], limit| {
        let mut command = if root {
            program("apt-get")
        } else {
            program("sudo")
        };
        if !root {
            command.args(["-n", "apt-get"]);
        }
        command
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["-q", "-o", "DPkg::Lock::Timeout=120"])
            .args(arguments);
        install(&mut command, Duration::from_secs(limit))
    };
    let mut install = vec!["install", "--yes", "--no-install-recommends", "--no-remove"];
    install.extend(packages);
    // The package lists may be missing or old. Updating them takes time, so try without first.
    apt(&install, 1200).or_else(|_| apt(&["update"], 300).and_then(|()| apt(&install, 1200)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_minor_version_is_read_from_rustc() {
        assert_eq!(
            minor_version("rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)"),
            Some(96)
        );
        assert_eq!(minor_version("rustc 1.63.0"), Some(63));
        assert_eq!(minor_version("clang 1.0"), None);
        assert!(wanted_version().is_some());
    }
}
