//! Heavy-tailed sizes: most are small, and the few large ones weigh as much as
//! all others.

use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand_distr::{Distribution, Pareto};

/// As many as fit into a core's own cache beside what is measured.
const LENGTH: usize = 1 << 14;

/// Sizes drawn before the clock starts; any number has one.
pub(crate) struct Tail(Box<[u32]>);

impl Tail {
    pub(crate) fn draw(least: u32, most: u32) -> Self {
        // An exponent just above 1 has a finite mean, and a tail that shows.
        let sizes = Pareto::new(f64::from(least), 1.1).expect("a positive exponent");
        let sizes = sizes.map(|size: f64| size.min(f64::from(most)) as u32);
        let source = SmallRng::seed_from_u64(1);
        Self(sizes.sample_iter(source).take(LENGTH).collect())
    }

    #[inline]
    pub(crate) fn at(&self, number: u64) -> u64 {
        u64::from(self.0[number as usize & (LENGTH - 1)])
    }

    pub(crate) fn mean(&self) -> f64 {
        let sum: u64 = self.0.iter().copied().map(u64::from).sum();
        sum as f64 / LENGTH as f64
    }
}
