//! `Scale`: weighs entries for a door.
//!
//! Invariants
//! 1. Caches that count entries charge 1 and never call a weigher.
//! 2. A weight of 0 is charged as 1, unless the number of entries is limited too.

use crate::policy::{Meta, Policy};
use crate::room::Weigher;

pub(crate) struct Scale<K, V> {
    weigher: Option<Weigher<K, V>>,
    least: u64,
}

impl<K, V> Scale<K, V> {
    pub(crate) fn new(weigher: Option<Weigher<K, V>>, entry_limit: Option<usize>) -> Self {
        Self {
            weigher,
            least: if entry_limit.is_some() { 0 } else { 1 },
        }
    }

    /// What the entry is charged. Calls the user's weigher.
    #[inline]
    pub(crate) fn weigh<P: Policy>(&self, key: &K, value: &V) -> u64 {
        match &self.weigher {
            Some(weigher) if P::Meta::WEIGHED => self.charge(weigher(key, value)),
            _ => 1,
        }
    }

    /// What an explicit weight is charged as.
    #[inline]
    pub(crate) fn charge(&self, weight: u64) -> u64 {
        weight.max(self.least)
    }
}
