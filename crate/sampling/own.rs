//! A model's own sampler: the one that its scheduler file names, or the nearest.

use super::kind::{SamplerKind, Table};
use super::names::ScheduleKind;
use crate::config::SchedulerConfig;

/// A model's own sampler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnSampler {
    /// The sampler.
    pub kind: SamplerKind,
    /// A sentence that names the file's class and the sampler in its place, if they differ.
    pub warning: Option<String>,
}

/// Parts of the names of classes that Darkroom does not have, and the sampler nearest to them. The
/// first that fits counts.
const NEAREST: [(&str, SamplerKind); 12] = [
    ("Ancestral", SamplerKind::EulerA),
    ("DPMSolverSDE", SamplerKind::DpmppSde),
    ("Singlestep", SamplerKind::Dpmpp2s),
    ("DPM", SamplerKind::Dpmpp2m),
    ("DEIS", SamplerKind::Deis),
    ("UniPC", SamplerKind::UniPc),
    ("SASolver", SamplerKind::Dpmpp2mSde),
    ("PNDM", SamplerKind::Pndm),
    ("DDIM", SamplerKind::Ddim),
    ("LCM", SamplerKind::Lcm),
    ("TCD", SamplerKind::Tcd),
    ("Heun", SamplerKind::Heun),
];

impl OwnSampler {
    /// The sampler of a model's scheduler file.
    pub fn of(config: &SchedulerConfig) -> Self {
        let class = config.class_name.as_str();
        let short = class.strip_suffix("Scheduler").unwrap_or(class);
        let short = short.strip_prefix("Flax").unwrap_or(short);
        if short == "DPMSolverMultistep" {
            return OwnSampler::multistep(config);
        }
        let exact = SamplerKind::ALL.into_iter().find(|kind| {
            // The parallel classes compute the same as the plain ones.
            let plain = short.strip_suffix("Parallel").unwrap_or(short);
            kind.class() == Some(plain)
        });
        if let Some(kind) = exact {
            return OwnSampler {
                kind,
                warning: None,
            };
        }
        let nearest = NEAREST.iter().find(|(part, _)| short.contains(part));
        let kind = match nearest {
            _ if short.starts_with("DDPM") => SamplerKind::Ddpm,
            Some(&(_, kind)) => kind,
            None => SamplerKind::Euler,
        };
        let named = match class {
            "" => "names no scheduler class".to_string(),
            class => format!("names the scheduler \"{class}\", which Darkroom does not have"),
        };
        OwnSampler {
            kind,
            warning: Some(warning(&named, kind)),
        }
    }

    /// The sampler of `DPMSolverMultistepScheduler`, which is four in one.
    fn multistep(config: &SchedulerConfig) -> Self {
        let algorithm = config.algorithm_type.as_deref().unwrap_or("dpmsolver++");
        let sde = algorithm.starts_with("sde");
        let kind = match config.solver_order {
            Some(3) if sde => SamplerKind::Dpmpp3mSde,
            _ if sde => SamplerKind::Dpmpp2mSde,
            _ => SamplerKind::Dpmpp2m,
        };
        let known = ["dpmsolver++", "sde-dpmsolver++", "deis"].contains(&algorithm);
        let named = format!(
            "asks for DPMSolverMultistepScheduler with `algorithm_type` \"{algorithm}\", which \
             Darkroom does not have"
        );
        OwnSampler {
            kind,
            warning: (!known).then(|| warning(&named, kind)),
        }
    }
}

fn warning(named: &str, kind: SamplerKind) -> String {
    let file = SchedulerConfig::FILE;
    format!("{file} {named}: the model's own sampler is {kind}, the nearest one")
}

/// Samplers that read a key which Darkroom supports for some values only.
fn reads(kind: SamplerKind, key: &str, config: &SchedulerConfig) -> bool {
    use SamplerKind::{Ddim, Ddpm, Euler, Lcm, UniPc};
    let multistep = kind.table() == Table::Trained;
    match key {
        "disable_corrector" | "predict_x0" | "solver_p" => kind == UniPc,
        "interpolation_type" | "timestep_type" => kind == Euler,
        "use_dynamic_shifting" | "use_flow_sigmas" => multistep,
        "variance_type" => kind == Ddpm,
        "sample_max_value" => {
            config.thresholding && (multistep || matches!(kind, Ddim | Ddpm | Lcm))
        }
        _ => false,
    }
}

/// Warnings about settings that have no effect with `kind`: a schedule type that was asked for, and
/// keys of the model's scheduler file.
pub fn ineffective(
    kind: SamplerKind,
    schedule: ScheduleKind,
    config: &SchedulerConfig,
) -> Vec<String> {
    let keys = config.unsupported.iter();
    let keys = keys.filter(|(key, _)| reads(kind, key, config));
    let of_keys = keys.map(|(key, value)| {
        let file = SchedulerConfig::FILE;
        format!("{file}: `{key}` {value} has no effect, because Darkroom's {kind} does not have it")
    });
    let no_schedules = !kind.has_schedules() && schedule != ScheduleKind::Model;
    let of_schedule = no_schedules.then(|| {
        format!("the schedule type {schedule} has no effect: {kind} has timesteps of its own")
    });
    of_schedule.into_iter().chain(of_keys).collect()
}

/// Warnings about noise settings that have no effect with `kind`.
pub fn ineffective_noise(kind: SamplerKind, eta: Option<f64>, ensd: i64) -> Vec<String> {
    let own = kind.own_eta();
    let unread = eta.filter(|_| own.is_none()).map(|eta| {
        let reason = match kind.is_noisy() {
            true => "has a fixed amount of noise",
            false => "adds no noise",
        };
        format!("eta {eta} has no effect: {kind} {reason}")
    });
    let noisy = match own {
        Some(own) => eta.unwrap_or(own) > 0.0,
        None => kind.is_noisy(),
    };
    let unused = (ensd != 0 && !noisy).then(|| {
        let eta = if own.is_some() { " with eta 0" } else { "" };
        format!("ensd {ensd} has no effect: {kind} adds no noise{eta}")
    });
    unread.into_iter().chain(unused).collect()
}
