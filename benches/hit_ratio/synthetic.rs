//! Small traces made here, the same on every run, so that the bench runs anywhere: popular keys; a
//! circle a little too wide; popular keys with scans between them; objects of which few are very heavy.

use trace::{Recorder, Trace};

/// Makes a trace.
pub(crate) type Make = fn() -> Trace;

/// The traces by name.
pub(crate) const TRACES: &[(&str, Make)] = &[
    ("zipf", zipf),
    ("loop", circle),
    ("zipf-and-scans", zipf_and_scans),
    ("heavy-tail", heavy_tail),
];

const REQUESTS: u64 = 100_000;
const KEYS: u64 = 10_000;

fn zipf() -> Trace {
    let mut recorder = Recorder::new(true);
    let mut popular = Zipf::new(KEYS, 0.9);
    (0..REQUESTS).for_each(|_| ask(&mut recorder, popular.next()));
    recorder.finish()
}

/// All keys once, then round and round over a tenth more of them than the largest bound holds.
fn circle() -> Trace {
    let mut recorder = Recorder::new(false);
    let width = KEYS / 4 * 11 / 10;
    (0..KEYS).for_each(|key| ask(&mut recorder, key));
    (0..REQUESTS - KEYS).for_each(|i| ask(&mut recorder, i % width));
    recorder.finish()
}

/// After each 900 popular keys 100 that never come again.
fn zipf_and_scans() -> Trace {
    let mut recorder = Recorder::new(true);
    let mut popular = Zipf::new(KEYS, 0.9);
    for i in 0..REQUESTS {
        let scan = i % 1_000 >= 900;
        ask(&mut recorder, if scan { KEYS + i } else { popular.next() });
    }
    recorder.finish()
}

/// The largest object, 64 MiB.
const LARGEST: f64 = 67_108_864.0;

/// Popular objects of some 4 KiB, and with each three requests for them one for an object of some 256 KiB
/// that never comes again: sizes are log-normal, so both reach to 64 MiB.
fn heavy_tail() -> Trace {
    let mut recorder = Recorder::new(true);
    let mut popular = Zipf::new(KEYS, 0.9);
    for i in 0..REQUESTS {
        let once = i % 4 == 3;
        let (key, median) = match once {
            true => (KEYS + i, 262_144.0),
            false => (popular.next(), 4_096.0),
        };
        let size = (median * (2.0 * normal(key)).exp()).clamp(1.0, LARGEST);
        recorder.push(&key.to_le_bytes(), size as u64);
    }
    recorder.finish()
}

/// A number of the normal distribution that follows from the key: the sum of twelve uniform ones.
fn normal(key: u64) -> f64 {
    let mut state = key.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut uniform = || {
        state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    (0..12).map(|_| uniform()).sum::<f64>() - 6.0
}

/// One request; its size, from 1 to 1,000, follows from the key.
fn ask(recorder: &mut Recorder, key: u64) {
    let size = 1 + key.wrapping_mul(0x9E37_79B9_7F4A_7C15) % 1_000;
    recorder.push(&key.to_le_bytes(), size);
}

/// Keys of which the n-th is asked for with a probability like 1 / n^exponent.
pub(crate) struct Zipf {
    /// For each key the sum of its and all earlier weights.
    sums: Vec<f64>,
    state: u64,
}

impl Zipf {
    pub(crate) fn new(keys: u64, exponent: f64) -> Self {
        let weights = (1..=keys).map(|n| (n as f64).powf(-exponent));
        let sums = weights.scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        });
        Self {
            sums: sums.collect(),
            state: 1,
        }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self
            .state
            .wrapping_mul(0x5851_F42D_4C95_7F2D)
            .wrapping_add(1);
        let uniform = (self.state >> 11) as f64 / (1_u64 << 53) as f64;
        let all = self.sums.last().copied().unwrap_or(0.0);
        self.sums.partition_point(|&sum| sum < uniform * all) as u64
    }
}
