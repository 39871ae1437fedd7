//! Guidance and samplers on the device.

use std::cell::RefCell;

use burn::tensor::{DType, Tensor, TensorData};
use darkroom::device::read;
use darkroom::ops::gpu::{DeviceLatent, DeviceLatentInit};
use darkroom::sampling::guidance::Guidance;
use darkroom::sampling::update::{Arrays, Step};
use darkroom::sampling::{Noise, Rng, Sampler, SamplerKind, ScheduleKind, guide};
use pollster::block_on;

use crate::support::gpu::Gpu;
use crate::support::models::Model;
use crate::support::relative_error;

/// The predictions are random.
#[test]
fn samplers_on_the_device_match_the_host() {
    let Some(gpu) = Gpu::new("samplers on the device") else {
        return;
    };
    let [h, w, c] = [6, 10, 4];
    let models = ["sd1-pndm", "sd1-four-levels", "sd2-v"];
    let cases = models
        .into_iter()
        .flat_map(|m| SamplerKind::ALL.map(|kind| (m, kind)));
    for dtype in gpu.dtypes() {
        // In f16, predictions and inputs are rounded, but sums are not.
        let limit = if dtype == DType::F16 { 2e-3 } else { 1e-5 };
        for (model, kind) in cases.clone() {
            let config = Model::read(model).config().scheduler;
            let mut sampler =
                Sampler::new(kind, ScheduleKind::Model, &config, 12).expect("a sampler");
            let mut noise = Noise::new(Rng::Torch, 3);
            let mut normal = || noise.normal(h * w * c);
            let sigma = sampler.init_noise_sigma() as f32;
            let latent: Vec<f32> = normal().into_iter().map(|x| x * sigma).collect();
            let mut arrays = Arrays::new(latent.clone());
            let times = Tensor::<2>::zeros([1, 128], (&gpu.device, dtype));
            let start = DeviceLatentInit {
                latent,
                shape: [2, h, w, c],
                input_scale: sampler.input_scale(),
                watched: false,
            };
            let mut on_device = DeviceLatent::new(start, &times);
            while !sampler.is_done() {
                let what = format!("{model} {kind} {dtype:?} call {}", sampler.call());
                let input_scale = sampler.input_scale();
                let update = sampler.advance();
                let step = Step {
                    noise: if update.is_noisy() {
                        normal()
                    } else {
                        Vec::new()
                    },
                    update,
                    guidance: Guidance::plain(5.0),
                    next_input_scale: sampler.input_scale(),
                };
                let [negative, positive] = [normal(), normal()];
                let both = [&negative[..], &positive].concat();
                let prediction = TensorData::new(both, [2, h, w, c]);
                // Not recorded: a recording would replay the same prediction in every step.
                let seen = RefCell::new(None);
                let predict = |input: Tensor<4>, _: &Tensor<2>| {
                    *seen.borrow_mut() = Some(input + 0.0);
                    let prediction = prediction.clone().convert_dtype(dtype);
                    Tensor::from_data(prediction, (&gpu.device, dtype))
                };
                let got = on_device.launched(&step, &step.noise, 0, &predict);
                let got = block_on(read(got)).expect("a step");
                let seen = block_on(read(seen.take().expect("an input"))).expect("an input");
                let expected: Vec<f32> = arrays
                    .latent
                    .iter()
                    .map(|x| x * input_scale as f32)
                    .collect();
                let error = relative_error(&seen, &expected.repeat(2));
                assert!(error < limit, "{what}: the input is off by {error:.1e}");

                let prediction = guide(&positive, &negative, 5.0);
                step.update.apply(&mut arrays, &prediction, &step.noise);
                let expected = [&prediction[..], &arrays.denoised, &arrays.latent];
                for (got, expected) in got.chunks(h * w * c).zip(expected) {
                    let error = relative_error(got, expected);
                    assert!(error < limit, "{what}: off by {error:.1e}");
                }
            }
        }
    }
}
