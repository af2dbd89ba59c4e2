//! Inserting: weigh and hash without a lock, place under one, gather if need be.

use super::Cache;
use super::entry::Same;
use crate::cause::Cause;
use crate::door;
use crate::error::Refused;
use crate::form::{Form, Weighed};
use crate::hash::Hashed;
use crate::leave::Leaving;
use crate::leave::outbox::Outbox;
use crate::reentry::Mark;
use crate::shard::{Inserted, Offer};
use std::hash::{BuildHasher, Hash};

impl<K, V, F, S> Cache<K, V, F, S>
where
    K: Hash + Eq,
    F: Form,
    S: BuildHasher,
{
    /// Stores a value and returns the older one under the same key.
    ///
    /// Room is made before the entry is published. A value heavier than the
    /// whole capacity is refused: the listener hears of it and it is dropped;
    /// the older value under its key leaves too and is returned. Use
    /// [`try_insert`](Cache::try_insert) to get a refused value back.
    ///
    /// An older value is readable until the new one is in its place. The entry
    /// is never the victim of its own insert: a `get` that follows finds it,
    /// unless it was refused, is past its deadline, or another thread wrote in between.
    /// As with std's maps, the older *key* stays; but a value past its deadline is not
    /// replaced: it leaves as [`Expired`](crate::Cause::Expired) and is not returned.
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// assert_eq!(cache.insert("a", 1), None);
    /// assert_eq!(cache.insert("a", 2), Some(1));
    /// ```
    #[doc(alias = "put")]
    #[doc(alias = "set")]
    #[inline]
    #[track_caller]
    pub fn insert(&self, key: K, value: V) -> Option<V> {
        let hashed = self.hash(&key);
        let mut offer = self.door.offer(hashed, key, value);
        self.insert_or_discard(hashed, &mut offer)
    }

    /// Stores a value, or hands it back: `Ok(None)` if it was stored, `Ok(Some(old))` if it
    /// took an older value's place.
    ///
    /// # Errors
    /// If the entry is heavier than the whole capacity, or than the other members of its
    /// [`Budget`](crate::Budget) leave it, or its time to live is zero, it is refused; key and value, the reason, and the older value that left with them are handed back.
    ///
    /// ```
    /// use brimful::Cache;
    ///
    /// let cache = Cache::weighted(100, |_: &u32, text: &String| text.len() as u64);
    /// let refused = cache.try_insert(1, "x".repeat(101)).unwrap_err();
    /// assert_eq!(refused.value.len(), 101);
    /// assert!(refused.to_string().contains("weight 101"));
    /// ```
    #[doc(alias = "try_put")]
    #[track_caller]
    pub fn try_insert(&self, key: K, value: V) -> Result<Option<V>, Refused<K, V>> {
        let hashed = self.hash(&key);
        let mut offer = self.door.offer(hashed, key, value);
        self.insert_or_hand_back(hashed, &mut offer)
    }

    /// Inserts; what is refused is discarded.
    #[inline]
    #[track_caller]
    pub(super) fn insert_or_discard(&self, hashed: Hashed, offer: &mut Offer<K, V>) -> Option<V> {
        let mut leaving = self.insert_and_leave(hashed, offer);
        leaving.hand_over_value(Cause::Replaced)
    }

    /// Inserts; what had to leave for it is still to be told.
    #[inline]
    #[track_caller]
    fn insert_and_leave(&self, hashed: Hashed, offer: &mut Offer<K, V>) -> Leaving<'_, K, V> {
        let mut leaving = self.door.leave.open();
        self.lock_and_insert(hashed, offer, leaving.outbox());
        leaving
    }

    /// Inserts; what is refused is handed back.
    #[inline]
    #[track_caller]
    pub(super) fn insert_or_hand_back(
        &self,
        hashed: Hashed,
        offer: &mut Offer<K, V>,
    ) -> Result<Option<V>, Refused<K, V>> {
        let mut leaving = self.door.leave.open();
        let placed = self.lock_and_insert(hashed, offer, leaving.outbox());
        door::finish(placed, &mut leaving)
    }

    /// Inserts a value unless the key is there by now; a clone of what stays.
    #[track_caller]
    pub(super) fn insert_if_absent(&self, hashed: Hashed, key: K, value: V) -> V
    where
        V: Clone,
    {
        let mut kept = value.clone();
        let mut offer = self.door.offer(hashed, key, value);
        offer.only_if_absent = true;
        let mut leaving = self.door.leave.open();
        self.lock_and_insert(hashed, &mut offer, leaving.outbox());
        let mut panics = leaving.tell_and_discard();
        if let Some((key, value)) = offer.pair {
            if let Some(found) = self.peek_at(hashed, &Same(&key)) {
                panics.drop(std::mem::replace(&mut kept, found));
            }
            panics.drop_pair(key, value);
        }
        panics.hand(kept)
    }

    /// Inserts under the lock of the key's shard; gathers room first if that shard has too
    /// little.
    #[inline]
    #[track_caller]
    pub(super) fn lock_and_insert(
        &self,
        hashed: Hashed,
        offer: &mut Offer<K, V>,
        out: &mut Outbox<K, V>,
    ) -> Inserted {
        let now = self.now();
        let placed = {
            let home = self.shard(hashed);
            let mut shard = self.lock_in_time(home, now);
            // Declared after the shard, so dropped before its lock is left: only a gatherer
            // may hold room without a lock.
            let mut reservation = home.reserve(&shard, &self.door.ledger);
            let _mark = Mark::set_in_debug();
            shard.insert(offer, &mut reservation, out)
        };
        match placed {
            Inserted::NeedsRoom(need) => self.gather_and_tell(hashed, offer, need, now, out),
            placed => placed,
        }
    }

    /// Inserts one after another; older values under their keys are discarded. Unlike [`Extend`],
    /// which asks for `&mut`, it can be called on a cache that is shared.
    ///
    /// ```
    /// let cache = brimful::Cache::new(2);
    /// cache.extend([("a", 1), ("b", 2), ("c", 3)]);
    /// assert_eq!(cache.len(), 2);
    /// ```
    #[track_caller]
    pub fn extend(&self, entries: impl IntoIterator<Item = (K, V)>) {
        for (key, value) in entries {
            let hashed = self.hash(&key);
            let mut offer = self.door.offer(hashed, key, value);
            let leaving = self.insert_and_leave(hashed, &mut offer);
            leaving.tell_and_discard().resume();
        }
    }
}

