//! Loading: one miss, one load, and nobody left waiting.
//!
//! Threads meet by the statistics (`load_waits` tells who waits by now), tasks are
//! polled by hand, so each test is one schedule, not a race. All that might hang
//! runs under a watchdog.
//!
//! Covers faults 7, 12, 31, 53, 54 and 67 to 72 of `tests/FAULTS.md`.

use crate::world::Bounded;
use crate::world::flights::{Gate, Task, block_on, go};
use crate::world::panics::{panic_of, stop};
use crate::world::{Ledger, Val, ends, until};
use brimful::policy::{Fifo, Policy};
use brimful::{Cache, Cause, Entries, LoadError, Weight};
use std::cell::Cell;
use std::convert::Infallible;
use std::hash::BuildHasher;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex};
use std::task::Poll;
use std::time::Duration;

type Shared<V = u64> = Arc<Cache<u32, V>>;

fn cache<V>() -> Shared<V> {
    Arc::new(Cache::new(100))
}

/// How often the cache's callers have waited for another's load so far.
fn waits<K, V, P: Policy, S: BuildHasher>(cache: &Cache<K, V, P, S>) -> u64 {
    cache.stats().load_waits()
}

/// A load that goes on until so many have waited.
fn load_until<V>(cache: &Shared<V>, key: u32, waiting: u64, value: V) -> V
where
    V: Clone + Send + 'static,
{
    cache.get_or_insert_with(&key, || {
        until(|| waits(cache) >= waiting);
        value
    })
}

type Loaded<V = u64> = Result<V, LoadError<&'static str>>;

/// A loading task whose loader waits for a gate.
fn task<'a, V: Clone + 'a>(
    cache: &'a Cache<u32, V>,
    key: &'a u32,
    gate: &Gate<Result<V, &'static str>>,
) -> Task<'a, Loaded<V>> {
    Task::new(cache.try_get_or_insert_async(key, gate.pass()))
}

// ---- one load ----

/// Fault 70.
#[test]
fn callers_of_one_key_share_one_load() {
    ends(|| {
        let (cache, runs) = (cache::<u64>(), Arc::new(AtomicUsize::new(0)));
        let callers: Vec<_> = (0..8)
            .map(|n| {
                let runs = runs.clone();
                go(&cache, move |cache| {
                    cache.get_or_insert_with(&1, || {
                        runs.fetch_add(1, SeqCst);
                        until(|| waits(cache) == 7);
                        n
                    })
                })
            })
            .collect();
        let got: Vec<_> = callers.into_iter().map(|c| c.join().unwrap()).collect();
        assert_eq!(runs.load(SeqCst), 1);
        assert!(got.iter().all(|&value| Some(value) == cache.peek(&1)));
        let stats = cache.stats();
        let counts = (stats.loads(), stats.load_waits(), stats.load_failures());
        assert_eq!(counts, (1, 7, 0));
        assert_eq!((stats.hits(), stats.misses(), stats.inserts()), (0, 8, 1));
        cache.check();
    });
}

#[test]
fn a_load_never_waits_for_one_of_another_key() {
    ends(|| {
        let cache = Cache::builder(Entries(100)).shards(1).build().unwrap();
        let keys: Vec<u32> = (0..50).collect();
        let gates: Vec<Gate<Result<u64, &str>>> = keys.iter().map(|_| Gate::default()).collect();
        let tasks = keys.iter().zip(&gates);
        let mut tasks: Vec<_> = tasks.map(|(key, gate)| task(&cache, key, gate)).collect();
        assert!(tasks.iter_mut().all(Task::waits));
        for (n, (task, gate)) in tasks.iter_mut().zip(&gates).enumerate().rev() {
            gate.open(Ok(n as u64));
            assert_eq!(task.end(), Ok(n as u64));
        }
        assert_eq!((cache.len(), waits(&cache)), (50, 0));
    });
}

#[test]
fn threads_and_tasks_share_one_load() {
    ends(|| {
        let cache = cache();
        let gate = Gate::default();
        let key = 1;
        let mut leader = task(&cache, &key, &gate);
        assert!(leader.waits());
        let mut waiter = task(&cache, &key, &Gate::default());
        assert!(waiter.waits());
        let thread = go(&cache, |cache| {
            cache.get_or_insert_with(&1, || unreachable!())
        });
        until(|| waits(&cache) == 2);
        gate.open(Ok(5));
        assert_eq!(leader.end(), Ok(5));
        assert!(waiter.rang());
        assert_eq!(waiter.end(), Ok(5));
        assert_eq!(thread.join().unwrap(), 5);
        let mut late = task(&cache, &key, &Gate::default());
        assert_eq!(late.end(), Ok(5));
    });
}

