//! Schedule types by name, and names that say both a sampler and a schedule type.

use std::fmt;
use std::str::FromStr;

use super::kind::SamplerKind;
use crate::config::SchedulerConfig;
use crate::error::{Error, Result};

/// The spacing of a run's noise levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ScheduleKind {
    /// The spacing that the model's scheduler file asks for.
    #[default]
    Model,
    /// Even in training timesteps, in the model's `timestep_spacing`.
    Normal,
    /// Even in the seventh root of sigma: Karras et al. (arXiv 2206.00364), equation 5.
    Karras,
    /// Even in the logarithm of sigma.
    Exponential,
    /// By the quantiles of a beta distribution: Lee et al. (arXiv 2407.12173).
    Beta,
    /// Even in training timesteps, one step before the end.
    SgmUniform,
    /// Every n-th sigma of the training.
    Simple,
    /// Align Your Steps: Sabour et al. (arXiv 2404.14507), the sigmas for SD1.5.
    Ays,
}

impl ScheduleKind {
    /// Every schedule type.
    pub const ALL: [ScheduleKind; 8] = [
        ScheduleKind::Model,
        ScheduleKind::Normal,
        ScheduleKind::Karras,
        ScheduleKind::Exponential,
        ScheduleKind::Beta,
        ScheduleKind::SgmUniform,
        ScheduleKind::Simple,
        ScheduleKind::Ays,
    ];

    /// The name in requests and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            ScheduleKind::Model => "model",
            ScheduleKind::Normal => "normal",
            ScheduleKind::Karras => "karras",
            ScheduleKind::Exponential => "exponential",
            ScheduleKind::Beta => "beta",
            ScheduleKind::SgmUniform => "sgm-uniform",
            ScheduleKind::Simple => "simple",
            ScheduleKind::Ays => "ays",
        }
    }

    /// "Schedule type" as A1111's web UI writes it.
    pub fn label(self) -> &'static str {
        match self {
            ScheduleKind::Model => "Automatic",
            ScheduleKind::Normal => "Uniform",
            ScheduleKind::Karras => "Karras",
            ScheduleKind::Exponential => "Exponential",
            ScheduleKind::Beta => "Beta",
            ScheduleKind::SgmUniform => "SGM Uniform",
            ScheduleKind::Simple => "Simple",
            ScheduleKind::Ays => "Align Your Steps",
        }
    }
}

impl fmt::Display for ScheduleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ScheduleKind {
    type Err = Error;

    /// Reads a name or a label; letter case, blanks and hyphens do not matter.
    fn from_str(text: &str) -> Result<Self> {
        let wanted = plain(text);
        ScheduleKind::ALL
            .into_iter()
            .find(|kind| [kind.name(), kind.label()].map(plain).contains(&wanted))
            .ok_or_else(|| {
                let names = ScheduleKind::ALL.map(ScheduleKind::name).join(", ");
                Error::request("schedule", text, format!("one of {names}"))
            })
    }
}

/// A sampler as a request names it, with a schedule type if the name says one:
/// `dpm++2m-karras`, `DPM++ 2M Karras`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SamplerName {
    /// The sampler.
    pub kind: SamplerKind,
    /// The schedule type in the name.
    pub schedule: Option<ScheduleKind>,
}

/// Names of other programs.
const ALIASES: [(&str, SamplerKind); 4] = [
    ("plms", SamplerKind::Pndm),
    ("euler ancestral", SamplerKind::EulerA),
    ("dpm2 ancestral", SamplerKind::Dpm2A),
    ("dpm++ 2s ancestral", SamplerKind::Dpmpp2sA),
];

impl SamplerName {
    /// Names of sampler and schedule type that stood in one list until version 0.3, and the others.
    pub fn all() -> Vec<&'static str> {
        let mut names: Vec<&str> = SamplerKind::ALL.iter().map(|kind| kind.name()).collect();
        let at = names.iter().position(|&name| name == "dpm++2m");
        names.insert(at.map_or(0, |at| at + 1), KARRAS);
        names
    }

    /// The one name for both, where there is one: [`SamplerName::all`] has it.
    pub fn joined(kind: SamplerKind, schedule: ScheduleKind) -> &'static str {
        match (kind, schedule) {
            (SamplerKind::Dpmpp2m, ScheduleKind::Karras) => KARRAS,
            _ => kind.name(),
        }
    }

    /// The schedule type of a run. `schedule` is the request's own; it comes before the name's,
    /// unless it leaves the choice to the model.
    ///
    /// `dpm++2m` alone means without Karras' sigmas, as in A1111's texts before "Schedule type".
    pub fn schedule(
        self,
        schedule: Option<ScheduleKind>,
        config: &SchedulerConfig,
    ) -> ScheduleKind {
        match (schedule, self.schedule) {
            (Some(ScheduleKind::Model) | None, Some(named)) => named,
            (Some(schedule), _) => schedule,
            (None, None)
                if self.kind == SamplerKind::Dpmpp2m && config.use_karras_sigmas == Some(true) =>
            {
                ScheduleKind::Normal
            }
            (None, None) => ScheduleKind::Model,
        }
    }
}

const KARRAS: &str = "dpm++2m-karras";

impl From<SamplerKind> for SamplerName {
    fn from(kind: SamplerKind) -> Self {
        SamplerName {
            kind,
            schedule: None,
        }
    }
}

impl fmt::Display for SamplerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.schedule {
            Some(schedule) => write!(f, "{}-{schedule}", self.kind),
            None => f.write_str(self.kind.name()),
        }
    }
}

impl FromStr for SamplerName {
    type Err = Error;

    /// Reads a sampler's name or label, alone or followed by a schedule type's; letter case, blanks
    /// and hyphens do not matter.
    fn from_str(text: &str) -> Result<Self> {
        let wanted = plain(text);
        let labels = SamplerKind::ALL
            .into_iter()
            .flat_map(|kind| [kind.name(), kind.label()].map(|name| (plain(name), kind)));
        let aliases = ALIASES.map(|(name, kind)| (plain(name), kind));
        let schedules = ScheduleKind::ALL.into_iter().flat_map(|schedule| {
            [schedule.name(), schedule.label()].map(|name| (plain(name), Some(schedule)))
        });
        let ends: Vec<_> = schedules.chain([(String::new(), None)]).collect();
        labels
            .chain(aliases)
            .find_map(|(name, kind)| {
                let rest = wanted.strip_prefix(&name)?;
                let (_, schedule) = ends.iter().find(|(end, _)| end == rest)?;
                Some(SamplerName {
                    kind,
                    schedule: *schedule,
                })
            })
            .ok_or_else(|| {
                let names = SamplerName::all().join(", ");
                Error::request("sampler", text, format!("one of {names}"))
            })
    }
}

/// A name without what programs write differently: letter case, blanks, hyphens, underscores.
pub(super) fn plain(name: &str) -> String {
    let kept = name.chars().filter(|c| !matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).collect()
}
