//! `Builder` and the short forms: from a capacity to a cache. No default,
//! nothing unbounded.

use crate::cache::{Cache, WeighedCache};
use crate::capacity::HeapSize;
use crate::capacity::{Bytes, Capacity, Entries, Limits, Weight, default_shards};
use crate::cause::{Cause, Departed, Listener};
use crate::clock::{Clock, Source};
use crate::config::Config;
use crate::error::{BuildError, MOST_SHARDS};
use crate::expiry::Told;
use crate::hash::RandomState;
use crate::policy::{Duel, Forever, Life, Meta, Policy, Records};
use crate::unsync;
use std::fmt;
use std::hash::BuildHasher;
use std::marker::PhantomData;
use std::time::Duration;

/// Builds a [`Cache`] or an [`unsync::Cache`]; see [`Cache::builder`].
///
/// ```
/// use brimful::policy::Sieve;
/// use brimful::{Bytes, Cache, Cause, WeighedCache};
///
/// let cache: WeighedCache<String, Vec<u8>, Sieve> = Cache::builder(Bytes(1 << 20))
///     .policy::<Sieve>()
///     .entry_limit(1_000)
///     .shards(8)
///     .listener(|key: &String, _: &Vec<u8>, cause: Cause| println!("{key}: {cause}"))
///     .build()?;
/// assert_eq!(cache.shards(), 8);
/// # Ok::<(), brimful::BuildError>(())
/// ```
#[must_use = "a builder does nothing until `build` is called"]
pub struct Builder<K, V, C, P = Duel, S = RandomState, L = Forever> {
    capacity: C,
    entry_limit: Option<usize>,
    shards: Option<usize>,
    listener: Option<Listener<K, V>>,
    told: Told<K, V>,
    hasher: S,
    policy: PhantomData<fn() -> (P, L)>,
}

/// What the entries carry: a weight outside, a life inside, then what the policy keeps.
type Form<K, V, C, P, L> = <C as Capacity<K, V>>::Form<<L as Life>::Form<P>>;

type Shared<K, V, C, P, S, L> = Cache<K, V, Form<K, V, C, P, L>, S>;
type Owned<K, V, C, P, S, L> = unsync::Cache<K, V, Form<K, V, C, P, L>, S>;

impl<K, V, C> Builder<K, V, C> {
    pub(crate) fn new(capacity: C) -> Self {
        Self {
            capacity,
            entry_limit: None,
            shards: None,
            listener: None,
            told: Told::nothing(),
            hasher: RandomState::default(),
            policy: PhantomData,
        }
    }
}

impl<K, V, C, P, S, L> Builder<K, V, C, P, S, L> {
    /// Chooses who is evicted first; [`Duel`] if left out.
    pub fn policy<P2: Policy>(self) -> Builder<K, V, C, P2, S, L> {
        self.form()
    }

    /// The same, as another type.
    fn form<P2, L2>(self) -> Builder<K, V, C, P2, S, L2> {
        Builder {
            capacity: self.capacity,
            entry_limit: self.entry_limit,
            shards: self.shards,
            listener: self.listener,
            told: self.told,
            hasher: self.hasher,
            policy: PhantomData,
        }
    }

    /// Chooses the hasher; seeded `ahash` if left out. A weak one (the
    /// identity) is mixed, so that keys still spread; one without a seed lets
    /// whoever chooses the keys make them collide.
    pub fn hasher<S2>(self, hasher: S2) -> Builder<K, V, C, P, S2, L> {
        Builder {
            capacity: self.capacity,
            entry_limit: self.entry_limit,
            shards: self.shards,
            listener: self.listener,
            told: self.told,
            hasher,
            policy: self.policy,
        }
    }

