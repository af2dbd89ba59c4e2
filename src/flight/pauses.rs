//! `Pauses`: which keys are not to be refreshed again yet, since their last refresh failed.
//!
//! Keys are known by their tags: one that shares another's waits as long. Pauses that have ended are
//! forgotten whenever there are twice as many as were kept the last time, so there
//! are never more than twice as many as refreshes failed within one pause, and some.

use crate::clock::Moment;
use crate::tag::Tag;
use hashbrown::HashTable;

/// So few are not worth a look.
const A_FEW: usize = 14;

#[derive(Default)]
pub(super) struct Pauses {
    until: HashTable<(Tag, Moment)>,
    most: usize,
}

impl Pauses {
    pub(super) fn add(&mut self, tag: Tag, until: Moment, now: Moment) {
        self.end(tag);
        if self.until.len() >= self.most.max(A_FEW) {
            self.until.retain(|pause| pause.1 > now);
            self.most = 2 * self.until.len();
            self.until.shrink_to(self.most, |pause| pause.0.hash());
        }
        let pause = (tag, until);
        self.until
            .insert_unique(tag.hash(), pause, |pause| pause.0.hash());
    }

    pub(super) fn holds(&self, tag: Tag, now: Moment) -> bool {
        let pause = self.until.find(tag.hash(), |pause| pause.0 == tag);
        pause.is_some_and(|pause| pause.1 > now)
    }

    pub(super) fn end(&mut self, tag: Tag) {
        if let Ok(pause) = self.until.find_entry(tag.hash(), |pause| pause.0 == tag) {
            pause.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_end_and_are_forgotten() {
        let mut pauses = Pauses::default();
        let tag = |n: u64| Tag::of(n.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        for now in 0..100_000_u64 {
            pauses.add(tag(now), now + 100, now);
            assert!(pauses.holds(tag(now), now + 99) && !pauses.holds(tag(now), now + 100));
            assert!(pauses.until.len() <= 220, "{}", pauses.until.len());
        }
        assert!(
            pauses.until.capacity() <= 900,
            "{}",
            pauses.until.capacity()
        );
        pauses.end(tag(99_999));
        assert!(!pauses.holds(tag(99_999), 99_999));
    }
}
