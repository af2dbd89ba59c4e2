//! `Cache`: a door, and shards that are read without locks and written under them.
//!
//! A read visits its shard without a lock, or, if that cannot be, under it (`read`). Every other
//! call has the same form: check the thread's mark, weigh and hash
//! without a lock, open the way out, lock one shard, let the core do its work,
//! unlock, then tell and drop what left. Two shard locks are never held at
//! once. Only `gather` goes through several shards, one after
//! another, and it alone holds a second kind of lock (the gatherer's), always
//! taken first. Through its `seat` a cache that shares a budget is reached by the others' gatherers.
//!
//! Each file under `cache/` adds one group of methods.

// In the order in which the methods are shown; the blank lines keep them in it.
mod read;

mod insert;

mod begin;
mod lead;
mod load;
mod many;
mod optional;
mod refresh;

mod change;
mod compute;
mod compute_async;
mod entry;
mod iter;
mod survey;

mod time;

mod explain;

#[cfg(feature = "serde")]
mod save;

mod scope;

mod sizing;

mod gather;
mod seat;
mod sweeper;

pub use begin::{Begun, Lead};
pub use entry::{Entry, Modified};
pub use iter::{Drain, IntoIter, Iter, Keys, Values};
pub use load::{Load, SharedLoad};
pub use many::LoadMany;
pub use optional::{OptionalLoad, OptionalLoadOrRefresh};
pub use refresh::LoadOrRefresh;
#[cfg(feature = "serde")]
pub use save::Restored;
pub use scope::Scope;
pub use sweeper::Sweeper;

use crate::budget::{Membership, Others, Share};
use crate::cause::Cause;
use crate::clock::{Glance, Moment};
use crate::door::Door;
use crate::error::BuildError;
use crate::form::Form;
use crate::hash::{Hashed, RandomState};
use crate::held::Held;
use crate::lanes::Lanes;
use crate::leave::Batches;
use crate::leave::outbox::{Departure, Outbox};
use crate::ledger::{Ledger, Reservation, Spare};
use crate::policy::Duel;
use crate::reentry;
use crate::room::Room;
use crate::shard::{Part, Peers, Shard, Tally};
use crate::sizing::Gauge;
use crate::stats::{Lingerer, Origin, Snapshot};
use crate::sync::cells::LOCKLESS;
use crate::sync::{Arc, AtomicU64, Mutex, MutexGuard, processors};
use crate::table::Shelves;
use crate::unit::Unit;
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
/// filled by one writer holds exactly *n* before the first one leaves. Where several
/// threads use the cache a shard may evict a few entries at once and keep their room for
/// its next ones, up to a 64th of its share: a full cache then holds up to that less.
/// Values that have left but are still told, returned or dropped are in their
/// caller's hands and no longer count.
///
/// # Concurrency
///
/// Reads take no lock, whether they find their key or not ([`get`](Cache::get),
/// [`peek`](Cache::peek), [`view`](Cache::view), [`contains_key`](Cache::contains_key),
/// [`get_many`](Cache::get_many), loading calls that hit, and others): a thread that reads writes
/// a line of its own and no other, unless the entry's count of hits rises. Reads are
/// linearizable: a key that is only being replaced is never absent. They look under the shard's
/// lock where the value is being changed in place or the shard's table rebuilt, emptied, swept or
/// walked by `retain` at that moment; with a rule for reads; at a thread's first reads, while others hold locks; and in
/// threads beyond twice as many as there are processors (16 at least, 128 at most). Hits that
/// change a policy's order ([`Lru`](crate::policy::Lru)) are noted in the thread's line, and the order
/// hears of them before it is next asked for a victim.
///
/// Each write locks one shard, and waits, before it moves or drops or changes what readers may be
/// looking at, for one read of each thread that was reading that shard then: a look-up and the
/// clone of the value, or the closure of `view`. Values leave memory in the call that made
/// them leave; nothing is deferred.
///
/// Weighers and rules for times to live (at insert), loaders, listeners and the drop of keys and
/// values run without any lock and may call back into this or any other cache; listeners inside of
/// listeners [16 deep](crate::Builder::on_departure) at most. In a read, `Eq` of
/// keys and `Clone` of the value may call other caches; if they call this one they panic. Under the
/// lock of one shard run `Eq` of keys in writes, and the closures of
/// [`update`](Cache::update), [`compute`](Cache::compute), [`remove_if`](Cache::remove_if),
/// [`for_each`](Cache::for_each), [`retain`](Cache::retain), [`Entry::and_modify`] (which clones the
/// value there) and [`Load::valid_if`], with the weigher and the rule
/// that follow a change, and the rule for reads; these, and the closure of `view`, must not call
/// into any brimful cache. Under the lock of one load runs `Clone` of what was loaded, for the callers
/// that waited. The closures panic if
/// they do; `Eq` and `Clone` under a lock panic in debug builds and may deadlock otherwise.
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
pub struct Cache<K, V, F: Form = Duel, S = RandomState> {
    /// What readers see, before they take a lock.
    shelves: Arc<Shelves<K, V, F>>,
    shards: Shards<K, V, F>,
    door: Door<K, V, F, S>,
    turns: Turns,
    bells: sweeper::Bells,
    /// Its place in the budget that it shares with others, if it does.
    membership: Option<Membership>,
    /// Of scopes, where entries may end with one.
    register: Option<Box<scope::Register>>,
    /// What other capacities would hit, where a sample of the keys is watched.
    gauge: Option<Box<Mutex<Gauge<F>>>>,
}

