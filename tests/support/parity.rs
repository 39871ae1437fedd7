//! Tiny models of the SD1 and SD2 kinds against diffusers, on the CPU and on a GPU adapter: every model, every sampler.
//!
//! The models and the expected values are made by `tests/golden/models/generate.py`, which says what they cover. Where a
//! generation goes wrong, the stages (text embedding, one U-Net call, one decoding) say in which network.

mod support;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Instant;

use burn::tensor::{DType, Tensor, TensorData};
use darkroom::device::{DeviceLog, read};
use darkroom::ops::Gpu;
use darkroom::ops::gpu::TileMemory;
use darkroom::sampling::SamplerKind;
use darkroom::text::encoder::TextEncoder;
use darkroom::text::tokenizer::{LongPrompt, Tokenizer};
use darkroom::unet::Unet;
use darkroom::vae::decoder::VaeDecoder;
use darkroom::weights::file::Part;
use darkroom::weights::load::LoadProgress;
use darkroom::weights::source::folder::Folder;
use darkroom::weights::{VarStore, load_parts};
use darkroom::{Pipeline, Precision, Request, Runtime};
use pollster::block_on;
use support::models::{Case, Embedding, MODELS, Model};
use support::{channels_first, channels_last, four, psnr, relative_error, say};

/// The largest errors allowed.
struct Limits {
    stage: f64,
    latent: f64,
    psnr: f64,
}

const CPU: Limits = Limits {
    stage: 1e-4,
    latent: 1e-3,
    psnr: 40.0,
};
const GPU: Limits = Limits {
    stage: 1e-4,
    latent: 5e-3,
    psnr: 40.0,
};

/// f16 has eleven bits: a rounding is 5e-4, and a network makes a few hundred.
const F16: Limits = Limits {
    stage: 1e-2,
    latent: 0.0,
    psnr: 0.0,
};

/// The errors found so far, to be shown as a table, and those that are too large.
#[derive(Default)]
struct Report {
    worst: BTreeMap<(usize, String), f64>,
    lowest_psnr: f64,
    pictures: usize,
    cases: usize,
    failures: Vec<String>,
}

impl Report {
    fn note(&mut self, model: usize, column: &str, what: &str, error: f64, limit: f64) {
        let worst = self.worst.entry((model, column.to_string())).or_insert(0.0);
        *worst = worst.max(error);
        if error.is_nan() || error > limit {
            let name = MODELS[model];
            self.failures.push(format!(
                "{name} {what}: relative error {error:.1e}, allowed {limit:.0e}"
            ));
        }
    }

    fn note_picture(&mut self, model: usize, what: &str, psnr: f64, limit: f64) {
        self.pictures += 1;
        self.lowest_psnr = self.lowest_psnr.min(psnr);
        if psnr.is_nan() || psnr < limit {
            let name = MODELS[model];
            self.failures.push(format!(
                "{name} {what}: picture {psnr:.1} dB, expected {limit} dB"
            ));
        }
    }

    /// Prints model × sampler, the largest relative error of the final latents, and fails if any was too large.
    fn conclude(self, on: &str, begin: Instant) {
        let stages = ["embedding", "prediction", "decode"];
        let samplers = SamplerKind::ALL.iter().map(|kind| kind.name());
        let columns: Vec<&str> = stages.into_iter().chain(samplers).chain(["own"]).collect();
        say(format_args!(
            "\nagainst diffusers on {on}: largest relative error of stages and of final latents"
        ));
        let head: Vec<_> = columns
            .iter()
            .map(|name| format!("{name:>11.11}"))
            .collect();
        say(format_args!("{:16}{}", "", head.join("")));
        for (model, name) in MODELS.iter().enumerate() {
            let cell = |column: &&str| match self.worst.get(&(model, column.to_string())) {
                Some(error) => format!("{error:11.1e}"),
                None => format!("{:>11}", "-"),
            };
            let row: Vec<_> = columns.iter().map(cell).collect();
            say(format_args!("{name:16}{}", row.join("")));
        }
        say(format_args!(
            "{} generations; {} pictures, the worst at {:.1} dB; {:.0} s\n",
            self.cases,
            self.pictures,
            self.lowest_psnr,
            begin.elapsed().as_secs_f64()
        ));
        assert!(
            self.failures.is_empty(),
            "{} values differ from diffusers' on {on}:\n{}",
            self.failures.len(),
            self.failures.join("\n")
        );
    }
}

