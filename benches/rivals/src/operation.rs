//! The operations: what is done with a cache for each key of the requests.

use field::rival::{Key, Rival};
use std::hint::black_box;

use crate::by_hand::Hand;
use crate::payload::Payload;

/// Something to do for one key.
pub(crate) trait Operation<K, V>: Copy + Send + Sync + 'static {
    /// Says whether it hit, and nothing if it did not look. `turn` counts up from
    /// one key to the next, and for the same key from lap to lap.
    fn run<C: Rival<K, V>>(
        self,
        cache: &C,
        hand: &mut Hand<K>,
        key: &K,
        turn: usize,
    ) -> Option<bool>;
}

/// Looks it up.
#[derive(Clone, Copy)]
pub(crate) struct Get;

impl<K: Key, V: Payload<K>> Operation<K, V> for Get {
    #[inline]
    fn run<C: Rival<K, V>>(self, cache: &C, _: &mut Hand<K>, key: &K, _: usize) -> Option<bool> {
        Some(black_box(cache.get(key)).is_some())
    }
}

/// Inserts it.
#[derive(Clone, Copy)]
pub(crate) struct Insert;

impl<K: Key, V: Payload<K>> Operation<K, V> for Insert {
    #[inline]
    fn run<C: Rival<K, V>>(self, cache: &C, hand: &mut Hand<K>, key: &K, _: usize) -> Option<bool> {
        hand.put(cache, key);
        None
    }
}

/// Looks it up, and inserts it if it is not there.
#[derive(Clone, Copy)]
pub(crate) struct GetElseInsert;

impl<K: Key, V: Payload<K>> Operation<K, V> for GetElseInsert {
    #[inline]
    fn run<C: Rival<K, V>>(
        self,
        cache: &C,
        hand: &mut Hand<K>,
        key: &K,
        turn: usize,
    ) -> Option<bool> {
        let hit = Get.run(cache, hand, key, turn);
        if hit == Some(false) {
            hand.put(cache, key);
        }
        hit
    }
}

/// Three times looks it up, the fourth time inserts it; in each lap others are
/// inserted, as soon all those that ever are would be there.
#[derive(Clone, Copy)]
pub(crate) struct Mixed;

impl<K: Key, V: Payload<K>> Operation<K, V> for Mixed {
    #[inline]
    fn run<C: Rival<K, V>>(
        self,
        cache: &C,
        hand: &mut Hand<K>,
        key: &K,
        turn: usize,
    ) -> Option<bool> {
        if turn % 4 == 3 {
            Insert.run(cache, hand, key, turn)
        } else {
            Get.run(cache, hand, key, turn)
        }
    }
}
