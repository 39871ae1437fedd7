//! A kind of guidance with the values of its options.

use std::collections::BTreeMap;

use super::apg::Apg;
use super::cfg_zero::CfgZero;
use super::dynamic_thresholding::DynamicThresholding;
use super::perp_neg::PerpNeg;
use super::vectors::{minus, plus};
use super::{DenoisedSpace, GuidanceKind, Memory, Vectors, tangential};
use crate::error::{Error, Result};

/// The way in which predictions are combined in one call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Method {
    /// Classifier-free guidance.
    Plain,
    /// CFG-Zero*.
    CfgZero(CfgZero),
    /// Adaptive projected guidance.
    Apg(Apg),
    /// Perp-Neg.
    PerpNeg(PerpNeg),
    /// Dynamic thresholding.
    DynamicThresholding(DynamicThresholding),
    /// Tangential damping.
    Tangential,
}

impl Method {
    /// Combines predictions with this guidance scale.
    pub(super) fn guide(
        self,
        v: &Vectors,
        scale: f64,
        space: &DenoisedSpace,
        memory: &mut Memory,
    ) -> Vec<f64> {
        match self {
            Method::Plain => plus(&v.base, scale, &minus(&v.positive, &v.base)),
            Method::CfgZero(method) => method.guide(v, scale),
            Method::Apg(method) => method.guide(v, scale, memory),
            Method::PerpNeg(method) => method.guide(v, scale),
            Method::DynamicThresholding(method) => method.guide(v, scale, space),
            Method::Tangential => tangential::guide(v, scale),
        }
    }

    /// True if the host combines the predictions, on a GPU too.
    pub fn is_on_host(self) -> bool {
        matches!(self, Method::DynamicThresholding(_))
    }
}

/// The values of a kind's options, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    kind: GuidanceKind,
    /// All options of the kind, those with their default value included.
    values: BTreeMap<&'static str, f64>,
}

impl Options {
    /// The options of `kind` with the `given` values.
    ///
    /// # Errors
    /// [`Error::Request`] for a name that the kind does not have, or a value out of its range.
    pub fn new(kind: GuidanceKind, given: &BTreeMap<String, f64>) -> Result<Self> {
        let options = kind.options();
        let mut values: BTreeMap<_, _> = options.iter().map(|o| (o.name, o.default)).collect();
        for (name, &value) in given {
            let Some(option) = options.iter().find(|option| option.name == name) else {
                let names: Vec<_> = options.iter().map(|option| option.name).collect();
                let expected = format!("one of {}", names.join(", "));
                let field = format!("option of guidance kind {kind}");
                return Err(Error::request(field, name, expected));
            };
            let fits = (option.lowest..=option.highest).contains(&value);
            if !fits || (option.whole && value.fract() != 0.0) {
                let number = if option.whole { "a whole number, " } else { "" };
                let expected = format!("{number}{} to {}", option.lowest, option.highest);
                let field = format!("option {name} of guidance kind {kind}");
                return Err(Error::request(field, value, expected));
            }
            values.insert(option.name, value);
        }
        Ok(Options { kind, values })
    }

    /// The kind.
    pub fn kind(&self) -> GuidanceKind {
        self.kind
    }

    /// All options with their values.
    pub fn values(&self) -> &BTreeMap<&'static str, f64> {
        &self.values
    }

    fn value(&self, name: &str) -> f64 {
        self.values.get(name).copied().unwrap_or(0.0)
    }

    /// Scale of the guidance away from a perturbed prediction; 0: there is none.
    pub fn perturbed_scale(&self) -> f64 {
        match self.kind {
            GuidanceKind::Pag | GuidanceKind::Slg => self.value("scale"),
            _ => 0.0,
        }
    }

    /// Share of the prediction that is rescaled.
    pub fn rescale(&self) -> f64 {
        match self.kind {
            GuidanceKind::Rescale => self.value("phi"),
            _ => self.value("rescale"),
        }
    }

    /// The method of the step numbered `step`.
    pub fn method(&self, step: usize) -> Method {
        match self.kind {
            GuidanceKind::Plain | GuidanceKind::Rescale => Method::Plain,
            GuidanceKind::Pag | GuidanceKind::Slg => Method::Plain,
            GuidanceKind::CfgZero => Method::CfgZero(CfgZero {
                zero: (step as f64) < self.value("zero_steps"),
            }),
            GuidanceKind::Apg => Method::Apg(Apg {
                eta: self.value("eta"),
                momentum: self.value("momentum"),
                norm_threshold: self.value("norm_threshold"),
            }),
            GuidanceKind::PerpNeg => Method::PerpNeg(PerpNeg {
                weight: self.value("weight"),
            }),
            GuidanceKind::DynamicThresholding => Method::DynamicThresholding(DynamicThresholding {
                mimic_scale: self.value("mimic_scale"),
                percentile: self.value("percentile"),
            }),
            GuidanceKind::Tangential => Method::Tangential,
        }
    }
}
