//! The project's commands.
//!
//! Each command does its own set-up. It installs missing parts where that needs no permission;
//! otherwise its error names the exact command that installs them.
//!
//! ```text
//! serve, dist ─→ wasm::build ─→ setup::wasm_toolchain   crate/ → www/pkg/
//! test ─→ one function per stage, listed in test/mod.rs
//! test --full ─→ full::models ─→ python::ready           tests/golden/full/ → the cache
//! check ─→ check::findings, architecture::findings       text only, no build
//! golden ─→ python::ready                                tests/golden/**/generate.py
//! train ─→ python::ready                                 training/*.py → the cache, www/models
//! bench ─→ all of these                                  tests/browser/bench/
//! release ─→ dist ─→ licenses::collect                   the .crate file and the npm package
//! ```

mod architecture;
mod bench;
mod check;
mod checkout;
mod command;
mod dist;
mod full;
mod golden;
mod lex;
mod licenses;
mod paths;
mod python;
mod release;
mod report;
mod serve;
mod setup;
mod test;
mod train;
mod wasm;

use std::ffi::OsString;
use std::process::ExitCode;

use lexopt::prelude::*;

/// Errors of xtask are read by a person at a terminal only, so a sentence is enough.
type Result<T> = std::result::Result<T, String>;

const HELP: &str = "\
cargo xtask COMMAND

  serve [--port 8000] [--host 127.0.0.1]  build and serve the page
        [--no-build]                      serve the last build
        [--root FOLDER]                   serve another folder than www
        [--allow-host NAME]               accept requests under this host name, too
  build                                   the engine as WebAssembly: crate/ → www/pkg/
  test                                    every check of the project
        [--quick]                         only format, lint, types and host tests (no GPU)
        [--full]                          also the tests marked #[ignore], which take long
                                          (with a FILTER: only these)
        [--only STAGE,…]                  only these stages
        [FILTER]                          only the tests with FILTER in their name
  check                                   rules for text, sizes, links and imports; no build
  golden [FILTER]                         recompute the tests' reference values (Python, PyTorch)
  bench [--json FILE] [PART…]             measure speed; PART is one or more of:
                                          cpu      in the browser, against onnxruntime-web
                                          gpu      in the browser, against onnxruntime-web
                                          picture  in the browser
                                          native   the command line, against PyTorch
                                          kernels  single kernels, against Burn's
                                          growth   with the size of the picture
        stock                             against Burn's own operations (builds a second engine)
        --models FOLDER full growth       models of full size, from the folders in FOLDER
  train [--plan]                          train the demo model, or resume (Python, PyTorch);
                                          --plan only prints time, memory and disk space
        [--only STAGE,…]                  STAGE is draw, vae, text, unet, detector, export or
                                          evaluate
        [--vae-steps N] [--steps N]       other numbers of training steps
        [--from FOLDER]                   start from this model
        [--ship]                          put the result into www/models/portraits
  dist                                    dist/: the page for a static host; dist-npm/: the package
        [--no-build]                      with the last build of the engine
        [--address URL]                   where it will be, for links to the page and its picture
  release --dry-run                       pack the crate and the npm package, and check both
  setup                                   install what the other commands need, and list it
  help                                    this text

Builds are kept in $XDG_CACHE_HOME/darkroom (~/.cache/darkroom), outside the checkout. To run cargo
by hand on the same build, set CARGO_TARGET_DIR to the path that `cargo xtask build` prints.
Environment: CHROMIUM and FIREFOX (the browsers for the tests),
DARKROOM_WASM_TOOLCHAIN=rustup|debian (default: the installed one).";

fn main() -> ExitCode {
    match dispatch(std::env::args_os().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask {message}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(words: Vec<OsString>) -> Result<()> {
    let mut parser = lexopt::Parser::from_args(words.clone());
    let name = command_name(&mut parser)?;
    let asks_help = words.iter().any(|word| word == "--help" || word == "-h");
    let command = match name.as_str() {
        _ if asks_help => help,
        "serve" => serve::command,
        "build" => wasm::command,
        "test" => test::command,
        "check" => check::command,
        "golden" => golden::command,
        "bench" => bench::command,
        "train" => train::command,
        "dist" => dist::command,
        "release" => release::command,
        "setup" => setup::command,
        "help" => help,
        _ => return Err(format!("{name}: no such command; see cargo xtask help")),
    };
    command(parser).map_err(|error| format!("{name}: {error}"))
}

/// Reads the first word. Options belong to a command and follow it: before it, nothing tells if
/// the next word is an option's value or the command.
fn command_name(parser: &mut lexopt::Parser) -> Result<String> {
    let misplaced = |option: String| {
        format!("{option}: the command comes first, as in cargo xtask serve --port 81")
    };
    match parser.next().map_err(|error| error.to_string())? {
        None | Some(Long("help") | Short('h')) => Ok("help".into()),
        Some(Value(name)) => Ok(name.to_string_lossy().into_owned()),
        Some(Long(option)) => Err(misplaced(format!("--{option}"))),
        Some(Short(option)) => Err(misplaced(format!("-{option}"))),
    }
}

fn help(_: lexopt::Parser) -> Result<()> {
    println!("{HELP}");
    Ok(())
}

/// Refuses every argument, for the commands that take none.
fn no_arguments(mut parser: lexopt::Parser) -> Result<()> {
    match parser.next() {
        Ok(None) => Ok(()),
        Ok(Some(argument)) => Err(argument.unexpected().to_string()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(line: &str) -> String {
        let words = line.split_whitespace().map(OsString::from).collect();
        dispatch(words).expect_err(line)
    }

    #[test]
    fn an_option_before_the_command_is_named_with_the_remedy() {
        assert_eq!(
            error("--port 81 serve"),
            "--port: the command comes first, as in cargo xtask serve --port 81"
        );
        assert!(error("-p 81").starts_with("-p: the command comes first"));
    }

    #[test]
    fn an_unknown_option_is_named_with_its_command() {
        for command in [
            "serve", "build", "test", "check", "golden", "bench", "train", "dist", "release",
            "setup",
        ] {
            assert_eq!(
                error(&format!("{command} --prot 81")),
                format!("{command}: invalid option '--prot'")
            );
        }
        assert!(error("polish").starts_with("polish: no such command"));
        assert_eq!(error("build twice"), "build: unexpected argument \"twice\"");
    }

    #[test]
    fn help_names_every_command_and_option_within_100_columns() {
        for word in [
            "serve",
            "build",
            "test",
            "check",
            "golden",
            "bench",
            "train",
            "dist",
            "release",
            "setup",
            "--quick",
            "--full",
            "--only",
            "--allow-host",
            "--dry-run",
        ] {
            assert!(HELP.contains(word), "{word}");
        }
        assert!(HELP.lines().all(|line| line.chars().count() <= 100));
    }
}
