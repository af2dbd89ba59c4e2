//! What can be refused, and why: errors of building, of inserting and of loading.

use std::error::Error;
use std::fmt;

/// The most shards a cache can be asked for.
pub(crate) const MOST_SHARDS: usize = 1 << 16;

/// The most classes that a cache counts by.
pub(crate) const MOST_CLASSES: usize = 256;

/// A configuration that makes no sense.
///
/// ```
/// use brimful::{BuildError, Cache, Entries};
///
/// let error = Cache::<u32, u32>::builder(Entries(100)).shards(0).build().unwrap_err();
/// assert_eq!(error, BuildError::Shards { asked: 0 });
/// assert_eq!(error.to_string(), "shards(0): a cache has between 1 and 65536 shards");
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// `shards` was 0 or more than 65,536.
    Shards {
        /// The number asked for.
        asked: usize,
    },
    /// `shards` was given to a cache that has no locks, and so only one shard.
    ShardsWithoutLocks {
        /// The number asked for.
        asked: usize,
    },
    /// `classes` was given no name, or more than 256.
    Classes {
        /// How many it was given.
        asked: usize,
    },
    /// `entry_limit` was given to a cache whose capacity already counts entries.
    EntryLimitOnEntries {
        /// The capacity, in entries.
        capacity: usize,
        /// The limit asked for.
        limit: usize,
    },
    /// `entry_limit` was 0: to switch caching off, give a capacity of 0.
    EntryLimitZero,
    /// Entries have lives, but the target (`wasm32-unknown-unknown`) has no clock, and `clock`
    /// was not given.
    NoClock,
    /// `stale_if_error` or `refresh_pause` was given without `refresh_after`: no value would ever
    /// be stale.
    NeverStale,
    /// A floor is more than the other floors, and what is reserved, leave of the budget.
    FloorsExceedBudget {
        /// The floor asked for.
        floor: u64,
        /// What is left for it.
        left: u64,
    },
    /// A floor is more than the cache's own capacity.
    FloorAboveCapacity {
        /// The floor asked for.
        floor: u64,
        /// The capacity.
        capacity: u64,
    },
    /// A cache by weight was to share a budget of bytes, or one of bytes a budget of weight.
    BudgetUnit {
        /// Whether the cache's capacity is in bytes.
        in_bytes: bool,
    },
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shards { asked } => write!(
                f,
                "shards({asked}): a cache has between 1 and {MOST_SHARDS} shards"
            ),
            Self::ShardsWithoutLocks { asked } => write!(
                f,
                "shards({asked}): an unsync cache has no locks and always 1 shard; leave `shards` out"
            ),
            Self::Classes { asked } => write!(
                f,
                "classes: {asked} names; a cache counts by between 1 and {MOST_CLASSES} classes"
            ),
            Self::EntryLimitOnEntries { capacity, limit } => write!(
                f,
                "entry_limit({limit}): the capacity already counts entries ({capacity}); \
                 give the smaller of the two as Entries"
            ),
            Self::EntryLimitZero => f.write_str(
                "entry_limit(0): to switch caching off give a capacity of 0; else name at least 1",
            ),
            Self::NoClock => f.write_str(
                "entries have lives, but this target has no clock: give one by `clock`",
            ),
            Self::NeverStale => f.write_str(
                "stale_if_error or refresh_pause, but no value is ever stale: add refresh_after, or leave \
                 them out",
            ),
            Self::FloorsExceedBudget { floor, left } => write!(
                f,
                "at_least({floor}): the budget has {left} left for floors, beside those of its other \
                 members and what is reserved"
            ),
            Self::FloorAboveCapacity { floor, capacity } => write!(
                f,
                "at_least({floor}): the cache's own capacity is {capacity}; give it that much, or a \
                 lower floor"
            ),
            Self::BudgetUnit { in_bytes: true } => f.write_str(
                "the cache is bounded by bytes and its budget by weight: make the budget by \
                 Budget::bytes, or give the cache a Weight",
            ),
            Self::BudgetUnit { in_bytes: false } => f.write_str(
                "the cache is bounded by weight and its budget by bytes: make the budget by \
                 Budget::weight, or give the cache Bytes",
            ),
        }
    }
}

impl Error for BuildError {}

