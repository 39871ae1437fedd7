//! Decoding in tiles on a GPU adapter: against diffusers, and on a device with small buffers.

use std::rc::Rc;

use darkroom::device::memory::tiling::VaeTiling;
use darkroom::{Error, Pipeline, Precision, Request, Runtime};
use pollster::block_on;

use crate::support::generate::sample;
use crate::support::gpu::Gpu;
use crate::support::models::Model;
use crate::support::vae_tiles;

#[test]
fn gpu_matches_diffusers() {
    if let Some(gpu) = Gpu::new("decoding in tiles on a GPU adapter") {
        vae_tiles::compare(&gpu.runtime(Precision::F32));
    }
}

/// Too small for the maps of a picture of 288×288 with sixteen channels. Large enough for its
/// tiles, for the U-Net, and for the four megabytes that weights are uploaded through.
const SMALL_BUFFERS: u64 = 5 << 20;

struct Decoded {
    rgba: Vec<u8>,
    /// Warnings of the decoding.
    warnings: Vec<String>,
}

fn decode(pipeline: &Rc<Pipeline>, vae_tiling: VaeTiling) -> darkroom::Result<Decoded> {
    let request = Request {
        prompt: "a man".into(),
        steps: 1,
        width: Some(288),
        height: Some(288),
        vae_tiling,
        ..Request::default()
    };
    let mut generation = sample(pipeline, &request)?.generation;
    let before = generation.warnings().len();
    let rgba = block_on(generation.finish())?.rgba;
    let warnings = generation.warnings()[before..].to_vec();
    Ok(Decoded { rgba, warnings })
}

/// The plan predicts that a picture does not fit, and it is decoded in tiles. Where the plan is
/// wrong, the device really fails, and the picture is then decoded in tiles with a warning. Where
/// tiles are forbidden, the failure is an error.
#[test]
fn gpu_with_small_buffers_decodes_in_tiles() {
    let Some(gpu) = Gpu::with_buffers("decoding with small buffers", SMALL_BUFFERS) else {
        return;
    };
    let runtime = gpu.runtime(Precision::F32);
    assert_eq!(runtime.buffer_limit, SMALL_BUFFERS);
    let model = Model::read("sd1-plain-first");
    let planned = decode(&model.load(&runtime), VaeTiling::Auto).expect("a picture in tiles");
    assert_eq!(planned.warnings, [""; 0]);

    let wrong_plan = Runtime {
        buffer_limit: u64::MAX,
        ..runtime.clone()
    };
    let pipeline = model.load(&wrong_plan);
    let repeated = decode(&pipeline, VaeTiling::Auto).expect("a picture after a failure");
    let warnings = &repeated.warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("tiles of 64×64 pixels") && warnings[0].contains("failed"),
        "{warnings:?}"
    );
    assert!(
        repeated.rgba == planned.rgba,
        "another picture than in tiles"
    );

    match decode(&pipeline, VaeTiling::Never).map(|decoded| decoded.warnings) {
        Err(Error::Device(_)) => {}
        other => panic!("expected the device's failure, got {other:?}"),
    }
}
