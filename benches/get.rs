//! Reads of a full cache: hits over sizes, shapes of traffic, types and
//! policies, a hit without a clone, and a miss; by one thread and by several.
//!
//! ```text
//! cargo bench --bench get                       names: get/POLICY/KEYS/ENTRIES/TYPES/THREADS
//! cargo bench --bench get -- duel/zipf-0.99     those whose name has this in it
//! ```

#![allow(
    missing_docs,
    reason = "criterion_group! makes an undocumented function"
)]

mod over;

use brimful::Cache;
use brimful::policy::{Duel, Policy};
use criterion::{Criterion, criterion_group, criterion_main};
use over::{Lane, Trace, each_policy, filled, scatter, short, sized};
use std::hint::black_box;
use std::sync::Arc;

/// Where only one size is measured.
const ENTRIES: u64 = 100_000;

fn get(criterion: &mut Criterion) {
    let mut lane = Lane::new(criterion, "get");
    for entries in [10_000, ENTRIES, 1_000_000] {
        let uniform = Trace::uniform(sized(entries));
        hit::<u64, Duel>(&mut lane, "duel", "u64-u64", &uniform, entries, |n| n);
    }
    for entries in [10_000, 1_000_000] {
        let zipf = Trace::zipf(0.99, sized(entries));
        hit::<u64, Duel>(&mut lane, "duel", "u64-u64", &zipf, entries, |n| n);
    }
    let zipf = Trace::zipf(0.99, sized(ENTRIES));
    each_policy!(P, name => {
        hit::<u64, P>(&mut lane, name, "u64-u64", &zipf, ENTRIES, |n| n);
    });
    hit::<_, Duel>(&mut lane, "duel", "u64-arc", &zipf, ENTRIES, Arc::new);
    hit::<_, Duel>(&mut lane, "duel", "u64-64B", &zipf, ENTRIES, |n| [n; 8]);
    hit_by_string(&mut lane, "string-u64", &zipf, |n| n);
    hit_by_string(&mut lane, "string-arc", &zipf, Arc::new);
    view(&mut lane, &zipf);
    miss(&mut lane);
}

fn hit<V, P>(
    lane: &mut Lane<'_>,
    policy: &str,
    types: &str,
    trace: &Trace,
    entries: u64,
    value: impl Fn(u64) -> V,
) where
    V: Clone,
    P: Policy,
    Cache<u64, V, P>: Sync,
{
    let name = format!("{policy}/{}/{}/{types}", trace.name(), short(entries));
    lane.run(&name, || {
        let keys = trace.drawn();
        let cache = filled(trace.keys(), |n| (n, value(n)));
        (cache, move |cache: &Cache<u64, V, P>, position| {
            black_box(cache.get(&keys.at(position)));
        })
    });
}

/// Keys of 24 bytes on the heap, which a look-up has to fetch as well.
fn hit_by_string<V>(lane: &mut Lane<'_>, types: &str, trace: &Trace, value: impl Fn(u64) -> V)
where
    V: Clone + Send + Sync,
{
    let string = |n: u64| format!("key:{n:020}");
    let name = format!("duel/{}/{}/{types}", trace.name(), short(ENTRIES));
    lane.run(&name, || {
        let keys = trace.drawn();
        let strings: Vec<_> = (0..trace.keys()).map(string).collect();
        let cache = filled(trace.keys(), |n| (string(n), value(n)));
        (cache, move |cache: &Cache<String, V>, position| {
            black_box(cache.get(strings[keys.at(position) as usize].as_str()));
        })
    });
}

/// Eight bytes of a value of 64, which stays where it is.
fn view(lane: &mut Lane<'_>, trace: &Trace) {
    let name = format!("duel/{}/{}/u64-64B-view", trace.name(), short(ENTRIES));
    lane.run(&name, || {
        let keys = trace.drawn();
        let cache = filled(trace.keys(), |n| (n, [n; 8]));
        (cache, move |cache: &Cache<u64, [u64; 8]>, position| {
            black_box(cache.view(&keys.at(position), |_, value| value[0]));
        })
    });
}

fn miss(lane: &mut Lane<'_>) {
    lane.run(&format!("duel/miss/{}/u64-u64", short(ENTRIES)), || {
        let cache = filled(sized(ENTRIES), |n| (n, n));
        (cache, |cache: &Cache<u64, u64>, position| {
            black_box(cache.get(&(scatter(position) | 1 << 63)));
        })
    });
}

criterion_group!(name = benches; config = over::settings(); targets = get);
criterion_main!(benches);
