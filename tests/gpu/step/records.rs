//! What happens where a step cannot be recorded.

use std::cell::Cell;

use burn::backend::wgpu::CubeBackend;
use burn::tensor::{DType, Tensor};
use darkroom::device::read;
use darkroom::ops::gpu::{DeviceLatent, DeviceLatentInit, TileMemory};
use darkroom::ops::{Gpu, Ops};
use darkroom::pipeline::denoise::Denoiser;
use darkroom::sampling::update::Step;
use darkroom::sampling::{Noise, Rng, Sampler, SamplerKind};
use pollster::block_on;

use super::support::models::Model;
use super::support::relative_error;
use super::walk::{Walk, random_unet};
use super::{LaunchCounter, adapter, prompts};

/// Where recording is refused, as while another one is under way, steps are launched one by one, with the same result.
#[test]
fn steps_do_without_a_record_where_there_can_be_none() {
    let Some(adapter) = adapter("steps without a record") else {
        return;
    };
    let runtime = adapter.runtime(TileMemory::Registers, DType::F32);
    let config = Model::read("sd1-four-levels").config().unet;
    let unet = random_unet(&config, &runtime);
    for branches in [1, 2] {
        let prompts = prompts(&runtime, branches, 77, config.cross_attention_dim);
        let recorded = Walk::new(&unet, &prompts, SamplerKind::Euler, 6).end();
        let client = prompts.clone().try_into_primitive::<CubeBackend>();
        let client = client.expect("a wgpu device").client;
        client.graph_prepare().expect("a capture of our own");
        let mut walk = Walk::new(&unet, &prompts, SamplerKind::Euler, 6);
        for call in 0..6 {
            let launches = LaunchCounter::watch();
            walk.step();
            assert!(launches.count() > 1, "call {call} was played from a record");
        }
        let _ = client.stop_capture();
        assert!(
            walk.run.latent() == recorded,
            "another latent without a record"
        );
    }
}

/// Timesteps are embedded in blocks of 64. A record reads them where the first block was.
#[test]
fn a_record_goes_on_over_many_timesteps() {
    let Some(adapter) = adapter("a run of many steps") else {
        return;
    };
    let runtime = adapter.runtime(TileMemory::Registers, DType::F32);
    let config = Model::read("sd1-four-levels").config().unet;
    let unet = random_unet(&config, &runtime);
    let prompts = prompts(&runtime, 2, 77, config.cross_attention_dim);
    let on_device = Walk::new(&unet, &prompts, SamplerKind::Euler, 68).end();
    let on_host = Walk::start(&unet, &prompts, SamplerKind::Euler, 68, Denoiser::on_host).end();
    let error = relative_error(&on_device, &on_host);
    assert!(error < 1e-4, "off by {error:.1e} from a run on the host");
}

/// Where a record cannot be finished, because it would need memory that is not there, the run goes on as if nothing had
/// been tried.
#[test]
fn steps_go_on_after_a_record_that_fails() {
    let Some(adapter) = adapter("steps after a record that fails") else {
        return;
    };
    let gpu = Gpu::with_memory(TileMemory::Registers);
    let times = Tensor::<2>::zeros([1, 128], (&adapter.device, DType::F32));
    let run = |waste: bool| {
        let start = DeviceLatentInit {
            latent: Noise::new(Rng::Torch, 1).normal(6 * 10 * 4),
            shape: [2, 6, 10, 4],
            input_scale: 1.0,
        };
        let mut latent = DeviceLatent::new(start, &times);
        let config = Model::read("sd1-pndm").config().scheduler;
        let mut sampler = Sampler::new(SamplerKind::Dpmpp2m, &config, 8).expect("a sampler");
        let calls = Cell::new(0);
        let predict = |input: Tensor<4>, _: &Tensor<2>| {
            let tokens = input.reshape([2, 60, 4]);
            calls.set(calls.get() + 1);
            if waste {
                // More than was ever asked for before.
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
                guidance: 3.0,
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
        "calls of the network: launched every time, and tried thrice"
    );
    assert!(got == expected, "another latent after records that failed");
}
