//! `Cache`: shards behind locks, one budget, one way out.
//!
//! Every call has the same form: check the thread's mark, weigh and hash
//! without a lock, open the way out, lock one shard, let the core do its work,
//! unlock, then tell and drop what left. Two shard locks are never held at
//! once. Only [`Cache::gather`] goes through several shards, one after
//! another, and it alone holds a second kind of lock (the gatherer's), always
//! taken first.
//!
//! Children add an ability each: `entry`, `iter`.

mod entry;
mod iter;

use entry::Same;

pub use entry::Entry;
pub use iter::{Drain, IntoIter, Iter, Keys, Values};

use crate::budget::Budget;
use crate::cause::Cause;
use crate::config::Config;
use crate::error::{Refused, Updated};
use crate::hash::{Hashed, RandomState};
use crate::leave::{Leave, go_on};
use crate::outbox::{Departure, Outbox};
use crate::policy::{Meta, Ours, Policy, S3Fifo, Slot, Touch, Weighed};
use crate::reentry::{self, Mark};
use crate::scale::Scale;
use crate::shard::{Offer, Placed, Shard};
use crate::stats::Snapshot;
use crate::sync::{RwLock, RwLockWriteGuard};
use crate::weight::Room;
use hashbrown::Equivalent;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::panic::{RefUnwindSafe, UnwindSafe, resume_unwind};
use std::time::Instant;

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
/// Each call locks one shard, so calls on keys of different shards don't meet.
/// Weighers (at insert), loaders, listeners and the drop of keys and values run
/// without any lock and may call back into this or any other cache. Under the
/// lock of one shard run `Eq` of keys, `Clone` of a hit, and the closures of
/// [`view`](Cache::view), [`update`](Cache::update), [`remove_if`](Cache::remove_if),
/// [`retain`](Cache::retain) and [`Entry::and_modify`], with the weigher that follows a
/// change; these must not call into any brimful cache. The closures panic if
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
pub struct Cache<K, V, P: Policy = S3Fifo, S = RandomState> {
    shards: Box<[RwLock<Shard<K, V, P>>]>,
    hasher: S,
    scale: Scale<K, V>,
    budget: Budget,
    leave: Leave<K, V>,
    entry_limit: Option<usize>,
}

/// A [`Cache`] whose entries have weights: of capacity
/// [`Weight`](crate::Weight) or [`Bytes`](crate::Bytes).
pub type WeighedCache<K, V, P = S3Fifo, S = RandomState> = Cache<K, V, Weighed<P>, S>;

impl<K, V, P: Policy, S> Cache<K, V, P, S> {
    pub(crate) fn open(config: Config<K, V, S>) -> Self
    where
        S: BuildHasher,
    {
        let shards = config.shards;
        let share = share(config.capacity, shards);
        let shard = |index: usize| {
            let seed = config.hasher.hash_one(index);
            RwLock::new(Shard::new(share, shards == 1, seed))
        };
        Self {
            shards: (0..shards).map(shard).collect(),
            budget: Budget::new(config.capacity, config.entry_limit.map(|n| n as u64)),
            scale: Scale::new(config.weigher, config.entry_limit),
            leave: Leave::new(config.listener),
            entry_limit: config.entry_limit,
            hasher: config.hasher,
        }
    }

    /// How many entries are resident: one atomic load for caches that count
    /// entries or limit them. Exact when nobody else is writing; never more
    /// than the capacity. Room on its way to an entry counts as used.
    pub fn len(&self) -> usize {
        reentry::check();
        self.count() as usize
    }

    fn count(&self) -> u64 {
        if weighed::<P>() {
            self.budget.entries()
        } else {
            self.budget.weight()
        }
    }

