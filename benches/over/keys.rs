//! Keys, by position: which one the n-th operation asks for.

use super::asked::is_test;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand_distr::{Distribution, Uniform, Zipf};
use std::sync::OnceLock;

/// Spreads numbers over `0..2^64`, each to one of its own: neighbours in time
/// are no neighbours in a table.
pub(crate) fn scatter(position: u64) -> u64 {
    let walked = position.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (walked ^ walked >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    mixed ^ mixed >> 32
}

#[derive(Clone, Copy)]
enum Shape {
    Uniform,
    Zipf(f64),
}

/// Keys drawn at random before the clock starts, so that to draw costs nothing
/// and the same for all: a read of a buffer in its order. Drawn when first
/// asked for, since a filter may leave out all that would.
///
/// The buffer goes round, and who goes round a short one sees too much of the
/// same: hit ratios rise above what the shape allows. So it is long.
pub(crate) struct Trace {
    shape: Shape,
    keys: u64,
    drawn: OnceLock<Box<[u32]>>,
}

/// The keys of a [`Trace`], drawn.
#[derive(Clone, Copy)]
pub(crate) struct Drawn<'a>(&'a [u32]);

impl Trace {
    /// Each of `0..keys` as often as any other.
    pub(crate) fn uniform(keys: u64) -> Self {
        Self::new(Shape::Uniform, keys)
    }

    /// Keys of `0..keys`, the *n*-th as often as `1 / n^exponent`.
    pub(crate) fn zipf(exponent: f64, keys: u64) -> Self {
        Self::new(Shape::Zipf(exponent), keys)
    }

    fn new(shape: Shape, keys: u64) -> Self {
        let drawn = OnceLock::new();
        Self { shape, keys, drawn }
    }

    /// As the names of benches have it.
    pub(crate) fn name(&self) -> String {
        match self.shape {
            Shape::Uniform => "uniform".to_owned(),
            Shape::Zipf(exponent) => format!("zipf-{exponent}"),
        }
    }

    /// How many keys there are.
    pub(crate) fn keys(&self) -> u64 {
        self.keys
    }

    /// A power of two, so that going round is no division.
    fn length(&self) -> usize {
        if is_test() {
            return 1 << 12;
        }
        let length = (32 * self.keys).next_power_of_two();
        length.clamp(1 << 23, 1 << 25) as usize
    }

    pub(crate) fn drawn(&self) -> Drawn<'_> {
        Drawn(self.drawn.get_or_init(|| match self.shape {
            Shape::Uniform => draw(
                self.length(),
                Uniform::new(0, self.keys as u32).expect("some keys"),
            ),
            Shape::Zipf(exponent) => {
                let ranks = Zipf::new(self.keys as f64, exponent).expect("some keys");
                draw(self.length(), ranks.map(|rank: f64| rank as u32 - 1))
            }
        }))
    }
}

impl Drawn<'_> {
    #[inline]
    pub(crate) fn at(self, position: u64) -> u64 {
        u64::from(self.0[position as usize & (self.0.len() - 1)])
    }
}

fn draw(length: usize, distribution: impl Distribution<u32>) -> Box<[u32]> {
    let source = SmallRng::seed_from_u64(1);
    distribution.sample_iter(source).take(length).collect()
}
