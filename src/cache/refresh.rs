//! Refreshing elsewhere: a stale value at once, its load on a thread or task of the
//! caller's choice.
//!
//! ```text
//! a refreshing call: the value is there, and not due?  a hit like any other
//!     it is due?  its value, and under the same lock the lead of a flight: for the thread
//!                 or task that will run the loader
//!     else        what a loading call does
//! ```
//!
//! The lead travels in a [`Refresh`], which gives it up if it is dropped on the way: a
//! spawner that refuses work, or ends, strands no call.

use super::Cache;
use super::entry::Same;
use super::lead::{How, Leading, Sharing, Sought};
use crate::error::LoadError;
use crate::flight::Flight;
use crate::flight::chain::Chain;
use crate::form::Form;
use crate::hash::Hashed;
use crate::key::ToKey;
use crate::reentry::Mark;
use crate::sync::{self, Arc};
use crate::unwind::{Panics, after_dropping};
use hashbrown::Equivalent;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::pin::{Pin, pin};

impl<K, V, F, S> Cache<K, V, F, S>
where
    K: Hash + Eq + Send + 'static,
    V: Clone + Send + 'static,
    F: Form,
    S: BuildHasher,
    Self: Send + Sync + 'static,
{
    /// A load of the key for callers that never wait for a
    /// [stale](crate::Builder::refresh_after) value to be refreshed: it is returned at once,
    /// and its load goes to a thread or task of yours, as the call that follows says.
    /// Without `refresh_after` nothing is ever stale.
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
    /// let fetch = || Ok::<_, std::io::Error>(2);
    /// let mut refresh = None;
    /// let page = cache.load_or_refresh("page").with(fetch, |job| refresh = Some(thread::spawn(job)));
    /// assert_eq!(page.unwrap(), 1);
    /// refresh.unwrap().join().unwrap();
    /// assert_eq!(cache.get("page"), Some(2));
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn load_or_refresh<'a, Q>(
        self: &'a Arc<Self>,
        key: &'a Q,
    ) -> LoadOrRefresh<'a, Q, K, V, F, S>
    where
        Q: Hash + ToKey<K> + ?Sized,
    {
        LoadOrRefresh { cache: self, key }
    }

    /// The value; of one that is due to be refreshed the lead as well.
    fn find_or_take_off<Q>(self: &Arc<Self>, hashed: Hashed, key: &Q) -> Found<K, V, F, S>
    where
        Q: ToKey<K> + ?Sized,
    {
        if let Some(value) = self.read_unless_due(hashed, key) {
            return Found::Value(value);
        }
        if !self.door.expiry.refreshes() {
            return Found::Nothing;
        }
        let mut own = Some(key.to_key());
        let found = self.take_off_if_due(hashed, key, &mut own);
        after_dropping(own, found)
    }

    /// One look under one lock, after the hit or miss was counted.
    fn take_off_if_due<Q>(
        self: &Arc<Self>,
        hashed: Hashed,
        key: &Q,
        own: &mut Option<K>,
    ) -> Found<K, V, F, S>
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
        let value = entry.value().clone();
        match own.take_if(|_| due) {
            Some(key) => {
                let load = Chain::begin().load();
                let flight = shard.flights.take_off(tag, key, load);
                let refresh = Refresh {
                    cache: Arc::clone(self),
                    hashed,
                    flight: Some(flight),
                    load,
                };
                Found::Stale(value, refresh)
            }
            None => Found::Value(value),
        }
    }
}

/// A load of one key, or its refresh elsewhere: made by [`Cache::load_or_refresh`].
///
/// A spawner is called without any lock, at most once, and only if no other refresh of the
/// key is on its way. If it drops what it is given, or the load panics there, the value stays
/// and the next call tries again. A refresh keeps the cache alive until it has run, and the
/// listener hears of the replaced value where it runs.
///
/// ```
/// use brimful::Cache;
/// use std::sync::Arc;
///
/// let cache = Arc::new(Cache::<String, u32>::new(100));
/// let found = cache.load_or_refresh("1").with(|| "1".parse(), |_refresh| unreachable!());
/// assert_eq!(found, Ok(1));
/// ```
#[must_use = "nothing is loaded before `with` or `future` says how"]
pub struct LoadOrRefresh<'a, Q: ?Sized, K, V, F: Form, S> {
    cache: &'a Arc<Cache<K, V, F, S>>,
    key: &'a Q,
}

