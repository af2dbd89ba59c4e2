//! Victims that leave together: where several threads use a cache, a shard evicts a few at once
//! and keeps their room for its next entries.

use crate::world::ledger::{Ledger, Val};
use crate::world::panics::{quietly, stop};
use crate::world::random::Random;
use crate::world::{Threaded, done, few_threads};
use brimful::policy::{Duel, Fifo, Policy, Residents, S3Fifo, Sieve, Slot, Tag, Touch};
use brimful::{Cache, Cause, Entries, Form, Units, Updated, Weight};
use std::cell::Cell;
use std::sync::{Arc, Mutex};
use std::thread::scope;

/// Lets another thread use the cache too: it reads and writes without a lock from now on.
fn share<V: Clone + Send + Sync, F: Form>(cache: &Cache<u64, V, F>, value: impl Fn() -> V + Sync)
where
    F::Meta: Send,
    Cache<u64, V, F>: Sync,
{
    for _ in 0..2 {
        cache.insert(0, value());
        scope(|scope| {
            scope.spawn(|| {
                cache.insert(1, value());
                (0..3).for_each(|_| assert!(cache.get(&1).is_some()));
            });
        });
        (0..3).for_each(|_| assert!(cache.get(&0).is_some()));
    }
}

/// How much of a capacity shards may keep.
fn kept(capacity: u64, shards: u64) -> u64 {
    shards * (capacity / shards / 64)
}

fn counted<P: Threaded>() {
    const N: u64 = 6_400;
    let _few = few_threads();
    for shards in [1, 4] {
        let ledger = Ledger::default();
        let told = Arc::new(Mutex::new(Vec::new()));
        let hear = told.clone();
        let builder = Cache::builder(Entries(N as usize)).policy::<P>();
        let listener = move |key: &u64, value: &Arc<Val>, cause: Cause| {
            if cause == Cause::Evicted {
                assert_eq!(*key, value.id);
                hear.lock().unwrap().push(*key);
            }
        };
        let builder = builder.shards(shards).listener(listener);
        let cache = builder.build().unwrap();
        share(&cache, || Arc::new(ledger.value(u64::MAX)));
        cache.clear();
        told.lock().unwrap().clear();
        let mut fewest = N;
        for key in 0..3 * N {
            cache.insert(key, Arc::new(ledger.value(key)));
            assert!(cache.get(&key).is_some(), "the newest is nobody's victim");
            let len = cache.len() as u64;
            assert_eq!(len, cache.weight());
            if key < N {
                assert_eq!(len, key + 1, "it is filled to the last unit");
            } else {
                fewest = fewest.min(len);
            }
        }
        assert!(fewest < N && fewest >= N - kept(N, shards as u64));
        cache.check();
        let stats = cache.stats();
        assert_eq!(stats.len(), cache.len() as u64);
        assert_eq!(
            (cache.iter().count(), ledger.live()),
            (cache.len(), cache.len() as u64)
        );
        let mut told = told.lock().unwrap();
        assert_eq!(told.len() as u64, 3 * N - ledger.live());
        assert_eq!(stats.departures(Cause::Evicted), told.len() as u64);
        told.sort_unstable();
        told.dedup();
        assert_eq!(
            told.len() as u64,
            3 * N - ledger.live(),
            "one was told twice"
        );
        let resident = cache
            .iter()
            .all(|(key, _)| told.binary_search(&key).is_err());
        assert!(resident, "one was told and is there");
    }
}

#[test]
fn a_shard_keeps_a_64th_at_most_and_len_says_so() {
    counted::<Duel>();
    counted::<S3Fifo>();
    counted::<Sieve>();
    counted::<Fifo>();
}

