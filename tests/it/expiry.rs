//! Lives: what ends, when, who takes it out, and how it is told. Time moves by
//! hand; nothing here waits for it but the sweeper's tests, which wait for an
//! event and not for a span.
//!
//! Tests named `fault_NN` show a row of `tests/FAULTS.md`.
//!
//! Scale: `BRIMFUL_EXPIRY_OPS` steps of each random test (default 6,000; the full run
//! 60,000).

use crate::world::Bounded;
use crate::world::around::{Around, Aside};
use crate::world::watchdog::{patience, sweepers_alone};
use crate::world::{Random, count, done};
use brimful::policy::{Duel, Fifo, Gdsf, Lru, Policy, S3Fifo, Sieve};
use brimful::{
    Aged, Builder, Cache, Cause, Clock, Departed, Entries, Expiring, ManualClock, Reason, Swept,
    Timed, Units, Updated, Weighed, Weight, unsync,
};
use std::cell::Cell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

/// What the wheel is coarse by: 2^20 ns, and a tick.
const GRAIN: Duration = Duration::from_nanos((1 << 20) + 1_000);

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// One departure, as it was told.
#[derive(Clone, PartialEq, Debug)]
struct Gone {
    key: u32,
    value: u32,
    cause: Cause,
    late: Option<Duration>,
    lived: Option<Duration>,
}

/// What was told so far.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Gone>>>);