impl<Q, K, V, F, S> LoadOrRefresh<'_, Q, K, V, F, S>
where
    Q: Hash + ToKey<K> + ?Sized,
    K: Hash + Eq + Send + 'static,
    V: Clone + Send + 'static,
    F: Form,
    S: BuildHasher,
    Cache<K, V, F, S>: Send + Sync + 'static,
{
    /// The value under the key, stale or not. If it is stale, `load` goes to `spawn`, in a
    /// closure that runs it and stores what it brings; if there is none, `load` runs on the
    /// caller's thread, as by [`try_get_or_insert_with`](Cache::try_get_or_insert_with).
    ///
    /// # Errors
    /// As [`try_get_or_insert_with`](Cache::try_get_or_insert_with), of a missing key. The
    /// error of a refresh is counted and dropped: log it in `load`.
    ///
    /// # Panics
    /// If `load` does, of a missing key. If `spawn` does: the refresh is given up then.
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    /// use std::sync::{Arc, mpsc};
    /// use std::time::Duration;
    ///
    /// let cache = Cache::builder(Entries(100)).refresh_after(Duration::ZERO).build()?;
    /// let cache = Arc::new(cache);
    /// cache.insert("tea".to_string(), 310);
    ///
    /// let (queue, jobs) = mpsc::channel();
    /// let price = || cache.load_or_refresh("tea").with(|| Err("no route"), |job| queue.send(job).unwrap());
    /// assert_eq!(price(), Ok(310));
    /// jobs.recv().unwrap()();
    /// assert_eq!((price(), cache.stats().load_failures()), (Ok(310), 1));
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn with<E>(
        self,
        load: impl FnOnce() -> Result<V, E> + Send + 'static,
        spawn: impl FnOnce(Box<dyn FnOnce() + Send>),
    ) -> Result<V, LoadError<E>>
    where
        E: 'static,
    {
        self.with_shared(load, spawn, Sharing::NO)
    }

    /// A thread's call.
    pub(super) fn with_shared<E: 'static>(
        self,
        load: impl FnOnce() -> Result<V, E> + Send + 'static,
        spawn: impl FnOnce(Box<dyn FnOnce() + Send>),
        sharing: Sharing<E>,
    ) -> Result<V, LoadError<E>> {
        let Self { cache, key } = self;
        let hashed = cache.hash(key);
        match cache.find_or_take_off(hashed, key) {
            Found::Nothing => cache.load_here(hashed, key, None, How::sharing(sharing), load),
            Found::Value(value) => Ok(after_dropping(load, value)),
            Found::Stale(value, refresh) => {
                let key = key.to_key();
                let load = async move { load() };
                // A leader never waits, so this never sleeps.
                spawn(Box::new(move || {
                    let loaded = |loaded| loaded;
                    sync::block_on(refresh.run(key, load, loaded, sharing), None);
                }));
                Ok(value)
            }
        }
    }

    /// The value under the key, stale or not, for tasks. If it is stale, `load` goes to
    /// `spawn`, in a future for an executor of yours; if there is none, `load` is polled here,
    /// as by [`try_get_or_insert_async`](Cache::try_get_or_insert_async).
    ///
    /// A refresh must be polled to its end, or dropped: until then no other call refreshes the
    /// value, and each that misses the key, once the value's life has ended, waits for it.
    ///
    /// # Errors
    /// As [`try_get_or_insert_async`](Cache::try_get_or_insert_async), of a missing key. The
    /// error of a refresh is counted and dropped: log it in `load`.
    ///
    /// # Panics
    /// As [`with`](LoadOrRefresh::with).
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
    /// let fetch = async { Ok::<_, std::io::Error>(2) };
    /// let mut refresh = None;
    /// let page = cache.load_or_refresh("page").future(fetch, |task| refresh = Some(task)).await;
    /// assert_eq!(page.unwrap(), 1);
    /// refresh.unwrap().await;
    /// assert_eq!(cache.get("page"), Some(2));
    /// # Ok::<(), brimful::BuildError>(())
    /// # }).unwrap();
    /// ```
    pub fn future<E>(
        self,
        load: impl Future<Output = Result<V, E>> + Send + 'static,
        spawn: impl FnOnce(Pin<Box<dyn Future<Output = ()> + Send>>),
    ) -> impl Future<Output = Result<V, LoadError<E>>>
    where
        E: 'static,
    {
        self.refreshing(load, |loaded| loaded, spawn, |loaded| loaded, Sharing::NO)
    }

    /// A task's call: `finish` makes a value of what `load` comes to, `then` the answer.
    #[expect(
        clippy::manual_async_fn,
        reason = "an `async fn` has room for its arguments twice"
    )]
    pub(super) fn refreshing<Fut, E, T>(
        self,
        load: Fut,
        finish: impl FnOnce(Fut::Output) -> Result<V, E> + Send + 'static,
        spawn: impl FnOnce(Pin<Box<dyn Future<Output = ()> + Send>>),
        then: impl FnOnce(Result<V, LoadError<E>>) -> T,
        sharing: Sharing<E>,
    ) -> impl Future<Output = T>
    where
        Fut: Future + Send + 'static,
        E: 'static,
    {
        async move {
            let Self { cache, key } = self;
            let hashed = cache.hash(key);
            let sought = match cache.find_or_take_off(hashed, key) {
                Found::Stale(value, refresh) => {
                    spawn(Box::pin(refresh.run(key.to_key(), load, finish, sharing)));
                    return then(Ok(value));
                }
                Found::Value(value) => Ok(Sought::Value(value)),
                Found::Nothing => cache.seek(hashed, key, &How::sharing(sharing)).await,
            };
            then(match sought {
                Ok(Sought::Lead(leading)) => {
                    leading
                        .run_boxed(key, Box::pin(load), finish, sharing)
                        .await
                }
                Ok(Sought::Value(value)) => Ok(after_dropping(load, value)),
                Err(error) => Err(after_dropping(load, error)),
            })
        }
    }
}

