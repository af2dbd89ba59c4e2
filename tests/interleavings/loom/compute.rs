//! One decision about one key against other writers.

use super::{THREE, UNBOUNDED, counted, explore, go, keys, settled, weighed, within};
use brimful::policy::Fifo;
use brimful::{Begun, Cache, Computed, Next};
use loom::future::block_on;
use std::collections::BTreeSet;
use std::future::ready;

/// Adds one to what is there, or puts that.
fn count_up<F: brimful::Form>(cache: &Cache<u32, u32, F, super::Fixed>, key: u32) -> Computed<u32> {
    cache.compute(key, |found| match found {
        Some(n) => {
            *n += 1;
            Next::Keep
        }
        None => Next::Put(1),
    })
}

#[test]
fn two_count_one_key_up() {
    explore("two computes of one key", UNBOUNDED, || {
        let cache = counted::<Fifo>(2, 1);
        let [a] = keys(&cache, 0);
        let other = go(&cache, move |cache| count_up(cache, a));
        let own = count_up(&cache, a);
        within(&cache, 2);
        let both = [own, other.join().unwrap()];
        assert!(both.contains(&Computed::Inserted) && both.contains(&Computed::Kept));
        settled(&cache);
        assert_eq!(cache.peek(&a), Some(2));
    });
}

#[test]
fn a_put_that_needs_another_shards_room_and_an_insert_there() {
    let ends = explore("compute, insert, capacity 1, 2 shards", UNBOUNDED, || {
        let cache = counted::<Fifo>(1, 2);
        let ([a], [b]) = (keys(&cache, 0), keys(&cache, 1));
        let counter = go(&cache, move |cache| {
            let counted = count_up(cache, a);
            within(cache, 1);
            counted
        });
        cache.insert(b, 2);
        within(&cache, 1);
        assert_eq!(counter.join().unwrap(), Computed::Inserted, "room is found");
        settled(&cache);
        assert_eq!(cache.len(), 1, "filled exactly");
        cache.contains_key(&a)
    });
    assert_eq!(ends.len(), 2, "either may be the last");
}

/// By weight, what one entry lacks is gathered beside the lock: it is there, or it is refused.
#[test]
fn a_heavy_put_and_an_insert_elsewhere() {
    let ends = explore("heavy compute, insert, 2 shards", UNBOUNDED, || {
        let cache = weighed(4, 2);
        let ([a], [b]) = (keys(&cache, 0), keys(&cache, 1));
        let putter = go(&cache, move |cache| {
            let put = cache.compute(a, |_| Next::Put(3));
            within(cache, 4);
            put
        });
        cache.insert(b, 2);
        within(&cache, 4);
        let put = putter.join().unwrap();
        settled(&cache);
        match put {
            Computed::Inserted => assert!(cache.peek(&a).is_none_or(|value| value == 3)),
            put => assert_eq!((put, cache.peek(&a)), (Computed::Refused, None)),
        }
        (cache.contains_key(&a), cache.contains_key(&b))
    });
    assert!(
        ends.contains(&(true, false)) && ends.contains(&(false, true)),
        "{ends:?}"
    );
}

#[test]
fn a_change_that_waits_and_an_insert() {
    let ends = explore("and_modify and or_insert, insert", UNBOUNDED, || {
        let cache = counted::<Fifo>(2, 1);
        let [a] = keys(&cache, 0);
        let chain = go(&cache, move |cache| {
            cache.entry(a).and_modify(|n| *n += 1).or_insert(1)
        });
        let old = cache.insert(a, 10);
        let counted = chain.join().unwrap();
        settled(&cache);
        (old, counted, cache.peek(&a))
    });
    let in_turn = [(None, 11, Some(11)), (Some(1), 1, Some(10))];
    assert_eq!(ends.into_iter().collect::<Vec<_>>(), in_turn);
}

/// As `count_up`, by a future.
fn count_up_later<F: brimful::Form>(
    cache: &Cache<u32, u32, F, super::Fixed>,
    key: u32,
) -> Computed<u32> {
    let one_more = |found: Option<u32>| ready(Next::Put(found.unwrap_or(0) + 1));
    block_on(cache.compute_async(&key, one_more))
}

#[test]
fn two_futures_count_one_key_up() {
    explore("two computes of one key by futures", UNBOUNDED, || {
        let cache = counted::<Fifo>(2, 1);
        let [a] = keys(&cache, 0);
        let other = go(&cache, move |cache| count_up_later(cache, a));
        let own = count_up_later(&cache, a);
        within(&cache, 2);
        let both = [own, other.join().unwrap()];
        assert!(both.contains(&Computed::Inserted) && both.contains(&Computed::Replaced(1)));
        settled(&cache);
        assert_eq!(cache.peek(&a), Some(2));
    });
}

#[test]
fn three_futures_count_one_key_up() {
    explore("three computes of one key by futures", THREE, || {
        let cache = counted::<Fifo>(2, 1);
        let [a] = keys(&cache, 0);
        let others = [(); 2].map(|()| go(&cache, move |cache| count_up_later(cache, a)));
        let _ = count_up_later(&cache, a);
        let all = others.map(|other| other.join().unwrap());
        assert!(all.iter().all(Computed::is_present));
        settled(&cache);
        assert_eq!(cache.peek(&a), Some(3));
    });
}

