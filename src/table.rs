//! Entries by key or by tag, in an open-addressing table of our own.
//!
//! One idea: an entry lies *in* the table, so a hit touches a line of fingerprints and the
//! entry and nothing else; and an entry that leaves takes all traces along (there are no
//! tombstones), so a cache that is full for a year never has to clean its table up.
//!
//! ```text
//! search(tag):  the home group, to which the tag's high bits lead:
//!                   a slot with the tag's fingerprint, and its entry is the one: found
//!                   the group's overflow count is 0: it is not here
//!                   else on to the next group
//! fill:         the first empty slot of that search; each full group before it counts one
//!               more that overflowed
//! take:         the slot is empty; each group before it counts one fewer
//! ```
//!
//! The table grows to what its shard will hold when it is full, and not by doubling
//! beyond: any number of groups will do. It is keyed by the [`Tag`], which the entry
//! stores, so it is rebuilt without hashing a user's key again.
//!
//! Invariants
//! 1. Every entry lies in its home group or beyond, in a slot that has its tag's fingerprint;
//!    slots without an entry have the empty one.
//! 2. A group's `overflow` is the number of entries that lie beyond it and have their home in
//!    it or before it.
//! 3. A [`Slot`] stays good until `take` of that slot, `rebuild`,
//!    `shrink_to_fit` or `empty`; a stale one finds nothing or another entry,
//!    never undefined memory.
//! 4. Of several groups at most 20/27 of the slots are used, so that few entries lie
//!    beyond their home group; a single group may be full.
//! 5. Filling a slot moves no other entry: a rebuild comes before.
//! 6. The policy is not shown the entry that is not yet paid for: to it the
//!    table is without that one.
//!
//! The room knows nothing of weight, order or bounds.
//!
//! Sources: fingerprints compared at once are of SwissTable (M. Kulukundis, S. Benzaquen, A.
//! Kumar, R. Perepelitsa, CppCon 2017), overflow counts of F14
//! (N. Bronson, X. Shi, 2019), the choice of a group by multiply-shift is D. Lemire's
//! (ACM TOMACS 29(1), 2019).

mod group;

use crate::form::{Form, extra::Extra};
use crate::policy::{Residents, Slot};
use crate::processor;
use crate::tag::Tag;
use group::{Group, WAYS};

/// A key, its value, what its policy keeps with it, and what its form adds.
pub(crate) struct Entry<K, V, F: Form> {
    /// Never 0, so that a slot without an entry takes no more memory.
    pub(crate) tag: Tag,
    pub(crate) meta: F::Meta,
    pub(crate) extra: F::Extra,
    pub(crate) key: K,
    pub(crate) value: V,
}

pub(crate) struct Table<K, V, F: Form> {
    groups: Box<[Group]>,
    entries: Box<[Option<Entry<K, V, F>>]>,
    overflow: Box<[u32]>,
    live: usize,
    /// With this many entries it is full.
    most: usize,
    /// With fewer entries it is sparse.
    least: usize,
    /// The entry that is not yet paid for, or [`NONE`].
    unpaid: Slot,
}

/// No slot: a table never has so many.
const NONE: Slot = Slot(usize::MAX);

/// The 8 bits of a tag that a table compares before it looks at an entry: never 0.
#[inline]
fn fingerprint(tag: Tag) -> u8 {
    tag.fingerprint() as u8
}

/// An empty slot for an entry whose key is not there.
pub(crate) struct Vacant<'a, K, V, F: Form> {
    table: &'a mut Table<K, V, F>,
    slot: Slot,
}

impl<K, V, F: Form> Vacant<'_, K, V, F> {
    /// Puts the entry there, not yet paid for.
    #[inline]
    pub(crate) fn fill(self, entry: Entry<K, V, F>) -> Slot {
        self.table.unpaid = self.slot;
        self.table.put(self.slot, entry);
        self.slot
    }
}

impl<K, V, F: Form> Table<K, V, F> {
    pub(crate) fn new() -> Self {
        Self::with_capacity(0)
    }

