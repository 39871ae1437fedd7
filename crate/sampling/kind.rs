//! The samplers by name.

use std::fmt;
use std::str::FromStr;

use crate::config::SchedulerConfig;
use crate::error::{Error, Result};

/// The samplers, with A1111's names and diffusers' implementations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SamplerKind {
    /// `EulerDiscreteScheduler`
    Euler,
    /// `EulerAncestralDiscreteScheduler`
    EulerA,
    /// `DDIMScheduler`
    Ddim,
    /// `PNDMScheduler`
    Pndm,
    /// `DPMSolverMultistepScheduler` with `use_karras_sigmas=False`
    Dpmpp2m,
    /// `DPMSolverMultistepScheduler` with `use_karras_sigmas=True`
    Dpmpp2mKarras,
    /// `UniPCMultistepScheduler`
    UniPc,
}

impl SamplerKind {
    /// Every sampler.
    pub const ALL: [SamplerKind; 7] = [
        SamplerKind::Euler,
        SamplerKind::EulerA,
        SamplerKind::Ddim,
        SamplerKind::Pndm,
        SamplerKind::Dpmpp2m,
        SamplerKind::Dpmpp2mKarras,
        SamplerKind::UniPc,
    ];

    /// The name in requests, on the command line and on the page.
    pub fn name(self) -> &'static str {
        match self {
            SamplerKind::Euler => "euler",
            SamplerKind::EulerA => "euler-a",
            SamplerKind::Ddim => "ddim",
            SamplerKind::Pndm => "pndm",
            SamplerKind::Dpmpp2m => "dpm++2m",
            SamplerKind::Dpmpp2mKarras => "dpm++2m-karras",
            SamplerKind::UniPc => "unipc",
        }
    }

    /// The sampler of a model's own scheduler configuration.
    ///
    /// # Errors
    /// [`Error::Config`] for any other scheduler class.
    pub fn from_config(config: &SchedulerConfig) -> Result<Self> {
        match config.class_name.as_str() {
            "EulerDiscreteScheduler" => Ok(SamplerKind::Euler),
            "EulerAncestralDiscreteScheduler" => Ok(SamplerKind::EulerA),
            "DDIMScheduler" => Ok(SamplerKind::Ddim),
            "PNDMScheduler" => Ok(SamplerKind::Pndm),
            "DPMSolverMultistepScheduler" if config.use_karras_sigmas == Some(true) => {
                Ok(SamplerKind::Dpmpp2mKarras)
            }
            "DPMSolverMultistepScheduler" => Ok(SamplerKind::Dpmpp2m),
            "UniPCMultistepScheduler" => Ok(SamplerKind::UniPc),
            other => Err(Error::config(
                SchedulerConfig::FILE,
                "_class_name",
                format!("\"{other}\""),
                "EulerDiscreteScheduler, EulerAncestralDiscreteScheduler, DDIMScheduler, \
                 PNDMScheduler, DPMSolverMultistepScheduler or UniPCMultistepScheduler",
            )),
        }
    }
}

impl fmt::Display for SamplerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SamplerKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        SamplerKind::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| {
                let names = SamplerKind::ALL.map(SamplerKind::name).join(", ");
                Error::request("sampler", name, format!("one of {names}"))
            })
    }
}