type Shards<K, V, F> = Arc<[CachePadded<K, V, F>]>;

impl<K, V, F: Form, S> Cache<K, V, F, S> {
    pub(crate) fn open(door: Door<K, V, F, S>, shards: usize) -> Self
    where
        S: BuildHasher,
    {
        let share = share(door.ledger.capacity(), shards);
        let mut lanes = match LOCKLESS {
            true => lanes(shards, door.hears_of_hits()),
            false => Lanes::none(),
        };
        if F::SAMPLED {
            lanes = lanes.sampled(threads());
        }
        let gauge = || Box::new(Mutex::new(Gauge::new(door.model(), &lanes.samples)));
        let gauge = F::SAMPLED.then(gauge);
        let shelves = Arc::new(Shelves::new(shards, lanes));
        let peers = match shards {
            _ if door.ledger.is_under() => Peers::Caches,
            1 => Peers::None,
            _ => Peers::Shards,
        };
        let shard = |index: usize| {
            let time = (door.expiry.to_idle, door.expiry.may_go_back());
            let part = Part {
                share,
                peers,
                limits_entries: door.entry_limit.is_some(),
                admits_heavy: door.admits_heavy,
            };
            let shelves = Arc::clone(&shelves);
            let shard = Shard::new(shelves, index, part, door.seed(index), time);
            CachePadded {
                spare: Spare::default(),
                shard: Mutex::new(shard),
            }
        };
        Self {
            shards: (0..shards).map(shard).collect(),
            shelves,
            door,
            turns: Turns::default(),
            bells: sweeper::Bells::none(),
            membership: None,
            register: F::TRACKED.then(|| Box::new(scope::Register::new())),
            gauge,
        }
    }

    /// What it was built with.
    #[cfg(feature = "serde")]
    pub(crate) fn door(&self) -> &Door<K, V, F, S> {
        &self.door
    }

    /// Takes its seat in a budget.
    #[track_caller]
    pub(crate) fn join(mut self, own: Share) -> Result<Self, BuildError>
    where
        K: Send + Sync + 'static,
        V: Send + Sync + 'static,
        F: Form<Policy: Send, Meta: Send + Sync> + 'static,
    {
        let standing = own.standing(self.door.name.clone());
        let seat = seat::CacheSeat {
            standing: Arc::clone(&standing),
            ledger: Arc::clone(&self.door.ledger),
            shelves: Arc::clone(&self.shelves),
            shards: Arc::clone(&self.shards),
            expiry: Arc::clone(&self.door.expiry),
            leave: Arc::clone(&self.door.leave),
        };
        self.membership = Some(own.join(standing, Arc::new(seat))?);
        Ok(self)
    }

