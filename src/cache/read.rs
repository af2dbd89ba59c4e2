//! Reading: by clone, by view, with and without touching.

use super::Cache;
use crate::clock::Moment;
use crate::form::{Form, Weighed, extra::Extra};
use crate::hash::Hashed;
use crate::reentry::Mark;
use crate::shard::Shard;
use crate::table::Entry;
use hashbrown::Equivalent;
use std::hash::{BuildHasher, Hash};

impl<K, V, F, S> Cache<K, V, F, S>
where
    K: Hash + Eq,
    F: Form,
    S: BuildHasher,
{
    /// Looks a key up, touches it, and gives `read` what it found, all under
    /// the lock.
    #[inline(always)]
    #[track_caller]
    pub(super) fn read<Q, R>(
        &self,
        hashed: Hashed,
        key: &Q,
        read: impl FnOnce(&K, &V) -> R,
    ) -> Option<R>
    where
        Q: Equivalent<K> + ?Sized,
    {
        let mut shard = self.lock(hashed);
        let _mark = Mark::set_in_debug();
        self.read_in(&mut shard, hashed, key, read)
    }

    /// Looks a key up and touches it, in a shard that is locked already.
    #[inline(always)]
    pub(super) fn read_in<Q, R>(
        &self,
        shard: &mut Shard<K, V, F>,
        hashed: Hashed,
        key: &Q,
        read: impl FnOnce(&K, &V) -> R,
    ) -> Option<R>
    where
        Q: Equivalent<K> + ?Sized,
    {
        if F::TIMED && self.door.expiry.rules_reads() {
            return self.read_by_rule(shard, hashed, key, read);
        }
        let entry = shard.get(hashed.tag(), |found| key.equivalent(found))?;
        Some(read(&entry.key, &entry.value))
    }

    /// A clone of the value, if the key is there. Counts as a use.
    ///
    /// The clone is made under the shard's lock: keep it cheap (`Arc`, small
    /// values), or use [`view`](Cache::view).
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// cache.insert("a".to_string(), 1);
    /// assert_eq!(cache.get("a"), Some(1));
    /// assert_eq!(cache.get("b"), None);
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
        V: Clone,
    {
        self.read(self.hash(key), key, |_, value| value.clone())
    }

    /// Calls `view` with the stored key and value, under the shard's lock and
    /// without a clone. Counts as a use.
    ///
    /// ```
    /// let cache = brimful::Cache::new(10);
    /// cache.insert("page", vec![0_u8; 4096]);
    /// assert_eq!(cache.view("page", |_, bytes| bytes.len()), Some(4096));
    /// ```
    ///
    /// # Panics
    /// If `view` calls into any brimful [`Cache`].
    #[inline]
    #[track_caller]
    pub fn view<Q, R>(&self, key: &Q, view: impl FnOnce(&K, &V) -> R) -> Option<R>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.read(self.hash(key), key, |key, value| {
            let _mark = Mark::set();
            view(key, value)
        })
    }

    /// Reads without touching: neither the order nor the statistics change.
    #[inline]
    #[track_caller]
    pub(super) fn quietly<Q, R>(
        &self,
        key: &Q,
        read: impl FnOnce(&Entry<K, V, F>, Moment) -> R,
    ) -> Option<R>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.quietly_at(self.hash(key), key, read)
    }

    #[inline]
    #[track_caller]
    fn quietly_at<Q, R>(
        &self,
        hashed: Hashed,
        key: &Q,
        read: impl FnOnce(&Entry<K, V, F>, Moment) -> R,
    ) -> Option<R>
    where
        Q: Equivalent<K> + ?Sized,
    {
        let shard = self.lock(hashed);
        let _mark = Mark::set_in_debug();
        let now = shard.now();
        let entry = shard.peek(hashed.tag(), |found| key.equivalent(found), now)?;
        Some(read(entry, now))
    }

    /// A clone of the value, if the key is there. Does not count as a use:
    /// neither the order nor the statistics change.
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// cache.insert("a", 1);
    /// assert_eq!(cache.peek("a"), Some(1));
    /// assert_eq!(cache.stats().hits(), 0);
    /// ```
    #[must_use]
    #[track_caller]
    pub fn peek<Q>(&self, key: &Q) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
        V: Clone,
    {
        self.peek_at(self.hash(key), key)
    }

    #[track_caller]
    pub(super) fn peek_at<Q>(&self, hashed: Hashed, key: &Q) -> Option<V>
    where
        Q: Equivalent<K> + ?Sized,
        V: Clone,
    {
        self.quietly_at(hashed, key, |entry, _| entry.value.clone())
    }

    /// Whether the key is there. Does not count as a use.
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// cache.insert("a", 1);
    /// assert!(cache.contains_key("a") && !cache.contains_key("b"));
    /// ```
    #[must_use]
    #[track_caller]
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.quietly(key, |_, _| ()).is_some()
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
    /// let cache = brimful::Cache::weighted(100, |_: &&str, text: &&str| text.len() as u64);
    /// cache.insert("a", "seventeen letters");
    /// assert_eq!(cache.weight_of("a"), Some(17));
    /// ```
    #[must_use]
    #[track_caller]
    pub fn weight_of<Q>(&self, key: &Q) -> Option<u64>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.quietly(key, |entry, _| entry.extra.weight())
    }
}