impl Log {
    fn hear(&self) -> impl Fn(Departed<'_, u32, u32>) + Send + Sync + 'static {
        let log = self.0.clone();
        move |left| {
            log.lock().unwrap().push(Gone {
                key: *left.key,
                value: *left.value,
                cause: left.cause,
                late: left.late,
                lived: left.age,
            });
        }
    }

    /// What was told since the last time it was asked.
    fn take(&self) -> Vec<Gone> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// What was told since then, keys and causes only.
    fn causes(&self) -> Vec<(u32, Cause)> {
        self.take()
            .iter()
            .map(|gone| (gone.key, gone.cause))
            .collect()
    }
}

fn builder(clock: &ManualClock, log: &Log, entries: usize) -> Builder<u32, u32> {
    // The clock is refused where there are no lives, so each test adds some.
    Cache::builder(Entries(entries))
        .shards(1)
        .clock(clock.clone())
        .on_departure(log.hear())
}

fn timed(clock: &ManualClock, log: &Log, entries: usize, life: Duration) -> Cache<u32, u32, Timed> {
    let builder = builder(clock, log, entries).time_to_live(life);
    builder.build().unwrap()
}

fn timed_unsync(clock: &ManualClock, log: &Log, life: Duration) -> unsync::Cache<u32, u32, Timed> {
    let builder = builder(clock, log, 100).time_to_live(life);
    builder.build_unsync().unwrap()
}

// --- what a life is ---------------------------------------------------------

#[test]
fn fault_119_nothing_is_served_at_its_end_and_all_until_a_tick_before() {
    for (start, life) in [
        (0, 1),
        (1, 1),
        (500, 1_024),
        (999, 1),
        (77, 1_000_000),
        (5, 999_999_937),
        (15_000_000_000, 10_000_000_000),
        (1_001_000_000_000, 1_000),
        (31 * 1_001_000_000_000, 1_000_000_000),
    ] {
        let clock = ManualClock::new();
        clock.set(Duration::from_nanos(start));
        let cache = timed(&clock, &Log::default(), 10, Duration::from_nanos(life));
        cache.insert(1, 1);
        let last = (start + life) / 1_000 * 1_000;
        if last > start {
            clock.set(Duration::from_nanos(last - 1));
            assert_eq!(cache.get(&1), Some(1), "cut short: {start} + {life}");
        }
        clock.set(Duration::from_nanos(start + life));
        assert_eq!(cache.get(&1), None, "served at its end: {start} + {life}");
    }
}

/// In whatever shard it lies: a lowered capacity and an entry for which several shards pay take
/// what has expired before what lives.
#[test]
fn what_has_expired_in_one_shard_leaves_before_what_lives_in_another() {
    for ending in [0, 1] {
        for by_insert in [false, true] {
            let clock = ManualClock::new();
            let cache = Cache::builder(Weight(16, |_: &u32, weight: &u64| *weight));
            let cache = cache.time_to_live(Duration::MAX).clock(clock.clone());
            let cache = cache.shards(2).build().unwrap();
            let mut of_shard = [Vec::new(), Vec::new()];
            (0..100).for_each(|key| of_shard[cache.shard_of(&key)].push(key));
            let [short, long] = [&of_shard[ending][..12], &of_shard[1 - ending][..4]];
            short
                .iter()
                .for_each(|key| _ = cache.insert_with_ttl(*key, 1, secs(1)));
            long.iter().for_each(|key| _ = cache.insert(*key, 1));
            clock.advance(secs(2));
            if by_insert {
                cache.insert(of_shard[1 - ending][4], 12);
            } else {
                cache.set_capacity(Units(4));
            }
            assert!(
                long.iter().all(|key| cache.contains_key(key)),
                "{by_insert}"
            );
            assert_eq!(cache.stats().departures(Cause::Expired), 12);
            assert_eq!(cache.stats().departures(Cause::Evicted), 0);
        }
    }
}

/// A look at a coarser clock, which reads may take where the end is far, must not show here.
#[test]
fn by_the_clock_of_the_system_too_a_value_lives_until_its_end_and_no_longer() {
    const TICK: Duration = Duration::from_micros(1);
    let life = Duration::from_millis(1_100);
    let cache = Cache::builder(Entries(100));
    let cache = cache.time_to_live(life).build().unwrap();
    let before = Instant::now();
    cache.insert(1, 1);
    let after = Instant::now();
    let mut asked = before;
    while asked < after + life {
        let found = (
            cache.get(&1),
            cache.peek(&1),
            cache.get_or_insert_with(&2, || 2),
        );
        if Instant::now() < before + life - TICK {
            assert_eq!(found, (Some(1), Some(1), 2), "it ends early");
        }
        asked = Instant::now();
    }
    assert_eq!((cache.get(&1), cache.peek(&1)), (None, None), "it lives on");
    assert!(!cache.contains_key(&1));
}

#[test]
fn an_explicit_life_takes_the_place_of_rule_and_time_to_live() {
    let clock = ManualClock::new();
    let cache = Cache::builder(Entries(10))
        .time_to_live(secs(10))
        .ttl_with(|key: &u32, _: &u32, _| key.is_multiple_of(2).then_some(secs(20)))
        .clock(clock.clone())
        .build()
        .unwrap();
    cache.insert(1, 1);
    cache.insert(2, 2);
    cache.insert_with_ttl(4, 4, secs(5));
    cache.insert_with_ttl(3, 3, Duration::MAX);
    let ttl = |key| cache.ttl(&key).map(|left| left.as_secs());
    assert_eq!([1, 2, 4].map(ttl), [Some(10), Some(20), Some(5)]);
    assert_eq!(cache.ttl(&3), Some(Duration::MAX));
    assert_eq!(cache.ttl(&9), None);
    clock.advance(secs(6));
    assert_eq!(
        [1, 2, 4].map(|key| cache.get(&key)),
        [Some(1), Some(2), None]
    );
    clock.advance(secs(6));
    assert_eq!([1, 2, 4].map(|key| cache.get(&key)), [None, Some(2), None]);
    clock.advance(secs(100));
    assert_eq!([1, 2, 3].map(|key| cache.get(&key)), [None, None, Some(3)]);
    cache.check();
}

#[test]
fn the_earlier_of_two_ends_counts_and_a_use_puts_one_of_them_off() {
    let clock = ManualClock::new();
    let log = Log::default();
    let cache: Cache<u32, u32, Aged> = builder(&clock, &log, 10)
        .time_to_idle(secs(4))
        .time_to_live(secs(10))
        .build()
        .unwrap();
    for key in 0..6 {
        cache.insert(key, key);
    }
    clock.advance(secs(3));
    // Uses.
    assert_eq!(cache.get(&0), Some(0));
    assert_eq!(cache.view(&1, |_, value| *value), Some(1));
    assert_eq!(cache.update(&2, |value| *value), Updated::Kept(2));
    assert_eq!(cache.entry(3).or_insert(9), 3);
    // None.
    assert_eq!(cache.peek(&4), Some(4));
    assert!(cache.contains_key(&5) && cache.ttl(&5).is_some() && cache.iter().count() == 6);
    cache.retain(|_, _| true);
    clock.advance(secs(2));
    let live: Vec<bool> = (0..6).map(|key| cache.contains_key(&key)).collect();
    assert_eq!(live, [true, true, true, true, false, false]);
    for key in [0, 2] {
        cache.get(&key);
    }
    // Used again and again, changed or not, they end all the same.
    for _ in 0..3 {
        clock.advance(secs(2));
        for key in [0, 2] {
            cache.get(&key);
        }
    }
    assert_eq!((cache.get(&0), cache.get(&2)), (None, None));
    cache.check();
    clock.advance(secs(60));
    cache.sweep(usize::MAX);
    let mut told = log.take();
    told.sort_by_key(|gone| gone.key);
    assert_eq!(told.len(), 6);
    assert!(told.iter().all(|gone| gone.cause == Cause::Expired));
    cache.check();
}

/// A counter of a minute that is counted up every half minute ends all the same.
#[test]
fn fault_107_a_value_that_is_changed_in_place_keeps_its_deadline() {
    let clock = ManualClock::new();
    let cache = timed(&clock, &Log::default(), 10, secs(10));
    for key in 0..5 {
        cache.insert(key, key);
    }
    cache.insert_with_ttl(5, 5, secs(60));
    clock.advance(secs(6));
    assert_eq!(cache.update(&0, |value| *value += 1), Updated::Kept(()));
    cache.entry(1).and_modify(|value| *value += 1).or_insert(9);
    cache.insert(2, 7);
    cache.retain(|_, value| {
        *value += 1;
        true
    });
    // One word begins a new life.
    assert!(cache.update(&4, |_| ()).was_present() && cache.set_ttl(&4, secs(10)));
    assert_eq!(cache.update(&5, |value| *value += 1), Updated::Kept(()));
    assert_eq!(
        [0, 1, 5].map(|key| cache.ttl(&key)),
        [4, 4, 54].map(|left| Some(secs(left)))
    );
    clock.advance(secs(6));
    assert_eq!(
        [0, 1, 2, 3, 4].map(|key| cache.get(&key)),
        [None, None, Some(8), None, Some(5)]
    );
    clock.advance(secs(47));
    assert_eq!(cache.get(&5), Some(7));
    clock.advance(secs(1));
    assert_eq!(cache.get(&5), None);
    cache.check();

    let clock = ManualClock::new();
    let mut cache = timed_unsync(&clock, &Log::default(), secs(10));
    for key in 0..3 {
        cache.insert(key, key);
    }
    cache.insert_with_ttl(3, 3, secs(60));
    clock.advance(secs(6));
    for key in [0, 3] {
        *cache.get_mut(&key).unwrap() += 1;
    }
    *cache.entry(1).or_insert(9).unwrap() += 1;
    let _ = cache.update(&2, |_| ());
    assert_eq!(
        [0, 1, 2, 3].map(|key| cache.ttl(&key)),
        [4, 4, 4, 54].map(|left| Some(secs(left)))
    );
    clock.advance(secs(4));
    let found = [0, 1, 2, 3].map(|key| cache.peek(&key).copied());
    assert_eq!(found, [None, None, None, Some(4)]);
    cache.check();
}

/// What the rule is told of a value, and what its answer makes of it.
#[test]
fn the_rule_is_told_of_a_change_and_of_the_time_that_is_left() {
    let clock = ManualClock::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let hear = Arc::clone(&told);
    let build = || {
        let hear = Arc::clone(&hear);
        Cache::builder(Entries(10))
            .time_to_live(secs(10))
            .ttl_with(move |key: &u32, value: &u32, left| {
                hear.lock().unwrap().push((*key, *value, left));
                (*value > 90).then_some(secs(u64::from(*value)))
            })
            .clock(clock.clone())
    };
    let (cache, mut alone) = (build().build().unwrap(), build().build_unsync().unwrap());
    let heard = || std::mem::take(&mut *told.lock().unwrap());
    cache.insert(1, 10);
    cache.insert_with_ttl(2, 20, secs(60));
    cache.insert_with_ttl(3, 30, Duration::MAX);
    alone.insert(1, 10);
    assert_eq!(heard(), [(1, 10, None), (1, 10, None)]);
    clock.advance(secs(4));
    for key in 1..4 {
        assert_eq!(cache.update(&key, |value| *value += 1), Updated::Kept(()));
    }
    *alone.get_mut(&1).unwrap() += 1;
    assert_eq!(
        heard(),
        [
            (1, 11, Some(secs(6))),
            (2, 21, Some(secs(56))),
            (3, 31, Some(Duration::MAX)),
            (1, 11, Some(secs(6))),
        ]
    );
    for key in 1..4 {
        let _ = cache
            .entry(key)
            .and_modify(|value| *value += 80)
            .or_insert(0);
    }
    assert_eq!(
        [1, 2, 3].map(|key| cache.ttl(&key)),
        [91, 101, 111].map(|left| Some(secs(left)))
    );
    assert_eq!(alone.ttl(&1), Some(secs(6)));
    cache.check();
    alone.check();
}

#[test]
fn a_rule_for_reads_gives_a_life_leaves_it_or_ends_it() {
    let clock = ManualClock::new();
    let rule = |_: &u32, value: &u32| match value {
        0 => None,
        1 => Some(secs(10)),
        2 => Some(Duration::ZERO),
        _ => Some(Duration::MAX),
    };
    let build = || {
        Cache::builder(Entries(10))
            .time_to_live(secs(10))
            .ttl_on_read(rule)
            .clock(clock.clone())
    };
    let cache = build().build().unwrap();
    let mut alone = build().build_unsync().unwrap();
    for value in 0..4 {
        cache.insert(value, value);
        alone.insert(value, value);
    }
    clock.advance(secs(6));
    for value in 0..4 {
        assert_eq!(
            cache.get(&value),
            Some(value),
            "it was there when it was read"
        );
        assert_eq!(alone.get(&value), Some(&value));
    }
    assert_eq!((cache.get(&2), alone.get(&2)), (None, None));
    clock.advance(secs(6));
    let found = [0, 1, 3].map(|value| (cache.peek(&value), alone.peek(&value).copied()));
    assert_eq!(
        found,
        [(None, None), (Some(1), Some(1)), (Some(3), Some(3))]
    );
    assert_eq!(cache.ttl(&3), Some(Duration::MAX));
    cache.check();
    alone.check();
}

#[test]
fn rules_see_what_they_rule_and_may_use_the_cache_at_an_insert() {
    static OTHER: std::sync::LazyLock<Cache<u32, u32>> =
        std::sync::LazyLock::new(|| Cache::new(10));
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let cache = Cache::builder(Entries(10))
        .ttl_with(move |key: &u32, value: &u32, _| {
            assert_eq!(value / 10, *key);
            count.fetch_add(1, Ordering::Relaxed);
            OTHER.insert(*key, *value);
            None
        })
        .build()
        .unwrap();
    cache.insert(1, 10);
    cache.insert_with_ttl(1, 11, secs(1));
    assert_eq!(cache.get_or_insert_with(&2, || 20), 20);
    assert_eq!(cache.entry(3).or_insert(30), 30);
    assert_eq!(
        asked.load(Ordering::Relaxed),
        3,
        "an explicit life asks no rule"
    );
    assert_eq!(OTHER.len(), 3);
    // After a change it runs under the lock, and must not.
    let changed = catch_unwind(AssertUnwindSafe(|| cache.update(&2, |value| *value = 21)));
    let panic = changed.unwrap_err();
    assert!(
        panic
            .downcast_ref::<&str>()
            .is_some_and(|text| text.contains("brimful"))
    );
    assert_eq!(
        cache.get(&2),
        Some(21),
        "a rule that panics leaves value and life"
    );
    assert_eq!(cache.ttl(&2), Some(Duration::MAX));
    cache.check();
}

#[test]
fn a_life_can_be_read_and_changed() {
    let clock = ManualClock::new();
    let log = Log::default();
    let cache = timed(&clock, &log, 100, secs(10));
    let mut alone = timed_unsync(&clock, &Log::default(), secs(10));
    for key in 0..4 {
        cache.insert(key, key);
        alone.insert(key, key);
    }
    clock.advance(secs(4));
    assert_eq!(cache.ttl(&0), Some(secs(6)));
    assert!(cache.set_ttl(&0, secs(1)) && alone.set_ttl(&0, secs(1)));
    assert!(cache.set_ttl(&1, secs(100)) && alone.set_ttl(&1, secs(100)));
    assert!(cache.set_ttl(&2, Duration::MAX) && alone.set_ttl(&2, Duration::MAX));
    assert!(!cache.set_ttl(&9, secs(1)) && !alone.set_ttl(&9, secs(1)));
    cache.check();
    alone.check();
    clock.advance(secs(2));
    assert_eq!((cache.get(&0), alone.get(&0)), (None, None));
    assert!(!cache.set_ttl(&0, secs(9)), "what has ended stays so");
    assert_eq!(log.causes(), [(0, Cause::Expired)]);
    clock.advance(secs(50));
    assert_eq!(
        (cache.get(&3), cache.get(&1), cache.get(&2)),
        (None, Some(1), Some(2))
    );
    assert_eq!(
        (alone.get(&3).copied(), alone.get(&1).copied()),
        (None, Some(1))
    );
    // A life of zero ends it now.
    assert!(cache.set_ttl(&1, Duration::ZERO));
    assert_eq!((cache.len(), cache.sweep(9)), (1, Swept::default()));
    assert_eq!(log.causes(), [(3, Cause::Expired), (1, Cause::Expired)]);
    cache.check();
    alone.check();
}

#[test]
fn policies_weights_and_lives_compose_in_any_order_of_calls() {
    fn is_timed<P: Expiring>() {}
    is_timed::<Timed<Duel>>();
    is_timed::<Aged<Lru>>();
    is_timed::<Aged<Fifo>>();
    let clock = ManualClock::new();
    let weigh = |_: &u32, value: &u32| u64::from(*value);
    let cache: Cache<u32, u32, Weighed<Timed<Lru>>> = Cache::builder(Weight(100, weigh))
        .time_to_live(secs(10))
        .policy::<Lru>()
        .clock(clock.clone())
        .build()
        .unwrap();
    cache.insert(1, 60);
    cache.insert_weighted(2, 1, 30);
    cache.insert_weighted_with_ttl(3, 1, 10, secs(1));
    assert_eq!((cache.weight(), cache.weight_of(&1)), (100, Some(60)));
    clock.advance(secs(2));
    assert_eq!((cache.weight_of(&3), cache.weight()), (None, 100));
    // What has ended makes room, not what is least recently used.
    cache.insert(4, 5);
    assert_eq!((cache.len(), cache.weight()), (3, 95));
    cache.check();

    let idle: Cache<u32, u32, Aged<Sieve>> = Cache::builder(Entries(10))
        .policy::<Sieve>()
        .time_to_idle(secs(1))
        .time_to_live(secs(5))
        .build()
        .unwrap();
    idle.insert(1, 1);
    let recorded: Cache<u32, u32, Aged<S3Fifo>> = Cache::builder(Entries(10))
        .record_ages()
        .policy::<S3Fifo>()
        .time_to_live(secs(1))
        .time_to_idle(secs(1))
        .build()
        .unwrap();
    recorded.insert(1, 1);
    let named: Cache<u32, u32, Timed<Gdsf>> = Cache::builder(Entries(10))
        .time_to_live(Duration::MAX)
        .policy::<Gdsf>()
        .build()
        .unwrap();
    named.insert(1, 1);
    assert_eq!(named.ttl(&1), Some(Duration::MAX));
}

// --- past the end ------------------------------------------------------------

/// A cache in which 1 has ended, 2 lives, and nobody has looked since.
fn one_past(log: &Log) -> (Cache<u32, u32, Timed>, ManualClock) {
    let clock = ManualClock::new();
    let cache = timed(&clock, log, 10, secs(10));
    cache.insert_with_ttl(1, 1, secs(1));
    cache.insert(2, 2);
    clock.advance(secs(2));
    (cache, clock)
}

#[test]
fn fault_50_no_call_returns_what_is_past_its_end() {
    type Call = fn(&Cache<u32, u32, Timed>) -> bool;
    // Whether the call saw the entry; and whether it takes it out.
    let calls: &[(&str, Call, bool)] = &[
        ("get", |c| c.get(&1).is_some(), false),
        ("view", |c| c.view(&1, |_, _| ()).is_some(), false),
        ("peek", |c| c.peek(&1).is_some(), false),
        ("contains_key", |c| c.contains_key(&1), false),
        ("ttl", |c| c.ttl(&1).is_some(), false),
        ("iter", |c| c.iter().any(|(key, _)| key == 1), false),
        ("iter ends early", |c| c.iter().count() != 1, false),
        ("keys", |c| c.keys().any(|key| key == 1), false),
        ("values", |c| c.values().any(|value| value == 1), false),
        ("insert", |c| c.insert(1, 7).is_some(), true),
        (
            "try_insert",
            |c| c.try_insert(1, 7).unwrap().is_some(),
            true,
        ),
        (
            "insert_with_ttl",
            |c| c.insert_with_ttl(1, 7, secs(9)).is_some(),
            true,
        ),
        (
            "get_or_insert_with",
            |c| c.get_or_insert_with(&1, || 7) != 7,
            true,
        ),
        ("or_insert", |c| c.entry(1).or_insert(7) != 7, true),
        (
            "or_insert_with",
            |c| c.entry(1).or_insert_with(|| 7) != 7,
            true,
        ),
        ("or_default", |c| c.entry(1).or_default() != 0, true),
        (
            "and_modify",
            |c| c.entry(1).and_modify(|v| *v = 9).or_insert(7) != 7,
            true,
        ),
        ("update", |c| c.update(&1, |_| ()).was_present(), true),
        ("remove", |c| c.remove(&1).is_some(), true),
        ("remove_entry", |c| c.remove_entry(&1).is_some(), true),
        (
            "evict",
            |c| c.evict().is_some_and(|(key, _)| key == 1),
            true,
        ),
        (
            "remove_if",
            |c| c.remove_if(&1, |_, _| true).is_some(),
            true,
        ),
        (
            "remove_if asks",
            |c| {
                let mut asked = false;
                let _ = c.remove_if(&1, |_, _| {
                    asked = true;
                    false
                });
                asked
            },
            true,
        ),
        ("set_ttl", |c| c.set_ttl(&1, secs(9)), true),
        (
            "retain",
            |c| {
                let mut seen = false;
                c.retain(|key, _| {
                    seen |= *key == 1;
                    true
                });
                seen
            },
            true,
        ),
        ("drain", |c| c.drain().any(|(key, _)| key == 1), true),
        (
            "clear",
            |c| {
                c.clear();
                false
            },
            true,
        ),
        ("len_live", |c| c.len_live() != 1, false),
        ("sweep", |c| c.sweep(9).expired != 1, true),
    ];
    for (name, call, takes_out) in calls {
        let log = Log::default();
        let (cache, clock) = one_past(&log);
        assert_eq!((cache.len(), log.take()), (2, vec![]), "{name}");
        assert!(!call(&cache), "{name} saw what had ended");
        let told = log.take();
        let mine: Vec<_> = told
            .iter()
            .filter(|gone| (gone.key, gone.value) == (1, 1))
            .collect();
        assert_eq!(mine.len(), usize::from(*takes_out), "{name} told {told:?}");
        for gone in mine {
            assert_eq!(gone.cause, Cause::Expired, "{name}");
            assert!(
                gone.late.unwrap() <= secs(1) && gone.late > Some(Duration::ZERO),
                "{name}"
            );
        }
        for gone in told.iter().filter(|gone| (gone.key, gone.value) != (1, 1)) {
            assert_ne!(gone.cause, Cause::Expired, "{name}");
            assert_eq!(gone.late, None, "{name}");
        }
        let counted = cache.stats().departures(Cause::Expired);
        assert_eq!(counted, u64::from(*takes_out), "{name}");
        cache.check();
        // Told once and no more.
        clock.advance(secs(60));
        cache.sweep(usize::MAX);
        cache.check();
        drop(cache);
        let again = log.take();
        let once = usize::from(!*takes_out);
        let first = again.iter().filter(|gone| (gone.key, gone.value) == (1, 1));
        assert_eq!(first.count(), once, "{name}");
    }
}

#[test]
fn fault_50_nor_does_a_cache_for_one_owner() {
    type Call = fn(&mut unsync::Cache<u32, u32, Timed>) -> bool;
    let calls: &[(&str, Call, bool)] = &[
        ("get", |c| c.get(&1).is_some(), false),
        ("get_mut", |c| c.get_mut(&1).is_some(), false),
        ("view", |c| c.view(&1, |_, _| ()).is_some(), false),
        ("peek", |c| c.peek(&1).is_some(), false),
        ("contains_key", |c| c.contains_key(&1), false),
        ("ttl", |c| c.ttl(&1).is_some(), false),
        ("iter", |c| c.iter().count() != 1, false),
        ("keys", |c| c.keys().any(|key| *key == 1), false),
        ("values", |c| c.values().any(|value| *value == 1), false),
        ("insert", |c| c.insert(1, 7).is_some(), true),
        (
            "try_insert",
            |c| c.try_insert(1, 7).unwrap().is_some(),
            true,
        ),
        (
            "insert_with_ttl",
            |c| c.insert_with_ttl(1, 7, secs(9)).is_some(),
            true,
        ),
        (
            "get_or_insert_with",
            |c| *c.get_or_insert_with(&1, || 7).unwrap() != 7,
            true,
        ),
        (
            "or_insert",
            |c| *c.entry(1).or_insert(7).unwrap() != 7,
            true,
        ),
        (
            "and_modify",
            |c| *c.entry(1).and_modify(|v| *v = 9).or_insert(7).unwrap() != 7,
            true,
        ),
        ("remove", |c| c.remove(&1).is_some(), true),
        ("remove_entry", |c| c.remove_entry(&1).is_some(), true),
        (
            "evict",
            |c| c.evict().is_some_and(|(key, _)| key == 1),
            true,
        ),
        (
            "remove_if",
            |c| c.remove_if(&1, |_, _| true).is_some(),
            true,
        ),
        ("set_ttl", |c| c.set_ttl(&1, secs(9)), true),
        ("update", |c| c.update(&1, |_| ()).was_present(), false),
        (
            "retain",
            |c| {
                let mut seen = false;
                c.retain(|key, _| {
                    seen |= *key == 1;
                    true
                });
                seen
            },
            true,
        ),
        ("drain", |c| c.drain().any(|(key, _)| key == 1), true),
        (
            "clear",
            |c| {
                c.clear();
                false
            },
            true,
        ),
        ("sweep", |c| c.sweep(9).expired != 1, true),
    ];
    for (name, call, takes_out) in calls {
        let log = Log::default();
        let clock = ManualClock::new();
        let mut cache = timed_unsync(&clock, &log, secs(10));
        cache.insert_with_ttl(1, 1, secs(1));
        cache.insert(2, 2);
        clock.advance(secs(2));
        assert_eq!((cache.len(), cache.len_live()), (2, 1), "{name}");
        assert!(!call(&mut cache), "{name} saw what had ended");
        let first = |gone: &&Gone| (gone.key, gone.value) == (1, 1);
        let told = log.take();
        let mine: Vec<_> = told.iter().filter(first).collect();
        assert_eq!(mine.len(), usize::from(*takes_out), "{name} told {told:?}");
        assert!(
            mine.iter().all(|gone| gone.cause == Cause::Expired),
            "{name}"
        );
        cache.check();
        drop(cache);
        let again = log.take();
        let mine: Vec<_> = again.iter().filter(first).collect();
        assert_eq!(mine.len(), usize::from(!*takes_out), "{name}");
        assert!(
            mine.iter().all(|gone| gone.cause == Cause::Expired),
            "{name}"
        );
    }
}

#[test]
fn the_last_calls_of_a_cache_know_what_has_ended_too() {
    let log = Log::default();
    let (cache, _) = one_past(&log);
    drop(cache);
    let mut told = log.causes();
    told.sort_unstable();
    assert_eq!(told, [(1, Cause::Expired), (2, Cause::CacheDropped)]);

    let (cache, _) = one_past(&log);
    assert_eq!(cache.into_iter().collect::<Vec<_>>(), [(2, 2)]);
    let mut told = log.causes();
    told.sort_unstable();
    assert_eq!(told, [(1, Cause::Expired), (2, Cause::Removed)]);

    // A drain that is dropped takes the rest.
    let (cache, _) = one_past(&log);
    drop(cache.drain());
    let stats = cache.stats();
    assert_eq!(
        (
            stats.departures(Cause::Expired),
            stats.departures(Cause::Removed)
        ),
        (1, 1)
    );
    assert_eq!(stats.lateness(), stats.most_late());
    assert!(stats.most_late() > Duration::ZERO);
    cache.check();
}

#[test]
fn an_eviction_of_what_has_ended_is_told_as_its_end() {
    // 1 has ended by less than the wheel can tell, so the policy is asked; it
    // names the same entry.
    let clock = ManualClock::new();
    let log = Log::default();
    let cache: Cache<u32, u32, Timed<Fifo>> = builder(&clock, &log, 2)
        .policy::<Fifo>()
        .time_to_live(Duration::from_micros(100))
        .build()
        .unwrap();
    clock.advance(Duration::from_micros(10));
    cache.insert(1, 1);
    clock.advance(Duration::from_micros(90));
    cache.insert(2, 2);
    clock.advance(Duration::from_micros(11));
    cache.insert(3, 3);
    let told = log.take();
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].key, told[0].cause), (1, Cause::Expired));
    assert!(told[0].late.unwrap() <= Duration::from_micros(1));
    assert_eq!((cache.len(), cache.stats().evicted_unhit()), (2, 0));
    cache.check();
}

