//! What must end, ends: a test fails loudly instead of hanging. No test depends on how
//! long anything takes.

use super::{count, env};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::channel;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::{spawn, yield_now};
use std::time::Duration;

/// After this long a scenario is taken to hang.
pub(crate) fn patience() -> Duration {
    let usual = 300 + env("BRIMFUL_READS").unwrap_or(0) / 100_000;
    Duration::from_secs(count("BRIMFUL_PATIENCE", usual))
}

/// Runs a scenario that must end, on a thread that is left behind if it does not.
pub(crate) fn ends<R: Send + 'static>(scenario: impl FnOnce() -> R + Send + 'static) -> R {
    let (say, said) = channel();
    spawn(move || {
        let end = catch_unwind(AssertUnwindSafe(scenario));
        let _ = say.send(end);
    });
    let end = said.recv_timeout(patience()).expect("it hangs");
    end.unwrap_or_else(|panic| resume_unwind(panic))
}

/// Held to write by a test of more threads than there are lanes, and to read by those that count on
/// having one.
static CROWD: RwLock<()> = RwLock::new(());

/// While this is held no test takes all lanes.
pub(crate) fn few_threads() -> RwLockReadGuard<'static, ()> {
    CROWD.read().unwrap_or_else(PoisonError::into_inner)
}

/// While this is held no test counts on a lane.
pub(crate) fn many_threads() -> RwLockWriteGuard<'static, ()> {
    CROWD.write().unwrap_or_else(PoisonError::into_inner)
}

/// Lets others run until `reached`.
pub(crate) fn until(reached: impl Fn() -> bool) {
    while !reached() {
        yield_now();
    }
}

/// Admits one test at a time that has sweepers: they are found by the name of their thread.
pub(crate) fn sweepers_alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
