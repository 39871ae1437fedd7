//! The kinds of guidance by name, with their options.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// The kinds of guidance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum GuidanceKind {
    /// Classifier-free guidance.
    #[default]
    Plain,
    /// Classifier-free guidance with the prompt's standard deviation.
    Rescale,
    /// CFG-Zero*.
    CfgZero,
    /// Adaptive projected guidance.
    Apg,
    /// Perp-Neg.
    PerpNeg,
    /// Dynamic thresholding.
    DynamicThresholding,
    /// Tangential damping.
    Tangential,
    /// Perturbed-attention guidance.
    Pag,
    /// Skip-layer guidance.
    Slg,
}

/// An option of a kind: a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GuidanceOption {
    /// Name in requests.
    pub name: &'static str,
    /// Value where the request has none.
    pub default: f64,
    /// Lowest value.
    pub lowest: f64,
    /// Highest value.
    pub highest: f64,
    /// True if only whole numbers are allowed.
    pub whole: bool,
}

const fn option(name: &'static str, default: f64, lowest: f64, highest: f64) -> GuidanceOption {
    GuidanceOption {
        name,
        default,
        lowest,
        highest,
        whole: false,
    }
}

const RESCALE: GuidanceOption = option("rescale", 0.0, 0.0, 1.0);

const ZERO_STEPS: GuidanceOption = GuidanceOption {
    whole: true,
    ..option("zero_steps", 0.0, 0.0, 1000.0)
};

impl GuidanceKind {
    /// Every kind.
    pub const ALL: [GuidanceKind; 9] = [
        GuidanceKind::Plain,
        GuidanceKind::Rescale,
        GuidanceKind::CfgZero,
        GuidanceKind::Apg,
        GuidanceKind::PerpNeg,
        GuidanceKind::DynamicThresholding,
        GuidanceKind::Tangential,
        GuidanceKind::Pag,
        GuidanceKind::Slg,
    ];

    /// The name in requests and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            GuidanceKind::Plain => "plain",
            GuidanceKind::Rescale => "rescale",
            GuidanceKind::CfgZero => "cfg-zero",
            GuidanceKind::Apg => "apg",
            GuidanceKind::PerpNeg => "perp-neg",
            GuidanceKind::DynamicThresholding => "dynamic-thresholding",
            GuidanceKind::Tangential => "tangential",
            GuidanceKind::Pag => "pag",
            GuidanceKind::Slg => "slg",
        }
    }

    /// The name for people, as the papers write it.
    pub fn label(self) -> &'static str {
        match self {
            GuidanceKind::Plain => "CFG",
            GuidanceKind::Rescale => "CFG rescale",
            GuidanceKind::CfgZero => "CFG-Zero*",
            GuidanceKind::Apg => "APG",
            GuidanceKind::PerpNeg => "Perp-Neg",
            GuidanceKind::DynamicThresholding => "Dynamic thresholding",
            GuidanceKind::Tangential => "TCFG",
            GuidanceKind::Pag => "PAG",
            GuidanceKind::Slg => "SLG",
        }
    }

    /// Predictions of a call with one prompt and a negative prompt.
    pub fn branches(self) -> usize {
        match self {
            GuidanceKind::PerpNeg | GuidanceKind::Pag | GuidanceKind::Slg => 3,
            _ => 2,
        }
    }

    /// The options, with their defaults.
    pub fn options(self) -> &'static [GuidanceOption] {
        match self {
            GuidanceKind::Rescale => const { &[option("phi", 0.7, 0.0, 1.0)] },
            GuidanceKind::Plain | GuidanceKind::Tangential => &[RESCALE],
            GuidanceKind::CfgZero => &[ZERO_STEPS, RESCALE],
            GuidanceKind::Pag => const { &[option("scale", 3.0, 0.0, 100.0)] },
            GuidanceKind::Slg => const { &[option("scale", 2.8, 0.0, 100.0)] },
            GuidanceKind::Apg => {
                const {
                    &[
                        option("eta", 0.0, 0.0, 1.0),
                        option("momentum", -0.75, -1.0, 1.0),
                        option("norm_threshold", 7.5, 0.0, 1000.0),
                        RESCALE,
                    ]
                }
            }
            GuidanceKind::PerpNeg => const { &[option("weight", 1.0, 0.0, 10.0), RESCALE] },
            GuidanceKind::DynamicThresholding => {
                const {
                    &[
                        option("mimic_scale", 7.0, 0.0, 100.0),
                        option("percentile", 1.0, 0.5, 1.0),
                        RESCALE,
                    ]
                }
            }
        }
    }
}

impl fmt::Display for GuidanceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for GuidanceKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let kind = Self::ALL.into_iter().find(|kind| kind.name() == name);
        kind.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::request("guidance kind", name, format!("one of {names}"))
        })
    }
}
