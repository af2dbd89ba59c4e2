//! Entries inside a hashbrown table, found by key or by tag.
//!
//! One idea: an entry lives *in* the table, so a hit touches the control bytes
//! and the entry and nothing else. The table is keyed by the entry's [`Tag`],
//! which the entry stores, so the table can be rebuilt without ever hashing a
//! user's key again.
//!
//! Under churn hashbrown runs out of never-used buckets and then *doubles* a
//! table that is more than half full. [`Table::is_due`] notices that moment
//! (`capacity() == len()`) and [`Table::rebuild`] decides itself: a table with
//! enough dead buckets is rebuilt in equal size, one that is really full doubles.
//!
//! Invariants
//! 1. Every entry lies where `tag.hash()` leads.
//! 2. A [`Slot`] stays good until `take` of that slot, `rebuild`,
//!    `shrink_to_fit` or `empty`; a stale one finds nothing or another entry,
//!    never undefined memory.
//! 3. The table doubles only when at least 7/8 of what it may hold is live (with
//!    fewer dead buckets to win, rebuilds would come too often),
//!    and is due to shrink when less than a third of its buckets is.
//! 4. Placing moves nothing: the table is not due when it is done.
//! 5. The policy is not shown the entry whose place is not yet paid for: to it the
//!    table is without that one.
//!
//! The room knows nothing of weight, order or bounds.

use crate::policy::{Meta, Ours, Residents, Slot};
use crate::tag::Tag;
use hashbrown::HashTable;
use hashbrown::hash_table::{self, VacantEntry};

/// A key, its value, and what its policy keeps with it.
pub(crate) struct Entry<K, V, M> {
    pub(crate) tag: Tag,
    pub(crate) meta: M,
    pub(crate) key: K,
    pub(crate) value: V,
}

pub(crate) struct Table<K, V, M> {
    raw: HashTable<Entry<K, V, M>>,
    /// With fewer entries it is sparse: many have given way to few.
    least: usize,
    /// The entry that is not yet paid for, or [`NONE`].
    unpaid: Slot,
}

/// No slot: a table never has so many.
const NONE: Slot = Slot(usize::MAX);

/// A place for an entry whose key is not there.
pub(crate) struct Vacant<'a, K, V, M> {
    place: VacantEntry<'a, Entry<K, V, M>>,
    unpaid: &'a mut Slot,
}

impl<K, V, M> Vacant<'_, K, V, M> {
    /// Puts the entry there, not yet paid for.
    #[inline]
    pub(crate) fn place(self, entry: Entry<K, V, M>) -> Slot {
        let slot = Slot(self.place.insert(entry).bucket_index());
        *self.unpaid = slot;
        slot
    }
}

impl<K, V, M> Table<K, V, M> {
    pub(crate) fn new() -> Self {
        Self {
            raw: HashTable::new(),
            least: 0,
            unpaid: NONE,
        }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.raw.len()
    }

    #[inline]
    pub(crate) fn find(&self, tag: Tag, mut is: impl FnMut(&K) -> bool) -> Option<&Entry<K, V, M>> {
        self.raw.find(tag.hash(), |entry| is(&entry.key))
    }

    #[inline]
    pub(crate) fn find_mut(
        &mut self,
        tag: Tag,
        mut is: impl FnMut(&K) -> bool,
    ) -> Option<&mut Entry<K, V, M>> {
        self.raw.find_mut(tag.hash(), |entry| is(&entry.key))
    }

    #[inline]
    pub(crate) fn slot(&self, tag: Tag, mut is: impl FnMut(&K) -> bool) -> Option<Slot> {
        self.raw
            .find_bucket_index(tag.hash(), |entry| is(&entry.key))
            .map(Slot)
    }

    #[inline]
    pub(crate) fn get(&self, slot: Slot) -> Option<&Entry<K, V, M>> {
        self.raw.get_bucket(slot.0)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, slot: Slot) -> Option<&mut Entry<K, V, M>> {
        self.raw.get_bucket_mut(slot.0)
    }

    /// Whether it must be rebuilt before an entry is placed.
    #[inline]
    pub(crate) fn is_due(&self) -> bool {
        self.raw.capacity() == self.raw.len() || self.raw.len() < self.least
    }

