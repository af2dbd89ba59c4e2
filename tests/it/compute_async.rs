//! Decisions by a future: `compute_async`.
//!
//! Tasks are polled by hand, so each test is one schedule; what a decision waits for is a gate.

use crate::world::flights::{Gate, Task, block_on, go};
use crate::world::panics::{panic_of, stop};
use crate::world::{count, ends, until};
use brimful::policy::Lru;
use brimful::{Cache, Cause, Computed, Departed, Entries, ManualClock, Next, Units, Weight};
use std::cell::RefCell;
use std::future::{poll_fn, ready};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

type Told = Arc<Mutex<Vec<(u32, u64, Cause)>>>;

fn hear(told: &Told) -> impl Fn(Departed<'_, u32, u64>) + Send + Sync + 'static {
    let told = Arc::clone(told);
    move |left| {
        told.lock()
            .unwrap()
            .push((*left.key, *left.value, left.cause))
    }
}

/// Ready when it is polled for the second time.
async fn pause() {
    let mut polled = false;
    poll_fn(|context| {
        if std::mem::replace(&mut polled, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Adds one, or begins with one, and is pending in between.
async fn one_more(found: Option<u64>) -> Next<u64> {
    pause().await;
    Next::Put(found.unwrap_or(0) + 1)
}

/// A decision that a gate brings, and what it was asked about.
struct Decision {
    asked: RefCell<Vec<Option<u64>>>,
    gate: Gate<Next<u64>>,
}

impl Decision {
    fn new() -> Self {
        Self {
            asked: RefCell::default(),
            gate: Gate::default(),
        }
    }

    fn task<'a>(&'a self, cache: &'a Cache<u32, u64>) -> Task<'a, Computed<u64>> {
        Task::new(cache.compute_async(&1, |found| {
            self.asked.borrow_mut().push(found);
            self.gate.pass()
        }))
    }

    fn asked(&self) -> Vec<Option<u64>> {
        self.asked.borrow().clone()
    }
}

#[test]
fn each_decision_does_what_it_says() {
    let told = Told::default();
    let cache = Cache::builder(Weight(100, |_: &u32, value: &u64| *value))
        .on_departure(hear(&told))
        .shards(2)
        .build()
        .unwrap();
    let told = || std::mem::take(&mut *told.lock().unwrap());
    let compute = |next: Next<u64>| block_on(cache.compute_async(&1, |_| ready(next)));
    assert_eq!(compute(Next::Keep), Computed::Absent);
    assert_eq!(compute(Next::Remove), Computed::Absent);
    assert_eq!(compute(Next::Put(10)), Computed::Inserted);
    assert_eq!((compute(Next::Keep), cache.weight()), (Computed::Kept, 10));
    assert_eq!(compute(Next::Put(30)), Computed::Replaced(10));
    assert_eq!(
        (cache.weight(), told()),
        (30, vec![(1, 10, Cause::Replaced)])
    );
    assert_eq!(compute(Next::Remove), Computed::Removed(30));
    assert_eq!((cache.weight(), told()), (0, vec![(1, 30, Cause::Removed)]));
    // What is refused, and the older value with it.
    cache.insert(1, 10);
    assert_eq!(compute(Next::Put(101)), Computed::Refused);
    assert_eq!(told(), [(1, 10, Cause::Replaced), (1, 101, Cause::Refused)]);
    assert_eq!(compute(Next::Put(101)), Computed::Refused);
    assert_eq!((cache.len(), told()), (0, vec![(1, 101, Cause::Refused)]));
    // One of the whole capacity takes all places, in whatever shards they are.
    cache.extend((10..60).map(|key| (key, 2)));
    assert_eq!(compute(Next::Put(100)), Computed::Inserted);
    assert_eq!((cache.len(), cache.weight(), told().len()), (1, 100, 50));
    let stats = cache.stats();
    assert_eq!((stats.hits(), stats.misses()), (4, 5));
    assert_eq!((stats.loads(), stats.load_failures()), (0, 0));
    cache.check();
}

/// A value that grows takes room from other shards, and is not its own victim.
#[test]
fn what_is_put_finds_room_wherever_it_is() {
    for shards in [1, 2, 7] {
        for capacity in [1, 3, 10] {
            let cache = Cache::<u32, u64>::builder(Entries(capacity))
                .shards(shards)
                .build()
                .unwrap();
            for key in 0..50 {
                let put = block_on(cache.compute_async(&key, one_more));
                assert_eq!((put, cache.peek(&key)), (Computed::Inserted, Some(1)));
                assert_eq!(cache.len(), capacity.min(key as usize + 1));
            }
            cache.check();
        }
        let cache = Cache::builder(Weight(100, |_: &u32, value: &u64| *value))
            .shards(shards)
            .build()
            .unwrap();
        cache.extend((0..100).map(|key| (key, 1)));
        let double = |found: Option<u64>| ready(Next::Put(found.unwrap_or(1) * 2));
        cache.insert(1, 1);
        for value in [1, 2, 4, 8, 16, 32] {
            let grown = block_on(cache.compute_async(&1, double));
            assert_eq!(grown, Computed::Replaced(value));
            assert!(cache.weight() <= 100);
        }
        assert_eq!(block_on(cache.compute_async(&1, double)), Computed::Refused);
        cache.check();
    }
    let none = Cache::<u32, u64>::new(0);
    assert_eq!(
        block_on(none.compute_async(&1, one_more)),
        Computed::Refused
    );
    none.check();
}

/// Eight tasks that are pending between what they see and what they put.
#[test]
fn no_change_among_many_is_lost() {
    const TASKS: u64 = 8;
    ends(|| {
        let rounds = count("BRIMFUL_INCREMENTS", 400);
        let runtimes = [
            tokio::runtime::Builder::new_current_thread().build(),
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(3)
                .build(),
        ];
        for runtime in runtimes.map(Result::unwrap) {
            let cache = Arc::new(Cache::<u32, u64>::new(100));
            let tasks: Vec<_> = (0..TASKS)
                .map(|_| {
                    let cache = cache.clone();
                    runtime.spawn(async move {
                        for _ in 0..rounds {
                            let done = cache.compute_async(&1, one_more).await;
                            assert!(done.is_present());
                        }
                    })
                })
                .collect();
            for task in tasks {
                runtime.block_on(task).unwrap();
            }
            assert_eq!(cache.get(&1), Some(TASKS * rounds));
            cache.check();
        }
    });
}

/// Beside threads that change the key by other calls, evict it and load it.
#[test]
fn no_change_of_other_calls_is_lost_either() {
    type Change = fn(&Cache<u32, u64, Lru>, u32);
    ends(|| {
        let rounds = count("BRIMFUL_INCREMENTS", 2_000);
        for capacity in [3, 1_000] {
            let evicted = Arc::new(AtomicU64::new(0));
            let left = evicted.clone();
            let cache = Cache::builder(Entries(capacity))
                .policy::<Lru>()
                .shards(2)
                .on_departure(move |gone: Departed<'_, u32, u64>| {
                    if matches!(gone.cause, Cause::Evicted | Cause::Removed) {
                        left.fetch_add(*gone.value, SeqCst);
                    }
                })
                .build()
                .unwrap();
            let cache = Arc::new(cache);
            let changes: [Change; 4] = [
                |cache, key| {
                    assert!(block_on(cache.compute_async(&key, one_more)).is_present());
                },
                |cache, key| {
                    assert!(block_on(cache.compute_async(&key, one_more)).is_present());
                },
                |cache, key| {
                    let _ = cache.compute(key, |found| match found {
                        Some(n) => {
                            *n += 1;
                            Next::Keep
                        }
                        None => Next::Put(1),
                    });
                },
                |cache, key| {
                    if cache.remove(&key).is_none() {
                        cache.get_or_insert_with(&key, || 0);
                    }
                    cache.entry(key).and_modify(|n| *n += 1).or_insert(1);
                },
            ];
            let threads = changes.map(|change| {
                go(&cache, move |cache| {
                    for round in 0..rounds as u32 {
                        change(cache, round % 8);
                    }
                })
            });
            for thread in threads {
                thread.join().unwrap();
            }
            let resident: u64 = cache.values().sum();
            assert_eq!(resident + evicted.load(SeqCst), 4 * rounds, "of {capacity}");
            cache.check();
        }
    });
}

#[test]
fn computations_of_a_key_run_one_after_another_first_come_first_served() {
    let cache = Cache::<u32, u64>::new(10);
    let decisions = [(); 3].map(|()| Decision::new());
    let mut tasks = decisions.each_ref().map(|decision| decision.task(&cache));
    assert!(tasks.iter_mut().all(Task::waits));
    assert_eq!(decisions.each_ref().map(|d| d.asked().len()), [1, 0, 0]);
    // Another key does not wait.
    assert_eq!(
        block_on(cache.compute_async(&2, one_more)),
        Computed::Inserted
    );
    decisions[0].gate.open(Next::Put(1));
    let [first, second, third] = &mut tasks;
    assert_eq!(first.end(), Computed::Inserted);
    assert!(second.rang() && !third.rang());
    assert!(third.waits() && second.waits());
    decisions[1].gate.open(Next::Put(2));
    assert_eq!(second.end(), Computed::Replaced(1));
    assert!(third.rang() && third.waits());
    decisions[2].gate.open(Next::Remove);
    assert_eq!(third.end(), Computed::Removed(2));
    let asked = decisions.each_ref().map(Decision::asked);
    assert_eq!(asked, [vec![None], vec![Some(1)], vec![Some(2)]]);
    cache.check();
}

/// What others write while the future runs, and what it finds when it is asked again.
#[test]
fn a_writer_in_between_is_not_overwritten_and_the_decision_is_asked_again() {
    type Write = fn(&Cache<u32, u64>);
    let writes: [(&str, Write, Option<u64>, Option<u64>); 13] = [
        ("insert", |c| _ = c.insert(1, 50), Some(5), Some(50)),
        ("first insert", |c| _ = c.insert(1, 50), None, Some(50)),
        (
            "update",
            |c| _ = c.update(&1, |n| *n += 1),
            Some(5),
            Some(6),
        ),
        ("remove", |c| _ = c.remove(&1), Some(5), None),
        ("remove what is not there", |c| _ = c.remove(&1), None, None),
        (
            "remove_if",
            |c| _ = c.remove_if(&1, |_, _| true),
            Some(5),
            None,
        ),
        (
            "compute",
            |c| _ = c.compute(1, |_| Next::Put(7)),
            Some(5),
            Some(7),
        ),
        (
            "compute_async and insert",
            |c| {
                c.remove(&1);
                let _ = block_on(c.compute_async(&1, |_| ready(Next::Put(8))));
            },
            Some(5),
            Some(8),
        ),
        ("entry", |c| _ = c.entry(1).or_insert(9), None, Some(9)),
        ("retain", |c| c.retain(|_, _| true), Some(5), Some(5)),
        ("clear", |c| c.clear(), Some(5), None),
        ("evict", |c| _ = c.evict(), Some(5), None),
        (
            "set_capacity",
            |c| {
                c.set_capacity(Entries(0));
                c.set_capacity(Entries(10));
            },
            Some(5),
            None,
        ),
    ];
    for (name, write, before, after) in writes {
        for next in [Next::Put(77), Next::Remove] {
            let cache = Cache::<u32, u64>::new(10);
            before.map(|value| cache.insert(1, value));
            let (decision, other) = (Decision::new(), Decision::new());
            let mut task = decision.task(&cache);
            assert!(task.waits(), "{name}");
            let mut waiter = other.task(&cache);
            assert!(waiter.waits() && other.asked().is_empty(), "{name}");
            write(&cache);
            decision.gate.open(next);
            // It was asked about what was; the other goes on, which it must wait for.
            assert!(task.waits(), "{name}");
            assert!(waiter.rang() || decision.asked().len() == 2, "{name}");
            let mut ends = [None, None];
            for _ in 0..4 {
                decision.gate.open(next);
                other.gate.open(Next::Keep);
                for (task, end) in [&mut task, &mut waiter].into_iter().zip(&mut ends) {
                    if end.is_none() {
                        if let Poll::Ready(computed) = task.poll() {
                            *end = Some(computed);
                        }
                    }
                }
            }
            assert_eq!(decision.asked(), [before, after], "{name}");
            let expected = match (next, after) {
                (Next::Put(_), Some(old)) => Computed::Replaced(old),
                (Next::Put(_), None) => Computed::Inserted,
                (_, Some(old)) => Computed::Removed(old),
                (_, None) => Computed::Absent,
            };
            assert_eq!(ends[0], Some(expected), "{name}");
            let left = matches!(next, Next::Put(_)).then_some(77);
            assert_eq!(cache.peek(&1), left, "{name}");
            assert!(ends[1].is_some(), "{name}");
            cache.check();
        }
    }
}

/// `retain` goes from step to step: what takes off between two of them, and is met by a later one, is
/// detached too. A computation, and the refresh of a stale value.
#[test]
fn a_walk_that_writes_is_not_overwritten_by_what_began_between_two_of_its_steps() {
    for refreshes in [false, true] {
        ends(move || {
            let (left, hears) = std::sync::mpsc::sync_channel::<()>(0);
            let (taken_off, goes_on) = std::sync::mpsc::sync_channel::<()>(0);
            let goes_on = Mutex::new(goes_on);
            let clock = ManualClock::new();
            let cache = Cache::builder(Entries(10_000))
                .shards(1)
                .refresh_after(SECOND)
                .clock(clock.clone())
                .on_departure(move |gone: Departed<'_, u32, u64>| {
                    if gone.cause == Cause::Removed {
                        left.send(()).unwrap();
                        goes_on.lock().unwrap().recv().unwrap();
                    }
                })
                .build()
                .unwrap();
            cache.extend((0..2_000).map(|key| (key, 1)));
            clock.advance(SECOND * 2);
            let mut met = Vec::new();
            cache.for_each(|&key, _| met.push(key));
            let (first, last) = (met[0], *met.last().unwrap());
            let (cache, walked) = (Arc::new(cache), Arc::new(AtomicU64::new(0)));
            let (over, count) = (walked.clone(), Arc::new(AtomicU64::new(0)));
            let asked = count.clone();
            let other = go(&cache, move |cache| {
                hears.recv().unwrap();
                let go_on = || {
                    if asked.fetch_add(1, SeqCst) == 0 {
                        taken_off.send(()).unwrap();
                        until(|| over.load(SeqCst) == 1);
                    }
                };
                if refreshes {
                    cache.get_or_insert_with(&last, || {
                        go_on();
                        100
                    });
                } else {
                    let more = |found: Option<u64>| {
                        go_on();
                        ready(Next::Put(found.unwrap() + 100))
                    };
                    assert_eq!(
                        block_on(cache.compute_async(&last, more)),
                        Computed::Replaced(2)
                    );
                }
            });
            cache.retain(|&key, value| {
                *value += 1;
                key != first
            });
            walked.store(1, SeqCst);
            other.join().unwrap();
            let (left, times) = if refreshes { (2, 1) } else { (102, 2) };
            assert_eq!((cache.peek(&last), count.load(SeqCst)), (Some(left), times));
            cache.check();
        });
    }
}

/// What is kept was there when it was looked at: nobody is asked again.
#[test]
fn what_is_kept_is_left_alone_whatever_others_write() {
    let cache = Cache::<u32, u64>::new(10);
    cache.insert(1, 5);
    let decision = Decision::new();
    let mut task = decision.task(&cache);
    assert!(task.waits());
    cache.insert(1, 6);
    decision.gate.open(Next::Keep);
    assert_eq!((task.end(), cache.peek(&1)), (Computed::Kept, Some(6)));
    assert_eq!(decision.asked(), [Some(5)]);
    cache.check();
}

#[test]
fn a_load_in_flight_is_waited_for() {
    let cache = Cache::<u32, u64>::new(10);
    let gate = Gate::<Result<u64, &str>>::default();
    let mut load = Task::new(cache.try_get_or_insert_async(&1, gate.pass()));
    assert!(load.waits());
    let decision = Decision::new();
    let mut task = decision.task(&cache);
    assert!(task.waits() && decision.asked().is_empty());
    gate.open(Ok(5));
    assert_eq!(load.end(), Ok(5));
    assert!(task.rang() && task.waits());
    decision.gate.open(Next::Put(6));
    assert_eq!(task.end(), Computed::Replaced(5));
    assert_eq!(decision.asked(), [Some(5)]);
    // One that fails leaves nothing.
    cache.clear();
    let gate = Gate::<Result<u64, &str>>::default();
    let mut load = Task::new(cache.try_get_or_insert_async(&1, gate.pass()));
    assert!(load.waits());
    let decision = Decision::new();
    let mut task = decision.task(&cache);
    assert!(task.waits());
    gate.open(Err("no route"));
    assert!(load.end().is_err() && task.waits());
    decision.gate.open(Next::Put(6));
    assert_eq!(task.end(), Computed::Inserted);
    let stats = cache.stats();
    assert_eq!((stats.loads(), stats.load_failures()), (1, 1));
    cache.check();
}

/// Loads that miss the key wait, each for what it finds then; readers do not.
#[test]
fn loads_of_a_missing_key_wait_for_the_decision() {
    for (next, loaded) in [(Next::Put(5), 5), (Next::Keep, 9), (Next::Remove, 9)] {
        let cache = Cache::<u32, u64>::new(10);
        let decision = Decision::new();
        let mut task = decision.task(&cache);
        assert!(task.waits());
        let loads = [(); 3].map(|()| cache.get_or_insert_async(&1, async { 9 }));
        let mut loads = loads.map(Task::new);
        assert!(loads.iter_mut().all(Task::waits));
        assert_eq!(cache.get(&1), None, "a read waits for nobody");
        decision.gate.open(next);
        assert!(!matches!(task.end(), Computed::Refused));
        for load in &mut loads {
            assert!(load.rang());
            assert_eq!(load.end(), loaded);
        }
        let stats = cache.stats();
        let loads = u64::from(loaded == 9);
        assert_eq!((stats.loads(), stats.load_failures()), (loads, 0));
        cache.check();
    }
    // A value that is there is served.
    let cache = Cache::<u32, u64>::new(10);
    cache.insert(1, 5);
    let decision = Decision::new();
    let mut task = decision.task(&cache);
    assert!(task.waits());
    assert_eq!(
        cache.get_or_insert_with(&1, || unreachable!("it is there")),
        5
    );
    decision.gate.open(Next::Remove);
    assert_eq!(task.end(), Computed::Removed(5));
    cache.check();
}

/// Cancelled before it begins, while it decides, while it waits, and when the lead was passed to it.
#[test]
fn one_that_is_cancelled_hands_over_and_changes_nothing() {
    let cache = Cache::<u32, u64>::new(10);
    cache.insert(1, 5);
    let decisions = [(); 5].map(|()| Decision::new());
    let mut tasks = decisions.each_ref().map(|decision| decision.task(&cache));
    let [never, deciding, waiting, passed, last] = &mut tasks;
    never.cancel();
    for task in [&mut *deciding, &mut *waiting, &mut *passed, &mut *last] {
        assert!(task.waits());
    }
    waiting.cancel();
    deciding.cancel();
    assert!(passed.rang() && !last.rang());
    passed.cancel();
    assert!(last.rang() && last.waits());
    decisions[4].gate.open(Next::Put(6));
    assert_eq!(last.end(), Computed::Replaced(5));
    let asked = decisions.each_ref().map(|decision| decision.asked().len());
    assert_eq!(asked, [0, 1, 0, 0, 1]);
    assert_eq!(cache.stats().load_failures(), 0);
    cache.check();
    // Nobody is left.
    let decision = Decision::new();
    let mut task = decision.task(&cache);
    assert!(task.waits());
    task.cancel();
    assert_eq!(cache.get_or_insert_with(&1, || 9), 6);
    assert_eq!(
        block_on(cache.compute_async(&1, one_more)),
        Computed::Replaced(6)
    );
    cache.check();
}

#[test]
fn a_panic_anywhere_hands_over_and_loses_nothing() {
    struct Loud;
    impl Drop for Loud {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                stop();
            }
        }
    }
    type Run = fn(&Cache<u32, u64, brimful::Weighed>) -> Computed<u64>;
    let runs: [(&str, Run, u64); 5] = [
        (
            "the closure",
            |c| block_on(c.compute_async(&1, |_| -> std::future::Ready<_> { stop() })),
            5,
        ),
        (
            "its future",
            |c| block_on(c.compute_async(&1, |_| async { stop() })),
            5,
        ),
        (
            "the weigher",
            |c| block_on(c.compute_async(&1, |_| ready(Next::Put(13)))),
            5,
        ),
        (
            "the drop of its future",
            |c| {
                let decide = |_| {
                    let loud = Loud;
                    poll_fn(move |_| {
                        let _held = &loud;
                        Poll::Ready(Next::Put(6))
                    })
                };
                block_on(c.compute_async(&1, decide))
            },
            5,
        ),
        // Told after the fact.
        (
            "the listener",
            |c| block_on(c.compute_async(&1, |_| ready(Next::Put(6)))),
            6,
        ),
    ];
    for (name, run, left) in runs {
        ends(move || {
            let listens = name == "the listener";
            let cache = Cache::builder(Weight(100, |_: &u32, value: &u64| match value {
                13 => stop(),
                value => *value,
            }))
            .on_departure(move |left: Departed<'_, u32, u64>| {
                if listens && left.cause == Cause::Replaced {
                    stop()
                }
            })
            .build()
            .unwrap();
            cache.insert(1, 5);
            let cache = Arc::new(cache);
            let waiter = go(&cache, |cache| {
                until(|| cache.stats().hits() > 0);
                block_on(cache.compute_async(&1, |found| ready(Next::Put(found.unwrap() + 1))))
            });
            assert_eq!(panic_of(|| _ = run(&cache)), "on purpose", "{name}");
            match waiter.join() {
                Ok(computed) => assert_eq!(computed, Computed::Replaced(left), "{name}"),
                Err(_) => assert!(listens, "{name}"),
            }
            assert_eq!(cache.peek(&1), Some(left + 1), "{name}");
            cache.check();
        });
    }
}

