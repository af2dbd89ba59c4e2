//! Capacities with their unit in the type, and how many shards they ask for.
//!
//! A count can't be passed where bytes are meant, and a weight brings its
//! weigher along: neither compiles otherwise.

mod heap_size;

use crate::policy::{Meta, Policy, Weighed};
use crate::room::Weigher;
use crate::sync::processors;
pub use heap_size::HeapSize;

/// A capacity of so many entries; each weighs 1.
///
/// A policy that stores weights does not go with it:
///
/// ```compile_fail,E0080
/// use brimful::policy::{Lru, Weighed};
/// use brimful::{Cache, Entries};
/// let cache: Cache<u32, u32, Weighed<Lru>> =
///     Cache::builder(Entries(4)).policy::<Weighed<Lru>>().build().unwrap();
/// ```
///
/// ```
/// use brimful::policy::Lru;
/// use brimful::{Cache, Entries};
/// let cache: Cache<u32, u32, Lru> = Cache::builder(Entries(4)).policy::<Lru>().build().unwrap();
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entries(pub usize);

/// A capacity of so much weight, and the weigher that says how heavy an entry is.
///
/// The weigher is called once for each value, without any lock held, and after
/// each change in place. What it answers is stored, so an answer that changes
/// later does no harm. A weight of 0 is charged as 1, unless the builder names
/// an entry limit.
///
/// ```
/// use brimful::{Cache, Weight, WeighedCache};
///
/// let cache: WeighedCache<u32, String> =
///     Cache::builder(Weight(100, |_: &u32, text: &String| text.len() as u64)).build()?;
/// cache.insert(1, "x".repeat(60));
/// cache.insert(2, "y".repeat(60));
/// assert_eq!((cache.len(), cache.weight()), (1, 60));
/// # Ok::<(), brimful::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Weight<F>(pub u64, pub F);

/// A capacity of so many bytes: the heap memory of keys and values as
/// [`HeapSize`] tells it, and brimful's own memory for each entry.
///
/// That own memory is charged as for a table two fifths full and rings full of
/// holes (see [`Bytes::overhead`]), so what is allocated stays below the
/// capacity. On top come: what does not grow with the entries, at most 256 KiB, and
/// 2 KiB a shard where entries have lives; for a shard of less than some thousand
/// such entries with very different lives, up to 60 bytes each of 512 of them;
/// one shard's table, for the moment in which it is rebuilt; while many small
/// entries give way to few large ones, up to half a place more for each entry;
/// and the allocator's own rounding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bytes(pub u64);

impl Bytes {
    /// What a cache of this type is charged for each entry, in bytes, beyond
    /// the heap memory of key and value.
    ///
    /// ```
    /// use brimful::Bytes;
    /// use brimful::policy::Duel;
    ///
    /// assert!(Bytes::overhead::<u64, u64, Duel>() >= 32);
    /// ```
    pub const fn overhead<K, V, P: Policy>() -> u64 {
        let entry = size_of::<crate::table::Entry<K, V, <Weighed<P> as Policy>::Meta>>();
        // A table has up to 2.7 places for each entry when it has just grown, but less
        // than 1.5 for each that a full shard will hold; and it shrinks at three.
        // Rings take up to 9 bytes with their holes and slack,
        // a history or a sketch up to 7 while it grows, ghosts up to 3.
        // Lives take up to 7 in the wheel.
        let wheel = if <P::Meta as Meta>::TIMED { 7 } else { 0 };
        ((entry + 2) * 5 / 2 + 21 + wheel) as u64
    }
}

/// A capacity: [`Entries`], [`Weight`] or [`Bytes`].
pub trait Capacity<K, V>: sealed::Sealed {
    /// What the entries of a cache of this capacity carry for policy `P`.
    type Form<P: Policy>: Policy;

    #[doc(hidden)]
    fn limits<P: Policy>(self) -> Limits<K, V>;
}

/// A capacity taken apart. Not nameable from outside.
#[doc(hidden)]
#[allow(
    unnameable_types,
    missing_debug_implementations,
    reason = "between a capacity and the builder alone"
)]
pub struct Limits<K, V> {
    pub(crate) weight: u64,
    pub(crate) weigher: Option<Weigher<K, V>>,
    /// How many entries that may be; only to choose a number of shards.
    pub(crate) entries: Option<u64>,
    /// The capacity if it counts entries.
    pub(crate) counted: Option<usize>,
}

impl<K, V> Capacity<K, V> for Entries {
    type Form<P: Policy> = P;

    fn limits<P: Policy>(self) -> Limits<K, V> {
        const {
            assert!(
                !<P::Meta as Meta>::WEIGHED,
                "Entries counts entries: for weights give a capacity in Weight or Bytes"
            );
        }
        Limits {
            weight: self.0 as u64,
            weigher: None,
            entries: Some(self.0 as u64),
            counted: Some(self.0),
        }
    }
}

impl<K, V, F> Capacity<K, V> for Weight<F>
where
    F: Fn(&K, &V) -> u64 + Send + Sync + 'static,
{
    type Form<P: Policy> = Weighed<P>;

    fn limits<P: Policy>(self) -> Limits<K, V> {
        Limits {
            weight: self.0,
            weigher: Some(Box::new(self.1)),
            entries: None,
            counted: None,
        }
    }
}

impl<K: HeapSize, V: HeapSize> Capacity<K, V> for Bytes {
    type Form<P: Policy> = Weighed<P>;

    fn limits<P: Policy>(self) -> Limits<K, V> {
        let overhead = Bytes::overhead::<K, V, P>();
        let weigh = move |key: &K, value: &V| {
            let heap = key.heap_size() as u64;
            heap.saturating_add(value.heap_size() as u64)
                .saturating_add(overhead)
        };
        Limits {
            weight: self.0,
            weigher: Some(Box::new(weigh)),
            entries: Some(self.0 / (overhead + 64)),
            counted: None,
        }
    }
}

mod sealed {
    #[allow(unnameable_types, reason = "sealed: nobody else may implement it")]
    pub trait Sealed {}
    impl Sealed for super::Entries {}
    impl<F> Sealed for super::Weight<F> {}
    impl Sealed for super::Bytes {}
}

/// A shard of a large cache holds at least so many entries: then the shards are few
/// enough for their heads to stay in a processor's cache, and a table is laid anew in
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