/// Fault 12: values are cloned by several threads at once, so a cache is shared only where they
/// are `Sync`, as keys are.
#[test]
fn a_cache_is_shared_by_threads_only_where_what_it_holds_is() {
    use std::marker::PhantomData;
    struct Probe<T>(PhantomData<T>);
    trait Otherwise {
        fn is_shared(&self) -> bool {
            false
        }
    }
    impl<T> Otherwise for Probe<T> {}
    // An inherent method comes first, where its bound holds.
    impl<T: Sync> Probe<T> {
        fn is_shared(&self) -> bool {
            true
        }
    }
    assert!(Probe::<Cache<u32, u64>>(PhantomData).is_shared());
    assert!(!Probe::<Cache<u32, Cell<u64>>>(PhantomData).is_shared());
    assert!(!Probe::<Cache<Cell<u32>, u64>>(PhantomData).is_shared());
    assert!(!Probe::<Cache<u32, std::rc::Rc<u64>>>(PhantomData).is_shared());
    assert!(!Probe::<Cache<u32, std::sync::MutexGuard<'_, u64>>>(PhantomData).is_shared());
}

/// Fault 72: what is loaded and then changed by all is changed once by each.
#[test]
fn no_update_of_a_loaded_value_is_lost() {
    ends(|| {
        let cache = cache::<u64>();
        let writers: Vec<_> = (0..4)
            .map(|_| {
                go(&cache, |cache| {
                    for round in 0..100 {
                        cache.get_or_insert_with(&round, || 0);
                        let _ = cache.update(&round, |n| *n += 1);
                    }
                })
            })
            .collect();
        writers.into_iter().for_each(|w| w.join().unwrap());
        assert!(cache.len() == 100 && cache.values().all(|count| count == 4));
    });
}

// ---- failing ----

/// Fault 7: the panic reaches its own caller, and one who waits loads.
#[test]
fn a_loader_that_panics_hands_over_to_one_who_waits() {
    ends(|| {
        let cache = cache();
        let others: Vec<_> = (0..3)
            .map(|n| {
                go(&cache, move |cache| {
                    until(|| cache.stats().misses() > 0);
                    cache.get_or_insert_with(&1, || n)
                })
            })
            .collect();
        let caught = catch_unwind(AssertUnwindSafe(|| {
            cache.get_or_insert_with(&1, || {
                until(|| waits(&cache) == 3);
                stop()
            })
        }));
        assert_eq!(
            *caught.unwrap_err().downcast_ref::<&str>().unwrap(),
            "on purpose"
        );
        let got: Vec<_> = others
            .into_iter()
            .map(|other| other.join().unwrap())
            .collect();
        assert!(got.iter().all(|value| cache.peek(&1) == Some(*value)));
        let stats = cache.stats();
        assert_eq!((stats.loads(), stats.load_failures()), (1, 1));
        cache.check();
    });
}

#[test]
fn everyone_gets_the_error_of_its_own_loader() {
    ends(|| {
        let cache = cache::<u64>();
        let callers: Vec<_> = (0..5_u64)
            .map(|n| {
                go(&cache, move |cache| {
                    cache.try_get_or_insert_with(&1, || {
                        until(|| cache.stats().misses() == 5);
                        Err::<u64, _>(n)
                    })
                })
            })
            .collect();
        for (n, caller) in callers.into_iter().enumerate() {
            assert_eq!(caller.join().unwrap(), Err(LoadError::Failed(n as u64)));
        }
        assert_eq!(cache.stats().load_failures(), 5);
        assert_eq!(cache.get_or_insert_with(&1, || 3), 3);
        cache.check();
    });
}

/// One load for forty threads that wait for it, one failure for all of them; who does not share,
/// or knows errors of another type, loads itself; and the next call loads.
#[test]
fn a_failure_that_is_shared_reaches_all_who_wait_and_nobody_else() {
    ends(|| {
        let cache = cache::<u64>();
        let loads = Arc::new(AtomicUsize::new(0));
        let sharers: Vec<_> = (0..40)
            .map(|_| {
                let loads = loads.clone();
                go(&cache, move |cache| {
                    cache.load(&1).shared().with(|| {
                        loads.fetch_add(1, SeqCst);
                        until(|| waits(cache) == 39);
                        Err::<u64, _>("down".to_string())
                    })
                })
            })
            .collect();
        for sharer in sharers {
            let failed = Err(LoadError::Failed("down".to_string()));
            assert_eq!(sharer.join().unwrap(), failed);
        }
        assert_eq!((loads.load(SeqCst), cache.stats().load_failures()), (1, 1));

        let before = waits(&cache);
        let leads = go(&cache, move |cache| {
            cache.load(&1).shared().with(|| {
                until(|| waits(cache) == before + 2);
                Err::<u64, _>("down")
            })
        });
        until(|| cache.stats().misses() == 41);
        let own = go(&cache, move |cache| {
            cache.load(&1).with(|| {
                until(|| waits(cache) >= before + 3);
                Err::<u64, _>("own")
            })
        });
        let other = go(&cache, move |cache| {
            cache.load(&1).shared().with(|| {
                until(|| waits(cache) >= before + 3);
                Err::<u64, _>(7_u32)
            })
        });
        assert_eq!(leads.join().unwrap(), Err(LoadError::Failed("down")));
        assert_eq!(own.join().unwrap(), Err(LoadError::Failed("own")));
        assert_eq!(other.join().unwrap(), Err(LoadError::Failed(7)));
        assert_eq!(cache.load(&1).shared().with(|| Ok::<_, String>(5)), Ok(5));
        cache.check();
    });
}

/// A written key is not said to have failed; a task that is cancelled shares nothing.
#[test]
fn a_shared_failure_is_not_that_of_a_written_key_nor_a_cancelled_task_one() {
    let cache = cache();
    let gates = [(); 3].map(|()| Gate::default());
    let key = 1;
    let shared = |gate: &Gate<Result<u64, &'static str>>| {
        Task::new(cache.load(&key).shared().future(gate.pass()))
    };
    let mut tasks = gates.each_ref().map(shared);
    assert!(tasks.iter_mut().all(Task::waits));
    let [first, second, third] = &mut tasks;
    first.cancel();
    assert!(second.rang() && !third.rang());
    gates[1].open(Err("down"));
    assert_eq!(second.end(), Err(LoadError::Failed("down")));
    assert!(third.rang());
    assert_eq!(third.end(), Err(LoadError::Failed("down")));

    let gates = [(); 2].map(|()| Gate::default());
    let mut tasks = gates.each_ref().map(shared);
    assert!(tasks.iter_mut().all(Task::waits));
    cache.insert(key, 9);
    gates[0].open(Err("down"));
    let [first, second] = &mut tasks;
    assert_eq!(first.end(), Err(LoadError::Failed("down")));
    assert_eq!(second.end(), Ok(9), "it starts over");
    cache.check();
}

/// Fault 67, and the order in which the lead is offered.
#[test]
fn a_leader_that_is_dropped_hands_over_first_come_first_served() {
    let cache = cache();
    let gates = [(); 4].map(|()| Gate::default());
    let key = 1;
    let mut tasks = gates.each_ref().map(|gate| task(&cache, &key, gate));
    assert!(tasks.iter_mut().all(Task::waits));
    let [leader, second, third, fourth] = &mut tasks;
    leader.cancel();
    assert!(second.rang() && !third.rang() && !fourth.rang());
    second.cancel();
    assert!(third.rang() && !fourth.rang(), "an offer is passed on");
    gates[3].open(Ok(4));
    assert!(fourth.waits(), "it was not offered the lead");
    gates[2].open(Ok(3));
    assert_eq!((third.end(), fourth.end()), (Ok(3), Ok(3)));
    assert_eq!(
        cache.stats().load_failures(),
        1,
        "an offer not taken is none"
    );
    cache.check();
}

#[test]
fn a_waiter_that_is_dropped_leaves_no_trace() {
    let cache = cache();
    let (gate, key) = (Gate::default(), 1);
    let mut leader = task(&cache, &key, &gate);
    assert!(leader.waits());
    let mut waiter = task(&cache, &key, &Gate::default());
    assert!(waiter.waits());
    waiter.cancel();
    gate.open(Err("no"));
    assert_eq!(leader.end(), Err(LoadError::Failed("no")));
    assert!(!waiter.rang());
    cache.check();
    assert_eq!(cache.get_or_insert_with(&1, || 2), 2);
}

#[test]
fn a_flight_that_nobody_wants_any_more_is_gone() {
    let ledger = Ledger::default();
    let cache = cache();
    let (gates, key) = ([(); 3].map(|()| Gate::default()), 1);
    let mut tasks = gates.each_ref().map(|gate| task(&cache, &key, gate));
    assert!(tasks.iter_mut().all(Task::waits));
    tasks.iter_mut().for_each(Task::cancel);
    let gate = Gate::default();
    gate.open(Ok(ledger.value(1)));
    assert_eq!(task(&cache, &key, &gate).end().unwrap().id, 1);
    cache.clear();
    assert_eq!((ledger.live(), cache.stats().load_failures()), (0, 1));
}

/// The value has landed and waits for one who never comes.
#[test]
fn a_landed_value_is_dropped_with_the_last_who_waits() {
    let ledger = Ledger::default();
    let cache = cache();
    let (gate, key) = (Gate::default(), 1);
    let mut leader = task(&cache, &key, &gate);
    assert!(leader.waits());
    let mut waiters = [(); 3].map(|()| task(&cache, &key, &Gate::default()));
    assert!(waiters.iter_mut().all(Task::waits));
    gate.open(Ok(ledger.value(1)));
    drop(leader.end());
    assert_eq!(ledger.live(), 2, "the cache's and the flight's");
    waiters[1].cancel();
    drop(waiters[0].end());
    assert_eq!(ledger.live(), 2);
    waiters[2].cancel();
    assert_eq!(ledger.live(), 1);
}

/// Fault 68.
#[test]
fn a_waker_that_changes_is_replaced() {
    let cache = cache();
    let (gate, key) = (Gate::default(), 1);
    let mut leader = task(&cache, &key, &gate);
    assert!(leader.waits());
    let mut waiter = task(&cache, &key, &Gate::default());
    assert!(waiter.waits());
    let before = waiter.bell();
    assert!(waiter.poll_elsewhere().is_pending());
    assert!(waiter.waits(), "the same waker again");
    gate.open(Ok(1));
    assert_eq!(leader.end(), Ok(1));
    assert!(waiter.rang() && !before.rang());
    assert_eq!(waiter.end(), Ok(1));
}

