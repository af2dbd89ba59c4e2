//! Iteration, shard by shard, without a lock between the items.
//!
//! An iterator clones one shard's entries at a time under its shared lock and
//! then yields them without any. What is written meanwhile is seen or not; an
//! entry that stays throughout is seen exactly once.

use super::Cache;
use crate::cause::Cause;
use crate::leave::{drop_all, go_on};
use crate::policy::Policy;
use crate::reentry::{self, Mark};
use std::fmt;
use std::hash::Hash;
use std::iter::FusedIterator;

impl<K, V, P: Policy, S> Cache<K, V, P, S> {
    /// Clones of all entries, in no particular order, one shard's at a time. An
    /// iteration is not one instant. Does not count as a use.
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// cache.extend([("a", 1), ("b", 2)]);
    /// let mut entries: Vec<_> = cache.iter().collect();
    /// entries.sort();
    /// assert_eq!(entries, [("a", 1), ("b", 2)]);
    /// ```
    pub fn iter(&self) -> Iter<'_, K, V, P, S>
    where
        K: Clone,
        V: Clone,
    {
        Iter(Walk::new(self))
    }

    /// Clones of all keys; values are not cloned. Otherwise as [`iter`](Cache::iter).
    pub fn keys(&self) -> Keys<'_, K, V, P, S>
    where
        K: Clone,
    {
        Keys(Walk::new(self))
    }

    /// Clones of all values; keys are not cloned. Otherwise as [`iter`](Cache::iter).
    pub fn values(&self) -> Values<'_, K, V, P, S>
    where
        V: Clone,
    {
        Values(Walk::new(self))
    }

    /// Takes every entry out, one shard's at a time, with cause
    /// [`Removed`](Cause::Removed). What the iterator has not yielded when it
    /// is dropped leaves too.
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// cache.extend([("a", 1), ("b", 2)]);
    /// assert_eq!(cache.drain().count(), 2);
    /// assert!(cache.is_empty());
    /// ```
    pub fn drain(&self) -> Drain<'_, K, V, P, S> {
        Drain {
            cache: self,
            next_shard: 0,
            taken: Vec::new().into_iter(),
        }
    }

    /// Copies what `copy` makes of the entries of one shard.
    fn copy_shard<T>(&self, shard: usize, copy: impl Fn(&K, &V) -> T) -> Option<Vec<T>> {
        reentry::check();
        let shard = self.shards.get(shard)?.read();
        let _mark = Mark::set_in_debug();
        Some(shard.iter().map(|(key, value)| copy(key, value)).collect())
    }

    /// Takes out one shard's entries and tells of them.
    fn take_shard(&self, shard: usize) -> Option<Vec<(K, V)>> {
        reentry::check();
        let taken = self
            .shards
            .get(shard)?
            .write()
            .empty(Cause::Removed, &self.budget);
        Some(self.leave.hand_over_all(taken, Cause::Removed))
    }
}

/// A walk over the shards; `T` is what is copied of each entry.
struct Walk<'a, K, V, P: Policy, S, T> {
    cache: &'a Cache<K, V, P, S>,
    next_shard: usize,
    copied: std::vec::IntoIter<T>,
}

impl<'a, K, V, P: Policy, S, T> Walk<'a, K, V, P, S, T> {
    fn new(cache: &'a Cache<K, V, P, S>) -> Self {
        Self {
            cache,
            next_shard: 0,
            copied: Vec::new().into_iter(),
        }
    }

    fn next(&mut self, copy: impl Fn(&K, &V) -> T) -> Option<T> {
        loop {
            if let Some(item) = self.copied.next() {
                return Some(item);
            }
            self.copied = self.cache.copy_shard(self.next_shard, &copy)?.into_iter();
            self.next_shard += 1;
        }
    }
}

