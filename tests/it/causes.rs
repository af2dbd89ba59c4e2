//! Who removed it? Each cause that can occur is told exactly once, with the right
//! key and value, in the right order, and the statistics say the same.
//!
//! Every test runs on `Cache` with one shard and with four and on `unsync::Cache`.
//! Whatever a test does, its end proves: every value offered was told once, before
//! it was dropped; at that moment it was no longer resident (the listener asks the
//! cache, so no lock is held); as many were told by cause as the snapshot counts;
//! `inserts - departures = len` and `weight in - weight out = weight`; and every
//! value and key constructed was dropped, on each path.
//! Beside that: the weigher is asked once per insert, `Hash` once per call.
//!
//! Scale: `BRIMFUL_CAUSES_OPS` calls of each of four threads (default 30,000; the
//! full run 2,000,000). Replay: `BRIMFUL_SEED` (printed).
//! Covers faults 3, 8, 28 to 31, 44, 55, 116 and 120 of `tests/FAULTS.md`.

use crate::world::{Random, count, ends, until};
use brimful::policy::Fifo;
use brimful::{
    Builder, Cache, Cause, Entries, ManualClock, Next, Reason, Snapshot, Unit, Units, Updated,
    Weighed, Weight, unsync,
};
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

// ---- what happened, in order ----

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Event {
    Told(u32, usize, Cause),
    Dropped(usize),
    Returned,
}

use Event::{Dropped, Returned, Told};

#[derive(Default)]
struct Log {
    events: Mutex<Vec<Event>>,
    next: AtomicUsize,
    values: AtomicUsize,
    keys: AtomicUsize,
    weighed: AtomicUsize,
    hashed: AtomicUsize,
    /// How many events were read.
    read: AtomicUsize,
    unoffered: Mutex<Vec<usize>>,
    /// Told of while still resident: must stay empty.
    early: Mutex<Vec<(u32, usize)>>,
}

#[derive(Debug)]
struct Key(u32, Weak<Log>);

#[derive(Debug)]
struct Val {
    id: usize,
    weight: u64,
    /// Clones are nobody's offer: they are counted, but not told.
    clone: bool,
    log: Arc<Log>,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Log")
    }
}

impl Drop for Val {
    fn drop(&mut self) {
        self.log.values.fetch_sub(1, Relaxed);
        if !self.clone {
            self.log.events.lock().unwrap().push(Dropped(self.id));
        }
    }
}

impl Clone for Val {
    fn clone(&self) -> Self {
        self.log.values.fetch_add(1, Relaxed);
        Val {
            id: self.id,
            weight: self.weight,
            clone: true,
            log: self.log.clone(),
        }
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        if let Some(log) = self.1.upgrade() {
            log.keys.fetch_sub(1, Relaxed);
        }
    }
}

impl Clone for Key {
    fn clone(&self) -> Self {
        if let Some(log) = self.1.upgrade() {
            log.keys.fetch_add(1, Relaxed);
        }
        Key(self.0, self.1.clone())
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        if let Some(log) = self.1.upgrade() {
            log.hashed.fetch_add(1, Relaxed);
        }
        self.0.hash(state);
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Key {}

type Shared = Cache<Key, Val, Weighed<Fifo>>;
type Alone = unsync::Cache<Key, Val, Weighed<Fifo>>;

/// Asks a cache for the id of what is resident under a key.
type Ask = Box<dyn Fn(u32) -> Option<usize> + Send + Sync>;

/// One test's log, and a cache to ask from the listener.
#[derive(Clone, Default)]
struct World {
    /// Whether the order of eviction is exact as a whole.
    one_shard: bool,
    log: Arc<Log>,
    ask: Arc<OnceLock<Ask>>,
}

const CAPACITY: u64 = 100;

impl World {
    fn key(&self, n: u32) -> Key {
        self.log.keys.fetch_add(1, Relaxed);
        Key(n, Arc::downgrade(&self.log))
    }

    fn val(&self, weight: u64) -> Val {
        self.log.values.fetch_add(1, Relaxed);
        Val {
            id: self.log.next.fetch_add(1, Relaxed),
            weight,
            clone: false,
            log: self.log.clone(),
        }
    }

    fn listener(&self) -> impl Fn(&Key, &Val, Cause) + Send + Sync + 'static {
        let world = self.clone();
        move |key, value, cause| {
            assert!(!value.clone, "a clone was stored");
            let told = Told(key.0, value.id, cause);
            world.log.events.lock().unwrap().push(told);
            let found = world.ask.get().and_then(|ask| ask(key.0));
            if found == Some(value.id) {
                world.log.early.lock().unwrap().push((key.0, value.id));
            }
        }
    }

    fn weigher(&self) -> impl Fn(&Key, &Val) -> u64 + Send + Sync + 'static {
        let log = self.log.clone();
        move |_, value| {
            log.weighed.fetch_add(1, Relaxed);
            value.weight
        }
    }

    fn shared(&self, capacity: u64, shards: usize) -> Arc<Shared> {
        let builder = Cache::builder(Weight(capacity, self.weigher())).policy::<Fifo>();
        let builder = builder.shards(shards).listener(self.listener());
        let cache = Arc::new(builder.build().unwrap());
        self.listen_in(&cache);
        cache
    }

    fn listen_in(&self, cache: &Arc<Shared>) {
        let (cache, log) = (Arc::downgrade(cache), Arc::downgrade(&self.log));
        let ask = move |n| {
            let (cache, log) = (cache.upgrade()?, log.upgrade()?);
            log.keys.fetch_add(1, Relaxed);
            let key = Key(n, Arc::downgrade(&log));
            log.hashed.fetch_sub(1, Relaxed);
            cache.peek(&key).map(|value| value.id)
        };
        assert!(self.ask.set(Box::new(ask)).is_ok());
    }

    fn alone(&self, capacity: u64, _: usize) -> Alone {
        let builder = Cache::builder(Weight(capacity, self.weigher())).policy::<Fifo>();
        let builder = builder.listener(self.listener());
        builder.build_unsync().unwrap()
    }

    /// What happened since this was last asked.
    fn events(&self) -> Vec<Event> {
        let events = self.log.events.lock().unwrap();
        let from = self.log.read.swap(events.len(), Relaxed);
        events[from..].to_vec()
    }

    /// What was told since then, in order.
    fn told(&self) -> Vec<(u32, usize, Cause)> {
        told_of(&self.events()).collect()
    }

    /// What was told since then, sorted by key.
    fn sorted(&self) -> Vec<(u32, usize, Cause)> {
        let mut told = self.told();
        told.sort();
        told
    }

    /// Notes that a call has returned.
    fn returned<T>(&self, answer: T) -> T {
        self.log.events.lock().unwrap().push(Returned);
        answer
    }

    fn weighed(&self) -> usize {
        self.log.weighed.swap(0, Relaxed)
    }

    fn hashed(&self) -> usize {
        self.log.hashed.swap(0, Relaxed)
    }

    /// Proves that the statistics say what was told, and no more.
    fn agrees(&self, stats: &Snapshot) {
        let events = self.log.events.lock().unwrap();
        for cause in Cause::ALL {
            let told = told_of(&events).filter(|told| told.2 == cause).count();
            assert_eq!(stats.departures(cause), told as u64, "{cause}");
        }
        let left: u64 = Cause::ALL.map(|cause| stats.departures(cause)).iter().sum();
        assert_eq!(stats.inserts() - left, stats.len());
        let weight = stats.weight_in().wrapping_sub(stats.weight_out());
        assert_eq!(weight, stats.weight());
    }

