//! Functions of single numbers, without branches or calls so that loops over them become SIMD code everywhere, and sums.

/// `eˣ`, relative error below 2·10⁻⁷. Below −87 it stays at 1.6·10⁻³⁸, above 88 at 1.7·10³⁸.
///
/// `x = n·ln 2 + r` with |r| ≤ ½·ln 2; `eʳ` by the polynomial of Cephes' `expf`, `2ⁿ` by the exponent's bits.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    /// Adding it rounds to an integer: floats of this size have no bits for fractions.
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

/// The exact GELU, `x·Φ(x)` with the normal distribution's Φ; relative error below 10⁻⁶ for |x| < 5.
///
/// `Φ(−|x|) = e^(−x²/2)·Q(t)`, `t = 1/(1 + 0.3·|x|)`: a form that keeps its relative precision where `1 + erf(x/√2)`
/// cancels. Q is a minimax fit of our own for |x| ≤ 13, off by 1.1·10⁻⁷ of the value at most.
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

/// Lanes of the reductions: enough independent chains to fill any SIMD unit.
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

/// The greatest of `values`; −∞ of none.
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
