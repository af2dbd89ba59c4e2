//! Refresh after write: a stale value is served while one caller loads it anew.
//!
//! Time moves by hand and tasks are polled by hand, so each test is one schedule.

use crate::world::Bounded;
use crate::world::flights::{Gate, Task, block_on, go};
use crate::world::panics::{panic_of, stop};
use crate::world::{Ledger, ends, until};
use brimful::policy::{Duel, Fifo, Gdsf, Lru, Policy};
use brimful::{
    Aged, BuildError, Bytes, Cache, Cause, Entries, LoadError, ManualClock, Weight, unsync,
};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::spawn;
use std::time::Duration;

/// A refreshing call whose loader cannot fail.
macro_rules! refresh_with {
    ($cache:expr, $key:expr, $load:expr, $spawn:expr) => {{
        let load = $load;
        let load = move || Ok::<_, std::convert::Infallible>(load());
        $cache.load_or_refresh($key).with(load, $spawn).unwrap()
    }};
}

/// A refreshing call of a task, whose loader cannot fail.
macro_rules! refresh_async {
    ($cache:expr, $key:expr, $load:expr, $spawn:expr) => {{
        let (cache, key, load, spawn) = (&$cache, $key, $load, $spawn);
        let load = async { Ok::<_, std::convert::Infallible>(load.await) };
        async move {
            cache
                .load_or_refresh(key)
                .future(load, spawn)
                .await
                .unwrap()
        }
    }};
}

const AGE: Duration = Duration::from_secs(60);
const LIFE: Duration = Duration::from_secs(600);

type Aging = Cache<u32, u64, Aged>;
type Loaded = Result<u64, LoadError<&'static str>>;

/// A cache of stale values under the keys 1 to 4, each with itself times ten.
fn stale() -> (Arc<Aging>, ManualClock) {
    stale_or(false)
}

fn stale_or(if_error: bool) -> (Arc<Aging>, ManualClock) {
    let clock = ManualClock::new();
    let mut builder = Cache::builder(Entries(100))
        .refresh_after(AGE)
        .time_to_live(LIFE)
        .clock(clock.clone());
    if if_error {
        builder = builder.stale_if_error();
    }
    let cache = builder.build().unwrap();
    cache.extend((1..5).map(|n| (n, u64::from(n) * 10)));
    clock.advance(AGE);
    (Arc::new(cache), clock)
}

fn task<'a>(
    cache: &'a Aging,
    key: &'a u32,
    gate: &Gate<Result<u64, &'static str>>,
) -> Task<'a, Loaded> {
    Task::new(cache.try_get_or_insert_async(key, gate.pass()))
}

fn unneeded() -> u64 {
    unreachable!("nobody should load")
}

/// Loads, failures, refreshes.
fn counts(cache: &Aging) -> (u64, u64, u64) {
    let stats = cache.stats();
    (stats.loads(), stats.load_failures(), stats.refreshes())
}

// ---- who loads, and who is served ----

#[test]
fn the_first_to_meet_a_stale_value_loads_and_all_others_are_served() {
    let (cache, _clock) = stale();
    let (gate, key) = (Gate::default(), 1);
    let mut first = task(&cache, &key, &gate);
    assert!(first.waits());
    assert_eq!(cache.get(&1), Some(10));
    assert_eq!(cache.peek(&1), Some(10));
    assert_eq!(cache.view(&1, |_, value| *value), Some(10));
    assert_eq!(cache.get_many(&[1, 2]), [Some(10), Some(20)]);
    assert_eq!(cache.get_or_insert_with(&1, unneeded), 10);
    let patience = Duration::ZERO;
    let loaded = cache.load(&1).within(patience, || Err("not asked"));
    assert_eq!(loaded, Ok(10));
    assert_eq!(
        block_on(cache.get_or_insert_async(&1, async { unneeded() })),
        10
    );
    let many = cache.get_or_insert_many(&[1], |_| -> Vec<(u32, u64)> { unreachable!() });
    assert_eq!(many, [Some(10)]);
    assert_eq!(cache.entry(1).or_insert(99), 10);
    gate.open(Ok(11));
    assert_eq!(first.end(), Ok(11));
    assert_eq!(cache.get_or_insert_with(&1, unneeded), 11);
    let stats = cache.stats();
    assert_eq!(
        (stats.misses(), stats.load_waits()),
        (0, 0),
        "all were hits"
    );
    assert_eq!(stats.departures(Cause::Replaced), 1);
    assert_eq!(counts(&cache), (1, 0, 1));
    cache.check();
}

#[test]
fn threads_are_served_while_one_of_them_loads() {
    ends(|| {
        let (cache, _clock) = stale();
        let (loads, served) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let callers: Vec<_> = (0..8)
            .map(|_| {
                let (loads, served) = (loads.clone(), served.clone());
                go(&cache, move |cache| {
                    let value = cache.get_or_insert_with(&1, || {
                        loads.fetch_add(1, SeqCst);
                        until(|| served.load(SeqCst) == 7);
                        11
                    });
                    served.fetch_add(1, SeqCst);
                    value
                })
            })
            .collect();
        let mut got: Vec<_> = callers.into_iter().map(|c| c.join().unwrap()).collect();
        got.sort_unstable();
        assert_eq!(got, [10, 10, 10, 10, 10, 10, 10, 11]);
        assert_eq!(loads.load(SeqCst), 1);
    });
}

