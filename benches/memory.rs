//! Bytes per entry beyond the payload, by a counting allocator: filled, and
//! after twice as many more unique inserts. Also allocations per insert then.
//!
//! ```text
//! cargo bench --bench memory
//! ```
//!
//! Exact and repeatable, so it is a table and not a criterion group.

mod over;

use brimful::policy::Policy;
use brimful::{Bytes, Cache, Entries};
use over::each_policy;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::hash::Hash;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn live(region: &Region<'_, System>) -> f64 {
    let change = region.change();
    // Reallocations are in both sums already.
    change.bytes_allocated as f64 - change.bytes_deallocated as f64
}

fn measure<K: Hash + Eq, V, P: Policy>(
    name: &str,
    what: &str,
    entries: u64,
    entry: impl Fn(u64) -> (K, V),
) {
    let region = Region::new(ALLOCATOR);
    let cache = Cache::builder(Entries(entries as usize)).policy::<P>();
    let cache = cache.build().expect("a plain configuration");
    let birth = live(&region);
    let payload = size_of::<(K, V)>() as f64;
    let beyond = |region: &Region<'_, System>| live(region) / entries as f64 - payload;

    (0..entries).for_each(|n| drop(cache.insert(entry(n).0, entry(n).1)));
    let filled = beyond(&region);
    let before = region.change().allocations;
    (entries..3 * entries).for_each(|n| drop(cache.insert(entry(n).0, entry(n).1)));
    let churned = beyond(&region);
    let allocations = (region.change().allocations - before) as f64 / (2 * entries) as f64;
    println!(
        "{what:<14} {name:<8} {entries:>9} {birth:>9} {filled:>8.1} {churned:>8.1} {allocations:>9.4}"
    );
    assert_eq!(cache.len() as u64, entries);
}

fn main() {
    println!(
        "bytes beyond size_of::<(K, V)>() for each entry; allocations for each insert while churning"
    );
    println!(
        "{:<14} {:<8} {:>9} {:>9} {:>8} {:>8} {:>9}",
        "key -> value", "policy", "entries", "at birth", "filled", "churned", "allocs"
    );
    each_policy!(P, name => {
        measure::<u64, u64, P>(name, "u64 -> u64", 1_000_000, |n| (n, n));
    });
    for entries in [1_000, 10_000, 100_000, 300_000] {
        measure::<u64, u64, brimful::policy::Duel>("duel", "u64 -> u64", entries, |n| (n, n));
    }
    measure::<u32, u32, brimful::policy::Duel>("duel", "u32 -> u32", 1_000_000, |n| {
        (n as u32, n as u32)
    });
    measure::<[u64; 3], u64, brimful::policy::Duel>("duel", "24 B -> u64", 300_000, |n| {
        ([n; 3], n)
    });
    measure::<u64, [u64; 32], brimful::policy::Duel>("duel", "u64 -> 256 B", 300_000, |n| {
        (n, [n; 32])
    });
    let overhead = Bytes::overhead::<u64, u64, brimful::policy::Duel>();
    println!("a Bytes capacity charges {overhead} for an entry u64 -> u64, payload included");
}
