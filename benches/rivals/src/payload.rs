//! Keys and values of each kind, made from a number.

use field::rival::{Heft, Key, Value};
use std::sync::Arc;

/// A key made from a number; different numbers, different keys.
pub(crate) trait Numbered: Key {
    fn of(number: u64) -> Self;
}

impl Numbered for u64 {
    fn of(number: u64) -> Self {
        number
    }
}

/// 24 bytes on the heap.
impl Numbered for String {
    fn of(number: u64) -> Self {
        format!("{number:024}")
    }
}

/// A value made for a key.
pub(crate) trait Payload<K>: Value {
    fn of(key: &K) -> Self;

    /// What it is charged; 1 where entries are counted.
    fn weight(&self) -> u64 {
        1
    }
}

impl Payload<u64> for u64 {
    #[inline]
    fn of(key: &u64) -> Self {
        *key
    }
}

impl Payload<String> for u64 {
    #[inline]
    fn of(_: &String) -> Self {
        1
    }
}

impl Payload<u64> for [u64; 8] {
    #[inline]
    fn of(key: &u64) -> Self {
        [*key; 8]
    }
}

impl Payload<u64> for Arc<[u8; 64]> {
    #[inline]
    fn of(key: &u64) -> Self {
        Arc::new([*key as u8; 64])
    }
}

/// How many low bits of a key tell the weight of its value.
pub(crate) const WEIGHT_BITS: u32 = 10;

impl Payload<u64> for Heft {
    #[inline]
    fn of(key: &u64) -> Self {
        Heft(key & ((1 << WEIGHT_BITS) - 1))
    }

    #[inline]
    fn weight(&self) -> u64 {
        self.0
    }
}
