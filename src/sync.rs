//! Locks, atomics, parking and thread-local storage: the one file that names
//! `parking_lot`, `std::sync`, `std::thread` or `loom`.
//!
//! Every other room takes its primitives from here, so building with
//! `--cfg brimful_loom` swaps the whole crate onto the model checker's
//! primitives without another `cfg` anywhere.
//!
//! The sweeper's thread and its bell are outside of the models: they stay what they
//! are. So do the locks and atomics in users' keys and values (`of_values`).
//!
//! The lock does not poison: a panic in user code under a lock unlocks it, and the
//! rooms above keep user code out of the span between two state changes.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// What keys and values may be made of. It is weighed, and part of no protocol.
pub(crate) mod of_values {
    pub(crate) use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, TryLockError, atomic};
    pub(crate) use std::thread::ThreadId;
}

#[cfg(not(brimful_loom))]
mod chosen {
    use parking_lot::Condvar;
    use std::time::Instant;

    pub(crate) use parking_lot::{Mutex, MutexGuard};
    pub(crate) use std::sync::atomic::{AtomicU64, Ordering};

    std::thread_local! {
        /// See `reentry`.
        pub(crate) static MARKED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    }

    /// Processors this process may use, at least 1.
    pub(crate) fn processors() -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }

    /// Where one thread sleeps until it is unparked. The token is not the thread's own
    /// (`std::thread::park`), which may be meant for other code.
    pub(super) struct Parker {
        token: Mutex<bool>,
        given: Condvar,
    }

    impl Parker {
        pub(super) fn new() -> Self {
            Self {
                token: Mutex::new(false),
                given: Condvar::new(),
            }
        }

        pub(super) fn unpark(&self) {
            *self.token.lock() = true;
            self.given.notify_one();
        }

        /// Sleeps until it is unparked, and takes the token; answers `false` if there was
        /// none by `until`.
        pub(super) fn park(&self, until: Option<Instant>) -> bool {
            let mut token = self.token.lock();
            let mut in_time = true;
            while !*token && in_time {
                match until {
                    None => self.given.wait(&mut token),
                    Some(until) => {
                        in_time = !self.given.wait_until(&mut token, until).timed_out();
                    }
                }
            }
            std::mem::take(&mut token)
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
    use loom::sync::Condvar;
    use std::time::Instant;

    pub(crate) use loom::lazy_static;
    pub(crate) use loom::sync::MutexGuard;
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};

    loom::thread_local! {
        /// See `reentry`.
        pub(crate) static MARKED: std::cell::Cell<usize> = std::cell::Cell::new(0);
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

        pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            self.0.try_lock().ok()
        }

        pub(crate) fn get_mut(&mut self) -> &mut T {
            self.0.get_mut().expect("models do not panic under a lock")
        }
    }

    pub(crate) fn processors() -> usize {
        2
    }

    /// Where one thread sleeps until it is unparked.
    pub(super) struct Parker {
        token: Mutex<bool>,
        given: Condvar,
    }

    impl Parker {
        pub(super) fn new() -> Self {
            Self {
                token: Mutex::new(false),
                given: Condvar::new(),
            }
        }

        pub(super) fn unpark(&self) {
            *self.token.lock() = true;
            self.given.notify_one();
        }

        /// Sleeps until it is unparked, and takes the token. In a model no time passes:
        /// with a moment to wake at it only lets other threads run, until that has passed.
        pub(super) fn park(&self, until: Option<Instant>) -> bool {
            if let Some(until) = until {
                loom::thread::yield_now();
                return Instant::now() < until;
            }
            let mut token = self.token.lock();
            while !*token {
                token = self.given.wait(token).expect("no poison");
            }
            std::mem::replace(&mut token, false)
        }
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

/// A number that the holder of a lock writes, and that others only tell: no model needs to see
/// who reads it when, so it is std's in all of them.
pub(crate) use std::sync::atomic::AtomicU64 as Figure;

/// What readers without a lock and the holders of locks share: in the models of this protocol
/// (`--cfg brimful_lanes`) the model checker's, in its others the processor's, since there
/// all reads take locks.
pub(crate) mod cells {
    #[cfg(all(brimful_loom, brimful_lanes))]
    use loom::{hint::spin_loop, sync::atomic, thread::yield_now};
    #[cfg(not(all(brimful_loom, brimful_lanes)))]
    use std::{hint::spin_loop, sync::atomic, thread::yield_now};

    use std::time::Duration;

    pub(crate) use atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

    /// Whether reads do without a lock in this build.
    pub(crate) const LOCKLESS: bool = cfg!(all(
        not(brimful_locked),
        any(not(brimful_loom), brimful_lanes)
    ));

    /// A full fence: what was stored before it is seen before anything is loaded after it. On
    /// x86 an exchange of some word that no other thread writes is one, and the quicker one.
    #[inline]
    pub(crate) fn full_fence(own: &AtomicUsize) {
        if EXCHANGE_FENCES {
            own.swap(0, Ordering::SeqCst);
        } else {
            fence(Ordering::SeqCst);
        }
    }

    /// Whether an exchange fences fully.
    const EXCHANGE_FENCES: bool = cfg!(all(
        any(target_arch = "x86", target_arch = "x86_64"),
        not(brimful_loom)
    ));

    /// Loads a word that others [`publish`], as an acquire. With `--cfg brimful_rmw` it is a
    /// read-modify-write: ThreadSanitizer, which knows no fences, sees by it who came first.
    #[inline]
    pub(crate) fn look(word: &AtomicUsize) -> usize {
        if cfg!(brimful_rmw) {
            word.fetch_or(0, Ordering::AcqRel)
        } else {
            word.load(Ordering::Acquire)
        }
    }

    /// Stores a word, as a release, and fences fully. On x86 an exchange does both, and is
    /// quicker than a store and a fence; elsewhere, and in the models, it is those two.
    #[inline]
    pub(crate) fn publish(word: &AtomicUsize, value: usize) {
        if EXCHANGE_FENCES {
            word.swap(value, Ordering::SeqCst);
        } else {
            word.store(value, Ordering::Release);
            fence(Ordering::SeqCst);
        }
    }

    /// Where the model checker is told that something is read or written that is no atomic.
    #[cfg(not(all(brimful_loom, brimful_lanes)))]
    pub(crate) struct Trace;

    #[cfg(not(all(brimful_loom, brimful_lanes)))]
    impl Trace {
        #[inline(always)]
        pub(crate) fn new() -> Self {
            Self
        }

        #[inline(always)]
        pub(crate) fn read(&self) {}

        #[inline(always)]
        pub(crate) fn write(&self) {}
    }

    /// Tells the model checker that something is read or written that is no atomic: it panics
    /// if that is not ordered after the other side's.
    #[cfg(all(brimful_loom, brimful_lanes))]
    pub(crate) struct Trace(loom::cell::UnsafeCell<()>);

    #[cfg(all(brimful_loom, brimful_lanes))]
    impl Trace {
        pub(crate) fn new() -> Self {
            Self(loom::cell::UnsafeCell::new(()))
        }

        pub(crate) fn read(&self) {
            self.0.with(|_| ());
        }

        pub(crate) fn write(&self) {
            self.0.with_mut(|_| ());
        }
    }

    /// How a thread waits for another that has only a few instructions to go, unless it was
    /// interrupted there or runs a user's closure: it spins, then yields, then sleeps.
    #[derive(Default)]
    pub(crate) struct Patience(u32);

    impl Patience {
        const SPINS: u32 = 128;
        const YIELDS: u32 = 256;
        const NAP: Duration = Duration::from_micros(100);

        /// Whether it is not asleep yet.
        pub(crate) fn lasts(&self) -> bool {
            self.0
                < if cfg!(brimful_loom) {
                    1
                } else {
                    Self::SPINS + Self::YIELDS
                }
        }

        pub(crate) fn lose(&mut self) {
            self.0 = self.0.saturating_add(1);
            if cfg!(brimful_loom) || self.0 > Self::SPINS {
                if self.0 > Self::SPINS + Self::YIELDS && !cfg!(brimful_loom) {
                    std::thread::sleep(Self::NAP);
                } else {
                    yield_now();
                }
            } else {
                spin_loop();
            }
        }
    }
}
/// Whether the target is bare (`wasm32-unknown-unknown`): it has no clock, and its one thread has
/// none to wait for.
pub(crate) const BARE: bool = cfg!(all(target_family = "wasm", target_os = "unknown"));

pub(crate) use std::sync::{Arc, OnceLock, Weak};
pub(crate) use std::thread::panicking;

/// Drives a future on this thread, which sleeps while it is pending, for `most` in all;
/// `None` if it is pending still. The future is dropped then. On a [bare](BARE) target nobody could
/// end the sleep, so there is none.
///
/// Most are ready when they are first polled: these cost no waker.
#[inline]
pub(crate) fn block_on<F: Future>(future: F, most: Option<Duration>) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    match future.as_mut().poll(&mut context) {
        Poll::Ready(output) => Some(output),
        Poll::Pending if BARE => None,
        Poll::Pending => park_on(future, most),
    }
}

