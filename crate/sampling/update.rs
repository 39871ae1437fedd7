//! A sampler's step as data: weighted sums of a few arrays. The host applies them
//! ([`Update::apply`]), or the device does, with one kernel for all samplers.

use std::ops::{Add, Mul, Sub};

use super::guidance::Guidance;

/// Arrays in a sampler's history: PNDM has four predictions, three stages and the origin.
pub const HISTORY: usize = 8;
/// Possible terms of a sum.
pub const TERMS: usize = 4 + HISTORY;

/// An array of the latent's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Term {
    /// The latent of the call.
    Latent,
    /// The U-Net's prediction after guidance.
    Prediction,
    /// The denoised latent, [`Update::denoised`].
    Denoised,
    /// Fresh noise.
    Noise,
    /// The history's entry with this index.
    History(usize),
}

impl Term {
    /// Index among all terms, below [`TERMS`].
    pub fn index(self) -> usize {
        match self {
            Term::Latent => 0,
            Term::Prediction => 1,
            Term::Denoised => 2,
            Term::Noise => 3,
            Term::History(entry) => 4 + entry,
        }
    }
}

/// `Σ weight · term`, element by element.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sum([f64; TERMS]);

impl Sum {
    /// The weight of `term`.
    pub fn weight(&self, term: Term) -> f64 {
        self.0[term.index()]
    }

    /// All weights, in the order of [`Term::index`].
    pub fn weights(&self) -> &[f64; TERMS] {
        &self.0
    }

    fn of(self, change: impl Fn(f64) -> f64) -> Self {
        // A term that is not in the sum stays out of it, even times infinity.
        Sum(self
            .0
            .map(|weight| if weight == 0.0 { 0.0 } else { change(weight) }))
    }
}

impl From<Term> for Sum {
    fn from(term: Term) -> Self {
        let mut sum = Sum::default();
        sum.0[term.index()] = 1.0;
        sum
    }
}

impl Add for Sum {
    type Output = Sum;

    fn add(self, other: Sum) -> Sum {
        Sum(std::array::from_fn(|i| self.0[i] + other.0[i]))
    }
}

impl Sub for Sum {
    type Output = Sum;

    fn sub(self, other: Sum) -> Sum {
        Sum(std::array::from_fn(|i| self.0[i] - other.0[i]))
    }
}

impl Mul<Sum> for f64 {
    type Output = Sum;

    fn mul(self, sum: Sum) -> Sum {
        sum.of(|weight| self * weight)
    }
}

impl Mul<Term> for f64 {
    type Output = Sum;

    fn mul(self, term: Term) -> Sum {
        self * Sum::from(term)
    }
}

/// A sampler's step after one call of the U-Net.
#[derive(Debug, Clone, Default)]
pub struct Update {
    /// The denoised latent, a sum of latent and prediction only.
    pub denoised: Sum,
    /// Its largest magnitude, if it is limited.
    pub limit: Option<f64>,
    /// The next latent.
    pub latent: Sum,
    /// New entries of the history, by index. Their terms are the arrays before the step.
    pub history: Vec<(usize, Sum)>,
}

impl Update {
    /// An update without new entries of the history.
    pub fn new(denoised: Sum, latent: Sum) -> Self {
        Update {
            denoised,
            limit: None,
            latent,
            history: Vec::new(),
        }
    }

    /// True if fresh noise is a term of the next latent.
    pub fn is_noisy(&self) -> bool {
        self.latent.weight(Term::Noise) != 0.0
    }

    /// Applies the update to `arrays`, with the U-Net's `prediction` after guidance and, if the
    /// update [`is_noisy`](Update::is_noisy), `noise`. Sums are in f64 and rounded to f32 once.
    ///
    /// # Panics
    /// Panics where the lengths differ.
    pub fn apply(&self, arrays: &mut Arrays, prediction: &[f32], noise: &[f32]) {
        let mut terms: [&[f32]; TERMS] = [&[]; TERMS];
        terms[Term::Latent.index()] = &arrays.latent;
        terms[Term::Prediction.index()] = prediction;
        terms[Term::Noise.index()] = noise;
        for (entry, values) in arrays.history.iter().enumerate() {
            terms[Term::History(entry).index()] = values;
        }
        let mut denoised = evaluate(&self.denoised, &terms);
        if let Some(limit) = self.limit {
            let limit = limit as f32;
            denoised
                .iter_mut()
                .for_each(|x| *x = x.max(-limit).min(limit));
        }
        terms[Term::Denoised.index()] = &denoised;
        let latent = evaluate(&self.latent, &terms);
        let history: Vec<_> = self
            .history
            .iter()
            .map(|(_, sum)| evaluate(sum, &terms))
            .collect();
        for ((entry, _), values) in self.history.iter().zip(history) {
            arrays.history[*entry] = values;
        }
        arrays.latent = latent;
        arrays.denoised = denoised;
    }
}

/// An update with the further inputs of a step.
#[derive(Debug, Clone, Default)]
pub struct Step {
    /// The sampler's update.
    pub update: Update,
    /// Fresh noise of the latent's shape if the update [`is_noisy`](Update::is_noisy), else empty.
    pub noise: Vec<f32>,
    /// Guidance of the call.
    pub guidance: Guidance,
    /// Factor on the latent for the U-Net's next input.
    pub next_input_scale: f64,
}

/// A latent, its denoised latent and the sampler's history, on the host.
#[derive(Debug, Clone, Default)]
pub struct Arrays {
    /// The present latent.
    pub latent: Vec<f32>,
    /// The last call's denoised latent; empty before the first call.
    pub denoised: Vec<f32>,
    history: [Vec<f32>; HISTORY],
}

impl Arrays {
    /// The arrays before the first call.
    pub fn new(latent: Vec<f32>) -> Self {
        Arrays {
            latent,
            ..Arrays::default()
        }
    }
}

fn evaluate(sum: &Sum, terms: &[&[f32]; TERMS]) -> Vec<f32> {
    let length = terms[Term::Latent.index()].len();
    let terms: Vec<(f64, &[f32])> = sum
        .0
        .into_iter()
        .zip(*terms)
        .filter(|(weight, _)| *weight != 0.0)
        .collect();
    assert!(
        terms.iter().all(|(_, values)| values.len() == length),
        "arrays of one length"
    );
    (0..length)
        .map(|i| {
            let products = terms
                .iter()
                .map(|(weight, values)| weight * f64::from(values[i]));
            products.sum::<f64>() as f32
        })
        .collect()
}
