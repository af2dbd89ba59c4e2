//! What an operation costs as the cache grows from 1,000 entries to 10 million:
//! a hit of any entry, and an insert that evicts. The price of memory further
//! away and of the longest rebuild is in it; the work is the same.
//!
//! ```text
//! cargo bench --bench scale                     names: scale/WHAT/ENTRIES/THREADS
//! cargo bench --bench scale -- 10M              takes 0.5 GiB
//! ```
//!
//! Keys are computed and not drawn beforehand: no buffer has all of 10 million.

#![allow(
    missing_docs,
    reason = "criterion_group! makes an undocumented function"
)]

mod over;

use brimful::Cache;
use criterion::{Criterion, criterion_group, criterion_main};
use over::{Lane, drive, filled, scatter, short, sized};
use std::hint::black_box;

fn scale(criterion: &mut Criterion) {
    let mut lane = Lane::new(criterion, "scale");
    for entries in [1_000, 10_000, 100_000, 1_000_000, 10_000_000] {
        hit(&mut lane, entries);
        insert_evict(&mut lane, entries);
    }
}

fn hit(lane: &mut Lane<'_>, entries: u64) {
    lane.run_alone(&format!("hit/{}", short(entries)), || {
        let count = sized(entries);
        let cache = filled(count, |n| (n, n));
        (cache, move |cache: &Cache<u64, u64>, position| {
            black_box(cache.get(&below(count, position)));
        })
    });
}

/// A number below this one, any as often as any other.
fn below(count: u64, position: u64) -> u64 {
    ((u128::from(scatter(position)) * u128::from(count)) >> 64) as u64
}

fn insert_evict(lane: &mut Lane<'_>, entries: u64) {
    lane.run_alone(&format!("insert_evict/{}", short(entries)), || {
        let insert = |cache: &Cache<u64, u64>, position| {
            black_box(cache.insert(scatter(position), position));
        };
        let cache = filled(sized(entries), |n| (n, n));
        drive(sized(entries), |position| insert(&cache, position));
        (cache, insert)
    });
}

criterion_group!(name = benches; config = over::settings(); targets = scale);
criterion_main!(benches);
