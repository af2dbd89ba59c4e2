//! What is known of one cache in one workload: a row of the tables and of the CSV.

use serde::Serialize;

use crate::workload::Workload;

/// A workload over so many entries with so many threads.
#[derive(Clone, Copy)]
pub(crate) struct Cell {
    pub workload: Workload,
    pub entries: usize,
    pub threads: usize,
}

/// Figures that a workload does not give are none.
#[derive(Clone, Default, Serialize)]
pub(crate) struct Row {
    pub workload: String,
    pub entries: usize,
    pub threads: usize,
    pub cache: String,
    pub version: String,
    pub rounds: usize,
    /// Median over the rounds: processor time of one thread, wall time of more.
    pub ns_per_operation: Option<f64>,
    /// How many times as fast as quick_cache in the same round; the median.
    pub over_quick_cache: Option<f64>,
    /// How many times as fast as the best map without a bound; the median.
    pub over_best_map: Option<f64>,
    pub best_map: Option<String>,
    pub hit_ratio: Option<f64>,
    pub resident: Option<usize>,
    pub p50_ns: Option<u64>,
    pub p99_ns: Option<u64>,
    pub p999_ns: Option<u64>,
    pub max_ns: Option<u64>,
    pub filled_bytes_per_entry: Option<f64>,
    pub churned_bytes_per_entry: Option<f64>,
    pub allocations_per_insert: Option<f64>,
    pub empty_bytes: Option<u64>,
}

impl Row {
    pub(crate) fn of(cell: Cell, cache: &str, version: &str) -> Self {
        Self {
            workload: cell.workload.to_string(),
            entries: cell.entries,
            threads: cell.threads,
            cache: cache.to_string(),
            version: version.to_string(),
            ..Self::default()
        }
    }

    /// Million operations a second of all threads together; none where no
    /// operation came to its end.
    pub(crate) fn throughput(&self) -> Option<f64> {
        let throughput = 1e3 / self.ns_per_operation?;
        throughput.is_normal().then_some(throughput)
    }
}

/// The caches of these rows, each once, in their order.
pub(crate) fn caches<'a>(rows: impl Iterator<Item = &'a Row>) -> Vec<&'a str> {
    let mut caches: Vec<&str> = Vec::new();
    for row in rows {
        if !caches.contains(&row.cache.as_str()) {
            caches.push(&row.cache);
        }
    }
    caches
}

/// The numbers of threads of these rows, each once, the fewest first.
pub(crate) fn threads<'a>(rows: impl Iterator<Item = &'a Row>) -> Vec<usize> {
    let mut threads: Vec<usize> = rows.map(|row| row.threads).collect();
    threads.sort_unstable();
    threads.dedup();
    threads
}
