//! Settings of the guidance of a picture.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::GuidanceKind;
use crate::error::{Error, Result};
use crate::sampling::Nag;

/// Guidance of a picture. The default values leave plain guidance as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct GuidanceSettings {
    /// Guidance scale.
    pub scale: f64,
    /// Guidance scale over the steps.
    pub schedule: GuidanceSchedule,
    /// Steps with guidance.
    pub window: Window,
    /// Steps with the negative prompt.
    pub negative_window: Window,
    /// Stand-in for the negative prompt in the other steps.
    pub negative_outside: NegativeOutside,
    /// Calls below this sigma have no guidance.
    pub min_sigma: f64,
    /// Cosine of the predictions for prompt and negative prompt from which on there is no guidance.
    pub stop: Option<f64>,
    /// The kind of guidance.
    pub kind: GuidanceKind,
    /// Values of the kind's options, by name.
    pub options: BTreeMap<String, f64>,
    /// Guidance within the attention to the prompts.
    pub nag: Nag,
}

impl Default for GuidanceSettings {
    fn default() -> Self {
        GuidanceSettings {
            scale: 7.5,
            schedule: GuidanceSchedule::Constant,
            window: Window::ALL,
            negative_window: Window::ALL,
            negative_outside: NegativeOutside::Empty,
            min_sigma: 0.0,
            stop: None,
            kind: GuidanceKind::Plain,
            options: BTreeMap::new(),
            nag: Nag {
                scale: 0.0,
                ..Nag::default()
            },
        }
    }
}

/// Part of a run: from a share of its steps to another one, `0:1` is all.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "[f64; 2]", into = "[f64; 2]")]
pub struct Window {
    /// Share of the steps before it.
    pub start: f64,
    /// Share of the steps up to its end.
    pub end: f64,
}

impl Window {
    /// All steps.
    pub const ALL: Window = Window {
        start: 0.0,
        end: 1.0,
    };

    /// True if the window has `step`, counted from 0, of `steps`: one from `⌊start · steps⌋` to
    /// before `⌊end · steps⌋`, as in diffusers' guiders.
    pub fn contains(self, step: usize, steps: usize) -> bool {
        // A share such as 0.29 times 100 is below 29 in floating point.
        let bound = |share: f64| (share * steps as f64 + 1e-9).floor() as usize;
        (bound(self.start)..bound(self.end)).contains(&step)
    }

    /// Checks the window of the request's field `name`.
    ///
    /// # Errors
    /// [`Error::Request`] for shares that are not from 0 to 1 in their order.
    pub fn check(self, name: &str) -> Result<()> {
        let Window { start, end } = self;
        let shares = 0.0..=1.0;
        match shares.contains(&start) && shares.contains(&end) && start <= end {
            true => Ok(()),
            false => Err(Error::request(name, self, "A:B with 0 ≤ A ≤ B ≤ 1")),
        }
    }
}

impl Default for Window {
    fn default() -> Self {
        Window::ALL
    }
}

impl From<[f64; 2]> for Window {
    fn from([start, end]: [f64; 2]) -> Self {
        Window { start, end }
    }
}

impl From<Window> for [f64; 2] {
    fn from(window: Window) -> Self {
        [window.start, window.end]
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.start, self.end)
    }
}

impl FromStr for Window {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let number = |text: &str| text.trim().parse::<f64>().ok();
        let shares = text.split_once(':');
        let shares = shares.and_then(|(a, b)| Some([number(a)?, number(b)?]));
        let expected = "two shares of the steps, such as 0.2:0.8";
        let shares = shares.ok_or_else(|| Error::request("window", text, expected));
        shares.map(Window::from)
    }
}

/// Stand-in for the negative prompt outside its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NegativeOutside {
    /// The empty prompt.
    #[default]
    Empty,
    /// Nothing: there is no guidance.
    None,
}

impl fmt::Display for NegativeOutside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NegativeOutside::Empty => "empty",
            NegativeOutside::None => "none",
        })
    }
}

impl FromStr for NegativeOutside {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "empty" => Ok(NegativeOutside::Empty),
            "none" => Ok(NegativeOutside::None),
            other => Err(Error::request("negative outside", other, "empty or none")),
        }
    }
}

/// Guidance scale over the steps. Its mean is the request's scale, in every schedule. Wang et al.,
/// "Analysis of Classifier-Free Guidance Weight Schedulers", arXiv 2404.13040, find that a scale
/// that grows gives better pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GuidanceSchedule {
    /// The same in all steps.
    #[default]
    Constant,
    /// From 1 in a line.
    Linear,
    /// From 1, slowly at both ends.
    Cosine,
}

impl GuidanceSchedule {
    /// The guidance scale of `step`, counted from 0, of `steps`. With the step's middle
    /// `u = (step + ½) / steps`: `1 + (s − 1) · 2u`, or `1 + (s − 1) · (1 − cos πu)`.
    pub fn scale(self, scale: f64, step: usize, steps: usize) -> f64 {
        let done = (step as f64 + 0.5) / steps as f64;
        let factor = match self {
            GuidanceSchedule::Constant => return scale,
            GuidanceSchedule::Linear => 2.0 * done,
            GuidanceSchedule::Cosine => 1.0 - (std::f64::consts::PI * done).cos(),
        };
        1.0 + (scale - 1.0) * factor
    }

    /// The name in requests and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            GuidanceSchedule::Constant => "constant",
            GuidanceSchedule::Linear => "linear",
            GuidanceSchedule::Cosine => "cosine",
        }
    }
}

impl fmt::Display for GuidanceSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for GuidanceSchedule {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "constant" => Ok(GuidanceSchedule::Constant),
            "linear" => Ok(GuidanceSchedule::Linear),
            "cosine" => Ok(GuidanceSchedule::Cosine),
            other => {
                let expected = "constant, linear or cosine";
                Err(Error::request("guidance schedule", other, expected))
            }
        }
    }
}
