//! Loads whose source may say that there is no such key, or no more: `Load::optional`.

use crate::world::flights::{Gate, Task, block_on, go};
use crate::world::panics::{panic_of, stop};
use crate::world::{ends, until};
use brimful::{Cache, Cause, Departed, Entries, LoadError, ManualClock};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// What a source says, and what a load answers.
type Found = Result<Option<u64>, &'static str>;
type Answer = Result<Option<u64>, LoadError<&'static str>>;

fn cache() -> Arc<Cache<u32, u64>> {
    Arc::new(Cache::new(100))
}

#[test]
fn a_source_says_what_is_there_that_nothing_is_or_fails() {
    let cache = cache();
    let here = |said: Found| cache.load(&1).optional().with(|| said);
    let patient = |said: Found| cache.load(&1).optional().within(SECOND, || said);
    let task = |said: Found| block_on(cache.load(&1).optional().future(async { said }));
    let calls: [&dyn Fn(Found) -> Answer; 3] = [&here, &patient, &task];
    for call in calls {
        assert_eq!(call(Ok(None)), Ok(None));
        assert_eq!(call(Err("no route")), Err(LoadError::Failed("no route")));
        assert!(cache.is_empty());
        assert_eq!(call(Ok(Some(5))), Ok(Some(5)));
        assert_eq!(call(Err("not asked")), Ok(Some(5)));
        cache.clear();
    }
    let stats = cache.stats();
    assert_eq!(
        (stats.loads(), stats.load_failures(), stats.inserts()),
        (6, 3, 3)
    );
    cache.check();
}

/// One load for all who can take the answer; who can't loads itself.
#[test]
fn that_there_is_no_such_key_is_told_to_all_who_wait_and_can_take_it() {
    ends(|| {
        let (cache, runs) = (cache(), Arc::new(AtomicUsize::new(0)));
        let callers: Vec<_> = (0..20)
            .map(|n| {
                let runs = runs.clone();
                go(&cache, move |cache| {
                    let load = || {
                        runs.fetch_add(1, SeqCst);
                        until(|| cache.stats().load_waits() == 19);
                        Ok::<_, ()>(None)
                    };
                    match n % 2 {
                        0 => cache.load(&1).optional().with(load),
                        _ => block_on(cache.load(&1).optional().future(async { load() })),
                    }
                })
            })
            .collect();
        for caller in callers {
            assert_eq!(caller.join().unwrap(), Ok(None));
        }
        assert_eq!(runs.load(SeqCst), 1);
        // Others.
        let gate = Gate::<Found>::default();
        let mut leads = Task::new(cache.load(&1).optional().future(gate.pass()));
        assert!(leads.waits());
        let mut takes = Task::new(cache.load(&1).optional().future(async { Err("not asked") }));
        let mut loads = Task::new(cache.get_or_insert_async(&1, async { 9 }));
        let failing = async { Err::<u64, _>("its own") };
        let mut shares = Task::new(cache.load(&1).shared().future(failing));
        assert!(takes.waits() && loads.waits() && shares.waits());
        gate.open(Ok(None));
        assert_eq!(leads.end(), Ok(None));
        assert!(takes.rang() && loads.rang() && shares.rang());
        assert_eq!(
            (takes.end(), loads.end(), shares.end()),
            (Ok(None), 9, Ok(9))
        );
        cache.check();
    });
}

/// And though it may stand in for a load that fails.
#[test]
fn a_stale_value_that_is_no_more_leaves_as_removed() {
    let clock = ManualClock::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = told.clone();
    let cache = Cache::<u32, u64>::builder(Entries(10))
        .refresh_after(SECOND)
        .refresh_pause(SECOND * 60)
        .stale_if_error()
        .clock(clock.clone())
        .on_departure(move |left: Departed<'_, u32, u64>| {
            heard
                .lock()
                .unwrap()
                .push((*left.key, *left.value, left.cause));
        })
        .build()
        .unwrap();
    cache.extend([(1, 5), (2, 6)]);
    clock.advance(SECOND * 2);
    let said = |key: u32, said: Found| cache.load(&key).optional().with(|| said);
    assert_eq!(said(1, Ok(None)), Ok(None));
    assert_eq!(*told.lock().unwrap(), [(1, 5, Cause::Removed)]);
    assert_eq!(said(2, Err("no route")), Ok(Some(6)), "it stands in");
    assert_eq!((cache.len(), cache.get(&1)), (1, None));
    // Nothing pauses.
    assert_eq!(said(1, Ok(Some(7))), Ok(Some(7)));
    let stats = cache.stats();
    assert_eq!((stats.loads(), stats.load_failures()), (2, 1));
    cache.check();
}

