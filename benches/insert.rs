//! Writes: an insert of a new key that evicts, a replacement, a weighted
//! insert, and a remove with the insert that fills its place.

#![allow(
    missing_docs,
    reason = "criterion_group! makes an undocumented function"
)]

mod over;

use brimful::{Cache, Weight};
use criterion::{Criterion, criterion_group, criterion_main};
use over::{CAPACITY, Keys, each_policy, filled};

fn insert(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("insert");
    each_policy!(P, name => {
        let cache = filled::<P>();
        let mut keys = Keys::default();
        group.bench_function(format!("replace/{name}"), |bencher| {
            bencher.iter(|| cache.insert(keys.below(CAPACITY), 1))
        });
        group.bench_function(format!("remove_insert/{name}"), |bencher| {
            bencher.iter(|| {
                let key = keys.below(CAPACITY);
                cache.remove(&key);
                cache.insert(key, 1)
            })
        });
        group.bench_function(format!("evict/{name}"), |bencher| {
            bencher.iter(|| cache.insert(keys.next(), 1))
        });
        assert_eq!(cache.len() as u64, CAPACITY);

        let weigh = |_: &u64, value: &u64| value & 7 | 1;
        let weighted = Cache::builder(Weight(4 * CAPACITY, weigh)).policy::<P>().build();
        let weighted = weighted.expect("a plain configuration");
        weighted.extend((0..3 * CAPACITY).map(|key| (key, key)));
        group.bench_function(format!("weighted/{name}"), |bencher| {
            bencher.iter(|| {
                let key = keys.next();
                weighted.insert(key, key >> 8)
            })
        });
    });
}

criterion_group!(benches, insert);
criterion_main!(benches);