/// Which generations to run.
#[derive(Clone, Copy, PartialEq)]
enum Extent {
    /// All that `expected.json` lists.
    All,
    /// Of the two generations with each sampler one, in turn, so that every sampler meets empty and other negative
    /// prompts, square and other sizes; and the one at guidance scale 1. A software adapter takes a while.
    Half,
    /// No generation.
    Stages,
}

impl Extent {
    fn includes(self, model: usize, case: usize) -> bool {
        let pairs = 2 * SamplerKind::ALL.len();
        match self {
            Extent::All => true,
            Extent::Half if case < pairs => (model + case / 2) % 2 == case % 2,
            Extent::Half => case == pairs + 1,
            Extent::Stages => false,
        }
    }
}

/// Compares what `expected.json` lists for each model with what `runtime` computes.
fn compare(runtime: &Runtime, limits: &Limits, extent: Extent) {
    let begin = Instant::now();
    let mut report = Report {
        lowest_psnr: f64::INFINITY,
        ..Report::default()
    };
    for (index, name) in MODELS.into_iter().enumerate() {
        let model = Model::read(name);
        let pipeline = model.load(runtime);
        let tokenizer = pipeline.tokenizer();
        compare_stages(&model, tokenizer, runtime, limits, index, &mut report);
        for (number, case) in model.expected.cases.iter().enumerate() {
            if extent.includes(index, number) {
                compare_case(&model, &pipeline, case, limits, index, &mut report);
            }
        }
        let seconds = begin.elapsed().as_secs_f64();
        say(format_args!(
            "{name} on {}: done after {seconds:.0} s",
            runtime.name
        ));
    }
    report.conclude(&runtime.name, begin);
}

fn compare_case(
    model: &Model,
    pipeline: &Rc<Pipeline>,
    case: &Case,
    limits: &Limits,
    index: usize,
    report: &mut Report,
) {
    let what = format!("{}: {}", model.name, case.name);
    let mut generation =
        block_on(pipeline.start(&case.request())).unwrap_or_else(|e| panic!("{what}: {e}"));
    while !generation.is_done() {
        block_on(generation.step()).unwrap_or_else(|e| panic!("{what}: {e}"));
    }
    report.cases += 1;
    let (shape, expected) = model.tensors.f32(&case.latent);
    assert_eq!(
        shape[1..],
        generation.latent_shape(),
        "{what}: shape of the latent"
    );
    let error = relative_error(generation.latent(), &expected);
    let column = case.sampler.as_deref().unwrap_or("own");
    report.note(index, column, &case.name, error, limits.latent);
    if let Some(picture) = &case.picture {
        let (shape, expected) = model.tensors.u8(picture);
        let got = block_on(generation.finish()).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(
            shape,
            [got.height, got.width, 3],
            "{what}: size of the picture"
        );
        let rgb: Vec<u8> = got
            .rgba
            .as_chunks::<4>()
            .0
            .iter()
            .flat_map(|p| &p[..3])
            .copied()
            .collect();
        report.note_picture(index, &case.name, psnr(&rgb, expected), limits.psnr);
    }
}

/// The three networks of a model on their own.
struct Networks {
    text_encoder: TextEncoder,
    unet: Unet,
    vae: VaeDecoder,
}

impl Networks {
    fn load(model: &Model, runtime: &Runtime) -> darkroom::Result<Self> {
        let config = model.config();
        let plan = || VarStore::recording(runtime.ops.clone());
        let (mut text, mut unet, mut vae) = (plan(), plan(), plan());
        TextEncoder::new(text.root(), &config.text)?;
        Unet::new(unet.root(), &config.unet)?;
        VaeDecoder::new(vae.root(), &config.vae)?;
        let stem = "diffusion_pytorch_model";
        let parts = [
            ("text_encoder", "model", text),
            ("unet", stem, unet),
            ("vae", stem, vae),
        ]
        .map(|(folder, stem, plan)| Part {
            folder,
            stem,
            required: plan.into_required(),
        });
        let folder = Folder::open(model.path())?;
        let mut quiet = |_: LoadProgress| ();
        let loaded = load_parts(
            &folder,
            &parts,
            &runtime.device,
            runtime.storage,
            &mut quiet,
        );
        let mut loaded = block_on(loaded)?
            .parts
            .into_iter()
            .map(|tensors| VarStore::loaded(tensors, runtime.ops.clone()));
        let mut next = || loaded.next().expect("one for each part");
        Ok(Networks {
            text_encoder: TextEncoder::new(next().root(), &config.text)?,
            unet: Unet::new(next().root(), &config.unet)?,
            vae: VaeDecoder::new(next().root(), &config.vae)?,
        })
    }
}

