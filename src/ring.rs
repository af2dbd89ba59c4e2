//! A queue of slots in which every resident knows its own position.
//!
//! One idea: an item is the slot in which its entry lies, and the entry keeps
//! the number of its item: positions are numbered without end (modulo 2^28). So
//! either is found from the other without a search: a place is left empty in
//! O(1) when its entry is removed, and renewed in O(1) when the table moves its
//! entry. No links, 4 bytes an item.
//!
//! Invariants
//! 1. Every item that is not a hole names the slot of exactly one resident,
//!    which knows the item's position.
//! 2. The front item is not a hole.
//! 3. Holes never outnumber live items by more than 32 once `compact` was
//!    called as [`Ring::is_crowded`] asks: the ring stays within 8 bytes for
//!    each live item, plus slack for growth of an eighth.
//!
//! The ring does not know what its order means.

use crate::slot::Slot;
use std::collections::VecDeque;

const HOLE: u32 = u32::MAX;

/// Where an item lies, modulo 2^28.
pub(crate) type Position = u32;

/// The bits of a [`Position`].
pub(crate) const POSITION: u32 = (1 << 28) - 1;

/// The most residents one shard may hold, so that positions stay unique even
/// with as many holes: 134,217,728 less some room for the slack.
pub(crate) const MOST_LIVE: usize = (1 << 27) - 64;

#[derive(Default)]
pub(crate) struct Ring {
    items: VecDeque<u32>,
    front: Position,
    holes: usize,
}

impl Ring {
    pub(crate) fn live(&self) -> usize {
        self.items.len() - self.holes
    }

    /// Whether [`compact`](Ring::compact) must be called before the next push.
    #[inline]
    pub(crate) fn is_crowded(&self) -> bool {
        self.items.len() == self.items.capacity() && self.is_sparse()
    }

    /// Whether holes outnumber live items by more than 32.
    #[inline]
    pub(crate) fn is_sparse(&self) -> bool {
        self.holes > self.live() + 32
    }

    /// Adds an item at the back and returns its position.
    #[inline]
    pub(crate) fn push(&mut self, slot: Slot) -> Position {
        let length = self.items.len();
        if length == self.items.capacity() {
            self.grow();
        }
        self.items.push_back(slot.bits());
        self.front.wrapping_add(length as u32) & POSITION
    }

