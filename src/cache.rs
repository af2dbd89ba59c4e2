//! `Cache`: shards behind locks, one budget, one way out.
//!
//! Every call has the same form: check the thread's mark, weigh and hash
//! without a lock, open the way out, lock one shard, let the core do its work,
//! unlock, then tell and drop what left. Two shard locks are never held at
//! once. Only `gather` goes through several shards, one after
//! another, and it alone holds a second kind of lock (the gatherer's), always
//! taken first.
//!
//! Children add an ability each.

mod change;
mod entry;
mod gather;
mod insert;
mod iter;
mod lead;
mod load;
mod many;
mod read;
mod refresh;
mod sweeper;
mod time;

pub use entry::Entry;
pub use iter::{Drain, IntoIter, Iter, Keys, Values};
pub use load::Load;
pub use many::LoadMany;
pub use refresh::LoadOrRefresh;
pub use sweeper::Sweeper;
pub use time::{IdleCache, RecordedCache, TimedCache};

use crate::budget::Budget;
use crate::cause::Cause;
use crate::clock::Moment;
use crate::config::Config;
use crate::expiry::Expiry;
use crate::hash::{Hashed, RandomState};
use crate::leave::Leave;
use crate::outbox::Outbox;
use crate::policy::{Duel, Meta, Policy, Weighed};
use crate::reentry;
use crate::room::Room;
use crate::scale::Scale;
use crate::shard::{Shard, Tally};
use crate::stats::Snapshot;
use crate::sync::{AtomicU64, Mutex, MutexGuard};
use crate::unwind::Panics;
use hashbrown::Equivalent;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::panic::{RefUnwindSafe, UnwindSafe};

/// How many entries leave at most while one lock is held, when many must.
const A_BATCH: usize = 256;

/// A bounded concurrent cache: a map that never holds more than its capacity.
///
/// Share it by reference, in an `Arc` or in a `static`; every method takes
/// `&self`. It is no handle to be cloned.
///
/// # The bound
///
/// At no moment, in the middle of no operation, does any thread see more weight
/// or more entries resident than the capacity. Room is global: an entry may
/// take all of it, whatever the number of shards, and a cache of *n* entries
/// filled by one writer holds exactly *n* before the first one leaves.
/// Values that have left but are still told, returned or dropped are in their
/// caller's hands and no longer count.
///
/// # Concurrency
///
/// Each call locks one shard, reads too, so calls on keys of different shards don't
/// meet. A hit holds the lock for some 10 ns and the clone of the value.
/// Weighers and rules for lives (at insert), loaders, listeners and the drop of keys and
/// values run without any lock and may call back into this or any other cache. Under the
/// lock of one shard run `Eq` of keys, `Clone` of a hit, and the closures of
/// [`view`](Cache::view), [`update`](Cache::update), [`remove_if`](Cache::remove_if),
/// [`retain`](Cache::retain) and [`Entry::and_modify`], with the weigher and the rule
/// that follow a change, and the rule for reads; these must not call into any brimful
/// cache. Under the lock of one load runs `Clone` of what was loaded, for those who
/// waited. The closures panic if
/// they do; `Eq` and `Clone` panic in debug builds and may deadlock otherwise.
///
/// # Panics
///
/// No method panics on its own but as just said. Panics of user code pass
/// through; the cache stays valid, its bound holds, and no value is lost or
/// told twice. A panic of the listener, or of a value dropped here, reaches the
/// caller after every other departure of that call was told and dropped.
///
/// # Complexity
///
/// Reads and writes of one key are O(1) expected, amortised for writes. An
/// insert evicts as many entries as it takes to make room for its weight.
///
/// # Example
///
/// ```
/// use brimful::Cache;
/// use std::sync::Arc;
///
/// let pages: Cache<String, Arc<Vec<u8>>> = Cache::new(10_000);
/// pages.insert("/index".to_string(), Arc::new(vec![1, 2, 3]));
/// assert_eq!(pages.get("/index").map(|page| page.len()), Some(3));
/// assert_eq!(pages.get("/about"), None);
/// ```
///
/// A capacity is not optional:
///
/// ```compile_fail,E0061
/// let pages: brimful::Cache<String, u64> = brimful::Cache::new();
/// ```
///
/// and neither is there a default:
///
/// ```compile_fail,E0599
/// let pages = brimful::Cache::<String, u64>::default();
/// ```
///
/// ```
/// let pages: brimful::Cache<String, u64> = brimful::Cache::new(100);
/// ```
pub struct Cache<K, V, P: Policy = Duel, S = RandomState> {
    shards: Box<[Apart<K, V, P>]>,
    hasher: S,
    scale: Scale<K, V>,
    budget: Budget,
    leave: Leave<K, V>,
    entry_limit: Option<usize>,
    expiry: Expiry<K, V>,
    /// The shard with which the next sweep begins.
    next_swept: AtomicU64,
    bells: sweeper::Bells,
}

