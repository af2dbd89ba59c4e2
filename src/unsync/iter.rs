//! Iteration, by reference or by taking everything out.
//!
//! A walk goes from slot to slot until it has met as many entries as are resident. Those past
//! their deadline are met too, but not yielded.

use super::Cache;
use crate::cause::Cause;
use crate::clock::Moment;
use crate::form::{Form, Weighed};
use crate::policy::{Policy, Slot};
use crate::shard::{Shard, Tally};
use crate::unwind::after_dropping;
use std::fmt;
use std::iter::FusedIterator;

impl<K, V, F: Form, S> Cache<K, V, F, S> {
    /// All entries. Does not count as a use. O(1), and O(entries) in all for the items.
    ///
    /// The order follows the keys' hashes: it is not that of inserts or uses, and by the seeds of the
    /// hasher another one in each cache; the same each time while nothing is written. `len` of the
    /// iterator is exact; where entries have deadlines there is none, and `size_hint` is exact
    /// while none of them has passed.
    ///
    /// ```
    /// let mut cache = brimful::unsync::Cache::new(100);
    /// cache.extend([("a", 1), ("b", 2)]);
    /// let mut entries: Vec<_> = cache.iter().collect();
    /// entries.sort();
    /// assert_eq!(entries, [(&"a", &1), (&"b", &2)]);
    /// ```
    pub fn iter(&self) -> Iter<'_, K, V, F> {
        Iter(Walk::new(&self.shard, self.now()))
    }

    /// All keys; otherwise as [`iter`](Cache::iter).
    ///
    /// ```
    /// let mut cache = brimful::unsync::Cache::new(100);
    /// cache.extend([("a", 1), ("b", 2)]);
    /// assert!(cache.keys().any(|&key| key == "b"));
    /// ```
    pub fn keys(&self) -> Keys<'_, K, V, F> {
        Keys(self.iter())
    }

    /// All values; otherwise as [`iter`](Cache::iter). To change them, see [`retain`](Cache::retain).
    ///
    /// ```
    /// let mut cache = brimful::unsync::Cache::new(100);
    /// cache.extend([("a", 1), ("b", 2)]);
    /// assert_eq!(cache.values().sum::<i32>(), 3);
    /// ```
    pub fn values(&self) -> Values<'_, K, V, F> {
        Values(self.iter())
    }

    /// Takes every entry out, with cause [`Removed`](Cause::Removed); those past their
    /// deadline leave as [`Expired`](Cause::Expired) and are not yielded.
    ///
    /// ```
    /// let mut cache = brimful::unsync::Cache::new(100);
    /// cache.extend([("a", 1), ("b", 2)]);
    /// assert_eq!(cache.drain().len(), 2);
    /// assert!(cache.is_empty());
    /// ```
    pub fn drain(&mut self) -> Drain<K, V> {
        Drain(self.take_all().into_iter())
    }

    fn take_all(&mut self) -> Vec<(K, V)> {
        self.advance_clock();
        let mut batches = self.door.leave.batches();
        let mut tally = Tally::default();
        let taken = self
            .shard
            .empty(Cause::Removed, &self.door.ledger, batches.panics());
        let taken = batches.take_all(tally.noting(taken), Cause::Removed);
        self.shard.recount(&tally, Cause::Removed);
        batches.end_with(taken)
    }
}

/// A walk over the slots of a shard that nothing changes meanwhile.
struct Walk<'a, K, V, F: Form> {
    shard: &'a Shard<K, V, F>,
    now: Moment,
    next: usize,
    /// How many entries it has yet to meet.
    left: usize,
    /// Whether some of them may be past their deadline.
    may_skip: bool,
}

impl<'a, K, V, F: Form> Walk<'a, K, V, F> {
    fn new(shard: &'a Shard<K, V, F>, now: Moment) -> Self {
        Self {
            shard,
            now,
            next: 0,
            left: shard.len(),
            may_skip: shard.may_have_expired(now),
        }
    }

    fn next(&mut self) -> Option<(&'a K, &'a V)> {
        while self.left > 0 {
            let entry = self.shard.entry(Slot(self.next));
            self.next += 1;
            let Some(entry) = entry else { continue };
            self.left -= 1;
            let is_live = || Shard::<K, V, F>::time_left(entry.extra(), self.now) > 0;
            if !self.may_skip || is_live() {
                return Some((entry.key(), entry.value()));
            }
        }
        None
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let least = if self.may_skip { 0 } else { self.left };
        (least, Some(self.left))
    }
}

impl<K, V, F: Form> Clone for Walk<'_, K, V, F> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

/// The entries of a cache; see [`Cache::iter`].
#[must_use = "iterators are lazy"]
pub struct Iter<'a, K, V, F: Form>(Walk<'a, K, V, F>);

/// The keys of a cache; see [`Cache::keys`].
#[must_use = "iterators are lazy"]
pub struct Keys<'a, K, V, F: Form>(Iter<'a, K, V, F>);

