//! Every sampler with every schedule type and with real scheduler files, against diffusers.

use std::collections::BTreeMap;

use darkroom::config::SchedulerConfig;
use darkroom::sampling::update::Arrays;
use darkroom::sampling::{
    Noise, OwnSampler, Rng, Sampler, SamplerKind, SamplerName, ScheduleKind, ineffective,
};
use serde_json::Value;

use crate::samplers::predict;
use crate::support::relative_error;
use crate::support::safetensors::split;
use crate::support::sampling::advance;
use crate::{host_values, read, usize_of};

/// The arrays of schedules.safetensors, in order.
struct Values {
    values: Vec<f32>,
    position: usize,
    /// Arrays read so far; each run's seed is their number before it.
    arrays: u64,
}

impl Values {
    fn open() -> Self {
        let file = read("tests/golden/host/schedules.safetensors");
        let bytes = split(&file).1.chunks_exact(4);
        Values {
            values: bytes
                .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
                .collect(),
            position: 0,
            arrays: 0,
        }
    }

    fn take(&mut self, length: usize) -> Vec<f32> {
        let array = self.values[self.position..][..length].to_vec();
        self.position += length;
        self.arrays += 1;
        array
    }
}

/// Largest relative error of a final latent. diffusers' classes of dpm2-a and deis take differences
/// of nearly equal f32 values.
fn limit(kind: SamplerKind) -> f64 {
    match kind {
        SamplerKind::Dpm2A | SamplerKind::Deis => 2e-4,
        _ => 2e-5,
    }
}

/// Runs `sampler` on the host to its end, with the noise of `seed`.
pub fn final_latent(mut sampler: Sampler, seed: u64, elements: usize) -> Vec<f32> {
    let mut noise = Noise::new(Rng::Torch, seed);
    let first = noise.normal(elements).into_iter();
    let first = first.map(|x| (f64::from(x) * sampler.init_noise_sigma()) as f32);
    let mut arrays = Arrays::new(first.collect());
    while !sampler.is_done() {
        advance(&mut sampler, &mut arrays, &mut noise, predict);
    }
    arrays.latent
}

fn strings(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_str().unwrap())
        .collect()
}

/// Largest differences by sampler, and the cases above the limit.
#[derive(Default)]
struct Report {
    worst: BTreeMap<String, (f64, String)>,
    failures: Vec<String>,
}

impl Report {
    fn add(&mut self, sampler: &str, what: String, error: f64, limit: f64) {
        if error.is_nan() || error > limit {
            self.failures.push(format!("{what}: off by {error:.1e}"));
        }
        let worst = self.worst.entry(sampler.to_string()).or_default();
        if error > worst.0 {
            *worst = (error, what);
        }
    }

    fn conclude(self) {
        for (sampler, (error, what)) in &self.worst {
            println!("{sampler:12} {error:.1e} ({what})");
        }
        let failures = &self.failures;
        assert!(
            failures.is_empty(),
            "{} differ:\n{}",
            failures.len(),
            failures.join("\n")
        );
    }
}

/// The largest difference between timesteps. diffusers computes some from sigmas in f32, with an
/// error of a few 1e-6 in their logarithms, which is 1e-3 timesteps.
fn timestep_error(actual: &[f64], expected: &[f32]) -> f64 {
    let pairs = actual.iter().zip(expected);
    let differences = pairs.map(|(a, &e)| (a - f64::from(e)).abs());
    differences.fold(0.0, f64::max)
}

