//! `unsync::Cache`: the same core for one owner, without locks.
//!
//! One shard, `&mut self`, references instead of clones. What inserts and
//! hands back a reference returns a `Result`, since a refused value is not
//! resident.
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

mod time;

use crate::budget::Budget;
use crate::cause::Cause;
use crate::clock::Moment;
use crate::config::Config;
use crate::error::{Refused, Updated};
use crate::expiry::Expiry;
use crate::form::{Form, Weighed, extra::Extra};
use crate::hash::{Hashed, RandomState};
use crate::leave::Leave;
use crate::policy::{Duel, Slot, Tag};
use crate::scale::Scale;
use crate::shard::{Offer, Placed, Shard, Tally};
use crate::stats::Snapshot;
use crate::sync::{AtomicU64, Ordering};
use crate::table;
use crate::unit::Unit;
use crate::unwind::{Panics, after_dropping, after_dropping_pair};
use hashbrown::Equivalent;
use std::convert::Infallible;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Instant;

/// A bounded cache for one owner: the methods of [`brimful::Cache`](crate::Cache),
/// with `&mut self` and references instead of clones.
///
/// Its order of eviction is exact as a whole, since there is one shard.
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
    hasher: S,
    scale: Scale<K, V>,
    budget: Budget,
    leave: Leave<K, V>,
    entry_limit: Option<usize>,
    expiry: Expiry<K, V>,
    /// The latest time that a read by `&self` was told: it can't tell the shard.
    heard: AtomicU64,
}

impl<K, V, F: Form, S> Cache<K, V, F, S> {
    pub(crate) fn open(config: Config<K, V, S>) -> Self
    where
        S: BuildHasher,
    {
        let seed = config.hasher.hash_one(0_usize);
        Self {
            shard: Shard::new(config.capacity, true, seed, config.expiry.to_idle),
            budget: Budget::new(config.capacity, config.entry_limit.map(|n| n as u64)),
            scale: Scale::new(config.weigher, config.overhead, config.entry_limit),
            leave: Leave::new(config.listener),
            entry_limit: config.entry_limit,
            expiry: config.expiry,
            heard: AtomicU64::new(0),
            hasher: config.hasher,
        }
    }

    /// What time it is, where entries have lives; never less than before.
    #[inline]
    fn now(&self) -> Moment {
        if !F::TIMED {
            return 0;
        }
        let told = self.expiry.now().max(self.shard.now());
        let before = self.heard.load(Ordering::Relaxed);
        if told > before {
            self.heard.fetch_max(told, Ordering::Relaxed);
        }
        told.max(before)
    }

    /// Tells the shard what time it is.
    #[inline]
    fn hear(&mut self) {
        if F::TIMED {
            let told = self.expiry.now().max(self.heard.load(Ordering::Relaxed));
            self.shard.hear(told);
        }
    }

    /// How many entries are resident. Exact. Those past the end of their life that
    /// no write or sweep has taken out yet are counted.
    pub fn len(&self) -> usize {
        self.shard.len()
    }

    /// Whether no entry is resident.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The weight of all resident entries. Exact.
    pub fn weight(&self) -> u64 {
        self.shard.weight()
    }

    /// The capacity: [`Entries`](crate::Entries), or [`Units`](crate::Units) of weight.
    pub fn capacity(&self) -> F::Unit {
        F::Unit::of(self.budget.capacity())
    }

    /// The most entries, if the builder named a limit beside the capacity.
    pub fn entry_limit(&self) -> Option<usize> {
        self.entry_limit
    }

    /// The hasher.
    pub fn hasher(&self) -> &S {
        &self.hasher
    }

    /// Changes the capacity, as [`brimful::Cache::set_capacity`](crate::Cache::set_capacity)
    /// does; evicts what no longer fits.
    pub fn set_capacity(&mut self, capacity: impl Into<F::Unit>) {
        let capacity = capacity.into().amount();
        let mut panics = Panics::none();
        self.budget.set_capacity(capacity);
        self.hear();
        self.shard.set_share(capacity, &mut panics);
        let mut leaving = self.leave.open();
        let out = leaving.outbox();
        self.shard
            .work_off(0, usize::MAX, &self.budget, out, &mut panics);
        panics.add(leaving.settle_quietly());
        panics.resume();
    }

