//! `Recent`: hits of one thread on one shard, of which the shard's order has not heard yet.
//!
//! A policy whose order a hit changes hears of hits by the holder of the lock. A thread that
//! reads without it notes the slot that it hit; whoever holds the lock next, and is about to ask
//! the policy for something, tells the policy of what was noted, in the order of each thread. So
//! where one thread alone uses the cache the order is exact.
//!
//! A thread whose notes are full tells of them itself, if the lock is free; else a hit is lost.
//! A hit on the slot that was noted last, of which nobody has told yet, is not noted again.
//!
//! Invariant: `written` and the slots are written by the lane's thread, `told` by the holder of the
//! shard's lock; slots from `told` up to `written` are noted. Both go round twice the places, so
//! that all noted and none noted can be told apart.

use crate::sync::cells::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};

/// So many notes take a line with their two counts.
const MOST: usize = 14;

/// After so many notes both counts are what they were.
const ROUND: u32 = 2 * MOST as u32;

fn before(at: u32) -> u32 {
    (at + ROUND - 1) % ROUND
}

#[repr(align(64))]
pub(super) struct Recent {
    written: AtomicU32,
    told: AtomicU32,
    slots: [AtomicU32; MOST],
}

impl Recent {
    pub(super) fn new() -> Self {
        Self {
            written: AtomicU32::new(0),
            told: AtomicU32::new(0),
            slots: std::array::from_fn(|_| AtomicU32::new(0)),
        }
    }

    #[inline]
    fn slot(&self, at: u32) -> &AtomicU32 {
        &self.slots[at as usize % MOST]
    }

    /// Notes a slot; says whether there was a place for it. The lane's thread alone calls this.
    #[inline]
    pub(super) fn note(&self, slot: u32) -> bool {
        let (written, told) = (self.written.load(Relaxed), self.told.load(Acquire));
        if written != told && self.slot(before(written)).load(Relaxed) == slot {
            return true;
        }
        if written == (told + MOST as u32) % ROUND {
            return false;
        }
        self.slot(written).store(slot, Relaxed);
        self.written.store((written + 1) % ROUND, Release);
        true
    }

    /// Takes the oldest note of which nobody was told yet. The holder of the shard's lock alone
    /// calls this.
    #[inline]
    pub(super) fn take(&self) -> Option<usize> {
        let told = self.told.load(Relaxed);
        if told == self.written.load(Acquire) {
            return None;
        }
        let slot = self.slot(told).load(Relaxed);
        self.told.store((told + 1) % ROUND, Release);
        Some(slot as usize)
    }
}

#[cfg(test)]
#[cfg(not(brimful_loom))]
mod tests {
    use super::*;

    fn told(recent: &Recent) -> Vec<usize> {
        std::iter::from_fn(|| recent.take()).collect()
    }

    #[test]
    fn notes_are_told_once_and_in_order_and_more_than_fit_are_refused() {
        let recent = Recent::new();
        for round in 0..9 {
            let first = 100 * round;
            for slot in 0..MOST as u32 {
                assert!(recent.note(first + slot) && recent.note(first + slot));
            }
            assert!(!recent.note(first));
            let all = (0..MOST).map(|slot| first as usize + slot);
            assert!(told(&recent).into_iter().eq(all));
            assert!(told(&recent).is_empty());
        }
        for _ in 0..50 {
            assert!(recent.note(1) && recent.note(2) && recent.note(1));
            assert_eq!(told(&recent), [1, 2, 1]);
        }
        assert!(
            recent.note(1),
            "it was told of, and may be the oldest by now"
        );
        assert_eq!(told(&recent), [1]);
    }
}
