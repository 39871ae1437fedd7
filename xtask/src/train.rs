//! `cargo xtask train`: trains the demo model with the Python programs of `training/`.
//!
//! The programs run one after another. Each resumes from its files in the build cache after an
//! interruption, and does nothing once it is finished.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use lexopt::prelude::*;

use crate::command::{ask, program, run};
use crate::{Result, paths, python};

/// A program of `training/`, with its time.
struct Stage {
    name: &'static str,
    makes: &'static str,
    /// Minutes on two idle CPU cores with AMX. Measured, except for the U-Net and the detector:
    /// these are computed from their seconds per step.
    minutes: u32,
    /// Seconds on one H200 with 16 CPU cores, for the larger amounts that are the default there.
    /// Computed from the milliseconds per step: the whole chain has not run there at once.
    gpu_seconds: u32,
    /// The option of `cargo xtask train` for the number of steps.
    steps: Option<&'static str>,
}

const STAGES: [Stage; 7] = [
    stage("draw", "drawings and their attributes", 1, 10, None),
    stage("vae", "the autoencoder", 20, 150, Some("vae-steps")),
    stage("text", "tokenizer and text encoder", 2, 30, None),
    stage("unet", "latents, then the U-Net", 115, 210, Some("steps")),
    stage("detector", "the network that counts", 8, 40, None),
    stage("export", "a diffusers folder in fp16", 1, 15, None),
    stage("evaluate", "pictures, sheets and figures", 13, 60, None),
];

const fn stage(
    name: &'static str,
    makes: &'static str,
    minutes: u32,
    gpu_seconds: u32,
    steps: Option<&'static str>,
) -> Stage {
    Stage {
        name,
        makes,
        minutes,
        gpu_seconds,
        steps,
    }
}

#[derive(Default)]
struct Options {
    only: Option<String>,
    /// Folder of the model to start from.
    from: Option<PathBuf>,
    ship: bool,
    plan: bool,
    /// Options of stages, and their numbers of steps.
    steps: Vec<(&'static str, u32)>,
}

impl Options {
    fn parse(mut parser: lexopt::Parser) -> std::result::Result<Self, lexopt::Error> {
        let mut options = Self::default();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("only") => options.only = Some(parser.value()?.string()?),
                Long("from") => options.from = Some(parser.value()?.into()),
                Long("ship") => options.ship = true,
                Long("plan") => options.plan = true,
                Long(name) => match STAGES.iter().find_map(|stage| stage.steps_option(name)) {
                    Some(option) => options.steps.push((option, parser.value()?.parse()?)),
                    None => return Err(argument.unexpected()),
                },
                other => return Err(other.unexpected()),
            }
        }
        Ok(options)
    }

    /// The requested number of steps of a stage.
    fn steps_of(&self, stage: &Stage) -> Option<u32> {
        let mut steps = self.steps.iter();
        let (_, steps) = steps.find(|(option, _)| Some(*option) == stage.steps)?;
        Some(*steps)
    }
}

impl Stage {
    /// This stage's option, if it is called `name`.
    fn steps_option(&self, name: &str) -> Option<&'static str> {
        self.steps.filter(|option| *option == name)
    }
}

pub fn command(parser: lexopt::Parser) -> Result<()> {
    let options = Options::parse(parser).map_err(|error| error.to_string())?;
    let chosen = chosen(options.only.as_deref())?;
    let cache = cache()?;
    announce(&chosen, python::installed()?, &cache);
    if options.plan {
        return Ok(());
    }
    let python = python::ready()?;
    fs::create_dir_all(&cache).map_err(|error| format!("{}: {error}", cache.display()))?;
    let training = |name: &str| {
        let mut command = program(&python);
        command
            .current_dir(paths::root().join("training"))
            .env("DARKROOM_TRAINING", &cache)
            .arg(name);
        command
    };
    if let Some(model) = &options.from {
        let model =
            fs::canonicalize(model).map_err(|error| format!("{}: {error}", model.display()))?;
        run(training("resume.py").arg(model))?;
    }
    for stage in chosen {
        if stage.name == "draw" && cache.join("attributes.json").is_file() {
            println!("{} exist.", stage.makes);
            continue;
        }
        let mut command = training(&format!("{}.py", stage.name));
        if let Some(steps) = options.steps_of(stage) {
            command.arg("--steps").arg(steps.to_string());
        }
        if options.ship && stage.name == "export" {
            command.arg("--ship");
        }
        run(&mut command)?;
    }
    Ok(())
}

