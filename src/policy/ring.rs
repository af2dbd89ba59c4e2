//! A queue of slots in which every resident knows its own position.
//!
//! One idea: an item is the slot in which its entry lies, and the entry keeps
//! the number of the place where its item lies. So
//! either is found from the other without a search: a place is left empty in
//! O(1) when its entry is removed, and renewed in O(1) when the table moves its
//! entry. No links, 4 bytes an item.
//!
//! Invariants
//! 1. Every item that is not a hole names the slot of exactly one resident,
//!    which knows the item's position.
//! 2. Items lie from `front` up to `back`, going round at the end. The first is not a
//!    hole; all other places hold holes, and one is always left over, so that `front` and
//!    `back` tell full from empty.
//! 3. A full ring in which holes outnumber live items by more than 32 is rebuilt
//!    without them: it stays within 8 bytes for each live item, plus slack for growth of
//!    a sixteenth.
//!
//! The ring does not know what its order means.

use super::slot::Slot;

const HOLE: u32 = u32::MAX;

/// How many pops ahead entries are asked for: where weights differ, several leave at once.
const AHEAD: usize = 4;

/// Where an item lies: less than 2^28.
pub(crate) type Position = u32;

/// The bits of a [`Position`].
pub(crate) const POSITION: u32 = (1 << 28) - 1;

/// The most residents one shard may hold, so that there are places enough even
/// with as many holes: 134,217,728 less some room for the slack.
pub(crate) const MOST_LIVE: usize = (1 << 27) - 64;

#[derive(Clone, Default)]
pub(crate) struct Ring {
    places: Box<[u32]>,
    front: Position,
    back: Position,
    live: u32,
}

impl Ring {
    #[inline]
    pub(crate) fn live(&self) -> usize {
        self.live as usize
    }

    /// Whether there are four times too many places.
    fn is_roomy(&self) -> bool {
        self.places.len() / 4 > self.live() + 64
    }

    /// Whether holes outnumber live items by more than 32.
    #[inline]
    pub(crate) fn is_sparse(&self) -> bool {
        self.used() > 2 * self.live() + 32
    }

    /// Places from `front` to `back`.
    #[inline]
    fn used(&self) -> usize {
        self.places_from(self.front, self.back)
    }

    /// Shrinks what is much too large; else closes the holes, if there are many; else
    /// grows, by a sixteenth and not by half: the ring is counted among the bytes of an
    /// entry. Tells of every move. O(items).
    #[cold]
    #[inline(never)]
    fn make_room(&mut self, moved: impl FnMut(Slot, Position, Position)) {
        let places = if self.is_roomy() {
            self.live() * 3 / 2 + 16
        } else if self.is_sparse() {
            self.places.len()
        } else {
            self.used() * 17 / 16 + 16
        };
        self.lay(places.min(1 << 28), moved);
    }

    /// Gives up all places that hold no item; tells of every move, O(items).
    pub(crate) fn shrink_to_fit(&mut self, moved: impl FnMut(Slot, Position, Position)) {
        let spare = usize::from(self.live > 0);
        self.lay(self.live() + spare, moved);
    }

    /// Lays the items into so many places, from the first on and without holes.
    fn lay(&mut self, places: usize, mut moved: impl FnMut(Slot, Position, Position)) {
        let mut laid = vec![HOLE; places].into_boxed_slice();
        if self.front == 0 && self.used() == self.live() {
            // As a ring grows for the first time: nothing moves.
            laid[..self.live()].copy_from_slice(&self.places[..self.live()]);
        } else {
            for (to, (from, slot)) in self.iter().enumerate() {
                laid[to] = slot.bits();
                if from != to as Position {
                    moved(slot, from, to as Position);
                }
            }
        }
        self.places = laid;
        self.front = 0;
        self.back = self.live;
    }

    /// Adds an item at the back and returns its position. Tells, as `(slot, from, to)`,
    /// of every move if the others must move.
    #[inline]
    pub(crate) fn push(
        &mut self,
        slot: Slot,
        moved: impl FnMut(Slot, Position, Position),
    ) -> Position {
        let mut next = self.behind(self.back);
        // What has become much too large shrinks when it comes to its end.
        if next == self.front || next == 0 && self.is_roomy() {
            self.make_room(moved);
            next = self.behind(self.back);
        }
        let position = std::mem::replace(&mut self.back, next);
        if let Some(item) = self.places.get_mut(position as usize) {
            *item = slot.bits();
        }
        self.live += 1;
        position
    }

