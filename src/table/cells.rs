//! `Cells`: the memory of a table, and the search in it.
//!
//! Readers without a lock and the holder of the shard's lock look at the same cells, so they
//! lie behind pointers. What each may do:
//!
//! | | readers, in a stay | the holder of the lock |
//! |---|---|---|
//! | bytes of groups, overflow counts | load | load, store |
//! | an entry whose byte is neither empty nor busy | look at its key, value, label and extra; change label and extra | that, and its meta |
//! | any other entry | nothing | once no stay can have seen it: everything |
//!
//! Invariants
//! 1. A byte that is neither empty nor busy stands for an entry that is whole; its release store
//!    came after the entry was written. Its label is set while it is shown, and taken away only
//!    when nobody can see it: by that the holder of the lock knows that there is one.
//! 2. What is moved out, dropped, written, or borrowed as `&mut`, lies under an empty or busy
//!    byte (or in a shelf that is closed), and all stays have ended that may have seen
//!    another one there (`lanes`).
//! 3. `meta` is touched by the holder of the lock alone.
#![allow(
    unsafe_code,
    reason = "entries are read while others are written; the head says by what rules"
)]

use super::group::{BUSY, EMPTY, Group, Seen, WAYS};
use super::label::Label;
use crate::form::Form;
use crate::policy::Policy;
use crate::processor;
use crate::sync::cells::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
    Trace,
};
use crate::tag::Tag;
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::ptr::NonNull;

/// An entry outside of a table: a key, its value, what its policy keeps with it, and what its
/// form adds.
pub(crate) struct Owned<K, V, F: Form> {
    label: Label,
    meta: F::Meta,
    pub(crate) extra: F::Extra,
    key: K,
    value: V,
}

impl<K, V, F: Form> Owned<K, V, F> {
    /// A new entry.
    #[inline]
    pub(crate) fn new(tag: Tag, extra: F::Extra, key: K, value: V) -> Self {
        Self {
            label: Label::new(tag, F::Policy::HITS),
            meta: F::Meta::default(),
            extra,
            key,
            value,
        }
    }

    #[inline]
    pub(super) fn label(&self) -> u32 {
        self.label.word()
    }

    /// Its key, its value, and what its form adds.
    #[inline]
    pub(crate) fn into_parts(self) -> (K, V, F::Extra) {
        (self.key, self.value, self.extra)
    }
}

/// A field of an entry.
type Field<T> = UnsafeCell<MaybeUninit<T>>;

/// Where an entry lies in its table. While it has no label there is none; nobody is given a
/// reference then.
pub(crate) struct Entry<K, V, F: Form> {
    pub(crate) label: Label,
    trace: Trace,
    meta: Field<F::Meta>,
    extra: Field<F::Extra>,
    key: Field<K>,
    value: Field<V>,
}

