//! One decision about one key, in one step: `compute`, and `and_modify` with what follows it.

use crate::world::panics::panic_of;
use crate::world::{count, ends};
use brimful::policy::Lru;
use brimful::{
    Cache, Cause, Computed, Departed, Entries, ManualClock, Next, Reason, Weight, unsync,
};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::scope;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

type Log = Arc<Mutex<Vec<(u32, u64, Cause)>>>;

fn hear(log: &Log) -> impl Fn(Departed<'_, u32, u64>) + Send + Sync + 'static {
    let log = Arc::clone(log);
    move |left| {
        log.lock()
            .unwrap()
            .push((*left.key, *left.value, left.cause))
    }
}

/// What both caches do.
macro_rules! both {
    ($cache:ident, $log:ident, $body:block) => {{
        let builder = || {
            let $log = Log::default();
            let weigh = |_: &u32, value: &u64| *value % 1_000;
            let builder = Cache::builder(Weight(100, weigh)).on_departure(hear(&$log));
            (builder, $log)
        };
        {
            let (builder, $log) = builder();
            let $cache = builder.shards(2).build().unwrap();
            $body
            $cache.check();
        }
        {
            let (builder, $log) = builder();
            let mut $cache = builder.build_unsync().unwrap();
            $body
            $cache.check();
        }
    }};
}

#[test]
fn each_decision_does_what_it_says() {
    both!(cache, log, {
        let told = || std::mem::take(&mut *log.lock().unwrap());
        assert_eq!(cache.compute(1, |_| Next::Keep), Computed::Absent);
        assert_eq!(cache.compute(1, |_| Next::Remove), Computed::Absent);
        let first = cache.compute(1, |found| {
            assert_eq!(found, None);
            Next::Put(10)
        });
        assert_eq!((first, cache.weight()), (Computed::Inserted, 10));
        let kept = cache.compute(1, |found| {
            *found.unwrap() = 20;
            Next::Keep
        });
        assert_eq!((kept, cache.weight(), told()), (Computed::Kept, 20, vec![]));
        // What is put takes the place of what was changed in place before.
        let replaced = cache.compute(1, |found| {
            *found.unwrap() += 1;
            Next::Put(30)
        });
        assert_eq!((replaced, cache.weight()), (Computed::Replaced(21), 30));
        assert_eq!(told(), [(1, 21, Cause::Replaced)]);
        assert_eq!(cache.compute(1, |_| Next::Remove), Computed::Removed(30));
        assert_eq!((cache.weight(), told()), (0, vec![(1, 30, Cause::Removed)]));
        let stats = cache.stats();
        assert_eq!((stats.hits(), stats.misses()), (3, 3));
    });
}

#[test]
fn what_finds_no_room_is_refused_and_an_older_value_goes_too() {
    both!(cache, log, {
        let told = || std::mem::take(&mut *log.lock().unwrap());
        assert_eq!(cache.compute(1, |_| Next::Put(101)), Computed::Refused);
        assert_eq!(told(), [(1, 101, Cause::Refused)]);
        cache.insert(1, 10);
        assert_eq!(cache.compute(1, |_| Next::Put(101)), Computed::Refused);
        assert_eq!(told(), [(1, 10, Cause::Replaced), (1, 101, Cause::Refused)]);
        cache.insert(1, 10);
        let grown = cache.compute(1, |found| {
            *found.unwrap() = 102;
            Next::Keep
        });
        assert_eq!(
            (grown, told()),
            (Computed::Refused, vec![(1, 102, Cause::Refused)])
        );
        assert_eq!((cache.len(), cache.weight()), (0, 0));
        // One of the whole capacity takes all other places, in whatever shards they are.
        (0..50).for_each(|key| _ = cache.insert(key, 2));
        assert_eq!(cache.compute(99, |_| Next::Put(100)), Computed::Inserted);
        assert_eq!((cache.len(), cache.weight(), told().len()), (1, 100, 50));
        assert_eq!(cache.compute(98, |_| Next::Put(1)), Computed::Inserted);
        assert_eq!((cache.len(), cache.weight()), (1, 1));
    });
}

#[test]
fn a_panic_of_the_closure_or_the_weigher_loses_nothing() {
    let log = Log::default();
    let weigh = |_: &u32, value: &u64| match value {
        7 => panic!("the weigher"),
        value => *value,
    };
    let cache = Cache::builder(Weight(100, weigh))
        .on_departure(hear(&log))
        .build()
        .unwrap();
    let told = || std::mem::take(&mut *log.lock().unwrap());
    cache.insert(1, 10);
    let compute = |key, decide: fn(Option<&mut u64>) -> Next<u64>| {
        panic_of(|| _ = cache.compute(key, decide))
    };
    assert_eq!(compute(2, |_| panic!("the closure")), "the closure");
    let changes = |found: Option<&mut u64>| {
        *found.unwrap() = 20;
        panic!("the closure")
    };
    assert_eq!(compute(1, changes), "the closure");
    assert_eq!(
        (cache.peek(&1), cache.weight(), told()),
        (Some(20), 20, vec![])
    );
    assert_eq!(compute(2, |_| Next::Put(7)), "the weigher");
    assert_eq!(told(), [(2, 7, Cause::Refused)]);
    assert_eq!(compute(1, |_| Next::Put(7)), "the weigher");
    assert_eq!(
        (cache.peek(&1), told()),
        (Some(20), vec![(1, 7, Cause::Refused)])
    );
    cache.check();
}

#[test]
fn what_is_put_begins_a_life_and_what_is_kept_goes_on_with_its_own() {
    let clock = ManualClock::new();
    let build = || {
        Cache::builder(Entries(10))
            .time_to_live(SECOND * 10)
            .ttl_with(|_: &u32, value: &u64, _| (*value == 0).then_some(Duration::ZERO))
            .clock(clock.clone())
    };
    let cache = build().build().unwrap();
    cache.insert_with_ttl(1, 1, SECOND * 60);
    cache.insert(2, 2);
    clock.advance(SECOND * 4);
    let add = |found: Option<&mut u64>| {
        *found.unwrap() += 1;
        Next::Keep
    };
    assert_eq!(
        (cache.compute(1, add), cache.ttl(&1)),
        (Computed::Kept, Some(SECOND * 56))
    );
    assert_eq!(cache.compute(2, |_| Next::Put(3)), Computed::Replaced(2));
    assert_eq!(cache.ttl(&2), Some(SECOND * 10));
    assert_eq!(
        cache.compute(1, |_| Next::Put(0)),
        Computed::Refused,
        "no time to live"
    );
    assert_eq!(cache.get(&1), None);
    // What has expired is not there.
    clock.advance(SECOND * 10);
    let decided = cache.compute(2, |found| {
        assert_eq!(found, None);
        Next::Put(4)
    });
    assert_eq!(decided, Computed::Inserted);
    assert_eq!(cache.stats().departures(Cause::Expired), 2);
    cache.check();
}

/// In a cache of entries a put finds room in whatever shard there is some.
#[test]
fn a_put_finds_room_wherever_it_is() {
    for shards in [1, 2, 7] {
        for capacity in [1, 3, 10] {
            let cache = Cache::<u32, u64>::builder(Entries(capacity))
                .shards(shards)
                .build()
                .unwrap();
            for key in 0..100 {
                assert_eq!(cache.compute(key, |_| Next::Put(1)), Computed::Inserted);
                assert_eq!(cache.len(), capacity.min(key as usize + 1));
                assert_eq!(cache.peek(&key), Some(1));
            }
            cache.check();
        }
    }
    let none = Cache::<u32, u64>::builder(Entries(0))
        .shards(3)
        .build()
        .unwrap();
    assert_eq!(none.compute(1, |_| Next::Put(1)), Computed::Refused);
    none.check();
}

/// Eight hundred thousand increments by `and_modify` and `or_insert` lost up to twelve.
#[test]
fn fault_126_no_increment_is_lost() {
    const KEYS: u32 = 16;
    ends(|| {
        for capacity in [3, 1_000] {
            for by_entry in [false, true] {
                let evicted = Arc::new(AtomicU64::new(0));
                let left = Arc::clone(&evicted);
                let cache = Cache::builder(Entries(capacity))
                    .policy::<Lru>()
                    .shards(2)
                    .on_departure(move |gone: Departed<'_, u32, u64>| {
                        if gone.cause != Cause::CacheDropped {
                            assert_eq!(gone.cause, Cause::Evicted);
                            left.fetch_add(*gone.value, SeqCst);
                        }
                    })
                    .build()
                    .unwrap();
                let rounds = count("BRIMFUL_INCREMENTS", 20_000);
                scope(|scope| {
                    for thread in 0..4_u32 {
                        let cache = &cache;
                        scope.spawn(move || {
                            for round in 0..rounds as u32 {
                                let key =
                                    round.wrapping_mul(2_654_435_761).wrapping_add(thread) % KEYS;
                                if by_entry {
                                    let n = cache.entry(key).and_modify(|n| *n += 1).or_insert(1);
                                    assert!(n > 0);
                                    continue;
                                }
                                let done = cache.compute(key, |found| match found {
                                    Some(n) => {
                                        *n += 1;
                                        Next::Keep
                                    }
                                    None => Next::Put(1),
                                });
                                assert!(done.is_present(), "{done:?}");
                            }
                        });
                    }
                });
                let resident: u64 = cache.values().sum();
                assert_eq!(resident + evicted.load(SeqCst), 4 * rounds, "of {capacity}");
                cache.check();
            }
        }
    });
}

