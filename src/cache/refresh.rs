//! Refreshing elsewhere: a stale value at once, its load on a thread or task of the
//! caller's choice.
//!
//! ```text
//! a refreshing call: the value is there, and not due?  a hit like any other
//!     it is due?  its value, and under the same lock the lead of a flight: to whoever
//!                 will run the loader
//!     else        the same as a loading call
//! ```
//!
//! The lead travels in a [`Handed`], which gives it up if it is dropped on the way: a
//! spawner that refuses work, or ends, strands nobody.

use super::Cache;
use super::load::{Leading, Patience, infallibly};
use super::load_async::{emptied, polled_inside};
use crate::error::LoadError;
use crate::flight::Flight;
use crate::flight::chain::Chain;
use crate::form::Form;
use crate::hash::Hashed;
use crate::leave::{caught, dropped, first, go_on, hand_value};
use crate::reentry::Mark;
use crate::sync::Arc;
use hashbrown::Equivalent;
use std::convert::Infallible;
use std::hash::{BuildHasher, Hash};
use std::pin::{Pin, pin};
use std::time::Instant;

/// A refresh to be run: by a thread, a thread pool.
type Job = Box<dyn FnOnce() + Send>;

/// A refresh to be run by an executor.
type Chore = Pin<Box<dyn Future<Output = ()> + Send>>;

