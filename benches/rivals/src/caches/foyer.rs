//! foyer's cache in memory, with its eight shards. A `get` clones the value out
//! of the entry it hands out, as all the others do.

use crate::rival::{Bound, Heft, Key, Rival, Value};
use ahash::RandomState;
use foyer_memory::{Cache, CacheBuilder, CacheProperties, EvictionConfig, LruConfig, S3FifoConfig};

/// Its S3-FIFO.
pub fn s3fifo() -> EvictionConfig {
    S3FifoConfig::default().into()
}

/// Its LRU, the default.
pub fn lru() -> EvictionConfig {
    LruConfig::default().into()
}

/// At most so many entries.
pub fn of_entries<K: Key, V: Value>(entries: usize, eviction: EvictionConfig) -> impl Rival<K, V> {
    CacheBuilder::new(entries)
        .with_eviction_config(eviction)
        .with_hash_builder(RandomState::new())
        .build::<CacheProperties>()
}

/// At most so much weight, or one entry heavier than that.
pub fn of_weight(bound: Bound, eviction: EvictionConfig) -> impl Rival<u64, Heft> {
    CacheBuilder::new(bound.weight as usize)
        .with_eviction_config(eviction)
        .with_hash_builder(RandomState::new())
        .with_weighter(|_: &u64, heft: &Heft| heft.0 as usize)
        .build::<CacheProperties>()
}

impl<K: Key, V: Value> Rival<K, V> for Cache<K, V, RandomState> {
    #[inline]
    fn get(&self, key: &K) -> Option<V> {
        self.get(key).map(|entry| entry.value().clone())
    }

    #[inline]
    fn insert(&self, key: K, value: V) -> bool {
        self.insert(key, value);
        true
    }

    fn resident(&self) -> usize {
        self.entries()
    }
}