    /// How many entries are resident. Exact when no other thread is writing; never more
    /// than the capacity. Entries past their deadline count until a write or a
    /// sweep has taken them out.
    ///
    /// O(shards). Caches that count entries or limit them take no lock for it: there, room on
    /// its way to an entry counts as used. Else one lock at a time.
    ///
    /// ```
    /// let cache = brimful::Cache::new(2);
    /// cache.extend([("a", 1), ("b", 2), ("c", 3)]);
    /// assert_eq!(cache.len(), 2);
    /// ```
    #[doc(alias = "entry_count")]
    #[doc(alias = "size")]
    #[track_caller]
    pub fn len(&self) -> usize {
        self.may_be_called();
        let counted = self.counted().unwrap_or_else(|| {
            let each = self.shards.iter().map(|shard| shard.lock().len() as u64);
            // Each weighs something, so of the two figures the lesser is never over.
            each.sum::<u64>().min(self.door.ledger.weight())
        });
        counted as usize
    }

    /// How many entries are resident, where the ledger counts them.
    fn counted(&self) -> Option<u64> {
        let of = |spare: Room| {
            if F::WEIGHED {
                spare.entries
            } else {
                spare.weight
            }
        };
        let used = || self.door.counted().unwrap_or(0);
        self.door.counted()?;
        Some(
            self.door
                .ledger
                .less_spare(used, || spare(&self.shards, of)),
        )
    }

    /// Whether no entry is resident. O(shards), without a lock.
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// assert!(cache.is_empty());
    /// cache.insert("a", 1);
    /// assert!(!cache.is_empty());
    /// ```
    #[track_caller]
    pub fn is_empty(&self) -> bool {
        self.may_be_called();
        // Where they are not counted, each weighs something.
        self.counted().unwrap_or_else(|| self.used()) == 0
    }

    /// The weight of all resident entries, in the cache's unit. Exact when no other thread is
    /// writing; never more than the capacity. Room on its way to an entry counts as used.
    /// O(shards), without a lock.
    ///
    /// ```
    /// let cache = brimful::Cache::weighted(100, |_: &&str, text: &&str| text.len() as u64);
    /// cache.insert("a", "seventeen letters");
    /// assert_eq!(cache.weight(), 17);
    /// ```
    #[doc(alias = "weighted_size")]
    #[track_caller]
    pub fn weight(&self) -> u64 {
        self.may_be_called();
        self.used()
    }

    /// The weight that entries use.
    fn used(&self) -> u64 {
        used(&self.door.ledger, &self.shards)
    }

    /// The capacity: [`Entries`](crate::Entries), or [`Units`](crate::Units) of weight. That of a
    /// [`Budget`](crate::Budget) that it shares, if that is less.
    ///
    /// ```
    /// use brimful::{Cache, Entries, Units};
    ///
    /// let counted: Cache<u32, u32> = Cache::new(100);
    /// assert_eq!(counted.capacity(), Entries(100));
    /// let weighed = Cache::weighted(4_096, |_: &u32, text: &String| text.len() as u64);
    /// assert_eq!(weighed.capacity(), Units(4_096));
    /// ```
    #[doc(alias = "cap")]
    #[doc(alias = "max_capacity")]
    pub fn capacity(&self) -> F::Unit {
        self.door.capacity()
    }

    /// The most entries, if the builder named a limit beside the capacity.
    ///
    /// ```
    /// use brimful::{Bytes, Cache};
    ///
    /// let builder = Cache::<String, String>::builder(Bytes(1 << 20)).entry_limit(100);
    /// assert_eq!(builder.build()?.entry_limit(), Some(100));
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[doc(alias = "max_entries")]
    pub fn entry_limit(&self) -> Option<usize> {
        self.door.entry_limit
    }

    /// The number of shards, fixed at construction.
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    ///
    /// let cache = Cache::<u32, u32>::builder(Entries(1_000)).shards(8).build()?;
    /// assert_eq!(cache.shards(), 8);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[doc(alias = "concurrency_level")]
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// The hasher.
    ///
    /// ```
    /// use std::hash::BuildHasher;
    ///
    /// let cache = brimful::Cache::<&str, u32>::new(100);
    /// assert_eq!(cache.hasher().hash_one("a"), cache.hasher().hash_one("a"));
    /// ```
    pub fn hasher(&self) -> &S {
        &self.door.hasher
    }

