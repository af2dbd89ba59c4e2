//! `Builder` and the short forms: from a capacity to a cache. No default,
//! nothing unbounded.

use crate::budget::{Budget, Share};
use crate::cache::Cache;
use crate::capacity::{Capacity, HeapSize, Limits, default_shards};
use crate::cause::{Cause, Departed, Discard, Listener};
use crate::clock::{Clock, Source};
use crate::door::Door;
use crate::error::{BuildError, MOST_CLASSES, MOST_SHARDS};
use crate::expiry::Told;
use crate::form::{Form, Weighed};
use crate::hash::RandomState;
use crate::held::{Held, Holding};
use crate::leave::Leave;
use crate::ledger::Ledger;
use crate::policy::{Choice, Chosen, Duel, Policy};
use crate::room::Scale;
use crate::stats::{Lingerers, Tracks};
use crate::sync::{Arc, BARE};
use crate::unit::{Bytes, Entries, Units, Weight};
use crate::unsync;
use std::fmt;
use std::hash::BuildHasher;
use std::marker::PhantomData;
use std::time::Duration;

/// Builds a [`Cache`] or an [`unsync::Cache`]; see [`Cache::builder`].
///
/// Its calls choose the [`Form`] of the cache, in any order: `F` is what entries carry so far.
///
/// ```
/// use brimful::policy::Sieve;
/// use brimful::{Bytes, Cache, Cause, Weighed};
///
/// let cache: Cache<String, Vec<u8>, Weighed<Sieve>> = Cache::builder(Bytes(1 << 20))
///     .policy::<Sieve>()
///     .entry_limit(1_000)
///     .shards(8)
///     .listener(|key: &String, _: &Vec<u8>, cause: Cause| println!("{key}: {cause}"))
///     .build()?;
/// assert_eq!(cache.shards(), 8);
/// # Ok::<(), brimful::BuildError>(())
/// ```
#[must_use = "a builder does nothing until `build` is called"]
pub struct Builder<K, V, F: Form = Duel, S = RandomState> {
    limits: Limits<K, V>,
    entry_limit: Option<usize>,
    admits_heavy: bool,
    shards: Option<usize>,
    choice: Choice,
    listener: Option<Listener<K, V>>,
    discard: Option<Discard<K, V>>,
    told: Told<K, V>,
    tracking: Tracks<K, V>,
    name: Option<Arc<str>>,
    /// Opens a list of values that are held elsewhere, with the cache's clock.
    lingerers: Option<OpenLingerers<V>>,
    /// Pays for what is on that list.
    lingers_in: Option<Budget>,
    hasher: S,
    form: PhantomData<fn() -> F>,
}

/// Opens a list, by a clock, with what pays for it.
type OpenLingerers<V> = fn(Source, Option<Budget>) -> Box<dyn Lingerers<V>>;

impl<K, V, F: Form> Builder<K, V, F> {
    pub(crate) fn new(capacity: impl Capacity<K, V, Form = F>) -> Self {
        Self {
            limits: capacity.limits(),
            entry_limit: None,
            admits_heavy: false,
            shards: None,
            choice: Choice::default(),
            listener: None,
            discard: None,
            told: Told::nothing(),
            tracking: Tracks::nothing(),
            name: None,
            lingerers: None,
            lingers_in: None,
            hasher: RandomState::default(),
            form: PhantomData,
        }
    }
}

/// For plans.
#[cfg(feature = "serde")]
impl<K, V> Builder<K, V, Weighed> {
    /// A capacity of so many entries, where they have weights all the same: each weighs 1.
    pub(crate) fn counting(entries: u64) -> Self {
        let mut builder = Self::new(Weight(entries, |_: &K, _: &V| 1));
        builder.limits.count_entries();
        builder
    }
}

/// For plans.
#[cfg(feature = "serde")]
impl<K, V, F: Form, S> Builder<K, V, F, S> {
    /// Whether it builds, once it has a clock.
    pub(crate) fn makes_sense(&self) -> Result<(), BuildError> {
        match self.check() {
            Ok(()) | Err(BuildError::NoClock) => self.count_shards().map(drop),
            error => error,
        }
    }
}

impl<K, V, F: Form, S> Builder<K, V, F, S> {
    /// Chooses the policy, which says which entry is evicted first; [`Duel`] if left out.
    ///
    /// ```
    /// use brimful::policy::Lru;
    /// use brimful::{Cache, Entries};
    ///
    /// let cache: Cache<&str, u32, Lru> = Cache::builder(Entries(2)).policy::<Lru>().build()?;
    /// cache.extend([("a", 1), ("b", 2)]);
    /// cache.get("a");
    /// cache.insert("c", 3);
    /// assert!(!cache.contains_key("b"));
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn policy<P: Policy>(mut self) -> Builder<K, V, F::With<P>, S> {
        self.choice = Choice::default();
        self.formed()
    }