/// A task that is woken for another reason goes on waiting.
#[test]
fn a_waiter_polled_for_nothing_keeps_its_turn() {
    let cache = cache();
    let gates = [(); 3].map(|()| Gate::default());
    let key = 1;
    let mut tasks = gates.each_ref().map(|gate| task(&cache, &key, gate));
    assert!(tasks.iter_mut().all(Task::waits));
    assert!((0..10).all(|_| tasks[1].waits()));
    tasks[0].cancel();
    assert!(tasks[1].rang() && !tasks[2].rang());
    assert!(tasks[2].waits(), "offered to another");
    gates[1].open(Ok(1));
    assert_eq!(tasks[1].end(), Ok(1));
    assert_eq!(tasks[2].end(), Ok(1));
}

#[test]
fn a_loader_that_is_not_needed_is_never_polled() {
    let cache = cache::<u64>();
    cache.insert(1, 1);
    let never = async { unreachable!("polled") };
    assert_eq!(block_on(cache.get_or_insert_async(&1, never)), 1);
    assert_eq!(cache.stats().loads(), 0);
    drop(cache.get_or_insert_async(&2, async { unreachable!("polled") }));
    assert_eq!(cache.stats().misses(), 0, "lazy");
}

// ---- what others do during a load: the table in the docs ----

type Write = (&'static str, fn(&Cache<u32, u64>), Option<u64>, bool);

/// A write, what is stored under the key afterwards, and whether a later caller
/// loads anew.
const WRITES: &[Write] = &[
    ("nothing", |_| (), Some(7), false),
    (
        "insert",
        |c| {
            let _ = c.insert(1, 90);
        },
        Some(90),
        false,
    ),
    (
        "try_insert",
        |c| {
            let _ = c.try_insert(1, 90);
        },
        Some(90),
        false,
    ),
    (
        "or_insert",
        |c| {
            let _ = c.entry(1).or_insert(90);
        },
        Some(90),
        false,
    ),
    (
        "or_insert_with",
        |c| {
            let _ = c.entry(1).or_insert_with(|| 90);
        },
        Some(90),
        false,
    ),
    ("extend", |c| c.extend([(1, 90)]), Some(90), false),
    ("remove", |c| assert_eq!(c.remove(&1), None), None, true),
    (
        "remove_entry",
        |c| {
            let _ = c.remove_entry(&1);
        },
        None,
        true,
    ),
    (
        "remove_if",
        |c| {
            let _ = c.remove_if(&1, |_, _| unreachable!());
        },
        None,
        true,
    ),
    ("clear", |c| c.clear(), None, true),
    ("drain", |c| drop(c.drain()), None, true),
    ("retain", |c| c.retain(|_, _| true), None, true),
    (
        "insert and remove",
        |c| {
            c.insert(1, 90);
            c.remove(&1);
        },
        None,
        true,
    ),
    (
        "insert of another",
        |c| {
            let _ = c.insert(2, 90);
        },
        Some(7),
        false,
    ),
    (
        "remove of another",
        |c| {
            let _ = c.remove(&2);
        },
        Some(7),
        false,
    ),
    (
        "update",
        |c| {
            let _ = c.update(&1, |_| unreachable!());
        },
        Some(7),
        false,
    ),
    ("get", |c| assert_eq!(c.get(&1), None), Some(7), false),
    ("shrink_to_fit", |c| c.shrink_to_fit(), Some(7), false),
    ("set_capacity", |c| c.bound_to(10), Some(7), false),
    ("set_capacity(0)", |c| c.bound_to(0), None, true),
];

/// Faults 69 and 71, in tasks.
#[test]
fn writes_during_a_load() {
    for &(name, write, stored, anew) in WRITES {
        for shards in [1, 4] {
            let cache = Cache::builder(Entries(100)).shards(shards).build().unwrap();
            let (gate, later, key) = (Gate::default(), Gate::default(), 1);
            let mut leader = task(&cache, &key, &gate);
            assert!(leader.waits());
            let mut waiter = task(&cache, &key, &Gate::default());
            assert!(waiter.waits());
            write(&cache);
            let mut third = task(&cache, &key, &later);
            let third_waits = third.waits();
            gate.open(Ok(7));
            assert_eq!(leader.end(), Ok(7), "{name}");
            assert!(waiter.rang(), "{name}");
            assert_eq!(waiter.end(), Ok(7), "{name}");
            assert_eq!(cache.peek(&1), stored, "{name}");
            later.open(Ok(8));
            if third_waits {
                let loads = if anew && name != "set_capacity(0)" {
                    8
                } else {
                    7
                };
                assert_eq!(third.end(), Ok(loads), "{name}");
            }
            let fresh = cache.get_or_insert_with(&1, || 9);
            let expected = match (stored, name) {
                (Some(stored), _) => stored,
                (None, "set_capacity(0)") => 9,
                (None, _) => 8,
            };
            assert_eq!(fresh, expected, "{name}");
            cache.check();
        }
    }
}

/// What was loaded and is not stored is counted; what is refused is told, and not counted again.
#[test]
fn fault_123_what_is_loaded_and_not_stored_is_counted() {
    for &(name, write, ..) in WRITES {
        let cache = cache();
        let (gate, key) = (Gate::default(), 1);
        let mut leader = task(&cache, &key, &gate);
        assert!(leader.waits());
        write(&cache);
        gate.open(Ok(7));
        assert_eq!(leader.end(), Ok(7), "{name}");
        let stats = cache.stats();
        let (stored, refused) = (cache.peek(&1) == Some(7), name == "set_capacity(0)");
        assert_eq!(
            stats.loads_unstored(),
            u64::from(!stored && !refused),
            "{name}"
        );
        assert_eq!(
            stats.departures(Cause::Refused),
            u64::from(refused),
            "{name}"
        );
        assert_eq!(stats.loads(), 1, "{name}");
    }
    // Of many keys each that is not stored.
    let cache = cache();
    let loaded = cache.get_or_insert_many(&[1, 2, 3], |missing| {
        cache.insert(1, 90);
        cache.remove(&2);
        missing.iter().map(|&&key| (key, 7)).collect::<Vec<_>>()
    });
    assert_eq!(loaded, [Some(7); 3]);
    assert_eq!(
        (cache.stats().loads(), cache.stats().loads_unstored()),
        (1, 2)
    );
    assert!(cache.stats().to_string().contains("loads unstored"));
}

/// When the load fails: those who wait load, or start over.
#[test]
fn writes_during_a_load_that_fails() {
    for &(name, write, stored, anew) in WRITES {
        let cache = cache();
        let (gate, own, key) = (Gate::default(), Gate::default(), 1);
        let mut leader = task(&cache, &key, &gate);
        assert!(leader.waits());
        let mut waiters = [&own, &Gate::default()].map(|gate| task(&cache, &key, gate));
        assert!(waiters.iter_mut().all(Task::waits));
        write(&cache);
        gate.open(Err("no"));
        assert_eq!(leader.end(), Err(LoadError::Failed("no")), "{name}");
        own.open(Ok(8));
        let inserted = !anew && stored == Some(90);
        let value = if inserted { 90 } else { 8 };
        for waiter in &mut waiters {
            assert!(waiter.rang() || !anew && !inserted, "{name}");
            assert_eq!(waiter.end(), Ok(value), "{name}");
        }
        let kept = (name != "set_capacity(0)").then_some(value);
        assert_eq!(cache.peek(&1), kept, "{name}");
        cache.check();
    }
}

/// A write between the failure and the one who is offered the lead.
#[test]
fn a_lead_that_was_offered_is_not_taken_after_a_write() {
    for &(name, write, stored, anew) in WRITES {
        let cache = cache();
        let (own, key) = (Gate::default(), 1);
        let mut leader = task(&cache, &key, &Gate::default());
        assert!(leader.waits());
        let mut waiters = [&own, &Gate::default()].map(|gate| task(&cache, &key, gate));
        assert!(waiters.iter_mut().all(Task::waits));
        leader.cancel();
        write(&cache);
        own.open(Ok(8));
        let inserted = !anew && stored == Some(90);
        let value = if inserted { 90 } else { 8 };
        for waiter in &mut waiters {
            assert!(waiter.rang(), "{name}");
            assert_eq!(waiter.end(), Ok(value), "{name}");
        }
        let kept = (name != "set_capacity(0)").then_some(value);
        assert_eq!(cache.peek(&1), kept, "{name}");
        cache.check();
    }
}

/// The loader itself writes its key.
#[test]
fn a_loader_that_inserts_its_own_key() {
    let cache = cache();
    let got = cache.get_or_insert_with(&1, || {
        cache.insert(1, 7);
        8
    });
    assert_eq!((got, cache.peek(&1)), (8, Some(7)));
    cache.check();
}

// ---- refused ----

#[test]
fn a_refused_value_is_handed_to_all_and_told_once() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = told.clone();
    let cache = Cache::builder(Weight(10, |_: &u32, v: &u64| *v))
        .listener(move |key: &u32, value: &u64, cause| {
            tell.lock().unwrap().push((*key, *value, cause));
        })
        .build()
        .unwrap();
    let (gate, key) = (Gate::default(), 1);
    let load = cache.try_get_or_insert_async(&key, gate.pass());
    let mut leader: Task<'_, Loaded> = Task::new(load);
    assert!(leader.waits());
    let mut waiter = Task::new(cache.get_or_insert_async(&key, async { unreachable!() }));
    assert!(waiter.waits());
    gate.open(Ok(11));
    assert_eq!((leader.end(), waiter.end()), (Ok(11), 11));
    assert_eq!(*told.lock().unwrap(), [(1, 11, Cause::Refused)]);
    assert!(cache.is_empty());
    assert_eq!(cache.stats().departures(Cause::Refused), 1);
    cache.check();
}