    /// Takes the oldest item out.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Slot> {
        let slot = Slot::from_bits(self.items.pop_front()?);
        self.advance();
        if self.holes > 0 {
            self.trim();
        }
        if self.items.capacity() / 4 > self.items.len() + 64 {
            self.shrink();
        }
        Some(slot)
    }

    /// Leaves a hole at `position`.
    #[inline]
    pub(crate) fn remove(&mut self, position: Position) {
        let index = self.index(position);
        if let Some(item) = self.items.get_mut(index) {
            if *item != HOLE {
                *item = HOLE;
                self.holes += 1;
                self.trim();
            }
        }
    }

    /// The oldest item.
    pub(crate) fn oldest(&self) -> Option<Position> {
        (!self.items.is_empty()).then_some(self.front)
    }

    /// The item behind the one at `position`, towards the newest. O(holes between).
    pub(crate) fn after(&self, position: Position) -> Option<Position> {
        let next = self.index(position) + 1;
        let rest = self.items.range(next.min(self.items.len())..);
        let ahead = rest.take_while(|&&bits| bits == HOLE).count();
        let found = (next + ahead) < self.items.len();
        found.then(|| position.wrapping_add(1 + ahead as u32) & POSITION)
    }

    /// The slot at `position`, unless there is a hole.
    pub(crate) fn slot(&self, position: Position) -> Option<Slot> {
        let &bits = self.items.get(self.index(position))?;
        (bits != HOLE).then_some(Slot::from_bits(bits))
    }

    /// The oldest item's slot.
    #[inline]
    pub(crate) fn front(&self) -> Option<Slot> {
        self.items.front().map(|&bits| Slot::from_bits(bits))
    }

    /// The entry of the item at `position` lies in another slot now. A hole stays
    /// one: a policy that panicked may have left an entry without an item.
    pub(crate) fn renew(&mut self, position: Position, slot: Slot) {
        let index = self.index(position);
        if let Some(item) = self.items.get_mut(index) {
            if *item != HOLE {
                *item = slot.bits();
            }
        }
    }

    /// Whether `position` is the newest.
    #[inline]
    pub(crate) fn is_newest(&self, position: Position) -> bool {
        self.index(position) + 1 == self.items.len()
    }

    /// Closes all holes; tells of every item's move as `(slot, from, to)`. O(items).
    #[cold]
    #[inline(never)]
    pub(crate) fn compact(&mut self, mut moved: impl FnMut(Slot, Position, Position)) {
        let mut from = self.front;
        let mut to = self.front;
        self.items.retain(|&bits| {
            let live = bits != HOLE;
            if live {
                if from != to {
                    moved(Slot::from_bits(bits), from, to);
                }
                to = Self::behind(to);
            }
            from = Self::behind(from);
            live
        });
        self.holes = 0;
    }

    /// All live items, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Position, Slot)> {
        let place = |(index, &bits): (usize, &u32)| {
            let position = self.front.wrapping_add(index as u32) & POSITION;
            (bits != HOLE).then_some((position, Slot::from_bits(bits)))
        };
        self.items.iter().enumerate().filter_map(place)
    }

    #[inline]
    fn index(&self, position: Position) -> usize {
        (position.wrapping_sub(self.front) & POSITION) as usize
    }

    fn behind(position: Position) -> Position {
        position.wrapping_add(1) & POSITION
    }

    #[inline]
    fn advance(&mut self) {
        self.front = Self::behind(self.front);
    }

    /// Drops holes from the front: each is paid for by the removal that made it.
    #[inline]
    fn trim(&mut self) {
        while self.items.front() == Some(&HOLE) {
            self.items.pop_front();
            self.advance();
            self.holes -= 1;
        }
    }

    /// Grows by an eighth, not by half: the ring is counted among the bytes of an entry.
    #[cold]
    fn grow(&mut self) {
        self.items.reserve_exact(self.items.len() / 8 + 16);
    }

    /// Many items have given way to few.
    #[cold]
    fn shrink(&mut self) {
        self.items.shrink_to(self.items.len() * 3 / 2);
    }

    pub(crate) fn shrink_to_fit(&mut self) {
        self.items.shrink_to_fit();
    }

    /// Proves invariants 2 and 3 from scratch.
    pub(crate) fn check(&self) {
        let holes = self.items.iter().filter(|&&bits| bits == HOLE).count();
        assert_eq!(holes, self.holes);
        assert_ne!(self.items.front(), Some(&HOLE));
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.items.capacity() * 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_out_in_order_and_holes_are_skipped() {
        let mut ring = Ring::default();
        let at: Vec<_> = (1..=5).map(|n| ring.push(Slot(n))).collect();
        ring.remove(at[0]);
        ring.remove(at[2]);
        ring.remove(at[2]);
        assert_eq!(ring.live(), 3);
        assert_eq!(ring.after(at[1]), Some(at[3]));
        ring.renew(at[2], Slot(9));
        assert_eq!(ring.slot(at[2]), None);
        assert_eq!(ring.pop(), Some(Slot(2)));
        assert_eq!(ring.pop(), Some(Slot(4)));
        ring.renew(at[4], Slot(7));
        assert_eq!(
            (ring.oldest(), ring.slot(at[4]), ring.front()),
            (Some(at[4]), Some(Slot(7)), Some(Slot(7)))
        );
        assert_eq!(ring.after(at[4]), None);
        assert_eq!(ring.pop(), Some(Slot(7)));
        assert_eq!((ring.pop(), ring.front()), (None, None));
        ring.check();
    }

    #[test]
    fn positions_stay_right_where_they_wrap() {
        let mut ring = Ring {
            front: POSITION - 1,
            ..Ring::default()
        };
        let at: Vec<_> = (1..=4).map(|n| ring.push(Slot(n))).collect();
        assert_eq!(at, [POSITION - 1, POSITION, 0, 1]);
        ring.remove(at[1]);
        let mut moves = Vec::new();
        ring.compact(|slot, from, to| moves.push((slot, from, to)));
        assert_eq!(moves, [(Slot(3), 0, POSITION), (Slot(4), 1, 0)]);
        assert!(ring.is_newest(0));
        assert_eq!(
            ring.iter().map(|(at, _)| at).collect::<Vec<_>>(),
            [POSITION - 1, POSITION, 0]
        );
        ring.check();
    }

    #[test]
    fn a_ring_of_removals_stays_within_its_bound() {
        let mut ring = Ring::default();
        let mut newest = ring.push(Slot(1));
        ring.push(Slot(2));
        let mut most = 0;
        for n in 0..100_000 {
            if ring.is_crowded() {
                ring.compact(|_, from, to| {
                    if from == newest {
                        newest = to;
                    }
                });
            }
            let next = ring.push(Slot(n + 3));
            if n > 0 {
                ring.remove(newest);
            }
            newest = next;
            most = most.max(ring.bytes());
        }
        assert!(most <= 4 * 128, "{most} bytes for 3 live items");
        ring.check();
    }
}
