//! Groups: 32 slots of a table, and half a cache line that says what is in them.
//!
//! | byte | says of its slot |
//! |---|---|
//! | 0 | it is empty |
//! | 1 | its entry is being changed where it lies: look under the lock |
//! | any other | it holds an entry, whose tag has this fingerprint |
//! | 255 | that, or the slot is not there: a small table has fewer |
//!
//! One look at the bytes finds the slots that a key may lie in: of others one
//! in 254 looks the same.
//!
//! Readers look while the holder of the lock writes: it alone writes, one word at a time.
//! All that is judged of a group is judged from one [`Seen`]: a byte that was busy in one
//! look and is not in the next would make a key absent that is only being replaced.
//!
//! The room knows the fingerprints, not the entries.

use crate::processor::{LANES, Words, equal};
use crate::sync::cells::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

/// Slots of a group.
pub(crate) const WAYS: usize = LANES;

pub(crate) const EMPTY: u8 = 0;
pub(crate) const BUSY: u8 = 1;
const NOT_THERE: u8 = u8::MAX;

#[repr(align(32))]
pub(crate) struct Group([AtomicU64; WAYS / 8]);

impl Group {
    /// An empty group of so many slots.
    pub(crate) fn of(slots: usize) -> Self {
        let byte = |way| if way < slots { EMPTY } else { NOT_THERE };
        let word = |n: usize| u64::from_le_bytes(std::array::from_fn(|way| byte(8 * n + way)));
        Self(std::array::from_fn(|n| AtomicU64::new(word(n))))
    }

    /// What a reader sees: an entry whose fingerprint it sees is whole.
    #[inline]
    pub(crate) fn see(&self) -> Seen {
        Seen(std::array::from_fn(|n| self.0[n].load(Acquire)))
    }

    /// The byte of one slot, for the holder of the lock.
    #[inline]
    pub(crate) fn byte(&self, way: usize) -> u8 {
        let word = self.0[way / 8 % (WAYS / 8)].load(Relaxed);
        (word >> (way % 8 * 8)) as u8
    }

    /// Sets the byte of one slot: what was written to its entry before is seen by whoever
    /// sees the byte. The holder of the lock alone calls this.
    #[inline]
    pub(crate) fn set(&self, way: usize, byte: u8) {
        let (word, shift) = (&self.0[way / 8 % (WAYS / 8)], way % 8 * 8);
        let others = word.load(Relaxed) & !(0xFF << shift);
        word.store(others | u64::from(byte) << shift, Release);
    }
}

/// The bytes of a group at one look.
#[derive(Clone, Copy)]
pub(crate) struct Seen(Words);

impl Seen {
    /// The slots that have this byte.
    #[inline]
    pub(crate) fn matches(self, byte: u8) -> Ways {
        Ways(equal(self.0, byte))
    }

    /// The first empty slot.
    #[inline]
    pub(crate) fn first_empty(self) -> Option<usize> {
        self.matches(EMPTY).next()
    }

    /// Whether an entry of the group is being changed.
    #[inline]
    pub(crate) fn is_busy(self) -> bool {
        self.matches(BUSY).next().is_some()
    }
}

/// Slots of a group, from the first on.
pub(crate) struct Ways(u32);

impl Iterator for Ways {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let way = self.0.trailing_zeros() as usize;
        self.0 &= self.0 - 1;
        Some(way)
    }
}

#[cfg(test)]
#[cfg(not(brimful_loom))]
mod tests {
    use super::*;

    #[test]
    fn a_group_fills_from_the_first_slot_and_finds_all_of_a_fingerprint() {
        let group = Group::of(WAYS);
        for way in 0..WAYS {
            assert_eq!(group.see().first_empty(), Some(way));
            group.set(way, if way % 3 == 0 { 7 } else { 8 });
        }
        assert_eq!(group.see().first_empty(), None);
        assert!(group.see().matches(7).eq((0..WAYS).step_by(3)));
        group.set(9, EMPTY);
        group.set(20, BUSY);
        assert_eq!(group.see().first_empty(), Some(9));
        assert!(!group.see().matches(7).any(|way| way == 9));
        assert_eq!(group.see().matches(9).next(), None);
        assert!(group.see().is_busy() && group.byte(20) == BUSY && group.byte(21) == 7);
        group.set(20, 8);
        assert!(!group.see().is_busy());
    }

    #[test]
    fn a_small_group_has_no_more_slots_than_it_is_given() {
        for slots in 0..WAYS {
            let group = Group::of(slots);
            while let Some(way) = group.see().first_empty() {
                group.set(way, 5);
            }
            assert!(group.see().matches(5).eq(0..slots));
        }
    }
}
