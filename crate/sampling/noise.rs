//! Seeded normal noise. It is made on the host, so that a seed gives the same noise on every
//! machine and in every browser.
//!
//! There are two generators, for the two kinds of seeds in use:
//! - [`Rng::Torch`]: `torch.randn(…, generator=torch.Generator().manual_seed(seed))` on the CPU, as
//!   diffusers users call it. Ports `ATen/core/MT19937RNGEngine.h`, `DistributionsHelper.h` and
//!   `native/cpu/DistributionTemplates.h` of PyTorch 2.15, bit for bit with its AVX2 kernel (which
//!   AVX-512 machines run too). PyTorch's own kernel for machines without AVX2 differs from that
//!   one by up to 1.6e-6.
//! - [`Rng::Philox`]: "NV" noise in A1111, Philox4x32-10 with the counters of `torch.randn` on an
//!   NVIDIA GPU. The transform from bits to normals is A1111's `modules/rng_philox.py`, in f64. The
//!   GPU's own approximate sine and logarithm differ from it in the last digits.

use std::f64::consts::PI;
use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// The generator that turns a seed into noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rng {
    /// `torch.randn` with a CPU generator: diffusers' seeds.
    #[default]
    Torch,
    /// Philox4x32-10 as on an NVIDIA GPU: A1111's seeds.
    Philox,
}

impl fmt::Display for Rng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rng::Torch => "torch",
            Rng::Philox => "philox",
        })
    }
}

impl FromStr for Rng {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        match name {
            "torch" => Ok(Rng::Torch),
            "philox" => Ok(Rng::Philox),
            other => Err(Error::request("rng", other, "torch or philox")),
        }
    }
}

/// A stream of standard normal numbers.
#[derive(Debug, Clone)]
pub struct Noise {
    generator: Generator,
}

#[derive(Debug, Clone)]
enum Generator {
    Torch(Box<Mt19937>),
    Philox { key: [u32; 2], calls: u32 },
}

impl Noise {
    /// The stream of `seed`. `torch` uses the lower 32 bits only, as PyTorch's CPU generator does.
    /// `philox` uses all 64.
    pub fn new(rng: Rng, seed: u64) -> Self {
        let generator = match rng {
            Rng::Torch => Generator::Torch(Box::new(Mt19937::new(seed as u32))),
            Rng::Philox => Generator::Philox {
                key: [seed as u32, (seed >> 32) as u32],
                calls: 0,
            },
        };
        Noise { generator }
    }

    /// The next `n` standard normal numbers. One call is one `torch.randn` of `n` elements in any
    /// shape. The division of a stream into calls changes the numbers, so ask for a whole latent at
    /// once.
    pub fn normal(&mut self, n: usize) -> Vec<f32> {
        match &mut self.generator {
            // PyTorch makes single numbers in f64 below 16 elements, and f32 vectors of 16 from
            // there on.
            Generator::Torch(twister) if n < 16 => (0..n).map(|_| twister.next_normal()).collect(),
            Generator::Torch(twister) => twister.normal_fill(n),
            Generator::Philox { key, calls } => {
                let call = *calls;
                *calls = calls.wrapping_add(1);
                (0..n as u32)
                    .map(|i| philox_normal(philox4x32_10([call, 0, i, 0], *key)))
                    .collect()
            }
        }
    }
}

const MT_SIZE: usize = 624;
const MT_SHIFT: usize = 397;

/// The 32-bit Mersenne Twister, with the one normal number that PyTorch's generator keeps for the
/// next call.
#[derive(Debug, Clone)]
struct Mt19937 {
    state: [u32; MT_SIZE],
    index: usize,
    next_normal: Option<f64>,
}

impl Mt19937 {
    fn new(seed: u32) -> Self {
        let mut state = [seed; MT_SIZE];
        for i in 1..MT_SIZE {
            let previous = state[i - 1];
            state[i] = (previous ^ (previous >> 30))
                .wrapping_mul(1_812_433_253)
                .wrapping_add(i as u32);
        }
        Mt19937 {
            state,
            index: MT_SIZE,
            next_normal: None,
        }
    }

