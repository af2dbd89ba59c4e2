//! Loading: the calls that load one key. How they share a load: the room `lead`.
//!
//! ```text
//! a loading call: the value is there, and not due to be refreshed?  a hit like any other
//!     else        its load (`lead`): a thread sleeps while it waits, a task is pending
//! ```
//!
//! The short forms are the calls that most programs need; [`Load`] is where all others
//! begin.
//!
//! The futures run on any executor: a call that waits is woken by the waker it was
//! last polled with, and a call that leads polls its caller's future itself, in a box. They
//! allocate nothing on a hit, and are little larger than the load that they are given.

use super::Cache;
use super::lead::{How, Sharing, Sought, Valid};
use crate::clock::{Glance, Moment};
use crate::error::LoadError;
use crate::form::Form;
use crate::hash::Hashed;
use crate::key::ToKey;
use crate::shard::Shard;
use crate::stats::Caller;
use crate::table::{Entry, Look};
use crate::unwind::after_dropping;
use hashbrown::Equivalent;
use std::convert::Infallible;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::panic::Location;
use std::time::Duration;

impl<K, V, F, S> Cache<K, V, F, S>
where
    K: Hash + Eq,
    F: Form,
    S: BuildHasher,
{
    /// The value under the key; if there is none, that of `load`, stored under it.
    ///
    /// Callers that miss one key at the same time share one load: the first runs
    /// its `load`, the others wait for it and get clones. If that `load` panics,
    /// one that waits runs its own; so does each in turn, until a value is there.
    /// Other keys never wait for it. A value that the cache refuses is returned all the same.
    /// If the value is [stale](crate::Builder::refresh_after) and is not being refreshed,
    /// this call does.
    ///
    /// `load` runs on the caller's thread without any lock, and may use this and
    /// other caches. The calling thread sleeps while it waits: in a task use
    /// [`get_or_insert_async`](Cache::get_or_insert_async).
    ///
    /// # What other calls do meanwhile
    ///
    /// A load that began before a key was written or removed is never stored
    /// after it:
    ///
    /// | during the load of a key | its callers get | is stored | later callers |
    /// |---|---|---|---|
    /// | `insert` of the key, or `entry(…).or_insert…` | what it loads | what was inserted | find that |
    /// | an `insert` of the key that is refused | what it loads | nothing | load again |
    /// | `remove`, `remove_entry`, `remove_if` of the key | what it loads | nothing | load again |
    /// | `compute` of the key that puts or removes, or whose [stale](crate::Builder::refresh_after) value was there | what it loads | what was computed | find that, or load again |
    /// | `update` of the key, whose [stale](crate::Builder::refresh_after) value was there | what it loads | what was updated | find that |
    /// | `clear`, `drain`, `retain` | what it loads | nothing | load again |
    /// | `compute_async` of the key | what it loads | what it loads | find that: the computation waits for the load |
    /// | other keys are evicted or removed; `for_each`, `iter` | what it loads | what it loads | find it |
    /// | the key's own [stale](crate::Builder::refresh_after) value is evicted or expires | what it loads | what it loads, as if it had been absent all along: others are evicted for it | find it |
    /// | `set_capacity`, and the value fits | what it loads | what it loads | find it |
    /// | `set_capacity`, and it is too heavy now | what it loads | nothing: refused | load again |
    /// | the load fails, and the key was not written | one loads in its stead, the others wait for that one | | |
    /// | the load fails, and the key was written | start over from the look-up | | |
    ///
    /// `remove_if` and `retain` can't ask their condition of a value that is not there
    /// yet, so they too keep what is being loaded from being stored, whatever they answer for
    /// others; but `remove_if` leaves the load of a stale value alone that it does not remove. What is
    /// loaded and not stored is counted: [`Snapshot::loads_unstored`](crate::Snapshot::loads_unstored),
    /// and what is refused as such.
    ///
    /// # Panics
    /// If `load` panics: that panic reaches its own caller only. If the call is
    /// made inside of a load that waits for this very key, by itself or through others:
    /// see [`LoadError::Cycle`].
    ///
    /// # Example
    ///
    /// ```
    /// let cache = brimful::Cache::<String, usize>::new(100);
    /// let length = cache.get_or_insert_with("word", || 4);
    /// assert_eq!(length, 4);
    /// assert_eq!(cache.get_or_insert_with("word", || unreachable!()), 4);
    /// ```
    #[doc(alias = "get_with")]
    #[doc(alias = "get_or_compute")]
    #[doc(alias = "compute_if_absent")]
    #[inline]
    #[track_caller]
    pub fn get_or_insert_with<Q>(&self, key: &Q, load: impl FnOnce() -> V) -> V
    where
        Q: Hash + ToKey<K> + ?Sized,
        V: Clone,
    {
        infallibly(self.load(key).with(|| Ok(load())))
    }

    /// The value under the key; if there is none, that of `load`, which can fail:
    /// [`load(key).with(load)`](Load::with) for short.
    ///
    /// # Errors
    /// [`LoadError::Failed`] with the error of the caller's own `load`, which is not stored: an
    /// error of another caller's is never seen, since then one that waits loads in
    /// its stead. [`LoadError::Cycle`] if the call is made inside of a load that waits
    /// for this key.
    ///
    /// # Panics
    /// If `load` does.
    ///
    /// ```
    /// use brimful::{Cache, LoadError};
    ///
    /// let numbers = Cache::<String, u64>::new(100);
    /// let number = |text: &str| numbers.try_get_or_insert_with(text, || text.parse());
    /// assert_eq!(number("12"), Ok(12));
    /// assert!(matches!(number("twelve"), Err(LoadError::Failed(_))));
    /// assert_eq!(numbers.len(), 1);
    /// ```
    #[doc(alias = "try_get_with")]
    #[inline]
    pub fn try_get_or_insert_with<Q, E>(
        &self,
        key: &Q,
        load: impl FnOnce() -> Result<V, E>,
    ) -> Result<V, LoadError<E>>
    where
        Q: Hash + ToKey<K> + ?Sized,
        V: Clone,
    {
        self.load(key).with(load)
    }

    /// The value under the key; if there is none, that of the future `load`, stored
    /// under it: [`get_or_insert_with`](Cache::get_or_insert_with) for tasks, on any
    /// executor.
    ///
    /// Nothing happens before the first poll; a `load` that is not needed is never
    /// polled. Tasks and threads that miss one key share one load, and a
    /// write during the load means to a task what it means to a thread. If the task that
    /// loads is cancelled (its future dropped), one that waits loads in its stead; if one
    /// that waits is cancelled, nothing of it stays. The future is `Send` if `load`,
    /// the cache and the key are `Sync` and `Send` as needed.
    ///
    /// A future that has begun must be polled when woken, or dropped: the lead may
    /// have been passed to it, and others wait then.
    ///
    /// # Panics
    /// If `load` panics, and on a cycle, as far as it is known: what is polled
    /// inside of `load` is inside of that load, and so is what it runs; a task that
    /// `load` spawns and waits for is not, so if that one asks for
    /// the key, both wait for ever.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// let cache = brimful::Cache::<String, usize>::new(100);
    /// let length = cache.get_or_insert_async("word", async { 4 }).await;
    /// assert_eq!(length, 4);
    /// assert_eq!(cache.get("word"), Some(4));
    /// # });
    /// ```
    #[doc(alias = "get_with")]
    pub fn get_or_insert_async<Q>(
        &self,
        key: &Q,
        load: impl Future<Output = V>,
    ) -> impl Future<Output = V>
    where
        Q: Hash + ToKey<K> + ?Sized,
        V: Clone,
    {
        self.loading(key, load, Ok, infallibly, How::plain(self))
    }

    /// The value under the key; if there is none, that of the future `load`, which can fail:
    /// [`load(key).future(load)`](Load::future) for short.
    ///
    /// # Errors
    /// [`LoadError::Failed`] with the error of the caller's own `load`, which is not stored, and
    /// [`LoadError::Cycle`] as far as the cycle is known. To wait no longer than some
    /// time, drop the future then, as by your executor's `timeout`.
    ///
    /// ```
    /// use brimful::{Cache, LoadError};
    ///
    /// # pollster::block_on(async {
    /// let cache = Cache::<u32, u32>::new(100);
    /// let failed = cache.try_get_or_insert_async(&1, async { Err("no route") }).await;
    /// assert_eq!(failed, Err(LoadError::Failed("no route")));
    /// # });
    /// ```
    #[doc(alias = "try_get_with")]
    pub fn try_get_or_insert_async<Q, E>(
        &self,
        key: &Q,
        load: impl Future<Output = Result<V, E>>,
    ) -> impl Future<Output = Result<V, LoadError<E>>>
    where
        Q: Hash + ToKey<K> + ?Sized,
        V: Clone,
    {
        self.loading(
            key,
            load,
            |loaded| loaded,
            |loaded| loaded,
            How::plain(self),
        )
    }

    /// A load of the key by a loader that can fail: how, the call that follows says.
    ///
    /// ```
    /// use brimful::{Cache, LoadError};
    /// use std::time::Duration;
    ///
    /// let numbers = Cache::<String, u64>::new(100);
    /// let patience = Duration::from_millis(50);
    /// assert_eq!(numbers.load("12").within(patience, || "12".parse()), Ok(12));
    /// assert!(numbers.load("twelve").with(|| "twelve".parse()).is_err());
    /// # Ok::<(), LoadError<std::num::ParseIntError>>(())
    /// ```
    #[inline]
    #[track_caller]
    pub fn load<'a, Q>(&'a self, key: &'a Q) -> Load<'a, Q, K, V, F, S>
    where
        Q: Hash + ToKey<K> + ?Sized,
    {
        Load {
            cache: self,
            key,
            valid: None,
            caller: Caller {
                scope: 0,
                line: self.door.tracking.line(Location::caller()),
            },
        }
    }

    /// A task's call: `finish` makes a value of what `load` comes to, `then` the answer.
    ///
    /// Whatever takes `load` by value has room for it, so this is the one future that does.
    #[expect(
        clippy::manual_async_fn,
        reason = "an `async fn` has room for its arguments twice"
    )]
    pub(super) fn loading<Q, Fut, E, T>(
        &self,
        key: &Q,
        load: Fut,
        finish: impl FnOnce(Fut::Output) -> Result<V, E>,
        then: impl FnOnce(Result<V, LoadError<E>>) -> T,
        how: How<'_, V, E>,
    ) -> impl Future<Output = T>
    where
        Q: Hash + ToKey<K> + ?Sized,
        V: Clone,
        Fut: Future,
    {
        async move {
            let hashed = self.hash(key);
            let sought = match self.read_if_valid(hashed, key, &how) {
                Some(value) => Ok(Sought::Value(value)),
                None => self.seek(hashed, key, &how).await,
            };
            then(match sought {
                Ok(Sought::Lead(leading)) => {
                    leading
                        .run_boxed(key, Box::pin(load), finish, how.sharing)
                        .await
                }
                Ok(Sought::Value(value)) => Ok(after_dropping(load, value)),
                Err(error) => Err(after_dropping(load, error)),
            })
        }
    }

    /// A clone of the value, unless it is not valid or due to be refreshed.
    #[inline]
    pub(super) fn read_if_valid<Q, E>(
        &self,
        hashed: Hashed,
        key: &Q,
        how: &How<'_, V, E>,
    ) -> Option<V>
    where
        Q: Equivalent<K> + ?Sized,
        V: Clone,
    {
        let found = self.read_unless_due(hashed, key)?;
        how.is_valid(&found).then_some(found)
    }

    /// A clone of the value, unless it is due to be refreshed.
    #[inline]
    pub(super) fn read_unless_due<Q>(&self, hashed: Hashed, key: &Q) -> Option<V>
    where
        Q: Equivalent<K> + ?Sized,
        V: Clone,
    {
        self.read_unless_due_at(hashed, key, self.glance())
    }

    /// A clone of the value at this time, unless it is due to be refreshed. A hit either way.
    #[inline]
    pub(super) fn read_unless_due_at<Q>(&self, hashed: Hashed, key: &Q, glance: Glance) -> Option<V>
    where
        Q: Equivalent<K> + ?Sized,
        V: Clone,
    {
        if !F::AGED || !self.door.expiry.refreshes() {
            return self.read_at(hashed, key, glance, |_, value| value.clone());
        }
        if let Some(visit) = self.visit(hashed) {
            match self.find(&visit, hashed, key, glance) {
                (Look::Here(entry), now) if self.is_fresh(entry, now) => {
                    self.touch(hashed, entry, &visit, now);
                    return Some(entry.value().clone());
                }
                (Look::Absent, _) => {
                    self.missed(hashed, &visit);
                    return None;
                }
                (Look::Here(_) | Look::Unclear, _) => (),
            }
        }
        let mut shard = self.lock_in_time(self.shard(hashed), self.exact(glance));
        let _mark = self.mark_read();
        let is = |found: &K| key.equivalent(found);
        let now = shard.now();
        let entry = shard.get(hashed.tag(), is)?;
        if self.is_fresh(entry, now) && !self.door.expiry.rules_reads() {
            return Some(entry.value().clone());
        }
        self.reread_unless_due(&mut shard, hashed, is)
    }

    /// Whether a value is not yet to be refreshed.
    #[inline]
    pub(super) fn is_fresh(&self, entry: &Entry<K, V, F>, now: Moment) -> bool {
        !Shard::<K, V, F>::has_age(entry.extra(), self.door.expiry.refresh_after(), now)
    }

    /// A clone of a value that is stale, or where a rule is asked about reads, unless it
    /// is due to be refreshed.
    #[cold]
    #[inline(never)]
    fn reread_unless_due(
        &self,
        shard: &mut Shard<K, V, F>,
        hashed: Hashed,
        is: impl Fn(&K) -> bool + Copy,
    ) -> Option<V>
    where
        V: Clone,
    {
        let slot = shard.slot(hashed.tag(), is)?;
        if self.is_due(shard, slot, hashed.tag(), is) {
            return None;
        }
        self.rule_read(shard, slot);
        Some(shard.entry(slot)?.value().clone())
    }
}

