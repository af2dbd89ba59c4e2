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
//! take:         the slot is empty; each group before it counts one fewer; wait for readers
//! hide, then    the same for several entries, which wait once for the readers of all
//! take_hidden
//! ```
//!
//! The table grows to what its shard will hold when it is full, and not by doubling
//! beyond: any number of groups will do. It is keyed by the [`Tag`], which the entry
//! stores, so it is rebuilt without hashing a user's key again.
//!
//! While the holder of the shard's lock changes the table, others read it without a lock, by a
//! [`Visit`]. What they may be looking at is changed, moved or handed out only after a wait:
//! of an entry that was taken off the table, of one that is [`Still`], and of everything while
//! the table is [closed](Table::close). Without lanes (`unsync`) there is nobody to wait for.
//!
//! | child | does |
//! |---|---|
//! | `group` | fingerprints of 32 slots |
//! | `label` | an entry's tag and its hits |
//! | `cells` | the memory, and the search in it |
//! | `shelf` | where readers find it |
//! | `cursor` | where a walk is, whatever is rebuilt meanwhile |
//!
//! Invariants
//! 1. Every entry lies in its home group or beyond, in a slot that has its tag's fingerprint;
//!    slots without an entry have the empty one, and so has the one that is not yet paid for.
//! 2. A group's `overflow` is the number of entries that lie beyond it and have their home in
//!    it or before it.
//! 3. A [`Slot`] stays good until `take` of that slot, `rebuild`,
//!    `shrink_to_fit` or `empty`; a stale one finds nothing or another entry,
//!    never undefined memory.
//! 4. Of several groups at most 20/27 of the slots are used, so that few entries lie
//!    beyond their home group; a single group may be full.
//! 5. Filling a slot moves no other entry: a rebuild comes before.
//! 6. An entry that is not yet paid for is shown to nobody: no reader, and no policy.
//! 7. An entry that is hidden is in no group, and its slot is not filled before it is taken.
//! 8. A call waits once for each thing it takes off the table, or once in all where it closes
//!    the table first: for one visit of each lane that named the shard then.
//!
//! The room knows nothing of weight, order or bounds.
//!
//! Sources: fingerprints compared at once are of SwissTable (M. Kulukundis, S. Benzaquen, A.
//! Kumar, R. Perepelitsa, CppCon 2017), overflow counts of F14
//! (N. Bronson, X. Shi, 2019), the choice of a group by multiply-shift is D. Lemire's
//! (ACM TOMACS 29(1), 2019).
#![allow(
    unsafe_code,
    reason = "each call here vouches for what `cells` asks of the holder of the lock"
)]

mod cells;
mod cursor;
mod group;
mod label;
mod shelf;

pub(crate) use cells::{Entry, Look, Owned};
pub(crate) use cursor::Cursor;
pub(crate) use shelf::{Noting, Shelves, Visit};

use crate::form::{Form, extra::Extra};
use crate::lanes::Samples;
use crate::policy::{Policy, Residents, Slot};
use crate::sync::Arc;
use crate::sync::cells::AtomicUsize;
use crate::tag::Tag;
use cells::Cells;
use group::WAYS;
use label::Label;
use std::mem::needs_drop;

pub(crate) struct Table<K, V, F: Form> {
    /// The cells that the shelf shows; this table owns them.
    cells: Cells<K, V, F>,
    shelves: Arc<Shelves<K, V, F>>,
    /// Which of the shelves is this table's.
    index: u32,
    closed: bool,
    /// Nothing is kept here: a fence may need a word that nobody else writes.
    fence: AtomicUsize,
    live: usize,
    /// With this many entries it is full.
    most: u32,
    /// With fewer entries it is sparse.
    least: u32,
    /// The slot of the entry that is not yet paid for, or [`NONE`].
    unpaid: Slot,
    /// The slots of the entries that are hidden and not yet taken.
    hidden: Vec<Slot>,
    /// Whether the readers of those were waited for: then they are being taken, the last first.
    waited: bool,
}

// SAFETY: a table owns its entries as a box would; the shelves that it shares are `Sync` where
// others read them, and where nobody else does the table alone refers to them.
unsafe impl<K: Send, V: Send, F: Form> Send for Table<K, V, F> where F::Meta: Send {}
// SAFETY: by a shared table entries and metas are read, and extras and labels are atomics.
unsafe impl<K: Sync, V: Sync, F: Form> Sync for Table<K, V, F> where F::Meta: Sync {}

