//! Noise against PyTorch's CPU generator and against a Philox in NumPy.

use std::collections::BTreeMap;

use darkroom::sampling::noise::{Noise, Rng};

use crate::{host_values, usize_of};

/// Distance of two numbers in units in the last place.
fn ulps(a: f32, b: f32) -> u32 {
    let ordered = |x: f32| {
        let bits = x.to_bits() as i32;
        if bits < 0 {
            i32::MIN.wrapping_sub(bits)
        } else {
            bits
        }
    };
    ordered(a).abs_diff(ordered(b))
}

#[test]
fn noise_equals_pytorch_and_philox() {
    let mut exact = BTreeMap::new();
    for stream in host_values("noise.json").as_array().unwrap() {
        let rng: Rng = stream["rng"].as_str().unwrap().parse().unwrap();
        let seed: u64 = stream["seed"].as_str().unwrap().parse().unwrap();
        let mut noise = Noise::new(rng, seed);
        for (call, expected) in stream["calls"].as_array().unwrap().iter().enumerate() {
            let n = usize_of(&expected["n"]);
            let values = noise.normal(n);
            assert_eq!(values.len(), n);
            let ends: Vec<f32> = if n <= 100 {
                values.clone()
            } else {
                [&values[..40], &values[n - 40..]].concat()
            };
            let bits = expected["bits"].as_str().unwrap();
            assert_eq!(bits.len(), 8 * ends.len());
            for (i, value) in ends.iter().enumerate() {
                let bits = u32::from_str_radix(&bits[8 * i..8 * i + 8], 16).unwrap();
                let expected = f32::from_bits(bits);
                assert!(
                    ulps(*value, expected) <= 1,
                    "{rng} seed {seed} call {call} of {n}: {i}: {value} for {expected}"
                );
            }
            let weighted = values
                .iter()
                .zip(1u64..)
                .map(|(x, i)| u64::from(x.to_bits()).wrapping_mul(i));
            let sum = weighted.fold(0u64, u64::wrapping_add);
            let same = format!("{sum:016x}") == expected["sum"].as_str().unwrap();
            // Every bit must be equal where the system's logarithm and sine are not used.
            assert!(
                same || rng == Rng::Philox || n < 16,
                "{rng} seed {seed} call {call} of {n}: sum of bits"
            );
            let (equal, all) = exact.entry(rng.to_string()).or_insert((0, 0));
            *equal += usize::from(same);
            *all += 1;
        }
    }
    println!("calls that are equal in every bit, of all: {exact:?}");
}

#[test]
fn noise_of_any_size_is_finite_and_normal() {
    for rng in [Rng::Torch, Rng::Philox] {
        assert_eq!(rng.to_string().parse(), Ok(rng));
        for n in 0..200 {
            let values = Noise::new(rng, 3).normal(n);
            assert!(values.len() == n && values.iter().all(|x| x.is_finite()));
        }
        let values = Noise::new(rng, 4).normal(100_000);
        let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / 1e5;
        let variance = values
            .iter()
            .map(|&x| (f64::from(x) - mean).powi(2))
            .sum::<f64>()
            / 1e5;
        assert!(
            mean.abs() < 0.01 && (variance - 1.0).abs() < 0.02,
            "{rng}: {mean} {variance}"
        );
    }
    assert!("cuda".parse::<Rng>().is_err_and(|e| e.is_usage()));
    // PyTorch's CPU generator uses 32 bits of the seed, Philox uses 64.
    let differ = |rng| Noise::new(rng, 5).normal(20) != Noise::new(rng, 5 + (1 << 32)).normal(20);
    assert!(!differ(Rng::Torch) && differ(Rng::Philox));
}