#[test]
fn a_value_is_stale_from_its_age_on_and_young_again_when_replaced() {
    let (cache, clock) = stale();
    cache.insert(1, 11);
    clock.advance(AGE - Duration::from_nanos(1));
    assert_eq!(cache.get_or_insert_with(&1, unneeded), 11);
    clock.advance(Duration::from_nanos(1));
    assert_eq!(cache.get_or_insert_with(&1, || 12), 12);
    clock.advance(AGE - Duration::from_nanos(1));
    assert_eq!(cache.get_or_insert_with(&1, unneeded), 12);
}

#[test]
fn neither_reads_nor_changes_make_a_value_younger() {
    let (cache, clock) = stale();
    cache.insert(1, 11);
    clock.advance(AGE / 2);
    assert_eq!(cache.get(&1), Some(11));
    cache.update(&1, |value| *value += 1).kept().unwrap();
    cache.set_ttl(&1, LIFE * 2);
    cache.retain(|_, _| true);
    cache.shrink_to_fit();
    clock.advance(AGE / 2);
    assert_eq!(cache.get_or_insert_with(&1, || 13), 13);
}

#[test]
fn ages_of_zero_and_without_end() {
    let cache = Cache::builder(Entries(10)).refresh_after(Duration::ZERO);
    let cache: Aging = cache.build().unwrap();
    for n in 1..5 {
        assert_eq!(cache.get_or_insert_with(&1, || n), n);
    }
    assert_eq!(cache.stats().refreshes(), 3);
    for age in [Duration::MAX, Duration::from_secs(u64::MAX / 2)] {
        let clock = ManualClock::new();
        let cache = Cache::builder(Entries(10)).refresh_after(age);
        let cache: Aging = cache.clock(clock.clone()).build().unwrap();
        cache.insert(1, 1);
        clock.advance(Duration::from_secs(1 << 33));
        assert_eq!(cache.get_or_insert_with(&1, unneeded), 1);
        clock.advance(Duration::MAX);
        assert_eq!(cache.get_or_insert_with(&1, unneeded), 1);
    }
}

#[test]
fn without_an_age_nothing_is_stale() {
    let clock = ManualClock::new();
    let cache = Cache::builder(Entries(10)).record_ages();
    let cache: Arc<Aging> = Arc::new(cache.clock(clock.clone()).build().unwrap());
    cache.insert(1, 1);
    clock.advance(LIFE);
    assert_eq!(cache.get_or_insert_with(&1, unneeded), 1);
    let value = refresh_with!(cache, &1, unneeded, |_| unreachable!());
    assert_eq!(value, 1);
    assert_eq!(refresh_with!(cache, &2, || 2, |_| unreachable!()), 2);
}

#[test]
fn past_its_life_a_stale_value_is_a_miss_like_any_other() {
    let (cache, clock) = stale();
    clock.advance(LIFE - AGE + Duration::from_micros(2));
    assert_eq!(cache.get_or_insert_with(&1, || 11), 11);
    assert_eq!(counts(&cache), (1, 0, 0));
    assert_eq!(cache.stats().misses(), 1);
}

#[test]
fn policies_units_and_rules_refresh() {
    fn policy<P: Policy + 'static>() {
        for shards in [1, 4] {
            let clock = ManualClock::new();
            let by_bytes = Cache::builder(Bytes(1 << 20))
                .policy::<P>()
                .shards(shards)
                .refresh_after(AGE)
                .time_to_idle(LIFE)
                .ttl_with(|_, _, _| Some(LIFE))
                .ttl_on_read(|_, _| None)
                .clock(clock.clone())
                .build()
                .unwrap();
            let by_count: Cache<u32, Vec<u8>, Aged<P>> = Cache::builder(Entries(100))
                .time_to_live(LIFE)
                .refresh_after(AGE)
                .policy::<P>()
                .shards(shards)
                .clock(clock.clone())
                .build()
                .unwrap();
            for n in 0..50_u32 {
                by_bytes.insert(n, vec![0; 10]);
                by_count.insert(n, vec![0; 10]);
            }
            clock.advance(AGE);
            for n in 0..50 {
                let len = 1 + n as usize;
                let load = || vec![1; len];
                assert_eq!(by_bytes.get_or_insert_with(&n, load).len(), len);
                assert_eq!(by_count.get_or_insert_with(&n, load).len(), len);
            }
            for n in 0..50 {
                let len = 1 + n as usize;
                assert_eq!(by_bytes.get_or_insert_with(&n, Vec::new).len(), len);
                assert_eq!(by_count.get_or_insert_with(&n, Vec::new).len(), len);
            }
            assert_eq!(by_bytes.stats().refreshes(), 50);
            by_bytes.check();
            by_count.check();
        }
    }
    policy::<Duel>();
    policy::<Lru>();
    policy::<Gdsf>();
}