/// A load of one key, by a loader that can fail: made by [`Cache::load`].
///
/// ```
/// use brimful::{Cache, LoadError};
///
/// let lengths = Cache::<String, usize>::new(100);
/// let length = |path: &str| lengths.load(path).with(|| std::fs::read(path).map(|read| read.len()));
/// assert!(matches!(length("/no/such/file"), Err(LoadError::Failed(_))));
/// ```
#[must_use = "nothing is loaded before `with`, `within`, `future` or `begin` says how"]
pub struct Load<'a, Q: ?Sized, K, V, F: Form, S> {
    pub(super) cache: &'a Cache<K, V, F, S>,
    pub(super) key: &'a Q,
    valid: Option<Valid<'a, V>>,
    pub(super) caller: Caller,
}

impl<'a, Q, K, V, F, S> Load<'a, Q, K, V, F, S>
where
    Q: Hash + ToKey<K> + ?Sized,
    K: Hash + Eq,
    V: Clone,
    F: Form,
    S: BuildHasher,
{
    /// The value under the key; if there is none, that of `load`, stored under it. The
    /// calling thread sleeps while it waits for another caller's load.
    ///
    /// # Errors
    /// [`LoadError::Failed`] and [`LoadError::Cycle`], as
    /// [`try_get_or_insert_with`](Cache::try_get_or_insert_with).
    ///
    /// # Panics
    /// If `load` does.
    ///
    /// ```
    /// let numbers = brimful::Cache::<String, u64>::new(100);
    /// assert_eq!(numbers.load("12").with(|| "12".parse()), Ok(12));
    /// ```
    #[inline]
    pub fn with<E>(self, load: impl FnOnce() -> Result<V, E>) -> Result<V, LoadError<E>> {
        let how = self.how(Sharing::NO);
        self.here(None, how, load)
    }

    /// The value under the key, for a caller that waits at most so long for another's
    /// load: zero means not at all. A `load` of its own takes the time it takes.
    ///
    /// # Errors
    /// [`LoadError::TimedOut`] after that time, and those of [`with`](Load::with).
    ///
    /// # Panics
    /// If `load` does.
    ///
    /// ```
    /// use brimful::{Cache, LoadError};
    /// use std::time::Duration;
    ///
    /// let cache = Cache::<u32, u32>::new(100);
    /// let impatient = || cache.load(&1).within(Duration::ZERO, || Err("not asked"));
    /// cache.get_or_insert_with(&1, || {
    ///     std::thread::scope(|scope| {
    ///         assert_eq!(scope.spawn(impatient).join().unwrap(), Err(LoadError::TimedOut));
    ///     });
    ///     7
    /// });
    /// ```
    pub fn within<E>(
        self,
        most: Duration,
        load: impl FnOnce() -> Result<V, E>,
    ) -> Result<V, LoadError<E>> {
        let how = self.how(Sharing::NO);
        self.here(Some(most), how, load)
    }

    /// The value under the key; if there is none, that of the future `load`, stored under
    /// it: for tasks, on any executor. See
    /// [`get_or_insert_async`](Cache::get_or_insert_async).
    ///
    /// # Errors
    /// As [`try_get_or_insert_async`](Cache::try_get_or_insert_async).
    ///
    /// # Panics
    /// If `load` does.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// let numbers = brimful::Cache::<String, u64>::new(100);
    /// assert_eq!(numbers.load("12").future(async { "12".parse() }).await, Ok(12));
    /// # });
    /// ```
    pub fn future<E>(
        self,
        load: impl Future<Output = Result<V, E>>,
    ) -> impl Future<Output = Result<V, LoadError<E>>> {
        let how = self.how(Sharing::NO);
        self.cache
            .loading(self.key, load, |loaded| loaded, |loaded| loaded, how)
    }

    /// A load that takes a value for which `valid` is false for absent: the key is loaded, as
    /// after a miss, and the new value takes the place of the old.
    ///
    /// For values that go out of date by themselves, as a file does, and, by `&|_| false`, for
    /// a load on demand; `load` may [`peek`](Cache::peek) at the old value. Callers who find the value
    /// not valid share one load; its value is not asked about. Callers who don't ask have the old
    /// value meanwhile. If the load fails the old value stays.
    ///
    /// `valid` is called for a clone without a lock; and, once that was false, before a load begins,
    /// for the value that is there then, under the lock of its shard: there it must not call into any
    /// brimful cache, and panics if it does.
    ///
    /// ```
    /// let texts = brimful::Cache::<&str, (u32, String)>::new(100);
    /// let text = |version: u32| {
    ///     let valid = |(read, _): &(u32, String)| *read == version;
    ///     let load = || Ok::<_, std::io::Error>((version, format!("text {version}")));
    ///     texts.load(&"file").valid_if(&valid).with(load)
    /// };
    /// assert_eq!(text(1).unwrap().1, "text 1");
    /// assert_eq!(text(1).unwrap().1, "text 1");
    /// assert_eq!(text(2).unwrap().1, "text 2");
    /// assert_eq!(texts.stats().loads(), 2);
    /// ```
    pub fn valid_if(self, valid: &'a (impl Fn(&V) -> bool + Sync)) -> Self {
        Self {
            valid: Some(valid),
            ..self
        }
    }

    /// A load whose failure is shared: of callers that wait for one such load none loads
    /// again if that fails; all get clones of its error, at once.
    ///
    /// So a backend that is down is asked once for all who wait, and not by one after
    /// another. A caller that does not share, or whose errors are of another type, loads
    /// itself. Nothing is remembered: the next call loads. If the key was written during the
    /// load, callers start over instead.
    ///
    /// ```
    /// use brimful::{Cache, LoadError};
    /// use std::sync::Arc;
    ///
    /// let pages = Cache::<String, String>::new(100);
    /// let page = |url: &str| {
    ///     let load = || std::fs::read_to_string(url).map_err(Arc::new);
    ///     pages.load(url).shared().with(load)
    /// };
    /// assert!(matches!(page("/no/such/file"), Err(LoadError::Failed(_))));
    /// ```
    pub fn shared(self) -> SharedLoad<'a, Q, K, V, F, S> {
        SharedLoad(self)
    }

    #[inline]
    pub(super) fn how<E>(&self, sharing: Sharing<E>) -> How<'a, V, E> {
        How {
            sharing,
            valid: self.valid,
            caller: self.caller,
        }
    }

    #[inline]
    pub(super) fn here<E>(
        self,
        most: Option<Duration>,
        how: How<'_, V, E>,
        load: impl FnOnce() -> Result<V, E>,
    ) -> Result<V, LoadError<E>> {
        let Self { cache, key, .. } = self;
        let hashed = cache.hash(key);
        match cache.read_if_valid(hashed, key, &how) {
            Some(value) => Ok(after_dropping(load, value)),
            None => cache.load_here(hashed, key, most, how, load),
        }
    }
}