    /// Changes the capacity: to so many [`Entries`](crate::Entries), or to so many
    /// [`Units`](crate::Units) of weight or [`Bytes`](crate::Bytes) where entries are weighed.
    ///
    /// When the call returns, the new bound holds. A raise takes effect at
    /// once. A lowered capacity is published first; from then on nothing is let
    /// in that does not fit, and entries are evicted, each shard down to its
    /// share first, until the rest fits: while that goes on the weight is never
    /// above the old capacity and never rises.
    ///
    /// O(shards), and O(entries) that must leave. Short locks: entries are told
    /// and dropped in batches, outside of them. In a cache that shares a [`Budget`](crate::Budget)
    /// with others this is its own capacity, and no more than the budget's counts.
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    ///
    /// let cache = Cache::new(100);
    /// cache.extend((0..100).map(|n| (n, n)));
    /// cache.set_capacity(Entries(10));
    /// assert_eq!(cache.len(), 10);
    /// ```
    #[doc(alias = "resize")]
    #[track_caller]
    pub fn set_capacity(&self, capacity: impl Into<F::Unit>) {
        self.may_be_called();
        let capacity = capacity.into().amount();
        let mut batches = self.door.leave.batches();
        if let Some(membership) = &self.membership {
            membership.check();
        }
        let others = {
            let _alone = self.door.ledger.exclude_gatherers();
            self.door.ledger.set_capacity(capacity);
            // Passes through all locks, after which no thread can have seen the old capacity.
            match &self.membership {
                Some(membership) => membership.settle(),
                None => {
                    self.set_share(batches.panics());
                    Others::default()
                }
            }
        };
        batches.panics().add(others.end());
        let share = share(self.fair(), self.shards.len());
        let now = self.now();
        while batches.run(|out, panics| self.work_off(share, now, out, panics)) {}
        if F::SAMPLED {
            self.resize_gauge(capacity);
        }
        batches.end();
    }

    /// Tells all shards their share of a new capacity.
    fn set_share(&self, panics: &mut Panics) {
        let share = share(self.fair(), self.shards.len());
        for shard in self.shards.iter() {
            let mut locked = shard.lock();
            self.door.ledger.give_spare(&shard.spare);
            locked.set_share(share, panics);
        }
    }

    /// What its shards have their shares of: the capacity, or what is fair in a budget.
    fn fair(&self) -> u64 {
        let ledger = &self.door.ledger;
        match ledger.is_under() {
            true => ledger.fair(),
            false => ledger.capacity(),
        }
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
        let _alone = self.door.ledger.exclude_gatherers();
        let mut most = A_BATCH;
        // What has expired goes before what lives in any shard.
        for floor in [u64::MAX, share, 0]
            .into_iter()
            .skip(usize::from(!F::TIMED))
        {
            for shard in self.shards.iter() {
                if !self.door.ledger.is_over() {
                    return false;
                }
                let mut locked = lock_at(shard, now);
                self.door.ledger.give_spare(&shard.spare);
                most -= locked.evict_over_capacity(floor, most, &self.door.ledger, out, panics);
                if most == 0 {
                    return true;
                }
            }
        }
        false
    }

    /// Takes every entry out, with cause [`Cleared`](Cause::Cleared), or
    /// [`Expired`](Cause::Expired) if it was past its deadline.
    ///
    /// An entry whose insert returned before this call began is gone when it
    /// returns. Shards are emptied one after another in O(1) each under their
    /// lock; entries are told and dropped outside. Memory of the tables goes back.
    ///
    /// ```
    /// use brimful::{Cache, Cause};
    ///
    /// let cache = Cache::new(100);
    /// cache.insert("a", 1);
    /// cache.clear();
    /// assert_eq!(cache.stats().departures(Cause::Cleared), 1);
    /// ```
    #[doc(alias = "invalidate_all")]
    #[doc(alias = "purge")]
    #[track_caller]
    pub fn clear(&self) {
        self.may_be_called();
        let now = self.now();
        let mut batches = self.door.leave.batches();
        for shard in self.shards.iter() {
            self.let_all_go(shard, now, Cause::Cleared, &mut batches);
        }
        if F::SAMPLED {
            self.clear_gauge();
        }
        batches.end();
    }

