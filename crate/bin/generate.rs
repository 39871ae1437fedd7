//! `darkroom generate`: loads a model, makes a picture, writes it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use darkroom::device::Precision;
use darkroom::device::tuning::{ChosenBy, ChosenTiling, choose};
use darkroom::error::printable;
use darkroom::pipeline::warmup::Launches;
use darkroom::weights::load::LoadProgress;
use darkroom::weights::source::hub::{HubEvent, OnHubEvent};
use darkroom::weights::source::locate;
use darkroom::{Generation, LoadOptions, Picture, Pipeline, Request, Result, Runtime};

use crate::additions::{Additions, embeddings, loras};
use crate::args::{DeviceChoice, Generate};
use crate::guidance::guidance;
use crate::output::{Outputs, latents_file, png};
use crate::progress_bar::ProgressBar;
use crate::tuning_cache;

/// Seconds that each part took.
#[derive(Default, serde::Serialize)]
struct Seconds {
    load: f64,
    encode: f64,
    sample: f64,
    decode: f64,
}

/// A finished run, for the report.
struct Finished {
    pipeline: Rc<Pipeline>,
    request: Request,
    generation: Generation,
    picture: Picture,
    kernel_tiling: Option<ChosenTiling>,
    seconds: Seconds,
    /// Warnings of the device, the model and the request, each once.
    warnings: Vec<String>,
}

/// Makes the picture that `args` ask for.
///
/// # Errors
/// Those of the engine; [`darkroom::Error::File`] where an output cannot be written.
pub async fn generate(args: &Generate) -> Result<()> {
    let bar = Rc::new(ProgressBar::default());
    let mut seconds = Seconds::default();
    let begin = Instant::now();
    let outputs = Outputs::check(&args.out, args.latents_out.as_deref(), args.json)?;
    // The model's location first: a typing error there should not cost the set-up of a GPU.
    let notices = Rc::new(RefCell::new(Vec::new()));
    let source = locate::open_with(
        &args.model,
        args.vocab.as_deref(),
        on_hub_event(bar.clone(), notices.clone()),
    )?;
    let on_event = || on_hub_event(bar.clone(), notices.clone());
    let additions = Additions::open(args, &on_event).await?;
    let mut warnings = notices.take();
    warnings.extend(additions.warnings);
    let precision = args.dtype.into();
    let mut runtime = open_device(args.device, precision, args.stock, &mut warnings).await?;
    eprintln!("running on {}", runtime.name);
    let kernel_tiling = choose_kernel_tiling(args, &mut runtime).await?;
    let options = LoadOptions {
        prediction: args.prediction,
        size: [args.width, args.height],
        vae: additions.vae.as_deref(),
        loras: additions.loras,
        on_plan: Box::new(|plan| eprintln!("{plan}")),
        on_progress: Box::new(|p| bar.show(&loading_text(p))),
    };
    let mut pipeline = Pipeline::load(&*source, &runtime, options).await?;
    pipeline.set_embeddings(&additions.words)?;
    seconds.load = begin.elapsed().as_secs_f64();
    warnings.extend_from_slice(pipeline.warnings());
    bar.warn(&warnings);

    let request = args.request(&pipeline.info()?);
    let begin = Instant::now();
    let mut generation = pipeline.start(&request).await?;
    check_room(&outputs, &generation, &pipeline)?;
    seconds.encode = begin.elapsed().as_secs_f64();
    bar.warn(generation.warnings());
    let shown = generation.warnings().len();

    seconds.sample = sample(&mut generation, &bar).await?;
    // The latent is worth more than the picture: write it before decoding can fail.
    if let Some(latents) = &outputs.latents {
        latents.write(&latents_file(&generation, latents.shown())?)?;
    }
    let begin = Instant::now();
    let picture = generation.finish().await?;
    seconds.decode = begin.elapsed().as_secs_f64();
    // Steps and decoding may have added warnings.
    bar.warn(&generation.warnings()[shown..]);
    warnings.extend_from_slice(generation.warnings());
    bar.end();
    let out = &outputs.picture;
    out.write(&png(&picture, out.shown())?)?;
    eprintln!(
        "{}: {}×{}, {:.1} s",
        printable(out.shown()),
        picture.width,
        picture.height,
        seconds.encode + seconds.sample + seconds.decode
    );
    let finished = Finished {
        pipeline,
        request,
        generation,
        picture,
        kernel_tiling,
        seconds,
        warnings,
    };
    if args.json {
        println!("{}", report(args, &finished)?);
    }
    Ok(())
}

/// Makes all steps, and shows the time that is left. Returns the seconds that they took.
async fn sample(generation: &mut Generation, bar: &ProgressBar) -> Result<f64> {
    let begin = Instant::now();
    while !generation.is_done() {
        let p = generation.step().await?;
        let left = begin.elapsed().as_secs_f64() / p.call as f64 * (p.calls - p.call) as f64;
        bar.show(&format!("step {} of {}, {left:.0} s left", p.call, p.calls));
    }
    Ok(begin.elapsed().as_secs_f64())
}

