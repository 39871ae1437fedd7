//! Decoding on a device that may be too small for it.

use burn::tensor::{DType, Tensor, TensorData};

use super::decoder::VaeDecoder;
use super::tiles::{Canvas, Tiling};
use crate::config::VaeConfig;
use crate::device::{Runtime, read, take_reported};
use crate::error::{Error, Result};
use crate::memory;

/// When to decode in tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tiles {
    /// Where an activation would be larger than the device's buffers, and where the device fails without.
    #[default]
    Auto,
    /// Whenever the latent is larger than a tile.
    Always,
    /// Never: where it does not fit, decoding fails.
    Never,
}

impl std::fmt::Display for Tiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Tiles::Auto => "auto",
            Tiles::Always => "always",
            Tiles::Never => "never",
        })
    }
}

impl std::str::FromStr for Tiles {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "auto" => Ok(Tiles::Auto),
            "always" => Ok(Tiles::Always),
            "never" => Ok(Tiles::Never),
            other => Err(Error::request("tiles", other, "auto, always or never")),
        }
    }
}

/// A decoder, and what it runs on.
pub struct Decoding<'a> {
    /// The decoder.
    pub vae: &'a VaeDecoder,
    /// Its configuration.
    pub config: &'a VaeConfig,
    /// Its device.
    pub runtime: &'a Runtime,
    /// Type of activations.
    pub dtype: DType,
}

impl Decoding<'_> {
    /// The picture of `latent`, and a warning where it was decoded in tiles because the device failed otherwise.
    ///
    /// # Shapes
    /// `[h, w, latent_channels]` → `[8h, 8w, 3]`, −1 black to 1 white, not clamped
    ///
    /// # Errors
    /// [`Error::Numeric`] where the picture is not finite, [`Error::Device`] where the device fails.
    pub async fn decode(
        &self,
        latent: &[f32],
        size: [usize; 2],
        tiles: Tiles,
    ) -> Result<(Vec<f32>, Option<String>)> {
        let (config, limit) = (self.config, self.runtime.buffer_limit);
        if let Some(tiling) = tiling(config, limit, self.dtype, size, tiles) {
            return Ok((self.in_tiles(latent, size, tiling).await?, None));
        }
        let failed = match self.whole(latent, size).await {
            Err(Error::Device(reason)) if tiles == Tiles::Auto => reason,
            result => return Ok((result?, None)),
        };
        // Tiles of a quarter of the picture at most: larger ones would fail as the whole did.
        let side = size[0].max(size[1]) / 2;
        let tiling = Tiling::of_model(config).at_most(side);
        let tiling = tiling_within(config, limit, self.dtype, tiling);
        if !tiling.divides(size[0], size[1]) {
            return Err(Error::Device(failed));
        }
        // What of the failure was reported in passing is known by now.
        take_reported();
        self.runtime.device.memory_cleanup();
        let values = self.in_tiles(latent, size, tiling).await?;
        let warning = format!(
            "the picture was decoded in tiles of {0}×{0} pixels, since decoding it whole failed: {failed}",
            tiling.side() * self.config.pixels_per_latent()
        );
        Ok((values, Some(warning)))
    }

    /// As [`Decoding::decode`], in the tiles of `tiling`.
    ///
    /// # Errors
    /// As [`Decoding::decode`].
    pub async fn in_tiles(
        &self,
        latent: &[f32],
        [height, width]: [usize; 2],
        tiling: Tiling,
    ) -> Result<Vec<f32>> {
        let channels = self.config.latent_channels;
        let mut canvas = Canvas::new(tiling, height, width);
        for rows in tiling.ranges(height) {
            for columns in tiling.ranges(width) {
                let tile: Vec<f32> = rows
                    .clone()
                    .flat_map(|y| {
                        let start = y * width + columns.start;
                        &latent[start * channels..(start + columns.len()) * channels]
                    })
                    .copied()
                    .collect();
                let picture = self.whole(&tile, [rows.len(), columns.len()]).await?;
                canvas.lay(rows.clone(), columns, picture);
            }
        }
        Ok(canvas.into_values())
    }

    async fn whole(&self, latent: &[f32], [height, width]: [usize; 2]) -> Result<Vec<f32>> {
        let device = &self.runtime.device;
        let shape = [1, height, width, self.config.latent_channels];
        let data = TensorData::new(latent.to_vec(), shape);
        let latent = Tensor::<4>::from_data(data, (device, DType::F32)).cast(self.dtype);
        let values = read(self.vae.forward(latent)).await?;
        check(&values)?;
        Ok(values)
    }
}

/// The tiles that a latent of `size` is decoded in with activations in `dtype`, where buffers have at most `limit` bytes;
/// `None`: whole.
pub fn tiling(
    config: &VaeConfig,
    limit: u64,
    dtype: DType,
    size: [usize; 2],
    tiles: Tiles,
) -> Option<Tiling> {
    let fits = || memory::largest_in_decoding(config, size, dtype) <= limit;
    if tiles == Tiles::Never || (tiles == Tiles::Auto && fits()) {
        return None;
    }
    let tiling = tiling_within(config, limit, dtype, Tiling::of_model(config));
    tiling.divides(size[0], size[1]).then_some(tiling)
}

/// `tiling`, or the largest halving of it whose activations fit the device's buffers.
fn tiling_within(config: &VaeConfig, limit: u64, dtype: DType, mut tiling: Tiling) -> Tiling {
    let too_large =
        |tiling: Tiling| memory::largest_in_decoding(config, [tiling.side(); 2], dtype) > limit;
    while too_large(tiling) {
        match tiling.halved() {
            Some(smaller) => tiling = smaller,
            None => break,
        }
    }
    tiling
}

/// A picture that is not finite, or all zero, is none: overflow, or a device that computed nothing.
fn check(values: &[f32]) -> Result<()> {
    if let Some(bad) = values.iter().find(|v| !v.is_finite()) {
        return Err(Error::numeric(format!("the decoded picture holds {bad}")));
    }
    if values.iter().all(|&v| v == 0.0) {
        return Err(Error::device(
            "the decoded picture holds nothing but zeros: the device did not compute it",
        ));
    }
    Ok(())
}