    /// Empties a shard, and tells and drops what was in it.
    fn let_all_go(
        &self,
        shard: &CachePadded<K, V, F>,
        now: Moment,
        cause: Cause,
        batches: &mut Batches<'_, K, V>,
    ) {
        let taken = self.empty(shard, now, cause, batches);
        if !F::TIMED {
            return batches.discard_all(taken.map(|(left, _)| left));
        }
        let mut tally = Tally::default();
        batches.discard_all(tally.noting(taken));
        shard.lock().recount(&tally, cause);
    }

    /// Empties a shard, and hands out what was in it. It keeps no room.
    fn empty(
        &self,
        shard: &CachePadded<K, V, F>,
        now: Moment,
        cause: Cause,
        batches: &mut Batches<'_, K, V>,
    ) -> impl Iterator<Item = (Departure<K, V>, Origin)> + use<K, V, F, S> {
        let ledger = &self.door.ledger;
        let mut locked = self.lock_in_time(shard, now);
        ledger.give_spare(&shard.spare);
        locked.empty(cause, ledger, batches.panics())
    }

    /// Panics if this thread is inside of user code that must not call into this cache.
    #[inline]
    #[track_caller]
    fn may_be_called(&self) {
        reentry::check(self.address());
        self.shelves.lanes.check();
    }

    /// By what a mark names this cache.
    #[inline]
    fn address(&self) -> usize {
        Arc::as_ptr(&self.shelves).addr()
    }

    /// Whether this thread is inside of such code.
    fn is_inside(&self) -> bool {
        reentry::is_marked(self.address()) || self.shelves.lanes.is_inside()
    }

    /// What a read needs to know of the time: to be asked before the visit.
    #[inline]
    fn glance(&self) -> Glance {
        self.door.glance()
    }

    /// The time at a glance, exactly.
    #[inline]
    fn exact(&self, glance: Glance) -> Moment {
        match glance {
            Glance::Exact(now) => now,
            Glance::Before(_) => self.now(),
        }
    }

    /// What time it is, where entries have deadlines: to be asked before the lock.
    #[inline]
    fn now(&self) -> Moment {
        self.door.now()
    }

    /// Locks a shard and tells it this time, or, if the lock was not free, what time it is by then:
    /// what has ended while the call waited is not returned, and what it stores begins its life now.
    #[inline]
    fn lock_in_time<'a>(
        &self,
        shard: &'a Mutex<Shard<K, V, F>>,
        now: Moment,
    ) -> MutexGuard<'a, Shard<K, V, F>> {
        if !F::TIMED {
            return shard.lock();
        }
        match shard.try_lock() {
            Some(mut locked) => {
                locked.advance_clock(now);
                locked
            }
            None => self.lock_late(shard),
        }
    }

    /// Waits for a shard's lock. A clock of the user's is read while it is not held: right
    /// before it is taken once more.
    #[cold]
    #[inline(never)]
    fn lock_late<'a>(&self, shard: &'a Mutex<Shard<K, V, F>>) -> MutexGuard<'a, Shard<K, V, F>> {
        let mut locked = shard.lock();
        if self.door.expiry.runs_user_code() {
            drop(locked);
            let now = self.now();
            locked = lock_at(shard, now);
        } else {
            locked.advance_clock(self.now());
        }
        locked
    }

    /// Gives unused memory of the tables back to the allocator. O(entries),
    /// one shard locked at a time.
    ///
    /// ```
    /// let cache = brimful::Cache::new(1_000_000);
    /// cache.extend((0..1_000).map(|n| (n, n)));
    /// cache.retain(|&n, _| n < 10);
    /// cache.shrink_to_fit();
    /// assert_eq!(cache.len(), 10);
    /// ```
    #[track_caller]
    pub fn shrink_to_fit(&self) {
        self.may_be_called();
        for shard in self.shards.iter() {
            shard.lock().shrink_to_fit();
        }
    }

    /// The statistics of all shards in sum. O(shards), one lock at a time.
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// cache.insert("a", 1);
    /// cache.get("a");
    /// cache.get("b");
    /// assert_eq!(cache.stats().hit_ratio(), Some(0.5));
    /// ```
    #[track_caller]
    pub fn stats(&self) -> Snapshot {
        self.may_be_called();
        let shards = self.shards.iter();
        let shards = shards.map(|shard| shard.lock().snapshot());
        let mut stats = self.door.stats(shards, self.counted(), self.used());
        let (hits, misses) = self.shelves.lanes.counts();
        stats.add_lookups(hits, misses);
        stats.scopes = self.scopes(stats.scoped());
        stats
    }

    /// The statistics of one shard, or `None` if there is none of that number.
    ///
    /// Reads that take no lock are counted by thread: their hits and misses are in
    /// [`stats`](Cache::stats), not here.
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// cache.insert("a", 1);
    /// let shard = cache.shard_of("a");
    /// assert_eq!(cache.shard_stats(shard).map(|stats| stats.inserts()), Some(1));
    /// assert!(cache.shard_stats(cache.shards()).is_none());
    /// ```
    #[track_caller]
    pub fn shard_stats(&self, shard: usize) -> Option<Snapshot> {
        self.may_be_called();
        let mut stats = self.shards.get(shard)?.lock().snapshot();
        stats.unit = self.door.unit;
        Some(stats)
    }

    /// Proves every invariant of every room from scratch; O(entries).
    ///
    /// For tests, when no other thread is using the cache.
    ///
    /// # Panics
    /// If an invariant does not hold.
    #[doc(hidden)]
    pub fn check(&self) {
        let held = |shard: &CachePadded<K, V, F>| shard.lock().check().plus(shard.spare.room());
        self.door
            .check(self.shards.iter().map(held).fold(Room::NONE, Room::plus));
    }
}

