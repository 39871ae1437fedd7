//! Models of full size, with the published configurations and random weights, against diffusers: on the CPU, and on a GPU
//! adapter in f32 and in f16. Minutes and gigabytes each, so none of it runs unless asked for: `cargo xtask test --full`,
//! which makes the models first (`tests/golden/full/generate.py`), or `cargo xtask test --full sd15::cpu` for one.

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::sync::Mutex;
use std::time::Instant;

use burn::tensor::{DType, Tensor, TensorData};
use darkroom::device::memory::MemoryPlan;
use darkroom::device::memory::tiling::VaeTiling;
use darkroom::device::read;
use darkroom::pipeline::decode::Decoding;
use darkroom::text::tokenizer::LongPrompt;
use darkroom::vae::tile_layout::TileLayout;
use darkroom::weights::source::locate;
use darkroom::{LoadOptions, Pipeline, Precision, PredictionSetting, Request, Runtime};
use pollster::block_on;
use serde::Deserialize;
use support::adapter::{AdapterRequest, gpu};
use support::{Tensors, channels_first, channels_last, four, read_json, relative_error, say};

/// The largest relative errors allowed, by element type.
fn limit(dtype: DType) -> f64 {
    match dtype {
        DType::F16 => 1e-2,
        _ => 1e-4,
    }
}

/// How far memory may lie from the plan: weights, and everything; see `tests/memory.rs`.
const WEIGHTS: f64 = 0.02;
const ALL: f64 = 0.05;

/// Largest side of the latents of a guided step on a software adapter.
const SOFTWARE_SIDE: usize = 32;

/// Tests named `<model>::<what>`; `cargo xtask test --full` makes the models that the tests it runs are named after.
macro_rules! model {
    ($module:ident, $name:literal $(, $single:ident)?) => {
        mod $module {
            use super::*;

            #[test]
            #[ignore = "5 GB and a minute or more: cargo xtask test --full"]
            fn cpu() {
                alone(concat!(stringify!($module), "::cpu"), || compare($name, None));
            }

            #[test]
            #[ignore = "5 GB and minutes to half an hour on a software adapter: cargo xtask test --full"]
            fn gpu_f32() {
                alone(concat!(stringify!($module), "::gpu_f32"), || {
                    compare($name, Some(Precision::F32));
                });
            }

            #[test]
            #[ignore = "3 GB and half an hour on a software adapter: cargo xtask test --full"]
            fn gpu_f16() {
                alone(concat!(stringify!($module), "::gpu_f16"), || {
                    compare($name, Some(Precision::F16));
                });
            }

            $(
                #[test]
                #[ignore = "loads 2 GB twice: cargo xtask test --full"]
                fn $single() {
                    let test = concat!(stringify!($module), "::", stringify!($single));
                    alone(test, || same_as_folder($name));
                }
            )?
        }
    };
}

model!(sd15, "sd15", single_file);
model!(sd21, "sd21", single_file);
model!(sd21_base, "sd21-base");

/// Runs a test in a process of its own, one at a time: its memory is then given back, and no two are there at once.
fn alone(test: &str, body: impl FnOnce()) {
    const CHILD: &str = "DARKROOM_FULL_SIZE_TEST";
    if std::env::var(CHILD).is_ok_and(|asked| asked == test) {
        return body();
    }
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock();
    let status = Command::new(std::env::current_exe().expect("this program"))
        .args(["--ignored", "--exact", test, "--nocapture"])
        .env(CHILD, test)
        .status()
        .expect("this program once more");
    assert!(status.success(), "{test}: {status}; its output is above");
}

/// The folder of a model and of its expected values.
fn folder(name: &str) -> PathBuf {
    let models = std::env::var_os("DARKROOM_FULL_MODELS").expect(
        "DARKROOM_FULL_MODELS is not set: these tests are run by `cargo xtask test --full`, which makes the models",
    );
    let folder = Path::new(&models).join(name);
    assert!(folder.is_dir(), "{} is missing", folder.display());
    folder
}

#[derive(Deserialize)]
struct Expected {
    prompts: Vec<String>,
    embeddings: String,
    predictions: Vec<Step>,
    decodes: Vec<Decode>,
    tiled: Vec<Decode>,
}

