//! The bound of a map that has none: a queue of what was inserted, and the
//! oldest is removed by hand when there is more than the bound. It is the
//! cheapest eviction there is, and it is FIFO.

use field::rival::Rival;
use std::collections::VecDeque;

use crate::payload::Payload;

/// What one thread has inserted, and how much of it may stay.
pub(crate) struct Hand<K> {
    placed: VecDeque<(K, u64)>,
    weight: u64,
    bound: u64,
}

impl<K: Clone> Hand<K> {
    pub(crate) fn new(bound: u64) -> Self {
        Self {
            placed: VecDeque::new(),
            weight: 0,
            bound,
        }
    }

    /// Inserts the key with a value made for it; keeps the bound if the cache
    /// does not.
    #[inline]
    pub(crate) fn put<V: Payload<K>, C: Rival<K, V>>(&mut self, cache: &C, key: &K) {
        let value = V::of(key);
        let weight = value.weight();
        let is_new = cache.insert(key.clone(), value);
        if !C::BOUNDED && is_new {
            self.placed.push_back((key.clone(), weight));
            self.weight += weight;
            self.make_room(cache);
        }
    }

    fn make_room<V, C: Rival<K, V>>(&mut self, cache: &C) {
        while self.weight > self.bound {
            let Some((oldest, weight)) = self.placed.pop_front() else {
                break;
            };
            cache.remove(&oldest);
            self.weight -= weight;
        }
    }
}
