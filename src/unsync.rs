//! `unsync::Cache`: a door and one shard, for one owner, without locks.
//!
//! Its methods take `&mut self` and return references instead of clones. A method that inserts
//! and returns a reference returns a `Result`, since a refused value is not resident.
//!
//! ```
//! use brimful::unsync::Cache;
//!
//! let mut cache = Cache::new(2);
//! cache.insert("a", vec![1]);
//! if let Some(mut value) = cache.get_mut("a") {
//!     value.push(2);
//! }
//! assert_eq!(cache.get("a"), Some(&vec![1, 2]));
//! ```

// In the order in which the methods are shown; the blank lines keep them in it.
mod read;
mod survey;

mod insert;

mod load;

mod change;
mod entry;
mod iter;

mod time;

mod explain;

mod sizing;

pub use change::RefMut;
pub use entry::Entry;
pub use iter::{Drain, IntoIter, Iter, Keys, Values};

use crate::cause::Cause;
use crate::clock::Moment;
use crate::door::Door;
use crate::form::Form;
use crate::hash::{Hashed, RandomState};
use crate::held::Held;
use crate::lanes::Lanes;
use crate::policy::Duel;
use crate::shard::{Part, Peers, Shard, Tally};
use crate::sizing::Gauge;
use crate::stats::{Lingerer, Snapshot};
use crate::sync::{Arc, AtomicU64, Ordering};
use crate::table::Shelves;
use crate::unit::Unit;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::iter::once;
use std::panic::{RefUnwindSafe, UnwindSafe};

/// A bounded cache for one owner: the methods of [`brimful::Cache`](crate::Cache),
/// with `&mut self` and references instead of clones.
///
/// Its order of eviction is exact as a whole, since there is one shard. It takes no lock and
/// executes no atomic read-modify-write: what it counts it loads and stores.
///
/// # Panics
/// No method panics on its own; panics of user code pass through, and the cache
/// stays valid.
///
/// ```
/// use brimful::policy::Lru;
/// use brimful::unsync::Cache;
/// use brimful::Entries;
///
/// let mut cache: Cache<u32, String, Lru> =
///     Cache::builder(Entries(2)).policy::<Lru>().build_unsync()?;
/// cache.insert(1, "one".into());
/// cache.insert(2, "two".into());
/// cache.get(&1);
/// cache.insert(3, "three".into());
/// assert!(cache.contains_key(&1) && !cache.contains_key(&2));
/// # Ok::<(), brimful::BuildError>(())
/// ```
pub struct Cache<K, V, F: Form = Duel, S = RandomState> {
    shard: Shard<K, V, F>,
    door: Door<K, V, F, S>,
    /// The latest time that a read by `&self` was told, of a clock that may go back: such a
    /// read can't tell the shard.
    heard: AtomicU64,
    /// What other capacities would hit, where a sample of the keys is watched.
    gauge: Option<Box<Gauge<F>>>,
}

impl<K, V, F: Form, S> Cache<K, V, F, S> {
    pub(crate) fn open(door: Door<K, V, F, S>) -> Self
    where
        S: BuildHasher,
    {
        let time = (door.expiry.to_idle, false);
        let part = Part {
            share: door.ledger.capacity(),
            peers: Peers::None,
            limits_entries: door.entry_limit.is_some(),
            admits_heavy: door.admits_heavy,
        };
        let lanes = match F::SAMPLED {
            true => Lanes::none().sampled(1),
            false => Lanes::none(),
        };
        let gauge = F::SAMPLED.then(|| Box::new(Gauge::new(door.model(), &lanes.samples)));
        let shelves = Arc::new(Shelves::new(1, lanes));
        Self {
            shard: Shard::new(shelves, 0, part, door.seed(0), time),
            door,
            heard: AtomicU64::new(0),
            gauge,
        }
    }

    /// What time it is, where entries have deadlines; never less than before.
    #[inline]
    fn now(&self) -> Moment {
        if !F::TIMED {
            return 0;
        }
        let told = self.door.now().max(self.shard.now());
        if !self.door.expiry.may_go_back() {
            return told;
        }
        let before = self.heard.load(Ordering::Relaxed);
        if told > before {
            self.heard.fetch_max(told, Ordering::Relaxed);
        }
        told.max(before)
    }

