//! First in, first out: one ring, oldest first.
//!
//! Exact within a shard. Replacing a value keeps its place; a hit changes
//! nothing but a bit for the statistics.

use super::{Mark, Policy, Residents, Slot, Tag, Touch};
use crate::ring::{Position, Ring};

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

/// The resident whose mark stands at `position`.
#[inline]
pub(super) fn at(residents: &impl Residents<Mark>, tag: Tag, position: Position) -> Option<Slot> {
    residents.find(tag, |mark| mark.position() == position)
}

/// Puts an item behind all others of a ring that its residents share with no other.
#[inline]
pub(super) fn push(ring: &mut Ring, tag: Tag, residents: &mut impl Residents<Mark>) -> Position {
    if ring.is_crowded() {
        ring.compact(|tag, from, to| move_mark(residents, tag, from, to));
    }
    ring.push(tag)
}

pub(super) fn move_mark(
    residents: &mut impl Residents<Mark>,
    tag: Tag,
    from: Position,
    to: Position,
) {
    let mark = at(residents, tag, from).and_then(|slot| residents.meta_mut(slot));
    if let Some(mark) = mark {
        mark.set_position(to);
    }
}

/// Proves that the ring's items and the residents are one to one.
pub(super) fn check_ring(ring: &Ring, residents: &impl Residents<Mark>) {
    ring.check();
    assert_eq!(ring.live(), residents.len(), "items and residents");
    for (position, tag) in ring.iter() {
        assert!(at(residents, tag, position).is_some(), "a stale item");
    }
}

impl Policy for Fifo {
    type Meta = Mark;
    const TOUCH: Touch = Touch::Mark;

    fn new(_share: u64, _seed: u64) -> Self {
        Self::default()
    }

    #[inline]
    fn admit(&mut self, slot: Slot, tag: Tag, residents: &mut impl Residents<Mark>) {
        let position = push(&mut self.ring, tag, residents);
        if let Some(mark) = residents.meta_mut(slot) {
            mark.set_position(position);
        }
    }

    #[inline]
    fn mark(mark: &mut Mark) {
        mark.raise(HIT);
    }

    #[inline]
    fn forget(&mut self, slot: Slot, residents: &mut impl Residents<Mark>) {
        if let Some(mark) = residents.meta(slot) {
            self.ring.remove(mark.position());
        }
    }

    #[inline]
    fn victim(&mut self, residents: &mut impl Residents<Mark>) -> Option<Slot> {
        let (position, tag) = self.ring.pop()?;
        at(residents, tag, position)
    }

    fn shrink_to_fit(&mut self, _: &mut impl Residents<Mark>) {
        self.ring.shrink_to_fit();
    }

    #[inline]
    fn was_hit(mark: &Mark) -> Option<bool> {
        Some(mark.has(HIT))
    }

    fn check(&self, residents: &mut impl Residents<Mark>) {
        check_ring(&self.ring, residents);
    }
}