    fn next_u32(&mut self) -> u32 {
        if self.index == MT_SIZE {
            self.refill();
        }
        let mut y = self.state[self.index];
        self.index += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    fn refill(&mut self) {
        for i in 0..MT_SIZE {
            let (upper, lower) = (self.state[i], self.state[(i + 1) % MT_SIZE]);
            let y = (upper & 0x8000_0000) | (lower & 0x7fff_ffff);
            let twist = if y & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[i] = self.state[(i + MT_SHIFT) % MT_SIZE] ^ (y >> 1) ^ twist;
        }
        self.index = 0;
    }

    /// Uniform in [0, 1) with 24 bits (`uniform_real_distribution<float>`).
    fn uniform(&mut self) -> f32 {
        (self.next_u32() & 0x00ff_ffff) as f32 / 16_777_216.0
    }

    /// Uniform in [0, 1) with 53 bits (`uniform_real_distribution<double>`).
    fn uniform_f64(&mut self) -> f64 {
        let bits = (u64::from(self.next_u32()) << 32) | u64::from(self.next_u32());
        (bits & ((1 << 53) - 1)) as f64 / 9_007_199_254_740_992.0
    }

    /// `normal_distribution<double>`: Box–Muller gives two numbers. The second is kept for the next
    /// call, even across calls of [`Noise::normal`] and vector fills between them.
    fn next_normal(&mut self) -> f32 {
        if let Some(second) = self.next_normal.take() {
            return second as f32;
        }
        let theta = 2.0 * PI * self.uniform_f64();
        let radius = (-2.0 * (-self.uniform_f64()).ln_1p()).sqrt();
        self.next_normal = Some(radius * theta.sin());
        (radius * theta.cos()) as f32
    }

    /// `normal_fill`: `n ≥ 16` uniforms, turned into normals in blocks of 16. Where 16 does not
    /// divide `n`, the last 16 elements are drawn again and overlap the block before.
    fn normal_fill(&mut self, n: usize) -> Vec<f32> {
        let mut data: Vec<f32> = (0..n).map(|_| self.uniform()).collect();
        data.chunks_exact_mut(16).for_each(box_muller_16);
        if !n.is_multiple_of(16) {
            let tail = &mut data[n - 16..];
            tail.fill_with(|| self.uniform());
            box_muller_16(tail);
        }
        data
    }
}

/// `normal_fill_16_AVX2`: the first eight uniforms give radii, the other eight angles.
fn box_muller_16(block: &mut [f32]) {
    let (first, second) = block.split_at_mut(8);
    for (a, b) in first.iter_mut().zip(second) {
        let radius = (-2.0 * ln(1.0 - *a)).sqrt();
        let (sin, cos) = sin_cos(2.0 * std::f32::consts::PI * *b);
        // PyTorch adds the mean, 0.0: it turns -0.0 into 0.0.
        *a = radius * cos + 0.0;
        *b = radius * sin + 0.0;
    }
}

/// The Cephes polynomial of `log256_ps` in `avx_mathfun.h`, with the fused multiply-adds of
/// PyTorch's build, for `x` in (0, 1]. A more exact logarithm would give other bits than
/// `torch.randn`.
fn ln(x: f32) -> f32 {
    const P: [f32; 9] = [
        7.037_683_6e-2,
        -1.151_461e-1,
        1.167_699_84e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_8e-1,
        2.000_071_4e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ];
    // ln 2 in two parts. The second has few bits, so that its product with the exponent is exact.
    const LN2_LOW: f32 = -2.121_944_4e-4;
    const LN2_HIGH: f32 = 0.693_359_4;
    // x = mantissa · 2^exponent with the mantissa in [√½, √2).
    let bits = x.to_bits();
    let mut exponent = (bits >> 23) as f32 - 126.0;
    let mut mantissa = f32::from_bits((bits & 0x007f_ffff) | 0x3f00_0000);
    if mantissa < std::f32::consts::FRAC_1_SQRT_2 {
        exponent -= 1.0;
        mantissa += mantissa;
    }
    let m = mantissa - 1.0;
    let m2 = m * m;
    let polynomial = P[1..].iter().fold(P[0], |y, &p| y.mul_add(m, p)) * m;
    let y = polynomial.mul_add(m2, exponent * LN2_LOW) - 0.5 * m2;
    m + y + exponent * LN2_HIGH
}

/// `sincos256_ps` of the same file, for `x` in [0, 2π).
fn sin_cos(x: f32) -> (f32, f32) {
    // π/4 in three parts.
    const PI4: [f32; 3] = [0.785_156_25, 2.418_756_5e-4, 3.774_895e-8];
    // The octant, rounded up to even, then the rest of the angle in [-π/4, π/4].
    let octant = ((x * (4.0 / std::f32::consts::PI)) as i32 + 1) & !1;
    let r = PI4.iter().fold(x, |r, &p| (-(octant as f32)).mul_add(p, r));
    let r2 = r * r;
    let c = 2.443_315_7e-5_f32
        .mul_add(r2, -1.388_731_6e-3)
        .mul_add(r2, 4.166_664_6e-2);
    let cos = (c * r2).mul_add(r2, -0.5 * r2) + 1.0;
    let s = (-1.951_529_6e-4_f32)
        .mul_add(r2, 8.332_161e-3)
        .mul_add(r2, -1.666_665_5e-1);
    let sin = (s * r2).mul_add(r, r);
    match octant & 7 {
        0 => (sin, cos),
        2 => (cos, -sin),
        4 => (-sin, -cos),
        _ => (-cos, sin),
    }
}

/// Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011), Philox4x32 with ten rounds.
fn philox4x32_10(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    const MULTIPLIERS: [u32; 2] = [0xd251_1f53, 0xcd9e_8d57];
    const WEYL: [u32; 2] = [0x9e37_79b9, 0xbb67_ae85];
    for round in 0..10 {
        if round > 0 {
            key = [0, 1].map(|i| key[i].wrapping_add(WEYL[i]));
        }
        let a = u64::from(MULTIPLIERS[0]) * u64::from(counter[0]);
        let b = u64::from(MULTIPLIERS[1]) * u64::from(counter[2]);
        counter = [
            (b >> 32) as u32 ^ counter[1] ^ key[0],
            b as u32,
            (a >> 32) as u32 ^ counter[3] ^ key[1],
            a as u32,
        ];
    }
    counter
}

/// The first of the normals that cuRAND makes from one Philox result, with cuRAND's f32 constants.
fn philox_normal(bits: [u32; 4]) -> f32 {
    const INV_2POW32: f64 = 1.0 / 4_294_967_296.0;
    // cuRAND's constant is an f32.
    const INV_2POW32_2PI: f64 = 1.462_918_1e-9_f32 as f64;
    let u = f64::from(bits[0]) * INV_2POW32 + INV_2POW32 / 2.0;
    let v = f64::from(bits[1]) * INV_2POW32_2PI + INV_2POW32_2PI / 2.0;
    ((-2.0 * u.ln()).sqrt() * v.sin()) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `kat_vectors` of Random123, the authors' implementation.
    #[test]
    fn philox_gives_the_known_answers() {
        let ones = u32::MAX;
        let cases = [
            (
                [0; 4],
                [0; 2],
                [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8],
            ),
            (
                [ones; 4],
                [ones; 2],
                [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd],
            ),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ];
        for (counter, key, expected) in cases {
            assert_eq!(philox4x32_10(counter, key), expected);
        }
    }

    /// The expected values are the first numbers of `torch.manual_seed(0); torch.randn(…,
    /// device="cuda")` in public notebooks.
    #[test]
    fn philox_equals_an_nvidia_gpu() {
        let expected = [
            -0.9247, -0.4253, -2.6438, 0.1452, -0.1209, -0.5797, -0.6229, -0.3284, -1.0745,
            -0.3631, -1.6711, 2.2655, 0.3117, -0.1842, 1.2866, 1.1820,
        ];
        let values = Noise::new(Rng::Philox, 0).normal(16);
        for (value, expected) in values.into_iter().zip(expected) {
            assert!((value - expected).abs() < 6e-5, "{value} for {expected}");
        }
    }

    /// The C++ standard gives the 10000th output of `mt19937` with its default seed.
    #[test]
    fn mersenne_twister_gives_the_known_answer() {
        let mut twister = Mt19937::new(5489);
        let last = (0..10_000).map(|_| twister.next_u32()).last();
        assert_eq!(last, Some(4_123_659_995));
    }
}