/// A [`Cache`] whose entries have weights: of capacity
/// [`Weight`](crate::Weight) or [`Bytes`](crate::Bytes).
pub type WeighedCache<K, V, P = Duel, S = RandomState> = Cache<K, V, Weighed<P>, S>;

impl<K, V, P: Policy, S> Cache<K, V, P, S> {
    pub(crate) fn open(config: Config<K, V, S>) -> Self
    where
        S: BuildHasher,
    {
        let shards = config.shards;
        let share = share(config.capacity, shards);
        let shard = |index: usize| {
            let seed = config.hasher.hash_one(index);
            let to_idle = config.expiry.to_idle;
            Apart(Mutex::new(Shard::new(share, shards == 1, seed, to_idle)))
        };
        Self {
            shards: (0..shards).map(shard).collect(),
            budget: Budget::new(config.capacity, config.entry_limit.map(|n| n as u64)),
            scale: Scale::new(config.weigher, config.entry_limit),
            leave: Leave::new(config.listener),
            entry_limit: config.entry_limit,
            expiry: config.expiry,
            next_swept: AtomicU64::new(0),
            bells: sweeper::Bells::none(),
            hasher: config.hasher,
        }
    }

    /// How many entries are resident. Exact when nobody else is writing; never more
    /// than the capacity. Entries past the end of their life count until a write or a
    /// sweep has taken them out.
    ///
    /// One atomic load for caches that count entries or limit them: there, room on its
    /// way to an entry counts as used. Else O(shards), with one lock at a time.
    pub fn len(&self) -> usize {
        reentry::check();
        let counted = self.counted().unwrap_or_else(|| {
            let each = self.shards.iter().map(|shard| shard.lock().len() as u64);
            // Each weighs something, so of the two figures the lesser is never over.
            each.sum::<u64>().min(self.budget.weight())
        });
        counted as usize
    }

    /// How many entries are resident, where the budget counts them.
    fn counted(&self) -> Option<u64> {
        if weighed::<P>() {
            self.budget.entries()
        } else {
            Some(self.budget.weight())
        }
    }

    /// Whether no entry is resident: one atomic load.
    pub fn is_empty(&self) -> bool {
        reentry::check();
        // Where nobody counts them, each weighs something.
        self.counted().unwrap_or_else(|| self.budget.weight()) == 0
    }

    /// The weight of all resident entries, in the cache's unit: one atomic
    /// load. Exact when nobody else is writing; never more than the capacity.
    /// Room on its way to an entry counts as used.
    pub fn weight(&self) -> u64 {
        reentry::check();
        self.budget.weight()
    }

    /// The capacity, in the unit the cache was built with.
    pub fn capacity(&self) -> u64 {
        self.budget.capacity()
    }

    /// The most entries, if the builder named a limit beside the capacity.
    pub fn entry_limit(&self) -> Option<usize> {
        self.entry_limit
    }

    /// The number of shards, fixed at construction.
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// The hasher.
    pub fn hasher(&self) -> &S {
        &self.hasher
    }

