//! Reads: a hit with clone, a hit with `view`, and a miss, over the policies.
//!
//! Every bench prints the hit ratio that it ran at: a cache that drops inserts
//! looks fast.

#![allow(
    missing_docs,
    reason = "criterion_group! makes an undocumented function"
)]

mod over;

use criterion::{Criterion, criterion_group, criterion_main};
use over::{CAPACITY, Keys, each_policy, filled};

fn get(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("get");
    each_policy!(P, name => {
        let cache = filled::<P>();
        let mut keys = Keys::default();
        group.bench_function(format!("hit/{name}"), |bencher| {
            bencher.iter(|| cache.get(&keys.below(CAPACITY)))
        });
        group.bench_function(format!("view/{name}"), |bencher| {
            bencher.iter(|| cache.view(&keys.below(CAPACITY), |_, value| *value))
        });
        over::say_hit_ratio(&format!("get/hit and view/{name}"), &cache);
        group.bench_function(format!("miss/{name}"), |bencher| {
            bencher.iter(|| cache.get(&(keys.next() | 1 << 63)))
        });
    });
}

criterion_group!(benches, get);
criterion_main!(benches);
