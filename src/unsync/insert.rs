//! Inserting: the door weighs, the shard makes room, the door hands over what left.

use super::Cache;
use crate::cause::Cause;
use crate::door;
use crate::error::Refused;
use crate::form::{Form, Weighed};
use crate::leave::Leaving;
use crate::leave::outbox::Outbox;
use crate::ledger::Ledger;
use crate::policy::Slot;
use crate::shard::{Inserted, Offer, Shard};
use std::hash::{BuildHasher, Hash};

impl<K, V, F, S> Cache<K, V, F, S>
where
    K: Hash + Eq,
    F: Form,
    S: BuildHasher,
{
    /// Stores a value and returns the older one under the same key. A value
    /// heavier than the whole capacity is refused, as in
    /// [`brimful::Cache::insert`](crate::Cache::insert).
    ///
    /// ```
    /// let mut cache = brimful::unsync::Cache::new(100);
    /// assert_eq!(cache.insert("a", 1), None);
    /// assert_eq!(cache.insert("a", 2), Some(1));
    /// ```
    #[doc(alias = "put")]
    #[doc(alias = "set")]
    #[inline]
    #[track_caller]
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let hashed = self.hash(&key);
        let mut offer = self.door.offer(hashed, key, value);
        self.insert_or_discard(&mut offer)
    }

    /// Stores a value, or hands it back: `Ok(None)` if it was stored, `Ok(Some(old))` if it
    /// took an older value's place.
    ///
    /// # Errors
    /// If the entry is heavier than the whole capacity, or its time to live is zero; all is
    /// handed back.
    ///
    /// ```
    /// use brimful::unsync::Cache;
    ///
    /// let mut cache = Cache::weighted(10, |_: &&str, text: &&str| text.len() as u64);
    /// assert!(cache.try_insert("a", "short").is_ok());
    /// let refused = cache.try_insert("b", "seventeen letters").unwrap_err();
    /// assert_eq!(refused.value, "seventeen letters");
    /// ```
    #[doc(alias = "try_put")]
    #[track_caller]
    pub fn try_insert(&mut self, key: K, value: V) -> Result<Option<V>, Refused<K, V>> {
        let hashed = self.hash(&key);
        let mut offer = self.door.offer(hashed, key, value);
        self.insert_or_hand_back(&mut offer)
    }

    /// Inserts; what is refused is discarded.
    #[inline]
    pub(super) fn insert_or_discard(&mut self, offer: &mut Offer<K, V>) -> Option<V> {
        let mut leaving = self.insert_and_leave(offer);
        leaving.hand_over_value(Cause::Replaced)
    }

    /// Inserts; what had to leave for it is still to be told.
    #[inline]
    fn insert_and_leave(&mut self, offer: &mut Offer<K, V>) -> Leaving<'_, K, V> {
        self.advance_clock();
        self.make_place(offer.tag);
        let mut leaving = self.door.leave.open();
        place(&mut self.shard, offer, &self.door.ledger, leaving.outbox());
        leaving
    }

    /// Inserts; what is refused is handed back.
    #[inline]
    pub(super) fn insert_or_hand_back(
        &mut self,
        offer: &mut Offer<K, V>,
    ) -> Result<Option<V>, Refused<K, V>> {
        self.insert_offer(offer).map(|(_, old)| old)
    }

    /// Inserts; where the value lies then, and the older one.
    #[inline]
    pub(super) fn insert_offer(
        &mut self,
        offer: &mut Offer<K, V>,
    ) -> Result<(Slot, Option<V>), Refused<K, V>> {
        self.advance_clock();
        self.make_place(offer.tag);
        let mut leaving = self.door.leave.open();
        let placed = place(&mut self.shard, offer, &self.door.ledger, leaving.outbox());
        let stored = match placed {
            Inserted::Stored(slot) => Some(slot),
            _ => None,
        };
        let old = door::finish(placed, &mut leaving)?;
        match stored {
            Some(slot) => Ok((slot, old)),
            None => unreachable!("a lone shard makes all room itself, so it stores or refuses"),
        }
    }
}

/// Puts an offer in, or refuses it, turn by turn: a shard lets some hundreds of entries go for one at
/// a time. Each turn takes out some of what must leave, so this ends.
#[inline]
fn place<K: Eq, V, F: Form>(
    shard: &mut Shard<K, V, F>,
    offer: &mut Offer<K, V>,
    ledger: &Ledger,
    out: &mut Outbox<K, V>,
) -> Inserted {
    let mut reservation = ledger.reserve();
    loop {
        match shard.insert(offer, &mut reservation, out) {
            Inserted::NeedsRoom(_) => {}
            placed => return placed,
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
    /// use brimful::unsync::Cache;
    ///
    /// let mut cache = Cache::weighted(100, |_: &&str, _: &u32| 1);
    /// cache.insert_weighted("a", 1, 50);
    /// assert_eq!(cache.weight(), 50);
    /// ```
    #[track_caller]
    pub fn insert_weighted(&mut self, key: K, value: V, weight: u64) -> Option<V> {
        let hashed = self.hash(&key);
        let mut offer = self.door.offer_weighted(hashed, key, value, weight);
        self.insert_or_discard(&mut offer)
    }

    /// Stores a value with a weight of its own, as
    /// [`insert_weighted`](Cache::insert_weighted) does, or hands it back.
    ///
    /// # Errors
    /// As [`try_insert`](Cache::try_insert).
    ///
    /// ```
    /// use brimful::unsync::Cache;
    ///
    /// let mut cache = Cache::weighted(100, |_: &&str, _: &u32| 1);
    /// assert!(cache.try_insert_weighted("a", 1, 50).is_ok());
    /// assert!(cache.try_insert_weighted("b", 2, 101).is_err());
    /// ```
    #[track_caller]
    pub fn try_insert_weighted(
        &mut self,
        key: K,
        value: V,
        weight: u64,
    ) -> Result<Option<V>, Refused<K, V>> {
        let hashed = self.hash(&key);
        let mut offer = self.door.offer_weighted(hashed, key, value, weight);
        self.insert_or_hand_back(&mut offer)
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
        for (key, value) in entries {
            let hashed = self.hash(&key);
            let mut offer = self.door.offer(hashed, key, value);
            let leaving = self.insert_and_leave(&mut offer);
            leaving.tell_and_discard().resume();
        }
    }
}

/// Inserts copies, one after another.
///
/// ```
/// let scores = std::collections::HashMap::from([("ann", 7), ("bob", 9)]);
/// let mut cache = brimful::unsync::Cache::new(100);
/// cache.extend(&scores);
/// assert_eq!(cache.get("bob"), Some(&9));
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
        self.extend(entries.into_iter().map(|(&key, &value)| (key, value)));
    }
}