    /// Takes every entry out, with cause [`Cleared`](Cause::Cleared).
    pub fn clear(&mut self) {
        self.hear();
        let mut panics = Panics::none();
        let mut tally = Tally::default();
        let taken = self.shard.empty(Cause::Cleared, &self.budget, &mut panics);
        let told = self.leave.all(taken.inspect(|left| tally.note(left)));
        self.shard.recount(&tally, Cause::Cleared);
        panics.add(told);
        panics.resume();
    }

    /// Gives unused memory of the table back to the allocator. O(entries).
    pub fn shrink_to_fit(&mut self) {
        self.shard.shrink_to_fit();
    }

    /// The statistics.
    pub fn stats(&self) -> Snapshot {
        let mut snapshot = self.shard.snapshot();
        snapshot.listener_panics = self.leave.panics();
        snapshot
    }

    /// All entries, in no particular order. Does not count as a use.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.shard.iter(self.now())
    }

    /// All keys, in no particular order.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    /// All values, in no particular order.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// Takes every entry out, with cause [`Removed`](Cause::Removed).
    pub fn drain(&mut self) -> impl Iterator<Item = (K, V)> + use<K, V, F, S> {
        self.take_all().into_iter()
    }

    fn take_all(&mut self) -> Vec<(K, V)> {
        self.hear();
        let mut panics = Panics::none();
        let taken = self.shard.empty(Cause::Removed, &self.budget, &mut panics);
        if !F::TIMED {
            return self.leave.hand_over_all(taken, Cause::Removed, panics);
        }
        let mut tally = Tally::default();
        let taken: Vec<_> = taken.inspect(|left| tally.note(left)).collect();
        self.shard.recount(&tally, Cause::Removed);
        let taken = taken.into_iter();
        self.leave.hand_over_all(taken, Cause::Removed, panics)
    }

    /// Proves every invariant of every room from scratch; for tests. O(entries).
    ///
    /// # Panics
    /// If an invariant does not hold.
    #[doc(hidden)]
    pub fn check(&mut self) {
        let held = self.shard.check();
        assert_eq!(held.weight, self.budget.weight(), "weight held and used");
        assert!(self.budget.weight() <= self.budget.capacity(), "weight");
        if let Some(entries) = self.budget.entries() {
            assert_eq!(held.entries, entries, "entries held and used");
            assert!(Some(entries as usize) <= self.entry_limit, "entries");
        }
    }
}