#[test]
fn what_is_put_begins_a_life_and_what_ends_meanwhile_is_asked_about_again() {
    let clock = ManualClock::new();
    let told = Told::default();
    let cache = Cache::builder(Entries(10))
        .time_to_live(SECOND * 10)
        .ttl_with(|_: &u32, value: &u64, _| (*value == 0).then_some(Duration::ZERO))
        .clock(clock.clone())
        .on_departure(hear(&told))
        .build()
        .unwrap();
    let put = |value| block_on(cache.compute_async(&1, move |_| ready(Next::Put(value))));
    assert_eq!(put(1), Computed::Inserted);
    clock.advance(SECOND * 4);
    assert_eq!(
        block_on(cache.compute_async(&1, |_| ready(Next::Keep))),
        Computed::Kept
    );
    assert_eq!(cache.ttl(&1), Some(SECOND * 6));
    assert_eq!(put(2), Computed::Replaced(1));
    assert_eq!(cache.ttl(&1), Some(SECOND * 10));
    let asked = RefCell::new(vec![]);
    let slow = |found: Option<u64>| {
        asked.borrow_mut().push(found);
        clock.advance(SECOND * 6);
        ready(Next::Put(found.unwrap_or(0) + 100))
    };
    // In the second round nothing is there, and nothing ends.
    clock.advance(SECOND * 5);
    assert_eq!(block_on(cache.compute_async(&1, slow)), Computed::Inserted);
    assert_eq!(
        (asked.take(), cache.peek(&1)),
        (vec![Some(2), None], Some(100))
    );
    assert_eq!(put(0), Computed::Refused, "no time to live");
    assert_eq!(cache.get(&1), None);
    let causes: Vec<_> = told
        .lock()
        .unwrap()
        .iter()
        .map(|left| (left.1, left.2))
        .collect();
    let expected = [
        (1, Cause::Replaced),
        (2, Cause::Expired),
        (100, Cause::Replaced),
        (0, Cause::Expired),
    ];
    assert_eq!(causes, expected);
    cache.check();
}

