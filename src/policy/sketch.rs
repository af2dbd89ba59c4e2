//! `Sketch`: how often keys were asked for of late, whether they are here or not.
//!
//! Each set of [`Sets`] holds records of 12 bits of fingerprint and 4 of count,
//! those raised last first. A key that is new to a full set takes the place of
//! the one of least count (of these the oldest), so keys asked for again and
//! again stay while one-timers pass through. Unlike
//! counters shared by hash (count-min) no key is credited with what others
//! asked for: two keys of equal frequency have equal counts, and a loop wider
//! than the memory finds all its keys equal, at 1.
//!
//! ```text
//! raise(key, by):  its record's count += by, at most 15; without a record: takes
//!                  the place of the oldest of least count
//!                  after 10 raises a slot all counts halve, at once: so equal
//!                  counts stay equal
//! ```
//!
//! Invariants
//! 1. A record whose count is 0 is an empty slot, whatever its fingerprint; of
//!    one fingerprint a set holds one record at most.
//! 2. At most `32 * sets` records; [`Sketch::fit`] alone allocates.
//!
//! The halving is a plain pass over 2 bytes a slot, once in 10 raises for each
//! slot: nothing beside the rebuilds of the shard's table.
//!
//! Related: R. Karp, S. Shenker, C. Papadimitriou, "A simple algorithm for
//! finding frequent elements in streams and bags" (2003), and the "space saving"
//! of A. Metwally, D. Agrawal, A. El Abbadi (2005), in small sets.

use super::sets::{Set, Sets};
use crate::tag::Tag;

/// Slots of a set: 64 bytes of them.
const SLOTS: usize = 32;

const COUNT: u16 = 15;

/// Raises for each record, from one ageing to the next.
const RAISES_AN_AGEING: usize = 10;

#[derive(Clone, Default)]
pub(crate) struct Sketch {
    sets: Sets<SLOTS>,
    raises: usize,
}

impl Sketch {
    /// How many keys can be remembered.
    #[inline]
    pub(crate) fn slots(&self) -> usize {
        self.sets.slots()
    }

    /// Makes slots for `keys` keys, or up to a set more, and keeps most counts.
    pub(crate) fn fit(&mut self, keys: usize) {
        self.sets.fit(keys);
    }

    /// Gives up slots beyond those for `keys` keys.
    pub(crate) fn shrink(&mut self, keys: usize) {
        self.sets.shrink(keys);
    }

    /// Asks for the memory of `tag`, and does not wait for it.
    #[inline]
    pub(crate) fn prefetch(&self, tag: Tag) {
        self.sets.prefetch(tag);
    }

    /// How often `tag` was raised of late, at most 15. O(1).
    #[inline]
    pub(crate) fn count(&self, tag: Tag) -> u32 {
        let Some(Set(set)) = self.sets.set(tag) else {
            return 0;
        };
        let wanted = fingerprint(tag);
        // One record at most is its own. Without an early end: a few vector instructions.
        let count =
            |record: u16| record & COUNT & u16::from(record & !COUNT == wanted).wrapping_neg();
        set.iter()
            .fold(0, |any, &record| any | count(record))
            .into()
    }

    /// Adds `by` to the count of `tag`; says what it was. O(1).
    #[inline]
    pub(crate) fn raise(&mut self, tag: Tag, by: u32) -> u32 {
        let Some(Set(set)) = self.sets.set_mut(tag) else {
            return 0;
        };
        let wanted = fingerprint(tag);
        let slot = slot(set, wanted);
        let known = set[slot] & !COUNT == wanted;
        let before = if known { set[slot] & COUNT } else { 0 };
        let after = (u32::from(before) + by).min(COUNT.into());
        to_front(set, slot, wanted | after as u16);
        self.raises += after as usize - usize::from(before);
        if self.raises >= RAISES_AN_AGEING * self.slots() {
            self.age();
        }
        before.into()
    }

    #[cold]
    #[inline(never)]
    fn age(&mut self) {
        self.raises = 0;
        for record in self.sets.iter_mut().flat_map(|set| &mut set.0) {
            *record = *record & !COUNT | (*record & COUNT) >> 1;
        }
    }
}

/// What a record knows a tag by. It is never 0: else each empty slot would be one more
/// record of that key.
#[inline]
fn fingerprint(tag: Tag) -> u16 {
    (tag.fingerprint() & !COUNT).max(COUNT + 1)
}

