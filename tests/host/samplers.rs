//! Schedules, samplers and guidance against diffusers' schedulers.

use std::collections::BTreeMap;

use darkroom::config::{SchedulerConfig, TimestepSpacing};
use darkroom::error::Error;
use darkroom::sampling::guidance::guide;
use darkroom::sampling::noise::{Noise, Rng};
use darkroom::sampling::update::Arrays;
use darkroom::sampling::{Sampler, SamplerKind, SamplerName, ScheduleKind};
use serde_json::Value;

use crate::support::relative_error;
use crate::support::safetensors::split;
use crate::support::sampling::advance;
use crate::{host_values, read, usize_of};

/// A function in place of the U-Net, the same as in golden/host/sampling.py.
pub fn predict(latent: &[f32], timestep: f64) -> Vec<f32> {
    let w = timestep / 1000.0;
    (0..latent.len())
        .map(|i| {
            let x = f64::from(latent[i]);
            let y = f64::from(latent[(i + latent.len() - 1) % latent.len()]);
            ((w * x + 0.3 * (1.0 - w) * y) / (1.0 + 0.05 * x * x) + 0.1) as f32
        })
        .collect()
}

/// Asserts that the values agree to 1e-6, and returns the largest error.
fn assert_close(actual: &[f64], expected: &[f32], what: &str) -> f64 {
    assert_eq!(actual.len(), expected.len(), "{what}: length");
    let mut worst = 0.0;
    for (i, (&actual, &expected)) in actual.iter().zip(expected).enumerate() {
        if actual == f64::from(expected) {
            continue;
        }
        let error = (actual - f64::from(expected)).abs() / f64::from(expected).abs().max(1.0);
        assert!(error <= 1e-6, "{what} {i}: {actual} for {expected}");
        worst = f64::max(worst, error);
    }
    worst
}

#[test]
fn schedules_and_trajectories_equal_diffusers() {
    let golden = host_values("sampling.json");
    let file = read("tests/golden/host/sampling.safetensors");
    let values = split(&file).1.chunks_exact(4);
    let values = values.map(|b| f32::from_le_bytes(b.try_into().unwrap()));
    let mut values = values.collect::<Vec<f32>>().into_iter();
    let mut worst = BTreeMap::new();
    for (seed, case) in golden["cases"].as_array().unwrap().iter().enumerate() {
        let name = case["config"].as_str().unwrap();
        let sampler = case["sampler"].as_str().unwrap();
        let steps = usize_of(&case["steps"]);
        let expected = [0, 1, 2, 3].map(|i| {
            let length = usize_of(&case["lengths"][i]);
            values.by_ref().take(length).collect()
        });
        let json = golden["configs"][name].to_string();
        let config = SchedulerConfig::from_json("scheduler_config.json", json.as_bytes()).unwrap();
        let what = format!("{name}, {sampler}, {steps} steps");
        let name: SamplerName = sampler.parse().unwrap();
        let schedule = name.schedule(None, &config);
        let sampler_of_case = Sampler::new(name.kind, schedule, &config, steps).unwrap();
        let errors = compare_case(case, sampler_of_case, seed as u64, &expected, &what);
        let seen = worst.entry(sampler.to_string()).or_insert([0.0; 4]);
        (0..4).for_each(|i| seen[i] = f64::max(seen[i], errors[i]));
    }
    assert_eq!(values.len(), 0);
    for (sampler, [timestep, sigma, denoised, latent]) in worst {
        println!(
            "{sampler:15} timestep {timestep:.1e}, sigma {sigma:.1e}, denoised {denoised:.1e}, \
             final latent {latent:.1e}"
        );
    }
}

