//! A small number for each thread, free again when the thread has ended.
//!
//! Numbers are of the process, not of a cache: a thread has the same one everywhere, and finds
//! it in a thread-local. The lowest that is free is given, so a program of sixteen threads has
//! numbers below some twenty, however many threads came and went.

use crate::sync::{give_number, take_number, thread_wide};
use std::cell::Cell;

/// No number: beyond all lanes, also where there are several lines for each.
const NONE: usize = usize::MAX >> 2;

thread_wide! {
    static NUMBER: Cell<usize> = const { Cell::new(NONE) }
}

thread_wide! {
    static HELD: Held = const { Held(Cell::new(NONE)) }
}

/// Gives the number back when its thread ends. Destructors of thread-locals that run later
/// find no number, and none can be taken any more.
struct Held(Cell<usize>);

impl Drop for Held {
    fn drop(&mut self) {
        set(NONE);
        if self.0.get() != NONE {
            give_number(self.0.get());
        }
    }
}

/// The calling thread's number; a number beyond all lanes if none is free now.
#[inline]
pub(super) fn number() -> usize {
    let number = given();
    if number == NONE { take() } else { number }
}

/// The calling thread's number, or a number beyond all lanes if it was given none yet.
#[inline]
pub(super) fn given() -> usize {
    NUMBER.try_with(Cell::get).unwrap_or(NONE)
}

#[cold]
#[inline(never)]
fn take() -> usize {
    let take = |held: &Held| {
        let number = take_number().unwrap_or(NONE);
        held.0.set(number);
        number
    };
    let number = HELD.try_with(take).unwrap_or(NONE);
    set(number);
    number
}

fn set(number: usize) {
    // Under the model checker it may be gone; then no number is given any more.
    let _ = NUMBER.try_with(|own| own.set(number));
}

#[cfg(test)]
#[cfg(not(brimful_loom))]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::sync::{Barrier, Mutex, PoisonError};

    /// One of these tests takes all numbers there are.
    static ALONE: Mutex<()> = Mutex::new(());

    #[test]
    fn threads_that_live_at_the_same_time_have_different_numbers_and_later_ones_the_same_again() {
        const THREADS: usize = 40;
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..50 {
            let barrier = Barrier::new(THREADS);
            let own = || {
                let own = number();
                barrier.wait();
                assert_eq!(number(), own);
                own
            };
            let numbers: BTreeSet<usize> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(own)).collect();
                threads.into_iter().map(|t| t.join().unwrap()).collect()
            });
            assert_eq!(numbers.len(), THREADS);
            // Other tests run beside this one.
            assert!(numbers.iter().all(|&number| number < 4 * THREADS));
        }
    }

    #[test]
    fn more_threads_than_numbers_go_without_and_take_one_when_it_is_free() {
        const THREADS: usize = 400;
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, done) = (Barrier::new(THREADS + 1), Barrier::new(THREADS + 1));
        std::thread::scope(|scope| {
            let own = || {
                all.wait();
                let own = number();
                done.wait();
                own
            };
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(own)).collect();
            all.wait();
            done.wait();
            let numbers: Vec<usize> = threads.into_iter().map(|t| t.join().unwrap()).collect();
            assert!(numbers.contains(&NONE), "there are less than {THREADS}");
        });
        std::thread::spawn(|| assert_ne!(number(), NONE))
            .join()
            .unwrap();
    }

    #[test]
    fn a_thread_that_ends_can_still_ask() {
        struct Late;
        impl Drop for Late {
            fn drop(&mut self) {
                number();
            }
        }
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        std::thread_local!(static LATE: Late = const { Late });
        for _ in 0..100 {
            let asks = || LATE.with(|_| number());
            assert_ne!(std::thread::spawn(asks).join().unwrap(), NONE);
        }
    }
}
