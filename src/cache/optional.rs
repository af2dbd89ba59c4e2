//! Loads whose source may say that there is no such key, or no more.
//!
//! That is an answer, not a failure: the caller's is `None`, and so is that of each call that waits
//! for the same and can take it; and a value that is there, stale or not valid, leaves. Inside it
//! travels as a failure that such loads share (`lead`).

use super::Cache;
use super::lead::{How, Sharing, Without};
use super::load::Load;
use super::refresh::LoadOrRefresh;
use crate::error::LoadError;
use crate::form::Form;
use crate::key::ToKey;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::pin::Pin;
use std::time::Duration;

impl<'a, Q: ?Sized, K, V, F: Form, S> Load<'a, Q, K, V, F, S> {
    /// A load whose source may say that there is no such key, or no more: by `Ok(None)`.
    ///
    /// Nothing is stored then. The caller gets `None`, and so do those who wait for it by such a load
    /// of theirs; who waits by another loads itself. A value that is there, since it was
    /// [stale](crate::Builder::refresh_after) or not [valid](Load::valid_if), leaves with cause
    /// [`Removed`](crate::Cause::Removed), though it might [stand in](crate::Builder::stale_if_error) for
    /// a load that fails; if the key was written during the load, what was written stays. Nothing
    /// is remembered: the next call loads. To remember what is not there for a while, store an
    /// `Option` with a [life](crate::Builder::ttl_with) of its own.
    ///
    /// It counts as a load, not as a failed one.
    ///
    /// ```
    /// use brimful::{Cache, Cause};
    /// use std::convert::Infallible;
    ///
    /// let users = Cache::<u32, &str>::new(100);
    /// let find = |source: Option<&'static str>| {
    ///     let load = users.load(&7).valid_if(&|_| false);
    ///     load.optional().with(|| Ok::<_, Infallible>(source))
    /// };
    /// assert_eq!(find(None), Ok(None));
    /// assert_eq!((find(Some("ann")), users.len()), (Ok(Some("ann")), 1));
    /// // Deleted at the source.
    /// assert_eq!((find(None), users.get(&7)), (Ok(None), None));
    /// assert_eq!(users.stats().departures(Cause::Removed), 1);
    /// ```
    #[doc(alias = "optionally_get_with")]
    #[must_use = "nothing is loaded before `with`, `within` or `future` says how"]
    pub fn optional(self) -> OptionalLoad<'a, Q, K, V, F, S> {
        OptionalLoad(self)
    }
}

/// A load of one key whose source may say that it is not there: made by [`Load::optional`].
///
/// ```
/// use brimful::{Cache, LoadError};
/// use std::io;
///
/// let texts = Cache::<String, String>::new(100);
/// let text = |path: &str| {
///     texts.load(path).optional().with(|| match std::fs::read_to_string(path) {
///         Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
///         read => read.map(Some),
///     })
/// };
/// assert!(matches!(text("/no/such/file"), Ok(None)));
/// assert!(matches!(text("/"), Err(LoadError::Failed(_))));
/// ```
#[must_use = "nothing is loaded before `with`, `within` or `future` says how"]
pub struct OptionalLoad<'a, Q: ?Sized, K, V, F: Form, S>(Load<'a, Q, K, V, F, S>);

impl<'a, Q, K, V, F, S> OptionalLoad<'a, Q, K, V, F, S>
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
    /// As [`Load::with`].
    ///
    /// # Panics
    /// If `load` does.
    ///
    /// ```
    /// let cache = brimful::Cache::<u32, u32>::new(100);
    /// assert_eq!(cache.load(&1).optional().with(|| Err("no route")).unwrap_err().into_failed(), Some("no route"));
    /// assert_eq!(cache.load(&1).optional().with(|| Ok::<_, ()>(Some(7))), Ok(Some(7)));
    /// ```
    pub fn with<E>(
        self,
        load: impl FnOnce() -> Result<Option<V>, E>,
    ) -> Result<Option<V>, LoadError<E>> {
        let how = self.how();
        optionally(self.0.here(None, how, || found(load())))
    }

    /// As [`Load::within`].
    ///
    /// # Errors
    /// As [`Load::within`].
    ///
    /// # Panics
    /// If `load` does.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let cache = brimful::Cache::<u32, u32>::new(100);
    /// let patience = Duration::from_millis(50);
    /// assert_eq!(cache.load(&1).optional().within(patience, || Ok::<_, ()>(None)), Ok(None));
    /// ```
    pub fn within<E>(
        self,
        most: Duration,
        load: impl FnOnce() -> Result<Option<V>, E>,
    ) -> Result<Option<V>, LoadError<E>> {
        let how = self.how();
        optionally(self.0.here(Some(most), how, || found(load())))
    }

    /// As [`Load::future`].
    ///
    /// # Errors
    /// As [`Load::future`].
    ///
    /// # Panics
    /// If `load` does.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// let cache = brimful::Cache::<u32, u32>::new(100);
    /// assert_eq!(cache.load(&1).optional().future(async { Ok::<_, ()>(None) }).await, Ok(None));
    /// # });
    /// ```
    pub fn future<E>(
        self,
        load: impl Future<Output = Result<Option<V>, E>>,
    ) -> impl Future<Output = Result<Option<V>, LoadError<E>>> {
        let how = self.how();
        let Load { cache, key, .. } = self.0;
        cache.loading(key, load, found, optionally, how)
    }

    fn how<E>(&self) -> How<'a, V, Without<E>> {
        self.0.how(Sharing::GONE)
    }
}