/// Fault 31.
#[test]
fn a_cache_that_keeps_nothing_still_loads() {
    let cache = Cache::new(0);
    assert_eq!(cache.get_or_insert_with(&1, || 5), 5);
    assert_eq!(block_on(cache.get_or_insert_async(&1, async { 6 })), 6);
    assert_eq!(
        cache.get_or_insert_many(&[1, 2], |keys| keys
            .iter()
            .map(|&&k| (k, k))
            .collect::<Vec<_>>()),
        [Some(1), Some(2)]
    );
    assert_eq!(cache.stats().loads(), 3);
}

/// A loaded value for which all shards must give room.
#[test]
fn a_loaded_value_of_the_whole_capacity_gathers() {
    let cache = Cache::builder(Weight(64, |_: &u32, v: &u64| *v))
        .shards(8)
        .build()
        .unwrap();
    cache.extend((0..64).map(|n| (n, 1)));
    let value = cache.get_or_insert_with(&100, || 64);
    assert_eq!((value, cache.len(), cache.weight()), (64, 1, 64));
    cache.check();
}

/// A flight that was detached while room was gathered for it is not stored.
#[test]
fn a_removal_while_room_is_gathered_is_not_undone() {
    let slot: Arc<std::sync::OnceLock<std::sync::Weak<Gathered>>> = Arc::default();
    type Gathered = Cache<u32, u64, brimful::Weighed<Fifo>>;
    let found = slot.clone();
    let cache: Arc<Gathered> = Arc::new(
        Cache::builder(Weight(64, |_: &u32, v: &u64| *v))
            .policy::<Fifo>()
            .shards(8)
            .listener(move |_: &u32, _: &u64, _| {
                let cache = found.get().and_then(std::sync::Weak::upgrade);
                let _ = cache.map(|cache| cache.remove(&100));
            })
            .build()
            .unwrap(),
    );
    slot.set(Arc::downgrade(&cache)).unwrap();
    cache.extend((0..64).map(|n| (n, 1)));
    assert_eq!(cache.get_or_insert_with(&100, || 64), 64);
    assert_eq!(cache.peek(&100), None, "the listener removed it");
    cache.check();
}

/// Those who wait are served before the listener, which may wait for them.
#[test]
fn the_listener_is_told_after_those_who_wait_have_the_value() {
    ends(|| {
        let served = Arc::new(AtomicBool::new(false));
        let seen = served.clone();
        let cache = Cache::builder(Entries(1))
            .listener(move |_: &u32, _: &u64, _| until(|| seen.load(SeqCst)))
            .build()
            .unwrap();
        cache.insert(0, 0);
        let cache = Arc::new(cache);
        let waiter = go(&cache, move |cache| {
            until(|| cache.stats().misses() == 1);
            let value = cache.get_or_insert_with(&1, || unreachable!());
            served.store(true, SeqCst);
            value
        });
        let value = cache.get_or_insert_with(&1, || {
            until(|| waits(&cache) == 1);
            7
        });
        assert_eq!((value, waiter.join().unwrap()), (7, 7));
    });
}

// ---- loaders that ask for more ----

/// Faults 53 and 54.
#[test]
fn a_loader_may_load_other_keys_to_any_depth() {
    fn sum(cache: &Cache<u32, u64>, n: u32) -> u64 {
        cache.get_or_insert_with(&n, || match n {
            0 => 0,
            n => u64::from(n) + sum(cache, n - 1),
        })
    }
    ends(|| {
        let cache = Cache::builder(Entries(1_000)).shards(1).build().unwrap();
        assert_eq!(sum(&cache, 200), 20_100);
        assert_eq!((cache.len(), cache.stats().loads()), (201, 201));
    });
}

#[test]
fn a_loader_that_asks_for_its_own_key_is_told() {
    ends(|| {
        let cache = cache::<u64>();
        let ask = |key: u32| cache.try_get_or_insert_with(&key, || Err::<u64, ()>(()));
        let got = cache.try_get_or_insert_with(&1, || {
            assert_eq!(ask(1), Err(LoadError::Cycle));
            cache.try_get_or_insert_with(&2, || {
                assert_eq!(ask(1), Err(LoadError::Cycle), "through another");
                ask(3)
            })
        });
        assert_eq!(
            got,
            Err(LoadError::Failed(LoadError::Failed(LoadError::Failed(()))))
        );
        assert!(
            panic_of(|| {
                cache.get_or_insert_with(&1, || cache.get_or_insert_with(&1, || 1));
            })
            .contains("wait for ever")
        );
        assert_eq!(cache.get_or_insert_with(&1, || 4), 4, "and works on");
        cache.check();
    });
}