/// Between `and_modify`, which finds nothing, and `or_insert` another thread inserts.
#[test]
fn what_another_thread_inserts_meanwhile_is_changed() {
    let cache = Cache::<&str, u32>::new(10);
    let modified = cache.entry("a").and_modify(|n| *n += 1);
    cache.insert("a", 10);
    assert_eq!((modified.or_insert(1), cache.get("a")), (11, Some(11)));
    let modified = cache.entry("b").and_modify(|n| *n += 1);
    let made = modified.or_insert_with(|| {
        cache.insert("b", 20);
        1
    });
    assert_eq!((made, cache.get("b")), (21, Some(21)));
    // What was changed is answered, though it has left since.
    let modified = cache.entry("a").and_modify(|n| *n += 1);
    cache.remove("a");
    assert_eq!((modified.or_insert(1), cache.get("a")), (12, None));
    assert_eq!(cache.entry("c").and_modify(|n| *n += 1).or_default(), 0);
    cache.check();
}

/// A load in flight is not stored over what was put, nor after the key was removed, though it was
/// not there.
#[test]
fn a_load_in_flight_is_detached_by_what_is_put_or_removed() {
    type Decide = fn(Option<&mut u64>) -> Next<u64>;
    let decisions: [(Decide, Computed<u64>, Option<u64>); 3] = [
        (|_| Next::Keep, Computed::Absent, Some(1)),
        (|_| Next::Put(2), Computed::Inserted, Some(2)),
        (|_| Next::Remove, Computed::Absent, None),
    ];
    for (decide, decided, left) in decisions {
        let cache = Cache::<u32, u64>::new(10);
        let loaded = cache.get_or_insert_with(&1, || {
            assert_eq!(cache.compute(1, decide), decided);
            1
        });
        assert_eq!((loaded, cache.get(&1)), (1, left));
        cache.check();
    }
}