#[test]
fn victims_that_leave_together_are_told_in_their_order() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let hear = told.clone();
    let builder = Cache::builder(Entries(640)).policy::<Fifo>().shards(1);
    let builder = builder.listener(move |key: &u64, _: &u64, _| hear.lock().unwrap().push(*key));
    let cache = builder.build().unwrap();
    share(&cache, || 0);
    cache.clear();
    told.lock().unwrap().clear();
    (0..2_000).for_each(|key| done(cache.insert(key, key)));
    let told = told.lock().unwrap();
    assert!(told.len() >= 1_360);
    assert!(told.iter().copied().eq(0..told.len() as u64));
}

/// Room that shards keep is found by an entry of the whole capacity, by a value that grows to it
/// and by a lowered capacity; it goes when the cache is emptied.
#[test]
fn room_that_shards_keep_is_found_by_whoever_needs_it() {
    const CAPACITY: u64 = 64_000;
    let _few = few_threads();
    for shards in [1, 7] {
        let ledger = Ledger::default();
        let heavy = |weight| Arc::new(ledger.heavy(0, weight));
        let builder = Cache::builder(Weight(CAPACITY, |_: &u64, value: &Arc<Val>| value.weight()));
        let cache = builder.policy::<Fifo>().shards(shards).build().unwrap();
        share(&cache, || heavy(1));
        let mut random = Random::new(11);
        let churn = |random: &mut Random| {
            let mut least = CAPACITY;
            for key in 0..4_000 {
                cache.insert(key, heavy(1 + random.below(60)));
                assert_eq!(cache.weight(), ledger.weight());
                least = least.min(if key < 3_000 {
                    CAPACITY
                } else {
                    cache.weight()
                });
            }
            assert!(least < CAPACITY, "nothing is kept");
        };
        churn(&mut random);
        cache.insert(u64::MAX, heavy(CAPACITY));
        assert_eq!((cache.len(), cache.weight()), (1, CAPACITY));
        cache.insert(u64::MAX, heavy(1));
        churn(&mut random);
        if shards == 1 {
            let grown = cache.update(&3_999, |value| *value = heavy(CAPACITY));
            assert_eq!(grown, Updated::Kept(()));
            assert_eq!((cache.len(), cache.weight()), (1, CAPACITY));
            churn(&mut random);
        }
        let before = cache.weight();
        cache.set_capacity(Units(CAPACITY - 1));
        assert!(
            cache.weight() + 60 > before.min(CAPACITY - 1),
            "needless evictions"
        );
        cache.set_capacity(Units(100));
        assert!(cache.weight() <= 100);
        cache.check();
        cache.set_capacity(Units(CAPACITY));
        churn(&mut random);
        cache.retain(|_, _| false);
        assert!(cache.is_empty());
        churn(&mut random);
        cache.clear();
        (0..CAPACITY).for_each(|key| done(cache.insert(key, heavy(1))));
        assert_eq!((cache.weight(), ledger.weight()), (CAPACITY, CAPACITY));
        cache.check();
    }
}

thread_local! {
    /// In how many victims' time the policy panics.
    static FUSE: Cell<u32> = const { Cell::new(u32::MAX) };
}

/// Evicts at random, or names one that it has named before; panics when its fuse is out.
struct Fickle(u64, Option<Slot>);

impl Policy for Fickle {
    type Meta = ();
    const TOUCH: Touch = Touch::Mark;

    fn new(_share: u64, seed: u64) -> Self {
        Self(seed | 1, None)
    }
    fn admit(&mut self, _: Slot, _: Tag, _: &mut impl Residents<()>) {}
    fn forget(&mut self, _: Slot, _: &mut impl Residents<()>) {}
    fn victim(&mut self, residents: &mut impl Residents<()>) -> Option<Slot> {
        match FUSE.get() {
            u32::MAX => {}
            0 => {
                FUSE.set(u32::MAX);
                stop();
            }
            fuse => FUSE.set(fuse - 1),
        }
        self.0 = self.0.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
        if self.0 >> 61 > 0 {
            self.1 = residents.nth(self.0 >> 32);
        }
        self.1
    }
    fn moved(&mut self, _: &mut impl Residents<()>) {
        self.1 = None;
    }
}

