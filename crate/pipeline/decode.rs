//! Decoding on a device that may be too small for it.

use burn::tensor::{DType, Tensor, TensorData};

use crate::config::VaeConfig;
use crate::device::memory::tiling::{VaeTiling, tiling, tiling_within};
use crate::device::{Runtime, read, take_reported};
use crate::error::{Error, Result};
use crate::vae::decoder::VaeDecoder;
use crate::vae::tile_layout::{Canvas, TileLayout};

/// Decoder with its runtime.
pub struct Decoding<'a> {
    /// Network.
    pub vae: &'a VaeDecoder,
    /// Configuration of the network.
    pub config: &'a VaeConfig,
    /// Runtime of the network.
    pub runtime: &'a Runtime,
    /// Element type of activations.
    pub dtype: DType,
}

impl Decoding<'_> {
    /// Decodes `latent`. Returns a warning where it was decoded in tiles because the device failed
    /// otherwise.
    ///
    /// # Shapes
    /// `[h, w, latent_channels]` → `[8h, 8w, 3]`, −1 black to 1 white, not clamped
    ///
    /// # Errors
    /// [`Error::Numeric`] where the picture is not finite, [`Error::Device`] where the device
    /// fails.
    pub async fn decode(
        &self,
        latent: &[f32],
        size: [usize; 2],
        vae_tiling: VaeTiling,
    ) -> Result<(Vec<f32>, Option<String>)> {
        let (config, limit) = (self.config, self.runtime.buffer_limit);
        if let Some(tiling) = tiling(config, limit, self.dtype, size, vae_tiling) {
            return Ok((self.in_tiles(latent, size, tiling).await?, None));
        }
        let failed = match self.whole(latent, size).await {
            Err(Error::Device(reason)) if vae_tiling == VaeTiling::Auto => reason,
            result => return Ok((result?, None)),
        };
        // Tiles of at most a quarter of the picture: larger ones would fail as the whole picture
        // did.
        let side = size[0].max(size[1]) / 2;
        let tiling = TileLayout::of_model(config).at_most(side);
        let tiling = tiling_within(config, limit, self.dtype, tiling);
        if !tiling.divides(size[0], size[1]) {
            return Err(Error::Device(failed));
        }
        // The failure is known; errors that were reported besides belong to it.
        take_reported();
        self.runtime.device.memory_cleanup();
        let values = self.in_tiles(latent, size, tiling).await?;
        let warning = format!(
            "the picture was decoded in tiles of {0}×{0} pixels, since decoding it whole failed: \
             {failed}",
            tiling.side() * self.config.pixels_per_latent()
        );
        Ok((values, Some(warning)))
    }

    /// Decodes `latent` in the tiles of `tiling`, as [`Decoding::decode`].
    ///
    /// # Errors
    /// Same as [`Decoding::decode`].
    pub async fn in_tiles(
        &self,
        latent: &[f32],
        [height, width]: [usize; 2],
        tiling: TileLayout,
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

/// Checks a picture. Values that are not finite are an overflow; zeros throughout mean that the
/// device computed nothing.
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