    /// Is told of every value that leaves, exactly once, with its cause: after
    /// the locks are released, and before the value is returned or dropped. It
    /// runs on the thread whose call made the value leave, may call into any
    /// cache, and clones what it wants to keep.
    ///
    /// If it panics, the panic reaches the caller of that call after all its
    /// other departures were told; the listener stays on.
    ///
    /// ```
    /// use brimful::{Cache, Cause, Entries};
    /// use std::sync::{Arc, Mutex};
    ///
    /// let gone = Arc::new(Mutex::new(Vec::new()));
    /// let told = gone.clone();
    /// let cache = Cache::builder(Entries(1))
    ///     .listener(move |key: &&str, value: &u32, cause: Cause| {
    ///         told.lock().unwrap().push((*key, *value, cause));
    ///     })
    ///     .build()?;
    /// cache.insert("a", 1);
    /// cache.insert("b", 2);
    /// cache.remove("b");
    /// assert_eq!(*gone.lock().unwrap(), [("a", 1, Cause::Evicted), ("b", 2, Cause::Removed)]);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn listener(mut self, listener: impl Fn(&K, &V, Cause) + Send + Sync + 'static) -> Self {
        let hear = move |left: Departed<'_, K, V>| listener(left.key, left.value, left.cause);
        self.listener = Some(Box::new(hear));
        self
    }

    /// The same, told with what time has to say: how late the removal of an expired
    /// value came, and how long a value lived where that is
    /// [recorded](Builder::record_lives). A cache has one listener, the one given last.
    ///
    /// ```
    /// use brimful::{Cache, Cause, Departed, Entries, HandClock};
    /// use std::time::Duration;
    ///
    /// let clock = HandClock::new();
    /// let cache = Cache::builder(Entries(10))
    ///     .time_to_live(Duration::from_secs(60))
    ///     .clock(clock.clone())
    ///     .on_departure(|left: Departed<'_, u32, &str>| {
    ///         assert_eq!(left.cause, Cause::Expired);
    ///         assert!(left.late >= Some(Duration::from_secs(4)));
    ///     })
    ///     .build()?;
    /// cache.insert(1, "one");
    /// clock.advance(Duration::from_secs(65));
    /// assert_eq!(cache.sweep(100).expired, 1);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn on_departure(
        mut self,
        listener: impl Fn(Departed<'_, K, V>) + Send + Sync + 'static,
    ) -> Self {
        self.listener = Some(Box::new(listener));
        self
    }

    /// Fixes the number of shards, from 1 to 65,536. With 1 the order of
    /// eviction is exact as a whole; each costs some 400 bytes. If left out: by
    /// capacity and processors, at most 512.
    pub fn shards(mut self, shards: usize) -> Self {
        self.shards = Some(shards);
        self
    }

    /// Limits the number of entries beside their weight or bytes. With such a
    /// limit a weight of 0 is charged as 0.
    pub fn entry_limit(mut self, entries: usize) -> Self {
        self.entry_limit = Some(entries);
        self
    }

    /// Entries end so long after their value was stored or changed. A cache of type
    /// [`TimedCache`](crate::TimedCache).
    ///
    /// [`Duration::MAX`], and what is longer than 584 years, means never: for a
    /// cache whose lives are all given at [`insert_with_ttl`](Cache::insert_with_ttl).
    /// Zero lets nothing in.
    ///
    /// Lives are kept to the nanosecond at their beginning and rounded up to a tick
    /// of 1,024 ns at their end: none is cut short, none is a tick too long.
    ///
    /// ```
    /// use brimful::{Cache, Entries, TimedCache};
    /// use std::time::Duration;
    ///
    /// let cache: TimedCache<&str, u32> = Cache::builder(Entries(1_000))
    ///     .time_to_live(Duration::from_secs(60))
    ///     .build()?;
    /// cache.insert("a", 1);
    /// cache.insert_with_ttl("b", 2, Duration::from_secs(5));
    /// assert!(cache.ttl("b") <= cache.ttl("a"));
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn time_to_live(mut self, life: Duration) -> Builder<K, V, C, P, S, L::Ending>
    where
        L: Life,
    {
        self.told.to_live = Some(life);
        self.form()
    }

    /// Entries end so long after their last use, as [`get`](Cache::get),
    /// [`view`](Cache::view) and what else counts as one, or after their value was
    /// stored or changed. Whatever else ends them still does: the earlier end
    /// counts. A cache of type [`IdleCache`](crate::IdleCache).
    ///
    /// [`Duration::MAX`] means never; zero lets nothing in.
    pub fn time_to_idle(mut self, life: Duration) -> Builder<K, V, C, P, S, L::Idling>
    where
        L: Life,
    {
        self.told.to_idle = Some(life);
        self.form()
    }

    /// A rule for each entry's life: from the moment at which its value is stored,
    /// replaced, or changed by [`update`](Cache::update). It takes the place of
    /// time to live where it answers `Some`; where it answers `None`, that counts.
    /// An explicit life takes the place of both.
    ///
    /// It is called once for each value without any lock, but after a change in
    /// place under the lock of one shard: then it must not call into any brimful
    /// cache and panics if it does. If it panics after a change, the value keeps
    /// the life it had.
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    /// use std::time::Duration;
    ///
    /// // What was not found may be there soon.
    /// let pages = Cache::builder(Entries(1_000))
    ///     .time_to_live(Duration::from_secs(600))
    ///     .life(|_: &u32, page: &Option<String>| {
    ///         page.is_none().then_some(Duration::from_secs(5))
    ///     })
    ///     .build()?;
    /// pages.insert(1, None);
    /// pages.insert(2, Some("text".to_owned()));
    /// assert!(pages.ttl(&1) <= Some(Duration::from_secs(6)));
    /// assert!(pages.ttl(&2) >= Some(Duration::from_secs(500)));
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn life(
        mut self,
        rule: impl Fn(&K, &V) -> Option<Duration> + Send + Sync + 'static,
    ) -> Builder<K, V, C, P, S, L::Ending>
    where
        L: Life,
    {
        self.told.rule = Some(Box::new(rule));
        self.form()
    }

    /// A rule that each read of an entry asks (`get`, `view`, `get_or_insert_with`
    /// and the `or_…` calls of `entry`, when they find it): `Some` gives it a new
    /// life from now, whoever gave it the old one; `None` leaves it as it is. Zero
    /// ends it with this read.
    ///
    /// It runs under the lock of one shard: it must be quick, and it panics if it
    /// calls into any brimful cache.
    pub fn life_on_read(
        mut self,
        rule: impl Fn(&K, &V) -> Option<Duration> + Send + Sync + 'static,
    ) -> Builder<K, V, C, P, S, L::Ending>
    where
        L: Life,
    {
        self.told.rule_on_read = Some(Box::new(rule));
        self.form()
    }

    /// Keeps with each entry when its value came: then the listener given to
    /// [`on_departure`](Builder::on_departure) hears how long it lived, and
    /// [`Snapshot::lives`](crate::Snapshot::lives) has a histogram. A cache of type
    /// [`RecordedCache`](crate::RecordedCache).
    pub fn record_lives(self) -> Builder<K, V, C, P, S, Records> {
        self.form()
    }

    /// Values are *stale* from this age on, counted from when they were stored or
    /// replaced: every call still finds them, and the first loading call that does
    /// loads the value anew. A cache of type [`RecordedCache`](crate::RecordedCache).
    ///
    /// Of the loading calls ([`get_or_insert_with`](Cache::get_or_insert_with) and its
    /// relatives) that find a stale value one at a time loads, on its own thread, and returns
    /// what it loaded; all others, and all `get`s, have the stale value at once. With
    /// [`load_or_refresh`](Cache::load_or_refresh) nobody waits: it hands the
    /// load to a thread pool or executor of yours. If a load fails, or what runs it is dropped,
    /// the value stays until its life ends, and the next loading call tries again, at once:
    /// a loader that wants a pause between tries keeps it itself.
    /// What a load brings takes the place of the stale value, which leaves as
    /// [`Replaced`](Cause::Replaced), unless the key was written meanwhile.
    ///
    /// Give a [`time_to_live`](Builder::time_to_live) too, and a longer one, for values
    /// that nobody asks for, or whose loads keep failing: without, they stay, stale.
    /// [`update`](Cache::update) and [`set_ttl`](Cache::set_ttl) make no value younger.
    /// [`Duration::MAX`] means never stale; zero, always: each loading call loads, if nobody
    /// else does. [`Snapshot::refreshes`](crate::Snapshot::refreshes) counts.
    ///
    /// ```
    /// use brimful::{Cache, Entries, HandClock};
    /// use std::time::Duration;
    ///
    /// let clock = HandClock::new();
    /// let rates = Cache::builder(Entries(100))
    ///     .refresh_after(Duration::from_secs(60))
    ///     .time_to_live(Duration::from_secs(600))
    ///     .clock(clock.clone())
    ///     .build()?;
    /// rates.insert("EUR".to_string(), 108);
    /// clock.advance(Duration::from_secs(60));
    /// assert_eq!(rates.get("EUR"), Some(108));
    /// assert_eq!(rates.get_or_insert_with("EUR", || 109), 109);
    /// assert_eq!(rates.get_or_insert_with("EUR", || unreachable!()), 109);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn refresh_after(mut self, age: Duration) -> Builder<K, V, C, P, S, Records> {
        self.told.refresh_after = Some(age);
        self.form()
    }

    /// A loading call whose own load of a [stale](Builder::refresh_after) value fails returns
    /// the value that is still there, and the error is dropped: log it in the loader. If
    /// none is there any more, the error is returned, as it always is without this.
    ///
    /// A panic of the loader reaches its caller in any case.
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    /// use std::time::Duration;
    ///
    /// let rates = Cache::builder(Entries(100))
    ///     .refresh_after(Duration::ZERO)
    ///     .stale_if_error()
    ///     .build()?;
    /// rates.insert("EUR".to_string(), 108);
    /// assert_eq!(rates.try_get_or_insert_with("EUR", || Err("no route")), Ok(108));
    /// assert_eq!(rates.stats().load_failures(), 1);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn stale_if_error(mut self) -> Self {
        self.told.stale_if_error = true;
        self
    }

    /// The clock that lives are measured by; [`Instant`](std::time::Instant) if left out. See [`Clock`].
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.told.clock = Some(Source::Given(Box::new(clock)));
        self
    }

    /// Builds a cache to be shared by threads.
    ///
    /// # Errors
    /// If the configuration makes no sense; see [`BuildError`].
    pub fn build(self) -> Result<Shared<K, V, C, P, S, L>, BuildError>
    where
        C: Capacity<K, V>,
        P: Policy,
        S: BuildHasher,
        L: Life,
    {
        Ok(Cache::open(self.config()?))
    }

    /// Builds a cache for one owner, without locks.
    ///
    /// # Errors
    /// If the configuration makes no sense; see [`BuildError`].
    pub fn build_unsync(self) -> Result<Owned<K, V, C, P, S, L>, BuildError>
    where
        C: Capacity<K, V>,
        P: Policy,
        S: BuildHasher,
        L: Life,
    {
        if let Some(asked) = self.shards.filter(|&shards| shards != 1) {
            return Err(BuildError::ShardsWithoutLocks { asked });
        }
        Ok(unsync::Cache::open(self.config()?))
    }

    fn config(self) -> Result<Config<K, V, S>, BuildError>
    where
        C: Capacity<K, V>,
        P: Policy,
        L: Life,
    {
        const {
            assert!(
                !(L::TIMED && <P::Meta as Meta>::TIMED),
                "the policy names lives already: leave out either those or the builder's"
            );
        }
        let limits = self.capacity.limits::<L::Form<P>>();
        let is_timed = <<L::Form<P> as Policy>::Meta as Meta>::TIMED;
        if self.told.clock.is_some() && !is_timed {
            return Err(BuildError::NoLives);
        }
        if self.told.stale_if_error && self.told.refresh_after.is_none() {
            return Err(BuildError::NeverStale);
        }
        if self.entry_limit == Some(0) {
            return Err(BuildError::EntryLimitZero);
        }
        if let (Some(capacity), Some(limit)) = (limits.counted, self.entry_limit) {
            return Err(BuildError::EntryLimitOnEntries { capacity, limit });
        }
        Ok(Config {
            shards: shards(&limits, self.shards, self.entry_limit)?,
            capacity: limits.weight,
            entry_limit: self.entry_limit,
            weigher: limits.weigher,
            expiry: self.told.expiry(is_timed),
            listener: self.listener,
            hasher: self.hasher,
        })
    }
}

