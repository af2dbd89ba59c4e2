//! Many keys at once.
//!
//! What is missing is sorted by hash, which puts keys of one shard and equal ones side by side:
//! there each shard's lock is taken once, not once a key.
//!
//! ```text
//! load many: look all up                                           those that are there
//!            of the others, shard by shard: it is being loaded?  for later
//!                                           else take off: lead it
//!                (what is stale is one of these, unless it is being loaded)
//!            one loader call for all that are led; land what it returns; of the
//!                others pass the lead on
//!            then each that was left for later, like a single key
//! ```
//!
//! A call waits only when it leads nothing any more, so two that want each other's
//! keys never hang.

use super::Cache;
use super::lead::{How, Leading, Sought, after_emptying, wait_here};
use super::load::infallibly;
use crate::clock::{Glance, Reading};
use crate::error::LoadError;
use crate::flight::Flight;
use crate::flight::chain::Chain;
use crate::form::Form;
use crate::hash::Hashed;
use crate::key::ToKey;
use crate::reentry::Mark;
use crate::sync::Arc;
use crate::unwind::{Panics, after_dropping};
use hashbrown::Equivalent;
use std::fmt;
use std::future::ready;
use std::hash::{BuildHasher, Hash};
use std::pin::pin;

/// A key that is asked for, and where its answer goes.
struct Wanted<'q, Q: ?Sized> {
    hashed: Hashed,
    key: &'q Q,
    place: usize,
}

impl<Q: ?Sized> Clone for Wanted<'_, Q> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Q: ?Sized> Copy for Wanted<'_, Q> {}

/// A key that this call loads, until it has landed.
struct Led<'a, 'q, K, V, F: Form, S, Q: ?Sized> {
    wanted: Wanted<'q, Q>,
    leading: Option<Leading<'a, K, V, F, S>>,
}

/// The keys that one call of the loader is for, sorted by hash.
struct Batch<'a, 'q, K, V, F: Form, S, Q: ?Sized> {
    cache: &'a Cache<K, V, F, S>,
    led: Vec<Led<'a, 'q, K, V, F, S, Q>>,
    chain: Chain,
}

/// What is not there, sorted by which call loads it.
struct Missing<'a, 'q, K, V, F: Form, S, Q: ?Sized> {
    batch: Batch<'a, 'q, K, V, F, S, Q>,
    /// Asked for once more: the first place has the second one's answer.
    again: Vec<(usize, usize)>,
    /// Other calls load them.
    later: Vec<Wanted<'q, Q>>,
}

