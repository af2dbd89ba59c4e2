//! A criterion group, in which each operation is measured by one and by several
//! threads; beside each rate stands what it ran at.

use super::race::{race, threads};
use brimful::{Cache, Form, Snapshot};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput};
use std::cell::{Cell, LazyCell, OnceCell};
use std::hash::Hash;
use std::time::Duration;

/// How long each measurement takes: short, since there are hundreds.
pub(crate) fn settings() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .nresamples(10_000)
        .without_plots()
}

pub(crate) struct Lane<'a>(BenchmarkGroup<'a, WallTime>);

impl<'a> Lane<'a> {
    pub(crate) fn new(criterion: &'a mut Criterion, name: &str) -> Self {
        let mut group = criterion.benchmark_group(name);
        // Time is wall time by operations of all threads: a rate adds up.
        group.throughput(Throughput::Elements(1));
        // Samples of equal length: in short ones threads would not overlap.
        group.sampling_mode(SamplingMode::Flat);
        Self(group)
    }

    /// Measures an operation, told its position, on a cache. Both are prepared
    /// once, and only if the filter lets one of the measurements through.
    pub(crate) fn run<K, V, P, O>(
        &mut self,
        name: &str,
        prepare: impl FnOnce() -> (Cache<K, V, P>, O),
    ) where
        K: Hash + Eq,
        P: Form,
        O: Fn(&Cache<K, V, P>, u64) + Sync,
        Cache<K, V, P>: Sync,
    {
        self.run_by(threads(), name, prepare);
    }

    /// The same, by one thread only.
    pub(crate) fn run_alone<K, V, P, O>(
        &mut self,
        name: &str,
        prepare: impl FnOnce() -> (Cache<K, V, P>, O),
    ) where
        K: Hash + Eq,
        P: Form,
        O: Fn(&Cache<K, V, P>, u64) + Sync,
        Cache<K, V, P>: Sync,
    {
        self.run_by([1], name, prepare);
    }

    fn run_by<K, V, P, O>(
        &mut self,
        threads: impl IntoIterator<Item = u64>,
        name: &str,
        prepare: impl FnOnce() -> (Cache<K, V, P>, O),
    ) where
        K: Hash + Eq,
        P: Form,
        O: Fn(&Cache<K, V, P>, u64) + Sync,
        Cache<K, V, P>: Sync,
    {
        let prepared = LazyCell::new(prepare);
        // Goes on from sample to sample: nobody runs through the same keys again.
        let position = Cell::new(0);
        for threads in threads {
            let before = OnceCell::new();
            self.0
                .bench_function(format!("{name}/threads-{threads}"), |bencher| {
                    let (cache, operation) = &*prepared;
                    before.get_or_init(|| cache.stats());
                    bencher.iter_custom(|count| {
                        let first = position.replace(position.get() + count);
                        race(threads, first..first + count, |n| operation(cache, n))
                    });
                });
            if let Some(before) = before.get() {
                say_standing(&prepared.0, before);
            }
        }
    }
}

/// A cache that drops inserts looks fast; here it is seen.
fn say_standing<K, V, P: Form>(cache: &Cache<K, V, P>, before: &Snapshot) {
    let now = cache.stats();
    let ratio = match (&now - before).hit_ratio() {
        Some(ratio) => format!("hit ratio {ratio:.3}"),
        None => "no look-ups".to_owned(),
    };
    println!(
        "{:24}{ratio}; {} entries; {} of {} used\n",
        "",
        now.len(),
        now.weight(),
        now.capacity()
    );
}