/// What a [`Budget`](crate::Budget) cannot do: it keeps what it has promised.
///
/// ```
/// use brimful::{Budget, BudgetError};
///
/// let budget = Budget::bytes(1_000);
/// let room = budget.reserve(700)?;
/// let error = budget.reserve(400).unwrap_err();
/// assert_eq!(error, BudgetError::Reserve { asked: 400, left: 300 });
/// assert_eq!(error.to_string(), "400 asked for, but 300 can be reserved");
/// assert_eq!(budget.set_capacity(500), Err(BudgetError::Capacity { asked: 500, least: 700 }));
/// # Ok::<(), BudgetError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum BudgetError {
    /// Floors, and what is reserved, leave less than was to be reserved.
    Reserve {
        /// What was asked for.
        asked: u64,
        /// What could be reserved at that moment.
        left: u64,
    },
    /// Floors, and what is reserved, are more than the capacity was to be.
    Capacity {
        /// The capacity asked for.
        asked: u64,
        /// The least that it can be at that moment.
        least: u64,
    },
}

impl fmt::Display for BudgetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reserve { asked, left } => {
                write!(f, "{asked} asked for, but {left} can be reserved")
            }
            Self::Capacity { asked, least } => write!(
                f,
                "a capacity of {asked} asked for, but floors and what is reserved come to {least}"
            ),
        }
    }
}

impl Error for BudgetError {}

/// Why an entry was refused.
///
/// ```
/// use brimful::{Cache, Reason};
///
/// let refused = Cache::new(0).try_insert("a", 1).unwrap_err();
/// assert_eq!(refused.reason, Reason::TooHeavy { weight: 1, capacity: 0 });
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Reason {
    /// It is heavier than the whole cache may ever hold. With a capacity of 0
    /// everything is, weight 0 too.
    TooHeavy {
        /// What the entry weighs, in the cache's unit.
        weight: u64,
        /// The capacity at that moment, in the same unit.
        capacity: u64,
    },
    /// Others would have had to leave for it, and it is far heavier than they are and was not asked for
    /// often enough of late; see [`admit_heavy`](crate::Builder::admit_heavy).
    Heavy {
        /// What the entry weighs, in the cache's unit.
        weight: u64,
        /// The most that one asked for as often could have weighed at that moment.
        most: u64,
    },
    /// Its time to live is zero (explicit, by the rule, or as the builder was told), or its
    /// time to idle is.
    ZeroTtl,
    /// Other threads held all room, on its way to entries of theirs: only
    /// [`compute`](crate::Cache::compute), which cannot wait for them, refuses for this. In a member of a
    /// [`Budget`](crate::Budget) it does not ask the others for theirs either, and neither does an insert
    /// made by code that runs in a read of one of them.
    NoRoom,
    /// In a member of a [`Budget`](crate::Budget): the floors of the others, and what is reserved, leave
    /// less than it weighs.
    Withheld {
        /// What the entry weighs, in the budget's unit.
        weight: u64,
        /// The most that the cache could have held at that moment.
        most: u64,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooHeavy { capacity: 0, .. } => {
                f.write_str("the capacity is 0: the cache keeps nothing")
            }
            Self::TooHeavy { weight, capacity } => write!(
                f,
                "an entry of weight {weight} is heavier than the whole capacity of {capacity}"
            ),
            Self::Heavy { weight, most } => write!(
                f,
                "an entry of weight {weight} would take the place of many: asked for as seldom, one of at \
                 most {most} is let in"
            ),
            Self::ZeroTtl => f.write_str("its time to live is zero"),
            Self::NoRoom => f.write_str("other threads held all room for entries of theirs"),
            Self::Withheld { weight, most } => write!(
                f,
                "an entry of weight {weight} finds no more than {most} in its budget: floors of other \
                 caches, or reservations, keep the rest"
            ),
        }
    }
}