/// Another call's write comes before or after, never in between.
#[test]
fn a_future_that_counts_and_another_writer() {
    type Write = fn(&Cache<u32, u32, Fifo, super::Fixed>, u32) -> Option<u32>;
    type Ends = [(Option<u32>, Option<u32>); 2];
    let writes: [(&str, Write, Ends); 3] = [
        (
            "insert",
            |c, a| c.insert(a, 10),
            [(Some(1), Some(11)), (Some(2), Some(10))],
        ),
        (
            "remove",
            |c, a| c.remove(&a),
            [(Some(1), Some(1)), (Some(2), None)],
        ),
        (
            "compute",
            |c, a| {
                let _ = count_up(c, a);
                Some(0)
            },
            [(Some(0), Some(3)); 2],
        ),
    ];
    for (name, write, in_turn) in writes {
        let ends = explore(name, UNBOUNDED, move || {
            let cache = counted::<Fifo>(2, 1);
            let [a] = keys(&cache, 0);
            cache.insert(a, 1);
            let counts = go(&cache, move |cache| count_up_later(cache, a));
            let old = write(&cache, a);
            assert!(counts.join().unwrap().is_present());
            settled(&cache);
            (old, cache.peek(&a))
        });
        assert_eq!(ends, BTreeSet::from(in_turn), "{name}");
    }
}

/// A load waits for the future, or the future for the load.
#[test]
fn a_future_that_counts_and_a_load() {
    let ends = explore("compute by a future, load", UNBOUNDED, || {
        let cache = counted::<Fifo>(2, 1);
        let [a] = keys(&cache, 0);
        let counts = go(&cache, move |cache| count_up_later(cache, a));
        let loaded = cache.get_or_insert_with(&a, || 10);
        assert!(counts.join().unwrap().is_present());
        settled(&cache);
        (loaded, cache.peek(&a))
    });
    assert_eq!(ends, BTreeSet::from([(1, Some(1)), (10, Some(11))]));
}

/// One that decides nothing leaves the load to the other.
#[test]
fn a_future_that_keeps_and_a_load() {
    explore("compute that keeps, load", UNBOUNDED, || {
        let cache = counted::<Fifo>(2, 1);
        let [a] = keys(&cache, 0);
        let keeps = go(&cache, move |cache| {
            block_on(cache.compute_async(&a, |_| ready(Next::Keep)))
        });
        assert_eq!(cache.get_or_insert_with(&a, || 10), 10);
        assert_ne!(keeps.join().unwrap(), Computed::Refused);
        settled(&cache);
        assert_eq!(cache.peek(&a), Some(10));
    });
}

/// By weight, what it lacks is gathered: whatever others evict meanwhile, it is put.
#[test]
fn a_heavy_put_by_a_future_and_an_insert_elsewhere() {
    let ends = explore(
        "heavy compute by a future, insert, 2 shards",
        UNBOUNDED,
        || {
            let cache = weighed(4, 2);
            let ([a], [b]) = (keys(&cache, 0), keys(&cache, 1));
            cache.insert(a, 1);
            let putter = go(&cache, move |cache| {
                let put = block_on(
                    cache.compute_async(&a, |found| ready(Next::Put(found.unwrap_or(0) + 3))),
                );
                within(cache, 4);
                put
            });
            cache.insert(b, 2);
            within(&cache, 4);
            let put = putter.join().unwrap();
            settled(&cache);
            assert!(put.is_present());
            (cache.peek(&a), cache.contains_key(&b))
        },
    );
    assert!(ends.contains(&(Some(4), false)), "{ends:?}");
}

/// A guard that ends with a value, or without one, and one who waits for it.
#[test]
fn a_guard_and_a_load() {
    for lands in [true, false] {
        let ends = explore("a guard, a load", UNBOUNDED, move || {
            let cache = counted::<Fifo>(2, 1);
            let [a] = keys(&cache, 0);
            let other = go(&cache, move |cache| match cache.load(&a).begin() {
                Ok(Begun::Value(value)) => value,
                Ok(Begun::Lead(lead)) if lands => lead.insert(1),
                Ok(Begun::Lead(_)) => 0,
                Err(error) => panic!("{error}"),
            });
            let loaded = cache.get_or_insert_with(&a, || 10);
            let began = other.join().unwrap();
            settled(&cache);
            assert_eq!(cache.peek(&a), Some(loaded));
            (began, loaded)
        });
        let first = if lands { (1, 1) } else { (0, 10) };
        assert_eq!(ends, BTreeSet::from([first, (10, 10)]));
    }
}

/// A source says that there is no such key, to two who ask.
#[test]
fn no_such_key_for_two() {
    explore("two loads of no such key", UNBOUNDED, || {
        let cache = counted::<Fifo>(2, 1);
        let [a] = keys(&cache, 0);
        let find = move |cache: &Cache<u32, u32, Fifo, super::Fixed>| {
            cache.load(&a).optional().with(|| Ok::<_, ()>(None))
        };
        let other = go(&cache, move |cache| find(cache));
        assert_eq!(find(&cache), Ok(None));
        assert_eq!(other.join().unwrap(), Ok(None));
        settled(&cache);
        assert!(cache.is_empty());
    });
}
