//! A mark on the thread while a user's closure runs under a shard's lock, or in a visit without
//! one.
//!
//! Such a closure (of `view`, `update`, `compute`, `remove_if`, `for_each`, `retain`, `and_modify`,
//! `valid_if`, the weigher and the rule called after them, and the rule for reads) must not call into any
//! brimful cache:
//! with the lock held, that is a deadlock sooner or later. Every door checks
//! the mark first and panics with a sentence that says so.
//!
//! A listener holds no lock and may call any cache. But what it calls may let entries go, whose
//! listeners call again, and so on until the stack is used up: so a listener that is nested too
//! deep runs with a mark too ([`Nested`]), and what it calls panics with another sentence.
//!
//! Debug builds set the mark around `Eq` and `Clone` under a lock too; release builds don't
//! pay for that. In a visit without a lock they may call other caches, and the lanes tell that
//! it is not this one; a read that could be such a visit, but takes the lock, marks the thread
//! for its own cache alone, in all builds.

use crate::sync::{MARKED, panicking, thread_wide};
use std::cell::Cell;

/// So many listeners may run inside of one another on one thread.
const MOST_NESTED: u32 = 16;

// How many listeners this thread is inside of.
thread_wide! {
    static NESTED: Cell<u32> = const { Cell::new(0) }
}

/// No mark.
const NONE: usize = 0;

/// The mark of a thread that must call no cache.
const ANY: usize = 1;

/// The mark of a thread that is inside of too many listeners. It is under no lock.
const TOO_DEEP: usize = 2;

/// Panics if this thread must not call the cache with this address.
#[inline]
#[track_caller]
pub(crate) fn check(cache: usize) {
    if MARKED.with(Cell::get) != NONE {
        check_mark(cache);
    }
}

#[cold]
#[inline(never)]
#[track_caller]
fn check_mark(cache: usize) {
    if MARKED.with(Cell::get) == TOO_DEEP {
        refuse_to_nest();
    }
    if is_marked(cache) {
        refuse();
    }
}

/// Whether this thread must not call the cache with this address.
pub(crate) fn is_marked(cache: usize) -> bool {
    let mark = MARKED.with(Cell::get);
    mark == ANY || mark == cache && mark != NONE
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
         view, update, compute, remove_if, for_each, retain, and_modify or valid_if, a weigher or rule called after one of these, \
         a rule for reads, or Eq or Clone of a key or value); collect what you need and make the call after it returns"
    )
}

#[cold]
#[inline(never)]
#[track_caller]
fn refuse_to_nest() -> ! {
    panic!(
        "brimful: a cache was called from a listener nested {MOST_NESTED} deep: each was told of what left in a call \
         that the one before had made; if it puts back what was evicted, which evicts another, collect that, and \
         insert it after the call that it is told in"
    )
}

/// Marks the thread until dropped.
pub(crate) struct Mark {
    before: usize,
}

impl Mark {
    /// It must call no cache.
    #[inline]
    pub(crate) fn set() -> Self {
        Self::set_to(ANY)
    }

    /// It must not call the cache with this address, nor what it must not call already.
    pub(crate) fn set_for(cache: usize) -> Self {
        match MARKED.with(Cell::get) {
            NONE => Self::set_to(cache),
            _ => Self::set_to(ANY),
        }
    }

    #[inline]
    fn set_to(mark: usize) -> Self {
        Self {
            before: MARKED.with(|marked| marked.replace(mark)),
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
        MARKED.with(|marked| marked.set(self.before));
    }
}

/// A listener runs, until dropped: inside of those that this thread is inside of already.
pub(crate) struct Nested {
    _mark: Option<Mark>,
}

impl Nested {
    /// The deepest that may be must call no cache.
    pub(crate) fn enter() -> Self {
        let depth = NESTED.with(|nested| nested.replace(nested.get() + 1)) + 1;
        let marks = depth >= MOST_NESTED && MARKED.with(Cell::get) == NONE;
        Self {
            _mark: marks.then(|| Mark::set_to(TOO_DEEP)),
        }
    }
}

impl Drop for Nested {
    fn drop(&mut self) {
        NESTED.with(|nested| nested.set(nested.get() - 1));
    }
}
