//! Lives: nothing piles up in a wheel, whatever becomes of the entries.
//!
//! The mixed soak runs unique keys through each form that has lives, by a
//! hand-driven clock: time to live, lives from a nanosecond to centuries, a rule's,
//! idle ones, none at all; with hits, changes, removals, ends moved to earlier and to
//! later, weights, and a clock that now and then jumps past nearly all ends or goes
//! back. Of each form it is asserted that
//!
//! 1. what is live is at every sample below `formula`;
//! 2. a line through the means of 20 blocks after the warm-up does not rise, and in
//!    full neither does one through resident memory: by no more than its noise, three
//!    standard errors, and one part in 100 (in the short form, where a few tables are
//!    all there is, in 8) for a table or a ring that comes to its bound late.
//!
//! That both can fail is tested too, with 4 bytes lost at each insert.
//!
//! - `BRIMFUL_SOAK=1`: 100 million keys, and caches of 1.5 million entries (minutes);
//!   by default 900,000 keys.
//! - `BRIMFUL_SEED`: replays a run.
//!
//! Covers faults 38, 40, 41, 42 and 45 of `tests/FAULTS.md` where time is concerned.

use crate::world::Random;
use crate::{FIXED, KIB, alone, in_full, live};
use brimful::policy::{Duel, Lru, S3Fifo};
use brimful::{
    Aged, Bytes, Cache, Cause, Clock, Entries, Expiring, ManualClock, Timed, Weighed, Weight,
};
use std::time::Duration;

/// What `wheel` takes in a shard beside the items: a chunk that is not full in
/// each of 512 buckets, of 32 bytes and an eighth, and the heads of 8 levels.
const BUCKETS: i64 = 512 * 36 + 8 * 256;

/// What a shard may take beside its entries.
const SHARD: i64 = BUCKETS + 2 * KIB;

/// Bytes of an entry `u64` to `u64` with a weight, in a table as full as they are
/// by their choice of shards, with its places in rings, history and wheel.
fn an_entry<P: Expiring>() -> i64 {
    let entry = (size_of::<(u64, u64)>() + size_of::<P::Meta>() + size_of::<P::Extra>() + 4)
        .next_multiple_of(8);
    (entry as i64 + 1) * 10 / 7 + 20 + 8
}

/// The most that may be live in a cache of so many entries.
fn formula<P: Expiring>(entries: u64, shards: usize) -> i64 {
    entries as i64 * an_entry::<P>() + shards as i64 * SHARD
}

fn years(years: u64) -> Duration {
    Duration::from_secs(years * 31_557_600)
}

fn nanos(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}

// ---- lives of every kind --------------------------------------------------------------

type Lived<P> = Cache<u64, u64, P>;

/// Entries that fill the table of a shard well.
const A_SHARDS: u64 = 2_990;

/// How far the clock moves with an insert, on average.
const A_STEP: u64 = 100_000;

const BLOCKS: u64 = 30;
const WARM_UP: usize = 10;

/// What of a value is its weight; it is never too heavy.
fn weight_of(value: u64) -> u64 {
    1 + value % 8
}

/// The rule reads the life off the value: none of its own, or from 33 ms to 9 s.
fn rule(_: &u64, value: &u64, _: Option<Duration>) -> Option<Duration> {
    (value >> 60 < 6).then(|| nanos(1 << (25 + value % 9)))
}

/// The soak of one form.
struct Soak<'a, P: Expiring> {
    cache: &'a Lived<P>,
    clock: ManualClock,
    entries: u64,
    now: u64,
    random: Random,
    /// What each insert leaks on purpose.
    leak: Option<Vec<u32>>,
}

/// What memory did in the course of a soak.
struct Course {
    /// The most that was live at a sample, and the most that may be.
    most: i64,
    formula: i64,
    /// The mean of each block after the warm-up.
    live: Vec<f64>,
    resident: Vec<f64>,
    inserts: u64,
}

