//! Writes to a full cache: new keys, each of which evicts; a new value for an
//! old key; a removal and the insert that fills its place; and weights, most of
//! them small and a few huge, so that an insert evicts many or none.
//!
//! ```text
//! cargo bench --bench insert                    names: insert_evict/POLICY/WHAT/ENTRIES/THREADS
//!                                               and    weighted/POLICY/WHAT/UNIT/THREADS
//! cargo bench --bench insert -- weighted        those whose name has this in it
//! ```

#![allow(
    missing_docs,
    reason = "criterion_group! makes an undocumented function"
)]

mod over;

use brimful::policy::{Duel, Gdsf, Policy};
use brimful::{Bytes, Cache, Weighed, Weight};
use criterion::{Criterion, criterion_group, criterion_main};
use over::{Lane, Tail, Trace, drive, each_policy, filled, scatter, short, sized};
use std::hint::black_box;
use std::sync::LazyLock;

/// Where only one size is measured.
const ENTRIES: u64 = 100_000;

fn insert_evict(criterion: &mut Criterion) {
    let mut lane = Lane::new(criterion, "insert_evict");
    for entries in [10_000, 1_000_000] {
        unique::<Duel>(&mut lane, "duel", entries);
    }
    let uniform = Trace::uniform(sized(ENTRIES));
    each_policy!(P, name => {
        unique::<P>(&mut lane, name, ENTRIES);
        replace::<P>(&mut lane, name, &uniform);
        remove_insert::<P>(&mut lane, name, &uniform);
    });
}

/// No key comes twice.
fn unique<P: Policy>(lane: &mut Lane<'_>, policy: &str, entries: u64)
where
    Cache<u64, u64, P>: Sync,
{
    lane.run(&format!("{policy}/unique/{}", short(entries)), || {
        let insert = |cache: &Cache<u64, u64, P>, position| {
            black_box(cache.insert(scatter(position), position));
        };
        let cache = filled(sized(entries), |n| (n, n));
        drive(2 * sized(entries), |position| insert(&cache, position));
        (cache, insert)
    });
}

fn replace<P: Policy>(lane: &mut Lane<'_>, policy: &str, trace: &Trace)
where
    Cache<u64, u64, P>: Sync,
{
    lane.run_alone(&format!("{policy}/replace/{}", short(ENTRIES)), || {
        let keys = trace.drawn();
        let cache = filled(trace.keys(), |n| (n, n));
        (cache, move |cache: &Cache<u64, u64, P>, position| {
            black_box(cache.insert(keys.at(position), position));
        })
    });
}

fn remove_insert<P: Policy>(lane: &mut Lane<'_>, policy: &str, trace: &Trace)
where
    Cache<u64, u64, P>: Sync,
{
    let name = format!("{policy}/remove_insert/{}", short(ENTRIES));
    lane.run_alone(&name, || {
        let keys = trace.drawn();
        let cache = filled(trace.keys(), |n| (n, n));
        (cache, move |cache: &Cache<u64, u64, P>, position| {
            let key = keys.at(position);
            black_box(cache.remove(&key));
            black_box(cache.insert(key, position));
        })
    });
}

/// Weights as those of files or pages are spread: the mean is below 7.
static WEIGHTS: LazyLock<Tail> = LazyLock::new(|| Tail::draw(1, 4_096));

/// The same in bytes of a buffer.
static LENGTHS: LazyLock<Tail> = LazyLock::new(|| Tail::draw(32, 65_536));

fn weighted(criterion: &mut Criterion) {
    let mut lane = Lane::new(criterion, "weighted");
    let zipf = Trace::zipf(0.99, 10 * sized(ENTRIES));
    unique_weights::<Duel>(&mut lane, "duel");
    unique_weights::<Gdsf>(&mut lane, "gdsf");
    asked_for_weights::<Duel>(&mut lane, "duel", &zipf);
    asked_for_weights::<Gdsf>(&mut lane, "gdsf", &zipf);
    unique_buffers(&mut lane);
}

/// Room for [`ENTRIES`] of a mean weight, where a value is its weight.
fn by_weight<P: Policy>() -> Cache<u64, u64, Weighed<P>> {
    let room = (sized(ENTRIES) as f64 * WEIGHTS.mean()) as u64;
    let cache = Cache::builder(Weight(room, |_: &u64, value: &u64| *value)).policy::<P>();
    cache.build().expect("a plain configuration")
}

fn unique_weights<P: Policy>(lane: &mut Lane<'_>, policy: &str)
where
    Cache<u64, u64, Weighed<P>>: Sync,
{
    lane.run(&format!("{policy}/unique/weight"), || {
        let weights = &*WEIGHTS;
        let insert = |cache: &Cache<u64, u64, Weighed<P>>, position| {
            black_box(cache.insert(scatter(position), weights.at(position)));
        };
        let cache = by_weight();
        drive(3 * sized(ENTRIES), |position| insert(&cache, position));
        (cache, insert)
    });
}

fn asked_for_weights<P: Policy>(lane: &mut Lane<'_>, policy: &str, trace: &Trace)
where
    Cache<u64, u64, Weighed<P>>: Sync,
{
    let name = format!("{policy}/get_or_insert-{}/weight", trace.name());
    lane.run(&name, || {
        let (keys, weights) = (trace.drawn(), &*WEIGHTS);
        let ask = move |cache: &Cache<u64, u64, Weighed<P>>, position| {
            let key = keys.at(position);
            black_box(cache.get_or_insert_with(&key, || weights.at(key)));
        };
        let cache = by_weight();
        drive(trace.keys(), |position| ask(&cache, position));
        (cache, ask)
    });
}

/// With a buffer allocated for each insert, and one or more freed.
fn unique_buffers(lane: &mut Lane<'_>) {
    lane.run("duel/unique/bytes", || {
        let lengths = &*LENGTHS;
        let overhead = Bytes::overhead::<u64, Box<[u8]>, Duel>() as f64;
        let room = sized(ENTRIES) as f64 * (lengths.mean() + overhead);
        let insert = |cache: &Cache<u64, Box<[u8]>, Weighed>, position| {
            let buffer = vec![1; lengths.at(position) as usize];
            black_box(cache.insert(scatter(position), buffer.into_boxed_slice()));
        };
        let cache = Cache::bytes(room as u64);
        drive(3 * sized(ENTRIES), |position| insert(&cache, position));
        (cache, insert)
    });
}

criterion_group!(name = benches; config = over::settings(); targets = insert_evict, weighted);
criterion_main!(benches);
