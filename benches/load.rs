//! Loads: a thousand who want one slow key, as tasks, and misses over many keys,
//! by one thread and by several.
//!
//! ```text
//! cargo bench --bench load                      names: load/WHAT/…
//! ```
//!
//! A time of `crowd` is that of one load and all who wait for it: the tasks are
//! made, polled, woken and polled again by hand, so no executor is in it. The same
//! beside moka and quick_cache: `benches/rivals`, program `rivals-load`.

#![allow(
    missing_docs,
    reason = "criterion_group! makes an undocumented function"
)]

mod over;

use brimful::Cache;
use criterion::{Criterion, criterion_group, criterion_main};
use over::{Lane, cache, scatter, sized};
use std::cell::Cell;
use std::future::poll_fn;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

const CROWD: usize = 1_000;

fn crowd(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("load");
    group.bench_function("crowd/tasks-1000", |bencher| {
        let cache = Cache::<u64, u64>::new(100);
        let key = Cell::new(0);
        bencher.iter(|| {
            key.set(key.get() + 1);
            wait_all(&cache, key.get());
        });
        let stats = cache.stats();
        assert_eq!(stats.load_waits(), stats.loads() * (CROWD as u64 - 1));
    });
}

/// One leads, all others wait, it finishes, they are served.
fn wait_all(cache: &Cache<u64, u64>, key: u64) {
    let open = Cell::new(false);
    let load = || {
        poll_fn(|_| match open.get() {
            true => Poll::Ready(key),
            false => Poll::Pending,
        })
    };
    let caller = |_| Box::pin(cache.get_or_insert_async(&key, load()));
    let mut callers: Vec<_> = (0..CROWD).map(caller).collect();
    let mut context = Context::from_waker(Waker::noop());
    for caller in &mut callers {
        assert!(caller.as_mut().poll(&mut context).is_pending());
    }
    open.set(true);
    for caller in &mut callers {
        assert!(caller.as_mut().poll(&mut context).is_ready());
    }
}

/// Keys never asked for before, in a full cache.
fn misses(criterion: &mut Criterion) {
    let mut lane = Lane::new(criterion, "load");
    lane.run("misses/closure", || {
        (full(), |cache: &Cache<u64, u64>, position| {
            black_box(cache.get_or_insert_with(&unseen(position), || position));
        })
    });
    lane.run("misses/future", || {
        (full(), |cache: &Cache<u64, u64>, position| {
            let key = unseen(position);
            let load = pin!(cache.get_or_insert_async(&key, async { position }));
            let polled = load.poll(&mut Context::from_waker(Waker::noop()));
            assert!(black_box(polled).is_ready());
        })
    });
    lane.run("misses/64-keys-at-once", || {
        (full(), |cache: &Cache<u64, u64>, position| {
            let keys = [(); 64].map({
                let mut next = position * 64;
                move |()| {
                    next += 1;
                    unseen(next)
                }
            });
            black_box(cache.get_or_insert_many(&keys, |missing| {
                let pairs = missing.iter().map(|&&key| (key, key));
                pairs.collect::<Vec<_>>()
            }));
        })
    });
}

fn unseen(position: u64) -> u64 {
    scatter(position) | 1 << 63
}

fn full() -> Cache<u64, u64> {
    let entries = sized(100_000);
    let cache = cache(entries);
    cache.extend((0..3 * entries).map(|key| (key, key)));
    cache
}

criterion_group!(name = benches; config = over::settings(); targets = crowd, misses);
criterion_main!(benches);
