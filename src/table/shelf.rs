//! `Shelf`: where readers without a lock find a shard's cells.
//!
//! A shelf has a line of its own, which is written only where the table's memory changes, or where
//! so much is changed that readers are sent to the lock until it is done. While it is
//! closed, and all stays have ended that may have seen it open, everything in it is the
//! holder's alone.
//!
//! Invariant: `cells` are changed only while the shelf is closed and no stay is left that
//! saw it open.
#![allow(
    unsafe_code,
    reason = "cells are found while they may be replaced; the head says by what rules"
)]

use super::cells::{Cells, Entry, Look};
use crate::form::Form;
use crate::lanes::{Lanes, Notes, Stay};
use crate::sync::cells::{
    AtomicBool, AtomicU64, LOCKLESS,
    Ordering::{Acquire, Relaxed, Release},
};
use crate::tag::Tag;
use std::cell::UnsafeCell;

/// What readers see of one shard.
#[repr(align(64))]
pub(super) struct Shelf<K, V, F: Form> {
    open: AtomicBool,
    /// The latest time that was told here, of a clock that may go back.
    latest: AtomicU64,
    cells: UnsafeCell<Cells<K, V, F>>,
}

impl<K, V, F: Form> Shelf<K, V, F> {
    fn new() -> Self {
        Self {
            open: AtomicBool::new(true),
            latest: AtomicU64::new(0),
            cells: UnsafeCell::new(Cells::new(0)),
        }
    }

    /// Sends readers that come later to the lock, or no more.
    pub(super) fn set_open(&self, open: bool) {
        self.open.store(open, Release);
    }

    /// Replaces the cells.
    ///
    /// # Safety
    /// The shelf is closed, no stay is left that saw it open, and the caller holds the lock.
    pub(super) unsafe fn set_cells(&self, cells: Cells<K, V, F>) {
        // SAFETY: by the invariant, which the caller keeps, nobody looks at them.
        unsafe { *self.cells.get() = cells };
    }

    /// Tells the time; says what the latest is that was told.
    #[inline]
    pub(super) fn tell(&self, now: u64) -> u64 {
        let latest = self.latest.load(Relaxed);
        if latest < now {
            return self.latest.fetch_max(now, Relaxed).max(now);
        }
        latest
    }
}

/// The shelves of all shards of a cache, and the lanes of their readers.
pub(crate) struct Shelves<K, V, F: Form> {
    pub(crate) lanes: Lanes,
    shelves: Box<[Shelf<K, V, F>]>,
}

// SAFETY: entries are read on many threads at once (`Sync`), and dropped or handed over on any
// (`Send`); nothing else in cells is touched without a lock but atomics, and what policies
// keep is moved from holder to holder (`Send`).
unsafe impl<K: Send + Sync, V: Send + Sync, F: Form> Sync for Shelves<K, V, F> where F::Meta: Send {}
// SAFETY: shelves refer to entries, which may be sent where keys, values and metas may be.
unsafe impl<K: Send, V: Send, F: Form> Send for Shelves<K, V, F> where F::Meta: Send {}

impl<K, V, F: Form> Shelves<K, V, F> {
    pub(crate) fn new(shards: usize, lanes: Lanes) -> Self {
        Self {
            lanes,
            shelves: (0..shards).map(|_| Shelf::new()).collect(),
        }
    }

    #[inline]
    pub(super) fn shelf(&self, shard: usize) -> &Shelf<K, V, F> {
        &self.shelves[shard]
    }

    /// Begins a visit to a shard without its lock, if this thread can.
    #[inline]
    #[track_caller]
    pub(crate) fn visit(&self, shard: usize) -> Option<Visit<'_, K, V, F>> {
        if !LOCKLESS {
            return None;
        }
        // Before anything of the shelf is looked at.
        let stay = self.lanes.enter(shard)?;
        let shelf = self.shelves.get(shard)?;
        Some(Visit { shelf, stay })
    }
}

/// A reader's visit to a shard: what it finds there stays as it is for as long.
pub(crate) struct Visit<'a, K, V, F: Form> {
    shelf: &'a Shelf<K, V, F>,
    pub(crate) stay: Stay<'a>,
}

/// Where a hit of a visit is noted: in registers, so that a visit that notes nothing is not written to
/// memory.
pub(crate) struct Noting<'a, K, V, F: Form> {
    shelf: &'a Shelf<K, V, F>,
    notes: Notes<'a>,
}

impl<K, V, F: Form> Clone for Noting<'_, K, V, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V, F: Form> Copy for Noting<'_, K, V, F> {}

impl<K, V, F: Form> Noting<'_, K, V, F> {
    /// Notes a hit on an entry that was found in this visit, which has not ended; says whether there was a
    /// place for it.
    #[inline]
    pub(crate) fn note(self, shard: usize, entry: &Entry<K, V, F>) -> bool {
        // SAFETY: who has an entry of this shard without its lock was given it by `find`, which saw
        // the shelf open in this stay; so, by the invariant, its cells stay what they are until
        // the stay ends.
        let slot = unsafe { &*self.shelf.cells.get() }.slot_at(entry);
        self.notes.note(shard, slot)
    }
}

impl<K, V, F: Form> Visit<'_, K, V, F> {
    /// Where hits of this visit are noted.
    #[inline]
    pub(crate) fn noting(&self) -> Noting<'_, K, V, F> {
        Noting {
            shelf: self.shelf,
            notes: self.stay.notes(),
        }
    }

    #[inline(always)]
    pub(crate) fn find(&self, tag: Tag, is: impl FnMut(&K) -> bool) -> Look<'_, K, V, F> {
        if !self.shelf.open.load(Acquire) {
            return Look::Unclear;
        }
        // SAFETY: the shelf was seen open in this stay, so its cells stay what they are until
        // it ends.
        let cells = unsafe { &*self.shelf.cells.get() };
        // SAFETY: as said, and the answer is borrowed from the visit that holds the stay.
        unsafe { cells.look(tag, is) }
    }

    /// Tells the shard the time; says what the latest is that it was told.
    #[inline]
    pub(crate) fn tell(&self, now: u64) -> u64 {
        self.shelf.tell(now)
    }
}
