//! brimful, with any of its policies. Its own hasher is seeded `ahash`.

use crate::rival::{Bound, Heft, Key, Rival, Value};
use brimful::policy::Policy;
use brimful::{Cache, Entries, Form, Weighed, Weight};

/// At most so many entries.
pub fn of_entries<K: Key, V: Value, P: Policy>(entries: usize) -> impl Rival<K, V>
where
    Cache<K, V, P>: Rival<K, V>,
{
    let cache = Cache::builder(Entries(entries)).policy::<P>();
    cache.build().expect("a plain configuration")
}

/// At most so much weight.
pub fn of_weight<P: Policy>(bound: Bound) -> impl Rival<u64, Heft>
where
    Cache<u64, Heft, Weighed<P>>: Rival<u64, Heft>,
{
    let weigh = |_: &u64, heft: &Heft| heft.0;
    let cache = Cache::builder(Weight(bound.weight, weigh)).policy::<P>();
    cache.build().expect("a plain configuration")
}

impl<K: Key, V: Value, F: Form> Rival<K, V> for Cache<K, V, F>
where
    Self: Send + Sync + 'static,
{
    #[inline]
    fn get(&self, key: &K) -> Option<V> {
        self.get(key)
    }

    #[inline]
    fn insert(&self, key: K, value: V) -> bool {
        self.insert(key, value).is_none()
    }

    fn resident(&self) -> usize {
        self.len()
    }
}
