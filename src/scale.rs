//! `Scale`: weighs entries for a door.
//!
//! Invariants
//! 1. Caches that count entries charge 1 and never call a weigher.
//! 2. In bytes, each entry is charged its overhead beside what the weigher says.
//! 3. A weight of 0 is charged as 1, unless the number of entries is limited too.

use crate::form::Form;
use crate::room::Weigher;

pub(crate) struct Scale<K, V> {
    weigher: Option<Weigher<K, V>>,
    overhead: u64,
    least: u64,
}

impl<K, V> Scale<K, V> {
    pub(crate) fn new(
        weigher: Option<Weigher<K, V>>,
        overhead: u64,
        entry_limit: Option<usize>,
    ) -> Self {
        Self {
            weigher,
            overhead,
            least: if entry_limit.is_some() { 0 } else { 1 },
        }
    }

    /// What the entry is charged. Calls the user's weigher.
    #[inline]
    pub(crate) fn weigh<F: Form>(&self, key: &K, value: &V) -> u64 {
        match &self.weigher {
            Some(weigher) if F::WEIGHED => {
                self.charge(weigher(key, value).saturating_add(self.overhead))
            }
            _ => 1,
        }
    }

    /// What an explicit weight is charged as.
    #[inline]
    pub(crate) fn charge(&self, weight: u64) -> u64 {
        weight.max(self.least)
    }
}
