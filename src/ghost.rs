//! A bounded memory of tags lately evicted.
//!
//! Sixteen tags make a set, one cache line; within a set the newest stands
//! first and the oldest falls out. A tag picks its set by multiply-shift, so
//! any number of sets will do. Over all sets that is close to one queue of the
//! same length (ages at the end vary by a quarter), at 4 bytes a tag and
//! without links, stamps or an index.
//!
//! Invariants
//! 1. At most `16 * sets` tags are remembered; nothing grows on its own:
//!    [`Ghost::fit`] alone allocates.
//! 2. In each set, tags stand before empty places.

use crate::tag::Tag;

const WAYS: usize = 16;

#[derive(Default)]
pub(crate) struct Ghost {
    sets: Vec<[u32; WAYS]>,
}

impl Ghost {
    /// How many tags can be remembered.
    #[inline]
    pub(crate) fn places(&self) -> usize {
        self.sets.len() * WAYS
    }

    /// Makes places for at least `tags` tags and keeps what was remembered.
    #[cold]
    #[inline(never)]
    pub(crate) fn fit(&mut self, tags: usize) {
        let sets = vec![[0; WAYS]; tags.div_ceil(WAYS)];
        let before = std::mem::replace(&mut self.sets, sets);
        for way in (0..WAYS).rev() {
            for set in &before {
                if let Some(tag) = Tag::from_bits(set[way]) {
                    self.remember(tag);
                }
            }
        }
    }

    /// Remembers `tag` as the newest. O(1).
    #[inline]
    pub(crate) fn remember(&mut self, tag: Tag) {
        if let Some(set) = self.set(tag) {
            // A fresh array rather than a move within the old one: four vector stores.
            let mut pushed = [tag.bits(); WAYS];
            pushed[1..].copy_from_slice(&set[..WAYS - 1]);
            *set = pushed;
        }
    }

    /// Forgets `tag`; says whether it was remembered. O(1).
    #[inline]
    pub(crate) fn forget(&mut self, tag: Tag) -> bool {
        let Some(set) = self.set(tag) else {
            return false;
        };
        // Without an early end: four vector comparisons, and most tags are not there.
        if !set
            .iter()
            .fold(false, |any, &bits| any | (bits == tag.bits()))
        {
            return false;
        }
        let Some(way) = set.iter().position(|&bits| bits == tag.bits()) else {
            return false;
        };
        set.copy_within(way + 1.., way);
        set[WAYS - 1] = 0;
        true
    }

    #[inline]
    fn set(&mut self, tag: Tag) -> Option<&mut [u32; WAYS]> {
        // Mixed first: the high bits, which pick the set, hold one that is always 1.
        let mixed = tag.bits().wrapping_mul(0x9E37_79B1);
        let set = (u64::from(mixed) * self.sets.len() as u64) >> 32;
        self.sets.get_mut(set as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(n: u64) -> Tag {
        Tag::of(n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20)
    }

    #[test]
    fn remembers_about_as_many_as_it_has_places_for_and_the_newest() {
        let mut ghost = Ghost::default();
        assert!(!ghost.forget(tag(1)));
        ghost.fit(1_600);
        assert_eq!(ghost.places(), 1_600);
        for n in 0..100_000 {
            ghost.remember(tag(n));
        }
        let known = (0..100_000).filter(|&n| ghost.forget(tag(n))).count();
        assert!((1_500..=1_600).contains(&known), "{known}");
        for n in 0..16 {
            ghost.remember(tag(n));
            assert!(ghost.forget(tag(n)));
            assert!(!ghost.forget(tag(n)));
        }
    }

    #[test]
    fn every_set_is_used_however_many_there_are() {
        for places in [16, 160, 4_096, 100_000] {
            let mut ghost = Ghost::default();
            ghost.fit(places);
            (0..20 * places as u64).for_each(|n| ghost.remember(tag(n)));
            let full = ghost.sets.iter().filter(|set| set[WAYS - 1] != 0).count();
            assert!(
                full * 10 >= ghost.sets.len() * 9,
                "{full} full sets, {places} places"
            );
        }
    }

    #[test]
    fn fitting_keeps_what_was_remembered() {
        let mut ghost = Ghost::default();
        ghost.fit(160);
        (0..40).for_each(|n| ghost.remember(tag(n)));
        ghost.fit(1_600);
        assert_eq!((0..40).filter(|&n| ghost.forget(tag(n))).count(), 40);
    }
}
