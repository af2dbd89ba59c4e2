//! `Entry`: the words of std's entry API.

use super::{Cache, RefMut};
use crate::door::after_running;
use crate::error::Refused;
use crate::form::Form;
use crate::hash::Hashed;
use crate::unwind::after_dropping_pair;
use std::fmt;
use std::hash::{BuildHasher, Hash};

impl<K, V, F, S> Cache<K, V, F, S>
where
    K: Hash + Eq,
    F: Form,
    S: BuildHasher,
{
    /// A key about to be looked up or inserted, with the words of `HashMap::entry`.
    ///
    /// ```
    /// let mut visits = brimful::unsync::Cache::new(100);
    /// for page in ["a", "b", "a"] {
    ///     *visits.entry(page).or_insert(0)? += 1;
    /// }
    /// assert_eq!(visits.get("a"), Some(&2));
    /// # Ok::<(), brimful::Refused<&str, u32>>(())
    /// ```
    pub fn entry(&mut self, key: K) -> Entry<'_, K, V, F, S> {
        let hashed = self.hash(&key);
        Entry {
            cache: self,
            hashed,
            key,
        }
    }
}

/// A key about to be looked up or inserted; see [`Cache::entry`].
#[must_use = "an entry does nothing until one of its methods is called"]
pub struct Entry<'a, K, V, F: Form, S> {
    cache: &'a mut Cache<K, V, F, S>,
    hashed: Hashed,
    key: K,
}

impl<K, V, F: Form, S> fmt::Debug for Entry<'_, K, V, F, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").finish_non_exhaustive()
    }
}

/// A guard on the value, or the entry that was refused.
type Inserted<'a, K, V, F, S> = Result<RefMut<'a, K, V, F, S>, Refused<K, V>>;

impl<'a, K, V, F, S> Entry<'a, K, V, F, S>
where
    K: Hash + Eq,
    F: Form,
    S: BuildHasher,
{
    /// The key.
    ///
    /// ```
    /// let mut cache = brimful::unsync::Cache::<&str, u32>::new(100);
    /// assert_eq!(cache.entry("a").key(), &"a");
    /// ```
    #[must_use]
    pub fn key(&self) -> &K {
        &self.key
    }

    /// Changes the value under the key, if there is one; a value that grows too
    /// heavy leaves.
    ///
    /// ```
    /// let mut visits = brimful::unsync::Cache::new(100);
    /// for page in ["a", "b", "a"] {
    ///     visits.entry(page).and_modify(|n| *n += 1).or_insert(1)?;
    /// }
    /// assert_eq!(visits.get("a"), Some(&2));
    /// # Ok::<(), brimful::Refused<&str, u32>>(())
    /// ```
    pub fn and_modify(self, change: impl FnOnce(&mut V)) -> Self {
        let is = |found: &K| self.key == *found;
        match self.cache.look_up_tag(self.hashed.tag(), is) {
            Some(slot) => after_running(self, |entry| entry.cache.change(slot, change)),
            None => self,
        }
    }

    /// The value under the key; if there is none, `value`, stored under it.
    ///
    /// # Errors
    /// If `value` is heavier than the whole capacity: it is handed back.
    ///
    /// ```
    /// let mut cache = brimful::unsync::Cache::new(100);
    /// assert_eq!(*cache.entry("a").or_insert(1)?, 1);
    /// assert_eq!(*cache.entry("a").or_insert(2)?, 1);
    /// # Ok::<(), brimful::Refused<&str, u32>>(())
    /// ```
    #[track_caller]
    pub fn or_insert(self, value: V) -> Inserted<'a, K, V, F, S> {
        let is = |found: &K| self.key == *found;
        let slot = match self.cache.read_tag(self.hashed.tag(), is) {
            Some(slot) => after_dropping_pair(self.key, value, slot),
            None => {
                let mut offer = self.cache.door.offer(self.hashed, self.key, value);
                self.cache.insert_offer(&mut offer)?.0
            }
        };
        Ok(RefMut::new(self.cache, slot))
    }

    /// The value under the key; if there is none, that of `make`, stored under it.
    ///
    /// # Errors
    /// If the value is heavier than the whole capacity: it is handed back.
    ///
    /// ```
    /// let mut cache = brimful::unsync::Cache::new(100);
    /// assert_eq!(*cache.entry("a").or_insert_with(|| 1)?, 1);
    /// assert_eq!(*cache.entry("a").or_insert_with(|| unreachable!())?, 1);
    /// # Ok::<(), brimful::Refused<&str, u32>>(())
    /// ```
    #[track_caller]
    pub fn or_insert_with(self, make: impl FnOnce() -> V) -> Inserted<'a, K, V, F, S> {
        let is = |found: &K| self.key == *found;
        let slot = match self.cache.read_tag(self.hashed.tag(), is) {
            Some(slot) => after_dropping_pair(self.key, make, slot),
            None => {
                let mut offer = self.cache.door.offer(self.hashed, self.key, make());
                self.cache.insert_offer(&mut offer)?.0
            }
        };
        Ok(RefMut::new(self.cache, slot))
    }

    /// The value under the key; if there is none, the default, stored under it.
    ///
    /// # Errors
    /// If the value is heavier than the whole capacity: it is handed back.
    ///
    /// ```
    /// let mut visits = brimful::unsync::Cache::<&str, u32>::new(100);
    /// *visits.entry("a").or_default()? += 1;
    /// assert_eq!(visits.get("a"), Some(&1));
    /// # Ok::<(), brimful::Refused<&str, u32>>(())
    /// ```
    #[track_caller]
    pub fn or_default(self) -> Inserted<'a, K, V, F, S>
    where
        V: Default,
    {
        self.or_insert_with(V::default)
    }
}
