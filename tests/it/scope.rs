//! Scopes, classes and lines of code: entries that know where they come from.

use crate::world::random::Random;
use brimful::policy::{Fifo, Lru};
use brimful::{BuildError, Cache, Cause, Entries, ManualClock, Snapshot, Tracked, Weight, unsync};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

fn cache(entries: usize) -> Cache<u32, u32, Tracked> {
    Cache::builder(Entries(entries)).tracked().build().unwrap()
}

fn scoped(stats: &Snapshot) -> (u64, u64) {
    let scopes = stats.scopes().unwrap();
    (scopes.open, scopes.entries)
}

#[test]
fn what_a_scope_stored_leaves_with_it_and_nothing_else() {
    let cache = cache(100);
    cache.insert(1, 1);
    let scope = cache.scope();
    scope.insert(2, 2);
    scope.insert(3, 3);
    cache.insert(4, 4);
    assert_eq!(scoped(&cache.stats()), (1, 2));
    drop(scope);
    let mut keys: Vec<u32> = cache.keys().collect();
    keys.sort_unstable();
    assert_eq!(keys, [1, 4]);
    assert_eq!(cache.stats().departures(Cause::ScopeEnded), 2);
    assert_eq!(scoped(&cache.stats()), (0, 0));
    cache.check();
}

/// Each row: what another call does to the key meanwhile, and whether an entry is left.
#[test]
fn only_this_generation_leaves() {
    type Meanwhile = fn(&Cache<u32, u32, Tracked>);
    let table: &[(&str, Meanwhile, Option<u32>)] = &[
        ("nothing", |_| (), None),
        (
            "replaced",
            |cache| {
                cache.insert(1, 9);
            },
            Some(9),
        ),
        (
            "removed and stored again",
            |cache| {
                cache.remove(&1);
                cache.insert(1, 9);
            },
            Some(9),
        ),
        (
            "changed in place",
            |cache| {
                let _ = cache.update(&1, |value| *value = 9);
            },
            None,
        ),
        (
            "cleared and stored again",
            |cache| {
                cache.clear();
                cache.insert(1, 9);
            },
            Some(9),
        ),
        (
            "taken by another scope, that is kept",
            |cache| {
                cache.insert_scoped(1, 9).unwrap().keep();
            },
            Some(9),
        ),
        (
            "stored by compute",
            |cache| {
                let _ = cache.compute(1, |_| brimful::Next::Put(9));
            },
            Some(9),
        ),
        (
            "taken over by a load",
            |cache| {
                cache.remove(&1);
                cache.get_or_insert_with(&1, || 9);
            },
            Some(9),
        ),
        (
            "read by a load",
            |cache| {
                let _ = cache.get_or_insert_with(&1, || 9);
            },
            None,
        ),
    ];
    for (what, meanwhile, left) in table {
        let cache = cache(100);
        let scope = cache.scope();
        scope.insert(1, 1);
        meanwhile(&cache);
        drop(scope);
        assert_eq!(cache.peek(&1), *left, "{what}");
        assert_eq!(scoped(&cache.stats()), (0, 0), "{what}");
        cache.check();
    }
}

#[test]
fn a_scope_ends_at_return_at_a_question_mark_at_a_panic_and_with_a_cancelled_future() {
    let cache = Arc::new(cache(100));
    let fails = || -> Result<(), std::num::ParseIntError> {
        let scope = cache.scope();
        scope.insert(1, "one".parse()?);
        Ok(())
    };
    assert!(fails().is_err());
    let panics = catch_unwind(AssertUnwindSafe(|| {
        let scope = cache.scope();
        scope.insert(2, 2);
        resume_unwind(Box::new("on the way"));
    }));
    assert!(panics.is_err());
    let owned = cache.scope_owned();
    let mut task = Box::pin(async move {
        owned.insert(3, 3);
        std::future::pending::<()>().await;
    });
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(task.as_mut().poll(&mut context).is_pending());
    assert_eq!(cache.len(), 1);
    drop(task);
    assert!(cache.is_empty());
    assert_eq!(scoped(&cache.stats()), (0, 0));
    assert_eq!(cache.stats().departures(Cause::ScopeEnded), 2);
}

#[test]
fn what_a_scope_remembers_is_bounded_by_what_it_holds() {
    let told = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&told);
    let cache: Cache<u32, u32, Tracked<Fifo>> = Cache::builder(Entries(10))
        .policy::<Fifo>()
        .tracked()
        .listener(move |_: &u32, _: &u32, cause: Cause| {
            count.fetch_add(u64::from(cause == Cause::ScopeEnded), Relaxed);
        })
        .build()
        .unwrap();
    let scope = cache.scope();
    for n in 0..100_000 {
        scope.insert(n % 2, n);
        scope.insert(n, n);
    }
    let shown = format!("{scope:?}");
    let hashes = shown
        .split("hashes: ")
        .nth(1)
        .and_then(|rest| rest.split(',').next());
    let hashes: usize = hashes.and_then(|hashes| hashes.parse().ok()).unwrap();
    assert!(hashes <= 64, "{shown}");
    drop(scope);
    assert_eq!((told.load(Relaxed), cache.len()), (10, 0));
    cache.check();
}

