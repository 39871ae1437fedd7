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
use crate::batch::{Files, files};
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

/// A picture that was written.
struct Made {
    files: Files,
    request: Request,
}

/// A finished run, for the report.
struct Finished {
    pipeline: Rc<Pipeline>,
    /// The pictures, at least one.
    made: Vec<Made>,
    /// The last one, with its memory on the device.
    last: Option<(Generation, Picture)>,
    kernel_tiling: Option<ChosenTiling>,
    seconds: Seconds,
    /// Warnings of the device, the model and the requests, each once.
    warnings: Vec<String>,
}

/// Makes the pictures that `args` ask for.
///
/// # Errors
/// Those of the engine; [`darkroom::Error::File`] where an output cannot be written.
pub async fn generate(args: &Generate) -> Result<()> {
    let bar = Rc::new(ProgressBar::default());
    let mut seconds = Seconds::default();
    let begin = Instant::now();
    let files = files(args)?;
    args.study.make_folders()?;
    let Loaded {
        pipeline,
        kernel_tiling,
        warnings,
    } = load(args, &bar).await?;
    seconds.load = begin.elapsed().as_secs_f64();

    let request = args.request(&pipeline.info()?);
    let mut run = Finished {
        pipeline,
        made: Vec::new(),
        last: None,
        kernel_tiling,
        seconds,
        warnings,
    };
    let count = files.len();
    for (index, files) in (0..).zip(files) {
        let title = match count {
            1 => String::new(),
            _ => format!("picture {} of {count}, ", index + 1),
        };
        run.make(request.numbered(index), files, args, (&bar, &title))
            .await?;
    }
    bar.end();
    if args.json {
        println!("{}", report(&run)?);
    }
    Ok(())
}

/// A model on its device.
pub struct Loaded {
    pub pipeline: Rc<Pipeline>,
    kernel_tiling: Option<ChosenTiling>,
    /// Warnings of the device and the model, which were shown.
    warnings: Vec<String>,
}

/// Loads the model that `args` name, with its additions, on the device that they name.
///
/// # Errors
/// Those of the engine and of the places.
pub async fn load(args: &Generate, bar: &Rc<ProgressBar>) -> Result<Loaded> {
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
    warnings.extend_from_slice(pipeline.warnings());
    bar.warn(&warnings);
    Ok(Loaded {
        pipeline,
        kernel_tiling,
        warnings,
    })
}

impl Finished {
    /// Makes the picture of `request` and writes its `files`, and what `args` ask to record.
    /// `title` begins the text of the progress bar.
    async fn make(
        &mut self,
        request: Request,
        files: Files,
        args: &Generate,
        (bar, title): (&ProgressBar, &str),
    ) -> Result<()> {
        let outputs = &files.outputs;
        self.last = None;
        let start = Instant::now();
        let mut generation = self.pipeline.start(&request).await?;
        if args.study.is_recorded() {
            generation.record();
        }
        check_room(outputs, &generation, &self.pipeline)?;
        let encoded = Instant::now();
        self.warn(generation.warnings(), bar);

        sample(&mut generation, bar, title).await?;
        let sampled = Instant::now();
        // The latent is worth more than the picture: write it before decoding can fail.
        if let Some(latents) = &outputs.latents {
            latents.write(&latents_file(&generation, latents.shown())?)?;
        }
        let decoding = Instant::now();
        let picture = generation.finish().await?;
        let decoded = decoding.elapsed();
        // Steps and decoding may have added warnings.
        self.warn(generation.warnings(), bar);
        bar.end();
        let out = &outputs.picture;
        out.write(&png(&picture, out.shown())?)?;
        args.study.write(&mut generation, &picture, bar).await?;
        bar.end();
        let [encode, sample] = [encoded - start, sampled - encoded];
        eprintln!(
            "{}: {}×{}, {:.1} s",
            printable(out.shown()),
            picture.width,
            picture.height,
            (encode + sample + decoded).as_secs_f64()
        );
        self.seconds.encode += encode.as_secs_f64();
        self.seconds.sample += sample.as_secs_f64();
        self.seconds.decode += decoded.as_secs_f64();
        self.made.push(Made { files, request });
        self.last = Some((generation, picture));
        Ok(())
    }

    /// Shows the warnings that no picture before had, and keeps them for the report.
    fn warn(&mut self, warnings: &[String], bar: &ProgressBar) {
        let known = |warning: &&String| !self.warnings.contains(warning);
        let new: Vec<String> = warnings.iter().filter(known).cloned().collect();
        bar.warn(&new);
        self.warnings.extend(new);
    }
}

/// Makes all steps, and shows the time that is left. `title` begins the text.
async fn sample(generation: &mut Generation, bar: &ProgressBar, title: &str) -> Result<()> {
    let begin = Instant::now();
    while !generation.is_done() {
        let p = generation.step().await?;
        let left = begin.elapsed().as_secs_f64() / p.call as f64 * (p.calls - p.call) as f64;
        let step = format!("{title}step {} of {}, {left:.0} s left", p.call, p.calls);
        bar.show(&step);
    }
    Ok(())
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
fn report(run: &Finished) -> Result<serde_json::Value> {
    let runtime = run.pipeline.runtime();
    let Made { files, request } = &run.made[0];
    let Some((generation, picture)) = &run.last else {
        return Ok(serde_json::Value::Null);
    };
    let (width, height) = (picture.width, picture.height);
    let pictures = run.made.iter().map(|made| {
        serde_json::json!({
            "out": made.files.out,
            "latents_out": made.files.latents_out,
            "seed": made.request.seed,
            "variation_seed": made.request.variation_seed,
        })
    });
    Ok(serde_json::json!({
        "out": files.out,
        "seed": request.seed,
        "sampler": generation.sampler().name(),
        "schedule": generation.schedule().name(),
        "steps": request.steps,
        "calls": generation.calls(),
        "guidance_scale": request.guidance_scale,
        "guidance": guidance(request, generation),
        "clip_skip": generation.clip_skip(),
        "prompt_syntax": request.prompt_syntax.to_string(),
        "rng": request.rng.to_string(),
        "variation_seed": request.variation_seed,
        "variation_strength": request.variation_strength,
        "ensd": request.ensd,
        "eta": generation.eta(),
        "emphasis": request.emphasis.to_string(),
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
        "pictures": pictures.collect::<Vec<_>>(),
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