// ---- what fails ----

#[test]
fn a_failed_refresh_keeps_the_value_and_the_next_call_tries_again() {
    let (cache, clock) = stale();
    for _ in 0..3 {
        let failed = cache.try_get_or_insert_with(&1, || Err("no route"));
        assert_eq!(failed, Err(LoadError::Failed("no route")));
        assert_eq!(cache.get(&1), Some(10));
    }
    assert_eq!(counts(&cache), (0, 3, 0));
    assert_eq!(cache.get_or_insert_with(&1, || 11), 11);
    clock.advance(LIFE);
    assert_eq!(cache.get(&1), None, "its life ends as ever");
}

#[test]
fn a_refresh_that_panics_or_is_dropped_keeps_the_value() {
    let (cache, _clock) = stale();
    panic_of(|| {
        let _ = cache.get_or_insert_with(&1, || stop());
    });
    let (gate, key) = (Gate::default(), 1);
    let mut first = task(&cache, &key, &gate);
    assert!(first.waits());
    first.cancel();
    assert_eq!(cache.get(&1), Some(10));
    assert_eq!(counts(&cache), (0, 2, 0));
    assert_eq!(cache.get_or_insert_with(&1, || 11), 11);
    cache.check();
}

/// A thousand calls at one moment ask a backend once that is down; again after the pause.
#[test]
fn after_a_failed_refresh_there_is_a_pause() {
    const PAUSE: Duration = Duration::from_secs(5);
    let clock = ManualClock::new();
    let builder = || {
        let builder = Cache::<u32, u64>::builder(Entries(100)).refresh_after(AGE);
        builder.refresh_pause(PAUSE).clock(clock.clone())
    };
    let cache = Arc::new(builder().build().unwrap());
    cache.extend([(1, 10), (2, 20)]);
    clock.advance(AGE);
    let mut asked = 0;
    let mut ask = |key: u32| {
        let failed = cache.try_get_or_insert_with(&key, || {
            asked += 1;
            Err("down")
        });
        (failed, asked)
    };
    assert_eq!(ask(1), (Err(LoadError::Failed("down")), 1));
    for _ in 0..1_000 {
        assert_eq!(ask(1), (Ok(10), 1));
    }
    assert_eq!(ask(2), (Err(LoadError::Failed("down")), 2), "each its own");
    clock.advance(PAUSE - Duration::from_nanos(1));
    assert_eq!(ask(1), (Ok(10), 2));
    clock.advance(Duration::from_nanos(1));
    assert_eq!(ask(1), (Err(LoadError::Failed("down")), 3));

    clock.advance(PAUSE);
    let mut jobs = Vec::new();
    let mut elsewhere = |load: fn() -> Result<u64, &'static str>| {
        let found = cache.load_or_refresh(&1).with(load, |job| jobs.push(job));
        (found, jobs.pop())
    };
    let (found, job) = elsewhere(|| Err("down"));
    assert_eq!(found, Ok(10));
    job.unwrap()();
    assert!(
        elsewhere(|| Ok(11)).1.is_none(),
        "a pause after this one, too"
    );
    clock.advance(PAUSE);
    panic_of(|| _ = cache.get_or_insert_with(&1, || stop()));
    assert_eq!(cache.get_or_insert_with(&1, || unreachable!()), 10);
    clock.advance(PAUSE);
    let failed = cache
        .load_many(&[1, 2])
        .with(|_| Err::<Vec<(u32, u64)>, _>("down"));
    assert_eq!(failed, Err(LoadError::Failed("down")));
    let found = cache.get_or_insert_many(&[1, 2], |_| -> Vec<(u32, u64)> { unreachable!() });
    assert_eq!(found, [Some(10), Some(20)]);
    clock.advance(PAUSE);
    let (gate, key) = (Gate::default(), 1);
    let mut dropped = Task::new(cache.try_get_or_insert_async(&key, gate.pass()));
    assert!(dropped.waits());
    dropped.cancel();
    drop((dropped, gate as Gate<Result<u64, &str>>));
    assert_eq!(
        cache.get_or_insert_with(&1, || 12),
        12,
        "no pause after a cancel"
    );
    clock.advance(AGE);
    assert_eq!(cache.get_or_insert_with(&1, || 13), 13);
    cache.check();

    let mut alone = builder().build_unsync().unwrap();
    alone.insert(1, 10);
    clock.advance(AGE);
    let failed = alone.try_get_or_insert_with(&1, || Err("down"));
    assert_eq!(failed.unwrap_err(), "down");
    assert_eq!(
        alone.get_or_insert_with(&1, || unreachable!()).unwrap(),
        &10
    );
    clock.advance(PAUSE);
    assert_eq!(alone.get_or_insert_with(&1, || 11).unwrap(), &11);
}

