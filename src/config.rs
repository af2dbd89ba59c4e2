//! `Config`: the plain struct every door is opened with.

use crate::cause::Listener;
use crate::expiry::Expiry;
use crate::room::Weigher;

/// All that a door needs to know; already checked by the builder.
pub(crate) struct Config<K, V, S> {
    /// In the cache's unit.
    pub(crate) capacity: u64,
    pub(crate) entry_limit: Option<usize>,
    pub(crate) shards: usize,
    pub(crate) weigher: Option<Weigher<K, V>>,
    /// What each entry is charged beside what the weigher says.
    pub(crate) overhead: u64,
    pub(crate) expiry: Expiry<K, V>,
    pub(crate) listener: Option<Listener<K, V>>,
    pub(crate) hasher: S,
}
