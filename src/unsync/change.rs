//! Removing, and changing values where they stand.

use super::Cache;
use crate::cause::Cause;
use crate::error::{Computed, Next, Updated};
use crate::form::Form;
use crate::leave::Leaving;
use crate::policy::Slot;
use crate::shard::{Computation, Means, Terms, Victim};
use crate::table::Cursor;
use crate::unwind::Panics;
use hashbrown::Equivalent;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::ops::{Deref, DerefMut};
use std::panic::Location;

impl<K, V, F, S> Cache<K, V, F, S>
where
    K: Hash + Eq,
    F: Form,
    S: BuildHasher,
{
    /// Takes the entry out and returns its value.
    ///
    /// ```
    /// let mut cache = brimful::unsync::Cache::new(100);
    /// cache.insert("a", 1);
    /// assert_eq!(cache.remove("a"), Some(1));
    /// assert_eq!(cache.remove("a"), None);
    /// ```
    #[doc(alias = "invalidate")]
    #[doc(alias = "pop")]
    #[doc(alias = "delete")]
    pub fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.take(key, |_, _| true)?.hand_over_value(Cause::Removed)
    }

    /// Takes the entry out and returns it.
    ///
    /// ```
    /// let mut cache = brimful::unsync::Cache::new(100);
    /// cache.insert("a".to_string(), 1);
    /// assert_eq!(cache.remove_entry("a"), Some(("a".to_string(), 1)));
    /// ```
    pub fn remove_entry<Q>(&mut self, key: &Q) -> Option<(K, V)>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let left = self.take(key, |_, _| true)?.hand_over(Cause::Removed)?;
        Some((left.key, left.value))
    }

    /// Takes the entry out if `condition` holds for it.
    ///
    /// ```
    /// let mut cache = brimful::unsync::Cache::new(100);
    /// cache.insert("a", 1);
    /// assert_eq!(cache.remove_if("a", |_, &n| n > 1), None);
    /// assert_eq!(cache.remove_if("a", |_, &n| n == 1), Some(1));
    /// ```
    pub fn remove_if<Q>(&mut self, key: &Q, condition: impl FnOnce(&K, &V) -> bool) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.take(key, condition)?.hand_over_value(Cause::Removed)
    }

    /// Takes out the entry that the policy would evict next and returns it: `None` if there is
    /// none. It leaves as [`Evicted`](Cause::Evicted), and what is past its deadline as
    /// [`Expired`](Cause::Expired) on the way: that is not returned. O(1) amortised.
    ///
    /// ```
    /// use brimful::policy::Lru;
    /// use brimful::{Entries, unsync::Cache};
    ///
    /// let mut cache = Cache::builder(Entries(10)).policy::<Lru>().build_unsync()?;
    /// cache.extend([("a", 1), ("b", 2)]);
    /// cache.get("a");
    /// assert_eq!(cache.evict(), Some(("b", 2)));
    /// assert_eq!(cache.evict(), Some(("a", 1)));
    /// assert_eq!(cache.evict(), None);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[doc(alias = "pop_lru")]
    pub fn evict(&mut self) -> Option<(K, V)> {
        self.advance_clock();
        let Self { shard, door, .. } = self;
        let mut leaving = door.leave.open_for_victims();
        while let Victim::Later = shard.evict_next(&door.ledger, leaving.outbox()) {}
        let left = leaving.hand_over(Cause::Evicted)?;
        Some((left.key, left.value))
    }

    fn take<Q>(
        &mut self,
        key: &Q,
        condition: impl FnOnce(&K, &V) -> bool,
    ) -> Option<Leaving<'_, K, V>>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.advance_clock();
        let tag = self.hash(key).tag();
        let is = |found: &K| key.equivalent(found);
        let ledger = &self.door.ledger;
        let mut leaving = self.door.leave.open();
        let out = leaving.outbox();
        if let Some(slot) = self.shard.slot_to_write(tag, is, ledger, out) {
            let entry = self.shard.entry(slot)?;
            if condition(entry.key(), entry.value()) {
                self.shard.remove(slot, Cause::Removed, ledger, out);
            }
        }
        Some(leaving)
    }

    /// The value, to be changed; weighed again when the guard drops. Counts as a use.
    ///
    /// ```
    /// let mut cache = brimful::unsync::Cache::new(100);
    /// cache.insert("a", vec![1]);
    /// if let Some(mut list) = cache.get_mut("a") {
    ///     list.push(2);
    /// }
    /// assert_eq!(cache.get("a"), Some(&vec![1, 2]));
    /// ```
    pub fn get_mut<Q>(&mut self, key: &Q) -> Option<RefMut<'_, K, V, F, S>>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let slot = self.look_up(key)?;
        Some(RefMut::new(self, slot))
    }

    /// Changes a value where it stands, and weighs it again, as
    /// [`brimful::Cache::update`](crate::Cache::update) does.
    ///
    /// ```
    /// use brimful::{Updated, unsync::Cache};
    ///
    /// let mut cache = Cache::new(100);
    /// cache.insert("a", 1);
    /// assert_eq!(cache.update("a", |n| { *n += 1; *n }), Updated::Kept(2));
    /// assert_eq!(cache.update("b", |n| *n), Updated::Absent);
    /// ```
    #[doc(alias = "compute_if_present")]
    #[doc(alias = "alter")]
    pub fn update<Q, R>(&mut self, key: &Q, change: impl FnOnce(&mut V) -> R) -> Updated<R>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        match self.look_up(key) {
            Some(slot) => self.change(slot, change),
            None => Updated::Absent,
        }
    }

    /// Decides what is to be under a key, from what is there now, as
    /// [`brimful::Cache::compute`](crate::Cache::compute) does.
    ///
    /// ```
    /// use brimful::{Computed, Next, unsync::Cache};
    ///
    /// let mut stock = Cache::new(100);
    /// let mut sell = |thing| stock.compute(thing, |left| match left {
    ///     None => Next::Put(1),
    ///     Some(0) => Next::Remove,
    ///     Some(left) => { *left -= 1; Next::Keep }
    /// });
    /// assert_eq!(sell("cup"), Computed::Inserted);
    /// assert_eq!(sell("cup"), Computed::Kept);
    /// assert_eq!(sell("cup"), Computed::Removed(0));
    /// ```
    #[doc(alias = "and_compute_with")]
    #[doc(alias = "upsert")]
    #[doc(alias = "merge")]
    #[doc(alias = "alter")]
    #[track_caller]
    pub fn compute(
        &mut self,
        key: K,
        decide: impl FnOnce(Option<&mut V>) -> Next<V>,
    ) -> Computed<V> {
        let tag = self.hash(&key).tag();
        let line = self.door.tracking.line(Location::caller());
        let mut computation = Computation::new(tag, key, line);
        let slot = self.look_up_tag(tag, |found| computation.has(found));
        let Self { shard, door, .. } = self;
        let mut leaving = door.leave.open();
        let out = leaving.outbox();
        let mut means = Means {
            reservation: &mut door.ledger.reserve(),
            elsewhere: &mut |_, _, _| (),
        };
        let terms = Terms {
            scale: &door.scale,
            expiry: &door.expiry,
            tracking: &door.tracking,
        };
        computation.run(shard, slot, decide, &terms, &mut means, out);
        computation.finish(leaving, Panics::none())
    }

    pub(super) fn change<R>(&mut self, slot: Slot, change: impl FnOnce(&mut V) -> R) -> Updated<R> {
        let Self { shard, door, .. } = self;
        let mut leaving = door.leave.open();
        let out = leaving.outbox();
        shard.expire_some(&door.ledger, out);
        let change = |_: &K, value: &mut V| change(value);
        let mut means = Means {
            reservation: &mut door.ledger.reserve(),
            elsewhere: &mut |_, _, _| (),
        };
        let mut changed = shard.change(slot, &door.scale, change, &mut means, out);
        if F::TIMED && changed.stayed {
            shard.renew(slot, &door.expiry, &door.ledger, out, &mut changed);
        }
        changed.finish(leaving)
    }

    /// Keeps the entries for which `keep` answers `true`; the others leave with
    /// cause [`Removed`](Cause::Removed). Values may be changed and are weighed again: where
    /// `keep` answers `true` to all it is a walk that changes values (an `iter_mut` could not
    /// weigh what was changed by its references). Does not count as a use. O(entries).
    ///
    /// ```
    /// let mut cache = brimful::unsync::Cache::new(100);
    /// cache.extend((0..10).map(|n| (n, n)));
    /// cache.retain(|key, _| key % 2 == 0);
    /// assert_eq!(cache.len(), 5);
    /// cache.retain(|_, value| {
    ///     *value += 1;
    ///     true
    /// });
    /// assert_eq!(cache.peek(&8), Some(&9));
    /// ```
    ///
    /// # Panics
    /// If `keep` panics the walk ends there; if the weigher panics its value leaves with cause
    /// [`Refused`](Cause::Refused), and the walk ends.
    #[doc(alias = "invalidate_entries_if")]
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        self.advance_clock();
        let Self { shard, door, .. } = self;
        door.leave.in_one_batch(|out, panics| {
            let mut means = Means {
                reservation: &mut door.ledger.reserve(),
                elsewhere: &mut |_, _, _| (),
            };
            let mut cursor = Cursor::START;
            while panics.is_none() && !cursor.is_at_end() {
                panics.add(shard.retain(&mut cursor, &door.scale, &mut keep, &mut means, out));
            }
        });
    }
}

