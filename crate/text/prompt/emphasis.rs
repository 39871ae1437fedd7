//! Weights applied to what the text encoder made of a prompt.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// A way to apply weights to embeddings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Emphasis {
    /// Each token's embedding times its weight, then all of them scaled so that their mean is what
    /// it was. The web UI's default.
    #[default]
    Original,
    /// Each token's embedding times its weight.
    NoNorm,
    /// Weights are read but not applied.
    Ignore,
}

impl fmt::Display for Emphasis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Emphasis::Original => "original",
            Emphasis::NoNorm => "no-norm",
            Emphasis::Ignore => "ignore",
        })
    }
}

impl FromStr for Emphasis {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "original" => Ok(Emphasis::Original),
            "no-norm" => Ok(Emphasis::NoNorm),
            "ignore" => Ok(Emphasis::Ignore),
            other => {
                let expected = "original, no-norm or ignore";
                Err(Error::request("emphasis", other, expected))
            }
        }
    }
}

impl Emphasis {
    /// Applies `weights`, one for each row, to `embeddings`, in place. If all weights are 1, no bit
    /// changes.
    ///
    /// The mean of [`Emphasis::Original`] is that of the whole slice. The web UI encodes all texts
    /// of a schedule at once, chunk by chunk: for its very values the slice has the rows of one
    /// chunk of each text. Where the weights make the mean 0, the web UI divides by it; here the
    /// rows then stay as they are after the multiplication.
    ///
    /// # Shapes
    /// `embeddings` is `[n, width]` with n weights.
    ///
    /// # Panics
    /// If the number of values is not n · width.
    pub fn apply(self, embeddings: &mut [f32], weights: &[f64], width: usize) {
        assert_eq!(embeddings.len(), weights.len() * width, "a weight a row");
        if self == Emphasis::Ignore || width == 0 || weights.iter().all(|&weight| weight == 1.0) {
            return;
        }
        let before = mean(embeddings);
        for (row, &weight) in embeddings.chunks_exact_mut(width).zip(weights) {
            let weight = weight as f32;
            row.iter_mut().for_each(|value| *value *= weight);
        }
        if self == Emphasis::Original {
            let scale = before / mean(embeddings);
            if scale.is_finite() {
                embeddings.iter_mut().for_each(|value| *value *= scale);
            }
        }
    }
}

fn mean(values: &[f32]) -> f32 {
    let sum: f64 = values.iter().copied().map(f64::from).sum();
    (sum / values.len() as f64) as f32
}