impl<P: Expiring> Soak<'_, P> {
    /// A key of the last inserts: probably resident.
    fn recent(&mut self) -> u64 {
        self.now.saturating_sub(self.random.below(self.entries))
    }

    fn step(&mut self) {
        self.clock.advance(nanos(self.random.below(2 * A_STEP)));
        self.insert();
        self.use_one();
        if self.now % 64 == 0 {
            self.cache.sweep(16);
        }
        if let Some(leak) = &mut self.leak {
            leak.push(self.now as u32);
        }
        self.now += 1;
    }

    fn insert(&mut self) {
        let (key, value) = (self.now, self.random.next());
        match self.random.below(5) {
            0 => {
                let life = self.random.next() >> self.random.below(64);
                self.cache.insert_with_ttl(key, value, nanos(life));
            }
            1 => drop(self.cache.insert_with_ttl(key, value, Duration::MAX)),
            _ => drop(self.cache.insert(key, value)),
        }
    }

    fn use_one(&mut self) {
        let key = self.recent();
        let value = self.random.next();
        let cache = self.cache;
        let left = cache.ttl(&key).unwrap_or_default();
        match self.random.below(16) {
            0..=5 => drop(cache.get(&key)),
            6 => drop(cache.remove(&key)),
            7 => drop(cache.set_ttl(&key, left / 4)),
            8 => drop(cache.set_ttl(&key, left.saturating_mul(4))),
            9 => drop(cache.update(&key, |old| *old = value)),
            10 => drop(cache.insert(key, value)),
            11 => drop(cache.insert_with_ttl(key, value, left / 2)),
            12 => drop(cache.remove_if(&key, |_, value| value % 2 == 0)),
            _ => {}
        }
    }

    /// Four times a block the clock jumps over nearly all ends, and in between goes back.
    fn jump(&self, step: u64, steps: u64) {
        let period = steps / 4;
        if step % period == 0 {
            self.clock.advance(Duration::from_secs(3_600));
        } else if step % period == period / 2 {
            let back = self.clock.now().saturating_sub(Duration::from_millis(50));
            self.clock.set(back);
        }
    }

    /// Runs a block; the means of what was live and of what was resident.
    fn block(&mut self, steps: u64, birth: i64, most: &mut i64) -> (f64, f64) {
        let between = (self.entries / 8).min(steps / 16);
        let (mut sum, mut resident, mut samples) = (0.0, 0.0, 0.0);
        for step in 0..steps {
            self.jump(step, steps);
            self.step();
            if step % between == 0 {
                let bytes = live() - birth;
                *most = bytes.max(*most);
                sum += bytes as f64;
                resident += resident_bytes();
                samples += 1.0;
                assert!(self.cache.len() as u64 <= self.entries);
            }
        }
        self.cache.check();
        (sum / samples, resident / samples)
    }
}

/// The memory of the process that is not paged out; asked for only in full.
fn resident_bytes() -> f64 {
    if !in_full() {
        return 0.0;
    }
    memory_stats::memory_stats().map_or(0.0, |stats| stats.physical_mem as f64)
}

fn soak<P: Expiring>(
    inserts: u64,
    entries: u64,
    leaks: bool,
    open: impl FnOnce(ManualClock, u64) -> Lived<P>,
) -> Course {
    let (mut means, mut resident) = (Vec::with_capacity(99), Vec::with_capacity(99));
    let birth = live();
    let clock = ManualClock::new();
    let cache = open(clock.clone(), entries);
    let mut soak = Soak {
        cache: &cache,
        clock,
        entries,
        now: 0,
        random: Random::new(0),
        leak: leaks.then(Vec::new),
    };
    let mut most = 0;
    for _ in 0..BLOCKS {
        let (live, held) = soak.block(inserts / BLOCKS, birth, &mut most);
        means.push(live);
        resident.push(held);
    }
    drop(soak);
    every_kind_of_end_came_up(&cache);
    Course {
        most,
        formula: formula::<P>(entries, cache.shards()),
        live: means.split_off(WARM_UP),
        resident: resident.split_off(WARM_UP),
        inserts,
    }
}