/// An entry that was not stored, handed back.
///
/// The listener has heard of it with cause [`Refused`](crate::Cause::Refused),
/// or [`Expired`](crate::Cause::Expired) if its time to live was zero,
/// and of the older value under its key, if there was one, with cause
/// [`Replaced`](crate::Cause::Replaced): it is gone too, so that no caller reads a
/// stale answer.
///
/// ```
/// use brimful::{Cache, Refused};
///
/// let cache = Cache::weighted(10, |_: &u32, text: &&str| text.len() as u64);
/// cache.insert(1, "short");
/// let Err(Refused { value, old, .. }) = cache.try_insert(1, "seventeen letters") else {
///     panic!("17 are more than 10");
/// };
/// assert_eq!((value, old), ("seventeen letters", Some("short")));
/// ```
#[non_exhaustive]
pub struct Refused<K, V> {
    /// The key that was offered.
    pub key: K,
    /// The value that was offered.
    pub value: V,
    /// The older value under the same key, no longer in the cache.
    pub old: Option<V>,
    /// Why.
    pub reason: Reason,
}

impl<K, V> fmt::Display for Refused<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the cache refused an entry: {}", self.reason)
    }
}

impl<K, V> fmt::Debug for Refused<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refused")
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

impl<K, V> Error for Refused<K, V> {}

/// Why a loading call has no value.
///
/// Each caller gets its own loader's error: of the callers that waited for a load that
/// failed, one loads, and the others wait for that one. Only callers that
/// [share](crate::Load::shared) failures get clones of another's.
///
/// ```
/// use brimful::{Cache, LoadError};
///
/// let cache = Cache::<u32, u32>::new(100);
/// let failed = cache.try_get_or_insert_with(&1, || Err("no route"));
/// assert_eq!(failed, Err(LoadError::Failed("no route")));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum LoadError<E> {
    /// The caller's own loader failed, with this, or one whose failure is shared.
    Failed(E),
    /// Waiting would never end: the call was made inside of a load that the
    /// awaited load waits for itself, or that it is; or by a thread that holds the
    /// [guard](crate::Lead) of such a load.
    Cycle,
    /// Another caller's load took longer than this one would wait for it: on a target with one
    /// thread (`wasm32-unknown-unknown`) any time is longer, as nobody could end the wait.
    TimedOut,
}

impl<E> LoadError<E> {
    /// The loader's error, if it failed.
    ///
    /// ```
    /// let cache = brimful::Cache::<u32, u32>::new(100);
    /// let error = cache.try_get_or_insert_with(&1, || Err("no route")).unwrap_err();
    /// assert_eq!(error.into_failed(), Some("no route"));
    /// ```
    #[must_use]
    pub fn into_failed(self) -> Option<E> {
        match self {
            Self::Failed(error) => Some(error),
            Self::Cycle | Self::TimedOut => None,
        }
    }

    /// Changes the loader's error, if it failed, and leaves the other errors.
    ///
    /// ```
    /// use brimful::LoadError;
    ///
    /// let failed = LoadError::Failed("no route").map(str::len);
    /// assert_eq!(failed, LoadError::Failed(8));
    /// ```
    #[must_use]
    pub fn map<T>(self, change: impl FnOnce(E) -> T) -> LoadError<T> {
        match self {
            Self::Failed(error) => LoadError::Failed(change(error)),
            Self::Cycle => LoadError::Cycle,
            Self::TimedOut => LoadError::TimedOut,
        }
    }
}

/// With this `?` takes it where a loader reads files or sockets.
///
/// ```
/// use brimful::Cache;
///
/// fn text(cache: &Cache<String, String>, path: &str) -> std::io::Result<String> {
///     Ok(cache.try_get_or_insert_with(path, || std::fs::read_to_string(path))?)
/// }
/// let missing = text(&Cache::new(10), "/no/such/file").unwrap_err();
/// assert_eq!(missing.kind(), std::io::ErrorKind::NotFound);
/// ```
impl From<LoadError<Self>> for std::io::Error {
    /// The loader's error; a cycle as [`Deadlock`](std::io::ErrorKind::Deadlock), and
    /// [`TimedOut`](std::io::ErrorKind::TimedOut).
    fn from(error: LoadError<Self>) -> Self {
        let kind = match error {
            LoadError::Failed(failed) => return failed,
            LoadError::Cycle => std::io::ErrorKind::Deadlock,
            LoadError::TimedOut => std::io::ErrorKind::TimedOut,
        };
        Self::new(kind, error.map(|_| "it did not fail").to_string())
    }
}

impl<E: fmt::Display> fmt::Display for LoadError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => write!(f, "the loader failed: {error}"),
            Self::Cycle => f.write_str(
                "a loader asked for a key whose load waits for that loader: it would wait for ever",
            ),
            Self::TimedOut => f.write_str("another caller's load of this key took too long"),
        }
    }
}

