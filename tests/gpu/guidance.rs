//! Guidance on the device: each kind's kernels against the host, and runs with changing branches.

use burn::tensor::{DType, Tensor, TensorData};
use darkroom::device::read;
use darkroom::ops::gpu::{DeviceLatent, DeviceLatentInit};
use darkroom::sampling::guidance::{
    Guidance, GuidanceKind, GuidanceSettings, Guiding, Memory, Predictions, Window,
};
use darkroom::sampling::update::{Arrays, Step};
use darkroom::sampling::{Noise, Rng, Sampler, SamplerKind, ScheduleKind};
use darkroom::text::prompt::PromptSyntax;
use darkroom::{Precision, Request};
use pollster::block_on;

use crate::support::generate::sample;
use crate::support::gpu::Gpu;
use crate::support::models::Model;
use crate::support::{channels_first, channels_last, cpu, relative_error, say};

/// Height, width and channels of a latent: more elements than invocations, and no multiple.
const SIZE: [usize; 3] = [7, 41, 4];

/// Settings of every kind that the device computes, with the weights of the prompts.
fn cases() -> Vec<(GuidanceSettings, Vec<f64>)> {
    let settings = |kind, options: &[(&str, f64)], stop| GuidanceSettings {
        scale: 6.0,
        kind,
        options: options.iter().map(|&(n, v)| (n.to_string(), v)).collect(),
        stop,
        ..GuidanceSettings::default()
    };
    let (one, two) = (vec![1.0], vec![0.7, -0.4]);
    let apg = [("eta", 0.3), ("momentum", -0.6), ("norm_threshold", 4.0)];
    vec![
        (settings(GuidanceKind::Plain, &[], None), one.clone()),
        (settings(GuidanceKind::Plain, &[], None), two.clone()),
        (settings(GuidanceKind::Plain, &[], Some(1.0)), two.clone()),
        (settings(GuidanceKind::Rescale, &[], None), one.clone()),
        (
            settings(GuidanceKind::CfgZero, &[("zero_steps", 1.0)], None),
            one.clone(),
        ),
        (
            settings(GuidanceKind::CfgZero, &[("rescale", 0.4)], None),
            two.clone(),
        ),
        (settings(GuidanceKind::Apg, &apg, Some(1.0)), one.clone()),
        (
            settings(GuidanceKind::Apg, &[("rescale", 0.4)], None),
            two.clone(),
        ),
        (
            settings(GuidanceKind::PerpNeg, &[("weight", 1.5)], Some(1.0)),
            one.clone(),
        ),
        (
            settings(GuidanceKind::PerpNeg, &[("rescale", 0.4)], None),
            two.clone(),
        ),
        (settings(GuidanceKind::Tangential, &[], None), one),
        (
            settings(GuidanceKind::Tangential, &[("rescale", 1.0)], None),
            two,
        ),
    ]
}