impl<K, V, F, S> Cache<K, V, Weighed<F>, S>
where
    K: Hash + Eq,
    F: Form,
    S: BuildHasher,
{
    /// Stores a value with a weight of its own; the weigher is not asked, until
    /// the value is changed in place.
    ///
    /// ```
    /// let cache = brimful::Cache::weighted(100, |_: &&str, _: &u32| 1);
    /// cache.insert_weighted("a", 1, 50);
    /// assert_eq!(cache.weight(), 50);
    /// ```
    #[track_caller]
    pub fn insert_weighted(&self, key: K, value: V, weight: u64) -> Option<V> {
        let hashed = self.hash(&key);
        let mut offer = self.door.offer_weighted(hashed, key, value, weight);
        self.insert_or_discard(hashed, &mut offer)
    }

    /// Stores a value with a weight of its own, as
    /// [`insert_weighted`](Cache::insert_weighted) does, or hands it back.
    ///
    /// # Errors
    /// As [`try_insert`](Cache::try_insert).
    ///
    /// ```
    /// let cache = brimful::Cache::weighted(100, |_: &&str, _: &u32| 1);
    /// assert!(cache.try_insert_weighted("a", 1, 50).is_ok());
    /// assert!(cache.try_insert_weighted("b", 2, 101).is_err());
    /// ```
    #[track_caller]
    pub fn try_insert_weighted(
        &self,
        key: K,
        value: V,
        weight: u64,
    ) -> Result<Option<V>, Refused<K, V>> {
        let hashed = self.hash(&key);
        let mut offer = self.door.offer_weighted(hashed, key, value, weight);
        self.insert_or_hand_back(hashed, &mut offer)
    }
}

/// Inserts one after another.
impl<K, V, F, S> Extend<(K, V)> for Cache<K, V, F, S>
where
    K: Hash + Eq,
    F: Form,
    S: BuildHasher,
{
    #[track_caller]
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        Cache::extend(self, entries);
    }
}

/// Inserts copies, one after another.
///
/// ```
/// let scores = std::collections::HashMap::from([("ann", 7), ("bob", 9)]);
/// let mut cache = brimful::Cache::new(100);
/// Extend::extend(&mut cache, &scores);
/// assert_eq!(cache.get("bob"), Some(9));
/// ```
impl<'a, K, V, F, S> Extend<(&'a K, &'a V)> for Cache<K, V, F, S>
where
    K: Hash + Eq + Copy + 'a,
    V: Copy + 'a,
    F: Form,
    S: BuildHasher,
{
    #[track_caller]
    fn extend<I: IntoIterator<Item = (&'a K, &'a V)>>(&mut self, entries: I) {
        Cache::extend(self, entries.into_iter().map(|(&key, &value)| (key, value)));
    }
}