    /// Where a key lies, or a place for it: both in one search. O(1).
    #[inline]
    pub(crate) fn slot_or_place(
        &mut self,
        tag: Tag,
        mut is: impl FnMut(&K) -> bool,
    ) -> Result<Slot, Vacant<'_, K, V, M>> {
        debug_assert!(self.raw.capacity() > self.raw.len(), "a rebuild is due");
        let is = |entry: &Entry<K, V, M>| is(&entry.key);
        match self.raw.entry(tag.hash(), is, |entry| entry.tag.hash()) {
            hash_table::Entry::Occupied(found) => Ok(Slot(found.bucket_index())),
            hash_table::Entry::Vacant(place) => Err(Vacant {
                place,
                unpaid: &mut self.unpaid,
            }),
        }
    }

    #[inline]
    pub(crate) fn is_unpaid(&self, slot: Slot) -> bool {
        self.unpaid == slot
    }

    /// The entry last placed is paid for, or gone.
    #[inline]
    pub(crate) fn paid(&mut self) {
        self.unpaid = NONE;
    }

    #[inline(always)]
    pub(crate) fn take(&mut self, slot: Slot) -> Option<Entry<K, V, M>> {
        let found = self.raw.get_bucket_entry(slot.0).ok()?;
        Some(found.remove().0)
    }

    /// Takes an entry out without a look at it: of a large value no cache line is read.
    #[inline(always)]
    pub(crate) fn forget(&mut self, slot: Slot) {
        if let Ok(found) = self.raw.get_bucket_entry(slot.0) {
            found.remove();
        }
    }

    /// Every slot there is, occupied or not.
    pub(crate) fn every_slot(&self) -> impl Iterator<Item = Slot> + use<K, V, M> {
        (0..self.raw.num_buckets()).map(Slot)
    }

    /// The first occupied slot at or after bucket `from` (taken modulo the
    /// number of buckets), other than `except`.
    pub(crate) fn slot_from(&self, from: usize, except: Option<Slot>) -> Option<Slot> {
        if self.raw.is_empty() {
            return None;
        }
        let buckets = self.raw.num_buckets();
        let start = from % buckets;
        (start..buckets)
            .chain(0..start)
            .map(Slot)
            .find(|&slot| Some(slot) != except && self.is_shown(slot))
    }

    /// Whether the policy is shown an entry in this slot.
    fn is_shown(&self, slot: Slot) -> bool {
        self.get(slot).is_some() && !self.is_unpaid(slot)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry<K, V, M>> {
        self.raw.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry<K, V, M>> {
        self.raw.iter_mut()
    }

    /// Leaves an empty table without memory; hands out the full one.
    pub(crate) fn empty(&mut self) -> impl Iterator<Item = Entry<K, V, M>> + use<K, V, M> {
        std::mem::replace(self, Self::new()).raw.into_iter()
    }

    pub(crate) fn shrink_to_fit(&mut self) {
        self.raw.shrink_to_fit(|entry| entry.tag.hash());
        self.settle();
    }

    #[cfg(test)]
    pub(crate) fn buckets(&self) -> usize {
        self.raw.num_buckets()
    }

    /// Makes a never-used bucket, and moves all entries: by a table twice the size if nearly all of
    /// this one is live, by a smaller one if it is sparse, else by one of equal
    /// size without the dead buckets.
    #[cold]
    #[inline(never)]
    pub(crate) fn rebuild(&mut self) {
        let live = self.raw.len();
        let holds = most_held(self.raw.num_buckets());
        let wanted = if live * 8 >= holds * 7 {
            holds + 1
        } else if live < self.least {
            live * 5 / 4 + 1
        } else {
            holds
        };
        let mut fresh = HashTable::with_capacity(wanted);
        for entry in std::mem::take(&mut self.raw) {
            fresh.insert_unique(entry.tag.hash(), entry, |entry| entry.tag.hash());
        }
        self.raw = fresh;
        self.settle();
    }

    /// Says when the table will be sparse: with less than a third of its buckets live.
    fn settle(&mut self) {
        let buckets = self.raw.num_buckets();
        self.least = if buckets > 32 { buckets / 3 } else { 0 };
    }

    /// Proves invariant 1 from scratch.
    pub(crate) fn check(&self) {
        let reachable = |entry: &&Entry<K, V, M>| {
            let mut found = self.raw.iter_hash(entry.tag.hash());
            found.any(|other| std::ptr::eq(other, *entry))
        };
        assert_eq!(self.raw.iter().filter(reachable).count(), self.raw.len());
    }
}

/// What a table of so many buckets holds before it must be rebuilt: 7/8.
fn most_held(buckets: usize) -> usize {
    if buckets < 8 {
        buckets.saturating_sub(1)
    } else {
        buckets / 8 * 7
    }
}

impl<K, V, M: Meta> Residents<M> for Table<K, V, M> {
    #[inline]
    fn find(&self, tag: Tag, is: impl Fn(&M) -> bool) -> Option<Slot> {
        let found = |&slot: &Slot| {
            let entry = self.get(slot).filter(|entry| entry.tag == tag);
            entry.is_some_and(|entry| is(&entry.meta)) && !self.is_unpaid(slot)
        };
        self.raw.iter_hash_buckets(tag.hash()).map(Slot).find(found)
    }

    #[inline]
    fn tag(&self, slot: Slot) -> Option<Tag> {
        self.get(slot).map(|entry| entry.tag)
    }

    #[inline]
    fn meta(&self, slot: Slot) -> Option<&M> {
        self.get(slot).map(|entry| &entry.meta)
    }

    #[inline]
    fn meta_mut(&mut self, slot: Slot) -> Option<&mut M> {
        self.get_mut(slot).map(|entry| &mut entry.meta)
    }

    #[inline]
    fn weight(&self, slot: Slot) -> u64 {
        if !M::WEIGHED {
            return 1;
        }
        self.get(slot).map_or(0, |entry| entry.meta.weight(Ours))
    }

    fn len(&self) -> usize {
        self.raw.len() - usize::from(self.unpaid != NONE)
    }

    fn slots(&self) -> impl Iterator<Item = Slot> {
        let shown = |&slot: &Slot| !self.is_unpaid(slot);
        self.raw.iter_buckets().map(Slot).filter(shown)
    }

    fn nth(&self, bucket: u64) -> Option<Slot> {
        let buckets = self.raw.num_buckets().max(1) as u64;
        self.slot_from((bucket % buckets) as usize, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(n: u64) -> Tag {
        Tag::of(n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 16)
    }

    fn entry(n: u64) -> Entry<u64, u64, ()> {
        Entry {
            tag: tag(n),
            meta: (),
            key: n,
            value: n,
        }
    }

    fn put(table: &mut Table<u64, u64, ()>, entry: Entry<u64, u64, ()>) -> Slot {
        if table.is_due() {
            table.rebuild();
        }
        let key = entry.key;
        let Err(place) = table.slot_or_place(entry.tag, |other| *other == key) else {
            panic!("{key} is there")
        };
        let slot = place.place(entry);
        table.paid();
        slot
    }

    #[test]
    fn fifty_turnovers_of_a_full_table_never_double_it() {
        for live in [96_u64, 1_500, 2_990, 3_110] {
            let mut table = Table::new();
            for n in 0..live {
                put(&mut table, entry(n));
            }
            let buckets = table.buckets();
            for n in live..live * 51 {
                let oldest = n - live;
                let slot = table.slot(tag(oldest), |k| *k == oldest).unwrap();
                assert_eq!(table.take(slot).unwrap().value, oldest);
                put(&mut table, entry(n));
                assert_eq!(table.buckets(), buckets, "at {live} live entries");
            }
            table.check();
        }
    }

    #[test]
    fn a_table_whose_many_entries_gave_way_to_few_shrinks_and_seldom_turns() {
        let mut table = Table::new();
        for n in 0..10_000 {
            put(&mut table, entry(n));
        }
        let most = table.buckets();
        for n in 0..9_900 {
            let slot = table.slot(tag(n), |k| *k == n).unwrap();
            table.take(slot);
        }
        put(&mut table, entry(10_000));
        assert!(
            table.buckets() <= 256 && most >= 8_192,
            "{}",
            table.buckets()
        );
        let buckets = table.buckets();
        for n in 10_001..11_000 {
            put(&mut table, entry(n));
            let slot = table.slot(tag(n), |k| *k == n).unwrap();
            table.take(slot);
            assert_eq!(table.buckets(), buckets);
        }
        table.check();
    }

    #[test]
    fn a_slot_that_is_gone_finds_nothing() {
        let mut table = Table::new();
        let slot = put(&mut table, entry(1));
        assert!(table.take(slot).is_some());
        assert!(table.take(slot).is_none());
        assert!(table.get(Slot(usize::MAX)).is_none());
        assert_eq!(table.slot_from(5, None), None);
    }

    #[test]
    fn slot_from_wraps_and_spares_the_excepted() {
        let mut table = Table::new();
        let one = put(&mut table, entry(1));
        assert_eq!(table.slot_from(usize::MAX, None), Some(one));
        assert_eq!(table.slot_from(0, Some(one)), None);
        let two = put(&mut table, entry(2));
        assert_eq!(table.slot_from(7, Some(one)), Some(two));
    }
}
