//! Refreshes: a stale value that threads load anew, write, take out, evict or see end.
//!
//! The cache holds 10 under 7, stale, when the threads begin. In every schedule at
//! most one of them loads at a time, nobody waits for it but who finds no value, and
//! what was written is never replaced by a load that began before.

use super::time::{LIFE, Living, PAST, hear};
use super::{Fixed, THREE, UNBOUNDED, explore, go, keys, within};
use brimful::policy::Fifo;
use brimful::{Aged, Cache, Entries, LoadError, ManualClock};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// From this age on a value is stale.
const AGE: Duration = Duration::from_millis(10);

type Aging = Living<Aged<Fifo>>;

/// A cache with a stale value.
fn stale(entries: usize, shards: usize) -> Arc<Aging> {
    let aging = Living::new(|clock, told| {
        Cache::builder(Entries(entries))
            .policy::<Fifo>()
            .hasher(Fixed::default())
            .shards(shards)
            .time_to_live(LIFE)
            .refresh_after(AGE)
            .clock(clock)
            .on_departure(hear(told))
            .build()
            .expect("a plain configuration")
    });
    aging.insert(7, 10);
    aging.clock.advance(AGE);
    aging
}

/// What a call answers is of no interest.
fn done<T>(_: T) {}

/// When all is quiet no flight is left: the next load is one's own.
fn landed(aging: &Aging) {
    aging.settled();
    aging.remove(&7);
    assert_eq!(aging.get_or_insert_with(&7, || 99), 99);
    aging.settled();
}

#[test]
fn one_refresh_for_three_threads() {
    let ends = explore("three meet a stale value", THREE, || {
        let cache = stale(2, 1);
        let others = [11, 12].map(|n| go(&cache, move |c| c.get_or_insert_with(&7, || n)));
        let mine = cache.get_or_insert_with(&7, || 13);
        let theirs = others.map(|other| other.join().unwrap());
        let new = cache.peek(&7).expect("refreshed");
        assert!(new > 10);
        let got = [mine, theirs[0], theirs[1]];
        assert!(
            got.iter().all(|&value| value == new || value == 10),
            "{got:?}"
        );
        assert!(got.contains(&new), "who loads has what it loads");
        let stats = cache.stats();
        let waits = stats.load_waits();
        assert_eq!((stats.loads(), stats.refreshes(), waits), (1, 1, 0));
        landed(&cache);
        got.iter().filter(|&&value| value == 10).count()
    });
    assert_eq!(
        ends,
        BTreeSet::from([0, 1, 2]),
        "some are served the stale value"
    );
}

#[test]
fn a_write_against_a_refresh() {
    type Case = (&'static str, fn(&Aging), &'static [Option<u32>]);
    let cases: [Case; 5] = [
        ("insert", |c| done(c.insert(7, 5)), &[Some(5)]),
        ("remove", |c| done(c.remove(&7)), &[None, Some(11)]),
        ("clear", |c| c.clear(), &[None, Some(11)]),
        (
            "update",
            |c| done(c.update(&7, |value| *value += 5)),
            &[Some(15), Some(16), Some(11)],
        ),
        ("or_insert", |c| done(c.entry(7).or_insert(5)), &[Some(11)]),
    ];
    for (name, write, stored) in cases {
        let ends = explore(&format!("refresh, {name}"), UNBOUNDED, move || {
            let cache = stale(2, 1);
            let writer = go(&cache, write);
            let mine = cache.get_or_insert_with(&7, || 11);
            writer.join().unwrap();
            assert!([5, 11].contains(&mine), "{mine}");
            let kept = cache.peek(&7);
            landed(&cache);
            kept
        });
        let stored: BTreeSet<_> = stored.iter().copied().collect();
        assert_eq!(ends, stored, "{name}");
    }
}