// --- faults ---------------------------------------------------------------------

#[test]
fn fault_38_items_die_with_their_entries() {
    // Entries that leave before their time leave items behind: the wheel is laid
    // anew before they are many. `check` counts them.
    let clock = ManualClock::new();
    let cache = timed(&clock, &Log::default(), 200, secs(3_600));
    for n in 0..20_000 {
        cache.insert(n, n);
        if n % 3 == 0 {
            cache.remove(&n);
        }
        if n % 97 == 0 {
            cache.check();
            clock.advance(secs(1));
        }
    }
    cache.clear();
    assert_eq!(cache.next_deadline(), None);
    cache.check();
}

#[test]
fn fault_39_retain_runs_now_and_is_not_remembered() {
    let clock = ManualClock::new();
    let cache = timed(&clock, &Log::default(), 10, secs(10));
    cache.insert(1, 1);
    cache.retain(|_, value| *value != 1);
    assert_eq!(cache.len(), 0);
    cache.insert(1, 1);
    clock.advance(secs(5));
    cache.sweep(100);
    assert_eq!(cache.get(&1), Some(1));
}

#[test]
fn fault_40_what_has_ended_is_freed_without_a_read_of_it() {
    for shards in [1, 4] {
        let clock = ManualClock::new();
        let cache = Cache::builder(Entries(1_000))
            .shards(shards)
            .time_to_live(secs(10))
            .clock(clock.clone())
            .build()
            .unwrap();
        cache.extend((0..400_u32).map(|n| (n, n)));
        clock.advance(secs(10) + GRAIN);
        // By writes to other keys, a few at a time.
        assert_eq!(cache.len(), 400);
        for n in 0..2_000_u32 {
            let before = cache.len();
            cache.insert_with_ttl(1_000 + n % 200, n, secs(100));
            assert!(
                before - cache.len().min(before) <= 4,
                "a bounded number at a time"
            );
        }
        assert_eq!(cache.len(), 200, "in {shards} shards");
        cache.check();
        // By a sweep.
        clock.advance(secs(100) + GRAIN);
        while cache.sweep(3).more {}
        assert_eq!(
            (cache.len(), cache.weight(), cache.next_deadline()),
            (0, 0, None)
        );
        cache.check();
    }
}

