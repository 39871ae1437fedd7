//! Guidance: one prediction from those for the prompt, the negative prompt and the empty prompt.
//!
//! A U-Net call predicts once for each [`Role`] of its batch. [`Guiding`] says which roles a call
//! has and how strong its guidance is, and a [`Method`] combines the predictions. Each method has a
//! file of its own, written like its paper:
//!
//! | kind | file | source |
//! |---|---|---|
//! | `plain` | [`plain`] | arXiv 2207.12598 |
//! | `rescale` | [`rescale`] | arXiv 2305.08891 |
//! | `cfg-zero` | [`cfg_zero`] | arXiv 2503.18886 |
//! | `apg` | [`apg`] | arXiv 2410.02416 |
//! | `perp-neg` | [`perp_neg`] | arXiv 2304.04968 |
//! | `dynamic-thresholding` | [`dynamic_thresholding`] | arXiv 2205.11487 |
//! | `tangential` | [`tangential`] | arXiv 2503.18137 |
//! | `pag`, `slg` | [`perturbed`] | arXiv 2403.17377 |
//!
//! Here the arithmetic is f64 on the host. A GPU computes the same from a few sums over the latent:
//! `crate/ops/gpu/guidance.wgsl`.

pub mod apg;
pub mod cfg_zero;
pub mod dynamic_thresholding;
mod kind;
mod method;
pub mod perp_neg;
pub mod perturbed;
pub mod plain;
pub mod rescale;
mod settings;
pub mod tangential;
mod vectors;
mod when;

pub use kind::{GuidanceKind, GuidanceOption};
pub use method::{Method, Options};
pub use plain::guide;
pub use settings::{GuidanceSchedule, GuidanceSettings, NegativeOutside, Window};
pub use when::Guiding;

use crate::sampling::Nag;
use crate::sampling::update::{Term, Update};
use vectors::{dot, minus, norm, plus};

/// A prediction's part in the guidance: the text that a branch of the U-Net's batch reads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Role {
    /// The negative prompt.
    Negative,
    /// The empty prompt.
    Empty,
    /// One of the prompts joined by `AND`, with its weight. They come in their order.
    Positive(f64),
    /// The prompt again, with a perturbed network, and its weight. It comes last.
    Perturbed(f64),
}

/// Guidance of one U-Net call.
#[derive(Debug, Clone, PartialEq)]
pub struct Guidance {
    /// Guidance scale.
    pub scale: f64,
    /// The branches of the batch: what the guidance moves away from, a second such branch if the
    /// method has one, the prompts. Without guidance the prompts alone.
    pub roles: Vec<Role>,
    /// The method with its options.
    pub method: Method,
    /// Share of the prediction that is rescaled; see [`rescale`].
    pub rescale: f64,
    /// True if the cosine of the predictions for prompt and negative prompt is wanted.
    pub watched: bool,
    /// Guidance away from the negative prompt within the attention to the prompts.
    pub nag: Option<Nag>,
}

impl Guidance {
    /// Plain guidance by one prompt away from one negative prompt.
    pub fn plain(scale: f64) -> Self {
        Guidance {
            scale,
            roles: vec![Role::Negative, Role::Positive(1.0)],
            method: Method::Plain,
            rescale: 0.0,
            watched: false,
            nag: None,
        }
    }

    /// No guidance: the prediction for the prompts with these weights.
    pub fn none(weights: &[f64]) -> Self {
        Guidance {
            roles: weights.iter().copied().map(Role::Positive).collect(),
            ..Guidance::plain(1.0)
        }
    }

    /// Number of branches.
    pub fn branches(&self) -> usize {
        self.roles.len()
    }

    /// The index of the first prompt's branch.
    pub fn first_positive(&self) -> usize {
        let positive = |role: &Role| matches!(role, Role::Positive(_));
        self.roles.iter().position(positive).unwrap_or(0)
    }

    /// True if the prediction is that of the prompts alone.
    pub fn is_off(&self) -> bool {
        self.first_positive() == 0
    }

    /// The weight of each branch: 0 for those that are no prompt.
    pub fn weights(&self) -> impl Iterator<Item = f64> + '_ {
        self.roles.iter().map(|role| match role {
            Role::Positive(weight) | Role::Perturbed(weight) => *weight,
            Role::Negative | Role::Empty => 0.0,
        })
    }

    /// True if the method is plain guidance, whatever the number of prompts.
    pub fn is_linear(&self) -> bool {
        self.method == Method::Plain && self.rescale == 0.0 && !self.watched
    }

    /// True if there is nothing but one prompt, or plain guidance by one of weight 1.
    pub fn is_simple(&self) -> bool {
        match self.roles[..] {
            [_] => true,
            [Role::Positive(_), _] => false,
            [_, Role::Positive(weight)] => self.is_linear() && weight == 1.0,
            _ => false,
        }
    }
}