    /// Chooses the policy while the program runs, one of this crate's: the form becomes that of
    /// [`Chosen`], so one type of cache serves all of them. See there what it costs.
    ///
    /// ```
    /// use brimful::policy::{Choice, Chosen};
    /// use brimful::{Cache, Entries};
    ///
    /// let policy: Choice = std::env::var("POLICY").unwrap_or("sieve".into()).parse()?;
    /// let cache: Cache<String, u32, Chosen> = Cache::builder(Entries(100)).choose(policy).build()?;
    /// cache.insert("a".to_owned(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn choose(mut self, policy: Choice) -> Builder<K, V, F::With<Chosen>, S> {
        self.choice = policy;
        self.formed()
    }

    /// This builder, for another form.
    fn formed<G: Form>(self) -> Builder<K, V, G, S> {
        Builder {
            limits: self.limits,
            entry_limit: self.entry_limit,
            admits_heavy: self.admits_heavy,
            shards: self.shards,
            choice: self.choice,
            listener: self.listener,
            discard: self.discard,
            told: self.told,
            tracking: self.tracking,
            name: self.name,
            lingerers: self.lingerers,
            lingers_in: self.lingers_in,
            hasher: self.hasher,
            form: PhantomData,
        }
    }

    /// Chooses the hasher; seeded `ahash` if left out. A weak one (the
    /// identity) is mixed, so that keys still spread. With one that has no seed, keys
    /// chosen by an attacker may collide.
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    /// use std::hash::RandomState;
    ///
    /// let cache = Cache::builder(Entries(100)).hasher(RandomState::new()).build()?;
    /// cache.insert("a", 1);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn hasher<S2>(self, hasher: S2) -> Builder<K, V, F, S2> {
        Builder {
            limits: self.limits,
            entry_limit: self.entry_limit,
            admits_heavy: self.admits_heavy,
            shards: self.shards,
            choice: self.choice,
            listener: self.listener,
            discard: self.discard,
            told: self.told,
            tracking: self.tracking,
            name: self.name,
            lingerers: self.lingerers,
            lingers_in: self.lingers_in,
            hasher,
            form: self.form,
        }
    }

    /// Sets a listener for keys, values and causes:
    /// [`on_departure`](Builder::on_departure) for short, which says more.
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
    pub fn listener(self, listener: impl Fn(&K, &V, Cause) + Send + Sync + 'static) -> Self {
        self.on_departure(move |left| listener(left.key, left.value, left.cause))
    }

    /// Sets the listener, which is called exactly once for every value that leaves: with its key,
    /// its cause, how late the removal of an expired value came, and the age of a value where
    /// that is [recorded](Builder::record_ages). A cache has one listener, the one given last.
    ///
    /// It is called after the locks are released, and before the value is returned, or
    /// [discarded](Builder::on_discard), or dropped. It runs on the thread whose call made the value
    /// leave, and clones what it wants to keep. If it panics, the panic reaches the caller
    /// of that call after all its other departures were told; the listener stays on.
    ///
    /// ```
    /// use brimful::{Cache, Cause, Departed, Entries, ManualClock};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
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
    ///
    /// # In which order
    ///
    /// One call tells of its departures in the order in which they left. Calls of several threads
    /// tell in any order, also of one key: no lock is held, so of two threads that replace a value one
    /// after the other the second may be the first to tell. Each value is told once all the same.
    /// Where the order matters give the values a number, and let the larger one win.
    ///
    /// # Calling a cache
    ///
    /// It may call any cache, also its own: read, remove, insert something else. What that lets go
    /// is told at once, inside of the listener that made the call. So listeners run inside of one
    /// another, 16 of them on a thread at most. The innermost must call no cache: such a call panics
    /// before it has done anything, and that panic goes on as any of a listener's does.
    ///
    /// One that puts back what was evicted comes to that at once, since each insert evicts
    /// another. Collect what is to come back, and insert it after the call that evicted it.
    ///
    /// A listener that owns an [`Arc`] of its cache keeps that alive for ever, as the
    /// cache owns the listener. A [`Weak`](std::sync::Weak) does not; when the cache itself is
    /// dropped it is not there any more:
    ///
    /// ```
    /// use brimful::{Cache, Departed, Entries};
    /// use std::sync::{Arc, Weak};
    ///
    /// // Pages go with the index that names them.
    /// let cache = Arc::new_cyclic(|own: &Weak<Cache<String, u32>>| {
    ///     let own = own.clone();
    ///     let builder = Cache::builder(Entries(100));
    ///     let builder = builder.on_departure(move |left: Departed<'_, String, u32>| {
    ///         if let (Some(cache), Some(site)) = (own.upgrade(), left.key.strip_suffix("/index")) {
    ///             cache.retain(|key, _| !key.starts_with(site));
    ///         }
    ///     });
    ///     builder.build().expect("this configuration makes sense")
    /// });
    /// cache.extend([("a/index", 1), ("a/1", 2), ("b/index", 3)].map(|(key, n)| (key.to_owned(), n)));
    /// cache.remove("a/index");
    /// assert_eq!(cache.len(), 1);
    /// ```
    #[doc(alias = "eviction_listener")]
    #[doc(alias = "removal_listener")]
    #[doc(alias = "lifecycle")]
    pub fn on_departure(
        mut self,
        listener: impl Fn(Departed<'_, K, V>) + Send + Sync + 'static,
    ) -> Self {
        self.listener = Some(Box::new(listener));
        self
    }

    /// Gives away what the cache would drop: each entry that leaves and that no call
    /// returns, by value, with the cause for which it left. For a second tier, on disk or in memory;
    /// to use buffers again; to drop what is large on a thread of its own.
    ///
    /// These are, whatever call lets them go, the values that are evicted or expire, are cleared, or
    /// dropped with the cache; what [`insert`](Cache::insert) refuses; what `retain` removes; and
    /// what a load or `extend` replaces. What a call returns belongs to its caller: what
    /// [`remove`](Cache::remove) and [`evict`](Cache::evict) take out, an older value that
    /// `insert` returns, what [`try_insert`](Cache::try_insert) hands back. What a `drain` has taken
    /// out belongs to it, and is dropped with it; in shards that it has not come to all is given away.
    ///
    /// It is called where the value would be dropped, so after [the listener](Builder::on_departure), if
    /// there is one, has heard of it. All that is said there is true here too: the thread, panics, the
    /// order, how deep such calls may be nested.
    ///
    /// ```
    /// use brimful::{Cache, Cause, Entries};
    /// use std::collections::HashMap;
    /// use std::sync::{Arc, Mutex};
    ///
    /// let second = Arc::new(Mutex::new(HashMap::new()));
    /// let tier = second.clone();
    /// let first = Cache::builder(Entries(2))
    ///     .on_discard(move |key: u32, page: Vec<u8>, cause| {
    ///         if cause == Cause::Evicted {
    ///             tier.lock().unwrap().insert(key, page);
    ///         }
    ///     })
    ///     .build()?;
    /// let page = |n: u32| {
    ///     first.get_or_insert_with(&n, || {
    ///         let kept = second.lock().unwrap().remove(&n);
    ///         kept.unwrap_or_else(|| format!("page {n}").into_bytes())
    ///     })
    /// };
    /// (1..=5).for_each(|n| drop(page(n)));
    /// assert_eq!((first.len(), second.lock().unwrap().len()), (2, 3));
    /// // Read again: what the first tier lacks moves there, for another.
    /// (1..=5).for_each(|n| assert_eq!(page(n), format!("page {n}").into_bytes()));
    /// assert_eq!((first.len(), second.lock().unwrap().len()), (2, 3));
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[doc(alias = "on_evict")]
    #[doc(alias = "second_tier")]
    pub fn on_discard(mut self, discard: impl Fn(K, V, Cause) + Send + Sync + 'static) -> Self {
        self.discard = Some(Box::new(discard));
        self
    }

    /// Fixes the number of shards, from 1 to 65,536. With 1 the order of
    /// eviction is exact as a whole; each costs some 500 bytes. If left out: by
    /// capacity and processors, at most 384 (see [`sizing`](crate::guide::sizing)).
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    ///
    /// let cache = Cache::<&str, u32>::builder(Entries(1_000)).shards(1).build()?;
    /// assert_eq!(cache.shards(), 1);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[doc(alias = "concurrency_level")]
    pub fn shards(mut self, shards: usize) -> Self {
        self.shards = Some(shards);
        self
    }

    /// Limits the number of entries beside their weight or bytes. With such a
    /// limit a weight of 0 is charged as 0.
    ///
    /// ```
    /// use brimful::{Cache, Weight};
    ///
    /// let weigh = |_: &u32, text: &&str| text.len() as u64;
    /// let cache = Cache::builder(Weight(100, weigh)).entry_limit(2).build()?;
    /// cache.extend([(1, ""), (2, ""), (3, "")]);
    /// assert_eq!((cache.len(), cache.weight()), (2, 0));
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[doc(alias = "max_entries")]
    pub fn entry_limit(mut self, entries: usize) -> Self {
        self.entry_limit = Some(entries);
        self
    }

    /// Lets every newcomer in that is no heavier than the whole capacity.
    ///
    /// Without this call a policy that knows how often keys are asked for ([`Duel`], the default, and
    /// [`Gdsf`](crate::policy::Gdsf)) lets a newcomer in for which others would have to leave only if it
    /// weighs at most 64 times what an entry of its shard weighs in the mean, or twice that if it is
    /// asked for the second time of late, and so on up to the seventh, from which on it is let in in any case. It
    /// is [`Refused`](Cause::Refused) else, with [`Reason::Heavy`](crate::Reason::Heavy): one that is asked
    /// for once would take the room of thousands. A shard of fewer than 8 entries lets all in.
    ///
    /// ```
    /// use brimful::{Cache, Reason, Weight};
    ///
    /// let weigh = |_: &u32, weight: &u64| *weight;
    /// let builder = || Cache::builder(Weight(1_000, weigh)).shards(1);
    /// let (cache, lenient) = (builder().build()?, builder().admit_heavy().build()?);
    /// for cache in [&cache, &lenient] {
    ///     cache.extend((0..1_000).map(|key| (key, 1)));
    /// }
    /// let refused = cache.try_insert(7_000, 500).unwrap_err();
    /// assert!(matches!(refused.reason, Reason::Heavy { weight: 500, .. }));
    /// assert!(lenient.try_insert(7_000, 500).is_ok());
    /// // Who asks again and again is let in.
    /// assert!((0..7).any(|_| cache.try_insert(7_000, 500).is_ok()));
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn admit_heavy(mut self) -> Self
    where
        F: Form<Unit = Units>,
    {
        self.admits_heavy = true;
        self
    }

    /// Names the cache: its statistics and what is printed of it say so.
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    ///
    /// let pages = Cache::<String, String>::builder(Entries(100)).named("pages").build()?;
    /// assert!(pages.stats().to_string().starts_with("pages: 0 of 100 entries"));
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn named(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Entries know where they come from: the form becomes [`Tracked`](crate::Tracked), 8 bytes an
    /// entry. That gives the cache [scopes](Cache::scope);
    /// [`classes`](Builder::classes) and [`record_callers`](Builder::record_callers) do so too.
    ///
    /// ```
    /// use brimful::{Cache, Entries, Tracked};
    ///
    /// let work: Cache<u64, String, Tracked> = Cache::builder(Entries(10_000)).tracked().build()?;
    /// let scope = work.scope();
    /// scope.insert(7, "of this request".to_string());
    /// drop(scope);
    /// assert!(work.is_empty());
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn tracked(self) -> Builder<K, V, F::Tracked, S> {
        self.formed()
    }

    /// Counts entries by class as they come and go: `class` says by key and value which of these
    /// names an entry counts for, from 0 on (what is beyond the last is the last), and
    /// [`stats().class(name)`](crate::Snapshot::class) what came of them. The form becomes
    /// [`Tracked`](crate::Tracked); an insert and a departure cost a few additions more.
    ///
    /// `class` is called once for each value, where the weigher is: outside of all locks, but in
    /// [`compute`](Cache::compute). A value that is changed in place stays in its class. To
    /// look at the entries in other ways without having counted them, there is
    /// [`survey`](Cache::survey).
    ///
    /// From 1 to 256 names; others are an [error](crate::BuildError::Classes).
    ///
    /// ```
    /// use brimful::{Bytes, Cache, Tracked, Weighed};
    ///
    /// let cache: Cache<String, Vec<u8>, Weighed<Tracked>> = Cache::builder(Bytes(64 << 20))
    ///     .classes(["user", "order", "other"], |key: &String, _| match key.split(':').next() {
    ///         Some("user") => 0,
    ///         Some("order") => 1,
    ///         _ => 2,
    ///     })
    ///     .build()?;
    /// cache.insert("order:7".to_string(), vec![0; 1_000]);
    /// let orders = cache.stats().class("order").unwrap();
    /// assert!(orders.entries() == 1 && orders.weight() > 1_000);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn classes(
        mut self,
        names: impl IntoIterator<Item: Into<Box<str>>>,
        class: impl Fn(&K, &V) -> usize + Send + Sync + 'static,
    ) -> Builder<K, V, F::Tracked, S> {
        self.tracking.classify(names, class);
        self.formed()
    }

    /// Records which line of code stores each entry: which lines fill the cache is what
    /// [`stats().callers()`](crate::Snapshot::callers) says then. The form becomes
    /// [`Tracked`](crate::Tracked). Each insert looks its line up, under its shard's lock, among
    /// the lines seen so far: O(log lines).
    ///
    /// The line is that of the call of this crate, or of the caller's caller where the function
    /// in between is `#[track_caller]`. Values that are loaded many at once, computed by a future or
    /// refreshed beside the call have none.
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    ///
    /// let cache = Cache::builder(Entries(100)).record_callers().build()?;
    /// cache.insert("a", 1);
    /// let line = line!() - 1;
    /// let stats = cache.stats();
    /// assert!(stats.callers().all(|(caller, _)| caller.line() == line));
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn record_callers(mut self) -> Builder<K, V, F::Tracked, S> {
        self.tracking.lines = true;
        self.formed()
    }

    /// Watches a sample of the keys, to tell while running [how big the cache should
    /// be](Cache::sizing). The form becomes [`Sampled`](crate::Sampled).
    ///
    /// Small copies of the cache, of its own policy, without keys and values, are kept up to date: one
    /// for a half, one for once, twice and four times the capacity. Each holds as many of
    /// the sampled keys as it has room for in proportion (*miniature simulation*). They have the
    /// weights and the lives of the real entries. So the curve is that of this cache under its own load.
    ///
    /// How much of the keys is sampled follows the capacity: all in a cache of up to 2,048 entries,
    /// then as many as leave 1,024 to 2,048 entries for the copy of the cache's size. The copies hold
    /// some 15,000 entries at most, 8 to 40 bytes each, as they fill: less than 3 bytes for each entry
    /// of the cache at one key in 64. A hit on a key that is not sampled costs a
    /// multiplication and a comparison more; one that is sampled leaves a note in
    /// its thread's own line, takes no lock that it would have to wait for, and
    /// hands them on after some 13.
    ///
    /// ```
    /// use brimful::{Cache, Entries, Sampled};
    ///
    /// let pages: Cache<u64, String, Sampled> = Cache::builder(Entries(10_000)).sizing().build()?;
    /// for n in 0..100_000 {
    ///     pages.get_or_insert_with(&(n % 15_000), || format!("page {n}"));
    /// }
    /// if let Some(entries) = pages.sizing().smallest_for(0.8) {
    ///     println!("{entries} entries are enough");
    /// }
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    ///
    /// The figures are of the recent past, and within 2 points of a cache of that size on
    /// most traffic (see [`guide::sizing`](crate::guide::sizing)). [`Cache::set_capacity`] begins
    /// the count anew; [`Cache::clear`] empties the copies too.
    pub fn sizing(self) -> Builder<K, V, F::Sampled, S> {
        self.formed()
    }

    /// Entries expire so long after their value was stored; what changes a value in place leaves
    /// its deadline. The form becomes [`Timed`](crate::Timed).
    ///
    /// [`Duration::MAX`], and what is longer than 570 years, means never: for a
    /// cache whose times to live are all given at [`insert_with_ttl`](Cache::insert_with_ttl).
    /// Zero lets nothing in.
    ///
    /// A deadline is rounded down to a whole microsecond of the clock: nothing is served at its
    /// end or later.
    ///
    /// ```
    /// use brimful::{Cache, Entries, Timed};
    /// use std::time::Duration;
    ///
    /// let cache: Cache<&str, u32, Timed> = Cache::builder(Entries(1_000))
    ///     .time_to_live(Duration::from_secs(60))
    ///     .build()?;
    /// cache.insert("a", 1);
    /// cache.insert_with_ttl("b", 2, Duration::from_secs(5));
    /// assert!(cache.ttl("b") <= cache.ttl("a"));
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[doc(alias = "expire_after_write")]
    pub fn time_to_live(mut self, life: Duration) -> Builder<K, V, F::Timed, S> {
        self.told.to_live = Some(life);
        self.formed()
    }

    /// Entries expire so long after their last use, as [`get`](Cache::get),
    /// [`view`](Cache::view) and what else counts as one, or after their value was
    /// stored or changed in place. A time to live counts beside it: the earlier deadline
    /// holds. The form becomes [`Aged`](crate::Aged).
    ///
    /// A use puts the deadline off if it moves by more than a grain, 1/1,024 of this time: so an
    /// entry that was used lives up to a grain longer (two, where a grain is a second or more), and
    /// never less.
    ///
    /// [`Duration::MAX`] means never; zero lets nothing in.
    ///
    /// ```
    /// use brimful::{Cache, Entries, ManualClock};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let sessions = Cache::builder(Entries(100))
    ///     .time_to_idle(Duration::from_secs(60))
    ///     .clock(clock.clone())
    ///     .build()?;
    /// sessions.extend([("ann", 1), ("bob", 2)]);
    /// clock.advance(Duration::from_secs(40));
    /// sessions.get("ann");
    /// clock.advance(Duration::from_secs(40));
    /// assert!(sessions.contains_key("ann") && !sessions.contains_key("bob"));
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[doc(alias = "expire_after_access")]
    pub fn time_to_idle(mut self, life: Duration) -> Builder<K, V, F::Aged, S> {
        self.told.to_idle = Some(life);
        self.formed()
    }

    /// Sets a rule for each entry's time to live. Its third argument says what for:
    ///
    /// - `None`: the value is stored. `Some(life)` takes the place of
    ///   [`time_to_live`](Builder::time_to_live); `None` leaves that in force. A value with an
    ///   explicit time to live is stored without asking.
    /// - `Some(left)`: the value was changed in place, by [`update`](Cache::update),
    ///   [`compute`](Cache::compute) or `and_modify`, and would live that much longer ([`Duration::MAX`]: for ever).
    ///   `Some(life)` begins a new life now, `None` leaves the deadline, also an explicit one.
    ///
    /// It is called once for each value without any lock, but after a change in
    /// place under the lock of one shard: then it must not call into any brimful
    /// cache and panics if it does. If it panics after a change, the value keeps
    /// the deadline it had.
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    /// use std::time::Duration;
    ///
    /// // What was not found may be there soon.
    /// let pages = Cache::builder(Entries(1_000))
    ///     .time_to_live(Duration::from_secs(600))
    ///     .ttl_with(|_: &u32, page: &Option<String>, _| {
    ///         page.is_none().then_some(Duration::from_secs(5))
    ///     })
    ///     .build()?;
    /// pages.insert(1, None);
    /// pages.insert(2, Some("text".to_owned()));
    /// assert!(pages.ttl(&1) <= Some(Duration::from_secs(6)));
    /// assert!(pages.ttl(&2) >= Some(Duration::from_secs(500)));
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[doc(alias = "expire_after")]
    pub fn ttl_with(
        mut self,
        rule: impl Fn(&K, &V, Option<Duration>) -> Option<Duration> + Send + Sync + 'static,
    ) -> Builder<K, V, F::Timed, S> {
        self.told.rule = Some(Box::new(rule));
        self.formed()
    }

    /// Sets a rule that each read of an entry asks (`get`, `view`, `get_many`, all loading calls and
    /// guards, `compute_async`, and the `or_…` calls of `entry`, when they find it; not `peek`, nor what
    /// changes values in place: `update`, `compute`, `and_modify`): `Some` gives it a new time to
    /// live from now, whatever gave it the old one; `None` leaves it as it is. With zero the
    /// entry ends with this read.
    ///
    /// The rule runs under the lock of one shard: it must be quick, and it panics if it
    /// calls into any brimful cache.
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    /// use std::time::Duration;
    ///
    /// // A code that can be used once.
    /// let codes = Cache::builder(Entries(100))
    ///     .ttl_on_read(|_: &u32, _: &&str| Some(Duration::ZERO))
    ///     .build()?;
    /// codes.insert(1, "c0de");
    /// assert_eq!(codes.get(&1), Some("c0de"));
    /// assert_eq!(codes.get(&1), None);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn ttl_on_read(
        mut self,
        rule: impl Fn(&K, &V) -> Option<Duration> + Send + Sync + 'static,
    ) -> Builder<K, V, F::Timed, S> {
        self.told.rule_on_read = Some(Box::new(rule));
        self.formed()
    }

    /// Keeps with each entry when its value came: then the listener given to
    /// [`on_departure`](Builder::on_departure) hears its age, and
    /// [`Snapshot::ages`](crate::Snapshot::ages) has a histogram. The form becomes
    /// [`Aged`](crate::Aged).
    ///
    /// ```
    /// use brimful::{Cache, Departed, Entries, ManualClock};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let cache = Cache::builder(Entries(100))
    ///     .record_ages()
    ///     .clock(clock.clone())
    ///     .on_departure(|left: Departed<'_, &str, u32>| {
    ///         assert_eq!(left.age, Some(Duration::from_secs(3)));
    ///     })
    ///     .build()?;
    /// cache.insert("a", 1);
    /// clock.advance(Duration::from_secs(3));
    /// cache.remove("a");
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn record_ages(self) -> Builder<K, V, F::Aged, S> {
        self.formed()
    }

    /// Values are *stale* from this age on, counted from when they were stored or
    /// replaced: every call still finds them, and the first loading call that does
    /// loads the value again. The form becomes [`Aged`](crate::Aged).
    ///
    /// Of the loading calls ([`get_or_insert_with`](Cache::get_or_insert_with) and its
    /// relatives) that find a stale value one at a time loads, on its own thread, and returns
    /// what it loaded; all others, and all `get`s, have the stale value at once. With
    /// [`load_or_refresh`](Cache::load_or_refresh) no call waits: it hands the
    /// load to a thread pool or executor of yours. If a load fails, or what runs it is dropped,
    /// the value stays until its deadline, and the next loading call tries again, at once:
    /// a loader that wants a pause between tries keeps it itself.
    /// What a load brings takes the place of the stale value, which leaves as
    /// [`Replaced`](Cause::Replaced), unless the key was written meanwhile.
    ///
    /// Give a [`time_to_live`](Builder::time_to_live) too, and a longer one, for values
    /// that are not asked for, or whose loads keep failing: without, they stay, stale.
    /// [`update`](Cache::update) and [`set_ttl`](Cache::set_ttl) make no value younger.
    /// [`Duration::MAX`] means never stale; zero, always: each loading call loads, if no
    /// other does. [`Snapshot::refreshes`](crate::Snapshot::refreshes) counts.
    ///
    /// ```
    /// use brimful::{Cache, Entries, ManualClock};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
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
    #[doc(alias = "refresh_after_write")]
    pub fn refresh_after(mut self, age: Duration) -> Builder<K, V, F::Aged, S> {
        self.told.refresh_after = Some(age);
        self.formed()
    }

    /// Lets a loading call whose own load of a [stale](Builder::refresh_after) value fails
    /// return the value that is still there; the error is dropped: log it in the loader. If
    /// no value is there any more, the error is returned, as it always is without this.
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

    /// Lets so much time pass between a refresh of a [stale](Builder::refresh_after) value that
    /// failed and the next one: calls return the value that is there meanwhile, and no
    /// loader runs. So a backend that is down is asked once in this time for each value.
    ///
    /// A loader fails that returns an error or panics; a load that was dropped does not. Where
    /// the value is gone, calls load as for any missing key. Each value that is waited for takes
    /// some 20 bytes until the pause has ended.
    ///
    /// ```
    /// use brimful::{Cache, Entries, ManualClock};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let rates = Cache::builder(Entries(100))
    ///     .refresh_after(Duration::from_secs(60))
    ///     .refresh_pause(Duration::from_secs(5))
    ///     .stale_if_error()
    ///     .clock(clock.clone())
    ///     .build()?;
    /// rates.insert("EUR".to_string(), 108);
    /// clock.advance(Duration::from_secs(60));
    /// assert_eq!(rates.try_get_or_insert_with("EUR", || Err("no route")), Ok(108));
    /// assert_eq!(rates.get_or_insert_with("EUR", || unreachable!("not yet")), 108);
    /// clock.advance(Duration::from_secs(5));
    /// assert_eq!(rates.get_or_insert_with("EUR", || 109), 109);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn refresh_pause(mut self, pause: Duration) -> Self {
        self.told.refresh_pause = Some(pause);
        self
    }

    /// Sets the clock by which entries expire and loads are timed;
    /// [`Instant`](std::time::Instant) if left out. See [`Clock`].
    ///
    /// ```
    /// use brimful::{Cache, Entries, ManualClock};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let cache = Cache::builder(Entries(100))
    ///     .time_to_live(Duration::from_secs(60))
    ///     .clock(clock.clone())
    ///     .build()?;
    /// cache.insert("a", 1);
    /// clock.advance(Duration::from_secs(61));
    /// assert_eq!(cache.get("a"), None);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.told.clock = Some(Source::Given(Arc::new(clock)));
        self
    }

    /// Builds a cache that threads share.
    ///
    /// # Errors
    /// If the configuration makes no sense; see [`BuildError`].
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    ///
    /// let cache: Cache<String, u32> = Cache::builder(Entries(100)).build()?;
    /// assert!(Cache::<u32, u32>::builder(Entries(100)).shards(0).build().is_err());
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn build(self) -> Result<Cache<K, V, F, S>, BuildError>
    where
        S: BuildHasher,
    {
        self.check()?;
        let shards = self.count_shards()?;
        Ok(Cache::open(self.door(Ledger::new), shards))
    }

    /// Builds a cache that threads share, and that shares a [`Budget`] with other
    /// caches: together they hold no more than that, and this one no more than its own capacity either.
    /// For no bound of its own give it the budget's capacity, or a larger one.
    ///
    /// Another member's thread may evict entries of this cache, and drops them then: so keys and
    /// values are `Send`, `Sync` and `'static`. For the same reason a policy of yours is `Send`.
    ///
    /// # Errors
    /// As [`build`](Builder::build); and if the budget has not enough left for the [floor](Share::at_least),
    /// or is in bytes where the capacity is not.
    ///
    /// # Panics
    /// If it is called from code that runs under a lock, or in a read, of a member.
    ///
    /// ```
    /// use brimful::{Budget, Bytes, Cache, Weighed};
    ///
    /// let budget = Budget::bytes(1 << 20);
    /// let pages: Cache<String, Vec<u8>, Weighed> =
    ///     Cache::builder(Bytes(1 << 20)).named("pages").build_in(budget.share())?;
    /// let rows: Cache<u32, String, Weighed> =
    ///     Cache::builder(Bytes(1 << 18)).named("rows").build_in(budget.share())?;
    /// pages.insert("/".to_owned(), vec![0; 10_000]);
    /// rows.insert(1, "one".to_owned());
    /// assert_eq!(budget.used(), pages.weight() + rows.weight());
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    ///
    /// Entries that are counted are no weight:
    ///
    /// ```compile_fail,E0271
    /// use brimful::{Budget, Cache, Entries};
    /// let budget = Budget::weight(100);
    /// let cache = Cache::<u32, u32>::builder(Entries(10)).build_in(budget.share());
    /// ```
    #[track_caller]
    pub fn build_in(self, share: Share) -> Result<Cache<K, V, F, S>, BuildError>
    where
        K: Send + Sync + 'static,
        V: Send + Sync + 'static,
        F: Form<Unit = Units, Policy: Send, Meta: Send + Sync> + 'static,
        S: BuildHasher,
    {
        self.check()?;
        share.check(self.limits.amount, self.limits.is_in_bytes())?;
        let shards = self.count_shards()?;
        let door = self.door(|capacity, entries| share.ledger(capacity, entries));
        Cache::open(door, shards).join(share)
    }

    /// Builds a cache for one owner, without locks.
    ///
    /// # Errors
    /// If the configuration makes no sense; see [`BuildError`]. One shard is all it may ask for.
    ///
    /// ```
    /// use brimful::{Entries, unsync};
    ///
    /// let cache: unsync::Cache<String, u32> = unsync::Cache::builder(Entries(100)).build_unsync()?;
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn build_unsync(self) -> Result<unsync::Cache<K, V, F, S>, BuildError>
    where
        S: BuildHasher,
    {
        if let Some(asked) = self.shards.filter(|&shards| shards != 1) {
            return Err(BuildError::ShardsWithoutLocks { asked });
        }
        self.check()?;
        Ok(unsync::Cache::open(self.door(Ledger::alone)))
    }

    /// Whether the configuration makes sense.
    fn check(&self) -> Result<(), BuildError> {
        if F::TIMED && self.told.clock.is_none() && BARE {
            return Err(BuildError::NoClock);
        }
        let refreshes = self.told.stale_if_error || self.told.refresh_pause.is_some();
        if refreshes && self.told.refresh_after.is_none() {
            return Err(BuildError::NeverStale);
        }
        let classes = self.tracking.names.as_ref().map(|names| names.len());
        if let Some(asked) = classes.filter(|classes| !(1..=MOST_CLASSES).contains(classes)) {
            return Err(BuildError::Classes { asked });
        }
        if let Some(budget) = &self.lingers_in {
            budget.check_unit(self.limits.is_in_bytes())?;
        }
        if self.entry_limit == Some(0) {
            return Err(BuildError::EntryLimitZero);
        }
        if let (Some(capacity), Some(limit)) = (self.limits.entries(), self.entry_limit) {
            return Err(BuildError::EntryLimitOnEntries { capacity, limit });
        }
        Ok(())
    }

    /// What the cache has at its door, with its ledger.
    fn door(self, ledger: impl FnOnce(u64, Option<u64>) -> Ledger) -> Door<K, V, F, S> {
        let overhead = self.limits.overhead::<F>();
        let unit = self.limits.unit();
        let expiry = self.told.expiry();
        let lingerers = self.lingerers;
        let lingerers = lingerers.map(|open| open(expiry.source.clone(), self.lingers_in));
        Door {
            ledger: Arc::new(ledger(
                self.limits.amount,
                self.entry_limit.map(|limit| limit as u64),
            )),
            scale: Scale::new(self.limits.weigher, overhead, self.entry_limit),
            expiry: Arc::new(expiry),
            leave: Arc::new(Leave::new(self.listener, self.discard, lingerers)),
            tracking: self.tracking,
            name: self.name,
            unit,
            entry_limit: self.entry_limit,
            admits_heavy: self.admits_heavy,
            choice: self.choice,
            hasher: self.hasher,
            form: PhantomData,
        }
    }

    fn count_shards(&self) -> Result<usize, BuildError> {
        match self.shards {
            Some(asked) if asked == 0 || asked > MOST_SHARDS => Err(BuildError::Shards { asked }),
            Some(asked) => Ok(asked),
            None => {
                let by_capacity = self.limits.likely_entries::<F>();
                let by_limit = self.entry_limit.map(|limit| limit as u64);
                let likely = by_capacity.into_iter().chain(by_limit).min();
                Ok(default_shards(self.limits.amount, likely))
            }
        }
    }
}

