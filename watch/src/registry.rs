//! `Registry`: the caches of a process, by name, held weakly; and the looks at them.
//!
//! Invariants
//! 1. A cache that was dropped is not shown, and the next look, or the next cache that is watched,
//!    lets go of what was kept of it.
//! 2. Names of caches that are there differ, and stay.
//! 3. The list's lock is held for no call into a cache. What is under the lock of one cache's
//!    [past](crate::past) is its `stats`, and so its clock.

use crate::look::{Inside, Look, Seen};
use crate::page::Query;
use crate::past::{Compared, Past};
use crate::watched::{Inspect, Live, Watched};
use crate::{json, page};
use brimful::{Cache, Clock, Finding, Form, Survey};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// How many classes of a survey are remembered.
const CLASSES: usize = 1_000;

/// How many values that linger are listed.
const LINGERERS: usize = 10;

/// What an unnamed cache is called.
const UNNAMED: &str = "cache";

/// The caches of a process, by name. It holds them weakly: watching a cache keeps neither it nor an
/// entry alive, and one that is dropped disappears.
///
/// One `static` does for a program:
///
/// ```
/// use brimful::Cache;
/// use brimful_watch::Registry;
/// use std::sync::Arc;
///
/// static CACHES: Registry = Registry::new();
///
/// let pages = Arc::new(Cache::<String, String>::new(10_000));
/// CACHES.watch(&pages);
/// assert_eq!(CACHES.look().to_string(), "cache: 0 of 10,000 entries (0.0 % full), no look-ups\n");
/// drop(pages);
/// assert_eq!(CACHES.look().to_string(), "");
/// ```
pub struct Registry {
    watches: Mutex<Vec<Arc<Watch>>>,
    /// How many were ever watched.
    numbers: AtomicU64,
    /// In place of the system's.
    clock: Option<Box<dyn Clock>>,
    began: OnceLock<Instant>,
}

/// One cache on the list.
struct Watch {
    /// No other has it, nor had.
    number: u64,
    name: String,
    cache: Box<dyn Inspect>,
    past: Mutex<Past>,
}