/// A stale value is one that is there; its refresh in flight is waited for.
#[test]
fn a_refresh_in_flight_is_waited_for_and_none_begins_meanwhile() {
    let clock = ManualClock::new();
    let cache = Cache::<u32, u64>::builder(Entries(10))
        .refresh_after(SECOND)
        .clock(clock.clone())
        .build()
        .unwrap();
    cache.insert(1, 5);
    clock.advance(SECOND * 2);
    let gate = Gate::<Result<u64, &str>>::default();
    let mut refresh = Task::new(cache.try_get_or_insert_async(&1, gate.pass()));
    assert!(refresh.waits());
    let mut task = Task::new(cache.compute_async(&1, one_more));
    assert!(task.waits());
    gate.open(Ok(7));
    assert_eq!(refresh.end(), Ok(7));
    assert!(task.waits());
    assert_eq!(task.end(), Computed::Replaced(7));
    clock.advance(SECOND * 2);
    let mut task = Task::new(cache.compute_async(&1, one_more));
    assert!(task.waits());
    let served = cache.get_or_insert_with(&1, || unreachable!("it is being computed"));
    assert_eq!(served, 8);
    assert_eq!(
        (task.end(), cache.stats().refreshes()),
        (Computed::Replaced(8), 1)
    );
    cache.check();
}

