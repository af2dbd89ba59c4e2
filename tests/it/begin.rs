//! Loads that begin with a guard: `Load::begin` and its relatives.

use crate::world::flights::{Gate, Task, block_on, go};
use crate::world::panics::{panic_of, stop};
use crate::world::{ends, until};
use brimful::{Begun, Cache, Cause, Entries, Form, Lead, LoadError, ManualClock, RandomState};
use std::convert::Infallible;
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::time::Duration;

type Answer<'a, F> = Result<Begun<'a, u32, u64, F, RandomState>, LoadError<Infallible>>;

/// The lead, which is expected.
fn lead<'a, F: Form>(answer: Answer<'a, F>) -> Lead<'a, u32, u64, F, RandomState> {
    match answer {
        Ok(Begun::Lead(lead)) => lead,
        other => panic!("the lead was expected, not {other:?}"),
    }
}

/// The value, which is expected.
fn value<F: Form>(answer: Answer<'_, F>) -> u64 {
    match answer {
        Ok(Begun::Value(value)) => value,
        other => panic!("the value was expected, not {other:?}"),
    }
}

fn cache() -> Arc<Cache<u32, u64>> {
    Arc::new(Cache::new(100))
}

#[test]
fn a_value_that_is_there_or_the_right_to_load_it() {
    let cache = cache();
    let guard = lead(cache.load(&1).begin());
    assert_eq!((guard.key(), cache.get(&1)), (&1, None));
    assert_eq!(guard.insert(7), 7);
    assert_eq!(value(cache.load(&1).begin()), 7);
    assert_eq!(value(block_on(cache.load(&1).begin_async())), 7);
    // A value that does not count is there while another is loaded.
    let guard = lead(cache.load(&1).valid_if(&|_| false).begin());
    assert_eq!(cache.get(&1), Some(7));
    guard.insert(8);
    let stats = cache.stats();
    assert_eq!(
        (cache.get(&1), stats.loads(), stats.load_failures()),
        (Some(8), 2, 0)
    );
    assert_eq!((stats.hits(), stats.misses()), (4, 2));
    cache.check();
}

#[test]
fn those_who_wait_get_what_the_guard_brings() {
    ends(|| {
        let cache = cache();
        let guard = lead(cache.load(&1).begin());
        let threads: Vec<_> = (0..3)
            .map(|n| {
                go(&cache, move |cache| match n {
                    0 => cache.get_or_insert_with(&1, || unreachable!("it is being loaded")),
                    1 => value(cache.load(&1).begin()),
                    _ => value(cache.load(&1).begin_within(Duration::from_secs(60))),
                })
            })
            .collect();
        let mut task = Task::new(cache.load(&1).begin_async());
        assert!(task.waits());
        until(|| cache.stats().load_waits() == 4);
        guard.insert(7);
        assert!(task.rang());
        assert_eq!(value(task.end()), 7);
        for thread in threads {
            assert_eq!(thread.join().unwrap(), 7);
        }
        cache.check();
    });
}

/// In a thread, in a task, and while unwinding.
#[test]
fn a_guard_that_is_dropped_hands_over() {
    ends(|| {
        let cache = cache();
        let mut guard = lead(cache.load(&1).begin());
        for round in 1..=3_u64 {
            let next = go(&cache, |cache| drop(lead(cache.load(&1).begin())));
            until(|| cache.stats().load_waits() == 2 * round - 1);
            let mut task = Task::new(cache.load(&1).begin_async());
            assert!(task.waits());
            if round == 2 {
                let fails = panic_of(move || {
                    let _guard = guard;
                    stop()
                });
                assert_eq!(fails, "on purpose");
            } else {
                drop(guard);
            }
            next.join().unwrap();
            assert!(task.rang());
            guard = lead(task.end());
        }
        drop(guard);
        assert_eq!(cache.stats().load_failures(), 7);
        assert_eq!(cache.get_or_insert_with(&1, || 7), 7);
        cache.check();
    });
}