/// The values of a cache; see [`Cache::values`].
#[must_use = "iterators are lazy"]
pub struct Values<'a, K, V, F: Form>(Iter<'a, K, V, F>);

macro_rules! walking {
    ($($name:ident: $item:ty, $next:expr;)*) => {$(
        impl<'a, K, V, F: Form> Iterator for $name<'a, K, V, F> {
            type Item = $item;

            fn next(&mut self) -> Option<$item> {
                self.0.next().map($next)
            }

            fn size_hint(&self) -> (usize, Option<usize>) {
                self.0.size_hint()
            }
        }

        impl<K, V, F: Form> FusedIterator for $name<'_, K, V, F> {}

        /// Where entries have no deadlines, all that are resident are yielded.
        impl<K, V, P: Policy> ExactSizeIterator for $name<'_, K, V, P> {}

        /// Where entries have no deadlines, all that are resident are yielded.
        impl<K, V, P: Policy> ExactSizeIterator for $name<'_, K, V, Weighed<P>> {}

        impl<K, V, F: Form> Clone for $name<'_, K, V, F> {
            fn clone(&self) -> Self {
                Self(self.0.clone())
            }
        }

        impl<K, V, F: Form> fmt::Debug for $name<'_, K, V, F> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )*};
}

walking! {
    Iter: (&'a K, &'a V), |entry| entry;
    Keys: &'a K, |(key, _)| key;
    Values: &'a V, |(_, value)| value;
}

/// Entries that were taken out; see [`Cache::drain`].
#[must_use = "the entries have left the cache already"]
pub struct Drain<K, V>(std::vec::IntoIter<(K, V)>);

/// The entries of a cache that is used up; see its `into_iter`.
#[must_use = "the entries have left the cache already"]
pub struct IntoIter<K, V>(std::vec::IntoIter<(K, V)>);

macro_rules! taking {
    ($($name:ident)*) => {$(
        impl<K, V> Iterator for $name<K, V> {
            type Item = (K, V);

            fn next(&mut self) -> Option<(K, V)> {
                self.0.next()
            }

            fn size_hint(&self) -> (usize, Option<usize>) {
                self.0.size_hint()
            }
        }

        impl<K, V> ExactSizeIterator for $name<K, V> {}

        impl<K, V> FusedIterator for $name<K, V> {}

        impl<K, V> fmt::Debug for $name<K, V> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )*};
}

taking! { Drain IntoIter }

impl<K, V, F: Form, S> IntoIterator for Cache<K, V, F, S> {
    type Item = (K, V);
    type IntoIter = IntoIter<K, V>;

    /// Takes every entry out, with cause [`Removed`](Cause::Removed).
    fn into_iter(mut self) -> IntoIter<K, V> {
        let taken = self.take_all();
        IntoIter(after_dropping(self, taken).into_iter())
    }
}

impl<'a, K, V, F: Form, S> IntoIterator for &'a Cache<K, V, F, S> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V, F>;

    fn into_iter(self) -> Iter<'a, K, V, F> {
        self.iter()
    }
}

#[cfg(test)]
#[cfg(not(brimful_loom))]
mod tests {
    use super::*;
    use crate::{Entries, ManualClock};
    use std::time::Duration;

    #[test]
    fn a_walk_yields_every_entry_once_and_knows_how_many() {
        let mut cache = Cache::weighted(1_000, |_: &u32, _: &u32| 1);
        cache.extend((0..1_000).map(|n| (n, n)));
        cache.retain(|n, _| n % 3 == 0);
        let mut entries = cache.iter();
        assert_eq!(entries.len(), 334);
        assert_eq!(entries.clone().count(), 334);
        entries.next();
        assert_eq!(entries.len(), 333);
        let mut keys: Vec<_> = cache.keys().copied().collect();
        keys.sort_unstable();
        assert!(keys.iter().copied().eq((0..1_000).step_by(3)));
        assert!((&cache).into_iter().eq(cache.keys().zip(cache.values())));
        let mut entries = cache.into_iter();
        assert_eq!((entries.len(), entries.by_ref().count()), (334, 334));
        assert_eq!(entries.next(), None);
    }

    #[test]
    fn entries_past_their_deadline_are_met_and_not_yielded() {
        let clock = ManualClock::new();
        let cache = Cache::builder(Entries(100)).time_to_live(Duration::from_secs(1));
        let mut cache = cache.clock(clock.clone()).build_unsync().unwrap();
        cache.extend([(1, 1), (2, 2)]);
        cache.insert_with_ttl(3, 3, Duration::from_secs(9));
        let mut entries = cache.iter();
        assert_eq!(
            (entries.next().is_some(), entries.size_hint()),
            (true, (2, Some(2)))
        );
        clock.advance(Duration::from_secs(2));
        assert_eq!(cache.iter().size_hint(), (0, Some(3)));
        assert_eq!(cache.keys().collect::<Vec<_>>(), [&3]);
        assert_eq!(cache.drain().collect::<Vec<_>>(), [(3, 3)]);
    }
}