#[test]
fn stale_if_error_answers_with_what_is_there() {
    let (cache, clock) = stale_or(true);
    let fails = || Err("no route");
    assert_eq!(cache.try_get_or_insert_with(&1, fails), Ok(10));
    let within = cache.load(&1).within(Duration::ZERO, fails);
    assert_eq!(within, Ok(10));
    let task = cache.try_get_or_insert_async(&1, async { fails() });
    assert_eq!(block_on(task), Ok(10));
    assert_eq!(counts(&cache), (0, 3, 0));
    // Written, removed or ended while the loader ran.
    let written = cache.try_get_or_insert_with(&1, || {
        cache.insert(1, 77);
        Err("no route")
    });
    assert_eq!(written, Ok(77));
    let removed = cache.try_get_or_insert_with(&2, || {
        cache.remove(&2);
        Err("no route")
    });
    assert_eq!(removed, Err(LoadError::Failed("no route")));
    let ended = cache.try_get_or_insert_with(&3, || {
        clock.advance(LIFE);
        Err("no route")
    });
    assert_eq!(ended, Err(LoadError::Failed("no route")));
    // What is not there is no stale value.
    let missing = cache.try_get_or_insert_with(&9, fails);
    assert_eq!(missing, Err(LoadError::Failed("no route")));
    panic_of(|| {
        let _ = cache.get_or_insert_with(&4, || stop());
    });
    cache.check();
}

#[test]
fn who_misses_the_key_meanwhile_waits_for_the_refresh_or_takes_it_over() {
    for fails in [false, true] {
        let (cache, clock) = stale();
        let (gate, second, key) = (Gate::default(), Gate::default(), 1);
        let mut first = task(&cache, &key, &gate);
        assert!(first.waits());
        clock.advance(LIFE);
        let mut waiter = task(&cache, &key, &second);
        assert!(waiter.waits());
        assert_eq!(cache.stats().load_waits(), 1);
        if fails {
            gate.open(Err("no route"));
            assert_eq!(first.end(), Err(LoadError::Failed("no route")));
            second.open(Ok(12));
            assert_eq!(waiter.end(), Ok(12));
        } else {
            gate.open(Ok(12));
            assert_eq!(first.end(), Ok(12));
            assert_eq!(waiter.end(), Ok(12));
        }
        assert_eq!(cache.get(&1), Some(12));
        assert_eq!(cache.stats().refreshes(), u64::from(!fails));
        cache.check();
    }
}

#[test]
fn a_flight_left_behind_under_a_lock_keeps_nobody_from_refreshing() {
    let (cache, _clock) = stale();
    let (gate, key) = (Gate::default(), 1);
    let mut first = task(&cache, &key, &gate);
    assert!(first.waits());
    panic_of(|| {
        let _ = cache.view(&2, |_, _| first.cancel());
    });
    assert_eq!(cache.get_or_insert_with(&1, || 11), 11);
    cache.check();
}

// ---- writes during a refresh ----

