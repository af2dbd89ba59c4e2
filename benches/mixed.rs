//! What programs do: ask, and insert on a miss; three reads to a write; and
//! everybody wants the same key.
//!
//! ```text
//! cargo bench --bench mixed                     names: get_or_insert/POLICY/KEYS/ENTRIES/THREADS,
//!                                               mixed/POLICY/KEYS/ENTRIES/THREADS
//!                                               and  hot_key/POLICY/WHAT/THREADS
//! cargo bench --bench mixed -- hot_key          those whose name has this in it
//! ```

#![allow(
    missing_docs,
    reason = "criterion_group! makes an undocumented function"
)]

mod over;

use brimful::Cache;
use brimful::policy::{Duel, Policy};
use criterion::{Criterion, criterion_group, criterion_main};
use over::{Lane, Trace, cache, drive, each_policy, filled, scatter, short, sized};
use std::hint::black_box;
use std::sync::Arc;

/// Where only one size is measured.
const ENTRIES: u64 = 100_000;

/// Keys there are for each entry of the capacity.
const CROWD: u64 = 10;

fn crowd(exponent: f64, entries: u64) -> Trace {
    Trace::zipf(exponent, CROWD * sized(entries))
}

fn get_or_insert(criterion: &mut Criterion) {
    let mut lane = Lane::new(criterion, "get_or_insert");
    for entries in [10_000, 1_000_000] {
        ask::<Duel>(&mut lane, "duel", &crowd(0.99, entries), entries);
    }
    for entries in [10_000, ENTRIES, 1_000_000] {
        ask::<Duel>(&mut lane, "duel", &crowd(0.9, entries), entries);
    }
    let trace = crowd(0.99, ENTRIES);
    each_policy!(P, name => {
        ask::<P>(&mut lane, name, &trace, ENTRIES);
    });
    get_else_insert(&mut lane, &trace);
}

fn ask<P: Policy>(lane: &mut Lane<'_>, policy: &str, trace: &Trace, entries: u64)
where
    Cache<u64, u64, P>: Sync,
{
    let name = format!("{policy}/{}/{}", trace.name(), short(entries));
    lane.run(&name, || {
        let keys = trace.drawn();
        let ask = move |cache: &Cache<u64, u64, P>, position| {
            let key = keys.at(position);
            black_box(cache.get_or_insert_with(&key, || key));
        };
        let cache = cache(sized(entries));
        drive(trace.keys(), |position| ask(&cache, position));
        (cache, ask)
    });
}

/// The same by two calls. They look a missing key up twice, but do not time how
/// long it takes to load.
fn get_else_insert(lane: &mut Lane<'_>, trace: &Trace) {
    let name = format!("duel/{}-by-two-calls/{}", trace.name(), short(ENTRIES));
    lane.run(&name, || {
        let keys = trace.drawn();
        let ask = move |cache: &Cache<u64, u64>, position| {
            let key = keys.at(position);
            if black_box(cache.get(&key)).is_none() {
                cache.insert(key, key);
            }
        };
        let cache = cache(sized(ENTRIES));
        drive(trace.keys(), |position| ask(&cache, position));
        (cache, ask)
    });
}

fn mixed(criterion: &mut Criterion) {
    let mut lane = Lane::new(criterion, "mixed");
    let all_fit = Trace::uniform(sized(ENTRIES));
    get_and_insert(&mut lane, &all_fit);
    get_and_insert(&mut lane, &crowd(0.99, ENTRIES));
}

/// Whether the operation at this position writes: one of four does, and the one
/// that did so the last time round the trace need not do so again.
fn writes(position: u64) -> bool {
    scatter(position) >> 62 == 0
}

fn get_and_insert(lane: &mut Lane<'_>, trace: &Trace) {
    let name = format!("duel/{}/{}", trace.name(), short(ENTRIES));
    lane.run(&name, || {
        let keys = trace.drawn();
        let get_or_write = move |cache: &Cache<u64, u64>, position| {
            let key = keys.at(position);
            if writes(position) {
                black_box(cache.insert(key, position));
            } else {
                black_box(cache.get(&key));
            }
        };
        let cache = filled(sized(ENTRIES), |n| (n, n));
        drive(trace.keys(), |position| get_or_write(&cache, position));
        (cache, get_or_write)
    });
}

/// In a full cache, of which one shard is asked and one entry.
fn hot_key(criterion: &mut Criterion) {
    let mut lane = Lane::new(criterion, "hot_key");
    lane.run("duel/get", || {
        let cache = filled(sized(ENTRIES), |n| (n, n));
        (cache, |cache: &Cache<u64, u64>, _| {
            black_box(cache.get(&black_box(7)));
        })
    });
    // Its count is shared as well.
    lane.run("duel/get-arc", || {
        let cache = filled(sized(ENTRIES), |n| (n, Arc::new(n)));
        (cache, |cache: &Cache<u64, Arc<u64>>, _| {
            black_box(cache.get(&black_box(7)));
        })
    });
    lane.run("duel/replace", || {
        let cache = filled(sized(ENTRIES), |n| (n, n));
        (cache, |cache: &Cache<u64, u64>, position| {
            black_box(cache.insert(black_box(7), position));
        })
    });
    lane.run("duel/mixed", || {
        let cache = filled(sized(ENTRIES), |n| (n, n));
        (cache, |cache: &Cache<u64, u64>, position| {
            if writes(position) {
                black_box(cache.insert(black_box(7), position));
            } else {
                black_box(cache.get(&black_box(7)));
            }
        })
    });
}

criterion_group!(name = benches; config = over::settings(); targets = get_or_insert, mixed, hot_key);
criterion_main!(benches);