impl<Q: ?Sized, K, V, F: Form, S> fmt::Debug for LoadOrRefresh<'_, Q, K, V, F, S> {
    /// Prints the cache's figures: nothing is asked of the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("LoadOrRefresh");
        shown.field("cache", self.cache).finish_non_exhaustive()
    }
}

/// What a refreshing call finds.
enum Found<K, V, F: Form, S> {
    Nothing,
    Value(V),
    /// And the lead of its refresh.
    Stale(V, Refresh<K, V, F, S>),
}

/// The lead of a refresh on its way to where it will run: given up if dropped.
struct Refresh<K, V, F: Form, S> {
    cache: Arc<Cache<K, V, F, S>>,
    hashed: Hashed,
    /// Until it is led.
    flight: Option<Arc<Flight<K, V>>>,
    load: u64,
}

impl<K, V, F: Form, S> Refresh<K, V, F, S> {
    /// The lead, inside of what this thread is inside of.
    fn lead(&mut self) -> Option<Leading<'_, K, V, F, S>> {
        let flight = self.flight.take()?;
        let chain = Chain::resumed(self.load);
        Some(Leading::new(&self.cache, self.hashed, flight, chain, true))
    }
}

impl<K, V, F: Form, S> Drop for Refresh<K, V, F, S> {
    fn drop(&mut self) {
        drop(self.lead());
    }
}

impl<K, V, F, S> Refresh<K, V, F, S>
where
    K: Hash + Eq,
    V: Clone,
    F: Form,
    S: BuildHasher,
{
    /// Runs the loader, and lands what it brings or fails: nothing is answered.
    async fn run<Fut, E>(
        mut self,
        key: K,
        load: Fut,
        finish: impl FnOnce(Fut::Output) -> Result<V, E>,
        sharing: Sharing<E>,
    ) where
        Fut: Future,
    {
        // Declared before the lead, so dropped after it is passed on, should this be
        // dropped half-way.
        let mut load = pin!(Some(load));
        let Some(leading) = self.lead() else {
            return;
        };
        let (began, loaded) = leading.load(load.as_mut()).await;
        let mut panics = Panics::none();
        match finish(loaded) {
            Ok(value) => {
                panics.run(|| drop(leading.land(|| key, value, Some(began))));
            }
            Err(error) => {
                panics.run(|| drop(leading.fail(&Same(&key), error, sharing, began)));
                panics.drop(key);
            }
        }
        panics.run(|| load.set(None));
        panics.resume();
    }
}