impl<K, V> Cache<K, V> {
    /// A cache of at most `entries` entries, with the default policy and hasher.
    ///
    /// A capacity of 0 is legal: a cache that keeps nothing. No memory is
    /// reserved for entries.
    ///
    /// ```
    /// use brimful::Cache;
    ///
    /// let cache: Cache<String, u32> = Cache::new(10_000);
    /// cache.insert("a".to_string(), 1);
    /// assert_eq!(cache.get("a"), Some(1));
    /// ```
    pub fn new(entries: usize) -> Self {
        built(Self::builder(Entries(entries)).build())
    }

    /// A builder, for a policy, hasher, listener or number of shards of your choice.
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
    /// use brimful::{Bytes, Cache, Entries, Weighed};
    /// let cache: Cache<String, String, Weighed> = Cache::builder(Entries(10_000)).build().unwrap();
    /// ```
    ///
    /// ```
    /// use brimful::{Bytes, Cache, Weighed};
    /// let cache: Cache<String, String, Weighed> = Cache::builder(Bytes(10_000)).build().unwrap();
    /// ```
    pub fn builder<C: Capacity<K, V>>(capacity: C) -> Builder<K, V, C::Form> {
        Builder::new(capacity)
    }
}

impl<K, V> Cache<K, V, Weighed> {
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
    #[doc(alias = "weigher")]
    #[doc(alias = "with_weighter")]
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
    ///
    /// ```
    /// use brimful::unsync::Cache;
    ///
    /// let mut cache: Cache<String, u32> = Cache::new(10_000);
    /// cache.insert("a".to_string(), 1);
    /// assert_eq!(cache.get("a"), Some(&1));
    /// ```
    pub fn new(entries: usize) -> Self {
        built(Self::builder(Entries(entries)).build_unsync())
    }