impl<K, V, F, S> Cache<K, V, F, S>
where
    K: Hash + Eq + Send + 'static,
    V: Clone + Send + 'static,
    F: Form,
    S: BuildHasher,
    Self: Send + Sync + 'static,
{
    /// [`get_or_insert_with`](Cache::get_or_insert_with) for callers who never wait for a
    /// [stale](crate::Builder::refresh_after) value to be refreshed: it is returned at once,
    /// and `load` goes to `spawn`, in a closure that runs it and stores what it brings. If the
    /// key is missing, `load` runs on the caller's thread. Without `refresh_after` nothing is
    /// ever stale.
    ///
    /// `spawn` is called without any lock, at most once, and only if no other refresh of this
    /// key is on its way. If it drops the closure, or `load` panics there, the value stays
    /// and the next call tries again. The closure keeps the cache alive until it has run.
    /// The listener hears of the replaced value where the closure runs.
    ///
    /// # Panics
    /// If `spawn` does: the refresh is given up then. Otherwise as
    /// [`get_or_insert_with`](Cache::get_or_insert_with).
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    /// use std::sync::Arc;
    /// use std::thread;
    /// use std::time::Duration;
    ///
    /// let cache = Cache::builder(Entries(100)).refresh_after(Duration::ZERO).build()?;
    /// let cache = Arc::new(cache);
    /// cache.insert("page".to_string(), 1);
    ///
    /// let mut refresh = None;
    /// let page = cache.get_or_refresh_with("page", || 2, |job| refresh = Some(thread::spawn(job)));
    /// assert_eq!(page, 1);
    /// refresh.unwrap().join().unwrap();
    /// assert_eq!(cache.get("page"), Some(2));
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn get_or_refresh_with<Q>(
        self: &Arc<Self>,
        key: &Q,
        load: impl FnOnce() -> V + Send + 'static,
        spawn: impl FnOnce(Job),
    ) -> V
    where
        Q: Hash + Equivalent<K> + ToOwned<Owned = K> + ?Sized,
    {
        infallibly(self.try_get_or_refresh_with(key, || Ok::<V, Infallible>(load()), spawn))
    }

    /// The same with a loader that can fail.
    ///
    /// # Errors
    /// As [`try_get_or_insert_with`](Cache::try_get_or_insert_with), of a missing key. The
    /// error of a refresh is counted and dropped: log it in `load`.
    ///
    /// # Panics
    /// If `load` does, of a missing key, or `spawn`.
    pub fn try_get_or_refresh_with<Q, E>(
        self: &Arc<Self>,
        key: &Q,
        load: impl FnOnce() -> Result<V, E> + Send + 'static,
        spawn: impl FnOnce(Job),
    ) -> Result<V, LoadError<E>>
    where
        Q: Hash + Equivalent<K> + ToOwned<Owned = K> + ?Sized,
    {
        let hashed = self.hash(key);
        match self.read_or_hand(hashed, key) {
            Found::Nothing => self.load(hashed, key, Patience::ENDLESS, load),
            Found::Value(value) => Ok(hand_value(value, || dropped(load))),
            Found::Stale(value, handed) => {
                let key = key.to_owned();
                spawn(Box::new(move || handed.run(key, load)));
                Ok(value)
            }
        }
    }

    /// The same for tasks: a stale value's `load` goes to `spawn` as a future, for an executor
    /// of yours. If the key is missing it is polled here, as by
    /// [`get_or_insert_async`](Cache::get_or_insert_async).
    ///
    /// A refresh must be polled to its end, or dropped: until then nobody else refreshes the
    /// value, and whoever misses the key, once the value's life has ended, waits for it.
    ///
    /// # Panics
    /// As [`get_or_refresh_with`](Cache::get_or_refresh_with).
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    /// use std::sync::Arc;
    /// use std::time::Duration;
    ///
    /// # pollster::block_on(async {
    /// let cache = Cache::builder(Entries(100)).refresh_after(Duration::ZERO).build()?;
    /// let cache = Arc::new(cache);
    /// cache.insert("page".to_string(), 1);
    ///
    /// let mut refresh = None;
    /// let spawn = |chore| refresh = Some(chore);
    /// assert_eq!(cache.get_or_refresh_async("page", async { 2 }, spawn).await, 1);
    /// refresh.unwrap().await;
    /// assert_eq!(cache.get("page"), Some(2));
    /// # Ok::<(), brimful::BuildError>(())
    /// # }).unwrap();
    /// ```
    pub async fn get_or_refresh_async<Q>(
        self: &Arc<Self>,
        key: &Q,
        load: impl Future<Output = V> + Send + 'static,
        spawn: impl FnOnce(Chore),
    ) -> V
    where
        Q: Hash + Equivalent<K> + ToOwned<Owned = K> + ?Sized,
    {
        infallibly(self.refresh_async(key, load, spawn, Ok).await)
    }

    /// The same with a future that can fail.
    ///
    /// # Errors
    /// As [`try_get_or_insert_async`](Cache::try_get_or_insert_async), of a missing key. The
    /// error of a refresh is counted and dropped: log it in `load`.
    ///
    /// # Panics
    /// If `load` does, of a missing key, or `spawn`.
    pub async fn try_get_or_refresh_async<Q, E>(
        self: &Arc<Self>,
        key: &Q,
        load: impl Future<Output = Result<V, E>> + Send + 'static,
        spawn: impl FnOnce(Chore),
    ) -> Result<V, LoadError<E>>
    where
        Q: Hash + Equivalent<K> + ToOwned<Owned = K> + ?Sized,
        E: 'static,
    {
        self.refresh_async(key, load, spawn, |loaded| loaded).await
    }

    async fn refresh_async<Q, Fut, E>(
        self: &Arc<Self>,
        key: &Q,
        load: Fut,
        spawn: impl FnOnce(Chore),
        finish: fn(Fut::Output) -> Result<V, E>,
    ) -> Result<V, LoadError<E>>
    where
        Q: Hash + Equivalent<K> + ToOwned<Owned = K> + ?Sized,
        Fut: Future + Send + 'static,
        E: 'static,
    {
        let hashed = self.hash(key);
        match self.read_or_hand(hashed, key) {
            Found::Nothing => self.load_async(hashed, key, load, finish).await,
            Found::Value(value) => Ok(hand_value(value, || dropped(load))),
            Found::Stale(value, handed) => {
                let key = key.to_owned();
                spawn(Box::pin(handed.poll_to_end(key, load, finish)));
                Ok(value)
            }
        }
    }

    /// The value; of one that is due to be refreshed the lead as well.
    fn read_or_hand<Q>(self: &Arc<Self>, hashed: Hashed, key: &Q) -> Found<K, V, F, S>
    where
        Q: Equivalent<K> + ToOwned<Owned = K> + ?Sized,
    {
        if let Some(value) = self.read_unless_due(hashed, key) {
            return Found::Value(value);
        }
        if !self.door.expiry.refreshes() {
            return Found::Nothing;
        }
        let mut own = Some(key.to_owned());
        let found = self.hand(hashed, key, &mut own);
        hand_value(found, || dropped(own))
    }

    /// One look under one lock, after the hit or miss was counted.
    fn hand<Q>(self: &Arc<Self>, hashed: Hashed, key: &Q, own: &mut Option<K>) -> Found<K, V, F, S>
    where
        Q: Equivalent<K> + ?Sized,
    {
        let tag = hashed.tag();
        let is = |found: &K| key.equivalent(found);
        let mut shard = self.lock(hashed);
        let _mark = Mark::set_in_debug();
        let Some(slot) = shard.slot(tag, is) else {
            return Found::Nothing;
        };
        let due = self.is_due(&mut shard, slot, tag, is);
        let Some(entry) = shard.entry(slot) else {
            return Found::Nothing;
        };
        let value = entry.value.clone();
        match own.take_if(|_| due) {
            Some(key) => {
                let load = Chain::begin().load();
                let flight = shard.flights.take_off(tag, key, load);
                let handed = Handed {
                    cache: Arc::clone(self),
                    hashed,
                    flight: Some(flight),
                    load,
                };
                Found::Stale(value, handed)
            }
            None => Found::Value(value),
        }
    }
}

