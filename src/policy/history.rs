//! History: what is remembered of keys, whether they are here or not.
//!
//! A key has one record of 16 bits: a fingerprint, how often it was asked for
//! of late, and how it left. Its tag picks a set of 16 records, half a cache
//! line, and each set is a queue: a key that enters is put at the front and
//! pushes the others on. What falls out at the end has had its time, unless it
//! was asked for more than once: then it goes to the front again, one lower.
//! So one-timers pass through, what is popular stays, and what was popular wears off.
//!
//! How far a record has moved on is its *age*, in records pushed into the whole
//! history since. A key that entered not long ago and is not here now was
//! evicted not long ago: that makes a ghost without a list of ghosts, and an
//! eviction costs nothing here.
//!
//! | bits | use |
//! |---|---|
//! | 0..3 | count, at most 7 |
//! | 3..5 | what is known of its way out: nothing, no ghost, evicted late |
//! | 5..16 | fingerprint, never 0; all bits of an empty slot are 0 |
//!
//! A key that was never here is taken for another once in some 130 times, for a
//! young one once in 1,000.
//!
//! Invariants
//! 1. In a set no fingerprint stands twice.
//! 2. [`Sets::fit`] alone allocates.
//! 3. A push ends: each record that goes round again has lost one of its count.

use super::sets::{Set, Sets};
use crate::tag::Tag;
use std::array;

/// Slots of a set: what two vector instructions compare.
const SLOTS: usize = 16;
const HALF: usize = SLOTS / 2;

const COUNT: u16 = 7;
const WAY_OUT: u16 = 3 << 3;
/// Nothing is known of how it left: if it is not here, the queue that it entered let go of it.
const UNKNOWN: u16 = 0;
/// It left by no choice of the policy, or is long forgotten: no ghost.
const NO_GHOST: u16 = 1 << 3;
/// It was evicted, and the history was told.
const EVICTED: u16 = 2 << 3;
const FINGERPRINT: u16 = !(COUNT | WAY_OUT);

/// The queue of records of each set.
#[derive(Clone, Default)]
pub(crate) struct History {
    sets: Sets<SLOTS>,
}

/// What was known of a key when it entered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Past {
    /// How often it had been asked for of late.
    pub(crate) count: u32,
    pub(crate) way_out: WayOut,
    /// Records pushed since it entered, or since [`History::evicted`].
    pub(crate) age: usize,
}

impl Past {
    #[inline]
    fn told_by(record: u16, age: usize) -> Self {
        Self {
            count: u32::from(record & COUNT),
            way_out: match record & WAY_OUT {
                UNKNOWN => WayOut::Unknown,
                EVICTED => WayOut::Evicted,
                _ => WayOut::NoGhost,
            },
            age,
        }
    }
}

/// How a key left, as far as it was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum WayOut {
    Unknown,
    NoGhost,
    Evicted,
}

impl History {
    /// How many keys can be remembered.
    #[inline]
    pub(crate) fn slots(&self) -> usize {
        self.sets.slots()
    }

    /// Makes slots for `keys` keys, or up to a set more, and keeps most records.
    pub(crate) fn fit(&mut self, keys: usize) {
        self.sets.fit(keys);
    }

    /// Gives up slots beyond those for `keys` keys.
    pub(crate) fn shrink(&mut self, keys: usize) {
        self.sets.shrink(keys);
    }

    /// A key enters, unless it is known; says whether it was not. O(1).
    #[inline]
    pub(crate) fn enter_new(&mut self, tag: Tag) -> bool {
        let Some(set) = self.sets.set_mut(tag) else {
            return true;
        };
        let known = set.knows(fingerprint(tag));
        if !known {
            set.push(fingerprint(tag) | UNKNOWN | 1);
        }
        !known
    }

    /// A known key enters, and is asked for once more; says what was known of it. O(1).
    pub(crate) fn enter_again(&mut self, tag: Tag) -> Option<Past> {
        let sets = self.sets.len();
        let set = self.sets.set_mut(tag)?;
        let slot = set.slot(fingerprint(tag))?;
        let record = set.renew(slot, |record| raised(record, 1) & !WAY_OUT | UNKNOWN);
        Some(Past::told_by(record, slot * sets))
    }

    /// What is known of a key, which does not enter. O(1).
    pub(crate) fn past(&self, tag: Tag) -> Option<Past> {
        let set = self.sets.set(tag)?;
        let slot = set.slot(fingerprint(tag))?;
        Some(Past::told_by(set.0[slot], slot * self.sets.len()))
    }