#[test]
fn a_weigher_that_asks_for_the_key_it_weighs_is_told() {
    ends(|| {
        type Weighing = Cache<u32, u64, brimful::Weighed<brimful::policy::Duel>>;
        let slot: Arc<std::sync::OnceLock<std::sync::Weak<Weighing>>> = Arc::default();
        let told = Arc::new(AtomicBool::new(false));
        let (found, tell) = (slot.clone(), told.clone());
        let weigh = move |key: &u32, _: &u64| {
            if let Some(cache) = found.get().and_then(std::sync::Weak::upgrade) {
                let asked = cache.try_get_or_insert_with(key, || Ok::<u64, ()>(0));
                tell.store(asked == Err(LoadError::Cycle), SeqCst);
            }
            1
        };
        let cache = Arc::new(Cache::builder(Weight(10, weigh)).build().unwrap());
        slot.set(Arc::downgrade(&cache)).unwrap();
        assert_eq!(cache.get_or_insert_with(&1, || 5), 5);
        assert!(told.load(SeqCst));
    });
}

/// Threads in a ring, each inside of a load, asking for the next one's key: one
/// is told of the cycle, and by its error all others end.
fn a_ring(threads: u32, key_of: fn(u32) -> (usize, u32)) {
    ends(move || {
        let caches = Arc::new([cache::<u64>(), cache::<u64>()]);
        let inside = Arc::new(AtomicUsize::new(0));
        let callers: Vec<_> = (0..threads)
            .map(|n| {
                let inside = inside.clone();
                go(&caches, move |caches| {
                    let (own, next) = (key_of(n), key_of((n + 1) % threads));
                    caches[own.0].try_get_or_insert_with(&own.1, || {
                        inside.fetch_add(1, SeqCst);
                        until(|| inside.load(SeqCst) == threads as usize);
                        caches[next.0]
                            .try_get_or_insert_with(&next.1, || Ok::<u64, Infallible>(100))
                    })
                })
            })
            .collect();
        let ends: Vec<_> = callers
            .into_iter()
            .map(|caller| caller.join().unwrap())
            .collect();
        let cycles = ends
            .iter()
            .filter(|end| **end == Err(LoadError::Failed(LoadError::Cycle)));
        assert_eq!(cycles.count(), 1, "{ends:?}");
        assert_eq!(
            ends.iter().flatten().count(),
            threads as usize - 1,
            "{ends:?}"
        );
        caches.iter().for_each(|cache| cache.check());
    });
}

#[test]
fn cycles_over_threads_and_caches() {
    for threads in [2, 3, 7] {
        a_ring(threads, |n| (0, n));
        a_ring(threads, |n| (n as usize % 2, n));
    }
    a_ring(2, |n| (n as usize, 5));
}

/// The lead changes hands: who waits for the flight waits for its new leader.
#[test]
fn a_cycle_through_a_lead_that_was_passed_on() {
    let cache = cache::<u64>();
    let (one, two, gate) = (1, 2, Gate::default());
    let mut failing = task(&cache, &one, &gate);
    assert!(failing.waits());
    // Leads 2, waits for 1.
    let mut outer = Task::new(cache.try_get_or_insert_async(&two, async {
        cache
            .try_get_or_insert_async(&one, async { Err("not asked") })
            .await
    }));
    let ask = || async {
        cache
            .try_get_or_insert_async(&two, async { Err("not asked") })
            .await
    };
    // Waits for 1, and asks for 2 when it leads 1.
    let mut next = Task::new(cache.try_get_or_insert_async(&one, async { ask().await }));
    assert!(next.waits());
    assert!(outer.waits());
    failing.cancel();
    let cycle = LoadError::Failed(LoadError::Cycle);
    assert_eq!(next.end(), Err(cycle));
    assert!(outer.rang());
    assert_eq!(
        outer.end(),
        Err(LoadError::Failed(LoadError::Failed("not asked")))
    );
    cache.check();
}

#[test]
fn a_future_that_asks_for_its_own_key_is_told() {
    let cache = cache::<u64>();
    let ask = || cache.try_get_or_insert_async(&1, async { Err("not asked") });
    let inner = async {
        cache
            .try_get_or_insert_async(&2, async { ask().await })
            .await
    };
    let mut task = Task::new(cache.try_get_or_insert_async(&1, inner));
    let cycle = LoadError::Failed(LoadError::Failed(LoadError::Cycle));
    assert_eq!(task.end(), Err(cycle));
    cache.check();
}

/// Two parts of one loader ask for the same key at the same time: no cycle.
#[test]
fn joined_futures_inside_of_one_load_share_a_load() {
    let cache = cache::<u64>();
    let (gate, part) = (Gate::default(), 2);
    let parts = async {
        let mut first = std::pin::pin!(cache.try_get_or_insert_async(&part, gate.pass()));
        let never = async { unreachable!("shared") };
        let mut second = std::pin::pin!(cache.try_get_or_insert_async(&part, never));
        let mut ends = (None, None);
        std::future::poll_fn(move |context| {
            for (end, part) in [(&mut ends.0, 0), (&mut ends.1, 1)] {
                let polled = match part {
                    _ if end.is_some() => continue,
                    0 => first.as_mut().poll(context),
                    _ => second.as_mut().poll(context),
                };
                if let Poll::Ready(ended) = polled {
                    *end = Some(ended);
                }
            }
            match (&ends.0, &ends.1) {
                (Some(Ok(a)), Some(Ok(b))) => Poll::Ready(Ok(a + b)),
                (Some(Err(error)), _) | (_, Some(Err(error))) => Poll::Ready(Err(*error)),
                _ => Poll::Pending,
            }
        })
        .await
    };
    let mut whole: Task<'_, Result<u64, LoadError<LoadError<&str>>>> =
        Task::new(cache.try_get_or_insert_async(&1, parts));
    assert!(whole.waits());
    gate.open(Ok(21));
    assert_eq!(whole.end(), Ok(42));
    assert_eq!(cache.stats().loads(), 2);
}

// ---- patience ----

#[test]
fn a_caller_without_patience_is_told_and_the_leader_goes_on() {
    ends(|| {
        let cache = cache();
        let value = cache.get_or_insert_with(&1, || {
            for most in [Duration::ZERO, Duration::from_millis(1)] {
                let other = go(&cache, move |cache| {
                    cache.load(&1).within(most, || Err::<u64, ()>(()))
                });
                assert_eq!(other.join().unwrap(), Err(LoadError::TimedOut));
            }
            9
        });
        assert_eq!((value, cache.peek(&1)), (9, Some(9)));
        assert_eq!(waits(&cache), 2);
        cache.check();
    });
}

#[test]
fn patience_of_any_length_is_enough_for_a_load_of_ones_own() {
    let cache = cache();
    for (key, most) in [Duration::ZERO, Duration::MAX].into_iter().enumerate() {
        let key = key as u32;
        let load = || cache.load(&key).within(most, || Ok::<u64, ()>(3));
        assert_eq!((load(), load()), (Ok(3), Ok(3)));
    }
    assert_eq!(cache.stats().loads(), 2);
}

#[test]
fn who_waits_long_enough_gets_the_value() {
    ends(|| {
        let cache = cache();
        let other = go(&cache, |cache| {
            until(|| cache.stats().misses() > 0);
            cache.load(&1).within(Duration::MAX, || Err::<u64, ()>(()))
        });
        assert_eq!(load_until(&cache, 1, 1, 9), 9);
        assert_eq!(other.join().unwrap(), Ok(9));
    });
}

