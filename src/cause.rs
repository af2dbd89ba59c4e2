//! Why a value left: the one enum that answers "what removed it?".
//!
//! Every value that leaves a cache leaves through `outbox` and `leave` with
//! exactly one of these causes, is counted once and told to the listener once.

use std::fmt;
use std::time::Duration;

/// Why a value left the cache.
///
/// ```
/// use brimful::{Cache, Cause};
///
/// let cache = Cache::new(1);
/// cache.extend([("a", 1), ("b", 2)]);
/// for cause in Cause::ALL {
///     println!("{cause:<14}{}", cache.stats().departures(cause));
/// }
/// assert_eq!(cache.stats().departures(Cause::Evicted), 1);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum Cause {
    /// The policy chose it to make room for another entry, because the
    /// capacity was lowered, or because a caller asked for the next one to go: `evict`.
    Evicted,
    /// It was past its deadline when it left, whatever made it leave then: a
    /// write, a sweep, a newer value, `clear`. Or its time to live was zero from the start.
    Expired,
    /// A newer value was offered under its key. The newer one took its place,
    /// or was itself refused: an older answer is never kept.
    Replaced,
    /// A caller took it out: `remove`, `remove_entry`, `remove_if`, `retain`, `drain`.
    Removed,
    /// `clear` emptied the cache.
    Cleared,
    /// The [scope](crate::Scope) that it belonged to ended.
    ScopeEnded,
    /// It found no room: heavier than the whole capacity, or grown in place
    /// beyond what could be freed.
    Refused,
    /// The cache itself was dropped.
    CacheDropped,
}

impl Cause {
    /// All causes, in the order of their declaration.
    pub const ALL: [Cause; 8] = [
        Cause::Evicted,
        Cause::Expired,
        Cause::Replaced,
        Cause::Removed,
        Cause::Cleared,
        Cause::ScopeEnded,
        Cause::Refused,
        Cause::CacheDropped,
    ];

    /// The cause in words, as [`Display`](fmt::Display) prints it.
    ///
    /// ```
    /// use brimful::Cause;
    ///
    /// assert_eq!(Cause::CacheDropped.name(), "cache dropped");
    /// ```
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Cause::Evicted => "evicted",
            Cause::Expired => "expired",
            Cause::Replaced => "replaced",
            Cause::Removed => "removed",
            Cause::Cleared => "cleared",
            Cause::ScopeEnded => "scope ended",
            Cause::Refused => "refused",
            Cause::CacheDropped => "cache dropped",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A value that has left, as [`Builder::on_departure`](crate::Builder::on_departure) is told of it.
///
/// ```
/// use brimful::{Cache, Departed, Entries};
/// use std::time::Duration;
///
/// let slow = |left: Departed<'_, u32, &str>| left.late > Some(Duration::from_secs(1));
/// let cache = Cache::builder(Entries(10))
///     .time_to_live(Duration::from_secs(60))
///     .on_departure(move |left| {
///         if slow(left) {
///             println!("an expired value stayed for long");
///         }
///     })
///     .build()?;
/// cache.insert(1, "one");
/// # Ok::<(), brimful::BuildError>(())
/// ```
#[non_exhaustive]
pub struct Departed<'a, K, V> {
    /// Its key.
    pub key: &'a K,
    /// The value.
    pub value: &'a V,
    /// Why it left.
    pub cause: Cause,
    /// How long after its deadline it left: with cause
    /// [`Expired`](Cause::Expired), and `None` with every other. All that time no
    /// call returned it.
    pub late: Option<Duration>,
    /// How long it was resident, where the cache
    /// [records ages](crate::Builder::record_ages).
    pub age: Option<Duration>,
}

impl<K, V> fmt::Debug for Departed<'_, K, V> {
    /// Asks nothing of `K` and `V`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Departed")
            .field("cause", &self.cause)
            .field("late", &self.late)
            .field("age", &self.age)
            .finish_non_exhaustive()
    }
}

/// What time has to say of a departure, in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Times {
    /// The largest value if it left before its deadline.
    pub(crate) late: u64,
    /// The largest value if it was not recorded.
    pub(crate) age: u64,
}

impl Times {
    /// Of an entry without a deadline.
    pub(crate) const UNKNOWN: Times = Times {
        late: u64::MAX,
        age: u64::MAX,
    };

    /// Of a value that was never resident.
    pub(crate) fn of_refused(cause: Cause) -> Self {
        let late = if cause == Cause::Expired { 0 } else { u64::MAX };
        Times {
            late,
            ..Self::UNKNOWN
        }
    }

    pub(crate) fn late(self) -> Option<Duration> {
        (self.late != u64::MAX).then(|| Duration::from_nanos(self.late))
    }

    pub(crate) fn age(self) -> Option<Duration> {
        (self.age != u64::MAX).then(|| Duration::from_nanos(self.age))
    }
}

/// Hears of every value that leaves, outside all locks.
pub(crate) type Listener<K, V> = Box<dyn Fn(Departed<'_, K, V>) + Send + Sync>;

/// Takes an entry that nobody is handed, outside all locks.
pub(crate) type Discard<K, V> = Box<dyn Fn(K, V, Cause) + Send + Sync>;