#[derive(Deserialize)]
struct Step {
    timestep: f64,
    latent: String,
    tensor: String,
}

#[derive(Deserialize)]
struct Decode {
    /// Side of the tiles; absent: whole.
    tile: Option<usize>,
    latent: String,
    tensor: String,
}

/// Number and bytes of the tensors in the files of a model folder that a picture needs.
fn needed(model: &Path) -> (usize, u64) {
    let mut sum = (0, 0);
    for (part, file) in [
        ("text_encoder", "model"),
        ("unet", "diffusion_pytorch_model"),
        ("vae", "diffusion_pytorch_model"),
    ] {
        for (name, size) in tensors_in(&model.join(part).join(format!("{file}.safetensors"))) {
            let decoder = name.starts_with("decoder.") || name.starts_with("post_quant_conv.");
            if part != "vae" || decoder {
                sum = (sum.0 + 1, sum.1 + size);
            }
        }
    }
    sum
}

/// Names and bytes of a safetensors file's tensors, by its header alone.
fn tensors_in(path: &Path) -> BTreeMap<String, u64> {
    use std::io::Read;
    let header = || {
        let mut file = std::fs::File::open(path)?;
        let mut length = [0; 8];
        file.read_exact(&mut length)?;
        let mut header = vec![0; u64::from_le_bytes(length) as usize];
        file.read_exact(&mut header)?;
        Ok::<_, std::io::Error>(header)
    };
    let header = header().unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut header: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&header).expect("a header");
    header.remove("__metadata__");
    header
        .into_iter()
        .map(|(name, tensor)| {
            let offset = |i: usize| tensor["data_offsets"][i].as_u64().expect("an offset");
            (name, offset(1) - offset(0))
        })
        .collect()
}

/// A table of what was compared, and what was wrong.
struct Report {
    runtime: Runtime,
    since: Instant,
    failures: Vec<String>,
}

impl Report {
    fn new(name: &str, runtime: &Runtime) -> Self {
        say(format_args!(
            "\n{name} on {}, {:?}\n{:34}{:>11}{:>9}{:>12}{:>12}",
            runtime.name, runtime.dtype, "", "error", "seconds", "MB in use", "MB reserved"
        ));
        Report {
            runtime: runtime.clone(),
            since: Instant::now(),
            failures: Vec::new(),
        }
    }

    fn row(&mut self, what: &str, error: Option<f64>) {
        let seconds = self.since.elapsed().as_secs_f64();
        let memory = self.runtime.memory().map_or(String::new(), |memory| {
            let mb = |bytes: u64| bytes as f64 / 1e6;
            format!("{:12.1}{:12.1}", mb(memory.in_use), mb(memory.reserved))
        });
        let shown = error.map_or(String::new(), |error| format!("{error:.2e}"));
        say(format_args!("{what:34}{shown:>11}{seconds:9.1}{memory}"));
        let limit = limit(self.runtime.dtype);
        if let Some(error) = error.filter(|error| *error >= limit) {
            let failure = format!("{what}: relative error {error:.2e}, allowed {limit:.0e}");
            self.failures.push(failure);
        }
        self.since = Instant::now();
    }

    fn check(&mut self, holds: bool, failure: String) {
        if !holds {
            self.failures.push(failure);
        }
    }
}

