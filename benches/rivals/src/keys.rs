//! Keys drawn beforehand, as numbers, by a seed: what a generator costs is not
//! in any figure.

use rand::RngExt;
use rand::distr::Distribution;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand_distr::{Pareto, Zipf};

use crate::payload::WEIGHT_BITS;

/// Above all the keys that are ever resident.
const UNSEEN: u64 = 1 << 40;

/// The heaviest value there is.
const HEAVIEST: f64 = 500.0;

/// The numbers below `entries`, each once.
pub(crate) fn shuffled(entries: usize, rng: &mut StdRng) -> Vec<u64> {
    let mut keys: Vec<u64> = (0..entries as u64).collect();
    keys.shuffle(rng);
    keys
}

pub(crate) fn uniform(entries: usize, length: usize, rng: &mut StdRng) -> Vec<u64> {
    let key = |_| rng.random_range(0..entries as u64);
    (0..length).map(key).collect()
}

pub(crate) fn zipf(entries: usize, skew: f64, length: usize, rng: &mut StdRng) -> Vec<u64> {
    let ranks = Zipf::new(entries as f64, skew).expect("entries and a skew above zero");
    let ranks = ranks.sample_iter(rng);
    ranks.take(length).map(|rank| rank as u64 - 1).collect()
}

/// No key twice, none below any number of entries.
pub(crate) fn unseen(length: usize) -> Vec<u64> {
    (UNSEEN..).take(length).collect()
}

/// No key twice, and each with a weight in its low bits.
pub(crate) fn heavy(length: usize, rng: &mut StdRng) -> Vec<u64> {
    let weights = Pareto::new(1.0, 1.1).expect("a scale and a shape above zero");
    let weights = weights.sample_iter(rng);
    let weights = weights.map(|weight: f64| weight.min(HEAVIEST) as u64);
    let keys = (0..length as u64).zip(weights);
    keys.map(|(key, weight)| key << WEIGHT_BITS | weight)
        .collect()
}
