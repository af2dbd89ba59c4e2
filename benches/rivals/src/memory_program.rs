//! How much memory each cache takes, by a counting allocator: `u64 -> u64`,
//! filled, after twice as many more unique inserts, and empty with room for ten
//! million. A program of its own, since counting costs time; `rivals` runs it
//! for its workload `memory` and shows what it writes.
//!
//! ```text
//! cargo run --release --bin rivals-memory -- --entries 1000000 --caches brimful,moka
//! ```
//!
//! Writes CSV. Bytes are those beyond the 16 of key and value, for each entry
//! that is really there. A map without a bound has its oldest removed by hand.

use clap::Parser;
use field::name::Name;
use field::rival::{Rival, Task};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Entries that the empty cache has room for.
const EMPTY: usize = 10_000_000;

/// Counts what each cache allocates; writes CSV.
#[derive(Parser)]
#[command(name = "rivals-memory")]
struct Args {
    /// Entries to fill with
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    entries: u64,

    /// Caches to measure
    #[arg(long, value_name = "C,…", value_delimiter = ',', default_values_t = Name::DEFAULT)]
    caches: Vec<Name>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    println!("cache,filled,churned,allocations,resident,empty");
    for name in args.caches {
        // Seen from before the cache is made until it is dropped.
        let region = Region::new(ALLOCATOR);
        let (filled, churned, allocations, resident) =
            name.open(args.entries as usize, Fill(args.entries, &region));
        let empty = name.open(EMPTY, Empty(&Region::new(ALLOCATOR)));
        println!("{name},{filled:.2},{churned:.2},{allocations:.4},{resident},{empty}");
    }
    ExitCode::SUCCESS
}

fn live(region: &Region<'_, System>) -> f64 {
    let change = region.change();
    // Reallocations are in both sums already.
    change.bytes_allocated as f64 - change.bytes_deallocated as f64
}

struct Fill<'a>(u64, &'a Region<'a, System>);

impl Task<u64, u64> for Fill<'_> {
    type Outcome = (f64, f64, f64, usize);

    fn with(self, cache: impl Rival<u64, u64>) -> Self::Outcome {
        let Self(entries, region) = self;
        let beyond = || {
            cache.settle();
            live(region) / cache.resident() as f64 - size_of::<(u64, u64)>() as f64
        };
        insert(&cache, 0, entries, entries);
        let filled = beyond();
        let before = region.change().allocations;
        insert(&cache, entries, 3 * entries, entries);
        let allocations = (region.change().allocations - before) as f64 / (2 * entries) as f64;
        (filled, beyond(), allocations, cache.resident())
    }
}

fn insert<C: Rival<u64, u64>>(cache: &C, from: u64, to: u64, bound: u64) {
    for key in from..to {
        cache.insert(key, key);
        if !C::BOUNDED && key >= bound {
            cache.remove(&(key - bound));
        }
    }
}

struct Empty<'a>(&'a Region<'a, System>);

impl Task<u64, u64> for Empty<'_> {
    type Outcome = u64;

    fn with(self, _: impl Rival<u64, u64>) -> u64 {
        live(self.0) as u64
    }
}