/// Else the soak would prove less than it says.
fn every_kind_of_end_came_up<P: Expiring>(cache: &Lived<P>) {
    let stats = cache.stats();
    for cause in [
        Cause::Expired,
        Cause::Evicted,
        Cause::Removed,
        Cause::Replaced,
    ] {
        let of = stats.departures(cause);
        assert!(of > stats.inserts() / 100, "{of} {cause}: {stats}");
    }
    assert!(stats.hits() > stats.inserts() / 20, "{stats}");
}

/// By how much a fitted line rises from its first block to its last, and the
/// standard error of that.
fn rise(means: &[f64]) -> (f64, f64) {
    let n = means.len() as f64;
    let (middle, mean) = ((n - 1.0) / 2.0, means.iter().sum::<f64>() / n);
    let from_middle = |x: usize| x as f64 - middle;
    let spread: f64 = (0..means.len()).map(|x| from_middle(x).powi(2)).sum();
    let with = |(x, y): (usize, &f64)| from_middle(x) * (y - mean);
    let slope = means.iter().enumerate().map(with).sum::<f64>() / spread;
    let off = |(x, y): (usize, &f64)| (y - mean - slope * from_middle(x)).powi(2);
    let variance = means.iter().enumerate().map(off).sum::<f64>() / (n - 2.0);
    (slope * (n - 1.0), (variance / spread).sqrt() * (n - 1.0))
}

/// What the allocator takes from the system at a time, twice: a step of the resident
/// memory by that much is no slope.
const A_PIECE: f64 = 2.0 * 132.0 * 1_024.0;

impl Course {
    /// What of the two does not hold, in words.
    fn faults(&self, name: &str) -> Vec<String> {
        let mut faults = Vec::new();
        let (most, formula) = (self.most, self.formula);
        println!("{name}: {most} bytes at most, of {formula}");
        if most > formula {
            faults.push(format!("{name}: {most} bytes live of {formula}"));
        }
        let series = [
            ("live", &self.live, 0.0),
            ("resident", &self.resident, A_PIECE),
        ];
        for (what, means, piece) in series {
            let (risen, error) = rise(means);
            let first = means[0];
            let late = if in_full() { 100.0 } else { 8.0 };
            let allowed = 3.0 * error + first / late + piece;
            let each = risen / self.inserts as f64 * 1_000.0;
            println!(
                "{name}: {what} {first:.0}, rises by {risen:.0} ± {error:.0} bytes \
                 ({each:.3} per 1,000 inserts), allowed {allowed:.0}"
            );
            if risen > allowed {
                faults.push(format!("{name}: {what} rises by {risen:.0}: {means:.0?}"));
            }
        }
        faults
    }
}

fn timed(clock: ManualClock, entries: u64) -> Lived<Weighed<Timed<Duel>>> {
    Cache::builder(Weight(entries * 4, |_: &u64, value: &u64| {
        weight_of(*value)
    }))
    .entry_limit(entries as usize)
    .shards(entries.div_ceil(A_SHARDS) as usize)
    .time_to_live(nanos(entries / 2 * A_STEP))
    .ttl_with(rule)
    .clock(clock)
    .build()
    .expect("a plain configuration")
}

fn idle(clock: ManualClock, entries: u64) -> Lived<Weighed<Aged<Lru>>> {
    Cache::builder(Weight(entries * 5, |_: &u64, value: &u64| {
        weight_of(*value)
    }))
    .policy::<Lru>()
    .entry_limit(entries as usize)
    .shards(entries.div_ceil(A_SHARDS) as usize)
    .time_to_live(nanos(entries * 8 * A_STEP))
    .time_to_idle(nanos(entries * 2 * A_STEP))
    .ttl_with(rule)
    .clock(clock)
    .build()
    .expect("a plain configuration")
}

