//! Tiny models of the SD1 and SD2 kinds against diffusers: every model, every sampler.
//!
//! The models and the expected values are made by `tests/golden/models/generate.py`, which says
//! what they cover. The stages (text embedding, one U-Net call, one decoding) show in which network
//! a generation went wrong.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Instant;

use burn::tensor::{DType, Tensor, TensorData};
use darkroom::device::read;
use darkroom::sampling::SamplerKind;
use darkroom::text::tokenizer::LongPrompt;
use darkroom::{Pipeline, Request, Runtime};
use pollster::block_on;

use super::generate::{generate, sample};
use super::models::{Case, Decode, Embedding, MODELS, Model, Prediction};
use super::{channels_first, channels_last, four, psnr, relative_error, rgb, say};

/// The samplers that the models' expected values have.
const SAMPLERS: [&str; 7] = [
    "euler",
    "euler-a",
    "ddim",
    "pndm",
    "dpm++2m",
    "dpm++2m-karras",
    "unipc",
];

/// The largest errors allowed.
pub struct Limits {
    /// Relative error of a stage.
    stage: f64,
    /// Relative error of a final latent.
    latent: f64,
    /// Smallest PSNR of a picture in dB.
    psnr: f64,
}

/// Limits on the CPU.
pub const CPU: Limits = Limits {
    stage: 1e-4,
    latent: 1e-3,
    psnr: 40.0,
};

/// Limits on a GPU in f32.
pub const GPU: Limits = Limits {
    stage: 1e-4,
    latent: 5e-3,
    psnr: 40.0,
};

/// Limits of stages in f16. It has eleven bits: one rounding costs 5e-4, and a network makes a few
/// hundred.
pub const F16: Limits = Limits {
    stage: 1e-2,
    latent: 0.0,
    psnr: 0.0,
};

/// The errors found so far, for a table, and those that are too large.
#[derive(Default)]
struct Report {
    worst: BTreeMap<(usize, String), f64>,
    lowest_psnr: f64,
    pictures: usize,
    cases: usize,
    failures: Vec<String>,
}

impl Report {
    fn add(&mut self, model: usize, column: &str, what: &str, error: f64, limit: f64) {
        let worst = self.worst.entry((model, column.to_string())).or_insert(0.0);
        *worst = worst.max(error);
        if error.is_nan() || error > limit {
            let name = MODELS[model];
            self.failures.push(format!(
                "{name} {what}: relative error {error:.1e}, allowed {limit:.0e}"
            ));
        }
    }

    fn add_picture(&mut self, model: usize, what: &str, psnr: f64, limit: f64) {
        self.pictures += 1;
        self.lowest_psnr = self.lowest_psnr.min(psnr);
        if psnr.is_nan() || psnr < limit {
            let name = MODELS[model];
            self.failures.push(format!(
                "{name} {what}: picture {psnr:.1} dB, expected {limit} dB"
            ));
        }
    }

