//! Sets: a flat table of 16-bit records, `SLOTS` to a set, for what is remembered of
//! keys that are not here.
//!
//! A tag's high bits pick its set by multiply-shift, so any number of sets will do,
//! and a part of its low bits is the fingerprint by which a record knows it. A set is
//! half a cache line or a whole one, so all that is known of a key lies close
//! together. What the records mean, and which of them gives way to a new one, is for
//! the rooms above.
//!
//! Invariants
//! 1. Nothing grows on its own: [`Sets::fit`] alone allocates.
//! 2. A record of 0 is an empty slot.

use crate::processor;
use crate::tag::Tag;

#[derive(Clone, Copy)]
#[repr(align(32))]
pub(super) struct Set<const SLOTS: usize>(pub(super) [u16; SLOTS]);

#[derive(Clone, Default)]
pub(super) struct Sets<const SLOTS: usize>(Box<[Set<SLOTS>]>);

impl<const SLOTS: usize> Sets<SLOTS> {
    /// How many sets there are.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// How many records there may be.
    #[inline]
    pub(super) fn slots(&self) -> usize {
        self.len() * SLOTS
    }

    /// The index of the set in which a tag's record lies: 0 if there is no set.
    #[inline]
    fn index(&self, tag: Tag) -> usize {
        ((u64::from(tag.bits()) * self.len() as u64) >> 32) as usize
    }

    /// The set of a tag; `None` as long as there is no set.
    #[inline]
    pub(super) fn set(&self, tag: Tag) -> Option<&Set<SLOTS>> {
        self.0.get(self.index(tag))
    }

    /// The set of a tag, to be changed.
    #[inline]
    pub(super) fn set_mut(&mut self, tag: Tag) -> Option<&mut Set<SLOTS>> {
        self.0.get_mut(self.index(tag))
    }

    /// Asks for the set of a tag, and does not wait for it.
    #[inline]
    pub(super) fn prefetch(&self, tag: Tag) {
        if let Some(set) = self.set(tag) {
            processor::prefetch(set);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Set<SLOTS>> {
        self.0.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Set<SLOTS>> {
        self.0.iter_mut()
    }

    /// Makes slots for `keys` keys, or up to a set more. Each new set begins as a copy
    /// of the old one that held the middle of its tags: doubled, nothing is lost.
    #[cold]
    #[inline(never)]
    pub(super) fn fit(&mut self, keys: usize) {
        let sets = keys.div_ceil(SLOTS);
        let before = std::mem::take(&mut self.0);
        let old = |new: usize| {
            let middle = (2 * new as u128 + 1) * before.len() as u128 / (2 * sets as u128);
            before.get(middle as usize).copied()
        };
        self.0 = (0..sets)
            .map(|new| old(new).unwrap_or(Set([0; SLOTS])))
            .collect();
    }

    /// Gives up slots beyond those for `keys` keys.
    pub(super) fn shrink(&mut self, keys: usize) {
        if keys + SLOTS <= self.slots() {
            self.fit(keys);
        }
    }
}