macro_rules! walking {
    ($(#[$doc:meta])* $name:ident, $item:ty, [$($bound:tt)*], $copy:expr) => {
        $(#[$doc])*
        #[must_use = "iterators are lazy"]
        pub struct $name<'a, K, V, P: Policy, S>(Walk<'a, K, V, P, S, $item>);

        impl<K, V, P: Policy, S> fmt::Debug for $name<'_, K, V, P, S> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }

        impl<K, V, P: Policy, S> Iterator for $name<'_, K, V, P, S>
        where
            $($bound)*
        {
            type Item = $item;

            fn next(&mut self) -> Option<$item> {
                self.0.next($copy)
            }
        }

        impl<K, V, P: Policy, S> FusedIterator for $name<'_, K, V, P, S> where $($bound)* {}
    };
}

walking!(
    /// Clones of entries; see [`Cache::iter`].
    Iter, (K, V), [K: Clone, V: Clone], |key, value| (key.clone(), value.clone())
);
walking!(
    /// Clones of keys; see [`Cache::keys`].
    Keys, K, [K: Clone], |key, _| key.clone()
);
walking!(
    /// Clones of values; see [`Cache::values`].
    Values, V, [V: Clone], |_, value| value.clone()
);

/// Entries on their way out; see [`Cache::drain`].
pub struct Drain<'a, K, V, P: Policy, S> {
    cache: &'a Cache<K, V, P, S>,
    next_shard: usize,
    taken: std::vec::IntoIter<(K, V)>,
}

impl<K, V, P: Policy, S> fmt::Debug for Drain<'_, K, V, P, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain").finish_non_exhaustive()
    }
}

impl<K, V, P: Policy, S> Iterator for Drain<'_, K, V, P, S> {
    type Item = (K, V);

    fn next(&mut self) -> Option<(K, V)> {
        loop {
            if let Some(entry) = self.taken.next() {
                return Some(entry);
            }
            let shard = self.next_shard;
            self.next_shard += 1;
            self.taken = self.cache.take_shard(shard)?.into_iter();
        }
    }
}

impl<K, V, P: Policy, S> FusedIterator for Drain<'_, K, V, P, S> {}

impl<K, V, P: Policy, S> Drop for Drain<'_, K, V, P, S> {
    fn drop(&mut self) {
        let mut panic = drop_all(&mut self.taken);
        for shard in self.cache.shards.iter().skip(self.next_shard) {
            let taken = shard.write().empty(Cause::Removed, &self.cache.budget);
            panic = panic.or(self.cache.leave.all(taken, Cause::Removed));
        }
        go_on(panic);
    }
}

/// The entries of a cache that is used up; see its `into_iter`.
pub struct IntoIter<K, V, P: Policy, S> {
    cache: Cache<K, V, P, S>,
    next_shard: usize,
    taken: std::vec::IntoIter<(K, V)>,
}

impl<K, V, P: Policy, S> fmt::Debug for IntoIter<K, V, P, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntoIter").finish_non_exhaustive()
    }
}

impl<K, V, P: Policy, S> Iterator for IntoIter<K, V, P, S> {
    type Item = (K, V);

    fn next(&mut self) -> Option<(K, V)> {
        loop {
            if let Some(entry) = self.taken.next() {
                return Some(entry);
            }
            self.taken = self.cache.take_shard(self.next_shard)?.into_iter();
            self.next_shard += 1;
        }
    }
}

impl<K, V, P: Policy, S> FusedIterator for IntoIter<K, V, P, S> {}

impl<K, V, P: Policy, S> Drop for IntoIter<K, V, P, S> {
    fn drop(&mut self) {
        go_on(drop_all(&mut self.taken));
    }
}

impl<K, V, P: Policy, S> IntoIterator for Cache<K, V, P, S> {
    type Item = (K, V);
    type IntoIter = IntoIter<K, V, P, S>;

    /// Takes every entry out, with cause [`Removed`](Cause::Removed); what is
    /// not yielded leaves with [`CacheDropped`](Cause::CacheDropped).
    fn into_iter(self) -> IntoIter<K, V, P, S> {
        IntoIter {
            cache: self,
            next_shard: 0,
            taken: Vec::new().into_iter(),
        }
    }
}

impl<'a, K, V, P, S> IntoIterator for &'a Cache<K, V, P, S>
where
    K: Hash + Eq + Clone,
    V: Clone,
    P: Policy,
{
    type Item = (K, V);
    type IntoIter = Iter<'a, K, V, P, S>;

    fn into_iter(self) -> Iter<'a, K, V, P, S> {
        self.iter()
    }
}