/// One who was offered the lead and has lost patience passes it on.
#[test]
fn impatience_never_loses_the_lead() {
    ends(|| {
        let cache = cache::<u64>();
        for round in 0..2_000 {
            let leader = go(&cache, move |cache| {
                cache.try_get_or_insert_with(&round, || {
                    std::thread::yield_now();
                    Err::<u64, ()>(())
                })
            });
            let impatient = go(&cache, move |cache| {
                cache
                    .load(&round)
                    .within(Duration::from_nanos(1), || Ok::<u64, ()>(1))
            });
            let patient = cache.get_or_insert_with(&round, || 2);
            let told = impatient.join().unwrap();
            assert!(
                matches!(told, Ok(1 | 2) | Err(LoadError::TimedOut)),
                "{told:?}"
            );
            assert!(patient == 1 || patient == 2);
            let _ = leader.join().unwrap();
        }
        cache.check();
    });
}

// ---- many keys ----

fn squares(keys: &[&u32]) -> Vec<(u32, u64)> {
    keys.iter()
        .map(|&&key| (key, u64::from(key) * u64::from(key)))
        .collect()
}

#[test]
fn many_keys_are_looked_up_in_their_order_and_counted_each() {
    let cache = Cache::builder(Entries(100)).shards(7).build().unwrap();
    cache.extend((0..50_u32).map(|n| (n, n)));
    let keys: Vec<u32> = (0..200).rev().chain([7, 7]).collect();
    let found = cache.get_many(&keys);
    let expected: Vec<_> = keys.iter().map(|&key| (key < 50).then_some(key)).collect();
    assert_eq!(found, expected);
    assert_eq!((cache.stats().hits(), cache.stats().misses()), (52, 150));
    assert!(cache.get_many::<u32>(&[]).is_empty());
}

#[test]
fn one_loader_call_for_all_that_is_missing() {
    for shards in [1, 5] {
        let cache = Cache::builder(Entries(1_000))
            .shards(shards)
            .build()
            .unwrap();
        cache.extend([(3, 0), (5, 0)]);
        let keys = [2, 3, 2, 4, 5, 4, 2];
        let mut calls = 0;
        let found = cache.get_or_insert_many(&keys, |missing| {
            calls += 1;
            let mut asked: Vec<_> = missing.iter().map(|&&key| key).collect();
            asked.sort_unstable();
            assert_eq!(asked, [2, 4], "each once");
            squares(missing)
        });
        let expected = [4, 0, 4, 16, 0, 16, 4].map(Some);
        assert_eq!((calls, &found[..]), (1, &expected[..]));
        let stats = cache.stats();
        assert_eq!(
            (stats.loads(), stats.load_failures(), cache.len()),
            (1, 0, 4)
        );
        let again = cache.get_or_insert_many(&keys, |_| -> Vec<_> { unreachable!() });
        assert_eq!(again, expected);
        cache.check();
    }
}

#[test]
fn a_key_that_the_loader_leaves_out_stays_absent_and_what_was_not_asked_for_too() {
    let cache = cache();
    let found = cache.get_or_insert_many(&[1, 2, 2], |_| vec![(1, 10), (1, 11), (9, 90)]);
    assert_eq!(found, [Some(10), None, None]);
    assert_eq!(
        (cache.peek(&2), cache.peek(&9), cache.len()),
        (None, None, 1)
    );
    assert_eq!(
        (cache.stats().loads(), cache.stats().load_failures()),
        (1, 0)
    );
    cache.check();
}

#[test]
fn a_loader_of_many_that_fails_or_panics_leaves_nothing() {
    let cache = cache();
    let failed = cache
        .load_many(&[1, 2])
        .with(|_| Err::<Vec<(u32, u64)>, _>("no"));
    assert_eq!(failed, Err(LoadError::Failed("no")));
    let panic = panic_of(|| {
        cache.get_or_insert_many(&[1, 2], |_| -> Vec<(u32, u64)> { stop() });
    });
    assert_eq!(
        (panic.as_str(), cache.stats().load_failures()),
        ("on purpose", 2)
    );
    cache.check();
    assert_eq!(
        cache.get_or_insert_many(&[1, 2], squares),
        [Some(1), Some(4)]
    );
}

#[test]
fn many_keys_share_the_loads_of_others() {
    ends(|| {
        let cache = cache();
        let (gate, one) = (Gate::default(), 1);
        let mut leader = task(&cache, &one, &gate);
        assert!(leader.waits());
        let other = go(&cache, |cache| {
            let load = |missing: &[&u32]| {
                assert_eq!(missing, [&2], "1 is being loaded");
                squares(missing)
            };
            cache.get_or_insert_many(&[1, 2], load)
        });
        until(|| waits(&cache) == 1);
        assert_eq!(cache.peek(&2), Some(4), "landed before it waits");
        gate.open(Ok(100));
        assert_eq!(leader.end(), Ok(100));
        assert_eq!(other.join().unwrap(), [Some(100), Some(4)]);
    });
}

#[test]
fn many_keys_of_which_anothers_load_fails() {
    ends(|| {
        let cache = cache();
        let (gate, one) = (Gate::default(), 1);
        let mut leader = task(&cache, &one, &gate);
        assert!(leader.waits());
        let other = go(&cache, |cache| {
            let mut calls = Vec::new();
            let found = cache.get_or_insert_many(&[1, 2], |missing| {
                calls.push(missing.len());
                squares(missing)
            });
            (calls, found)
        });
        until(|| waits(&cache) == 1);
        leader.cancel();
        let (calls, found) = other.join().unwrap();
        assert_eq!((calls, found), (vec![1, 1], vec![Some(1), Some(4)]));
        cache.check();
    });
}

/// Each wants what the other one loads.
#[test]
fn two_calls_for_many_that_cross_do_not_hang() {
    ends(|| {
        let cache = cache();
        let inside = Arc::new(AtomicUsize::new(0));
        let meet = |inside: &AtomicUsize| {
            inside.fetch_add(1, SeqCst);
            until(|| inside.load(SeqCst) >= 2);
        };
        let gates = [Gate::default(), Gate::default()];
        let (one, two) = (1, 2);
        let mut first = task(&cache, &one, &gates[0]);
        let mut second = task(&cache, &two, &gates[1]);
        assert!(first.waits() && second.waits());
        let others = [[1, 3, 2, 4], [2, 4, 1, 3]].map(|keys| {
            let inside = inside.clone();
            go(&cache, move |cache| {
                let mut calls = 0;
                cache.get_or_insert_many(&keys, |missing| {
                    calls += 1;
                    if calls == 1 && missing.len() == 2 {
                        inside.fetch_add(2, SeqCst);
                    } else if calls == 1 {
                        meet(&inside);
                    }
                    squares(missing)
                })
            })
        });
        until(|| waits(&cache) >= 2);
        first.cancel();
        second.cancel();
        for other in others {
            assert!(other.join().unwrap().iter().all(Option::is_some));
        }
        cache.check();
    });
}

#[test]
fn a_loader_of_many_that_asks_for_one_of_its_own_keys_is_told() {
    ends(|| {
        let cache = cache();
        let found = cache.load_many(&[1, 2]).with(|missing| {
            let asked = cache
                .load_many(&[2, 3])
                .with(|m| Ok::<_, Infallible>(squares(m)));
            assert_eq!(asked, Err(LoadError::Cycle));
            assert_eq!(
                cache.peek(&3),
                Some(9),
                "loaded before it would have waited"
            );
            Ok::<_, Infallible>(squares(missing))
        });
        assert_eq!(found, Ok(vec![Some(1), Some(4)]));
    });
}

