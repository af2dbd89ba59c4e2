//! One face for all caches: with and without locks, with and without weights and
//! lives, whatever their policy.

use crate::world::{Id, Key, Spread, Val, part};
use brimful::policy::{Ending, Policy, Weighed};
use brimful::{Cache, Reason, Refused, Snapshot, Swept, Updated, unsync};
use std::time::Duration;

/// An entry as seen from outside: id, stamp of its key, value.
pub(crate) type Seen = (u32, u32, u64);

/// What `Refused` handed back.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Back {
    pub(crate) key: (u32, u32),
    pub(crate) value: u64,
    pub(crate) old: Option<u64>,
    pub(crate) reason: Reason,
}

pub(crate) type Verdict = Result<Option<u64>, Back>;

pub(crate) fn back(refused: Refused<Key, Val>) -> Back {
    assert!(!refused.to_string().is_empty());
    Back {
        key: (refused.key.id.0, refused.key.stamp),
        value: refused.value.id,
        old: id_of(refused.old),
        reason: refused.reason,
    }
}

pub(crate) fn id_of(value: Option<Val>) -> Option<u64> {
    value.map(|value| value.id)
}

pub(crate) fn seen(key: &Key, value: &Val) -> Seen {
    (key.id.0, key.stamp, value.id)
}

/// A change made to a value in place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    pub(crate) id: u64,
    pub(crate) own: u64,
}

impl Change {
    pub(crate) fn make(self, value: &mut Val) -> u64 {
        value.id = self.id;
        value.own = self.own;
        self.id
    }
}

/// The calls that insert if absent, which mean the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Or {
    Insert,
    InsertWith,
    Default,
}

/// What `retain` asks.
pub(crate) type Keep<'a> = &'a mut dyn FnMut(&Key, &mut Val) -> bool;

pub(crate) trait Door {
    /// Whether there are guards, and refusals of what inserts if absent.
    fn is_unsync(&self) -> bool;

    fn insert(&mut self, key: Key, value: Val) -> Option<u64>;
    fn try_insert(&mut self, key: Key, value: Val) -> Verdict;
    fn get(&mut self, id: &Id) -> Option<u64>;
    fn view(&mut self, id: &Id) -> Option<Seen>;
    fn peek(&self, id: &Id) -> Option<u64>;
    fn contains_key(&self, id: &Id) -> bool;
    fn get_or_insert_with(&mut self, id: &Id, value: Val) -> Result<u64, Back>;
    fn entry(&mut self, key: Key, change: Option<Change>, or: Or, value: Val) -> Result<u64, Back>;
    fn update(&mut self, id: &Id, change: Change) -> Updated<u64>;
    fn get_mut(&mut self, id: &Id, change: Option<Change>) -> Option<u64>;
    fn remove(&mut self, id: &Id) -> Option<u64>;
    fn remove_entry(&mut self, id: &Id) -> Option<Seen>;
    fn remove_if(&mut self, id: &Id, condition: bool) -> (Option<u64>, Option<Seen>);
    fn retain(&mut self, keep: Keep<'_>);
    fn entries(&self) -> Vec<Seen>;
    fn keys_and_values(&self) -> (Vec<(u32, u32)>, Vec<u64>);
    fn drain(&mut self, take: usize) -> Vec<Seen>;
    fn clear(&mut self);
    fn extend(&mut self, entries: &mut dyn Iterator<Item = (Key, Val)>, by_trait: bool);
    fn set_capacity(&mut self, capacity: u64);
    fn shrink_to_fit(&mut self);
    fn len(&self) -> usize;
    fn is_empty(&self) -> bool;
    fn weight(&self) -> u64;
    fn capacity(&self) -> u64;
    fn stats(&self) -> Snapshot;
    fn check(&mut self);
    fn shard_of(&self, id: &Id) -> usize;
    fn shard_stats(&self, shard: usize) -> Snapshot;
    fn into_entries(self: Box<Self>, take: usize) -> Vec<Seen>;

    // Where entries have weights.
    fn insert_weighted(&mut self, key: Key, value: Val, weight: u64) -> Option<u64>;
    fn try_insert_weighted(&mut self, key: Key, value: Val, weight: u64) -> Verdict;
    fn weight_of(&self, id: &Id) -> Option<u64>;

    fn insert_weighted_with_ttl(
        &mut self,
        key: Key,
        value: Val,
        weight: u64,
        life: Duration,
    ) -> Option<u64>;

    // Where they have lives.
    fn insert_with_ttl(&mut self, key: Key, value: Val, life: Duration) -> Option<u64>;
    fn try_insert_with_ttl(&mut self, key: Key, value: Val, life: Duration) -> Verdict;
    fn ttl(&self, id: &Id) -> Option<Duration>;
    fn set_ttl(&mut self, id: &Id, life: Duration) -> bool;
    fn len_live(&self) -> usize;
    fn sweep(&mut self, limit: usize) -> Swept;
    fn next_deadline(&self) -> Option<Duration>;
}

/// A cache, and the words that its type may have.
pub(crate) struct Opened<C> {
    pub(crate) cache: C,
    pub(crate) weights: Option<Weights<C>>,
    pub(crate) lives: Option<Words<C>>,
    pub(crate) both: Option<Both<C>>,
}

/// What only caches with weights and lives have.
type Both<C> = fn(&mut C, Key, Val, u64, Duration) -> Option<u64>;

impl<C> Opened<C> {
    fn weights(&self) -> &Weights<C> {
        self.weights.as_ref().expect("a cache with weights")
    }