fn shards<K, V>(
    limits: &Limits<K, V>,
    asked: Option<usize>,
    entry_limit: Option<usize>,
) -> Result<usize, BuildError> {
    let entries = match entry_limit {
        Some(limit) => Some(limits.entries.unwrap_or(u64::MAX).min(limit as u64)),
        None => limits.entries,
    };
    match asked {
        Some(asked) if asked == 0 || asked > MOST_SHARDS => Err(BuildError::Shards { asked }),
        Some(asked) => Ok(asked),
        None => Ok(default_shards(limits.weight, entries)),
    }
}

impl<K, V> Cache<K, V> {
    /// A cache of at most `entries` entries, with the default policy and hasher.
    ///
    /// A capacity of 0 is legal: a cache that keeps nothing. No memory is
    /// reserved for entries.
    pub fn new(entries: usize) -> Self {
        built(Self::builder(Entries(entries)).build())
    }

    /// The way to a policy, hasher, listener or number of shards of your choice.
    ///
    /// ```
    /// use brimful::policy::Lru;
    /// use brimful::{Cache, Cause, Entries};
    ///
    /// let cache = Cache::builder(Entries(2))
    ///     .policy::<Lru>()
    ///     .listener(|key: &u32, _: &&str, cause: Cause| println!("{key} left: {cause}"))
    ///     .build()?;
    /// cache.insert(1, "one");
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    ///
    /// A count does not pass for bytes:
    ///
    /// ```compile_fail,E0277
    /// let cache: brimful::Cache<String, String> = brimful::Cache::builder(10_000).build().unwrap();
    /// ```
    ///
    /// ```compile_fail,E0308
    /// use brimful::{Bytes, Cache, Entries, WeighedCache};
    /// let cache: WeighedCache<String, String> = Cache::builder(Entries(10_000)).build().unwrap();
    /// ```
    ///
    /// ```
    /// use brimful::{Bytes, Cache, WeighedCache};
    /// let cache: WeighedCache<String, String> = Cache::builder(Bytes(10_000)).build().unwrap();
    /// ```
    pub fn builder<C: Capacity<K, V>>(capacity: C) -> Builder<K, V, C> {
        Builder::new(capacity)
    }
}