impl<K, V, F: Form> Entry<K, V, F> {
    fn empty() -> Self {
        Self {
            label: Label::none(),
            trace: Trace::new(),
            meta: UnsafeCell::new(MaybeUninit::uninit()),
            extra: UnsafeCell::new(MaybeUninit::uninit()),
            key: UnsafeCell::new(MaybeUninit::uninit()),
            value: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    #[inline]
    pub(crate) fn tag(&self) -> Tag {
        self.label.tag()
    }

    // In the first three: who has a reference to an entry was given it in a stay, or has borrowed the
    // table; so its fields are there (invariant 1), and nobody writes them (invariant 2) but what
    // lies in atomics.

    #[inline]
    pub(crate) fn key(&self) -> &K {
        // SAFETY: as said above.
        unsafe { (*self.key.get()).assume_init_ref() }
    }

    #[inline]
    pub(crate) fn value(&self) -> &V {
        // SAFETY: as said above. It is borrowed as `&mut` in `Cells::value_mut` alone, whose
        // caller has borrowed the table as `&mut` and waited for all stays.
        unsafe { (*self.value.get()).assume_init_ref() }
    }

    #[inline]
    pub(crate) fn extra(&self) -> &F::Extra {
        // SAFETY: as said above.
        unsafe { (*self.extra.get()).assume_init_ref() }
    }

    /// What the policy keeps with it, for the holder of the lock.
    #[inline]
    pub(super) fn meta(&self) -> &F::Meta {
        // SAFETY: by invariant 3 the holder alone looks at it, and while it has borrowed the
        // table, as here, it has no `&mut`.
        unsafe { (*self.meta.get()).assume_init_ref() }
    }
}

/// The groups of a table, their overflow counts, and its entries. A view that is copied
/// freely: the table owns them.
pub(super) struct Cells<K, V, F: Form> {
    groups: NonNull<[Group]>,
    overflow: NonNull<[AtomicU32]>,
    entries: NonNull<[Entry<K, V, F>]>,
}

impl<K, V, F: Form> Clone for Cells<K, V, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V, F: Form> Copy for Cells<K, V, F> {}

/// A slot, and the entry in it.
type Found<K, V, F> = (usize, NonNull<Entry<K, V, F>>);

/// Nothing was found; whether an entry was being changed on the way.
struct Busy(bool);

/// What a reader finds.
pub(crate) enum Look<'a, K, V, F: Form> {
    Here(&'a Entry<K, V, F>),
    Absent,
    /// It may be there: to know, look under the lock.
    Unclear,
}

fn leak<T>(items: impl Iterator<Item = T>) -> NonNull<[T]> {
    NonNull::from(Box::leak(items.collect::<Box<[T]>>()))
}

impl<K, V, F: Form> Cells<K, V, F> {
    /// Empty cells for so many entries. Nobody frees them but [`free`](Self::free).
    pub(super) fn new(slots: usize) -> Self {
        let groups = slots.div_ceil(WAYS);
        Self {
            groups: leak((0..groups).map(|_| Group::of(slots))),
            overflow: leak((0..groups).map(|_| AtomicU32::new(0))),
            entries: leak((0..slots).map(|_| Entry::empty())),
        }
    }

    /// Frees the memory; entries that are still there are not dropped.
    ///
    /// # Safety
    /// No copy of these cells is used any more, by anyone.
    pub(super) unsafe fn free(self) {
        // SAFETY: `new` leaked these boxes, and the caller vouches that nobody looks at
        // them any more.
        unsafe {
            drop(Box::from_raw(self.groups.as_ptr()));
            drop(Box::from_raw(self.overflow.as_ptr()));
            drop(Box::from_raw(self.entries.as_ptr()));
        }
    }

    // In these three: the cells live until `free`, whose caller vouches that no copy is used
    // after it; and all that is shared in them lies in atomics and `UnsafeCell`s.

    #[inline]
    fn groups(&self) -> &[Group] {
        // SAFETY: as said above.
        unsafe { self.groups.as_ref() }
    }

    #[inline]
    fn overflow(&self) -> &[AtomicU32] {
        // SAFETY: as said above.
        unsafe { self.overflow.as_ref() }
    }

    #[inline]
    fn entries(&self) -> &[Entry<K, V, F>] {
        // SAFETY: as said above.
        unsafe { self.entries.as_ref() }
    }

    #[inline]
    pub(super) fn slots(&self) -> usize {
        self.entries.len()
    }

    /// The group in which the search for a tag begins.
    #[inline]
    fn home(&self, tag: Tag) -> usize {
        ((u64::from(tag.bits()) * self.groups.len() as u64) >> 32) as usize
    }

    /// The homes of the tags from this one on, as a number, but so many groups at most; and the
    /// first tag that is at home beyond them.
    pub(super) fn homes_from(&self, tag: u64, most: usize) -> (Range<usize>, u64) {
        let groups = self.groups.len() as u64;
        let first = (tag * groups) >> u32::BITS;
        let end = (first + most as u64).min(groups);
        let beyond = if end < groups {
            (end << u32::BITS).div_ceil(groups)
        } else {
            1 << u32::BITS
        };
        (first as usize..end as usize, beyond)
    }

    /// The slots in which those lie that are at home in these groups, and some others.
    pub(super) fn slots_from(&self, homes: Range<usize>) -> impl Iterator<Item = usize> {
        let groups = self.groups.len();
        let looked_at = (homes.start..homes.start + groups).take_while(move |&group| {
            homes.contains(&group) || self.has_overflowed((group - 1) % groups)
        });
        looked_at.flat_map(move |group| (0..WAYS).map(move |way| group % groups * WAYS + way))
    }

    #[inline]
    fn after(&self, group: usize) -> usize {
        let next = group + 1;
        if next == self.groups.len() { 0 } else { next }
    }

    #[inline]
    fn has_overflowed(&self, group: usize) -> bool {
        let count = self.overflow().get(group);
        count.is_some_and(|count| count.load(Acquire) > 0)
    }

    /// The entry in a slot, for the holder of the lock.
    #[inline]
    pub(super) fn get(&self, slot: usize) -> Option<&Entry<K, V, F>> {
        let entry = self.entries().get(slot)?;
        entry.label.is_some().then_some(entry)
    }

    /// The slot of an entry of these cells.
    #[inline]
    pub(super) fn slot_at(&self, entry: &Entry<K, V, F>) -> usize {
        let offset = std::ptr::from_ref(entry).addr() - self.entries.cast::<u8>().addr().get();
        offset / size_of::<Entry<K, V, F>>()
    }

    /// Whether a slot holds an entry that is not hidden, for the holder of the lock.
    pub(super) fn shows(&self, slot: usize) -> bool {
        self.groups()[slot / WAYS].byte(slot % WAYS) != EMPTY && self.get(slot).is_some()
    }

    /// The entry of one group that has this tag and passes `is`, and its slot.
    #[inline(always)]
    fn find_in_group(
        &self,
        (group, seen): (usize, Seen),
        tag: Tag,
        mut is: impl FnMut(&Entry<K, V, F>) -> bool,
    ) -> Option<Found<K, V, F>> {
        for way in seen.matches(fingerprint(tag)) {
            let slot = group * WAYS + way;
            // By its byte it is whole, unless that is the byte of a slot that is not there.
            if let Some(entry) = self.entries().get(slot) {
                entry.trace.read();
                if entry.label.has(tag) && is(entry) {
                    return Some((slot, NonNull::from(entry)));
                }
            }
        }
        None
    }

    /// The slot of an entry that has this tag and passes `is`. O(1) expected.
    #[inline(always)]
    pub(super) fn slot_of(
        &self,
        tag: Tag,
        is: impl FnMut(&Entry<K, V, F>) -> bool,
    ) -> Option<usize> {
        self.search(tag, is).ok().map(|(slot, _)| slot)
    }

    /// The entry that has this tag and passes `is`, and its slot; or else whether an entry was
    /// being changed on the way. O(1) expected.
    #[inline(always)]
    fn search(
        &self,
        tag: Tag,
        mut is: impl FnMut(&Entry<K, V, F>) -> bool,
    ) -> Result<Found<K, V, F>, Busy> {
        let home = self.home(tag);
        let Some(group) = self.groups().get(home) else {
            return Err(Busy(false));
        };
        let seen = group.see();
        if let Some(found) = self.find_in_group((home, seen), tag, &mut is) {
            return Ok(found);
        }
        let busy = seen.is_busy();
        if self.has_overflowed(home) {
            return self.search_beyond(home, busy, tag, is);
        }
        Err(Busy(busy))
    }

    /// Goes on with a search in the groups beyond the home group. Few searches get here.
    #[inline(never)]
    fn search_beyond(
        &self,
        home: usize,
        mut busy: bool,
        tag: Tag,
        mut is: impl FnMut(&Entry<K, V, F>) -> bool,
    ) -> Result<Found<K, V, F>, Busy> {
        let mut group = home;
        loop {
            group = self.after(group);
            // That was once round: all groups have overflowed.
            if group == home {
                return Err(Busy(busy));
            }
            let seen = self.groups()[group].see();
            if let Some(found) = self.find_in_group((group, seen), tag, &mut is) {
                return Ok(found);
            }
            busy |= seen.is_busy();
            if !self.has_overflowed(group) {
                return Err(Busy(busy));
            }
        }
    }

    /// What a reader finds under a key.
    ///
    /// # Safety
    /// The caller is in a stay that began before it learned of these cells, from a shelf that
    /// was open, and ends it after it has used the entry for the last time.
    #[inline(always)]
    pub(super) unsafe fn look<'a>(
        &self,
        tag: Tag,
        mut is: impl FnMut(&K) -> bool,
    ) -> Look<'a, K, V, F> {
        match self.search(tag, |entry| is(entry.key())) {
            // SAFETY: `search` saw its fingerprint in this stay, so it stays as it is for as
            // long as that; the caller vouches that this is longer than 'a.
            Ok((_, entry)) => Look::Here(unsafe { entry.as_ref() }),
            Err(Busy(true)) => Look::Unclear,
            Err(Busy(false)) => Look::Absent,
        }
    }