/// One that waits and is dropped, and one to whom the lead was passed and that is dropped.
#[test]
fn a_task_that_is_cancelled_strands_nobody() {
    let cache = cache();
    let guard = lead(block_on(cache.load(&1).begin_async()));
    let mut tasks = [(); 3].map(|()| Task::new(cache.load(&1).begin_async()));
    assert!(tasks.iter_mut().all(Task::waits));
    let [waits, passed, last] = &mut tasks;
    waits.cancel();
    drop(guard);
    assert!(passed.rang() && !last.rang());
    passed.cancel();
    assert!(last.rang());
    lead(last.end()).insert(5);
    assert_eq!(cache.get(&1), Some(5));
    cache.check();
}

#[test]
fn what_is_loaded_while_the_key_is_written_is_handed_out_and_not_stored() {
    type Write = fn(&Cache<u32, u64>);
    let writes: [(Write, Option<u64>); 5] = [
        (|c| _ = c.insert(1, 50), Some(50)),
        (|c| _ = c.remove(&1), None),
        (|c| c.clear(), None),
        (|c| c.retain(|_, _| true), None),
        (
            |c| _ = block_on(c.compute_async(&2, |_| async { brimful::Next::Put(1) })),
            Some(7),
        ),
    ];
    for (write, left) in writes {
        let cache = cache();
        let guard = lead(cache.load(&1).begin());
        let mut waiter = Task::new(cache.get_or_insert_async(&1, async { 9 }));
        assert!(waiter.waits());
        write(&cache);
        assert_eq!(guard.insert(7), 7);
        assert_eq!((waiter.end(), cache.get(&1)), (7, left));
        cache.check();
    }
}

/// A thread that holds a guard is told when it would wait for itself, by whatever call.
#[test]
fn a_thread_that_holds_a_guard_and_asks_for_its_key_is_told() {
    ends(|| {
        let cache = cache();
        let first = lead(cache.load(&1).begin());
        let second = lead(cache.load(&2).begin());
        for key in [1, 2] {
            assert!(matches!(cache.load(&key).begin(), Err(LoadError::Cycle)));
            let within = cache.load(&key).begin_within(Duration::MAX);
            assert!(matches!(within, Err(LoadError::Cycle)));
            let load = cache.load(&key).with(|| Ok::<_, ()>(9));
            assert_eq!(load, Err(LoadError::Cycle));
        }
        let told = panic_of(|| _ = cache.get_or_insert_with(&1, || 9));
        assert!(told.contains("for ever"), "{told}");
        // Guards end in any order.
        drop(first);
        assert_eq!(cache.get_or_insert_with(&1, || 9), 9);
        assert!(matches!(cache.load(&2).begin(), Err(LoadError::Cycle)));
        second.insert(3);
        assert_eq!(cache.get_or_insert_with(&2, || 9), 3);
        // Inside of a loader, whose guard outlives it, as one from before.
        let before = lead(cache.load(&10).begin());
        let kept = cache.load(&11).with(|| {
            assert!(matches!(cache.load(&10).begin(), Err(LoadError::Cycle)));
            drop(before);
            std::mem::forget(lead(cache.load(&10).begin()));
            Ok::<_, ()>(1)
        });
        assert_eq!(kept, Ok(1));
        assert!(matches!(cache.load(&10).begin(), Err(LoadError::Cycle)));
        cache.insert(10, 1);
        cache.check();
    });
}

/// Two threads that hold a guard each and want the other's: one is told, both end.
#[test]
fn guards_that_wait_for_each_other_are_told() {
    ends(|| {
        for loader in [false, true] {
            let (cache, both) = (cache(), Arc::new(Barrier::new(2)));
            let threads = [(1, 2), (2, 1)].map(|(own, other)| {
                let both = both.clone();
                go(&cache, move |cache| {
                    let guard = lead(cache.load(&own).begin());
                    both.wait();
                    let told = if loader {
                        cache.load(&other).with(|| Ok::<_, ()>(5)).map_err(|_| ())
                    } else {
                        let begun = cache.load(&other).begin();
                        begun.map_err(|_| ()).map(|begun| match begun {
                            Begun::Value(value) => value,
                            Begun::Lead(lead) => lead.insert(5),
                        })
                    };
                    guard.insert(u64::from(own));
                    told
                })
            });
            let told = threads.map(|thread| thread.join().unwrap());
            assert!(
                told.contains(&Err(())) && told.iter().any(Result::is_ok),
                "{told:?}"
            );
            assert_eq!((cache.get(&1), cache.get(&2)), (Some(1), Some(2)));
            cache.check();
        }
    });
}

