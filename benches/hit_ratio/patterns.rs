//! Patterns that anyone can make, in units of the capacity C, on which one kind of policy is far
//! better than the other: how near does an adaptive one come to the better of LRU and S3-FIFO?
//!
//! Each is driven, get-else-insert, through `Cache` with as many shards as it chooses, but LRU in one.

use std::fmt::Write as _;

use brimful::policy::{Duel, Lru, Policy, S3Fifo};
use brimful::{BuildError, Cache, Entries};
use workers::side_by_side;

use crate::policies::Hashing;

/// Keys in the order in which they are asked for, and of which requests the hits are counted.
struct Pattern {
    name: &'static str,
    keys: fn(u64) -> Vec<u64>,
    /// Whether a request counts: which one of all, and the capacity.
    counts: fn(u64, u64) -> bool,
    /// One of the seven whose mean is told.
    is_of_seven: bool,
}

fn all(_: u64, _: u64) -> bool {
    true
}

/// Of phases of 10 C each the second, the fourth and so on.
fn even(at: u64, capacity: u64) -> bool {
    at / (10 * capacity) % 2 == 1
}

fn odd(at: u64, capacity: u64) -> bool {
    !even(at, capacity)
}

const PATTERNS: &[Pattern] = &[
    Pattern {
        name: "cold, 5 C, each key twice, 0.9 C apart: from 3 C on",
        keys: |capacity| twice(capacity, 5 * capacity),
        counts: |at, capacity| at >= 3 * capacity,
        is_of_seven: true,
    },
    Pattern {
        name: "the same, all of it",
        keys: |capacity| twice(capacity, 5 * capacity),
        counts: all,
        is_of_seven: true,
    },
    Pattern {
        name: "cold, 5 C, a window of 0.9 C that slides",
        keys: |capacity| window(capacity * 9 / 10, 2, 5 * capacity),
        counts: all,
        is_of_seven: true,
    },
    Pattern {
        name: "a window of 1.2 C that slides",
        keys: |capacity| window(capacity * 6 / 5, 4, 200 * capacity),
        counts: all,
        is_of_seven: true,
    },
    Pattern {
        name: "1.5 C keys, all replaced every 10 C",
        keys: replaced,
        counts: all,
        is_of_seven: true,
    },
    Pattern {
        name: "10 C of a loop, 10 C of twice: twice",
        keys: |capacity| phases(capacity, circle, twice_at),
        counts: even,
        is_of_seven: true,
    },
    Pattern {
        name: "the same: the loop",
        keys: |capacity| phases(capacity, circle, twice_at),
        counts: odd,
        is_of_seven: false,
    },
    Pattern {
        name: "10 C of Zipf, 10 C of a loop: Zipf",
        keys: zipf_and_loop,
        counts: odd,
        is_of_seven: true,
    },
    Pattern {
        name: "the same: the loop",
        keys: zipf_and_loop,
        counts: even,
        is_of_seven: false,
    },
    Pattern {
        name: "each key twice, 0.9 C apart",
        keys: |capacity| twice(capacity, 200 * capacity),
        counts: all,
        is_of_seven: false,
    },
    Pattern {
        name: "a loop of 1.1 C",
        keys: |capacity| {
            (0..100 * capacity)
                .map(|at| at % (capacity * 11 / 10))
                .collect()
        },
        counts: all,
        is_of_seven: false,
    },
    Pattern {
        name: "Zipf 0.9",
        keys: |capacity| {
            let mut popular = crate::synthetic::Zipf::new(20 * capacity, 0.9);
            (0..100 * capacity).map(|_| popular.next()).collect()
        },
        counts: all,
        is_of_seven: false,
    },
];

/// Each key comes again after 0.9 C requests, and never after that.
fn twice_at(capacity: u64, at: u64) -> u64 {
    let apart = capacity * 9 / 10;
    // Pairs of blocks of keys: first once, then again.
    let (block, within) = (at / apart, at % apart);
    block / 2 * apart + within
}

fn twice(capacity: u64, requests: u64) -> Vec<u64> {
    (0..requests).map(|at| twice_at(capacity, at)).collect()
}

/// Uniform over so many keys, of which the oldest gives way to a new one every so many requests.
fn window(keys: u64, every: u64, requests: u64) -> Vec<u64> {
    let mut random = Random(1);
    let requests = 0..requests;
    requests.map(|at| at / every + random.below(keys)).collect()
}

fn replaced(capacity: u64) -> Vec<u64> {
    let (keys, mut random) = (capacity * 3 / 2, Random(2));
    let requests = 0..200 * capacity;
    requests
        .map(|at| at / (10 * capacity) * keys + random.below(keys))
        .collect()
}