/// Compares the schedule and the trajectory of one case with diffusers' timesteps, sigmas, final
/// latent and denoised latent. Returns the errors of timesteps, sigmas, denoised and final latent.
fn compare_case(
    case: &Value,
    mut sampler: Sampler,
    seed: u64,
    [timesteps, sigmas, latent, denoised]: &[Vec<f32>; 4],
    what: &str,
) -> [f64; 4] {
    let schedule = sampler.schedule();
    let mut errors = [0.0; 4];
    errors[0] = assert_close(&schedule.timesteps, timesteps, &format!("{what}: timestep"));
    errors[1] = assert_close(&schedule.sigmas, sigmas, &format!("{what}: sigma"));
    let init = case["init_noise_sigma"].as_f64().unwrap() as f32;
    let init_what = format!("{what}: init_noise_sigma");
    assert_close(&[sampler.init_noise_sigma()], &[init], &init_what);
    assert_eq!(sampler.calls(), timesteps.len(), "{what}: calls");

    let mut noise = Noise::new(Rng::Torch, seed);
    let first = noise.normal(latent.len()).into_iter();
    let first = first.map(|x| (f64::from(x) * sampler.init_noise_sigma()) as f32);
    let mut arrays = Arrays::new(first.collect());
    while !sampler.is_done() {
        assert_eq!(
            sampler.timestep(),
            sampler.schedule().timesteps[sampler.call()]
        );
        advance(&mut sampler, &mut arrays, &mut noise, predict);
        let finite = !arrays.denoised.is_empty() && arrays.denoised.iter().all(|x| x.is_finite());
        assert!(finite, "{what}: denoised");
        if sampler.call() == sampler.calls() / 2 + 1 && !denoised.is_empty() {
            errors[2] = relative_error(&arrays.denoised, denoised);
            assert!(
                errors[2] <= 1e-5,
                "{what}: denoised is off by {:.1e}",
                errors[2]
            );
        }
    }
    errors[3] = relative_error(&arrays.latent, latent);
    assert!(
        errors[3] <= 1e-5,
        "{what}: final latent is off by {:.1e}",
        errors[3]
    );
    errors
}

fn stable_diffusion(more: &str) -> SchedulerConfig {
    let json = format!(
        r#"{{"_class_name": "PNDMScheduler", "beta_end": 0.012, "beta_schedule": "scaled_linear",
            "beta_start": 0.00085, "clip_sample": false, "set_alpha_to_one": false,
            "skip_prk_steps": true, "steps_offset": 1{more}}}"#
    );
    SchedulerConfig::from_json("scheduler_config.json", json.as_bytes()).unwrap()
}

/// The sampler `kind` for `steps` steps in the model's own schedule.
fn sampler(kind: SamplerKind, config: &SchedulerConfig, steps: usize) -> Result<Sampler, Error> {
    Sampler::new(kind, ScheduleKind::Model, config, steps)
}

fn is_request(kind: SamplerKind, config: &SchedulerConfig, steps: usize) -> bool {
    let error = sampler(kind, config, steps).err();
    matches!(error, Some(Error::Request { field, .. }) if field == "steps")
}

fn is_config(kind: SamplerKind, config: &SchedulerConfig, name: &str) -> bool {
    let error = sampler(kind, config, 20).err();
    matches!(error, Some(Error::Config { key, .. }) if key == name)
}

/// Samplers with timesteps that follow from the model's distillation, not from its spacing.
const DISTILLED: [SamplerKind; 2] = [SamplerKind::Lcm, SamplerKind::Tcd];

