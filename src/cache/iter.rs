//! Iteration, shard by shard, without a lock between the items.
//!
//! An iterator clones one shard's entries at a time under its lock and
//! then yields them without any. What is written meanwhile is seen or not; an
//! entry that stays throughout is seen exactly once.

use super::{Cache, lock_at};
use crate::cause::Cause;
use crate::form::Form;
use crate::reentry::{self, Mark};
use crate::shard::Tally;
use crate::unwind::Panics;
use std::fmt;
use std::iter::FusedIterator;

impl<K, V, F: Form, S> Cache<K, V, F, S> {
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
    pub fn iter(&self) -> Iter<'_, K, V, F, S>
    where
        K: Clone,
        V: Clone,
    {
        Iter(Walk::new(self))
    }

    /// Clones of all keys; values are not cloned. Otherwise as [`iter`](Cache::iter).
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// cache.extend([("a", 1), ("b", 2)]);
    /// assert!(cache.keys().any(|key| key == "b"));
    /// ```
    pub fn keys(&self) -> Keys<'_, K, V, F, S>
    where
        K: Clone,
    {
        Keys(Walk::new(self))
    }

    /// Clones of all values; keys are not cloned. Otherwise as [`iter`](Cache::iter).
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// cache.extend([("a", 1), ("b", 2)]);
    /// assert_eq!(cache.values().sum::<i32>(), 3);
    /// ```
    pub fn values(&self) -> Values<'_, K, V, F, S>
    where
        V: Clone,
    {
        Values(Walk::new(self))
    }

    /// Takes every entry out, one shard's at a time, with cause
    /// [`Removed`](Cause::Removed); those past their deadline are not yielded
    /// and leave as [`Expired`](Cause::Expired). What the iterator has not yielded when it
    /// is dropped leaves too.
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// cache.extend([("a", 1), ("b", 2)]);
    /// assert_eq!(cache.drain().count(), 2);
    /// assert!(cache.is_empty());
    /// ```
    pub fn drain(&self) -> Drain<'_, K, V, F, S> {
        Drain {
            cache: self,
            next_shard: 0,
            taken: Vec::new().into_iter(),
        }
    }

    /// Copies of the entries of one shard, as far as `copy` makes them.
    ///
    /// They are put into what was made before the lock, piece by piece: if a
    /// clone panics, the others are dropped after it.
    fn copy_shard(
        &self,
        shard: usize,
        copy: impl Fn(&mut Copied<K, V>, &K, &V),
    ) -> Option<Vec<Copied<K, V>>> {
        self.may_be_called();
        let now = self.now();
        let mut copied = Vec::new();
        let shard = lock_at(self.shards.get(shard)?, now);
        let _mark = Mark::set_in_debug();
        copied.resize_with(shard.len(), || (None, None));
        let mut live = 0;
        for (copied, (key, value)) in copied.iter_mut().zip(shard.iter(shard.now())) {
            copy(copied, key, value);
            live += 1;
        }
        copied.truncate(live);
        Some(copied)
    }

    /// Takes out one shard's entries and tells of them.
    fn take_shard(&self, shard: usize) -> Option<Vec<(K, V)>> {
        self.may_be_called();
        let shard = self.shards.get(shard)?;
        let now = self.now();
        let mut batches = self.door.leave.batches();
        let taken = self.empty(shard, now, Cause::Removed, &mut batches);
        let mut tally = Tally::default();
        let taken = batches.take_all(taken.inspect(|left| tally.note(left)), Cause::Removed);
        if F::TIMED {
            shard.lock().recount(&tally, Cause::Removed);
        }
        Some(batches.end_with(taken))
    }
}

/// A key, a value, or both.
type Copied<K, V> = (Option<K>, Option<V>);

/// A walk over the shards.
struct Walk<'a, K, V, F: Form, S> {
    cache: &'a Cache<K, V, F, S>,
    next_shard: usize,
    copied: std::vec::IntoIter<Copied<K, V>>,
}

impl<'a, K, V, F: Form, S> Walk<'a, K, V, F, S> {
    fn new(cache: &'a Cache<K, V, F, S>) -> Self {
        Self {
            cache,
            next_shard: 0,
            copied: Vec::new().into_iter(),
        }
    }

    fn next(&mut self, copy: impl Fn(&mut Copied<K, V>, &K, &V)) -> Option<Copied<K, V>> {
        loop {
            if let Some(item) = self.copied.next() {
                return Some(item);
            }
            self.copied = self.cache.copy_shard(self.next_shard, &copy)?.into_iter();
            self.next_shard += 1;
        }
    }
}

fn copy_key<K: Clone, V>(copied: &mut Copied<K, V>, key: &K, _: &V) {
    copied.0 = Some(key.clone());
}