/// The listener hears of what the first key drove out while the second is not yet in.
#[test]
fn a_listener_that_asks_for_what_is_being_landed_is_told() {
    ends(|| {
        type Heard = Cache<u32, u64, brimful::policy::Duel>;
        let slot: Arc<std::sync::OnceLock<std::sync::Weak<Heard>>> = Arc::default();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (found, answers) = (slot.clone(), asked.clone());
        let listener = move |key: &u32, _: &u64, _: Cause| {
            if let (0, Some(cache)) = (*key, found.get().and_then(std::sync::Weak::upgrade)) {
                let ask = |key: u32| cache.try_get_or_insert_with(&key, || Err(()));
                answers.lock().unwrap().extend([1, 2].map(ask));
            }
        };
        let cache = Cache::builder(Entries(1))
            .listener(listener)
            .build()
            .unwrap();
        let cache = Arc::new(cache);
        slot.set(Arc::downgrade(&cache)).unwrap();
        cache.insert(0, 0);
        assert_eq!(
            cache.get_or_insert_many(&[1, 2], squares),
            [Some(1), Some(4)]
        );
        let asked = asked.lock().unwrap();
        assert_eq!(asked.len(), 2);
        assert!(asked.contains(&Err(LoadError::Cycle)), "{asked:?}");
    });
}

#[test]
fn many_keys_in_a_task() {
    let cache = cache();
    let (gate, other, two, keys) = (Gate::default(), Gate::default(), 2, [1, 2, 3, 1]);
    let mut leader = task(&cache, &two, &other);
    assert!(leader.waits());
    let mut many = Task::new(cache.load_many(&keys).future(|_: Vec<&u32>| gate.pass()));
    assert!(many.waits(), "its own load");
    let mut waiter = task(&cache, &keys[0], &Gate::default());
    assert!(waiter.waits());
    gate.open(Ok::<_, &str>(vec![(3, 30), (1, 10)]));
    assert!(many.waits(), "the other's load");
    assert_eq!(waiter.end(), Ok(10));
    other.open(Ok(20));
    assert_eq!(leader.end(), Ok(20));
    assert_eq!(many.end(), Ok(vec![Some(10), Some(20), Some(30), Some(10)]));
    cache.check();
}

#[test]
fn a_task_that_loads_many_and_is_dropped_hands_over_each() {
    let cache = cache::<u64>();
    let (gate, keys) = (Gate::<Result<Vec<(u32, u64)>, &str>>::default(), [1, 2, 3]);
    let mut many = Task::new(cache.load_many(&keys).future(|_: Vec<&u32>| gate.pass()));
    assert!(many.waits());
    let gates = [(); 2].map(|()| Gate::default());
    let mut waiters = [
        task(&cache, &keys[0], &gates[0]),
        task(&cache, &keys[2], &gates[1]),
    ];
    assert!(waiters.iter_mut().all(Task::waits));
    many.cancel();
    for (n, waiter) in waiters.iter_mut().enumerate() {
        assert!(waiter.rang());
        gates[n].open(Ok(n as u64));
        assert_eq!(waiter.end(), Ok(n as u64));
    }
    assert_eq!((cache.stats().load_failures(), cache.peek(&2)), (1, None));
    cache.check();
}

// ---- the thread's mark ----

#[test]
fn a_load_from_under_a_lock_is_refused_and_one_dropped_there_strands_nobody() {
    let cache = cache::<u64>();
    let other = Cache::<u32, u32>::new(10);
    other.insert(1, 1);
    let refused = panic_of(|| {
        let _ = other.view(&1, |_, _| cache.get_or_insert_with(&1, || 1));
    });
    assert!(refused.contains("under a cache's lock"), "{refused}");
    let gates = [(); 2].map(|()| Gate::default());
    let key = 1;
    let mut tasks = gates.each_ref().map(|gate| task(&cache, &key, gate));
    assert!(tasks.iter_mut().all(Task::waits));
    let refused = panic_of(|| {
        let _ = other.view(&1, |_, _| tasks[0].cancel());
    });
    assert!(refused.contains("under a cache's lock"), "{refused}");
    assert!(tasks[1].rang());
    gates[1].open(Ok(2));
    assert_eq!(tasks[1].end(), Ok(2));
    cache.check();
}

/// A waiter that is polled there, too, when the lead was offered to it.
#[test]
fn a_waiter_polled_under_a_lock_is_refused_and_strands_nobody() {
    ends(|| {
        let cache = cache::<u64>();
        cache.insert(0, 0);
        let gates = [(); 3].map(|()| Gate::default());
        let key = 1;
        let mut tasks = gates.each_ref().map(|gate| task(&cache, &key, gate));
        assert!(tasks.iter_mut().all(Task::waits));
        tasks[0].cancel();
        assert!(tasks[1].rang());
        let refused = panic_of(|| {
            let _ = cache.view(&0, |_, _| tasks[1].waits());
        });
        assert!(refused.contains("under a cache's lock"), "{refused}");
        assert!(tasks[2].rang());
        gates[2].open(Ok(2));
        assert_eq!(tasks[2].end(), Ok(2));
        cache.check();
    });
}

// ---- executors ----

#[test]
fn futures_are_send_where_their_parts_are() {
    fn send<T: Send>(_: T) {}
    let cache = Cache::<String, u64>::new(10);
    send(cache.get_or_insert_async("a", async { 1 }));
    send(cache.try_get_or_insert_async("a", async { Err(()) }));
    let none = async { Ok::<_, ()>(Vec::<(String, u64)>::new()) };
    let mut none = Some(none);
    send(
        cache
            .load_many(["a"])
            .future(move |_| none.take().expect("once")),
    );
}

const CALLERS: u64 = 1_000;

/// Many tasks on one slow key, of which the first that loads fails.
async fn crowd(cache: &Cache<u32, u64>, runs: &AtomicUsize, wait: impl Future<Output = ()>) -> u64 {
    let load = async {
        wait.await;
        match runs.fetch_add(1, SeqCst) {
            0 => Err("the first fails"),
            n => Ok(n as u64),
        }
    };
    let loaded = cache.try_get_or_insert_async(&1, load).await;
    loaded.unwrap_or(1)
}

#[test]
fn on_tokio() {
    ends(|| {
        let runtimes = [
            tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .unwrap(),
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(3)
                .enable_time()
                .build()
                .unwrap(),
        ];
        for runtime in runtimes {
            let (cache, runs) = (cache::<u64>(), Arc::new(AtomicUsize::new(0)));
            let tasks: Vec<_> = (0..CALLERS)
                .map(|_| {
                    let (cache, runs) = (cache.clone(), runs.clone());
                    runtime.spawn(async move {
                        let slow = tokio::time::sleep(Duration::from_millis(20));
                        crowd(&cache, &runs, slow).await
                    })
                })
                .collect();
            for task in tasks {
                assert_eq!(runtime.block_on(task).unwrap(), 1);
            }
            assert_eq!(runs.load(SeqCst), 2);
            cache.check();
        }
    });
}

#[test]
fn on_tokio_with_its_timeout() {
    ends(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let cache = cache::<u64>();
        runtime.block_on(async {
            let never = cache.get_or_insert_async(&1, std::future::pending());
            let limit = Duration::from_millis(5);
            assert!(tokio::time::timeout(limit, never).await.is_err());
            assert_eq!(cache.get_or_insert_async(&1, async { 3 }).await, 3);
        });
        cache.check();
    });
}