    /// Prints the largest relative error of the final latents by model and sampler, and fails if
    /// one was too large.
    fn conclude(self, on: &str, begin: Instant) {
        let stages = ["embedding", "prediction", "decode"];
        let samplers = SAMPLERS.into_iter();
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

/// The generations to run.
#[derive(Clone, Copy, PartialEq)]
pub enum Extent {
    /// All that `expected.json` lists.
    All,
    /// One of the two generations with each sampler, in turn, so that every sampler meets empty and
    /// other negative prompts, square and other sizes; and the one at guidance scale 1. For
    /// software adapters, which are slow.
    Half,
    /// No generation.
    Stages,
}

impl Extent {
    fn includes(self, model: usize, case: usize) -> bool {
        let pairs = 2 * SAMPLERS.len();
        match self {
            Extent::All => true,
            Extent::Half if case < pairs => (model + case / 2) % 2 == case % 2,
            Extent::Half => case == pairs + 1,
            Extent::Stages => false,
        }
    }
}

/// Compares the results of `runtime` with the values that `expected.json` lists for each model.
pub fn compare(runtime: &Runtime, limits: &Limits, extent: Extent) {
    let begin = Instant::now();
    let mut report = Report {
        lowest_psnr: f64::INFINITY,
        ..Report::default()
    };
    for (index, name) in MODELS.into_iter().enumerate() {
        let model = Model::read(name);
        let mut comparison = Comparison {
            pipeline: model.load(runtime),
            model: &model,
            index,
            limits,
            report: &mut report,
        };
        comparison.stages();
        for (number, case) in model.expected.cases.iter().enumerate() {
            if extent.includes(index, number) {
                comparison.case(case);
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

/// The comparison of one model.
struct Comparison<'a> {
    model: &'a Model,
    /// Index among [`MODELS`].
    index: usize,
    pipeline: Rc<Pipeline>,
    limits: &'a Limits,
    report: &'a mut Report,
}

impl Comparison<'_> {
    /// Compares one generation.
    fn case(&mut self, case: &Case) {
        let what = format!("{}: {}", self.model.name, case.name);
        let sampled = sample(&self.pipeline, &case.request());
        let mut generation = sampled.unwrap_or_else(|e| panic!("{what}: {e}")).generation;
        self.report.cases += 1;
        let (shape, expected) = self.model.tensors.f32(&case.latent);
        assert_eq!(
            shape[1..],
            generation.latent_shape(),
            "{what}: shape of the latent"
        );
        let error = relative_error(generation.latent(), &expected);
        let column = case.sampler.as_deref().unwrap_or("own");
        let (index, limits) = (self.index, self.limits);
        self.report
            .add(index, column, &case.name, error, limits.latent);
        if let Some(picture) = &case.picture {
            let (shape, expected) = self.model.tensors.u8(picture);
            let got = block_on(generation.finish()).unwrap_or_else(|e| panic!("{what}: {e}"));
            assert_eq!(
                shape,
                [got.height, got.width, 3],
                "{what}: size of the picture"
            );
            let psnr = psnr(&rgb(&got.rgba), expected);
            self.report
                .add_picture(index, &case.name, psnr, limits.psnr);
        }
    }

    /// Compares the three networks one by one.
    fn stages(&mut self) {
        let model = self.model;
        let expected = &model.expected;
        expected.embeddings.iter().for_each(|e| self.embedding(e));
        expected.predictions.iter().for_each(|p| self.prediction(p));
        expected.decodes.iter().for_each(|d| self.decode(d));
    }

    fn add_stage(&mut self, stage: &str, what: &str, got: &[f32], tensor: &str) {
        let error = relative_error(got, &self.model.tensors.f32(tensor).1);
        self.report
            .add(self.index, stage, what, error, self.limits.stage);
    }

    fn embedding(&mut self, each: &Embedding) {
        let Embedding { prompt, tensor } = each;
        let got =
            block_on(read(self.encode(&[prompt]))).unwrap_or_else(|e| panic!("{prompt}: {e}"));
        let what = format!("embedding of {prompt:?}");
        self.add_stage("embedding", &what, &got, tensor);
    }

    fn prediction(&mut self, each: &Prediction) {
        let (shape, latent) = self.model.tensors.f32(&each.latent);
        let [_, channels, height, width] = four(shape);
        let latent = channels_last(&latent, four(shape)).repeat(2);
        let latent = self.input(latent, [2, height, width, channels]);
        let prompts = self.encode(&[&each.negative_prompt, &each.prompt]);
        let unet = self.pipeline.unet();
        let got = self.values(unet.forward(latent, each.timestep, &prompts));
        let what = format!("prediction of {width}×{height} at {}", each.timestep);
        self.add_stage("prediction", &what, &got, &each.tensor);
    }

    fn decode(&mut self, each: &Decode) {
        let (shape, latent) = self.model.tensors.f32(&each.latent);
        let [_, channels, height, width] = four(shape);
        let latent = channels_last(&latent, four(shape));
        let latent = self.input(latent, [1, height, width, channels]);
        let got = self.values(self.pipeline.vae().forward(latent));
        let what = format!("decoding of {width}×{height}");
        self.add_stage("decode", &what, &got, &each.tensor);
    }

    fn encode(&self, prompts: &[&String]) -> Tensor<3> {
        let runtime = self.pipeline.runtime();
        let chunks: Vec<_> = prompts
            .iter()
            .flat_map(|prompt| {
                let tokens = self.pipeline.tokenizer();
                let tokens = tokens.encode(prompt, LongPrompt::Truncate);
                tokens.unwrap_or_else(|e| panic!("{prompt}: {e}")).chunks
            })
            .collect();
        self.pipeline
            .text_encoder()
            .forward(&chunks, &runtime.device, runtime.dtype)
            .unwrap_or_else(|e| panic!("{prompts:?}: {e}"))
    }

    fn input(&self, values: Vec<f32>, shape: [usize; 4]) -> Tensor<4> {
        let runtime = self.pipeline.runtime();
        let data = TensorData::new(values, shape);
        Tensor::<4>::from_data(data, (&runtime.device, DType::F32)).cast(runtime.dtype)
    }

    fn values(&self, tensor: Tensor<4>) -> Vec<f32> {
        let shape = tensor.dims();
        let values = block_on(read(tensor)).unwrap_or_else(|e| panic!("{}: {e}", self.model.name));
        channels_first(&values, shape)
    }
}

/// Asserts that the same settings twice give the same picture, that a negative prompt changes it,
/// and that another seed changes it.
pub fn compare_seeds(runtime: &Runtime, samplers: &[SamplerKind]) {
    for name in ["sd1-pndm", "sd2-v"] {
        let pipeline = Model::read(name).load(runtime);
        for &sampler in samplers {
            let run = |negative_prompt: &str, seed: u64| {
                let request = Request {
                    prompt: "Portrait photo of a man".into(),
                    negative_prompt: negative_prompt.into(),
                    seed,
                    steps: 4,
                    sampler: Some(sampler.into()),
                    width: Some(64),
                    height: Some(48),
                    ..Request::default()
                };
                let generated = generate(&pipeline, &request);
                (generated.latent, generated.picture.rgba)
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
                "{what}: the negative prompt did not change the picture"
            );
            assert!(
                psnr(&seed.1, &first.1) < 35.0,
                "{what}: the seed did not change the picture"
            );
        }
    }
}