/// Whose turn it is. They have lines of their own: beside them lies what hits read.
#[repr(align(128))]
#[derive(Default)]
struct Turns {
    /// The shard with which the next sweep begins.
    sweep: AtomicU64,
    /// The shard that is asked for the next victim that a caller is to have.
    evict: AtomicU64,
}

/// A shard, and the room that it keeps for its next entries, padded to two cache lines
/// (processors prefetch them in pairs), so that taking its lock does not slow down its
/// neighbours. A power of two is also quicker to step over.
#[repr(align(128))]
struct CachePadded<K, V, F: Form> {
    spare: Spare,
    shard: Mutex<Shard<K, V, F>>,
}

impl<K, V, F: Form> CachePadded<K, V, F> {
    /// How many entries are in it.
    fn len(&self) -> usize {
        self.lock().len()
    }

    /// Room for a call that holds this shard's lock: to be dropped before it.
    #[inline]
    fn reserve<'a>(&'a self, locked: &Shard<K, V, F>, ledger: &'a Ledger) -> Reservation<'a> {
        ledger.reserve_at(&self.spare, locked.most_spare())
    }
}

impl<K, V, F: Form> std::ops::Deref for CachePadded<K, V, F> {
    type Target = Mutex<Shard<K, V, F>>;

    #[inline]
    fn deref(&self) -> &Self::Target {
        &self.shard
    }
}

/// Locks a shard and tells it this time, which was read just now, or by a call that holds the
/// gatherer's lock: under that no clock is read. All others take [`Cache::lock_in_time`].
#[inline]
fn lock_at<K, V, F: Form>(
    shard: &Mutex<Shard<K, V, F>>,
    now: Moment,
) -> MutexGuard<'_, Shard<K, V, F>> {
    let mut shard = shard.lock();
    shard.advance_clock(now);
    shard
}

/// Lanes for the threads that are likely to read at the same time: twice as many as there
/// are processors, and some for those that wait for other things. In a small cache they lie
/// side by side, to keep it small. Hits are noted where they change the order.
fn lanes(shards: usize, notes: bool) -> Lanes {
    Lanes::new(threads(), u32::from(shards > 1), notes)
}

/// How many threads are likely to read at the same time.
fn threads() -> usize {
    const FEWEST: usize = if cfg!(brimful_loom) { 4 } else { 16 };
    const MOST: usize = 128;
    (2 * processors()).next_power_of_two().clamp(FEWEST, MOST)
}

/// The weight that entries use.
fn used<K, V, F: Form>(ledger: &Ledger, shards: &[CachePadded<K, V, F>]) -> u64 {
    let spare = || spare(shards, |spare| spare.weight);
    ledger.less_spare(|| ledger.weight(), spare)
}

/// What shards keep for their next entries, in one dimension.
fn spare<K, V, F: Form>(shards: &[CachePadded<K, V, F>], of: impl Fn(Room) -> u64) -> u64 {
    shards.iter().map(|shard| of(shard.spare.room())).sum()
}

