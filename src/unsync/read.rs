//! Reading: by reference, with and without touching.

use super::Cache;
use crate::clock::Moment;
use crate::form::{Form, Weighed, extra::Extra};
use crate::policy::{Slot, Tag};
use crate::table;
use hashbrown::Equivalent;
use std::hash::{BuildHasher, Hash};

impl<K, V, F, S> Cache<K, V, F, S>
where
    K: Hash + Eq,
    F: Form,
    S: BuildHasher,
{
    /// The value, if the key is there. Counts as a use.
    ///
    /// ```
    /// let mut cache = brimful::unsync::Cache::new(100);
    /// cache.insert("a".to_string(), 1);
    /// assert_eq!(cache.get("a"), Some(&1));
    /// assert_eq!(cache.get("b"), None);
    /// ```
    #[inline]
    pub fn get<Q>(&mut self, key: &Q) -> Option<&V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let slot = self.read_key(key)?;
        self.shard.entry(slot).map(|entry| entry.value())
    }

    /// Calls `view` with the stored key and value. Counts as a use.
    ///
    /// ```
    /// let mut cache = brimful::unsync::Cache::new(100);
    /// cache.insert("page".to_string(), vec![0_u8; 4096]);
    /// assert_eq!(cache.view("page", |key, bytes| key.len() + bytes.len()), Some(4100));
    /// ```
    #[doc(alias = "with_value")]
    #[doc(alias = "read")]
    pub fn view<Q, R>(&mut self, key: &Q, view: impl FnOnce(&K, &V) -> R) -> Option<R>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let slot = self.read_key(key)?;
        let entry = self.shard.entry(slot)?;
        Some(view(entry.key(), entry.value()))
    }

    /// The values under these keys, in their order. Each counts as a use.
    ///
    /// ```
    /// let mut cache = brimful::unsync::Cache::new(100);
    /// cache.extend([("a", 1), ("b", 2)]);
    /// assert_eq!(cache.get_many(["b", "c", "a"]), [Some(&2), None, Some(&1)]);
    /// ```
    #[doc(alias = "get_all")]
    #[doc(alias = "get_all_present")]
    pub fn get_many<'q, Q>(&mut self, keys: impl IntoIterator<Item = &'q Q>) -> Vec<Option<&V>>
    where
        Q: Hash + Equivalent<K> + ?Sized + 'q,
    {
        let slots: Vec<_> = keys.into_iter().map(|key| self.look_up(key)).collect();
        let value = |slot| self.shard.entry(slot).map(|entry| entry.value());
        slots.into_iter().map(|slot| slot.and_then(value)).collect()
    }

    /// The value, if the key is there. Does not count as a use: neither the order nor the
    /// statistics change.
    ///
    /// ```
    /// let mut cache = brimful::unsync::Cache::new(100);
    /// cache.insert("a", 1);
    /// assert_eq!(cache.peek("a"), Some(&1));
    /// assert_eq!(cache.stats().hits(), 0);
    /// ```
    #[doc(alias = "get_if_present")]
    #[must_use]
    pub fn peek<Q>(&self, key: &Q) -> Option<&V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.peek_entry(key).map(|entry| entry.value())
    }

    /// Whether the key is there. Does not count as a use.
    ///
    /// ```
    /// let mut cache = brimful::unsync::Cache::new(100);
    /// cache.insert("a", 1);
    /// assert!(cache.contains_key("a") && !cache.contains_key("b"));
    /// ```
    #[doc(alias = "contains")]
    #[must_use]
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.peek_entry(key).is_some()
    }

    /// Reads without touching.
    #[inline]
    pub(super) fn peek_entry<Q>(&self, key: &Q) -> Option<&table::Entry<K, V, F>>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.peek_entry_at(key, self.now())
    }

    /// The entry of a key that has not expired at `now`, for callers who have read the clock.
    #[inline]
    pub(super) fn peek_entry_at<Q>(&self, key: &Q, now: Moment) -> Option<&table::Entry<K, V, F>>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let is = |found: &K| key.equivalent(found);
        self.shard.peek(self.hash(key).tag(), is, now)
    }

    /// Finds a key, touches its entry, and counts the hit or the miss.
    #[inline]
    pub(super) fn look_up<Q>(&mut self, key: &Q) -> Option<Slot>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let tag = self.hash(key).tag();
        self.look_up_tag(tag, |found| key.equivalent(found))
    }

    #[inline]
    pub(super) fn look_up_tag(&mut self, tag: Tag, is: impl FnMut(&K) -> bool) -> Option<Slot> {
        self.advance_clock();
        self.make_place(tag);
        self.shard.look_up(tag, is)
    }

    #[inline]
    fn read_key<Q>(&mut self, key: &Q) -> Option<Slot>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let tag = self.hash(key).tag();
        self.read_tag(tag, |found| key.equivalent(found))
    }

    /// A look-up for a read, after which the user's rule may set a new deadline.
    #[inline]
    pub(super) fn read_tag(&mut self, tag: Tag, is: impl FnMut(&K) -> bool) -> Option<Slot> {
        let slot = self.look_up_tag(tag, is)?;
        if F::TIMED && self.door.expiry.rules_reads() {
            let entry = self.shard.entry(slot)?;
            if let Some(life) = self.door.expiry.life_on_read(entry.key(), entry.value()) {
                self.shard.set_life_on_read(slot, life);
            }
        }
        Some(slot)
    }

    pub(super) fn value_in(&self, slot: Slot) -> &V {
        let entry = self.shard.entry(slot);
        entry.expect("the slot was just found or filled").value()
    }
}

impl<K, V, F, S> Cache<K, V, Weighed<F>, S>
where
    K: Hash + Eq,
    F: Form,
    S: BuildHasher,
{
    /// What the entry under this key is charged. Does not count as a use.
    ///
    /// ```
    /// use brimful::unsync::Cache;
    ///
    /// let mut cache = Cache::weighted(100, |_: &&str, text: &&str| text.len() as u64);
    /// cache.insert("a", "seventeen letters");
    /// assert_eq!(cache.weight_of("a"), Some(17));
    /// ```
    #[must_use]
    pub fn weight_of<Q>(&self, key: &Q) -> Option<u64>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        Some(self.peek_entry(key)?.extra().weight())
    }
}
