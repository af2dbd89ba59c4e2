//! `Label`: an entry's tag, and what hits have left on the entry, in one word.
//!
//! | bits | use |
//! |---|---|
//! | 0..3 | hits since it was admitted, or since the policy set them: at most [`MOST_HITS`] |
//! | 3 | it was ever hit |
//! | 4..32 | the tag |
//!
//! The tag never changes, so the word is changed by plain loads and stores: of two hits at
//! the same time, or of a hit and a policy's change, one may be lost. A hit that finds
//! nothing to change writes nothing, and so dirties no cache line.

use crate::sync::cells::{AtomicU32, Ordering::Relaxed};
use crate::tag::{BELOW, Tag};

/// The most hits that a label counts.
pub(crate) const MOST_HITS: u32 = 7;

const EVER: u32 = 1 << 3;

pub(crate) struct Label(AtomicU32);

impl Label {
    /// The label of a new entry.
    #[inline]
    pub(crate) fn new(tag: Tag) -> Self {
        Self(AtomicU32::new(tag.bits() >> BELOW << BELOW))
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
    pub(crate) fn hits(&self) -> u32 {
        self.0.load(Relaxed) & MOST_HITS
    }

    #[inline]
    pub(crate) fn was_hit(&self) -> bool {
        self.0.load(Relaxed) & EVER != 0
    }

    /// Counts a hit, up to `most`.
    #[inline]
    pub(crate) fn hit(&self, most: u32) {
        let (word, most) = (self.0.load(Relaxed), most.min(MOST_HITS));
        // One comparison: with `EVER`, and with as many hits as there may be, or more.
        if word & (EVER | MOST_HITS) < EVER + most {
            let more = u32::from(word & MOST_HITS < most);
            self.0.store((word | EVER) + more, Relaxed);
        }
    }

    #[inline]
    pub(crate) fn set_hits(&self, hits: u32) {
        let word = self.0.load(Relaxed);
        let set = word & !MOST_HITS | hits.min(MOST_HITS);
        if set != word {
            self.0.store(set, Relaxed);
        }
    }
}

#[cfg(test)]
#[cfg(not(brimful_loom))]
mod tests {
    use super::*;

    #[test]
    fn hits_count_up_to_the_most_and_leave_the_tag_alone() {
        for tag in [2, 0xFFF_FFFF, 0x800_0002].map(Tag::of) {
            for most in 0..=9 {
                let label = Label::new(tag);
                assert!(!label.was_hit());
                for hits in 0..12 {
                    assert_eq!(label.hits(), hits.min(most).min(MOST_HITS));
                    assert!(label.has(tag) && label.tag() == tag);
                    label.hit(most);
                    assert!(label.was_hit());
                }
                label.set_hits(1);
                assert!(label.hits() == 1 && label.has(tag) && label.was_hit());
                label.set_hits(99);
                assert!(label.hits() == MOST_HITS && label.has(tag) && label.was_hit());
                assert!(!label.has(Tag::of(0x123_4567)));
            }
        }
    }
}