/// The most entries that are worth hiding at once.
const MOST_HIDDEN: usize = 32;

/// No slot: a table never has so many.
const NONE: Slot = Slot(usize::MAX);

/// How many slots a table for `most` entries has, and how many entries it holds.
fn size(most: usize) -> (usize, usize) {
    match [0, 3, 7, 15, WAYS].into_iter().find(|&few| most <= few) {
        Some(few) => (few, few),
        None => {
            let slots = (most * 27 / 20 + 1).next_multiple_of(WAYS);
            (slots, slots * 20 / 27)
        }
    }
}

/// An empty slot for an entry whose key is not there.
pub(crate) struct Vacant<'a, K, V, F: Form> {
    table: &'a mut Table<K, V, F>,
    slot: Slot,
}

impl<K, V, F: Form> Vacant<'_, K, V, F> {
    /// Puts the entry there, not yet paid for: nobody sees it.
    #[inline]
    pub(crate) fn fill(self, entry: Owned<K, V, F>) -> Slot {
        debug_assert!(self.table.unpaid == NONE, "one at a time");
        // SAFETY: the slot was empty when this was made and the table is borrowed since; what
        // was there before was waited for when it left, or when the table was opened.
        unsafe { self.table.cells.write(self.slot.0, entry) };
        self.table.unpaid = self.slot;
        self.slot
    }
}

/// An entry that nobody reads, until this is dropped: readers who want it wait at the lock.
pub(crate) struct Still<'a, K, V, F: Form> {
    table: &'a mut Table<K, V, F>,
    slot: Slot,
    tag: Tag,
    /// Whether others may read, so that its byte is busy.
    busy: bool,
}

impl<K, V, F: Form> Still<'_, K, V, F> {
    #[inline]
    pub(crate) fn extra(&self) -> &F::Extra {
        self.table.cells.extra(self.slot.0)
    }

    /// The key, and the value to be changed.
    #[inline]
    pub(crate) fn pair(&mut self) -> (&K, &mut V) {
        // SAFETY: `Table::still` set the byte busy and waited, or the table is closed, or nobody
        // else reads until the lock is left; the table is borrowed for as long as what this
        // answers is.
        unsafe { self.table.cells.value_mut(self.slot.0) }
    }
}

impl<K, V, F: Form> Drop for Still<'_, K, V, F> {
    #[inline]
    fn drop(&mut self) {
        if self.busy {
            self.table.cells.set_busy(self.slot.0, self.tag, false);
        }
    }
}

impl<K, V, F: Form> Table<K, V, F> {
    /// An empty table, on the shelf of this index.
    pub(crate) fn new(shelves: Arc<Shelves<K, V, F>>, index: usize) -> Self {
        Self {
            cells: Cells::new(0),
            shelves,
            index: index as u32,
            closed: false,
            fence: AtomicUsize::new(0),
            live: 0,
            most: 0,
            least: 0,
            unpaid: NONE,
            hidden: Vec::new(),
            waited: true,
        }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.live
    }

    /// Where its shelf is.
    #[inline]
    fn place(&self) -> usize {
        self.index as usize
    }

    /// Waits until nobody can see any more what was taken off the table before.
    #[inline]
    fn wait(&self) {
        if !self.closed {
            self.shelves.lanes.wait(self.place(), &self.fence);
        }
    }

    /// Closes the table, until it is [opened](Self::open): all readers wait at the lock, and
    /// nothing that is done meanwhile waits for any. For what changes many entries.
    pub(crate) fn close(&mut self) {
        self.shelves.shelf(self.place()).set_open(false);
        self.wait();
        self.closed = true;
    }

    pub(crate) fn open(&mut self) {
        self.closed = false;
        self.shelves.shelf(self.place()).set_open(true);
    }

    /// Puts these cells, which hold `most` entries, in the place of its own; returns those.
    fn install(&mut self, cells: Cells<K, V, F>, most: usize) -> Cells<K, V, F> {
        let was_closed = self.closed;
        if !was_closed {
            self.close();
        }
        // SAFETY: the shelf is closed and was waited for.
        unsafe { self.shelves.shelf(self.place()).set_cells(cells) };
        let slots = cells.slots();
        // No table has 2^32 slots.
        self.most = most as u32;
        self.least = if slots > WAYS { slots as u32 / 3 } else { 0 };
        let before = std::mem::replace(&mut self.cells, cells);
        if !was_closed {
            self.open();
        }
        before
    }