    /// Whether no entry is resident.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
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
        {
            let _alone = self.budget.exclude_gatherers();
            self.budget.set_capacity(capacity);
            for shard in &self.shards {
                // Also the barrier after which nobody can have seen the old capacity.
                shard.write().set_share(share);
            }
        }
        let mut panic = None;
        for floor in [share, 0] {
            for shard in &self.shards {
                loop {
                    let mut leaving = self.leave.open();
                    let out = leaving.outbox();
                    let more = shard.write().work_off(floor, A_BATCH, &self.budget, out);
                    panic = panic.or(leaving.settle_quietly());
                    if !more {
                        break;
                    }
                }
            }
        }
        go_on(panic);
    }

    /// Takes every entry out, with cause [`Cleared`](Cause::Cleared).
    ///
    /// An entry whose insert returned before this call began is gone when it
    /// returns. Shards are emptied one after another in O(1) each under their
    /// lock; entries are told and dropped outside. Memory of the tables goes back.
    pub fn clear(&self) {
        reentry::check();
        let mut panic = None;
        for shard in &self.shards {
            let taken = shard.write().empty(Cause::Cleared, &self.budget);
            panic = panic.or(self.leave.all(taken, Cause::Cleared));
        }
        go_on(panic);
    }

    /// Gives unused memory of the tables back to the allocator. O(entries),
    /// one shard locked at a time.
    pub fn shrink_to_fit(&self) {
        reentry::check();
        for shard in &self.shards {
            shard.write().shrink_to_fit();
        }
    }

    /// The statistics of all shards in sum. O(shards), one shared lock at a time.
    pub fn stats(&self) -> Snapshot {
        reentry::check();
        let mut sum = Snapshot::default();
        for shard in &self.shards {
            sum.add(&shard.read().snapshot());
        }
        sum.weight = self.budget.weight();
        sum.len = self.count();
        sum.capacity = self.budget.capacity();
        sum.listener_panics = self.leave.panics();
        sum
    }

    /// The statistics of one shard, or `None` if there is none of that number.
    pub fn shard_stats(&self, shard: usize) -> Option<Snapshot> {
        reentry::check();
        Some(self.shards.get(shard)?.read().snapshot())
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
            .map(|shard| shard.write().check())
            .fold(Room::NONE, Room::plus);
        assert_eq!(held.weight, self.budget.weight(), "weight held and used");
        assert_eq!(held.entries, self.budget.entries(), "entries held and used");
        assert!(self.budget.weight() <= self.budget.capacity(), "weight");
        assert!(
            self.budget.entries() <= self.budget.entry_limit(),
            "entries"
        );
    }
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
        reentry::check();
        Hashed::new(&self.hasher, key)
    }

    #[inline]
    fn shard(&self, hashed: Hashed) -> &RwLock<Shard<K, V, P>> {
        &self.shards[hashed.shard(self.shards.len())]
    }

    /// The shard that this key belongs to, from 0 up to [`shards`](Cache::shards).
    pub fn shard_of<Q>(&self, key: &Q) -> usize
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.hash(key).shard(self.shards.len())
    }

    /// Looks a key up, touches it, and gives `read` what it found, all under
    /// the lock that the policy asks for.
    #[inline]
    fn read<Q, R>(&self, hashed: Hashed, key: &Q, read: impl FnOnce(&K, &V) -> R) -> Option<R>
    where
        Q: Equivalent<K> + ?Sized,
    {
        let is = |found: &K| key.equivalent(found);
        match P::TOUCH {
            Touch::Shared => {
                let shard = self.shard(hashed).read();
                let _mark = Mark::set_in_debug();
                let (key, value) = shard.get_shared(hashed.tag(), is)?;
                Some(read(key, value))
            }
            Touch::Exclusive => {
                let mut shard = self.shard(hashed).write();
                let _mark = Mark::set_in_debug();
                let (key, value) = shard.get(hashed.tag(), is)?;
                Some(read(key, value))
            }
        }
    }

    /// A clone of the value, if the key is there. Counts as a use.
    ///
    /// The clone is made under the shard's lock: keep it cheap (`Arc`, small
    /// values), or use [`view`](Cache::view).
    #[inline]
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
        V: Clone,
    {
        self.read(self.hash(key), key, |_, value| value.clone())
    }

    /// Calls `view` with the stored key and value, under the shard's lock and
    /// without a clone. Counts as a use.
    ///
    /// ```
    /// let cache = brimful::Cache::new(10);
    /// cache.insert("page", vec![0_u8; 4096]);
    /// assert_eq!(cache.view("page", |_, bytes| bytes.len()), Some(4096));
    /// ```
    ///
    /// # Panics
    /// If `view` calls into any brimful [`Cache`].
    #[inline]
    pub fn view<Q, R>(&self, key: &Q, view: impl FnOnce(&K, &V) -> R) -> Option<R>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.read(self.hash(key), key, |key, value| {
            let _mark = Mark::set();
            view(key, value)
        })
    }

    /// Reads without touching: neither the order nor the statistics change.
    #[inline]
    fn quietly<Q, R>(&self, key: &Q, read: impl FnOnce(&K, &V) -> R) -> Option<R>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let hashed = self.hash(key);
        let shard = self.shard(hashed).read();
        let _mark = Mark::set_in_debug();
        let entry = shard.peek(hashed.tag(), |found| key.equivalent(found))?;
        Some(read(&entry.key, &entry.value))
    }

    /// A clone of the value, if the key is there. Does not count as a use:
    /// neither the order nor the statistics change.
    pub fn peek<Q>(&self, key: &Q) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
        V: Clone,
    {
        self.quietly(key, |_, value| value.clone())
    }

    /// Whether the key is there. Does not count as a use.
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.quietly(key, |_, _| ()).is_some()
    }

    /// Stores a value and returns the older one under the same key.
    ///
    /// Room is made before the entry is published. A value heavier than the
    /// whole capacity is refused: the listener hears of it and it is dropped;
    /// the older value under its key leaves too and is returned. Use
    /// [`try_insert`](Cache::try_insert) to get a refused value back.
    ///
    /// An older value is readable until the new one is in its place. The entry
    /// is never the victim of its own insert: a `get` that follows finds it,
    /// unless it was refused or another thread wrote in between. As with std's
    /// maps, the older *key* stays.
    #[inline]
    pub fn insert(&self, key: K, value: V) -> Option<V> {
        let weight = self.scale.weigh::<P>(&key, &value);
        self.store(key, value, weight)
    }

    /// The same, with the verdict: `Ok(None)` stored, `Ok(Some(old))` stored in
    /// place of an older value.
    ///
    /// # Errors
    /// If the entry is heavier than the whole capacity it is refused; key and
    /// value, the reason, and the older value that left with them are handed back.
    ///
    /// ```
    /// use brimful::Cache;
    ///
    /// let cache = Cache::weighted(100, |_: &u32, text: &String| text.len() as u64);
    /// let refused = cache.try_insert(1, "x".repeat(101)).unwrap_err();
    /// assert_eq!(refused.value.len(), 101);
    /// assert!(refused.to_string().contains("weight 101"));
    /// ```
    pub fn try_insert(&self, key: K, value: V) -> Result<Option<V>, Refused<K, V>> {
        let weight = self.scale.weigh::<P>(&key, &value);
        self.put(key, value, weight)
    }

    #[inline]
    fn store(&self, key: K, value: V, weight: u64) -> Option<V> {
        match self.put(key, value, weight) {
            Ok(old) => old,
            Err(refused) => refused.old,
        }
    }

    #[inline]
    fn put(&self, key: K, value: V, weight: u64) -> Result<Option<V>, Refused<K, V>> {
        let hashed = self.hash(&key);
        let offer = Offer {
            tag: hashed.tag(),
            key,
            value,
            weight,
            only_if_absent: false,
        };
        let mut leaving = self.leave.open();
        match self.place(hashed, offer, leaving.outbox()) {
            Placed::Refused(reason) => leaving.hand_back(reason),
            _ => Ok(leaving.hand_over(Cause::Replaced).map(value_of)),
        }
    }

    /// Stores a value unless the key is there by now; a clone of what stays.
    fn put_if_absent(&self, key: K, value: V) -> V
    where
        V: Clone,
    {
        let weight = self.scale.weigh::<P>(&key, &value);
        let copy = value.clone();
        let hashed = self.hash(&key);
        let offer = Offer {
            tag: hashed.tag(),
            key,
            value,
            weight,
            only_if_absent: true,
        };
        let mut leaving = self.leave.open();
        let placed = self.place(hashed, offer, leaving.outbox());
        leaving.settle();
        match placed {
            Placed::Present(offer) => self.peek(&Same(&offer.key)).unwrap_or(copy),
            _ => copy,
        }
    }

    #[inline]
    fn place(&self, hashed: Hashed, offer: Offer<K, V>, out: &mut Outbox<K, V>) -> Placed<K, V> {
        let placed = {
            let mut hand = self.budget.hand();
            let mut shard = self.shard(hashed).write();
            let _mark = Mark::set_in_debug();
            shard.insert(offer, &mut hand, out)
        };
        match placed {
            Placed::NeedsRoom(offer, need) => self.gather(hashed, offer, need, out),
            placed => placed,
        }
    }

    /// Makes room for an offer whose own shard cannot, or should not alone.
    ///
    /// One gatherer at a time. It takes what is free, then lets every shard
    /// yield what it holds above its share, then above three quarters of it,
    /// then all: one shard's lock at a time, each pass once around. Others can
    /// take nothing from the budget meanwhile, so after the last pass all there
    /// is lies in the hand, and the offer fits or is heavier than the capacity.
    /// The value it replaces is spared; if that one left meanwhile (another
    /// thread took it) a second turn gathers for the whole weight.
    #[cold]
    #[inline(never)]
    fn gather(
        &self,
        hashed: Hashed,
        mut offer: Offer<K, V>,
        mut need: Room,
        out: &mut Outbox<K, V>,
    ) -> Placed<K, V> {
        let gatherer = self.budget.gather();
        let mut hand = gatherer.hand();
        let mut spare = true;
        loop {
            self.gather_into(&mut hand, hashed, spare.then_some(&offer), need, out);
            let mut home = self.shard(hashed).write();
            let _mark = Mark::set_in_debug();
            match home.insert(offer, &mut hand, out) {
                Placed::NeedsRoom(again, _) => offer = again,
                placed => return placed,
            }
            spare = false;
            need = Room {
                weight: offer.weight,
                entries: u64::from(weighed::<P>()),
            };
        }
    }

    fn gather_into(
        &self,
        hand: &mut crate::budget::Hand<'_>,
        hashed: Hashed,
        spare: Option<&Offer<K, V>>,
        need: Room,
        out: &mut Outbox<K, V>,
    ) {
        let shards = self.shards.len();
        let home = hashed.shard(shards);
        let share = share(self.budget.capacity(), shards);
        for floor in [share, share - share / 4, 0] {
            // The home shard comes last: it needs room itself.
            for index in (home + 1..shards).chain(0..=home) {
                if hand.fill(need) || need.weight > self.budget.capacity() {
                    return;
                }
                let mut shard = self.shards[index].write();
                let keep = match spare {
                    Some(offer) if index == home => self.kept_slot(&shard, offer),
                    _ => None,
                };
                shard.yield_room(floor, need, keep, hand, out);
            }
        }
        hand.fill(need);
    }

    /// Where the value lies that an offer is to replace.
    fn kept_slot(
        &self,
        shard: &RwLockWriteGuard<'_, Shard<K, V, P>>,
        offer: &Offer<K, V>,
    ) -> Option<Slot> {
        let _mark = Mark::set_in_debug();
        shard.slot(offer.tag, |key| *key == offer.key)
    }

    /// The value under the key; if there is none, that of `load`, stored under it.
    ///
    /// `load` runs without any lock and may use this cache. Callers that miss
    /// the same key at the same time each run their own `load` for now, and the
    /// first value stored is what all of them return; a later version will let
    /// them share one load. A loaded value that the cache refuses is returned
    /// all the same.
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// let length = cache.get_or_insert_with("word", || 4);
    /// assert_eq!(length, 4);
    /// assert_eq!(cache.get_or_insert_with("word", || unreachable!()), 4);
    /// # let _: Option<usize> = cache.get(&"word".to_string());
    /// ```
    pub fn get_or_insert_with<Q>(&self, key: &Q, load: impl FnOnce() -> V) -> V
    where
        Q: Hash + Equivalent<K> + ToOwned<Owned = K> + ?Sized,
        V: Clone,
    {
        if let Some(value) = self.get(key) {
            return value;
        }
        let began = Instant::now();
        let value = load();
        let hashed = self.hash(key);
        self.shard(hashed).read().counts().loaded(began.elapsed());
        self.put_if_absent(key.to_owned(), value)
    }

    /// Takes the entry out and returns its value.
    pub fn remove<Q>(&self, key: &Q) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.take(key, |_, _| true).map(value_of)
    }

    /// Takes the entry out and returns it.
    pub fn remove_entry<Q>(&self, key: &Q) -> Option<(K, V)>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let left = self.take(key, |_, _| true)?;
        Some((left.key, left.value))
    }

    /// Takes the entry out if `condition` holds for it, as one step: nobody
    /// writes in between.
    ///
    /// # Panics
    /// If `condition` calls into any brimful [`Cache`].
    pub fn remove_if<Q>(&self, key: &Q, condition: impl FnOnce(&K, &V) -> bool) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.take(key, |key, value| {
            let _mark = Mark::set();
            condition(key, value)
        })
        .map(value_of)
    }

    fn take<Q>(&self, key: &Q, condition: impl FnOnce(&K, &V) -> bool) -> Option<Departure<K, V>>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let hashed = self.hash(key);
        let mut leaving = self.leave.open();
        {
            let mut shard = self.shard(hashed).write();
            let _mark = Mark::set_in_debug();
            let slot = shard.slot(hashed.tag(), |found| key.equivalent(found))?;
            let entry = shard.entry(slot)?;
            if condition(&entry.key, &entry.value) {
                shard.leave(slot, Cause::Removed, &self.budget, leaving.outbox());
            }
        }
        leaving.hand_over(Cause::Removed)
    }

    /// Changes a value where it stands, under the shard's lock. Counts as a use.
    ///
    /// The value is weighed anew before the lock is left. If it grew, entries of
    /// its own shard make room; if that is not enough, it leaves with cause
    /// [`Refused`](Cause::Refused) and the answer says so. If `change` panics,
    /// the value stays as `change` left it and is weighed all the same.
    ///
    /// # Panics
    /// If `change`, or the weigher after it, calls into any brimful [`Cache`].
    /// If the weigher panics the value leaves with cause `Refused`.
    pub fn update<Q, R>(&self, key: &Q, change: impl FnOnce(&mut V) -> R) -> Updated<R>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let hashed = self.hash(key);
        let mut leaving = self.leave.open();
        let updated = {
            let mut shard = self.shard(hashed).write();
            let marked = Mark::set_in_debug();
            let found = shard.look_up(hashed.tag(), |found| key.equivalent(found));
            drop(marked);
            let Some(slot) = found else {
                return Updated::Absent;
            };
            let _mark = Mark::set();
            let change = |_: &K, value: &mut V| change(value);
            shard.change(slot, &self.scale, &self.budget, change, leaving.outbox())
        };
        leaving.settle();
        updated.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Keeps the entries for which `keep` answers `true`; the others leave with
    /// cause [`Removed`](Cause::Removed).
    ///
    /// Runs now, one shard at a time under its lock; values may be changed and
    /// are weighed anew, and one that finds no room leaves with cause
    /// [`Refused`](Cause::Refused). Entries written meanwhile in shards already
    /// passed are not seen. O(entries).
    ///
    /// # Panics
    /// If `keep`, or the weigher after it, calls into any brimful [`Cache`].
    /// If `keep` panics the walk ends there.
    pub fn retain(&self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        reentry::check();
        let mut panic = None;
        for shard in &self.shards {
            let mut leaving = self.leave.open();
            let walked = {
                let mut shard = shard.write();
                let _mark = Mark::set();
                shard.retain(&self.scale, &self.budget, &mut keep, leaving.outbox())
            };
            panic = panic.or(leaving.settle_quietly());
            if let Err(stopped) = walked {
                panic = Some(stopped);
                break;
            }
        }
        go_on(panic);
    }

    /// Inserts all of them, one after another.
    pub fn extend(&self, entries: impl IntoIterator<Item = (K, V)>) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<K, V, P, S> WeighedCache<K, V, P, S>