/// Callers are served the stale value until then; what was written meanwhile stays.
#[test]
fn what_was_written_during_the_load_stays() {
    let clock = ManualClock::new();
    let cache = Cache::<u32, u64>::builder(Entries(10))
        .refresh_after(SECOND)
        .clock(clock.clone())
        .build()
        .unwrap();
    for written in [None, Some(8)] {
        cache.insert(1, 5);
        clock.advance(SECOND * 2);
        let gate = Gate::<Found>::default();
        let mut refresh = Task::new(cache.load(&1).optional().future(gate.pass()));
        assert!(refresh.waits());
        assert_eq!(
            cache.get_or_insert_with(&1, || unreachable!("it is served")),
            5
        );
        written.map(|value| cache.insert(1, value));
        gate.open(Ok(None));
        assert_eq!((refresh.end(), cache.get(&1)), (Ok(None), written));
        cache.check();
    }
    // Those who waited for it start over then.
    cache.clear();
    let gate = Gate::<Found>::default();
    let mut leads = Task::new(cache.load(&1).optional().future(gate.pass()));
    assert!(leads.waits());
    let mut waits = Task::new(cache.load(&1).optional().future(async { Err("not asked") }));
    assert!(waits.waits());
    cache.insert(1, 9);
    gate.open(Ok(None));
    assert_eq!((leads.end(), waits.end()), (Ok(None), Ok(Some(9))));
    cache.check();
}

#[test]
fn one_that_is_cancelled_or_panics_hands_over() {
    let cache = cache();
    let gates = [(); 3].map(|()| Gate::<Found>::default());
    let loads = gates
        .each_ref()
        .map(|gate| cache.load(&1).optional().future(gate.pass()));
    let mut tasks = loads.map(Task::new);
    assert!(tasks.iter_mut().all(Task::waits));
    tasks[0].cancel();
    assert!(tasks[1].rang() && tasks[1].waits());
    gates[1].open(Ok(None));
    assert_eq!(tasks[1].end(), Ok(None));
    assert_eq!(tasks[2].end(), Ok(None));
    let stopped = panic_of(|| _ = cache.load(&1).optional().with(|| -> Found { stop() }));
    assert_eq!(stopped, "on purpose");
    assert_eq!(cache.stats().load_failures(), 2);
    cache.check();
}

/// Those who wait have their answer before the listener hears; its panic reaches the caller.
#[test]
fn a_listener_that_panics_loses_nothing() {
    let cache = Cache::<u32, u64>::builder(Entries(10))
        .on_departure(|_| stop())
        .build()
        .unwrap();
    cache.insert(1, 5);
    let gate = Gate::<Found>::default();
    let load = cache.load(&1).valid_if(&|_| false).optional();
    let mut leads = Task::new(load.future(gate.pass()));
    assert!(leads.waits());
    let load = cache.load(&1).valid_if(&|_| false).optional();
    let mut waits = Task::new(load.future(async { Err("not asked") }));
    assert!(waits.waits());
    gate.open(Ok(None));
    assert_eq!(panic_of(|| _ = leads.end()), "on purpose");
    assert!(waits.rang());
    assert_eq!((waits.end(), cache.len()), (Ok(None), 0));
    cache.check();
}

/// Also where the refresh runs elsewhere: the stale value is served, and leaves when the job has run.
#[test]
fn a_refresh_elsewhere_may_find_that_there_is_no_such_key() {
    let clock = ManualClock::new();
    let cache = Cache::<u32, u64>::builder(Entries(10))
        .refresh_after(SECOND)
        .refresh_pause(SECOND * 60)
        .clock(clock.clone())
        .build()
        .unwrap();
    let cache = Arc::new(cache);
    for by_task in [false, true] {
        for (said, left) in [
            (Ok(None), None),
            (Err("no route"), Some(5)),
            (Ok(Some(6)), Some(6)),
        ] {
            cache.insert(1, 5);
            clock.advance(SECOND * 100);
            let mut jobs: Vec<Box<dyn FnOnce()>> = Vec::new();
            let found = if by_task {
                let load = cache.load_or_refresh(&1).optional();
                block_on(load.future(async move { said }, |task| {
                    jobs.push(Box::new(move || block_on(task)));
                }))
            } else {
                let load = cache.load_or_refresh(&1).optional();
                load.with(move || said, |job| jobs.push(job))
            };
            assert_eq!(
                (found, cache.peek(&1), jobs.len()),
                (Ok(Some(5)), Some(5), 1)
            );
            jobs.into_iter().for_each(|job| job());
            assert_eq!(cache.peek(&1), left);
            cache.check();
        }
        // Of a missing key.
        cache.clear();
        let load = cache.load_or_refresh(&1).optional();
        let found = match by_task {
            true => block_on(load.future(async { Ok::<_, &str>(None) }, drop)),
            false => load.with(|| Ok(None), drop),
        };
        assert_eq!((found, cache.len()), (Ok(None), 0));
    }
    let stats = cache.stats();
    assert_eq!((stats.loads(), stats.load_failures()), (6, 2));
    assert_eq!(
        (stats.refreshes(), stats.departures(Cause::Removed)),
        (2, 2)
    );
}