impl Default for Guidance {
    /// Plain guidance of scale 0.
    fn default() -> Self {
        Guidance::plain(0.0)
    }
}

/// State of a method from call to call.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// Running average of APG.
    average: Vec<f64>,
}

/// Predictions of a call with what they are predicted from.
pub struct Predictions<'a> {
    /// One prediction for each branch, `[channels, height, width]`.
    pub branches: &'a [Vec<f32>],
    /// The latent of the call.
    pub latent: &'a [f32],
    /// The sampler's update, which says what a prediction means for the denoised latent.
    pub update: &'a Update,
    /// Channels of the latent.
    pub channels: usize,
}

/// A combined prediction.
pub struct Guided {
    /// The prediction that the sampler gets.
    pub prediction: Vec<f32>,
    /// Cosine of the predictions for prompt and negative prompt, where it is wanted and there are
    /// both.
    pub similarity: Option<f64>,
}

/// The predictions that a method combines, as vectors.
pub(crate) struct Vectors {
    /// The prediction that the guidance moves away from.
    pub base: Vec<f64>,
    /// The prediction for the negative prompt, where the base is that for the empty prompt.
    pub negative: Option<Vec<f64>>,
    /// The prediction for the prompts.
    pub positive: Vec<f64>,
}

impl Guidance {
    /// Combines the predictions of a call.
    pub fn combine(&self, predictions: &Predictions, memory: &mut Memory) -> Guided {
        if self.is_simple() {
            let prediction = match predictions.branches {
                [negative, positive] => guide(positive, negative, self.scale),
                [positive, ..] => positive.clone(),
                [] => Vec::new(),
            };
            return Guided {
                prediction,
                similarity: None,
            };
        }
        let vectors = self.vectors(predictions.branches);
        let denoised = &predictions.update.denoised;
        let space = DenoisedSpace {
            latent: predictions.latent,
            weights: [Term::Latent, Term::Prediction].map(|term| denoised.weight(term)),
            channels: predictions.channels,
        };
        let guided = self.method.guide(&vectors, self.scale, &space, memory);
        let guided = rescale::rescale(guided, &vectors.positive, self.rescale);
        Guided {
            prediction: guided.into_iter().map(|x| x as f32).collect(),
            similarity: (self.watched && !self.is_off()).then(|| vectors.similarity()),
        }
    }

    /// The vectors of a method. Prompts joined by `AND` are one prediction, `b + Σ wᵢ(pᵢ − b)`, as
    /// in Liu et al., arXiv 2206.01714. Without guidance `b` is the first prompt's prediction.
    fn vectors(&self, branches: &[Vec<f32>]) -> Vectors {
        let wide = |values: &[f32]| values.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
        let base = wide(&branches[0]);
        let first = self.first_positive();
        let mut positive = base.clone();
        for (branch, weight) in branches.iter().zip(self.weights()).skip(first) {
            positive = plus(&positive, weight, &minus(&wide(branch), &base));
        }
        Vectors {
            negative: (first == 2).then(|| wide(&branches[1])),
            base,
            positive,
        }
    }
}

impl Vectors {
    /// Cosine of the predictions for prompt and negative prompt.
    fn similarity(&self) -> f64 {
        let negative = self.negative.as_ref().unwrap_or(&self.base);
        dot(&self.positive, negative) / (norm(&self.positive) * norm(negative))
    }
}

/// The map from a prediction to the denoised latent, `a·latent + b·prediction`.
pub(crate) struct DenoisedSpace<'a> {
    latent: &'a [f32],
    weights: [f64; 2],
    /// Channels of the latent.
    pub channels: usize,
}

impl DenoisedSpace<'_> {
    /// The denoised latent that `prediction` means.
    pub fn denoised(&self, prediction: &[f64]) -> Vec<f64> {
        let [a, b] = self.weights;
        let pairs = self.latent.iter().zip(prediction);
        pairs.map(|(&x, p)| a * f64::from(x) + b * p).collect()
    }

    /// The prediction that means this denoised latent.
    pub fn prediction(&self, denoised: &[f64]) -> Vec<f64> {
        let [a, b] = self.weights;
        let pairs = self.latent.iter().zip(denoised);
        pairs.map(|(&x, d)| (d - a * f64::from(x)) / b).collect()
    }
}