impl<Q: ?Sized, K, V, F: Form, S> fmt::Debug for Load<'_, Q, K, V, F, S> {
    /// Prints the cache's figures: nothing is asked of the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Load");
        shown.field("cache", self.cache).finish_non_exhaustive()
    }
}

/// A load of one key whose failure is shared with all callers that wait for it: made by
/// [`Load::shared`].
///
/// ```
/// use brimful::{Cache, LoadError};
/// use std::sync::Barrier;
/// use std::thread;
///
/// let cache = Cache::<u32, u32>::new(100);
/// let (first, asked) = (Barrier::new(2), std::sync::atomic::AtomicU32::new(0));
/// let load = || {
///     asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
///     first.wait();
///     while cache.stats().load_waits() < 1 {
///         thread::yield_now();
///     }
///     Err("no route")
/// };
/// thread::scope(|scope| {
///     let leads = scope.spawn(|| cache.load(&1).shared().with(load));
///     first.wait();
///     let waits = cache.load(&1).shared().with(|| unreachable!("one load for both"));
///     assert_eq!(waits, Err(LoadError::Failed("no route")));
///     assert_eq!(leads.join().unwrap(), waits);
/// });
/// assert_eq!(asked.into_inner(), 1);
/// ```
#[must_use = "nothing is loaded before `with`, `within` or `future` says how"]
pub struct SharedLoad<'a, Q: ?Sized, K, V, F: Form, S>(Load<'a, Q, K, V, F, S>);