type Write = (&'static str, fn(&Aging), Option<u64>);

/// A write while the value 10 is refreshed to 11, and what is there afterwards.
const WRITES: &[Write] = &[
    ("nothing", |_| (), Some(11)),
    ("insert", |c| c.extend([(1, 90)]), Some(90)),
    (
        "insert_with_ttl",
        |c| assert_eq!(c.insert_with_ttl(1, 90, LIFE), Some(10)),
        Some(90),
    ),
    (
        "update",
        |c| {
            c.update(&1, |value| *value = 90).kept().unwrap();
        },
        Some(90),
    ),
    (
        "and_modify",
        |c| {
            let _ = c.entry(1).and_modify(|value| *value = 90);
        },
        Some(90),
    ),
    ("remove", |c| assert_eq!(c.remove(&1), Some(10)), None),
    (
        "remove_entry",
        |c| assert_eq!(c.remove_entry(&1), Some((1, 10))),
        None,
    ),
    (
        "remove_if",
        |c| assert_eq!(c.remove_if(&1, |_, _| true), Some(10)),
        None,
    ),
    (
        "set_ttl of zero",
        |c| assert!(c.set_ttl(&1, Duration::ZERO)),
        None,
    ),
    ("clear", |c| c.clear(), None),
    ("drain", |c| assert_eq!(c.drain().count(), 4), None),
    ("retain of none", |c| c.retain(|_, _| false), None),
    (
        "retain that changes",
        |c| {
            c.retain(|_, value| {
                *value += 80;
                true
            })
        },
        Some(90),
    ),
    // What writes nothing.
    (
        "remove_if that does not",
        |c| assert_eq!(c.remove_if(&1, |_, _| false), None),
        Some(11),
    ),
    (
        "or_insert",
        |c| assert_eq!(c.entry(1).or_insert(90), 10),
        Some(11),
    ),
    (
        "or_insert_with",
        |c| assert_eq!(c.entry(1).or_insert_with(unneeded), 10),
        Some(11),
    ),
    ("set_ttl", |c| assert!(c.set_ttl(&1, LIFE)), Some(11)),
    ("another key", |c| c.extend([(5, 90)]), Some(11)),
    ("shrink_to_fit", |c| c.shrink_to_fit(), Some(11)),
    ("a lowered capacity", |c| c.bound_to(1), Some(11)),
    ("sweep", |c| assert_eq!(c.sweep(100).expired, 0), Some(11)),
    ("a capacity of zero", |c| c.bound_to(0), None),
];

#[test]
fn writes_during_a_refresh() {
    for &(name, write, after) in WRITES {
        let (cache, _clock) = stale();
        let (gate, key) = (Gate::default(), 1);
        let mut refresh = task(&cache, &key, &gate);
        assert!(refresh.waits());
        write(&cache);
        gate.open(Ok(11));
        assert_eq!(refresh.end(), Ok(11), "{name}: its caller has it anyway");
        assert_eq!(cache.peek(&1), after, "{name}");
        cache.check();
    }
}

/// `or_insert` finds the key when it looks, and not when it stores.
#[test]
fn an_or_insert_that_comes_too_late_writes_nothing() {
    let (cache, clock) = stale();
    let (gate, key) = (Gate::default(), 9);
    let mut refresh = None;
    let got = cache.entry(9).or_insert_with(|| {
        cache.insert_with_ttl(9, 90, LIFE);
        clock.advance(AGE);
        let task = refresh.insert(task(&cache, &key, &gate));
        assert!(task.waits());
        91
    });
    assert_eq!(got, 90);
    gate.open(Ok(92));
    assert_eq!(refresh.unwrap().end(), Ok(92));
    assert_eq!(cache.get(&9), Some(92));
}

#[test]
fn what_a_refresh_replaces_is_told_once_and_charged_anew() {
    let clock = ManualClock::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let hear = told.clone();
    let cache = Cache::builder(Weight(100, |_: &u32, value: &u64| *value))
        .refresh_after(AGE)
        .clock(clock.clone())
        .listener(move |_, value: &u64, cause| hear.lock().unwrap().push((*value, cause)))
        .shards(4)
        .build()
        .unwrap();
    cache.insert(1, 10);
    clock.advance(AGE);
    assert_eq!(cache.get_or_insert_with(&1, || 60), 60);
    assert_eq!(cache.weight(), 60);
    clock.advance(AGE);
    assert_eq!(cache.get_or_insert_with(&1, || 101), 101, "handed over");
    assert_eq!((cache.get(&1), cache.weight()), (None, 0), "and refused");
    let told = told.lock().unwrap();
    let replaced = |value| (value, Cause::Replaced);
    assert_eq!(*told, [replaced(10), replaced(60), (101, Cause::Refused)]);
    cache.check();
}

#[test]
fn a_refreshed_value_of_the_whole_capacity_gathers() {
    let clock = ManualClock::new();
    let cache = Cache::builder(Weight(100, |_: &u32, value: &u64| *value))
        .refresh_after(AGE)
        .clock(clock.clone())
        .shards(8)
        .build()
        .unwrap();
    cache.extend((0..10).map(|n| (n, 10)));
    clock.advance(AGE);
    let key = (0..10).find(|key| cache.contains_key(key)).unwrap();
    assert_eq!(cache.get_or_insert_with(&key, || 100), 100);
    assert_eq!((cache.get(&key), cache.len()), (Some(100), 1));
    cache.check();
}

// ---- inside of a refresh ----

#[test]
fn a_refresh_that_asks_for_its_own_key_is_served_the_stale_value() {
    ends(|| {
        let (cache, clock) = stale();
        let loaded = cache.get_or_insert_with(&1, || 1 + cache.get_or_insert_with(&1, unneeded));
        assert_eq!(loaded, 11);
        let ended = cache.try_get_or_insert_with(&2, || {
            clock.advance(LIFE);
            cache.try_get_or_insert_with(&2, || Err("not asked"))
        });
        assert_eq!(ended, Err(LoadError::Failed(LoadError::Cycle)));
    });
}

// ---- refreshes run elsewhere ----

type Jobs = Mutex<Vec<Box<dyn FnOnce() + Send>>>;

#[test]
fn a_refresh_is_handed_over_once_and_the_value_served_at_once() {
    let (cache, _clock) = stale();
    let jobs = Jobs::default();
    let ask = |n| refresh_with!(cache, &1, move || n, |job| jobs.lock().unwrap().push(job));
    for n in 11..15 {
        assert_eq!(ask(n), 10);
    }
    assert_eq!(cache.get_or_insert_with(&1, unneeded), 10);
    let job = jobs.lock().unwrap().pop().unwrap();
    assert!(jobs.lock().unwrap().is_empty(), "one at a time");
    spawn(job).join().unwrap();
    assert_eq!(ask(99), 11);
    assert_eq!(counts(&cache), (1, 0, 1));
    assert_eq!(refresh_with!(cache, &9, || 90, |_| unreachable!()), 90);
    let stats = cache.stats();
    assert_eq!((stats.hits(), stats.misses()), (6, 1));
    cache.check();
}

#[test]
fn a_refresh_that_is_never_run_is_given_up() {
    let (cache, _clock) = stale();
    assert_eq!(refresh_with!(cache, &1, unneeded, drop), 10);
    panic_of(|| {
        let _ = refresh_with!(cache, &1, unneeded, |_| stop());
    });
    assert_eq!(
        refresh_with!(cache, &1, || stop(), |job| {
            spawn(job).join().unwrap_err();
        }),
        10
    );
    let failed = cache
        .load_or_refresh(&1)
        .with(|| Err("no route"), |job| job());
    assert_eq!(failed, Ok(10));
    assert_eq!(counts(&cache), (0, 4, 0));
    // On this thread, if one likes.
    assert_eq!(refresh_with!(cache, &1, || 11, |job| job()), 10);
    assert_eq!(cache.get(&1), Some(11));
    let missing = cache
        .load_or_refresh(&9)
        .with(|| Err("no route"), |_| unreachable!());
    assert_eq!(missing, Err(LoadError::Failed("no route")));
    cache.check();
}

#[test]
fn a_refresh_in_a_task_is_handed_over_or_given_up() {
    let (cache, _clock) = stale();
    let (gate, chores) = (Gate::default(), Mutex::new(Vec::new()));
    let mut ask = Task::new(refresh_async!(cache, &1, gate.pass(), |chore| {
        chores.lock().unwrap().push(Task::new(chore));
    }));
    assert_eq!(ask.end(), 10);
    let served = Task::new(refresh_async!(
        cache,
        &1,
        async { unneeded() },
        |_| unreachable!()
    ));
    assert_eq!({ served }.end(), 10);
    let mut chore = chores.lock().unwrap().pop().unwrap();
    assert!(chore.waits());
    gate.open(11);
    assert!(chore.rang());
    chore.end();
    assert_eq!(cache.get(&1), Some(11));
    // Dropped before it is polled, and after; failed.
    for polls in 0..3 {
        let ask = cache.load_or_refresh(&2).future(
            async move {
                if polls < 2 {
                    std::future::pending::<()>().await;
                }
                Err("no route")
            },
            |chore| {
                let mut chore = Task::new(chore);
                for _ in 0..polls.min(1) {
                    let _ = chore.poll();
                }
            },
        );
        assert_eq!(Task::new(ask).end(), Ok(20));
    }
    assert_eq!(counts(&cache), (1, 3, 1));
    let missing = refresh_async!(cache, &9, async { 90 }, |_| unreachable!());
    assert_eq!(Task::new(missing).end(), 90);
    cache.check();
}

/// The value that is being refreshed is gone: what the refresh brings is stored all the same, as
/// that of any load, and what is there now makes room for it.
#[test]
fn fault_122_a_refresh_whose_value_was_evicted_or_has_expired_is_stored() {
    let clock = ManualClock::new();
    let build = || {
        let builder = Cache::builder(Entries(3)).policy::<Fifo>().shards(1);
        let builder = builder.refresh_after(AGE).time_to_live(LIFE);
        let cache = builder.clock(clock.clone()).build().unwrap();
        cache.extend((1..4).map(|n| (n, u64::from(n) * 10)));
        clock.advance(AGE);
        cache
    };
    type Gone = fn(&Cache<u32, u64, Aged<Fifo>>, &ManualClock);
    let gone: [(&str, Gone); 3] = [
        ("evicted by inserts", |c, _| {
            c.extend((4..7).map(|n| (n, 1)))
        }),
        ("evicted for a caller", |c, _| {
            assert_eq!(c.evict(), Some((1, 10)))
        }),
        ("expired", |_, clock| clock.advance(LIFE)),
    ];
    for (name, go) in gone {
        let (cache, gate, key) = (build(), Gate::default(), 1);
        let load = cache.try_get_or_insert_async(&key, gate.pass());
        let mut refresh: Task<'_, Loaded> = Task::new(load);
        assert!(refresh.waits());
        go(&cache, &clock);
        assert_eq!(cache.peek(&1), None, "{name}");
        // Who asks meanwhile waits for it.
        let mut waiter = Task::new(cache.get_or_insert_async(&key, async { unneeded() }));
        assert!(waiter.waits(), "{name}");
        let evicted = cache.stats().departures(Cause::Evicted);
        let full = cache.len() == 3 && name != "expired";
        gate.open(Ok(11));
        assert_eq!((refresh.end(), waiter.end()), (Ok(11), 11), "{name}");
        assert_eq!(
            (cache.peek(&1), cache.ttl(&1)),
            (Some(11), Some(LIFE)),
            "{name}"
        );
        let stats = cache.stats();
        let newer = stats.departures(Cause::Evicted) - evicted;
        assert_eq!(newer, u64::from(full), "{name}: something newer made room");
        assert_eq!(
            (stats.loads_unstored(), stats.refreshes()),
            (0, 1),
            "{name}"
        );
        cache.check();
    }
}

/// An explicit life is as long after each refresh, however that is done, unless the rule says
/// how long.
#[test]
fn fault_108_a_refresh_keeps_an_explicit_life() {
    const EXPLICIT: Duration = Duration::from_secs(100);
    for ruled in [false, true] {
        let clock = ManualClock::new();
        let build = || {
            let builder = Cache::builder(Entries(100))
                .refresh_after(AGE)
                .time_to_live(LIFE)
                .clock(clock.clone());
            builder.ttl_with(move |_: &u32, _: &u64, _| ruled.then_some(AGE * 2))
        };
        let cache = Arc::new(build().build().unwrap());
        let mut alone = build().build_unsync().unwrap();
        for key in 0..6 {
            cache.insert_with_ttl(key, 0, if key == 5 { Duration::MAX } else { EXPLICIT });
        }
        alone.insert_with_ttl(1, 0, EXPLICIT);
        for round in 1..4 {
            clock.advance(AGE + Duration::from_micros(7));
            assert_eq!(cache.get_or_insert_with(&0, || round), round);
            assert_eq!(
                block_on(cache.get_or_insert_async(&1, async { round })),
                round
            );
            let many = cache.get_or_insert_many([&2, &3], |keys| {
                keys.iter().map(|&&key| (key, round)).collect::<Vec<_>>()
            });
            assert_eq!(many, [Some(round); 2]);
            refresh_with!(cache, &4, move || round, |job| job());
            refresh_with!(cache, &5, move || round, |job| job());
            assert_eq!(alone.get_or_insert_with(&1, || round).unwrap(), &round);
            let expected = if ruled { AGE * 2 } else { EXPLICIT };
            for key in 0..5 {
                assert_eq!(
                    (cache.peek(&key), cache.ttl(&key)),
                    (Some(round), Some(expected))
                );
            }
            assert_eq!(alone.ttl(&1), Some(expected));
            let endless = if ruled { AGE * 2 } else { Duration::MAX };
            assert_eq!(cache.ttl(&5), Some(endless));
        }
        // One that is loaded for the first time has the usual life.
        cache.get_or_insert_with(&9, || 9);
        assert_eq!(cache.ttl(&9), Some(if ruled { AGE * 2 } else { LIFE }));
    }
}

#[test]
fn refreshes_on_tokio_and_on_threads() {
    ends(|| {
        let (cache, _clock) = stale();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let mut refresh = None;
            let spawn = |chore| refresh = Some(tokio::spawn(chore));
            assert_eq!(refresh_async!(cache, &1, async { 11 }, spawn).await, 10);
            refresh.unwrap().await.unwrap();
            let mut refresh = None;
            let spawn = |job| refresh = Some(tokio::task::spawn_blocking(job));
            assert_eq!(refresh_with!(cache, &2, || 21, spawn), 20);
            refresh.unwrap().await.unwrap();
        });
        block_on(async {
            let mut refresh = None;
            let spawn = |chore| refresh = Some(std::thread::spawn(|| block_on(chore)));
            assert_eq!(refresh_async!(cache, &3, async { 31 }, spawn).await, 30);
            refresh.unwrap().join().unwrap();
        });
        assert_eq!(cache.get_many(&[1, 2, 3]), [11, 21, 31].map(Some));
    });
}

