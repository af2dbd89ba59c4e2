//! The workloads: what each is, over how many entries, and its keys.

use clap::ValueEnum;
use rand::rngs::StdRng;
use std::fmt;

use crate::keys;

/// Each workload that can be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Workload {
    /// Look up keys that were all inserted, each as often as any other
    HitUniform,
    /// The same, some much oftener: Zipf 0.99
    HitZipf,
    /// Look up keys that are not there, in a full cache
    Miss,
    /// Look up, insert if not there: Zipf 0.9 over ten times the capacity
    #[value(name = "get_or_insert_090")]
    GetOrInsert090,
    /// The same with Zipf 0.99
    #[value(name = "get_or_insert_099")]
    GetOrInsert099,
    /// 3 look-ups to 1 insert: Zipf 0.99 over twice the capacity
    Mixed,
    /// Insert keys not seen before: each evicts
    InsertEvict,
    /// The same with weights from 1 to 500, Pareto 1.1, under a bound of weight
    Weighted,
    /// Look up one key
    HotKey,
    /// hit_zipf with keys of 24 bytes on the heap
    StringHit,
    /// insert_evict with keys of 24 bytes on the heap
    StringInsert,
    /// hit_zipf with values of 64 bytes in place
    #[value(name = "value64_hit")]
    Value64Hit,
    /// insert_evict with values of 64 bytes in place
    #[value(name = "value64_insert")]
    Value64Insert,
    /// hit_zipf with values of 64 bytes behind an Arc
    ArcHit,
    /// Time of each get_or_insert_099 alone, two threads
    Latency,
    /// Bytes per entry, allocations per insert, size when empty
    Memory,
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value().expect("no workload is hidden");
        f.pad(value.get_name())
    }
}

/// The capacity where only one is of interest.
pub(crate) const ENTRIES: usize = 100_000;

/// So many requests for each entry, at least, show what is worth keeping.
const FINDING_OUT: usize = 10;

/// The keys of a workload, by number.
pub(crate) struct Course {
    /// Inserted first.
    pub fill: Vec<u64>,
    /// Then asked for, again and again from the start.
    pub requests: Vec<u64>,
    /// How many requests run before anything is timed. Never more than there are:
    /// the second time they would be hit oftener than in a long run.
    pub warm: usize,
}

impl Workload {
    /// The capacities it is run with.
    pub(crate) fn sizes(self, quick: bool) -> &'static [usize] {
        match self {
            Self::Memory if quick => &[200_000],
            Self::Memory => &[1_000_000],
            _ if quick => &[ENTRIES],
            Self::HitUniform | Self::HitZipf | Self::Miss | Self::Mixed | Self::InsertEvict => {
                &[10_000, ENTRIES, 1_000_000]
            }
            _ => &[ENTRIES],
        }
    }

    /// Whether it is among those that `--scale` runs over many numbers of threads.
    pub(crate) fn is_scaled(self) -> bool {
        matches!(
            self,
            Self::HitZipf | Self::GetOrInsert099 | Self::Mixed | Self::InsertEvict | Self::HotKey
        )
    }

    /// Draws its keys for caches of `entries`.
    pub(crate) fn course(self, entries: usize, quick: bool, rng: &mut StdRng) -> Course {
        let length = if quick { 1 << 20 } else { 1 << 22 };
        let long = length.max(FINDING_OUT * entries);
        match self {
            Self::HitUniform => resident(entries, keys::uniform(entries, length, rng), rng),
            Self::HitZipf | Self::StringHit | Self::Value64Hit | Self::ArcHit => {
                resident(entries, keys::zipf(entries, 0.99, length, rng), rng)
            }
            Self::Miss => resident(entries, keys::unseen(length), rng),
            Self::HotKey => resident(1, vec![0; 1 << 16], rng),
            Self::GetOrInsert090 => found_out(keys::zipf(10 * entries, 0.9, long, rng)),
            Self::GetOrInsert099 | Self::Latency => {
                found_out(keys::zipf(10 * entries, 0.99, long, rng))
            }
            Self::Mixed => Course {
                fill: keys::shuffled(entries, rng),
                ..found_out(keys::zipf(2 * entries, 0.99, long, rng))
            },
            Self::Weighted => unique(entries, keys::heavy(8 * entries, rng)),
            Self::InsertEvict | Self::StringInsert | Self::Value64Insert | Self::Memory => {
                unique(entries, keys::unseen(8 * entries))
            }
        }
    }
}

/// All that can be asked for is inserted before, in no order.
fn resident(entries: usize, requests: Vec<u64>, rng: &mut StdRng) -> Course {
    Course {
        fill: keys::shuffled(entries, rng),
        warm: requests.len() / 4,
        requests,
    }
}

/// The requests themselves show what is worth keeping: all of them, once.
fn found_out(requests: Vec<u64>) -> Course {
    Course {
        fill: Vec::new(),
        warm: requests.len(),
        requests,
    }
}

/// Full, and everything in it replaced once.
fn unique(entries: usize, requests: Vec<u64>) -> Course {
    Course {
        fill: Vec::new(),
        warm: 2 * entries,
        requests,
    }
}

#[cfg(test)]
mod tests {
    use super::Workload;
    use crate::lane::{BLOCK, MOST_THREADS};
    use clap::ValueEnum;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    #[test]
    fn requests_suffice_for_the_warm_up_and_all_threads() {
        let mut rng = StdRng::seed_from_u64(1);
        for workload in Workload::value_variants() {
            let entries = *workload.sizes(false).iter().min().expect("a size");
            let course = workload.course(entries, true, &mut rng);
            assert!(course.warm <= course.requests.len(), "{workload}");
            let blocks = course.requests.len() / BLOCK;
            assert!(blocks >= MOST_THREADS as usize, "{workload}");
        }
    }
}
