//! Schedules, samplers and guidance against diffusers' schedulers.

use std::collections::BTreeMap;

use darkroom::config::{SchedulerConfig, TimestepSpacing};
use darkroom::error::Error;
use darkroom::sampling::guidance::guide;
use darkroom::sampling::noise::{Noise, Rng};
use darkroom::sampling::{Sampler, SamplerKind};

use crate::{golden, read, usize_of};

/// The stand-in for the U-Net, as in golden/host/sampling.py.
fn predict(latent: &[f32], timestep: f64) -> Vec<f32> {
    let w = timestep / 1000.0;
    (0..latent.len())
        .map(|i| {
            let x = f64::from(latent[i]);
            let y = f64::from(latent[(i + latent.len() - 1) % latent.len()]);
            ((w * x + 0.3 * (1.0 - w) * y) / (1.0 + 0.05 * x * x) + 0.1) as f32
        })
        .collect()
}

/// `‖a − b‖ / ‖b‖`
fn relative_error(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    let difference = norm(&mut a.iter().zip(b).map(|(&a, &b)| f64::from(a) - f64::from(b)));
    difference / norm(&mut b.iter().map(|&b| f64::from(b)))
}

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
fn schedules_and_trajectories_equal_those_of_diffusers() {
    let golden = golden("sampling.json");
    let file = read("tests/golden/host/sampling.safetensors");
    let header = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let values = file[8 + header..]
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes(b.try_into().unwrap()));
    let mut values = values.collect::<Vec<f32>>().into_iter();
    let mut worst = BTreeMap::new();
    for (seed, case) in golden["cases"].as_array().unwrap().iter().enumerate() {
        let name = case["config"].as_str().unwrap();
        let sampler_name = case["sampler"].as_str().unwrap();
        let steps = usize_of(&case["steps"]);
        let what = format!("{name}, {sampler_name}, {steps} steps");
        let mut take = |i: usize| -> Vec<f32> {
            values
                .by_ref()
                .take(usize_of(&case["lengths"][i]))
                .collect()
        };
        let [timesteps, sigmas, expected, denoised] = [take(0), take(1), take(2), take(3)];

        let config = golden["configs"][name].to_string();
        let config =
            SchedulerConfig::from_json("scheduler_config.json", config.as_bytes()).unwrap();
        let mut sampler = Sampler::new(sampler_name.parse().unwrap(), &config, steps).unwrap();
        let schedule = sampler.schedule();
        let mut errors = [0.0; 4];
        errors[0] = assert_close(
            &schedule.timesteps,
            &timesteps,
            &format!("{what}: timestep"),
        );
        errors[1] = assert_close(&schedule.sigmas, &sigmas, &format!("{what}: sigma"));
        let init = case["init_noise_sigma"].as_f64().unwrap();
        assert_close(
            &[sampler.init_noise_sigma()],
            &[init as f32],
            &format!("{what}: init_noise_sigma"),
        );
        assert_eq!(sampler.calls(), timesteps.len(), "{what}: calls");

        let mut noise = Noise::new(Rng::Torch, seed as u64);
        let first = noise.normal(expected.len()).into_iter();
        let mut latent: Vec<f32> = first
            .map(|x| (f64::from(x) * sampler.init_noise_sigma()) as f32)
            .collect();
        while !sampler.is_done() {
            assert_eq!(
                sampler.timestep(),
                sampler.schedule().timesteps[sampler.call()]
            );
            let prediction = predict(&sampler.model_input(&latent), sampler.timestep());
            sampler.step(&prediction, &mut latent, &mut noise);
            let picture = sampler.denoised().unwrap();
            assert!(picture.iter().all(|x| x.is_finite()), "{what}: denoised");
            if sampler.call() == sampler.calls() / 2 + 1 && !denoised.is_empty() {
                errors[2] = relative_error(picture, &denoised);
                assert!(
                    errors[2] <= 1e-5,
                    "{what}: denoised is off by {:.1e}",
                    errors[2]
                );
            }
        }
        errors[3] = relative_error(&latent, &expected);
        assert!(
            errors[3] <= 1e-5,
            "{what}: final latent is off by {:.1e}",
            errors[3]
        );
        let seen = worst.entry(sampler_name.to_string()).or_insert([0.0; 4]);
        (0..4).for_each(|i| seen[i] = f64::max(seen[i], errors[i]));
    }
    assert_eq!(values.len(), 0);
    for (sampler, [timestep, sigma, denoised, latent]) in worst {
        println!(
            "{sampler:15} timestep {timestep:.1e}, sigma {sigma:.1e}, denoised {denoised:.1e}, final latent {latent:.1e}"
        );
    }
}

fn stable_diffusion(more: &str) -> SchedulerConfig {
    let json = format!(
        r#"{{"_class_name": "PNDMScheduler", "beta_end": 0.012, "beta_schedule": "scaled_linear", "beta_start": 0.00085,
            "clip_sample": false, "set_alpha_to_one": false, "skip_prk_steps": true, "steps_offset": 1{more}}}"#
    );
    SchedulerConfig::from_json("scheduler_config.json", json.as_bytes()).unwrap()
}

