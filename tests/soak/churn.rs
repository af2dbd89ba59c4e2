//! Memory over time, by a counting allocator: nothing grows under churn, the
//! bytes charged cover the bytes used, and memory comes back.
//!
//! Each pattern of churn runs for 50 turnovers of a full cache; what is live
//! after 10 and after 50 must agree within a few percent, and stay under a
//! stated number of bytes an entry: so tables don't double, and no ring, ghost
//! or queue grows. Caches of a capacity in bytes are held to that capacity, plus
//! 256 KiB, at every sample. Births are measured too.
//!
//! - `BRIMFUL_SOAK=1`: all capacities up to 300,000, all policies, all patterns
//!   (minutes); the default takes seconds.
//! - `BRIMFUL_SEED`: replays a run.
//!
//! Covers faults 22, 32, 38, 41, 42, 44 and 45 of `tests/FAULTS.md`.

use crate::world::Bounded;
use crate::world::{Random, short_name};
use crate::{FIXED, KIB, all_freed, alone, in_full, live};
use brimful::policy::{Duel, Lru, Policy, Touch};
use brimful::{Bytes, Cache, Entries, HeapSize, Weighed, Weight};
use std::hash::Hash;

// ---- churn of entries ---------------------------------------------------------

/// What a pattern of churn works on: a cache of `u64` to `u64` and a clock.
struct Churned<'a, P: Policy> {
    cache: &'a Cache<u64, u64, P>,
    capacity: u64,
    now: u64,
    random: Random,
}

impl<P: Policy> Churned<'_, P> {
    fn insert(&mut self, key: u64) {
        self.cache.insert(key, self.now);
    }

    /// A key of the last `capacity` inserts: probably resident.
    fn recent(&mut self) -> u64 {
        self.now.saturating_sub(self.random.below(self.capacity))
    }
}

/// Never the same key twice.
fn unique<P: Policy>(churned: &mut Churned<'_, P>) {
    churned.insert(churned.now);
}

/// Keys come, go by `remove`, and come again.
fn removed<P: Policy>(churned: &mut Churned<'_, P>) {
    let key = churned.recent();
    if churned.cache.remove(&key).is_some() {
        churned.insert(key);
    }
    churned.insert(churned.now);
}

/// Newcomers leave at once behind older entries that stay: only holes.
fn holes<P: Policy>(churned: &mut Churned<'_, P>) {
    churned.insert(churned.now);
    if churned.now % churned.capacity > churned.capacity / 2 {
        churned.cache.remove(&churned.now);
    }
}

/// Hits move entries of an LRU log, or leave marks, or promote.
fn hits<P: Policy>(churned: &mut Churned<'_, P>) {
    for _ in 0..3 {
        let key = churned.recent();
        churned.cache.get(&key);
    }
    if churned.now % 2 == 0 {
        churned.insert(churned.now);
    } else {
        let key = churned.recent();
        churned.insert(key);
    }
}

/// Nine in ten leave at once, every other turnover: queues of the policy swing.
fn swings<P: Policy>(churned: &mut Churned<'_, P>) {
    churned.insert(churned.now);
    match churned.now % (churned.capacity + churned.capacity / 3) {
        0 => churned.cache.retain(|key, _| key % 10 == 0),
        turn if turn % 5 == 0 => drop(churned.cache.get(&churned.recent())),
        _ => {}
    }
}