/// The stages that `--only` names, in the order in which they run. Without it, all stages.
fn chosen(only: Option<&str>) -> Result<Vec<&'static Stage>> {
    let Some(only) = only else {
        return Ok(STAGES.iter().collect());
    };
    let names: Vec<&str> = only.split(',').collect();
    if let Some(unknown) = names
        .iter()
        .find(|name| STAGES.iter().all(|stage| stage.name != **name))
    {
        let known: Vec<&str> = STAGES.iter().map(|stage| stage.name).collect();
        return Err(format!(
            "no stage {unknown:?}; the stages are {}",
            known.join(", ")
        ));
    }
    let wanted = STAGES.iter().filter(|stage| names.contains(&stage.name));
    Ok(wanted.collect())
}

/// Folder of checkpoints and data.
fn cache() -> Result<PathBuf> {
    match std::env::var_os("DARKROOM_TRAINING").filter(|value| !value.is_empty()) {
        Some(folder) => Ok(folder.into()),
        None => Ok(paths::cache()?.join("training")),
    }
}

/// Program for Python that prints the name of the GPU, or an empty line.
const GPU_NAME: &str =
    "import torch; print(torch.cuda.get_device_name() if torch.cuda.is_available() else '')";

/// Prints the time, memory and disk space of the run.
fn announce(chosen: &[&Stage], python: Option<PathBuf>, cache: &std::path::Path) {
    let gpu = match &python {
        Some(python) => ask(Command::new(python).args(["-c", GPU_NAME])),
        // Only PyTorch knows which GPU it can use, but it is not installed yet.
        None => ask(Command::new("nvidia-smi").args(["--query-gpu=name", "--format=csv,noheader"])),
    }
    .and_then(|names| names.lines().next().map(str::to_owned));
    match &gpu {
        Some(name) => println!("On {name}. On an H200 the stages should take about:"),
        None => println!(
            "On two idle CPU cores with AMX the stages take about \
             (without AMX, vae and unet take up to twice as long):"
        ),
    }
    if python.is_none() {
        println!("  first           install PyTorch, diffusers and their dependencies: up to 6 GB");
    }
    for stage in chosen {
        let time = match gpu {
            Some(_) => format!("{:>4} s", stage.gpu_seconds),
            None => format!("{:>4} min", stage.minutes),
        };
        println!("  {:<9}{time}  {}", stage.name, stage.makes);
    }
    println!(
        "Memory: 4 GB. Disk: 2.5 GB (4 GB with a GPU) in {}, from where every stage resumes after \
         an interruption.",
        cache.display()
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(only: Option<&str>) -> Vec<&'static str> {
        chosen(only)
            .map(|stages| stages.iter().map(|stage| stage.name).collect())
            .unwrap_or_default()
    }

    #[test]
    fn stages_run_in_their_own_order() {
        assert_eq!(names(None).len(), STAGES.len());
        assert_eq!(names(Some("export,vae")), ["vae", "export"]);
        assert!(chosen(Some("vea")).is_err());
    }

    #[test]
    fn every_stage_has_its_program() {
        for stage in &STAGES {
            let program = crate::paths::root()
                .join("training")
                .join(format!("{}.py", stage.name));
            assert!(program.is_file(), "{}", program.display());
        }
    }

    #[test]
    fn steps_belong_to_the_stage_with_that_option() {
        let words = ["--vae-steps", "30", "--steps=70", "--plan"];
        let options = Options::parse(lexopt::Parser::from_args(words)).unwrap();
        let steps =
            |name| options.steps_of(STAGES.iter().find(|stage| stage.name == name).unwrap());
        assert_eq!(
            (steps("vae"), steps("unet"), steps("text")),
            (Some(30), Some(70), None)
        );
        assert!(options.plan && !options.ship);
        for words in [&["--steps", "many"][..], &["--text-steps", "3"], &["vae"]] {
            assert!(
                Options::parse(lexopt::Parser::from_args(words)).is_err(),
                "{words:?}"
            );
        }
    }
}
