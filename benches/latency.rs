//! How long single calls take, the slowest too: get, and insert on a miss, over
//! skewed keys of ten times the capacity, by one thread and by two.
//!
//! ```text
//! cargo bench --bench latency
//! ```
//!
//! Each operation is timed on its own, so all have the cost of reading the clock
//! in them, which stands in the first line. The longest are often not the
//! cache's: a thread that loses its processor loses milliseconds. Percentiles
//! are the point, so it is a table and not a criterion group.

mod over;

use brimful::Cache;
use hdrhistogram::Histogram;
use over::{Trace, cache, drive, is_test, is_wanted, sized};
use std::ops::Range;
use std::sync::Barrier;
use std::time::Instant;

/// Operations of each thread.
const COUNT: u64 = 4_000_000;

fn main() {
    if !is_wanted("latency") {
        return;
    }
    println!("nanoseconds of an operation: get, else insert; zipf 0.99 over 10 times the capacity");
    println!(
        "{:>9} {:>7} {:>8} {:>8} {:>8} {:>10} {:>10} {:>9}",
        "capacity", "threads", "p50", "p99", "p99.9", "max", "hit ratio", "entries"
    );
    let count = if is_test() { 10_000 } else { COUNT };
    say("no cache", 1, &timed(0..count, |_| ()), "");
    for capacity in [10_000, 100_000, 1_000_000] {
        let trace = Trace::zipf(0.99, 10 * sized(capacity));
        for threads in [1, 2] {
            measure(sized(capacity), &trace, threads, count);
        }
    }
}

fn measure(capacity: u64, trace: &Trace, threads: u64, count: u64) {
    let keys = trace.drawn();
    let cache = cache(capacity);
    let ask = |position| get_else_insert(&cache, keys.at(position));
    drive(trace.keys(), ask);
    let before = cache.stats();
    let times = side_by_side(threads, count, ask);
    let ratio = (&cache.stats() - &before).hit_ratio().unwrap_or(f64::NAN);
    let standing = format!("{ratio:>10.3} {:>9}", cache.len());
    say(&capacity.to_string(), threads, &times, &standing);
}

fn get_else_insert(cache: &Cache<u64, u64>, key: u64) {
    if cache.get(&key).is_none() {
        cache.insert(key, key);
    }
}

/// Times so many operations of each thread, each in a part of its own of what
/// is asked for.
fn side_by_side(threads: u64, count: u64, operation: impl Fn(u64) + Sync) -> Histogram<u64> {
    let start = Barrier::new(threads as usize);
    let mut all = Histogram::new(3).expect("3 digits");
    std::thread::scope(|scope| {
        let spawn = |thread| {
            let (start, operation) = (&start, &operation);
            scope.spawn(move || {
                start.wait();
                timed(thread * count..(thread + 1) * count, operation)
            })
        };
        let runners: Vec<_> = (0..threads).map(spawn).collect();
        for runner in runners {
            all += runner.join().expect("no operation panics");
        }
    });
    all
}

fn timed(positions: Range<u64>, operation: impl Fn(u64)) -> Histogram<u64> {
    let mut times = Histogram::new(3).expect("3 digits");
    for position in positions {
        let began = Instant::now();
        operation(position);
        times += began.elapsed().as_nanos() as u64;
    }
    times
}

fn say(capacity: &str, threads: u64, times: &Histogram<u64>, standing: &str) {
    let [half, most, all_but_few] = [0.5, 0.99, 0.999].map(|q| times.value_at_quantile(q));
    println!(
        "{capacity:>9} {threads:>7} {half:>8} {most:>8} {all_but_few:>8} {:>10} {standing}",
        times.max()
    );
}
