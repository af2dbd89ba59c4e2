//! One face for both caches, with and without weights and lives, whatever their policy:
//! a body of a test is compiled once and runs on all of them.
//!
//! `unsync::Cache` hands out references and guards where `Cache` hands out clones; the
//! face clones what they point to.

use super::counted::{Id, Key, Spread, Val, hear, weigh};
use brimful::policy::Policy;
use brimful::{
    Builder, Cache, Computed, Entries, Expiring, Fate, Form, Next, Refused, Snapshot, Swept, ToKey,
    Unit, Updated, Weighed, Weight, unsync,
};
use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};
use std::time::Duration;

pub(crate) type Verdict<K, V> = Result<Option<V>, Refused<K, V>>;
pub(crate) type Change<'a, V> = &'a mut dyn FnMut(&mut V);
pub(crate) type Look<'a, K, V> = &'a mut dyn FnMut(&K, &V);

/// The calls that insert if absent.
pub(crate) enum Or<'a, V> {
    /// What is inserted is made when it is its turn.
    Insert(&'a mut dyn FnMut() -> V),
    InsertWith(&'a mut dyn FnMut() -> V),
    Default,
}

pub(crate) trait Door<K, V, Q = K> {
    /// Whether there are guards, and refusals of what inserts if absent.
    fn is_unsync(&self) -> bool;

    fn insert(&mut self, key: K, value: V) -> Option<V>;
    fn try_insert(&mut self, key: K, value: V) -> Verdict<K, V>;
    fn extend(&mut self, entries: &mut dyn Iterator<Item = (K, V)>, by_trait: bool);
    fn get(&mut self, key: &Q) -> Option<V>;
    fn view(&mut self, key: &Q, look: Look<'_, K, V>) -> bool;
    fn peek(&self, key: &Q) -> Option<V>;
    fn contains_key(&self, key: &Q) -> bool;
    fn get_or_insert_with(
        &mut self,
        key: &Q,
        load: &mut dyn FnMut() -> V,
    ) -> Result<V, Refused<K, V>>;
    /// `and_modify` by `change`, and then one of those that insert.
    fn entry(
        &mut self,
        key: K,
        change: Option<Change<'_, V>>,
        or: Or<'_, V>,
    ) -> Result<V, Refused<K, V>>;
    fn update(&mut self, key: &Q, change: Change<'_, V>) -> Updated<()>;
    /// Changes the value that is there, if there is a change, then does what `next` says.
    fn compute(
        &mut self,
        key: K,
        change: Option<Change<'_, V>>,
        next: &mut dyn FnMut() -> Next<V>,
    ) -> Computed<V>;
    /// Looks through a guard, and changes the value by it if there is a change.
    fn get_mut(&mut self, key: &Q, look: &mut dyn FnMut(&V), change: Option<Change<'_, V>>)
    -> bool;
    /// `or_default`, and a change through the guard that it returns.
    fn default_and_change(&mut self, key: K, change: Change<'_, V>) -> Result<(), Refused<K, V>>;
    fn remove(&mut self, key: &Q) -> Option<V>;
    fn remove_entry(&mut self, key: &Q) -> Option<(K, V)>;
    fn evict(&mut self) -> Option<(K, V)>;
    fn remove_if(&mut self, key: &Q, condition: &mut dyn FnMut(&K, &V) -> bool) -> Option<V>;
    fn retain(&mut self, keep: &mut dyn FnMut(&K, &mut V) -> bool);
    // What these yield goes to a list of the caller's, which a panic does not drop.
    fn entries(&self, take: usize, to: &mut Vec<(K, V)>);
    fn keys(&self, take: usize, to: &mut Vec<K>);
    fn values(&self, take: usize, to: &mut Vec<V>);
    fn for_each(&self, look: Look<'_, K, V>);
    fn drain(&mut self, take: usize, to: &mut Vec<(K, V)>);
    fn into_entries(self: Box<Self>, take: usize, to: &mut Vec<(K, V)>);
    fn clear(&mut self);
    fn set_capacity(&mut self, capacity: u64);
    fn shrink_to_fit(&mut self);
    fn len(&self) -> usize;
    fn is_empty(&self) -> bool;
    fn weight(&self) -> u64;
    fn capacity(&self) -> u64;
    fn stats(&self) -> Snapshot;
    fn check(&mut self);
    fn explain(&self, key: &Q) -> Fate;
    /// All keys in the order in which they leave.
    fn coldest(&self, look: &mut dyn FnMut(&K));
    fn shard_of(&self, key: &Q) -> usize;
    fn shard_stats(&self, shard: usize) -> Snapshot;

    // Where entries have weights.
    fn insert_weighted(&mut self, key: K, value: V, weight: u64) -> Option<V>;
    fn try_insert_weighted(&mut self, key: K, value: V, weight: u64) -> Verdict<K, V>;
    fn weight_of(&self, key: &Q) -> Option<u64>;

    // Where they have lives.
    fn insert_with_ttl(&mut self, key: K, value: V, life: Duration) -> Option<V>;
    fn try_insert_with_ttl(&mut self, key: K, value: V, life: Duration) -> Verdict<K, V>;
    fn ttl(&self, key: &Q) -> Option<Duration>;
    fn set_ttl(&mut self, key: &Q, life: Duration) -> bool;
    fn len_live(&self) -> usize;
    fn sweep(&mut self, limit: usize) -> Swept;
    fn next_deadline(&self) -> Option<Duration>;

    // Where they have both.
    fn insert_weighted_with_ttl(
        &mut self,
        key: K,
        value: V,
        weight: u64,
        life: Duration,
    ) -> Option<V>;
}

impl<K, V, Q> dyn Door<K, V, Q> + '_ {
    pub(crate) fn all(&self) -> Vec<(K, V)> {
        let mut all = Vec::new();
        self.entries(usize::MAX, &mut all);
        all
    }

    pub(crate) fn drained(&mut self, take: usize) -> Vec<(K, V)> {
        let mut drained = Vec::new();
        self.drain(take, &mut drained);
        drained
    }
}

/// Inserts with a weight and a time to live.
type InsertBoth<C, K, V> = fn(&mut C, K, V, u64, Duration) -> Option<V>;

/// A cache, and the calls that its type has beside those of all.
pub(crate) struct Opened<C, K, V, Q = K> {
    cache: C,
    weights: Option<Weights<C, K, V, Q>>,
    lives: Option<Lives<C, K, V, Q>>,
    both: Option<InsertBoth<C, K, V>>,
}

/// What only caches with weights have.
struct Weights<C, K, V, Q> {
    insert: fn(&mut C, K, V, u64) -> Option<V>,
    try_insert: fn(&mut C, K, V, u64) -> Verdict<K, V>,
    weight_of: fn(&C, &Q) -> Option<u64>,
}

/// What only caches with lives have.
struct Lives<C, K, V, Q> {
    insert: fn(&mut C, K, V, Duration) -> Option<V>,
    try_insert: fn(&mut C, K, V, Duration) -> Verdict<K, V>,
    ttl: fn(&C, &Q) -> Option<Duration>,
    set_ttl: fn(&mut C, &Q, Duration) -> bool,
    len_live: fn(&C) -> usize,
    sweep: fn(&mut C, usize) -> Swept,
    next_deadline: fn(&C) -> Option<Duration>,
}

impl<C, K, V, Q> Opened<C, K, V, Q> {
    pub(crate) fn plain(cache: C) -> Box<Self> {
        Box::new(Self {
            cache,
            weights: None,
            lives: None,
            both: None,
        })
    }

    fn weights(&self) -> &Weights<C, K, V, Q> {
        self.weights.as_ref().expect("a cache with weights")
    }

    fn lives(&self) -> &Lives<C, K, V, Q> {
        self.lives.as_ref().expect("a cache with lives")
    }
}

/// What both caches have letter for letter, once for each.
macro_rules! doors {
    ($($cache:ident)::+: $($own:item)*) => {
        impl<K, V, Q, P, S> Opened<$($cache)::+<K, V, Weighed<P>, S>, K, V, Q>
        where
            K: Hash + Eq + Clone + Borrow<Q>,
            Q: ToKey<K> + Hash + Eq,
            P: Form,
            S: BuildHasher,
        {
            pub(crate) fn weighed(cache: $($cache)::+<K, V, Weighed<P>, S>) -> Box<Self> {
                let mut opened = Self::plain(cache);
                opened.weights = Some(Weights {
                    insert: |cache, key, value, weight| cache.insert_weighted(key, value, weight),
                    try_insert: |cache, key, value, weight| {
                        cache.try_insert_weighted(key, value, weight)
                    },
                    weight_of: |cache, key| cache.weight_of(key),
                });
                opened
            }

            pub(crate) fn weighed_with_lives(
                cache: $($cache)::+<K, V, Weighed<P>, S>,
            ) -> Box<Self>
            where
                Weighed<P>: Expiring,
                P: Expiring,
            {
                let mut opened = Self::weighed(cache);
                opened.lives = Self::with_lives_of();
                opened.both = Some(|cache, key, value, weight, life| {
                    cache.insert_weighted_with_ttl(key, value, weight, life)
                });
                opened
            }
        }

        impl<K, V, Q, P, S> Opened<$($cache)::+<K, V, P, S>, K, V, Q>
        where
            K: Hash + Eq + Clone + Borrow<Q>,
            Q: ToKey<K> + Hash + Eq,
            P: Expiring,
            S: BuildHasher,
        {
            fn with_lives_of() -> Option<Lives<$($cache)::+<K, V, P, S>, K, V, Q>> {
                Some(Lives {
                    insert: |cache, key, value, life| cache.insert_with_ttl(key, value, life),
                    try_insert: |cache, key, value, life| {
                        cache.try_insert_with_ttl(key, value, life)
                    },
                    ttl: |cache, key| cache.ttl(key),
                    set_ttl: |cache, key, life| cache.set_ttl(key, life),
                    len_live: |cache| cache.len_live(),
                    sweep: |cache, limit| cache.sweep(limit),
                    next_deadline: |cache| cache.next_deadline(),
                })
            }

            pub(crate) fn with_lives(cache: $($cache)::+<K, V, P, S>) -> Box<Self> {
                let mut opened = Self::plain(cache);
                opened.lives = Self::with_lives_of();
                opened
            }
        }

        impl<K, V, Q, P, S> Door<K, V, Q> for Opened<$($cache)::+<K, V, P, S>, K, V, Q>
        where
            K: Hash + Eq + Clone + Borrow<Q>,
            V: Clone + Default,
            Q: ToKey<K> + Hash + Eq,
            P: Form,
            S: BuildHasher,
        {
            $($own)*

            fn insert(&mut self, key: K, value: V) -> Option<V> {
                self.cache.insert(key, value)
            }
            fn try_insert(&mut self, key: K, value: V) -> Verdict<K, V> {
                self.cache.try_insert(key, value)
            }
            fn extend(&mut self, entries: &mut dyn Iterator<Item = (K, V)>, by_trait: bool) {
                if by_trait {
                    Extend::extend(&mut self.cache, entries);
                } else {
                    self.cache.extend(entries);
                }
            }
            fn view(&mut self, key: &Q, look: Look<'_, K, V>) -> bool {
                self.cache.view(key, |key, value| look(key, value)).is_some()
            }
            fn contains_key(&self, key: &Q) -> bool {
                self.cache.contains_key(key)
            }
            fn update(&mut self, key: &Q, change: Change<'_, V>) -> Updated<()> {
                self.cache.update(key, |value| change(value))
            }
            fn compute(
                &mut self,
                key: K,
                change: Option<Change<'_, V>>,
                next: &mut dyn FnMut() -> Next<V>,
            ) -> Computed<V> {
                self.cache.compute(key, |value| {
                    if let (Some(value), Some(change)) = (value, change) {
                        change(value);
                    }
                    next()
                })
            }
            fn remove(&mut self, key: &Q) -> Option<V> {
                self.cache.remove(key)
            }
            fn remove_entry(&mut self, key: &Q) -> Option<(K, V)> {
                self.cache.remove_entry(key)
            }
            fn evict(&mut self) -> Option<(K, V)> {
                self.cache.evict()
            }
            fn remove_if(
                &mut self,
                key: &Q,
                condition: &mut dyn FnMut(&K, &V) -> bool,
            ) -> Option<V> {
                self.cache.remove_if(key, |key, value| condition(key, value))
            }
            fn retain(&mut self, keep: &mut dyn FnMut(&K, &mut V) -> bool) {
                self.cache.retain(keep);
            }
            fn drain(&mut self, take: usize, to: &mut Vec<(K, V)>) {
                to.extend(self.cache.drain().take(take));
            }
            fn clear(&mut self) {
                self.cache.clear();
            }
            fn set_capacity(&mut self, capacity: u64) {
                self.cache.set_capacity(P::Unit::of(capacity));
            }
            fn shrink_to_fit(&mut self) {
                self.cache.shrink_to_fit();
            }
            fn len(&self) -> usize {
                self.cache.len()
            }
            fn is_empty(&self) -> bool {
                self.cache.is_empty()
            }
            fn weight(&self) -> u64 {
                self.cache.weight()
            }
            fn capacity(&self) -> u64 {
                self.cache.capacity().amount()
            }
            fn stats(&self) -> Snapshot {
                self.cache.stats()
            }
            fn check(&mut self) {
                self.cache.check();
            }
            fn explain(&self, key: &Q) -> Fate {
                self.cache.explain(key)
            }
            fn into_entries(self: Box<Self>, take: usize, to: &mut Vec<(K, V)>) {
                to.extend(self.cache.into_iter().take(take));
            }

            fn insert_weighted(&mut self, key: K, value: V, weight: u64) -> Option<V> {
                (self.weights().insert)(&mut self.cache, key, value, weight)
            }
            fn try_insert_weighted(&mut self, key: K, value: V, weight: u64) -> Verdict<K, V> {
                (self.weights().try_insert)(&mut self.cache, key, value, weight)
            }
            fn weight_of(&self, key: &Q) -> Option<u64> {
                (self.weights().weight_of)(&self.cache, key)
            }
            fn insert_weighted_with_ttl(
                &mut self,
                key: K,
                value: V,
                weight: u64,
                life: Duration,
            ) -> Option<V> {
                let insert = self.both.expect("a cache with weights and lives");
                insert(&mut self.cache, key, value, weight, life)
            }
            fn insert_with_ttl(&mut self, key: K, value: V, life: Duration) -> Option<V> {
                (self.lives().insert)(&mut self.cache, key, value, life)
            }
            fn try_insert_with_ttl(&mut self, key: K, value: V, life: Duration) -> Verdict<K, V> {
                (self.lives().try_insert)(&mut self.cache, key, value, life)
            }
            fn ttl(&self, key: &Q) -> Option<Duration> {
                (self.lives().ttl)(&self.cache, key)
            }
            fn set_ttl(&mut self, key: &Q, life: Duration) -> bool {
                (self.lives().set_ttl)(&mut self.cache, key, life)
            }
            fn len_live(&self) -> usize {
                (self.lives().len_live)(&self.cache)
            }
            fn sweep(&mut self, limit: usize) -> Swept {
                (self.lives().sweep)(&mut self.cache, limit)
            }
            fn next_deadline(&self) -> Option<Duration> {
                (self.lives().next_deadline)(&self.cache)
            }
        }
    };
}

doors! { Cache:
    fn is_unsync(&self) -> bool {
        false
    }
    fn get(&mut self, key: &Q) -> Option<V> {
        self.cache.get(key)
    }
    fn peek(&self, key: &Q) -> Option<V> {
        self.cache.peek(key)
    }
    fn get_or_insert_with(
        &mut self,
        key: &Q,
        load: &mut dyn FnMut() -> V,
    ) -> Result<V, Refused<K, V>> {
        Ok(self.cache.get_or_insert_with(key, load))
    }
    fn entry(
        &mut self,
        key: K,
        change: Option<Change<'_, V>>,
        or: Or<'_, V>,
    ) -> Result<V, Refused<K, V>> {
        let entry = self.cache.entry(key);
        let Some(change) = change else {
            super::counted::part();
            return Ok(match or {
                Or::Insert(make) => entry.or_insert(make()),
                Or::InsertWith(load) => entry.or_insert_with(load),
                Or::Default => entry.or_default(),
            });
        };
        let entry = entry.and_modify(|value| change(value));
        super::counted::part();
        Ok(match or {
            Or::Insert(make) => entry.or_insert(make()),
            Or::InsertWith(load) => entry.or_insert_with(load),
            Or::Default => entry.or_default(),
        })
    }
    fn get_mut(
        &mut self,
        _: &Q,
        _: &mut dyn FnMut(&V),
        _: Option<Change<'_, V>>,
    ) -> bool {
        unreachable!("no guards here")
    }
    fn default_and_change(&mut self, _: K, _: Change<'_, V>) -> Result<(), Refused<K, V>> {
        unreachable!("no guards here")
    }
    fn entries(&self, take: usize, to: &mut Vec<(K, V)>) {
        to.extend((&self.cache).into_iter().take(take));
    }
    fn keys(&self, take: usize, to: &mut Vec<K>) {
        to.extend(self.cache.keys().take(take));
    }
    fn values(&self, take: usize, to: &mut Vec<V>) {
        to.extend(self.cache.values().take(take));
    }
    fn for_each(&self, look: Look<'_, K, V>) {
        self.cache.for_each(look);
    }
    fn coldest(&self, look: &mut dyn FnMut(&K)) {
        self.cache.coldest(usize::MAX).iter().for_each(look);
    }
    fn shard_of(&self, key: &Q) -> usize {
        self.cache.shard_of(key)
    }
    fn shard_stats(&self, shard: usize) -> Snapshot {
        self.cache.shard_stats(shard).expect("a shard of that number")
    }
}

doors! { unsync::Cache:
    fn is_unsync(&self) -> bool {
        true
    }
    fn get(&mut self, key: &Q) -> Option<V> {
        self.cache.get(key).cloned()
    }
    fn peek(&self, key: &Q) -> Option<V> {
        self.cache.peek(key).cloned()
    }
    fn get_or_insert_with(
        &mut self,
        key: &Q,
        load: &mut dyn FnMut() -> V,
    ) -> Result<V, Refused<K, V>> {
        let found = self.cache.get_or_insert_with(key, load);
        found.cloned()
    }
    fn entry(
        &mut self,
        key: K,
        change: Option<Change<'_, V>>,
        or: Or<'_, V>,
    ) -> Result<V, Refused<K, V>> {
        let mut entry = self.cache.entry(key);
        if let Some(change) = change {
            entry = entry.and_modify(|value| change(value));
        }
        super::counted::part();
        let guard = match or {
            Or::Insert(make) => entry.or_insert(make())?,
            Or::InsertWith(load) => entry.or_insert_with(load)?,
            Or::Default => entry.or_default()?,
        };
        Ok(V::clone(&guard))
    }
    fn get_mut(
        &mut self,
        key: &Q,
        look: &mut dyn FnMut(&V),
        change: Option<Change<'_, V>>,
    ) -> bool {
        let Some(mut guard) = self.cache.get_mut(key) else {
            return false;
        };
        look(&guard);
        if let Some(change) = change {
            change(&mut guard);
        }
        true
    }
    fn default_and_change(&mut self, key: K, change: Change<'_, V>) -> Result<(), Refused<K, V>> {
        let mut guard = self.cache.entry(key).or_default()?;
        change(&mut guard);
        Ok(())
    }
    fn entries(&self, take: usize, to: &mut Vec<(K, V)>) {
        let entries = self.cache.iter().take(take);
        to.extend(entries.map(|(key, value)| (key.clone(), value.clone())));
    }
    fn keys(&self, take: usize, to: &mut Vec<K>) {
        to.extend(self.cache.keys().take(take).cloned());
    }
    fn values(&self, take: usize, to: &mut Vec<V>) {
        to.extend(self.cache.values().take(take).cloned());
    }
    fn coldest(&self, look: &mut dyn FnMut(&K)) {
        self.cache.coldest(usize::MAX).into_iter().for_each(look);
    }
    fn for_each(&self, look: Look<'_, K, V>) {
        self.cache.iter().for_each(|(key, value)| look(key, value));
    }
    fn shard_of(&self, _: &Q) -> usize {
        0
    }
    fn shard_stats(&self, _: usize) -> Snapshot {
        self.stats()
    }
}

// ---- caches of counted keys and values ----

pub(crate) type Counted = Box<dyn Door<Key, Val, Id>>;

/// Which cache is to be built.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) capacity: u64,
    /// `None` is the cache without locks.
    pub(crate) shards: Option<usize>,
    pub(crate) weighed: bool,
    pub(crate) entry_limit: Option<usize>,
}

/// With each of its forms and doors a policy is a type of its own to compile.
pub(crate) fn open<P: Policy + 'static>(plan: Plan) -> Counted {
    match (plan.weighed, plan.shards) {
        (false, Some(_)) => plain::<P>(plan),
        (false, None) => plain_alone::<P>(plan),
        (true, Some(_)) => weighed::<P>(plan),
        (true, None) => weighed_alone::<P>(plan),
    }
}

const MAKES_SENSE: &str = "a configuration that makes sense";

pub(crate) fn plain<P: Policy + 'static>(plan: Plan) -> Counted {
    let builder = of_entries::<P>(plan).shards(plan.shards.expect(MAKES_SENSE));
    Opened::plain(builder.build().expect(MAKES_SENSE))
}

pub(crate) fn plain_alone<P: Policy + 'static>(plan: Plan) -> Counted {
    Opened::plain(of_entries::<P>(plan).build_unsync().expect(MAKES_SENSE))
}

pub(crate) fn weighed<P: Policy + 'static>(plan: Plan) -> Counted {
    let builder = of_weight::<P>(plan).shards(plan.shards.expect(MAKES_SENSE));
    Opened::<Cache<_, _, _, _>, _, _, _>::weighed(builder.build().expect(MAKES_SENSE))
}

pub(crate) fn weighed_alone<P: Policy + 'static>(plan: Plan) -> Counted {
    let cache = of_weight::<P>(plan).build_unsync().expect(MAKES_SENSE);
    Opened::<unsync::Cache<_, _, _, _>, _, _, _>::weighed(cache)
}

fn of_entries<P: Policy>(plan: Plan) -> Builder<Key, Val, P, Spread> {
    let builder = Cache::builder(Entries(plan.capacity as usize)).policy::<P>();
    builder.hasher(Spread::Well(0)).on_departure(hear)
}

type Weigher = fn(&Key, &Val) -> u64;

fn of_weight<P: Policy>(plan: Plan) -> Builder<Key, Val, Weighed<P>, Spread> {
    let builder = Cache::builder(Weight(plan.capacity, weigh as Weigher)).policy::<P>();
    let builder = builder.hasher(Spread::Well(0)).on_departure(hear);
    match plan.entry_limit {
        Some(limit) => builder.entry_limit(limit),
        None => builder,
    }
}