/// The slot of `wanted` in a set, or else of the oldest record of least count: in
/// one pass, as the least of (not it, count, age).
#[inline]
fn slot(set: &[u16; SLOTS], wanted: u16) -> usize {
    // Signed: the vector instruction that all processors have.
    let mut least = i16::MAX;
    for (slot, &record) in set.iter().enumerate() {
        let other = i16::from(record & !COUNT != wanted) << 9;
        let count = ((record & COUNT) << 5) as i16;
        least = least.min(other | count | (SLOTS - 1 - slot) as i16);
    }
    SLOTS - 1 - least as usize % SLOTS
}

/// Puts `record` first and moves those before `slot` one on, over it.
#[inline]
fn to_front(set: &mut [u16; SLOTS], slot: usize, record: u16) {
    let mut moved = [record; SLOTS];
    moved[1..].copy_from_slice(&set[..SLOTS - 1]);
    for (at, (old, new)) in set.iter_mut().zip(moved).enumerate() {
        let moves = -i16::from(at as i16 <= slot as i16) as u16;
        *old = new & moves | *old & !moves;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(n: u64) -> Tag {
        let mixed = (n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Tag::of((mixed ^ mixed >> 31).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 32)
    }

    fn raise(sketch: &mut Sketch, n: u64, by: u32) {
        sketch.raise(tag(n), by);
    }

    fn fitted(keys: usize) -> Sketch {
        let mut sketch = Sketch::default();
        sketch.fit(keys);
        sketch
    }

    #[test]
    fn without_slots_it_knows_nothing() {
        let mut sketch = Sketch::default();
        sketch.raise(tag(1), 3);
        assert_eq!((sketch.count(tag(1)), sketch.slots()), (0, 0));
    }

    #[test]
    fn counts_are_exact_up_to_fifteen_while_there_is_room() {
        let mut sketch = fitted(6_400);
        (0..200).for_each(|n| (0..n % 3).for_each(|_| raise(&mut sketch, n, 1)));
        let wrong = (0..200).filter(|&n| u64::from(sketch.count(tag(n))) != n % 3);
        assert!(wrong.count() <= 2, "but for a shared fingerprint");
        sketch.raise(tag(1), 100);
        assert_eq!(sketch.count(tag(1)), 15);
    }

    #[test]
    fn what_was_raised_often_outlives_a_flood_of_the_new() {
        let mut sketch = fitted(320);
        (0..50).for_each(|n| raise(&mut sketch, n, 15));
        (1_000..3_000).for_each(|n| raise(&mut sketch, n, 1));
        let known = (0..50).filter(|&n| sketch.count(tag(n)) > 1).count();
        assert!(known >= 48, "{known}");
        // And not for ever: with ten raises a record each count halves.
        (10_000..40_000).for_each(|n| raise(&mut sketch, n, 1));
        let known = (0..50).filter(|&n| sketch.count(tag(n)) > 1).count();
        assert!(known <= 2, "{known}");
    }

    #[test]
    fn a_loop_wider_than_the_memory_finds_all_keys_equal() {
        let mut sketch = fitted(320);
        (0..20_000).for_each(|n| raise(&mut sketch, n % 1_000, 1));
        let lucky = (0..1_000).filter(|&n| sketch.count(tag(n)) > 1).count();
        assert!(lucky < 40, "{lucky} share a fingerprint");
    }

    #[test]
    fn the_oldest_of_least_count_gives_way() {
        let mut sketch = fitted(1);
        (0..32).for_each(|n| raise(&mut sketch, n, 1 + u32::from(n == 0)));
        sketch.raise(tag(1), 1);
        sketch.raise(tag(2), 1);
        sketch.raise(tag(100), 1);
        let known: Vec<u64> = (0..32).filter(|&n| sketch.count(tag(n)) == 0).collect();
        assert_eq!(known, [3]);
    }

    #[test]
    fn doubled_it_keeps_every_count() {
        let mut sketch = fitted(320);
        (0..100).for_each(|n| raise(&mut sketch, n, 1 + (n % 3) as u32));
        let before: Vec<u32> = (0..100).map(|n| sketch.count(tag(n))).collect();
        sketch.fit(640);
        let after: Vec<u32> = (0..100).map(|n| sketch.count(tag(n))).collect();
        assert_eq!(before, after);
    }

    #[test]
    fn a_key_whose_fingerprint_looks_empty_is_counted_like_any_other() {
        let mut sketch = fitted(1);
        let looks_empty = |&n: &u64| tag(n).fingerprint() <= COUNT;
        let lost = tag((0..).find(looks_empty).unwrap());
        (0..3).for_each(|_| _ = sketch.raise(lost, 1));
        assert_eq!(sketch.count(lost), 3);
    }
}
