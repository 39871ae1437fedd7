//! Whole pictures: memory, and kernels after loading.

use burn::tensor::DType;
use cubecl::launched::LaunchedKernels;
use darkroom::Request;
use darkroom::ops::gpu::TileMemory;
use pollster::block_on;

use super::adapter;
use super::support::models::Model;
use super::support::say;

#[test]
fn nothing_grows_from_picture_to_picture() {
    let Some(adapter) = adapter("memory over 20 pictures") else {
        return;
    };
    let runtime = adapter.runtime(TileMemory::Registers, DType::F32);
    let pipeline = Model::read("sd1-pndm").load(&runtime);
    let plain = Request {
        prompt: "Portrait photo of a man".into(),
        negative_prompt: "mustache".into(),
        steps: 4,
        width: Some(64),
        height: Some(64),
        ..Request::default()
    };
    // Another size, a prompt of several chunks, no guidance; and one that is cancelled after two steps.
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
        held.push(adapter.memory());
    }
    say(format_args!(
        "bytes of memory after each of 20 pictures: {held:?}"
    ));
    let highest = |held: &[u64]| held.iter().copied().max();
    assert!(highest(&held[8..]) <= highest(&held[..8]), "{held:?}");
}

#[test]
fn a_loaded_model_has_all_its_kernels() {
    let Some(adapter) = adapter("kernels of a loaded model") else {
        return;
    };
    let dtypes = adapter.dtypes();
    for (tiles, dtype) in [
        (TileMemory::Registers, dtypes[0]),
        (TileMemory::Workgroup, dtypes[dtypes.len() - 1]),
    ] {
        let runtime = adapter.runtime(tiles, dtype);
        let launched = LaunchedKernels::new();
        let pipeline = Model::read("sd1-four-levels").load(&runtime);
        let loading = launched.finish();
        let launched = LaunchedKernels::new();
        let request = Request {
            prompt: "man".into(),
            steps: 3,
            ..Request::default()
        };
        let mut generation = block_on(pipeline.start(&request)).expect("a generation");
        while !generation.is_done() {
            block_on(generation.step()).expect("a step");
        }
        block_on(generation.finish()).expect("a picture");
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