    fn lives(&self) -> &Words<C> {
        self.lives.as_ref().expect("a cache with lives")
    }
}

/// What only caches with weights have.
pub(crate) struct Weights<C> {
    insert: fn(&mut C, Key, Val, u64) -> Option<u64>,
    try_insert: fn(&mut C, Key, Val, u64) -> Verdict,
    weight_of: fn(&C, &Id) -> Option<u64>,
}

/// What only caches with lives have.
pub(crate) struct Words<C> {
    insert: fn(&mut C, Key, Val, Duration) -> Option<u64>,
    try_insert: fn(&mut C, Key, Val, Duration) -> Verdict,
    ttl: fn(&C, &Id) -> Option<Duration>,
    set_ttl: fn(&mut C, &Id, Duration) -> bool,
    len_live: fn(&C) -> usize,
    sweep: fn(&mut C, usize) -> Swept,
    next_deadline: fn(&C) -> Option<Duration>,
}

macro_rules! words {
    ($module:ident, $($cache:tt)*) => {
        pub(crate) mod $module {
            use super::*;

            pub(crate) fn weights<P: Policy>()
            -> Option<Weights<$($cache)*<Key, Val, Weighed<P>, Spread>>> {
                Some(Weights {
                    insert: |cache, key, value, weight| {
                        id_of(cache.insert_weighted(key, value, weight))
                    },
                    try_insert: |cache, key, value, weight| {
                        let verdict = cache.try_insert_weighted(key, value, weight);
                        verdict.map(id_of).map_err(back)
                    },
                    weight_of: |cache, id| cache.weight_of(id),
                })
            }

            pub(crate) fn lives<P: Ending>()
            -> Option<Words<$($cache)*<Key, Val, P, Spread>>> {
                Some(Words {
                    insert: |cache, key, value, life| {
                        id_of(cache.insert_with_ttl(key, value, life))
                    },
                    try_insert: |cache, key, value, life| {
                        let verdict = cache.try_insert_with_ttl(key, value, life);
                        verdict.map(id_of).map_err(back)
                    },
                    ttl: |cache, id| cache.ttl(id),
                    set_ttl: |cache, id, life| cache.set_ttl(id, life),
                    len_live: |cache| cache.len_live(),
                    sweep: |cache, limit| cache.sweep(limit),
                    next_deadline: |cache| cache.next_deadline(),
                })
            }

            pub(crate) fn both<P: Ending>()
            -> Option<Both<$($cache)*<Key, Val, Weighed<P>, Spread>>> {
                Some(|cache, key, value, weight, life| {
                    id_of(cache.insert_weighted_with_ttl(key, value, weight, life))
                })
            }

            pub(crate) fn none<T>() -> Option<T> {
                None
            }
        }
    };
}

words!(synced, Cache);
words!(unsynced, unsync::Cache);

/// The words that both caches share letter for letter.
macro_rules! same_words {
    () => {
        fn insert(&mut self, key: Key, value: Val) -> Option<u64> {
            id_of(self.cache.insert(key, value))
        }
        fn try_insert(&mut self, key: Key, value: Val) -> Verdict {
            self.cache.try_insert(key, value).map(id_of).map_err(back)
        }
        fn view(&mut self, id: &Id) -> Option<Seen> {
            self.cache.view(id, seen)
        }
        fn contains_key(&self, id: &Id) -> bool {
            self.cache.contains_key(id)
        }
        fn update(&mut self, id: &Id, change: Change) -> Updated<u64> {
            self.cache.update(id, |value| change.make(value))
        }
        fn remove(&mut self, id: &Id) -> Option<u64> {
            id_of(self.cache.remove(id))
        }
        fn remove_entry(&mut self, id: &Id) -> Option<Seen> {
            self.cache
                .remove_entry(id)
                .map(|(key, value)| seen(&key, &value))
        }
        fn remove_if(&mut self, id: &Id, condition: bool) -> (Option<u64>, Option<Seen>) {
            let mut asked = None;
            let removed = self.cache.remove_if(id, |key, value| {
                asked = Some(seen(key, value));
                condition
            });
            (id_of(removed), asked)
        }
        fn retain(&mut self, keep: Keep<'_>) {
            self.cache.retain(keep);
        }
        fn drain(&mut self, take: usize) -> Vec<Seen> {
            let drained = self.cache.drain().take(take);
            drained.map(|(key, value)| seen(&key, &value)).collect()
        }
        fn clear(&mut self) {
            self.cache.clear();
        }
        fn extend(&mut self, entries: &mut dyn Iterator<Item = (Key, Val)>, by_trait: bool) {
            if by_trait {
                Extend::extend(&mut self.cache, entries);
            } else {
                self.cache.extend(entries);
            }
        }
        fn set_capacity(&mut self, capacity: u64) {
            self.cache.set_capacity(capacity);
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
            self.cache.capacity()
        }
        fn stats(&self) -> Snapshot {
            self.cache.stats()
        }
        fn check(&mut self) {
            self.cache.check();
        }
        fn into_entries(self: Box<Self>, take: usize) -> Vec<Seen> {
            let entries = self.cache.into_iter().take(take);
            entries.map(|(key, value)| seen(&key, &value)).collect()
        }
        fn insert_weighted(&mut self, key: Key, value: Val, weight: u64) -> Option<u64> {
            (self.weights().insert)(&mut self.cache, key, value, weight)
        }
        fn try_insert_weighted(&mut self, key: Key, value: Val, weight: u64) -> Verdict {
            (self.weights().try_insert)(&mut self.cache, key, value, weight)
        }
        fn weight_of(&self, id: &Id) -> Option<u64> {
            (self.weights().weight_of)(&self.cache, id)
        }
        fn insert_weighted_with_ttl(
            &mut self,
            key: Key,
            value: Val,
            weight: u64,
            life: Duration,
        ) -> Option<u64> {
            let insert = self.both.expect("a cache with weights and lives");
            insert(&mut self.cache, key, value, weight, life)
        }
        fn insert_with_ttl(&mut self, key: Key, value: Val, life: Duration) -> Option<u64> {
            (self.lives().insert)(&mut self.cache, key, value, life)
        }
        fn try_insert_with_ttl(&mut self, key: Key, value: Val, life: Duration) -> Verdict {
            (self.lives().try_insert)(&mut self.cache, key, value, life)
        }
        fn ttl(&self, id: &Id) -> Option<Duration> {
            (self.lives().ttl)(&self.cache, id)
        }
        fn set_ttl(&mut self, id: &Id, life: Duration) -> bool {
            (self.lives().set_ttl)(&mut self.cache, id, life)
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
    };
}

impl<P: Policy> Door for Opened<Cache<Key, Val, P, Spread>> {
    same_words!();

    fn is_unsync(&self) -> bool {
        false
    }
    fn get(&mut self, id: &Id) -> Option<u64> {
        id_of(self.cache.get(id))
    }
    fn peek(&self, id: &Id) -> Option<u64> {
        id_of(self.cache.peek(id))
    }
    fn get_or_insert_with(&mut self, id: &Id, value: Val) -> Result<u64, Back> {
        Ok(self.cache.get_or_insert_with(id, || value).id)
    }
    fn entry(&mut self, key: Key, change: Option<Change>, or: Or, value: Val) -> Result<u64, Back> {
        let mut entry = self.cache.entry(key);
        if let Some(change) = change {
            entry = entry.and_modify(|value| _ = change.make(value));
        }
        part();
        let value = match or {
            Or::Insert => entry.or_insert(value),
            Or::InsertWith => entry.or_insert_with(|| value),
            Or::Default => entry.or_default(),
        };
        Ok(value.id)
    }
    fn get_mut(&mut self, _: &Id, _: Option<Change>) -> Option<u64> {
        unreachable!("no guards here")
    }
    fn entries(&self) -> Vec<Seen> {
        (&self.cache)
            .into_iter()
            .map(|(key, value)| seen(&key, &value))
            .collect()
    }
    fn keys_and_values(&self) -> (Vec<(u32, u32)>, Vec<u64>) {
        (
            self.cache.keys().map(|key| (key.id.0, key.stamp)).collect(),
            self.cache.values().map(|value| value.id).collect(),
        )
    }
    fn shard_of(&self, id: &Id) -> usize {
        self.cache.shard_of(id)
    }
    fn shard_stats(&self, shard: usize) -> Snapshot {
        self.cache
            .shard_stats(shard)
            .expect("a shard of that number")
    }
}

impl<P: Policy> Door for Opened<unsync::Cache<Key, Val, P, Spread>> {
    same_words!();

    fn is_unsync(&self) -> bool {
        true
    }
    fn get(&mut self, id: &Id) -> Option<u64> {
        self.cache.get(id).map(|value| value.id)
    }
    fn peek(&self, id: &Id) -> Option<u64> {
        self.cache.peek(id).map(|value| value.id)
    }
    fn get_or_insert_with(&mut self, id: &Id, value: Val) -> Result<u64, Back> {
        let found = self.cache.get_or_insert_with(id, || value);
        found.map(|value| value.id).map_err(back)
    }
    fn entry(&mut self, key: Key, change: Option<Change>, or: Or, value: Val) -> Result<u64, Back> {
        let mut entry = self.cache.entry(key);
        if let Some(change) = change {
            entry = entry.and_modify(|value| _ = change.make(value));
        }
        part();
        let value = match or {
            Or::Insert => entry.or_insert(value),
            Or::InsertWith => entry.or_insert_with(|| value),
            Or::Default => entry.or_default(),
        };
        value.map(|value| value.id).map_err(back)
    }
    fn get_mut(&mut self, id: &Id, change: Option<Change>) -> Option<u64> {
        let mut guard = self.cache.get_mut(id)?;
        let before = guard.id;
        if let Some(change) = change {
            change.make(&mut guard);
        }
        Some(before)
    }
    fn entries(&self) -> Vec<Seen> {
        self.cache
            .iter()
            .map(|(key, value)| seen(key, value))
            .collect()
    }
    fn keys_and_values(&self) -> (Vec<(u32, u32)>, Vec<u64>) {
        (
            self.cache.keys().map(|key| (key.id.0, key.stamp)).collect(),
            self.cache.values().map(|value| value.id).collect(),
        )
    }
    fn shard_of(&self, _: &Id) -> usize {
        0
    }
    fn shard_stats(&self, _: usize) -> Snapshot {
        self.stats()
    }
}