    /// Changes the capacity, in the unit the cache was built with.
    ///
    /// When the call returns, the new bound holds. A raise takes effect at
    /// once. A lowered capacity is published first; from then on nothing is let
    /// in that does not fit, and entries are evicted, each shard down to its
    /// share first, until the rest fits: while that goes on the weight is never
    /// above the old capacity and never rises.
    ///
    /// O(shards), and O(entries) that must leave. Short locks: entries are told
    /// and dropped in batches, outside of them.
    pub fn set_capacity(&self, capacity: u64) {
        reentry::check();
        let share = share(capacity, self.shards.len());
        let mut panics = Panics::none();
        {
            let _alone = self.budget.exclude_gatherers();
            self.budget.set_capacity(capacity);
            for shard in &self.shards {
                // Also the barrier after which nobody can have seen the old capacity.
                shard.lock().set_share(share, &mut panics);
            }
        }
        let now = self.now();
        loop {
            let mut leaving = self.leave.open();
            let more = self.work_off(share, now, leaving.outbox(), &mut panics);
            panics.add(leaving.settle_quietly());
            if !more {
                break;
            }
        }
        panics.resume();
    }

    /// Evicts a batch of what is over a lowered capacity; says whether there may
    /// be more. Gatherers are kept out: they would carry room behind its back.
    fn work_off(
        &self,
        share: u64,
        now: Moment,
        out: &mut Outbox<K, V>,
        panics: &mut Panics,
    ) -> bool {
        let _alone = self.budget.exclude_gatherers();
        let mut most = A_BATCH;
        for floor in [share, 0] {
            for shard in &self.shards {
                if !self.budget.is_over() {
                    return false;
                }
                let mut shard = lock_at(shard, now);
                most -= shard.work_off(floor, most, &self.budget, out, panics);
                if most == 0 {
                    return true;
                }
            }
        }
        false
    }

    /// Takes every entry out, with cause [`Cleared`](Cause::Cleared), or
    /// [`Expired`](Cause::Expired) if it was past the end of its life.
    ///
    /// An entry whose insert returned before this call began is gone when it
    /// returns. Shards are emptied one after another in O(1) each under their
    /// lock; entries are told and dropped outside. Memory of the tables goes back.
    pub fn clear(&self) {
        reentry::check();
        let now = self.now();
        let mut panics = Panics::none();
        for shard in &self.shards {
            self.let_all_go(shard, now, Cause::Cleared, &mut panics);
        }
        panics.resume();
    }

    /// Empties a shard, and tells and drops what was in it.
    fn let_all_go(
        &self,
        shard: &Mutex<Shard<K, V, P>>,
        now: Moment,
        cause: Cause,
        panics: &mut Panics,
    ) {
        let taken = lock_at(shard, now).empty(cause, &self.budget, panics);
        if !P::Meta::TIMED {
            panics.add(self.leave.all(taken));
            return;
        }
        let mut tally = Tally::default();
        let told = self.leave.all(taken.inspect(|left| tally.note(left)));
        shard.lock().recount(&tally, cause);
        panics.add(told);
    }

    /// What time it is, where entries have lives. The clock is the user's: ask it
    /// before the lock.
    #[inline]
    fn now(&self) -> Moment {
        if P::Meta::TIMED { self.expiry.now() } else { 0 }
    }

    /// Gives unused memory of the tables back to the allocator. O(entries),
    /// one shard locked at a time.
    pub fn shrink_to_fit(&self) {
        reentry::check();
        for shard in &self.shards {
            shard.lock().shrink_to_fit();
        }
    }

    /// The statistics of all shards in sum. O(shards), one lock at a time.
    pub fn stats(&self) -> Snapshot {
        reentry::check();
        let mut sum = Snapshot::default();
        for shard in &self.shards {
            sum.add(&shard.lock().snapshot());
        }
        sum.weight = self.budget.weight();
        sum.len = self.counted().unwrap_or(sum.len);
        sum.capacity = self.budget.capacity();
        sum.listener_panics = self.leave.panics();
        sum
    }

    /// The statistics of one shard, or `None` if there is none of that number.
    pub fn shard_stats(&self, shard: usize) -> Option<Snapshot> {
        reentry::check();
        Some(self.shards.get(shard)?.lock().snapshot())
    }

    /// Proves every invariant of every room from scratch; O(entries).
    ///
    /// For tests, when nobody else is using the cache.
    ///
    /// # Panics
    /// If an invariant does not hold.
    #[doc(hidden)]
    pub fn check(&self) {
        let held = self
            .shards
            .iter()
            .map(|shard| shard.lock().check())
            .fold(Room::NONE, Room::plus);
        assert_eq!(held.weight, self.budget.weight(), "weight held and used");
        assert!(self.budget.weight() <= self.budget.capacity(), "weight");
        if let Some(entries) = self.budget.entries() {
            assert_eq!(held.entries, entries, "entries held and used");
            assert!(Some(entries as usize) <= self.entry_limit, "entries");
        }
    }
}

