//! quick_cache. Rounds its bound up, a little.

use crate::rival::{Bound, Heft, Key, Rival, Value};
use ahash::RandomState;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{UnitWeighter, Weighter};

/// At most so many entries, or a few more.
pub fn of_entries<K: Key, V: Value>(entries: usize) -> impl Rival<K, V> {
    open(entries, entries as u64, UnitWeighter)
}

/// At most so much weight, or a little more.
pub fn of_weight(bound: Bound) -> impl Rival<u64, Heft> {
    open(bound.entries, bound.weight, ByValue)
}

fn open<K: Key, V: Value, W>(entries: usize, weight: u64, weighter: W) -> Quick<K, V, W>
where
    W: Weighter<K, V> + Clone,
{
    let hasher = RandomState::new();
    Quick(Cache::with(
        entries,
        weight,
        weighter,
        hasher,
        DefaultLifecycle::default(),
    ))
}

#[derive(Clone)]
struct ByValue;

impl Weighter<u64, Heft> for ByValue {
    fn weight(&self, _: &u64, heft: &Heft) -> u64 {
        heft.0
    }
}

struct Quick<K, V, W>(Cache<K, V, W, RandomState>);

impl<K: Key, V: Value, W> Rival<K, V> for Quick<K, V, W>
where
    W: Weighter<K, V> + Clone + Send + Sync + 'static,
{
    #[inline]
    fn get(&self, key: &K) -> Option<V> {
        self.0.get(key)
    }

    #[inline]
    fn insert(&self, key: K, value: V) -> bool {
        self.0.insert(key, value);
        true
    }

    fn resident(&self) -> usize {
        self.0.len()
    }
}
