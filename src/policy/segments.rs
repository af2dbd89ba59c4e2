//! `Segments`: two queues of residents, small and main, and the weight in each.
//!
//! In which of them an entry stands, the flag [`MAIN`] of its mark says.
//!
//! Invariants
//! 1. Each resident has one item, in the segment that its mark names.
//! 2. `excess` is by how much the entries of a segment weigh more than one each, modulo
//!    2^64 (they may weigh nothing): where all weigh one, no weight is counted.

use super::queue::Queue;
use super::{Mark, Place, Residents, Slot};

/// The flag of entries in the main segment.
const MAIN: u32 = 1 << 28;

/// Up to how many hits of an entry count.
pub(super) const HITS: u32 = 3;

/// An entry as a segment names it: where it lies, and its hits.
pub(super) type Item = (Slot, u32);

#[derive(Clone, Default)]
pub(super) struct Segments {
    pub(super) small: Segment<0>,
    pub(super) main: Segment<MAIN>,
}

/// One of the two; `FLAG` is what the marks of its entries say.
#[derive(Clone, Default)]
pub(super) struct Segment<const FLAG: u32> {
    queue: Queue,
    excess: u64,
}

impl<const FLAG: u32> Segment<FLAG> {
    /// How many entries stand in it.
    #[inline]
    pub(super) fn live(&self) -> usize {
        self.queue.ring.live()
    }

    /// The weight of all that stand in it.
    #[inline]
    pub(super) fn weight(&self) -> u64 {
        self.excess.wrapping_add(self.live() as u64)
    }

    /// Puts the entry of `slot` at the back, with this count of hits.
    #[inline]
    pub(super) fn push(&mut self, slot: Slot, hits: u32, residents: &mut impl Residents<Mark>) {
        self.count_in(residents.weight(slot));
        self.queue.push_as(slot, FLAG, residents);
        residents.set_hits(slot, hits);
    }

    /// The oldest entry, left where it is.
    #[inline]
    pub(super) fn oldest(&self, residents: &impl Residents<Mark>) -> Option<Item> {
        let slot = self.queue.ring.front()?;
        Some((slot, residents.hits(slot)))
    }

    /// Takes the oldest entry out.
    #[inline]
    pub(super) fn pop(&mut self, residents: &impl Residents<Mark>) -> Option<Item> {
        let slot = self.queue.pop(residents)?;
        self.count_out(residents.weight(slot));
        Some((slot, residents.hits(slot)))
    }

    fn remove(&mut self, mark: &Mark, slot: Slot, weight: u64) {
        if self.queue.ring.remove(mark.position(), slot) {
            self.count_out(weight);
        }
    }

    fn reweighed(&mut self, before: u64, after: u64) {
        self.count_out(before);
        self.count_in(after);
    }

    #[inline]
    fn count_in(&mut self, weight: u64) {
        self.excess = self.excess.wrapping_add(weight.wrapping_sub(1));
    }

    #[inline]
    fn count_out(&mut self, weight: u64) {
        self.excess = self.excess.wrapping_sub(weight.wrapping_sub(1));
    }

    fn check(&self, residents: &impl Residents<Mark>) {
        let mut weight = 0;
        self.queue.check(residents, |slot, mark| {
            assert_eq!(mark.flags(), FLAG, "an entry of the other segment");
            weight += residents.weight(slot);
        });
        assert_eq!(weight, self.weight(), "weight of a segment");
    }
}

impl Segments {
    /// How many entries stand in both.
    #[inline]
    pub(super) fn live(&self) -> usize {
        self.small.live() + self.main.live()
    }

    #[inline]
    pub(super) fn weight(&self) -> u64 {
        self.small.weight().wrapping_add(self.main.weight())
    }

    /// Takes an entry out, wherever it stands.
    pub(super) fn remove(&mut self, slot: Slot, residents: &impl Residents<Mark>) {
        let weight = residents.weight(slot);
        match residents.meta(slot) {
            Some(mark) if mark.has(MAIN) => self.main.remove(mark, slot, weight),
            Some(mark) => self.small.remove(mark, slot, weight),
            None => (),
        }
    }

    /// The entry of `slot` weighed `before`.
    pub(super) fn reweighed(&mut self, slot: Slot, before: u64, residents: &impl Residents<Mark>) {
        let after = residents.weight(slot);
        match residents.meta(slot) {
            Some(mark) if mark.has(MAIN) => self.main.reweighed(before, after),
            Some(_) => self.small.reweighed(before, after),
            None => (),
        }
    }

    /// Where an entry stands: in small it moves on if it has `to_main` hits, in main with any.
    pub(super) fn place(
        &self,
        slot: Slot,
        to_main: u32,
        residents: &impl Residents<Mark>,
    ) -> Option<Place> {
        let hits = residents.hits(slot);
        let (mut place, spares) = if residents.meta(slot)?.has(MAIN) {
            (self.main.queue.place("main", slot, residents)?, 1)
        } else {
            (self.small.queue.place("small", slot, residents)?, to_main)
        };
        place.spared = hits >= spares;
        Some(place)
    }

    /// Renews the slots of both.
    pub(super) fn renew(&mut self, residents: &impl Residents<Mark>) {
        for slot in residents.slots() {
            let Some(mark) = residents.meta(slot) else {
                continue;
            };
            let queue = match mark.has(MAIN) {
                true => &mut self.main.queue,
                false => &mut self.small.queue,
            };
            queue.ring.renew(mark.position(), slot);
        }
    }

    pub(super) fn shrink_to_fit(&mut self, residents: &mut impl Residents<Mark>) {
        self.small.queue.shrink_to_fit(residents);
        self.main.queue.shrink_to_fit(residents);
    }

    /// Proves the invariants from scratch.
    pub(super) fn check(&self, residents: &impl Residents<Mark>) {
        assert_eq!(self.live(), residents.len(), "items and residents");
        self.small.check(residents);
        self.main.check(residents);
    }
}
