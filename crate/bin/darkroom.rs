//! The command line: the same engine without a browser.
//!
//! Exit code 0: a picture was written; 1: something failed; 2: the request was impossible.

mod remembered;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::{Args, Parser, Subcommand, ValueEnum};
use darkroom::kernels::Sketch;
use darkroom::memory::Plan;
use darkroom::sampling::{Rng, SamplerKind};
use darkroom::text::tokenizer::LongPrompt;
use darkroom::tuning::{Choice, How, Wish, choose};
use darkroom::vae::decode::Tiles;
use darkroom::weights::load::LoadProgress;
use darkroom::weights::place;
use darkroom::{
    Error, Generation, Picture, Pipeline, Precision, Prediction, Request, Result, Runtime,
};

#[derive(Parser)]
#[command(version, about = "Stable Diffusion with negative prompts")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a picture
    Generate(Box<Generate>),
}

#[derive(Args)]
struct Generate {
    /// A folder in diffusers' layout, a .safetensors checkpoint, the http(s) address of either, or a name on Hugging
    /// Face: owner/name or owner/name@revision
    #[arg(long)]
    model: String,
    /// What the model's U-Net predicts: epsilon, v, or auto, where the model decides
    #[arg(long, default_value_t)]
    prediction: Prediction,
    /// Folder with vocab.json and merges.txt for a .safetensors checkpoint [default: CLIP's, built in]
    #[arg(long)]
    vocab: Option<PathBuf>,
    /// What the picture should show
    #[arg(long, default_value = "")]
    prompt: String,
    /// What the picture should not show
    #[arg(long, default_value = "")]
    negative_prompt: String,
    /// Seed of the noise
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    seed: u64,
    /// Sampling steps
    #[arg(long, default_value_t = 20, allow_negative_numbers = true)]
    steps: usize,
    /// Guidance scale; at 1 the negative prompt has no effect
    #[arg(long, default_value_t = 7.5, allow_negative_numbers = true)]
    guidance: f64,
    /// euler, euler-a, ddim, pndm, dpm++2m, dpm++2m-karras or unipc [default: the model's own]
    #[arg(long)]
    sampler: Option<SamplerKind>,
    /// Width in pixels, a multiple of 8 [default: the model's own]
    #[arg(long, allow_negative_numbers = true)]
    width: Option<usize>,
    /// Height in pixels, a multiple of 8 [default: the model's own]
    #[arg(long, allow_negative_numbers = true)]
    height: Option<usize>,
    /// Source of the noise: torch (as torch.randn on a CPU) or philox (as on a CUDA GPU)
    #[arg(long, default_value = "torch")]
    rng: Rng,
    /// What runs it
    #[arg(long, value_enum, default_value_t)]
    device: DeviceChoice,
    /// Element type of weights and activations
    #[arg(long, value_enum, default_value_t)]
    dtype: Dtype,
    /// How a GPU's kernels divide their work: auto (measured once for each adapter), measure (anew), or one of registers,
    /// 32x32, 64x64, 64x64-crowded and 128x128
    #[arg(long, default_value_t)]
    tiles: Wish,
    /// What to do with prompts of more than 75 tokens: chunk or truncate
    #[arg(long, default_value = "chunk")]
    long_prompt: LongPrompt,
    /// Whether the picture is decoded in tiles: auto (where it does not fit in memory), always or never
    #[arg(long, default_value_t)]
    vae_tiles: Tiles,
    /// Where to write the picture (PNG)
    #[arg(long)]
    out: PathBuf,
    /// Where to write the final latent (safetensors, f32, [1, 4, h/8, w/8])
    #[arg(long)]
    latents_out: Option<PathBuf>,
    /// Print the result as JSON on standard output
    #[arg(long)]
    json: bool,
    /// Use Burn's own operations instead of ours, for comparison
    #[arg(long)]
    stock: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum DeviceChoice {
    /// A GPU where there is a real one, else the CPU
    #[default]
    Auto,
    Gpu,
    Cpu,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Dtype {
    #[default]
    Auto,
    F32,
    F16,
}

fn main() -> ExitCode {
    let logger =
        env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("off")).build();
    // Without a logger the device's errors would pass unseen; see `DeviceLog`.
    let _ = log::set_boxed_logger(Box::new(darkroom::device::DeviceLog(logger)));
    log::set_max_level(log::LevelFilter::Warn);
    let Command::Generate(args) = Cli::parse().command;
    match pollster::block_on(generate(&args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(if error.is_usage() { 2 } else { 1 })
        }
    }
}

async fn generate(args: &Generate) -> Result<()> {
    let begin = Instant::now();
    let mut warnings = Vec::new();
    // The folder first: a typing error there should not cost the set-up of a GPU.
    let source = place::open(&args.model, args.vocab.as_deref())?;
    let mut runtime = runtime(args, &mut warnings).await?;
    eprintln!("running on {}", runtime.name);
    let tiles = tiles(args, &mut runtime).await?;
    let mut bar = Bar::default();
    let mut planned = |plan: &Plan| eprintln!("{plan}");
    let mut loading = |p: LoadProgress<'_>| {
        bar.show(&format!(
            "loading {} {:.0} of {:.0} MB",
            p.part,
            p.done as f64 / 1e6,
            p.total as f64 / 1e6
        ));
    };
    let pipeline = Pipeline::load_planned(
        &*source,
        args.prediction,
        &runtime,
        &mut planned,
        &mut loading,
    )
    .await?;
    let load = begin.elapsed().as_secs_f64();
    warnings.extend_from_slice(pipeline.warnings());