#[test]
fn a_policy_that_panics_or_names_an_entry_twice_loses_none_of_those_that_leave_together() {
    let ledger = Ledger::default();
    let told = Arc::new(Mutex::new(0));
    let hear = told.clone();
    let builder = Cache::builder(Entries(1_280)).policy::<Fickle>().shards(1);
    let builder =
        builder.listener(move |_: &u64, _: &Arc<Val>, _: Cause| *hear.lock().unwrap() += 1);
    let cache = builder.build().unwrap();
    share(&cache, || Arc::new(ledger.value(0)));
    cache.clear();
    *told.lock().unwrap() = 0;
    let mut refused = 0;
    for key in 0..5_000_u64 {
        FUSE.set((key % 41) as u32);
        let inserted = quietly(|| cache.insert(key, Arc::new(ledger.value(key))));
        refused += u64::from(inserted.is_err());
        let in_all = cache.len() as u64 + *told.lock().unwrap();
        assert_eq!(in_all + refused, key + 1);
        assert_eq!(ledger.live(), cache.len() as u64);
    }
    assert!(refused > 10, "{refused} panics");
    FUSE.set(u32::MAX);
    cache.check();
}

/// What takes the place of hundreds goes in by every call of a cache of one owner, whatever a turn of
/// victims is: with a new key, in place of an older value, loaded, by its entry.
#[test]
fn fault_136_a_cache_of_one_owner_makes_room_by_as_many_victims_as_it_takes() {
    type Call = fn(&mut brimful::unsync::Cache<u64, u64, brimful::Weighed<Fifo>>, u64);
    let calls: &[(&str, u64, Call)] = &[
        ("insert", 7_000, |cache, weight| {
            _ = cache.insert(7_000, weight);
        }),
        ("try_insert", 7_000, |cache, weight| {
            assert_eq!(cache.try_insert(7_000, weight).unwrap(), None);
        }),
        ("insert_weighted", 7_000, |cache, weight| {
            _ = cache.insert_weighted(7_000, 1, weight);
        }),
        ("replace", 999, |cache, weight| {
            assert_eq!(cache.insert(999, weight), Some(1));
        }),
        ("load", 7_000, |cache, weight| {
            assert_eq!(
                cache.get_or_insert_with(&7_000, || weight).ok(),
                Some(&weight)
            );
        }),
        ("entry", 7_000, |cache, weight| {
            assert!(cache.entry(7_000).or_insert_with(|| weight).is_ok());
        }),
        ("update", 999, |cache, weight| {
            assert!(matches!(
                cache.update(&999, |value| *value = weight),
                Updated::Kept(())
            ));
        }),
        ("compute", 7_000, |cache, weight| {
            _ = cache.compute(7_000, |_| brimful::Next::Put(weight));
        }),
        ("extend", 7_000, |cache, weight| {
            cache.extend([(7_000, weight)])
        }),
    ];
    for &(name, key, call) in calls {
        for weight in [1, 2, 255, 256, 257, 258, 259, 300, 512, 600, 999, 1_000] {
            let builder = Cache::builder(Weight(1_000, |_: &u64, weight: &u64| *weight));
            let mut cache = builder.policy::<Fifo>().build_unsync().unwrap();
            cache.extend((0..1_000).map(|key| (key, 1)));
            call(&mut cache, weight);
            assert!(cache.contains_key(&key), "{name} of {weight}");
            let left = cache.stats().departures(Cause::Evicted);
            let new = u64::from(key == 7_000);
            assert_eq!(
                (cache.weight(), left),
                (1_000, weight - 1 + new),
                "{name} of {weight}"
            );
            assert_eq!(cache.stats().departures(Cause::Refused), 0, "{name}");
            cache.check();
        }
    }
}