/// A decision that asks for its own key by a loading call or another computation is told.
#[test]
fn a_decision_that_waits_for_itself_is_told() {
    ends(|| {
        let cache = Cache::<u32, u64>::new(10);
        let told = panic_of(|| {
            let inner = |_| async {
                let _ = cache.compute_async(&1, one_more).await;
                Next::Keep
            };
            let _ = block_on(cache.compute_async(&1, inner));
        });
        assert!(told.contains("wait for ever"), "{told}");
        let asked = |_| async {
            let answer = cache
                .try_get_or_insert_async(&1, async { Ok::<_, ()>(1) })
                .await;
            assert_eq!(answer, Err(brimful::LoadError::Cycle));
            // Reading it is no matter.
            assert_eq!(cache.get(&1), None);
            Next::Put(1)
        };
        assert_eq!(block_on(cache.compute_async(&1, asked)), Computed::Inserted);
        cache.check();
    });
}

#[test]
fn its_future_is_send_where_its_parts_are() {
    fn send<T: Send>(_: T) {}
    let cache = Cache::<String, u64>::new(10);
    send(cache.compute_async("a", |_| ready(Next::Put(1))));
}

/// The bound holds at every instant beside it, by weight and across shards.
#[test]
fn never_over_the_capacity_under_fire() {
    ends(|| {
        let cache = Cache::builder(Weight(50, |_: &u32, value: &u64| *value))
            .shards(4)
            .build()
            .unwrap();
        let cache = Arc::new(cache);
        let threads: Vec<_> = (0..4_u64)
            .map(|thread| {
                go(&cache, move |cache| {
                    for round in 0..2_000_u64 {
                        let key = (round % 9) as u32;
                        let put = |found: Option<u64>| async move {
                            pause().await;
                            Next::Put((found.unwrap_or(0) + 7 * thread + 1) % 60)
                        };
                        let _ = block_on(cache.compute_async(&key, put));
                        assert!(cache.weight() <= 50);
                        if round % 100 == 99 {
                            cache.set_capacity(Units(50 - round % 3));
                        }
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        cache.check();
    });
}

/// What it puts comes from the line that made the call, and is of a class like any other.
#[test]
fn what_is_put_knows_where_it_comes_from() {
    let cache = Cache::<u32, u64>::builder(Entries(10))
        .classes(["even", "odd"], |key: &u32, _| *key as usize % 2)
        .record_callers()
        .build()
        .unwrap();
    let line = line!() + 1;
    let put = cache.compute_async(&1, one_more);
    assert_eq!(block_on(put), Computed::Inserted);
    let stats = cache.stats();
    let callers: Vec<_> = stats.callers().collect();
    assert_eq!((callers[0].0.file(), callers[0].0.line()), (file!(), line));
    assert_eq!((callers.len(), callers[0].1.entries()), (1, 1));
    let classes: Vec<_> = stats.classes().map(|class| class.1.entries()).collect();
    assert_eq!(classes, [0, 1]);
    cache.check();
}

/// As a load: it panics where a lock is held, and those who wait go on.
#[test]
fn one_that_is_polled_or_dropped_under_a_lock_is_refused_and_strands_nobody() {
    let cache = Cache::<u32, u64>::new(10);
    cache.insert(2, 2);
    let refusal = "under a cache's lock";
    let polled = panic_of(|| {
        cache.view(&2, |_, _| block_on(cache.compute_async(&1, one_more)));
    });
    assert!(polled.contains(refusal), "{polled}");
    let decision = Decision::new();
    let mut leads = decision.task(&cache);
    assert!(leads.waits());
    let mut waits = Task::new(cache.compute_async(&1, one_more));
    assert!(waits.waits());
    let dropped = panic_of(|| {
        cache.view(&2, |_, _| leads.cancel());
    });
    assert!(dropped.contains(refusal), "{dropped}");
    assert!(waits.rang() && waits.waits());
    assert_eq!(waits.end(), Computed::Inserted);
    cache.check();
}
