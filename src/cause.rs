//! Why a value left: the one enum that answers "who removes it?".
//!
//! Every value that leaves a cache leaves through `outbox` and `leave` with
//! exactly one of these causes, is counted once and told to the listener once.

use std::fmt;

/// Why a value left the cache.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Cause {
    /// The policy chose it to make room for another entry, or because the
    /// capacity was lowered.
    Evicted,
    /// Its life ended.
    Expired,
    /// A newer value was offered under its key. The newer one took its place,
    /// or was itself refused: a stale answer is never kept.
    Replaced,
    /// A caller took it out: `remove`, `remove_entry`, `remove_if`, `retain`, `drain`.
    Removed,
    /// `clear` emptied the cache.
    Cleared,
    /// The guard that owned it went out of scope.
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

/// Hears of every value that leaves, outside all locks.
pub(crate) type Listener<K, V> = Box<dyn Fn(&K, &V, Cause) + Send + Sync>;