#[test]
fn a_refused_value_and_one_without_a_life_leave_nothing_behind() {
    let cache = Cache::builder(Weight(10, |_: &u32, weight: &u32| u64::from(*weight)))
        .tracked()
        .time_to_live(Duration::from_secs(9))
        .build()
        .unwrap();
    let scope = cache.scope();
    scope.insert(1, 4);
    assert!(scope.try_insert(1, 11).is_err());
    assert!(cache.insert_scoped(2, 11).is_err());
    assert_eq!(scoped(&cache.stats()), (1, 0));
    drop(scope);
    assert_eq!(scoped(&cache.stats()), (0, 0));
    cache.check();
}

#[test]
fn an_entry_that_has_expired_leaves_a_scope_as_expired() {
    let clock = ManualClock::new();
    let cache = Cache::builder(Entries(10))
        .time_to_live(Duration::from_secs(1))
        .clock(clock.clone())
        .tracked()
        .build()
        .unwrap();
    let scope = cache.scope();
    scope.insert(1, 1);
    clock.advance(Duration::from_secs(2));
    assert_eq!(
        cache.stats().scopes().unwrap().oldest,
        Some(Duration::from_secs(2))
    );
    drop(scope);
    let stats = cache.stats();
    assert_eq!(stats.departures(Cause::Expired), 1);
    assert_eq!(stats.departures(Cause::ScopeEnded), 0);
    assert_eq!(stats.scopes().unwrap().oldest, None);
}

/// A guard that drops during a panic, inside of a closure under a lock, must not abort.
#[test]
fn a_guard_that_drops_where_no_call_is_allowed_panics_once() {
    let cache = cache(10);
    cache.insert(1, 1);
    let scope = cache.scope();
    scope.insert(2, 2);
    let inside = catch_unwind(AssertUnwindSafe(|| cache.view(&1, move |_, _| drop(scope))));
    assert!(inside.is_err());
    let scope = cache.scope();
    scope.insert(3, 3);
    let unwinding = catch_unwind(AssertUnwindSafe(|| {
        cache.view(&1, move |_, _| {
            let _scope = scope;
            resume_unwind(Box::new("on the way"));
        })
    }));
    assert!(unwinding.is_err());
    // Both are as if they were forgotten.
    assert_eq!(scoped(&cache.stats()), (2, 2));
    cache.check();
}

#[test]
fn a_listener_that_panics_at_the_end_of_a_scope_keeps_nothing_from_leaving() {
    let cache: Cache<u32, u32, Tracked> = Cache::builder(Entries(10))
        .tracked()
        .listener(|_: &u32, _: &u32, cause: Cause| assert_ne!(cause, Cause::ScopeEnded))
        .build()
        .unwrap();
    let scope = cache.scope();
    for n in 0..5 {
        scope.insert(n, n);
    }
    assert!(catch_unwind(AssertUnwindSafe(|| drop(scope))).is_err());
    assert!(cache.is_empty());
    assert_eq!(cache.stats().listener_panics(), 5);
    assert_eq!(scoped(&cache.stats()), (0, 0));
}

#[test]
fn scopes_of_many_threads_leave_what_is_not_theirs() {
    let cache: Cache<u32, u32, Tracked> = Cache::builder(Entries(500)).tracked().build().unwrap();
    std::thread::scope(|threads| {
        for thread in 0..4_u32 {
            let cache = &cache;
            threads.spawn(move || {
                for round in 0..300 {
                    let scope = cache.scope();
                    for n in 0..20 {
                        scope.insert(n * 4 + thread, round);
                        scope.insert(1_000 + n, thread);
                    }
                    cache.insert(2_000 + thread, round);
                }
            });
        }
    });
    let stats = cache.stats();
    assert_eq!(scoped(&stats), (0, 0));
    // A shared key's last value may be another's scope, which has ended: all of them have.
    let mut keys: Vec<u32> = cache.keys().collect();
    keys.sort_unstable();
    assert!(keys.iter().all(|&key| key >= 2_000), "{keys:?}");
    cache.check();
}

/// Classes by name: entries and weight.
fn by_class(stats: &Snapshot) -> Vec<(u64, u64)> {
    let flows = stats
        .classes()
        .map(|(_, flow)| (flow.entries(), flow.weight()));
    flows.collect()
}