#[test]
fn on_threads_with_an_executor_of_a_few_lines() {
    ends(|| {
        let (cache, runs) = (cache::<u64>(), Arc::new(AtomicUsize::new(0)));
        let threads: Vec<_> = (0..16)
            .map(|_| {
                let runs = runs.clone();
                go(&cache, move |cache| {
                    let slow = async { until(|| cache.stats().misses() == 16) };
                    block_on(crowd(cache, &runs, slow))
                })
            })
            .collect();
        assert!(
            threads
                .into_iter()
                .all(|thread| thread.join().unwrap() == 1)
        );
        assert_eq!(runs.load(SeqCst), 2);
        cache.check();
    });
}

// ---- statistics and errors ----

#[test]
fn load_times_are_counted_by_class() {
    let cache = cache();
    assert_eq!(
        cache
            .stats()
            .load_times()
            .map(|(_, loads)| loads)
            .sum::<u64>(),
        0
    );
    for key in 0..20 {
        cache.get_or_insert_with(&key, || 1_u64);
    }
    let stats = cache.stats();
    let times: Vec<_> = stats.load_times().collect();
    assert_eq!(times.iter().map(|(_, loads)| loads).sum::<u64>(), 20);
    assert!(times.is_sorted_by(|a, b| a.0 < b.0));
    assert_eq!(
        (times[0].0, times[31].0),
        (Duration::from_micros(1), Duration::MAX)
    );
    let shown = stats.to_string();
    assert!(
        shown.contains("loads") && !shown.contains("failures"),
        "{shown}"
    );
}

#[test]
fn errors_say_what_and_why() {
    let source = "x".parse::<u8>().unwrap_err();
    let failed = LoadError::Failed(source.clone());
    assert_eq!(failed.to_string(), format!("the loader failed: {source}"));
    assert!(std::error::Error::source(&failed).is_some());
    for (error, word) in [
        (LoadError::Cycle, "for ever"),
        (LoadError::TimedOut, "too long"),
    ] {
        let error: LoadError<std::num::ParseIntError> = error;
        assert!(error.to_string().contains(word), "{error}");
        assert!(std::error::Error::source(&error).is_none());
    }
}

#[test]
fn an_unsync_cache_does_not_store_an_error() {
    let mut cache = brimful::unsync::Cache::<u32, u64>::new(10);
    assert_eq!(
        cache.try_get_or_insert_with(&1, || Err("no")).unwrap_err(),
        "no"
    );
    assert!(cache.is_empty());
    assert_eq!(
        *cache
            .try_get_or_insert_with(&1, || Ok::<_, ()>(4))
            .unwrap()
            .unwrap(),
        4
    );
    assert_eq!(cache.get_many(&[2, 1]), [None, Some(&4)]);
    assert_eq!(
        (cache.stats().loads(), cache.stats().load_failures()),
        (1, 1)
    );
}

#[test]
fn counted_values_all_come_home() {
    let ledger = Ledger::default();
    let cache = cache::<Val>();
    for key in 0..300 {
        drop(cache.get_or_insert_with(&key, || ledger.value(u64::from(key))));
    }
    drop(cache);
    assert_eq!(ledger.live(), 0);
}

// ---- values that must be right ----

/// A walker of a directory tree: it wants what is cached unless the directory has changed.
#[test]
fn a_value_that_is_not_valid_is_loaded_anew_once_for_all_who_find_it_so() {
    ends(|| {
        let cache = cache::<u64>();
        cache.insert(1, 10);
        let (loads, began) = (Arc::new(AtomicUsize::new(0)), Arc::new(Barrier::new(2)));
        let callers: Vec<_> = (0..4)
            .map(|n| {
                let (loads, began) = (Arc::clone(&loads), Arc::clone(&began));
                go(&cache, move |cache| {
                    let load = || {
                        loads.fetch_add(1, SeqCst);
                        began.wait();
                        // Who does not ask has the old value meanwhile.
                        assert_eq!(cache.get_or_insert_with(&1, || unreachable!()), 10);
                        until(|| waits(cache) == 3);
                        Ok::<_, ()>(20)
                    };
                    let valid = |value: &u64| *value > 10;
                    if n % 2 == 0 {
                        return cache.load(&1).valid_if(&valid).with(load);
                    }
                    block_on(cache.load(&1).valid_if(&valid).future(async { load() }))
                })
            })
            .collect();
        began.wait();
        for caller in callers {
            assert_eq!(caller.join().unwrap(), Ok(20));
        }
        assert_eq!((loads.load(SeqCst), cache.get(&1)), (1, Some(20)));
        let stats = cache.stats();
        assert_eq!((stats.loads(), stats.refreshes()), (1, 0));
        assert_eq!(stats.departures(Cause::Replaced), 1);
        cache.check();
    });
}

#[test]
fn a_load_on_demand_sees_the_old_value_and_keeps_it_if_it_fails() {
    let cache = cache::<u64>();
    cache.insert(1, 10);
    let anew = |loaded: Result<u64, &'static str>| {
        let load = || {
            assert_eq!(cache.peek(&1), Some(10));
            loaded
        };
        cache.load(&1).valid_if(&|_| false).with(load)
    };
    assert_eq!(anew(Err("no route")), Err(LoadError::Failed("no route")));
    assert_eq!(cache.peek(&1), Some(10));
    let shared = cache.load(&1).valid_if(&|_| false).shared();
    assert_eq!(shared.with(|| Err("none")), Err(LoadError::Failed("none")));
    assert_eq!(anew(Ok(11)), Ok(11));
    assert_eq!(cache.peek(&1), Some(11));
    // What is absent is loaded, and nobody is asked.
    let unasked = |_: &u64| -> bool { unreachable!("there is no value") };
    let load = || Ok::<_, ()>(2);
    assert_eq!(cache.load(&2).valid_if(&unasked).with(load), Ok(2));
    cache.check();
}

/// Written meanwhile, the value that is loaded goes to its callers and is not stored.
#[test]
fn a_load_of_what_is_not_valid_is_detached_by_a_write() {
    let cache = cache::<u64>();
    cache.insert(1, 10);
    let load = || {
        cache.insert(1, 30);
        Ok::<_, ()>(20)
    };
    assert_eq!(
        cache.load(&1).valid_if(&|value| *value > 10).with(load),
        Ok(20)
    );
    assert_eq!(cache.get(&1), Some(30));
    // One that has become valid by the time of the lock is not loaded.
    let asked = AtomicUsize::new(0);
    let by_the_second = |_: &u64| asked.fetch_add(1, SeqCst) > 0;
    let load = || -> Result<u64, ()> { unreachable!("it is valid by now") };
    assert_eq!(cache.load(&1).valid_if(&by_the_second).with(load), Ok(30));
    cache.check();
}

/// It is asked without a lock, and then under one.
#[test]
fn who_says_whether_a_value_is_valid_may_panic_and_may_not_call_a_cache() {
    let cache = cache::<u64>();
    cache.insert(1, 10);
    let asked = AtomicUsize::new(0);
    let calls = |_: &u64| {
        if asked.fetch_add(1, SeqCst) == 1 {
            cache.get(&2);
        }
        false
    };
    let load = || Ok::<u64, ()>(20);
    let refused = panic_of(|| _ = cache.load(&1).valid_if(&calls).with(load));
    assert!(refused.contains("brimful"), "{refused}");
    assert_eq!(asked.load(SeqCst), 2);
    let panics = |_: &u64| -> bool { panic!("asked in vain") };
    let panic = panic_of(|| _ = cache.load(&1).valid_if(&panics).with(load));
    assert_eq!((panic.as_str(), cache.get(&1)), ("asked in vain", Some(10)));
    assert_eq!(cache.load(&1).valid_if(&|_| false).with(load), Ok(20));
    cache.check();
}