#[test]
fn every_sampler_with_every_schedule_equals_its_reference() {
    let golden = host_values("schedules.json");
    let elements = usize_of(&golden["elements"]);
    let own = strings(&golden["timestep_samplers"]);
    let mut values = Values::open();
    let mut report = Report::default();
    for name in strings(&golden["samplers"]) {
        let kind: SamplerKind = name.parse().unwrap();
        assert_eq!(kind.has_schedules(), !own.contains(&name));
        for schedule in strings(&golden["schedules"]) {
            if !kind.has_schedules() && schedule != "normal" {
                continue;
            }
            let schedule: ScheduleKind = schedule.parse().unwrap();
            for prediction in strings(&golden["predictions"]) {
                let mut config = golden["config"].clone();
                config["prediction_type"] = prediction.into();
                let config = SchedulerConfig::from_json("", config.to_string().as_bytes()).unwrap();
                for steps in golden["steps"].as_array().unwrap() {
                    let steps = usize_of(steps);
                    let what = format!("{name} {schedule} {prediction} {steps} steps");
                    let sampler = Sampler::new(kind, schedule, &config, steps).unwrap();
                    let seed = values.arrays;
                    if prediction == "epsilon" {
                        let expected = values.take(sampler.calls());
                        let actual = &sampler.schedule().timesteps;
                        let error = timestep_error(actual, &expected);
                        assert!(
                            error < 2e-3,
                            "{what}: timesteps {actual:?} for {expected:?}"
                        );
                    }
                    let expected = values.take(elements);
                    let latent = final_latent(sampler, seed, elements);
                    let error = relative_error(&latent, &expected);
                    report.add(name, what, error, limit(kind));
                }
            }
        }
    }
    report.conclude();
}

#[test]
fn every_sampler_with_every_scheduler_file_equals_diffusers() {
    let golden = host_values("schedules.json");
    let elements = usize_of(&golden["elements"]);
    let steps = usize_of(&golden["file_steps"]);
    let refused: Vec<_> = golden["refused"].as_array().unwrap().iter().collect();
    let mut values = Values::open();
    let samplers = strings(&golden["samplers"]);
    skip_matrix(&golden, &samplers, &mut values);
    let by_file = values.arrays;
    let mut report = Report::default();
    for file in strings(&golden["files"]) {
        let path = format!("tests/golden/host/schedulers/{file}.json");
        let config = SchedulerConfig::from_json(&path, &read(&path)).unwrap();
        for name in &samplers {
            let kind: SamplerKind = name.parse().unwrap();
            let what = format!("{name} with {file}");
            let sampler = Sampler::new(kind, ScheduleKind::Model, &config, steps);
            let sampler = sampler.unwrap_or_else(|e| panic!("{what}: {e}"));
            let seed = values.arrays - by_file;
            let latent = final_latent(sampler, seed, elements);
            if refused.iter().any(|r| r[0] == file && r[1] == *name) {
                assert!(latent.iter().all(|x| x.is_finite()), "{what}");
                values.take(0);
                continue;
            }
            let error = relative_error(&latent, &values.take(elements));
            report.add(name, what, error, limit(kind));
        }
    }
    assert_eq!(values.position, values.values.len());
    report.conclude();
}

/// Moves behind the arrays of the first test.
fn skip_matrix(golden: &Value, samplers: &[&str], values: &mut Values) {
    let elements = usize_of(&golden["elements"]);
    let steps = golden["steps"].as_array().unwrap();
    let config = golden["config"].to_string();
    let config = SchedulerConfig::from_json("", config.as_bytes()).unwrap();
    for name in samplers {
        let kind: SamplerKind = name.parse().unwrap();
        let schedules = match kind.has_schedules() {
            true => strings(&golden["schedules"]).len(),
            false => 1,
        };
        for _ in 0..schedules {
            for steps in steps {
                let sampler = Sampler::new(kind, ScheduleKind::Model, &config, usize_of(steps));
                values.take(sampler.unwrap().calls());
                values.take(2 * elements);
                values.arrays += 1;
            }
        }
    }
}