fn compare_stages(
    model: &Model,
    tokenizer: &Tokenizer,
    runtime: &Runtime,
    limits: &Limits,
    index: usize,
    report: &mut Report,
) {
    let networks = Networks::load(model, runtime).unwrap_or_else(|e| panic!("{}: {e}", model.name));
    let encode = |prompts: &[&String]| -> Tensor<3> {
        let chunks: Vec<_> = prompts
            .iter()
            .flat_map(|prompt| {
                let tokens = tokenizer.encode(prompt, LongPrompt::Truncate);
                tokens.unwrap_or_else(|e| panic!("{prompt}: {e}")).chunks
            })
            .collect();
        networks
            .text_encoder
            .forward(&chunks, &runtime.device, runtime.dtype)
            .unwrap_or_else(|e| panic!("{prompts:?}: {e}"))
    };
    let input = |values: Vec<f32>, shape: [usize; 4]| {
        let data = TensorData::new(values, shape);
        Tensor::<4>::from_data(data, (&runtime.device, DType::F32)).cast(runtime.dtype)
    };
    let values = |tensor: Tensor<4>| {
        let shape = tensor.dims();
        let values = block_on(read(tensor)).unwrap_or_else(|e| panic!("{}: {e}", model.name));
        channels_first(&values, shape)
    };
    for Embedding { prompt, tensor } in &model.expected.embeddings {
        let got = block_on(read(encode(&[prompt]))).unwrap_or_else(|e| panic!("{prompt}: {e}"));
        let error = relative_error(&got, &model.tensors.f32(tensor).1);
        report.note(
            index,
            "embedding",
            &format!("embedding of {prompt:?}"),
            error,
            limits.stage,
        );
    }
    for each in &model.expected.predictions {
        let (shape, latent) = model.tensors.f32(&each.latent);
        let [_, channels, height, width] = four(shape);
        let latent = channels_last(&latent, four(shape)).repeat(2);
        let prompts = encode(&[&each.negative_prompt, &each.prompt]);
        let latent = input(latent, [2, height, width, channels]);
        let got = values(networks.unet.forward(latent, each.timestep, &prompts));
        let error = relative_error(&got, &model.tensors.f32(&each.tensor).1);
        let what = format!("prediction of {width}×{height} at {}", each.timestep);
        report.note(index, "prediction", &what, error, limits.stage);
    }
    for each in &model.expected.decodes {
        let (shape, latent) = model.tensors.f32(&each.latent);
        let [_, channels, height, width] = four(shape);
        let latent = input(
            channels_last(&latent, four(shape)),
            [1, height, width, channels],
        );
        let got = values(networks.vae.forward(latent));
        let error = relative_error(&got, &model.tensors.f32(&each.tensor).1);
        report.note(
            index,
            "decode",
            &format!("decoding of {width}×{height}"),
            error,
            limits.stage,
        );
    }
}

/// The same settings twice give the same picture; a negative prompt gives another; another seed gives another.
fn same_seed_same_picture(runtime: &Runtime, samplers: &[SamplerKind]) {
    for name in ["sd1-pndm", "sd2-v"] {
        let pipeline = Model::read(name).load(runtime);
        for &sampler in samplers {
            let run = |negative_prompt: &str, seed: u64| {
                let request = Request {
                    prompt: "Portrait photo of a man".into(),
                    negative_prompt: negative_prompt.into(),
                    seed,
                    steps: 4,
                    sampler: Some(sampler),
                    width: Some(64),
                    height: Some(48),
                    ..Request::default()
                };
                let what = format!("{name} {sampler} on {}", runtime.name);
                let mut generation =
                    block_on(pipeline.start(&request)).unwrap_or_else(|e| panic!("{what}: {e}"));
                while !generation.is_done() {
                    block_on(generation.step()).unwrap_or_else(|e| panic!("{what}: {e}"));
                }
                let picture =
                    block_on(generation.finish()).unwrap_or_else(|e| panic!("{what}: {e}"));
                (generation.latent().to_vec(), picture.rgba)
            };
            let what = format!("{name} {sampler} on {}", runtime.name);
            let (first, again) = (run("", 7), run("", 7));
            assert!(
                first == again,
                "{what}: the same settings gave two pictures"
            );
            let (negative, seed) = (run("mustache", 7), run("", 8));
            let effect = relative_error(&negative.0, &first.0);
            assert!(
                effect > 0.05,
                "{what}: the negative prompt changed the latent by {effect:.0e} only"
            );
            assert!(
                psnr(&negative.1, &first.1) < 35.0,
                "{what}: the negative prompt left the picture alone"
            );
            assert!(
                psnr(&seed.1, &first.1) < 35.0,
                "{what}: the seed left the picture alone"
            );
        }
    }
}