impl<Q, K, V, F, S> SharedLoad<'_, Q, K, V, F, S>
where
    Q: Hash + ToKey<K> + ?Sized,
    K: Hash + Eq,
    V: Clone,
    F: Form,
    S: BuildHasher,
{
    /// As [`Load::with`].
    ///
    /// # Errors
    /// As [`Load::with`], and [`LoadError::Failed`] with another caller's error.
    ///
    /// # Panics
    /// If `load` does.
    ///
    /// ```
    /// let numbers = brimful::Cache::<String, u64>::new(100);
    /// assert_eq!(numbers.load("12").shared().with(|| "12".parse()), Ok(12));
    /// ```
    pub fn with<E>(self, load: impl FnOnce() -> Result<V, E>) -> Result<V, LoadError<E>>
    where
        E: Clone + Send + Sync + 'static,
    {
        let how = self.0.how(Sharing::YES);
        self.0.here(None, how, load)
    }

    /// As [`Load::within`].
    ///
    /// # Errors
    /// As [`Load::within`], and [`LoadError::Failed`] with another caller's error.
    ///
    /// # Panics
    /// If `load` does.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let numbers = brimful::Cache::<String, u64>::new(100);
    /// let patience = Duration::from_millis(50);
    /// assert_eq!(numbers.load("12").shared().within(patience, || "12".parse()), Ok(12));
    /// ```
    pub fn within<E>(
        self,
        most: Duration,
        load: impl FnOnce() -> Result<V, E>,
    ) -> Result<V, LoadError<E>>
    where
        E: Clone + Send + Sync + 'static,
    {
        let how = self.0.how(Sharing::YES);
        self.0.here(Some(most), how, load)
    }

    /// As [`Load::future`].
    ///
    /// # Errors
    /// As [`Load::future`], and [`LoadError::Failed`] with another caller's error.
    ///
    /// # Panics
    /// If `load` does.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// let numbers = brimful::Cache::<String, u64>::new(100);
    /// assert_eq!(numbers.load("12").shared().future(async { "12".parse() }).await, Ok(12));
    /// # });
    /// ```
    pub fn future<E>(
        self,
        load: impl Future<Output = Result<V, E>>,
    ) -> impl Future<Output = Result<V, LoadError<E>>>
    where
        E: Clone + Send + Sync + 'static,
    {
        let how = self.0.how(Sharing::YES);
        let Load { cache, key, .. } = self.0;
        cache.loading(key, load, |loaded| loaded, |loaded| loaded, how)
    }
}

impl<Q: ?Sized, K, V, F: Form, S> fmt::Debug for SharedLoad<'_, Q, K, V, F, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SharedLoad").field(&self.0).finish()
    }
}

/// The value of a loader that cannot fail, and for which the caller waits for any time.
#[inline]
#[track_caller]
pub(super) fn infallibly<V>(loaded: Result<V, LoadError<Infallible>>) -> V {
    match loaded {
        Ok(value) => value,
        Err(LoadError::Failed(never)) => match never {},
        Err(LoadError::Cycle) => refuse(
            "a loader asked for a key whose load waits for that loader, and would wait for ever; \
             the `try_` forms answer LoadError::Cycle instead",
        ),
        // No time was set: this is a target with one thread.
        Err(LoadError::TimedOut) => refuse(
            "a task loads this key, and cannot go on while this thread waits for it, for ever; \
             the `try_` forms answer LoadError::TimedOut instead, the `_async` forms wait",
        ),
    }
}

#[cold]
#[track_caller]
pub(super) fn refuse(why: &str) -> ! {
    panic!("brimful: {why}")
}