/// Loads the model and compares everything that was written down of it.
fn compare(name: &str, precision: Option<Precision>) {
    let folder = folder(name);
    let runtime = match precision {
        None => Runtime::cpu(Precision::F32, false).expect("the CPU"),
        Some(precision) => {
            let required = AdapterRequest {
                precision,
                buffer_limit: None,
            };
            let what = format!("{name} of full size on a GPU adapter");
            gpu(&what, required).expect("asked for, so DARKROOM_NO_GPU_TESTS must not be set")
        }
    };
    let expected: Expected = read_json(&folder.join("expected.json"));
    let tensors = Tensors::read(&folder.join("expected.safetensors"));
    let mut report = Report::new(name, &runtime);
    let begun = Instant::now();

    let model = folder.join("model");
    let mut planned: Option<MemoryPlan> = None;
    let pipeline = load(&model, &runtime, &mut |plan| planned = Some(*plan));
    let planned = planned.expect("a plan");
    report.row("load", None);
    let (count, bytes) = needed(&model);
    report.check(
        planned.tensors == count && pipeline.weight_bytes() == bytes,
        format!(
            "{} tensors of {} bytes were loaded; the files have {count} of {bytes}",
            planned.tensors,
            pipeline.weight_bytes()
        ),
    );
    let plan = pipeline.memory_plan(512, 512);
    say(format_args!(
        "{count} tensors, {bytes} bytes of files; plan: {plan}"
    ));
    if let Some(memory) = runtime.memory() {
        let off = memory.in_use as f64 / plan.weights as f64 - 1.0;
        report.check(
            off.abs() < WEIGHTS,
            format!(
                "weights take {} bytes, planned {}",
                memory.in_use, plan.weights
            ),
        );
    }

    let chunks: Vec<_> = expected
        .prompts
        .iter()
        .flat_map(|prompt| {
            let tokens = pipeline.tokenizer().encode(prompt, LongPrompt::Truncate);
            tokens.unwrap_or_else(|e| panic!("{prompt}: {e}")).chunks
        })
        .collect();
    let prompts = pipeline
        .text_encoder()
        .forward(&chunks, &runtime.device, runtime.dtype)
        .expect("the prompts' embeddings");
    let got = block_on(read(prompts.clone())).expect("the embeddings");
    let error = relative_error(&got, &tensors.f32(&expected.embeddings).1);
    report.row("text encoder", Some(error));

    // What a picture of 512×512 does, and with it what the plan speaks of; the rest comes after. A software adapter would
    // take ten minutes for each of the larger steps, and more for another decoding: it has the small step instead.
    let small = |step: &Step| tensors.f32(&step.latent).0[2] <= SOFTWARE_SIDE;
    let (steps, left_out): (Vec<_>, Vec<_>) = expected
        .predictions
        .iter()
        .partition(|step| !runtime.software || small(step));
    let (first, further) = steps.split_first().expect("a prediction");
    compare_step(&pipeline, &prompts, first, &tensors, &mut report);
    // Where the picture does not fit whole, it is decoded as `VaeTiling::Auto` would, if the model has values for that: on
    // lavapipe in f32, whose buffers end at 128 MiB.
    let side = |each: &Decode| tensors.f32(&each.latent).0[2..].to_vec();
    let in_tiles = |each: &&Decode| plan.tiled && each.tile < Some(64) && side(each) == [64, 64];
    let decodes: Vec<_> = if plan.tiled {
        expected.tiled.iter().filter(in_tiles).collect()
    } else {
        expected.decodes.iter().collect()
    };
    for each in &decodes {
        compare_decode(&pipeline, each, &tensors, &mut report);
    }
    if decodes.is_empty() {
        say(
            "left out: 512×512 does not fit this adapter's buffers whole; sd15 is decoded in tiles",
        );
    } else if let Some(memory) = runtime.memory() {
        let ratio = memory.reserved as f64 / plan.total as f64;
        say(format_args!(
            "memory: {} MB reserved, {} MB planned, {:.1} % off",
            memory.reserved / 1_000_000,
            plan.total / 1_000_000,
            100.0 * (ratio - 1.0)
        ));
        report.check(
            (1.0 - ALL..1.0 + ALL).contains(&ratio),
            format!("{} bytes reserved, planned {}", memory.reserved, plan.total),
        );
    }
    for each in further {
        compare_step(&pipeline, &prompts, each, &tensors, &mut report);
    }
    if runtime.software {
        say(format_args!(
            "left out on a software adapter: {} larger steps, further decodings in tiles",
            left_out.len(),
        ));
    } else {
        for each in expected.tiled.iter().filter(|each| !in_tiles(each)) {
            compare_decode(&pipeline, each, &tensors, &mut report);
        }
    }
    say(format_args!(
        "{name} on {}: {:.0} s in all",
        runtime.name,
        begun.elapsed().as_secs_f64()
    ));
    assert!(report.failures.is_empty(), "{}", report.failures.join("\n"));
}

