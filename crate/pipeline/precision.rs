//! The fallback from f16 to f32.
//!
//! Some models compute values beyond the range of f16, 65504: SD2.1's attention scores, and the
//! VAEs of many SD1 models. An overflow ends as NaN or infinity in what is read back anyway
//! (predictions, latents, pictures), so no extra check is needed. The computation is then repeated
//! in f32 with the weights that are already on the device.

use std::cell::Cell;

use burn::tensor::DType;

use crate::error::{Error, Result};

/// Element types of a model's activations.
#[derive(Clone)]
pub(super) struct ActivationDtypes {
    /// Type for the text encoder and the U-Net.
    pub networks: ActivationDtype,
    /// Type for the VAE.
    pub vae: ActivationDtype,
}

impl ActivationDtypes {
    /// Starts with `dtype` for all networks.
    pub fn new(dtype: DType) -> Self {
        let cell = || ActivationDtype(Cell::new(dtype));
        ActivationDtypes {
            networks: cell(),
            vae: cell(),
        }
    }

    /// Switches all networks to f32 for good.
    pub fn widen(&self) {
        self.networks.0.set(DType::F32);
        self.vae.0.set(DType::F32);
    }
}

/// The element type of one network's activations: the device's own, or f32 after an overflow.
#[derive(Clone)]
pub(super) struct ActivationDtype(Cell<DType>);

impl ActivationDtype {
    /// The present type.
    pub fn get(&self) -> DType {
        self.0.get()
    }

    /// Runs `compute` in the present type. If that overflows f16, runs it again in f32, stays in
    /// f32, and returns the reason beside the result.
    ///
    /// # Errors
    /// Whatever `compute` returns, except [`Error::Numeric`] in f16.
    pub async fn compute<T>(
        &self,
        compute: impl AsyncFn(DType) -> Result<T>,
    ) -> Result<(T, Option<String>)> {
        match compute(self.get()).await {
            Err(Error::Numeric(reason)) if self.get() == DType::F16 => {
                self.0.set(DType::F32);
                Ok((compute(DType::F32).await?, Some(reason)))
            }
            result => Ok((result?, None)),
        }
    }
}

/// The warning after an overflow: `reason` says what overflowed, `remedy` what was done.
pub(super) fn overflow_warning(reason: &str, remedy: &str) -> String {
    format!(
        "this model computes values beyond the range of f16 ({reason}); {remedy} in f32, which is \
         slower and takes more memory"
    )
}
