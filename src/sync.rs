//! Locks, atomics and thread-local storage: the one file that names
//! `parking_lot`, `std::sync`, `std::thread` or `loom`.
//!
//! Every other room takes its primitives from here, so building with
//! `--cfg brimful_loom` swaps the whole crate onto the model checker's
//! primitives without another `cfg` anywhere.
//!
//! The lock does not poison: a panic in user code under a lock unlocks it, and the
//! rooms above keep user code out of the span between two state changes.

#[cfg(not(brimful_loom))]
mod chosen {
    pub(crate) use parking_lot::{Mutex, MutexGuard};
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    std::thread_local! {
        /// See `reentry`.
        pub(crate) static MARKED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    }

    /// Processors this process may use, at least 1.
    pub(crate) fn processors() -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }
}

#[cfg(brimful_loom)]
mod chosen {
    pub(crate) use loom::sync::MutexGuard;
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    loom::thread_local! {
        /// See `reentry`.
        pub(crate) static MARKED: std::cell::Cell<bool> = std::cell::Cell::new(false);
    }

    /// `loom`'s lock with `parking_lot`'s signatures.
    #[derive(Debug)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().expect("models do not panic under a lock")
        }

        pub(crate) fn get_mut(&mut self) -> &mut T {
            self.0.get_mut().expect("models do not panic under a lock")
        }
    }

    pub(crate) fn processors() -> usize {
        2
    }
}

pub(crate) use chosen::*;
pub(crate) use std::thread::panicking;
