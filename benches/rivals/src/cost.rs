//! One operation of one cache, over and over, and nothing else: for callgrind.
//! The same loops and the same cheap keys as in the crate's own `benches/cost.rs`.

use clap::ValueEnum;
use field::name::Name;
use field::rival::{Bound, Heft, Rival, Task};
use std::fmt;
use std::hint::black_box;

use crate::by_hand::Hand;

const CAPACITY: u64 = 100_000;

/// Above all keys that are ever resident.
const UNSEEN: u64 = 1 << 63;

/// What can be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Operation {
    /// Look up a key that is there
    Hit,
    /// Look up a key that is not
    Miss,
    /// Insert a new key into a full cache
    Insert,
    /// The same with weights from 1 to 7 under a bound of weight
    Weighted,
    /// Look up, insert if not there; skewed, over ten times the capacity
    GetOrInsert,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value().expect("no operation is hidden");
        f.pad(value.get_name())
    }
}

/// Does it `count` times; false if this cache cannot.
pub(crate) fn run(operation: Operation, name: Name, count: u64) -> bool {
    if operation == Operation::Weighted {
        let bound = Bound {
            weight: 4 * CAPACITY,
            entries: CAPACITY as usize,
        };
        return name.open_weighted(bound, Weighted(count)).is_some();
    }
    let task = Plain { operation, count };
    name.open::<u64, u64, _>(CAPACITY as usize, task);
    true
}

/// A cheap walk over all of `0..2^64` (an odd step), so that neighbours in time
/// are no neighbours in the table.
struct Keys(u64);

impl Keys {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.0
    }

    fn resident(&mut self) -> u64 {
        ((u128::from(self.next()) * u128::from(CAPACITY)) >> 64) as u64
    }

    /// The eighth power of an even spread: some three of four below a tenth.
    fn skewed(&mut self) -> u64 {
        let times = |a: u64, b: u64| ((u128::from(a) * u128::from(b)) >> 64) as u64;
        let first = self.next();
        let second = times(first, first);
        let fourth = times(second, second);
        times(times(fourth, fourth), 10 * CAPACITY)
    }
}

struct Plain {
    operation: Operation,
    count: u64,
}

impl Task<u64, u64> for Plain {
    type Outcome = ();

    fn with(self, cache: impl Rival<u64, u64>) {
        let mut hand = Hand::new(CAPACITY);
        let (cache, hand, count) = (&cache, &mut hand, self.count);
        match self.operation {
            Operation::Hit => hit(cache, hand, count),
            Operation::Miss => miss(cache, hand, count),
            Operation::GetOrInsert => get_or_insert(cache, hand, count),
            Operation::Insert | Operation::Weighted => insert(cache, hand, count),
        }
    }
}

fn fill<C: Rival<u64, u64>>(cache: &C, hand: &mut Hand<u64>, entries: u64) {
    (0..entries).for_each(|key| hand.put(cache, &key));
    cache.settle();
}

fn hit<C: Rival<u64, u64>>(cache: &C, hand: &mut Hand<u64>, count: u64) {
    fill(cache, hand, CAPACITY);
    let mut keys = Keys(1);
    let mut found = 0;
    for _ in 0..count {
        found += u64::from(cache.get(&black_box(keys.resident())).is_some());
    }
    black_box(found);
}

fn miss<C: Rival<u64, u64>>(cache: &C, hand: &mut Hand<u64>, count: u64) {
    fill(cache, hand, CAPACITY);
    let mut keys = Keys(1);
    for _ in 0..count {
        assert_eq!(cache.get(&black_box(keys.next() | UNSEEN)), None);
    }
}

fn insert<C: Rival<u64, u64>>(cache: &C, hand: &mut Hand<u64>, count: u64) {
    fill(cache, hand, 3 * CAPACITY);
    let mut keys = Keys(1);
    for _ in 0..count {
        hand.put(cache, &black_box(keys.next() | UNSEEN));
    }
}

fn get_or_insert<C: Rival<u64, u64>>(cache: &C, hand: &mut Hand<u64>, count: u64) {
    fill(cache, hand, CAPACITY);
    let mut keys = Keys(1);
    for _ in 0..count {
        let key = black_box(keys.skewed());
        if cache.get(&key).is_none() {
            hand.put(cache, &key);
        }
    }
}

struct Weighted(u64);

impl Task<u64, Heft> for Weighted {
    type Outcome = ();

    fn with(self, cache: impl Rival<u64, Heft>) {
        let mut hand = Hand::new(4 * CAPACITY);
        let heft = |number: u64| number & 7 | 1;
        // The low bits of a key are its weight.
        let key = |number: u64| number << 10 | heft(number);
        (0..3 * CAPACITY).for_each(|number| hand.put(&cache, &key(number)));
        cache.settle();
        let mut keys = Keys(1);
        for _ in 0..self.0 {
            let number = keys.next() >> 8;
            hand.put(&cache, &black_box(number << 10 & !0x3FF | heft(number)));
        }
    }
}
