//! Quantiles of the beta distribution with both parameters 0.6.

/// Both parameters: the paper's choice.
const A: f64 = 0.6;
/// The beta function of the parameters, Γ(0.6)² / Γ(1.2).
const NORM: f64 = 1.489_192_248_812_817 * 1.489_192_248_812_817 / 0.918_168_742_399_760_6;

/// The value below which the distribution has the share `p`, 0 to 1.
pub(super) fn quantile(p: f64) -> f64 {
    // The distribution is symmetric, and the series converges fast below 1/2.
    if p > 0.5 {
        return 1.0 - lower_quantile(1.0 - p);
    }
    lower_quantile(p)
}

/// The quantile of `p` up to 1/2, by Newton's method. The density falls there, so every iterate
/// after the first is below the solution.
fn lower_quantile(p: f64) -> f64 {
    if p <= 0.0 {
        return 0.0;
    }
    let mut x = (p * A * NORM).powf(1.0 / A).min(0.5);
    for _ in 0..100 {
        let density = x.powf(A - 1.0) * (1.0 - x).powf(A - 1.0) / NORM;
        let next = (x - (cumulative(x) - p) / density).clamp(x * 0.01, 0.5);
        if (next - x).abs() <= 1e-16 * x {
            return next;
        }
        x = next;
    }
    x
}

/// The share below `x`, 0 to 1/2: `x^a / B · Σ (1 − a)ₙ / n! · xⁿ / (a + n)`.
fn cumulative(x: f64) -> f64 {
    let (mut sum, mut factor) = (0.0, 1.0);
    for n in 0..80 {
        let n = f64::from(n);
        sum += factor / (A + n);
        factor *= (1.0 - A + n) / (n + 1.0) * x;
    }
    x.powf(A) / NORM * sum
}
