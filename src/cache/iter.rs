//! Walks over all entries, in steps.
//!
//! A walk holds the lock of one shard for one step at a time: `for_each` shows the entries that a
//! step meets, and an iterator clones them and then yields them without a lock. Where a walk is says
//! its [`Cursor`], which outlives what is written and rebuilt between two steps.
//!
//! Why `for_each` takes the lock, where a read could do without: writers wait for either, and
//! readers, who do not take it, for neither.

use super::{Cache, CachePadded};
use crate::cause::Cause;
use crate::form::{Form, Weighed};
use crate::policy::Policy;
use crate::reentry::{self, Mark};
use crate::shard::Tally;
use crate::table::Cursor;
use crate::unwind::Panics;
use std::fmt;
use std::iter::FusedIterator;

impl<K, V, F: Form, S> Cache<K, V, F, S> {
    /// Shows every entry to `look`. Clones nothing, does not count as a use, and leaves what is
    /// being loaded alone. Entries that are past their deadline when the call begins are not shown.
    ///
    /// Runs now, a step at a time under the lock of one shard: a step looks at 64 entries at
    /// most (more only where keys agree in 28 bits of their hash), and writers of that shard wait
    /// for it; readers do not. Whatever others do meanwhile, no key is shown twice, and each that is
    /// there all the time, also with changing values, once. What is written behind the walk is not
    /// seen, so all that is shown was never there at one instant. O(entries).
    ///
    /// The order follows the keys' hashes, a shard's after another's: it is not that of inserts or
    /// uses, and by the seeds of the hasher another one in each cache.
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// cache.extend([("a", 1), ("b", 2)]);
    /// let mut sum = 0;
    /// cache.for_each(|_, value| sum += value);
    /// assert_eq!(sum, 3);
    /// ```
    ///
    /// # Panics
    /// If `look` calls into any brimful [`Cache`]. If `look` panics the walk ends there.
    #[doc(alias = "scan")]
    #[track_caller]
    pub fn for_each(&self, mut look: impl FnMut(&K, &V)) {
        self.may_be_called();
        let now = self.now();
        for shard in self.shards.iter() {
            let mut cursor = Cursor::START;
            while !cursor.is_at_end() {
                let locked = self.lock_in_time(shard, now);
                let _mark = Mark::set();
                let met = locked.step(&mut cursor);
                met.for_each(|(key, value)| look(key, value));
            }
        }
    }

    /// Clones of all entries. Does not count as a use, and leaves what is being loaded alone.
    ///
    /// At most 64 entries are cloned at a time (more only where keys agree in 28 bits of their
    /// hash), under the lock of their shard, and then yielded without any. What is yielded had not
    /// expired when it was cloned. Otherwise as [`for_each`](Cache::for_each), which clones
    /// nothing: what others do meanwhile, and the order, are the same.
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

    /// Takes every entry out, one shard's at a time in O(1) under its lock, with cause
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

    /// Makes a step of a walk: copies of what it meets, as far as `copy` makes them.
    ///
    /// They are put into what was made before the lock, piece by piece: if a
    /// clone panics, the others are dropped after it.
    fn copy_some(
        &self,
        shard: &CachePadded<K, V, F>,
        cursor: &mut Cursor,
        copy: impl Fn(&mut Copied<K, V>, &K, &V),
    ) -> Vec<Copied<K, V>> {
        let mut copied = Vec::new();
        let now = self.now();
        let shard = self.lock_in_time(shard, now);
        let _mark = Mark::set_in_debug();
        for (key, value) in shard.step(cursor) {
            copied.push((None, None));
            let last = copied.len() - 1;
            copy(&mut copied[last], key, value);
        }
        copied
    }

    /// Takes out one shard's entries and tells of them.
    fn take_shard(&self, shard: usize) -> Option<Vec<(K, V)>> {
        self.may_be_called();
        let shard = self.shards.get(shard)?;
        let now = self.now();
        let mut batches = self.door.leave.batches();
        let taken = self.empty(shard, now, Cause::Removed, &mut batches);
        let mut tally = Tally::default();
        let taken = batches.take_all(tally.noting(taken), Cause::Removed);
        if F::TIMED {
            shard.lock().recount(&tally, Cause::Removed);
        }
        Some(batches.end_with(taken))
    }
}

/// A key, a value, or both.
type Copied<K, V> = (Option<K>, Option<V>);

/// A walk over the shards, by clones.
struct Walk<'a, K, V, F: Form, S> {
    cache: &'a Cache<K, V, F, S>,
    shard: usize,
    /// Where it is in that shard.
    cursor: Cursor,
    copied: std::vec::IntoIter<Copied<K, V>>,
}

impl<'a, K, V, F: Form, S> Walk<'a, K, V, F, S> {
    fn new(cache: &'a Cache<K, V, F, S>) -> Self {
        Self {
            cache,
            shard: 0,
            cursor: Cursor::START,
            copied: Vec::new().into_iter(),
        }
    }

    fn next(&mut self, copy: impl Fn(&mut Copied<K, V>, &K, &V)) -> Option<Copied<K, V>> {
        loop {
            if let Some(item) = self.copied.next() {
                return Some(item);
            }
            self.cache.may_be_called();
            let shard = self.cache.shards.get(self.shard)?;
            // After a panic it takes this step again.
            let mut cursor = self.cursor;
            self.copied = (self.cache.copy_some(shard, &mut cursor, &copy)).into_iter();
            self.cursor = cursor;
            if cursor.is_at_end() {
                self.shard += 1;
                self.cursor = Cursor::START;
            }
        }
    }

    /// What is cloned is yielded; what else, others may still write.
    fn size_hint(&self) -> (usize, Option<usize>) {
        let has_ended = self.shard == self.cache.shards.len();
        let cloned = self.copied.len();
        (cloned, has_ended.then_some(cloned))
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

            fn size_hint(&self) -> (usize, Option<usize>) {
                self.0.size_hint()
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

    /// What is taken is yielded; to the other shards others may still write.
    fn size_hint(&self) -> (usize, Option<usize>) {
        let has_ended = self.next_shard >= self.cache.shards.len();
        let taken = self.taken.len();
        (taken, has_ended.then_some(taken))
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
    /// How many entries are in that shard and in those after it.
    left: usize,
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
            let shard = self.cache.shards.get(self.next_shard)?;
            self.left -= shard.len();
            self.taken = self.cache.take_shard(self.next_shard)?.into_iter();
            self.next_shard += 1;
        }
    }

    /// Exact where entries have no deadlines.
    fn size_hint(&self) -> (usize, Option<usize>) {
        let taken = self.taken.len();
        let least = if F::TIMED { taken } else { taken + self.left };
        (least, Some(taken + self.left))
    }
}

impl<K, V, F: Form, S> FusedIterator for IntoIter<K, V, F, S> {}

/// Where entries have no deadlines, all that are resident are yielded.
impl<K, V, P: Policy, S> ExactSizeIterator for IntoIter<K, V, P, S> {}

/// Where entries have no deadlines, all that are resident are yielded.
impl<K, V, P: Policy, S> ExactSizeIterator for IntoIter<K, V, Weighed<P>, S> {}

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
        let left = self.shards.iter().map(CachePadded::len).sum();
        IntoIter {
            cache: self,
            next_shard: 0,
            left,
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

    /// Clones of all entries: [`iter`](Cache::iter).
    fn into_iter(self) -> Iter<'a, K, V, F, S> {
        self.iter()
    }
}
