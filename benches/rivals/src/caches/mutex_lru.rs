//! What many a program has: some mutexes, each with an `lru::LruCache` behind it.
//! A key is hashed twice, since `LruCache` takes no hash.

use crate::rival::{Key, Rival, Value};
use ahash::RandomState;
use lru::LruCache;
use parking_lot::Mutex;
use std::num::NonZeroUsize;

const SHARDS: usize = 16;

/// At most so many entries, rounded up to a multiple of 16.
pub fn of_entries<K: Key, V: Value>(entries: usize) -> impl Rival<K, V> {
    let share = NonZeroUsize::new(entries.div_ceil(SHARDS)).unwrap_or(NonZeroUsize::MIN);
    let hasher = RandomState::new();
    let shard = |_| Shard(Mutex::new(LruCache::with_hasher(share, RandomState::new())));
    MutexLru {
        hasher,
        shards: (0..SHARDS).map(shard).collect(),
    }
}

/// Alone on its cache line.
#[repr(align(64))]
struct Shard<K, V>(Mutex<LruCache<K, V, RandomState>>);

struct MutexLru<K, V> {
    hasher: RandomState,
    shards: Box<[Shard<K, V>]>,
}

impl<K: Key, V: Value> MutexLru<K, V> {
    #[inline]
    fn shard(&self, key: &K) -> &Mutex<LruCache<K, V, RandomState>> {
        &self.shards[self.hasher.hash_one(key) as usize % SHARDS].0
    }
}

impl<K: Key, V: Value> Rival<K, V> for MutexLru<K, V> {
    #[inline]
    fn get(&self, key: &K) -> Option<V> {
        self.shard(key).lock().get(key).cloned()
    }

    #[inline]
    fn insert(&self, key: K, value: V) -> bool {
        // Named, so that what leaves is dropped after the lock.
        let old = self.shard(&key).lock().push(key, value);
        old.is_none()
    }

    fn resident(&self) -> usize {
        self.shards.iter().map(|shard| shard.0.lock().len()).sum()
    }
}