impl<K, V, F, S> Cache<K, V, F, S>
where
    K: Hash + Eq,
    F: Form,
    S: BuildHasher,
{
    #[inline]
    fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> Hashed {
        Hashed::new(&self.hasher, key)
    }

    /// Reads without touching.
    #[inline]
    fn quietly<Q>(&self, key: &Q) -> Option<&table::Entry<K, V, F>>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let now = self.now();
        self.shard
            .peek(self.hash(key).tag(), |found| key.equivalent(found), now)
    }

    /// Finds a key, touches its entry, and counts the hit or the miss.
    #[inline]
    fn look_up<Q>(&mut self, key: &Q) -> Option<Slot>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let tag = self.hash(key).tag();
        self.find(tag, |found| key.equivalent(found))
    }

    #[inline]
    fn find(&mut self, tag: Tag, is: impl FnMut(&K) -> bool) -> Option<Slot> {
        self.hear();
        self.shard.look_up(tag, is)
    }

    #[inline]
    fn read_key<Q>(&mut self, key: &Q) -> Option<Slot>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let tag = self.hash(key).tag();
        self.read(tag, |found| key.equivalent(found))
    }

    /// The same for a read, which may give the entry a new life.
    #[inline]
    fn read(&mut self, tag: Tag, is: impl FnMut(&K) -> bool) -> Option<Slot> {
        let slot = self.find(tag, is)?;
        if F::TIMED && self.expiry.rules_reads() {
            let entry = self.shard.entry(slot)?;
            if let Some(life) = self.expiry.life_on_read(&entry.key, &entry.value) {
                self.shard.set_life_on_read(slot, life);
            }
        }
        Some(slot)
    }

    /// The value, if the key is there. Counts as a use.
    #[inline]
    pub fn get<Q>(&mut self, key: &Q) -> Option<&V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let slot = self.read_key(key)?;
        self.shard.entry(slot).map(|entry| &entry.value)
    }

    /// The value, to be changed; weighed anew when the guard drops. Counts as a use.
    pub fn get_mut<Q>(&mut self, key: &Q) -> Option<RefMut<'_, K, V, F, S>>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let slot = self.look_up(key)?;
        Some(RefMut::new(self, slot))
    }

    /// Calls `view` with the stored key and value. Counts as a use.
    pub fn view<Q, R>(&mut self, key: &Q, view: impl FnOnce(&K, &V) -> R) -> Option<R>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let slot = self.read_key(key)?;
        let entry = self.shard.entry(slot)?;
        Some(view(&entry.key, &entry.value))
    }

    /// The value, if the key is there. Does not count as a use.
    pub fn peek<Q>(&self, key: &Q) -> Option<&V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.quietly(key).map(|entry| &entry.value)
    }

    /// Whether the key is there. Does not count as a use.
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.quietly(key).is_some()
    }

    /// Stores a value and returns the older one under the same key. A value
    /// heavier than the whole capacity is refused, as in
    /// [`brimful::Cache::insert`](crate::Cache::insert).
    #[inline]
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let weight = self.scale.weigh::<F>(&key, &value);
        let life = self.life(&key, &value);
        self.store(key, value, weight, life)
    }

    /// The same, with the verdict: `Ok(None)` stored, `Ok(Some(old))` stored in
    /// place of an older value.
    ///
    /// # Errors
    /// If the entry is heavier than the whole capacity; all is handed back.
    pub fn try_insert(&mut self, key: K, value: V) -> Result<Option<V>, Refused<K, V>> {
        let weight = self.scale.weigh::<F>(&key, &value);
        let life = self.life(&key, &value);
        self.put(key, value, weight, life)
    }

    fn store(&mut self, key: K, value: V, weight: u64, life: u64) -> Option<V> {
        match self.put(key, value, weight, life) {
            Ok(old) => old,
            Err(Refused {
                key, value, old, ..
            }) => after_dropping_pair(key, value, old),
        }
    }

    #[inline]
    fn put(
        &mut self,
        key: K,
        value: V,
        weight: u64,
        life: u64,
    ) -> Result<Option<V>, Refused<K, V>> {
        let tag = self.hash(&key).tag();
        self.place(tag, key, value, weight, life)
            .map(|(_, old)| old)
    }

    /// Stores a value; where it lies, and what it replaced.
    #[inline]
    fn place(
        &mut self,
        tag: Tag,
        key: K,
        value: V,
        weight: u64,
        life: u64,
    ) -> Result<(Slot, Option<V>), Refused<K, V>> {
        self.hear();
        let mut offer = Offer {
            tag,
            pair: Some((key, value)),
            weight,
            life,
            only_if_absent: false,
            lands: false,
        };
        let mut leaving = self.leave.open();
        let mut hand = self.budget.hand();
        match self.shard.insert(&mut offer, &mut hand, leaving.outbox()) {
            Placed::Stored(slot) => Ok((slot, leaving.hand_over_value(Cause::Replaced))),
            Placed::Refused(reason) => match leaving.hand_back(reason) {
                Err(refused) => Err(refused),
                Ok(_) => unreachable!("a refusal hands back what it refused"),
            },
            Placed::Present | Placed::NeedsRoom(_) => {
                unreachable!("a lone shard pays for all room itself")
            }
        }
    }

    /// Stores under a key that is not there; where the value lies then.
    fn place_new(&mut self, tag: Tag, key: K, value: V) -> Result<Slot, Refused<K, V>> {
        let weight = self.scale.weigh::<F>(&key, &value);
        let life = self.life(&key, &value);
        self.place(tag, key, value, weight, life)
            .map(|(slot, _)| slot)
    }

    /// The value under the key; if there is none, or a [stale](crate::Builder::refresh_after)
    /// one, that of `load`, stored under it.
    ///
    /// # Errors
    /// If the loaded value is heavier than the whole capacity: it is handed back.
    ///
    /// ```
    /// use brimful::unsync::Cache;
    ///
    /// let mut lengths = Cache::new(100);
    /// let length = lengths.get_or_insert_with("word", || 4)?;
    /// assert_eq!(*length, 4);
    /// # let _: Option<&usize> = lengths.get(&"word".to_string());
    /// # Ok::<(), brimful::Refused<String, usize>>(())
    /// ```
    pub fn get_or_insert_with<Q>(
        &mut self,
        key: &Q,
        load: impl FnOnce() -> V,
    ) -> Result<&V, Refused<K, V>>
    where
        Q: Hash + Equivalent<K> + ToOwned<Owned = K> + ?Sized,
    {
        let loaded = self.try_get_or_insert_with(key, || Ok(load()));
        loaded.unwrap_or_else(|never: Infallible| match never {})
    }

    /// The same with a loader that can fail. An error is not stored.
    ///
    /// # Errors
    /// The outer one is the loader's, the inner one the cache's, if the loaded
    /// value is heavier than the whole capacity.
    ///
    /// ```
    /// use brimful::unsync::Cache;
    ///
    /// let mut numbers = Cache::<String, u64>::new(100);
    /// assert!(numbers.try_get_or_insert_with("twelve", || "twelve".parse()).is_err());
    /// assert_eq!(numbers.try_get_or_insert_with("12", || "12".parse())?.ok(), Some(&12));
    /// # Ok::<(), std::num::ParseIntError>(())
    /// ```
    pub fn try_get_or_insert_with<Q, E>(
        &mut self,
        key: &Q,
        load: impl FnOnce() -> Result<V, E>,
    ) -> Result<Result<&V, Refused<K, V>>, E>
    where
        Q: Hash + Equivalent<K> + ToOwned<Owned = K> + ?Sized,
    {
        let tag = self.hash(key).tag();
        let is = |found: &K| key.equivalent(found);
        let found = self.read(tag, is);
        let stale = found.is_some_and(|slot| self.is_stale(slot));
        let placed = match found {
            Some(slot) if !stale => Ok(slot),
            _ => match self.loaded(load, stale) {
                Ok(value) => self.place_new(tag, key.to_owned(), value),
                Err(error) => match self.stale_slot(stale, tag, is) {
                    Some(slot) => after_dropping(error, Ok(slot)),
                    None => return Err(error),
                },
            },
        };
        Ok(placed.map(|slot| self.value_in(slot)))
    }

    /// Runs a loader, and counts how it ends.
    fn loaded<E>(&mut self, load: impl FnOnce() -> Result<V, E>, stale: bool) -> Result<V, E> {
        let began = Instant::now();
        let loaded = load();
        let loads = self.shard.flights.loads();
        match &loaded {
            Ok(_) => loads.landed(Some(began.elapsed()), stale),
            Err(_) => loads.failed(),
        }
        loaded
    }

    fn is_stale(&self, slot: Slot) -> bool {
        self.expiry.refreshes() && self.shard.is_stale(slot, self.expiry.refresh_after)
    }

    /// Where the stale value is that stands in for one whose load has failed.
    fn stale_slot(&mut self, stale: bool, tag: Tag, is: impl FnMut(&K) -> bool) -> Option<Slot> {
        self.hear();
        let stands_in = stale && self.expiry.stale_if_error;
        stands_in.then(|| self.shard.slot(tag, is)).flatten()
    }

    /// The values under these keys, in their order. Each counts as a use.
    ///
    /// ```
    /// let mut cache = brimful::unsync::Cache::new(100);
    /// cache.extend([("a", 1), ("b", 2)]);
    /// assert_eq!(cache.get_many(["b", "c", "a"]), [Some(&2), None, Some(&1)]);
    /// ```
    pub fn get_many<'q, Q>(&mut self, keys: impl IntoIterator<Item = &'q Q>) -> Vec<Option<&V>>
    where
        Q: Hash + Equivalent<K> + ?Sized + 'q,
    {
        let slots: Vec<_> = keys.into_iter().map(|key| self.look_up(key)).collect();
        let value = |slot| self.shard.entry(slot).map(|entry| &entry.value);
        slots.into_iter().map(|slot| slot.and_then(value)).collect()
    }

    fn value_in(&self, slot: Slot) -> &V {
        let entry = self.shard.entry(slot);
        &entry.expect("the slot was just found or filled").value
    }

    /// The words of `HashMap::entry`.
    ///
    /// ```
    /// let mut visits = brimful::unsync::Cache::new(100);
    /// for page in ["a", "b", "a"] {
    ///     *visits.entry(page).or_insert(0)? += 1;
    /// }
    /// assert_eq!(visits.get("a"), Some(&2));
    /// # Ok::<(), brimful::Refused<&str, u32>>(())
    /// ```
    pub fn entry(&mut self, key: K) -> Entry<'_, K, V, F, S> {
        let tag = self.hash(&key).tag();
        Entry {
            cache: self,
            tag,
            key,
        }
    }

    /// Takes the entry out and returns its value.
    pub fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let (key, value) = self.remove_entry(key)?;
        Some(after_dropping(key, value))
    }

    /// Takes the entry out and returns it.
    pub fn remove_entry<Q>(&mut self, key: &Q) -> Option<(K, V)>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.take(key, |_, _| true)
    }

    /// Takes the entry out if `condition` holds for it.
    pub fn remove_if<Q>(&mut self, key: &Q, condition: impl FnOnce(&K, &V) -> bool) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let (key, value) = self.take(key, condition)?;
        Some(after_dropping(key, value))
    }

    fn take<Q>(&mut self, key: &Q, condition: impl FnOnce(&K, &V) -> bool) -> Option<(K, V)>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.hear();
        let tag = self.hash(key).tag();
        let is = |found: &K| key.equivalent(found);
        let mut leaving = self.leave.open();
        let out = leaving.outbox();
        if let Some(slot) = self.shard.claim(tag, is, &self.budget, out) {
            let entry = self.shard.entry(slot)?;
            if condition(&entry.key, &entry.value) {
                self.shard.leave(slot, Cause::Removed, &self.budget, out);
            }
        }
        let left = leaving.hand_over(Cause::Removed)?;
        Some((left.key, left.value))
    }

    /// Changes a value where it stands, and weighs it anew, as
    /// [`brimful::Cache::update`](crate::Cache::update) does.
    pub fn update<Q, R>(&mut self, key: &Q, change: impl FnOnce(&mut V) -> R) -> Updated<R>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        match self.look_up(key) {
            Some(slot) => self.change(slot, |_, value| change(value)),
            None => Updated::Absent,
        }
    }

    fn change<R>(&mut self, slot: Slot, change: impl FnOnce(&K, &mut V) -> R) -> Updated<R> {
        let mut leaving = self.leave.open();
        let out = leaving.outbox();
        self.shard.work(&self.budget, out);
        let mut changed = self
            .shard
            .change(slot, &self.scale, &self.budget, change, out);
        if F::TIMED && changed.stayed {
            self.shard
                .renew(slot, &self.expiry, &self.budget, out, &mut changed);
        }
        changed.settle(leaving)
    }

    /// Keeps the entries for which `keep` answers `true`; the others leave with
    /// cause [`Removed`](Cause::Removed). Values may be changed and are weighed anew.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        self.hear();
        let mut leaving = self.leave.open();
        let out = leaving.outbox();
        let mut panics = self.shard.retain(&self.scale, &self.budget, &mut keep, out);
        panics.add(leaving.settle_quietly());
        panics.resume();
    }

    /// Inserts all of them, one after another.
    pub fn extend(&mut self, entries: impl IntoIterator<Item = (K, V)>) {
        for (key, value) in entries {
            drop(self.insert(key, value));
        }
    }
}

