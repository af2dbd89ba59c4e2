//! Memory, by a counting allocator: bytes per entry beyond the payload, what an
//! insert allocates once the cache is full, and what an empty cache takes.
//!
//! ```text
//! cargo bench --bench memory
//! ```
//!
//! Exact and repeatable, so it is a table and not a criterion group.

mod over;

use brimful::policy::{Duel, Policy};
use brimful::{Builder, Bytes, Cache, Entries, Form};
use over::{cache, each_policy, is_wanted, sized};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, Stats, StatsAlloc};
use std::alloc::System;
use std::hash::Hash;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    if !is_wanted("memory") {
        return;
    }
    say_entries();
    println!();
    say_empty();
}

fn say_entries() {
    println!("bytes beyond size_of::<(K, V)>() for each entry; then, of an insert that evicts,");
    println!("allocations and bytes allocated (freed again as it goes: the tables are rebuilt)");
    println!(
        "{:<14} {:<8} {:>9} {:>9} {:>8} {:>8} {:>10} {:>8}",
        "key -> value", "policy", "entries", "at birth", "filled", "churned", "allocs", "bytes"
    );
    each_policy!(P, name => {
        measure::<u64, u64, P>(name, "u64 -> u64", 1_000_000, |n| (n, n));
    });
    for entries in [1_000, 10_000, 100_000, 300_000] {
        measure::<u64, u64, Duel>("duel", "u64 -> u64", entries, |n| (n, n));
    }
    measure::<u32, u32, Duel>("duel", "u32 -> u32", 1_000_000, |n| (n as u32, n as u32));
    measure::<[u64; 3], u64, Duel>("duel", "24 B -> u64", 300_000, |n| ([n; 3], n));
    measure::<u64, [u64; 32], Duel>("duel", "u64 -> 256 B", 300_000, |n| (n, [n; 32]));
    lives("no lives", cache::<u64, u64, Duel>);
    lives("to live", |entries| {
        built(entries).time_to_live(LIFE).build().expect("plain")
    });
    lives("to idle", |entries| {
        built(entries).time_to_idle(LIFE).build().expect("plain")
    });
    lives("recorded", |entries| {
        let builder = built(entries).time_to_live(LIFE);
        builder.record_ages().build().expect("plain")
    });
    let overhead = Bytes::overhead::<u64, u64, Duel>();
    println!("a Bytes capacity charges {overhead} for an entry u64 -> u64, payload included");
}

/// Longer than any run.
const LIFE: Duration = Duration::from_secs(3_600);

fn built(entries: u64) -> Builder<u64, u64> {
    Cache::builder(Entries(entries as usize))
}

/// What lives cost in each entry, by their form.
fn lives<P: Form>(name: &str, cache: impl FnOnce(u64) -> Cache<u64, u64, P>) {
    measure_in(name, "u64 -> u64", 1_000_000, cache, |n| (n, n));
}

fn measure<K: Hash + Eq, V, P: Policy>(
    name: &str,
    what: &str,
    entries: u64,
    entry: impl Fn(u64) -> (K, V),
) {
    measure_in(name, what, entries, cache::<K, V, P>, entry);
}

fn measure_in<K: Hash + Eq, V, P: Form>(
    name: &str,
    what: &str,
    entries: u64,
    cache: impl FnOnce(u64) -> Cache<K, V, P>,
    entry: impl Fn(u64) -> (K, V),
) {
    let entries = sized(entries);
    let region = Region::new(ALLOCATOR);
    let cache = cache(entries);
    let birth = live(region.change());
    let payload = size_of::<(K, V)>() as f64;
    let beyond = |region: &Region<'_, System>| live(region.change()) / entries as f64 - payload;

    cache.extend((0..entries).map(&entry));
    let filled = beyond(&region);
    // The last of three rounds is the steady state: what grows has grown.
    cache.extend((entries..2 * entries).map(&entry));
    let before = region.change();
    cache.extend((2 * entries..3 * entries).map(&entry));
    let churn = region.change() - before;
    let churned = beyond(&region);
    let [allocations, bytes] = [
        churn.allocations + churn.reallocations,
        churn.bytes_allocated,
    ]
    .map(|sum| sum as f64 / entries as f64);
    println!(
        "{what:<14} {name:<8} {entries:>9} {birth:>9} {filled:>8.1} {churned:>8.1} {allocations:>10.5} {bytes:>8.1}"
    );
    assert_eq!(cache.len() as u64, entries);
}

/// Nothing is reserved for entries that may never come, so this stays small.
fn say_empty() {
    println!("an empty cache, u64 -> u64, in bytes");
    println!(
        "{:<8} {:>12} {:>12} {:>8}",
        "policy", "capacity", "bytes", "shards"
    );
    each_policy!(P, name => {
        measure_empty::<P>(name, 10_000_000);
    });
    for capacity in [100, 10_000, 1_000_000] {
        measure_empty::<Duel>("duel", capacity);
    }
}

fn measure_empty<P: Policy>(name: &str, capacity: u64) {
    let region = Region::new(ALLOCATOR);
    let cache = cache::<u64, u64, P>(capacity);
    let bytes = live(region.change());
    println!("{name:<8} {capacity:>12} {bytes:>12} {:>8}", cache.shards());
}

/// Bytes allocated and not freed. Reallocations are in both sums already.
fn live(change: Stats) -> f64 {
    change.bytes_allocated as f64 - change.bytes_deallocated as f64
}
