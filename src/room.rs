//! What an entry is charged: `Scale` weighs it, `Room` is the charge in each dimension of a bound.
//!
//! A weight is a `u64`, computed once per value (or mutation) outside the
//! locks where that is possible, and stored; a value is never weighed again to
//! find out what to give back, so accounting cannot drift.
//!
//! Invariants
//! 1. Caches that count entries charge 1 and never call a weigher.
//! 2. In bytes, each entry is charged its overhead beside what the weigher says.
//! 3. A weight of 0 is charged as 1, unless the number of entries is limited too.

/// Says how heavy an entry is.
pub(crate) type Weigher<K, V> = Box<dyn Fn(&K, &V) -> u64 + Send + Sync>;

/// Weighs entries.
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
    pub(crate) fn weigh(&self, key: &K, value: &V) -> u64 {
        match &self.weigher {
            Some(weigher) => self.charge(weigher(key, value).saturating_add(self.overhead)),
            None => 1,
        }
    }

    /// What an explicit weight is charged as.
    #[inline]
    pub(crate) fn charge(&self, weight: u64) -> u64 {
        weight.max(self.least)
    }
}

/// So much weight and so many entries: what is asked of a ledger, held by a
/// shard, or in a reservation.
///
/// Where entries are not limited beside the weight, `entries` is zero: caches that count
/// entries only charge each as weight 1.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Room {
    pub(crate) weight: u64,
    pub(crate) entries: u64,
}

impl Room {
    /// Room for a weight, where entries are not limited beside it.
    pub(crate) fn of_weight(weight: u64) -> Self {
        Self { weight, entries: 0 }
    }

    pub(crate) const NONE: Room = Room {
        weight: 0,
        entries: 0,
    };

    #[inline]
    pub(crate) fn covers(self, need: Room) -> bool {
        self.weight >= need.weight && self.entries >= need.entries
    }

    /// The lesser of two in each dimension.
    #[inline]
    pub(crate) fn least(self, other: Room) -> Room {
        Room {
            weight: self.weight.min(other.weight),
            entries: self.entries.min(other.entries),
        }
    }

    /// What `self` lacks to cover `need`.
    #[inline]
    pub(crate) fn short_of(self, need: Room) -> Room {
        Room {
            weight: need.weight.saturating_sub(self.weight),
            entries: need.entries.saturating_sub(self.entries),
        }
    }

    /// # Panics
    /// If a sum passes `u64::MAX`: impossible while both are part of one ledger.
    #[inline]
    pub(crate) fn plus(self, more: Room) -> Room {
        Room {
            weight: checked(self.weight.checked_add(more.weight)),
            entries: checked(self.entries.checked_add(more.entries)),
        }
    }

    /// # Panics
    /// If `less` is not part of `self`.
    #[inline]
    pub(crate) fn minus(self, less: Room) -> Room {
        Room {
            weight: checked(self.weight.checked_sub(less.weight)),
            entries: checked(self.entries.checked_sub(less.entries)),
        }
    }
}

#[inline]
fn checked(sum: Option<u64>) -> u64 {
    sum.expect("brimful: weight accounting is broken; please report this")
}