/// Round and round over so many keys, other ones in each phase of 10 C.
fn circle(capacity: u64, at: u64) -> u64 {
    let phase = at / (10 * capacity);
    (phase << 32) | (at % (capacity * 11 / 10))
}

/// Keys of two kinds that have none in common, by turns.
fn phases(capacity: u64, first: fn(u64, u64) -> u64, second: fn(u64, u64) -> u64) -> Vec<u64> {
    let key = |at| match even(at, capacity) {
        false => first(capacity, at),
        true => 1 << 40 | second(capacity, at),
    };
    (0..200 * capacity).map(key).collect()
}

fn zipf_and_loop(capacity: u64) -> Vec<u64> {
    let mut popular = crate::synthetic::Zipf::new(20 * capacity, 0.9);
    let key = |at| match even(at, capacity) {
        false => popular.next(),
        true => 1 << 40 | circle(capacity, at),
    };
    (0..200 * capacity).map(key).collect()
}

struct Random(u64);

impl Random {
    fn below(&mut self, top: u64) -> u64 {
        self.0 = self.0.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
        ((u128::from(self.0 >> 20) * u128::from(top)) >> 44) as u64
    }
}

/// What of the requests that count hits, in percent.
fn hits<P: Policy>(
    pattern: &Pattern,
    capacity: u64,
    shards: Option<usize>,
    hashing: Hashing,
) -> Result<f64, BuildError> {
    let builder = Cache::builder(Entries(capacity as usize))
        .policy::<P>()
        .hasher(hashing);
    let cache = match shards {
        Some(shards) => builder.shards(shards).build()?,
        None => builder.build()?,
    };
    let (mut hits, mut counted) = (0_u64, 0_u64);
    for (at, key) in (0..).zip((pattern.keys)(capacity)) {
        let hit = cache.get(&key).is_some();
        if !hit {
            cache.insert(key, key);
        }
        if (pattern.counts)(at, capacity) {
            counted += 1;
            hits += u64::from(hit);
        }
    }
    Ok(100.0 * hits as f64 / counted.max(1) as f64)
}

/// Drives one policy over a pattern.
type Drive = fn(&Pattern, u64, Hashing) -> Result<f64, BuildError>;

const DRIVES: [(&str, Drive); 3] = [
    ("lru", |pattern, capacity, hashing| {
        hits::<Lru>(pattern, capacity, Some(1), hashing)
    }),
    ("s3-fifo", |pattern, capacity, hashing| {
        hits::<S3Fifo>(pattern, capacity, None, hashing)
    }),
    ("duel", |pattern, capacity, hashing| {
        hits::<Duel>(pattern, capacity, None, hashing)
    }),
];

/// A table of all patterns for each capacity, with the mean share of the seven.
pub(crate) fn table(capacities: &[u64], hashing: Hashing) -> Result<String, BuildError> {
    let cells = |&capacity: &u64| PATTERNS.iter().map(move |pattern| (capacity, pattern));
    let cells: Vec<(u64, &Pattern)> = capacities.iter().flat_map(cells).collect();
    let rides: Vec<_> = cells
        .iter()
        .flat_map(|&cell| DRIVES.map(|(_, drive)| (cell, drive)))
        .collect();
    let scores = side_by_side(&rides, |&((capacity, pattern), drive)| {
        drive(pattern, capacity, hashing)
    });
    let scores: Vec<f64> = scores.into_iter().collect::<Result<_, _>>()?;
    let mut text = String::from("Patterns, hit ratio in percent\n");
    let [lru, s3, duel] = DRIVES.map(|(name, _)| name);
    _ = writeln!(
        text,
        "{:>8} {:<52} {lru:>8} {s3:>8} {duel:>8} share",
        "C", "pattern"
    );
    let mut shares = Vec::new();
    for ((capacity, pattern), scores) in cells.iter().zip(scores.chunks_exact(DRIVES.len())) {
        let [lru, s3, duel] = [scores[0], scores[1], scores[2]];
        let share = duel / lru.max(s3);
        if pattern.is_of_seven {
            shares.push(share);
        }
        let mark = if pattern.is_of_seven {
            ""
        } else {
            "  (not of the seven)"
        };
        _ = writeln!(
            text,
            "{capacity:>8} {:<52} {lru:>8.1} {s3:>8.1} {duel:>8.1}  {share:.3}{mark}",
            pattern.name
        );
    }
    let mean = shares.iter().sum::<f64>() / shares.len() as f64;
    _ = writeln!(text, "Mean share of the seven: {mean:.3}");
    Ok(text)
}
