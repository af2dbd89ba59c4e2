//! Values that are held elsewhere after they have left: the list.

use brimful::{
    Budget, BuildError, Bytes, Cache, Cause, Clock, Entries, Finding, HeapSize, Held, Lingering,
    ManualClock, Reason, Weighed, Weight, unsync,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

fn lingering(cache: &Cache<u32, Held<u32>>) -> (u64, u64) {
    let lingering = cache.stats().lingering().unwrap();
    (lingering.values, lingering.weight)
}

fn held(n: u32) -> Held<u32> {
    Held::new(n)
}

/// Each row: a way to leave, and with which cause.
#[test]
fn whatever_makes_it_leave_a_held_value_is_on_the_ledger_until_it_is_dropped() {
    type Way = fn(&Cache<u32, Held<u32>>);
    let ways: &[(Way, Cause)] = &[
        (|cache| drop(cache.remove(&1)), Cause::Removed),
        (|cache| drop(cache.insert(1, held(9))), Cause::Replaced),
        (|cache| cache.clear(), Cause::Cleared),
        (|cache| cache.drain().for_each(drop), Cause::Removed),
        (|cache| cache.retain(|_, _| false), Cause::Removed),
        (|cache| cache.set_capacity(Entries(0)), Cause::Evicted),
        (|cache| drop(cache.evict()), Cause::Evicted),
    ];
    for (index, (leave, cause)) in ways.iter().enumerate() {
        let clock = ManualClock::new();
        let cache = Cache::builder(Entries(4))
            .lingering()
            .clock(clock.clone())
            .build()
            .unwrap();
        cache.insert(1, held(7));
        let (kept, other) = (cache.get(&1).unwrap(), cache.get(&1).unwrap());
        assert_eq!(lingering(&cache), (0, 0));
        leave(&cache);
        clock.advance(Duration::from_secs(5));
        assert_eq!(lingering(&cache), (1, 1), "way {index}");
        let [lingerer] = cache.lingering(9)[..] else {
            panic!("one lingers")
        };
        assert_eq!(
            (lingerer.cause, lingerer.holders),
            (*cause, 2),
            "way {index}"
        );
        assert_eq!(lingerer.since, Duration::from_secs(5));
        drop(other);
        assert_eq!((lingering(&cache), *kept), ((1, 1), 7));
        drop(kept);
        assert_eq!(lingering(&cache), (0, 0), "way {index}");
    }
}

#[test]
fn what_nobody_else_holds_is_not_on_the_ledger() {
    let cache = Cache::builder(Entries(10)).lingering().build().unwrap();
    cache.extend((0..100).map(|n| (n, held(n))));
    cache.get(&99);
    drop(cache.remove(&99));
    cache.clear();
    assert_eq!(cache.stats().lingering(), Some(Lingering::default()));
    assert!(cache.lingering(10).is_empty());
}

#[test]
fn the_oldest_come_first_and_weigh_what_they_weighed() {
    let clock = ManualClock::new();
    let cache = Cache::builder(Weight(100, |_: &u32, value: &Held<u32>| u64::from(**value)))
        .lingering()
        .clock(clock.clone())
        .build()
        .unwrap();
    let mut kept = Vec::new();
    for n in 1..=5 {
        cache.insert(n, held(10 * n));
        kept.extend(cache.get(&n));
        cache.remove(&n);
        clock.advance(Duration::from_secs(1));
    }
    let oldest: Vec<_> = cache
        .lingering(2)
        .iter()
        .map(|l| (l.weight, l.since.as_secs()))
        .collect();
    assert_eq!(oldest, [(10, 5), (20, 4)]);
    drop(kept.remove(0));
    let sum = cache.stats().lingering().unwrap();
    assert_eq!(
        (sum.values, sum.weight, sum.oldest),
        (4, 140, Some(Duration::from_secs(4)))
    );
}

#[test]
fn a_ledger_outlives_its_cache_as_long_as_values_do() {
    let cache = Cache::builder(Entries(10)).lingering().build().unwrap();
    cache.insert(1, held(1));
    let kept = cache.get(&1);
    drop(cache);
    assert_eq!(kept.as_deref(), Some(&1));
}

#[test]
fn a_value_of_two_caches_is_on_one_ledger_at_a_time() {
    let build = || Cache::builder(Entries(10)).lingering().build().unwrap();
    let (one, two) = (build(), build());
    let value = held(1);
    one.insert(1, value.clone());
    two.insert(1, value);
    one.clear();
    // The other cache holds it.
    assert_eq!((lingering(&one), lingering(&two)), ((1, 1), (0, 0)));
    two.clear();
    assert_eq!((lingering(&one), lingering(&two)), ((0, 0), (0, 0)));
}

#[test]
fn many_threads_leave_an_empty_ledger() {
    let cache = Arc::new(Cache::builder(Entries(20)).lingering().build().unwrap());
    std::thread::scope(|threads| {
        for thread in 0..4 {
            let cache = &cache;
            threads.spawn(move || {
                let mut kept = Vec::new();
                for n in 0..5_000_u32 {
                    cache.insert((n * 7 + thread) % 60, held(n));
                    kept.extend(cache.get(&(n % 60)));
                    if n % 50 == 0 {
                        kept.clear();
                    }
                }
            });
        }
    });
    assert_eq!(lingering(&cache), (0, 0));
    cache.check();
}

#[test]
fn a_clock_that_panics_loses_nothing() {
    struct Breaks(Arc<AtomicBool>);
    impl Clock for Breaks {
        fn now(&self) -> Duration {
            assert!(!self.0.load(Relaxed), "a clock that panics");
            Duration::ZERO
        }
    }
    let broken = Arc::new(AtomicBool::new(false));
    let cache = Cache::builder(Entries(10))
        .lingering()
        .clock(Breaks(broken.clone()))
        .build()
        .unwrap();
    cache.insert(1, held(1));
    let kept = cache.get(&1);
    broken.store(true, Relaxed);
    assert!(catch_unwind(AssertUnwindSafe(|| cache.remove(&1))).is_err());
    broken.store(false, Relaxed);
    assert!(cache.is_empty());
    drop(kept);
    assert_eq!(lingering(&cache), (0, 0));
    cache.check();
}

#[test]
fn bytes_count_a_held_value_and_a_finding_names_what_lingers() {
    let cache = Cache::builder(Bytes(1 << 20)).lingering().build().unwrap();
    assert!(Held::new(vec![0_u8; 1_000]).heap_size() >= 1_000 + 40);
    let before = cache.stats();
    let mut kept = Vec::new();
    for n in 0..40_u32 {
        cache.insert(n, Held::new(vec![0_u8; 100_000]));
        kept.extend(cache.get(&n));
    }
    let findings = (&cache.stats() - &before).findings();
    let [finding @ Finding::Lingering { values, weight, .. }] = &findings[..] else {
        panic!("{findings:?}")
    };
    assert!(*values >= 30 && *weight > 2.0, "{finding}");
    let mut cache = unsync::Cache::builder(Entries(1))
        .lingering()
        .build_unsync()
        .unwrap();
    cache.insert(1, held(1));
    let kept = cache.get(&1).cloned();
    cache.insert(2, held(2));
    assert_eq!(cache.lingering(1)[0].holders, 1);
    drop(kept);
}

type Rows = Cache<u32, Held<u32>, Weighed>;

/// A cache in a budget of so much, which pays for what lingers too. Values are their weights.
fn paid(budget: &Budget) -> Rows {
    Cache::builder(Weight(u64::MAX, |_: &u32, value: &Held<u32>| {
        u64::from(**value)
    }))
    .lingering_in(budget)
    .build_in(budget.share())
    .unwrap()
}

#[test]
fn what_lingers_takes_room_of_the_budget_until_it_is_dropped() {
    let budget = Budget::weight(100);
    let cache = paid(&budget);
    cache.extend((0..10).map(|n| (n, held(10))));
    let mut kept: Vec<_> = (0..6).map(|n| cache.get(&n).unwrap()).collect();
    for n in 0..6 {
        cache.remove(&n);
    }
    assert_eq!((budget.reserved(), budget.used()), (60, 100));
    assert_eq!(cache.weight(), 40);
    // What comes in takes the place of what is there, and not of what lingers.
    cache.extend((20..40).map(|n| (n, held(10))));
    assert_eq!(
        (budget.reserved(), budget.used(), cache.len()),
        (60, 100, 4)
    );
    let last = kept.pop();
    drop(kept);
    assert_eq!(budget.reserved(), 10);
    cache.extend((20..40).map(|n| (n, held(10))));
    assert_eq!((budget.used(), cache.len()), (100, 9));
    drop(last);
    assert_eq!(budget.reserved(), 0);
    budget.check();
    cache.check();
}

#[test]
fn a_victim_that_is_held_makes_no_room() {
    let budget = Budget::weight(100);
    let cache = paid(&budget);
    cache.extend((0..10).map(|n| (n, held(10))));
    let kept: Vec<_> = (0..10).map(|n| cache.get(&n).unwrap()).collect();
    // Each victim lingers, and what is reserved for it takes the next one out, up to the newcomer.
    let stored = cache.try_insert(10, held(10));
    assert!(stored.is_ok(), "there was room when it came: {stored:?}");
    assert_eq!(cache.weight() + budget.reserved(), 100);
    assert!(!cache.contains_key(&10));
    cache.clear();
    assert_eq!(budget.reserved(), 100);
    let refused = cache.try_insert(11, held(10)).unwrap_err();
    assert_eq!(
        refused.reason,
        Reason::Withheld {
            weight: 10,
            most: 0
        }
    );
    assert_eq!(*refused.value, 10);
    drop(kept);
    assert_eq!(budget.used(), 0);
    assert!(cache.try_insert(11, held(10)).is_ok());
    budget.check();
}

/// A reservation for one victim evicts the next, and so on: a loop, and not a stack.
#[test]
fn a_hundred_thousand_that_are_held_leave_in_a_loop() {
    let budget = Budget::weight(100_000);
    let cache = paid(&budget);
    cache.extend((0..100_000).map(|n| (n, held(1))));
    let kept: Vec<_> = (0..100_000).map(|n| cache.get(&n).unwrap()).collect();
    let last = held(1);
    cache.insert(100_000, last.clone());
    assert_eq!((cache.len(), budget.reserved()), (0, 100_000));
    assert_eq!(cache.stats().lingering().unwrap().weight, 100_001);
    drop(last);
    drop(kept);
    assert_eq!(budget.used(), 0);
    budget.check();
}

#[test]
fn floors_of_others_are_kept_from_what_lingers() {
    let budget = Budget::weight(100);
    let cache = paid(&budget);
    let other = Cache::builder(Weight(100, |_: &u32, weight: &u64| *weight))
        .build_in(budget.share().at_least(50))
        .unwrap();
    cache.extend((0..8).map(|n| (n, held(10))));
    let mut kept: Vec<_> = (0..8).map(|n| cache.get(&n).unwrap()).collect();
    cache.clear();
    // No more than the floor leaves.
    assert_eq!(budget.reserved(), 50);
    other.extend((0..5).map(|n| (n, 10)));
    assert_eq!((other.weight(), budget.used()), (50, 100));
    kept.truncate(4);
    assert_eq!((budget.reserved(), other.weight()), (40, 50));
    budget.check();
}

#[test]
fn a_budget_that_speaks_of_another_unit_is_refused() {
    let budget = Budget::weight(100);
    let bytes = Cache::<u32, Held<u32>>::builder(Bytes(100)).lingering_in(&budget);
    let error = bytes.build_unsync().unwrap_err();
    assert_eq!(error, BuildError::BudgetUnit { in_bytes: true });
}

/// What lingers counts although the cache is no member.
#[test]
fn a_cache_of_one_owner_reserves_what_it_let_go() {
    let budget = Budget::weight(10);
    let weigh = |_: &u32, value: &Held<u32>| u64::from(**value);
    let builder = Cache::builder(Weight(100, weigh)).lingering_in(&budget);
    let mut cache = builder.build_unsync().unwrap();
    cache.insert(1, held(7));
    let kept = cache.get(&1).cloned();
    cache.clear();
    assert_eq!(budget.reserved(), 7);
    drop(cache);
    drop(kept);
    assert_eq!(budget.reserved(), 0);
}

#[test]
fn a_listener_that_panics_while_room_is_made_for_what_lingers_loses_nothing() {
    let budget = Budget::weight(100);
    let cache = paid(&budget);
    let listens = Cache::builder(Weight(100, |_: &u32, weight: &u64| *weight))
        .on_departure(|left| assert_ne!(left.cause, Cause::Evicted, "a listener's"))
        .build_in(budget.share())
        .unwrap();
    cache.extend((0..6).map(|n| (n, held(10))));
    let kept: Vec<_> = (0..6).map(|n| cache.get(&n).unwrap()).collect();
    listens.extend((0..4).map(|n| (n, 10)));
    // It is held too, so the others must give room in the end.
    let last = held(10);
    let left = catch_unwind(AssertUnwindSafe(|| cache.insert(6, last.clone())));
    drop(last);
    let reserved = budget.reserved();
    assert!(left.is_err() && reserved > 0, "{reserved}");
    budget.check();
    drop(kept);
    assert_eq!(budget.reserved(), 0);
    cache.check();
    listens.check();
}

#[test]
fn threads_that_hold_leave_a_budget_as_it_was() {
    let budget = Budget::weight(200);
    let cache = paid(&budget);
    let stop = AtomicBool::new(false);
    std::thread::scope(|threads| {
        let observer = threads.spawn(|| {
            while !stop.load(Relaxed) {
                assert!(budget.used() <= 200);
            }
        });
        let workers: Vec<_> = (0..3_u32)
            .map(|thread| {
                let cache = &cache;
                threads.spawn(move || {
                    let mut kept = Vec::new();
                    for n in 0..4_000_u32 {
                        cache.insert((n * 7 + thread) % 60, held(n % 9 + 1));
                        kept.extend(cache.get(&(n % 60)));
                        if n % 20 == 0 {
                            kept.clear();
                        }
                    }
                })
            })
            .collect();
        workers
            .into_iter()
            .for_each(|worker| worker.join().unwrap());
        stop.store(true, Relaxed);
        observer.join().unwrap();
    });
    assert_eq!(budget.reserved(), 0);
    budget.check();
    cache.check();
}