    /// Takes a note of a hit by a reader, from the lane `at` on, which is 0 at first.
    #[inline]
    pub(crate) fn take_note(&self, at: &mut usize) -> Option<Slot> {
        self.shelves.lanes.take_note(self.place(), at).map(Slot)
    }

    /// What befell a sample of the keys.
    #[inline]
    pub(crate) fn samples(&self) -> &Samples {
        &self.shelves.lanes.samples
    }

    /// Tells readers, and is told by them, the latest time.
    #[inline]
    pub(crate) fn tell(&self, now: u64) -> u64 {
        self.shelves.shelf(self.place()).tell(now)
    }

    #[inline]
    pub(crate) fn find(&self, tag: Tag, is: impl FnMut(&K) -> bool) -> Option<&Entry<K, V, F>> {
        self.get(self.slot(tag, is)?)
    }

    #[inline]
    pub(crate) fn slot(&self, tag: Tag, mut is: impl FnMut(&K) -> bool) -> Option<Slot> {
        self.slot_where(tag, move |entry| is(entry.key()))
    }

    /// The slot of an entry with this tag that passes `is`.
    #[inline]
    pub(crate) fn slot_where(
        &self,
        tag: Tag,
        is: impl FnMut(&Entry<K, V, F>) -> bool,
    ) -> Option<Slot> {
        self.cells.slot_of(tag, is).map(Slot)
    }

    #[inline]
    pub(crate) fn get(&self, slot: Slot) -> Option<&Entry<K, V, F>> {
        self.cells.get(slot.0)
    }

    /// Whether it must be rebuilt before a slot is filled.
    #[inline]
    pub(crate) fn needs_rebuild(&self) -> bool {
        self.live >= self.most as usize || self.live < self.least as usize
    }

