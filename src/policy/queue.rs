//! `Queues`: the two rings of residents, small and main, and the weight in each.
//!
//! In which queue an entry stands, the flag [`MAIN`] of its mark says.
//!
//! Invariants
//! 1. Each resident has one item, in the ring that its mark names.
//! 2. `excess` is by how much the residents weigh more than one each, modulo 2^64 (they
//!    may weigh nothing): where all weigh one, nobody counts weight.

use super::fifo::set_position;
use super::ring::{Position, Ring};
use super::{Mark, Residents, Slot};

/// The flag of entries in the main queue.
pub(super) const MAIN: u32 = 1 << 28;

/// The flag of entries that were ever hit.
pub(super) const HIT: u32 = 1 << 29;

/// The bits of the count of hits, 0 to 3.
pub(super) const COUNT: u32 = 3 << SHIFT;
pub(super) const SHIFT: u32 = 30;
pub(super) const ONE: u32 = 1 << SHIFT;

/// A hit: a fourth one in a row writes nothing.
#[inline]
pub(super) fn count_hit(mark: &mut Mark) {
    let bits = mark.bits();
    if bits & COUNT != COUNT {
        mark.set((bits | HIT) + ONE);
    }
}

/// An entry as a queue names it: where it lies, and the bits of its mark.
pub(super) type Item = (Slot, u32);

#[derive(Default)]
pub(super) struct Queues {
    pub(super) small: Queue<0>,
    pub(super) main: Queue<MAIN>,
}

/// One of the two; `FLAG` is what the marks of its entries say.
#[derive(Default)]
pub(super) struct Queue<const FLAG: u32> {
    ring: Ring,
    excess: u64,
}

impl<const FLAG: u32> Queue<FLAG> {
    /// How many entries stand in it.
    #[inline]
    pub(super) fn live(&self) -> usize {
        self.ring.live()
    }

    /// The weight of all that stand in it.
    #[inline]
    pub(super) fn weight(&self) -> u64 {
        self.excess.wrapping_add(self.live() as u64)
    }

    /// Puts the entry of `slot` at the back and writes its mark: with this count,
    /// and whether it was ever hit as before.
    #[inline]
    pub(super) fn push(&mut self, slot: Slot, count: u32, residents: &mut impl Residents<Mark>) {
        let position = self
            .ring
            .push(slot, |slot, _, to| set_position(residents, slot, to));
        self.count_in(residents.weight(slot));
        if let Some(mark) = residents.meta_mut(slot) {
            mark.set(position | mark.bits() & HIT | count | FLAG);
        }
    }

    /// The oldest entry, left where it is.
    #[inline]
    pub(super) fn oldest(&self, residents: &impl Residents<Mark>) -> Option<Item> {
        let slot = self.ring.front()?;
        Some((slot, residents.meta(slot)?.bits()))
    }

    /// Takes the oldest entry out.
    #[inline]
    pub(super) fn pop(&mut self, residents: &impl Residents<Mark>) -> Option<Item> {
        let slot = self.ring.pop()?;
        residents.fetch(self.ring.ahead());
        self.count_out(residents.weight(slot));
        Some((slot, residents.meta(slot)?.bits()))
    }

    fn remove(&mut self, position: Position, slot: Slot, weight: u64) {
        if self.ring.remove(position, slot) {
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

    fn shrink_to_fit(&mut self, residents: &mut impl Residents<Mark>) {
        self.ring
            .shrink_to_fit(|slot, _, to| set_position(residents, slot, to));
    }

    fn check(&self, residents: &impl Residents<Mark>) {
        self.ring.check();
        let weight = |(position, slot): (Position, Slot)| {
            let mark = residents.meta(slot).expect("a stale item");
            assert_eq!((mark.position(), mark.bits() & MAIN), (position, FLAG));
            residents.weight(slot)
        };
        let weight: u64 = self.ring.iter().map(weight).sum();
        assert_eq!(weight, self.weight(), "weight of a queue");
    }
}

impl Queues {
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
    pub(super) fn forget(&mut self, slot: Slot, residents: &impl Residents<Mark>) {
        let weight = residents.weight(slot);
        match residents.meta(slot) {
            Some(mark) if mark.has(MAIN) => self.main.remove(mark.position(), slot, weight),
            Some(mark) => self.small.remove(mark.position(), slot, weight),
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

    /// Renews the slots of both.
    pub(super) fn moved(&mut self, residents: &impl Residents<Mark>) {
        for slot in residents.slots() {
            match residents.meta(slot) {
                Some(mark) if mark.has(MAIN) => self.main.ring.renew(mark.position(), slot),
                Some(mark) => self.small.ring.renew(mark.position(), slot),
                None => (),
            }
        }
    }

    pub(super) fn shrink_to_fit(&mut self, residents: &mut impl Residents<Mark>) {
        self.small.shrink_to_fit(residents);
        self.main.shrink_to_fit(residents);
    }

    /// Proves the invariants from scratch.
    pub(super) fn check(&self, residents: &impl Residents<Mark>) {
        assert_eq!(self.live(), residents.len(), "items and residents");
        self.small.check(residents);
        self.main.check(residents);
    }
}
