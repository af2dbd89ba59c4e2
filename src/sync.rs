//! Locks, atomics and thread-local storage: the one file that names
//! `parking_lot`, `std::sync`, `std::thread` or `loom`.
//!
//! Every other room takes its primitives from here, so building with
//! `--cfg brimful_loom` swaps the whole crate onto the model checker's
//! primitives without another `cfg` anywhere.
//!
//! The sweeper's thread and its bell are outside of the models: they stay what they
//! are.
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
pub(crate) use std::sync::{Arc, Weak};
pub(crate) use std::thread::panicking;

pub(crate) type Thread = std::thread::JoinHandle<()>;

/// Starts a thread with a name.
pub(crate) fn start(name: &str, run: impl FnOnce() + Send + 'static) -> std::io::Result<Thread> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run)
}

/// Waits until a thread has ended, unless that is this one.
pub(crate) fn join(thread: Thread) {
    if thread.thread().id() != std::thread::current().id() {
        // The sweeper's panics are caught and counted; there is none to hear of.
        let _ = thread.join();
    }
}

/// Wakes who waits, once and for all.
pub(crate) struct Bell {
    rung: parking_lot::Mutex<bool>,
    ringing: parking_lot::Condvar,
}

impl Bell {
    pub(crate) fn new() -> Self {
        Self {
            rung: parking_lot::Mutex::new(false),
            ringing: parking_lot::Condvar::new(),
        }
    }

    pub(crate) fn ring(&self) {
        *self.rung.lock() = true;
        self.ringing.notify_all();
    }

    /// Waits until it rings, but no longer than `most`; says whether it has rung.
    pub(crate) fn wait(&self, most: std::time::Duration) -> bool {
        let mut rung = self.rung.lock();
        // Without an end where that passes the range of the system's clock.
        match std::time::Instant::now().checked_add(most) {
            Some(end) => while !*rung && !self.ringing.wait_until(&mut rung, end).timed_out() {},
            None => {
                while !*rung {
                    self.ringing.wait(&mut rung);
                }
            }
        }
        *rung
    }
}