    /// Takes the oldest item out.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Slot> {
        let item = self.places.get_mut(self.front as usize)?;
        let bits = std::mem::replace(item, HOLE);
        if bits == HOLE {
            return None;
        }
        self.live -= 1;
        self.front = self.behind(self.front);
        self.trim();
        Some(Slot::from_bits(bits))
    }

    /// Leaves a hole at `position`, if the item there names `slot`; says whether it
    /// did: a policy that panicked may have left an entry without an item, whose place
    /// is another's by now.
    #[inline]
    pub(crate) fn remove(&mut self, position: Position, slot: Slot) -> bool {
        let Some(item) = self.places.get_mut(position as usize) else {
            return false;
        };
        if *item != slot.bits() {
            return false;
        }
        *item = HOLE;
        self.live -= 1;
        self.trim();
        true
    }

    /// The position of the oldest item.
    pub(crate) fn oldest(&self) -> Option<Position> {
        self.slot(self.front).map(|_| self.front)
    }

    /// The item behind the one at `position`, towards the newest. O(holes between).
    pub(crate) fn after(&self, position: Position) -> Option<Position> {
        let mut next = self.behind(position);
        while next != self.back {
            if self.slot(next).is_some() {
                return Some(next);
            }
            next = self.behind(next);
        }
        None
    }

    /// The slot at `position`, unless there is a hole.
    #[inline]
    pub(crate) fn slot(&self, position: Position) -> Option<Slot> {
        let &bits = self.places.get(position as usize)?;
        (bits != HOLE).then_some(Slot::from_bits(bits))
    }

    /// The oldest item's slot.
    #[inline]
    pub(crate) fn front(&self) -> Option<Slot> {
        self.slot(self.front)
    }

    /// The slot that comes up a few pops later, or one that finds nothing: to be
    /// asked for ahead.
    #[inline]
    pub(crate) fn ahead(&self) -> Slot {
        let places = self.places.len();
        let ahead = self.front as usize + AHEAD;
        let index = if ahead < places {
            ahead
        } else {
            ahead - places
        };
        Slot::from_bits(self.places.get(index).map_or(HOLE, |&bits| bits))
    }

    /// The entry of the item at `position` lies in another slot now. A hole stays
    /// one: the entry may be without an item.
    #[inline]
    pub(crate) fn renew(&mut self, position: Position, slot: Slot) {
        if let Some(item) = self.places.get_mut(position as usize) {
            if *item != HOLE {
                *item = slot.bits();
            }
        }
    }

    /// Whether `position` is the newest.
    #[inline]
    pub(crate) fn is_newest(&self, position: Position) -> bool {
        self.behind(position) == self.back
    }

    /// All live items, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Position, Slot)> {
        let end = self.places.len() as Position;
        let (front, back) = (self.front, self.back);
        let (old, young) = if back < front {
            (front..end, 0..back)
        } else {
            (front..back, 0..0)
        };
        let item = |position| Some((position, self.slot(position)?));
        old.chain(young).filter_map(item)
    }

    /// How many items are older than the one at `position`, if that names `slot`. O(1) where
    /// there are no holes; else the places on its shorter side are counted.
    pub(crate) fn before(&self, position: Position, slot: Slot) -> Option<usize> {
        self.slot(position).filter(|&here| here == slot)?;
        let older = self.places_from(self.front, position);
        let younger = self.used() - older;
        Some(if self.used() == self.live() {
            older
        } else if older <= younger {
            self.items_in(self.front, older)
        } else {
            self.live() - self.items_in(position, younger)
        })
    }

    /// Of the items, oldest first, those for which `is_before` holds, which it does up to some
    /// item and for none behind it: how many. O(log n) looks, and counts as [`before`](Self::before).
    pub(crate) fn partition(&self, is_before: impl Fn(Slot) -> bool) -> usize {
        let (mut low, mut high) = (0, self.used());
        while low < high {
            let middle = low + (high - low) / 2;
            let Some((at, slot)) = self.item_from(middle, high) else {
                high = middle;
                continue;
            };
            if is_before(slot) {
                low = at + 1;
            } else {
                high = middle;
            }
        }
        self.items_in(self.front, low)
    }

    /// The first item so many places behind the front or later, and how many: before `end`.
    fn item_from(&self, places: usize, end: usize) -> Option<(usize, Slot)> {
        (places..end).find_map(|at| Some((at, self.slot(self.place(at))?)))
    }

    /// The position of the place so many behind the front.
    fn place(&self, places: usize) -> Position {
        let (at, end) = (self.front as usize + places, self.places.len());
        (if at < end { at } else { at - end }) as Position
    }

    /// Places from one position up to another, going round.
    #[inline]
    fn places_from(&self, from: Position, to: Position) -> usize {
        let (from, to) = (from as usize, to as usize);
        if to < from {
            to + self.places.len() - from
        } else {
            to - from
        }
    }

    /// Items in so many places from `from` on, going round. A pass over 4 bytes a place.
    fn items_in(&self, from: Position, places: usize) -> usize {
        if self.used() == self.live() {
            return places;
        }
        let (from, end) = (from as usize, self.places.len());
        let to = from + places;
        let (old, young) = (from..to.min(end), 0..to.saturating_sub(end));
        let items = |places: &[u32]| places.iter().filter(|&&bits| bits != HOLE).count();
        items(&self.places[old]) + items(&self.places[young])
    }

    /// The place behind this one.
    #[inline]
    fn behind(&self, position: Position) -> Position {
        let next = position + 1;
        if next as usize >= self.places.len() {
            0
        } else {
            next
        }
    }

    /// Leaves holes at the front behind: each is paid for by the removal that made it.
    #[inline]
    fn trim(&mut self) {
        while self.front != self.back && self.front().is_none() {
            self.front = self.behind(self.front);
        }
    }

    /// Proves invariants 2 and 3 from scratch.
    pub(crate) fn check(&self) {
        let live = self.places.iter().filter(|&&bits| bits != HOLE).count();
        assert_eq!((live, self.iter().count()), (self.live(), self.live()));
        assert_eq!(self.front().is_none(), self.front == self.back);
        assert!(self.used() <= self.places.len().saturating_sub(1));
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.places.len() * 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done<T>(_: T) {}

    fn push(ring: &mut Ring, slots: std::ops::RangeInclusive<usize>) -> Vec<Position> {
        let stay = |_, from, to| panic!("{from} moved to {to}");
        slots.map(|slot| ring.push(Slot(slot), stay)).collect()
    }

    #[test]
    fn items_come_out_in_order_and_holes_are_skipped() {
        let mut ring = Ring::default();
        assert_eq!(
            (ring.pop(), ring.oldest(), ring.after(3)),
            (None, None, None)
        );
        assert!(!ring.remove(0, Slot(1)));
        let at = push(&mut ring, 1..=5);
        assert!(ring.remove(at[0], Slot(1)) && ring.remove(at[2], Slot(3)));
        assert!(!ring.remove(at[2], Slot(3)) && !ring.remove(at[3], Slot(3)));
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
        assert!(!ring.remove(at[3], Slot(4)));
        ring.renew(at[3], Slot(8));
        ring.check();
        assert_eq!(ring.live(), 0, "what is out stays out");
    }

    #[test]
    fn positions_stay_right_where_they_go_round() {
        let mut ring = Ring::default();
        push(&mut ring, 1..=15);
        (0..14).for_each(|_| _ = ring.pop());
        let at = push(&mut ring, 16..=19);
        assert_eq!(at, [15, 0, 1, 2]);
        assert!(ring.is_newest(2) && !ring.is_newest(15));
        assert_eq!(ring.after(15), Some(0));
        assert!(ring.remove(at[1], Slot(17)));
        let mut moves = Vec::new();
        ring.shrink_to_fit(|slot, from, to| moves.push((slot.0, from, to)));
        assert_eq!(moves, [(15, 14, 0), (16, 15, 1), (18, 1, 2), (19, 2, 3)]);
        let order: Vec<_> = ring.iter().map(|(at, slot)| (at, slot.0)).collect();
        assert_eq!(order, [(0, 15), (1, 16), (2, 18), (3, 19)]);
        assert_eq!(ring.bytes(), 4 * 5);
        ring.check();
    }

    #[test]
    fn how_many_are_older_is_counted_whatever_left_a_hole() {
        let (mut ring, mut dice) = (Ring::default(), 3_u64);
        let (mut places, mut next) = (std::collections::HashMap::new(), 0);
        for _ in 0..3_000 {
            dice = dice.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
            let any = (dice >> 40) as usize % (next + 1);
            match dice >> 61 {
                0 => done(ring.pop()),
                1..3 => done(places.get(&any).map(|&at| ring.remove(at, Slot(any)))),
                _ => {
                    let moved = |slot: Slot, _, to| done(places.insert(slot.0, to));
                    let at = ring.push(Slot(next), moved);
                    places.insert(next, at);
                    next += 1;
                }
            }
            let order: Vec<(Position, Slot)> = ring.iter().collect();
            let rank = order.iter().position(|&(_, slot)| slot.0 == any);
            let at = places.get(&any).copied().unwrap_or(0);
            assert_eq!(ring.before(at, Slot(any)), rank);
            let younger = order.partition_point(|&(_, slot)| slot.0 < any);
            assert_eq!(ring.partition(|slot| slot.0 < any), younger);
        }
        assert!(ring.live() > 500 && ring.used() > ring.live());
    }

    #[test]
    fn a_ring_of_removals_stays_within_its_bound() {
        let mut ring = Ring::default();
        let mut newest = push(&mut ring, 1..=1)[0];
        push(&mut ring, 2..=2);
        let mut most = 0;
        for n in 0..100_000 {
            let before = newest;
            let next = ring.push(Slot(n + 3), |_, from, to| {
                if from == before {
                    newest = to;
                }
            });
            assert_eq!(ring.remove(newest, Slot(n + 2)), n > 0);
            newest = next;
            most = most.max(ring.bytes());
        }
        assert!(most <= 4 * 128, "{most} bytes for 3 live items");
        ring.check();
    }

    #[test]
    fn many_that_gave_way_to_few_take_their_places_along() {
        let mut ring = Ring::default();
        push(&mut ring, 1..=10_000);
        assert!((40_000..46_000).contains(&ring.bytes()), "{}", ring.bytes());
        (0..9_000).for_each(|_| _ = ring.pop());
        for n in 0..10_000 {
            ring.push(Slot(n), |_, _, _| ());
            ring.pop();
        }
        assert_eq!(ring.live(), 1_000);
        assert!(ring.bytes() <= 4 * 1_600, "{}", ring.bytes());
        ring.check();
    }
}
