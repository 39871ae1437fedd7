//! Decoding in tiles on the CPU: against diffusers, the choice of tiles, and the command's option.

use burn::tensor::DType;
use darkroom::config::VaeConfig;
use darkroom::device::memory::tiling::{VaeTiling, tiling};
use darkroom::vae::tile_layout::TileLayout;

use crate::support::command::{Scratch, USAGE};
use crate::support::{assert_contains, cpu, vae_tiles};

#[test]
fn cpu_matches_diffusers() {
    vae_tiles::compare(&cpu());
}

/// Tiles are used where an activation would be larger than the device's buffers: tiles of the
/// model's own size if they fit, else smaller ones.
#[test]
fn tiles_are_chosen_by_the_devices_limit() {
    // The published VAE: its largest map has 256 channels at full size.
    let config = VaeConfig {
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
    // In f16 the portable limit of 128 MiB is just enough for a tile of the model's own size.
    let half = |limit| tiling(&config, limit, DType::F16, [96, 64], VaeTiling::Auto);
    assert_eq!(half(128 << 20).map(TileLayout::side), Some(64));
}

/// `--vae-tiling` reaches the decoder, and `--json` reports the memory plan.
#[test]
fn the_command_decodes_in_tiles() {
    let scratch = Scratch::with_model("sd1-pndm");
    let size = ["--width", "128", "--height", "96", "--steps", "1", "--json"];
    let picture = |tiling: &str| {
        let outcome = scratch.generate(&[&size[..], &["--vae-tiling", tiling]].concat());
        outcome.succeeds();
        assert_contains(&outcome.message(), &["MB of memory for 128×96"]);
        let plan = &outcome.json()["memory"]["plan"];
        let bytes = |key: &str| plan[key].as_u64().expect("a number of bytes");
        assert_eq!(
            bytes("total"),
            bytes("weights") + bytes("activations") + bytes("scratch") + bytes("decode")
        );
        assert_eq!((bytes("width"), bytes("height")), (128, 96));
        std::fs::read(scratch.picture()).expect("a picture")
    };
    let (auto, never, always) = (picture("auto"), picture("never"), picture("always"));
    assert!(auto == never, "auto used tiles where the picture fits");
    assert!(always != never, "always did not use tiles");
    std::fs::remove_file(scratch.picture()).expect("a picture");
    let outcome = scratch.generate(&["--vae-tiling", "sometimes"]);
    outcome.fails(USAGE, &["auto, always or never"]);
}
