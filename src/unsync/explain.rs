//! What becomes of a key, and in which order keys leave.

use super::Cache;
use crate::explain::Fate;
use crate::form::Form;
use crate::shard::Line;
use hashbrown::Equivalent;
use std::hash::{BuildHasher, Hash};

impl<K, V, F, S> Cache<K, V, F, S>
where
    K: Hash + Eq,
    F: Form,
    S: BuildHasher,
{
    /// What becomes of this key: who removes it, and about when; as
    /// [`brimful::Cache::explain`](crate::Cache::explain) tells. O(1) expected, with the same
    /// exceptions.
    ///
    /// ```
    /// use brimful::{Entries, Fate, policy::Lru, unsync::Cache};
    ///
    /// let mut cache: Cache<&str, u32, Lru> =
    ///     Cache::builder(Entries(2)).policy::<Lru>().build_unsync()?;
    /// cache.extend([("a", 1), ("b", 2)]);
    /// cache.get("a");
    /// let fate = cache.explain("b");
    /// assert_eq!(fate.resident().and_then(|entry| entry.inserts), Some(1));
    /// assert_eq!(
    ///     fate.to_string(),
    ///     "resident in queue, 0 of 2 leave before it; weight 1, never hit; \
    ///      leaves by about 1 insert (evicted)"
    /// );
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[doc(alias = "policy")]
    #[must_use]
    pub fn explain<Q>(&self, key: &Q) -> Fate
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let is = |found: &K| key.equivalent(found);
        let known = self.shard.explain(self.hash(key).tag(), is, self.now());
        let filled = (self.shard.len() as u64, self.shard.weight());
        self.door.fate(known, 1, filled)
    }
}

impl<K, V, F: Form, S> Cache<K, V, F, S> {
    /// The keys that leave first, `most` at most, in the order in which [`evict`](Cache::evict)
    /// would take them out if nothing were used or written any more; as
    /// [`brimful::Cache::coldest`](crate::Cache::coldest) tells, for one shard. O(`most`), and
    /// what a copy of the order costs under some policies.
    ///
    /// ```
    /// use brimful::{Entries, policy::Lru, unsync::Cache};
    ///
    /// let mut cache: Cache<&str, u32, Lru> =
    ///     Cache::builder(Entries(10)).policy::<Lru>().build_unsync()?;
    /// cache.extend([("a", 1), ("b", 2), ("c", 3)]);
    /// cache.get("a");
    /// assert_eq!(cache.coldest(2), [&"b", &"c"]);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[doc(alias = "peek_lru")]
    #[must_use]
    pub fn coldest(&self, most: usize) -> Vec<&K> {
        self.keys_in(&self.shard.coldest(most, self.now()))
    }

    /// The keys that leave last, `most` at most, the last one first. O(entries).
    ///
    /// ```
    /// use brimful::{Entries, policy::Lru, unsync::Cache};
    ///
    /// let mut cache: Cache<&str, u32, Lru> =
    ///     Cache::builder(Entries(10)).policy::<Lru>().build_unsync()?;
    /// cache.extend([("a", 1), ("b", 2), ("c", 3)]);
    /// cache.get("a");
    /// assert_eq!(cache.hottest(2), [&"a", &"c"]);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[doc(alias = "peek_mru")]
    #[must_use]
    pub fn hottest(&self, most: usize) -> Vec<&K> {
        self.keys_in(&self.shard.hottest(most, self.now()))
    }

    fn keys_in(&self, line: &Line) -> Vec<&K> {
        let entry = |&(_, slot, _): &(_, _, _)| Some(self.shard.entry(slot)?.key());
        line.ranked.iter().filter_map(entry).collect()
    }
}