/// What a refreshing call finds.
enum Found<K, V, F: Form, S> {
    Nothing,
    Value(V),
    /// And the lead of its refresh.
    Stale(V, Handed<K, V, F, S>),
}

/// The lead of a refresh on its way to where it will run: given up if dropped.
struct Handed<K, V, F: Form, S> {
    cache: Arc<Cache<K, V, F, S>>,
    hashed: Hashed,
    /// Until it is led.
    flight: Option<Arc<Flight<K, V>>>,
    load: u64,
}

impl<K, V, F: Form, S> Handed<K, V, F, S> {
    /// The lead, inside of what this thread is inside of.
    fn lead(&mut self) -> Option<Leading<'_, K, V, F, S>> {
        let flight = self.flight.take()?;
        let chain = Chain::resumed(self.load);
        Some(Leading::new(&self.cache, self.hashed, flight, chain, true))
    }
}

impl<K, V, F: Form, S> Drop for Handed<K, V, F, S> {
    fn drop(&mut self) {
        drop(self.lead());
    }
}

impl<K, V, F, S> Handed<K, V, F, S>
where
    K: Hash + Eq,
    V: Clone,
    F: Form,
    S: BuildHasher,
{
    fn run<E>(mut self, key: K, load: impl FnOnce() -> Result<V, E>) {
        let Some(leading) = self.lead() else { return };
        let began = Instant::now();
        let loaded = {
            let _inside = leading.chain().enter();
            load()
        };
        end(leading, key, loaded, began);
    }

    async fn poll_to_end<Fut: Future, E>(
        mut self,
        key: K,
        load: Fut,
        finish: fn(Fut::Output) -> Result<V, E>,
    ) {
        // Dropped after the lead is passed on, should this be dropped half-way.
        let mut load = pin!(Some(load));
        let Some(leading) = self.lead() else { return };
        let began = Instant::now();
        let loaded = polled_inside(leading.chain(), load.as_mut()).await;
        let mut panic = caught(|| end(leading, key, finish(loaded), began)).err();
        first(&mut panic, emptied(load));
        go_on(panic);
    }
}

/// Lands what a refresh has loaded, or fails. Nobody is there to be handed anything.
fn end<K, V, F, S, E>(
    leading: Leading<'_, K, V, F, S>,
    key: K,
    loaded: Result<V, E>,
    began: Instant,
) where
    K: Hash + Eq,
    V: Clone,
    F: Form,
    S: BuildHasher,
{
    match loaded {
        Ok(value) => drop(leading.land(|| key, value, Some(began.elapsed()))),
        Err(error) => {
            let mut panic = dropped(leading);
            first(&mut panic, dropped(error));
            first(&mut panic, dropped(key));
            go_on(panic);
        }
    }
}
