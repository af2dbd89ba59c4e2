//! Instructions per operation under one hasher or another, counted by callgrind.
//!
//! ```text
//! .ci/run hashers
//! ```
//!
//! runs this program as `.ci/run cost` runs that one, for each hasher, operation and kind of key. By hand:
//! `cargo bench --bench hashers -- OPERATION HASHER KEYS COUNT`. Each operation includes the making of
//! the key: a few instructions: they are there already.
//!
//! `chosen` keys are pairs that an attacker has made up who knows that the hasher has no seed: all of them
//! have one hash under `rustc-hash`.

use brimful::{Cache, Entries, RandomState};
use std::hash::{BuildHasher, Hash};
use std::hint::black_box;

const CAPACITY: u64 = 50_000;

/// So few, since each look-up may compare them all.
const CHOSEN: u64 = 2_000;

/// The most inserts that it can be asked for.
const MOST: u64 = 50_000;

const HASHERS: [&str; 5] = [
    "ahash",
    "foldhash",
    "foldhash-quality",
    "rustc-hash",
    "siphash",
];
const KEYS: [&str; 3] = ["number", "text", "chosen"];

/// What `rustc-hash` multiplies by.
const FACTOR: u64 = 0xF135_7AEA_2E62_A9C5;

/// The n-th of many numbers that have nothing in common.
fn number(n: u64) -> u64 {
    n.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// As long as a path or an id.
fn text(n: u64) -> Box<str> {
    format!("/users/{:016x}", number(n)).into()
}

/// The hash of a pair is `(first * FACTOR + second) * FACTOR`, and that of these is 0.
fn chosen(n: u64) -> (u64, u64) {
    (n, 0_u64.wrapping_sub(n.wrapping_mul(FACTOR)))
}

/// Runs an operation on keys that are there, or on new ones in a full cache.
fn run<K, S>(operation: &str, hasher: S, capacity: u64, key: fn(u64) -> K, count: u64)
where
    K: Hash + Eq + Clone,
    S: BuildHasher,
{
    let builder = Cache::builder(Entries(capacity as usize)).hasher(hasher);
    let cache: Cache<K, u64, _, S> = builder.build().expect("a plain configuration");
    let resident: Vec<K> = (0..capacity).map(key).collect();
    cache.extend(resident.iter().cloned().zip(0..));
    let mut at = 0;
    match operation {
        "hit" => {
            let hits = (0..count).filter(|_| {
                at = (at + 7_919) % resident.len();
                cache.get(black_box(&resident[at])).is_some()
            });
            let hits = hits.count() as u64;
            assert!(hits > count / 10 * 9, "{hits} hits of {count}");
        }
        "insert" => {
            // As many whatever the count, so that their making is no part of the difference.
            let new: Vec<K> = (capacity..capacity + MOST).map(key).collect();
            for key in new.into_iter().take(count as usize) {
                cache.insert(black_box(key), 1);
            }
            assert_eq!(cache.len() as u64, capacity);
        }
        other => panic!("{other}: hit or insert"),
    }
}

fn with_keys<S: BuildHasher>(operation: &str, hasher: S, keys: &str, count: u64) {
    match keys {
        "number" => run(operation, hasher, CAPACITY, number, count),
        "text" => run(operation, hasher, CAPACITY, text, count),
        "chosen" => run(operation, hasher, CHOSEN, chosen, count),
        other => panic!("{other}: one of {}", KEYS.join(", ")),
    }
}

fn with_hasher(operation: &str, hasher: &str, keys: &str, count: u64) {
    match hasher {
        "ahash" => with_keys(operation, RandomState::default(), keys, count),
        "foldhash" => with_keys(
            operation,
            foldhash::fast::RandomState::default(),
            keys,
            count,
        ),
        "foldhash-quality" => {
            with_keys(
                operation,
                foldhash::quality::RandomState::default(),
                keys,
                count,
            );
        }
        "rustc-hash" => with_keys(operation, rustc_hash::FxBuildHasher, keys, count),
        "siphash" => with_keys(operation, std::hash::RandomState::new(), keys, count),
        other => panic!("{other}: one of {}", HASHERS.join(", ")),
    }
}

fn main() {
    let hash = |n| rustc_hash::FxBuildHasher.hash_one(chosen(n));
    assert!(
        (1..100).all(|n| hash(n) == hash(0)),
        "the chosen keys collide"
    );
    // Without arguments (`cargo bench`) each runs once, to show that it works.
    let given: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| arg != "--bench")
        .collect();
    let [operation, hasher, keys, count] = &given[..] else {
        for hasher in HASHERS {
            for keys in KEYS {
                with_hasher("hit", hasher, keys, 5_000);
                with_hasher("insert", hasher, keys, 5_000);
            }
        }
        println!("hashers: counts need callgrind; see the head of benches/hashers.rs");
        return;
    };
    let count = count.parse().expect("COUNT is a number");
    assert!(count <= MOST, "COUNT is {MOST} at most");
    with_hasher(operation, hasher, keys, count);
}