#[test]
fn fault_40_what_has_ended_goes_before_what_lives() {
    fn full<P: Policy>() {
        let clock = ManualClock::new();
        let log = Log::default();
        let weigh = |_: &u32, value: &u32| u64::from(*value);
        let cache = Cache::builder(Weight(100, weigh))
            .shards(1)
            .policy::<P>()
            .time_to_live(secs(100))
            .clock(clock.clone())
            .on_departure(log.hear())
            .build()
            .unwrap();
        for n in 0..100 {
            // Every other one ends soon.
            let life = if n % 2 == 0 { secs(1) } else { secs(100) };
            cache.insert_with_ttl(n, 1, life);
        }
        clock.advance(secs(1) + GRAIN);
        // Room for more than the few that a write takes out in passing.
        cache.insert(200, 50);
        assert!((0..100).all(|n| cache.contains_key(&n) == (n % 2 == 1)));
        assert_eq!(cache.stats().departures(Cause::Evicted), 0);
        cache.insert(201, 1);
        assert!(cache.stats().departures(Cause::Evicted) >= 1);
        cache.check();
    }
    every_policy!(full);
}

#[test]
fn fault_40_also_when_room_is_gathered_and_a_capacity_lowered() {
    let clock = ManualClock::new();
    let weigh = |_: &u32, value: &u32| u64::from(*value);
    let cache = Cache::builder(Weight(1_000, weigh))
        .shards(8)
        .time_to_live(secs(100))
        .clock(clock.clone())
        .build()
        .unwrap();
    for n in 0..100 {
        cache.insert_with_ttl(n, 10, if n < 50 { secs(1) } else { secs(100) });
    }
    clock.advance(secs(1) + GRAIN);
    // Half of all there is, from wherever it lies.
    cache.insert(1_000, 480);
    let stats = cache.stats();
    assert!(stats.departures(Cause::Expired) >= 40, "{stats}");
    assert!(cache.weight() <= 1_000 && cache.contains_key(&1_000));
    cache.check();
    cache.bound_to(600);
    cache.check();
    assert!(cache.weight() <= 600);
}

#[test]
fn fault_42_calls_take_effect_at_once() {
    let clock = ManualClock::new();
    let cache = timed(&clock, &Log::default(), 1_000, secs(10));
    for n in 0..1_000 {
        cache.insert(n, n);
        assert!(cache.set_ttl(&n, secs(1)));
        assert_eq!(cache.ttl(&n), Some(secs(1)));
    }
    clock.advance(secs(2));
    assert_eq!((cache.len_live(), cache.iter().count()), (0, 0));
}

#[test]
fn fault_43_a_loader_that_panics_leaves_nothing_to_wait_for() {
    let clock = ManualClock::new();
    let cache = timed(&clock, &Log::default(), 10, secs(10));
    for _ in 0..3 {
        let load = || cache.get_or_insert_with(&1, || panic!("no value"));
        assert!(catch_unwind(AssertUnwindSafe(load)).is_err());
    }
    assert_eq!((cache.len(), cache.next_deadline()), (0, None));
    cache.check();
}

/// Counts itself out.
struct Counted(Arc<AtomicU64>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn fault_44_every_value_is_dropped_once_whatever_ends_it() {
    let dropped = Arc::new(AtomicU64::new(0));
    let told = Arc::new(AtomicU64::new(0));
    let clock = ManualClock::new();
    let count = told.clone();
    let cache = Cache::builder(Entries(50))
        .shards(3)
        .time_to_live(secs(10))
        .time_to_idle(secs(5))
        .clock(clock.clone())
        .on_departure(move |_: Departed<'_, u32, Counted>| {
            count.fetch_add(1, Ordering::Relaxed);
        })
        .build()
        .unwrap();
    let mut made = 0;
    let mut value = || {
        made += 1;
        Counted(dropped.clone())
    };
    for n in 0..5_000_u32 {
        cache.insert_with_ttl(
            n % 80,
            value(),
            Duration::from_millis(u64::from(n * 7 % 9_000)),
        );
        match n % 11 {
            0 => done(cache.remove(&(n % 17))),
            1 => done(cache.sweep(3)),
            2 => clock.advance(Duration::from_millis(300)),
            3 => done(cache.set_ttl(&(n % 13), Duration::ZERO)),
            _ => {}
        }
        match n % 1_000 {
            500 => cache.clear(),
            700 => drop(cache.drain()),
            _ => {}
        }
    }
    cache.check();
    drop(cache);
    assert_eq!(dropped.load(Ordering::Relaxed), made);
    assert_eq!(told.load(Ordering::Relaxed), made);
}

#[test]
fn fault_46_every_duration_from_zero_to_the_largest() {
    let mut lives = vec![Duration::ZERO, Duration::MAX, Duration::from_secs(u64::MAX)];
    for power in 0..64 {
        for nudge in [-1_i64, 0, 1] {
            let nanos = (1_u64 << power).wrapping_add_signed(nudge);
            lives.push(Duration::from_nanos(nanos));
            lives.push(Duration::from_secs(nanos));
            lives.push(Duration::new(nanos, 999_999_999));
        }
    }
    for start in [
        Duration::ZERO,
        secs(1_000_000_000),
        Duration::from_nanos(u64::MAX),
        Duration::MAX,
    ] {
        let clock = ManualClock::new();
        clock.set(start);
        let cache = timed(&clock, &Log::default(), 1_000, secs(1));
        let mut alone = timed_unsync(&clock, &Log::default(), secs(1));
        for (n, &life) in lives.iter().enumerate() {
            let n = n as u32;
            cache.insert_with_ttl(n, n, life);
            alone.insert_with_ttl(n, n, life);
            // One of less than a microsecond may end at once.
            let lives = [cache.get(&n).is_some(), alone.get(&n).is_some()];
            let (a_tick, told) = (Duration::from_micros(1), format!("{life:?} from {start:?}"));
            assert_eq!(lives[0], lives[1], "{told}");
            assert!(lives[0] || life < a_tick, "{told}");
            assert!(!lives[0] || life > Duration::ZERO, "{told}");
            if let Some(left) = cache.ttl(&n) {
                let cut = a_tick.min(life);
                assert!(left > life.min(secs(1 << 34)) - cut, "{left:?} of {life:?}");
                assert!(
                    left <= life || left == Duration::MAX,
                    "{left:?} of {life:?}"
                );
            }
            cache.set_ttl(&n, life);
        }
        cache.check();
        alone.check();
        clock.advance(Duration::MAX);
        cache.sweep(usize::MAX);
        alone.sweep(usize::MAX);
        assert_eq!(cache.get(&1), Some(1), "never is never");
        cache.check();
        alone.check();
    }
}

