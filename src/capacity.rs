//! Capacities: what each unit asks of a cache, and how many shards.

mod heap_size;

pub use heap_size::HeapSize;

use crate::form::{Form, Weighed};
use crate::policy::Duel;
use crate::room::Weigher;
use crate::sync::processors;
use crate::table::Entry;
use crate::unit::{Bytes, BytesBy, Entries, Weight};
use std::fmt;

impl Bytes {
    /// What a cache of this type is charged for each entry, in bytes, beyond
    /// the heap memory of key and value.
    ///
    /// ```
    /// use brimful::policy::Lru;
    /// use brimful::{Bytes, Timed};
    ///
    /// assert!(Bytes::overhead::<u64, u64, Lru>() >= 32);
    /// assert!(Bytes::overhead::<u64, u64, Timed<Lru>>() >= 40);
    /// ```
    pub const fn overhead<K, V, F: Form>() -> u64 {
        let entry = if F::WEIGHED {
            size_of::<Entry<K, V, F>>()
        } else {
            size_of::<Entry<K, V, Weighed<F>>>()
        };
        // A table has up to 2.7 slots for each entry when it has just grown, but less
        // than 1.5 for each that a full shard will hold; and it shrinks at three.
        // Rings take up to 9 bytes with their holes and slack,
        // a history or a sketch up to 7 while it grows, ghosts up to 3.
        // Deadlines take up to 7 in the wheel.
        let wheel = if F::TIMED { 7 } else { 0 };
        ((entry + 2) * 5 / 2 + 21 + wheel) as u64
    }
}

/// A capacity: [`Entries`], [`Weight`], [`Bytes`] or [`BytesBy`]. The trait is sealed.
pub trait Capacity<K, V>: sealed::Sealed {
    /// The form of a cache of this capacity, with the default policy.
    type Form: Form;

    #[doc(hidden)]
    fn limits(self) -> Limits<K, V>;
}

/// A capacity taken apart.
#[doc(hidden)]
#[allow(unnameable_types, reason = "between a capacity and the builder alone")]
pub struct Limits<K, V> {
    pub(crate) amount: u64,
    pub(crate) weigher: Option<Weigher<K, V>>,
    unit: Counted,
}

/// What the amount counts.
#[derive(PartialEq, Debug)]
enum Counted {
    Entries,
    Weight,
    Bytes,
}

impl<K, V> Limits<K, V> {
    /// The capacity if it counts entries.
    pub(crate) fn entries(&self) -> Option<usize> {
        (self.unit == Counted::Entries).then_some(self.amount as usize)
    }

    /// Counts entries from now on.
    #[cfg(feature = "serde")]
    pub(crate) fn count_entries(&mut self) {
        self.unit = Counted::Entries;
    }

    /// Whether the amount is in bytes.
    pub(crate) fn is_in_bytes(&self) -> bool {
        self.unit == Counted::Bytes
    }

    /// What the capacity counts, in a word.
    pub(crate) fn unit(&self) -> &'static str {
        match self.unit {
            Counted::Entries => "entries",
            Counted::Weight => "units",
            Counted::Bytes => "bytes",
        }
    }

    /// What each entry is charged beside what the weigher says.
    pub(crate) fn overhead<F: Form>(&self) -> u64 {
        match self.unit {
            Counted::Bytes => Bytes::overhead::<K, V, F>(),
            Counted::Entries | Counted::Weight => 0,
        }
    }

    /// How many entries that may be; only to choose a number of shards.
    pub(crate) fn likely_entries<F: Form>(&self) -> Option<u64> {
        match self.unit {
            Counted::Entries => Some(self.amount),
            Counted::Weight => None,
            Counted::Bytes => Some(self.amount / (self.overhead::<F>() + 64)),
        }
    }
}

impl<K, V> fmt::Debug for Limits<K, V> {
    /// Prints the capacity as it is written: `Entries(10)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({})", self.unit, self.amount)
    }
}

impl<K, V> Capacity<K, V> for Entries {
    type Form = Duel;

    fn limits(self) -> Limits<K, V> {
        Limits {
            amount: self.0 as u64,
            weigher: None,
            unit: Counted::Entries,
        }
    }
}

impl<K, V, W> Capacity<K, V> for Weight<W>
where
    W: Fn(&K, &V) -> u64 + Send + Sync + 'static,
{
    type Form = Weighed;

    fn limits(self) -> Limits<K, V> {
        Limits {
            amount: self.0,
            weigher: Some(Box::new(self.1)),
            unit: Counted::Weight,
        }
    }
}

impl<K: HeapSize, V: HeapSize> Capacity<K, V> for Bytes {
    type Form = Weighed;

    fn limits(self) -> Limits<K, V> {
        let heap = |key: &K, value: &V| key.heap_size().saturating_add(value.heap_size());
        self.by(heap).limits()
    }
}

impl<K, V, H> Capacity<K, V> for BytesBy<H>
where
    H: Fn(&K, &V) -> usize + Send + Sync + 'static,
{
    type Form = Weighed;

    fn limits(self) -> Limits<K, V> {
        let Self(Bytes(amount), heap) = self;
        Limits {
            amount,
            weigher: Some(Box::new(move |key, value| heap(key, value) as u64)),
            unit: Counted::Bytes,
        }
    }
}

mod sealed {
    use crate::unit::{Bytes, BytesBy, Entries, Weight};

    #[allow(unnameable_types, reason = "sealed: nobody else may implement it")]
    pub trait Sealed {}
    impl Sealed for Entries {}
    impl<W> Sealed for Weight<W> {}
    impl Sealed for Bytes {}
    impl<H> Sealed for BytesBy<H> {}
}

/// A shard of a large cache holds at least so many entries: then the shards are few
/// enough for their heads to stay in a processor's cache, and a table is rebuilt in
/// a moment.
const LARGE: u64 = 5_800;

/// Below this many entries a shard's own order is too coarse.
const FEWEST_A_SHARD: u64 = 256;

/// Memory at birth stays under 256 KiB whatever the capacity: a shard's head
/// takes 512 bytes.
const MOST_BY_DEFAULT: u64 = 384;

/// How many shards a cache of about so many entries gets: enough for the
/// processors and to keep each small, but not so many that each is tiny. Where
/// only weights are known, entries of 16 and no more shards than the processors
/// need: too many cost hits, and cannot be told from here.
pub(crate) fn default_shards(capacity: u64, entries: Option<u64>) -> usize {
    let for_threads = 4 * processors().min(64) as u64;
    let likely = entries
        .unwrap_or((for_threads * LARGE).min(capacity / 16))
        .min(capacity);
    let enough = (likely / FEWEST_A_SHARD).max(1);
    by_size(likely).max(for_threads).min(enough) as usize
}

/// As many shards as hold a large number of entries each, or twice as many as often as it
/// takes for the number of shards to stay below the most.
fn by_size(entries: u64) -> u64 {
    let mut each = LARGE;
    while entries.div_ceil(each) > MOST_BY_DEFAULT {
        each *= 2;
    }
    entries.div_ceil(each)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_caches_get_few_shards_and_huge_ones_a_bounded_number() {
        assert_eq!(default_shards(0, Some(0)), 1);
        assert_eq!(default_shards(100, Some(100)), 1);
        assert_eq!(default_shards(1_000_000, Some(1_000_000)), 173);
        for entries in [10_000_000, 1 << 40, u64::MAX] {
            let shards = default_shards(entries, Some(entries));
            assert!((192..=384).contains(&shards), "{shards} for {entries}");
        }
        assert!(default_shards(u64::MAX, None) >= 4);
        assert_eq!(default_shards(1, None), 1);
    }
}
