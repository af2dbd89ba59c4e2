//! `Queue`: residents in a ring, each of which knows by its [`Mark`] where it stands.
//!
//! This is what the policies of one queue are made of; those of two have a
//! [`Segment`](super::segments::Segment) for each, which counts weight as well.
//!
//! Invariant: each item of the ring is the slot of a resident whose mark has the item's
//! position. Where a queue holds all residents, items and residents are one to one.

use super::ring::{Position, Ring};
use super::{Mark, Place, Residents, Slot};

#[derive(Clone, Default)]
pub(super) struct Queue {
    pub(super) ring: Ring,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} entries", self.ring.live())
    }
}

pub(super) fn set_position(residents: &mut impl Residents<Mark>, slot: Slot, to: Position) {
    if let Some(mark) = residents.meta_mut(slot) {
        mark.set_position(to);
    }
}

impl Queue {
    /// Puts the entry of `slot` behind all others.
    #[inline]
    pub(super) fn push(&mut self, slot: Slot, residents: &mut impl Residents<Mark>) {
        self.push_as(slot, 0, residents);
    }

    /// Puts the entry of `slot` behind all others, with these flags.
    #[inline]
    pub(super) fn push_as(&mut self, slot: Slot, flags: u32, residents: &mut impl Residents<Mark>) {
        let position = self
            .ring
            .push(slot, |slot, _, to| set_position(residents, slot, to));
        if let Some(mark) = residents.meta_mut(slot) {
            *mark = Mark::new(position, flags);
        }
    }

    /// Takes the oldest entry out, and asks for one that leaves soon.
    #[inline]
    pub(super) fn pop(&mut self, residents: &impl Residents<Mark>) -> Option<Slot> {
        let slot = self.ring.pop()?;
        residents.prefetch(self.ring.ahead());
        Some(slot)
    }

    /// Takes an entry out, wherever it stands.
    #[inline]
    pub(super) fn remove(&mut self, slot: Slot, residents: &impl Residents<Mark>) {
        if let Some(mark) = residents.meta(slot) {
            self.ring.remove(mark.position(), slot);
        }
    }

    /// Where an entry of this queue stands, if it is called so.
    pub(super) fn place(
        &self,
        name: &'static str,
        slot: Slot,
        residents: &impl Residents<Mark>,
    ) -> Option<Place> {
        let ahead = self.ring.before(residents.meta(slot)?.position(), slot)?;
        Some(Place::new(name, ahead, self.ring.live()))
    }

    /// All its entries, the oldest first.
    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> {
        self.ring.iter().map(|(_, slot)| slot)
    }

    /// Renews the slots of a queue that holds all residents.
    pub(super) fn renew(&mut self, residents: &impl Residents<Mark>) {
        for slot in residents.slots() {
            if let Some(mark) = residents.meta(slot) {
                self.ring.renew(mark.position(), slot);
            }
        }
    }

    pub(super) fn shrink_to_fit(&mut self, residents: &mut impl Residents<Mark>) {
        self.ring
            .shrink_to_fit(|slot, _, to| set_position(residents, slot, to));
    }

    /// Proves the invariant from scratch, for a queue that holds all residents.
    pub(super) fn check_whole(&self, residents: &impl Residents<Mark>) {
        assert_eq!(self.ring.live(), residents.len(), "items and residents");
        self.check(residents, |_, _| ());
    }

    /// Proves the invariant from scratch, and something more of each entry.
    pub(super) fn check(
        &self,
        residents: &impl Residents<Mark>,
        mut more: impl FnMut(Slot, &Mark),
    ) {
        self.ring.check();
        for (position, slot) in self.ring.iter() {
            let mark = residents.meta(slot).expect("a stale item");
            assert_eq!(mark.position(), position, "an item and its entry");
            more(slot, mark);
        }
    }
}