#[cold]
#[inline(never)]
fn park_on<F: Future>(mut future: Pin<&mut F>, most: Option<Duration>) -> Option<F::Output> {
    // Without an end where that passes the range of the system's clock.
    let until = most.and_then(|most| Instant::now().checked_add(most));
    let parker = Arc::new(Parker::new());
    let waker = Waker::from(parker.clone());
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        if !parker.park(until) {
            return None;
        }
    }
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.unpark();
    }
}

/// How many threads have a number at the same time.
const NUMBERS: usize = 256;

/// Which numbers are taken: not the model checker's, for which threads are few.
static TAKEN: [std::sync::atomic::AtomicU64; NUMBERS / 64] =
    [const { std::sync::atomic::AtomicU64::new(0) }; NUMBERS / 64];

/// The lowest number that no thread has now.
pub(crate) fn take_number() -> Option<usize> {
    use std::sync::atomic::Ordering::{AcqRel, Relaxed};
    TAKEN.iter().enumerate().find_map(|(n, word)| {
        let mut taken = word.load(Relaxed);
        while taken != u64::MAX {
            let free = taken.trailing_ones() as usize;
            match word.compare_exchange_weak(taken, taken | 1 << free, AcqRel, Relaxed) {
                Ok(_) => return Some(64 * n + free),
                Err(now) => taken = now,
            }
        }
        None
    })
}

