//! A mark on the thread while a user's closure runs under a shard's lock, or in a visit without
//! one.
//!
//! Such a closure (of `view`, `update`, `remove_if`, `retain`, `and_modify`,
//! the weigher and the rule called after them, and the rule for reads) must not call into any brimful cache:
//! with the lock held, that is a deadlock sooner or later. Every door checks
//! the mark first and panics with a sentence that says so.
//!
//! Debug builds set the mark around `Eq` and `Clone` under a lock too; release builds don't
//! pay for that. In a visit without a lock they may call other caches, and the lanes tell that
//! it is not this one.

use crate::sync::{MARKED, panicking};
use std::cell::Cell;

/// Panics if this thread is inside a closure that runs under a shard's lock.
#[inline]
#[track_caller]
pub(crate) fn check() {
    if MARKED.with(Cell::get) {
        refuse();
    }
}

/// Whether this thread is inside such a closure.
pub(crate) fn is_marked() -> bool {
    MARKED.with(Cell::get)
}

/// Whether a destructor may lock a shard, that is not `inside` of such code: it panics as
/// [`check`] does, but while unwinding, when a second panic would abort the process, it answers
/// `false` instead.
pub(crate) fn may_lock_while_dropping(inside: bool) -> bool {
    if inside && !panicking() {
        refuse();
    }
    !inside
}

#[cold]
#[inline(never)]
#[track_caller]
pub(crate) fn refuse() -> ! {
    panic!(
        "brimful: a cache was called from code that runs under a cache's lock (a closure given to \
         view, update, remove_if, retain or and_modify, a weigher or rule called after one of these, \
         a rule for reads, or Eq or Clone of a key or value); collect what you need and make the call after it returns"
    )
}

/// Marks the thread until dropped.
pub(crate) struct Mark {
    before: bool,
}

impl Mark {
    #[inline]
    pub(crate) fn set() -> Self {
        Self {
            before: MARKED.with(|mark| mark.replace(true)),
        }
    }

    /// Marks the thread in debug builds, and does nothing in release builds.
    #[inline]
    pub(crate) fn set_in_debug() -> Option<Self> {
        cfg!(debug_assertions).then(Self::set)
    }
}

impl Drop for Mark {
    #[inline]
    fn drop(&mut self) {
        MARKED.with(|mark| mark.set(self.before));
    }
}
