//! moka's sync cache. Puts evictions off, so what is resident is counted.

use crate::rival::{Bound, Heft, Key, Rival, Value};
use ahash::RandomState;
use moka::sync::Cache;

/// So many entries in the end.
pub fn of_entries<K: Key, V: Value>(entries: usize) -> impl Rival<K, V> {
    Cache::builder()
        .max_capacity(entries as u64)
        .build_with_hasher(RandomState::new())
}

/// So much weight in the end.
pub fn of_weight(bound: Bound) -> impl Rival<u64, Heft> {
    Cache::builder()
        .max_capacity(bound.weight)
        .weigher(|_: &u64, heft: &Heft| heft.0 as u32)
        .build_with_hasher(RandomState::new())
}

impl<K: Key, V: Value> Rival<K, V> for Cache<K, V, RandomState> {
    #[inline]
    fn get(&self, key: &K) -> Option<V> {
        self.get(key)
    }

    #[inline]
    fn insert(&self, key: K, value: V) -> bool {
        self.insert(key, value);
        true
    }

    fn settle(&self) {
        self.run_pending_tasks();
    }

    fn resident(&self) -> usize {
        self.iter().count()
    }
}
