//! Memory, by a counting allocator. The allocator counts for the whole process, so
//! whatever it measures stands in this binary, and its tests run one at a time.
//!
//! `churn`: entries that come and go, and bytes charged. `time`: lives in the long run.
//! `heap_size`: what is told of a value and what is allocated for it;
//! `heap_size_of_crates`: what it tells of types of other crates.
//! `restored`: what a saved cache that was damaged can do.
//! `expiry_memory`: what a life costs. `load_soak`: what loads leave, with panics injected.

#[path = "../world/mod.rs"]
#[macro_use]
mod world;

mod churn;
mod expiry_memory;
mod heap_size;
#[cfg(any(
    feature = "arcstr",
    feature = "bytes",
    feature = "compact_str",
    feature = "smallvec",
    feature = "smol_str"
))]
mod heap_size_of_crates;
mod load_soak;
#[cfg(feature = "serde")]
mod restored;
mod time;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const KIB: i64 = 1024;

/// What is built at birth and does not grow with the entries.
const FIXED: i64 = 256 * KIB;

/// Bytes allocated and not freed by anyone; reallocations are in both sums.
fn live() -> i64 {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated as i64 - stats.bytes_deallocated as i64
}

/// Admits one test at a time, each when the test harness has done with the one before.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    world::seed();
    let mut before = live();
    for _ in 0..100 {
        std::thread::sleep(Duration::from_millis(20));
        if live() == before {
            break;
        }
        before = live();
    }
    alone
}

/// Everything was freed, but for what the test harness itself may hold.
fn all_freed(birth: i64) {
    let left = live() - birth;
    assert!(left.abs() <= 4 * KIB, "{left} bytes were not freed");
}

/// Whether the long forms run.
fn in_full() -> bool {
    world::env("BRIMFUL_SOAK").is_some_and(|n| n > 0)
}
