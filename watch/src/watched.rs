//! `Watched`: a cache, held weakly, and what else than its statistics may be asked of it.
//!
//! Behind [`Inspect`] and [`Live`] caches of all types look alike. What is given as a closure receives the
//! cache, so that nobody need put an `Arc` of it into one and so keep it alive.

use brimful::policy::Duel;
use brimful::{Cache, Form, Held, Lingerer, RandomState, Snapshot, Survey};
use std::fmt;
use std::sync::{Arc, Weak};

/// A cache that is to be [watched](crate::Registry::watch), held weakly, and what may be asked of it
/// beside its statistics.
///
/// ```
/// use brimful::{Bytes, Cache};
/// use brimful_watch::{Registry, Watched};
/// use std::sync::Arc;
///
/// let orders: Cache<String, Vec<u8>, _> = Cache::builder(Bytes(64 << 20)).build()?;
/// let orders = Arc::new(orders);
/// let registry = Registry::new();
/// let watched = Watched::new(&orders)
///     .named("orders")
///     .survey(|key, _| key.split(':').next().unwrap_or_default().to_owned())
///     .explain(|orders, key| orders.explain(key).to_string());
/// registry.watch(watched);
/// assert!(registry.page("cache=orders&explain=user:7").contains("<pre>never seen"));
/// # Ok::<(), brimful::BuildError>(())
/// ```
#[must_use = "it is watched once it is given to a registry"]
pub struct Watched<K, V, F: Form = Duel, S = RandomState> {
    cache: Weak<Cache<K, V, F, S>>,
    name: Option<String>,
    class: Option<Classify<K, V>>,
    explain: Option<Explain<K, V, F, S>>,
    linger: Option<Linger<K, V, F, S>>,
}

/// Names the class of an entry.
type Classify<K, V> = Box<dyn Fn(&K, &V) -> String + Send + Sync>;

/// Answers a question about a cache.
type Explain<K, V, F, S> = Box<dyn Fn(&Cache<K, V, F, S>, &str) -> String + Send + Sync>;

/// Lists what was let go and is held elsewhere.
type Linger<K, V, F, S> = fn(&Cache<K, V, F, S>, usize) -> Vec<Lingerer>;

impl<K, V, F: Form, S> Watched<K, V, F, S> {
    /// This cache, by the name that its [builder](brimful::Builder::named) was told.
    ///
    /// ```
    /// use brimful::Cache;
    /// use brimful_watch::{Registry, Watched};
    /// use std::sync::Arc;
    ///
    /// let (registry, users) = (Registry::new(), Arc::new(Cache::<u64, String>::new(100)));
    /// registry.watch(Watched::new(&users));
    /// assert_eq!(Arc::strong_count(&users), 1);
    /// ```
    pub fn new(cache: &Arc<Cache<K, V, F, S>>) -> Self {
        Self {
            cache: Arc::downgrade(cache),
            name: None,
            class: None,
            explain: None,
            linger: None,
        }
    }

    /// Gives it another name.
    ///
    /// ```
    /// use brimful::Cache;
    /// use brimful_watch::{Registry, Watched};
    /// use std::sync::Arc;
    ///
    /// let (registry, users) = (Registry::new(), Arc::new(Cache::<u64, String>::new(100)));
    /// registry.watch(Watched::new(&users).named("users"));
    /// assert!(registry.look().to_string().starts_with("users: 0 of 100 entries"));
    /// ```
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Shows by class what is in the cache, and what grew: for a cache that does not count its
    /// [classes](brimful::Builder::classes) itself.
    ///
    /// It costs a [walk](Cache::survey) over all entries each time that the page or the JSON is
    /// asked for, and one now. The 50 heaviest classes are shown; of what was there before, the
    /// 1,000 heaviest are remembered.
    ///
    /// `class` runs under the lock of a shard, and panics if it calls into a cache. A panic of it
    /// reaches who asked for the page.
    ///
    /// ```
    /// use brimful::Cache;
    /// use brimful_watch::{Registry, Watched};
    /// use std::sync::Arc;
    ///
    /// let (registry, files) = (Registry::new(), Arc::new(Cache::new(100)));
    /// let kind = |name: &String, _: &u64| name.rsplit('.').next().unwrap_or_default().to_owned();
    /// registry.watch(Watched::new(&files).survey(kind));
    /// files.extend([("a.png".to_owned(), 1), ("b.png".to_owned(), 2), ("c.css".to_owned(), 3)]);
    /// assert!(registry.page("").contains("<th>png</th><td>2</td><td>+2</td>"));
    /// ```
    pub fn survey(mut self, class: impl Fn(&K, &V) -> String + Send + Sync + 'static) -> Self {
        self.class = Some(Box::new(class));
        self
    }

