//! The demo model from nothing: the Python programs of `training/`, one after the other. Each takes up what it left in the
//! build cache when it was interrupted, and does nothing where it is done.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::args::Args;
use crate::command::{ask, program, run};
use crate::{Result, paths, python};

/// A program of `training/` and what it takes.
struct Stage {
    name: &'static str,
    makes: &'static str,
    /// Minutes on two CPU cores with AMX and nothing else to do, measured; but the U-Net's and the detector's by their
    /// seconds a step.
    minutes: u32,
    /// Seconds on one H200 with 16 CPU cores, for the larger amounts that are the default there: reckoned from the milliseconds
    /// of a step, for the whole chain has not run there at once.
    gpu_seconds: u32,
    /// The option of `cargo xtask train` that says how many steps.
    steps: Option<&'static str>,
}

const STAGES: [Stage; 7] = [
    stage("draw", "drawings and their attributes", 1, 10, None),
    stage("vae", "the autoencoder", 20, 150, Some("--vae-steps")),
    stage("text", "tokenizer and text encoder", 2, 30, None),
    stage("unet", "latents, then the U-Net", 115, 210, Some("--steps")),
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

pub fn command(mut args: Args) -> Result<()> {
    let only = args.option("--only")?;
    let from = args.option("--from")?;
    let ship = args.flag("--ship");
    let mut steps = Vec::new();
    for option in STAGES.iter().filter_map(|stage| stage.steps) {
        if let Some(value) = args.option(option)? {
            value
                .parse::<u32>()
                .map_err(|_| format!("{option} {value}: not a number of steps"))?;
            steps.push((option, value));
        }
    }
    let plan = args.flag("--plan");
    args.end()?;
    let chosen = chosen(only.as_deref())?;

    let folder = paths::root().join("training");
    let cache = cache()?;
    announce(&chosen, python::installed()?, &cache);
    if plan {
        return Ok(());
    }
    let python = python::ready()?;
    fs::create_dir_all(&cache).map_err(|error| format!("{}: {error}", cache.display()))?;
    let training = |name: &str| {
        let mut command = program(&python);
        command
            .current_dir(&folder)
            .env("DARKROOM_TRAINING", &cache)
            .arg(name);
        command
    };
    if let Some(model) = from {
        let model = fs::canonicalize(&model).map_err(|error| format!("{model}: {error}"))?;
        run(training("resume.py").arg(model))?;
    }
    for stage in chosen {
        if stage.name == "draw" && cache.join("attributes.json").is_file() {
            println!("{} is there.", stage.makes);
            continue;
        }
        let mut command = training(&format!("{}.py", stage.name));
        if let Some((_, value)) = steps
            .iter()
            .find(|(option, _)| Some(*option) == stage.steps)
        {
            command.arg("--steps").arg(value);
        }
        if ship && stage.name == "export" {
            command.arg("--ship");
        }
        run(&mut command)?;
    }
    Ok(())
}

/// The stages that `--only` names, in the order they are to run; without it all.
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
            "there is no stage {unknown:?}; there are {}",
            known.join(", ")
        ));
    }
    let wanted = STAGES.iter().filter(|stage| names.contains(&stage.name));
    Ok(wanted.collect())
}

/// Where checkpoints and data are kept.
fn cache() -> Result<PathBuf> {
    match std::env::var_os("DARKROOM_TRAINING").filter(|value| !value.is_empty()) {
        Some(folder) => Ok(folder.into()),
        None => Ok(paths::cache()?.join("training")),
    }
}

/// Says what the run will take.
fn announce(chosen: &[&Stage], python: Option<PathBuf>, cache: &std::path::Path) {
    let gpu = match &python {
        Some(python) => ask(Command::new(python).args([
            "-c",
            "import torch; print(torch.cuda.get_device_name() if torch.cuda.is_available() else '')",
        ])),
        // PyTorch, whose word it is, is to be installed yet.
        None => ask(Command::new("nvidia-smi").args(["--query-gpu=name", "--format=csv,noheader"])),
    }
    .and_then(|names| names.lines().next().map(str::to_owned));
    match &gpu {
        Some(name) => println!("On {name}. On an H200 the stages should take about:"),
        None => println!(
            "On two CPU cores with AMX, undisturbed and from nothing, the stages take about (without AMX vae and unet up to twice as long):"
        ),
    }
    if python.is_none() {
        println!(
            "  first           PyTorch, diffusers and what they need are installed: up to 6 GB"
        );
    }
    for stage in chosen {
        let time = match gpu {
            Some(_) => format!("{:>4} s", stage.gpu_seconds),
            None => format!("{:>4} min", stage.minutes),
        };
        println!("  {:<9}{time}  {}", stage.name, stage.makes);
    }
    println!(
        "Memory: 4 GB. Disk: 2.5 GB (4 GB beside a GPU) in {}, where every stage goes on after an interruption.",
        cache.display()
    );
}

#[cfg(test)]
mod tests {
    use super::{STAGES, chosen};

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
}