/// Checks that the disk has room for what the run will write.
fn check_room(outputs: &Outputs, generation: &Generation, pipeline: &Pipeline) -> Result<()> {
    let [channels, height, width] = generation.latent_shape();
    let unit = pipeline.config().pixels_per_latent();
    outputs.check_room(width * unit, height * unit, channels * height * width)
}

/// Shows downloads on `bar`, and adds to `notices` what the user should know.
pub fn on_hub_event(bar: Rc<ProgressBar>, notices: Rc<RefCell<Vec<String>>>) -> OnHubEvent {
    Box::new(move |event| match event {
        HubEvent::Download { path, done, total } => bar.show(&format!(
            "downloading {path} {:.0} of {:.0} MB",
            done as f64 / 1e6,
            total as f64 / 1e6
        )),
        HubEvent::Offline { model, reason } => notices.borrow_mut().push(format!(
            "{model} is read from the cache, as the hub gave no list of files: {reason}"
        )),
    })
}

fn loading_text(progress: LoadProgress<'_>) -> String {
    format!(
        "loading {} {:.0} of {:.0} MB",
        progress.part,
        progress.done as f64 / 1e6,
        progress.total as f64 / 1e6
    )
}

/// The result as JSON.
fn report(args: &Generate, run: &Finished) -> Result<serde_json::Value> {
    let runtime = run.pipeline.runtime();
    let (width, height) = (run.picture.width, run.picture.height);
    Ok(serde_json::json!({
        "out": args.out,
        "seed": run.request.seed,
        "sampler": run.generation.sampler().name(),
        "schedule": run.generation.schedule().name(),
        "steps": run.request.steps,
        "calls": run.generation.calls(),
        "guidance_scale": run.request.guidance_scale,
        "guidance": guidance(&run.request, &run.generation),
        "clip_skip": run.generation.clip_skip(),
        "prompt_syntax": run.request.prompt_syntax.to_string(),
        "emphasis": run.request.emphasis.to_string(),
        "prediction_type": run.pipeline.info()?.prediction_type,
        "loras": loras(&run.pipeline),
        "embeddings": embeddings(&run.pipeline),
        "width": width,
        "height": height,
        "adapter": runtime.name,
        "kernel_tiling": run.kernel_tiling,
        "dtype": format!("{:?}", runtime.dtype).to_lowercase(),
        "launches": launches(&run.pipeline, [height, width])?,
        "memory": {
            "plan": run.pipeline.memory_plan(width, height),
            "measured": runtime.memory(),
        },
        "seconds": run.seconds,
        "warnings": run.warnings,
    }))
}

/// Opens the requested device. `auto` takes a real GPU; a software adapter only imitates one, and
/// the CPU path is many times faster.
pub async fn open_device(
    device: DeviceChoice,
    precision: Precision,
    stock: bool,
    warnings: &mut Vec<String>,
) -> Result<Runtime> {
    match device {
        DeviceChoice::Cpu => Runtime::cpu(precision, stock),
        DeviceChoice::Gpu => Runtime::gpu(precision, stock).await,
        DeviceChoice::Auto => match Runtime::gpu(precision, stock).await {
            Ok(gpu) if !gpu.software => match gpu.self_test().await {
                Ok(()) => Ok(gpu),
                Err(error) => {
                    warnings.push(format!("{error}; running on the CPU instead"));
                    Runtime::cpu(precision, stock)
                }
            },
            _ => Runtime::cpu(precision, stock),
        },
    }
}

/// Chooses the tiling of GPU kernels, and caches what was measured.
async fn choose_kernel_tiling(
    args: &Generate,
    runtime: &mut Runtime,
) -> Result<Option<ChosenTiling>> {
    let adapter = format!("{} {:?}", runtime.name, runtime.dtype);
    let cached = tuning_cache::get(&adapter);
    let chosen = choose(runtime, &args.kernel_tiling, cached.as_deref()).await?;
    let measured = |chosen: &&ChosenTiling| chosen.chosen_by == ChosenBy::Measured;
    if let Some(chosen) = chosen.as_ref().filter(measured) {
        for timing in &chosen.timings {
            eprintln!("tiling {}: {:.1} ms", timing.tiling, 1e3 * timing.seconds);
        }
        tuning_cache::put(&adapter, chosen.tiling);
    }
    Ok(chosen)
}

/// Numbers of GPU launches for a guided picture of `size`, height and width: before the first step,
/// in a step, and after the last one; and the number of different kernels. `None` on the CPU.
fn launches(pipeline: &Pipeline, size: [usize; 2]) -> Result<Option<serde_json::Value>> {
    let runtime = pipeline.runtime();
    let Some(dry_run) = runtime.ops.dry_run(&runtime.device) else {
        return Ok(None);
    };
    let launches = Launches::new(pipeline.config(), runtime, &dry_run, size)?;
    Ok(Some(serde_json::json!({
        "start": launches.start.len(),
        "step": launches.step.len(),
        "finish": launches.finish.len(),
        "pipelines": launches.kernels().len(),
    })))
}