impl<K, V, F, S> Cache<K, V, Weighed<F>, S>
where
    K: Hash + Eq,
    F: Form,
    S: BuildHasher,
{
    /// Stores a value with a weight of its own; the weigher is not asked, until
    /// the value is changed in place.
    pub fn insert_weighted(&mut self, key: K, value: V, weight: u64) -> Option<V> {
        let life = self.life(&key, &value);
        self.store(key, value, self.scale.charge(weight), life)
    }

    /// The same, with the verdict.
    ///
    /// # Errors
    /// As [`try_insert`](Cache::try_insert).
    pub fn try_insert_weighted(
        &mut self,
        key: K,
        value: V,
        weight: u64,
    ) -> Result<Option<V>, Refused<K, V>> {
        let life = self.life(&key, &value);
        self.put(key, value, self.scale.charge(weight), life)
    }

    /// What the entry under this key is charged. Does not count as a use.
    pub fn weight_of<Q>(&self, key: &Q) -> Option<u64>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        Some(self.quietly(key)?.extra.weight())
    }
}

/// A value to be changed; when the guard drops, a value that was written to is
/// weighed anew.
///
/// A value that grew beyond what the cache may hold leaves then, with cause
/// [`Refused`](Cause::Refused). A guard that is leaked (`mem::forget`) leaves
/// the value with its old weight.
pub struct RefMut<'a, K, V, F: Form, S>
where
    K: Hash + Eq,
    S: BuildHasher,
{
    cache: &'a mut Cache<K, V, F, S>,
    slot: Slot,
    written: bool,
}