/// No panic leaves what these locks guard half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Registry {
    /// An empty registry.
    ///
    /// ```
    /// static CACHES: brimful_watch::Registry = brimful_watch::Registry::new();
    /// assert_eq!(CACHES.look().snapshots().count(), 0);
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self {
            watches: Mutex::new(Vec::new()),
            numbers: AtomicU64::new(0),
            clock: None,
            began: OnceLock::new(),
        }
    }

    /// An empty registry that reads this clock in place of the system's: for tests of what time
    /// does.
    ///
    /// ```
    /// use brimful::{Cache, ManualClock};
    /// use brimful_watch::Registry;
    /// use std::sync::Arc;
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let registry = Registry::with_clock(clock.clone());
    /// let cache = Arc::new(Cache::new(100));
    /// registry.watch(&cache);
    /// cache.insert("a", 1);
    /// clock.advance(Duration::from_secs(10));
    /// assert!(registry.json().contains(r#""seconds":10.0"#));
    /// ```
    #[must_use]
    pub fn with_clock(clock: impl Clock + 'static) -> Self {
        Self {
            clock: Some(Box::new(clock)),
            ..Self::new()
        }
    }

    /// Watches a cache from now on: `&Arc<Cache<…>>`, or a [`Watched`] that says more. What it
    /// did before is not compared with.
    ///
    /// It goes by the name that its builder or the `Watched` was told. Of several with one name the
    /// second is `name (2)`, and so on; it keeps that name. A cache that is watched already is
    /// watched anew: what was said and remembered of it before is forgotten.
    ///
    /// O(caches + shards), and a walk if the cache was given [classes](Watched::survey).
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    /// use brimful_watch::{Registry, Watched};
    /// use std::sync::Arc;
    ///
    /// let registry = Registry::new();
    /// let pages = Arc::new(Cache::<u32, u32>::builder(Entries(10)).named("pages").build()?);
    /// let others = Arc::new(Cache::<String, u32>::new(10));
    /// registry.watch(&pages);
    /// registry.watch(Watched::new(&others).named("pages"));
    /// let look = registry.look();
    /// let names: Vec<_> = look.snapshots().map(|(name, _)| name).collect();
    /// assert_eq!(names, ["pages", "pages (2)"]);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn watch<K, V, F, S>(&self, cache: impl Into<Watched<K, V, F, S>>)
    where
        F: Form,
        Watched<K, V, F, S>: 'static,
        Cache<K, V, F, S>: Send + Sync,
    {
        let cache: Box<dyn Inspect> = Box::new(cache.into());
        let Some((own, past)) = self.begin(&*cache) else {
            return;
        };
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let past = Mutex::new(past);
        let let_go = {
            let mut watches = lock(&self.watches);
            let again = |watch: &Watch| watch.cache.address() == cache.address();
            let let_go = take_out(&mut watches, again);
            let name = free_name(&own, &watches);
            watches.push(Arc::new(Watch {
                number,
                name,
                cache,
                past,
            }));
            let_go
        };
        // The closures in them are the user's.
        drop(let_go);
    }

    /// The name that a cache goes by, and what is remembered of it from the start.
    fn begin(&self, cache: &dyn Inspect) -> Option<(String, Past)> {
        let live = cache.live()?;
        let snapshot = live.snapshot();
        let name = cache.given_name().or(snapshot.name()).unwrap_or(UNNAMED);
        let name = name.to_owned();
        let survey = live.survey().map(|survey| survey.top(CLASSES));
        Some((name, Past::begin(self.now(), snapshot, survey)))
    }

    /// Looks at all caches: their statistics, what changed in the last minute, and what is wrong. O(shards)
    /// a cache.
    ///
    /// What is compared with is a minute to two old, whoever looks and how often; it is
    /// younger only where the cache is, and older only if nobody looked for longer.
    ///
    /// A cache whose last owner lets go of it during a look is dropped by the look.
    ///
    /// # Panics
    /// Inside of a closure that must not call into a cache, as [`Cache::stats`] does.
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    /// use brimful_watch::Registry;
    /// use std::sync::Arc;
    ///
    /// let registry = Registry::new();
    /// let pages = Arc::new(Cache::builder(Entries(100)).named("pages").build()?);
    /// registry.watch(&pages);
    /// for request in 0..10_000 {
    ///     pages.get_or_insert_with(&format!("page 7 for request {request}"), || "hello");
    /// }
    /// let look = registry.look();
    /// print!("{look}");
    /// assert!(look.findings().any(|(_, finding)| finding.to_string().contains("a unique id in the key")));
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[must_use]
    pub fn look(&self) -> Look {
        self.look_by(|_, _| Inside::default())
    }

    /// The same with what costs a walk, and with the answer to a question, if one was asked.
    pub(crate) fn look_inside(&self, question: Option<(&str, &str)>) -> Look {
        self.look_by(|watch, live| {
            let asked = question.filter(|&(name, _)| name == watch.name);
            Inside {
                surveys: live.survey().and_then(|now| self.compare(watch, now)),
                lingerers: live.lingerers(LINGERERS),
                explains: watch.cache.can_explain(),
                answer: asked.and_then(|(_, text)| live.explain(text)),
            }
        })
    }

    fn look_by(&self, inside: impl Fn(&Watch, &dyn Live) -> Inside) -> Look {
        let seen = self.each(|watch, live| {
            let compared = self.see(watch, live);
            Seen::new(&watch.name, compared, inside(watch, live))
        });
        Look { seen }
    }

    /// What is wrong with each cache, with its number and its name.
    pub(crate) fn found(&self) -> Vec<(u64, String, Vec<Finding>)> {
        self.each(|watch, live| {
            let findings = self.see(watch, live).growth.findings();
            (watch.number, watch.name.clone(), findings)
        })
    }

    /// Asks all caches that are there, and lets go of what is kept of others.
    fn each<T>(&self, ask: impl Fn(&Watch, &dyn Live) -> T) -> Vec<T> {
        let (watches, let_go) = {
            let mut watches = lock(&self.watches);
            let let_go = take_out(&mut watches, |_| false);
            (watches.clone(), let_go)
        };
        drop(let_go);
        let ask = |watch: &Arc<Watch>| Some(ask(watch, &*watch.cache.live()?));
        watches.iter().filter_map(ask).collect()
    }

    /// Takes a snapshot, and compares it with what was.
    fn see(&self, watch: &Watch, live: &dyn Live) -> Compared {
        let mut past = lock(&watch.past);
        let at = self.now();
        past.see(at, &live.snapshot())
    }

    /// What is in a cache by the user's classes, beside what was.
    fn compare(
        &self,
        watch: &Watch,
        now: Survey<String>,
    ) -> Option<(Survey<String>, Survey<String>)> {
        let mut past = lock(&watch.past);
        let kept = || now.clone().top(CLASSES);
        let (_, before) = past.surveys.as_mut()?.before(self.now(), kept);
        Some((before, now))
    }

    /// One HTML page of all caches: for each its name, how full it is, drawings of the last looks, what
    /// changed in the last minute, its classes, its lines of code, its scopes, what lingers; and on top
    /// of all what is wrong, in sentences. It needs no script and nothing from elsewhere.
    ///
    /// `query` is the query of the URL that the page is asked for by, as it came. The page knows
    /// these parts of it, and has links and fields that make them:
    ///
    /// | part | what it does |
    /// |---|---|
    /// | `refresh=5` | the browser asks again every so many seconds, 1 to 3,600 |
    /// | `cache=NAME&explain=TEXT` | asks what [`Watched::explain`] was given |
    ///
    /// A page shows keys and names of the program to whoever may ask for it; see to it that strangers
    /// may not. All texts are escaped: whatever a name or a class holds is shown as it is.
    ///
    /// It costs a [look](Registry::look) and a walk over the entries of those caches that
    /// were given [classes](Watched::survey). A point for the drawings is taken by each look, and each
    /// alarm, but not more often than once a second; the last 120 are kept.
    ///
    /// # Panics
    /// As [`look`](Registry::look); if a closure of the user's does.
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    /// use brimful_watch::Registry;
    /// use std::sync::Arc;
    ///
    /// let registry = Registry::new();
    /// let pages = Arc::new(Cache::<u32, u32>::builder(Entries(10)).named("<script>").build()?);
    /// registry.watch(&pages);
    /// let page = registry.page("refresh=5");
    /// assert!(page.contains("&lt;script&gt;") && !page.contains("<script"));
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[must_use]
    pub fn page(&self, query: &str) -> String {
        let query = Query::parse(query);
        let look = self.look_inside(query.question());
        page::render(&look, &query)
    }

    /// What the page shows, as JSON. Names are stable; more may come. Times are in seconds, weights
    /// in the cache's unit; what is not known, or not recorded by this cache, is `null`.
    ///
    /// ```json
    /// { "caches": [ {
    ///     "name": "pages", "headline": "100 of 100 entries (100 % full), …",
    ///     "unit": "entries", "entries": 100, "weight": 100, "capacity": 100, "hit_ratio": 0.5,
    ///     "seconds": 61.0,
    ///     "findings": [ { "kind": "NothingComesBack", "text": "nothing comes back: …" } ],
    ///     "figures": { "hits": { "kind": "counter", "value": 7, "change": 2 } },
    ///     "classes": [ { "name": "user", "entries": 3, "weight": 3, "entries_grown": 1, "weight_grown": 1 } ],
    ///     "survey": [], "callers": [],
    ///     "scopes": { "open": 1, "entries": 2, "oldest": 0.5 },
    ///     "lingering": { "values": 1, "weight": 1, "oldest": 9.0,
    ///       "first": [ { "since": 9.0, "weight": 1, "cause": "evicted", "holders": 1 } ] },
    ///     "history": [ { "at": 0.0, "hits": 5, "misses": 7, "inserts": 7, "evicted": 0, "weight": 7 } ]
    ///   } ],
    ///   "total": { "caches": 1, "unit": "entries", "entries": 100, "weight": 100, "capacity": 100, "hit_ratio": 0.5 } }
    /// ```
    ///
    /// `seconds` is how long ago that was with which figures, classes and findings are compared;
    /// `figures` has each of [`Snapshot::figures`](brimful::Snapshot::figures), by name; `kind` of a finding is the name of
    /// its variant of [`Finding`](brimful::Finding). `classes` are those that the cache counts,
    /// `survey` those that [`Watched::survey`] was given, what grew most first, and `callers` lines of
    /// code; `history` has counters so far, by time since the registry's clock began.
    ///
    /// It costs what [`page`](Registry::page) does, and panics as that does.
    ///
    /// ```
    /// use brimful_watch::Registry;
    ///
    /// let json: serde_json::Value = serde_json::from_str(&Registry::new().json())?;
    /// assert_eq!(json["total"]["caches"], 0);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    #[must_use]
    pub fn json(&self) -> String {
        json::render(&self.look_inside(None))
    }

    /// The time since this registry's clock began.
    fn now(&self) -> Duration {
        match &self.clock {
            Some(clock) => clock.now(),
            None => self.began.get_or_init(Instant::now).elapsed(),
        }
    }
}

/// Takes out those whose cache was dropped, and these.
fn take_out(watches: &mut Vec<Arc<Watch>>, these: impl Fn(&Watch) -> bool) -> Vec<Arc<Watch>> {
    let all = std::mem::take(watches).into_iter();
    let (out, kept) = all.partition(|watch| !watch.cache.is_alive() || these(watch));
    *watches = kept;
    out
}

/// This name, or with the first number that makes it one of its own.
fn free_name(name: &str, watches: &[Arc<Watch>]) -> String {
    let numbered = (2..).map(|number| format!("{name} ({number})"));
    let mut names = std::iter::once(name.to_owned()).chain(numbered);
    let free = |name: &String| watches.iter().all(|watch| watch.name != *name);
    names.find(free).unwrap_or_default()
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let watches = lock(&self.watches).clone();
        let names = watches.iter().map(|watch| &watch.name);
        f.debug_list().entries(names).finish()
    }
}
