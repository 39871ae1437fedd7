//! LaunchCounter, submissions and kernels of a step, and what they cost the host.

use std::time::Instant;

use burn::tensor::{DType, Tensor};
use darkroom::device::read;
use darkroom::ops::gpu::{DeviceLatent, DeviceLatentInit, DryRun, TileMemory};
use darkroom::pipeline::denoise::Denoiser;
use darkroom::pipeline::warmup::Launches;
use darkroom::sampling::SamplerKind;
use darkroom::sampling::update::Step;
use pollster::block_on;

use super::support::models::Model;
use super::support::{relative_error, say};
use super::walk::{Walk, random_unet, sd15_unet};
use super::{LaunchCounter, adapter, prompts};

/// Dispatches of one guided step, and distinct pipelines of a whole picture, as the acceptance of the GPU path has them.
const DISPATCHES_AT_MOST: usize = 450;
const PIPELINES_AT_MOST: usize = 99;

#[test]
fn sd15_at_full_size_has_few_dispatches_and_few_pipelines() {
    let Some(adapter) = adapter("dispatches of SD1.5's step") else {
        return;
    };
    let mut config = Model::read("sd1-pndm").config();
    config.unet = sd15_unet(1);
    (config.text.hidden_size, config.text.intermediate_size) = (768, 3072);
    (
        config.text.num_hidden_layers,
        config.text.num_attention_heads,
    ) = (12, 12);
    config.text.max_position_embeddings = 77;
    config.vae.block_out_channels = vec![128, 256, 512, 512];
    (config.vae.layers_per_block, config.vae.norm_num_groups) = (2, 32);
    for tiles in [TileMemory::Registers, TileMemory::Workgroup] {
        for dtype in [DType::F32, DType::F16] {
            let runtime = adapter.runtime(tiles, dtype);
            let dry_run = DryRun::new(&runtime.device);
            let launches =
                Launches::new(&config, &runtime, &dry_run, [512, 512]).expect("a sketch");
            let (step, kernels) = (launches.step.len(), launches.kernels().len());
            say(format_args!(
                "SD1.5 at 512×512, guided, {}: {} dispatches before the first step, {step} a step, {} after the last one; \
                 {kernels} pipelines",
                runtime.name,
                launches.start.len(),
                launches.finish.len(),
            ));
            assert!(step <= DISPATCHES_AT_MOST, "{step} dispatches a step");
            assert!(kernels <= PIPELINES_AT_MOST, "{kernels} pipelines");
        }
    }
}

/// The sketch above is what happens: with narrow layers, so that a software adapter can run it.
#[test]
fn a_step_launches_what_its_sketch_says_in_one_submission() {
    let Some(adapter) = adapter("launches and submissions of a step") else {
        return;
    };
    let runtime = adapter.runtime(TileMemory::Registers, DType::F32);
    let mut config = Model::read("sd1-pndm").config();
    config.unet = sd15_unet(8);
    config.text.hidden_size = config.unet.cross_attention_dim;
    let dry_run = DryRun::new(&runtime.device);
    let launches = Launches::new(&config, &runtime, &dry_run, [8 * 8; 2]).expect("a sketch");
    let sketched = launches.step.len();

    let unet = random_unet(&config.unet, &runtime);
    let prompts = prompts(&runtime, 2, 77, config.unet.cross_attention_dim);
    let mut walk = Walk::new(&unet, &prompts, SamplerKind::EulerA, 5);
    for call in 0..5 {
        let (launches, before) = (LaunchCounter::watch(), adapter.submissions());
        walk.step();
        let (launches, submissions) = (launches.count(), adapter.submissions() - before - 1);
        say(format_args!(
            "call {call}: {launches} launches, {submissions} submissions; {sketched} launches sketched"
        ));
        match call {
            // Weights wait to be written, and later uniforms; every 64 writes are submitted for themselves.
            0 => assert_eq!(launches, sketched, "launches of the first step"),
            1 => assert_eq!(
                launches,
                sketched + 2,
                "launches where it is recorded, with copies first"
            ),
            _ => {
                assert_eq!(launches, 0, "launches beside the record");
                // The step, the copy that is read back, and natively one for what was written. (The browser's test counts
                // where the browser is asked: there it is two.)
                assert!(submissions <= 3, "{submissions} submissions of call {call}");
            }
        }
    }
    let on_host = Walk::start(&unet, &prompts, SamplerKind::EulerA, 5, Denoiser::on_host).end();
    let error = relative_error(walk.run.latent(), &on_host);
    assert!(error < 1e-5, "off by {error:.1e} from a run on the host");
}

/// What a step costs the host until it is submitted, launched and played from the record, in turns.
#[test]
#[ignore = "a timing: it says nothing on a machine that does other things"]
fn a_recorded_step_costs_the_host_less() {
    let Some(adapter) = adapter("the host's time for a step") else {
        return;
    };
    let runtime = adapter.runtime(TileMemory::Registers, DType::F32);
    let config = sd15_unet(8);
    let unet = random_unet(&config, &runtime);
    let prompts = prompts(&runtime, 2, 77, config.cross_attention_dim);
    let (times, prompt) = (unet.times(&[500.0], &prompts), unet.cross_attn_kv(&prompts));
    let predict = |latent, time: &Tensor<2>| unet.predict(latent, time, &prompt);
    let start = DeviceLatentInit {
        latent: vec![0.5; 4],
        shape: [2, 1, 1, 4],
        input_scale: 1.0,
    };
    let mut latent = DeviceLatent::new(start, &times);
    let step = Step::default();
    let mut seconds = [Vec::new(), Vec::new()];
    for round in 0..24 {
        for (way, seconds) in seconds.iter_mut().enumerate() {
            let begin = Instant::now();
            let result = match way {
                0 => latent.launched(&step, &[], 0, &predict),
                _ => latent.step(&step, &[], 0, &predict),
            };
            runtime.device.flush().expect("a submission");
            // The first rounds compile kernels, write uniforms, and record.
            if round >= 4 {
                seconds.push(begin.elapsed().as_secs_f64());
            }
            block_on(read(result)).expect("a step");
        }
    }
    let [launched, recorded] = seconds.map(|mut seconds| {
        seconds.sort_by(f64::total_cmp);
        1e3 * seconds[seconds.len() / 2]
    });
    say(format_args!(
        "430 dispatches, median until submitted: launched {launched:.2} ms, recorded {recorded:.2} ms, {:.1}×",
        launched / recorded
    ));
    assert!(recorded < launched);
}