impl<'a, K, V, F: Form, S> RefMut<'a, K, V, F, S>
where
    K: Hash + Eq,
    S: BuildHasher,
{
    fn new(cache: &'a mut Cache<K, V, F, S>, slot: Slot) -> Self {
        Self {
            cache,
            slot,
            written: false,
        }
    }
}

impl<K, V, F: Form, S> Deref for RefMut<'_, K, V, F, S>
where
    K: Hash + Eq,
    S: BuildHasher,
{
    type Target = V;

    fn deref(&self) -> &V {
        self.cache.value_in(self.slot)
    }
}

impl<K, V, F: Form, S> DerefMut for RefMut<'_, K, V, F, S>
where
    K: Hash + Eq,
    S: BuildHasher,
{
    fn deref_mut(&mut self) -> &mut V {
        self.written = true;
        let entry = self.cache.shard.entry_mut(self.slot);
        &mut entry.expect("the guard keeps its slot").value
    }
}

impl<K, V, F: Form, S> Drop for RefMut<'_, K, V, F, S>
where
    K: Hash + Eq,
    S: BuildHasher,
{
    fn drop(&mut self) {
        if self.written {
            let _ = self.cache.change(self.slot, |_, _| ());
        }
    }
}

impl<K, V: fmt::Debug, F: Form, S> fmt::Debug for RefMut<'_, K, V, F, S>
where
    K: Hash + Eq,
    S: BuildHasher,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// A key about to be looked up or inserted; see [`Cache::entry`].
