//! Inserting: weigh and hash without a lock, place under one, gather if need be.

use super::entry::Same;
use super::{Cache, lock_at};
use crate::cause::Cause;
use crate::error::Refused;
use crate::form::{Form, Weighed};
use crate::hash::Hashed;
use crate::outbox::Outbox;
use crate::reentry::Mark;
use crate::shard::{Offer, Placed};
use crate::unwind::after_dropping_pair;
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
    /// unless it was refused, its life has ended, or another thread wrote in between.
    /// As with std's maps, the older *key* stays; but a value past its end is not
    /// replaced: it leaves as [`Expired`](Cause::Expired) and is not returned.
    #[inline]
    pub fn insert(&self, key: K, value: V) -> Option<V> {
        let weight = self.scale.weigh::<F>(&key, &value);
        let life = self.life(&key, &value);
        self.store(key, value, weight, life)
    }

    /// The same, with the verdict: `Ok(None)` stored, `Ok(Some(old))` stored in
    /// place of an older value.
    ///
    /// # Errors
    /// If the entry is heavier than the whole capacity, or its life is zero, it is
    /// refused; key and value, the reason, and the older value that left with them are handed back.
    ///
    /// ```
    /// use brimful::Cache;
    ///
    /// let cache = Cache::weighted(100, |_: &u32, text: &String| text.len() as u64);
    /// let refused = cache.try_insert(1, "x".repeat(101)).unwrap_err();
    /// assert_eq!(refused.value.len(), 101);
    /// assert!(refused.to_string().contains("weight 101"));
    /// ```
    pub fn try_insert(&self, key: K, value: V) -> Result<Option<V>, Refused<K, V>> {
        let weight = self.scale.weigh::<F>(&key, &value);
        let life = self.life(&key, &value);
        self.put(key, value, weight, life)
    }

    #[inline]
    pub(super) fn store(&self, key: K, value: V, weight: u64, life: u64) -> Option<V> {
        match self.put(key, value, weight, life) {
            Ok(old) => old,
            Err(Refused {
                key, value, old, ..
            }) => after_dropping_pair(key, value, old),
        }
    }

    #[inline]
    pub(super) fn put(
        &self,
        key: K,
        value: V,
        weight: u64,
        life: u64,
    ) -> Result<Option<V>, Refused<K, V>> {
        let hashed = self.hash(&key);
        let mut offer = Offer {
            tag: hashed.tag(),
            pair: Some((key, value)),
            weight,
            life,
            only_if_absent: false,
            lands: false,
        };
        let mut leaving = self.leave.open();
        match self.place(hashed, &mut offer, leaving.outbox()) {
            Placed::Refused(reason) => leaving.hand_back(reason),
            _ => Ok(leaving.hand_over_value(Cause::Replaced)),
        }
    }

    /// Stores a value unless the key is there by now; a clone of what stays.
    pub(super) fn put_if_absent(&self, hashed: Hashed, key: K, value: V) -> V
    where
        V: Clone,
    {
        let copy = value.clone();
        let mut offer = Offer {
            tag: hashed.tag(),
            weight: self.scale.weigh::<F>(&key, &value),
            life: self.life(&key, &value),
            pair: Some((key, value)),
            only_if_absent: true,
            lands: false,
        };
        let mut leaving = self.leave.open();
        self.place(hashed, &mut offer, leaving.outbox());
        let mut panics = leaving.settle_quietly();
        let mut kept = copy;
        if let Some((key, value)) = offer.pair {
            if let Some(found) = self.peek_at(hashed, &Same(&key)) {
                panics.drop(std::mem::replace(&mut kept, found));
            }
            panics.drop_pair(key, value);
        }
        panics.hand(kept)
    }

    #[inline]
    fn place(&self, hashed: Hashed, offer: &mut Offer<K, V>, out: &mut Outbox<K, V>) -> Placed {
        let now = self.now();
        let placed = {
            let mut shard = lock_at(self.shard(hashed), now);
            // Dropped before the lock: no ordinary hand holds room outside of one.
            let mut hand = self.budget.hand();
            let _mark = Mark::set_in_debug();
            shard.insert(offer, &mut hand, out)
        };
        match placed {
            Placed::NeedsRoom(need) => self.gather(hashed, offer, None, need, now, out),
            placed => placed,
        }
    }

    /// Inserts all of them, one after another.
    pub fn extend(&self, entries: impl IntoIterator<Item = (K, V)>) {
        for (key, value) in entries {
            drop(self.insert(key, value));
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
    pub fn insert_weighted(&self, key: K, value: V, weight: u64) -> Option<V> {
        let life = self.life(&key, &value);
        self.store(key, value, self.scale.charge(weight), life)
    }

    /// The same, with the verdict.
    ///
    /// # Errors
    /// As [`try_insert`](Cache::try_insert).
    pub fn try_insert_weighted(
        &self,
        key: K,
        value: V,
        weight: u64,
    ) -> Result<Option<V>, Refused<K, V>> {
        let life = self.life(&key, &value);
        self.put(key, value, self.scale.charge(weight), life)
    }
}

impl<K, V, F, S> Extend<(K, V)> for Cache<K, V, F, S>
where
    K: Hash + Eq,
    F: Form,
    S: BuildHasher,
{
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        Cache::extend(self, entries);
    }
}