fn load(path: &Path, runtime: &Runtime, planned: &mut dyn FnMut(&MemoryPlan)) -> Rc<Pipeline> {
    let path = path.to_str().expect("a path in UTF-8");
    let source = locate::open(path, None).unwrap_or_else(|e| panic!("{e}"));
    let options = LoadOptions {
        on_plan: Box::new(planned),
        ..LoadOptions::default()
    };
    let loading = Pipeline::load(&*source, runtime, options);
    block_on(loading).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn compare_step(
    pipeline: &Pipeline,
    prompts: &Tensor<3>,
    step: &Step,
    tensors: &Tensors,
    report: &mut Report,
) {
    let runtime = pipeline.runtime();
    let (shape, latent) = tensors.f32(&step.latent);
    let [_, channels, height, width] = four(shape);
    let latent = channels_last(&latent, four(shape)).repeat(2);
    let data = TensorData::new(latent, [2, height, width, channels]);
    let latent = Tensor::<4>::from_data(data, (&runtime.device, DType::F32)).cast(runtime.dtype);
    let prediction = pipeline.unet().forward(latent, step.timestep, prompts);
    let shape = prediction.dims();
    let got = block_on(read(prediction)).expect("a prediction");
    let expected = tensors.f32(&step.tensor).1;
    let error = relative_error(&channels_first(&got, shape), &expected);
    report.row(
        &format!("guided step, {width}×{height} latents"),
        Some(error),
    );
}

fn compare_decode(pipeline: &Pipeline, each: &Decode, tensors: &Tensors, report: &mut Report) {
    let decoding = Decoding {
        vae: pipeline.vae(),
        config: &pipeline.config().vae,
        runtime: pipeline.runtime(),
        dtype: pipeline.runtime().dtype,
    };
    let (shape, latent) = tensors.f32(&each.latent);
    let size = [shape[2], shape[3]];
    let latent = channels_last(&latent, four(shape));
    let (picture, how) = block_on(async {
        match each.tile {
            None => {
                let result = decoding.decode(&latent, size, VaeTiling::Never).await;
                (result.map(|(picture, _)| picture), String::new())
            }
            Some(side) => {
                let tiling = TileLayout::new(side, decoding.config);
                let result = decoding.in_tiles(&latent, size, tiling).await;
                (result, format!(" in tiles of {}", 8 * side))
            }
        }
    });
    let picture = picture.expect("a picture");
    let (shape, expected) = tensors.f32(&each.tensor);
    let [n, c, h, w] = four(shape);
    let error = relative_error(&channels_first(&picture, [n, h, w, c]), &expected);
    report.row(&format!("decode {w}×{h}{how}"), Some(error));
}

/// The single file in the original naming and the folder give the same latents, bit by bit.
fn same_as_folder(name: &str) {
    let folder = folder(name);
    let runtime = Runtime::cpu(Precision::F32, false).expect("the CPU");
    let v = name == "sd21";
    let run = |path: &Path, prediction: PredictionSetting| {
        let source = locate::open(path.to_str().expect("a path in UTF-8"), None)
            .unwrap_or_else(|e| panic!("{e}"));
        let options = LoadOptions {
            prediction,
            ..LoadOptions::default()
        };
        block_on(async {
            let pipeline = Pipeline::load(&*source, &runtime, options).await?;
            let request = Request {
                prompt: "Portrait photo of a man".into(),
                negative_prompt: "mustache".into(),
                seed: 7,
                steps: 2,
                width: Some(128),
                height: Some(64),
                ..Request::default()
            };
            let mut generation = pipeline.start(&request).await?;
            while !generation.is_done() {
                generation.step().await?;
            }
            let rgba = generation.finish().await?.rgba;
            Ok::<_, darkroom::Error>((generation.latent().to_vec(), rgba))
        })
        .unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    };
    let begun = Instant::now();
    let from_folder = run(&folder.join("model"), PredictionSetting::Auto);
    let prediction = if v {
        PredictionSetting::V
    } else {
        PredictionSetting::Auto
    };
    let from_file = run(&folder.join("checkpoint.safetensors"), prediction);
    assert!(from_folder.0.iter().all(|value| value.is_finite()));
    assert!(
        from_folder == from_file,
        "{name}: latents of folder and file differ by {:.1e}",
        relative_error(&from_file.0, &from_folder.0)
    );
    say(format_args!(
        "{name}: folder and single file give the same {} latent values and the same picture; {:.0} s",
        from_file.0.len(),
        begun.elapsed().as_secs_f64()
    ));
}