    /// An empty table for `most` entries, or some more.
    fn with_capacity(most: usize) -> Self {
        let few = [0, 3, 7, 15, WAYS].into_iter().find(|&few| most <= few);
        let slots = few.unwrap_or_else(|| (most * 27 / 20 + 1).next_multiple_of(WAYS));
        let groups = slots.div_ceil(WAYS);
        Self {
            groups: vec![Group::of(slots); groups].into_boxed_slice(),
            entries: (0..slots).map(|_| None).collect(),
            overflow: vec![0; groups].into_boxed_slice(),
            live: 0,
            most: few.unwrap_or(slots * 20 / 27),
            least: if groups > 1 { slots / 3 } else { 0 },
            unpaid: NONE,
        }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.live
    }

    /// The group in which the search for a tag begins.
    #[inline]
    fn home(&self, tag: Tag) -> usize {
        let groups = self.groups.len() as u64;
        ((u64::from(tag.bits()) * groups) >> 32) as usize
    }

    #[inline]
    fn after(&self, group: usize) -> usize {
        let next = group + 1;
        if next == self.groups.len() { 0 } else { next }
    }

    #[inline]
    fn has_overflowed(&self, group: usize) -> bool {
        self.overflow
            .get(group)
            .is_some_and(|&overflow| overflow > 0)
    }

    /// The index of an entry of one group that has this tag and passes `is`.
    #[inline(always)]
    fn find_in_group(
        &self,
        group: usize,
        tag: Tag,
        mut is: impl FnMut(&Entry<K, V, F>) -> bool,
    ) -> Option<usize> {
        for way in self.groups.get(group)?.matches(fingerprint(tag)) {
            let index = group * WAYS + way;
            if let Some(Some(entry)) = self.entries.get(index) {
                if entry.tag == tag && is(entry) {
                    return Some(index);
                }
            }
        }
        None
    }

    /// The index of an entry that has this tag and passes `is`. O(1) expected.
    #[inline(always)]
    fn search(&self, tag: Tag, mut is: impl FnMut(&Entry<K, V, F>) -> bool) -> Option<usize> {
        let home = self.home(tag);
        let found = self.find_in_group(home, tag, &mut is);
        if found.is_none() && self.has_overflowed(home) {
            return self.search_beyond(home, tag, &mut is);
        }
        found
    }

    /// Goes on with a search in the groups beyond the home group. Few searches get here, so one
    /// function serves all that is searched for.
    #[inline(never)]
    fn search_beyond(
        &self,
        home: usize,
        tag: Tag,
        is: &mut dyn FnMut(&Entry<K, V, F>) -> bool,
    ) -> Option<usize> {
        let mut group = home;
        loop {
            group = self.after(group);
            // That was once round: all groups have overflowed.
            if group == home {
                return None;
            }
            let found = self.find_in_group(group, tag, &mut *is);
            if found.is_some() || !self.has_overflowed(group) {
                return found;
            }
        }
    }

    #[inline]
    pub(crate) fn find(&self, tag: Tag, is: impl FnMut(&K) -> bool) -> Option<&Entry<K, V, F>> {
        self.get(self.slot(tag, is)?)
    }

    /// An entry to be changed: the way of a hit. It returns from the home group directly, so
    /// that no check is made twice.
    #[inline]
    pub(crate) fn find_mut(
        &mut self,
        tag: Tag,
        mut is: impl FnMut(&K) -> bool,
    ) -> Option<&mut Entry<K, V, F>> {
        let mut is = move |entry: &Entry<K, V, F>| is(&entry.key);
        let home = self.home(tag);
        if let Some(index) = self.find_in_group(home, tag, &mut is) {
            return self.entries.get_mut(index)?.as_mut();
        }
        if !self.has_overflowed(home) {
            return None;
        }
        let index = self.search_beyond(home, tag, &mut is)?;
        self.entries.get_mut(index)?.as_mut()
    }

    #[inline]
    pub(crate) fn slot(&self, tag: Tag, mut is: impl FnMut(&K) -> bool) -> Option<Slot> {
        self.search(tag, move |entry| is(&entry.key)).map(Slot)
    }

    /// The slot of an entry with this tag that passes `is`.
    #[inline]
    pub(crate) fn slot_where(
        &self,
        tag: Tag,
        is: impl FnMut(&Entry<K, V, F>) -> bool,
    ) -> Option<Slot> {
        self.search(tag, is).map(Slot)
    }

