//! What is asked of each cache, and how a piece of work is handed one by its own
//! type: no call of a cache goes through a pointer.

use std::hash::Hash;

/// What can be a key in every cache.
pub trait Key: Clone + Hash + Eq + Send + Sync + 'static {}

impl<K: Clone + Hash + Eq + Send + Sync + 'static> Key for K {}

/// What can be a value in every cache.
pub trait Value: Clone + Send + Sync + 'static {}

impl<V: Clone + Send + Sync + 'static> Value for V {}

/// One cache, or one map in the place of a cache.
pub trait Rival<K, V>: Send + Sync + 'static {
    /// Whether it evicts by itself. If not, whoever inserts removes.
    const BOUNDED: bool = true;

    /// A clone of the value. Counts as a use.
    fn get(&self, key: &K) -> Option<V>;

    /// Stores the value. Says whether the key is new; whoever removes by hand
    /// has to know, so those that evict by themselves may say anything.
    fn insert(&self, key: K, value: V) -> bool;

    /// Only called where [`BOUNDED`](Self::BOUNDED) is false.
    fn remove(&self, _: &K) {
        unreachable!("it evicts by itself");
    }

    /// Does what was put off, if anything is.
    fn settle(&self) {}

    /// How many entries are there at this moment: counted, where the cache's
    /// own figure lags behind.
    fn resident(&self) -> usize;
}

/// Something to do with a cache, whichever it is.
pub trait Task<K, V> {
    /// What comes of it.
    type Outcome;

    /// Does it.
    fn with(self, cache: impl Rival<K, V>) -> Self::Outcome;
}

/// A value that is charged what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heft(pub u64);

/// The bound of a cache of [`Heft`]s.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    /// The sum of weights.
    pub weight: u64,
    /// About how many entries that is, for the caches that want to know.
    pub entries: usize,
}
