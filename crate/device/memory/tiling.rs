//! Choice between decoding a picture whole and in tiles.

use burn::tensor::DType;

use super::count::largest_in_decoding;
use crate::config::VaeConfig;
use crate::error::{Error, Result};
use crate::vae::tile_layout::TileLayout;

/// Choice of decoding in tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VaeTiling {
    /// Decode in tiles where an activation would be larger than the device's buffers, and where
    /// decoding whole fails on the device.
    #[default]
    Auto,
    /// Decode in tiles where the latent is larger than a tile.
    Always,
    /// Never decode in tiles. Where the picture does not fit, decoding fails.
    Never,
}

impl std::fmt::Display for VaeTiling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            VaeTiling::Auto => "auto",
            VaeTiling::Always => "always",
            VaeTiling::Never => "never",
        })
    }
}

impl std::str::FromStr for VaeTiling {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "auto" => Ok(VaeTiling::Auto),
            "always" => Ok(VaeTiling::Always),
            "never" => Ok(VaeTiling::Never),
            other => Err(Error::request("tiles", other, "auto, always or never")),
        }
    }
}

/// Tiles to decode a latent of `size` in, with activations in `dtype`, where buffers have at most
/// `limit` bytes; `None` to decode it whole.
pub fn tiling(
    config: &VaeConfig,
    limit: u64,
    dtype: DType,
    size: [usize; 2],
    tiles: VaeTiling,
) -> Option<TileLayout> {
    let fits = || largest_in_decoding(config, size, dtype) <= limit;
    if tiles == VaeTiling::Never || (tiles == VaeTiling::Auto && fits()) {
        return None;
    }
    let tiling = tiling_within(config, limit, dtype, TileLayout::of_model(config));
    tiling.divides(size[0], size[1]).then_some(tiling)
}

/// `tiling`, or the largest halving of it with activations that fit the device's buffers.
pub(crate) fn tiling_within(
    config: &VaeConfig,
    limit: u64,
    dtype: DType,
    mut tiling: TileLayout,
) -> TileLayout {
    let too_large =
        |tiling: TileLayout| largest_in_decoding(config, [tiling.side(); 2], dtype) > limit;
    while too_large(tiling) {
        match tiling.halved() {
            Some(smaller) => tiling = smaller,
            None => break,
        }
    }
    tiling
}
