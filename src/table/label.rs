//! `Label`: an entry's tag, and what hits have left on the entry, in one word.
//!
//! | bits | use |
//! |---|---|
//! | 0..2 | hits since it was admitted, or since the policy set them |
//! | 2 | of a policy that counts to 3 at most: nobody watches the entry; else the count's third bit |
//! | 3 | it was ever hit |
//! | 4..32 | the tag |
//!
//! The tag never changes, so the word is changed by plain loads and stores: of two hits at
//! the same time, or of a hit and a policy's change, one may be lost. A hit that finds
//! nothing to change writes nothing, and so dirties no cache line. That, and that nobody watches,
//! is one comparison: the low bits are at their most.

use crate::sync::cells::{AtomicU32, Ordering::Relaxed};
use crate::tag::{BELOW, Tag};

/// The most hits that a label counts.
pub(crate) const MOST_HITS: u32 = 7;

/// The most hits of a policy that may watch entries.
pub(crate) const MOST_WATCHED: u32 = 3;

const CALM: u32 = 1 << 2;
const EVER: u32 = 1 << 3;
const LOW: u32 = (1 << BELOW) - 1;

/// The bit that says that nobody watches, where hits count up to `most`.
#[inline]
const fn calm(most: u32) -> u32 {
    if most <= MOST_WATCHED { CALM } else { 0 }
}

pub(crate) struct Label(AtomicU32);

impl Label {
    /// The label of a new entry, where hits count up to `most`.
    #[inline]
    pub(crate) fn new(tag: Tag, most: u32) -> Self {
        Self(AtomicU32::new(tag.bits() >> BELOW << BELOW | calm(most)))
    }

    /// That of no entry.
    pub(super) fn none() -> Self {
        Self(AtomicU32::new(0))
    }

    #[inline]
    pub(super) fn is_some(&self) -> bool {
        self.0.load(Relaxed) != 0
    }

    #[inline]
    pub(super) fn word(&self) -> u32 {
        self.0.load(Relaxed)
    }

    #[inline]
    pub(super) fn set(&self, word: u32) {
        self.0.store(word, Relaxed);
    }

    /// Leaves none.
    #[inline]
    pub(super) fn take(&self) -> Self {
        let word = self.word();
        self.set(0);
        Self(AtomicU32::new(word))
    }

    #[inline]
    pub(crate) fn has(&self, tag: Tag) -> bool {
        self.0.load(Relaxed) >> BELOW == tag.bits() >> BELOW
    }

    #[inline]
    pub(crate) fn tag(&self) -> Tag {
        Tag::above(self.0.load(Relaxed))
    }

    #[inline]
    pub(crate) fn hits(&self, most: u32) -> u32 {
        self.0.load(Relaxed) & (MOST_HITS ^ calm(most))
    }

    #[inline]
    pub(crate) fn was_hit(&self) -> bool {
        self.0.load(Relaxed) & EVER != 0
    }

    /// Counts a hit, up to `most`; says whether the entry is watched.
    #[inline]
    pub(crate) fn hit(&self, most: u32) -> bool {
        let (word, most) = (self.0.load(Relaxed), most.min(MOST_HITS));
        if word & LOW >= EVER | calm(most) | most {
            return false;
        }
        let more = u32::from(word & (MOST_HITS ^ calm(most)) < most);
        let after = (word | EVER) + more;
        if after != word {
            self.0.store(after, Relaxed);
        }
        word & calm(most) != calm(most)
    }

    #[inline]
    pub(crate) fn set_hits(&self, hits: u32, most: u32) {
        let (word, mask) = (self.0.load(Relaxed), MOST_HITS ^ calm(most));
        let set = word & !mask | hits.min(mask);
        if set != word {
            self.0.store(set, Relaxed);
        }
    }

    /// Watches the entry from now on, if hits count up to no more than [`MOST_WATCHED`].
    #[inline]
    pub(crate) fn watch(&self, most: u32) {
        self.0.store(self.0.load(Relaxed) & !calm(most), Relaxed);
    }
}

#[cfg(test)]
#[cfg(not(brimful_loom))]
mod tests {
    use super::*;

    #[test]
    fn hits_count_up_to_the_most_and_leave_the_tag_alone() {
        for tag in [2, 0xFFF_FFFF, 0x800_0002].map(Tag::of) {
            for (most, watched) in (0..=9).flat_map(|most| [(most, false), (most, true)]) {
                let label = Label::new(tag, most);
                let watched = watched && most <= MOST_WATCHED;
                if watched {
                    label.watch(most);
                }
                assert!(!label.was_hit());
                for hits in 0..12 {
                    assert_eq!(label.hits(most), hits.min(most).min(MOST_HITS));
                    assert!(label.has(tag) && label.tag() == tag);
                    assert_eq!(label.hit(most), watched, "{most}");
                    assert!(label.was_hit());
                }
                let top = if most > MOST_WATCHED {
                    MOST_HITS
                } else {
                    MOST_WATCHED
                };
                for (set, is) in [(1, 1), (0, 0), (99, top)] {
                    label.set_hits(set, most);
                    assert!(label.hits(most) == is && label.has(tag) && label.was_hit());
                }
                assert!(!label.has(Tag::of(0x123_4567)));
                assert_eq!(label.hit(most), watched);
            }
        }
    }

    #[test]
    fn a_hit_that_changes_nothing_on_an_entry_that_nobody_watches_writes_nothing() {
        let label = Label::new(Tag::of(77), 3);
        (0..4).for_each(|_| assert!(!label.hit(3)));
        let word = label.word();
        assert!(!label.hit(3) && label.word() == word);
        label.watch(3);
        assert!(label.hit(3) && label.hits(3) == 3 && label.was_hit());
        label.watch(7);
        assert_eq!(
            label.word(),
            word & !CALM,
            "who counts further watches nothing"
        );
    }
}
