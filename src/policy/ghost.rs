//! A bounded memory of tags lately evicted.
//!
//! Each set of [`Sets`] is a queue of fingerprints: the newest stands first and
//! the oldest falls out. Over all sets that is close to one queue of the same
//! length (ages at the end vary by a fifth), at 2 bytes a tag and without links,
//! stamps or an index. A tag that was never remembered is taken for a ghost once
//! in 2,000 times.
//!
//! Invariants
//! 1. At most `slots` tags are remembered: `depth` in each set.
//! 2. In each set, fingerprints stand before empty slots.
//! 3. `live` is how many there are in all.

use super::sets::{Set, Sets};
use crate::tag::Tag;

/// Slots of a set: 64 bytes of them.
const SLOTS: usize = 32;

#[derive(Clone, Default)]
pub(crate) struct Ghost {
    sets: Sets<SLOTS>,
    depth: usize,
    live: usize,
}

impl Ghost {
    /// How many tags can be remembered.
    #[inline]
    pub(crate) fn slots(&self) -> usize {
        self.sets.len() * self.depth
    }

    /// Sees that there are slots for `tags` tags, give or take a few: more as
    /// soon as there are too few, less when there are four times too many.
    #[inline]
    pub(crate) fn follow(&mut self, tags: usize) {
        let slots = self.slots();
        if tags > slots || tags * 4 + SLOTS < slots {
            self.fit(tags + tags / 8);
        }
    }

    /// Makes slots for `tags` tags, and keeps what was remembered where it can:
    /// while there are some, sets are only doubled, and deeper or shallower.
    #[cold]
    #[inline(never)]
    pub(crate) fn fit(&mut self, tags: usize) {
        let sets = tags.div_ceil(SLOTS);
        let doubled = self.sets.len() * 2;
        if self.live == 0 || sets > doubled || tags < self.slots() {
            self.sets.fit(tags);
        } else if sets > self.sets.len() {
            self.sets.fit(doubled * SLOTS);
        }
        self.depth = tags.div_ceil(self.sets.len().max(1));
        let (depth, sets) = (self.depth, self.sets.iter_mut());
        sets.for_each(|set| set.0[depth..].fill(0));
        let fingerprints = self.sets.iter().flat_map(|set| set.0);
        self.live = fingerprints.filter(|&known| known != 0).count();
    }

    /// Gives up slots beyond those for `tags` tags.
    pub(crate) fn shrink(&mut self, tags: usize) {
        if tags < self.slots() {
            self.fit(tags);
        }
    }

    /// Asks for the memory in which `tag` may be, and does not wait for it.
    #[inline]
    pub(crate) fn prefetch(&self, tag: Tag) {
        self.sets.prefetch(tag);
    }

    /// Remembers `tag` as the newest. O(1).
    #[inline]
    pub(crate) fn remember(&mut self, tag: Tag) {
        let last = self.depth.wrapping_sub(1);
        let Some(Set(set)) = self.sets.set_mut(tag) else {
            return;
        };
        let oldest = set[last % SLOTS];
        // A fresh array rather than a move within the old one: some vector stores.
        let mut pushed = [tag.fingerprint(); SLOTS];
        pushed[1..].copy_from_slice(&set[..SLOTS - 1]);
        if last + 1 < SLOTS {
            pushed[last + 1] = 0;
        }
        *set = pushed;
        self.live += usize::from(oldest == 0);
    }

    /// Whether `tag` is remembered. O(1).
    pub(crate) fn remembers(&self, tag: Tag) -> bool {
        let set = self.sets.set(tag);
        set.is_some_and(|set| set.0.contains(&tag.fingerprint()))
    }

    /// Forgets `tag`; says whether it was remembered. O(1).
    #[inline]
    pub(crate) fn forget(&mut self, tag: Tag) -> bool {
        let Some(Set(set)) = self.sets.set_mut(tag) else {
            return false;
        };
        // Without an early end: four vector comparisons, and most tags are not there.
        let is = |&known: &u16| known == tag.fingerprint();
        if !set.iter().fold(false, |any, known| any | is(known)) {
            return false;
        }
        let Some(slot) = set.iter().position(is) else {
            return false;
        };
        set.copy_within(slot + 1.., slot);
        set[SLOTS - 1] = 0;
        self.live -= 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(n: u64) -> Tag {
        let mixed = (n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Tag::of((mixed ^ mixed >> 31).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 32)
    }

    #[test]
    fn remembers_about_as_many_as_it_has_slots_for_and_the_newest() {
        let mut ghost = Ghost::default();
        assert!(!ghost.forget(tag(1)));
        ghost.remember(tag(1));
        ghost.fit(1_600);
        assert_eq!(ghost.slots(), 1_600);
        for n in 0..100_000 {
            ghost.remember(tag(n));
        }
        assert!((1_500..=1_600).contains(&ghost.live), "{}", ghost.live);
        let before = ghost.live;
        let known = (0..100_000).filter(|&n| ghost.forget(tag(n))).count();
        assert_eq!((known, ghost.live), (before, 0));
        for n in 0..32 {
            ghost.remember(tag(n));
            assert!(ghost.forget(tag(n)));
            assert!(!ghost.forget(tag(n)));
        }
    }

    #[test]
    fn a_tag_never_remembered_is_seldom_taken_for_a_ghost() {
        let mut ghost = Ghost::default();
        ghost.fit(3_200);
        let mut wrong = 0;
        for n in 0..200_000 {
            ghost.remember(tag(n));
            wrong += u64::from(ghost.forget(tag(1 << 40 | n)));
        }
        assert!(wrong < 200, "{wrong} of 200,000");
    }

    #[test]
    fn every_set_is_used_however_many_there_are() {
        for slots in [1, 3, 40, 160, 4_096, 100_000] {
            let mut ghost = Ghost::default();
            ghost.fit(slots);
            (0..20 * slots as u64 + 20).for_each(|n| ghost.remember(tag(n)));
            assert!(ghost.live <= ghost.slots());
            assert!(ghost.live * 10 >= slots * 9, "{} of {slots}", ghost.live);
        }
    }

    #[test]
    fn growth_keeps_what_was_remembered() {
        let mut ghost = Ghost::default();
        ghost.fit(320);
        (0..100).for_each(|n| ghost.remember(tag(n)));
        ghost.fit(640);
        assert_eq!((0..100).filter(|&n| ghost.forget(tag(n))).count(), 100);
        (0..100).for_each(|n| ghost.remember(tag(n)));
        ghost.fit(0);
        assert_eq!((ghost.live, ghost.slots()), (0, 0));
    }
}