    /// The slot of an entry that has this tag and passes `is`, or else the first empty slot from
    /// its home group on, from one look at that group: for the holder of the lock.
    #[inline(always)]
    pub(super) fn slot_or_vacancy(
        &self,
        tag: Tag,
        mut is: impl FnMut(&Entry<K, V, F>) -> bool,
    ) -> Result<usize, usize> {
        let home = self.home(tag);
        let seen = self.groups()[home].see();
        if let Some((slot, _)) = self.find_in_group((home, seen), tag, &mut is) {
            return Ok(slot);
        }
        if self.has_overflowed(home) {
            if let Ok((slot, _)) = self.search_beyond(home, false, tag, is) {
                return Ok(slot);
            }
        }
        Err(match seen.first_empty() {
            Some(way) => home * WAYS + way,
            None => self.vacancy_beyond(home),
        })
    }

    /// The first empty slot from the home group of a tag on: there is one, unless a rebuild
    /// is needed.
    #[inline]
    pub(super) fn vacancy(&self, tag: Tag) -> usize {
        let home = self.home(tag);
        match self.groups()[home].see().first_empty() {
            Some(way) => home * WAYS + way,
            None => self.vacancy_beyond(home),
        }
    }

    #[inline(never)]
    fn vacancy_beyond(&self, home: usize) -> usize {
        let mut group = self.after(home);
        loop {
            if let Some(way) = self.groups()[group].see().first_empty() {
                return group * WAYS + way;
            }
            assert_ne!(group, home, "the table needs a rebuild");
            group = self.after(group);
        }
    }