    /// Tells the shard what time it is.
    #[inline]
    fn advance_clock(&mut self) {
        if F::TIMED {
            let told = self.door.now().max(self.heard.load(Ordering::Relaxed));
            self.shard.advance_clock(told);
        }
    }

    #[inline]
    fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> Hashed
    where
        S: BuildHasher,
    {
        self.door.hash(key)
    }

    /// How many entries are resident. Exact. Those past their deadline that
    /// no write or sweep has taken out yet are counted.
    ///
    /// ```
    /// let mut cache = brimful::unsync::Cache::new(2);
    /// cache.extend([("a", 1), ("b", 2), ("c", 3)]);
    /// assert_eq!(cache.len(), 2);
    /// ```
    #[doc(alias = "entry_count")]
    #[doc(alias = "size")]
    pub fn len(&self) -> usize {
        self.shard.len()
    }

    /// Whether no entry is resident.
    ///
    /// ```
    /// let mut cache = brimful::unsync::Cache::new(2);
    /// assert!(cache.is_empty());
    /// cache.insert("a", 1);
    /// assert!(!cache.is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The weight of all resident entries. Exact.
    ///
    /// ```
    /// use brimful::unsync::Cache;
    ///
    /// let mut cache = Cache::weighted(100, |_: &u32, text: &&str| text.len() as u64);
    /// cache.insert(1, "seventeen letters");
    /// assert_eq!(cache.weight(), 17);
    /// ```
    #[doc(alias = "weighted_size")]
    pub fn weight(&self) -> u64 {
        self.shard.weight()
    }

    /// The capacity: [`Entries`](crate::Entries), or [`Units`](crate::Units) of weight.
    ///
    /// ```
    /// use brimful::{Entries, unsync::Cache};
    ///
    /// assert_eq!(Cache::<u32, u32>::new(100).capacity(), Entries(100));
    /// ```
    #[doc(alias = "cap")]
    #[doc(alias = "max_capacity")]
    pub fn capacity(&self) -> F::Unit {
        self.door.capacity()
    }

    /// The most entries, if the builder named a limit beside the capacity.
    ///
    /// ```
    /// use brimful::{Bytes, unsync::Cache};
    ///
    /// let builder = Cache::<String, String>::builder(Bytes(1 << 20)).entry_limit(100);
    /// assert_eq!(builder.build_unsync()?.entry_limit(), Some(100));
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[doc(alias = "max_entries")]
    pub fn entry_limit(&self) -> Option<usize> {
        self.door.entry_limit
    }

    /// The hasher.
    ///
    /// ```
    /// use std::hash::BuildHasher;
    ///
    /// let cache = brimful::unsync::Cache::<&str, u32>::new(100);
    /// assert_eq!(cache.hasher().hash_one("a"), cache.hasher().hash_one("a"));
    /// ```
    pub fn hasher(&self) -> &S {
        &self.door.hasher
    }

    /// Changes the capacity, as [`brimful::Cache::set_capacity`](crate::Cache::set_capacity)
    /// does; evicts what no longer fits.
    ///
    /// ```
    /// use brimful::{Entries, unsync::Cache};
    ///
    /// let mut cache = Cache::new(100);
    /// cache.extend((0..100).map(|n| (n, n)));
    /// cache.set_capacity(Entries(10));
    /// assert_eq!(cache.len(), 10);
    /// ```
    #[doc(alias = "resize")]
    pub fn set_capacity(&mut self, capacity: impl Into<F::Unit>) {
        let capacity = capacity.into().amount();
        self.advance_clock();
        let ledger = &self.door.ledger;
        ledger.set_capacity(capacity);
        self.door.leave.in_one_batch(|out, panics| {
            self.shard.set_share(capacity, panics);
            self.shard
                .evict_over_capacity(0, usize::MAX, ledger, out, panics);
        });
        let counted = self.shard.samples().counts();
        self.at_gauge(|gauge, samples| gauge.resize(capacity, samples, counted));
    }