#[must_use = "an entry does nothing until one of its methods is called"]
pub struct Entry<'a, K, V, F: Form, S> {
    cache: &'a mut Cache<K, V, F, S>,
    tag: Tag,
    key: K,
}

impl<K, V, F: Form, S> fmt::Debug for Entry<'_, K, V, F, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").finish_non_exhaustive()
    }
}

/// A guard on the value, or the entry that found no room.
type Inserted<'a, K, V, F, S> = Result<RefMut<'a, K, V, F, S>, Refused<K, V>>;

impl<'a, K, V, F, S> Entry<'a, K, V, F, S>
where
    K: Hash + Eq,
    F: Form,
    S: BuildHasher,
{
    /// The key.
    pub fn key(&self) -> &K {
        &self.key
    }

    /// Changes the value under the key, if there is one; a value that grows too
    /// heavy leaves.
    pub fn and_modify(self, change: impl FnOnce(&mut V)) -> Self {
        let is = |found: &K| self.key == *found;
        let slot = self.cache.find(self.tag, is);
        if let Some(slot) = slot {
            let cache = &mut *self.cache;
            let mut panics = Panics::none();
            panics.run(|| cache.change(slot, |_, value| change(value)));
            return panics.hand(self);
        }
        self
    }

    /// The value under the key; if there is none, `value`, stored under it.
    ///
    /// # Errors
    /// If `value` is heavier than the whole capacity: it is handed back.
    pub fn or_insert(self, value: V) -> Inserted<'a, K, V, F, S> {
        let is = |found: &K| self.key == *found;
        let found = self.cache.read(self.tag, is);
        let slot = match found {
            Some(slot) => after_dropping_pair(self.key, value, slot),
            None => self.cache.place_new(self.tag, self.key, value)?,
        };
        Ok(RefMut::new(self.cache, slot))
    }

    /// The value under the key; if there is none, that of `make`, stored under it.
    ///
    /// # Errors
    /// If the value is heavier than the whole capacity: it is handed back.
    pub fn or_insert_with(self, make: impl FnOnce() -> V) -> Inserted<'a, K, V, F, S> {
        let is = |found: &K| self.key == *found;
        let found = self.cache.read(self.tag, is);
        let slot = match found {
            Some(slot) => after_dropping_pair(self.key, make, slot),
            None => self.cache.place_new(self.tag, self.key, make())?,
        };
        Ok(RefMut::new(self.cache, slot))
    }

    /// The value under the key; if there is none, the default, stored under it.
    ///
    /// # Errors
    /// If the value is heavier than the whole capacity: it is handed back.
    pub fn or_default(self) -> Inserted<'a, K, V, F, S>
    where
        V: Default,
    {
        self.or_insert_with(V::default)
    }
}

