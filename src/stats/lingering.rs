//! The list of values that a cache has let go and others hold: what is told of them.

use crate::cause::Cause;
use std::time::Duration;

/// Values that were let go and are still held elsewhere: [`Snapshot::lingering`](crate::Snapshot::lingering).
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Lingering {
    /// How many there are.
    pub values: u64,
    /// What they weighed when they were let go, in the cache's unit. It is not part of the weight
    /// that the capacity limits, but [in a budget](crate::Builder::lingering_in) it is reserved.
    pub weight: u64,
    /// How long ago the first of them was let go.
    pub oldest: Option<Duration>,
}

/// One such value: [`Cache::lingering`](crate::Cache::lingering).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Lingerer {
    /// How long ago it was let go.
    pub since: Duration,
    /// What it weighed then.
    pub weight: u64,
    /// Why it was let go.
    pub cause: Cause,
    /// How many hold it now. Others may change that at any moment.
    pub holders: usize,
}

/// Keeps account of such values of one cache.
pub(crate) trait Lingerers<V>: Send + Sync {
    /// A value has left, and the reference that the cache had is still there.
    fn note(&self, value: &V, weight: u64, cause: Cause);

    /// All that linger, in sum.
    fn sum(&self) -> Lingering;

    /// Those that have lingered longest, at most so many.
    fn oldest(&self, most: usize) -> Vec<Lingerer>;
}