/// Gives a number back: what its thread has written to its lanes is seen by the next.
pub(crate) fn give_number(number: usize) {
    let word = &TAKEN[number / 64];
    word.fetch_and(!(1 << (number % 64)), std::sync::atomic::Ordering::AcqRel);
}

std::thread_local! {
    /// The next number of this thread's block, unless that is used up.
    static NEXT_NUMBER: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// A number that nothing else in this process has. Threads take them in blocks, so that they seldom
/// write a word that they share.
pub(crate) fn fresh_number() -> u64 {
    // Not the model checker's: that it differs is all there is to it.
    static NEXT_BLOCK: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    const BLOCK: u64 = 1 << 12;
    let block = || NEXT_BLOCK.fetch_add(BLOCK, std::sync::atomic::Ordering::Relaxed);
    let next = |own: &std::cell::Cell<u64>| {
        let number = own.get();
        let number = if number % BLOCK == 0 { block() } else { number };
        own.set(number + 1);
        number
    };
    // A thread on its way out takes a block for each.
    NEXT_NUMBER.try_with(next).unwrap_or_else(|_| block())
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

/// Wakes the threads that wait, once and for all.
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
    pub(crate) fn wait(&self, most: Duration) -> bool {
        let mut rung = self.rung.lock();
        // Without an end where that passes the range of the system's clock.
        match Instant::now().checked_add(most) {
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
