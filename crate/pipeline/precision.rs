//! What happens when activations leave the range of f16, 65504: the same again in f32, with the weights that are there.
//!
//! It happens with some models and not with others, and seldom before a model is at hand. SD2.1 is known for it, and the
//! VAEs of many SD1 models. A computation that has overflowed shows NaN or infinities in the end, so it is enough to look at
//! what is read back anyway: predictions, latents, pictures.

use std::cell::Cell;

use burn::tensor::DType;

use crate::error::{Error, Result};
use crate::pipeline::{Generation, Picture, Progress};

/// The types that a model's activations are computed in.
pub(crate) struct Activations {
    /// The text encoder's and the U-Net's.
    pub networks: Activation,
    /// The VAE's.
    pub vae: Activation,
}

impl Activations {
    /// In `dtype` for a start.
    pub fn new(dtype: DType) -> Self {
        let activation = || Activation(Cell::new(dtype));
        Activations {
            networks: activation(),
            vae: activation(),
        }
    }

    /// All in f32 from now on.
    fn widen(&self) {
        self.networks.0.set(DType::F32);
        self.vae.0.set(DType::F32);
    }
}

/// A type of activations: the device's, until they have once been beyond it.
pub(crate) struct Activation(Cell<DType>);

impl Activation {
    /// The type.
    pub fn get(&self) -> DType {
        self.0.get()
    }

    /// What `run` computes in this type or, where it fails in f16, in f32; then with what went wrong.
    pub async fn compute<T>(
        &self,
        run: impl AsyncFn(DType) -> Result<T>,
    ) -> Result<(T, Option<String>)> {
        match run(self.get()).await {
            Err(Error::Numeric(what)) if self.get() == DType::F16 => {
                self.0.set(DType::F32);
                Ok((run(DType::F32).await?, Some(what)))
            }
            result => Ok((result?, None)),
        }
    }
}

impl Generation {
    /// One U-Net call and the sampler's step with its prediction.
    ///
    /// Where activations leave the range of f16, the run begins anew in f32, with the same noise and the same weights: the
    /// step returned is then its first, [`Progress::restarted`] is set, and there is one more warning. Later runs of the
    /// pipeline are in f32 from the start.
    ///
    /// # Errors
    /// [`Error::Numeric`] where prediction or latent is not finite in f32 either, [`Error::Device`] where the device fails.
    pub async fn step(&mut self) -> Result<Progress> {
        match self.advance().await {
            Err(Error::Numeric(what)) if self.dtype == DType::F16 => {
                let pipeline = self.pipeline.clone();
                pipeline.activations.widen();
                *self = pipeline.start_in(DType::F32, &self.request)?;
                self.warnings
                    .push(beyond_f16(&what, "the run was begun anew"));
                Ok(Progress {
                    restarted: true,
                    ..self.advance().await?
                })
            }
            result => result,
        }
    }

    /// Decodes the latent into a picture: whole, or in tiles where the request or the device asks for them. Where activations
    /// leave the range of f16 this is repeated in f32, where the device fails to decode it whole it is repeated in tiles;
    /// both make one more warning.
    ///
    /// # Errors
    /// [`Error::Numeric`] where the picture is not finite in f32 either, [`Error::Device`] where the device fails.
    pub async fn finish(&mut self) -> Result<Picture> {
        let vae = &self.pipeline.activations.vae;
        let decoded = vae.compute(async |dtype| self.decode(dtype).await).await?;
        let ((picture, tiled), wrong) = decoded;
        let warning = wrong.map(|what| beyond_f16(&what, "it was decoded again"));
        self.warnings.extend(warning.into_iter().chain(tiled));
        Ok(picture)
    }
}

/// A warning that says what went wrong and what was done.
pub(crate) fn beyond_f16(what: &str, then: &str) -> String {
    format!(
        "this model computes values beyond the range of f16 ({what}); {then} in f32, which is slower and takes more memory"
    )
}
