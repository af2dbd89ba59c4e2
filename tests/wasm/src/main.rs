//! What a cache does where there is neither a clock nor a second thread: the target
//! `wasm32-unknown-unknown`, for which `.ci/run wasm` builds this and runs it under node.
//!
//! It runs anywhere (`cargo run -p wasm`), but for what only such a [`BARE`] target refuses. There a
//! failed assertion cannot say where it stands, so each check has a function and a name.

use brimful::policy::{Duel, Fifo, Gdsf, Lfu, Lru, Policy, S3Fifo, Sieve};
use brimful::{BuildError, Cache, Cause, Entries, LoadError, ManualClock, unsync};
use std::convert::Infallible;
use std::future::{pending, ready};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

const BARE: bool = cfg!(all(target_family = "wasm", target_os = "unknown"));

const SECOND: Duration = Duration::from_secs(1);

fn main() {
    loads_without_a_clock();
    loads_of_many_and_of_tasks();
    loads_are_timed_by_a_clock_that_is_given();
    inserts_over_the_capacity::<Duel>();
    inserts_over_the_capacity::<S3Fifo>();
    inserts_over_the_capacity::<Sieve>();
    inserts_over_the_capacity::<Lru>();
    inserts_over_the_capacity::<Fifo>();
    inserts_over_the_capacity::<Lfu>();
    inserts_over_the_capacity::<Gdsf>();
    bytes_over_the_capacity();
    lives_end_by_the_hand_clock();
    stale_values_are_loaded_again();
    one_owner_needs_no_clock_either();
    if BARE {
        lives_without_a_clock_are_refused();
        nobody_waits_for_a_load_that_cannot_end();
        no_thread_sweeps();
    }
}

fn loads_without_a_clock() {
    let cache = Cache::new(3);
    for key in 0..10 {
        assert_eq!(cache.get_or_insert_with(&key, || key * key), key * key);
        assert_eq!(cache.get_or_insert_with(&key, || unreachable!()), key * key);
    }
    let failed = cache.try_get_or_insert_with(&10, || Err("no route"));
    assert_eq!(failed, Err(LoadError::Failed("no route")));
    let stats = cache.stats();
    assert_eq!((cache.len(), stats.loads(), stats.hits()), (3, 10, 10));
    assert_eq!(stats.departures(Cause::Evicted), 7);
    assert_eq!(BARE, stats.load_time().is_zero());
    assert!(stats.to_string().contains("10"));
    cache.check();
}

fn loads_of_many_and_of_tasks() {
    let cache = Cache::<u32, u32>::new(9);
    let mut context = Context::from_waker(Waker::noop());
    let load = pin!(cache.get_or_insert_async(&1, ready(1)));
    assert_eq!(load.poll(&mut context), Poll::Ready(1));
    let squares = cache.get_or_insert_many(&[1, 2, 3], |missing| {
        missing
            .iter()
            .map(|&&key| (key, key * key))
            .collect::<Vec<_>>()
    });
    assert_eq!(squares, [Some(1), Some(4), Some(9)]);
    assert_eq!((cache.len(), cache.stats().loads()), (3, 2));
}

fn loads_are_timed_by_a_clock_that_is_given() {
    let clock = ManualClock::new();
    let built = Cache::builder(Entries(9)).clock(clock.clone()).build();
    let cache: Cache<u32, u32> = built.unwrap();
    let load = || {
        clock.advance(SECOND);
        1
    };
    cache.get_or_insert_with(&1, load);
    assert_eq!(cache.stats().load_time(), SECOND);
}

fn inserts_over_the_capacity<P: Policy>() {
    let built = Cache::builder(Entries(1_000)).policy::<P>().build();
    let cache: Cache<u32, u32, P> = built.unwrap();
    for key in 0..5_000 {
        cache.insert(key, !key);
        cache.get(&(key / 2));
        assert!(cache.len() <= 1_000);
    }
    let (stats, held) = (cache.stats(), cache.iter().count());
    assert_eq!(held as u64 + stats.departures(Cause::Evicted), 5_000);
    assert!(cache.iter().all(|(key, value)| value == !key));
    cache.check();
}

