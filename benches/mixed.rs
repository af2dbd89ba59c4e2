//! What programs do: get, and insert on a miss, over skewed keys of ten times
//! the capacity; by one thread and by two.

#![allow(
    missing_docs,
    reason = "criterion_group! makes an undocumented function"
)]

mod over;

use brimful::Cache;
use brimful::policy::Policy;
use criterion::{Criterion, criterion_group, criterion_main};
use over::{CAPACITY, Keys, each_policy, filled};
use std::time::{Duration, Instant};

/// A key of `0..10 * CAPACITY`, the small ones far more often (log-uniform,
/// close to a zipf exponent of 1).
fn skewed(keys: &mut Keys) -> u64 {
    let uniform = keys.next() as f64 / u64::MAX as f64;
    ((CAPACITY * 10) as f64).powf(uniform) as u64
}

fn get_else_insert<P: Policy>(cache: &Cache<u64, u64, P>, keys: &mut Keys) {
    let key = skewed(keys);
    if cache.get(&key).is_none() {
        cache.insert(key, key);
    }
}

/// Wall time of `count` operations by each of `threads`.
fn side_by_side<P>(cache: &Cache<u64, u64, P>, threads: u64, count: u64) -> Duration
where
    P: Policy + Send + Sync,
    P::Meta: Send + Sync,
{
    let began = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                let mut keys = Keys::of(thread);
                (0..count).for_each(|_| get_else_insert(cache, &mut keys));
            });
        }
    });
    began.elapsed()
}

fn mixed(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mixed");
    each_policy!(P, name => {
        let cache = filled::<P>();
        let mut keys = Keys::default();
        group.bench_function(format!("get_else_insert/{name}"), |bencher| {
            bencher.iter(|| get_else_insert(&cache, &mut keys))
        });
        group.bench_function(format!("get_else_insert, 2 threads/{name}"), |bencher| {
            bencher.iter_custom(|count| side_by_side(&cache, 2, count))
        });
        over::say_hit_ratio(&format!("mixed/{name}"), &cache);
    });
}

criterion_group!(benches, mixed);
criterion_main!(benches);
