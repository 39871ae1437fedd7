//! Code that the test programs share: golden files, error measures, and doors to the engine.
#![allow(dead_code)] // each test program uses a part of it

pub mod attention;
pub mod checkpoint;
pub mod clock;
pub mod command;
pub mod generate;
pub mod gpu;
pub mod models;
pub mod parity;
pub mod random;
pub mod safetensors;
pub mod sampling;
pub mod server;
pub mod vae_tiles;

use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};

use darkroom::{Precision, Runtime};
use serde::de::DeserializeOwned;

/// The path of a file of this repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// `tests/golden`
pub fn golden() -> PathBuf {
    repository("tests/golden")
}

/// Writes a line past the test harness, which shows the captured output of failed tests only.
pub fn say(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A JSON file as `T`.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> T {
    let text = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The CPU in f32.
pub fn cpu() -> Runtime {
    Runtime::cpu(Precision::F32, false).expect("the CPU")
}

/// `‖a − b‖ / ‖b‖`; infinite where it is NaN.
pub fn relative_error(a: &[f32], b: &[f32]) -> f64 {
    let wide = |values: &[f32]| values.iter().copied().map(f64::from).collect::<Vec<_>>();
    let [difference, size] = norms(&wide(a), &wide(b));
    let error = difference / size;
    if error.is_nan() { f64::INFINITY } else { error }
}

/// `‖a − b‖` and `‖b‖`.
pub fn norms(a: &[f64], b: &[f64]) -> [f64; 2] {
    assert_eq!(a.len(), b.len(), "number of elements");
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let difference = norm(&mut a.iter().zip(b).map(|(a, b)| a - b));
    [difference, norm(&mut b.iter().copied())]
}

/// Peak signal-to-noise ratio of two 8-bit pictures in dB; infinite for equal ones.
pub fn psnr(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len(), "number of bytes");
    let square = |(&a, &b): (&u8, &u8)| (f64::from(a) - f64::from(b)).powi(2);
    let mean = a.iter().zip(b).map(square).sum::<f64>() / a.len() as f64;
    10.0 * (255.0 * 255.0 / mean).log10()
}

/// The colours of RGBA pixels without their alpha.
pub fn rgb(rgba: &[u8]) -> Vec<u8> {
    let (pixels, _) = rgba.as_chunks::<4>();
    pixels.iter().flat_map(|p| &p[..3]).copied().collect()
}

/// Asserts that `text` contains every one of `words`.
#[track_caller]
pub fn assert_contains(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "no {word:?} in:\n{text}");
    }
}

/// `[n, c, h, w]` → `[n, h, w, c]`
pub fn channels_last(values: &[f32], [n, c, h, w]: [usize; 4]) -> Vec<f32> {
    let mut result = Vec::with_capacity(values.len());
    for image in 0..n {
        for position in 0..h * w {
            result.extend((0..c).map(|channel| values[(image * c + channel) * h * w + position]));
        }
    }
    result
}

/// `[n, h, w, c]` → `[n, c, h, w]`
pub fn channels_first(values: &[f32], [n, h, w, c]: [usize; 4]) -> Vec<f32> {
    let mut result = Vec::with_capacity(values.len());
    for image in 0..n {
        for channel in 0..c {
            result.extend((0..h * w).map(|at| values[(image * h * w + at) * c + channel]));
        }
    }
    result
}

/// The dimensions of a tensor of four.
pub fn four(shape: &[usize]) -> [usize; 4] {
    shape.try_into().expect("four dimensions")
}

/// FNV-1a, 64 bits.
pub fn fnv1a(data: impl AsRef<[u8]>) -> u64 {
    let step = |hash: u64, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    data.as_ref().iter().fold(0xcbf2_9ce4_8422_2325, step)
}
