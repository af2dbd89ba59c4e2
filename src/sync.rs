//! Locks, atomics, parking and thread-local storage: the one file that names
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
    use std::time::Instant;

    pub(crate) use parking_lot::{Mutex, MutexGuard};
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    pub(crate) use std::thread::{Thread, current};

    std::thread_local! {
        /// See `reentry`.
        pub(crate) static MARKED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    }

    /// Processors this process may use, at least 1.
    pub(crate) fn processors() -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }

    /// Sleeps until this thread is unparked, until then at most; may wake early.
    pub(crate) fn park(until: Option<Instant>) {
        match until {
            None => std::thread::park(),
            Some(until) => {
                std::thread::park_timeout(until.saturating_duration_since(Instant::now()));
            }
        }
    }

    /// A value for each thread.
    macro_rules! thread_wide {
        (static $name:ident: $type:ty = const $value:block) => {
            std::thread_local! {
                static $name: $type = const $value;
            }
        };
    }
    pub(crate) use thread_wide;

    /// A value behind a lock, for the whole process.
    macro_rules! process_wide {
        ($(#[$doc:meta])* static $name:ident: $type:ty = $value:expr) => {
            $(#[$doc])*
            static $name: $crate::sync::Mutex<$type> = $crate::sync::Mutex::new($value);
        };
    }
    pub(crate) use process_wide;
}

#[cfg(brimful_loom)]
mod chosen {
    use std::sync::Arc;
    use std::time::Instant;

    pub(crate) use loom::lazy_static;
    pub(crate) use loom::sync::MutexGuard;
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    loom::thread_local! {
        /// See `reentry`.
        pub(crate) static MARKED: std::cell::Cell<bool> = std::cell::Cell::new(false);
        static SLEEPER: Arc<Sleeper> = Arc::new(Sleeper::new());
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

    /// The token of a thread. `loom`'s own is lost when the thread waits for a
    /// lock between the unparking and the parking.
    struct Sleeper {
        token: Mutex<bool>,
        given: loom::sync::Condvar,
    }

    impl Sleeper {
        fn new() -> Self {
            Self {
                token: Mutex::new(false),
                given: loom::sync::Condvar::new(),
            }
        }
    }

    /// A thread to be unparked.
    #[derive(Clone)]
    pub(crate) struct Thread(Arc<Sleeper>);

    impl Thread {
        pub(crate) fn unpark(&self) {
            *self.0.token.lock() = true;
            self.0.given.notify_one();
        }
    }

    pub(crate) fn current() -> Thread {
        SLEEPER.with(|sleeper| Thread(sleeper.clone()))
    }

    /// Sleeps until this thread is unparked. In a model no time passes: with a
    /// moment to wake at it only lets others run.
    pub(crate) fn park(until: Option<Instant>) {
        if until.is_some() {
            return loom::thread::yield_now();
        }
        let Thread(sleeper) = current();
        let mut token = sleeper.token.lock();
        while !*token {
            token = sleeper.given.wait(token).expect("no poison");
        }
        *token = false;
    }

    /// A value for each thread.
    macro_rules! thread_wide {
        (static $name:ident: $type:ty = const $value:block) => {
            loom::thread_local! {
                static $name: $type = $value;
            }
        };
    }
    pub(crate) use thread_wide;

    /// A value behind a lock, for the whole of one execution.
    macro_rules! process_wide {
        ($(#[$doc:meta])* static $name:ident: $type:ty = $value:expr) => {
            $crate::sync::lazy_static! {
                $(#[$doc])*
                static ref $name: $crate::sync::Mutex<$type> = $crate::sync::Mutex::new($value);
            }
        };
    }
    pub(crate) use process_wide;
}

pub(crate) use chosen::*;
pub(crate) use std::sync::{Arc, Weak};
pub(crate) use std::thread::panicking;

/// A number that no one else in this process has.
pub(crate) fn fresh_number() -> u64 {
    // Not the model checker's: that it differs is all there is to it.
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

/// A thread that was started here.
pub(crate) type Started = std::thread::JoinHandle<()>;

/// Starts a thread with a name.
pub(crate) fn start(name: &str, run: impl FnOnce() + Send + 'static) -> std::io::Result<Started> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run)
}

/// Waits until a thread has ended, unless that is this one.
pub(crate) fn join(thread: Started) {
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
