//! `Place`: where an entry stands in the order of its shard.

/// Where an entry stands in the order of its shard, as its policy's structure tells it: see
/// [`Resident::place`](crate::Resident::place).
///
/// A position, not a promise: by what is hit and written from now on entries pass each other. In
/// a cache that is left alone and of whose entries none was hit, an entry's `ahead` is how many
/// leave before it: exactly under [`Fifo`](super::Fifo), [`Lru`](super::Lru) (hits too),
/// [`Sieve`](super::Sieve), [`Lfu`](super::Lfu) and [`Gdsf`](super::Gdsf). Under
/// [`S3Fifo`](super::S3Fifo) and [`Duel`](super::Duel) it is so among the entries of its queue,
/// and which of the two queues pays is decided at each eviction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// The queue that it stands in, by the policy's own word.
    pub queue: &'static str,
    /// How many entries of that queue stand between it and the exit.
    pub ahead: u64,
    /// How many entries the queue holds, itself included.
    pub of: u64,
    /// Whether it was hit and will be passed over, or moved on, when its turn comes.
    pub spared: bool,
}

impl Place {
    /// In a queue of `of` entries, of which `ahead` leave before it.
    pub(super) fn new(queue: &'static str, ahead: usize, of: usize) -> Self {
        Self {
            queue,
            ahead: ahead as u64,
            of: of as u64,
            spared: false,
        }
    }
}