impl<Q: ?Sized, K, V, F: Form, S> fmt::Debug for OptionalLoad<'_, Q, K, V, F, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OptionalLoad").field(&self.0).finish()
    }
}

impl<'a, Q: ?Sized, K, V, F: Form, S> LoadOrRefresh<'a, Q, K, V, F, S> {
    /// A load or refresh whose source may say that there is no such key, or no more: by `Ok(None)`.
    /// Then the stale value leaves, where the refresh runs, as by [`Load::optional`].
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    /// use std::sync::Arc;
    /// use std::time::Duration;
    ///
    /// let cache = Cache::builder(Entries(100)).refresh_after(Duration::ZERO).build()?;
    /// let cache = Arc::new(cache);
    /// cache.insert("tea".to_string(), 310);
    ///
    /// let mut jobs = Vec::new();
    /// let deleted = || Ok::<_, std::io::Error>(None);
    /// let price = cache.load_or_refresh("tea").optional().with(deleted, |job| jobs.push(job));
    /// assert_eq!(price.unwrap(), Some(310));
    /// jobs.into_iter().for_each(|job| job());
    /// assert_eq!(cache.get("tea"), None);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn optional(self) -> OptionalLoadOrRefresh<'a, Q, K, V, F, S> {
        OptionalLoadOrRefresh(self)
    }
}

/// A load of one key, or its refresh elsewhere, whose source may say that it is not there: made by
/// [`LoadOrRefresh::optional`].
///
/// ```
/// use brimful::Cache;
/// use std::sync::Arc;
///
/// let cache = Arc::new(Cache::<String, u32>::new(100));
/// let found = cache.load_or_refresh("x").optional().with(|| Ok::<_, ()>(None), |_refresh| unreachable!());
/// assert_eq!(found, Ok(None));
/// ```
#[must_use = "nothing is loaded before `with` or `future` says how"]
pub struct OptionalLoadOrRefresh<'a, Q: ?Sized, K, V, F: Form, S>(LoadOrRefresh<'a, Q, K, V, F, S>);

impl<Q, K, V, F, S> OptionalLoadOrRefresh<'_, Q, K, V, F, S>
where
    Q: Hash + ToKey<K> + ?Sized,
    K: Hash + Eq + Send + 'static,
    V: Clone + Send + 'static,
    F: Form,
    S: BuildHasher,
    Cache<K, V, F, S>: Send + Sync + 'static,
{
    /// As [`LoadOrRefresh::with`].
    ///
    /// # Errors
    /// As [`LoadOrRefresh::with`].
    ///
    /// # Panics
    /// As [`LoadOrRefresh::with`].
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// let cache = Arc::new(brimful::Cache::<u32, u32>::new(100));
    /// let load = || Ok::<_, ()>(Some(7));
    /// assert_eq!(cache.load_or_refresh(&1).optional().with(load, |job| job()), Ok(Some(7)));
    /// ```
    pub fn with<E>(
        self,
        load: impl FnOnce() -> Result<Option<V>, E> + Send + 'static,
        spawn: impl FnOnce(Box<dyn FnOnce() + Send>),
    ) -> Result<Option<V>, LoadError<E>>
    where
        E: 'static,
    {
        optionally(self.0.with_shared(|| found(load()), spawn, Sharing::GONE))
    }

    /// As [`LoadOrRefresh::future`].
    ///
    /// # Errors
    /// As [`LoadOrRefresh::future`].
    ///
    /// # Panics
    /// As [`LoadOrRefresh::future`].
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// # pollster::block_on(async {
    /// let cache = Arc::new(brimful::Cache::<u32, u32>::new(100));
    /// let load = async { Ok::<_, ()>(Some(7)) };
    /// assert_eq!(cache.load_or_refresh(&1).optional().future(load, drop).await, Ok(Some(7)));
    /// # });
    /// ```
    pub fn future<E>(
        self,
        load: impl Future<Output = Result<Option<V>, E>> + Send + 'static,
        spawn: impl FnOnce(Pin<Box<dyn Future<Output = ()> + Send>>),
    ) -> impl Future<Output = Result<Option<V>, LoadError<E>>>
    where
        E: 'static,
    {
        self.0
            .refreshing(load, found, spawn, optionally, Sharing::GONE)
    }
}

impl<Q: ?Sized, K, V, F: Form, S> fmt::Debug for OptionalLoadOrRefresh<'_, Q, K, V, F, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OptionalLoadOrRefresh")
            .field(&self.0)
            .finish()
    }
}

/// What a source has said, as what a load comes to.
fn found<V, E>(loaded: Result<Option<V>, E>) -> Result<V, Without<E>> {
    loaded.map_err(Without::Failed)?.ok_or(Without::Gone)
}

/// And back.
fn optionally<V, E>(loaded: Result<V, LoadError<Without<E>>>) -> Result<Option<V>, LoadError<E>> {
    match loaded {
        Ok(value) => Ok(Some(value)),
        Err(LoadError::Failed(Without::Gone)) => Ok(None),
        Err(LoadError::Failed(Without::Failed(error))) => Err(LoadError::Failed(error)),
        Err(LoadError::Cycle) => Err(LoadError::Cycle),
        Err(LoadError::TimedOut) => Err(LoadError::TimedOut),
    }
}