#[test]
fn a_refresh_on_its_way_keeps_the_cache_and_leaves_nothing() {
    let ledger = Ledger::default();
    let clock = ManualClock::new();
    let cache = Cache::builder(Entries(10)).refresh_after(AGE);
    let cache = Arc::new(cache.clock(clock.clone()).build().unwrap());
    for run in [true, false] {
        cache.insert("page".to_owned(), ledger.value(1));
        clock.advance(AGE);
        let (mut kept, new) = (None, ledger.value(2));
        let page = refresh_with!(cache, "page", || new, |job| kept = Some(job));
        assert_eq!(page.id, 1);
        if run {
            kept.unwrap()();
        }
    }
    let weak = Arc::downgrade(&cache);
    let (mut kept, new) = (None, ledger.value(2));
    let page = refresh_with!(cache, "page", || new, |job| kept = Some(job));
    drop((cache, page));
    assert!(weak.upgrade().is_some());
    kept.unwrap()();
    assert!(weak.upgrade().is_none());
    assert_eq!(ledger.live(), 0);
}

/// What runs elsewhere is not inside of the load that asked for it, which does not
/// wait for it; what runs at once is.
#[test]
fn a_refresh_asked_for_inside_of_a_load() {
    ends(|| {
        let (cache, _clock) = stale();
        let other = cache.clone();
        let mut elsewhere = None;
        let loaded = cache.get_or_insert_with(&9, || {
            let load = move || other.get_or_insert_with(&9, unneeded) + 1;
            let spawn = |job| elsewhere = Some(spawn(job));
            let stale = refresh_with!(cache, &1, load, spawn);
            until(|| cache.stats().load_waits() == 1);
            stale + 80
        });
        assert_eq!(loaded, 90);
        elsewhere.unwrap().join().unwrap();
        assert_eq!(cache.get(&1), Some(91));

        let other = cache.clone();
        let told = Arc::new(Mutex::new(None));
        let tell = told.clone();
        cache.get_or_insert_with(&8, || {
            let load = move || {
                let asked = other.try_get_or_insert_with(&8, || Ok::<_, ()>(0));
                *tell.lock().unwrap() = Some(asked);
                21
            };
            refresh_with!(cache, &2, load, |job| job())
        });
        assert_eq!(*told.lock().unwrap(), Some(Err(LoadError::Cycle)));
    });
}