    /// Takes every entry out, with cause [`Cleared`](Cause::Cleared), or
    /// [`Expired`](Cause::Expired) if it was past its deadline.
    ///
    /// ```
    /// use brimful::{Cause, unsync::Cache};
    ///
    /// let mut cache = Cache::new(2);
    /// cache.insert("a", 1);
    /// cache.clear();
    /// assert!(cache.is_empty());
    /// assert_eq!(cache.stats().departures(Cause::Cleared), 1);
    /// ```
    #[doc(alias = "invalidate_all")]
    #[doc(alias = "purge")]
    pub fn clear(&mut self) {
        self.advance_clock();
        let mut batches = self.door.leave.batches();
        let mut tally = Tally::default();
        let taken = self
            .shard
            .empty(Cause::Cleared, &self.door.ledger, batches.panics());
        batches.discard_all(tally.noting(taken));
        self.shard.recount(&tally, Cause::Cleared);
        batches.end();
        self.at_gauge(|gauge, samples| gauge.clear(samples));
    }

    /// Gives unused memory of the table back to the allocator. O(entries).
    ///
    /// ```
    /// let mut cache = brimful::unsync::Cache::new(1_000_000);
    /// cache.extend((0..1_000).map(|n| (n, n)));
    /// cache.retain(|&n, _| n < 10);
    /// cache.shrink_to_fit();
    /// assert_eq!(cache.len(), 10);
    /// ```
    pub fn shrink_to_fit(&mut self) {
        self.shard.shrink_to_fit();
    }

    /// The statistics.
    ///
    /// ```
    /// let mut cache = brimful::unsync::Cache::new(100);
    /// cache.insert("a", 1);
    /// cache.get("a");
    /// cache.get("b");
    /// assert_eq!(cache.stats().hit_ratio(), Some(0.5));
    /// ```
    pub fn stats(&self) -> Snapshot {
        let shard = self.shard.snapshot();
        self.door
            .stats(once(shard), self.door.counted(), self.weight())
    }

    /// Proves every invariant of every room from scratch; for tests. O(entries).
    ///
    /// # Panics
    /// If an invariant does not hold.
    #[doc(hidden)]
    pub fn check(&mut self) {
        self.door.check(self.shard.check());
    }
}

impl<K, T, F: Form, S> Cache<K, Held<T>, F, S> {
    /// The values that were let go and are still held elsewhere, those that were let go first
    /// first, at most so many of them: where the builder was told to keep
    /// [a list](crate::Builder::lingering), else none. O(`most`), under the list's lock.
    ///
    /// ```
    /// use brimful::{Cause, Entries, Held};
    ///
    /// let mut cache = brimful::unsync::Cache::builder(Entries(10)).lingering().build_unsync()?;
    /// cache.insert("a", Held::new(1));
    /// let kept = cache.get("a").cloned();
    /// cache.remove("a");
    /// assert_eq!(cache.lingering(10)[0].cause, Cause::Removed);
    /// # drop(kept);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn lingering(&self, most: usize) -> Vec<Lingerer> {
        let list = self.door.leave.lingerers();
        list.map_or(Vec::new(), |list| list.oldest(most))
    }
}

impl<K, V, F: Form, S> fmt::Debug for Cache<K, V, F, S> {
    /// Prints the figures, not the entries: nothing is asked of `K` and `V`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let len = self.len() as u64;
        self.door
            .figures(Some(len), self.weight(), f)
            .finish_non_exhaustive()
    }
}

impl<K, V, F: Form, S> Drop for Cache<K, V, F, S> {
    /// Lets every entry go with cause [`CacheDropped`](Cause::CacheDropped), or
    /// [`Expired`](Cause::Expired) if it was past its deadline.
    fn drop(&mut self) {
        self.shard.advance_clock(self.heard.load(Ordering::Relaxed));
        self.door.close(once(&mut self.shard));
    }
}

// No user code runs between two state changes, so a panic leaves nothing half
// done that a later caller could see.
impl<K: UnwindSafe, V: UnwindSafe, F: Form, S: UnwindSafe> UnwindSafe for Cache<K, V, F, S> {}

impl<K: RefUnwindSafe, V: RefUnwindSafe, F: Form, S: RefUnwindSafe> RefUnwindSafe
    for Cache<K, V, F, S>
{
}
