//! Seeded random numbers: SplitMix64 (Steele, Lea and Flood 2014). The same seed gives the same
//! numbers on every machine.

use super::fnv1a;

/// Increment of the state between two numbers.
pub const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// The output function: mixes the bits of a state.
pub fn mix(state: u64) -> u64 {
    let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A generator.
pub struct Random(u64);

impl Random {
    /// A generator that starts at `seed`.
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// The generator of input `number` of the fuzz target `name`. Every input can be made alone.
    pub fn of(name: &str, number: u64) -> Self {
        let mut random = Random(fnv1a(name) ^ number.wrapping_mul(0xd605_bbb5_8c8a_bc63));
        random.next();
        random
    }

    /// 64 random bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GAMMA);
        mix(self.0)
    }

    /// 0 to `end` − 1; 0 for an empty range.
    pub fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }

    /// True once in `n` times.
    pub fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// True half of the time.
    pub fn coin(&mut self) -> bool {
        self.once_in(2)
    }

    /// A copy of an element of `list`.
    pub fn one_of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    /// An unsized element of `list`.
    pub fn pick<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> &'a T {
        list[self.below(list.len())]
    }

    /// A reference to an element of `list`.
    pub fn element<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    /// A length: mostly short, at times up to `most`.
    pub fn length(&mut self, most: usize) -> usize {
        let bits = self.below(most.max(1).ilog2() as usize + 1);
        self.below(most.min(2 << bits)) + 1
    }

    /// A random byte.
    pub fn byte(&mut self) -> u8 {
        (self.next() >> 56) as u8
    }

    /// A number from −1 to 1, uniform.
    pub fn uniform(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    /// A number that is about normal: the sum of four uniform ones.
    pub fn normal(&mut self) -> f32 {
        let bits = self.next();
        let sum: u64 = (0..4).map(|i| bits >> (16 * i) & 0xffff).sum();
        (sum as f32 / 65535.0 - 2.0) * 1.7
    }
}
