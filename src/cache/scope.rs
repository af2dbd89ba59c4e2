//! Scopes: entries that leave when a block, a request or a task ends, however it ends.
//!
//! A scope is a guard with a number. What is stored through it carries that number, so when
//! the guard drops it takes out exactly that: an entry that was evicted is not there any more, and
//! one that another call has stored under the same key carries another number, or none. A guard
//! remembers of its entries the hashes alone, so nothing is asked of keys.
//!
//! Invariants
//! 1. What a scope remembers is bounded by what it holds in the cache: what has left, and
//!    what is there twice, is forgotten whenever the memory has doubled.
//! 2. A hash is remembered before its entry is stored: whatever panics in between, the entry ends
//!    with the scope.
//! 3. A scope that is forgotten (`mem::forget`) is counted as open for ever; its entries
//!    are bounded as all are.

use super::Cache;
use super::load::{Load, infallibly};
use crate::error::Refused;
use crate::form::{Form, Tracking};
use crate::hash::Hashed;
use crate::key::ToKey;
use crate::shard::Offer;
use crate::stats::Scopes;
use crate::sync::{Arc, Figure, Mutex, Ordering, panicking};
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::ops::Deref;
use std::time::Duration;

/// So many hashes a scope remembers before it looks which of them it still needs.
const FEW: usize = 32;

/// How many open scopes are known by when they began.
const PLACES: usize = 64;

/// What a cache knows of its scopes.
pub(super) struct Register {
    opened: Figure,
    ended: Figure,
    /// When a scope began, and one more, so that 0 means none: of as many as there are places.
    began: [Figure; PLACES],
}

impl Register {
    pub(super) fn new() -> Self {
        Self {
            opened: Figure::new(0),
            ended: Figure::new(0),
            began: std::array::from_fn(|_| Figure::new(0)),
        }
    }