#[test]
fn refreshing_futures_and_jobs_are_send() {
    fn send<T: Send>(value: T) -> T {
        value
    }
    let cache = Arc::new(Cache::<String, u64>::new(10));
    let load = async { 1 };
    drop(send(refresh_async!(cache, "a", load, |chore| drop(send(
        chore
    )))));
    refresh_with!(cache, "a", || 1, |job| drop(send(job)));
}

// ---- many ----

#[test]
fn of_many_keys_the_stale_are_asked_for_with_the_missing() {
    let (cache, _clock) = stale();
    let (gate, key) = (Gate::default(), 1);
    let mut refresh = task(&cache, &key, &gate);
    assert!(refresh.waits());
    cache.insert(2, 21);
    let found = cache.get_or_insert_many(&[1, 2, 3, 9, 3, 4], |asked| {
        let mut asked: Vec<u32> = asked.iter().map(|&&key| key).collect();
        asked.sort_unstable();
        assert_eq!(asked, [3, 4, 9], "not the fresh nor what another refreshes");
        vec![(3, 31), (9, 91)]
    });
    let expected = [10, 21, 31, 91, 31, 40].map(Some);
    assert_eq!(found, expected, "what is left out stays, stale");
    assert_eq!(cache.get(&4), Some(40));
    gate.open(Ok(11));
    assert_eq!(refresh.end(), Ok(11));
    assert_eq!(counts(&cache), (2, 0, 2));
    let stats = cache.stats();
    assert_eq!(stats.misses(), 1);
    cache.check();
}