    /// Writes an entry into an empty slot; nobody sees it before it is [shown](Self::show).
    ///
    /// # Safety
    /// The slot is empty and was so before the last wait, and nothing was written there
    /// since; the caller holds the lock.
    #[inline]
    pub(super) unsafe fn write(&self, slot: usize, owned: Owned<K, V, F>) {
        let entry = &self.entries()[slot];
        entry.trace.write();
        // SAFETY: by invariant 2, which the caller keeps, nobody looks at an empty slot.
        unsafe {
            (*entry.meta.get()).write(owned.meta);
            (*entry.extra.get()).write(owned.extra);
            (*entry.key.get()).write(owned.key);
            (*entry.value.get()).write(owned.value);
        }
    }

    /// Shows the entry that was written into this slot, with this label.
    #[inline]
    pub(super) fn show(&self, slot: usize, label: u32) {
        let tag = Tag::above(label);
        let (group, home) = (slot / WAYS, self.home(tag));
        if group != home {
            // Before the byte: who sees that finds the way to it.
            self.count_overflow(home, group, 1);
        }
        self.entries()[slot].label.set(label);
        self.groups()[group].set(slot % WAYS, fingerprint(tag));
    }

    /// Empties the slot of an entry with this tag: readers that come later do not see it. Says
    /// whether it was not empty before.
    #[inline]
    pub(super) fn hide(&self, slot: usize, tag: Tag) -> bool {
        let (group, home) = (slot / WAYS, self.home(tag));
        if self.groups()[group].byte(slot % WAYS) == EMPTY {
            return false;
        }
        self.groups()[group].set(slot % WAYS, EMPTY);
        if group != home {
            self.count_overflow(home, group, -1);
        }
        true
    }

    /// Adds `by` to the overflow count of every group from `home` up to, not including, `group`.
    #[inline(never)]
    fn count_overflow(&self, home: usize, group: usize, by: i32) {
        let mut at = home;
        while at != group {
            let count = &self.overflow()[at];
            count.store(count.load(Relaxed).wrapping_add_signed(by), Release);
            at = self.after(at);
        }
    }

    /// Says of an entry that it is being changed, or no more.
    #[inline]
    pub(super) fn set_busy(&self, slot: usize, tag: Tag, busy: bool) {
        let byte = if busy { BUSY } else { fingerprint(tag) };
        self.groups()[slot / WAYS].set(slot % WAYS, byte);
    }

    /// Notes that the slot of a hidden entry has none any more.
    #[inline]
    pub(super) fn forget(&self, slot: usize) {
        self.entries()[slot].label.set(0);
    }