    let request = Request {
        prompt: args.prompt.clone(),
        negative_prompt: args.negative_prompt.clone(),
        seed: args.seed,
        steps: args.steps,
        guidance_scale: args.guidance,
        sampler: args.sampler,
        width: args.width,
        height: args.height,
        rng: args.rng,
        long_prompt: args.long_prompt,
        tiles: args.vae_tiles,
    };
    let begin = Instant::now();
    let mut generation = pipeline.start(&request).await?;
    let encode = begin.elapsed().as_secs_f64();
    warnings.extend_from_slice(generation.warnings());
    let mut shown = 0;
    let mut show = |bar: &mut Bar, warnings: &[String]| {
        for warning in &warnings[shown..] {
            bar.end();
            eprintln!("warning: {warning}");
        }
        shown = warnings.len();
    };
    show(&mut bar, &warnings);
    let before = warnings.len() - generation.warnings().len();

    let begin = Instant::now();
    while !generation.is_done() {
        let p = generation.step().await?;
        let left = begin.elapsed().as_secs_f64() / p.call as f64 * (p.calls - p.call) as f64;
        bar.show(&format!("step {} of {}, {left:.0} s left", p.call, p.calls));
    }
    let sample = begin.elapsed().as_secs_f64();
    // The latent is worth more than the picture: write it before decoding can fail.
    if let Some(path) = &args.latents_out {
        write(path, &latents_file(&generation))?;
    }
    let begin = Instant::now();
    let known = generation.warnings().len();
    let picture = generation.finish().await?;
    // Steps and the decoding may have added some.
    warnings.splice(before.., generation.warnings().iter().cloned());
    show(&mut bar, &warnings);
    let decode = begin.elapsed().as_secs_f64();
    bar.end();
    for warning in &generation.warnings()[known..] {
        eprintln!("warning: {warning}");
        warnings.push(warning.clone());
    }
    write(&args.out, &png(&picture, &args.out)?)?;
    eprintln!(
        "{}: {}×{}, {:.1} s",
        args.out.display(),
        picture.width,
        picture.height,
        encode + sample + decode
    );
    if args.json {
        let result = serde_json::json!({
            "out": args.out,
            "seed": request.seed,
            "sampler": generation.sampler().name(),
            "steps": request.steps,
            "calls": generation.calls(),
            "guidance_scale": request.guidance_scale,
            "prediction_type": pipeline.info()?.prediction_type,
            "width": picture.width,
            "height": picture.height,
            "adapter": runtime.name,
            "tiles": tiles,
            "dtype": format!("{:?}", runtime.dtype).to_lowercase(),
            "launches": launches(&pipeline, [picture.height, picture.width])?,
            "memory": { "plan": pipeline.plan(picture.width, picture.height), "measured": runtime.memory() },
            "seconds": { "load": load, "encode": encode, "sample": sample, "decode": decode },
            "warnings": warnings,
        });
        println!("{result}");
    }
    Ok(())
}

