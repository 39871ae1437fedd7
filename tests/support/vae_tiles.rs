//! Decoding in tiles against diffusers. The expected pictures are made by
//! `tests/golden/tiles/generate.py` from VAEs of `tests/golden/models`.

use darkroom::Runtime;
use darkroom::device::memory::tiling::VaeTiling;
use darkroom::pipeline::decode::Decoding;
use darkroom::vae::tile_layout::TileLayout;
use pollster::block_on;
use serde::Deserialize;

use super::models::Model;
use super::safetensors::Tensors;
use super::{channels_first, channels_last, four, golden, read_json, relative_error};

/// The largest relative error of a picture.
const LIMIT: f64 = 1e-4;

#[derive(Deserialize)]
struct Case {
    model: String,
    side: usize,
    latent: String,
    picture: String,
}

/// Decodes every case of `expected.json` on `runtime`.
pub fn compare(runtime: &Runtime) {
    let cases: Vec<Case> = read_json(&golden().join("tiles/expected.json"));
    let tensors = Tensors::read(&golden().join("tiles/expected.safetensors"));
    for case in &cases {
        compare_case(case, &tensors, runtime);
    }
}

fn compare_case(case: &Case, tensors: &Tensors, runtime: &Runtime) {
    let what = format!(
        "{} in tiles of {} on {}",
        case.model, case.side, runtime.name
    );
    let pipeline = Model::named(&case.model).load(runtime);
    let decoding = Decoding {
        vae: pipeline.vae(),
        config: &pipeline.config().vae,
        runtime,
        dtype: runtime.dtype,
    };
    let (shape, latent) = tensors.f32(&case.latent);
    let [_, _, height, width] = four(shape);
    let latent = channels_last(&latent, four(shape));
    let tiling = TileLayout::new(case.side, decoding.config);
    assert_eq!(tiling.side(), case.side, "{what}");
    let picture = if tiling == TileLayout::of_model(decoding.config) {
        let result = decoding.decode(&latent, [height, width], VaeTiling::Always);
        let (picture, warning) = block_on(result).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(warning, None, "{what}: tiles were asked for");
        picture
    } else {
        block_on(decoding.in_tiles(&latent, [height, width], tiling))
            .unwrap_or_else(|e| panic!("{what}: {e}"))
    };
    let (shape, expected) = tensors.f32(&case.picture);
    let [n, c, h, w] = four(shape);
    let error = relative_error(&channels_first(&picture, [n, h, w, c]), &expected);
    assert!(
        error < LIMIT,
        "{what}: relative error {error:.1e}, allowed {LIMIT:.0e}"
    );
}
