//! `Entry`: the words of std's entry API, without a lock between the calls.

use super::Cache;
use crate::door::after_running;
use crate::form::Form;
use crate::hash::Hashed;
use crate::unwind::after_dropping_pair;
use hashbrown::Equivalent;
use std::fmt;
use std::hash::{BuildHasher, Hash};

/// A key about to be looked up or inserted; see [`Cache::entry`].
#[must_use = "an entry does nothing until one of its methods is called"]
pub struct Entry<'a, K, V, F: Form, S> {
    cache: &'a Cache<K, V, F, S>,
    hashed: Hashed,
    key: K,
}

impl<K, V, F: Form, S> fmt::Debug for Entry<'_, K, V, F, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").finish_non_exhaustive()
    }
}

impl<K, V, F, S> Cache<K, V, F, S>
where
    K: Hash + Eq,
    F: Form,
    S: BuildHasher,
{
    /// A key about to be looked up or inserted, with the words of `HashMap::entry`. No lock is
    /// held between the calls, so another thread may write in between, and the `or_…` calls
    /// return a clone.
    ///
    /// ```
    /// let visits = brimful::Cache::new(100);
    /// for page in ["a", "b", "a"] {
    ///     visits.entry(page).and_modify(|n| *n += 1).or_insert(1);
    /// }
    /// assert_eq!(visits.get("a"), Some(2));
    /// ```
    pub fn entry(&self, key: K) -> Entry<'_, K, V, F, S> {
        Entry {
            cache: self,
            hashed: self.hash(&key),
            key,
        }
    }
}

/// A key of the cache's own type, looked up by reference.
pub(super) struct Same<'a, K>(pub(super) &'a K);

impl<K: Hash> Hash for Same<'_, K> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<K: Eq> Equivalent<K> for Same<'_, K> {
    fn equivalent(&self, key: &K) -> bool {
        self.0 == key
    }
}

impl<K, V, F, S> Entry<'_, K, V, F, S>
where
    K: Hash + Eq,
    F: Form,
    S: BuildHasher,
{
    /// The key.
    ///
    /// ```
    /// let cache = brimful::Cache::<&str, u32>::new(100);
    /// assert_eq!(cache.entry("a").key(), &"a");
    /// ```
    #[must_use]
    pub fn key(&self) -> &K {
        &self.key
    }

    /// Changes the value under the key, if there is one, as [`Cache::update`]
    /// does: a value that grows too heavy leaves.
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// cache.insert("a", 1);
    /// cache.entry("a").and_modify(|n| *n += 1).or_insert(1);
    /// assert_eq!(cache.get("a"), Some(2));
    /// ```
    ///
    /// # Panics
    /// If `change` calls into any brimful [`Cache`].
    #[track_caller]
    pub fn and_modify(self, change: impl FnOnce(&mut V)) -> Self {
        after_running(self, |entry| {
            let key = Same(&entry.key);
            entry.cache.update_hashed(entry.hashed, &key, change)
        })
    }

    /// A clone of the value under the key; if there is none, `value` is stored.
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// assert_eq!(cache.entry("a").or_insert(1), 1);
    /// assert_eq!(cache.entry("a").or_insert(2), 1);
    /// ```
    #[track_caller]
    pub fn or_insert(self, value: V) -> V
    where
        V: Clone,
    {
        let clone = |_: &K, value: &V| value.clone();
        match self.cache.read(self.hashed, &Same(&self.key), clone) {
            Some(found) => after_dropping_pair(self.key, value, found),
            None => self.cache.insert_if_absent(self.hashed, self.key, value),
        }
    }

    /// A clone of the value under the key; if there is none, that of `make`,
    /// which runs without any lock, is stored. If another thread stores one
    /// meanwhile, that one stays and is returned. Each caller runs its own `make`; to
    /// share one use [`get_or_insert_with`](Cache::get_or_insert_with).
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// assert_eq!(cache.entry("a").or_insert_with(|| 1), 1);
    /// assert_eq!(cache.entry("a").or_insert_with(|| unreachable!()), 1);
    /// ```
    #[track_caller]
    pub fn or_insert_with(self, make: impl FnOnce() -> V) -> V
    where
        V: Clone,
    {
        let clone = |_: &K, value: &V| value.clone();
        if let Some(value) = self.cache.read(self.hashed, &Same(&self.key), clone) {
            return after_dropping_pair(self.key, make, value);
        }
        self.cache.insert_if_absent(self.hashed, self.key, make())
    }

    /// A clone of the value under the key; if there is none, the default is stored.
    ///
    /// ```
    /// let cache = brimful::Cache::<&str, Vec<u32>>::new(100);
    /// assert!(cache.entry("a").or_default().is_empty());
    /// ```
    #[track_caller]
    pub fn or_default(self) -> V
    where
        V: Clone + Default,
    {
        self.or_insert_with(V::default)
    }
}
