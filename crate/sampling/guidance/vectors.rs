//! Arithmetic of vectors.

/// `⟨a, b⟩`
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `‖a‖`
pub fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

/// `a − b`
pub fn minus(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

/// `a + factor · b`
pub fn plus(a: &[f64], factor: f64, b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + factor * b).collect()
}

/// `factor · a`
pub fn times(factor: f64, a: &[f64]) -> Vec<f64> {
    a.iter().map(|a| factor * a).collect()
}

pub fn mean(a: &[f64]) -> f64 {
    a.iter().sum::<f64>() / a.len() as f64
}

/// The standard deviation, up to a factor that depends on the length alone.
pub fn deviation(a: &[f64]) -> f64 {
    let mean = mean(a);
    a.iter().map(|a| (a - mean).powi(2)).sum::<f64>().sqrt()
}
