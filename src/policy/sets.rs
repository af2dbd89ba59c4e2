//! Sets: a flat table of 16-bit records, 32 to a set, for what is remembered of
//! keys that are not here.
//!
//! A tag's high bits pick its set by multiply-shift, so any number of sets will do,
//! and its print is what a record knows it by; a set is one cache line, so all of a
//! key's memory is one line away. What the records mean, and which of them gives
//! way to a new one, is for the rooms above.
//!
//! Invariants
//! 1. Nothing grows on its own: [`Sets::fit`] alone allocates.
//! 2. A record of 0 is an empty place.

use crate::processor;
use crate::tag::Tag;

/// Places in a set: one cache line of them.
pub(crate) const WAYS: usize = 32;

pub(crate) type Set = [u16; WAYS];

#[derive(Default)]
pub(crate) struct Sets(Box<[Set]>);

/// Where a tag's record lies, and what it must look like.
pub(crate) struct Place {
    pub(crate) set: usize,
    pub(crate) print: u16,
}

impl Sets {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The set and the fingerprint of `tag`; `None` as long as there is no set.
    #[inline]
    pub(crate) fn place(&self, tag: Tag) -> Option<Place> {
        let place = Place {
            set: ((u64::from(tag.bits()) * self.0.len() as u64) >> 32) as usize,
            print: tag.print(),
        };
        (!self.0.is_empty()).then_some(place)
    }

    /// Asks for the set of a tag, and does not wait for it.
    #[inline]
    pub(crate) fn fetch(&self, tag: Tag) {
        if let Some(set) = self.place(tag).and_then(|place| self.0.get(place.set)) {
            processor::fetch(set);
        }
    }

    #[inline]
    pub(crate) fn set(&self, place: &Place) -> Option<&Set> {
        self.0.get(place.set)
    }

    #[inline]
    pub(crate) fn set_mut(&mut self, place: &Place) -> Option<&mut Set> {
        self.0.get_mut(place.set)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Set> {
        self.0.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Set> {
        self.0.iter_mut()
    }

    /// Changes the number of sets. Each new set begins as a copy of the old one
    /// that held the middle of its tags: doubled, nothing is lost.
    #[cold]
    #[inline(never)]
    pub(crate) fn fit(&mut self, sets: usize) {
        let before = std::mem::take(&mut self.0);
        let old = |new: usize| {
            let middle = (2 * new as u128 + 1) * before.len() as u128 / (2 * sets as u128);
            before.get(middle as usize).copied()
        };
        self.0 = (0..sets).map(|new| old(new).unwrap_or_default()).collect();
    }
}