    /// Moves the entry out of a slot.
    ///
    /// # Safety
    /// An entry was written there and not moved out since, its byte is empty, all stays have
    /// ended that may have seen another, and the caller holds the lock.
    #[inline]
    pub(super) unsafe fn take(&self, slot: usize) -> Owned<K, V, F> {
        let entry = &self.entries()[slot];
        entry.trace.write();
        let label = entry.label.take();
        // SAFETY: by invariant 2 it is the caller's alone, who takes it once.
        unsafe {
            Owned {
                label,
                meta: (*entry.meta.get()).assume_init_read(),
                extra: (*entry.extra.get()).assume_init_read(),
                key: (*entry.key.get()).assume_init_read(),
                value: (*entry.value.get()).assume_init_read(),
            }
        }
    }

    /// The key of an entry, and its value to be changed.
    ///
    /// # Safety
    /// An entry is there. Its byte is busy or its shelf closed, and all stays have ended that may
    /// have seen another; or nobody else reads before the caller leaves the lock (invariant 3 of
    /// `lanes`). The caller has borrowed the table as `&mut` for 'a.
    #[inline]
    pub(super) unsafe fn value_mut<'a>(&self, slot: usize) -> (&'a K, &'a mut V)
    where
        F: 'a,
    {
        let entry = &self.entries()[slot];
        entry.trace.write();
        // SAFETY: the entry is whole and nobody else looks at it, so the value is the caller's
        // alone; the cells live as long as the table.
        unsafe {
            (
                (*entry.key.get()).assume_init_ref(),
                (*entry.value.get()).assume_init_mut(),
            )
        }
    }

    /// What its form adds to an entry that is still, for the holder of the lock.
    #[inline]
    pub(super) fn extra(&self, slot: usize) -> &F::Extra {
        self.get(slot).expect("an entry").extra()
    }

    /// What the policy keeps with an entry, for the holder of the lock.
    #[inline]
    pub(super) fn meta(&self, slot: usize) -> Option<&F::Meta> {
        self.get(slot).map(Entry::meta)
    }

    /// What the policy keeps with an entry, to be changed.
    ///
    /// # Safety
    /// The caller holds the lock and has borrowed the table as `&mut` for 'a.
    #[inline]
    pub(super) unsafe fn meta_mut<'a>(&self, slot: usize) -> Option<&'a mut F::Meta> {
        let meta = self.get(slot)?.meta.get();
        // SAFETY: by invariant 3 nobody else looks at it, and an entry is there.
        Some(unsafe { (*meta).assume_init_mut() })
    }

    /// Asks for the memory of a slot, and does not wait for it.
    #[inline]
    pub(super) fn prefetch(&self, slot: usize) {
        if let Some(entry) = self.entries().get(slot) {
            processor::prefetch(entry);
            processor::prefetch(&self.groups()[slot / WAYS]);
        }
    }

    /// Asks for the memory of an empty slot, and does not wait for it.
    #[inline]
    pub(super) fn prefetch_vacancy(&self, slot: usize) {
        if let Some(entry) = self.entries().get(slot) {
            processor::prefetch(entry);
        }
    }

    /// Proves invariant 1 and the overflow counts from scratch, while nobody writes.
    pub(super) fn check(&self) {
        let mut overflow = vec![0; self.groups.len()];
        for slot in 0..self.slots() {
            let (group, byte) = (slot / WAYS, self.groups()[slot / WAYS].byte(slot % WAYS));
            assert_ne!(byte, BUSY, "slot {slot} is busy");
            let Some(entry) = self.get(slot) else {
                assert_eq!(byte, EMPTY, "the byte of slot {slot}");
                continue;
            };
            assert_eq!(byte, fingerprint(entry.tag()), "the byte of slot {slot}");
            let found = self.slot_of(entry.tag(), |other| std::ptr::eq(other, entry));
            assert_eq!(found, Some(slot));
            let mut at = self.home(entry.tag());
            while at != group {
                overflow[at] += 1;
                at = self.after(at);
            }
        }
        let counted = self.overflow().iter().map(|count| count.load(Relaxed));
        assert!(counted.eq(overflow), "overflow counts");
    }

    #[cfg(test)]
    pub(super) fn overflow_counts(&self) -> &[AtomicU32] {
        self.overflow()
    }
}

/// The 8 bits of a tag that a table compares before it looks at an entry: never 0 or 1.
#[inline]
fn fingerprint(tag: Tag) -> u8 {
    tag.fingerprint() as u8
}