/// Runs a pattern to the turnover `until`; the most that was live at samples.
fn turn<P: Policy>(
    churned: &mut Churned<'_, P>,
    until: u64,
    step: fn(&mut Churned<'_, P>),
    birth: i64,
) -> i64 {
    let mut most = 0;
    let between = (churned.capacity / 8).max(16);
    while churned.now < until * churned.capacity {
        step(churned);
        churned.now += 1;
        if churned.now % between == 0 {
            most = most.max(live() - birth);
        }
    }
    most
}

/// The most an entry may take at all: a table just doubled, rings with slack,
/// ghosts. As `Bytes` charges it, without the weight.
const MOST: i64 = (size_of::<(u64, u64)>() as i64 + 8 + 1) * 21 / 8 + 12;

/// A pattern of churn; `slack` is by how many bytes an entry it may still grow
/// after 10 turnovers, while rings come to their bound; `most` is how many bytes
/// an entry may take at all where tables are well filled.
struct Pattern<P: Policy> {
    name: &'static str,
    step: fn(&mut Churned<'_, P>),
    slack: i64,
    most: i64,
}

/// By how much more than a mark a policy's meta makes an entry of words larger.
fn wider<P: Policy>() -> i64 {
    (size_of::<P::Meta>().saturating_sub(4)).next_multiple_of(8) as i64
}

fn does_not_grow<P: Policy>(capacity: u64, pattern: &Pattern<P>) {
    let birth = live();
    let cache = Cache::builder(Entries(capacity as usize))
        .policy::<P>()
        .shards(capacity.div_ceil(3_000) as usize)
        .build()
        .expect("a plain configuration");
    let mut churned = Churned {
        cache: &cache,
        capacity,
        now: 0,
        random: Random::new(0),
    };
    let at_10 = turn(&mut churned, 10, pattern.step, birth);
    let at_50 = turn(&mut churned, 50, pattern.step, birth);
    cache.check();
    let well_filled = capacity / cache.shards() as u64 >= 2_850;
    let most = if well_filled {
        pattern.most + wider::<P>() * 3 / 2
    } else {
        MOST + wider::<P>() * 21 / 8
    };
    // The shadows of a shard are as large in a small one as in a large one.
    let shadows = if P::TOUCH == Touch::Watch { 8 } else { 0 };
    let bound = most * capacity as i64 + (2 + shadows) * KIB * cache.shards() as i64;
    drop(cache);
    all_freed(birth);

    let name = format!("{} {}", short_name::<P>(), pattern.name);
    let each = at_50 as f64 / capacity as f64;
    println!("{capacity:>7} {name:<15} {at_10:>9} {at_50:>9} {each:>6.1} B an entry");
    let slack = pattern.slack * capacity as i64 + at_10 / 50 + KIB;
    assert!(at_50 <= at_10 + slack, "{name} grows: {at_10}, {at_50}");
    assert!(at_50 <= bound, "{name}: {at_50} bytes of {bound}");
}

fn churn_all<P: Policy>(capacity: u64) {
    let pattern = |name, step, slack, most| Pattern {
        name,
        step,
        slack,
        most,
    };
    for pattern in [
        pattern("unique", unique, 0, 48),
        pattern("removed", removed, 5, 53),
        pattern("holes", holes, 5, 53),
        pattern("hits", hits, 5, 53),
        // Shards fill anew, and by chance more than before: a table may double.
        pattern("swings", swings, 40, MOST),
    ] {
        does_not_grow::<P>(capacity, &pattern);
    }
}

#[test]
fn fifty_turnovers_leave_memory_as_it_was() {
    let _alone = alone();
    every_policy!(churn_all, 100);
    if in_full() {
        every_policy!(churn_all, 2_990);
        every_policy!(churn_all, 6_900);
        churn_all::<Duel>(20_000);
        every_policy!(churn_all, 100_000);
        every_policy!(churn_all, 300_000);
    } else {
        churn_all::<Duel>(2_990);
    }
}

/// Entries of weight 1 and of weight 100 by turns: ten times as many, then few.
#[test]
fn weights_that_swing_leave_memory_bounded() {
    let _alone = alone();
    let turns = if in_full() { 40 } else { 8 };
    let birth = live();
    let cache = Cache::builder(Weight(20_000, |_: &u64, v: &u64| *v));
    let cache = cache.shards(4).build().expect("a plain configuration");
    let mut sizes = Vec::with_capacity(turns);
    for turn in 0..turns as u64 {
        let weight = if turn % 2 == 0 { 1 } else { 100 };
        let keys = turn * 100_000..turn * 100_000 + 40_000 / weight;
        cache.extend(keys.map(|key| (key, weight)));
        sizes.push(live() - birth);
    }
    println!("weights 1 and 100 by turns: {sizes:?} bytes");
    let (first, last) = (sizes[2], sizes[turns - 2]);
    assert!(last <= first + first / 4, "grows: {sizes:?}");
    assert!(last <= 20_000 * 100, "{sizes:?}");
}

// ---- bytes charged and bytes used -----------------------------------------------

/// Fills a cache of bytes and turns it over; the bytes live for each byte charged.
///
/// At every sample the cache takes no more than its capacity and 256 KiB.
pub(crate) fn covers<K, V, P>(name: &str, capacity: u64, entry: impl Fn(u64, &mut Random) -> (K, V))
where
    K: HeapSize + Hash + Eq + Clone,
    V: HeapSize,
    P: Policy,
{
    let turnovers = if in_full() { 20 } else { 4 };
    let birth = live();
    let builder = Cache::builder(Bytes(capacity)).policy::<P>();
    let cache: Cache<K, V, Weighed<P>> = builder.build().expect("a plain configuration");
    let (mut random, mut most, mut charged, mut n) = (Random::new(0), 0, 0, 0);
    while charged < turnovers * capacity {
        for _ in 0..64 {
            let (key, value) = entry(n, &mut random);
            n += 1;
            let again = (n % 3 == 0).then(|| key.clone());
            cache.insert(key, value);
            if let Some(key) = again {
                cache.remove(&key);
            }
        }
        charged = cache.stats().weight_in();
        most = most.max(live() - birth);
    }
    let (weight, len) = (cache.weight(), cache.len() as u64);
    let ratio = (live() - birth) as f64 / weight as f64;
    cache.check();
    drop(cache);
    all_freed(birth);
    let policy = short_name::<P>();
    println!("{name:<26} {policy:<7} {len:>7} entries, {ratio:.2} bytes live for each charged");
    assert!(
        most <= capacity as i64 + FIXED,
        "{name} {policy}: {most} of {capacity}"
    );
}

fn text(n: u64, length: u64) -> String {
    let mut text = n.to_string();
    text.reserve_exact(length as usize);
    text
}

fn bytes_of<P: Policy>(capacity: u64) {
    covers::<_, _, P>("u64 -> u64", capacity, |n, _| (n, n));
    covers::<_, _, P>("text -> 0 to 2,000 B", capacity, |n, random| {
        (text(n, 0), vec![0_u8; random.below(2_000) as usize])
    });
    covers::<_, _, P>("text -> 8 to 40 B", capacity, |n, random| {
        (text(n, 0), vec![0_u8; 8 + random.below(32) as usize])
    });
    covers::<_, _, P>("long text -> [u64; 20]", capacity, |n, random| {
        let length = random.below(200);
        (text(n, length), [n; 20])
    });
    covers::<_, _, P>("1 B to 60 KiB, heavy tail", capacity, |n, random| {
        (n, vec![1_u8; 1 << random.below(17)])
    });
}

#[test]
fn the_bytes_charged_cover_the_bytes_used() {
    let _alone = alone();
    every_policy!(bytes_of, 1 << 18);
    if in_full() {
        bytes_of::<Duel>(1 << 20);
        every_policy!(bytes_of, 1 << 22);
        every_policy!(bytes_of, 1 << 26);
    }
}

/// Tiny entries make large tables; large ones then fill what they have left.
fn tiny_then_large<P: Policy>() {
    covers::<_, _, P>("tiny, then large, by turns", 1 << 22, |n, random| {
        let large = n / 40_000 % 2 == 1;
        let length = if large { 3_000 } else { 0 };
        (n, vec![1_u8; random.below(length + 1) as usize])
    });
}

#[test]
fn tables_of_many_tiny_entries_are_paid_for_when_few_large_ones_follow() {
    let _alone = alone();
    if in_full() {
        every_policy!(tiny_then_large);
    } else {
        tiny_then_large::<Duel>();
    }
}

/// A table just doubled and rings full of holes, in one large shard: the most
/// that an entry can take.
fn stretched<P: Policy>() {
    let birth = live();
    // 7/8 of what the buckets hold.
    let buckets = if in_full() { 1 << 18 } else { 1 << 13 };
    let entries = buckets / 8 * 7 / 8 * 7 + 64;
    let capacity = Bytes::overhead::<u64, u64, P>() * entries;
    let builder = Cache::builder(Bytes(capacity)).policy::<P>().shards(1);
    let cache: Cache<u64, u64, Weighed<P>> = builder.build().expect("a plain configuration");
    let mut keys = 0..;
    let mut insert = |count: u64, gone: bool| {
        for key in keys.by_ref().take(count as usize) {
            cache.insert(key, key);
            if gone {
                cache.remove(&key);
            }
        }
    };
    insert(2 * entries, false);
    cache.retain(|_, _| false);
    insert(entries, false);
    insert(2 * entries, true);
    insert(entries, false);
    let most = live() - birth;
    let ratio = most as f64 / cache.weight() as f64;
    drop(cache);
    all_freed(birth);
    println!(
        "stretched, {}: {ratio:.2} bytes live for each charged",
        short_name::<P>()
    );
    assert!(most <= capacity as i64 + FIXED, "{most} of {capacity}");
}

#[test]
fn doubled_tables_and_stretched_rings_are_paid_for() {
    let _alone = alone();
    every_policy!(stretched);
}

// ---- birth, and what comes back -----------------------------------------------------

#[test]
fn the_largest_capacities_take_little_at_birth() {
    let _alone = alone();
    type Text = Cache<String, Vec<u8>, Weighed>;
    let births = [
        born(|| Cache::<u64, u64>::new(usize::MAX)),
        born(|| Cache::weighted(u64::MAX, |_: &u64, v: &u64| *v)),
        born(|| -> Text { Cache::bytes(u64::MAX) }),
        born(|| -> Cache<u64, u64, Lru> {
            let builder = Cache::builder(Entries(usize::MAX)).policy::<Lru>();
            builder.build().expect("a plain configuration")
        }),
        born(|| brimful::unsync::Cache::<u64, u64>::new(usize::MAX)),
    ];
    println!("bytes at birth, capacities of the largest number: {births:?}");
    assert!(births.iter().all(|&bytes| bytes < FIXED), "{births:?}");
    let small = born(|| Cache::<u64, u64>::new(100));
    // Most of it are the lanes of its readers.
    assert!(small < 4 * KIB, "{small} bytes for a cache of 100 entries");
}

/// What a cache takes before its first entry.
fn born<C>(make: impl FnOnce() -> C) -> i64 {
    let before = live();
    let cache = make();
    let bytes = live() - before;
    drop(cache);
    all_freed(before);
    bytes
}

fn gives_back<P: Policy>(name: &str, empty: fn(&Cache<u64, u64, P>)) {
    let entries = if in_full() { 50_000 } else { 8_000 };
    let cache = Cache::builder(Entries(entries as usize)).policy::<P>();
    let cache = cache.shards(16).build().expect("a plain configuration");
    let birth = live();
    cache.extend((0..2 * entries).map(|key| (key, key)));
    let full = live() - birth;
    empty(&cache);
    cache.shrink_to_fit();
    let left = live() - birth;
    println!(
        "{:<7} {name:<13} {full:>9} bytes, then {left}",
        short_name::<P>()
    );
    assert!(cache.is_empty());
    assert!(left <= KIB * cache.shards() as i64, "{left} of {full}");
    cache.check();
}

fn all_ways_give_back<P: Policy>() {
    gives_back::<P>("clear", |cache| cache.clear());
    gives_back::<P>("drain", |cache| drop(cache.drain()));
    gives_back::<P>("set_capacity", |cache| cache.bound_to(0));
    gives_back::<P>("retain", |cache| cache.retain(|_, _| false));
    gives_back::<P>("remove", |cache| {
        for key in cache.keys() {
            cache.remove(&key);
        }
    });
}

#[test]
fn an_emptied_cache_gives_its_memory_back() {
    let _alone = alone();
    every_policy!(all_ways_give_back);
}