/// The predictions are random, those of a call near each other.
#[test]
fn kinds_on_the_device_match_the_host() {
    let Some(gpu) = Gpu::new("kinds of guidance on the device") else {
        return;
    };
    let [h, w, c] = SIZE;
    let length = h * w * c;
    for dtype in gpu.dtypes() {
        let limit = if dtype == DType::F16 { 5e-3 } else { 2e-5 };
        let mut worst = 0f64;
        for (number, (settings, weights)) in cases().into_iter().enumerate() {
            let config = Model::read("sd1-pndm").config().scheduler;
            let sampler = Sampler::new(SamplerKind::Pndm, ScheduleKind::Model, &config, 5);
            let mut sampler = sampler.expect("a sampler");
            let guiding = Guiding::new(settings, 5, weights, true, false).expect("settings");
            let mut noise = Noise::new(Rng::Torch, number as u64);
            let mut normal = || noise.normal(length);
            let latent = normal();
            let (mut arrays, mut memory) = (Arrays::new(latent.clone()), Memory::default());
            let start = DeviceLatentInit {
                latent: channels_last(&latent, [1, c, h, w]),
                shape: [guiding.most_branches(), h, w, c],
                input_scale: sampler.input_scale(),
                watched: guiding.is_watched(),
            };
            let times = Tensor::<2>::zeros([1, 128], (&gpu.device, dtype));
            let mut on_device = DeviceLatent::new(start, &times);
            while !sampler.is_done() {
                let guidance = guiding.at(sampler.step(), sampler.sigma());
                let what = format!("case {number} {dtype:?} call {}", sampler.call());
                let step = step(&mut sampler, guidance);
                let common = normal();
                let near = |noise: Vec<f32>| {
                    let pairs = common.iter().zip(noise);
                    pairs.map(|(a, b)| a + 0.1 * b).collect::<Vec<f32>>()
                };
                let n = step.guidance.branches();
                let branches: Vec<Vec<f32>> = (0..n).map(|_| near(normal())).collect();
                let all = channels_last(&branches.concat(), [n, c, h, w]);
                let all = TensorData::new(all, [n, h, w, c]).convert_dtype(dtype);
                let predict = |input: Tensor<4>, _: &Tensor<2>| {
                    assert_eq!(input.dims(), [n, h, w, c], "{what}");
                    Tensor::from_data(all.clone(), (&gpu.device, dtype))
                };
                let got = on_device.launched(&step, &[], 0, &predict);
                let got = block_on(read(got)).expect("a step");

                let predictions = Predictions {
                    branches: &branches,
                    latent: &arrays.latent,
                    update: &step.update,
                    channels: c,
                };
                let guided = step.guidance.combine(&predictions, &mut memory);
                step.update.apply(&mut arrays, &guided.prediction, &[]);
                let expected = [&guided.prediction, &arrays.denoised, &arrays.latent];
                for (got, expected) in got.chunks(length).zip(expected) {
                    let got = channels_first(got, [1, h, w, c]);
                    let zero = expected.iter().all(|&x| x == 0.0) && got == *expected;
                    let error = if zero {
                        0.0
                    } else {
                        relative_error(&got, expected)
                    };
                    worst = worst.max(error);
                    assert!(error < limit, "{what}: off by {error:.1e}");
                }
                let cosine = guided.similarity;
                assert_eq!(cosine.is_some(), got.len() > 3 * length, "{what}");
                if let Some(cosine) = cosine {
                    let off = (cosine - f64::from(got[3 * length])).abs();
                    assert!(off < limit, "{what}: the cosine is off by {off:.1e}");
                }
            }
        }
        say(format_args!(
            "guidance on the device in {dtype:?}: off by {worst:.1e} at most"
        ));
    }
}

fn step(sampler: &mut Sampler, guidance: Guidance) -> Step {
    let update = sampler.advance();
    Step {
        update,
        guidance,
        noise: Vec::new(),
        next_input_scale: sampler.input_scale(),
    }
}

/// A recorded step holds memory for its branches, so other branches need another recording.
#[test]
fn runs_with_changing_branches_give_the_latent_of_the_cpu() {
    let Some(gpu) = Gpu::new("runs with changing branches") else {
        return;
    };
    let model = Model::named("sd1-pndm");
    let pipelines = [cpu(), gpu.runtime(Precision::F32)].map(|runtime| model.load(&runtime));
    let plain = Request {
        prompt: "a man AND red hair :0.5".into(),
        negative_prompt: "mustache".into(),
        prompt_syntax: PromptSyntax::A1111,
        seed: 7,
        steps: 10,
        guidance_scale: 3.0,
        sampler: Some(SamplerKind::EulerA.into()),
        width: Some(64),
        height: Some(48),
        ..Request::default()
    };
    let window = |request: &Request| Request {
        guidance_window: Window::from([0.3, 0.7]),
        ..request.clone()
    };
    let kind = |guidance_kind| Request {
        guidance_kind,
        negative_window: Window::from([0.0, 0.8]),
        ..plain.clone()
    };
    for request in [
        plain.clone(),
        window(&plain),
        kind(GuidanceKind::PerpNeg),
        window(&kind(GuidanceKind::Apg)),
        kind(GuidanceKind::DynamicThresholding),
        Request {
            guidance_stop: Some(0.97),
            ..plain.clone()
        },
    ] {
        let run = |pipeline| {
            let sampled = sample(pipeline, &request).unwrap_or_else(|e| panic!("{e}"));
            let generation = sampled.generation;
            (generation.latent().to_vec(), generation.branches())
        };
        let [expected, actual] = pipelines.each_ref().map(run);
        let error = relative_error(&actual.0, &expected.0);
        assert!(error < 1e-4, "{request:?}: {error:.1e}");
        assert_eq!(actual.1, expected.1, "{request:?}: predictions");
    }
}