impl<K, V, F, S> Cache<K, V, F, S>
where
    K: Hash + Eq,
    F: Form,
    S: BuildHasher,
{
    /// Clones of the values under these keys, in their order. Each counts as a use.
    ///
    /// They are looked up one after another, at one time. O(keys).
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// cache.extend([("a", 1), ("b", 2)]);
    /// assert_eq!(cache.get_many(["b", "c", "a"]), [Some(2), None, Some(1)]);
    /// ```
    #[doc(alias = "get_all")]
    #[doc(alias = "get_all_present")]
    pub fn get_many<'q, Q>(&self, keys: impl IntoIterator<Item = &'q Q>) -> Vec<Option<V>>
    where
        Q: Hash + Equivalent<K> + ?Sized + 'q,
        V: Clone,
    {
        let exact = Glance::Exact(self.now());
        let clone = |_: &K, value: &V| value.clone();
        let read = |key: &'q Q| self.read_at(self.hash(key), key, exact, clone);
        keys.into_iter().map(read).collect()
    }

    /// The values under these keys, in their order; those that are missing are
    /// loaded by one call of `load`, and stored.
    ///
    /// `load` is given the missing keys that no other call is loading, each once, and
    /// returns pairs of key and value in any order. A key that it leaves out stays
    /// absent: `None`. A pair that was not asked for is dropped. Keys that other calls are
    /// loading are waited for after that; if such a load fails, `load` is called
    /// again, for that key alone. [Stale](crate::Builder::refresh_after) values that are
    /// not being loaded are asked for too; one that `load` leaves out is returned, and stays.
    /// Otherwise as [`get_or_insert_with`](Cache::get_or_insert_with).
    ///
    /// # Panics
    /// If `load` does: then a call that waits for one of its keys loads it in its stead. On
    /// a cycle, as [`get_or_insert_with`](Cache::get_or_insert_with).
    ///
    /// ```
    /// let squares = brimful::Cache::<u64, u64>::new(100);
    /// squares.insert(3, 9);
    /// let found = squares.get_or_insert_many(&[2, 3, 4], |missing| {
    ///     assert_eq!(missing.len(), 2);
    ///     missing.iter().map(|&&n| (n, n * n)).collect::<Vec<_>>()
    /// });
    /// assert_eq!(found, [Some(4), Some(9), Some(16)]);
    /// ```
    #[doc(alias = "get_all")]
    #[track_caller]
    pub fn get_or_insert_many<'q, Q, I>(
        &self,
        keys: impl IntoIterator<Item = &'q Q>,
        mut load: impl FnMut(&[&'q Q]) -> I,
    ) -> Vec<Option<V>>
    where
        Q: Hash + ToKey<K> + ?Sized + 'q,
        V: Clone,
        I: IntoIterator<Item = (K, V)>,
    {
        infallibly(self.load_many(keys).with(|missing| Ok(load(missing))))
    }

    /// A load of these keys by a loader that can fail: how, the call that follows says.
    ///
    /// ```
    /// let numbers = brimful::Cache::<String, u64>::new(100);
    /// let found = numbers.load_many(["1", "2"]).with(|missing| {
    ///     let number = |text: &&str| Ok((text.to_string(), text.parse()?));
    ///     missing.iter().map(number).collect::<Result<Vec<_>, std::num::ParseIntError>>()
    /// });
    /// assert_eq!(found, Ok(vec![Some(1), Some(2)]));
    /// ```
    pub fn load_many<'q, Q, N>(&self, keys: N) -> LoadMany<'_, N, K, V, F, S>
    where
        Q: Hash + ToKey<K> + ?Sized + 'q,
        N: IntoIterator<Item = &'q Q>,
    {
        LoadMany { cache: self, keys }
    }

    /// Fills `found` with the values under these keys.
    async fn find_or_load<'q, Q, I, E, Fut>(
        &self,
        keys: impl IntoIterator<Item = &'q Q>,
        load: &mut impl FnMut(Vec<&'q Q>) -> Fut,
        found: &mut Vec<Option<V>>,
    ) -> Result<(), LoadError<E>>
    where
        Q: Hash + ToKey<K> + ?Sized + 'q,
        V: Clone,
        I: IntoIterator<Item = (K, V)>,
        Fut: Future<Output = Result<I, E>>,
    {
        let missing = self.look_up_many(keys, found);
        if missing.is_empty() {
            return Ok(());
        }
        let missing = self.take_off_many(missing, found);
        missing.batch.run(load, found).await?;
        for (place, first) in missing.again {
            found[place] = found[first].clone();
        }
        for wanted in missing.later {
            let how = How::plain(self);
            match self.seek(wanted.hashed, wanted.key, &how).await? {
                Sought::Value(value) => found[wanted.place] = Some(value),
                Sought::Lead(leading) => {
                    Batch::of(self, wanted, leading).run(load, found).await?;
                }
            }
        }
        Ok(())
    }

    /// Looks all keys up: finds the values that are there and not due to be refreshed, and
    /// returns the other keys, sorted by hash.
    fn look_up_many<'q, Q>(
        &self,
        keys: impl IntoIterator<Item = &'q Q>,
        found: &mut Vec<Option<V>>,
    ) -> Vec<Wanted<'q, Q>>
    where
        Q: Hash + Equivalent<K> + ?Sized + 'q,
        V: Clone,
    {
        let exact = Glance::Exact(self.now());
        let mut missing = Vec::new();
        for (place, key) in keys.into_iter().enumerate() {
            let hashed = self.hash(key);
            found.push(self.read_unless_due_at(hashed, key, exact));
            if found[place].is_none() {
                missing.push(Wanted { hashed, key, place });
            }
        }
        missing.sort_unstable_by_key(|wanted| (wanted.hashed, wanted.place));
        missing
    }

    /// Runs of keys of one shard each.
    fn by_shard<'w, 'q, Q: ?Sized>(
        &self,
        wanted: &'w [Wanted<'q, Q>],
    ) -> impl Iterator<Item = &'w [Wanted<'q, Q>]> {
        let shards = self.shards.len();
        wanted.chunk_by(move |a, b| a.hashed.shard(shards) == b.hashed.shard(shards))
    }

    /// Looks missing keys up once more, and leads those that are not being loaded and are
    /// absent or due to be refreshed. Their keys are made before the locks, and those that
    /// are not needed dropped after them.
    fn take_off_many<'q, Q>(
        &self,
        wanted: Vec<Wanted<'q, Q>>,
        found: &mut [Option<V>],
    ) -> Missing<'_, 'q, K, V, F, S, Q>
    where
        Q: ToKey<K> + ?Sized,
        V: Clone,
    {
        let mut missing = Missing {
            batch: Batch::new(self, Chain::begin()),
            again: Vec::new(),
            later: Vec::new(),
        };
        let mut own: Vec<Option<K>> = Vec::with_capacity(wanted.len());
        own.extend(wanted.iter().map(|wanted| Some(wanted.key.to_key())));
        let mut unused = own.iter_mut();
        let now = self.now();
        for run in self.by_shard(&wanted) {
            let mut shard = self.lock_in_time(self.shard(run[0].hashed), now);
            let _mark = Mark::set_in_debug();
            for (wanted, own) in run.iter().zip(&mut unused) {
                let tag = wanted.hashed.tag();
                let is = |found: &K| wanted.key.equivalent(found);
                let slot = shard.slot(tag, is);
                let due = slot.is_some_and(|slot| self.is_due(&mut shard, slot, tag, is));
                let flight = shard.flights.find(tag, is);
                let led = flight.and_then(|flight| missing.batch.place_of(wanted.hashed, flight));
                match (slot, flight) {
                    _ if led.is_some() => missing.again.extend(led.map(|led| (wanted.place, led))),
                    (Some(slot), _) if !due => {
                        shard.touch(slot);
                        shard.put_off_idle(slot);
                        let entry = shard.entry(slot);
                        found[wanted.place] = entry.map(|entry| entry.value().clone());
                    }
                    (None, Some(_)) => missing.later.push(*wanted),
                    _ => {
                        let Some(key) = own.take() else { continue };
                        let chain = missing.batch.chain.clone();
                        let flight = shard.flights.take_off(tag, key, chain.load());
                        let leading = Leading::new(self, wanted.hashed, flight, chain, due);
                        missing.batch.push(*wanted, leading);
                    }
                }
            }
        }
        after_dropping(own, missing)
    }
}