    /// Proves, when the cache and all it handed out are gone, that each value
    /// offered was told once and then dropped, and that nothing else is left.
    fn ends(&self) {
        let log = &self.log;
        let alive = (log.values.load(Relaxed), log.keys.load(Relaxed));
        assert_eq!(alive, (0, 0), "values and keys that were not dropped");
        assert_eq!(*log.early.lock().unwrap(), [], "told while resident");
        let events = log.events.lock().unwrap();
        let mut fates = vec![Vec::new(); log.next.load(Relaxed)];
        for event in events.iter() {
            match *event {
                Told(_, id, _) => fates[id].push("told"),
                Dropped(id) => fates[id].push("dropped"),
                Returned => {}
            }
        }
        let unoffered = log.unoffered.lock().unwrap();
        for (id, fate) in fates.iter().enumerate() {
            if unoffered.contains(&id) {
                assert_eq!(*fate, ["dropped"], "value {id} was never stored");
            } else {
                assert_eq!(*fate, ["told", "dropped"], "value {id}");
            }
        }
    }

    /// The value made last turned out not to be needed: it was not stored.
    fn last_was_not_stored(&self) {
        let last = self.log.next.load(Relaxed) - 1;
        self.log.unoffered.lock().unwrap().push(last);
    }
}

fn told_of(events: &[Event]) -> impl Iterator<Item = (u32, usize, Cause)> + '_ {
    events.iter().filter_map(|event| match *event {
        Told(key, value, cause) => Some((key, value, cause)),
        _ => None,
    })
}

