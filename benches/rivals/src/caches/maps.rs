//! The floors: what a sharded map costs that holds no bound and keeps no order.
//! A key is hashed once; some bits of it pick the shard, the table has them all.

use crate::rival::{Key, Rival, Value};
use ahash::RandomState;
use dashmap::DashMap;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use parking_lot::{Mutex, RwLock};

const SHARDS: usize = 64;

type Table<K, V> = HashTable<(K, V)>;

/// 64 tables, each behind a lock that readers share.
pub fn rwlock<K: Key, V: Value>() -> impl Rival<K, V> {
    Map::<RwLock<Table<K, V>>>::default()
}

/// 64 tables, each behind a lock for one at a time.
pub fn mutex<K: Key, V: Value>() -> impl Rival<K, V> {
    Map::<Mutex<Table<K, V>>>::default()
}

/// The well-known map, with as many shards as it chooses.
pub fn dashmap<K: Key, V: Value>() -> impl Rival<K, V> {
    DashMap::<K, V, RandomState>::default()
}

/// A map whose reads take no lock, and which frees what was replaced or removed some time later.
pub fn papaya<K: Key, V: Value>() -> impl Rival<K, V> {
    ::papaya::HashMap::<K, V, RandomState>::default()
}

/// A map with a lock for each bucket.
pub fn scc<K: Key, V: Value>() -> impl Rival<K, V> {
    ::scc::HashMap::<K, V, RandomState>::default()
}

trait Lock<T>: Default + Send + Sync + 'static {
    fn with<R>(&self, read: impl FnOnce(&T) -> R) -> R;
    fn with_mut<R>(&self, write: impl FnOnce(&mut T) -> R) -> R;
}

impl<T: Default + Send + Sync + 'static> Lock<T> for RwLock<T> {
    #[inline]
    fn with<R>(&self, read: impl FnOnce(&T) -> R) -> R {
        read(&self.read())
    }

    #[inline]
    fn with_mut<R>(&self, write: impl FnOnce(&mut T) -> R) -> R {
        write(&mut self.write())
    }
}

impl<T: Default + Send + Sync + 'static> Lock<T> for Mutex<T> {
    #[inline]
    fn with<R>(&self, read: impl FnOnce(&T) -> R) -> R {
        read(&self.lock())
    }

    #[inline]
    fn with_mut<R>(&self, write: impl FnOnce(&mut T) -> R) -> R {
        write(&mut self.lock())
    }
}

/// Alone on its cache line.
#[derive(Default)]
#[repr(align(64))]
struct Shard<L>(L);

struct Map<L> {
    hasher: RandomState,
    shards: [Shard<L>; SHARDS],
}

impl<L: Default> Default for Map<L> {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Shard::default()),
        }
    }
}

impl<L> Map<L> {
    /// The bits in the middle: the table uses those at both ends.
    #[inline]
    fn shard(&self, hash: u64) -> &L {
        &self.shards[(hash >> 40) as usize % SHARDS].0
    }
}

impl<K: Key, V: Value, L: Lock<Table<K, V>>> Rival<K, V> for Map<L> {
    const BOUNDED: bool = false;

    #[inline]
    fn get(&self, key: &K) -> Option<V> {
        let hash = self.hasher.hash_one(key);
        self.shard(hash).with(|table| {
            let (_, value) = table.find(hash, |(found, _)| found == key)?;
            Some(value.clone())
        })
    }

    #[inline]
    fn insert(&self, key: K, value: V) -> bool {
        let hash = self.hasher.hash_one(&key);
        self.shard(hash).with_mut(|table| {
            let entry = table.entry(
                hash,
                |(found, _)| *found == key,
                |(other, _)| self.hasher.hash_one(other),
            );
            match entry {
                Entry::Occupied(mut entry) => {
                    entry.get_mut().1 = value;
                    false
                }
                Entry::Vacant(entry) => {
                    entry.insert((key, value));
                    true
                }
            }
        })
    }

    #[inline]
    fn remove(&self, key: &K) {
        let hash = self.hasher.hash_one(key);
        // Named, so that it is dropped after the lock.
        let old = self.shard(hash).with_mut(|table| {
            let found = table.find_entry(hash, |(found, _)| found == key);
            found.ok().map(|entry| entry.remove().0)
        });
        drop(old);
    }

    fn resident(&self) -> usize {
        let sizes = self.shards.iter();
        sizes.map(|shard| shard.0.with(|table| table.len())).sum()
    }
}

impl<K: Key, V: Value> Rival<K, V> for DashMap<K, V, RandomState> {
    const BOUNDED: bool = false;

    #[inline]
    fn get(&self, key: &K) -> Option<V> {
        self.get(key).map(|found| found.value().clone())
    }

    #[inline]
    fn insert(&self, key: K, value: V) -> bool {
        self.insert(key, value).is_none()
    }

    #[inline]
    fn remove(&self, key: &K) {
        self.remove(key);
    }

    fn resident(&self) -> usize {
        self.len()
    }
}

impl<K: Key, V: Value> Rival<K, V> for ::papaya::HashMap<K, V, RandomState> {
    const BOUNDED: bool = false;

    #[inline]
    fn get(&self, key: &K) -> Option<V> {
        self.pin().get(key).cloned()
    }

    #[inline]
    fn insert(&self, key: K, value: V) -> bool {
        self.pin().insert(key, value).is_none()
    }

    #[inline]
    fn remove(&self, key: &K) {
        self.pin().remove(key);
    }

    fn resident(&self) -> usize {
        self.len()
    }
}

impl<K: Key, V: Value> Rival<K, V> for ::scc::HashMap<K, V, RandomState> {
    const BOUNDED: bool = false;

    #[inline]
    fn get(&self, key: &K) -> Option<V> {
        self.read_sync(key, |_, value| value.clone())
    }

    #[inline]
    fn insert(&self, key: K, value: V) -> bool {
        self.upsert_sync(key, value).is_none()
    }

    #[inline]
    fn remove(&self, key: &K) {
        self.remove_sync(key);
    }

    fn resident(&self) -> usize {
        self.len()
    }
}