    /// Asks for what is known of a key, and does not wait for it.
    #[inline]
    pub(crate) fn prefetch(&self, tag: Tag) {
        self.sets.prefetch(tag);
    }

    /// The key was evicted, late enough that its age would not show it. O(1).
    pub(crate) fn evicted(&mut self, tag: Tag) {
        let Some(set) = self.sets.set_mut(tag) else {
            return;
        };
        match set.slot(fingerprint(tag)) {
            Some(slot) => {
                set.renew(slot, |record| record & !WAY_OUT | EVICTED);
            }
            None => set.push(fingerprint(tag) | EVICTED),
        }
    }

    /// The key left by no choice of the policy: it is no ghost. O(1).
    pub(crate) fn removed(&mut self, tag: Tag) {
        if let Some(record) = self.record(tag) {
            *record = *record & !WAY_OUT | NO_GHOST;
        }
    }

    /// Adds `by` to the count of a key; says what it is now. O(1).
    pub(crate) fn raise(&mut self, tag: Tag, by: u32) -> u32 {
        let Some(set) = self.sets.set_mut(tag) else {
            return 0;
        };
        let by = by.min(COUNT.into()) as u16;
        let Some(slot) = set.slot(fingerprint(tag)) else {
            set.push(fingerprint(tag) | NO_GHOST | by);
            return by.into();
        };
        set.0[slot] = raised(set.0[slot], by);
        u32::from(set.0[slot] & COUNT)
    }

    /// How often a key was asked for of late, at most 7. O(1).
    pub(crate) fn count(&mut self, tag: Tag) -> u32 {
        self.record(tag).map_or(0, |record| *record & COUNT).into()
    }

    /// Takes one off the count of a key, unless it is 1 or unknown. O(1).
    pub(crate) fn lower(&mut self, tag: Tag) {
        if let Some(record) = self.record(tag) {
            *record -= u16::from(*record & COUNT > 1);
        }
    }

    #[inline]
    fn record(&mut self, tag: Tag) -> Option<&mut u16> {
        let set = self.sets.set_mut(tag)?;
        let slot = set.slot(fingerprint(tag))?;
        Some(&mut set.0[slot])
    }
}

/// What a record knows a tag by: never 0.
#[inline]
fn fingerprint(tag: Tag) -> u16 {
    (tag.fingerprint() & FINGERPRINT).max(!FINGERPRINT + 1)
}

/// The record with `by` more, at most the most.
#[inline]
fn raised(record: u16, by: u16) -> u16 {
    record & !COUNT | (record & COUNT).saturating_add(by).min(COUNT)
}

/// Each set is a queue of records, the newest first.
impl Set<SLOTS> {
    /// Whether there is a record of this fingerprint. Without an early end: a few
    /// vector instructions.
    #[inline]
    fn knows(&self, fingerprint: u16) -> bool {
        let is = |record: &u16| record & FINGERPRINT == fingerprint;
        self.0.iter().fold(false, |any, record| any | is(record))
    }

    /// The slot of the record of this fingerprint.
    #[inline]
    fn slot(&self, fingerprint: u16) -> Option<usize> {
        self.0
            .iter()
            .position(|record| record & FINGERPRINT == fingerprint)
    }

    /// Puts a record at the front.
    #[inline]
    fn push(&mut self, record: u16) {
        let last = self.shift(record);
        if last & COUNT > 1 {
            self.push_again(last);
        }
    }

    /// What falls out goes round again, one lower, if it was asked for more than once.
    #[inline(never)]
    fn push_again(&mut self, mut last: u16) {
        while last & COUNT > 1 {
            let way_out = if last & WAY_OUT == EVICTED {
                EVICTED
            } else {
                NO_GHOST
            };
            last = self.shift(last & FINGERPRINT | way_out | ((last & COUNT) - 1));
        }
    }

    /// Puts a record at the front; says what fell out at the end.
    #[inline]
    fn shift(&mut self, record: u16) -> u16 {
        let last = self.0[SLOTS - 1];
        // In two halves, each of which is one load and one store.
        let young: [u16; HALF] = array::from_fn(|slot| self.0[slot]);
        let old: [u16; HALF] = array::from_fn(|slot| self.0[HALF - 1 + slot]);
        self.0[1..=HALF].copy_from_slice(&young);
        self.0[HALF..].copy_from_slice(&old);
        self.0[0] = record;
        last
    }