    /// A builder, as that of [`brimful::Cache::builder`](crate::Cache::builder);
    /// end it with [`build_unsync`](Builder::build_unsync).
    ///
    /// ```
    /// use brimful::policy::Lru;
    /// use brimful::{Entries, unsync::Cache};
    ///
    /// let mut cache = Cache::builder(Entries(2)).policy::<Lru>().build_unsync()?;
    /// cache.insert(1, "one");
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn builder<C: Capacity<K, V>>(capacity: C) -> Builder<K, V, C::Form> {
        Builder::new(capacity)
    }
}

impl<K, V> unsync::Cache<K, V, Weighed> {
    /// A cache of at most so much weight; `weigher` says how heavy an entry is.
    ///
    /// ```
    /// use brimful::unsync::Cache;
    ///
    /// let mut cache = Cache::weighted(1_000, |_: &u32, words: &Vec<&str>| words.len() as u64);
    /// cache.insert(1, vec!["a"; 600]);
    /// cache.insert(2, vec!["b"; 600]);
    /// assert_eq!(cache.weight(), 600);
    /// ```
    #[doc(alias = "weigher")]
    #[doc(alias = "with_weighter")]
    pub fn weighted(
        capacity: u64,
        weigher: impl Fn(&K, &V) -> u64 + Send + Sync + 'static,
    ) -> Self {
        built(Builder::new(Weight(capacity, weigher)).build_unsync())
    }

