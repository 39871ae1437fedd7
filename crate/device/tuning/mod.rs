//! How a GPU's kernels divide their work: from a table, as remembered, or measured.

pub mod measure;

use std::fmt;
use std::rc::Rc;
use std::str::FromStr;

use serde::Serialize;

use crate::device::Runtime;
use crate::error::{Error, Result};
use crate::ops::Gpu;
use crate::ops::gpu::{Preset, Tiles};
use measure::{Sizes, Timing, measure};

/// What is wished for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Wish {
    /// What the table says of the adapter; else what is remembered of it, else what is measured.
    #[default]
    Auto,
    /// A measurement, whatever is known.
    Measure,
    /// This preset.
    Preset(Preset),
}

impl FromStr for Wish {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "auto" => Ok(Wish::Auto),
            "measure" => Ok(Wish::Measure),
            name => Preset::named(name).map(Wish::Preset).ok_or_else(|| {
                let names = Preset::ALL.map(|preset| preset.name).join(", ");
                Error::request("tiles", name, format!("auto, measure, {names}"))
            }),
        }
    }
}

impl fmt::Display for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Wish::Auto => "auto",
            Wish::Measure => "measure",
            Wish::Preset(preset) => preset.name,
        })
    }
}

/// How a choice came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// It was asked for.
    Asked,
    /// Adapters of this kind are in the table.
    Table,
    /// It was measured some time before.
    Remembered,
    /// It was measured now, and should be remembered.
    Measured,
}

/// What was chosen.
#[derive(Debug, Clone, Serialize)]
pub struct Choice {
    /// Name of the preset.
    pub preset: &'static str,
    /// How it came about.
    pub how: How,
    /// The measurements, if there were any, the fastest first.
    pub timings: Vec<Timing>,
}

/// On adapters that run on a CPU registers win; measured, see BENCHMARKS.md.
fn table(runtime: &Runtime) -> Option<Preset> {
    runtime.software.then_some(Preset::REGISTERS)
}

/// The sizes to measure with. An adapter that runs on a CPU would take minutes for those of Stable Diffusion.
fn sizes(runtime: &Runtime) -> Sizes {
    let side = if runtime.software {
        8
    } else {
        Sizes::STABLE_DIFFUSION.side
    };
    Sizes {
        side,
        ..Sizes::STABLE_DIFFUSION
    }
}

/// The presets to measure. On a GPU a register kernel's eight invocations in a workgroup would leave most of it idle, and might
/// take so long that the system ends them.
fn candidates(runtime: &Runtime) -> Vec<Preset> {
    let suits = |preset: &Preset| runtime.software || preset.tiles == Tiles::Workgroup;
    Preset::ALL.into_iter().filter(suits).collect()
}

/// Chooses how the kernels of `runtime` divide their work, and lets them do so. `remembered` is the preset of an earlier
/// choice on this adapter, by name; a name that is none is as if there were nothing. Returns `None`, and changes nothing,
/// where operations are no kernels of ours.
///
/// # Errors
/// [`Error::Device`] where the device failed in the measurement.
pub async fn choose(
    runtime: &mut Runtime,
    wish: &Wish,
    remembered: Option<&str>,
) -> Result<Option<Choice>> {
    if runtime.ops.paper(&runtime.device).is_none() {
        return Ok(None);
    }
    let remembered = remembered.and_then(Preset::named);
    let known = match wish {
        Wish::Preset(preset) => Some((*preset, How::Asked)),
        Wish::Measure => None,
        Wish::Auto => table(runtime)
            .map(|preset| (preset, How::Table))
            .or(remembered.map(|preset| (preset, How::Remembered))),
    };
    let (preset, how, timings) = match known {
        Some((preset, how)) => (preset, how, Vec::new()),
        None => {
            let presets = candidates(runtime);
            let timings = measure(&runtime.device, runtime.dtype, sizes(runtime), &presets).await?;
            let fastest = Preset::named(timings[0].preset).unwrap_or(Preset::WORKGROUP);
            (fastest, How::Measured, timings)
        }
    };
    runtime.ops = Rc::new(Gpu::with_preset(preset));
    Ok(Some(Choice {
        preset: preset.name,
        how,
        timings,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_read_as_they_are_written() {
        for wish in [Wish::Auto, Wish::Measure]
            .into_iter()
            .chain(Preset::ALL.map(Wish::Preset))
        {
            assert_eq!(wish.to_string().parse::<Wish>().unwrap(), wish);
        }
        let error = "fast".parse::<Wish>().unwrap_err().to_string();
        assert!(
            error.contains("fast") && error.contains("64x64-crowded"),
            "{error}"
        );
    }
}
