//! Newcomers that are far heavier than what is there: who is let in, and what is told of the others.

use crate::world::random::Random;
use brimful::policy::{Duel, Gdsf, Lfu, Lru, Policy};
use brimful::{Builder, Bytes, Cache, Cause, Reason, Weighed, Weight, unsync};
use std::collections::hash_map::DefaultHasher;
use std::hash::BuildHasherDefault;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Without a seed: no key is taken for another in one run and not in the next.
type Hashing = BuildHasherDefault<DefaultHasher>;

type Rows<P = Duel> = Cache<u64, u64, Weighed<P>, Hashing>;

fn builder<P: Policy>(capacity: u64) -> Builder<u64, u64, Weighed<P>, Hashing> {
    let weigh = |_: &u64, weight: &u64| *weight;
    let builder = Cache::builder(Weight(capacity, weigh)).policy::<P>();
    builder.hasher(Hashing::default()).shards(1)
}

/// A full cache of entries of weight 10, of which one had to leave.
fn full<P: Policy>(capacity: u64) -> Rows<P> {
    let cache = builder(capacity).build().unwrap();
    cache.extend((0..=capacity / 10).map(|key| (key, 10)));
    assert_eq!(cache.weight(), capacity);
    cache
}

/// The weight up to which a newcomer is let in at its first, second, … request.
fn let_in_at<P: Policy>(weight: u64) -> Option<usize> {
    let cache = full::<P>(100_000);
    (1..20).find(|_| cache.try_insert(1_000_000, weight).is_ok())
}

#[test]
fn a_newcomer_is_let_in_up_to_64_times_the_mean_for_each_time_it_was_asked_for() {
    let rows = [
        (640, 1),
        (641, 2),
        (1_280, 2),
        (1_290, 3),
        (3_840, 6),
        (3_850, 7),
        (99_000, 7),
    ];
    for (weight, expected) in rows {
        assert_eq!(
            let_in_at::<Duel>(weight),
            Some(expected),
            "{weight} by Duel"
        );
        let by_gdsf = let_in_at::<Gdsf>(weight).expect("it is let in at last");
        assert!(by_gdsf <= expected, "{weight} by Gdsf: {by_gdsf}");
    }
    assert_eq!(let_in_at::<Gdsf>(641), Some(2));
}

#[test]
fn policies_that_promise_an_order_let_all_in() {
    assert_eq!(let_in_at::<Lru>(100_000), Some(1));
    assert_eq!(let_in_at::<Lfu>(100_000), Some(1));
}

#[test]
fn what_is_told_of_one_that_is_refused() {
    let refused = Arc::new(AtomicU64::new(0));
    let told = Arc::clone(&refused);
    let cache = builder::<Duel>(1_000)
        .on_departure(move |left: brimful::Departed<'_, u64, u64>| {
            if left.cause == Cause::Refused {
                told.fetch_add(*left.value, Relaxed);
            }
        })
        .build()
        .unwrap();
    cache.extend((0..1_000).map(|key| (key, 1)));
    let error = cache.try_insert(5_000, 700).unwrap_err();
    assert_eq!((error.key, error.value, error.old), (5_000, 700, None));
    assert_eq!(
        error.reason,
        Reason::Heavy {
            weight: 700,
            most: 64
        }
    );
    assert!(
        error.reason.to_string().contains("at most 64"),
        "{}",
        error.reason
    );
    assert_eq!(cache.insert(5_000, 700), None);
    assert_eq!(
        (
            refused.load(Relaxed),
            cache.stats().departures(Cause::Refused)
        ),
        (1_400, 2)
    );
    // Nobody had to leave for it.
    assert_eq!(
        (cache.len(), cache.stats().departures(Cause::Evicted)),
        (1_000, 0)
    );
    // Who loads has the value all the same.
    assert_eq!(cache.get_or_insert_with(&6_000, || 700), 700);
    assert!(!cache.contains_key(&6_000));
    assert_eq!(cache.stats().departures(Cause::Refused), 3);
    cache.check();
}

#[test]
fn while_there_is_room_and_in_the_place_of_an_older_value_any_weight_is_let_in() {
    let cache = builder::<Duel>(1_000).build().unwrap();
    cache.extend((0..100).map(|key| (key, 1)));
    assert!(cache.try_insert(5_000, 900).is_ok(), "all that is free");
    assert!(cache.try_insert(5_000, 1_000).is_ok(), "its key is there");
    assert_eq!((cache.len(), cache.weight()), (1, 1_000));
    let few = full::<Duel>(70);
    assert!(
        few.try_insert(100, 70).is_ok(),
        "seven entries tell nothing"
    );
}

#[test]
fn one_word_lets_all_in_and_a_cache_of_one_owner_has_the_same_rule() {
    let lenient = builder::<Duel>(1_000).admit_heavy().build().unwrap();
    lenient.extend((0..1_000).map(|key| (key, 1)));
    assert!(lenient.try_insert(5_000, 1_000).is_ok());
    assert_eq!(lenient.len(), 1);
    let weigh = |_: &u64, weight: &u64| *weight;
    let builder = || unsync::Cache::builder(Weight(1_000, weigh));
    for (builder, is_let_in) in [(builder(), false), (builder().admit_heavy(), true)] {
        let mut cache = builder.build_unsync().unwrap();
        cache.extend((0..1_000).map(|key| (key, 1)));
        assert_eq!(cache.try_insert(5_000, 500).is_ok(), is_let_in);
        cache.check();
    }
    let bytes = Cache::builder(Bytes(1 << 20)).shards(1).build().unwrap();
    bytes.extend((0..20_000_u32).map(|key| (key, vec![0_u8; 100])));
    let error = bytes.try_insert(1 << 20, vec![0; 500_000]).unwrap_err();
    assert!(
        matches!(error.reason, Reason::Heavy { .. }),
        "{}",
        error.reason
    );
}

/// What is refused is far heavier than the mean, and what is not needs no more room, or is not, or was
/// asked for again: at random weights, with a cache of several shards too.
#[test]
fn no_one_is_refused_who_is_not_heavy_and_the_bound_holds() {
    for shards in [1, 4] {
        let builder = builder::<Duel>(20_000).shards(shards);
        let cache = builder.build().unwrap();
        let mut random = Random::new(0);
        let mut refused = 0;
        for _ in 0..30_000 {
            let weight = match random.below(40) {
                0 => 8_000,
                _ => 1 + random.below(20),
            };
            let key = random.below(3_000);
            let there = cache.contains_key(&key);
            let lightest = (0..shards).map(|shard| {
                let stats = cache.shard_stats(shard).unwrap();
                stats.weight() as f64 / stats.len().max(1) as f64
            });
            let lightest = lightest.fold(f64::MAX, f64::min);
            if let Err(error) = cache.try_insert(key, weight) {
                let Reason::Heavy { weight: told, most } = error.reason else {
                    panic!("{}", error.reason)
                };
                assert!(!there && told == weight && weight > most);
                assert!(most as f64 >= 63.0 * lightest, "{most} of {lightest}");
                refused += 1;
            }
            assert!(cache.weight() <= 20_000);
        }
        assert!(refused > 100, "{refused} in {shards} shards");
        cache.check();
    }
}