/// A refusal is told with the reason for which it was decided, though the capacity changes.
#[test]
fn fault_134_a_refusal_is_told_as_it_was_decided() {
    ends(|| {
        let causes = Arc::new(Mutex::new(HashMap::<Cause, u64>::new()));
        let heard = Arc::clone(&causes);
        let cache = Cache::builder(Weight(10, |_: &u32, weight: &u64| *weight))
            .on_departure(move |left| *heard.lock().unwrap().entry(left.cause).or_default() += 1)
            .build()
            .unwrap();
        let over = AtomicBool::new(false);
        scope(|scope| {
            scope.spawn(|| {
                while !over.load(SeqCst) {
                    for capacity in [10, 1_000] {
                        cache.set_capacity(brimful::Units(capacity));
                    }
                }
            });
            let mut refused = 0;
            for _ in 0..count("BRIMFUL_REFUSALS", 20_000) {
                if let Err(error) = cache.try_insert(1, 500) {
                    assert_eq!(
                        error.reason,
                        Reason::TooHeavy {
                            weight: 500,
                            capacity: 10
                        }
                    );
                    refused += 1;
                }
            }
            over.store(true, SeqCst);
            assert!(refused > 0);
            assert_eq!(cache.stats().departures(Cause::Refused), refused);
        });
        assert_eq!(causes.lock().unwrap().get(&Cause::Expired), None);
        cache.check();
    });
}

#[test]
fn a_cache_for_one_owner_computes_likewise() {
    let mut cache = unsync::Cache::<&str, Vec<u32>>::new(2);
    for n in 0..3 {
        let _ = cache.compute("a", |list| match list {
            None => Next::Put(vec![n]),
            Some(list) => {
                list.push(n);
                Next::Keep
            }
        });
    }
    assert_eq!(cache.get("a"), Some(&vec![0, 1, 2]));
    assert_eq!(
        cache.compute("a", |_| Next::Remove),
        Computed::Removed(vec![0, 1, 2])
    );
    cache.check();
}
