//! `Cursor`: where a walk over a table is, between two steps of it.
//!
//! One idea: a rebuild moves entries to other slots, but their tags stay, and home groups are in
//! the order of tags. So a walk that lets go of the lock between its steps remembers no slot, but
//! the tag from which on it has yet to look, and goes on at what is this tag's home by then.
//!
//! Invariants
//! 1. Each tag is one step's: whatever is written between two steps, a walk meets no key twice,
//!    and each that is there all the time once.
//! 2. A step meets at most [`A_STEP`] entries, or more that share one tag.

use super::Table;
use crate::form::Form;
use crate::policy::Slot;

/// At most so many entries are met in one step.
const A_STEP: usize = if cfg!(brimful_loom) { 1 } else { 64 };

/// A step looks for entries that are at home in so many groups.
const GROUPS: usize = 2;

/// Above all tags.
const END: u64 = 1 << u32::BITS;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Cursor {
    /// The least tag that was not looked for, as a number.
    next: u64,
}

impl Cursor {
    pub(crate) const START: Self = Self { next: 0 };

    pub(crate) fn is_at_end(self) -> bool {
        self.next == END
    }
}

impl<K, V, F: Form> Table<K, V, F> {
    /// Makes a step: the slots of the entries that it meets, in no particular order. They stay
    /// good until the lock is left. O(1) expected.
    pub(crate) fn step(&self, cursor: &mut Cursor) -> Vec<Slot> {
        let from = cursor.next;
        let (homes, beyond) = self.cells.homes_from(from, GROUPS);
        let met = |slot| {
            let tag = u64::from(self.get(slot)?.tag().bits());
            (from..beyond).contains(&tag).then_some((tag, slot))
        };
        let slots = self.cells.slots_from(homes).map(Slot);
        let mut met: Vec<(u64, Slot)> = slots.filter_map(met).collect();
        cursor.next = beyond;
        if met.len() > A_STEP {
            met.sort_unstable_by_key(|&(tag, _)| tag);
            // Of one tag all are met, or none.
            cursor.next = met[A_STEP].0.max(met[0].0 + 1);
            met.retain(|&(tag, _)| tag < cursor.next);
        }
        met.into_iter().map(|(_, slot)| slot).collect()
    }
}