#[test]
fn many_that_fail_are_answered_if_all_are_there() {
    for if_error in [false, true] {
        let (cache, _clock) = stale_or(if_error);
        let load = |_: &[&u32]| Err::<Vec<(u32, u64)>, _>("no route");
        let failed = Err(LoadError::Failed("no route"));
        let found = cache.load_many(&[1, 2, 1]).with(load);
        let stale = [10, 20, 10].map(Some).to_vec();
        assert_eq!(found, if if_error { Ok(stale) } else { failed.clone() });
        assert_eq!(cache.load_many(&[1, 9]).with(load), failed);
        let removed = cache.load_many(&[1, 2]).with(|_| {
            cache.remove(&2);
            Err::<Vec<(u32, u64)>, _>("no route")
        });
        assert_eq!(removed, failed);
        assert_eq!(cache.get(&1), Some(10));
        let load = |_: Vec<&u32>| async { Err::<Vec<(u32, u64)>, _>("no route") };
        let found = block_on(cache.load_many(&[1]).future(load));
        let stale = vec![Some(10)];
        assert_eq!(found, if if_error { Ok(stale) } else { failed.clone() });
        let load = |_: Vec<&u32>| async { Ok::<_, ()>(vec![(1, 11)]) };
        let found = block_on(cache.load_many(&[1]).future(load));
        assert_eq!(found, Ok(vec![Some(11)]));
        cache.check();
    }
}

// ---- one owner, and building ----

#[test]
fn an_unsync_cache_refreshes_too() {
    for if_error in [false, true] {
        let clock = ManualClock::new();
        let mut builder = unsync::Cache::builder(Entries(10))
            .refresh_after(AGE)
            .time_to_live(LIFE)
            .clock(clock.clone());
        if if_error {
            builder = builder.stale_if_error();
        }
        let mut cache = builder.build_unsync().unwrap();
        cache.insert("a".to_owned(), 1);
        clock.advance(AGE);
        assert_eq!(cache.get("a"), Some(&1));
        let failed = cache.try_get_or_insert_with("a", || Err("no route"));
        assert_eq!(failed.is_ok(), if_error);
        assert_eq!(failed.map_or(1, |found| *found.unwrap()), 1);
        let ended = cache.try_get_or_insert_with("a", || {
            clock.advance(LIFE);
            Err("no route")
        });
        assert_eq!(ended.unwrap_err(), "no route");
        cache.insert("a".to_owned(), 1);
        clock.advance(AGE);
        assert_eq!(*cache.get_or_insert_with("a", || 2).unwrap(), 2);
        assert_eq!(*cache.get_or_insert_with("a", || 3).unwrap(), 2);
        let stats = cache.stats();
        let counts = (stats.loads(), stats.load_failures(), stats.refreshes());
        assert_eq!(counts, (1, 2, 1));
        assert_eq!(stats.departures(Cause::Replaced), 1);
        cache.check();
    }
}

#[test]
fn stale_if_error_needs_an_age() {
    let error = Cache::<u32, u32>::builder(Entries(10))
        .stale_if_error()
        .build()
        .unwrap_err();
    assert_eq!(error, BuildError::NeverStale);
    assert!(error.to_string().contains("refresh_after"), "{error}");
    let error = Cache::<u32, u32>::builder(Entries(10)).refresh_pause(AGE);
    assert_eq!(error.build().unwrap_err(), BuildError::NeverStale);
    let error = unsync::Cache::<u32, u32>::builder(Entries(10)).stale_if_error();
    assert_eq!(error.build_unsync().unwrap_err(), BuildError::NeverStale);
    let _: Cache<u32, u32, Aged<Fifo>> = Cache::builder(Entries(10))
        .policy::<Fifo>()
        .stale_if_error()
        .refresh_after(AGE)
        .build()
        .unwrap();
}