#[test]
fn fault_47_a_hostile_clock_panics_nothing_and_resurrects_nothing() {
    let clock = ManualClock::new();
    let log = Log::default();
    let cache: Cache<u32, u32, Aged> = builder(&clock, &log, 64)
        .time_to_live(secs(10))
        .time_to_idle(secs(7))
        .build()
        .unwrap();
    let mut alone = builder(&clock, &Log::default(), 64)
        .time_to_live(secs(10))
        .build_unsync()
        .unwrap();
    let mut random = Random(1);
    let mut next = || random.next();
    let mut dead = [false; 64];
    let mut dead_alone = [false; 64];
    for step in 0..steps() as u32 {
        let draw = next();
        if draw % 5 == 0 {
            // Years ahead, back to the beginning, and all between.
            clock.set(Duration::from_nanos(next() >> (next() % 64)));
        }
        let key = (draw >> 32) as u32 % 64;
        let slot = key as usize;
        match (draw >> 8) % 8 {
            0 => {
                cache.insert(key, step);
                alone.insert(key, step);
                (dead[slot], dead_alone[slot]) = (false, false);
            }
            1 => done(cache.sweep(2)),
            2 => done(alone.sweep(2)),
            3 => {
                let gone = cache.peek(&key).is_none();
                assert!(gone || !dead[slot], "resurrected");
                dead[slot] = gone;
            }
            4 => {
                let gone = alone.peek(&key).is_none();
                assert!(gone || !dead_alone[slot], "resurrected");
                dead_alone[slot] = gone;
            }
            5 => {
                let gone = alone.get(&key).is_none();
                assert!(gone || !dead_alone[slot], "resurrected");
                dead_alone[slot] = gone;
            }
            _ => {
                let gone = cache.get(&key).is_none();
                assert!(gone || !dead[slot], "resurrected");
                dead[slot] = gone;
            }
        }
        if step % 64 == 0 {
            cache.check();
            alone.check();
        }
        assert!(
            cache
                .next_deadline()
                .is_none_or(|left| left < Duration::MAX)
        );
    }
}

#[test]
fn fault_48_lives_at_every_border_of_the_wheel() {
    let clock = ManualClock::new();
    let log = Log::default();
    let cache = timed(&clock, &log, 10_000, Duration::MAX);
    // From a moment in the middle of every digit.
    clock.set(Duration::from_nanos(0x0002_1F3D_7B9A_5C11));
    let start = clock.now();
    let mut lives = Vec::new();
    for power in 24..62 {
        for nudge in [-3_000_000_i64, 0, 3_000_000] {
            lives.push(Duration::from_nanos(
                (1_u64 << power).wrapping_add_signed(nudge),
            ));
        }
    }
    for (n, &life) in lives.iter().enumerate() {
        cache.insert_with_ttl(n as u32, 0, life);
    }
    for (n, &life) in lives.iter().enumerate() {
        clock.set(start + life - Duration::from_micros(1));
        assert!(cache.contains_key(&(n as u32)), "{life:?} was cut short");
        assert!(cache.next_deadline().unwrap() <= Duration::from_micros(1) + GRAIN);
        clock.set(start + life + GRAIN - Duration::from_micros(1));
        cache.sweep(usize::MAX);
        assert!(!cache.contains_key(&(n as u32)));
        cache.check();
    }
    assert_eq!(cache.len(), 0);
    let told = log.take();
    assert_eq!(told.len(), lives.len());
    assert!(told.iter().all(|gone| gone.late <= Some(GRAIN)));
}

/// A clock that counts its readings and uses another cache, which it may not do
/// under a lock.
struct Reader {
    read: Arc<AtomicUsize>,
    other: Cache<u32, u32>,
}

impl Clock for Reader {
    fn now(&self) -> Duration {
        self.other.insert(1, 1);
        Duration::from_nanos(self.read.fetch_add(1, Ordering::Relaxed) as u64)
    }
}

#[test]
fn fault_49_the_clock_is_read_once_a_call_before_the_lock() {
    let read = Arc::new(AtomicUsize::new(0));
    let clock = Reader {
        read: read.clone(),
        other: Cache::new(1),
    };
    let cache = Cache::builder(Entries(10))
        .time_to_live(secs(1))
        .clock(clock)
        .build()
        .unwrap();
    let reads = |call: &dyn Fn()| {
        let before = read.load(Ordering::Relaxed);
        call();
        read.load(Ordering::Relaxed) - before
    };
    let calls: [(&str, &dyn Fn()); 12] = [
        ("insert", &|| done(cache.insert(1_u32, 1_u32))),
        ("insert that evicts", &|| {
            (0..1).for_each(|n| done(cache.insert(n, n)))
        }),
        ("insert_with_ttl", &|| {
            done(cache.insert_with_ttl(1, 1, secs(1)))
        }),
        ("get", &|| done(cache.get(&1))),
        ("view", &|| done(cache.view(&1, |_, _| ()))),
        ("peek", &|| done(cache.peek(&1))),
        ("contains_key", &|| done(cache.contains_key(&1))),
        ("update", &|| done(cache.update(&1, |_| ()).was_present())),
        ("remove", &|| done(cache.remove(&1))),
        ("set_ttl", &|| done(cache.set_ttl(&1, secs(1)))),
        ("sweep", &|| done(cache.sweep(9))),
        ("retain", &|| cache.retain(|_, _| true)),
    ];
    for (name, call) in calls {
        assert_eq!(reads(call), 1, "{name}");
    }
    assert_eq!(reads(&|| done(cache.len())), 0);
    cache.check();
}

#[test]
fn fault_49_a_late_reader_of_the_clock_sees_nothing_that_has_ended() {
    // A call that read its clock, then waited for the lock while another one was
    // told a later time: as if the clock went back.
    let clock = ManualClock::new();
    let cache = timed(&clock, &Log::default(), 10, secs(10));
    cache.insert(1, 1);
    clock.set(secs(11));
    assert_eq!(cache.get(&1), None);
    clock.set(secs(9));
    assert_eq!(cache.get(&1), None);
    cache.insert(2, 2);
    clock.set(secs(20));
    assert_eq!(cache.get(&2), Some(2), "its life began at the later time");
    clock.set(secs(22));
    assert_eq!(cache.get(&2), None);
}

/// A clock moved by hand that counts its readings.
#[derive(Clone, Default)]
struct Counting(ManualClock, Arc<AtomicUsize>);

impl Counting {
    fn readings(&self) -> usize {
        self.1.load(Ordering::SeqCst)
    }
}

impl Clock for Counting {
    fn now(&self) -> Duration {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.now()
    }
}

/// Makes a call that finds the lock of its key held, by a change that ends when `meanwhile` has
/// been called, and returns what it returns.
fn while_the_lock_is_held<R: Send>(
    cache: &Cache<u32, u32, Timed>,
    call: impl FnOnce(&Cache<u32, u32, Timed>) -> R + Send,
    meanwhile: impl FnOnce(),
) -> R {
    let (held, hold) = mpsc::channel();
    let (let_go, wait) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let changed = cache.update(&1, |_| {
                held.send(()).unwrap();
                wait.recv().unwrap();
            });
            assert_eq!(changed, Updated::Kept(()));
        });
        hold.recv().unwrap();
        let caller = scope.spawn(|| call(cache));
        meanwhile();
        let_go.send(()).unwrap();
        caller.join().unwrap()
    })
}

