//! What the package counts, beside what the cache in memory counts.

use brimful::Snapshot;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// A count that only grows.
#[derive(Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) invalidated: Count,
    pub(crate) flushes: Count,
    pub(crate) connections: Count,
}

impl Counts {
    pub(crate) fn with(&self, memory: Snapshot) -> Stats {
        Stats {
            memory,
            invalidated: self.invalidated.get(),
            flushes: self.flushes.get(),
            connections: self.connections.get(),
        }
    }
}

/// What a near cache has done so far: see [`Near::stats`](crate::Near::stats).
///
/// ```
/// # async fn example(near: brimful_near::Near<brimful_near::Text>) {
/// let stats = near.stats();
/// println!("{stats}");
/// println!("hit ratio {:?}, {} keys invalidated", stats.memory().hit_ratio(), stats.invalidated());
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Stats {
    memory: Snapshot,
    invalidated: u64,
    flushes: u64,
    connections: u64,
}

impl Stats {
    /// The statistics of the cache in memory. A hit is a call that found something, also that there is no
    /// such key; loads are round trips to the server.
    ///
    /// ```
    /// # fn example(stats: &brimful_near::Stats) {
    /// println!("{}", stats.memory());
    /// # }
    /// ```
    pub fn memory(&self) -> &Snapshot {
        &self.memory
    }

    /// How many keys the server has told of, whether they were in memory or not.
    ///
    /// ```
    /// # fn example(stats: &brimful_near::Stats) -> u64 {
    /// stats.invalidated()
    /// # }
    /// ```
    #[must_use]
    pub fn invalidated(&self) -> u64 {
        self.invalidated
    }

    /// How often everything was taken out at once: for a `FLUSHALL` or `FLUSHDB`, a connection that was
    /// lost, or a new one, which begins with that.
    ///
    /// ```
    /// # fn example(stats: &brimful_near::Stats) -> u64 {
    /// stats.flushes()
    /// # }
    /// ```
    #[must_use]
    pub fn flushes(&self) -> u64 {
        self.flushes
    }

    /// How many connections there were: all but the first took the place of one that was lost.
    ///
    /// ```
    /// # fn example(stats: &brimful_near::Stats) -> u64 {
    /// stats.connections() - 1
    /// # }
    /// ```
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections
    }

    /// How many loads were answered and not stored, as their key was invalidated or everything was taken
    /// out while they were under way.
    ///
    /// ```
    /// # fn example(stats: &brimful_near::Stats) -> u64 {
    /// stats.loads_detached()
    /// # }
    /// ```
    #[must_use]
    pub fn loads_detached(&self) -> u64 {
        self.memory.loads_unstored()
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            memory,
            invalidated,
            flushes,
            connections,
        } = self;
        write!(
            f,
            "{invalidated} keys invalidated, {flushes} flushes, {connections} connections\n{memory}"
        )
    }
}