#[test]
fn a_refresh_that_fails_and_one_that_does_not() {
    let ends = explore("one fails to refresh, one refreshes", UNBOUNDED, || {
        let cache = stale(2, 1);
        let failing = go(&cache, |c| c.try_get_or_insert_with(&7, || Err(())));
        let mine = cache.get_or_insert_with(&7, || 11);
        let theirs = failing.join().unwrap();
        assert!(matches!(theirs, Ok(10 | 11) | Err(LoadError::Failed(()))));
        let kept = cache.peek(&7);
        assert_eq!(kept, Some(mine), "what is served is there");
        assert_eq!(cache.stats().load_waits(), 0);
        landed(&cache);
        (mine, theirs.ok())
    });
    let seen = [(10, None), (11, None), (11, Some(10)), (11, Some(11))];
    assert_eq!(ends, BTreeSet::from(seen));
}

#[test]
fn a_stale_value_that_ends_while_it_is_refreshed() {
    let ends = explore(
        "a refresh during which the value ends, load",
        UNBOUNDED,
        || {
            let cache = stale(2, 1);
            let other = go(&cache, |c| c.get_or_insert_with(&7, || 12));
            let mine = cache.get_or_insert_with(&7, || {
                cache.clock.advance(PAST);
                11
            });
            let theirs = other.join().unwrap();
            landed(&cache);
            (mine, theirs, cache.stats().load_waits())
        },
    );
    let seen = [
        (11, 10, 0),
        (11, 11, 0),
        (11, 11, 1),
        (10, 12, 0),
        (12, 12, 0),
    ];
    assert_eq!(
        ends,
        BTreeSet::from(seen),
        "served, or waits for the refresh"
    );
}

#[test]
fn a_stale_value_that_ends_while_its_refresh_fails() {
    let ends = explore(
        "a refresh fails during which the value ends, load",
        UNBOUNDED,
        || {
            let cache = stale(2, 1);
            let other = go(&cache, |c| c.get_or_insert_with(&7, || 12));
            let mine = cache.try_get_or_insert_with(&7, || {
                cache.clock.advance(PAST);
                Err(())
            });
            let theirs = other.join().unwrap();
            landed(&cache);
            (mine.ok(), theirs, cache.stats().load_waits())
        },
    );
    let seen = [
        (None, 10, 0),
        (None, 12, 0),
        (None, 12, 1),
        (Some(10), 12, 0),
        (Some(12), 12, 0),
    ];
    assert_eq!(ends, BTreeSet::from(seen), "served, or takes over");
}

#[test]
fn a_refresh_and_an_eviction() {
    let ends = explore("refresh, the value is evicted", UNBOUNDED, || {
        let cache = stale(1, 2);
        let [other] = keys(&cache, 1);
        let writer = go(&cache, move |c| {
            c.insert(other, 1);
            within(c, 1);
        });
        assert_eq!(cache.get_or_insert_with(&7, || 11), 11);
        within(&cache, 1);
        writer.join().unwrap();
        cache.settled();
        cache.peek(&7)
    });
    assert_eq!(ends, BTreeSet::from([None, Some(11)]));
}

#[test]
fn a_refresh_that_is_handed_over() {
    let ends = explore("a refresh elsewhere, insert, load", THREE, || {
        let clock = ManualClock::new();
        let cache = Cache::builder(Entries(2))
            .policy::<Fifo>()
            .hasher(Fixed::default())
            .shards(1)
            .refresh_after(AGE)
            .clock(clock.clone());
        let cache = Arc::new(cache.build().expect("a plain configuration"));
        cache.insert(7, 10);
        clock.advance(AGE);
        let mut elsewhere = None;
        let served = cache.load_or_refresh(&7).with(
            || Ok::<u64, ()>(11),
            |job| {
                elsewhere = Some(loom::thread::spawn(job));
            },
        );
        assert_eq!(served, Ok(10));
        let writer = go(&cache, |cache| cache.insert(7, 5));
        let mine = cache.get_or_insert_with(&7, || unreachable!("it is being refreshed"));
        elsewhere.expect("it is due").join().unwrap();
        let old = writer.join().unwrap();
        assert_eq!(cache.peek(&7), Some(5));
        assert!([10, 11].map(Some).contains(&old));
        cache.check();
        mine
    });
    assert_eq!(ends, BTreeSet::from([5, 10, 11]));
}
