//! Decoding in tiles: against diffusers, when it is chosen, and what happens where a device cannot decode a picture whole.
//!
//! The expected pictures are made by `tests/golden/tiles/generate.py` from VAEs of `tests/golden/models`.

mod support;

use std::rc::Rc;

use burn::tensor::DType;
use darkroom::device::memory::tiling::{VaeTiling, tiling};
use darkroom::pipeline::decode::Decoding;
use darkroom::vae::tile_layout::TileLayout;
use darkroom::{Error, Pipeline, Precision, Request, Runtime};
use pollster::block_on;
use serde::Deserialize;
use support::adapter::{AdapterRequest, gpu};
use support::command::{Scratch, USAGE};
use support::models::Model;
use support::{Tensors, channels_first, channels_last, four, golden, read_json, relative_error};

#[derive(Deserialize)]
struct Case {
    model: String,
    side: usize,
    latent: String,
    picture: String,
}

fn model(name: &str) -> Model {
    let known = support::models::MODELS.into_iter().find(|m| *m == name);
    Model::read(known.unwrap_or_else(|| panic!("there is no model {name}")))
}

fn decoding<'a>(pipeline: &'a Pipeline, runtime: &'a Runtime) -> Decoding<'a> {
    Decoding {
        vae: pipeline.vae(),
        config: &pipeline.config().vae,
        runtime,
        dtype: runtime.dtype,
    }
}

/// Every case of `expected.json`.
fn compare(runtime: &Runtime, limit: f64) {
    let cases: Vec<Case> = read_json(&golden().join("tiles/expected.json"));
    let tensors = Tensors::read(&golden().join("tiles/expected.safetensors"));
    for case in &cases {
        let what = format!(
            "{} in tiles of {} on {}",
            case.model, case.side, runtime.name
        );
        let pipeline = model(&case.model).load(runtime);
        let decoding = decoding(&pipeline, runtime);
        let (shape, latent) = tensors.f32(&case.latent);
        let [_, _, height, width] = four(shape);
        let latent = channels_last(&latent, four(shape));
        let tiling = TileLayout::new(case.side, decoding.config);
        assert_eq!(tiling.side(), case.side, "{what}");
        let own = TileLayout::of_model(decoding.config);
        let picture = if own == tiling {
            let result = decoding.decode(&latent, [height, width], VaeTiling::Always);
            let (picture, warning) = block_on(result).unwrap_or_else(|e| panic!("{what}: {e}"));
            assert_eq!(warning, None, "{what}: it was asked for");
            picture
        } else {
            block_on(decoding.in_tiles(&latent, [height, width], tiling))
                .unwrap_or_else(|e| panic!("{what}: {e}"))
        };
        let (shape, expected) = tensors.f32(&case.picture);
        let [n, c, h, w] = four(shape);
        let error = relative_error(&channels_first(&picture, [n, h, w, c]), &expected);
        assert!(
            error < limit,
            "{what}: relative error {error:.1e}, allowed {limit:.0e}"
        );
    }
}

#[test]
fn cpu_matches_diffusers() {
    compare(&Runtime::cpu(Precision::F32, false).expect("the CPU"), 1e-4);
}

#[test]
fn gpu_matches_diffusers() {
    let wanted = AdapterRequest {
        precision: Precision::F32,
        buffer_limit: None,
    };
    if let Some(runtime) = gpu("decoding in tiles on a GPU adapter", wanted) {
        compare(&runtime, 1e-4);
    }
}

/// Too small for the maps of a picture of 288×288 with sixteen channels, large enough for its tiles, for the U-Net, and for the
/// four megabytes that weights are uploaded through.
const SMALL_BUFFERS: u64 = 5 << 20;

fn request(tiles: VaeTiling) -> Request {
    Request {
        prompt: "a man".into(),
        steps: 1,
        width: Some(288),
        height: Some(288),
        vae_tiling: tiles,
        ..Request::default()
    }
}

struct Finished {
    rgba: Vec<u8>,
    warnings: Vec<String>,
}

fn finish(pipeline: &Rc<Pipeline>, tiles: VaeTiling) -> darkroom::Result<Finished> {
    block_on(async {
        let mut generation = pipeline.start(&request(tiles)).await?;
        generation.step().await?;
        let before = generation.warnings().len();
        let rgba = generation.finish().await?.rgba;
        let warnings = generation.warnings()[before..].to_vec();
        Ok(Finished { rgba, warnings })
    })
}