    #[inline]
    pub(crate) fn get(&self, slot: Slot) -> Option<&Entry<K, V, F>> {
        self.entries.get(slot.0)?.as_ref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, slot: Slot) -> Option<&mut Entry<K, V, F>> {
        self.entries.get_mut(slot.0)?.as_mut()
    }

    /// Whether it must be rebuilt before a slot is filled.
    #[inline]
    pub(crate) fn needs_rebuild(&self) -> bool {
        self.live >= self.most || self.live < self.least
    }

    /// The slot of a key, or an empty one for it. O(1) expected.
    #[inline]
    pub(crate) fn slot_or_vacant(
        &mut self,
        tag: Tag,
        is: impl FnMut(&K) -> bool,
    ) -> Result<Slot, Vacant<'_, K, V, F>> {
        debug_assert!(self.live < self.most, "the table needs a rebuild");
        if let Some(slot) = self.slot(tag, is) {
            return Ok(slot);
        }
        let slot = self.vacancy(self.home(tag));
        processor::prefetch(&self.entries[slot.0]);
        Err(Vacant { table: self, slot })
    }

    /// The first empty slot from a home group on: there is one, unless a rebuild is needed.
    #[inline]
    fn vacancy(&self, home: usize) -> Slot {
        match self.groups[home].first_empty() {
            Some(way) => Slot(home * WAYS + way),
            None => self.vacancy_beyond(home),
        }
    }

    #[inline(never)]
    fn vacancy_beyond(&self, home: usize) -> Slot {
        let mut group = self.after(home);
        loop {
            if let Some(way) = self.groups[group].first_empty() {
                return Slot(group * WAYS + way);
            }
            assert_ne!(group, home, "the table needs a rebuild");
            group = self.after(group);
        }
    }

    /// Puts an entry into the first empty slot from its home group on.
    #[inline]
    fn put(&mut self, slot: Slot, entry: Entry<K, V, F>) {
        let (group, home) = (slot.0 / WAYS, self.home(entry.tag));
        if group != home {
            self.count_overflow(home, group, 1);
        }
        self.groups[group].fill(slot.0, fingerprint(entry.tag));
        self.entries[slot.0] = Some(entry);
        self.live += 1;
    }

    /// Adds `by` to the overflow count of every group from `home` up to, not including, `group`.
    #[inline(never)]
    fn count_overflow(&mut self, home: usize, group: usize, by: i32) {
        let mut at = home;
        while at != group {
            self.overflow[at] = self.overflow[at].wrapping_add_signed(by);
            at = self.after(at);
        }
    }

    #[inline]
    pub(crate) fn is_unpaid(&self, slot: Slot) -> bool {
        self.unpaid == slot
    }

    /// Notes that the entry last put in is paid for, or gone.
    #[inline]
    pub(crate) fn paid(&mut self) {
        self.unpaid = NONE;
    }

    #[inline(always)]
    pub(crate) fn take(&mut self, slot: Slot) -> Option<Entry<K, V, F>> {
        let entry = self.entries.get_mut(slot.0)?.take()?;
        self.vacate(slot, entry.tag);
        Some(entry)
    }

    /// Takes an entry out that needs no drop: hardly a line of a large one is read.
    #[inline(always)]
    pub(crate) fn forget(&mut self, slot: Slot) {
        if let Some(occupied @ Some(_)) = self.entries.get_mut(slot.0) {
            let tag = occupied.as_ref().map(|entry| entry.tag);
            *occupied = None;
            if let Some(tag) = tag {
                self.vacate(slot, tag);
            }
        }
    }

    /// Empties the slot of an entry with this tag.
    #[inline]
    fn vacate(&mut self, slot: Slot, tag: Tag) {
        let group = slot.0 / WAYS;
        self.groups[group].clear(slot.0);
        self.live -= 1;
        let home = self.home(tag);
        if group != home {
            self.count_overflow(home, group, -1);
        }
    }

    /// Every slot there is, occupied or not.
    pub(crate) fn every_slot(&self) -> impl Iterator<Item = Slot> + use<K, V, F> {
        (0..self.entries.len()).map(Slot)
    }

    /// The first occupied slot at or after index `from` (taken modulo the
    /// number of slots), other than `except`.
    pub(crate) fn slot_from(&self, from: usize, except: Option<Slot>) -> Option<Slot> {
        if self.live == 0 {
            return None;
        }
        let slots = self.entries.len();
        let start = from % slots;
        (start..slots)
            .chain(0..start)
            .map(Slot)
            .find(|&slot| Some(slot) != except && self.is_shown(slot))
    }

    /// Whether the policy is shown an entry in this slot.
    fn is_shown(&self, slot: Slot) -> bool {
        self.get(slot).is_some() && !self.is_unpaid(slot)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry<K, V, F>> {
        self.entries.iter().flatten()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry<K, V, F>> {
        self.entries.iter_mut().flatten()
    }

    /// Leaves an empty table without memory; hands out the full one.
    pub(crate) fn empty(&mut self) -> impl Iterator<Item = Entry<K, V, F>> + use<K, V, F> {
        let full = std::mem::replace(self, Self::new());
        full.entries.into_iter().flatten()
    }

    pub(crate) fn shrink_to_fit(&mut self) {
        self.rebuild_for(self.live);
    }

    #[cfg(test)]
    pub(crate) fn slot_count(&self) -> usize {
        self.entries.len()
    }

    /// Makes room for one more, and moves all entries: into a smaller table if this one
    /// is sparse; else into one twice the size, but not beyond what holds `full` entries
    /// and a few more. What holds more than that grows by an eighth. O(entries).
    #[cold]
    #[inline(never)]
    pub(crate) fn rebuild(&mut self, full: usize) {
        let live = self.live;
        let wanted = if live < self.least {
            live * 5 / 4
        } else if live < full / 2 {
            live * 2
        } else {
            (full + full / 32).max(live + live / 8)
        };
        self.rebuild_for(wanted + 1);
    }

    /// Moves all entries into a table for `most`.
    fn rebuild_for(&mut self, most: usize) {
        let mut rebuilt = Self::with_capacity(most);
        for entry in self.empty() {
            rebuilt.put(rebuilt.vacancy(rebuilt.home(entry.tag)), entry);
        }
        *self = rebuilt;
    }

    /// Proves invariants 1, 2 and 4 from scratch.
    pub(crate) fn check(&self) {
        let mut overflow = vec![0; self.groups.len()];
        for (index, entry) in self.entries.iter().enumerate() {
            let group = index / WAYS;
            let mut same = match entry {
                Some(entry) => self.groups[group].matches(fingerprint(entry.tag)),
                None => self.groups[group].matches(0),
            };
            assert!(
                same.any(|way| way == index % WAYS),
                "the fingerprint of slot {index}"
            );
            let Some(entry) = entry else { continue };
            let found = self.search(entry.tag, |other| std::ptr::eq(other, entry));
            assert_eq!(found, Some(index));
            let mut at = self.home(entry.tag);
            while at != group {
                overflow[at] += 1;
                at = self.after(at);
            }
        }
        assert_eq!(*self.overflow, *overflow);
        assert_eq!(self.iter().count(), self.live);
        assert!(self.live <= self.most && self.most <= self.entries.len());
    }
}

impl<K, V, F: Form> Residents<F::Meta> for Table<K, V, F> {
    #[inline]
    fn find(&self, tag: Tag, is: impl Fn(&F::Meta) -> bool) -> Option<Slot> {
        let unpaid = self.get(self.unpaid);
        let is_unpaid = |entry| unpaid.is_some_and(|unpaid| std::ptr::eq(unpaid, entry));
        self.search(tag, |entry| is(&entry.meta) && !is_unpaid(entry))
            .map(Slot)
    }

    #[inline]
    fn tag(&self, slot: Slot) -> Option<Tag> {
        self.get(slot).map(|entry| entry.tag)
    }

    #[inline]
    fn meta(&self, slot: Slot) -> Option<&F::Meta> {
        self.get(slot).map(|entry| &entry.meta)
    }

    #[inline]
    fn meta_mut(&mut self, slot: Slot) -> Option<&mut F::Meta> {
        self.get_mut(slot).map(|entry| &mut entry.meta)
    }

    #[inline]
    fn weight(&self, slot: Slot) -> u64 {
        if !F::WEIGHED {
            return 1;
        }
        self.get(slot).map_or(0, |entry| entry.extra.weight())
    }

    #[inline]
    fn prefetch(&self, slot: Slot) {
        if let Some(entry) = self.entries.get(slot.0) {
            processor::prefetch(entry);
            processor::prefetch(&self.groups[slot.0 / WAYS]);
        }
    }

    fn len(&self) -> usize {
        self.live - usize::from(self.unpaid != NONE)
    }

    fn slots(&self) -> impl Iterator<Item = Slot> {
        self.every_slot().filter(|&slot| self.is_shown(slot))
    }

    fn nth(&self, index: u64) -> Option<Slot> {
        let slots = self.entries.len().max(1) as u64;
        self.slot_from((index % slots) as usize, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Fifo, Mark};
    use std::collections::HashMap;

    fn tag(n: u64) -> Tag {
        Tag::of(n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32)
    }

    fn put(table: &mut Table<u64, u64, Fifo>, tag: Tag, key: u64, full: usize) -> Slot {
        if table.needs_rebuild() {
            table.rebuild(full);
        }
        let Err(vacant) = table.slot_or_vacant(tag, |other| *other == key) else {
            panic!("{key} is there")
        };
        let slot = vacant.fill(Entry {
            tag,
            meta: Mark::default(),
            extra: (),
            key,
            value: key,
        });
        table.paid();
        slot
    }

    fn take(table: &mut Table<u64, u64, Fifo>, tag: Tag, key: u64) -> Option<u64> {
        let slot = table.slot(tag, |other| *other == key)?;
        Some(table.take(slot)?.value)
    }

    #[test]
    fn a_full_table_is_never_laid_anew_whatever_comes_and_goes() {
        for full in [1_usize, 15, 32, 96, 1_500, 3_110] {
            let mut table = Table::new();
            for n in 0..full as u64 {
                put(&mut table, tag(n), n, full);
            }
            let slots = table.slot_count();
            for n in full as u64..full as u64 * 21 {
                let oldest = n - full as u64;
                assert_eq!(take(&mut table, tag(oldest), oldest), Some(oldest));
                assert!(!table.needs_rebuild(), "{full}");
                put(&mut table, tag(n), n, full);
            }
            assert_eq!(table.slot_count(), slots);
            table.check();
        }
    }

    #[test]
    fn a_table_grows_to_what_a_full_one_holds_and_by_eighths_beyond() {
        let mut table = Table::new();
        let mut sizes = vec![0];
        for n in 0..10_000 {
            put(&mut table, tag(n), n, 5_000);
            if table.slot_count() != sizes[sizes.len() - 1] {
                sizes.push(table.slot_count());
            }
            if n == 5_100 {
                assert!(
                    table.slot_count() < 5_000 * 14 / 10,
                    "{}",
                    table.slot_count()
                );
            }
        }
        assert!(sizes.len() < 24, "{sizes:?}");
        assert!(table.slot_count() < 10_000 * 15 / 10, "{sizes:?}");
        table.check();
    }

    #[test]
    fn a_small_table_has_few_slots_and_all_are_used() {
        for (entries, slots) in [
            (1, 3),
            (3, 3),
            (4, 7),
            (8, 15),
            (16, 32),
            (32, 32),
            (33, 64),
        ] {
            let mut table = Table::new();
            for n in 0..entries {
                put(&mut table, tag(n), n, entries as usize);
            }
            assert_eq!(table.slot_count(), slots, "{entries}");
            assert!(table.slot(tag(99), |_| false).is_none());
            table.check();
        }
    }

    #[test]
    fn a_table_whose_many_entries_gave_way_to_few_shrinks_and_seldom_turns() {
        let mut table = Table::new();
        for n in 0..10_000 {
            put(&mut table, tag(n), n, 10_000);
        }
        for n in 0..9_900 {
            take(&mut table, tag(n), n);
        }
        put(&mut table, tag(10_000), 10_000, 10_000);
        let slots = table.slot_count();
        assert!(slots <= 256, "{slots}");
        for n in 10_001..11_000 {
            put(&mut table, tag(n), n, 10_000);
            take(&mut table, tag(n), n);
            assert_eq!(table.slot_count(), slots);
        }
        table.shrink_to_fit();
        assert!(table.slot_count() < slots);
        table.check();
    }

    #[test]
    fn entries_of_one_tag_go_past_each_other_and_leave_nothing_behind() {
        let mut table = Table::new();
        for n in 0..1_000 {
            put(&mut table, tag(1_000_000 + n), n, 2_000);
        }
        let last = Tag::of(u64::MAX);
        for n in 1_000..1_500 {
            put(&mut table, last, n, 2_000);
        }
        table.check();
        assert!(
            table
                .overflow
                .iter()
                .filter(|&&overflow| overflow > 0)
                .count()
                > 500 / WAYS
        );
        assert!(table.slot(last, |_| false).is_none());
        for n in (1_000..1_500)
            .rev()
            .step_by(2)
            .chain((1_000..1_500).step_by(2))
        {
            assert_eq!(take(&mut table, last, n), Some(n));
        }
        table.check();
        assert_eq!(table.len(), 1_000);
    }

    #[test]
    fn a_search_ends_where_all_groups_are_passed() {
        let mut table = Table::new();
        for n in 0..100 {
            put(&mut table, tag(n), n, 100);
        }
        table.overflow.fill(1);
        assert!(table.slot(tag(1_000), |_| false).is_none());
        assert!(table.find_mut(tag(1_000), |_| false).is_none());
    }

    #[test]
    fn it_is_a_map_whatever_is_done() {
        let mut dice = 7_u64;
        let mut roll = |sides: u64| {
            dice = dice.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
            (dice >> 33) % sides
        };
        for tags in [1, 3, 40, 1_000_000] {
            let mut table = Table::new();
            let mut map = HashMap::new();
            for _ in 0..6_000 {
                let (key, full) = (roll(400), roll(500) as usize);
                let tag = tag(key % tags);
                match roll(40) {
                    0 => table.shrink_to_fit(),
                    1 => table.rebuild(full),
                    2 => {
                        let (sum, len) = (map.values().sum::<u64>(), map.len());
                        assert_eq!(table.iter().map(|entry| entry.value).sum::<u64>(), sum);
                        assert_eq!(table.len(), len);
                        table.check();
                    }
                    3..18 => assert_eq!(take(&mut table, tag, key), map.remove(&key)),
                    18..21 => {
                        let slot = table.slot(tag, |other| *other == key);
                        slot.inspect(|&slot| table.forget(slot));
                        assert_eq!(slot.is_some(), map.remove(&key).is_some());
                    }
                    _ if !map.contains_key(&key) => {
                        put(&mut table, tag, key, full);
                        map.insert(key, key);
                    }
                    _ => {
                        let found = table.find(tag, |other| *other == key);
                        assert_eq!(found.map(|entry| entry.value), map.get(&key).copied());
                    }
                }
            }
        }
    }

    #[test]
    fn the_policy_is_not_shown_what_is_not_paid_for() {
        let mut table: Table<u64, u64, Fifo> = Table::new();
        put(&mut table, tag(1), 1, 10);
        let Err(vacant) = table.slot_or_vacant(tag(2), |_| false) else {
            panic!("it is there")
        };
        let unpaid = vacant.fill(Entry {
            tag: tag(2),
            meta: Mark::default(),
            extra: (),
            key: 2,
            value: 2,
        });
        let shown = |table: &Table<u64, u64, Fifo>| {
            let found = Residents::find(table, tag(2), |_| true);
            (Residents::len(table), table.slots().count(), found)
        };
        assert_eq!(shown(&table), (1, 1, None));
        assert_ne!(table.nth(unpaid.0 as u64), Some(unpaid));
        table.paid();
        assert_eq!(shown(&table), (2, 2, Some(unpaid)));
    }

    #[test]
    fn a_slot_that_is_gone_finds_nothing() {
        let mut table = Table::new();
        let slot = put(&mut table, tag(1), 1, 1);
        assert!(table.take(slot).is_some());
        assert!(table.take(slot).is_none());
        table.forget(slot);
        assert_eq!(table.len(), 0);
        assert!(table.get(NONE).is_none());
        Residents::prefetch(&table, NONE);
        assert_eq!(table.slot_from(5, None), None);
    }

    #[test]
    fn slot_from_wraps_and_spares_the_excepted() {
        let mut table = Table::new();
        let one = put(&mut table, tag(1), 1, 9);
        assert_eq!(table.slot_from(usize::MAX, None), Some(one));
        assert_eq!(table.slot_from(0, Some(one)), None);
        let two = put(&mut table, tag(2), 2, 9);
        assert_eq!(table.slot_from(7, Some(one)), Some(two));
    }
}