impl<K, V> WeighedCache<K, V> {
    /// A cache of at most so much weight; `weigher` says how heavy an entry is.
    ///
    /// ```
    /// use brimful::Cache;
    ///
    /// let cache = Cache::weighted(1_000, |_: &u32, words: &Vec<&str>| words.len() as u64);
    /// cache.insert(1, vec!["a"; 600]);
    /// cache.insert(2, vec!["b"; 600]);
    /// assert_eq!(cache.weight(), 600);
    /// ```
    pub fn weighted(
        capacity: u64,
        weigher: impl Fn(&K, &V) -> u64 + Send + Sync + 'static,
    ) -> Self {
        built(Cache::builder(Weight(capacity, weigher)).build())
    }

    /// A cache of at most so many bytes: heap memory of keys and values, and
    /// brimful's own memory for each entry (see [`Bytes`]).
    ///
    /// ```
    /// use brimful::Cache;
    ///
    /// let cache = Cache::bytes(64 << 20);
    /// cache.insert("/index".to_string(), vec![0_u8; 10_000]);
    /// assert!(cache.weight() > 10_000);
    /// ```
    pub fn bytes(capacity: u64) -> Self
    where
        K: HeapSize,
        V: HeapSize,
    {
        built(Cache::builder(Bytes(capacity)).build())
    }
}

