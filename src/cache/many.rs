//! Many keys at once: each shard's lock is taken once, not once a key.
//!
//! Keys are sorted by their hashes, which groups them by shard and puts equal
//! ones side by side.
//!
//! ```text
//! load many: look all up, shard by shard                          those that are there
//!            of the others, shard by shard: someone loads it?  for later
//!                                           else take off: lead it
//!                (what is stale is one of these, unless someone loads it)
//!            one loader call for all that are led; land what it returns; of the
//!                others pass the lead on
//!            then each that was left for later, like a single key
//! ```
//!
//! A call waits only when it leads nothing any more, so two that want each other's
//! keys never hang.

use super::load::{Leading, Patience, Sought, infallibly};
use super::load_async::{emptied, polled_inside};
use super::{Cache, lock_at};
use crate::error::LoadError;
use crate::flight::Flight;
use crate::flight::chain::Chain;
use crate::form::Form;
use crate::hash::Hashed;
use crate::leave::{Panic, caught, drop_apart, dropped, first, go_on, hand_value};
use crate::reentry::Mark;
use crate::shard::Shard;
use crate::sync::Arc;
use hashbrown::Equivalent;
use std::convert::Infallible;
use std::hash::{BuildHasher, Hash};
use std::pin::{Pin, pin};
use std::time::Instant;

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