/// The device asked for, or the better one. A software adapter only imitates a GPU: the CPU path is many times faster.
async fn runtime(args: &Generate, warnings: &mut Vec<String>) -> Result<Runtime> {
    let precision = match args.dtype {
        Dtype::Auto => Precision::Auto,
        Dtype::F32 => Precision::F32,
        Dtype::F16 => Precision::F16,
    };
    match args.device {
        DeviceChoice::Cpu => Runtime::cpu(precision, args.stock),
        DeviceChoice::Gpu => Runtime::gpu(precision, args.stock).await,
        DeviceChoice::Auto => match Runtime::gpu(precision, args.stock).await {
            Ok(gpu) if !gpu.software => match gpu.self_test().await {
                Ok(()) => Ok(gpu),
                Err(error) => {
                    warnings.push(format!("{error}; running on the CPU instead"));
                    Runtime::cpu(precision, args.stock)
                }
            },
            _ => Runtime::cpu(precision, args.stock),
        },
    }
}

/// Chooses how the kernels divide their work; what was measured is remembered for the next time.
async fn tiles(args: &Generate, runtime: &mut Runtime) -> Result<Option<Choice>> {
    let adapter = format!("{} {:?}", runtime.name, runtime.dtype);
    let choice = choose(runtime, &args.tiles, remembered::tiles(&adapter).as_deref()).await?;
    if let Some(choice) = choice.as_ref().filter(|choice| choice.how == How::Measured) {
        for timing in &choice.timings {
            eprintln!("tiles {}: {:.1} ms", timing.preset, 1e3 * timing.seconds);
        }
        remembered::remember(&adapter, choice.preset);
    }
    Ok(choice)
}

/// What a guided picture of `size`, height and width, asks of a GPU with kernels of ours: launches before the first step, in a
/// step and after the last one, and how many different kernels they are.
fn launches(pipeline: &Pipeline, size: [usize; 2]) -> Result<Option<serde_json::Value>> {
    let runtime = pipeline.runtime();
    let Some(paper) = runtime.ops.paper(&runtime.device) else {
        return Ok(None);
    };
    let sketch = Sketch::new(pipeline.config(), runtime, &paper, size)?;
    Ok(Some(serde_json::json!({
        "start": sketch.start.len(),
        "step": sketch.step.len(),
        "finish": sketch.finish.len(),
        "pipelines": sketch.kernels().len(),
    })))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes).map_err(|e| Error::file(path.display(), e))
}

/// The final latent as a safetensors file with the one tensor `latents`, as diffusers returns it.
fn latents_file(generation: &Generation) -> Vec<u8> {
    let [channels, height, width] = generation.latent_shape();
    let latent = generation.latent();
    let header = serde_json::json!({
        "latents": {
            "dtype": "F32",
            "shape": [1, channels, height, width],
            "data_offsets": [0, 4 * latent.len()],
        }
    })
    .to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.into_bytes());
    bytes.extend(latent.iter().flat_map(|v| v.to_le_bytes()));
    bytes
}

fn png(picture: &Picture, path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, picture.width as u32, picture.height as u32);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    encoder
        .write_header()
        .and_then(|mut writer| writer.write_image_data(&picture.rgba))
        .map_err(|e| Error::file(path.display(), e))?;
    Ok(bytes)
}

/// One line on standard error that is written over; in a file, one line for each different text.
#[derive(Default)]
struct Bar {
    shown: String,
}

impl Bar {
    fn show(&mut self, text: &str) {
        if self.shown == text {
            return;
        }
        if std::io::stderr().is_terminal() {
            eprint!("\r\x1b[K{text}");
            let _ = std::io::stderr().flush();
        } else {
            eprintln!("{text}");
        }
        self.shown = text.to_string();
    }

    fn end(&mut self) {
        if !std::mem::take(&mut self.shown).is_empty() && std::io::stderr().is_terminal() {
            eprintln!();
        }
    }
}