impl<'a, 'q, K, V, F: Form, S, Q: ?Sized> Batch<'a, 'q, K, V, F, S, Q> {
    fn new(cache: &'a Cache<K, V, F, S>, chain: Chain) -> Self {
        Self {
            cache,
            led: Vec::new(),
            chain,
        }
    }

    /// A batch of one.
    fn of(
        cache: &'a Cache<K, V, F, S>,
        wanted: Wanted<'q, Q>,
        leading: Leading<'a, K, V, F, S>,
    ) -> Self {
        let mut batch = Self::new(cache, leading.chain().clone());
        batch.push(wanted, leading);
        batch
    }

    /// Adds a key. A loader of many that fails counts as one: with the first.
    fn push(&mut self, wanted: Wanted<'q, Q>, mut leading: Leading<'a, K, V, F, S>) {
        leading.counts(self.led.is_empty());
        self.led.push(Led {
            wanted,
            leading: Some(leading),
        });
    }

    /// The place of the answer of a flight that this batch leads.
    fn place_of(&self, hashed: Hashed, flight: &Arc<Flight<K, V>>) -> Option<usize> {
        let equal = self.led.iter().rev();
        let mut equal = equal.take_while(|led| led.wanted.hashed == hashed);
        let leads = |leading: &Leading<'_, _, _, _, _>| leading.leads(flight);
        let led = equal.find(|led| led.leading.as_ref().is_some_and(leads))?;
        Some(led.wanted.place)
    }

    fn asked(&self) -> Vec<&'q Q> {
        self.led.iter().map(|led| led.wanted.key).collect()
    }
}

