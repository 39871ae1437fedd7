//! Functions of single numbers, without branches or calls, so that loops over them become SIMD code
//! on every target; and sums.

/// `eˣ`, relative error below 2·10⁻⁷. Below −87 it stays at 1.6·10⁻³⁸, above 88 at 1.7·10³⁸.
///
/// `x = n·ln 2 + r` with |r| ≤ ½·ln 2; `eʳ` by the polynomial of Cephes' `expf`, `2ⁿ` by the
/// exponent's bits.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    /// Adding it rounds to an integer, because floats of this size have no fraction bits.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = if x > 88.0 { 88.0 } else { x };
    let x = if x < -87.0 { -87.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_2e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 0.166_666_65;
    let p = p * r + 0.5;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    (p * r * r + r + 1.0) * power
}

/// `x·sigmoid(x)`
#[inline(always)]
pub fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// `x·sigmoid(1.702·x)`
#[inline(always)]
pub fn quick_gelu(x: f32) -> f32 {
    x / (1.0 + exp(-1.702 * x))
}

/// The exact GELU, `x·Φ(x)` with the normal distribution's Φ; relative error below 10⁻⁶ for |x| <
/// 5.
///
/// `Φ(−|x|) = e^(−x²/2)·Q(t)`, `t = 1/(1 + 0.3·|x|)`: a form that keeps its relative precision
/// where `1 + erf(x/√2)` cancels. Q is a minimax fit of our own for |x| ≤ 13, off by 1.1·10⁻⁷ of
/// the value at most.
#[inline(always)]
pub fn gelu(x: f32) -> f32 {
    let t = 1.0 / (1.0 + 0.3 * x.abs());
    let q = 0.036_194_84;
    let q = q * t - 0.159_378_25;
    let q = q * t + 0.210_118_3;
    let q = q * t - 0.057_167_3;
    let q = q * t + 0.130_416_44;
    let q = q * t + 0.099_347_13;
    let q = q * t + 0.120_845_534;
    let q = q * t + 0.119_623_266;
    let tail = q * t * exp(-0.5 * x * x);
    x * if x < 0.0 { tail } else { 1.0 - tail }
}

/// Lanes of the reductions: enough independent chains for any SIMD unit.
const LANES: usize = 16;

/// The sum of `f` over `values`, in [`LANES`] partial sums.
#[inline(always)]
pub fn sum(values: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for chunk in chunks {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum += f(*value);
        }
    }
    for (sum, value) in sums.iter_mut().zip(rest) {
        *sum += f(*value);
    }
    sums.iter().sum()
}

/// The greatest of `values`; −∞ for none.
#[inline(always)]
pub fn max(values: &[f32]) -> f32 {
    let greater = |a: f32, b: f32| if a > b { a } else { b };
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut most = [f32::NEG_INFINITY; LANES];
    for chunk in chunks {
        for (most, value) in most.iter_mut().zip(chunk) {
            *most = greater(*value, *most);
        }
    }
    let most = most.into_iter().chain(rest.iter().copied());
    most.fold(f32::NEG_INFINITY, greater)
}

#[cfg(test)]
mod tests {
    use super::{exp, gelu, max, sum};

    #[test]
    fn exp_matches_the_exact_exponential() {
        for i in -87_000..=88_000 {
            let x = i as f32 / 1000.0;
            let exact = f64::from(x).exp();
            let error = (f64::from(exp(x)) / exact - 1.0).abs();
            assert!(error < 2e-7, "exp({x}) is off by {error:.1e}");
        }
        assert!(exp(f32::NEG_INFINITY) < 2e-38);
        assert!(exp(f32::INFINITY) > 1e38);
    }

    /// The exact values are x·Φ(x) from mpmath.
    #[test]
    fn gelu_matches_exact_values() {
        for (x, exact) in [
            (-5.0, -1.433_257_859_4e-6),
            (-4.0, -1.266_849_673_32e-4),
            (-3.0, -0.004_049_694_094_89),
            (-2.0, -0.045_500_263_896_4),
            (-1.0, -0.158_655_253_931),
            (-0.5, -0.154_268_769_363),
            (0.0, 0.0),
            (0.5, 0.345_731_230_637),
            (1.0, 0.841_344_746_069),
            (2.0, 1.954_499_736_1),
            (5.0, 4.999_998_566_74),
        ] {
            let error = (f64::from(gelu(x)) - exact).abs();
            assert!(
                error <= 1e-6 * exact.abs(),
                "gelu({x}) is off by {error:.1e}"
            );
        }
        assert!(gelu(-40.0).abs() < 1e-37);
        assert_eq!(gelu(40.0), 40.0);
    }

    #[test]
    fn reductions_include_every_value() {
        for length in 0..40 {
            let values: Vec<f32> = (0..length).map(|i| i as f32).collect();
            assert_eq!(sum(&values, |x| x), (0..length).sum::<i32>() as f32);
            let most = length.checked_sub(1).filter(|_| length > 0);
            assert_eq!(max(&values), most.map_or(f32::NEG_INFINITY, |i| i as f32));
        }
    }
}