/// All that can happen to entries at random, and what is counted of classes against a walk.
#[test]
fn classes_count_what_is_there_whatever_happens() {
    let mut random = Random::new(0);
    let clock = ManualClock::new();
    let cache = Cache::builder(Weight(300, |_: &u32, weight: &u32| u64::from(*weight)))
        .policy::<Lru>()
        .time_to_live(Duration::from_millis(50))
        .clock(clock.clone())
        .classes(["a", "b", "c"], |key: &u32, _| *key as usize % 4)
        .record_callers()
        .build()
        .unwrap();
    for _ in 0..20_000 {
        let (key, weight) = (random.below(60) as u32, random.below(40) as u32);
        match random.below(14) {
            0..=4 => {
                let _ = cache.insert(key, weight);
            }
            5 => {
                let _ = cache.insert(key, 301);
            }
            6 => {
                let _ = cache.remove(&key);
            }
            7 => {
                let _ = cache.update(&key, |value| *value = weight);
            }
            8 => {
                let _ = cache.get_or_insert_with(&key, || weight);
            }
            9 => clock.advance(Duration::from_millis(u64::from(weight) / 4)),
            10 => {
                let _ = cache.compute(key, |_| brimful::Next::Put(weight));
            }
            11 => cache.retain(|&key, value| key % 7 > 0 || *value > 5),
            12 if weight == 0 => cache.clear(),
            12 => {
                let _ = cache.insert_scoped(key, weight);
            }
            _ => {
                let _ = cache.sweep(3);
            }
        }
    }
    cache.check();
    let stats = cache.stats();
    let classes = by_class(&stats);
    assert_eq!(classes.len(), 3);
    let entries: u64 = classes.iter().map(|class| class.0).sum();
    let weight: u64 = classes.iter().map(|class| class.1).sum();
    assert_eq!((entries, weight), (stats.len(), stats.weight()));
    for cause in Cause::ALL {
        let counted: u64 = stats
            .classes()
            .map(|(_, flow)| flow.departures(cause))
            .sum();
        assert_eq!(counted, stats.departures(cause), "{cause}");
    }
    let inserts: u64 = stats.classes().map(|(_, flow)| flow.inserts()).sum();
    assert_eq!(inserts, stats.inserts());
    // Five lines store something: two inserts, a load, a compute and a scope.
    assert_eq!(
        stats.callers().count(),
        5,
        "{:?}",
        stats.callers().collect::<Vec<_>>()
    );
    assert!(stats.callers().all(|(line, _)| line.file() == file!()));
}

#[test]
fn classes_need_names() {
    let none = Cache::<u32, u32>::builder(Entries(1))
        .classes([""; 0], |_, _| 0)
        .build();
    assert_eq!(none.unwrap_err(), BuildError::Classes { asked: 0 });
    let many = Cache::<u32, u32>::builder(Entries(1))
        .classes(["n"; 257], |_, _| 0)
        .build_unsync();
    assert_eq!(many.unwrap_err(), BuildError::Classes { asked: 257 });
}

#[test]
fn an_unsync_cache_counts_by_class_and_by_line() {
    let mut cache = unsync::Cache::builder(Entries(3))
        .classes(["even", "odd"], |key: &u32, _: &u32| *key as usize % 2)
        .record_callers()
        .build_unsync()
        .unwrap();
    cache.extend([(1, 1), (2, 2), (3, 3)]);
    cache.entry(5).or_insert(5).unwrap();
    cache.insert(7, 7);
    let stats = cache.stats();
    let entries: u64 = by_class(&stats).iter().map(|class| class.0).sum();
    assert_eq!((entries, stats.callers().count()), (3, 3));
    assert_eq!(stats.class("odd").unwrap().inserts(), 4);
    assert!(stats.callers().all(|(line, _)| line.file() == file!()));
    cache.check();
}

#[test]
fn what_a_scope_loads_ends_with_it_and_what_it_finds_does_not() {
    let cache = Cache::<u32, u32, _>::builder(Entries(100))
        .record_callers()
        .build()
        .unwrap();
    cache.insert(1, 1);
    let scope = cache.scope();
    assert_eq!(scope.get_or_insert_with(&1, || unreachable!()), 1);
    assert_eq!(scope.get_or_insert_with(&2, || 2), 2);
    assert_eq!(
        scope
            .load(&3)
            .with(|| Err::<u32, _>("no route"))
            .unwrap_err()
            .into_failed(),
        Some("no route")
    );
    let loaded = scope.load(&4).future(async { Ok::<_, ()>(4) });
    assert_eq!(pollster::block_on(loaded), Ok(4));
    match scope.load(&5).begin().unwrap() {
        brimful::Begun::Lead(lead) => assert_eq!(lead.insert(5), 5),
        brimful::Begun::Value(_) => unreachable!(),
    }
    assert_eq!(scoped(&cache.stats()), (1, 3));
    assert_eq!(cache.stats().callers().count(), 4);
    drop(scope);
    assert_eq!(cache.keys().collect::<Vec<_>>(), [1]);
    cache.check();
}