impl<K, V, F, S> Extend<(K, V)> for Cache<K, V, F, S>
where
    K: Hash + Eq,
    F: Form,
    S: BuildHasher,
{
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        Cache::extend(self, entries);
    }
}

impl<K, V, F: Form, S> IntoIterator for Cache<K, V, F, S> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;

    /// Takes every entry out, with cause [`Removed`](Cause::Removed).
    fn into_iter(mut self) -> Self::IntoIter {
        let taken = self.take_all();
        after_dropping(self, taken).into_iter()
    }
}

impl<K, V, F: Form, S> fmt::Debug for Cache<K, V, F, S> {
    /// Prints the figures, not the entries: nothing is asked of `K` and `V`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("len", &self.len())
            .field("weight", &self.weight())
            .field("capacity", &self.budget.capacity())
            .finish_non_exhaustive()
    }
}

impl<K, V, F: Form, S> Drop for Cache<K, V, F, S> {
    /// Lets every entry go with cause [`CacheDropped`](Cause::CacheDropped).
    fn drop(&mut self) {
        if !self.leave.is_silent() {
            let mut panics = Panics::none();
            panics.run(|| self.hear());
            panics.add(self.leave.all(self.shard.finish()));
            panics.resume();
        }
    }
}

// No user code runs between two state changes, so a panic leaves nothing half
// done that a later caller could see.
impl<K: UnwindSafe, V: UnwindSafe, F: Form, S: UnwindSafe> UnwindSafe for Cache<K, V, F, S> {}

impl<K: RefUnwindSafe, V: RefUnwindSafe, F: Form, S: RefUnwindSafe> RefUnwindSafe
    for Cache<K, V, F, S>
{
}