/// Calls that wait for a lock while the value under it comes to its end.
type Waiting = (&'static str, fn(&Cache<u32, u32, Timed>) -> Option<u32>);

const WAITING: [Waiting; 6] = [
    ("insert", |c| c.insert(1, 7)),
    ("try_insert", |c| c.try_insert(1, 7).unwrap()),
    ("get", |c| c.get(&1)),
    ("remove", |c| c.remove(&1)),
    ("update", |c| match c.update(&1, |value| *value) {
        Updated::Kept(value) => Some(value),
        _ => None,
    }),
    ("evict", |c| c.evict().map(|(_, value)| value)),
];

#[test]
fn fault_121_a_call_that_waited_for_a_lock_takes_the_time_anew() {
    for (name, call) in WAITING {
        // Between its look at the clock and its look at the lock a thread may be put to sleep, and
        // find the lock free then: so until one has waited.
        let waited = (0..100).any(|_| {
            let clock = Counting::default();
            let builder = Cache::builder(Entries(10)).shards(1);
            let builder = builder.time_to_live(secs(60)).clock(clock.clone());
            let cache = builder.build().unwrap();
            cache.insert(1, 1);
            let before = clock.readings() + 1;
            let returned = while_the_lock_is_held(&cache, call, || {
                while clock.readings() <= before {
                    std::thread::yield_now();
                }
                std::thread::sleep(Duration::from_millis(20));
                clock.0.advance(secs(61));
            });
            // The call that holds the lock has read it once.
            if clock.readings() - before < 2 {
                return false;
            }
            assert_eq!(returned, None, "{name} returned what had ended");
            let stored = name.ends_with("insert");
            assert_eq!(cache.peek(&1), stored.then_some(7), "{name}");
            let left = stored.then_some(secs(60));
            assert_eq!(
                cache.ttl(&1),
                left,
                "{name}: a life from when it was stored"
            );
            cache.check();
            true
        });
        assert!(waited, "{name} never read its clock again");
    }
}

/// By the system's clock, which is read under the lock.
#[test]
fn fault_121_by_the_systems_clock_too() {
    for (name, call) in WAITING {
        let life = Duration::from_millis(300);
        let cache = Cache::builder(Entries(10)).shards(1).time_to_live(life);
        let cache = cache.build().unwrap();
        cache.insert(1, 1);
        let returned = while_the_lock_is_held(&cache, call, || {
            let end = Instant::now() + life + life;
            std::thread::sleep(end - Instant::now());
        });
        assert_eq!(returned, None, "{name} returned what had ended");
        cache.check();
    }
}

#[test]
fn fault_51_a_life_of_zero_is_refused_and_stalls_nothing() {
    let log = Log::default();
    let clock = ManualClock::new();
    let cache = timed(&clock, &log, 10, secs(10));
    cache.insert(1, 1);
    let refused = cache.try_insert_with_ttl(1, 2, Duration::ZERO).unwrap_err();
    assert_eq!(
        (refused.value, refused.old, refused.reason),
        (2, Some(1), Reason::ZeroTtl)
    );
    let mut told = log.take();
    told.sort_by_key(|gone| gone.value);
    assert_eq!(told[0].cause, Cause::Replaced);
    assert_eq!(
        (told[1].cause, told[1].late),
        (Cause::Expired, Some(Duration::ZERO))
    );
    assert_eq!(told.len(), 2);
    assert_eq!(cache.insert_with_ttl(2, 2, Duration::ZERO), None);
    assert_eq!((cache.len(), log.causes()), (0, vec![(2, Cause::Expired)]));
    // Into an outbox in which others have expired as well.
    for n in 10..14 {
        cache.insert_with_ttl(n, n, secs(1));
    }
    cache.insert(3, 3);
    clock.advance(secs(2));
    let refused = cache
        .try_insert_with_ttl(3, 33, Duration::ZERO)
        .unwrap_err();
    assert_eq!((refused.key, refused.value, refused.old), (3, 33, Some(3)));
    cache.check();

    // As time to live, to idle, and by the rule; and for who loads.
    let none = Cache::builder(Entries(10))
        .time_to_live(Duration::ZERO)
        .build()
        .unwrap();
    let idle = Cache::builder(Entries(10))
        .time_to_idle(Duration::ZERO)
        .build()
        .unwrap();
    let ruled = Cache::builder(Entries(10)).ttl_with(|_: &u32, _: &u32, _| Some(Duration::ZERO));
    let ruled = ruled.build().unwrap();
    for n in 0..1_000_u32 {
        assert_eq!(none.get_or_insert_with(&n, || n), n);
        assert_eq!(idle.entry(n).or_insert(n), n);
        assert_eq!(ruled.try_insert(n, n).unwrap_err().reason, Reason::ZeroTtl);
    }
    assert_eq!((none.len(), idle.len(), ruled.len()), (0, 0, 0));
    assert_eq!(none.stats().departures(Cause::Expired), 1_000);
    none.check();
    idle.check();
    ruled.check();

    // The tiniest are lives.
    let tiny = Cache::builder(Entries(100)).time_to_live(Duration::from_micros(1));
    let tiny = tiny.clock(clock.clone()).build().unwrap();
    for n in 0..1_000_u32 {
        tiny.insert(n, n);
        assert_eq!(tiny.get(&n), Some(n));
        clock.advance(Duration::from_micros(1));
        assert_eq!(tiny.get(&n), None);
    }
    tiny.check();
}

#[test]
fn a_rule_that_gives_no_life_after_a_change_ends_it() {
    let log = Log::default();
    let cache = Cache::builder(Entries(10))
        .ttl_with(|_: &u32, value: &u32, _| (*value == 9).then_some(Duration::ZERO))
        .on_departure(log.hear())
        .build()
        .unwrap();
    cache.insert(1, 1);
    assert_eq!(cache.update(&1, |value| *value = 9), Updated::Refused(()));
    assert_eq!((cache.len(), log.causes()), (0, vec![(1, Cause::Expired)]));
    cache.check();
}

#[test]
fn fault_52_clear_takes_what_was_there_and_nothing_that_comes() {
    let clock = ManualClock::new();
    let log = Log::default();
    let cache = timed(&clock, &log, 1_000, secs(100));
    for round in 0..20 {
        for n in 0..100 {
            cache.insert_with_ttl(n, round, secs(u64::from(n) + 1));
        }
        cache.clear();
        assert_eq!((cache.len(), log.take().len()), (0, 100));
        // The wheel was emptied too: lives begun now end in their own time.
        cache.insert_with_ttl(7, 7, secs(2));
        clock.advance(secs(1));
        assert_eq!(cache.get(&7), Some(7));
        clock.advance(secs(2));
        assert_eq!(cache.sweep(10).expired, 1);
        assert_eq!(log.causes(), [(7, Cause::Expired)]);
        cache.check();
    }
    assert_eq!(cache.stats().departures(Cause::Cleared), 2_000);
}

// --- sweeping ---------------------------------------------------------------------

#[test]
fn a_sweep_does_no_more_than_it_may_and_goes_on_where_it_ended() {
    let clock = ManualClock::new();
    let cache = Cache::builder(Entries(10_000))
        .shards(5)
        .time_to_live(secs(10))
        .clock(clock.clone())
        .build()
        .unwrap();
    cache.extend((0..2_000_u32).map(|n| (n, n)));
    assert_eq!(cache.sweep(100), Swept::default());
    clock.advance(secs(10) + GRAIN);
    let swept = cache.sweep(0);
    assert_eq!((swept.expired, swept.more), (0, true));
    let mut expired = 0;
    let mut turns = 0;
    loop {
        let swept = cache.sweep(7);
        assert!(swept.expired <= 7);
        expired += swept.expired;
        turns += 1;
        if !swept.more {
            break;
        }
    }
    assert_eq!((expired, cache.len()), (2_000, 0));
    // Each is looked at once for each level of the wheel at most.
    assert!(turns <= 2_000 * 8 / 7 + 2, "{turns} turns");
    assert_eq!(cache.sweep(100), Swept::default());
    cache.check();
}

#[test]
fn who_sleeps_until_the_next_deadline_misses_none() {
    let clock = ManualClock::new();
    let log = Log::default();
    let cache = Cache::builder(Entries(10_000))
        .shards(3)
        .time_to_live(Duration::MAX)
        .clock(clock.clone())
        .on_departure(log.hear())
        .build()
        .unwrap();
    assert_eq!(cache.next_deadline(), None);
    cache.insert(1_000_000, 0);
    assert_eq!(
        cache.next_deadline(),
        None,
        "what never ends is no deadline"
    );
    for n in 0..1_000_u32 {
        cache.insert_with_ttl(n, n, Duration::from_millis(u64::from(n) * 1_237 + 1));
    }
    let mut naps = 0;
    while let Some(left) = cache.next_deadline() {
        clock.advance(left);
        cache.sweep(usize::MAX);
        naps += 1;
        assert!(naps < 20_000);
    }
    assert_eq!(cache.len(), 1);
    let told = log.take();
    assert_eq!(told.len(), 1_000);
    assert!(
        told.iter().all(|gone| gone.late <= Some(GRAIN)),
        "one came up late"
    );
}

#[test]
fn lateness_and_lives_are_told_and_counted() {
    let clock = ManualClock::new();
    let log = Log::default();
    let cache: Cache<u32, u32, Aged> = builder(&clock, &log, 10)
        .time_to_live(secs(10))
        .record_ages()
        .build()
        .unwrap();
    assert_eq!(cache.stats().ages().map_or(0, |lives| lives.count()), 0);
    cache.insert(1, 1);
    cache.insert(2, 2);
    clock.advance(secs(4));
    cache.remove(&2);
    cache.insert(1, 11);
    clock.advance(secs(13));
    cache.sweep(10);
    let near =
        |span: Option<Duration>| span.map(|span| (span + Duration::from_micros(2)).as_secs());
    let told: Vec<_> = log
        .take()
        .iter()
        .map(|gone| (gone.value, gone.cause, near(gone.late), near(gone.lived)))
        .collect();
    assert_eq!(
        told,
        [
            (2, Cause::Removed, None, Some(4)),
            (1, Cause::Replaced, None, Some(4)),
            (11, Cause::Expired, Some(3), Some(13)),
        ]
    );
    let stats = cache.stats();
    assert_eq!(near(Some(stats.lateness())), Some(3));
    let lives = stats.ages().unwrap();
    assert_eq!(lives.count(), 3);
    assert!(lives.quantile(0.5).unwrap() >= secs(4) && lives.quantile(1.0).unwrap() >= secs(13));
    assert!(lives.iter().all(|(most, _)| most < secs(26)));
    cache.clear();
    cache.check();
    assert!(stats.to_string().contains("late nanoseconds"));
}

// --- panics ------------------------------------------------------------------------

/// Runs a call that is to panic.
fn panics<R>(call: impl FnOnce() -> R) {
    assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
}

#[test]
fn a_listener_that_panics_keeps_no_one_else_from_being_told() {
    let told = Arc::new(AtomicU64::new(0));
    let count = told.clone();
    let clock = ManualClock::new();
    let cache = Cache::builder(Entries(100))
        .time_to_live(secs(1))
        .clock(clock.clone())
        .listener(move |key: &u32, _: &u32, cause| {
            count.fetch_add(u64::from(cause == Cause::Expired), Ordering::Relaxed);
            assert_ne!(key % 3, 0, "the listener's own panic");
        })
        .build()
        .unwrap();
    cache.extend((0..50).map(|n| (n, n)));
    clock.advance(secs(2));
    panics(|| cache.sweep(1_000));
    cache.check();
    while catch_unwind(AssertUnwindSafe(|| cache.sweep(1_000))).is_err() {}
    assert_eq!((cache.len(), told.load(Ordering::Relaxed)), (0, 50));
    cache.insert(0, 0);
    clock.advance(secs(2));
    panics(|| cache.insert(0, 1));
    assert_eq!(cache.get(&0), Some(1), "the new value is in");
    cache.check();
    panics(|| drop(cache));
    assert_eq!(told.load(Ordering::Relaxed), 51);
}

thread_local! {
    static ASKED: Cell<u32> = const { Cell::new(0) };
}

/// Panics at one call in so many.
fn panic_at_one_in(calls: u32) {
    ASKED.set(ASKED.get() + 1);
    assert_ne!(ASKED.get() % calls, 0, "the policy's own panic");
}

/// Panics when it has forgotten, every other time.
struct Forgetless;

impl Aside for Forgetless {
    fn after(call: &str) {
        if call == "forget" {
            panic_at_one_in(2);
        }
    }
    fn is_sound() -> bool {
        false
    }
}

/// Panics when it has named a victim, every third time.
struct Unsure;

impl Aside for Unsure {
    fn after(call: &str) {
        if call == "victim" {
            panic_at_one_in(3);
        }
    }
    fn is_sound() -> bool {
        false
    }
}

#[test]
fn a_policy_that_panics_loses_nothing_that_has_ended() {
    let clock = ManualClock::new();
    let log = Log::default();
    let cache = builder(&clock, &log, 20)
        .policy::<Around<Fifo, Forgetless>>()
        .time_to_live(secs(1))
        .build()
        .unwrap();
    let mut offered = 0;
    let mut told = 0;
    for round in 0..200_u32 {
        for n in 0..10 {
            let insert = || cache.insert(round * 10 + n, n);
            // A panic on the way to its own place: it is told as it is dropped.
            let _ = catch_unwind(AssertUnwindSafe(insert));
            offered += 1;
        }
        clock.advance(secs(2));
        let _ = catch_unwind(AssertUnwindSafe(|| cache.sweep(round as usize % 7)));
        cache.check();
        told += log.take().len();
        assert!(told + cache.len() <= offered);
    }
    while catch_unwind(AssertUnwindSafe(|| cache.sweep(100))).map_or(true, |swept| swept.more) {}
    assert_eq!(cache.len(), 0, "an entry without an item is never found");
    assert_eq!(
        cache.stats().departures(Cause::Expired),
        cache.stats().inserts()
    );
    cache.check();
}

#[test]
fn a_policy_that_panics_over_a_victim_leaves_the_timer_right() {
    let clock = ManualClock::new();
    let log = Log::default();
    let cache = builder(&clock, &log, 20)
        .policy::<Around<Fifo, Unsure>>()
        .time_to_live(secs(100))
        .build()
        .unwrap();
    for n in 0..300 {
        let _ = catch_unwind(AssertUnwindSafe(|| cache.insert(n, n)));
        clock.advance(secs(1));
        cache.check();
    }
    clock.advance(secs(200));
    while cache.sweep(100).more {}
    assert_eq!(cache.len(), 0);
    cache.check();
}

#[test]
fn a_clock_and_a_rule_that_panic_change_nothing() {
    struct Broken(Arc<AtomicUsize>);
    impl Clock for Broken {
        fn now(&self) -> Duration {
            let read = self.0.fetch_add(1, Ordering::Relaxed);
            assert_ne!(read % 3, 2, "the clock's own panic");
            secs(read as u64)
        }
    }
    let dropped = Arc::new(AtomicU64::new(0));
    let mut made = 0;
    let cache = Cache::builder(Entries(100))
        .time_to_live(secs(5))
        .ttl_with(|key: &u32, _: &Counted, _| {
            assert_ne!(key % 5, 4, "the rule's own panic");
            None
        })
        .ttl_on_read(|key: &u32, _: &Counted| {
            assert_ne!(key % 7, 6, "the rule's own panic");
            None
        })
        .clock(Broken(Arc::default()))
        .build()
        .unwrap();
    for n in 0..600_u32 {
        made += 1;
        let value = Counted(dropped.clone());
        let _ = catch_unwind(AssertUnwindSafe(|| cache.insert(n % 50, value)));
        let _ = catch_unwind(AssertUnwindSafe(|| cache.view(&(n % 50), |_, _| ())));
        let _ = catch_unwind(AssertUnwindSafe(|| {
            cache.update(&(n % 11), |_| ()).was_present()
        }));
        let _ = catch_unwind(AssertUnwindSafe(|| cache.sweep(2)));
        if n % 100 == 0 {
            let _ = catch_unwind(AssertUnwindSafe(|| cache.clear()));
            let _ = catch_unwind(AssertUnwindSafe(|| drop(cache.drain())));
        }
        cache.check();
    }
    let resident = cache.len() as u64;
    assert_eq!(dropped.load(Ordering::Relaxed) + resident, made);
    let _ = catch_unwind(AssertUnwindSafe(|| drop(cache)));
    assert_eq!(dropped.load(Ordering::Relaxed), made);
}

// --- the sweeper -------------------------------------------------------------------

/// Longer than any test waits for what is sure to come.
#[test]
fn a_sweeper_takes_out_what_has_ended_and_goes_on_after_a_panic() {
    let _alone = sweepers_alone();
    let (send, gone) = mpsc::channel();
    let send = Mutex::new(send);
    let clock = ManualClock::new();
    let cache = Cache::builder(Entries(100))
        .time_to_live(secs(1))
        .clock(clock.clone())
        .listener(move |key: &u32, _: &u32, cause: Cause| {
            send.lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner())
                .send((*key, cause))
                .unwrap();
            assert_ne!(*key, 1, "the listener's own panic");
        })
        .build()
        .unwrap();
    let cache = Arc::new(cache);
    let sweeper = cache.sweeper(Duration::from_millis(1)).unwrap();
    for key in 0..5 {
        cache.insert(key, key);
        clock.advance(secs(2));
        assert_eq!(gone.recv_timeout(patience()), Ok((key, Cause::Expired)));
    }
    assert_eq!(sweeper.panics(), 1);
    assert_eq!(cache.stats().listener_panics(), 1);
    assert!(format!("{sweeper:?}").contains("panics: 1"));
    sweeper.stop();
    cache.check();
}

