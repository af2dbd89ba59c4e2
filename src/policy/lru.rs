//! Least recently used: a log of touches, in which each resident's newest
//! touch is the one that counts.
//!
//! A hit leaves a hole where the entry stood and puts it at the back; the ring
//! closes its holes when they outnumber the live items, so a hit costs amortised O(1)
//! and the log at most 8 bytes an entry.

use super::queue::Queue;
use super::{Mark, Place, Policy, Residents, Slot, Tag, Touch};

/// Least recently used: the entry that was not asked for longest goes.
///
/// Exact within a shard, and with one shard exact as a whole; where several threads read at once,
/// up to the order in which it hears of their hits, some of which it may not hear of. Every hit
/// changes the order, so a hit costs more than with other policies. One scan over more keys than
/// fit empties it of everything worth keeping.
///
/// Source: P. J. Denning, "The working set model for program behavior",
/// Communications of the ACM, 1968.
#[derive(Clone, Debug, Default)]
pub struct Lru {
    queue: Queue,
}

impl Policy for Lru {
    type Meta = Mark;
    const TOUCH: Touch = Touch::Order;

    fn new(_share: u64, _seed: u64) -> Self {
        Self::default()
    }

    #[inline]
    fn admit(&mut self, slot: Slot, _: Tag, residents: &mut impl Residents<Mark>) {
        self.queue.push(slot, residents);
    }

    #[inline]
    fn touch(&mut self, slot: Slot, residents: &mut impl Residents<Mark>) {
        let Some(mark) = residents.meta(slot) else {
            return;
        };
        if !self.queue.ring.is_newest(mark.position()) {
            self.queue.ring.remove(mark.position(), slot);
            self.queue.push(slot, residents);
        }
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