    /// The slot of a key, or an empty one for it. O(1) expected.
    #[inline]
    pub(crate) fn slot_or_vacant(
        &mut self,
        tag: Tag,
        mut is: impl FnMut(&K) -> bool,
    ) -> Result<Slot, Vacant<'_, K, V, F>> {
        debug_assert!(self.live < self.most as usize, "the table needs a rebuild");
        match self.cells.slot_or_vacancy(tag, |entry| is(entry.key())) {
            Ok(slot) => Ok(Slot(slot)),
            Err(slot) => {
                self.cells.prefetch_vacancy(slot);
                let slot = Slot(slot);
                Err(Vacant { table: self, slot })
            }
        }
    }

    /// The entry that was last put in is paid for: it is shown to everybody.
    #[inline]
    pub(crate) fn paid(&mut self, tag: Tag) {
        let Slot(slot) = std::mem::replace(&mut self.unpaid, NONE);
        self.cells
            .show(slot, Label::new(tag, F::Policy::HITS).word());
        self.live += 1;
    }

    /// Takes back the entry that is not paid for.
    pub(crate) fn take_unpaid(&mut self) -> Option<Owned<K, V, F>> {
        let slot = std::mem::replace(&mut self.unpaid, NONE);
        // SAFETY: an entry was written there, and shown to nobody.
        (slot != NONE).then(|| unsafe { self.cells.take(slot.0) })
    }

    /// An entry to be changed where it lies. Waits for its readers.
    #[inline]
    pub(crate) fn still(&mut self, slot: Slot) -> Option<Still<'_, K, V, F>> {
        let tag = self.get(slot)?.tag();
        debug_assert!(!self.hidden.contains(&slot), "it is off the table");
        let busy = !self.closed && !self.shelves.lanes.are_own();
        if busy {
            self.cells.set_busy(slot.0, tag, true);
            self.wait();
        }
        Some(Still {
            table: self,
            slot,
            tag,
            busy,
        })
    }

    /// A value to be changed where it lies, where there are no readers.
    pub(crate) fn value_mut(&mut self, slot: Slot) -> Option<&mut V> {
        assert!(self.shelves.lanes.are_none(), "the table is one owner's");
        self.get(slot)?;
        // SAFETY: there is an entry, nobody but the caller can look at it, and the table is
        // borrowed for as long as the value is.
        Some(unsafe { self.cells.value_mut(slot.0) }.1)
    }

    /// Takes an entry out. Waits for its readers.
    #[inline(always)]
    pub(crate) fn take(&mut self, slot: Slot) -> Option<Owned<K, V, F>> {
        self.take_off(slot)?;
        self.wait();
        // SAFETY: an entry was there, which was taken off the table and waited for.
        Some(unsafe { self.cells.take(slot.0) })
    }

    /// Takes an entry out whose key and value need no drop: hardly a line of a large one is
    /// read. What the policy keeps with it is dropped. Waits for its readers.
    #[inline(always)]
    pub(crate) fn forget(&mut self, slot: Slot) -> Option<()> {
        if needs_drop::<F::Meta>() {
            return self.take(slot).map(drop);
        }
        self.take_off(slot)?;
        self.wait();
        self.cells.forget(slot.0);
        Some(())
    }

    /// Takes an entry off the table, where readers may still be.
    #[inline(always)]
    fn take_off(&mut self, slot: Slot) -> Option<()> {
        let tag = self.get(slot)?.tag();
        if !self.cells.hide(slot.0, tag) {
            return None;
        }
        self.live -= 1;
        Some(())
    }

    /// Whether several threads use the cache.
    #[inline]
    pub(crate) fn is_shared(&self) -> bool {
        self.shelves.lanes.are_shared()
    }

    /// How many entries are worth hiding at once: the more lanes are looked at, the more.
    #[inline]
    pub(crate) fn batch(&self) -> usize {
        (2 * self.shelves.lanes.looked_at()).clamp(1, MOST_HIDDEN)
    }

    /// Takes an entry off the table, to be [taken](Self::take_hidden) later; its readers are
    /// not waited for yet. Says whether there was one, not hidden before.
    #[inline]
    pub(crate) fn hide(&mut self, slot: Slot) -> Option<&Entry<K, V, F>> {
        debug_assert!(
            !self.waited || self.hidden.is_empty(),
            "a batch is taken whole"
        );
        self.take_off(slot)?;
        self.hidden.push(slot);
        self.waited = false;
        self.get(slot)
    }

    /// The entry that `take_hidden` takes: the one that was hidden first. The first such call
    /// waits for the readers of all.
    #[inline]
    pub(crate) fn next_hidden(&mut self) -> Option<&Entry<K, V, F>> {
        if !self.waited {
            self.wait();
            self.waited = true;
            self.hidden.reverse();
        }
        let &slot = self.hidden.last()?;
        self.get(slot)
    }

    /// Takes out the entry that was hidden first.
    #[inline]
    pub(crate) fn take_hidden(&mut self) -> Option<Owned<K, V, F>> {
        self.next_hidden()?;
        let slot = self.hidden.pop()?;
        // SAFETY: an entry was there, which was hidden and waited for.
        Some(unsafe { self.cells.take(slot.0) })
    }

    /// Takes out the entry that was hidden first, as `forget` does.
    #[inline]
    pub(crate) fn forget_hidden(&mut self) -> Option<()> {
        if needs_drop::<F::Meta>() {
            return self.take_hidden().map(drop);
        }
        self.next_hidden()?;
        let slot = self.hidden.pop()?;
        self.cells.forget(slot.0);
        Some(())
    }

    /// Every slot there is, occupied or not.
    pub(crate) fn every_slot(&self) -> impl Iterator<Item = Slot> + use<K, V, F> {
        (0..self.cells.slots()).map(Slot)
    }

    /// The first occupied slot at or after index `from` (taken modulo the
    /// number of slots), other than `except`; its entry is not hidden.
    pub(crate) fn slot_from(&self, from: usize, except: Option<Slot>) -> Option<Slot> {
        if self.live == 0 {
            return None;
        }
        let slots = self.cells.slots();
        let start = from % slots;
        (start..slots)
            .chain(0..start)
            .map(Slot)
            .find(|&slot| Some(slot) != except && self.cells.shows(slot.0))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry<K, V, F>> {
        self.every_slot().filter_map(|slot| self.get(slot))
    }

    /// Leaves an empty table without memory; hands out the full one.
    pub(crate) fn empty(&mut self) -> Taken<K, V, F> {
        assert!(self.hidden.is_empty(), "all were taken");
        self.live = 0;
        let cells = self.install(Cells::new(0), 0);
        Taken { cells, next: 0 }
    }

    pub(crate) fn shrink_to_fit(&mut self) {
        self.rebuild_for(self.live);
    }

    #[cfg(test)]
    pub(crate) fn slot_count(&self) -> usize {
        self.cells.slots()
    }

    /// Makes room for one more, and moves all entries: into a smaller table if this one
    /// is sparse; else into one twice the size, but not beyond what holds `full` entries
    /// and a few more. What holds more than that grows by an eighth. O(entries).
    #[cold]
    #[inline(never)]
    pub(crate) fn rebuild(&mut self, full: usize) {
        let live = self.live;
        let wanted = if live < self.least as usize {
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
        assert!(self.hidden.is_empty(), "all were taken");
        let (slots, most) = size(most);
        let rebuilt = Cells::new(slots);
        let live = self.live;
        let was_closed = self.closed;
        self.close();
        let cells = self.install(rebuilt, most);
        for entry in (Taken { cells, next: 0 }) {
            let label = entry.label();
            let slot = rebuilt.vacancy(Tag::above(label));
            // SAFETY: the slot is empty, the cells are new, and their shelf is closed.
            unsafe { rebuilt.write(slot, entry) };
            rebuilt.show(slot, label);
        }
        self.live = live;
        if !was_closed {
            self.open();
        }
    }

    /// Proves invariants 1, 2 and 4 from scratch, and that nothing was left half done.
    pub(crate) fn check(&self) {
        self.cells.check();
        assert_eq!(self.iter().count(), self.live);
        let most = self.most as usize;
        assert!(self.live <= most && most <= self.cells.slots());
        assert!(self.unpaid == NONE && !self.closed && self.hidden.is_empty());
    }
}

impl<K, V, F: Form> Drop for Table<K, V, F> {
    fn drop(&mut self) {
        drop(self.take_unpaid());
        drop(self.empty());
    }
}

/// The entries of a table that was emptied.
pub(crate) struct Taken<K, V, F: Form> {
    cells: Cells<K, V, F>,
    next: usize,
}

// SAFETY: it owns its entries as a vector's iterator would.
unsafe impl<K: Send, V: Send, F: Form> Send for Taken<K, V, F> where F::Meta: Send {}

impl<K, V, F: Form> Iterator for Taken<K, V, F> {
    type Item = Owned<K, V, F>;

    fn next(&mut self) -> Option<Owned<K, V, F>> {
        while self.next < self.cells.slots() {
            let slot = self.next;
            self.next += 1;
            if self.cells.get(slot).is_some() {
                // SAFETY: an entry is there, each slot is passed once, and these cells were
                // taken off their closed shelf, so nobody else looks at them.
                return Some(unsafe { self.cells.take(slot) });
            }
        }
        None
    }
}

impl<K, V, F: Form> Drop for Taken<K, V, F> {
    fn drop(&mut self) {
        if needs_drop::<Owned<K, V, F>>() {
            self.for_each(drop);
        }
        // SAFETY: these cells were taken off their shelf and their table.
        unsafe { self.cells.free() };
    }
}

impl<K, V, F: Form> Residents<F::Meta> for Table<K, V, F> {
    #[inline]
    fn find(&self, tag: Tag, is: impl Fn(&F::Meta) -> bool) -> Option<Slot> {
        self.slot_where(tag, |entry| is(entry.meta()))
    }

    #[inline]
    fn tag(&self, slot: Slot) -> Option<Tag> {
        self.get(slot).map(Entry::tag)
    }

    #[inline]
    fn meta(&self, slot: Slot) -> Option<&F::Meta> {
        self.cells.meta(slot.0)
    }

    #[inline]
    fn meta_mut(&mut self, slot: Slot) -> Option<&mut F::Meta> {
        // SAFETY: the table is borrowed as `&mut` for as long as what this answers is.
        unsafe { self.cells.meta_mut(slot.0) }
    }

    #[inline]
    fn hits(&self, slot: Slot) -> u32 {
        self.get(slot)
            .map_or(0, |entry| entry.label.hits(F::Policy::HITS))
    }

    #[inline]
    fn set_hits(&mut self, slot: Slot, hits: u32) {
        if let Some(entry) = self.get(slot) {
            entry.label.set_hits(hits, F::Policy::HITS);
        }
    }

    #[inline]
    fn watch(&mut self, slot: Slot) {
        if let Some(entry) = self.get(slot) {
            entry.label.watch(F::Policy::HITS);
        }
    }

    #[inline]
    fn weight(&self, slot: Slot) -> u64 {
        if !F::WEIGHED {
            return 1;
        }
        self.get(slot).map_or(0, |entry| entry.extra().weight())
    }

    #[inline]
    fn prefetch(&self, slot: Slot) {
        self.cells.prefetch(slot.0);
    }

    fn len(&self) -> usize {
        self.live
    }

    fn slots(&self) -> impl Iterator<Item = Slot> {
        self.every_slot()
            .filter(|&slot| self.cells.get(slot.0).is_some())
    }

    fn nth(&self, index: u64) -> Option<Slot> {
        let slots = self.cells.slots().max(1) as u64;
        self.slot_from((index % slots) as usize, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lanes::Lanes;
    use crate::policy::Fifo;
    use crate::sync::cells::Ordering::Relaxed;
    use std::collections::HashMap;

    fn tag(n: u64) -> Tag {
        Tag::of(n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32)
    }

    fn table() -> Table<u64, u64, Fifo> {
        Table::new(Arc::new(Shelves::new(1, Lanes::new(4, 0, false))), 0)
    }

    fn put(table: &mut Table<u64, u64, Fifo>, tag: Tag, key: u64, full: usize) -> Slot {
        if table.needs_rebuild() {
            table.rebuild(full);
        }
        let Err(vacant) = table.slot_or_vacant(tag, |other| *other == key) else {
            panic!("{key} is there")
        };
        let slot = vacant.fill(Owned::new(tag, (), key, key));
        table.paid(tag);
        slot
    }

    fn take(table: &mut Table<u64, u64, Fifo>, tag: Tag, key: u64) -> Option<u64> {
        let slot = table.slot(tag, |other| *other == key)?;
        Some(table.take(slot)?.into_parts().1)
    }

    #[test]
    fn a_full_table_is_never_laid_anew_whatever_comes_and_goes() {
        for full in [1_usize, 15, 32, 96, 1_500, 3_110] {
            let mut table = table();
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
        let mut table = table();
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
            let mut table = table();
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
        let mut table = table();
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
        let mut table = table();
        for n in 0..1_000 {
            put(&mut table, tag(1_000_000 + n), n, 2_000);
        }
        let last = Tag::of(u64::MAX);
        for n in 1_000..1_500 {
            put(&mut table, last, n, 2_000);
        }
        table.check();
        let counts = table.cells.overflow_counts().iter();
        assert!(counts.filter(|count| count.load(Relaxed) > 0).count() > 500 / WAYS);
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
        let mut table = table();
        for n in 0..100 {
            put(&mut table, tag(n), n, 100);
        }
        for count in table.cells.overflow_counts() {
            count.store(1, Relaxed);
        }
        assert!(table.slot(tag(1_000), |_| false).is_none());
    }

    #[test]
    fn it_is_a_map_whatever_is_done() {
        let mut dice = 7_u64;
        let mut roll = |sides: u64| {
            dice = dice.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
            (dice >> 33) % sides
        };
        for tags in [1, 3, 40, 1_000_000] {
            let mut table = table();
            let mut map = HashMap::new();
            for _ in 0..6_000 {
                let (key, full) = (roll(400), roll(500) as usize);
                let tag = tag(key % tags);
                match roll(40) {
                    0 => table.shrink_to_fit(),
                    1 => table.rebuild(full),
                    2 => {
                        let (sum, len) = (map.values().sum::<u64>(), map.len());
                        assert_eq!(table.iter().map(|entry| entry.value()).sum::<u64>(), sum);
                        assert_eq!(table.len(), len);
                        table.check();
                    }
                    3..18 => assert_eq!(take(&mut table, tag, key), map.remove(&key)),
                    18..21 => {
                        let slot = table.slot(tag, |other| *other == key);
                        let forgot = slot.and_then(|slot| table.forget(slot));
                        assert_eq!(forgot.is_some(), slot.is_some());
                        assert_eq!(slot.is_some(), map.remove(&key).is_some());
                    }
                    _ if !map.contains_key(&key) => {
                        put(&mut table, tag, key, full);
                        map.insert(key, key);
                    }
                    _ => {
                        let found = table.find(tag, |other| *other == key);
                        assert_eq!(found.map(|entry| *entry.value()), map.get(&key).copied());
                    }
                }
            }
        }
    }

    /// Steps through the table; before each, something is done to it.
    fn walk(
        table: &mut Table<u64, u64, Fifo>,
        mut before: impl FnMut(&mut Table<u64, u64, Fifo>),
    ) -> Vec<u64> {
        let (mut cursor, mut met) = (Cursor::START, Vec::new());
        while !cursor.is_at_end() {
            before(table);
            let step = table.step(&mut cursor);
            assert!(step.len() <= 64, "{} at once", step.len());
            met.extend(step.iter().map(|&slot| *table.get(slot).unwrap().key()));
        }
        met
    }

    #[test]
    fn a_walk_meets_what_stays_once_and_nothing_twice_whatever_is_rebuilt() {
        let mut dice = 11_u64;
        let mut roll = |sides: u64| {
            dice = dice.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
            (dice >> 33) % sides
        };
        for stay in [0, 1, 7, 32, 33, 500, 3_000] {
            let mut table = table();
            (0..stay).for_each(|n| _ = put(&mut table, tag(n), n, 6_000));
            let (mut from, mut to, mut rebuilt) = (stay, stay, 0);
            let mut met = walk(&mut table, |table| {
                for _ in 0..roll(100) {
                    put(table, tag(to), to, 6_000);
                    to += 1;
                }
                for _ in 0..roll(100).min(to - from) {
                    take(table, tag(from), from);
                    from += 1;
                }
                let slots = table.slot_count();
                match roll(3) {
                    0 => table.shrink_to_fit(),
                    1 => table.rebuild(roll(6_000) as usize),
                    _ => {}
                }
                rebuilt += u32::from(table.slot_count() != slots);
            });
            assert!(stay < 500 || rebuilt > 5, "only {rebuilt} rebuilds");
            met.sort_unstable();
            assert!(met.windows(2).all(|pair| pair[0] < pair[1]), "met twice");
            assert!(met.into_iter().take(stay as usize).eq(0..stay), "left out");
        }
    }

    #[test]
    fn a_walk_meets_what_lies_beyond_its_home_and_all_of_one_tag_at_once() {
        let mut table = table();
        (0..1_000).for_each(|n| _ = put(&mut table, tag(n), n, 3_000));
        // The last group overflows into the first.
        let last = |n| Tag::of(u64::MAX - n / 50);
        (1_000..1_600).for_each(|n| _ = put(&mut table, last(n), n, 3_000));
        let mut met = walk(&mut table, |_| ());
        met.sort_unstable();
        assert!(met.into_iter().eq(0..1_600));
        (2_000..2_200).for_each(|n| _ = put(&mut table, Tag::of(0), n, 3_000));
        // The key 0 has this tag too.
        assert_eq!(table.step(&mut Cursor::START.clone()).len(), 201);
    }

    #[test]
    fn nobody_is_shown_what_is_not_paid_for() {
        let mut table = table();
        put(&mut table, tag(1), 1, 10);
        let Err(vacant) = table.slot_or_vacant(tag(2), |_| false) else {
            panic!("it is there")
        };
        let unpaid = vacant.fill(Owned::new(tag(2), (), 2, 2));
        let shown = |table: &Table<u64, u64, Fifo>| {
            let found = Residents::find(table, tag(2), |_| true);
            (Residents::len(table), table.slots().count(), found)
        };
        assert_eq!(shown(&table), (1, 1, None));
        assert_ne!(table.nth(unpaid.0 as u64), Some(unpaid));
        table.paid(tag(2));
        assert_eq!(shown(&table), (2, 2, Some(unpaid)));
    }

    #[test]
    fn a_slot_that_is_gone_finds_nothing() {
        let mut table = table();
        let slot = put(&mut table, tag(1), 1, 1);
        assert!(table.take(slot).is_some());
        assert!(table.take(slot).is_none());
        assert!(table.forget(slot).is_none());
        assert_eq!(table.len(), 0);
        assert!(table.get(NONE).is_none());
        Residents::prefetch(&table, NONE);
        assert_eq!(table.slot_from(5, None), None);
    }

    #[test]
    fn slot_from_wraps_and_spares_the_excepted() {
        let mut table = table();
        let one = put(&mut table, tag(1), 1, 9);
        assert_eq!(table.slot_from(usize::MAX, None), Some(one));
        assert_eq!(table.slot_from(0, Some(one)), None);
        let two = put(&mut table, tag(2), 2, 9);
        assert_eq!(table.slot_from(7, Some(one)), Some(two));
    }
}