impl<E: Error + 'static> Error for LoadError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(error) => Some(error),
            Self::Cycle | Self::TimedOut => None,
        }
    }
}

/// What became of a value changed in place.
///
/// ```
/// use brimful::{Cache, Updated};
///
/// let cache = Cache::new(10);
/// cache.insert("a", 1);
/// assert_eq!(cache.update("a", |n| { *n += 1; *n }), Updated::Kept(2));
/// assert_eq!(cache.update("b", |n| *n), Updated::Absent);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "a value that grew too heavy has left the cache"]
#[non_exhaustive]
pub enum Updated<R> {
    /// The key is not in the cache; the closure was not called.
    Absent,
    /// The closure was called and the value stayed.
    Kept(R),
    /// The closure was called, the value grew beyond what could be freed for
    /// it in its shard, and it left with cause [`Refused`](crate::Cause::Refused).
    /// Or its rule gave it a time to live of zero, and it left as
    /// [`Expired`](crate::Cause::Expired).
    Refused(R),
}

impl<R> Updated<R> {
    /// What the closure returned, if it was called and the value stayed.
    ///
    /// ```
    /// let cache = brimful::Cache::new(10);
    /// cache.insert("a", 1);
    /// assert_eq!(cache.update("a", |n| *n + 1).kept(), Some(2));
    /// assert_eq!(cache.update("b", |n| *n + 1).kept(), None);
    /// ```
    #[must_use]
    pub fn kept(self) -> Option<R> {
        match self {
            Self::Kept(result) => Some(result),
            Self::Absent | Self::Refused(_) => None,
        }
    }

    /// Whether the key was there.
    ///
    /// ```
    /// let cache = brimful::Cache::<&str, u32>::new(10);
    /// assert!(!cache.update("a", |n| *n += 1).was_present());
    /// ```
    #[must_use]
    pub fn was_present(&self) -> bool {
        !matches!(self, Self::Absent)
    }
}

/// What is to become of a key, as the closure of [`compute`](crate::Cache::compute) decides, or the
/// future of [`compute_async`](crate::Cache::compute_async).
///
/// ```
/// use brimful::{Cache, Computed, Next};
///
/// let cache = Cache::new(10);
/// assert_eq!(cache.compute("a", |_| Next::Put(1)), Computed::Inserted);
/// assert_eq!(cache.compute("a", |_| Next::Remove), Computed::Removed(1));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next<V> {
    /// The value stays, as the closure left it; if there is none, nothing is stored.
    Keep,
    /// This value is stored, in the place of an older one if there is one.
    Put(V),
    /// The value leaves, if there is one, with cause [`Removed`](crate::Cause::Removed).
    Remove,
}

/// What became of a key that was computed, [in place](crate::Cache::compute) or
/// [by a future](crate::Cache::compute_async).
///
/// ```
/// use brimful::{Cache, Computed, Next};
///
/// let cache = Cache::new(10);
/// assert_eq!(cache.compute("a", |_| Next::Keep), Computed::Absent);
/// assert_eq!(cache.compute("a", |_| Next::Put(1)), Computed::Inserted);
/// assert_eq!(cache.compute("a", |_| Next::Put(2)), Computed::Replaced(1));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "a value may have been refused"]
#[non_exhaustive]
pub enum Computed<V> {
    /// There was no value, and there is none.
    Absent,
    /// The value stayed, as the closure left it.
    Kept,
    /// The value was stored, and there was none before.
    Inserted,
    /// The value was stored in the place of this one.
    Replaced(V),
    /// The value was taken out.
    Removed(V),
    /// The value that was put found no room, or had no time to live; or the one that stayed grew
    /// beyond what could be freed for it. It has left, and so has an older one, as the listener
    /// has heard.
    Refused,
}

impl<V> Computed<V> {
    /// Whether there is a value under the key now.
    ///
    /// ```
    /// use brimful::{Cache, Next};
    ///
    /// let cache = Cache::new(10);
    /// assert!(cache.compute("a", |_| Next::Put(1)).is_present());
    /// assert!(!cache.compute("a", |_| Next::Remove).is_present());
    /// ```
    #[must_use]
    pub fn is_present(&self) -> bool {
        matches!(self, Self::Kept | Self::Inserted | Self::Replaced(_))
    }
}