fn recorded(clock: ManualClock, entries: u64) -> Lived<Aged<S3Fifo>> {
    Cache::builder(Entries(entries as usize))
        .policy::<S3Fifo>()
        .shards(entries.div_ceil(A_SHARDS) as usize)
        .time_to_live(nanos(entries * 2 * A_STEP))
        .ttl_with(rule)
        .ttl_on_read(|_, value| (value % 4 == 0).then_some(Duration::from_millis(300)))
        .record_ages()
        .clock(clock)
        .build()
        .expect("a plain configuration")
}

#[test]
fn lives_of_every_kind_leave_memory_as_it_was() {
    let _alone = alone();
    let (inserts, entries) = if in_full() {
        ([40_000_000, 30_000_000, 30_000_000], 16 * A_SHARDS)
    } else {
        ([300_000; 3], A_SHARDS / 2)
    };
    let mut faults = Vec::new();
    faults.extend(soak(inserts[0], entries, false, timed).faults("timed"));
    faults.extend(soak(inserts[1], entries, false, idle).faults("idle"));
    faults.extend(soak(inserts[2], entries, false, recorded).faults("recorded"));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn an_item_lost_with_each_insert_would_be_seen() {
    let _alone = alone();
    let faults = soak(120_000, A_SHARDS / 2, true, timed).faults("timed, leaking");
    assert_eq!(faults.len(), 2, "above the formula, and rising: {faults:?}");
}

// ---- ends that move, and entries that leave before them -------------------------------

/// So many entries for a shard.
fn filling(power: u32) -> u64 {
    (1 << power) / 100 * 72
}

/// A cache of one shard.
fn one_shard(entries: u64, clock: &ManualClock) -> Cache<u64, u64, Timed> {
    Cache::builder(Entries(entries as usize))
        .shards(1)
        .time_to_live(Duration::MAX)
        .clock(clock.clone())
        .build()
        .expect("a plain configuration")
}

/// What happens to the key 0.
type Pattern = fn(&Cache<u64, u64, Timed>, &mut Random);

fn set_and_removed(cache: &Cache<u64, u64, Timed>, random: &mut Random) {
    cache.insert_with_ttl(0, 0, nanos(random.next() >> random.below(20)));
    cache.remove(&0);
}

fn set_over_itself(cache: &Cache<u64, u64, Timed>, random: &mut Random) {
    cache.insert_with_ttl(0, 0, nanos(random.next() >> random.below(20)));
}

/// Each earlier end needs an item of its own.
fn sooner_and_sooner(cache: &Cache<u64, u64, Timed>, random: &mut Random) {
    cache.insert_with_ttl(0, 0, years(500));
    let mut life = u64::MAX / 2;
    while life > 1 << 20 {
        cache.set_ttl(&0, nanos(life));
        life = life / 8 * (1 + random.below(7));
    }
    cache.remove(&0);
}

fn sooner_and_later(cache: &Cache<u64, u64, Timed>, random: &mut Random) {
    cache.insert_with_ttl(0, 0, years(500));
    cache.set_ttl(&0, nanos(1 << (22 + random.below(40))));
    cache.set_ttl(&0, years(300));
    if random.below(3) == 0 {
        cache.remove(&0);
    }
}

#[test]
fn one_key_whose_life_changes_for_ever_leaves_nothing_behind() {
    let _alone = alone();
    let turns = if in_full() { 3_000_000 } else { 2_500 };
    let patterns: [(&str, Pattern); 4] = [
        ("set and removed", set_and_removed),
        ("set over itself", set_over_itself),
        ("sooner and sooner", sooner_and_sooner),
        ("sooner and later", sooner_and_later),
    ];
    for (name, pattern) in patterns {
        for others in [0, filling(11)] {
            for life in [years(500), Duration::MAX] {
                let most = changed_for_ever(turns, pattern, others, life);
                let formula = formula::<Timed<Duel>>(others + 1, 1);
                println!("{name}, beside {others} of {life:?}: {most} bytes of {formula}");
                assert!(most <= formula, "{name}, beside {others} of {life:?}");
            }
        }
    }
}

/// The most that is live while one key goes through a pattern, beside others.
fn changed_for_ever(turns: u64, pattern: Pattern, others: u64, life: Duration) -> i64 {
    let birth = live();
    let clock = ManualClock::new();
    let cache = one_shard(others + 1, &clock);
    let mut random = Random::new(0);
    for key in 1..=others {
        cache.insert_with_ttl(key, key, life);
    }
    let mut most = 0;
    for turn in 0..turns {
        pattern(&cache, &mut random);
        most = most.max(live() - birth);
        if turn % 1_000 == 0 {
            clock.advance(Duration::from_secs(1));
        }
    }
    cache.check();
    most
}

#[test]
fn entries_with_centuries_to_live_take_what_they_should_and_go_in_time() {
    let _alone = alone();
    let entries = 16 * filling(if in_full() { 17 } else { 11 });
    let birth = live();
    let clock = ManualClock::new();
    let cache: Cache<u64, u64, Timed> = Cache::builder(Entries(entries as usize / 16 * 17))
        .shards(16)
        .time_to_live(years(400))
        .clock(clock.clone())
        .build()
        .expect("a plain configuration");
    let mut random = Random::new(0);
    for key in 0..entries {
        cache.insert_with_ttl(key, key, years(100 + random.below(300)));
    }
    let (mut most, mut sweeps) = (live() - birth, 0);
    for _ in 0..50 {
        // What has ended less than a beat ago may not be found yet.
        clock.advance(years(10) + Duration::from_millis(2));
        while cache.sweep(1_000).more {
            sweeps += 1;
        }
        most = most.max(live() - birth);
        assert_eq!(cache.len_live(), cache.len());
    }
    cache.check();
    let formula = formula::<Timed<Duel>>(entries, 16);
    println!("{entries} of centuries: {most} bytes of {formula}, {sweeps} sweeps");
    assert_eq!(cache.stats().departures(Cause::Expired), entries);
    assert!(most <= formula, "{most} bytes of {formula}");
    assert!(sweeps <= entries * 9 / 1_000, "{sweeps} sweeps");
    cache.shrink_to_fit();
    let left = live() - birth;
    assert!(left <= 4 * KIB * 16, "{left} bytes of an empty cache");
}

#[test]
fn all_entries_of_a_shard_that_end_at_once_go_bit_by_bit() {
    let _alone = alone();
    let entries = filling(if in_full() { 21 } else { 14 });
    let birth = live();
    let clock = ManualClock::new();
    let cache = one_shard(entries, &clock);
    let formula = formula::<Timed<Duel>>(entries, 1);
    let mut sizes = Vec::with_capacity(6);
    for round in 0..6 {
        let keys = round * entries..(round + 1) * entries;
        for key in keys.clone() {
            cache.insert_with_ttl(key, key, Duration::from_secs(60));
        }
        let most = live() - birth;
        assert!(most <= formula, "round {round}: {most} bytes of {formula}");
        sizes.push(most);
        if round % 2 == 0 {
            clock.advance(Duration::from_secs(100));
            writes_do_a_little_each(&cache, u64::MAX - round * 100);
            loop {
                let swept = cache.sweep(1_000);
                assert!(swept.expired <= 1_000);
                if !swept.more {
                    break;
                }
            }
        } else {
            for key in keys {
                cache.remove(&key);
            }
            let most = live() - birth;
            assert!(most <= formula, "removed: {most} bytes of {formula}");
        }
        cache.check();
    }
    println!("{entries} in one slot: {sizes:?} bytes of {formula}");
    assert!(sizes[5] <= sizes[1] + sizes[1] / 20, "{sizes:?}");
}

/// A write to another key takes out four at most of all that are due.
fn writes_do_a_little_each(cache: &Cache<u64, u64, Timed>, last: u64) {
    let expired = || cache.stats().departures(Cause::Expired);
    for key in last - 99..=last {
        let before = expired();
        match key % 3 {
            0 => drop(cache.insert(key, 0)),
            1 => drop(cache.remove(&key)),
            _ => drop(cache.set_ttl(&key, Duration::MAX)),
        }
        let by = expired() - before;
        assert!((1..=4).contains(&by), "{by} by a write");
    }
}

// ---- bytes charged and bytes used -----------------------------------------------------

/// A life of any length at all: so the buckets of all levels are in use.
fn any_life(random: &mut Random) -> Duration {
    nanos(random.next() >> random.below(44))
}

/// At every sample a cache of bytes takes no more than its capacity and `FIXED`.
fn covers<V: brimful::HeapSize>(name: &str, capacity: u64, value: impl Fn(u64, &mut Random) -> V) {
    let turnovers = if in_full() { 20 } else { 4 };
    let birth = live();
    let clock = ManualClock::new();
    let builder = Cache::builder(Bytes(capacity)).time_to_live(Duration::MAX);
    let cache: Cache<u64, V, Weighed<Timed<Duel>>> =
        builder.clock(clock.clone()).build().expect("plain");
    let (mut random, mut most, mut charged, mut n) = (Random::new(0), 0, 0, 0);
    while charged < turnovers * capacity {
        for _ in 0..64 {
            let value = value(n, &mut random);
            n += 1;
            cache.insert_with_ttl(n, value, any_life(&mut random));
            let other = n.saturating_sub(random.below(1_000));
            match n % 3 {
                0 => drop(cache.remove(&other)),
                1 => drop(cache.set_ttl(&other, any_life(&mut random))),
                _ => clock.advance(nanos(random.below(1 << 16))),
            }
        }
        charged = cache.stats().weight_in();
        most = most.max(live() - birth);
    }
    let (weight, len, shards) = (cache.weight(), cache.len(), cache.shards());
    let ratio = (live() - birth) as f64 / weight as f64;
    cache.check();
    println!(
        "{name:<22} {len:>7} entries, {shards} shards: {ratio:.2} bytes live for each charged"
    );
    assert!(
        most <= capacity as i64 + FIXED,
        "{name}: {most} of {capacity}"
    );
}

#[test]
fn the_bytes_charged_cover_what_lives_take() {
    let _alone = alone();
    let capacities: &[u64] = if in_full() {
        &[1 << 18, 1 << 20, 1 << 22, 1 << 26]
    } else {
        &[1 << 18]
    };
    for &capacity in capacities {
        covers("lives, u64", capacity, |n, _| n);
        covers("lives, 0 to 400 B", capacity, |_, random| {
            vec![0_u8; random.below(400) as usize]
        });
    }
}

/// A table just doubled, rings full of holes, a wheel as full of spent items as it may be.
#[test]
fn a_stretched_wheel_is_paid_for() {
    let _alone = alone();
    let birth = live();
    let clock = ManualClock::new();
    let buckets = if in_full() { 1 << 18 } else { 1 << 15 };
    let entries = buckets / 8 * 7 / 16 * 15 + 64;
    let capacity = Bytes::overhead::<u64, u64, Timed<Duel>>() * entries;
    let builder = Cache::builder(Bytes(capacity)).shards(1);
    let builder = builder.time_to_live(Duration::MAX).clock(clock);
    let cache: Cache<u64, u64, Weighed<Timed<Duel>>> = builder.build().expect("plain");
    let (mut keys, mut random, mut most) = (0.., Random::new(0), 0);
    let mut insert = |count: u64, gone: bool| {
        for key in keys.by_ref().take(count as usize) {
            cache.insert_with_ttl(key, key, any_life(&mut random));
            if gone {
                cache.remove(&key);
            }
            if key % 64 == 0 {
                most = most.max(live() - birth);
            }
        }
    };
    insert(2 * entries, false);
    cache.retain(|_, _| false);
    insert(entries, false);
    insert(2 * entries, true);
    insert(entries, false);
    cache.check();
    let ratio = most as f64 / cache.weight() as f64;
    println!("stretched, with lives: {ratio:.2} bytes live for each charged");
    assert!(most <= capacity as i64 + FIXED, "{most} of {capacity}");
}