/// Writes each test twice: for caches of one shard and of four, and for one without locks.
/// It is not written against `world::door`: the listener asks the very cache, in an `Arc`.
macro_rules! on_every_door {
    ($($(#[$doc:meta])* fn $name:ident($cache:ident: $capacity:expr, $world:ident) $body:block)*) => {
        mod shards {
            use super::*;
            $( on_every_door!(@ shared, [1, 4], $(#[$doc])* $name, $cache, $capacity, $world, $body); )*
        }
        mod no_locks {
            use super::*;
            $( on_every_door!(@ alone, [1], $(#[$doc])* $name, $cache, $capacity, $world, $body); )*
        }
    };
    (@ $door:ident, $shards:expr, $(#[$doc:meta])* $name:ident, $cache:ident, $capacity:expr, $world:ident, $body:block) => {
        $(#[$doc])*
        #[test]
        fn $name() {
            for shards in $shards {
                let world = World { one_shard: shards == 1, ..World::default() };
                let $world = &world;
                #[allow(unused_mut, reason = "only one of the doors is mutable")]
                let mut $cache = world.$door($capacity, shards);
                $body
                world.agrees(&$cache.stats());
                drop($cache);
                world.ends();
            }
        }
    };
}

on_every_door! {
    fn a_victim_is_told_and_dropped_before_insert_returns(cache: 100, w) {
        for n in 0..10 {
            assert!(cache.insert(w.key(n), w.val(10)).is_none());
        }
        assert_eq!(w.events(), []);
        assert!(w.returned(cache.insert(w.key(10), w.val(10))).is_none());
        let events = w.events();
        let Told(key, id, Cause::Evicted) = events[0] else {
            panic!("{events:?}");
        };
        assert_eq!(key as usize, id, "the key that belongs to the value");
        assert_eq!(events[1..], [Dropped(id), Returned]);
        assert!(key != 10 && (key == 0 || !w.one_shard), "{key}");
        assert!(!cache.contains_key(&w.key(key)));
    }

    fn all_victims_of_a_heavy_insert_are_told_before_one_is_dropped(cache: 100, w) {
        for n in 0..10 {
            cache.insert(w.key(n), w.val(10));
        }
        w.returned(cache.insert(w.key(10), w.val(95)));
        let events = w.events();
        let told: Vec<_> = told_of(&events[..10]).collect();
        let mut keys: Vec<_> = told.iter().map(|told| told.0).collect();
        assert!(!w.one_shard || keys.is_sorted(), "first in, first out: {keys:?}");
        keys.sort();
        assert!(keys.into_iter().eq(0..10));
        assert!(told.iter().all(|told| told.2 == Cause::Evicted));
        assert!(events[10..20].iter().all(|event| matches!(event, Dropped(_))));
        assert_eq!(events[20..], [Returned]);
        assert_eq!((cache.len(), cache.weight()), (1, 95));
    }

    fn a_replaced_value_is_told_returned_and_dropped_by_the_caller(cache: 100, w) {
        cache.insert(w.key(1), w.val(10));
        let old = w.returned(cache.insert(w.key(1), w.val(20)));
        assert_eq!(w.events(), [Told(1, 0, Cause::Replaced), Returned]);
        assert_eq!(old.map(|value| value.id), Some(0));
        assert_eq!(w.events(), [Dropped(0)]);
        assert_eq!(cache.peek(&w.key(1)).map(|value| value.id), Some(1));
        assert_eq!((cache.len(), cache.weight()), (1, 20));
    }

    fn a_heavier_replacement_evicts_others_first_never_itself(cache: 100, w) {
        for n in 0..10 {
            cache.insert(w.key(n), w.val(10));
        }
        let old = w.returned(cache.insert(w.key(0), w.val(60)));
        assert_eq!(old.map(|value| value.id), Some(0));
        let events = w.events();
        let told: Vec<_> = told_of(&events).collect();
        let (replaced, victims) = told.split_last().unwrap();
        assert_eq!(*replaced, (0, 0, Cause::Replaced));
        assert_eq!(victims.len(), 5);
        assert!(victims.iter().all(|told| told.0 != 0 && told.2 == Cause::Evicted));
        assert_eq!(events[events.len() - 2..], [Returned, Dropped(0)]);
        assert_eq!((cache.len(), cache.weight()), (5, 100));
    }

    fn a_lighter_replacement_evicts_nobody(cache: 100, w) {
        for n in 0..10 {
            cache.insert(w.key(n), w.val(10));
        }
        cache.insert(w.key(0), w.val(1));
        assert_eq!(w.told(), [(0, 0, Cause::Replaced)]);
        assert_eq!((cache.len(), cache.weight()), (10, 91));
    }

    fn what_callers_take_out_is_removed(cache: 100, w) {
        for n in 0..4 {
            cache.insert(w.key(n), w.val(5));
        }
        let value = w.returned(cache.remove(&w.key(0)));
        assert_eq!(w.events(), [Told(0, 0, Cause::Removed), Returned]);
        assert_eq!(value.map(|value| value.id), Some(0));

        let entry = cache.remove_entry(&w.key(1)).map(|(key, value)| (key.0, value.id));
        assert_eq!(entry, Some((1, 1)));
        assert_eq!(cache.remove_if(&w.key(2), |k, v| k.0 == 2 && v.id == 2).map(|v| v.id), Some(2));
        let removed = Cause::Removed;
        assert_eq!(w.told(), [(1, 1, removed), (2, 2, removed)]);

        assert!(cache.remove_if(&w.key(3), |_, _| false).is_none());
        assert!(cache.remove(&w.key(0)).is_none());
        assert!(cache.remove_entry(&w.key(99)).is_none());
        assert_eq!(w.told(), []);
        assert_eq!((cache.len(), cache.weight()), (1, 5));
    }

    fn what_a_caller_evicts_is_told_as_such_and_returned(cache: 100, w) {
        for n in 0..12 {
            cache.insert(w.key(n), w.val(5));
        }
        let entry = w.returned(cache.evict()).expect("a victim");
        let (key, id) = (entry.0.0, entry.1.id);
        assert_eq!(w.events(), [Told(key, id, Cause::Evicted), Returned]);
        assert!(!w.one_shard || id == 0, "first in first out");
        drop(entry);
        let rest = std::iter::from_fn(|| cache.evict()).map(|(_, value)| value.id);
        let rest: Vec<_> = rest.collect();
        assert!(!w.one_shard || rest.is_sorted(), "{rest:?}");
        assert_eq!((rest.len(), cache.len(), cache.weight()), (11, 0, 0));
        assert!(w.told().iter().all(|told| told.2 == Cause::Evicted));
        assert!(cache.evict().is_none());
        assert_eq!(w.told(), []);
        // There is room again.
        cache.insert(w.key(0), w.val(100));
        assert_eq!(cache.weight(), 100);
    }

    fn what_retain_does_not_keep_is_removed(cache: 100, w) {
        for n in 0..10 {
            cache.insert(w.key(n), w.val(2));
        }
        cache.retain(|key, _| key.0 % 2 == 0);
        w.returned(());
        let events = w.events();
        let odd = (0..5).map(|n| (2 * n + 1, 2 * n as usize + 1, Cause::Removed));
        let mut told: Vec<_> = told_of(&events).collect();
        told.sort();
        assert!(told.into_iter().eq(odd));
        assert_eq!(events.last(), Some(&Returned));
        assert_eq!((cache.len(), cache.weight()), (5, 10));
    }

    fn what_retain_makes_too_heavy_is_refused(cache: 100, w) {
        for n in 0..5 {
            cache.insert(w.key(n), w.val(2));
        }
        cache.retain(|key, value| {
            value.weight = if key.0 == 3 { 101 } else { 3 };
            key.0 != 4
        });
        let (refused, removed) = (Cause::Refused, Cause::Removed);
        assert_eq!(w.sorted(), [(3, 3, refused), (4, 4, removed)]);
        assert_eq!((cache.len(), cache.weight()), (3, 9));
    }

    fn what_is_drained_is_removed(cache: 100, w) {
        for n in 0..20 {
            cache.insert(w.key(n), w.val(2));
        }
        let mut drained: Vec<_> = cache.drain().map(|(key, value)| (key.0, value.id)).collect();
        drained.sort();
        assert!(drained.into_iter().eq((0..20).map(|n| (n, n as usize))));
        assert!(w.sorted().into_iter().eq((0..20).map(|n| (n, n as usize, Cause::Removed))));
        assert_eq!((cache.len(), cache.weight()), (0, 0));
    }

    fn what_a_drain_leaves_behind_is_removed_too(cache: 100, w) {
        for n in 0..20 {
            cache.insert(w.key(n), w.val(2));
        }
        assert_eq!(cache.drain().take(3).count(), 3);
        assert!(w.sorted().into_iter().eq((0..20).map(|n| (n, n as usize, Cause::Removed))));
        cache.insert(w.key(50), w.val(2));
        drop(cache.drain());
        assert_eq!(w.told(), [(50, 20, Cause::Removed)]);
        assert_eq!((cache.len(), cache.weight()), (0, 0));
    }

    fn what_clear_takes_is_cleared(cache: 100, w) {
        for n in 0..20 {
            cache.insert(w.key(n), w.val(2));
        }
        cache.clear();
        w.returned(());
        let events = w.events();
        assert_eq!(events.last(), Some(&Returned));
        let mut told: Vec<_> = told_of(&events).collect();
        told.sort();
        assert!(told.into_iter().eq((0..20).map(|n| (n, n as usize, Cause::Cleared))));
        assert_eq!((cache.len(), cache.weight()), (0, 0));
        cache.clear();
        assert_eq!(w.told(), []);
    }

    fn what_is_too_heavy_is_refused_and_dropped(cache: 100, w) {
        cache.insert(w.key(1), w.val(100));
        assert!(w.returned(cache.insert(w.key(2), w.val(101))).is_none());
        let refused = Told(2, 1, Cause::Refused);
        assert_eq!(w.events(), [refused, Dropped(1), Returned]);
        assert_eq!((cache.len(), cache.weight()), (1, 100));
        assert!(cache.contains_key(&w.key(1)));
    }

    fn a_refused_value_takes_the_older_one_along(cache: 100, w) {
        cache.insert(w.key(1), w.val(10));
        cache.insert(w.key(2), w.val(10));
        let old = w.returned(cache.insert(w.key(1), w.val(u64::MAX)));
        assert_eq!(old.map(|value| value.id), Some(0));
        let told = [Told(1, 0, Cause::Replaced), Told(1, 2, Cause::Refused)];
        assert_eq!(w.events(), [&told[..], &[Dropped(2), Returned, Dropped(0)]].concat());
        assert!(!cache.contains_key(&w.key(1)));
        assert_eq!((cache.len(), cache.weight()), (1, 10));
    }

    fn try_insert_says_what_became_of_the_entry(cache: 100, w) {
        assert!(cache.try_insert(w.key(1), w.val(10)).is_ok_and(|old| old.is_none()));
        let old = cache.try_insert(w.key(1), w.val(20)).unwrap();
        assert_eq!(old.map(|value| value.id), Some(0));
        assert_eq!(w.told(), [(1, 0, Cause::Replaced)]);

        let refused = w.returned(cache.try_insert(w.key(1), w.val(101)).unwrap_err());
        let told = [Told(1, 1, Cause::Replaced), Told(1, 2, Cause::Refused)];
        assert_eq!(w.events(), [&told[..], &[Returned]].concat(), "told, but not dropped");
        assert_eq!((refused.key.0, refused.value.id), (1, 2));
        assert_eq!(refused.old.as_ref().map(|value| value.id), Some(1));
        let Reason::TooHeavy { weight, capacity } = refused.reason else {
            panic!("{}", refused.reason);
        };
        assert_eq!((weight, capacity), (101, 100));
        assert!(cache.is_empty());

        let refused = cache.try_insert(w.key(7), w.val(101)).unwrap_err();
        assert!(refused.old.is_none());
        assert_eq!(w.told(), [(7, 3, Cause::Refused)]);
    }

    fn an_explicit_weight_is_not_weighed_but_refused_alike(cache: 100, w) {
        assert!(cache.insert_weighted(w.key(1), w.val(1_000), 40).is_none());
        assert_eq!(cache.weight_of(&w.key(1)), Some(40));
        let old = cache.insert_weighted(w.key(1), w.val(1), 101);
        assert_eq!(old.map(|value| value.id), Some(0));
        let (replaced, refused) = (Cause::Replaced, Cause::Refused);
        assert_eq!(w.told(), [(1, 0, replaced), (1, 1, refused)]);
        let refused = cache.try_insert_weighted(w.key(2), w.val(1), 102).unwrap_err();
        assert_eq!((refused.key.0, refused.value.id), (2, 2));
        assert_eq!(w.weighed(), 0);
        assert!(cache.insert_weighted(w.key(3), w.val(1), 0).is_none());
        assert_eq!(cache.weight(), 1, "a weight of 0 is charged as 1");
    }

    fn a_value_grown_beyond_the_capacity_is_refused(cache: 100, w) {
        cache.insert(w.key(1), w.val(10));
        cache.insert(w.key(2), w.val(10));
        let updated = cache.update(&w.key(1), |value| {
            value.weight = 101;
            value.id
        });
        w.returned(());
        assert_eq!(updated, Updated::Refused(0));
        assert_eq!(w.events(), [Told(1, 0, Cause::Refused), Dropped(0), Returned]);
        assert_eq!(cache.update(&w.key(1), |_| ()), Updated::Absent);
        assert_eq!((cache.len(), cache.weight()), (1, 10));
    }

    fn a_value_that_shrinks_or_stays_tells_nothing(cache: 100, w) {
        cache.insert(w.key(1), w.val(10));
        assert_eq!(cache.update(&w.key(1), |value| value.weight = 3), Updated::Kept(()));
        assert_eq!(cache.update(&w.key(1), |_| 7).kept(), Some(7));
        assert_eq!(w.told(), []);
        assert_eq!(cache.weight(), 3);
    }

    fn a_closure_that_panics_leaves_the_value_and_its_new_weight(cache: 100, w) {
        cache.insert(w.key(1), w.val(10));
        let ended = catch_unwind(AssertUnwindSafe(|| {
            cache.update(&w.key(1), |value| {
                value.weight = 33;
                panic!("on purpose");
            })
        }));
        assert!(ended.is_err());
        assert_eq!(w.told(), []);
        assert_eq!(cache.weight(), 33);
    }

    fn a_closure_that_panics_over_a_value_grown_too_heavy_refuses_it(cache: 100, w) {
        cache.insert(w.key(1), w.val(10));
        let ended = catch_unwind(AssertUnwindSafe(|| {
            cache.update(&w.key(1), |value| {
                value.weight = 133;
                panic!("on purpose");
            })
        }));
        assert!(ended.is_err());
        assert_eq!(w.told(), [(1, 0, Cause::Refused)]);
        assert_eq!(cache.weight(), 0);
    }

    fn and_modify_may_refuse_and_or_insert_then_stores(cache: 100, w) {
        cache.insert(w.key(1), w.val(10));
        let entry = cache.entry(w.key(1)).and_modify(|value| value.weight = 101);
        drop(entry.or_insert(w.val(5)));
        assert_eq!(w.told(), [(1, 0, Cause::Refused)]);
        assert_eq!(cache.peek(&w.key(1)).map(|value| value.id), Some(1));
        assert_eq!(cache.weight(), 5);
    }

    fn what_or_insert_does_not_need_is_not_told(cache: 100, w) {
        cache.insert(w.key(1), w.val(10));
        drop(cache.entry(w.key(1)).or_insert(w.val(5)));
        w.last_was_not_stored();
        drop(cache.get_or_insert_with(&w.key(1), || unreachable!()));
        assert_eq!(w.told(), []);
        assert_eq!(cache.stats().inserts(), 1);
    }

    fn a_loaded_value_may_evict_and_is_stored(cache: 100, w) {
        cache.insert(w.key(1), w.val(60));
        drop(cache.get_or_insert_with(&w.key(2), || w.val(60)));
        assert_eq!(w.told(), [(1, 0, Cause::Evicted)]);
        drop(cache.entry(w.key(3)).or_insert_with(|| w.val(70)));
        assert_eq!(w.told(), [(2, 1, Cause::Evicted)]);
        assert_eq!(cache.peek(&w.key(3)).map(|value| value.id), Some(2));
        assert_eq!(cache.stats().loads(), 1);
    }

    fn a_loaded_value_too_heavy_is_refused(cache: 100, w) {
        cache.insert(w.key(1), w.val(60));
        drop(cache.get_or_insert_with(&w.key(2), || w.val(101)));
        drop(cache.entry(w.key(3)).or_insert(w.val(102)));
        let refused = Cause::Refused;
        assert_eq!(w.told(), [(2, 1, refused), (3, 2, refused)]);
        assert_eq!((cache.len(), cache.weight()), (1, 60));
    }

    fn a_lower_capacity_evicts_until_the_rest_fits(cache: 100, w) {
        for n in 0..10 {
            cache.insert(w.key(n), w.val(10));
        }
        cache.set_capacity(Units(45));
        w.returned(());
        let events = w.events();
        assert_eq!(events.last(), Some(&Returned));
        let told: Vec<_> = told_of(&events).collect();
        assert_eq!(told.len(), 6);
        assert!(told.iter().all(|told| told.2 == Cause::Evicted && told.0 as usize == told.1));
        assert!(!w.one_shard || told.iter().map(|told| told.0).eq(0..6));
        assert_eq!((cache.len(), cache.weight(), cache.capacity().amount()), (4, 40, 45));

        cache.set_capacity(Units(1_000));
        assert_eq!(w.told(), []);
        cache.set_capacity(Units(0));
        assert_eq!(w.told().len(), 4);
        assert_eq!((cache.len(), cache.weight()), (0, 0));
    }

    fn extend_tells_what_it_replaces_evicts_and_refuses(cache: 100, w) {
        cache.extend([(1, 50), (2, 40), (1, 60), (3, 200)].map(|(n, weight)| (w.key(n), w.val(weight))));
        w.returned(());
        let told = [(1, 0, Cause::Replaced), (3, 3, Cause::Refused)];
        let events = w.events();
        assert!(told_of(&events).eq(told));
        assert!(events.contains(&Dropped(0)), "extend drops what it replaces");
        assert_eq!((cache.len(), cache.weight()), (2, 100));
    }

    fn a_cache_of_no_capacity_keeps_nothing_but_works(cache: 0, w) {
        assert!(cache.insert(w.key(1), w.val(0)).is_none());
        assert_eq!(w.told(), [(1, 0, Cause::Refused)]);
        let refused = cache.try_insert(w.key(1), w.val(1)).unwrap_err();
        assert_eq!((refused.key.0, refused.value.id, refused.old.is_none()), (1, 1, true));
        assert_eq!(refused.reason, Reason::TooHeavy { weight: 1, capacity: 0 });
        drop(refused);
        drop(cache.get_or_insert_with(&w.key(1), || w.val(1)));
        drop(cache.entry(w.key(1)).or_insert(w.val(1)));
        cache.extend([(w.key(1), w.val(1))]);
        let refused = [1, 2, 3, 4].map(|id| (1, id, Cause::Refused));
        assert_eq!(w.told(), refused);

        assert_eq!(cache.update(&w.key(1), |_| ()), Updated::Absent);
        assert!(cache.remove(&w.key(1)).is_none());
        cache.clear();
        cache.retain(|_, _| true);
        assert_eq!(cache.drain().count(), 0);
        cache.set_capacity(Units(0));
        assert_eq!((cache.len(), cache.weight(), cache.capacity().amount()), (0, 0, 0));
        assert_eq!(w.told(), []);
        cache.set_capacity(Units(1));
        assert!(cache.insert(w.key(1), w.val(1)).is_none());
        assert_eq!(cache.len(), 1);
    }

    fn the_weigher_is_asked_once_for_each_insert_or_change(cache: 100, w) {
        cache.insert(w.key(1), w.val(10));
        assert_eq!(w.weighed(), 1, "insert");
        cache.insert(w.key(1), w.val(20));
        assert_eq!(w.weighed(), 1, "insert over an older value");
        drop(cache.try_insert(w.key(2), w.val(80)));
        assert_eq!(w.weighed(), 1, "try_insert");
        cache.insert(w.key(3), w.val(80));
        assert_eq!(w.weighed(), 1, "insert that evicts");
        cache.insert(w.key(4), w.val(101));
        assert_eq!(w.weighed(), 1, "insert that is refused");
        drop(cache.get_or_insert_with(&w.key(5), || w.val(1)));
        assert_eq!(w.weighed(), 1, "a load");
        drop(cache.get_or_insert_with(&w.key(5), || unreachable!()));
        assert_eq!(w.weighed(), 0, "a hit");
        cache.extend([(w.key(6), w.val(1)), (w.key(7), w.val(1))]);
        assert_eq!(w.weighed(), 2, "extend");
        let _ = cache.update(&w.key(6), |_| ());
        assert_eq!(w.weighed(), 1, "update");
        let held = cache.len();
        cache.retain(|_, _| true);
        assert_eq!(w.weighed(), held, "retain");
        cache.remove(&w.key(6));
        cache.set_capacity(Units(3));
        cache.clear();
        assert_eq!(w.weighed(), 0, "leaving");
    }

    fn a_key_is_hashed_once_in_each_call(cache: 100, w) {
        let keys: Vec<_> = (0..10).map(|n| w.key(n)).collect();
        let once = |call: &str, times| assert_eq!(w.hashed(), times, "{call}");
        cache.insert(w.key(1), w.val(1));
        once("insert", 1);
        cache.insert(w.key(1), w.val(1));
        once("insert over an older value", 1);
        cache.insert(w.key(2), w.val(101));
        once("a refused insert", 1);
        drop(cache.try_insert(w.key(1), w.val(1)));
        once("try_insert", 1);
        cache.insert_weighted(w.key(2), w.val(1), 2);
        once("insert_weighted", 1);
        let _ = cache.get(&keys[1]);
        once("get", 1);
        let _ = cache.get(&keys[9]);
        once("get that misses", 1);
        let _ = cache.view(&keys[1], |_, _| ());
        once("view", 1);
        let _ = cache.peek(&keys[1]);
        once("peek", 1);
        assert!(cache.contains_key(&keys[1]));
        once("contains_key", 1);
        assert_eq!(cache.weight_of(&keys[1]), Some(1));
        once("weight_of", 1);
        drop(cache.get_or_insert_with(&keys[3], || w.val(1)));
        once("a load", 1);
        drop(cache.get_or_insert_with(&keys[3], || unreachable!()));
        once("a hit of get_or_insert_with", 1);
        drop(cache.entry(w.key(4)).or_insert(w.val(1)));
        once("or_insert", 1);
        let entry = cache.entry(w.key(4)).and_modify(|value| value.weight = 2);
        drop(entry.or_insert_with(|| unreachable!()));
        once("and_modify and or_insert_with", 1);
        let _ = cache.update(&keys[4], |_| ());
        once("update", 1);
        cache.remove_if(&keys[4], |_, _| false);
        once("remove_if", 1);
        cache.remove(&keys[4]);
        once("remove", 1);
        cache.remove_entry(&keys[3]);
        once("remove_entry", 1);
    }

    fn neither_growth_nor_departures_hash_a_key(cache: 5_000, w) {
        cache.extend((0..5_000).map(|n| (w.key(n), w.val(1))));
        assert_eq!(w.hashed(), 5_000);
        cache.extend((5_000..15_000).map(|n| (w.key(n), w.val(1))));
        assert_eq!(w.hashed(), 10_000, "evictions and tables built anew");
        cache.retain(|key, _| key.0 % 2 == 0);
        cache.shrink_to_fit();
        cache.set_capacity(Units(100));
        assert_eq!(cache.iter().count(), cache.len());
        assert_eq!(cache.drain().count(), 100);
        cache.clear();
        assert_eq!(w.hashed(), 0);
    }
}

#[test]
fn what_a_dropped_cache_held_is_told_as_such() {
    for shards in [1, 4] {
        let world = World::default();
        let cache = world.shared(CAPACITY, shards);
        cache.extend((0..20).map(|n| (world.key(n), world.val(2))));
        drop(cache);
        let dropped = (0..20).map(|n| (n, n as usize, Cause::CacheDropped));
        assert!(world.sorted().into_iter().eq(dropped));
        world.ends();
    }
    let world = World::default();
    let mut cache = world.alone(CAPACITY, 1);
    cache.extend((0..20).map(|n| (world.key(n), world.val(2))));
    drop(cache);
    let dropped = (0..20).map(|n| (n, n as usize, Cause::CacheDropped));
    assert!(world.sorted().into_iter().eq(dropped));
    world.ends();
}

#[test]
fn what_into_iter_yields_is_removed() {
    for shards in [1, 4] {
        let world = World::default();
        let cache = world.shared(CAPACITY, shards);
        cache.extend((0..20).map(|n| (world.key(n), world.val(2))));
        let cache = Arc::into_inner(cache).unwrap();
        assert_eq!(cache.into_iter().count(), 20);
        let removed = (0..20).map(|n| (n, n as usize, Cause::Removed));
        assert!(world.sorted().into_iter().eq(removed));
        world.ends();
    }
    let world = World::default();
    let mut cache = world.alone(CAPACITY, 1);
    cache.extend((0..20).map(|n| (world.key(n), world.val(2))));
    assert_eq!(cache.into_iter().take(3).count(), 3);
    let removed = (0..20).map(|n| (n, n as usize, Cause::Removed));
    assert!(world.sorted().into_iter().eq(removed));
    world.ends();
}

/// Shards that an abandoned `into_iter` has not reached go with the cache.
#[test]
fn what_into_iter_has_not_reached_is_dropped_with_the_cache() {
    let world = World::default();
    let cache = world.shared(CAPACITY, 4);
    cache.extend((0..40).map(|n| (world.key(n), world.val(1))));
    let cache = Arc::into_inner(cache).unwrap();
    assert!(cache.into_iter().next().is_some());
    let told = world.told();
    assert_eq!(told.len(), 40);
    let removed = told.iter().filter(|told| told.2 == Cause::Removed).count();
    let dropped = told.iter().filter(|told| told.2 == Cause::CacheDropped);
    assert_eq!(removed + dropped.count(), 40);
    assert!(removed > 0 && removed < 40, "{removed}");
    world.ends();
}

/// A value that grows is paid for by other shards where its own holds too little.
#[test]
fn a_value_that_grows_beyond_what_its_shard_can_free_stays_and_others_leave_for_it() {
    let world = World::default();
    let cache = world.shared(CAPACITY, 2);
    let (first, second) = (keys_of(&world, &cache, 0)[0], keys_of(&world, &cache, 1));
    cache.insert(world.key(first), world.val(10));
    for &n in &second[..9] {
        cache.insert(world.key(n), world.val(10));
    }
    let updated = cache.update(&world.key(first), |value| value.weight = 60);
    assert_eq!(updated, Updated::Kept(()));
    let told = world.told();
    assert_eq!(told.len(), 5, "{told:?}");
    assert!(
        told.iter()
            .all(|told| told.0 != first && told.2 == Cause::Evicted)
    );
    assert_eq!((cache.len(), cache.weight()), (5, 100));

    let updated = cache.update(&world.key(first), |value| value.weight = 101);
    assert_eq!(updated, Updated::Refused(()), "heavier than all");
    assert_eq!(world.told().last(), Some(&(first, 0, Cause::Refused)));
    cache.check();
    world.agrees(&cache.stats());
    drop(cache);
    world.ends();
}

fn keys_of(world: &World, cache: &Shared, shard: usize) -> Vec<u32> {
    let is = |n: &u32| cache.shard_of(&world.key(*n)) == shard;
    (0..1_000).filter(is).collect()
}

#[test]
fn a_value_that_grows_evicts_others_never_itself() {
    let world = World::default();
    let cache = world.shared(CAPACITY, 1);
    cache.extend((0..10).map(|n| (world.key(n), world.val(10))));
    let updated = cache.update(&world.key(0), |value| value.weight = 100);
    assert_eq!(updated, Updated::Kept(()));
    let evicted = (1..10).map(|n| (n, n as usize, Cause::Evicted));
    assert!(world.told().into_iter().eq(evicted));
    cache.check();
    world.agrees(&cache.stats());
    drop(cache);
    world.ends();
}

#[test]
fn a_limit_of_entries_evicts_too() {
    let world = World::default();
    let builder = Cache::builder(Weight(CAPACITY, world.weigher())).policy::<Fifo>();
    let builder = builder.entry_limit(3).shards(1).listener(world.listener());
    let cache = Arc::new(builder.build().unwrap());
    world.listen_in(&cache);
    cache.extend((0..5).map(|n| (world.key(n), world.val(0))));
    let evicted = Cause::Evicted;
    assert_eq!(world.told(), [(0, 0, evicted), (1, 1, evicted)]);
    assert_eq!((cache.len(), cache.weight()), (3, 0));
    world.agrees(&cache.stats());
    drop(cache);
    world.ends();
}

/// The guard of `unsync::Cache`: weighed when it drops.
#[test]
fn a_value_grown_too_heavy_in_a_guard_is_refused_when_the_guard_drops() {
    let world = World::default();
    let mut cache = world.alone(CAPACITY, 1);
    cache.extend((0..5).map(|n| (world.key(n), world.val(20))));
    let mut guard = cache.get_mut(&world.key(0)).unwrap();
    guard.weight = 101;
    assert_eq!(world.told(), []);
    drop(guard);
    assert_eq!(world.told(), [(0, 0, Cause::Refused)]);

    let mut guard = cache.get_mut(&world.key(1)).unwrap();
    guard.weight = 45;
    drop(guard);
    assert_eq!(world.told(), [(2, 2, Cause::Evicted)]);
    assert_eq!(cache.weight(), 85);

    let mut guard = cache.get_mut(&world.key(3)).unwrap();
    guard.weight = 1_000;
    std::mem::forget(guard);
    assert_eq!(cache.weight(), 85, "a leaked guard leaves the old weight");
    cache.check();
    world.agrees(&cache.stats());
    drop(cache);
    world.ends();
}

#[test]
fn an_entry_refused_by_unsync_is_handed_back() {
    let world = World::default();
    let mut cache = world.alone(CAPACITY, 1);
    let refused = cache.entry(world.key(1)).or_insert(world.val(101)).err();
    let refused = refused.unwrap();
    assert_eq!((refused.key.0, refused.value.id), (1, 0));
    drop(refused);
    let refused = cache.get_or_insert_with(&world.key(2), || world.val(101));
    let refused = refused.unwrap_err();
    assert_eq!((refused.key.0, refused.value.id), (2, 1));
    drop(refused);
    assert_eq!(
        world.told(),
        [(1, 0, Cause::Refused), (2, 1, Cause::Refused)]
    );
    world.agrees(&cache.stats());
    drop(cache);
    world.ends();
}

/// Nothing was changed through the guard, so one insert is one weighing.
#[test]
fn a_guard_that_nobody_wrote_through_does_not_weigh_again() {
    let world = World::default();
    let mut cache = world.alone(CAPACITY, 1);
    drop(cache.entry(world.key(1)).or_insert(world.val(10)));
    assert_eq!(world.weighed(), 1, "or_insert of unsync");
    assert_eq!(cache.get_mut(&world.key(1)).unwrap().weight, 10);
    assert_eq!(world.weighed(), 0, "get_mut, only read");
}

#[test]
fn a_loaded_value_that_is_refused_is_returned_all_the_same() {
    let world = World::default();
    let cache = world.shared(CAPACITY, 4);
    let value = cache.get_or_insert_with(&world.key(1), || world.val(101));
    assert!(value.clone && value.id == 0);
    assert_eq!(world.events(), [Told(1, 0, Cause::Refused), Dropped(0)]);
    drop(value);
    drop(cache);
    world.ends();
}

/// What a loader stores under its own key stays; what it returns is handed to its
/// caller, and told to nobody: it was never in.
#[test]
fn a_value_stored_while_it_was_loaded_stays() {
    let world = World::default();
    let cache = world.shared(CAPACITY, 2);
    let value = cache.get_or_insert_with(&world.key(1), || {
        cache.insert(world.key(1), world.val(7));
        world.val(8)
    });
    world.last_was_not_stored();
    assert_eq!(value.id, 1);
    drop(value);
    assert_eq!(world.events(), [Dropped(1)]);
    assert_eq!(cache.weight(), 7);
    world.agrees(&cache.stats());
    drop(cache);
    world.ends();
}

#[test]
fn panics_of_the_listener_are_counted_and_all_are_told() {
    let told = Arc::new(AtomicUsize::new(0));
    let count = told.clone();
    let cache = Cache::builder(Entries(10))
        .listener(move |_: &u32, _: &u32, _| {
            count.fetch_add(1, Relaxed);
            std::panic::resume_unwind(Box::new("on purpose"));
        })
        .build()
        .unwrap();
    cache.extend((0..10).map(|n| (n, n)));
    assert!(catch_unwind(AssertUnwindSafe(|| cache.clear())).is_err());
    assert_eq!(
        (told.load(Relaxed), cache.stats().listener_panics()),
        (10, 10)
    );
    assert_eq!(cache.stats().departures(Cause::Cleared), 10);
    assert!(cache.is_empty());
}

// ---- what is given away ----

/// What was told and what was given away, each as key, value and cause.
#[derive(Clone, Default)]
struct Given {
    told: Arc<Mutex<Vec<(u32, u64, Cause)>>>,
    away: Arc<Mutex<Vec<(u32, u64, Cause)>>>,
}

type Timed = brimful::Aged<Fifo>;
type Giving = Cache<u32, u64, Weighed<Timed>>;

impl Given {
    fn builder(&self, clock: &ManualClock) -> Builder<u32, u64, Weighed<Timed>> {
        let Self { told, away } = self.clone();
        Cache::builder(Weight(100, |_: &u32, value: &u64| *value))
            .policy::<Fifo>()
            .listener(move |key: &u32, value: &u64, cause| {
                told.lock().unwrap().push((*key, *value, cause));
            })
            .on_discard(move |key, value, cause| away.lock().unwrap().push((key, value, cause)))
            .time_to_live(Duration::from_secs(600))
            .refresh_after(Duration::from_secs(60))
            .clock(clock.clone())
    }

    /// What was given away since this was last asked, after it was told; and what was told and
    /// is the caller's.
    fn take(&self) -> [Vec<(u32, u64, Cause)>; 2] {
        let (mut away, mut kept) = (self.away.lock().unwrap(), self.told.lock().unwrap());
        for given in away.iter() {
            let told = kept.iter().position(|told| told == given);
            kept.remove(told.unwrap_or_else(|| panic!("{given:?} was not told once")));
        }
        away.sort();
        [std::mem::take(&mut *away), std::mem::take(&mut *kept)]
    }
}

/// A call on a cache of the keys 1 to 4, of weight 20 each, what it gives away and what it
/// returns or hands back.
type GivesAway = (
    &'static str,
    fn(&Giving, &ManualClock),
    &'static [(u32, u64, Cause)],
    &'static [(u32, u64, Cause)],
);

const GIVES_AWAY: &[GivesAway] = {
    use Cause::*;
    &[
        (
            "insert",
            |c, _| _ = c.insert(5, 60),
            &[(1, 20, Evicted), (2, 20, Evicted)],
            &[],
        ),
        (
            "insert of an old key",
            |c, _| _ = c.insert(1, 9),
            &[],
            &[(1, 20, Replaced)],
        ),
        (
            "a refused insert",
            |c, _| _ = c.insert(1, 101),
            &[(1, 101, Refused)],
            &[(1, 20, Replaced)],
        ),
        (
            "try_insert",
            |c, _| _ = c.try_insert(5, 101).unwrap_err(),
            &[],
            &[(5, 101, Refused)],
        ),
        (
            "no life",
            |c, _| _ = c.insert_with_ttl(5, 9, Duration::ZERO),
            &[(5, 9, Expired)],
            &[],
        ),
        (
            "extend",
            |c, _| c.extend([(1, 9), (5, 101)]),
            &[(1, 20, Replaced), (5, 101, Refused)],
            &[],
        ),
        ("remove", |c, _| _ = c.remove(&1), &[], &[(1, 20, Removed)]),
        (
            "remove_entry",
            |c, _| _ = c.remove_entry(&1),
            &[],
            &[(1, 20, Removed)],
        ),
        (
            "remove_if",
            |c, _| _ = c.remove_if(&1, |_, _| true),
            &[],
            &[(1, 20, Removed)],
        ),
        ("evict", |c, _| _ = c.evict(), &[], &[(1, 20, Evicted)]),
        (
            "update",
            |c, _| _ = c.update(&1, |v| *v = 101),
            &[(1, 101, Refused)],
            &[],
        ),
        (
            "and_modify",
            |c, _| _ = c.entry(1).and_modify(|v| *v = 101).or_insert(102),
            &[(1, 101, Refused), (1, 102, Refused)],
            &[],
        ),
        (
            "or_insert",
            |c, _| _ = c.entry(5).or_insert(50),
            &[(1, 20, Evicted), (2, 20, Evicted)],
            &[],
        ),
        (
            "compute removes",
            |c, _| _ = c.compute(1, |_| Next::Remove),
            &[],
            &[(1, 20, Removed)],
        ),
        (
            "compute puts",
            |c, _| _ = c.compute(1, |_| Next::Put(9)),
            &[],
            &[(1, 20, Replaced)],
        ),
        (
            "compute is refused",
            |c, _| _ = c.compute(1, |_| Next::Put(101)),
            &[(1, 20, Replaced), (1, 101, Refused)],
            &[],
        ),
        (
            "retain",
            |c, _| c.retain(|key, _| *key > 1),
            &[(1, 20, Removed)],
            &[],
        ),
        (
            "drain",
            |c, _| assert_eq!(c.drain().count(), 4),
            &[],
            &[
                (1, 20, Removed),
                (2, 20, Removed),
                (3, 20, Removed),
                (4, 20, Removed),
            ],
        ),
        (
            "drain that is not begun",
            |c, _| drop(c.drain()),
            &[
                (1, 20, Removed),
                (2, 20, Removed),
                (3, 20, Removed),
                (4, 20, Removed),
            ],
            &[],
        ),
        (
            "clear",
            |c, _| c.clear(),
            &[
                (1, 20, Cleared),
                (2, 20, Cleared),
                (3, 20, Cleared),
                (4, 20, Cleared),
            ],
            &[],
        ),
        (
            "set_capacity",
            |c, _| c.set_capacity(Units(60)),
            &[(1, 20, Evicted)],
            &[],
        ),
        (
            "a load",
            |c, _| _ = c.get_or_insert_with(&5, || 30),
            &[(1, 20, Evicted)],
            &[],
        ),
        (
            "a load that is refused",
            |c, _| _ = c.get_or_insert_with(&5, || 101),
            &[(5, 101, Refused)],
            &[],
        ),
        (
            "a refresh",
            |c, clock| {
                clock.advance(Duration::from_secs(60));
                c.get_or_insert_with(&1, || 21);
            },
            &[(1, 20, Replaced)],
            &[],
        ),
        (
            "sweep",
            |c, clock| {
                c.retain(|key, _| *key == 1);
                clock.advance(Duration::from_secs(601));
                c.sweep(9);
            },
            &[
                (1, 20, Expired),
                (2, 20, Removed),
                (3, 20, Removed),
                (4, 20, Removed),
            ],
            &[],
        ),
    ]
};

#[test]
fn what_no_call_returns_is_given_away_once_it_was_told() {
    for &(name, call, away, returned) in GIVES_AWAY {
        let (given, clock) = (Given::default(), ManualClock::new());
        let cache = given.builder(&clock).shards(1).build().unwrap();
        cache.extend((1..5).map(|n| (n, 20)));
        call(&cache, &clock);
        let [got, mut kept] = given.take();
        kept.sort();
        assert_eq!(
            (got.as_slice(), kept.as_slice()),
            (away, returned),
            "{name}"
        );
        let (left, len) = (cache.len(), cache.iter().count());
        assert_eq!(left, len, "{name}");
        drop(cache);
        let [got, kept] = given.take();
        assert!(
            got.iter().all(|given| given.2 == Cause::CacheDropped),
            "{name}"
        );
        assert_eq!((got.len(), kept.len()), (left, 0), "{name}");
    }
}

#[test]
fn an_unsync_cache_gives_away_too() {
    let (given, clock) = (Given::default(), ManualClock::new());
    let mut cache = given.builder(&clock).build_unsync().unwrap();
    cache.extend([(1, 20), (2, 20), (1, 30)]);
    cache.insert(3, 101);
    cache.insert(2, 40);
    assert_eq!(cache.evict(), Some((1, 30)));
    cache.insert(4, 90);
    let mut taken = cache.into_iter();
    assert_eq!(taken.next(), Some((4, 90)));
    drop(taken);
    let [away, kept] = given.take();
    let [replaced, evicted] = [Cause::Replaced, Cause::Evicted];
    assert_eq!(
        away,
        [
            (1, 20, replaced),
            (2, 40, evicted),
            (3, 101, Cause::Refused)
        ]
    );
    let removed = (4, 90, Cause::Removed);
    assert_eq!(kept, [(2, 20, replaced), (1, 30, evicted), removed]);
}

/// As the listener's: all others are given away, the first goes on, each is counted.
#[test]
fn panics_of_who_is_given_things_spare_all_others() {
    let (given, count) = (Arc::new(AtomicUsize::new(0)), Arc::new(()));
    let counts = given.clone();
    let cache = Cache::builder(Entries(10))
        .on_discard(move |_: u32, value: Arc<()>, _| {
            counts.fetch_add(1, Relaxed);
            drop(value);
            std::panic::resume_unwind(Box::new("on purpose"));
        })
        .build()
        .unwrap();
    cache.extend((0..10).map(|n| (n, count.clone())));
    assert!(catch_unwind(AssertUnwindSafe(|| cache.clear())).is_err());
    let panics = cache.stats().listener_panics();
    assert_eq!((given.load(Relaxed), panics), (10, 10));
    assert_eq!(Arc::strong_count(&count), 1, "none is left");
    assert!(cache.is_empty());
}

// ---- listeners of shared caches ----

/// A listener that owns its cache keeps it alive for ever; one that holds it weakly does not.
#[test]
fn fault_116_a_listener_that_holds_its_cache_weakly_lets_it_go() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let value = Arc::new(());
    let log = told.clone();
    let cache = Arc::new_cyclic(|own: &Weak<Cache<u32, Arc<()>>>| {
        let own = own.clone();
        let builder = Cache::builder(Entries(2)).shards(1);
        let builder = builder.on_departure(move |left| {
            let there = own.upgrade().map(|cache| cache.len());
            log.lock().unwrap().push((left.cause, there));
        });
        builder.build().unwrap()
    });
    cache.extend((0..3).map(|n| (n, value.clone())));
    assert_eq!(*told.lock().unwrap(), [(Cause::Evicted, Some(2))]);
    let weak = Arc::downgrade(&cache);
    drop(cache);
    assert!(weak.upgrade().is_none(), "somebody holds the cache");
    let dropped = (Cause::CacheDropped, None);
    assert_eq!(told.lock().unwrap()[1..], [dropped, dropped]);
    assert_eq!(Arc::strong_count(&value), 1, "values were left behind");
}

/// Two threads replace one key: neither waits for the other's listener, which is why their
/// departures have no order. Each is told once.
#[test]
fn fault_120_who_writes_a_key_waits_for_no_listener_so_departures_have_no_order() {
    ends(|| {
        let told = Arc::new(Mutex::new(Vec::new()));
        let log = told.clone();
        let cache = Cache::builder(Entries(10))
            .listener(move |_: &u32, &value: &u32, _| {
                // The first to leave is told once the second was.
                until(|| value != 1 || log.lock().unwrap().contains(&2));
                log.lock().unwrap().push(value);
            })
            .build()
            .unwrap();
        cache.insert(0, 1);
        std::thread::scope(|scope| {
            let first = scope.spawn(|| cache.insert(0, 2));
            until(|| cache.peek(&0) == Some(2));
            assert_eq!(cache.insert(0, 3), Some(2));
            assert_eq!(first.join().unwrap(), Some(1));
        });
        assert_eq!(*told.lock().unwrap(), [2, 1]);
    });
}

/// Fault 29: what is stored is what is given back, whatever the weigher says later.
#[test]
fn a_weigher_that_changes_its_mind_does_no_harm() {
    let mood = Arc::new(AtomicU64::new(1));
    let says = mood.clone();
    let weigher = move |_: &u32, _: &u32| says.fetch_add(13, Relaxed) % 29;
    let cache = Cache::builder(Weight(200, weigher))
        .shards(3)
        .build()
        .unwrap();
    for n in 0..2_000 {
        cache.insert(n % 50, n);
        let _ = cache.update(&((n * 7) % 50), |value| *value += 1);
        cache.remove(&((n * 11) % 50));
        cache.check();
    }
    cache.clear();
    assert_eq!((cache.weight(), cache.len()), (0, 0));
}

#[test]
fn a_plain_cache_of_no_entries_refuses_all() {
    let cache = Cache::new(0);
    assert_eq!(cache.insert(1, "a"), None);
    let refused = cache.try_insert(1, "b").unwrap_err();
    assert_eq!((refused.key, refused.value, refused.old), (1, "b", None));
    let (weight, capacity) = (1, 0);
    assert_eq!(refused.reason, Reason::TooHeavy { weight, capacity });
    assert_eq!(cache.get_or_insert_with(&1, || "c"), "c");
    assert_eq!(cache.stats().departures(Cause::Refused), 3);
    assert_eq!(
        (cache.len(), cache.weight(), cache.capacity().amount()),
        (0, 0, 0)
    );
}

#[test]
fn causes_that_cannot_occur_yet_are_never_counted() {
    let world = World::default();
    let cache = world.shared(CAPACITY, 4);
    cache.extend((0..200).map(|n| (world.key(n % 60), world.val(n.into()))));
    cache.clear();
    let stats = cache.stats();
    assert_eq!(stats.departures(Cause::Expired), 0);
}

// ---- four threads ----

/// How often each value was told and dropped.
#[derive(Default)]
struct Tally {
    told: Vec<AtomicUsize>,
    dropped: Vec<AtomicUsize>,
    causes: [AtomicU64; 8],
}

struct Counted(usize, Arc<Tally>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.dropped[self.0].fetch_add(1, Relaxed);
    }
}

type Crowd = Cache<u64, Counted, Weighed<Fifo>>;

fn a_crowd(tally: &Arc<Tally>) -> Crowd {
    let told = tally.clone();
    let weigher = |key: &u64, _: &Counted| 1 + key % 40;
    let listener = move |_: &u64, value: &Counted, cause: Cause| {
        told.told[value.0].fetch_add(1, Relaxed);
        told.causes[cause as usize].fetch_add(1, Relaxed);
    };
    let builder = Cache::builder(Weight(500, weigher)).policy::<Fifo>();
    builder.shards(4).listener(listener).build().unwrap()
}

/// One thread's calls; all its offers have ids of its own.
fn hustle(cache: &Crowd, tally: &Arc<Tally>, ids: std::ops::Range<usize>, random: &mut Random) {
    for id in ids {
        let (key, what) = (random.below(200), random.below(64));
        drop(cache.insert(key, Counted(id, tally.clone())));
        match what {
            0 => cache.clear(),
            1 => drop(cache.drain().take(5).count()),
            2 => cache.retain(|key, _| key % 3 > 0),
            3 => cache.set_capacity(Units(300 + key)),
            4..20 => drop(cache.remove(&(key / 2))),
            20..30 => drop(cache.update(&(key / 3), |_| ())),
            _ => {}
        }
    }
}

#[test]
fn among_four_threads_each_value_is_told_once_and_dropped_once() {
    let ops = count("BRIMFUL_CAUSES_OPS", 30_000) as usize;
    let zeros = || (0..4 * ops).map(|_| AtomicUsize::new(0)).collect();
    let tally = Arc::new(Tally {
        told: zeros(),
        dropped: zeros(),
        ..Tally::default()
    });
    let cache = a_crowd(&tally);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (cache, tally) = (&cache, &tally);
            let ids = thread * ops..(thread + 1) * ops;
            scope.spawn(move || hustle(cache, tally, ids, &mut Random::new(thread as u64)));
        }
    });
    cache.check();
    for cause in Cause::ALL {
        let told = tally.causes[cause as usize].load(Relaxed);
        assert_eq!(cache.stats().departures(cause), told, "{cause}");
    }
    drop(cache);
    for (told, dropped) in tally.told.iter().zip(&tally.dropped) {
        assert_eq!((told.load(Relaxed), dropped.load(Relaxed)), (1, 1));
    }
}