    /// Answers what somebody types into the page: by [`Cache::explain`], whether a key is there, and
    /// who removes it, and when; or anything else. The answer is shown as it is, line by line; it may hold any text.
    ///
    /// The closure is handed the cache. One that owned an `Arc` of it would keep it alive. It runs
    /// outside of all locks, on the thread that asked for the page, and a panic of it reaches that.
    ///
    /// ```
    /// use brimful::Cache;
    /// use brimful_watch::{Registry, Watched};
    /// use std::sync::Arc;
    ///
    /// let (registry, users) = (Registry::new(), Arc::new(Cache::<String, u64>::new(100)));
    /// let watched = Watched::new(&users).named("users");
    /// registry.watch(watched.explain(|users, name| users.explain(name).to_string()));
    /// users.insert("ann".to_owned(), 7);
    /// assert!(registry.page("cache=users&explain=ann").contains("<pre>resident in "));
    /// ```
    pub fn explain(
        mut self,
        explain: impl Fn(&Cache<K, V, F, S>, &str) -> String + Send + Sync + 'static,
    ) -> Self {
        self.explain = Some(Box::new(explain));
        self
    }
}

impl<K, T, F: Form, S> Watched<K, Held<T>, F, S> {
    /// Lists the ten values that were let go first and are still held elsewhere: for a cache that keeps
    /// a [ledger](brimful::Builder::lingering). Their sum is shown without it.
    ///
    /// ```
    /// use brimful::{Cache, Entries, Held};
    /// use brimful_watch::{Registry, Watched};
    /// use std::sync::Arc;
    ///
    /// let pages = Cache::builder(Entries(10)).lingering().build()?;
    /// let pages = Arc::new(pages);
    /// let registry = Registry::new();
    /// registry.watch(Watched::new(&pages).named("pages").lingering());
    /// pages.insert(1, Held::new("one"));
    /// let kept = pages.get(&1);
    /// pages.remove(&1);
    /// assert!(registry.json().contains(r#""holders":1"#));
    /// # drop(kept);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn lingering(mut self) -> Self {
        self.linger = Some(|cache, most| cache.lingering(most));
        self
    }
}

impl<K, V, F: Form, S> From<&Arc<Cache<K, V, F, S>>> for Watched<K, V, F, S> {
    fn from(cache: &Arc<Cache<K, V, F, S>>) -> Self {
        Self::new(cache)
    }
}

impl<K, V, F: Form, S> fmt::Debug for Watched<K, V, F, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched")
            .field("name", &self.name)
            .field("alive", &(self.cache.strong_count() > 0))
            .finish_non_exhaustive()
    }
}

/// What a registry knows of a cache, whatever its types.
pub(crate) trait Inspect: Send + Sync {
    /// Where the cache lies: two that are on one list differ, as one that was dropped still has
    /// its place.
    fn address(&self) -> usize;

    fn is_alive(&self) -> bool;

    fn given_name(&self) -> Option<&str>;

    fn can_explain(&self) -> bool;

    /// Holds the cache to ask it something; `None` once it was dropped. If it is let go of
    /// meanwhile it is dropped with this: outside of all locks, please.
    fn live(&self) -> Option<Box<dyn Live + '_>>;
}

/// A cache that is there, and is asked something.
pub(crate) trait Live {
    fn snapshot(&self) -> Snapshot;

    /// By the user's classes, if there are any.
    fn survey(&self) -> Option<Survey<String>>;

    fn lingerers(&self, most: usize) -> Vec<Lingerer>;

    fn explain(&self, text: &str) -> Option<String>;
}

struct Alive<'a, K, V, F: Form, S> {
    cache: Arc<Cache<K, V, F, S>>,
    watched: &'a Watched<K, V, F, S>,
}

impl<K, V, F: Form, S> Inspect for Watched<K, V, F, S>
where
    Cache<K, V, F, S>: Send + Sync,
{
    fn address(&self) -> usize {
        self.cache.as_ptr().addr()
    }

    fn is_alive(&self) -> bool {
        self.cache.strong_count() > 0
    }

    fn given_name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn can_explain(&self) -> bool {
        self.explain.is_some()
    }

    fn live(&self) -> Option<Box<dyn Live + '_>> {
        let cache = self.cache.upgrade()?;
        let watched = self;
        Some(Box::new(Alive { cache, watched }))
    }
}

impl<K, V, F: Form, S> Live for Alive<'_, K, V, F, S> {
    fn snapshot(&self) -> Snapshot {
        self.cache.stats()
    }

    fn survey(&self) -> Option<Survey<String>> {
        let class = self.watched.class.as_ref()?;
        Some(self.cache.survey(class))
    }

    fn lingerers(&self, most: usize) -> Vec<Lingerer> {
        let list = self.watched.linger;
        list.map_or_else(Vec::new, |list| list(&self.cache, most))
    }

    fn explain(&self, text: &str) -> Option<String> {
        let explain = self.watched.explain.as_ref()?;
        Some(explain(&self.cache, text))
    }
}
