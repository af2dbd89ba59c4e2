//! One decision about one key against other writers.

use super::{UNBOUNDED, counted, explore, go, keys, settled, weighed, within};
use brimful::policy::Fifo;
use brimful::{Cache, Computed, Next};

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