/// On a device with small buffers: the plan foresees it and decodes in tiles; where the plan is mistaken the device fails,
/// in earnest, and the picture is decoded in tiles all the same, with a warning; where tiles are forbidden it is an error.
#[test]
fn gpu_with_small_buffers_decodes_in_tiles() {
    let wanted = AdapterRequest {
        precision: Precision::F32,
        buffer_limit: Some(SMALL_BUFFERS),
    };
    let Some(runtime) = gpu("decoding where buffers are small", wanted) else {
        return;
    };
    assert_eq!(runtime.buffer_limit, SMALL_BUFFERS);
    let model = model("sd1-plain-first");
    let foreseen = finish(&model.load(&runtime), VaeTiling::Auto).expect("a picture in tiles");
    assert_eq!(foreseen.warnings, [""; 0]);

    let mistaken = Runtime {
        buffer_limit: u64::MAX,
        ..runtime.clone()
    };
    let pipeline = model.load(&mistaken);
    let retried = finish(&pipeline, VaeTiling::Auto).expect("a picture after all");
    assert_eq!(retried.warnings.len(), 1, "{:?}", retried.warnings);
    assert!(
        retried.warnings[0].contains("tiles of 64×64 pixels")
            && retried.warnings[0].contains("failed"),
        "{:?}",
        retried.warnings
    );
    assert!(
        retried.rgba == foreseen.rgba,
        "another picture than in tiles"
    );

    match finish(&pipeline, VaeTiling::Never).map(|finished| finished.warnings) {
        Err(Error::Device(_)) => {}
        other => panic!("expected the device's failure, got {other:?}"),
    }
}

/// VaeTiling where an activation would be larger than the device's buffers, the model's own size if that fits, else smaller.
#[test]
fn tiles_are_chosen_by_the_devices_limit() {
    // The published VAE: 256 channels at full size are the largest map.
    let config = darkroom::config::VaeConfig {
        block_out_channels: vec![128, 256, 512, 512],
        layers_per_block: 2,
        sample_size: 512,
        ..Default::default()
    };
    let side = |limit: u64, size: [usize; 2], tiles| {
        tiling(&config, limit, DType::F32, size, tiles).map(TileLayout::side)
    };
    assert_eq!(side(u64::MAX, [512, 512], VaeTiling::Auto), None);
    assert_eq!(side(u64::MAX, [512, 512], VaeTiling::Always), Some(64));
    assert_eq!(side(u64::MAX, [64, 64], VaeTiling::Always), None);
    let map = 256 * 512 * 512 * 4;
    for (limit, expected) in [(map, None), (map - 1, Some(32)), (map / 4 - 1, Some(16))] {
        assert_eq!(side(limit, [64, 64], VaeTiling::Auto), expected, "{limit}");
        assert_eq!(side(limit, [64, 64], VaeTiling::Never), None);
    }
    assert_eq!(side(map, [64, 65], VaeTiling::Auto), Some(64));
    // In f16 the portable 128 MiB are just enough for a tile of the model's own.
    let half = |limit| tiling(&config, limit, DType::F16, [96, 64], VaeTiling::Auto);
    assert_eq!(half(128 << 20).map(TileLayout::side), Some(64));
}

/// `--vae-tiles` reaches the decoder, and `--json` tells the plan.
#[test]
fn the_command_decodes_in_tiles() {
    let scratch = Scratch::with_model("sd1-pndm");
    let size = ["--width", "128", "--height", "96", "--steps", "1", "--json"];
    let picture = |tiles: &str| {
        let outcome = scratch.generate(&[&size[..], &["--vae-tiles", tiles]].concat());
        let said = String::from_utf8_lossy(&outcome.output.stderr).into_owned();
        assert!(outcome.picture, "{said}");
        assert!(said.contains("MB of memory for 64×64"), "{said}");
        let result: serde_json::Value =
            serde_json::from_slice(&outcome.output.stdout).expect("JSON");
        let plan = &result["memory"]["plan"];
        let bytes = |key: &str| plan[key].as_u64().expect("a number of bytes");
        assert_eq!(
            bytes("total"),
            bytes("weights") + bytes("activations") + bytes("scratch") + bytes("decode")
        );
        assert_eq!((bytes("width"), bytes("height")), (128, 96));
        std::fs::read(scratch.0.join("picture.png")).expect("a picture")
    };
    let (auto, never, always) = (picture("auto"), picture("never"), picture("always"));
    assert!(auto == never, "nothing asks for tiles here");
    assert!(always != never, "the tiles cannot be told from the whole");
    std::fs::remove_file(scratch.0.join("picture.png")).expect("a picture");
    scratch
        .generate(&["--vae-tiles", "sometimes"])
        .fails(USAGE, &["auto, always or never"]);
}