impl<'a, 'q, K, V, F, S, Q> Batch<'a, 'q, K, V, F, S, Q>
where
    K: Hash + Eq,
    V: Clone,
    F: Form,
    S: BuildHasher,
    Q: Equivalent<K> + ?Sized,
{
    /// One call of the loader, if there is anything to load.
    async fn run<I, E, Fut>(
        self,
        load: &mut impl FnMut(Vec<&'q Q>) -> Fut,
        found: &mut [Option<V>],
    ) -> Result<(), LoadError<E>>
    where
        I: IntoIterator<Item = (K, V)>,
        Fut: Future<Output = Result<I, E>>,
    {
        if self.led.is_empty() {
            return Ok(());
        }
        // Declared before the batch, so dropped after it: its leads are passed on first.
        let mut loading = pin!(None);
        let batch = self;
        let began = batch.cache.door.expiry.source.read();
        loading.set(Some(batch.chain.run(|| load(batch.asked()))));
        let loaded = batch.chain.finish(loading.as_mut()).await;
        let loaded = batch.chain.run(|| loaded.map(collected));
        let ended = match loaded {
            Ok(loaded) => {
                batch.land(loaded, began, found);
                Ok(())
            }
            Err(error) => batch.fail(error, found),
        };
        after_emptying(loading, ended)
    }

    /// Lands what was loaded and passes the other leads on. Until then the thread is inside
    /// of the load: the keys may be asked for by a listener.
    fn land(mut self, loaded: Vec<(K, V)>, began: Reading, found: &mut [Option<V>]) {
        let mut began = Some(began);
        let inside = self.chain.enter();
        for (key, value) in loaded {
            let led = self.led_for(&key);
            let lead = led.and_then(|led| Some((led.wanted.place, led.leading.take()?)));
            let Some((place, mut leading)) = lead else {
                let mut panics = Panics::none();
                panics.drop_pair(key, value);
                panics.resume();
                continue;
            };
            // How the loader ended is counted with the first that lands.
            self.counts(false);
            leading.counts(began.is_some());
            found[place] = Some(leading.land(|| key, value, began.take()));
        }
        drop(inside);
        if let (Some(began), Some(led)) = (began, self.led.first_mut()) {
            led.leading.iter_mut().for_each(|first| first.ended(began));
        }
        self.give_up(found).resume();
    }

    /// Passes all leads on. It is no error if stale values stand in for all of them, and
    /// that is asked for.
    fn fail<E>(mut self, error: E, found: &mut [Option<V>]) -> Result<(), LoadError<E>> {
        let led = self.led.iter_mut().filter_map(|led| led.leading.as_mut());
        led.for_each(Leading::failed);
        let mut panics = self.give_up(found);
        let mut places = self.led.iter().map(|led| led.wanted.place);
        if self.cache.door.expiry.stale_if_error && places.all(|place| found[place].is_some()) {
            panics.drop(error);
            panics.resume();
            return Ok(());
        }
        Err(LoadError::Failed(panics.hand(error)))
    }

    /// Whether it counts as a failure of the loader that its first key does not land.
    fn counts(&mut self, counts: bool) {
        if let Some(first) = self.led.first_mut().and_then(|led| led.leading.as_mut()) {
            first.counts(counts);
        }
    }

    /// Passes on the leads that have not landed. What was to be refreshed by them is
    /// answered with the value that is there still.
    fn give_up(&mut self, found: &mut [Option<V>]) -> Panics {
        let mut panics = Panics::none();
        for led in &mut self.led {
            let Some(leading) = led.leading.take() else {
                continue;
            };
            let refreshes = leading.refreshes();
            panics.drop(leading);
            if refreshes {
                let Wanted { hashed, key, place } = led.wanted;
                if let Some(stale) = panics.run(|| self.cache.peek_at(hashed, key)) {
                    found[place] = stale;
                }
            }
        }
        panics
    }

    /// What is yet to be landed under this key.
    fn led_for(&mut self, key: &K) -> Option<&mut Led<'a, 'q, K, V, F, S, Q>> {
        let hashed = self.cache.hash(key);
        let first = self.led.partition_point(|led| led.wanted.hashed < hashed);
        let mut equal = self.led[first..].iter_mut();
        let mut equal = equal.by_ref().take_while(|led| led.wanted.hashed == hashed);
        equal.find(|led| led.leading.is_some() && led.wanted.key.equivalent(key))
    }
}

/// A load of many keys, by a loader that can fail: made by [`Cache::load_many`].
///
/// What [`get_or_insert_many`](Cache::get_or_insert_many) says of its loader is true of
/// these.
///
/// ```
/// use brimful::{Cache, LoadError};
///
/// let squares = Cache::<u64, u64>::new(100);
/// squares.insert(3, 9);
/// let found = squares.load_many(&[3]).with(|_| Err::<[(u64, u64); 0], _>("not asked"));
/// assert_eq!(found, Ok(vec![Some(9)]));
/// let found = squares.load_many(&[3, 4]).with(|_| Err::<[(u64, u64); 0], _>("no route"));
/// assert_eq!(found, Err(LoadError::Failed("no route")));
/// ```
#[must_use = "nothing is loaded before `with` or `future` says how"]
pub struct LoadMany<'a, N, K, V, F: Form, S> {
    cache: &'a Cache<K, V, F, S>,
    keys: N,
}