    /// A cache of at most so many bytes; see [`Bytes`].
    ///
    /// ```
    /// use brimful::unsync::Cache;
    ///
    /// let mut cache = Cache::bytes(64 << 20);
    /// cache.insert("/index".to_string(), vec![0_u8; 10_000]);
    /// assert!(cache.weight() > 10_000);
    /// ```
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

impl<K, T, F: Form, S> Builder<K, Held<T>, F, S>
where
    T: Send + Sync + 'static,
{
    /// Keeps a list of values that have left the cache and are held elsewhere: until its
    /// last holder drops one, [`stats().lingering()`](crate::Snapshot::lingering) counts it, and
    /// [`Cache::lingering`] lists it. Memory that no bound sees, made visible.
    ///
    /// Each departure then looks at one count; a value that is held elsewhere takes the lock of the
    /// list, when it leaves and when it is dropped.
    ///
    /// ```
    /// use brimful::{Cache, Entries, Held};
    ///
    /// let pages: Cache<u32, Held<String>> = Cache::builder(Entries(1)).lingering().build()?;
    /// pages.insert(1, Held::new("one".to_string()));
    /// let reader = pages.get(&1);
    /// pages.insert(2, Held::new("two".to_string()));
    /// let [lingerer] = &pages.lingering(10)[..] else { unreachable!() };
    /// assert_eq!((lingerer.holders, lingerer.weight), (1, 1));
    /// # drop(reader);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn lingering(mut self) -> Self {
        self.lingerers = Some(|source, budget| Box::new(Holding::new(source, budget)));
        self
    }