/// It is landed there; until then the thread that began it counts as its holder.
#[test]
fn a_guard_may_be_sent_to_another_thread() {
    ends(|| {
        let cache = cache();
        std::thread::scope(|scope| {
            let (send, sent) = channel::<Lead<'_, u32, u64, brimful::policy::Duel, RandomState>>();
            let (go_on, goes_on) = channel::<()>();
            let other = scope.spawn(move || {
                let guard = sent.recv().unwrap();
                goes_on.recv().unwrap();
                guard.insert(7)
            });
            send.send(lead(cache.load(&1).begin())).unwrap();
            assert!(matches!(cache.load(&1).begin(), Err(LoadError::Cycle)));
            go_on.send(()).unwrap();
            assert_eq!(other.join().unwrap(), 7);
            assert_eq!(value(cache.load(&1).begin()), 7);
        });
        fn send<T: Send>(_: T) {}
        send(cache.load(&1).begin_async());
        cache.check();
    });
}

#[test]
fn one_without_patience_is_told_and_a_forgotten_guard_holds_up_no_later_write() {
    ends(|| {
        let cache = cache();
        let held = go(&cache, |cache| {
            std::mem::forget(lead(cache.load(&1).begin()));
        });
        held.join().unwrap();
        for most in [Duration::ZERO, Duration::from_millis(5)] {
            let late = cache.load(&1).begin_within(most);
            assert!(matches!(late, Err(LoadError::TimedOut)));
        }
        cache.remove(&1);
        lead(cache.load(&1).begin_within(Duration::ZERO)).insert(3);
        assert_eq!(cache.get(&1), Some(3));
        cache.check();
    });
}

#[test]
fn a_guard_refreshes_what_is_stale_and_its_end_without_a_value_is_a_failure() {
    let second = Duration::from_secs(1);
    let clock = ManualClock::new();
    let cache = Cache::<u32, u64>::builder(Entries(10))
        .refresh_after(second)
        .refresh_pause(second * 5)
        .clock(clock.clone())
        .build()
        .unwrap();
    cache.insert(1, 5);
    clock.advance(second * 2);
    let guard = lead(cache.load(&1).begin());
    assert_eq!(value(cache.load(&1).begin()), 5, "served meanwhile");
    assert_eq!(cache.peek(&1), Some(5));
    drop(guard);
    assert_eq!(value(cache.load(&1).begin()), 5, "there is a pause");
    clock.advance(second * 6);
    let guard = lead(cache.load(&1).begin());
    clock.advance(second);
    assert_eq!(guard.insert(6), 6);
    let stats = cache.stats();
    assert_eq!((cache.get(&1), stats.refreshes()), (Some(6), 1));
    assert_eq!((stats.load_failures(), stats.load_time()), (1, second));
    cache.check();
}

#[test]
fn a_weigher_that_panics_passes_the_lead_on_and_a_refused_value_is_returned() {
    let weigh = |_: &u32, value: &u64| match value {
        13 => stop(),
        value => *value,
    };
    let cache = Cache::weighted(10, weigh);
    let guard = lead(cache.load(&1).begin());
    let mut waiter = Task::new(cache.load(&1).begin_async());
    assert!(waiter.waits());
    assert_eq!(panic_of(|| _ = guard.insert(13)), "on purpose");
    assert!(waiter.rang());
    assert_eq!(lead(waiter.end()).insert(11), 11);
    let stats = cache.stats();
    assert_eq!((cache.len(), stats.departures(Cause::Refused)), (0, 1));
    cache.check();
}

/// It panics, and those who wait go on.
#[test]
fn a_guard_dropped_under_a_lock_strands_nobody() {
    let cache = cache();
    cache.insert(2, 2);
    let guard = lead(cache.load(&1).begin());
    let gate = Gate::default();
    let mut waiter = Task::new(cache.get_or_insert_async(&1, gate.pass()));
    assert!(waiter.waits());
    let told = panic_of(|| {
        cache.view(&2, |_, _| drop(guard));
    });
    assert!(told.contains("under a cache's lock"), "{told}");
    assert!(waiter.rang());
    gate.open(4);
    assert_eq!(waiter.end(), 4);
    cache.check();
}
