//! The project's commands. Each does its own set-up: what is missing is installed where that can be done without asking,
//! and otherwise named with the exact command that installs it.
//!
//! ```text
//! serve, dist ─→ wasm::build ─→ setup::wasm_toolchain     crate/ → www/pkg/
//! test ─→ stages: format, clippy, native, wasm, types, browser   (test.rs lists them)
//! test --full ─→ full::models ─→ python::ready             tests/golden/full/ → the cache
//! golden ─→ python::ready                                  tests/golden/**/generate.py
//! train ─→ python::ready                                   training/*.py → the cache, www/models/portraits
//! bench ─→ all of these                                    tests/browser/bench/
//! ```

mod args;
mod bench;
mod checkout;
mod command;
mod dist;
mod full;
mod golden;
mod paths;
mod python;
mod serve;
mod setup;
mod stages;
mod test;
mod train;
mod wasm;

use std::process::ExitCode;

use args::Args;

/// Errors here are read by a person at a terminal, and by nobody else: a sentence is enough.
type Result<T> = std::result::Result<T, String>;

const HELP: &str = "\
cargo xtask COMMAND

  serve [--port 8000] [--host 127.0.0.1]   build and serve the page
        [--no-build] [--root www]          … what is already built, or another folder
  build                                    the engine as WebAssembly: crate/ → www/pkg/
  test [--full] [--only STAGE,…] [FILTER]  everything that is checked; FILTER chooses tests by name;
                                           --full adds the tests marked #[ignore], which take long (with a
                                           FILTER: these alone)
  golden [FILTER]                          compute the reference values of the tests anew (Python, PyTorch)
  bench [--json FILE] [PART…]              how fast it is, beside others; PART is cpu, gpu (in the browser, against
                                           onnxruntime-web), picture (in the browser), native, kernels (one by one) or growth
                                           (with the size of the picture); default all these
        stock                              … beside Burn's own operations in the browser (builds a second engine)
        --models FOLDER full growth        … and models of full size, from the folders in FOLDER
  train [--plan] [--only STAGE,…]          train the demo model from nothing, or go on (Python, PyTorch); --plan only says
        [--vae-steps N] [--steps N]        what it will take; STAGE is draw, vae, text, unet, detector, export, evaluate
        [--from FOLDER] [--ship]           … going on from a model; … and put it in www/models/portraits
  dist                                     dist/: the page as a static folder, and as an npm package
  setup                                    only install what the others need, and say what was found
  help                                     this text

Builds are kept in $XDG_CACHE_HOME/darkroom (~/.cache/darkroom), outside the checkout. To run cargo by hand on the same
build, set CARGO_TARGET_DIR to the path that `cargo xtask build` prints.
Environment: CHROMIUM (the browser for the tests), DARKROOM_WASM_TOOLCHAIN=rustup|debian (default: what is there).";

fn main() -> ExitCode {
    let mut args = Args::from_env();
    let command = args.word().unwrap_or_else(|| "help".into());
    let outcome = match command.as_str() {
        "serve" => serve::command(args),
        "build" => wasm::command(args),
        "test" => test::command(args),
        "golden" => golden::command(args),
        "bench" => bench::command(args),
        "dist" => dist::command(args),
        "train" => train::command(args),
        "setup" => setup::command(args),
        "help" | "--help" | "-h" => {
            println!("{HELP}");
            Ok(())
        }
        other => Err(format!("there is no command {other:?}\n\n{HELP}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}