/// A scope's load that another call's write detaches is not stored, and so does not leave.
#[test]
fn a_load_of_a_scope_that_is_overtaken_stores_nothing() {
    let cache = cache(100);
    let scope = cache.scope();
    let loaded = scope.get_or_insert_with(&1, || {
        cache.insert(1, 9);
        1
    });
    drop(scope);
    assert_eq!((loaded, cache.get(&1)), (1, Some(9)));
}

/// Two requests share one load; it ends with the one that ran it.
#[test]
fn one_load_for_two_scopes_ends_with_its_leader() {
    let cache = cache(100);
    let (one, two) = (cache.scope(), cache.scope());
    assert_eq!(one.get_or_insert_with(&1, || 7), 7);
    assert_eq!(two.get_or_insert_with(&1, || unreachable!()), 7);
    drop(two);
    assert_eq!(cache.get(&1), Some(7));
    drop(one);
    assert!(cache.is_empty());
}

/// Whose an entry is in a naive model: nobody's, or a scope's.
type Owned = std::collections::HashMap<u32, (u32, Option<u64>)>;

/// Scopes that open, store, are kept and end at random, beside all else that writes, against a map
/// that says of each entry whose it is. No capacity is in the way, so nothing else leaves.
#[test]
fn scopes_agree_with_a_naive_model_whatever_happens() {
    let mut random = Random::new(0);
    let cache = cache(1_000);
    let mut model = Owned::new();
    let mut open: Vec<(u64, brimful::Scope<&_>)> = Vec::new();
    let (mut next, mut ended) = (0, 0);
    for step in 0..30_000 {
        let (key, value) = (random.below(80) as u32, step);
        let pick = random.below(open.len().max(1) as u64) as usize;
        match random.below(16) {
            0 if open.len() < 12 => {
                open.push((next, cache.scope()));
                next += 1;
            }
            1 if !open.is_empty() => {
                let (number, scope) = open.swap_remove(pick);
                drop(scope);
                let before = model.len();
                model.retain(|_, (_, owner)| *owner != Some(number));
                ended += (before - model.len()) as u64;
            }
            2 if !open.is_empty() => {
                let (number, scope) = open.swap_remove(pick);
                scope.keep();
                let of_scope = model
                    .values_mut()
                    .filter(|(_, owner)| *owner == Some(number));
                of_scope.for_each(|(_, owner)| *owner = None);
            }
            3..=7 if !open.is_empty() => {
                let (number, scope) = &open[pick];
                let old = scope.insert(key, value);
                let before = model.insert(key, (value, Some(*number)));
                assert_eq!(old, before.map(|(value, _)| value));
            }
            8..=9 if !open.is_empty() => {
                let (number, scope) = &open[pick];
                let there = model.entry(key).or_insert((value, Some(*number)));
                assert_eq!(scope.get_or_insert_with(&key, || value), there.0);
            }
            10..=11 => {
                cache.insert(key, value);
                model.insert(key, (value, None));
            }
            12 => {
                // A change in place leaves an entry whose it is.
                let _ = cache.update(&key, |there| *there = value);
                if let Some((there, _)) = model.get_mut(&key) {
                    *there = value;
                }
            }
            13 => {
                let removed = model.remove(&key).map(|(value, _)| value);
                assert_eq!(cache.remove(&key), removed);
            }
            14 if step % 50 == 0 => {
                cache.clear();
                model.clear();
            }
            _ => assert_eq!(cache.get(&key), model.get(&key).map(|&(value, _)| value)),
        }
        if step % 64 == 0 {
            let mut there: Vec<_> = cache.iter().collect();
            let mut expected: Vec<_> = model
                .iter()
                .map(|(&key, &(value, _))| (key, value))
                .collect();
            there.sort_unstable();
            expected.sort_unstable();
            assert_eq!(there, expected, "step {step}");
            let owned = model.values().filter(|(_, owner)| owner.is_some()).count();
            let stats = cache.stats();
            assert_eq!(
                scoped(&stats),
                (open.len() as u64, owned as u64),
                "step {step}"
            );
            assert_eq!(stats.departures(Cause::ScopeEnded), ended);
        }
    }
    assert!(ended > 1_000, "{ended}");
    drop(open);
    cache.check();
}
