//! First in, first out: one queue, oldest first.
//!
//! Exact within a shard. Replacing a value keeps its place; a hit changes
//! nothing but a bit for the statistics.

use super::queue::Queue;
use super::{Mark, Place, Policy, Residents, Slot, Tag, Touch};

/// First in, first out: the oldest entry goes, however often it was hit.
///
/// The simplest order there is, and the baseline for all others: a hit costs
/// nothing, an entry's life is plain to see, popular entries leave like any
/// other. Exact within a shard. O(1) each call; 4 to 8 bytes of queue an entry.
#[derive(Clone, Debug, Default)]
pub struct Fifo {
    queue: Queue,
}

impl Policy for Fifo {
    type Meta = Mark;
    const TOUCH: Touch = Touch::Mark;

    fn new(_share: u64, _seed: u64) -> Self {
        Self::default()
    }

    #[inline]
    fn admit(&mut self, slot: Slot, _: Tag, residents: &mut impl Residents<Mark>) {
        self.queue.push(slot, residents);
    }

    #[inline]
    fn forget(&mut self, slot: Slot, residents: &mut impl Residents<Mark>) {
        self.queue.remove(slot, residents);
    }

    #[inline]
    fn victim(&mut self, residents: &mut impl Residents<Mark>) -> Option<Slot> {
        self.queue.pop(residents)
    }

    fn moved(&mut self, residents: &mut impl Residents<Mark>) {
        self.queue.renew(residents);
    }

    fn shrink_to_fit(&mut self, residents: &mut impl Residents<Mark>) {
        self.queue.shrink_to_fit(residents);
    }

    fn place(&self, slot: Slot, residents: &impl Residents<Mark>) -> Option<Place> {
        self.queue.place("queue", slot, residents)
    }

    fn order(&self, _: &impl Residents<Mark>) -> Option<impl Iterator<Item = Slot>> {
        Some(self.queue.slots())
    }

    fn check(&self, residents: &mut impl Residents<Mark>) {
        self.queue.check_whole(residents);
    }
}