#[test]
fn names_are_read_as_other_programs_write_them() {
    use SamplerKind::{Dpm2A, Dpmpp2m, Dpmpp2mSde, Dpmpp2sA, Dpmpp3mSde, EulerA, Pndm};
    for kind in SamplerKind::ALL {
        for text in [kind.name(), kind.label()] {
            assert_eq!(text.parse(), Ok(kind));
            for schedule in ScheduleKind::ALL {
                let both = format!("{text} {}", schedule.label());
                let read: SamplerName = both.parse().unwrap();
                assert_eq!((read.kind, read.schedule), (kind, Some(schedule)), "{both}");
                assert_eq!(read.to_string().parse(), Ok(read), "{both}");
            }
        }
    }
    for schedule in ScheduleKind::ALL {
        assert_eq!(schedule.name().parse(), Ok(schedule));
        assert_eq!(schedule.label().to_uppercase().parse(), Ok(schedule));
    }
    let karras = Some(ScheduleKind::Karras);
    for (text, kind, schedule) in [
        ("dpm++2m-karras", Dpmpp2m, karras),
        ("DPM++ 2M Karras", Dpmpp2m, karras),
        ("DPM++ 2M SDE Karras", Dpmpp2mSde, karras),
        ("DPM++ 2S a Karras", Dpmpp2sA, karras),
        (
            "DPM++ 3M SDE Exponential",
            Dpmpp3mSde,
            Some(ScheduleKind::Exponential),
        ),
        ("DPM2 a", Dpm2A, None),
        ("Euler a", EulerA, None),
        ("PLMS", Pndm, None),
    ] {
        let read: SamplerName = text.parse().unwrap();
        assert_eq!((read.kind, read.schedule), (kind, schedule), "{text}");
    }
    for text in [
        "",
        "euler b",
        "karras",
        "dpm++2m-karras-karras",
        "DPM adaptive",
    ] {
        let error = text.parse::<SamplerName>().unwrap_err();
        assert!(
            error.is_usage() && error.to_string().contains("dpm++2m-karras"),
            "{text}"
        );
    }
    assert!(
        "polyexponential"
            .parse::<ScheduleKind>()
            .is_err_and(|e| e.is_usage())
    );
}

fn config_of(json: &str) -> SchedulerConfig {
    SchedulerConfig::from_json("scheduler_config.json", json.as_bytes()).unwrap()
}

