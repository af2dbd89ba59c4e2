//! Random numbers (SplitMix64), the same for the same seed.

use super::seed;

#[derive(Clone, Default, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// One of many streams of this run's seed.
    pub(crate) fn new(stream: u64) -> Self {
        Self(seed() ^ stream.wrapping_mul(0xD134_2543_DE82_EF95))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// From 0 up to `n`, without it.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }

    /// From 0 to 1.
    pub(crate) fn part(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn chance(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    /// Four numbers at once.
    pub(crate) fn throw(&mut self) -> [u16; 4] {
        let n = self.next();
        [0, 16, 32, 48].map(|shift| (n >> shift) as u16)
    }

    /// From 1 up to `most`; half of all are below the root of it.
    pub(crate) fn heavy_tailed(&mut self, most: u64) -> u64 {
        let bits = u64::from(most.ilog2() + 1);
        let scale = self.below(bits + 1) as u32;
        1 + self.below(most.min(1_u64.checked_shl(scale).unwrap_or(u64::MAX)))
    }
}

pub(crate) fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    n ^ (n >> 31)
}