where
    K: Hash + Eq,
    P: Policy,
    S: BuildHasher,
{
    /// Stores a value with a weight of its own; the weigher is not asked, until
    /// the value is changed in place.
    pub fn insert_weighted(&self, key: K, value: V, weight: u64) -> Option<V> {
        self.store(key, value, self.scale.charge(weight))
    }

    /// The same, with the verdict.
    ///
    /// # Errors
    /// As [`try_insert`](Cache::try_insert).
    pub fn try_insert_weighted(
        &self,
        key: K,
        value: V,
        weight: u64,
    ) -> Result<Option<V>, Refused<K, V>> {
        self.put(key, value, self.scale.charge(weight))
    }

    /// What the entry under this key is charged. Does not count as a use.
    pub fn weight_of<Q>(&self, key: &Q) -> Option<u64>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let hashed = self.hash(key);
        let shard = self.shard(hashed).read();
        let _mark = Mark::set_in_debug();
        let entry = shard.peek(hashed.tag(), |found| key.equivalent(found))?;
        Some(entry.meta.weight(Ours))
    }
}

fn value_of<K, V>(left: Departure<K, V>) -> V {
    left.value
}

impl<K, V, P, S> Extend<(K, V)> for Cache<K, V, P, S>
where
    K: Hash + Eq,
    P: Policy,
    S: BuildHasher,
{
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        Cache::extend(self, entries);
    }
}

impl<K, V, P: Policy, S> fmt::Debug for Cache<K, V, P, S> {
    /// Prints the figures, not the entries: nothing is asked of `K` and `V`,
    /// and nothing is locked.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("len", &self.count())
            .field("weight", &self.budget.weight())
            .field("capacity", &self.budget.capacity())
            .field("shards", &self.shards.len())
            .finish_non_exhaustive()
    }
}

impl<K, V, P: Policy, S> Drop for Cache<K, V, P, S> {
    /// Lets every entry go with cause [`CacheDropped`](Cause::CacheDropped).
    fn drop(&mut self) {
        if self.leave.is_silent() {
            return;
        }
        let mut panic = None;
        for shard in &mut self.shards {
            let taken = shard.get_mut().empty(Cause::CacheDropped, &self.budget);
            panic = panic.or(self.leave.all(taken, Cause::CacheDropped));
        }
        go_on(panic);
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