/// Every model is listed above, or its values would never be looked at.
#[test]
fn every_model_is_compared() {
    let mut found: Vec<String> = std::fs::read_dir(support::golden().join("models"))
        .expect("the models' folder")
        .map(|entry| entry.expect("a folder entry"))
        .filter(|entry| entry.path().join("model").is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    found.sort();
    let mut listed = MODELS.to_vec();
    listed.sort();
    assert_eq!(found, listed);
}

#[test]
fn cpu_matches_diffusers() {
    let runtime = Runtime::cpu(Precision::F32, false).expect("the CPU");
    compare(&runtime, &CPU, Extent::All);
    let mut stock = Runtime::cpu(Precision::F32, true).expect("the CPU");
    stock.name += " with Burn's operations";
    compare(&stock, &CPU, Extent::Stages);
}

#[test]
fn cpu_same_seed_same_picture() {
    let runtime = Runtime::cpu(Precision::F32, false).expect("the CPU");
    same_seed_same_picture(&runtime, &SamplerKind::ALL);
}

/// The adapter, or `None` where it was asked not to be tested. A process sets it up once, so one test uses it all.
fn gpu(what: &str) -> Option<Runtime> {
    if std::env::var("DARKROOM_NO_GPU_TESTS").is_ok_and(|value| value == "1") {
        say(format_args!("NOT RUN: {what} (DARKROOM_NO_GPU_TESTS=1)"));
        return None;
    }
    // A device's errors are only logged; with this logger they fail the next read.
    let quiet = env_logger::Builder::new().build();
    let _ = log::set_boxed_logger(Box::new(DeviceLog(Box::new(quiet))));
    log::set_max_level(log::LevelFilter::Warn);
    let runtime = block_on(Runtime::gpu(Precision::F32, false)).unwrap_or_else(|e| {
        panic!(
            "{e}\nThis test needs a Vulkan, Metal or DirectX 12 adapter; a software one will do \
             (Debian: apt-get install mesa-vulkan-drivers libvulkan1). \
             To leave it out on this machine: DARKROOM_NO_GPU_TESTS=1"
        )
    });
    block_on(runtime.self_test()).expect("the self-test");
    Some(runtime)
}

#[test]
fn gpu_matches_diffusers() {
    if let Some(runtime) = gpu("parity with diffusers on a GPU adapter") {
        compare(&runtime, &GPU, Extent::Half);
        for (tiles, dtype, limits) in [
            (TileMemory::Registers, DType::F16, &F16),
            (TileMemory::Workgroup, DType::F32, &GPU),
            (TileMemory::Workgroup, DType::F16, &F16),
        ] {
            let other = Runtime {
                ops: Rc::new(Gpu::with_memory(tiles)),
                dtype,
                name: format!("{} with {tiles:?} in {dtype:?}", runtime.name),
                ..runtime.clone()
            };
            compare(&other, limits, Extent::Stages);
        }
        same_seed_same_picture(&runtime, &[SamplerKind::EulerA, SamplerKind::UniPc]);
    }
}

#[test]
#[ignore = "minutes on a software adapter: all 140 generations, of which gpu_matches_diffusers runs 56"]
fn gpu_matches_diffusers_everywhere() {
    if let Some(runtime) = gpu("all of the parity with diffusers on a GPU adapter") {
        compare(&runtime, &GPU, Extent::All);
        same_seed_same_picture(&runtime, &SamplerKind::ALL);
    }
}
