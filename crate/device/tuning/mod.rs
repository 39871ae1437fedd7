//! Choice of the tiling of GPU kernels: from a table, from the cache, or measured.

pub mod measure;

use std::fmt;
use std::rc::Rc;
use std::str::FromStr;

use serde::Serialize;

use super::Runtime;
use crate::error::{Error, Result};
use crate::ops::Gpu;
use crate::ops::gpu::{KernelTiling, TileMemory};
use measure::{BenchShape, Timing, measure};

/// Requested tiling.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum TilingChoice {
    /// The tiling of the table of known adapters, else of the cache, else a measured one.
    #[default]
    Auto,
    /// A measured tiling, whatever is known.
    Measure,
    /// This tiling.
    Tiling(KernelTiling),
}

impl FromStr for TilingChoice {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "auto" => Ok(TilingChoice::Auto),
            "measure" => Ok(TilingChoice::Measure),
            name => KernelTiling::named(name)
                .map(TilingChoice::Tiling)
                .ok_or_else(|| {
                    let names = KernelTiling::ALL.map(|tiling| tiling.name).join(", ");
                    Error::request("kernel tiling", name, format!("auto, measure, {names}"))
                }),
        }
    }
}

impl fmt::Display for TilingChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TilingChoice::Auto => "auto",
            TilingChoice::Measure => "measure",
            TilingChoice::Tiling(tiling) => tiling.name,
        })
    }
}

/// Source of a chosen tiling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub enum ChosenBy {
    /// The request.
    Request,
    /// The table of known adapters.
    Table,
    /// The cache of earlier measurements.
    Cache,
    /// A measurement now; the caller should cache it.
    Measured,
}

/// Chosen tiling.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct ChosenTiling {
    /// Name of the tiling.
    pub tiling: &'static str,
    /// Source of the choice.
    pub chosen_by: ChosenBy,
    /// Measurements, if there were any, the fastest first.
    pub timings: Vec<Timing>,
}

/// The tiling of known adapters. On software adapters registers win; see BENCHMARKS.md.
fn table(runtime: &Runtime) -> Option<KernelTiling> {
    runtime.software.then_some(KernelTiling::REGISTERS)
}

/// The shape to measure with. A software adapter would take minutes for Stable Diffusion's.
fn bench_shape(runtime: &Runtime) -> BenchShape {
    let side = if runtime.software {
        8
    } else {
        BenchShape::STABLE_DIFFUSION.side
    };
    BenchShape {
        side,
        ..BenchShape::STABLE_DIFFUSION
    }
}

/// The tilings to measure. On a GPU a register kernel's eight invocations in a workgroup would
/// leave most of it idle, and might take so long that the system ends them.
fn candidates(runtime: &Runtime) -> Vec<KernelTiling> {
    let suits = |tiling: &KernelTiling| runtime.software || tiling.memory == TileMemory::Workgroup;
    KernelTiling::ALL.into_iter().filter(suits).collect()
}

/// Chooses the tiling of `runtime`'s kernels and applies it. `cached` is the name of the tiling
/// that was measured on this adapter before; an unknown name is ignored. Returns `None`, and
/// changes nothing, where operations are no kernels of ours.
///
/// # Errors
/// [`Error::Device`] where the device failed in the measurement.
pub async fn choose(
    runtime: &mut Runtime,
    choice: &TilingChoice,
    cached: Option<&str>,
) -> Result<Option<ChosenTiling>> {
    if !runtime.ops.has_kernels() {
        return Ok(None);
    }
    let cached = cached.and_then(KernelTiling::named);
    let known = match choice {
        TilingChoice::Tiling(tiling) => Some((*tiling, ChosenBy::Request)),
        TilingChoice::Measure => None,
        TilingChoice::Auto => table(runtime)
            .map(|tiling| (tiling, ChosenBy::Table))
            .or(cached.map(|tiling| (tiling, ChosenBy::Cache))),
    };
    let (tiling, chosen_by, timings) = match known {
        Some((tiling, chosen_by)) => (tiling, chosen_by, Vec::new()),
        None => {
            let tilings = candidates(runtime);
            let timings = measure(
                &runtime.device,
                runtime.dtype,
                bench_shape(runtime),
                &tilings,
            )
            .await?;
            let fastest = KernelTiling::named(timings[0].tiling).unwrap_or(KernelTiling::WORKGROUP);
            (fastest, ChosenBy::Measured, timings)
        }
    };
    runtime.ops = Rc::new(Gpu::with_tiling(tiling));
    Ok(Some(ChosenTiling {
        tiling: tiling.name,
        chosen_by,
        timings,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tiling_choice_parses_from_its_own_text() {
        for choice in [TilingChoice::Auto, TilingChoice::Measure]
            .into_iter()
            .chain(KernelTiling::ALL.map(TilingChoice::Tiling))
        {
            assert_eq!(choice.to_string().parse::<TilingChoice>().unwrap(), choice);
        }
        let error = "fast".parse::<TilingChoice>().unwrap_err().to_string();
        assert!(
            error.contains("fast") && error.contains("64x64-crowded"),
            "{error}"
        );
    }
}