#[test]
fn a_request_names_its_schedule_in_one_word_or_two() {
    let karras = config_of(r#"{"use_karras_sigmas": true}"#);
    let plain = config_of("{}");
    let schedule = |name: &str, schedule, config| {
        let name: SamplerName = name.parse().unwrap();
        name.schedule(schedule, config)
    };
    use ScheduleKind::{Beta, Karras, Model, Normal};
    assert_eq!(schedule("dpm++2m-karras", None, &plain), Karras);
    assert_eq!(schedule("dpm++2m-karras", Some(Model), &plain), Karras);
    assert_eq!(schedule("dpm++2m-karras", Some(Beta), &plain), Beta);
    assert_eq!(schedule("dpm++2m", None, &karras), Normal);
    assert_eq!(schedule("dpm++2m", None, &plain), Model);
    assert_eq!(schedule("dpm++2m", Some(Model), &karras), Model);
    assert_eq!(schedule("euler", None, &karras), Model);
    let resolve = |kind, config: &SchedulerConfig| Model.resolve(kind, config);
    assert_eq!(resolve(SamplerKind::Dpmpp2m, &karras), Karras);
    assert_eq!(resolve(SamplerKind::EulerA, &karras), Normal);
    assert_eq!(resolve(SamplerKind::Ddim, &karras), Model);
    let beta = config_of(r#"{"use_beta_sigmas": true}"#);
    assert_eq!(resolve(SamplerKind::Heun, &beta), Beta);
    let lu = config_of(r#"{"use_lu_lambdas": true}"#);
    assert_eq!(resolve(SamplerKind::Dpmpp2m, &lu), Model);
    assert_eq!(resolve(SamplerKind::UniPc, &lu), Normal);
}

#[test]
fn every_scheduler_file_has_a_sampler_of_its_own_or_the_nearest() {
    use SamplerKind::*;
    let own = |file: &str| {
        let path = format!("tests/golden/host/schedulers/{file}.json");
        OwnSampler::of(&SchedulerConfig::from_json(&path, &read(&path)).unwrap())
    };
    for (file, kind) in [
        ("ddim-thresholding", Ddim),
        ("ddpm-fixed-large", Ddpm),
        ("dpm-lu", Dpmpp2m),
        ("dpm-order3-heun", Dpmpp2m),
        ("dpm-sde-multi", Dpmpp2mSde),
        ("dpm-sde", DpmppSde),
        ("dpm-single", Dpmpp2s),
        ("dreamshaper8-deis", Deis),
        ("euler-beta", Euler),
        ("euler-exponential", Euler),
        ("euler-karras", Euler),
        ("flax-pndm", Pndm),
        ("heun", Heun),
        ("heun-clip-exponential", Heun),
        ("kdpm2a", Dpm2A),
        ("lcm-dreamshaper-v7", Lcm),
        ("lms", Lms),
        ("nulls", Euler),
        ("pseudo-flex-ddpm-zsnr", Ddpm),
        ("sd-turbo", Euler),
        ("sd21-zsnr-ddim", Ddim),
        ("single-order3", Dpmpp2s),
        ("tcd", Tcd),
        ("zsnr-euler", Euler),
    ] {
        let warning = None;
        assert_eq!(own(file), OwnSampler { kind, warning }, "{file}");
    }
    for (file, kind, named) in [
        ("noclass", Euler, "no scheduler class"),
        ("dpm-plain", Dpmpp2m, "\"dpmsolver\""),
        ("edm-sigma-range", Euler, "\"EDMEulerScheduler\""),
    ] {
        let own = own(file);
        assert_eq!(own.kind, kind);
        let warning = own.warning.unwrap();
        assert!(
            warning.contains(named) && warning.contains(kind.name()),
            "{warning}"
        );
    }
    for (class, kind) in [
        ("EDMDPMSolverMultistepScheduler", Dpmpp2m),
        ("SASolverScheduler", Dpmpp2mSde),
        ("IPNDMScheduler", Pndm),
        ("DDIMInverseScheduler", Ddim),
        ("DDPMWuerstchenScheduler", Ddpm),
        ("FlowMatchHeunDiscreteScheduler", Heun),
        ("KarrasVeScheduler", Euler),
    ] {
        let own = OwnSampler::of(&config_of(&format!(r#"{{"_class_name": "{class}"}}"#)));
        assert_eq!(own.kind, kind, "{class}");
        assert!(own.warning.unwrap().contains(class));
    }
    for (class, kind) in [
        ("DDIMParallelScheduler", Ddim),
        ("FlaxDPMSolverMultistepScheduler", Dpmpp2m),
    ] {
        let own = OwnSampler::of(&config_of(&format!(r#"{{"_class_name": "{class}"}}"#)));
        assert_eq!((own.kind, own.warning), (kind, None));
    }
}

#[test]
fn settings_without_effect_are_named_for_the_sampler_that_reads_them() {
    use SamplerKind::{Ddim, Ddpm, Dpmpp2m, Euler, Lcm, UniPc};
    let config = config_of(
        r#"{"interpolation_type": "log_linear", "predict_x0": false, "variance_type": "learned",
            "thresholding": true, "sample_max_value": 2.5, "use_flow_sigmas": true}"#,
    );
    let keys = |kind| {
        let warnings = ineffective(kind, ScheduleKind::Model, &config);
        warnings
            .iter()
            .map(|text| text.split('`').nth(1).unwrap().to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(keys(Euler), ["interpolation_type"]);
    assert_eq!(
        keys(UniPc),
        ["predict_x0", "use_flow_sigmas", "sample_max_value"]
    );
    assert_eq!(keys(Dpmpp2m), ["use_flow_sigmas", "sample_max_value"]);
    assert_eq!(keys(Ddpm), ["variance_type", "sample_max_value"]);
    assert_eq!(keys(Ddim), ["sample_max_value"]);
    assert_eq!(keys(SamplerKind::Lms), [""; 0]);
    let plain = config_of("{}");
    for kind in SamplerKind::ALL {
        assert_eq!(ineffective(kind, ScheduleKind::Model, &plain), [""; 0]);
        let karras = ineffective(kind, ScheduleKind::Karras, &plain);
        assert_eq!(karras.len(), usize::from(!kind.has_schedules()), "{kind}");
    }
    assert!(ineffective(Lcm, ScheduleKind::Beta, &plain)[0].contains("beta"));
}
