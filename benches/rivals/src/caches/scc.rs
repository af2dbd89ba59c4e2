//! scc's HashCache. Bounds sets of 32 entries and not the cache: its capacity is
//! the next power of two, and it evicts long before it is full.

use crate::rival::{Key, Rival, Value};
use ahash::RandomState;
use scc::HashCache;
use scc::hash_cache::Entry;

/// At most so many entries, rounded up to a power of two.
pub fn of_entries<K: Key, V: Value>(entries: usize) -> impl Rival<K, V> {
    HashCache::with_capacity_and_hasher(0, entries, RandomState::new())
}

impl<K: Key, V: Value> Rival<K, V> for HashCache<K, V, RandomState> {
    /// `read_sync` would take less, and not count as a use.
    #[inline]
    fn get(&self, key: &K) -> Option<V> {
        self.get_sync(key).map(|entry| entry.get().clone())
    }

    #[inline]
    fn insert(&self, key: K, value: V) -> bool {
        match self.entry_sync(key) {
            Entry::Occupied(mut entry) => {
                entry.put(value);
                false
            }
            Entry::Vacant(entry) => {
                entry.put_entry(value);
                true
            }
        }
    }

    fn resident(&self) -> usize {
        self.len()
    }
}
