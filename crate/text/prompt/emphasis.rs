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
        let text = WeightedText {
            embeddings,
            weights,
            uses: 1,
        };
        self.apply_together(&mut [text], width);
    }

    /// [`Emphasis::apply`] to several texts. The mean is that of all of them, each as often as it
    /// is used.
    ///
    /// # Panics
    /// If a text has another number of values than weights · width.
    pub fn apply_together(self, texts: &mut [WeightedText], width: usize) {
        for text in &*texts {
            let values = text.weights.len() * width;
            assert_eq!(text.embeddings.len(), values, "a weight a row");
        }
        let mut weights = texts.iter().flat_map(|text| text.weights);
        if self == Emphasis::Ignore || width == 0 || weights.all(|&weight| weight == 1.0) {
            return;
        }
        let before = mean(texts);
        for text in &mut *texts {
            let rows = text.embeddings.chunks_exact_mut(width);
            for (row, &weight) in rows.zip(text.weights) {
                let weight = weight as f32;
                row.iter_mut().for_each(|value| *value *= weight);
            }
        }
        let scale = match self {
            Emphasis::Original => before / mean(texts),
            _ => 1.0,
        };
        if scale.is_finite() {
            let values = texts.iter_mut().flat_map(|text| text.embeddings.iter_mut());
            values.for_each(|value| *value *= scale);
        }
    }
}

/// Embeddings of a text with their weights.
pub struct WeightedText<'a> {
    /// `[n, width]`
    pub embeddings: &'a mut [f32],
    /// A weight for each of the n rows.
    pub weights: &'a [f64],
    /// Stages of the prompt's schedule that have this text.
    pub uses: usize,
}

fn mean(texts: &[WeightedText]) -> f32 {
    let (mut sum, mut count) = (0.0, 0);
    for text in texts {
        let values = text.embeddings.iter().copied().map(f64::from);
        sum += text.uses as f64 * values.sum::<f64>();
        count += text.uses * text.embeddings.len();
    }
    (sum / count as f64) as f32
}