/// Keeps neighbours out of each other's cache lines (which processors fetch in
/// pairs): a lock taken here is no traffic there. A power of two is also
/// quicker to step over.
#[repr(align(128))]
struct Apart<K, V, P: Policy>(Mutex<Shard<K, V, P>>);

impl<K, V, P: Policy> std::ops::Deref for Apart<K, V, P> {
    type Target = Mutex<Shard<K, V, P>>;

    #[inline]
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// Locks a shard and tells it what time it is.
#[inline]
fn lock_at<K, V, P: Policy>(
    shard: &Mutex<Shard<K, V, P>>,
    now: Moment,
) -> MutexGuard<'_, Shard<K, V, P>> {
    let mut shard = shard.lock();
    shard.hear(now);
    shard
}

/// Whether the entries of a policy carry a weight.
fn weighed<P: Policy>() -> bool {
    P::Meta::WEIGHED
}

/// A shard's fair share of a capacity.
fn share(capacity: u64, shards: usize) -> u64 {
    capacity / shards as u64
}

impl<K, V, P, S> Cache<K, V, P, S>
where
    K: Hash + Eq,
    P: Policy,
    S: BuildHasher,
{
    #[inline]
    fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> Hashed {
        Hashed::new(&self.hasher, key)
    }

    #[inline]
    fn shard(&self, hashed: Hashed) -> &Mutex<Shard<K, V, P>> {
        reentry::check();
        &self.shards[hashed.shard(self.shards.len())]
    }

    /// Locks the shard of a key, and tells it what time it is.
    #[inline]
    fn lock(&self, hashed: Hashed) -> MutexGuard<'_, Shard<K, V, P>> {
        let shard = self.shard(hashed);
        lock_at(shard, self.now())
    }

    /// The shard that this key belongs to, from 0 up to [`shards`](Cache::shards).
    pub fn shard_of<Q>(&self, key: &Q) -> usize
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.hash(key).shard(self.shards.len())
    }
}

impl<K, V, P: Policy, S> fmt::Debug for Cache<K, V, P, S> {
    /// Prints the figures, not the entries: nothing is asked of `K` and `V`,
    /// and nothing is locked. So `len` is missing where it takes locks.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut figures = f.debug_struct("Cache");
        if let Some(len) = self.counted() {
            figures.field("len", &len);
        }
        figures
            .field("weight", &self.budget.weight())
            .field("capacity", &self.budget.capacity())
            .field("shards", &self.shards.len())
            .finish_non_exhaustive()
    }
}

impl<K, V, P: Policy, S> Drop for Cache<K, V, P, S> {
    /// Lets every entry go with cause [`CacheDropped`](Cause::CacheDropped), or
    /// [`Expired`](Cause::Expired) if it was past its end.
    fn drop(&mut self) {
        if self.leave.is_silent() {
            return;
        }
        let mut panics = Panics::none();
        let now = panics.run(|| self.now()).unwrap_or(0);
        for shard in &mut self.shards {
            let shard = shard.0.get_mut();
            shard.hear(now);
            panics.add(self.leave.all(shard.finish()));
        }
        panics.resume();
    }
}

// No user code runs between two state changes, so a panic leaves nothing half
// done that a later caller could see.
impl<K, V, P, S> UnwindSafe for Cache<K, V, P, S>
where
    K: UnwindSafe,
    V: UnwindSafe,
    P: Policy,
    S: UnwindSafe,
{
}

impl<K, V, P, S> RefUnwindSafe for Cache<K, V, P, S>
where
    K: UnwindSafe + RefUnwindSafe,
    V: UnwindSafe + RefUnwindSafe,
    P: Policy,
    S: RefUnwindSafe,
{
}

#[cfg(test)]
#[cfg(not(brimful_loom))]
mod tests {
    use super::*;

    #[test]
    fn a_shard_takes_512_bytes_at_most() {
        assert!(size_of::<Apart<u64, u64, Duel>>() <= 512);
    }
}