/// A value to be changed; when the guard drops, a value that was written to is
/// weighed again. See [`Cache::get_mut`] and [`Entry`](super::Entry).
///
/// A value that grew beyond what the cache may hold leaves then, with cause
/// [`Refused`](Cause::Refused). A guard that is leaked (`mem::forget`) leaves
/// the value with its old weight.
///
/// ```
/// use brimful::unsync::Cache;
///
/// let mut cache = Cache::weighted(10, |_: &u32, text: &String| text.len() as u64);
/// cache.insert(1, "short".to_string());
/// if let Some(mut text) = cache.get_mut(&1) {
///     text.push_str(" no more");
/// }
/// assert!(!cache.contains_key(&1));
/// ```
pub struct RefMut<'a, K, V, F: Form, S>
where
    K: Hash + Eq,
    S: BuildHasher,
{
    cache: &'a mut Cache<K, V, F, S>,
    slot: Slot,
    written: bool,
}

impl<'a, K, V, F: Form, S> RefMut<'a, K, V, F, S>
where
    K: Hash + Eq,
    S: BuildHasher,
{
    pub(super) fn new(cache: &'a mut Cache<K, V, F, S>, slot: Slot) -> Self {
        Self {
            cache,
            slot,
            written: false,
        }
    }
}

impl<K, V, F: Form, S> Deref for RefMut<'_, K, V, F, S>
where
    K: Hash + Eq,
    S: BuildHasher,
{
    type Target = V;

    fn deref(&self) -> &V {
        self.cache.value_in(self.slot)
    }
}

impl<K, V, F: Form, S> DerefMut for RefMut<'_, K, V, F, S>
where
    K: Hash + Eq,
    S: BuildHasher,
{
    fn deref_mut(&mut self) -> &mut V {
        self.written = true;
        let value = self.cache.shard.value_mut(self.slot);
        value.expect("the guard keeps its slot")
    }
}

impl<K, V, F: Form, S> Drop for RefMut<'_, K, V, F, S>
where
    K: Hash + Eq,
    S: BuildHasher,
{
    fn drop(&mut self) {
        if self.written {
            let _ = self.cache.change(self.slot, |_| ());
        }
    }
}

impl<K, V: fmt::Debug, F: Form, S> fmt::Debug for RefMut<'_, K, V, F, S>
where
    K: Hash + Eq,
    S: BuildHasher,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