    /// As [`lingering`](Builder::lingering), and what is on the list counts against a bound: what it
    /// weighs is [reserved](Budget::reserve) in a budget, until the last holder of each value
    /// drops it. Where the cache is [built in](Builder::build_in) that budget, it holds less by as much:
    /// what is resident and what is held elsewhere share one bound.
    ///
    /// It is reserved by the call that lets the value go, after that has left and before the
    /// call returns: members give what they hold above their floors for it. Where that is not enough,
    /// or the thread is in a read of a member, what is missing is reserved by the next call that puts a
    /// value on the list. Once values that are held elsewhere fill the budget, inserts
    /// are refused, with [`Reason::Withheld`](crate::Reason::Withheld), until they are dropped.
    ///
    /// ```
    /// use brimful::{Budget, Bytes, Cache, Held};
    ///
    /// let budget = Budget::bytes(1 << 20);
    /// let builder = Cache::builder(Bytes(1 << 20)).lingering_in(&budget);
    /// let pages = builder.build_in(budget.share())?;
    /// pages.insert(1, Held::new(vec![0_u8; 600_000]));
    /// let reader = pages.get(&1);
    /// pages.remove(&1);
    /// // The reader has it still, so there is no room for as much again.
    /// assert!(budget.reserved() >= 600_000);
    /// assert!(pages.try_insert(2, Held::new(vec![0; 600_000])).is_err());
    /// drop(reader);
    /// assert!(pages.try_insert(2, Held::new(vec![0; 600_000])).is_ok());
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn lingering_in(mut self, budget: &Budget) -> Self
    where
        F: Form<Unit = Units>,
    {
        self.lingers_in = Some(budget.clone());
        self.lingering()
    }
}

impl<K, V, F: Form, S> fmt::Debug for Builder<K, V, F, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.name)
            .field("capacity", &self.limits)
            .field("entry_limit", &self.entry_limit)
            .field("shards", &self.shards)
            .field("listens", &self.listener.is_some())
            .field("discards", &self.discard.is_some())
            .field("time_to_live", &self.told.to_live)
            .field("time_to_idle", &self.told.to_idle)
            .field("refresh_after", &self.told.refresh_after)
            .field("stale_if_error", &self.told.stale_if_error)
            .field("refresh_pause", &self.told.refresh_pause)
            .finish_non_exhaustive()
    }
}