impl<'q, Q, N, K, V, F, S> LoadMany<'_, N, K, V, F, S>
where
    Q: Hash + ToKey<K> + ?Sized + 'q,
    N: IntoIterator<Item = &'q Q>,
    K: Hash + Eq,
    V: Clone,
    F: Form,
    S: BuildHasher,
{
    /// The values under the keys, in their order; those that are missing are loaded by
    /// one call of `load`, and stored.
    ///
    /// # Errors
    /// [`LoadError::Failed`] with the error of the caller's own `load`, and
    /// [`LoadError::Cycle`]. What was loaded before the error stays stored. With
    /// [`stale_if_error`](crate::Builder::stale_if_error) it is no error if all that a failed
    /// call of `load` was asked for are there still.
    ///
    /// # Panics
    /// If `load` does.
    ///
    /// ```
    /// let squares = brimful::Cache::<u64, u64>::new(100);
    /// let found = squares.load_many(&[2, 3]).with(|missing| {
    ///     let square = |&&n: &&u64| Some((n, n.checked_mul(n)?));
    ///     missing.iter().map(square).collect::<Option<Vec<_>>>().ok_or("too large")
    /// });
    /// assert_eq!(found, Ok(vec![Some(4), Some(9)]));
    /// ```
    pub fn with<I, E>(
        self,
        mut load: impl FnMut(&[&'q Q]) -> Result<I, E>,
    ) -> Result<Vec<Option<V>>, LoadError<E>>
    where
        I: IntoIterator<Item = (K, V)>,
    {
        let loading = self.future(move |missing| ready(load(&missing)));
        wait_here(loading, None).unwrap_or(Err(LoadError::TimedOut))
    }

    /// The values under the keys, in their order, for tasks, on any executor: `load` is
    /// given the missing keys and returns a future of the pairs.
    ///
    /// # Errors
    /// As [`with`](LoadMany::with).
    ///
    /// # Panics
    /// As [`get_or_insert_async`](Cache::get_or_insert_async).
    ///
    /// ```
    /// # pollster::block_on(async {
    /// let squares = brimful::Cache::<u64, u64>::new(100);
    /// let load = |missing: Vec<&u64>| {
    ///     let pairs: Vec<_> = missing.into_iter().map(|&n| (n, n * n)).collect();
    ///     async { Ok::<_, std::io::Error>(pairs) }
    /// };
    /// let found = squares.load_many(&[2, 3]).future(load).await;
    /// assert_eq!(found.unwrap(), [Some(4), Some(9)]);
    /// # });
    /// ```
    pub async fn future<I, E, Fut>(
        self,
        mut load: impl FnMut(Vec<&'q Q>) -> Fut,
    ) -> Result<Vec<Option<V>>, LoadError<E>>
    where
        I: IntoIterator<Item = (K, V)>,
        Fut: Future<Output = Result<I, E>>,
    {
        let Self { cache, keys } = self;
        let mut found = Vec::new();
        let loaded = cache.find_or_load(keys, &mut load, &mut found).await;
        let loaded = after_dropping(load, loaded);
        match loaded {
            Ok(()) => Ok(found),
            Err(error) => Err(after_dropping_each(found, error)),
        }
    }
}

impl<N, K, V, F: Form, S> fmt::Debug for LoadMany<'_, N, K, V, F, S> {
    /// Prints the cache's figures: nothing is asked of the keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("LoadMany");
        shown.field("cache", self.cache).finish_non_exhaustive()
    }
}

/// The error, once the values that were found are dropped, each whatever the others do.
fn after_dropping_each<V, E>(found: Vec<Option<V>>, error: LoadError<E>) -> LoadError<E> {
    let mut panics = Panics::none();
    for value in found {
        panics.drop(value);
    }
    panics.hand(error)
}

/// What a loader returned, taken from it while the thread is inside of the load.
fn collected<K, V>(pairs: impl IntoIterator<Item = (K, V)>) -> Vec<(K, V)> {
    let mut pairs = pairs.into_iter();
    let collected = pairs.by_ref().collect();
    after_dropping(pairs, collected)
}