    /// A number for a scope, not 0, and its place, if there is one left near it.
    fn open(&self, now: u64) -> (u32, Option<usize>) {
        let number = self.opened.fetch_add(1, Ordering::Relaxed) as u32;
        let mut near = (0..4).map(|step| (number as usize + step) % PLACES);
        let place = near.find(|&place| {
            let taken = self.began[place].compare_exchange(
                0,
                now + 1,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            taken.is_ok()
        });
        // After four thousand million scopes numbers come again; 0 is left out.
        (number % u32::MAX + 1, place)
    }

    fn end(&self, place: Option<usize>) {
        if let Some(place) = place {
            self.began[place].store(0, Ordering::Relaxed);
        }
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn scopes(&self, entries: u64, now: u64) -> Scopes {
        // In this order: none is counted as ended that is not counted as opened.
        let ended = self.ended.load(Ordering::Acquire);
        let open = self.opened.load(Ordering::Relaxed) - ended;
        let began = self.began.iter().map(|began| began.load(Ordering::Relaxed));
        let oldest = began.filter(|&began| began > 0).min();
        Scopes {
            open,
            entries,
            oldest: oldest.map(|began| Duration::from_nanos((now + 1).saturating_sub(began))),
        }
    }
}

/// A guard: what is stored through it leaves the cache when it drops, with cause
/// [`ScopeEnded`](crate::Cause::ScopeEnded). At a return, a `?`, a panic, or when a future is
/// cancelled.
///
/// `C` is a reference to the cache ([`Cache::scope`]), or an `Arc` of it
/// ([`Cache::scope_owned`]), for what a task or a struct is to own.
///
/// Entries of a scope are ordinary entries: any call may read, change or remove them, they count
/// for the capacity and may be evicted, or expire, before the scope ends. Only what this scope has
/// stored leaves with it: if another call stores a value under the same key, that stays; a value
/// that is changed in place belongs to the scope as before.
///
/// The end takes the lock of a shard for each entry: O(entries). Listeners run, and values are
/// dropped, after the locks.
///
/// ```
/// use brimful::{Cache, Cause, Entries, Tracked};
///
/// let work: Cache<(u64, &str), String, Tracked> =
///     Cache::builder(Entries(10_000)).tracked().build()?;
///
/// fn handle(work: &Cache<(u64, &str), String, Tracked>, request: u64) -> Result<usize, std::num::ParseIntError> {
///     let scope = work.scope();
///     scope.insert((request, "user"), "ann".to_string());
///     let items: usize = "seven".parse()?;
///     Ok(items)
/// }
/// assert!(handle(&work, 1).is_err());
/// assert!(work.is_empty());
/// assert_eq!(work.stats().departures(Cause::ScopeEnded), 1);
/// # Ok::<(), brimful::BuildError>(())
/// ```
///
/// # Panics
///
/// A panic of the listener, or of a value's drop, goes on from the guard's drop after all
/// entries have left; during another panic it is caught and counted. To drop a guard inside of
/// a closure that must not call into the cache panics, as any call does.
#[must_use = "what is stored through a scope leaves when the scope is dropped"]
pub struct Scope<C>
where
    C: Deref,
    C::Target: sealed::Scoped,
{
    cache: C,
    number: u32,
    place: Option<usize>,
    memory: Mutex<Memory>,
}

/// The hashes of what a scope has stored.
struct Memory {
    hashes: Vec<Hashed>,
    /// With so many it looks which of them it still needs.
    most: usize,
}

mod sealed {
    use super::{Form, Hashed, Tracking};
    use crate::cache::Cache;

    /// What a scope needs of its cache when it drops.
    #[allow(unnameable_types, reason = "sealed: nobody else may implement it")]
    pub trait Scoped {
        #[allow(private_interfaces, reason = "sealed: nobody else can call it")]
        fn end_scope(&self, number: u32, place: Option<usize>, hashes: Vec<Hashed>);
    }

    impl<K, V, F: Tracking + Form, S> Scoped for Cache<K, V, F, S> {
        #[allow(private_interfaces, reason = "sealed: nobody else can call it")]
        fn end_scope(&self, number: u32, place: Option<usize>, hashes: Vec<Hashed>) {
            self.let_scope_go(number, place, hashes);
        }
    }
}

impl<K, V, F, S> Cache<K, V, F, S>
where
    K: Hash + Eq,
    F: Tracking,
    S: BuildHasher,
{
    /// Opens a [`Scope`]: what is stored through it leaves when it drops.
    ///
    /// For work that is done once within a request, and for nothing else: keyed by what would
    /// be unique anyway, and gone with the request.
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    ///
    /// let cache = Cache::builder(Entries(100)).tracked().build()?;
    /// cache.insert("config", 1);
    /// {
    ///     let scope = cache.scope();
    ///     scope.insert("request 7", 2);
    ///     assert_eq!(cache.len(), 2);
    /// }
    /// assert_eq!(cache.keys().collect::<Vec<_>>(), ["config"]);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[track_caller]
    pub fn scope(&self) -> Scope<&Self> {
        Scope::open(self)
    }

    /// Opens a [`Scope`] that owns a handle of the cache: `'static` and `Send`, for tasks.
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    /// use std::sync::Arc;
    ///
    /// let cache = Arc::new(Cache::builder(Entries(100)).tracked().build()?);
    /// let scope = cache.scope_owned();
    /// let worker = std::thread::spawn(move || scope.insert("a", 1));
    /// worker.join().unwrap();
    /// assert!(cache.is_empty());
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[track_caller]
    pub fn scope_owned(self: &Arc<Self>) -> Scope<Arc<Self>> {
        Scope::open(Arc::clone(self))
    }

    /// Stores one value that leaves when the guard drops. An older value under the key is
    /// [replaced](crate::Cause::Replaced) and dropped.
    ///
    /// # Errors
    /// As [`try_insert`](Cache::try_insert); the older value is handed back too.
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    ///
    /// let locks = Cache::builder(Entries(100)).tracked().build()?;
    /// let guard = locks.insert_scoped("row 7", "ann").unwrap();
    /// assert_eq!(locks.get("row 7"), Some("ann"));
    /// drop(guard);
    /// assert_eq!(locks.get("row 7"), None);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[track_caller]
    pub fn insert_scoped(&self, key: K, value: V) -> Result<Scope<&Self>, Refused<K, V>> {
        let scope = self.scope();
        scope.try_insert(key, value)?;
        Ok(scope)
    }
}

impl<K, V, F: Form, S> Cache<K, V, F, S> {
    /// How many scopes are open.
    pub(super) fn scopes(&self, entries: u64) -> Option<Scopes> {
        let register = self.register.as_ref()?;
        Some(register.scopes(entries, self.door.expiry.now()))
    }

    /// Takes out all entries of a scope, and closes it.
    #[track_caller]
    fn let_scope_go(&self, number: u32, place: Option<usize>, hashes: Vec<Hashed>) {
        if panicking() && self.is_inside() {
            // A call from here would abort: the entries stay until the policy takes them.
            return;
        }
        self.may_be_called();
        let now = self.now();
        let mut batches = self.door.leave.batches();
        for hashed in hashes {
            let shard = &self.shards[hashed.shard(self.shards.len())];
            let tag = hashed.tag();
            while batches.run(|out, _| {
                let mut locked = self.lock_in_time(shard, now);
                locked.end_scope(tag, number, &self.door.ledger, out)
            }) {}
        }
        if let Some(register) = &self.register {
            register.end(place);
        }
        batches.end();
    }
}

impl<C, K, V, F, S> Scope<C>
where
    C: Deref<Target = Cache<K, V, F, S>>,
    K: Hash + Eq,
    F: Tracking,
    S: BuildHasher,
{
    #[track_caller]
    fn open(cache: C) -> Self {
        cache.may_be_called();
        let now = cache.door.expiry.now();
        let register = cache.register.as_ref();
        let (number, place) = register.map_or((0, None), |register| register.open(now));
        Self {
            cache,
            number,
            place,
            memory: Mutex::new(Memory {
                hashes: Vec::new(),
                most: FEW,
            }),
        }
    }

    /// Stores a value in this scope and returns the older one under the same key, as
    /// [`Cache::insert`] does.
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    ///
    /// let cache = Cache::builder(Entries(100)).tracked().build()?;
    /// let scope = cache.scope();
    /// assert_eq!(scope.insert("a", 1), None);
    /// assert_eq!(scope.insert("a", 2), Some(1));
    /// // What another call stores stays.
    /// cache.insert("a", 3);
    /// drop(scope);
    /// assert_eq!(cache.get("a"), Some(3));
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[track_caller]
    pub fn insert(&self, key: K, value: V) -> Option<V> {
        let (hashed, mut offer) = self.offer(key, value);
        self.cache.insert_or_discard(hashed, &mut offer)
    }

    /// Stores a value in this scope, or hands it back, as [`Cache::try_insert`] does.
    ///
    /// # Errors
    /// As [`Cache::try_insert`].
    ///
    /// ```
    /// use brimful::{Cache, Weight};
    ///
    /// let cache = Cache::builder(Weight(10, |_: &u32, text: &&str| text.len() as u64)).tracked().build()?;
    /// let scope = cache.scope();
    /// assert!(scope.try_insert(1, "short").is_ok());
    /// assert!(scope.try_insert(2, "seventeen letters").is_err());
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[track_caller]
    pub fn try_insert(&self, key: K, value: V) -> Result<Option<V>, Refused<K, V>> {
        let (hashed, mut offer) = self.offer(key, value);
        self.cache.insert_or_hand_back(hashed, &mut offer)
    }

    /// The value under the key; if there is none, that of `load`, stored in this scope: work that
    /// is done once within a request. Callers of all scopes share one load, as
    /// [`Cache::get_or_insert_with`] says; what it brings ends with the scope of the one who ran it.
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    ///
    /// let cache = Cache::<String, &str>::builder(Entries(100)).tracked().build()?;
    /// {
    ///     let request = cache.scope();
    ///     assert_eq!(request.get_or_insert_with("user", || "ann"), "ann");
    ///     assert_eq!(request.get_or_insert_with("user", || unreachable!()), "ann");
    /// }
    /// assert!(cache.is_empty());
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[track_caller]
    pub fn get_or_insert_with<Q>(&self, key: &Q, load: impl FnOnce() -> V) -> V
    where
        Q: Hash + ToKey<K> + ?Sized,
        V: Clone,
    {
        infallibly(self.load(key).with(|| Ok(load())))
    }

    /// A load of one key into this scope, to be told more: loads that fail, futures, guards, how
    /// long to wait. Otherwise as [`Cache::load`].
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    ///
    /// # pollster::block_on(async {
    /// let cache = Cache::<String, u64, _>::builder(Entries(100)).tracked().build().unwrap();
    /// let request = cache.scope();
    /// let number = request.load("12").future(async { "12".parse() }).await;
    /// assert_eq!(number, Ok(12));
    /// drop(request);
    /// assert!(cache.is_empty());
    /// # });
    /// ```
    #[track_caller]
    pub fn load<'a, Q>(&'a self, key: &'a Q) -> Load<'a, Q, K, V, F, S>
    where
        Q: Hash + ToKey<K> + ?Sized,
    {
        self.remember(self.cache.hash(key));
        let mut load = self.cache.load(key);
        load.caller.scope = self.number;
        load
    }

    /// An entry of this scope on its way in.
    #[track_caller]
    fn offer(&self, key: K, value: V) -> (Hashed, Offer<K, V>) {
        let hashed = self.cache.hash(&key);
        let mut offer = self.cache.door.offer(hashed, key, value);
        offer.origin.scope = self.number;
        self.remember(hashed);
        (hashed, offer)
    }

    /// Remembers that an entry of this hash may be stored; forgets what is not needed any
    /// more, now and then.
    fn remember(&self, hashed: Hashed) {
        let full = {
            let mut memory = self.memory.lock();
            memory.hashes.push(hashed);
            match memory.hashes.len() > memory.most {
                true => std::mem::take(&mut memory.hashes),
                false => return,
            }
        };
        let mut kept = full;
        kept.sort_unstable();
        kept.dedup();
        // The one that was remembered last is not stored yet.
        kept.retain(|&kept| kept == hashed || self.cache.is_of_scope(kept, self.number));
        let mut memory = self.memory.lock();
        memory.most = (2 * kept.len()).max(FEW);
        memory.hashes.append(&mut kept);
    }

    /// Ends the scope and leaves its entries in the cache, as entries of no scope.
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    ///
    /// let cache = Cache::builder(Entries(100)).tracked().build()?;
    /// let guard = cache.insert_scoped("a", 1).unwrap();
    /// guard.keep();
    /// assert_eq!(cache.get("a"), Some(1));
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[track_caller]
    pub fn keep(self) {
        let hashes = std::mem::take(&mut self.memory.lock().hashes);
        for hashed in hashes {
            let mut shard = self.cache.lock(hashed);
            shard.keep_of_scope(hashed.tag(), self.number);
        }
    }
}

impl<K, V, F, S> Cache<K, V, F, S>
where
    K: Hash + Eq,
    F: Form,
    S: BuildHasher,
{
    /// Whether an entry of this hash belongs to the scope of this number.
    fn is_of_scope(&self, hashed: Hashed, number: u32) -> bool {
        let shard = self.lock(hashed);
        shard.slot_of_scope(hashed.tag(), number).is_some()
    }
}

impl<C> Drop for Scope<C>
where
    C: Deref,
    C::Target: sealed::Scoped,
{
    fn drop(&mut self) {
        use sealed::Scoped;
        let hashes = std::mem::take(&mut self.memory.lock().hashes);
        self.cache.end_scope(self.number, self.place, hashes);
    }
}

impl<C> fmt::Debug for Scope<C>
where
    C: Deref,
    C::Target: sealed::Scoped,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("number", &self.number)
            .field("hashes", &self.memory.lock().hashes.len())
            .finish_non_exhaustive()
    }
}
