//! Variation seeds, the eta noise seed delta and eta against A1111's rules, k-diffusion's samplers
//! and diffusers' schedulers.

use std::collections::BTreeMap;

use darkroom::config::SchedulerConfig;
use darkroom::sampling::{
    Noise, Rng, Sampler, SamplerKind, ScheduleKind, Seeds, ineffective_noise,
};
use serde_json::Value;

use crate::schedules::final_latent;
use crate::support::relative_error;
use crate::support::safetensors::split;
use crate::{host_values, read, usize_of};

/// The arrays of seeds.safetensors by name.
fn arrays() -> BTreeMap<String, Vec<f32>> {
    let file = read("tests/golden/host/seeds.safetensors");
    let (header, data) = split(&file);
    let header: BTreeMap<String, Value> = serde_json::from_slice(header).expect("a header");
    let array = |(name, facts): (String, Value)| {
        let [from, to] = [0, 1].map(|i| usize_of(&facts["data_offsets"][i]));
        let values = data[from..to].chunks_exact(4);
        let values = values.map(|b| f32::from_le_bytes(b.try_into().unwrap()));
        (name, values.collect())
    };
    header.into_iter().map(array).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn number(value: &Value) -> u64 {
    value.as_str().unwrap().parse().unwrap()
}

#[test]
fn noise_of_variations_and_deltas_equals_the_web_uis() {
    let (golden, arrays) = (host_values("seeds.json"), arrays());
    for (i, case) in list(&golden["noise"]).iter().enumerate() {
        let seeds = Seeds {
            rng: case["rng"].as_str().unwrap().parse().unwrap(),
            seed: number(&case["seed"]),
            variation_seed: number(&case["variation_seed"]),
            variation_strength: case["variation_strength"].as_f64().unwrap(),
            ensd: case["ensd"].as_i64().unwrap(),
        };
        let (first, mut noise) = seeds.draw([0, 1, 2].map(|i| usize_of(&case["shape"][i])));
        let actual = [first.clone(), noise.normal(first.len())].concat();
        let expected = &arrays[&format!("noise.{i}")];
        assert_eq!(actual.len(), expected.len(), "{case}");
        for (actual, expected) in actual.iter().zip(expected) {
            let error = (actual - expected).abs();
            assert!(error <= 2e-6, "{case}: {actual} for {expected}");
        }
    }
}

#[test]
fn neutral_seeds_give_the_plain_stream() {
    for rng in [Rng::Torch, Rng::Philox] {
        let neutral = Seeds {
            rng,
            seed: 9,
            variation_seed: 77,
            ..Seeds::default()
        };
        let mut plain = Noise::new(rng, 9);
        let (first, mut noise) = neutral.draw([4, 8, 6]);
        assert_eq!(first, plain.normal(192));
        assert_eq!(noise.normal(192), plain.normal(192));
    }
}

#[test]
fn a_batch_counts_seeds_up_or_variation_seeds_instead() {
    let plain = Seeds {
        seed: u64::MAX,
        variation_seed: 5,
        ..Seeds::default()
    };
    let third = plain.numbered(2);
    assert_eq!((third.seed, third.variation_seed), (1, 5));
    let varied = Seeds {
        variation_strength: 0.1,
        ..plain
    };
    let third = varied.numbered(2);
    assert_eq!((third.seed, third.variation_seed), (u64::MAX, 7));
    for strength in [-0.1, 1.5, f64::NAN] {
        let seeds = Seeds {
            variation_strength: strength,
            ..plain
        };
        let error = seeds.check().expect_err("a strength out of range");
        assert!(error.is_usage() && error.to_string().contains("0 to 1"));
    }
}

fn config(golden: &Value, key: &str, value: Value) -> SchedulerConfig {
    let mut config = golden["config"].clone();
    config[key] = value;
    SchedulerConfig::from_json("", config.to_string().as_bytes()).unwrap()
}

#[test]
fn every_sampler_with_every_eta_equals_its_reference() {
    let (golden, arrays) = (host_values("seeds.json"), arrays());
    let elements = usize_of(&golden["elements"]);
    let mut expected = arrays["latents"].chunks_exact(elements).zip(0..);
    let mut kinds = Vec::new();
    for name in list(&golden["samplers"]) {
        let kind: SamplerKind = name.as_str().unwrap().parse().unwrap();
        kinds.push(kind);
        let mut worst: f64 = 0.0;
        for prediction in list(&golden["predictions"]) {
            let config = config(&golden, "prediction_type", prediction.clone());
            for steps in list(&golden["steps"]) {
                for eta in list(&golden["etas"]) {
                    let (expected, seed) = expected.next().expect("a latent");
                    let schedule = ScheduleKind::Normal;
                    let steps = usize_of(steps);
                    let sampler = Sampler::with_eta(kind, schedule, &config, steps, eta.as_f64());
                    let latent = final_latent(sampler.unwrap(), seed, elements);
                    let error = relative_error(&latent, expected);
                    let what = format!("{kind}, {prediction}, {steps} steps, eta {eta}");
                    assert!(error <= 2e-5, "{what}: off by {error:.1e}");
                    worst = worst.max(error);
                }
            }
        }
        println!("{kind:12} {worst:.1e}");
    }
    assert!(expected.next().is_none());
    let readers = SamplerKind::ALL
        .into_iter()
        .filter(|kind| kind.own_eta().is_some());
    assert!(readers.clone().all(|kind| kinds.contains(&kind)));
    assert_eq!(readers.count(), kinds.len());
}

#[test]
fn ddim_with_eta_1_is_ddpm() {
    let golden = host_values("seeds.json");
    let config = config(&golden, "set_alpha_to_one", true.into());
    for steps in [2, 10, 50] {
        let make = |kind, eta| {
            let sampler = Sampler::with_eta(kind, ScheduleKind::Model, &config, steps, eta);
            final_latent(sampler.unwrap(), 3, 64)
        };
        let [ddim, ddpm] = [
            make(SamplerKind::Ddim, Some(1.0)),
            make(SamplerKind::Ddpm, None),
        ];
        let error = relative_error(&ddim, &ddpm);
        assert!(error < 1e-5, "{steps} steps: {error:.1e}");
    }
}

#[test]
fn the_samplers_own_eta_changes_no_bit() {
    let golden = host_values("seeds.json");
    let config = config(&golden, "clip_sample", false.into());
    for kind in SamplerKind::ALL {
        let make = |eta| {
            let sampler = Sampler::with_eta(kind, ScheduleKind::Model, &config, 5, eta);
            final_latent(sampler.unwrap(), 1, 64)
        };
        assert_eq!(make(kind.own_eta()), make(None), "{kind}");
        let changed = make(Some(0.6)) != make(None);
        assert_eq!(changed, kind.own_eta().is_some(), "{kind}");
    }
    for eta in [-0.5, 1.01, f64::NAN] {
        let kind = SamplerKind::Euler;
        let error = Sampler::with_eta(kind, ScheduleKind::Model, &config, 5, Some(eta));
        let error = error.err().expect("an eta out of range");
        assert!(
            error.is_usage() && error.to_string().contains("0 to 1"),
            "{error}"
        );
    }
}

#[test]
fn warnings_name_noise_settings_without_effect() {
    use SamplerKind::{Ddim, Ddpm, Euler, EulerA, Lcm};
    let cases: [(SamplerKind, Option<f64>, i64, &[&str]); 9] = [
        (EulerA, Some(0.5), 31337, &[]),
        (Ddim, Some(0.5), 31337, &[]),
        (Euler, None, 0, &[]),
        (
            Euler,
            Some(0.5),
            0,
            &["eta 0.5 has no effect: euler adds no noise"],
        ),
        (
            Euler,
            None,
            31337,
            &["ensd 31337 has no effect: euler adds no noise"],
        ),
        (
            Ddpm,
            Some(0.0),
            1,
            &["eta 0 has no effect: ddpm has a fixed"],
        ),
        (Lcm, None, 1, &[]),
        (
            Ddim,
            None,
            1,
            &["ensd 1 has no effect: ddim adds no noise with eta 0"],
        ),
        (EulerA, Some(0.0), -1, &["ensd -1 has no effect: euler-a"]),
    ];
    for (kind, eta, ensd, expected) in cases {
        let warnings = ineffective_noise(kind, eta, ensd);
        let all = warnings.len() == expected.len();
        let begin = warnings.iter().zip(expected).all(|(w, e)| w.starts_with(e));
        assert!(all && begin, "{warnings:?} for {expected:?}");
    }
}