impl<K, V> unsync::Cache<K, V> {
    /// A cache of at most `entries` entries. 0 is legal: it keeps nothing.
    pub fn new(entries: usize) -> Self {
        built(Self::builder(Entries(entries)).build_unsync())
    }

    /// The same builder as [`brimful::Cache::builder`](crate::Cache::builder);
    /// end it with [`build_unsync`](Builder::build_unsync).
    pub fn builder<C: Capacity<K, V>>(capacity: C) -> Builder<K, V, C> {
        Builder::new(capacity)
    }
}

impl<K, V> unsync::WeighedCache<K, V> {
    /// A cache of at most so much weight; `weigher` says how heavy an entry is.
    pub fn weighted(
        capacity: u64,
        weigher: impl Fn(&K, &V) -> u64 + Send + Sync + 'static,
    ) -> Self {
        built(Builder::new(Weight(capacity, weigher)).build_unsync())
    }

    /// A cache of at most so many bytes; see [`Bytes`].
    pub fn bytes(capacity: u64) -> Self
    where
        K: HeapSize,
        V: HeapSize,
    {
        built(Builder::new(Bytes(capacity)).build_unsync())
    }
}

fn built<T>(cache: Result<T, BuildError>) -> T {
    cache.unwrap_or_else(|error| unreachable!("nothing was configured that can fail: {error}"))
}

impl<K, V, C: fmt::Debug, P, S, L> fmt::Debug for Builder<K, V, C, P, S, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("capacity", &self.capacity)
            .field("entry_limit", &self.entry_limit)
            .field("shards", &self.shards)
            .field("listens", &self.listener.is_some())
            .field("time_to_live", &self.told.to_live)
            .field("time_to_idle", &self.told.to_idle)
            .field("refresh_after", &self.told.refresh_after)
            .field("stale_if_error", &self.told.stale_if_error)
            .finish_non_exhaustive()
    }
}
