//! What a sampler does with a prediction, written down instead of done: weighted sums of a handful of arrays. The host
//! carries them out ([`Update::apply`]), or the device does, in one kernel for all samplers.

use std::ops::{Add, Mul, Sub};

/// Arrays that a sampler may keep from one call to the next: PNDM's four predictions, three stages and origin.
pub const HISTORY: usize = 8;
/// Arrays that a sum may have as terms.
pub const TERMS: usize = 4 + HISTORY;

/// An array of the latent's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Term {
    /// The latent that the call was made with.
    Latent,
    /// What the U-Net predicted, guided.
    Prediction,
    /// The picture that [`Update::picture`] makes of the two.
    Denoised,
    /// Fresh noise.
    Noise,
    /// What was kept in the place of that number.
    History(usize),
}

impl Term {
    /// Its place among all terms, below [`TERMS`].
    pub fn index(self) -> usize {
        match self {
            Term::Latent => 0,
            Term::Prediction => 1,
            Term::Denoised => 2,
            Term::Noise => 3,
            Term::History(place) => 4 + place,
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
        // What is not in the sum stays out of it, also times infinity.
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

/// What a sampler does after one call of the U-Net.
#[derive(Debug, Clone, Default)]
pub struct Update {
    /// The picture (as a latent) that latent and prediction imply; of no other terms.
    pub denoised: Sum,
    /// Its largest magnitude, if it is limited.
    pub limit: Option<f64>,
    /// The next latent.
    pub latent: Sum,
    /// What is kept, and in which place, of what was there before.
    pub history: Vec<(usize, Sum)>,
}

impl Update {
    /// An update that keeps nothing.
    pub fn new(denoised: Sum, latent: Sum) -> Self {
        Update {
            denoised,
            limit: None,
            latent,
            history: Vec::new(),
        }
    }

    /// Whether fresh noise is a term of it.
    pub fn is_noisy(&self) -> bool {
        self.latent.weight(Term::Noise) != 0.0
    }

    /// Takes `arrays` over the call, given the U-Net's guided `prediction` and, if it [`is_noisy`](Update::is_noisy),
    /// `noise`. Sums are in f64, and rounded to f32 once.
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn apply(&self, arrays: &mut Arrays, prediction: &[f32], noise: &[f32]) {
        let mut terms: [&[f32]; TERMS] = [&[]; TERMS];
        terms[Term::Latent.index()] = &arrays.latent;
        terms[Term::Prediction.index()] = prediction;
        terms[Term::Noise.index()] = noise;
        for (place, kept) in arrays.history.iter().enumerate() {
            terms[Term::History(place).index()] = kept;
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
        for ((place, _), values) in self.history.iter().zip(history) {
            arrays.history[*place] = values;
        }
        arrays.latent = latent;
        arrays.denoised = denoised;
    }
}

/// An update and all that it is carried out with.
#[derive(Debug, Clone, Default)]
pub struct Step {
    /// What becomes of the latent.
    pub update: Update,
    /// Fresh noise of the latent's shape, if the update [`is_noisy`](Update::is_noisy); else empty.
    pub noise: Vec<f32>,
    /// Guidance scale.
    pub guidance: f64,
    /// What the latent is multiplied by for the next call of the U-Net.
    pub next_input_scale: f64,
}

/// A latent on its way, on the host.
#[derive(Debug, Clone, Default)]
pub struct Arrays {
    /// The latent as it is now.
    pub latent: Vec<f32>,
    /// The picture that the last call predicted; empty before the first.
    pub denoised: Vec<f32>,
    history: [Vec<f32>; HISTORY],
}

impl Arrays {
    /// `latent` before the first call.
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