#[test]
fn samplers_by_name_and_by_config() {
    for kind in SamplerKind::ALL {
        assert_eq!(kind.to_string().parse(), Ok(kind));
    }
    assert!("lms".parse::<SamplerKind>().is_err_and(|e| e.is_usage()));
    let kinds = [
        ("EulerDiscreteScheduler", "", SamplerKind::Euler),
        ("EulerAncestralDiscreteScheduler", "", SamplerKind::EulerA),
        ("DDIMScheduler", "", SamplerKind::Ddim),
        ("PNDMScheduler", "", SamplerKind::Pndm),
        ("DPMSolverMultistepScheduler", "", SamplerKind::Dpmpp2m),
        (
            "DPMSolverMultistepScheduler",
            r#", "use_karras_sigmas": true"#,
            SamplerKind::Dpmpp2mKarras,
        ),
        ("UniPCMultistepScheduler", "", SamplerKind::UniPc),
    ];
    for (class, more, kind) in kinds {
        let json = format!(r#"{{"_class_name": "{class}"{more}}}"#);
        let config = SchedulerConfig::from_json("scheduler_config.json", json.as_bytes()).unwrap();
        assert_eq!(SamplerKind::from_config(&config), Ok(kind));
    }
    let unknown = SchedulerConfig {
        class_name: "LCMScheduler".into(),
        ..Default::default()
    };
    assert!(matches!(
        SamplerKind::from_config(&unknown),
        Err(Error::Config { .. })
    ));
}

#[test]
fn impossible_steps_and_configs_are_errors() {
    let is_request = |kind, config: &SchedulerConfig, steps| matches!(Sampler::new(kind, config, steps), Err(Error::Request { field, .. }) if field == "steps");
    let is_config = |kind, config: &SchedulerConfig, name: &str| matches!(Sampler::new(kind, config, 20), Err(Error::Config { key, .. }) if key == name);
    for kind in SamplerKind::ALL {
        for steps in [0, 1001, 1_000_000, usize::MAX] {
            assert!(
                is_request(kind, &stable_diffusion(""), steps),
                "{kind} with {steps} steps"
            );
        }
        // Any other number gives a schedule that only goes down, or a refusal; never a panic.
        for spacing in ["leading", "linspace", "trailing"] {
            let config = stable_diffusion(&format!(r#", "timestep_spacing": "{spacing}""#));
            for steps in 1..=1000 {
                let Ok(sampler) = Sampler::new(kind, &config, steps) else {
                    assert!(
                        steps > 990 && is_request(kind, &config, steps),
                        "{kind} {spacing} {steps}"
                    );
                    continue;
                };
                let pndm = usize::from(kind == SamplerKind::Pndm && steps > 1);
                assert_eq!(sampler.calls(), steps + pndm, "{kind} {spacing} {steps}");
                let sigmas = &sampler.schedule().sigmas;
                assert!(
                    sigmas.windows(2).all(|pair| pair[0] >= pair[1]),
                    "{kind} {spacing} {steps}"
                );
            }
        }
        let kept =
            kind == SamplerKind::EulerA || kind == SamplerKind::Ddim || kind == SamplerKind::Pndm;
        assert_eq!(
            is_config(
                kind,
                &stable_diffusion(r#", "final_sigmas_type": "middle""#),
                "final_sigmas_type"
            ),
            !kept
        );
        for offset in [-5000, 5000] {
            let config = SchedulerConfig {
                steps_offset: offset,
                timestep_spacing: Some(TimestepSpacing::Leading),
                ..stable_diffusion("")
            };
            assert!(
                is_config(kind, &config, "steps_offset"),
                "{kind} with offset {offset}"
            );
        }
    }
    for kind in [SamplerKind::Dpmpp2m, SamplerKind::UniPc] {
        assert!(is_config(
            kind,
            &stable_diffusion(r#", "solver_order": 4"#),
            "solver_order"
        ));
        assert!(is_config(
            kind,
            &stable_diffusion(r#", "solver_order": 0"#),
            "solver_order"
        ));
        assert!(is_config(
            kind,
            &stable_diffusion(r#", "solver_type": "rk45""#),
            "solver_type"
        ));
    }
    assert!(is_config(
        SamplerKind::Dpmpp2m,
        &stable_diffusion(r#", "algorithm_type": "sde-dpmsolver++""#),
        "algorithm_type"
    ));
    let zero_snr =
        stable_diffusion(r#", "rescale_betas_zero_snr": true, "timestep_spacing": "trailing""#);
    assert!(is_config(
        SamplerKind::Ddim,
        &zero_snr,
        "rescale_betas_zero_snr"
    ));
    let runge_kutta = SchedulerConfig {
        skip_prk_steps: false,
        ..stable_diffusion("")
    };
    assert!(is_request(SamplerKind::Pndm, &runge_kutta, 3));
}

/// Solvers whose formulas divide by differences that can vanish at the end.
#[test]
fn last_steps_stay_finite() {
    let endings = [
        r#", "lower_order_final": false"#,
        r#", "lower_order_final": false, "solver_type": "bh1", "solver_order": 3"#,
        r#", "lower_order_final": false, "use_karras_sigmas": true, "final_sigmas_type": "sigma_min", "solver_order": 3"#,
        r#", "rescale_betas_zero_snr": true, "timestep_spacing": "trailing""#,
    ];
    for ending in endings {
        for kind in SamplerKind::ALL {
            let Ok(mut sampler) = Sampler::new(kind, &stable_diffusion(ending), 20) else {
                assert_eq!(kind, SamplerKind::Ddim);
                continue;
            };
            let mut noise = Noise::new(Rng::Torch, 0);
            let mut latent = noise.normal(32);
            while !sampler.is_done() {
                let prediction = predict(&sampler.model_input(&latent), sampler.timestep());
                sampler.step(&prediction, &mut latent, &mut noise);
            }
            assert!(latent.iter().all(|x| x.is_finite()), "{kind} with {ending}");
        }
    }
}

#[test]
fn guidance_weighs_the_two_predictions() {
    let (positive, negative) = ([1.0, -2.0, 0.5], [0.5, 1.0, 0.5]);
    assert_eq!(guide(&positive, &negative, 1.0), positive);
    assert_eq!(guide(&positive, &negative, 0.0), negative);
    assert_eq!(guide(&positive, &negative, 7.5), [4.25, -21.5, 0.5]);
}
