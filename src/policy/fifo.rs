//! First in, first out: one ring, oldest first.
//!
//! Exact within a shard. Replacing a value keeps its place; a hit changes
//! nothing but a bit for the statistics.

use super::ring::{Position, Ring};
use super::{Mark, Policy, Residents, Slot, Tag, Touch};

const HIT: u32 = 1 << 28;

/// First in, first out: the oldest entry goes, however often it was hit.
///
/// The simplest order there is, and the baseline for all others: a hit costs
/// nothing, an entry's life is plain to see, popular entries leave like any
/// other. Exact within a shard. O(1) each call; 4 to 8 bytes of queue an entry.
#[derive(Default)]
pub struct Fifo {
    ring: Ring,
}

impl std::fmt::Debug for Fifo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fifo")
    }
}

/// Puts an entry behind all others of a ring that its residents share with no other.
#[inline]
pub(super) fn push(ring: &mut Ring, slot: Slot, residents: &mut impl Residents<Mark>) {
    let position = ring.push(slot, |slot, _, to| set_position(residents, slot, to));
    set_position(residents, slot, position);
}

#[inline]
pub(super) fn set_position(residents: &mut impl Residents<Mark>, slot: Slot, to: Position) {
    if let Some(mark) = residents.meta_mut(slot) {
        mark.set_position(to);
    }
}

/// Renews the slots of a ring in which all residents stand.
pub(super) fn renew(ring: &mut Ring, residents: &impl Residents<Mark>) {
    for slot in residents.slots() {
        if let Some(mark) = residents.meta(slot) {
            ring.renew(mark.position(), slot);
        }
    }
}

/// Proves that the ring's items and the residents are one to one.
pub(super) fn check_ring(ring: &Ring, residents: &impl Residents<Mark>) {
    ring.check();
    assert_eq!(ring.live(), residents.len(), "items and residents");
    for (position, slot) in ring.iter() {
        let mark = residents.meta(slot).expect("a stale item");
        assert_eq!(mark.position(), position, "an item and its entry");
    }
}

impl Policy for Fifo {
    type Meta = Mark;
    const TOUCH: Touch = Touch::Mark;

    fn new(_share: u64, _seed: u64) -> Self {
        Self::default()
    }

    #[inline]
    fn admit(&mut self, slot: Slot, _: Tag, residents: &mut impl Residents<Mark>) {
        push(&mut self.ring, slot, residents);
    }

    #[inline]
    fn mark(mark: &mut Mark) {
        mark.raise(HIT);
    }

    #[inline]
    fn forget(&mut self, slot: Slot, residents: &mut impl Residents<Mark>) {
        if let Some(mark) = residents.meta(slot) {
            self.ring.remove(mark.position(), slot);
        }
    }

    #[inline]
    fn victim(&mut self, residents: &mut impl Residents<Mark>) -> Option<Slot> {
        residents.fetch(self.ring.ahead());
        self.ring.pop()
    }

    fn moved(&mut self, residents: &mut impl Residents<Mark>) {
        renew(&mut self.ring, residents);
    }

    fn shrink_to_fit(&mut self, residents: &mut impl Residents<Mark>) {
        self.ring
            .shrink_to_fit(|slot, _, to| set_position(residents, slot, to));
    }

    #[inline]
    fn was_hit(mark: &Mark) -> Option<bool> {
        Some(mark.has(HIT))
    }

    fn check(&self, residents: &mut impl Residents<Mark>) {
        check_ring(&self.ring, residents);
    }
}
