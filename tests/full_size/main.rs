//! Models of full size, with the published configurations and random weights, against diffusers: on
//! the CPU, and on a GPU adapter in f32 and in f16. Each takes minutes and gigabytes, so
//! `cargo test` ignores them. `cargo xtask test --full` makes the models
//! (`tests/golden/full/generate.py`) and runs them; `cargo xtask test --full sd15::cpu` runs one.

#[path = "../support/mod.rs"]
mod support;

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
use support::generate::{generate, load_as};
use support::gpu::Gpu;
use support::safetensors::{Tensors, read_header};
use support::{channels_first, channels_last, cpu, four, read_json, relative_error, say};

/// The largest relative errors allowed, by element type.
fn limit(dtype: DType) -> f64 {
    match dtype {
        DType::F16 => 1e-2,
        _ => 1e-4,
    }
}

/// Relative deviation of memory from the plan: weights, and everything; see `tests/gpu/memory.rs`.
const WEIGHTS: f64 = 0.02;
const ALL: f64 = 0.05;

/// Largest side of the latents of a guided step on a software adapter.
const SOFTWARE_SIDE: usize = 32;

/// Tests with the name `<model>::<device>`. `cargo xtask test --full` makes the models of the tests
/// that it runs.
macro_rules! model {
    ($module:ident, $name:literal $(, $single:ident)?) => {
        mod $module {
            use super::*;

            #[test]
            #[ignore = "5 GB; a minute or more: cargo xtask test --full"]
            fn cpu() {
                alone(concat!(stringify!($module), "::cpu"), || compare($name, None));
            }

            #[test]
            #[ignore = "5 GB; half an hour on a software adapter: cargo xtask test --full"]
            fn gpu_f32() {
                alone(concat!(stringify!($module), "::gpu_f32"), || {
                    compare($name, Some(Precision::F32));
                });
            }

            #[test]
            #[ignore = "3 GB; half an hour on a software adapter: cargo xtask test --full"]
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

/// Runs a test in a process of its own, one at a time: its memory is then freed, and no two models
/// are in memory.
fn alone(test: &str, body: impl FnOnce()) {
    const CHILD: &str = "DARKROOM_FULL_SIZE_TEST";
    if std::env::var(CHILD).is_ok_and(|running| running == test) {
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

/// The folder with a model and its expected values.
fn folder(name: &str) -> PathBuf {
    let models = std::env::var_os("DARKROOM_FULL_MODELS")
        .expect("DARKROOM_FULL_MODELS is not set: `cargo xtask test --full` makes the models");
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
    /// Side of the tiles; absent for a whole picture.
    tile: Option<usize>,
    latent: String,
    tensor: String,
}

/// Number and bytes of the tensors of a model folder that a picture requires.
fn required(model: &Path) -> (usize, u64) {
    let mut sum = (0, 0);
    for (part, file) in [
        ("text_encoder", "model"),
        ("unet", "diffusion_pytorch_model"),
        ("vae", "diffusion_pytorch_model"),
    ] {
        for (name, tensor) in read_header(&model.join(part).join(format!("{file}.safetensors"))) {
            if name == "__metadata__" {
                continue;
            }
            let offset = |i: usize| tensor["data_offsets"][i].as_u64().expect("an offset");
            let size = offset(1) - offset(0);
            let decoder = name.starts_with("decoder.") || name.starts_with("post_quant_conv.");
            if part != "vae" || decoder {
                sum = (sum.0 + 1, sum.1 + size);
            }
        }
    }
    sum
}

/// A table of the comparisons, and the failures.
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

/// Loads the model and compares all of its expected values.
fn compare(name: &str, precision: Option<Precision>) {
    let folder = folder(name);
    let gpu = precision.map(|precision| {
        let gpu = Gpu::new(&format!("{name} of full size on a GPU adapter"));
        let gpu = gpu.expect("asked for, so DARKROOM_NO_GPU_TESTS must not be set");
        (gpu.runtime(precision), gpu)
    });
    let runtime = gpu
        .as_ref()
        .map_or_else(cpu, |(runtime, _)| runtime.clone());
    let expected: Expected = read_json(&folder.join("expected.json"));
    let tensors = Tensors::read(&folder.join("expected.safetensors"));
    let mut report = Report::new(name, &runtime);
    let begun = Instant::now();
    let pipeline = compare_weights(&folder.join("model"), &mut report);
    let prompts = compare_text_encoder(&pipeline, &expected, &tensors, &mut report);

    // First the steps and the decoding of a picture of 512×512, which the plan is for. A software
    // adapter would take ten minutes for each of the larger steps, and more for another decoding,
    // so it makes only the small step.
    let small = |step: &Step| tensors.f32(&step.latent).0[2] <= SOFTWARE_SIDE;
    let (steps, left_out): (Vec<_>, Vec<_>) = expected
        .predictions
        .iter()
        .partition(|step| !runtime.software || small(step));
    let (first, further) = steps.split_first().expect("a prediction");
    compare_step(&pipeline, &prompts, first, &tensors, &mut report);
    let plan = pipeline.memory_plan(512, 512);
    // Where the picture does not fit whole, it is decoded as `VaeTiling::Auto` would, if there are
    // values for that: on lavapipe in f32, which has buffers of at most 128 MiB.
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
    match decodes.is_empty() {
        true => say(
            "left out: 512×512 does not fit this adapter's buffers whole; sd15 is decoded in tiles",
        ),
        false => check_memory(&plan, &mut report),
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

/// Loads the model and checks the number and the bytes of its tensors.
fn compare_weights(model: &Path, report: &mut Report) -> Rc<Pipeline> {
    let runtime = report.runtime.clone();
    let mut planned: Option<MemoryPlan> = None;
    let pipeline = load(model, &runtime, &mut |plan| planned = Some(*plan));
    let planned = planned.expect("a plan");
    report.row("load", None);
    let (count, bytes) = required(model);
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
    pipeline
}

fn compare_text_encoder(
    pipeline: &Pipeline,
    expected: &Expected,
    tensors: &Tensors,
    report: &mut Report,
) -> Tensor<3> {
    let runtime = pipeline.runtime();
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
    prompts
}

/// Compares the memory after a picture with the plan.
fn check_memory(plan: &MemoryPlan, report: &mut Report) {
    let Some(memory) = report.runtime.memory() else {
        return;
    };
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

/// Asserts that the single file in the original naming and the folder give the same latents, bit by
/// bit.
fn same_as_folder(name: &str) {
    let folder = folder(name);
    let runtime = cpu();
    let run = |path: &Path, prediction: PredictionSetting| {
        let source = locate::open(path.to_str().expect("a path in UTF-8"), None)
            .unwrap_or_else(|e| panic!("{e}"));
        let pipeline = load_as(&*source, &runtime, prediction);
        let request = Request {
            prompt: "Portrait photo of a man".into(),
            negative_prompt: "mustache".into(),
            seed: 7,
            steps: 2,
            width: Some(128),
            height: Some(64),
            ..Request::default()
        };
        let generated = generate(&pipeline, &request);
        (generated.latent, generated.picture.rgba)
    };
    let begun = Instant::now();
    let from_folder = run(&folder.join("model"), PredictionSetting::Auto);
    let prediction = match name {
        "sd21" => PredictionSetting::V,
        _ => PredictionSetting::Auto,
    };
    let from_file = run(&folder.join("checkpoint.safetensors"), prediction);
    assert!(from_folder.0.iter().all(|value| value.is_finite()));
    assert!(
        from_folder == from_file,
        "{name}: latents of folder and file differ by {:.1e}",
        relative_error(&from_file.0, &from_folder.0)
    );
    say(format_args!(
        "{name}: folder and single file give the same {} latent values and picture; {:.0} s",
        from_file.0.len(),
        begun.elapsed().as_secs_f64()
    ));
}
