//! The command `darkroom`: the same engine without a browser.
//!
//! Exit code 0: done; 1: something failed; 2: the request was impossible.

mod ablate;
mod additions;
mod args;
mod batch;
mod canvas;
mod generate;
mod grid;
mod guidance;
mod models;
mod output;
mod progress_bar;
mod prompt;
mod series;
mod study;
mod tuning_cache;

use std::process::ExitCode;

use clap::Parser;
use darkroom::error::printable;

use args::{Cli, Command};

/// Makes one picture, or those of an ablation or a grid.
async fn run_generate(args: &args::Generate) -> darkroom::Result<()> {
    match (args.study.ablate, &args.study.grid) {
        (Some(seeds), _) => ablate::ablate(args, seeds).await,
        (_, Some(arg)) => grid::grid(args, arg).await,
        _ => generate::generate(args).await,
    }
}

fn main() -> ExitCode {
    let logger =
        env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("off")).build();
    // Without a logger the device's errors would be lost; see `DeviceLog`.
    let _ = log::set_boxed_logger(Box::new(darkroom::device::DeviceLog(logger)));
    log::set_max_level(log::LevelFilter::Warn);
    let done = match Cli::parse().command {
        Command::Generate(args) => pollster::block_on(run_generate(&args)),
        Command::Models(args) => pollster::block_on(models::models(&args)),
        Command::Prompt(args) => pollster::block_on(prompt::prompt(&args)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", printable(&error));
            ExitCode::from(if error.is_usage() { 2 } else { 1 })
        }
    }
}
