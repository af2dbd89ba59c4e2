//! What was once found, in a few lines each.

use brimful::policy::S3Fifo;
use brimful::{Cache, Cause, Computed, Entries, ManualClock, Next, Units, Updated, Weight};
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

#[test]
fn what_retain_lets_go_is_removed_and_costs_nobody_its_place() {
    let cache = Cache::weighted(10, |_: &u32, weight: &u64| *weight);
    cache.insert_weighted(1, 100, 1);
    cache.insert(2, 9);
    cache.retain(|key, _| *key != 1);
    assert_eq!(cache.stats().departures(Cause::Removed), 1);
    cache.insert(3, 1);
    cache.retain(|key, weight| {
        *weight = 10;
        *key == 2
    });
    assert_eq!(cache.stats().departures(Cause::Refused), 0);
    assert_eq!(cache.peek(&2), Some(10));
}

#[test]
fn what_compute_puts_evicts_nobody_once_other_shards_have_made_room() {
    let cache = Cache::builder(Weight(100, |_: &u32, weight: &u64| *weight));
    let cache = cache.shards(2).build().unwrap();
    let mut of_shard = [Vec::new(), Vec::new()];
    (0..100).for_each(|key| of_shard[cache.shard_of(&key)].push(key));
    let [home, other] = of_shard;
    cache.insert(home[0], 4);
    cache.insert(other[0], 90);
    assert_eq!(
        cache.compute(home[1], |_| Next::Put(80)),
        Computed::Inserted
    );
    assert_eq!(cache.stats().departures(Cause::Evicted), 1);
    assert_eq!((cache.peek(&home[0]), cache.weight()), (Some(4), 84));
}

#[test]
fn a_value_that_grows_takes_room_from_any_shard_first_from_one_above_its_share() {
    let cache = Cache::builder(Weight(100, |_: &u32, weight: &u64| *weight));
    let cache = cache.shards(2).build().unwrap();
    let mut of_shard = [Vec::new(), Vec::new()];
    (0..100).for_each(|key| of_shard[cache.shard_of(&key)].push(key));
    let [few, many] = of_shard;
    for key in few[..3].iter().chain(&many[..7]) {
        cache.insert(*key, 10);
    }
    assert_eq!(cache.len(), 10);
    assert_eq!(
        cache.update(&few[0], |weight| *weight = 15),
        Updated::Kept(())
    );
    assert_eq!((cache.len(), cache.weight()), (9, 95));
    assert!(few[..3].iter().all(|key| cache.contains_key(key)));
    assert_eq!(
        cache.update(&few[0], |weight| *weight = 90),
        Updated::Kept(())
    );
    assert_eq!(cache.peek(&few[0]), Some(90));
    assert!(cache.weight() <= 100);
    cache.retain(|_, weight| {
        *weight = 100;
        true
    });
    assert_eq!((cache.len(), cache.weight()), (1, 100));
}

#[test]
fn a_capacity_of_0_keeps_not_even_what_weighs_nothing() {
    let cache = Cache::builder(Weight(5, |_: &u32, _: &u32| 0)).entry_limit(5);
    let cache = cache.shards(3).build().unwrap();
    cache.extend((0..5).map(|n| (n, n)));
    assert_eq!((cache.len(), cache.weight()), (5, 0));
    cache.set_capacity(Units(0));
    assert!(cache.is_empty());
    assert!(cache.try_insert(1, 1).is_err());
    assert!(cache.is_empty());
}

#[test]
fn an_entry_that_grows_against_the_order_is_still_known_as_hit() {
    let cache = Cache::builder(Weight(10, |_: &u32, weight: &u64| *weight));
    let cache = cache.policy::<S3Fifo>().shards(1).build().unwrap();
    cache.extend((1..=11).map(|key| (key, 1)));
    // Now 1 and 11 are in the small queue, which is over its share.
    assert_eq!(cache.update(&1, |weight| *weight = 2), Updated::Kept(()));
    assert!(cache.contains_key(&1) && !cache.contains_key(&11));
    cache.set_capacity(Units(0));
    let stats = cache.stats();
    assert_eq!(stats.departures(Cause::Evicted), 11);
    assert_eq!(stats.evicted_unhit(), 10);
}

/// All keys have this hash.
#[derive(Clone, Copy)]
struct Same(u64);

impl BuildHasher for Same {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        *self
    }
}

impl Hasher for Same {
    fn write(&mut self, _: &[u8]) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Before it had a place in a queue its mark was that of an item at position 0.
#[test]
fn a_newcomer_is_not_taken_for_the_oldest_entry_of_the_same_tag() {
    for (hash, gone) in (0..32).flat_map(|hash| (1..7).map(move |gone| (hash, gone))) {
        let cache = Cache::builder(Entries(34)).hasher(Same(hash)).shards(16);
        let cache = cache.build().unwrap();
        cache.extend((0..7).map(|key| (key, key)));
        // Now small may hold one, and does: the first, at position 0.
        cache.set_capacity(Entries(30));
        cache.insert(7, 7);
        cache.remove(&gone);
        cache.insert(8, 8);
        cache.check();
    }
}

/// Nobody had an end before, and so there was no timer to count it.
#[test]
fn a_life_that_set_ttl_ends_first_of_all_is_counted_with_how_late_it_left() {
    let clock = ManualClock::new();
    let cache = Cache::builder(Entries(4)).time_to_live(Duration::MAX);
    let cache = cache.clock(clock.clone()).build().unwrap();
    cache.insert(1, 1);
    clock.advance(Duration::from_nanos(700));
    assert!(cache.set_ttl(&1, Duration::ZERO));
    let stats = cache.stats();
    assert_eq!(stats.departures(Cause::Expired), 1);
    assert_eq!(stats.lateness(), Duration::from_nanos(700));
}