#[test]
fn a_sweeper_keeps_no_value_alive_and_ends_with_its_cache() {
    let _alone = sweepers_alone();
    let dropped = Arc::new(AtomicU64::new(0));
    let cache = Cache::builder(Entries(100))
        .time_to_live(secs(3_600))
        .build()
        .unwrap();
    let cache = Arc::new(cache);
    // It would wait for ever.
    let sweeper = cache.sweeper(Duration::MAX).unwrap();
    let other = cache.sweeper(Duration::MAX).unwrap();
    other.detach();
    cache.insert(1, Counted(dropped.clone()));
    drop(cache);
    assert_eq!(dropped.load(Ordering::Relaxed), 1);
    sweeper.stop();
}

#[test]
fn a_sweeper_can_be_stopped_by_the_listener_that_it_runs() {
    let _alone = sweepers_alone();
    let (send, stopped) = mpsc::channel();
    let send = Mutex::new(send);
    let handle = Arc::new(Mutex::new(None::<brimful::Sweeper>));
    let mine = handle.clone();
    let clock = ManualClock::new();
    let cache = Cache::builder(Entries(100))
        .time_to_live(secs(1))
        .clock(clock.clone())
        .listener(move |_: &u32, _: &u32, _| {
            if let Some(sweeper) = mine.lock().unwrap().take() {
                sweeper.stop();
                send.lock().unwrap().send(()).unwrap();
            }
        })
        .build()
        .unwrap();
    let cache = Arc::new(cache);
    let mut held = handle.lock().unwrap();
    cache.insert(1, 1);
    clock.advance(secs(2));
    *held = Some(cache.sweeper(Duration::from_millis(1)).unwrap());
    drop(held);
    assert_eq!(stopped.recv_timeout(patience()), Ok(()));
}

// --- threads ------------------------------------------------------------------------

/// How many steps a random test takes.
fn steps() -> u64 {
    count("BRIMFUL_EXPIRY_OPS", 6_000)
}

#[test]
fn threads_read_nothing_that_had_ended_before_they_asked() {
    let steps = steps();
    let clock = ManualClock::new();
    let told = Arc::new(AtomicU64::new(0));
    let offered = AtomicU64::new(0);
    let count = told.clone();
    // A value is the index of its end, as late as that may be: known once it is stored.
    let ends: Vec<_> = (0..4 * steps).map(|_| AtomicU64::new(u64::MAX)).collect();
    let cache: Cache<u64, u64, Aged> = Cache::builder(Entries(500))
        .shards(4)
        .time_to_live(Duration::MAX)
        .time_to_idle(Duration::from_millis(80))
        .clock(clock.clone())
        .on_departure(move |left: Departed<'_, u64, u64>| {
            assert_eq!(left.cause == Cause::Expired, left.late.is_some());
            count.fetch_add(1, Ordering::Relaxed);
        })
        .build()
        .unwrap();
    std::thread::scope(|scope| {
        for thread in 1..4_u64 {
            let (cache, clock, offered, ends) = (&cache, &clock, &offered, &ends);
            scope.spawn(move || {
                let mut dice = Random(thread);
                for step in 0..steps {
                    let random = dice.next();
                    let key = (random >> 40) % 900;
                    let value = thread * steps + step;
                    let before = clock.now().as_nanos() as u64;
                    match random % 8 {
                        0..=2 => {
                            let life = Duration::from_micros(random >> 20 & 0xFFFF);
                            cache.insert_with_ttl(key, value, life);
                            let end = end_after(clock.now().as_nanos() as u64, life);
                            ends[value as usize].store(end, Ordering::Release);
                            offered.fetch_add(1, Ordering::Relaxed);
                        }
                        3 => done(cache.sweep(5)),
                        4 => done(cache.remove(&key)),
                        5 => clock.advance(Duration::from_micros(30)),
                        _ => {
                            if let Some(value) = cache.get(&key) {
                                let end = ends[value as usize].load(Ordering::Acquire);
                                assert!(end > before, "{end} at {before}");
                            }
                        }
                    }
                    assert!(cache.len() <= 500);
                }
            });
        }
    });
    cache.check();
    assert_eq!(
        told.load(Ordering::Relaxed) + cache.len() as u64,
        offered.load(Ordering::Relaxed)
    );
}

// --- at random ---------------------------------------------------------------------

/// What a cache with room for all must agree with.
#[derive(Clone, Copy, Debug)]
struct Model {
    value: u32,
    end: u64,
    idle_end: u64,
}

