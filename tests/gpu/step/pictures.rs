//! Memory and kernels over whole pictures.

use burn::tensor::DType;
use cubecl::launched::LaunchedKernels;
use darkroom::Request;
use darkroom::ops::gpu::TileMemory;
use pollster::block_on;

use super::runtime;
use crate::support::generate::generate;
use crate::support::gpu::Gpu;
use crate::support::models::Model;
use crate::support::say;

#[test]
fn memory_does_not_grow_from_picture_to_picture() {
    let Some(gpu) = Gpu::new("memory over 20 pictures") else {
        return;
    };
    let runtime = runtime(&gpu, TileMemory::Registers, DType::F32);
    let pipeline = Model::read("sd1-pndm").load(&runtime);
    let plain = Request {
        prompt: "Portrait photo of a man".into(),
        negative_prompt: "mustache".into(),
        steps: 4,
        width: Some(64),
        height: Some(64),
        ..Request::default()
    };
    // Another size, a prompt of several chunks, no guidance; and some are cancelled after two
    // steps.
    let long = "a portrait of a man, ".repeat(30);
    let requests = [
        plain.clone(),
        Request {
            height: Some(48),
            ..plain.clone()
        },
        Request {
            prompt: long,
            ..plain.clone()
        },
        Request {
            guidance_scale: 1.0,
            ..plain
        },
    ];
    let mut held = Vec::new();
    let mut first = None;
    for picture in 0..20 {
        let request = &requests[picture % requests.len()];
        let mut generation = block_on(pipeline.start(request)).expect("a generation");
        let cancelled = picture % 5 == 3;
        while !generation.is_done() {
            let progress = block_on(generation.step()).expect("a step");
            if cancelled && progress.call == 2 {
                break;
            }
        }
        if !cancelled {
            let picture = block_on(generation.finish()).expect("a picture").rgba;
            if request.height == Some(64)
                && request.guidance_scale != 1.0
                && request.prompt.len() < 99
            {
                assert!(picture == *first.get_or_insert_with(|| picture.clone()));
            }
        }
        drop(generation);
        let memory = runtime.memory().expect("a device with pools");
        held.push(memory.reserved);
    }
    say(format_args!(
        "bytes of memory after each of 20 pictures: {held:?}"
    ));
    let highest = |held: &[u64]| held.iter().copied().max();
    assert!(highest(&held[8..]) <= highest(&held[..8]), "{held:?}");
}

#[test]
fn a_loaded_model_has_all_its_kernels() {
    let Some(gpu) = Gpu::new("kernels of a loaded model") else {
        return;
    };
    let dtypes = gpu.dtypes();
    for (memory, dtype) in [
        (TileMemory::Registers, dtypes[0]),
        (TileMemory::Workgroup, dtypes[dtypes.len() - 1]),
    ] {
        let runtime = runtime(&gpu, memory, dtype);
        let launched = LaunchedKernels::new();
        let pipeline = Model::read("sd1-four-levels").load(&runtime);
        let loading = launched.finish();
        let launched = LaunchedKernels::new();
        let request = Request {
            prompt: "man".into(),
            steps: 3,
            ..Request::default()
        };
        generate(&pipeline, &request);
        let running = launched.finish();
        let new = running.difference(&loading).count();
        say(format_args!(
            "{}: {} kernels launched for a picture, {new} of them new after loading",
            runtime.name,
            running.len()
        ));
        assert_eq!(new, 0, "kernels that were not compiled while loading");
    }
}