    /// Puts a record at the front, changed; returns it as it was.
    #[inline]
    fn renew(&mut self, slot: usize, change: impl FnOnce(u16) -> u16) -> u16 {
        let record = self.0[slot];
        self.0.copy_within(..slot, 1);
        self.0[0] = change(record);
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(n: u64) -> Tag {
        let mixed = (n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Tag::of((mixed ^ mixed >> 31).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 32)
    }

    fn fitted(keys: usize) -> History {
        let mut history = History::default();
        history.fit(keys);
        history
    }

    fn enter(history: &mut History, n: u64) -> Option<Past> {
        if history.enter_new(tag(n)) {
            return None;
        }
        history.enter_again(tag(n))
    }

    fn known(history: &mut History, keys: std::ops::Range<u64>) -> usize {
        keys.filter(|&n| history.count(tag(n)) > 0).count()
    }

    #[test]
    fn without_slots_it_knows_nothing() {
        let mut history = History::default();
        assert_eq!(enter(&mut history, 1), None);
        assert_eq!(history.raise(tag(1), 3), 0);
        history.evicted(tag(1));
        history.removed(tag(1));
        history.lower(tag(1));
        history.shrink(0);
        assert_eq!((history.count(tag(1)), history.slots()), (0, 0));
    }

    #[test]
    fn counts_are_exact_up_to_seven_while_there_is_room() {
        let mut history = fitted(6_400);
        (0..200).for_each(|n| (0..n % 4).for_each(|_| _ = enter(&mut history, n)));
        let wrong = (0..200).filter(|&n| u64::from(history.count(tag(n))) != n % 4);
        assert!(wrong.count() <= 2, "but for a shared fingerprint");
        assert_eq!(history.raise(tag(1), 2), 3);
        assert_eq!(history.raise(tag(1), u32::MAX), 7);
        assert_eq!(enter(&mut history, 1).unwrap().count, 7);
        assert_eq!(history.count(tag(1)), 7);
        (0..9).for_each(|_| history.lower(tag(1)));
        assert_eq!(history.count(tag(1)), 1);
        assert_eq!(history.raise(tag(4), 5), 5, "unknown before");
    }

    #[test]
    fn one_timers_pass_through_what_was_asked_for_stays_and_wears_off() {
        let mut history = fitted(320);
        (0..50).for_each(|n| _ = history.raise(tag(n), 7));
        (1_000..1_960).for_each(|n| _ = enter(&mut history, n));
        assert!(known(&mut history, 0..50) >= 48, "three rounds");
        assert!(known(&mut history, 1_000..1_400) < 25, "of one-timers");
        assert!(known(&mut history, 1_800..1_960) > 150, "of the newest");
        // Each round takes one off a count.
        let most = (0..50).map(|n| history.count(tag(n))).max();
        assert!((3..7).contains(&most.unwrap()), "{most:?}");
        (10_000..16_000).for_each(|n| _ = enter(&mut history, n));
        assert!(
            known(&mut history, 0..50) <= 3,
            "but for a shared fingerprint"
        );
    }

    #[test]
    fn the_age_of_a_young_key_is_how_many_were_pushed_since() {
        let mut history = fitted(16);
        enter(&mut history, 0);
        for age in 1..16 {
            enter(&mut history, age);
            history.raise(tag(0), 1);
            let mut later = fitted(16);
            later.sets = history.sets.clone();
            assert_eq!(enter(&mut later, 0).unwrap().age as u64, age);
        }
        // And about as many in several sets.
        let mut history = fitted(3_200);
        (0..10_000).for_each(|n| _ = enter(&mut history, n));
        let ages = (9_000..9_100).filter_map(|n| Some(enter(&mut history, n)?.age));
        let ages: Vec<usize> = ages.collect();
        let mean = ages.iter().sum::<usize>() / ages.len();
        assert_eq!(ages.len(), 100);
        assert!((800..1_200).contains(&mean), "{mean} of about 1,000");
    }

    #[test]
    fn the_way_out_is_told_once_and_makes_young() {
        let mut history = fitted(16);
        (0..8).for_each(|n| _ = enter(&mut history, n));
        history.evicted(tag(0));
        history.evicted(tag(100));
        history.removed(tag(1));
        history.removed(tag(101));
        let mut past = |n| {
            let past = enter(&mut history, n)?;
            Some((past.count, past.way_out, past.age))
        };
        assert_eq!(past(0), Some((1, WayOut::Evicted, 1)));
        assert_eq!(past(0), Some((2, WayOut::Unknown, 0)));
        assert_eq!(past(100), Some((0, WayOut::Evicted, 1)));
        assert_eq!(past(1), Some((1, WayOut::NoGhost, 8)));
        assert_eq!(past(1), Some((2, WayOut::Unknown, 0)));
        assert_eq!(past(101), None);
    }

    #[test]
    fn what_went_round_is_no_ghost_unless_it_was_evicted() {
        let mut history = fitted(16);
        for n in [1, 2] {
            history.raise(tag(n), 5);
            enter(&mut history, n);
        }
        history.evicted(tag(2));
        (10..30).for_each(|n| _ = enter(&mut history, n));
        let way_out = [1, 2].map(|n| enter(&mut history, n).unwrap().way_out);
        assert_eq!(way_out, [WayOut::NoGhost, WayOut::Evicted]);
    }

    #[test]
    fn no_fingerprint_stands_twice_in_a_set_whatever_is_done() {
        let mut history = fitted(64);
        let mut dice = 1_u64;
        for _ in 0..200_000 {
            dice = dice.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
            let tag = tag(dice >> 32 & 127);
            match dice >> 60 {
                0..6 => _ = history.enter_new(tag) || history.enter_again(tag).is_some(),
                6..8 => history.evicted(tag),
                8..10 => history.removed(tag),
                10..12 => history.lower(tag),
                12 => history.fit(16 + (dice >> 40 & 127) as usize),
                _ => _ = history.raise(tag, (dice >> 50 & 3) as u32),
            }
        }
        let mut fingerprints = 0;
        for set in history.sets.iter() {
            let mut seen: Vec<u16> = set.0.iter().map(|record| record & FINGERPRINT).collect();
            seen.retain(|&known| known != 0);
            fingerprints += seen.len();
            seen.sort_unstable();
            assert!(seen.is_sorted_by(|one, next| one < next), "{seen:?}");
        }
        assert!(fingerprints > history.slots() / 2, "{fingerprints}");
    }

    #[test]
    fn a_key_never_seen_is_seldom_known() {
        let mut history = fitted(3_200);
        let wrong = (0..200_000).filter(|&n| {
            enter(&mut history, n);
            history.count(tag(1 << 40 | n)) > 0
        });
        let wrong = wrong.count();
        assert!((500..2_000).contains(&wrong), "{wrong} of 200,000");
    }

    #[test]
    fn growth_keeps_what_was_remembered_and_no_room_forgets_all() {
        let mut history = fitted(320);
        (0..150).for_each(|n| _ = history.raise(tag(n), 1 + (n % 7) as u32));
        let mut counts = |keys| {
            history.fit(keys);
            let counts = (0..150).map(|n| history.count(tag(n)));
            (counts.collect::<Vec<u32>>(), history.slots())
        };
        let (before, places) = counts(320);
        assert_eq!(places, 320);
        assert_eq!(counts(640), (before.clone(), 640));
        let (after, places) = counts(1_001);
        let kept = before
            .iter()
            .zip(&after)
            .filter(|(one, other)| one == other);
        assert!(kept.count() > 90 && places == 1_008, "most of it");
        assert_eq!(counts(0), (vec![0; 150], 0));
    }

    #[test]
    fn it_shrinks_by_whole_sets() {
        let mut history = fitted(100);
        assert_eq!(history.slots(), 112);
        history.shrink(97);
        assert_eq!(history.slots(), 112);
        history.shrink(96);
        assert_eq!(history.slots(), 96);
        history.shrink(1_000);
        assert_eq!(history.slots(), 96);
    }

    #[test]
    fn every_place_is_used_however_many_sets_there_are() {
        for places in [1, 3, 40, 160, 4_096, 100_000] {
            let mut history = fitted(places);
            (0..20 * places as u64 + 20).for_each(|n| _ = enter(&mut history, n));
            let used = history.sets.iter().flat_map(|set| set.0);
            let used = used.filter(|&record| record != 0).count();
            assert!(used * 10 >= places * 9, "{used} of {places}");
        }
    }

    #[test]
    fn a_push_ends_even_if_all_have_the_highest_count() {
        let mut history = fitted(16);
        (0..16).for_each(|n| _ = history.raise(tag(n), 7));
        let mut after = |newcomer| {
            enter(&mut history, newcomer);
            (0..16).map(|n| history.count(tag(n))).collect::<Vec<u32>>()
        };
        // All go round once, and the newcomer is out again.
        for left in [6, 5, 4, 3, 2, 1] {
            assert_eq!(after(100), [left; 16]);
        }
        assert_eq!(after(100).iter().sum::<u32>(), 15);
        assert_eq!(history.count(tag(100)), 1);
    }
}