const NEVER: u64 = (u64::MAX >> 10) * 1_000;

fn end_after(now: u64, life: Duration) -> u64 {
    let nanos = u64::try_from(life.as_nanos()).unwrap_or(u64::MAX);
    (now.saturating_add(nanos) / 1_000 * 1_000).min(NEVER)
}

/// Random calls against a map that knows the ends, with room for all, so that
/// each answer is known; every departure told once.
fn agrees<P: Policy, F: Expiring>(
    seed: u64,
    with: impl Fn(Builder<u32, u32, P>) -> Builder<u32, u32, F>,
    idle: Option<Duration>,
) {
    let mut random = Random(seed);
    let mut next = || random.next();
    let log = Log::default();
    let clock = ManualClock::new();
    let base = Cache::builder(Entries(1_000))
        .shards(1)
        .policy::<P>()
        .clock(clock.clone())
        .on_departure(log.hear());
    let cache = with(base).build().unwrap();
    let mut model = HashMap::<u32, Model>::new();
    let mut offered = 0_u64;
    let mut told = 0_u64;
    let idle_end = |now: u64| match idle {
        Some(idle) => now + idle.as_nanos() as u64,
        None => NEVER,
    };
    for step in 0..steps() as u32 / 2 {
        let draw = next();
        let key = (draw >> 40) as u32 % 200;
        let now = u64::try_from(clock.now().as_nanos())
            .unwrap()
            .min(NEVER - 1);
        let live = model
            .get(&key)
            .copied()
            .filter(|it| it.end > now && it.idle_end > now);
        let life = Duration::from_nanos(next() >> (next() % 60 + 4));
        match draw % 16 {
            0..=4 => {
                let old = cache.insert_with_ttl(key, step, life);
                assert_eq!(old, live.map(|it| it.value), "insert {key} at {step}");
                offered += 1;
                model.insert(
                    key,
                    Model {
                        value: step,
                        end: end_after(now, life),
                        idle_end: idle_end(now),
                    },
                );
                if life.is_zero() {
                    model.remove(&key);
                }
            }
            5..=7 => {
                assert_eq!(
                    cache.get(&key),
                    live.map(|it| it.value),
                    "get {key} at {step}"
                );
                if let Some(it) = model.get_mut(&key).filter(|_| live.is_some()) {
                    // By a grain more, if at all.
                    let grain = idle.map_or(0, |idle| idle.as_nanos() as u64 / 1024);
                    if it.idle_end < idle_end(now) {
                        it.idle_end = idle_end(now) + grain;
                    }
                }
            }
            8 => assert_eq!(
                cache.peek(&key),
                live.map(|it| it.value),
                "peek {key} at {step}"
            ),
            9 => {
                let left = live.map(|it| match it.end.min(it.idle_end) {
                    NEVER => Duration::MAX,
                    end => Duration::from_nanos(end - now),
                });
                assert_eq!(cache.ttl(&key), left, "ttl {key} at {step}");
            }
            10 => {
                assert_eq!(cache.set_ttl(&key, life), live.is_some());
                if let Some(it) = model.get_mut(&key).filter(|_| live.is_some()) {
                    it.end = if life.is_zero() {
                        0
                    } else {
                        end_after(now, life)
                    };
                }
            }
            11 => {
                assert_eq!(cache.remove(&key), live.map(|it| it.value));
                model.remove(&key);
            }
            12 => done(cache.sweep(draw as usize >> 8 & 15)),
            13 => {
                let live = model
                    .values()
                    .filter(|it| it.end > now && it.idle_end > now);
                let live = live.count();
                assert_eq!((cache.len_live(), cache.iter().count()), (live, live));
            }
            _ => clock.advance(Duration::from_nanos(next() >> (next() % 40 + 24))),
        }
        for gone in log.take() {
            told += 1;
            if gone.cause == Cause::Expired && gone.late != Some(Duration::ZERO) {
                let now = u64::try_from(clock.now().as_nanos())
                    .unwrap()
                    .min(NEVER - 1);
                let it = model.get(&gone.key).filter(|it| it.value == gone.value);
                if let Some(it) = it {
                    assert!(it.end.min(it.idle_end) <= now, "ended before its time");
                }
            }
        }
        if step % 32 == 0 {
            cache.check();
        }
        assert_eq!(
            told + cache.len() as u64,
            offered,
            "told and resident at {step}"
        );
    }
    clock.advance(Duration::from_nanos(NEVER));
    while cache.sweep(1_000).more {}
    cache.check();
    let never = model
        .values()
        .filter(|it| it.end == NEVER && it.idle_end == NEVER);
    assert!(cache.len() >= never.count());
    drop(cache);
    assert_eq!(told + log.take().len() as u64, offered);
}

#[test]
fn a_cache_with_room_agrees_with_a_map_that_knows_the_ends() {
    for seed in 1..4 {
        agrees::<Duel, _>(seed * 77, |b| b.time_to_live(secs(1)), None);
        agrees::<Lru, _>(seed * 78, |b| b.time_to_live(secs(1)), None);
        let idle = Duration::from_millis(700);
        agrees::<Sieve, _>(seed * 79, |b| b.time_to_idle(idle), Some(idle));
        agrees::<Lru, _>(
            seed * 80,
            |b| b.time_to_idle(idle).record_ages(),
            Some(idle),
        );
        agrees::<Gdsf, _>(seed * 81, |b| b.record_ages(), None);
    }
}

/// With evictions the policy decides; what must hold all the same: nothing past
/// its end is read, nothing but the newest value, each value told once.
#[test]
fn a_full_cache_reads_nothing_that_has_ended_and_loses_nothing() {
    fn run<P: Policy>(seed: u64) {
        let mut random = Random(seed);
        let mut next = || random.next();
        let log = Log::default();
        let clock = ManualClock::new();
        let weigh = |_: &u32, value: &u32| u64::from(value % 7);
        let cache = Cache::builder(Weight(300, weigh))
            .shards(3)
            .policy::<P>()
            .time_to_live(secs(5))
            .time_to_idle(secs(2))
            .clock(clock.clone())
            .on_departure(log.hear())
            .build()
            .unwrap();
        let mut newest = HashMap::<u32, (u32, u64)>::new();
        let (mut offered, mut told) = (0_u64, 0_u64);
        let steps = steps() / 3;
        for step in 0..steps as u32 {
            let draw = next();
            let key = (draw >> 40) as u32 % 300;
            let now = clock.now().as_nanos() as u64;
            match draw % 8 {
                0..=3 => {
                    let life = Duration::from_millis(next() % 6_000 + 1);
                    cache.insert_with_ttl(key, step, life);
                    offered += 1;
                    newest.insert(key, (step, end_after(now, life)));
                }
                4..=5 => {
                    if let Some(value) = cache.get(&key) {
                        let (newest, end) = newest[&key];
                        assert!(value == newest && end > now);
                    }
                }
                6 => {
                    let grown = cache.update(&key, |value| *value);
                    if let Updated::Kept(value) = grown {
                        assert_eq!(value, newest[&key].0);
                        newest.insert(key, (value, end_after(now, secs(5))));
                    }
                }
                _ => clock.advance(Duration::from_micros(next() % 40_000)),
            }
            told += log.take().len() as u64;
            assert_eq!(told + cache.len() as u64, offered);
            assert!(cache.weight() <= 300);
            if step % 64 == 0 {
                cache.check();
            }
        }
        let stats = cache.stats();
        for cause in [Cause::Expired, Cause::Evicted] {
            let left = stats.departures(cause);
            assert!(left > steps / 200, "{left} {cause}");
        }
    }
    every_policy!(run, 1);
}

/// The type that a builder without lives has by default.
#[test]
fn a_builder_without_lives_is_of_the_type_it_was() {
    let builder: Builder<u32, u32> = Cache::builder(Entries(1));
    let cache: Cache<u32, u32> = builder.build().unwrap();
    assert_eq!(cache.len(), 0);
}

// --- lives that change while the cache runs -----------------------------------

#[test]
fn the_time_to_live_and_the_age_of_refreshes_change_while_the_cache_runs() {
    let clock = ManualClock::new();
    let build = || {
        Cache::builder(Entries(100))
            .time_to_live(secs(100))
            .ttl_with(|key: &u32, _: &u32, _| (*key == 9).then_some(secs(9)))
            .refresh_after(Duration::MAX)
            .clock(clock.clone())
    };
    let (cache, mut alone) = (build().build().unwrap(), build().build_unsync().unwrap());
    cache.insert(1, 1);
    alone.insert(1, 1);
    cache.set_time_to_live(secs(10));
    alone.set_time_to_live(secs(10));
    for key in [2, 9] {
        cache.insert(key, 0);
        alone.insert(key, 0);
    }
    cache.get_or_insert_with(&3, || 0);
    alone.get_or_insert_with(&3, || 0).unwrap();
    let left = [100, 10, 10, 9].map(|left| Some(secs(left)));
    assert_eq!([1, 2, 3, 9].map(|key| cache.ttl(&key)), left);
    assert_eq!([1, 2, 3, 9].map(|key| alone.ttl(&key)), left);
    clock.advance(secs(5));
    assert_eq!(cache.get_or_insert_with(&1, || unreachable!()), 1);
    cache.set_refresh_after(secs(5));
    alone.set_refresh_after(secs(5));
    assert_eq!(cache.get_or_insert_with(&1, || 2), 2);
    assert_eq!(alone.get_or_insert_with(&1, || 2).unwrap(), &2);
    assert_eq!(cache.stats().refreshes(), 1);
    cache.set_refresh_after(Duration::MAX);
    clock.advance(secs(50));
    assert_eq!(cache.get_or_insert_with(&1, || unreachable!()), 2);
    cache.set_time_to_live(Duration::ZERO);
    assert_eq!(cache.try_insert(4, 4).unwrap_err().reason, Reason::ZeroTtl);
    cache.check();
    alone.check();
}
