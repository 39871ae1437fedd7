//! Recordings of a step, and steps that cannot be recorded.

use std::cell::Cell;

use burn::backend::wgpu::CubeBackend;
use burn::tensor::{DType, Tensor};
use darkroom::device::read;
use darkroom::ops::gpu::{DeviceLatent, DeviceLatentInit, TileMemory};
use darkroom::ops::{self, Ops};
use darkroom::sampling::guidance::Guidance;
use darkroom::sampling::update::Step;
use darkroom::sampling::{Noise, Rng, Sampler, SamplerKind, ScheduleKind};
use pollster::block_on;

use super::random_model::{HostLatent, RandomModel, finish_steps, start};
use super::{LaunchCounter, runtime};
use crate::support::gpu::Gpu;
use crate::support::models::Model;
use crate::support::relative_error;

/// Recording fails while another one is under way. The steps are then launched one by one.
#[test]
fn steps_without_a_recording_give_the_same_latent() {
    let Some(gpu) = Gpu::new("steps without a recording") else {
        return;
    };
    let runtime = runtime(&gpu, TileMemory::Registers, DType::F32);
    let pipeline = RandomModel::named("sd1-four-levels").load(&runtime);
    // One branch, and two.
    for guidance_scale in [1.0, 7.5] {
        let start = || start(&pipeline, SamplerKind::Euler, 6, guidance_scale);
        let recorded = finish_steps(start());
        let any = Tensor::<1>::empty([1], &gpu.device);
        let client = any.try_into_primitive::<CubeBackend>();
        let client = client.expect("a wgpu device").client;
        client.graph_prepare().expect("another recording");
        let mut generation = start();
        for call in 0..6 {
            let launches = LaunchCounter::start();
            block_on(generation.step()).expect("a step");
            assert!(launches.count() > 1, "call {call} was replayed");
        }
        let _ = client.stop_capture();
        assert!(
            generation.latent() == recorded,
            "another latent without a recording"
        );
    }
}

/// Timesteps are embedded in blocks of 64. The recording reads all of them from the memory of the
/// first block.
#[test]
fn a_recording_serves_more_timesteps_than_one_block() {
    let Some(gpu) = Gpu::new("a run of many steps") else {
        return;
    };
    let runtime = runtime(&gpu, TileMemory::Registers, DType::F32);
    let host_ops = ops::Gpu::new(true);
    let host = HostLatent::runtime(&runtime, host_ops);
    let model = RandomModel::named("sd1-four-levels");
    let [on_device, on_host] = [runtime, host].map(|runtime| {
        let pipeline = model.load(&runtime);
        finish_steps(start(&pipeline, SamplerKind::Euler, 68, 7.5))
    });
    let error = relative_error(&on_device, &on_host);
    assert!(error < 1e-4, "off by {error:.1e} from a run on the host");
}

/// A recording fails where it needs memory that is not there. The run goes on as if nothing had
/// been tried.
#[test]
fn steps_go_on_after_a_recording_that_fails() {
    let Some(adapter) = Gpu::new("steps after a recording that fails") else {
        return;
    };
    let gpu = ops::Gpu::new(true);
    let times = Tensor::<2>::zeros([1, 128], (&adapter.device, DType::F32));
    let run = |waste: bool| {
        let start = DeviceLatentInit {
            latent: Noise::new(Rng::Torch, 1).normal(6 * 10 * 4),
            shape: [2, 6, 10, 4],
            input_scale: 1.0,
            watched: false,
        };
        let mut latent = DeviceLatent::new(start, &times);
        let config = Model::read("sd1-pndm").config().scheduler;
        let mut sampler =
            Sampler::new(SamplerKind::Dpmpp2m, ScheduleKind::Model, &config, 8).expect("a sampler");
        let calls = Cell::new(0);
        let predict = |input: Tensor<4>, _: &Tensor<2>| {
            let tokens = input.reshape([2, 60, 4]);
            calls.set(calls.get() + 1);
            if waste {
                // More than in all calls before.
                let length = (1 << 20) * calls.get();
                let more = Tensor::<3>::empty([1, 1, length], (&adapter.device, DType::F32));
                let _ = gpu.silu(more);
            }
            gpu.silu(tokens).reshape([2, 6, 10, 4])
        };
        let mut last = Vec::new();
        while !sampler.is_done() {
            let step = Step {
                update: sampler.advance(),
                guidance: Guidance::plain(3.0),
                next_input_scale: sampler.input_scale(),
                ..Step::default()
            };
            let arrays = latent.step(&step, &[], 0, &predict);
            last = block_on(read(arrays)).expect("a step");
        }
        (last, calls.get())
    };
    let (expected, calls) = run(false);
    assert_eq!(
        calls, 2,
        "calls of the network: launched once, recorded once"
    );
    let (got, calls) = run(true);
    assert_eq!(
        calls,
        8 + 3,
        "calls of the network: launched every time, and three attempts to record"
    );
    assert!(
        got == expected,
        "another latent after recordings that failed"
    );
}