/// A shard's fair share of a capacity.
fn share(capacity: u64, shards: usize) -> u64 {
    capacity / shards as u64
}

impl<K, V, F, S> Cache<K, V, F, S>
where
    K: Hash + Eq,
    F: Form,
    S: BuildHasher,
{
    #[inline]
    fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> Hashed {
        self.door.hash(key)
    }

    #[inline]
    #[track_caller]
    fn shard(&self, hashed: Hashed) -> &CachePadded<K, V, F> {
        self.may_be_called();
        self.make_place(hashed);
        &self.shards[hashed.shard(self.shards.len())]
    }

    /// Locks the shard of a key, and tells it what time it is.
    #[inline]
    #[track_caller]
    fn lock(&self, hashed: Hashed) -> MutexGuard<'_, Shard<K, V, F>> {
        let shard = self.shard(hashed);
        self.lock_in_time(shard, self.now())
    }

    /// The shard that this key belongs to, from 0 up to [`shards`](Cache::shards).
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// cache.insert("a", 1);
    /// assert!(cache.shard_of("a") < cache.shards());
    /// ```
    #[must_use]
    pub fn shard_of<Q>(&self, key: &Q) -> usize
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.hash(key).shard(self.shards.len())
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
    /// let cache = brimful::Cache::builder(Entries(10)).lingering().build()?;
    /// cache.insert("a", Held::new(1));
    /// let kept = cache.get("a");
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
    /// Prints the figures, not the entries: nothing is asked of `K` and `V`,
    /// and nothing is locked. So `len` is missing where it takes locks.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut figures = self.door.figures(self.counted(), self.used(), f);
        figures.field("shards", &self.shards.len());
        figures.finish_non_exhaustive()
    }
}

impl<K, V, F: Form, S> Drop for Cache<K, V, F, S> {
    /// Lets every entry go with cause [`CacheDropped`](Cause::CacheDropped), or
    /// [`Expired`](Cause::Expired) if it was past its end.
    fn drop(&mut self) {
        // A gatherer of another cache may be at one of them.
        self.door.close(self.shards.iter().map(|shard| {
            let locked = shard.lock();
            self.door.ledger.give_spare(&shard.spare);
            locked
        }));
    }
}

// No user code runs between two state changes, so a panic leaves nothing half
// done that a later caller could see.
impl<K, V, F, S> UnwindSafe for Cache<K, V, F, S>
where
    K: UnwindSafe,
    V: UnwindSafe,
    F: Form,
    S: UnwindSafe,
{
}

impl<K, V, F, S> RefUnwindSafe for Cache<K, V, F, S>
where
    K: UnwindSafe + RefUnwindSafe,
    V: UnwindSafe + RefUnwindSafe,
    F: Form,
    S: RefUnwindSafe,
{
}

#[cfg(test)]
#[cfg(not(brimful_loom))]
mod tests {
    use super::*;

    #[test]
    fn a_shard_takes_512_bytes_at_most() {
        assert!(size_of::<CachePadded<u64, u64, Duel>>() <= 512);
    }

    #[test]
    fn a_call_from_under_a_lock_panics_where_it_was_made() {
        use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
        use std::sync::Mutex;

        static MADE: Mutex<Vec<(String, u32)>> = Mutex::new(Vec::new());
        let this = std::thread::current().id();
        let before = take_hook();
        set_hook(Box::new(move |info| match info.location() {
            Some(made) if std::thread::current().id() == this => {
                MADE.lock()
                    .unwrap()
                    .push((made.file().to_owned(), made.line()));
            }
            _ => before(info),
        }));
        let cache = Cache::new(10);
        cache.insert(1, 1);
        let calls: [&dyn Fn(); 3] = [
            &|| {
                cache.insert(2, 2);
            },
            &|| {
                cache.get(&1);
            },
            &|| cache.clear(),
        ];
        for call in calls {
            let viewed = catch_unwind(AssertUnwindSafe(|| cache.view(&1, |_, _| call())));
            assert!(viewed.is_err());
        }
        let made = MADE.lock().unwrap();
        assert!(made.iter().all(|(file, _)| file == file!()), "{made:?}");
        assert_eq!(made.len(), calls.len());
        cache.check();
    }
}