#[test]
fn any_number_of_steps_gives_a_schedule_that_goes_down_or_an_error() {
    for kind in SamplerKind::ALL {
        for steps in [0, 1001, 1_000_000, usize::MAX] {
            assert!(
                is_request(kind, &stable_diffusion(""), steps),
                "{kind} with {steps} steps"
            );
        }
        let most = if DISTILLED.contains(&kind) { 50 } else { 990 };
        for spacing in ["leading", "linspace", "trailing"] {
            let config = stable_diffusion(&format!(r#", "timestep_spacing": "{spacing}""#));
            for steps in (1..=1000).filter(|steps| *steps < 60 || steps % 7 == 0) {
                let Ok(sampler) = sampler(kind, &config, steps) else {
                    assert!(
                        steps > most && is_request(kind, &config, steps),
                        "{kind} {spacing} {steps}"
                    );
                    continue;
                };
                let calls = match kind {
                    SamplerKind::Pndm if steps > 1 => steps + 1,
                    kind => kind.calls_per_step() * steps + 1 - kind.calls_per_step(),
                };
                assert_eq!(sampler.calls(), calls, "{kind} {spacing} {steps}");
                let sigmas = &sampler.schedule().sigmas;
                // dpm2-a's second call is at the sigma of the next step, but for rounding.
                let down = |pair: &[f64]| pair[0] >= pair[1] * (1.0 - 1e-6);
                assert!(sigmas.windows(2).all(down), "{kind} {spacing} {steps}");
            }
        }
    }
}

#[test]
fn values_that_a_sampler_reads_and_does_not_have_are_errors_for_it_alone() {
    use SamplerKind::{
        Deis, Dpmpp2m, Dpmpp2mSde, Dpmpp2s, Dpmpp2sA, Dpmpp3mSde, Euler, Pndm, UniPc,
    };
    let refused = |more: &str, key: &str, by: &[SamplerKind]| {
        let config = stable_diffusion(more);
        for kind in SamplerKind::ALL {
            assert_eq!(
                is_config(kind, &config, key),
                by.contains(&kind),
                "{kind} {more}"
            );
        }
    };
    let finals = [Euler, Dpmpp2m, Dpmpp2mSde, Dpmpp3mSde, Dpmpp2s, UniPc];
    refused(
        r#", "final_sigmas_type": "middle""#,
        "final_sigmas_type",
        &finals,
    );
    let solvers = [Dpmpp2m, Dpmpp2mSde, Dpmpp2s, Deis, UniPc];
    refused(r#", "solver_order": 4"#, "solver_order", &solvers);
    refused(r#", "solver_order": 0"#, "solver_order", &solvers);
    refused(r#", "solver_type": "rk45""#, "solver_type", &solvers);
    // The name of the sampler says the algorithm.
    refused(
        r#", "algorithm_type": "sde-dpmsolver++""#,
        "algorithm_type",
        &[],
    );
    refused(r#", "algorithm_type": "rk45""#, "algorithm_type", &[]);
    refused(
        r#", "original_inference_steps": 0"#,
        "original_inference_steps",
        &DISTILLED,
    );
    let in_timesteps: Vec<_> = SamplerKind::ALL
        .into_iter()
        .filter(|kind| !kind.has_schedules() && *kind != Pndm)
        .collect();
    let zero_snr = r#", "rescale_betas_zero_snr": true, "timestep_spacing": "trailing""#;
    refused(zero_snr, "rescale_betas_zero_snr", &in_timesteps);
    let v = format!(r#"{zero_snr}, "prediction_type": "v_prediction""#);
    refused(&v, "rescale_betas_zero_snr", &[]);
    // Spacings that do not read the offset.
    let without_offset = |kind| DISTILLED.contains(&kind) || kind == Dpmpp2s;
    for offset in [-5000, 5000] {
        let config = SchedulerConfig {
            steps_offset: offset,
            timestep_spacing: Some(TimestepSpacing::Leading),
            ..stable_diffusion("")
        };
        for kind in SamplerKind::ALL {
            assert_eq!(
                is_config(kind, &config, "steps_offset"),
                !without_offset(kind),
                "{kind} with offset {offset}"
            );
        }
    }
    assert!(!is_config(Dpmpp2sA, &stable_diffusion(""), "steps_offset"));
    let runge_kutta = SchedulerConfig {
        skip_prk_steps: false,
        ..stable_diffusion("")
    };
    assert!(is_request(Pndm, &runge_kutta, 3));
}

/// Some solvers divide by differences that can vanish at the end.
#[test]
fn last_steps_stay_finite() {
    let endings = [
        r#", "lower_order_final": false"#,
        r#", "lower_order_final": false, "solver_type": "bh1", "solver_order": 3"#,
        r#", "lower_order_final": false, "use_karras_sigmas": true,
            "final_sigmas_type": "sigma_min", "solver_order": 3"#,
        r#", "rescale_betas_zero_snr": true, "timestep_spacing": "trailing""#,
    ];
    for ending in endings {
        for kind in SamplerKind::ALL {
            let config = stable_diffusion(ending);
            let Ok(mut sampler) = Sampler::new(kind, ScheduleKind::Model, &config, 20) else {
                assert!(!kind.has_schedules(), "{kind} with {ending}");
                continue;
            };
            let mut noise = Noise::new(Rng::Torch, 0);
            let mut arrays = Arrays::new(noise.normal(32));
            while !sampler.is_done() {
                advance(&mut sampler, &mut arrays, &mut noise, predict);
            }
            let finite = arrays.latent.iter().all(|x| x.is_finite());
            assert!(finite, "{kind} with {ending}");
        }
    }
}

#[test]
fn guidance_moves_from_the_negative_past_the_positive_prediction() {
    let (positive, negative) = ([1.0, -2.0, 0.5], [0.5, 1.0, 0.5]);
    assert_eq!(guide(&positive, &negative, 1.0), positive);
    assert_eq!(guide(&positive, &negative, 0.0), negative);
    assert_eq!(guide(&positive, &negative, 7.5), [4.25, -21.5, 0.5]);
}