fn bytes_over_the_capacity() {
    let cache = Cache::bytes(100_000);
    for key in 0..1_000_u32 {
        cache.insert(key, vec![0_u8; 1_000]);
        assert!(cache.weight() <= 100_000);
    }
    assert!(cache.len() > 80 && cache.get(&999).is_some());
    cache.check();
}

fn lives_end_by_the_hand_clock() {
    let clock = ManualClock::new();
    let cache = Cache::builder(Entries(9))
        .time_to_live(10 * SECOND)
        .time_to_idle(5 * SECOND)
        .clock(clock.clone())
        .build()
        .unwrap();
    cache.extend([(1, 1), (2, 2)]);
    cache.insert_with_ttl(3, 3, SECOND);
    assert_eq!(cache.get_or_insert_with(&4, || 4), 4);
    clock.advance(4 * SECOND);
    assert_eq!((cache.get(&1), cache.get(&3)), (Some(1), None));
    clock.advance(4 * SECOND);
    assert_eq!((cache.get(&1), cache.get(&2)), (Some(1), None));
    clock.advance(4 * SECOND);
    assert_eq!(cache.get(&1), None);
    cache.sweep(usize::MAX);
    assert_eq!(
        (cache.len(), cache.stats().departures(Cause::Expired)),
        (0, 4)
    );
    cache.check();
}

fn stale_values_are_loaded_again() {
    let clock = ManualClock::new();
    let cache = Cache::builder(Entries(9))
        .refresh_after(SECOND)
        .refresh_pause(SECOND)
        .stale_if_error()
        .clock(clock.clone())
        .build()
        .unwrap();
    cache.insert(1, 1);
    clock.advance(SECOND);
    assert_eq!(cache.try_get_or_insert_with(&1, || Err("no route")), Ok(1));
    clock.advance(SECOND);
    assert_eq!(cache.get_or_insert_with(&1, || 2), 2);
}

fn one_owner_needs_no_clock_either() {
    let mut cache = unsync::Cache::new(3);
    for key in 0..10 {
        assert_eq!(cache.get_or_insert_with(&key, || !key).unwrap(), &!key);
    }
    assert_eq!((cache.len(), cache.stats().loads()), (3, 10));
}

fn lives_without_a_clock_are_refused() {
    let timed = Cache::<u32, u32>::builder(Entries(9)).time_to_live(SECOND);
    assert_eq!(timed.build().err(), Some(BuildError::NoClock));
    let idle = unsync::Cache::<u32, u32>::builder(Entries(9)).time_to_idle(SECOND);
    assert_eq!(idle.build_unsync().err(), Some(BuildError::NoClock));
}

fn nobody_waits_for_a_load_that_cannot_end() {
    let cache = Cache::<u32, u32>::new(9);
    let mut load = pin!(cache.get_or_insert_async(&1, pending()));
    let mut context = Context::from_waker(Waker::noop());
    assert!(load.as_mut().poll(&mut context).is_pending());
    let own = || Ok::<u32, Infallible>(2);
    assert_eq!(
        cache.try_get_or_insert_with(&1, own),
        Err(LoadError::TimedOut)
    );
    assert_eq!(cache.load(&1).within(SECOND, own), Err(LoadError::TimedOut));
    assert_eq!(
        cache.load_many(&[1]).with(|_| own().map(|_| [])),
        Err(LoadError::TimedOut)
    );
}

fn no_thread_sweeps() {
    let timed = Cache::<u32, u32>::builder(Entries(9)).time_to_live(SECOND);
    let cache = Arc::new(timed.clock(ManualClock::new()).build().unwrap());
    assert!(cache.sweeper(SECOND).is_err());
}