/// What is not there, sorted by who loads it.
struct Missing<'a, 'q, K, V, F: Form, S, Q: ?Sized> {
    batch: Batch<'a, 'q, K, V, F, S, Q>,
    /// Asked for once more: the first place has the second one's answer.
    again: Vec<(usize, usize)>,
    /// Others load them.
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
    /// Each shard's lock is taken once, for all of its keys. O(keys × log keys).
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// cache.extend([("a", 1), ("b", 2)]);
    /// assert_eq!(cache.get_many(["b", "c", "a"]), [Some(2), None, Some(1)]);
    /// ```
    pub fn get_many<'q, Q>(&self, keys: impl IntoIterator<Item = &'q Q>) -> Vec<Option<V>>
    where
        Q: Hash + Equivalent<K> + ?Sized + 'q,
        V: Clone,
    {
        let mut found = Vec::new();
        self.look_up_many(keys, &mut found, |_, shard, hashed, key| {
            self.read_in(shard, hashed, key, |_, value| value.clone())
        });
        found
    }

    /// The values under these keys, in their order; those that are missing are
    /// loaded by one call of `load`, and stored.
    ///
    /// `load` is given the missing keys that nobody else is loading, each once, and
    /// returns pairs of key and value in any order. A key that it leaves out stays
    /// absent: `None`. A pair that was not asked for is dropped. Keys that others are
    /// loading are waited for after that; if such a load fails, `load` is called
    /// again, for that key alone. [Stale](crate::Builder::refresh_after) values that nobody
    /// is loading are asked for too; one that `load` leaves out is returned, and stays.
    /// Otherwise as [`get_or_insert_with`](Cache::get_or_insert_with).
    ///
    /// # Panics
    /// If `load` does: then whoever waits for one of its keys loads it in its stead. On
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
    pub fn get_or_insert_many<'q, Q, I>(
        &self,
        keys: impl IntoIterator<Item = &'q Q>,
        mut load: impl FnMut(&[&'q Q]) -> I,
    ) -> Vec<Option<V>>
    where
        Q: Hash + Equivalent<K> + ToOwned<Owned = K> + ?Sized + 'q,
        V: Clone,
        I: IntoIterator<Item = (K, V)>,
    {
        infallibly(self.try_get_or_insert_many(keys, |missing| Ok(load(missing))))
    }

    /// The same with a loader that can fail.
    ///
    /// # Errors
    /// [`LoadError::Failed`] with the error of the caller's own `load`, and
    /// [`LoadError::Cycle`]. What was loaded before the error stays stored. With
    /// [`stale_if_error`](crate::Builder::stale_if_error) it is no error if all that a failed
    /// call of `load` was asked for are there still.
    ///
    /// # Panics
    /// If `load` does.
    pub fn try_get_or_insert_many<'q, Q, I, E>(
        &self,
        keys: impl IntoIterator<Item = &'q Q>,
        mut load: impl FnMut(&[&'q Q]) -> Result<I, E>,
    ) -> Result<Vec<Option<V>>, LoadError<E>>
    where
        Q: Hash + Equivalent<K> + ToOwned<Owned = K> + ?Sized + 'q,
        V: Clone,
        I: IntoIterator<Item = (K, V)>,
    {
        let mut found = Vec::new();
        let loaded = self.load_many(keys, &mut load, &mut found);
        all_found(hand_value(loaded, || dropped(load)), found)
    }

    fn load_many<'q, Q, I, E>(
        &self,
        keys: impl IntoIterator<Item = &'q Q>,
        load: &mut impl FnMut(&[&'q Q]) -> Result<I, E>,
        found: &mut Vec<Option<V>>,
    ) -> Result<(), LoadError<E>>
    where
        Q: Hash + Equivalent<K> + ToOwned<Owned = K> + ?Sized + 'q,
        V: Clone,
        I: IntoIterator<Item = (K, V)>,
    {
        let missing = self.look_up_many(keys, found, Self::read_in_unless_due);
        if missing.is_empty() {
            return Ok(());
        }
        let missing = self.take_off_many(missing, found);
        missing.batch.run(load, found)?;
        for (place, first) in missing.again {
            found[place] = found[first].clone();
        }
        for wanted in missing.later {
            match self.seek(wanted.hashed, wanted.key, Patience::ENDLESS) {
                Ok(Sought::Value(value)) => found[wanted.place] = Some(value),
                Ok(Sought::Lead(leading)) => Batch::of(self, wanted, leading).run(load, found)?,
                Err(error) => return Err(error.widened()),
            }
        }
        Ok(())
    }

    /// [`get_or_insert_many`](Cache::get_or_insert_many) for tasks, on any executor:
    /// `load` is given the missing keys and returns a future of the pairs.
    ///
    /// # Panics
    /// As [`get_or_insert_async`](Cache::get_or_insert_async).
    ///
    /// ```
    /// # pollster::block_on(async {
    /// let squares = brimful::Cache::<u64, u64>::new(100);
    /// let load = |missing: Vec<&u64>| {
    ///     let pairs: Vec<_> = missing.into_iter().map(|&n| (n, n * n)).collect();
    ///     async { pairs }
    /// };
    /// assert_eq!(squares.get_or_insert_many_async(&[2, 3], load).await, [Some(4), Some(9)]);
    /// # });
    /// ```
    pub async fn get_or_insert_many_async<'q, Q, I, Fut>(
        &self,
        keys: impl IntoIterator<Item = &'q Q>,
        mut load: impl FnMut(Vec<&'q Q>) -> Fut,
    ) -> Vec<Option<V>>
    where
        Q: Hash + Equivalent<K> + ToOwned<Owned = K> + ?Sized + 'q,
        V: Clone,
        I: IntoIterator<Item = (K, V)>,
        Fut: Future<Output = I>,
    {
        let mut found = Vec::new();
        let loaded = self.load_many_async(keys, &mut load, &Ok::<I, Infallible>, &mut found);
        let loaded = loaded.await;
        infallibly(all_found(hand_value(loaded, || dropped(load)), found))
    }

    /// The same with a future that can fail.
    ///
    /// # Errors
    /// As [`try_get_or_insert_many`](Cache::try_get_or_insert_many).
    pub async fn try_get_or_insert_many_async<'q, Q, I, E, Fut>(
        &self,
        keys: impl IntoIterator<Item = &'q Q>,
        mut load: impl FnMut(Vec<&'q Q>) -> Fut,
    ) -> Result<Vec<Option<V>>, LoadError<E>>
    where
        Q: Hash + Equivalent<K> + ToOwned<Owned = K> + ?Sized + 'q,
        V: Clone,
        I: IntoIterator<Item = (K, V)>,
        Fut: Future<Output = Result<I, E>>,
    {
        let mut found = Vec::new();
        let loaded = self.load_many_async(keys, &mut load, &|loaded| loaded, &mut found);
        let loaded = loaded.await;
        all_found(hand_value(loaded, || dropped(load)), found)
    }

    async fn load_many_async<'q, Q, I, E, Fut>(
        &self,
        keys: impl IntoIterator<Item = &'q Q>,
        load: &mut impl FnMut(Vec<&'q Q>) -> Fut,
        finish: &impl Fn(Fut::Output) -> Result<I, E>,
        found: &mut Vec<Option<V>>,
    ) -> Result<(), LoadError<E>>
    where
        Q: Hash + Equivalent<K> + ToOwned<Owned = K> + ?Sized + 'q,
        V: Clone,
        I: IntoIterator<Item = (K, V)>,
        Fut: Future,
    {
        let missing = self.look_up_many(keys, found, Self::read_in_unless_due);
        if missing.is_empty() {
            return Ok(());
        }
        let missing = self.take_off_many(missing, found);
        missing.batch.run_async(load, finish, found).await?;
        for (place, first) in missing.again {
            found[place] = found[first].clone();
        }
        for wanted in missing.later {
            match self.seek_async(wanted.hashed, wanted.key).await {
                Ok(Sought::Value(value)) => found[wanted.place] = Some(value),
                Ok(Sought::Lead(leading)) => {
                    let batch = Batch::of(self, wanted, leading);
                    batch.run_async(load, finish, found).await?;
                }
                Err(error) => return Err(error.widened()),
            }
        }
        Ok(())
    }

    /// Looks all keys up: finds the values that `read` answers with, and returns the
    /// other keys.
    fn look_up_many<'q, Q>(
        &self,
        keys: impl IntoIterator<Item = &'q Q>,
        found: &mut Vec<Option<V>>,
        read: impl Fn(&Self, &mut Shard<K, V, F>, Hashed, &Q) -> Option<V>,
    ) -> Vec<Wanted<'q, Q>>
    where
        Q: Hash + Equivalent<K> + ?Sized + 'q,
    {
        let wanted = |(place, key)| Wanted {
            hashed: self.hash(key),
            key,
            place,
        };
        let mut wanted: Vec<_> = keys.into_iter().enumerate().map(wanted).collect();
        wanted.sort_unstable_by_key(|wanted| (wanted.hashed, wanted.place));
        found.resize_with(wanted.len(), || None);
        let now = self.now();
        let mut missing = Vec::new();
        for run in self.by_shard(&wanted) {
            let mut shard = lock_at(self.shard(run[0].hashed), now);
            let _mark = Mark::set_in_debug();
            for wanted in run {
                match read(self, &mut shard, wanted.hashed, wanted.key) {
                    Some(value) => found[wanted.place] = Some(value),
                    None => missing.push(*wanted),
                }
            }
        }
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

    /// Looks missing keys up once more, and leads those that nobody loads and that are
    /// absent or due to be refreshed.
    fn take_off_many<'q, Q>(
        &self,
        wanted: Vec<Wanted<'q, Q>>,
        found: &mut [Option<V>],
    ) -> Missing<'_, 'q, K, V, F, S, Q>
    where
        Q: Equivalent<K> + ToOwned<Owned = K> + ?Sized,
        V: Clone,
    {
        let mut missing = Missing {
            batch: Batch::new(self, Chain::begin()),
            again: Vec::new(),
            later: Vec::new(),
        };
        let mut own: Vec<Option<K>> = Vec::with_capacity(wanted.len());
        own.extend(wanted.iter().map(|wanted| Some(wanted.key.to_owned())));
        let mut unused = own.iter_mut();
        let now = self.now();
        for run in self.by_shard(&wanted) {
            let mut shard = lock_at(self.shard(run[0].hashed), now);
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
                        shard.used(slot);
                        let entry = shard.entry(slot);
                        found[wanted.place] = entry.map(|entry| entry.value.clone());
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
        hand_value(missing, || dropped(own))
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
        if !self.led.is_empty() {
            leading.is_counted_elsewhere();
        }
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
    fn run<I, E>(
        self,
        load: &mut impl FnMut(&[&'q Q]) -> Result<I, E>,
        found: &mut [Option<V>],
    ) -> Result<(), LoadError<E>>
    where
        I: IntoIterator<Item = (K, V)>,
    {
        if self.led.is_empty() {
            return Ok(());
        }
        let began = Instant::now();
        let loaded = {
            let _inside = self.chain.enter();
            load(&self.asked()).map(collected)
        };
        self.settle(loaded, began, found)
    }

    async fn run_async<I, E, Fut>(
        self,
        load: &mut impl FnMut(Vec<&'q Q>) -> Fut,
        finish: &impl Fn(Fut::Output) -> Result<I, E>,
        found: &mut [Option<V>],
    ) -> Result<(), LoadError<E>>
    where
        I: IntoIterator<Item = (K, V)>,
        Fut: Future,
    {
        if self.led.is_empty() {
            return Ok(());
        }
        let began = Instant::now();
        let loading = {
            let _inside = self.chain.enter();
            load(self.asked())
        };
        let mut loading = pin!(Some(loading));
        let settled = self.poll_to_end(loading.as_mut(), began, finish, found);
        let settled = settled.await;
        hand_value(settled, || emptied(loading))
    }

    /// If this is dropped, the leads are passed on first and the loader, which
    /// the caller owns, dropped after.
    async fn poll_to_end<I, E, Fut>(
        self,
        loading: Pin<&mut Option<Fut>>,
        began: Instant,
        finish: &impl Fn(Fut::Output) -> Result<I, E>,
        found: &mut [Option<V>],
    ) -> Result<(), LoadError<E>>
    where
        I: IntoIterator<Item = (K, V)>,
        Fut: Future,
    {
        let loaded = polled_inside(&self.chain, loading).await;
        let loaded = {
            let _inside = self.chain.enter();
            finish(loaded).map(collected)
        };
        self.settle(loaded, began, found)
    }

    /// Lands what was loaded and passes the other leads on; or all of them. Until
    /// then the thread is inside of the load: the keys may be asked for by a listener.
    fn settle<E>(
        mut self,
        loaded: Result<Vec<(K, V)>, E>,
        began: Instant,
        found: &mut [Option<V>],
    ) -> Result<(), LoadError<E>> {
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(error) => {
                let mut panic = self.give_up(found);
                if self.has_stale(found) {
                    first(&mut panic, dropped(error));
                    return hand_value(Ok(()), || panic);
                }
                return Err(hand_value(LoadError::Failed(error), || panic));
            }
        };
        if let Some(first) = self.led.iter_mut().find_map(|led| led.leading.as_mut()) {
            first.ended(began.elapsed());
            first.is_counted_elsewhere();
        }
        let inside = self.chain.enter();
        for (key, value) in loaded {
            let led = self.led_for(&key);
            let lead = led.and_then(|led| Some((led.wanted.place, led.leading.take()?)));
            match lead {
                Some((place, leading)) => found[place] = Some(leading.land(|| key, value, None)),
                None => go_on(drop_apart(key, value)),
            }
        }
        drop(inside);
        go_on(self.give_up(found));
        Ok(())
    }

    /// Passes on the leads that have not landed. What was to be refreshed by them is
    /// answered with the value that is there still.
    fn give_up(&mut self, found: &mut [Option<V>]) -> Option<Panic> {
        let mut panic = None;
        for led in &mut self.led {
            let Some(leading) = led.leading.take() else {
                continue;
            };
            let refreshes = leading.refreshes();
            first(&mut panic, dropped(leading));
            if refreshes {
                let Wanted { hashed, key, place } = led.wanted;
                match caught(|| self.cache.peek_at(hashed, key)) {
                    Ok(stale) => found[place] = stale,
                    Err(stopped) => first(&mut panic, Some(stopped)),
                }
            }
        }
        panic
    }

    /// Whether stale values stand in for all that the loader failed to load.
    fn has_stale(&self, found: &[Option<V>]) -> bool {
        let mut places = self.led.iter().map(|led| led.wanted.place);
        self.cache.door.expiry.stale_if_error && places.all(|place| found[place].is_some())
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

/// The values, or the error once those that were found are dropped.
fn all_found<V, E>(
    loaded: Result<(), LoadError<E>>,
    found: Vec<Option<V>>,
) -> Result<Vec<Option<V>>, LoadError<E>> {
    let Err(error) = loaded else {
        return Ok(found);
    };
    Err(hand_value(error, || {
        let mut panic = None;
        for value in found {
            first(&mut panic, dropped(value));
        }
        panic
    }))
}

/// What a loader returned, taken from it while the thread is inside of the load.
fn collected<K, V>(pairs: impl IntoIterator<Item = (K, V)>) -> Vec<(K, V)> {
    let mut pairs = pairs.into_iter();
    let collected = pairs.by_ref().collect();
    hand_value(collected, || dropped(pairs))
}