fn copy_value<K, V: Clone>(copied: &mut Copied<K, V>, _: &K, value: &V) {
    copied.1 = Some(value.clone());
}

fn copy_both<K: Clone, V: Clone>(copied: &mut Copied<K, V>, key: &K, value: &V) {
    copy_key(copied, key, value);
    copy_value(copied, key, value);
}

macro_rules! walking {
    ($(#[$doc:meta])* $name:ident, $item:ty, [$($bound:tt)*], $copy:ident, $take:expr) => {
        $(#[$doc])*
        #[must_use = "iterators are lazy"]
        pub struct $name<'a, K, V, F: Form, S>(Walk<'a, K, V, F, S>);

        impl<K, V, F: Form, S> fmt::Debug for $name<'_, K, V, F, S> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }

        impl<K, V, F: Form, S> Iterator for $name<'_, K, V, F, S>
        where
            $($bound)*
        {
            type Item = $item;

            fn next(&mut self) -> Option<$item> {
                self.0.next($copy).and_then($take)
            }
        }

        impl<K, V, F: Form, S> FusedIterator for $name<'_, K, V, F, S> where $($bound)* {}
    };
}

walking!(
    /// Clones of entries; see [`Cache::iter`].
    Iter, (K, V), [K: Clone, V: Clone], copy_both, |(key, value)| Some((key?, value?))
);
walking!(
    /// Clones of keys; see [`Cache::keys`].
    Keys, K, [K: Clone], copy_key, |(key, _)| key
);
walking!(
    /// Clones of values; see [`Cache::values`].
    Values, V, [V: Clone], copy_value, |(_, value)| value
);

/// Entries on their way out; see [`Cache::drain`].
pub struct Drain<'a, K, V, F: Form, S> {
    cache: &'a Cache<K, V, F, S>,
    next_shard: usize,
    taken: std::vec::IntoIter<(K, V)>,
}

impl<K, V, F: Form, S> fmt::Debug for Drain<'_, K, V, F, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain").finish_non_exhaustive()
    }
}

impl<K, V, F: Form, S> Iterator for Drain<'_, K, V, F, S> {
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

impl<K, V, F: Form, S> FusedIterator for Drain<'_, K, V, F, S> {}

impl<K, V, F: Form, S> Drop for Drain<'_, K, V, F, S> {
    /// # Panics
    /// If dropped by a closure that runs under a cache's lock.
    fn drop(&mut self) {
        let mut batches = self.cache.door.leave.batches();
        batches.panics().drop_pairs(&mut self.taken);
        if !reentry::may_lock_while_dropping(self.cache.is_inside()) {
            return;
        }
        let now = batches.panics().run(|| self.cache.now()).unwrap_or(0);
        for shard in self.cache.shards.iter().skip(self.next_shard) {
            self.cache
                .let_all_go(shard, now, Cause::Removed, &mut batches);
        }
        batches.end();
    }
}

/// The entries of a cache that is used up; see its `into_iter`.
pub struct IntoIter<K, V, F: Form, S> {
    cache: Cache<K, V, F, S>,
    next_shard: usize,
    taken: std::vec::IntoIter<(K, V)>,
}

impl<K, V, F: Form, S> fmt::Debug for IntoIter<K, V, F, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntoIter").finish_non_exhaustive()
    }
}

impl<K, V, F: Form, S> Iterator for IntoIter<K, V, F, S> {
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

impl<K, V, F: Form, S> FusedIterator for IntoIter<K, V, F, S> {}

impl<K, V, F: Form, S> Drop for IntoIter<K, V, F, S> {
    fn drop(&mut self) {
        let mut panics = Panics::none();
        panics.drop_pairs(&mut self.taken);
        panics.resume();
    }
}

impl<K, V, F: Form, S> IntoIterator for Cache<K, V, F, S> {
    type Item = (K, V);
    type IntoIter = IntoIter<K, V, F, S>;

    /// Takes every entry out, with cause [`Removed`](Cause::Removed); what is
    /// not yielded leaves with [`CacheDropped`](Cause::CacheDropped).
    fn into_iter(self) -> IntoIter<K, V, F, S> {
        IntoIter {
            cache: self,
            next_shard: 0,
            taken: Vec::new().into_iter(),
        }
    }
}

impl<'a, K, V, F, S> IntoIterator for &'a Cache<K, V, F, S>
where
    K: Clone,
    V: Clone,
    F: Form,
{
    type Item = (K, V);
    type IntoIter = Iter<'a, K, V, F, S>;

    fn into_iter(self) -> Iter<'a, K, V, F, S> {
        self.iter()
    }
}
